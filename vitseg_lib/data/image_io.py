"""Any photograph as an array: uint8 (H, W, 3) RGB, upright, whatever the file holds."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from vitseg_lib.files import InputError, write_bytes


def read_image(path: str | Path) -> np.ndarray:
    """Read a photograph as uint8 (H, W, 3) RGB, turned upright as its EXIF orientation says.

    Grey becomes three equal channels; 16-bit values are divided by 257; transparent pixels are laid on white, as a
    page would show them; other modes are converted as Pillow does; of an animation, the first image.
    Raises `InputError` if the file is missing, empty, damaged, truncated, no image, or far too large.
    """
    with open_image(path) as image:
        ImageOps.exif_transpose(image, in_place=True)
        return _to_rgb(image)


def image_size(path: str | Path) -> tuple[int, int]:
    """Return the upright (height, width) of an image from its header, without decoding it."""
    with open_image(path) as image:
        is_turned = image.getexif().get(ExifTags.Base.Orientation, 1) >= 5
        return image.size if is_turned else image.size[::-1]


@contextmanager
def open_image(path: str | Path) -> Iterator[Image.Image]:
    """Yield the Pillow image of a file; whatever fails in opening or decoding it becomes an `InputError`."""
    path = Path(path)
    if path.exists() and not path.is_file() and not path.is_dir():  # a pipe would wait for ever
        raise InputError(f"{path} is no ordinary file: name an image file.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's remarks on odd metadata are of no use to the reader
            with Image.open(path) as image:
                yield image
    except (InputError, MemoryError):
        raise
    except Exception as error:  # decoders raise almost anything on damaged files
        raise InputError(f"{path} {_fault(path, error)}.") from error


def write_image(image: Image.Image, path: str | Path, *, overwrite: bool = True, **options: object) -> None:
    """Write an image, whole or not at all, as the kind that its suffix names; `options` are Pillow's."""
    encoded = io.BytesIO()  # on a full disk Pillow's own writing ends in the middle of a file and says nothing
    image.save(encoded, Image.registered_extensions()[Path(path).suffix.lower()], **options)
    write_bytes(path, encoded.getbuffer(), overwrite=overwrite)


def _fault(path: Path, error: Exception) -> str:
    if not path.exists():
        return "does not exist: check the name"
    if path.is_dir():
        return "is a folder: name an image file"
    if isinstance(error, PermissionError):
        return "may not be read: change its permissions"
    if isinstance(error, Image.DecompressionBombError):
        return f"has more pixels than can be opened safely ({error}): save a smaller version"
    if path.stat().st_size == 0:
        return "is empty: replace it"
    if isinstance(error, UnidentifiedImageError):
        return "is not an image of a known kind: save it as JPEG or PNG"
    return f"is damaged or truncated ({error}): replace it"


def _to_rgb(image: Image.Image) -> np.ndarray:
    if image.mode.startswith(("I", "F")):
        return np.repeat(_to_uint8(np.array(image))[:, :, None], 3, axis=2)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def _to_uint8(values: np.ndarray) -> np.ndarray:
    """Scale grey values (H, W), integers 0..65535 or floats 0..1, to uint8; others from their darkest to brightest."""
    low, high = 0.0, (65535.0 if np.issubdtype(values.dtype, np.integer) else 1.0)
    values = np.nan_to_num(values.astype(np.float64), posinf=0.0, neginf=0.0)
    if values.min() < low or values.max() > high:
        low, high = values.min(), values.max()
    return np.rint((values - low) * (255.0 / max(high - low, 1e-12))).astype(np.uint8)
