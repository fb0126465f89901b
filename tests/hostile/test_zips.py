"""Archives that mean harm or came to harm: names that escape, bombs, lies in the headers, every header field spoilt."""

import io
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from hostile.stage import Case, Stage, cases, snapshot
from vitseg_lib.data.fetch import unpack
from vitseg_lib.files import InputError

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:Duplicate name")]

TOP = "ADEChallengeData2016/"
CONTENT = bytes(range(256)) * 4
ROOMS = [f"{TOP}{kind}/{split}/" for kind in ("images", "annotations") for split in ("training", "validation")]
Member = tuple[zipfile.ZipInfo, bytes]


def info(name: str, mode: int = stat.S_IFREG | 0o644, compression: int = zipfile.ZIP_DEFLATED) -> zipfile.ZipInfo:
    made = zipfile.ZipInfo(name)
    made.create_system, made.external_attr, made.compress_type = 3, mode << 16, compression
    return made


def archive(*extra: Member, plain: bool = True) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        for room in ROOMS if plain else ():
            made.writestr(info(f"{room}0.png"), CONTENT)
        for member, content in extra:
            made.writestr(member, content)
    return buffer.getvalue()


def lying(content: bytes, announced: int, *, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A sound archive and in it big.bin, whose announced size is another than its own, in both headers."""
    made = archive((info(f"{TOP}big.bin", compression=compression), content))
    real = struct.pack("<I", len(content))
    assert made.count(real) >= 2
    at = made.index(b"big.bin")  # the local header's name
    made = made[: at - len(TOP) - 8] + struct.pack("<I", announced) + made[at - len(TOP) - 4 :]
    at = made.rindex(b"big.bin")  # the directory's
    return made[: at - len(TOP) - 22] + struct.pack("<I", announced) + made[at - len(TOP) - 18 :]


def flagged(bit: int) -> bytes:
    """An archive whose first member has a flag set, in both headers."""
    made = bytearray(archive())
    made[6] |= bit
    at = made.index(b"PK\x01\x02")
    made[at + 8] |= bit
    return bytes(made)


def of_method(number: int) -> bytes:
    made = bytearray(archive())
    at = made.index(b"PK\x01\x02")
    made[8:10] = made[at + 10 : at + 12] = struct.pack("<H", number)
    return bytes(made)


def petabyte() -> bytes:
    """A member that claims 1 PB by the fields of zip64."""
    extra = struct.pack("<HHQ", 1, 8, 10**15)
    member = info(f"{TOP}big.bin")
    made = bytearray(archive((member, CONTENT)))
    at = made.rindex(b"PK\x01\x02")
    made[at + 24 : at + 28] = b"\xff" * 4
    made[at + 30 : at + 32] = struct.pack("<H", len(extra))
    name_end = at + 46 + len(member.filename)
    made[name_end:name_end] = extra
    end = made.rindex(b"PK\x05\x06")
    size = struct.unpack("<I", made[end + 12 : end + 16])[0]
    made[end + 12 : end + 16] = struct.pack("<I", size + len(extra))
    return bytes(made)


def ten_gigabytes() -> bytes:
    """A few megabytes that are 10 GB of zeros: one compressed block, again and again."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = squeeze.compress(bytes(10**7)) + squeeze.flush(zlib.Z_FULL_FLUSH)
    member = info(f"{TOP}zeros.bin")
    made = archive((member, CONTENT))
    local, name = made.rindex(b"PK\x03\x04"), member.filename.encode()
    directory = made.index(b"PK\x01\x02")
    data = block * 400 + b"\x03\0"
    sizes = struct.pack("<II", len(data), 4 * 10**9)
    start = local + 30 + len(name)
    body = made[: local + 18] + sizes + made[local + 26 : start] + data
    entries = bytearray(made[directory:])
    at = entries.rindex(b"PK\x01\x02")
    entries[at + 20 : at + 28] = sizes
    end = entries.rindex(b"PK\x05\x06")
    entries[end + 16 : end + 20] = struct.pack("<I", len(body))
    return body + bytes(entries)


def tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as made:
        made.addfile(tarfile.TarInfo("images/"))
    return buffer.getvalue()


def plain(name: str, **options) -> bytes:
    return archive((info(name, **options), b"outside"))


TRUST, SOUND = "do not trust this archive", "is no sound zip archive"
ESCAPES = (
    "../out.txt", f"{TOP}images/../../../out.txt", "..\\out.txt", "/tmp/hostile_out.txt", "\\out.txt", "C:\\out.txt",
    "C:out.txt", "\\\\host\\share\\out.txt", "//host/share/out.txt", f"{TOP}images/a.jpg:out.txt", "..", f"{TOP}..",
    f"{TOP}images/training/0.png/../../../../out.txt",
)  # fmt: skip
KINDS = {
    "link": stat.S_IFLNK, "pipe": stat.S_IFIFO, "socket": stat.S_IFSOCK, "disk": stat.S_IFBLK, "device": stat.S_IFCHR
}  # fmt: skip
ARCHIVES: dict[str, tuple[Callable[[], bytes], str]] = {
    **{f"a name that escapes, {name}": (partial(plain, name), TRUST) for name in ESCAPES},
    **{f"a {kind}": (partial(plain, f"{TOP}x", mode=mode | 0o777), TRUST) for kind, mode in KINDS.items()},
    "one name twice": (partial(plain, f"{ROOMS[0]}0.png"), TRUST),
    "one name twice, by backslashes": (partial(plain, f"{ROOMS[0]}0.png".replace("/", "\\")), TRUST),
    "a file where a folder is": (partial(plain, f"{TOP}images"), TRUST),
    "a folder where a file is": (partial(plain, f"{ROOMS[0]}0.png/x"), TRUST),
    "a folder in a file's place": (partial(plain, f"{ROOMS[0]}0.png/"), TRUST),
    "no name": (partial(plain, "."), TRUST),
    "a name of 300 letters": (partial(plain, TOP + "n" * 300), TRUST),
    "a name of 60 000 letters": (partial(plain, TOP + "n" * 60_000), TRUST),
    "a thousand folders in each other": (partial(plain, "d/" * 1000 + "x"), TRUST),
    "an escape sequence in a name": (partial(plain, f"{TOP}../\x1b[31mx"), TRUST),
    "encrypted members": (partial(flagged, 1), SOUND),
    "patched members": (partial(flagged, 32), SOUND),
    **{f"compression {n}": (partial(of_method, n), SOUND) for n in (1, 6, 9, 12, 14, 93, 98, 99)},
    "a bzip2 bomb": (partial(lying, bytes(10**8), 1000, compression=zipfile.ZIP_BZIP2), SOUND),
    "an LZMA bomb": (partial(lying, bytes(10**7), 1000, compression=zipfile.ZIP_LZMA), SOUND),
    "more than is announced": (partial(lying, bytes(10**7), 1000), SOUND),
    "more than is announced, stored": (partial(lying, bytes(10**5), 1000, compression=0), SOUND),
    "less than is announced": (partial(lying, bytes(10**5), 10**6), SOUND),
    "less than is announced, stored": (partial(lying, bytes(10**5), 10**6, compression=0), SOUND),
    "a member of one petabyte": (petabyte, "needs 1000000.0 GB"),
    "a highly compressed bomb": (ten_gigabytes, "GB are free"),
    "no data set": (partial(archive, (info("readme.txt"), b"hello"), plain=False), "holds no data set"),
    "images without annotations": (partial(archive, (info("images/a.jpg"), b""), plain=False), "holds no data set"),
    "a data set two folders down": (partial(archive, (info(f"x/{ROOMS[0]}a"), b""), plain=False), "holds no data set"),
    "nothing": (partial(archive, plain=False), "holds no data set"),
    "no bytes": (bytes, SOUND),
    "text": (lambda: b"404 not found", SOUND),
    "a tar": (tar, SOUND),
    "the start of a zip alone": (lambda: b"PK\x03\x04", SOUND),
}


def call(stage: Stage, content: Callable[[], bytes]) -> Callable[[], None]:
    path = stage.write("a.zip", content())
    return lambda: unpack(path, stage.folder / "new", progress=False)


def cut(share: float) -> Case:
    return Case(
        f"cut at {share:.0%}", partial(call, content=lambda: archive()[: int(len(archive()) * share)]), (SOUND,)
    )


def into(stage: Stage, prepare: Callable[[Stage], Path]) -> Callable[[], None]:
    path, root = stage.write("a.zip", archive()), prepare(stage)
    return lambda: unpack(path, root, progress=False)


def fetched(stage: Stage, prepare: Callable[[Path], object]) -> list:
    prepare(stage.folder / "ade.zip")
    return ["data", "ade20k", "--out", stage.folder / "ade"]


@pytest.fixture(autouse=True)
def little_room(monkeypatch):
    """A disk with 1 GB free."""
    usage = shutil._ntuple_diskusage(10**10, 9 * 10**9, 10**9)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)


@pytest.mark.parametrize(
    "case",
    cases(
        (Case(f"a zip with {w}", partial(call, content=c), ("a.zip", s)) for w, (c, s) in ARCHIVES.items()),
        map(cut, (0.1, 0.3, 0.5, 0.7, 0.9, 0.99)),
        Case("into a file", partial(into, prepare=lambda s: s.write("new", "x")), ("new", "Will not unpack")),
        Case("into a full folder", partial(into, prepare=lambda s: s.data()), ("data", "not empty")),
        Case("into a file's inside", partial(into, prepare=lambda s: s.write("f", "x") / "new"), ("new", "is a file")),
        Case("fetched: another file in its place", partial(fetched, prepare=lambda p: p.write_bytes(archive())), ("ade.zip", "SHA1")),
        Case("fetched: a folder in its place", partial(fetched, prepare=Path.mkdir), ("ade.zip",)),
    ),
)  # fmt: skip
def test_a_bad_archive(case, refused, stage):
    refused(case)
    assert not Path("/tmp/hostile_out.txt").exists() and not list(stage.folder.parent.glob("out.txt"))


def header_bytes() -> Iterator[tuple[str, int]]:
    """Every byte of the headers of the sound archive, with the kind of its header."""
    whole = archive()
    for kind, mark, length in (
        ("local", b"PK\x03\x04", 30),
        ("directory", b"PK\x01\x02", 46),
        ("end", b"PK\x05\x06", 22),
    ):
        at = whole.index(mark)
        yield from ((kind, at + place) for place in range(length))


@pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF])
@pytest.mark.parametrize("kind", ["local", "directory", "end"])
def test_every_header_byte_spoilt_is_refused_or_changes_nothing(kind, flip, stage):
    whole, path = archive(), stage.folder / "a.zip"
    path.write_bytes(whole)
    unpack(path, stage.folder / "sound", progress=False)
    sound = {p.relative_to(stage.folder / "sound"): v for p, v in snapshot(stage.folder / "sound").items()}
    refused = 0
    for place in [place for own, place in header_bytes() if own == kind]:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ flip]) + whole[place + 1 :])
        try:
            unpack(path, stage.folder / "new", progress=False)
        except InputError as error:
            refused += 1
            assert "a.zip" in str(error) and str(error).endswith(".") and not (stage.folder / "new").exists()
        else:
            new = {p.relative_to(stage.folder / "new"): v for p, v in snapshot(stage.folder / "new").items()}
            assert new == sound, f"byte {place}"
            shutil.rmtree(stage.folder / "new")
        assert {p.name for p in stage.folder.iterdir()} == {"a.zip", "sound"}
    assert refused > 3
