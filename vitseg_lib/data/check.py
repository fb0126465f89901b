"""Whether a data set is what it should be, file by file."""

from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from vitseg_lib.data.ade20k import SPLITS, list_pairs, read_pair, require_mask, require_same_size
from vitseg_lib.data.classes import Classes, read_classes
from vitseg_lib.data.image_io import image_size, open_image
from vitseg_lib.files import InputError

ADE20K_PAIRS = {"training": 20_210, "validation": 2_000}
FAULTS_SHOWN = 5


@dataclass(frozen=True)
class Report:
    """What `check` counted: pairs in each split, classes, and whether these are ADE20K's published counts."""

    root: Path
    pairs: dict[str, int]
    classes: int
    complete: bool
    deep: bool

    def __str__(self) -> str:
        pairs = " and ".join(f"{count:,} {split}" for split, count in self.pairs.items())
        checked = "every pixel and label" if self.deep else "names, headers and sizes"
        whole = "all of ADE20K; " if self.complete else ""
        return f"{self.root}: {whole}{pairs} pairs, {self.classes} classes; {checked} checked and sound."


def check(root: str | Path, *, deep: bool = False, progress: bool = True) -> Report:
    """Verify a data set: every image has its annotation, all headers can be read, the sizes agree.

    With `deep`, every file is decoded and every label looked at; for ADE20K that takes minutes.
    Raises `InputError` that lists the first few faults.
    """
    root, classes = Path(root), read_classes(root)
    pairs = {split: list_pairs(root, split) for split in SPLITS}
    faults: list[str] = []
    for pair in tqdm([*pairs["training"], *pairs["validation"]], desc="checking", unit="pair", disable=not progress):
        try:
            (read_pair if deep else _check_headers)(*pair, classes)
        except InputError as fault:
            faults.append(str(fault))
    if faults:
        more = f" … and {len(faults) - FAULTS_SHOWN} more." if len(faults) > FAULTS_SHOWN else ""
        raise InputError(f"{root} has {len(faults)} faulty pairs: {' '.join(faults[:FAULTS_SHOWN])}{more}")
    counts = {split: len(pairs[split]) for split in SPLITS}
    complete = counts == ADE20K_PAIRS and not (root / "classes.json").exists()
    return Report(root, counts, len(classes), complete, deep)


def _check_headers(image: Path, annotation: Path, classes: Classes) -> None:
    with open_image(annotation) as mask:
        require_mask(mask, annotation)
        require_same_size(image, image_size(image), annotation, mask.size[::-1])
