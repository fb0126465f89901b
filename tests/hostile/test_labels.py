"""Data sets that are none: masks of a wrong kind, size or label, folders that miss or mix up files."""

import io
import shutil
import struct
import zlib
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hostile.stage import Case, Stage, cases

pytestmark = pytest.mark.slow
SIZE = (40, 36)  # of the images: width, height


def few_bits(depth: int) -> bytes:
    """A grey PNG of fewer than 8 bits, which Pillow cannot write."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", *SIZE, depth, 0, 0, 0, 0)
    rows = bytes(SIZE[1] * (1 + SIZE[0] * depth // 8))
    pixels = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def labels(value: int, size: tuple[int, int] = SIZE) -> bytes:
    return encoded(Image.new("L", size, value))


def damaged_labels() -> bytes:
    content = bytearray(encoded(Image.fromarray(np.random.default_rng(0).integers(1, 3, SIZE[::-1], dtype=np.uint8))))
    content[80] ^= 0xFF
    return bytes(content)


MODES = ("1", "LA", "RGB", "RGBA", "I;16")
MASKS = {
    **{f"a mask of mode {mode}": (encoded(Image.new(mode, SIZE)), "is no label mask") for mode in MODES},
    **{f"a mask of {bits} grey bits": (few_bits(bits), "is no label mask") for bits in (1, 2, 4)},
    "a JPEG called .png": (encoded(Image.new("L", SIZE, 1), "JPEG"), "is no label mask"),
    "a lossy WebP called .png": (encoded(Image.new("RGB", SIZE), "WEBP"), "is no label mask"),
    "a float TIFF called .png": (encoded(Image.new("F", SIZE), "TIFF"), "is no label mask"),
    "a 32-bit TIFF called .png": (encoded(Image.new("I", SIZE), "TIFF"), "is no label mask"),
    "a CMYK TIFF called .png": (encoded(Image.new("CMYK", SIZE), "TIFF"), "is no label mask"),
    "an empty mask": (b"", "is empty"),
    "a mask of text": (b"sky sky sea", "not an image of a known kind"),
    "a mask cut short": (labels(1)[:60], "is damaged or truncated"),
    "a mask with a flipped byte": (damaged_labels(), "is damaged or truncated"),
    "a mask of 60 000 by 60 000": (
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0) + b"\0\0\0\0", "png"
    ),
    **{f"the label {value}": (labels(value), f"holds the label {value}") for value in (3, 77, 151, 254)},
    "a mask one wider": (labels(1, (41, 36)), "41 wide and 36 high"),
    "a mask one lower": (labels(1, (40, 35)), "40 wide and 35 high"),
    "a mask on its side": (labels(1, SIZE[::-1]), "36 wide and 40 high"),
    "a mask of one pixel": (labels(1, (1, 1)), "1 wide and 1 high"),
}  # fmt: skip


def with_mask(stage: Stage, content: bytes, command: str) -> list:
    split = "validation" if command == "evaluate" else "training"
    for mask in (stage.data() / "annotations" / split).iterdir():
        mask.write_bytes(content)
        if command == "check":
            break
    return {
        "train": lambda: stage.train(),
        "evaluate": lambda: stage.evaluate(),
        "check": lambda: ["data", "check", stage.data(), "--deep"],
    }[command]()


def masks() -> list[Case]:
    leaves = {"train": ("new_run/run.json", "new_run/log.jsonl")}
    return [
        Case(f"{what}, met by {command}", partial(with_mask, content=c, command=command), (says, ".png"), leaves.get(command, ()))
        for what, (c, says) in MASKS.items()
        for command in ("train", "evaluate", "check")
    ]  # fmt: skip


def move(old: str, new: str):
    return lambda root: (root / old).rename(root / new)


def remove(name: str):
    return lambda root: shutil.rmtree(root / name) if (root / name).is_dir() else (root / name).unlink()


def empty(name: str):
    return lambda root: [path.unlink() for path in (root / name).iterdir()]


def replace_by_file(name: str):
    return lambda root: (shutil.rmtree(root / name), (root / name).write_text("a file"))


def swap(one: str, other: str):
    return lambda root: (move(one, "x")(root), move(other, one)(root), move("x", other)(root))


def copy(old: str, new: str):
    return lambda root: shutil.copy(root / old, root / new)


SPLIT_FOLDERS = [f"{kind}/{split}" for kind in ("images", "annotations") for split in ("training", "validation")]
FOLDERS = {
    **{f"no {folder}": (remove(folder), (folder, "is missing")) for folder in (*SPLIT_FOLDERS, "images", "annotations")},
    **{f"an empty {folder}": (empty(folder), (folder, "holds no")) for folder in SPLIT_FOLDERS},
    **{f"a file as {folder}": (replace_by_file(folder), (folder, "is missing")) for folder in SPLIT_FOLDERS},
    **{f"one fewer in {folder}": (remove(f"{folder}/0.png"), ("0.png", "has no")) for folder in SPLIT_FOLDERS},
    **{f"another name in {folder}": (move(f"{folder}/0.png", f"{folder}/z.png"), ("has no", ".png")) for folder in SPLIT_FOLDERS},
    "an image and its mask swapped": (
        swap("images/training/0.png", "annotations/training/0.png"), ("0.png is no label mask",)
    ),
    "six empty images": (
        lambda root: [p.write_bytes(b"") for p in root.glob("images/*/*")], ("6 faulty pairs", "and 1 more")
    ),
    "training and validation swapped in half": (
        swap("images/training", "images/validation"), ("has no", ".png")
    ),
    "two images of one name": (copy("images/training/0.png", "images/training/0.jpg"), ("have one name", "0.jpg")),
    "masks as .bmp": (
        lambda root: [p.rename(p.with_suffix(".bmp")) for p in (root / "annotations/training").iterdir()],
        ("holds no .png",),
    ),
}  # fmt: skip


def with_folder(stage: Stage, spoil, command: str) -> list:
    spoil(stage.data())
    return stage.train() if command == "train" else ["data", "check", stage.data(), "--deep"]


def folders() -> list[Case]:
    return [
        Case(f"{what}, met by {command}", partial(with_folder, spoil=spoil, command=command), says)
        for what, (spoil, says) in FOLDERS.items()
        for command in ("train", "check")
        if command == "check" or says[0] not in ("0.png is no label mask", "6 faulty pairs")  # what only a check reads
    ]


def elsewhere(stage: Stage, prepare, command: str) -> list:
    root: Path = prepare(stage)
    return {
        "train": lambda: stage.train(data=root),
        "evaluate": lambda: stage.evaluate(data=root),
        "check": lambda: ["data", "check", root],
    }[command]()


ELSEWHERE = {
    "a data set that is not there": (lambda s: s.folder / "gone", "There is no data set at"),
    "a data set that is a file": (lambda s: s.write("file", "x"), "There is no data set at"),
    "a data set that is a zip": (lambda s: s.write("data.zip", b"PK"), "There is no data set at"),
    "an empty folder": (lambda s: (s.folder / "new").mkdir() or s.folder / "new", "is missing"),
    "the folder around ADE20K": (
        lambda s: shutil.move(s.data(), s.folder / "outer" / "ADEChallengeData2016") and s.folder / "outer",
        "is not the data set but the folder around it",
    ),
    "one of its folders": (lambda s: s.data() / "images", "is missing"),
}


@pytest.mark.parametrize(
    "case",
    cases(
        masks(),
        folders(),
        (
            Case(f"{what}, met by {command}", partial(elsewhere, prepare=p, command=command), (says,))
            for what, (p, says) in ELSEWHERE.items()
            for command in ("train", "evaluate", "check")
        ),
        Case("no data set to check", lambda s: ["data", "check"], ("vitseg data check ROOT",)),
        Case("a place that `data toy` does not look at", lambda s: ["data", "toy", "mine"], ("--out",)),
    ),
)
def test_a_bad_data_set(case, refused):
    refused(case)
