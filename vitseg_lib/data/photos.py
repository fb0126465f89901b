"""Any photograph as an array: uint8 (H, W, 3) RGB, upright, whatever the file holds."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from vitseg_lib.files import InputError, atomic_path


def read_image(path: str | Path) -> np.ndarray:
    """Read a photograph as uint8 (H, W, 3) RGB, turned upright as its EXIF orientation says.

    Grey becomes three equal channels; 16-bit values are scaled down by 257; transparent pixels are laid on
    white, as a page would show them; other modes are converted as Pillow does; of an animation, the first image.

    Raises `InputError` if the file is missing, empty, damaged, truncated, no image, or far too large.
    """
    with opened(path) as image:
        ImageOps.exif_transpose(image, in_place=True)
        return _to_rgb(image)


def image_size(path: str | Path) -> tuple[int, int]:
    """Return the upright (height, width) of an image from its header, without decoding it."""
    with opened(path) as image:
        width, height = image.size
        turned = image.getexif().get(ExifTags.Base.Orientation, 1) >= 5
    return (width, height) if turned else (height, width)


@contextmanager
def opened(path: str | Path) -> Iterator[Image.Image]:
    """Yield the Pillow image of a file; whatever fails in opening or decoding it becomes an `InputError`."""
    if Path(path).exists() and not Path(path).is_file() and not Path(path).is_dir():  # a pipe would wait for ever
        raise InputError(f"{path} is no ordinary file: name an image file.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's remarks on odd metadata are of no use to the reader
            with Image.open(path) as image:
                yield image
    except (InputError, MemoryError):
        raise
    except Exception as error:  # decoders raise almost anything on damaged files
        raise InputError(_fault(Path(path), error)) from error


def write_image(image: Image.Image, path: str | Path, *, overwrite: bool = True, **options: object) -> None:
    """Write a picture, whole or not at all, as the kind that its suffix names; `options` are Pillow's.

    It is encoded in memory: on a full disk Pillow's own writing ends in the middle of a file and says nothing.
    """
    encoded = io.BytesIO()
    image.save(encoded, Image.registered_extensions()[Path(path).suffix.lower()], **options)
    with atomic_path(path, overwrite=overwrite) as temporary:
        temporary.write_bytes(encoded.getbuffer())


def _fault(path: Path, error: Exception) -> str:
    if not path.exists():
        return f"{path} does not exist: check the name."
    if path.is_dir():
        return f"{path} is a folder: name an image file."
    if isinstance(error, PermissionError):
        return f"{path} may not be read: change its permissions."
    if isinstance(error, Image.DecompressionBombError):
        return f"{path} has more pixels than can be opened safely ({error}): save a smaller version."
    if path.stat().st_size == 0:
        return f"{path} is empty: replace it."
    if isinstance(error, UnidentifiedImageError):
        return f"{path} is not an image of a known kind: save it as JPEG or PNG."
    return f"{path} is damaged or truncated ({error}): replace it."


def _to_rgb(image: Image.Image) -> np.ndarray:
    if image.mode.startswith(("I", "F")):
        return np.repeat(_to_bytes(np.array(image))[:, :, None], 3, axis=2)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def _to_bytes(values: np.ndarray) -> np.ndarray:
    """Scale grey values (H, W) of more than 8 bits to uint8.

    Integers from 0 to 65535 are 16-bit ones and floats from 0 to 1 are fractions of white; any others are
    stretched from the darkest (black) to the brightest (white). Not-a-number is black.
    """
    whole = np.issubdtype(values.dtype, np.integer)
    values = np.nan_to_num(values.astype(np.float64), posinf=0.0, neginf=0.0)
    low, high = 0.0, (65535.0 if whole else 1.0)
    if values.min() < low or values.max() > high:
        low, high = values.min(), values.max()
    return np.rint((values - low) * (255.0 / max(high - low, 1e-12))).astype(np.uint8)
