"""ADE20K and every data set in its layout: folders, the label shift, reading and writing masks.

    ROOT/images/{training,validation}/NAME.jpg        photographs
    ROOT/annotations/{training,validation}/NAME.png   masks, one byte per pixel: 0 = other, k = class k-1
    ROOT/classes.json                                 other classes than ADE20K's; see data/README.md

In memory an image is uint8 (H, W, 3) RGB and labels are uint8 (H, W): 0..K-1, and 255 for ignored pixels.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from vitseg_lib.data.classes import IGNORED, Classes
from vitseg_lib.data.image_io import open_image, read_image, write_image
from vitseg_lib.data.opencv import cv2
from vitseg_lib.files import InputError

SPLITS = ("training", "validation")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")


def list_pairs(root: str | Path, split: str) -> list[tuple[Path, Path]]:
    """Return the (image, annotation) paths of `split`, "training" or "validation", sorted by name.

    Raises `InputError` if folders are missing or empty, or an image or an annotation lacks its partner.
    """
    root = Path(root)
    if split not in SPLITS:
        raise InputError(f'There is no split "{split}": choose one of {", ".join(SPLITS)}.')
    if not root.is_dir():
        raise InputError(
            f"There is no data set at {root}: make one with `vitseg data toy`, fetch ADE20K with "
            "`vitseg data ade20k`, or name another folder (VITSEG_DATA names it for the notebooks)."
        )
    inner = root / "ADEChallengeData2016"
    if inner.is_dir() and not (root / "images").is_dir():
        raise InputError(f"{root} is not the data set but the folder around it: use {inner}.")
    images = _by_name(root / "images" / split, IMAGE_SUFFIXES)
    annotations = _by_name(root / "annotations" / split, (".png",))
    for paths, partners, kind in ((images, annotations, "annotation"), (annotations, images, "image")):
        if alone := sorted(paths.keys() - partners.keys()):
            more = f" (and {len(alone) - 1} more like it)" if len(alone) > 1 else ""
            raise InputError(f"{paths[alone[0]]} has no {kind}{more}: add the missing file or remove this one.")
    return [(images[name], annotations[name]) for name in sorted(images)]


def _by_name(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    """Return the folder's visible files with one of the `suffixes`, in any case, by name without suffix."""
    if not folder.is_dir():
        raise InputError(f"{folder} is missing: a data set needs images/ and annotations/, each with both splits.")
    by_name: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in suffixes and not path.name.startswith("."):
            if path.stem in by_name:
                raise InputError(f"{path} and {by_name[path.stem].name} have one name: remove or rename one.")
            by_name[path.stem] = path
    if not by_name:
        raise InputError(f"{folder} holds no {' or '.join(suffixes)} files: put the data set's files there.")
    return by_name


def shift_labels(raw: np.ndarray) -> np.ndarray:
    """Turn a file's values into labels, uint8 (H, W): 0 (other) → 255, k → k-1, 255 → 255.

    Source: reproduction: mmsegmentation 0.17, `reduce_zero_label`.
    """
    return np.where(raw == IGNORED, IGNORED, raw - np.uint8(1))  # a byte wraps around: 0 - 1 = 255


def require_mask(image: Image.Image, path: str | Path) -> None:
    """Raise `InputError` unless an opened annotation has one 8-bit channel, stored without loss."""
    # Pillow stretches grey values of fewer than 8 bits to 0..255, and so spoils labels.
    stretched = bool(image.tile) and str(image.tile[0][3]).startswith("L;")
    lossy = image.format in ("JPEG", "WEBP", "AVIF", "JPEG2000")
    if image.mode not in ("L", "P") or stretched or lossy:
        reason = ", under 8 bits" if stretched else f", stored with loss as {image.format}" if lossy else ""
        remedy = "save it as an 8-bit PNG with one channel, grey or palette, that holds the class numbers"
        raise InputError(f"{path} is no label mask (Pillow mode {image.mode}{reason}): {remedy}.")


def read_labels(path: str | Path, classes: Classes) -> np.ndarray:
    """Read an annotation, 8-bit grey or palette indices, as labels, uint8 (H, W): 0..K-1, 255 where ignored.

    Raises `InputError` if it is missing, damaged, of another kind, or holds a value outside the classes.
    """
    with open_image(path) as image:
        require_mask(image, path)
        raw = np.asarray(image)
    unknown = cv2.LUT(raw, (classes.labels_of_values < 0).astype(np.uint8))
    if unknown.any():
        first = int(classes.zero_is_other)
        raise InputError(
            f"{path} holds the label {raw[unknown > 0][0]}, outside the data set's {len(classes)} classes, values "
            f"{first} to {len(classes) - 1 + first}: correct the mask, or list its classes in classes.json."
        )
    return cv2.LUT(raw, classes.labels_of_values.astype(np.uint8))


def write_labels(path: str | Path, labels: np.ndarray, classes: Classes, *, overwrite: bool = False) -> None:
    """Write labels, uint8 (H, W), as a PNG that `read_labels` reads back; a palette shows the colours."""
    values, palette = np.full(256, classes.ignore_in_files, np.uint8), np.zeros((256, 3), np.uint8)
    if classes.zero_is_other and not classes.values:
        values[classes.ignore] = 0
    for label, colour in enumerate(classes.colours):
        values[label] = classes.values_of(label)[0]
        palette[values[label]] = colour
    image = Image.fromarray(values[labels])
    image.putpalette(palette.tobytes())
    write_image(image, path, overwrite=overwrite)


def read_pair(image_path: str | Path, label_path: str | Path, classes: Classes) -> tuple[np.ndarray, np.ndarray]:
    """Read an image, uint8 (H, W, 3), and its labels, uint8 (H, W); `InputError` if their sizes differ."""
    image, labels = read_image(image_path), read_labels(label_path, classes)
    require_same_size(image_path, image.shape[:2], label_path, labels.shape)
    return image, labels


def require_same_size(image_path: str | Path, image_size: tuple, label_path: str | Path, label_size: tuple) -> None:
    """Raise `InputError` if an image and its labels differ in (height, width)."""
    if image_size != label_size:
        ours, its = (f"{width} wide and {height} high" for height, width in (label_size, image_size))
        raise InputError(f"{label_path} is {ours} but its image {image_path} is {its}: replace the one that is wrong.")


def colour_labels(labels: np.ndarray, classes: Classes) -> np.ndarray:
    """Paint labels (H, W) in the classes' colours, uint8 (H, W, 3); ignored pixels are black."""
    table = np.zeros((256, 3), np.uint8)
    table[: len(classes)] = classes.colours
    return table[labels]
