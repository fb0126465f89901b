"""Archives that came to harm or are of something else, and places where none can be unpacked."""

import io
import shutil
import struct
import tarfile
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from hostile.stage import Case, Stage, cases
from vitseg_lib.data.fetch import unpack

pytestmark = pytest.mark.slow

TOP = "ADEChallengeData2016/"
CONTENT = bytes(range(256)) * 4
FOLDERS = [f"{TOP}{kind}/{split}/" for kind in ("images", "annotations") for split in ("training", "validation")]


def archive(names: tuple[str, ...] = tuple(f"{folder}0.png" for folder in FOLDERS)) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        for name in names:
            made.writestr(name, CONTENT)
    return buffer.getvalue()


def patched(local: int, value: bytes) -> bytes:
    """A sound archive whose first member has other bytes at a place of its header, the local one and the directory's.

    A field of the directory's header stands two bytes further than in the local one.
    """
    made = bytearray(archive())
    for at in (made.index(b"PK\x03\x04") + local, made.index(b"PK\x01\x02") + local + 2):
        made[at : at + len(value)] = value
    return bytes(made)


def petabyte() -> bytes:
    """A sound archive and in it a member that claims 1 PB by the fields of zip64."""
    made = bytearray(patched(22, b"\xff" * 4))
    at, extra = made.index(b"PK\x01\x02"), struct.pack("<HHQ", 1, 8, 10**15)
    name_length, end = struct.unpack("<H", made[at + 28 : at + 30])[0], made.rindex(b"PK\x05\x06")
    made[at + 30 : at + 32] = struct.pack("<H", len(extra))
    made[end + 12 : end + 16] = struct.pack("<I", struct.unpack("<I", made[end + 12 : end + 16])[0] + len(extra))
    made[at + 46 + name_length : at + 46 + name_length] = extra
    return bytes(made)


def tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as made:
        made.addfile(tarfile.TarInfo("images/"))
    return buffer.getvalue()


SOUND, NO_SET = "is no sound zip archive", "holds no data set"
ARCHIVES: dict[str, tuple[Callable[[], bytes], str]] = {
    **{f"cut at {part:.0%}": (lambda part=part: archive()[: int(len(archive()) * part)], SOUND) for part in (0.1, 0.5, 0.99)},
    "encrypted members": (partial(patched, 6, b"\x01"), SOUND),
    **{f"compression {n}": (partial(patched, 8, bytes([n, 0])), SOUND) for n in (1, 6, 9, 98)},
    "another checksum": (partial(patched, 14, b"oops"), SOUND),
    "more than is announced": (partial(patched, 22, struct.pack("<I", 1000)), SOUND),
    "a member of one petabyte": (petabyte, "needs 1000000.0 GB"),
    "no bytes": (bytes, SOUND),
    "text": (lambda: b"404 not found", SOUND),
    "a tar": (tar, SOUND),
    "nothing": (partial(archive, ()), NO_SET),
    "something else": (partial(archive, ("readme.txt",)), NO_SET),
    "images without annotations": (partial(archive, ("images/a.jpg",)), NO_SET),
    "a data set two folders down": (partial(archive, tuple(f"x/{folder}a" for folder in FOLDERS)), NO_SET),
}  # fmt: skip


def call(stage: Stage, content: Callable[[], bytes] = archive, root: Callable[[Stage], Path] | None = None):
    path, root = stage.write("a.zip", content()), root(stage) if root else stage.folder / "new"
    return lambda: unpack(path, root, progress=False)


def fetched(stage: Stage, prepare: Callable[[Path], object]) -> list:
    prepare(stage.folder / "ade.zip")
    return ["data", "ade20k", "--out", stage.folder / "ade"]


@pytest.mark.parametrize(
    "case",
    cases(
        (Case(f"a zip: {w}", partial(call, content=c), ("a.zip", says)) for w, (c, says) in ARCHIVES.items()),
        Case("a zip into a file", partial(call, root=lambda s: s.write("new", "x")), ("new", "Will not unpack")),
        Case("a zip into a full folder", partial(call, root=lambda s: s.data()), ("data", "not empty")),
        Case("a zip into a file's inside", partial(call, root=lambda s: s.write("f", "x") / "new"), ("new", "is a file")),
        Case("fetched: another file in its place", partial(fetched, prepare=lambda p: p.write_bytes(archive())), ("ade.zip", "SHA1")),
        Case("fetched: a folder in its place", partial(fetched, prepare=Path.mkdir), ("ade.zip",)),
    ),
)  # fmt: skip
def test_a_bad_archive(case, refused, monkeypatch):
    usage = shutil._ntuple_diskusage(10**10, 9 * 10**9, 10**9)  # a disk with 1 GB free
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    refused(case)
