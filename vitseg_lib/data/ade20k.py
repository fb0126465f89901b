"""ADE20K and every data set in its layout: folders, classes, the label shift, reading.

    ROOT/images/{training,validation}/NAME.jpg        photographs
    ROOT/annotations/{training,validation}/NAME.png   masks, one byte a pixel: 0 = other, k = class k-1
    ROOT/classes.json                                 other classes than ADE20K's; see data/README.md

In memory an image is uint8 (H, W, 3) RGB and labels are uint8 (H, W): 0..K-1, and 255 for ignored pixels.
"""

import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vitseg_lib.data.photos import opened, read_image
from vitseg_lib.files import InputError, atomic_path

IGNORED = 255
SPLITS = ("training", "validation")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True, eq=False)
class Classes:
    """What the labels mean: `names` and `colours` (uint8 (K, 3) RGB) in the order of the labels 0..K-1.

    `zero_is_other` says that files hold 0 for "none of these" and 1..K for the classes, as ADE20K's do;
    otherwise they hold 0..K-1. 255 in a file is ignored either way.
    """

    names: tuple[str, ...]
    colours: np.ndarray
    ignore: int = IGNORED
    zero_is_other: bool = True

    def __len__(self) -> int:
        """Return K."""
        return len(self.names)

    def as_dict(self) -> dict[str, Any]:
        """Return what a classes.json holds."""
        pairs = zip(self.names, self.colours.tolist(), strict=True)
        entries = [{"name": name, "colour": colour} for name, colour in pairs]
        return {"classes": entries, "ignore": self.ignore, "zero_is_other": self.zero_is_other}


def ade20k_classes() -> Classes:
    """Return ADE20K's 150 classes, named with all their synonyms, in the benchmark's colours."""
    source = resources.files("vitseg_lib.data") / "ade20k_classes.json"
    return parse_classes(source.read_text(encoding="utf-8"), "ade20k_classes.json")


def read_classes(root: str | Path) -> Classes:
    """Return the classes of `root`/classes.json, or ADE20K's if there is no such file.

    Raises `InputError` naming the file and its fault.
    """
    path = Path(root) / "classes.json"
    if not path.exists():
        return ade20k_classes()
    try:
        return parse_classes(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error}): replace it, or remove it to use ADE20K's.") from error


def parse_classes(text: str, path: str) -> Classes:
    """Return the classes of a classes.json's text; faults are told as those of the file `path`."""

    def demand(condition: bool, fault: str) -> None:
        if not condition:
            raise InputError(f"{path}: {fault}; data/README.md shows the format.")

    try:
        content = json.loads(text)
    except ValueError as error:
        raise InputError(f"{path} is not valid JSON ({error}); data/README.md shows the format.") from error
    demand(isinstance(content, dict) and isinstance(content.get("classes"), list), 'it needs a list "classes"')
    zero_is_other = content.get("zero_is_other", True)
    demand(isinstance(zero_is_other, bool), '"zero_is_other" must be true or false')
    demand(content.get("ignore", IGNORED) == IGNORED, f'"ignore" must be {IGNORED}')
    entries, most = content["classes"], IGNORED - zero_is_other
    demand(1 <= len(entries) <= most, f"it lists {len(entries)} classes, where 1 to {most} are possible")
    for number, entry in enumerate(entries, start=1):
        fault = f'class number {number} needs a "name" and a "colour" of three whole numbers from 0 to 255'
        demand(isinstance(entry, dict) and _is_name(entry.get("name")) and _is_colour(entry.get("colour")), fault)
    names = tuple(entry["name"] for entry in entries)
    twice = next((name for name in names if names.count(name) > 1), None)
    demand(twice is None, f'the name "{twice}" occurs twice')
    colours = np.array([entry["colour"] for entry in entries], dtype=np.uint8)
    colours.flags.writeable = False
    return Classes(names, colours, IGNORED, zero_is_other)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_colour(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(type(v) is int and 0 <= v <= 255 for v in value)


def list_pairs(root: str | Path, split: str) -> list[tuple[Path, Path]]:
    """Return the (image, annotation) paths of `split`, "training" or "validation", sorted by name.

    Raises `InputError` if folders are missing or empty, or an image or an annotation lacks its partner.
    """
    root = Path(root)
    if split not in SPLITS:
        raise InputError(f'There is no split "{split}": choose one of {", ".join(SPLITS)}.')
    _check_root(root)
    images = _by_name(root / "images" / split, IMAGE_SUFFIXES)
    annotations = _by_name(root / "annotations" / split, (".png",))
    for missing, found, what in ((annotations, images, "annotation"), (images, annotations, "image")):
        if alone := sorted(found.keys() - missing.keys()):
            more = f" (and {len(alone) - 1} more like it)" if len(alone) > 1 else ""
            raise InputError(f"{found[alone[0]]} has no {what}{more}: add the missing file or remove this one.")
    return [(images[name], annotations[name]) for name in sorted(images)]


def _check_root(root: Path) -> None:
    if not root.is_dir():
        raise InputError(
            f"There is no data set at {root}: make one with `vitseg data toy`, fetch ADE20K with "
            "`vitseg data ade20k`, or name another folder (VITSEG_DATA names it for the notebooks)."
        )
    inner = root / "ADEChallengeData2016"
    if inner.is_dir() and not (root / "images").is_dir():
        raise InputError(f"{root} is not the data set but the folder around it: use {inner}.")


def _by_name(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    """Return the folder's visible files with one of the `suffixes`, in any case, by name without suffix."""
    if not folder.is_dir():
        raise InputError(f"{folder} is missing: a data set needs images/ and annotations/ with a folder a split.")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in suffixes and not path.name.startswith("."):
            if path.stem in found:
                raise InputError(f"{path} and {found[path.stem].name} have one name: remove or rename one.")
            found[path.stem] = path
    if not found:
        raise InputError(f"{folder} holds no {' or '.join(suffixes)} files: put the data set's files there.")
    return found


def shift_labels(raw: np.ndarray) -> np.ndarray:
    """Turn a file's values into labels, uint8 (H, W): 0 (other) → 255, k → k-1, and 255 stays 255.

    Source: reproduction: mmsegmentation 0.17, `reduce_zero_label`.
    """
    return np.where(raw == IGNORED, IGNORED, raw - np.uint8(1))  # a byte wraps around: 0 - 1 = 255


def unshift_labels(labels: np.ndarray) -> np.ndarray:
    """Turn labels into a file's values, uint8 (H, W): 255 → 0 (other), k → k+1."""
    return labels + np.uint8(1)  # a byte wraps around: 255 + 1 = 0


def require_mask(image: Image.Image, path: str | Path) -> None:
    """Raise `InputError` unless an opened annotation has one 8-bit channel."""
    # Pillow stretches grey values of fewer than 8 bits to 0..255, and so spoils labels.
    stretched = bool(image.tile) and str(image.tile[0][3]).startswith("L;")
    if image.mode not in ("L", "P") or stretched:
        kind = f"Pillow mode {image.mode}{', under 8 bits' if stretched else ''}"
        raise InputError(
            f"{path} is no label mask ({kind}): save it as an 8-bit PNG with one channel, grey or palette, that "
            "holds the class numbers."
        )


def read_labels(path: str | Path, classes: Classes) -> np.ndarray:
    """Read an annotation as labels, uint8 (H, W): 0..K-1, 255 where ignored.

    The file must be a single-channel 8-bit one, grey or with a palette, whose indices are the values.

    Raises `InputError` if it is missing, damaged, of another kind, or holds a value outside the classes.
    """
    with opened(path) as image:
        require_mask(image, path)
        raw = np.array(image)
    labels = shift_labels(raw) if classes.zero_is_other else raw
    outside = (labels >= len(classes)) & (labels != IGNORED)
    if outside.any():
        known = (
            f"{len(classes)} classes, values {int(classes.zero_is_other)} to {len(classes) - 1 + classes.zero_is_other}"
        )
        raise InputError(
            f"{path} holds the label {raw[outside][0]}, outside the data set's {known}: correct the mask, or list "
            "its classes in classes.json."
        )
    return labels


def write_labels(path: str | Path, labels: np.ndarray, classes: Classes, *, overwrite: bool = False) -> None:
    """Write labels, uint8 (H, W), as a PNG that `read_labels` reads back; a palette shows the colours."""
    image = Image.fromarray(unshift_labels(labels) if classes.zero_is_other else labels)
    palette = np.zeros((256, 3), np.uint8)
    first = int(classes.zero_is_other)
    palette[first : first + len(classes)] = classes.colours
    image.putpalette(palette.tobytes())
    with atomic_path(path, overwrite=overwrite) as temporary:
        image.save(temporary, format="PNG")


def read_pair(image_path: str | Path, label_path: str | Path, classes: Classes) -> tuple[np.ndarray, np.ndarray]:
    """Read an image, uint8 (H, W, 3), and its labels, uint8 (H, W); `InputError` if their sizes differ."""
    image, labels = read_image(image_path), read_labels(label_path, classes)
    require_same_size(image_path, image.shape[:2], label_path, labels.shape)
    return image, labels


def require_same_size(
    image_path: str | Path, image_size: tuple[int, ...], label_path: str | Path, label_size: tuple[int, ...]
) -> None:
    """Raise `InputError` if an image and its labels differ in (height, width)."""
    if tuple(image_size) != tuple(label_size):
        raise InputError(
            f"{label_path} is {label_size[1]} wide and {label_size[0]} high but its image {image_path} is "
            f"{image_size[1]} wide and {image_size[0]} high: replace the one that is wrong."
        )


def colour_labels(labels: np.ndarray, classes: Classes) -> np.ndarray:
    """Paint labels (H, W) in the classes' colours, uint8 (H, W, 3); ignored pixels are black."""
    table = np.zeros((256, 3), np.uint8)
    table[: len(classes)] = classes.colours
    return table[labels]
