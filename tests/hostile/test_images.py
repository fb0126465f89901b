"""Photographs that are none: every format cut short, swapped, spoilt, empty and far too large."""

import io
import os
import struct
import zlib
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hostile.stage import Case, Stage, cases

pytestmark = pytest.mark.slow

# Where a cut must be noticed: the first bytes, a quarter, the middle, and near the end of the pixels.
CUTS = {"5 bytes": 5, "a quarter": 0.25, "half": 0.5, "nine tenths": 0.9}
FORMATS = {
    "jpg": {}, "png": {}, "gif": {}, "bmp": {}, "tif": {}, "webp": {"lossless": True}, "ppm": {}, "jp2": {}, "tga": {},
    "pcx": {}, "avif": {},
}  # fmt: skip
NAMES = {"tif": "TIFF", "jpg": "JPEG", "jp2": "JPEG2000"}


def encoded(kind: str, size: tuple[int, int] = (64, 48), **options) -> bytes:
    rng = np.random.default_rng(0)
    buffer = io.BytesIO()
    noise = Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8))
    noise.save(buffer, NAMES.get(kind, kind.upper()), **options)
    return buffer.getvalue()


def chunk(kind: bytes, content: bytes, *, sound: bool = True) -> bytes:
    return (
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content) ^ (not sound))
    )


def png(width: int, height: int, pixels: bytes = b"", *, depth: int = 8, colour: int = 2, **options) -> bytes:
    """A PNG by hand: what its header claims, and the pixels that it has."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0), **options)
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def photo(stage: Stage, name: str, content: bytes | str) -> list:
    return stage.predict(images=[stage.write(name, content)])


def cut_short() -> list[Case]:
    made = []
    for kind, options in FORMATS.items():
        for where, cut in CUTS.items():

            def make(stage: Stage, kind=kind, cut=cut, options=options) -> list:
                whole = encoded(kind, **options)
                return photo(stage, f"photo.{kind}", whole[: cut if isinstance(cut, int) else int(len(whole) * cut)])

            made.append(Case(f"{kind} cut at {where}", make, (f"photo.{kind} is",)))
    return made


BROKEN = {
    "an empty file": ("a.jpg", b"", "is empty"),
    "text": ("a.jpg", "Dear diary, " * 99, "not an image of a known kind"),
    "a web page": ("a.png", "<!doctype html><title>404</title>", "not an image of a known kind"),
    "a drawing in SVG": ("a.png", '<svg xmlns="http://www.w3.org/2000/svg"/>', "not an image of a known kind"),
    "a PDF": ("a.jpg", b"%PDF-1.7\n%\xe2\xe3\n1 0 obj", "not an image of a known kind"),
    "a zip": ("a.jpg", b"PK\x05\x06" + bytes(18), "not an image of a known kind"),
    "zeros": ("a.jpg", bytes(5000), "not an image of a known kind"),
    "noise": ("a.png", np.random.default_rng(0).bytes(5000), "not an image of a known kind"),
    "an iPhone's HEIC": ("a.jpg", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(50), "not an image of a known kind"),
    "a PNG's signature alone": ("a.png", b"\x89PNG\r\n\x1a\n", "a.png is"),
    "a JPEG's first two bytes": ("a.jpg", b"\xff\xd8", "a.jpg is"),
    "a PNG of no width": ("a.png", png(0, 5), "a.png is"),
    "a PNG of 60 000 by 60 000": ("a.png", png(60_000, 60_000), "more pixels than can be opened safely"),
    "a PNG of 2 to the 31": ("a.png", png(2**31 - 1, 2**31 - 1), "more pixels than can be opened safely"),
    "a PNG that lacks its pixels": ("a.png", png(9, 9), "a.png is damaged or truncated"),
    "a PNG with too few pixels": ("a.png", png(9, 9, zlib.compress(bytes(40))), "a.png is damaged or truncated"),
    "a PNG whose pixels are no zlib": ("a.png", png(9, 9, b"not zlib at all" * 9), "a.png is damaged or truncated"),
    "a PNG of a colour kind that is none": ("a.png", png(9, 9, colour=5), "a.png is"),
    "a PNG of 7 bits": ("a.png", png(9, 9, depth=7), "a.png is"),
    "a PNG whose header's sum is wrong": ("a.png", png(9, 9, sound=False), "a.png is"),
    "a PPM of no height": ("a.ppm", b"P6 5 0 255\n", "a.ppm is"),
    "a PPM of letters": ("a.ppm", b"P6 five six 255\n", "a.ppm is"),
    "a BMP of nothing": ("a.bmp", b"BM" + bytes(60), "a.bmp is"),
    "a TIFF that points at itself": ("a.tif", b"II*\0\x08\0\0\0\0\0\x08\0\0\0", "a.tif is"),
}
PLACES = {
    "a folder": (lambda s: (s.folder / "a.jpg").mkdir(), "a.jpg is a folder"),
    "a name that is not there": (lambda s: None, "a.jpg does not exist"),
    "a link to nothing": (lambda s: (s.folder / "a.jpg").symlink_to("gone"), "a.jpg does not exist"),
    "a link to itself": (lambda s: (s.folder / "a.jpg").symlink_to("a.jpg"), "a.jpg"),
    "a pipe": (lambda s: os.mkfifo(s.folder / "a.jpg"), "a.jpg is no ordinary file"),
    "an endless device": (lambda s: (s.folder / "a.jpg").symlink_to("/dev/zero"), "a.jpg is no ordinary file"),
}


def spoilt(where: str) -> Case:
    """A damaged image inside a data set: met while it is trained on, scored or checked."""

    def make(stage: Stage) -> list:
        split = "validation" if where.startswith("evaluate") else "training"
        for path in (stage.data() / "images" / split).iterdir():
            path.write_bytes(path.read_bytes()[:-400])
        return {
            "train": lambda: stage.train(),
            "train, by a worker": lambda: stage.train("--workers", 1),
            "evaluate": lambda: stage.evaluate(),
            "evaluate, by a worker": lambda: stage.evaluate("--workers", 1),
            "check --deep": lambda: ["data", "check", stage.data(), "--deep"],
        }[where]()

    leaves = ("new_run/run.json", "new_run/log.jsonl") if where.startswith("train") else ()
    return Case(f"an image cut short, met by {where}", make, (".png is damaged or truncated",), leaves)


def twice(stage: Stage, *names: str) -> list:
    images = [stage.photo().rename(stage.folder / names[0])]
    return stage.predict(images=[*images, *(stage.write(name, images[0].read_bytes()) for name in names[1:])])


def placed(stage: Stage, prepare) -> list:
    prepare(stage)
    return stage.predict(images=[Path("a.jpg")])


def named(stage: Stage, name: str) -> list:
    return stage.predict(images=[name])


@pytest.mark.parametrize(
    "case",
    cases(
        cut_short(),
        (Case(f"photo: {what}", partial(photo, name=n, content=c), (says,)) for what, (n, c, says) in BROKEN.items()),
        (Case(f"photo: {what}", partial(placed, prepare=p), (says,)) for what, (p, says) in PLACES.items()),
        map(spoilt, ("train", "train, by a worker", "evaluate", "evaluate, by a worker", "check --deep")),
        Case("a name of two lines", partial(named, name="a\nb.jpg"), ("does not exist",)),
        Case("a name with an escape sequence", partial(named, name="a\x1b[31m.jpg"), ("does not exist",)),
        Case("a name that is too long", partial(named, name="n" * 300 + ".jpg"), ("nnn.jpg",)),
        Case("a.png and sub/a.png", lambda s: twice(s, "a.png", "sub/a.png"), ("written twice", "a.png")),
        Case("an overlay's name", lambda s: twice(s, "a.png", "a_overlay.png"), ("written twice", "a_overlay.png")),
    ),
)
def test_a_bad_photograph(case, refused):
    refused(case)
