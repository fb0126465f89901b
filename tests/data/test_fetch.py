"""Fetching, unpacking and checking a data set; and archives that mean harm."""

import functools
import hashlib
import io
import stat
import threading
import zipfile
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vitseg_lib.data import fetch
from vitseg_lib.data.fetch import check, fetch_ade20k, unpack
from vitseg_lib.files import InputError


def png(array) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


IMAGE, MASK = png(np.zeros((4, 6, 3), np.uint8)), png(np.ones((4, 6), np.uint8))
TOP = "ADEChallengeData2016/"


def members(top: str = TOP, pairs: int = 2) -> dict[str, bytes]:
    found = {f"{top}objectInfo150.txt": b"Idx Ratio\n"}
    for split in ("training", "validation"):
        for number in range(pairs):
            found[f"{top}images/{split}/{number}.jpg"] = IMAGE
            found[f"{top}annotations/{split}/{number}.png"] = MASK
    return found


def make_zip(path: Path, contents: dict[str, bytes], extra: list[tuple[zipfile.ZipInfo, bytes]] = ()) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
        for info, content in extra:
            archive.writestr(info, content)
    return path


def make_set(root: Path, **options) -> Path:
    for name, content in members("", **options).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def tree(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A folder and the address at which its files are served."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "served"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


# Fetching


@pytest.mark.parametrize("keep_zip", [False, True])
def test_fetch_ends_with_a_data_set_and_nothing_else(served, tmp_path, keep_zip):
    folder, address = served
    archive = make_zip(folder / "ade.zip", members())
    sha1 = hashlib.sha1(archive.read_bytes()).hexdigest()
    root = tmp_path / "data" / "ADEChallengeData2016"
    options = {"url": f"{address}/ade.zip", "sha1": sha1, "progress": False, "keep_zip": keep_zip}
    assert fetch_ade20k(root, **options) == root
    assert check(root, deep=True, progress=False).pairs == {"training": 2, "validation": 2}
    assert sorted(path.name for path in root.parent.iterdir()) == [root.name, *[f"{root.name}.zip"] * keep_zip]
    archive.unlink()
    assert fetch_ade20k(root, **options) == root, "what is there is not fetched again"


def test_a_wrong_sum_unpacks_nothing(served, tmp_path):
    folder, address = served
    make_zip(folder / "ade.zip", members())
    with pytest.raises(InputError, match=r"SHA1 is .*, not 219e1696"):
        fetch_ade20k(tmp_path / "data" / "ade", url=f"{address}/ade.zip", progress=False)
    assert tree(tmp_path / "data") == []


def test_a_folder_with_other_things_is_left_alone(tmp_path):
    (tmp_path / "ade").mkdir()
    (tmp_path / "ade" / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(InputError, match=r"images.training is missing"):
        fetch_ade20k(tmp_path / "ade", url="http://127.0.0.1:9/none.zip", progress=False)
    with pytest.raises(InputError, match=r"Will not unpack into .* not empty"):
        unpack(make_zip(tmp_path / "a.zip", members()), tmp_path / "ade", progress=False)
    assert tree(tmp_path / "ade") == ["thesis.txt"]


# Unpacking


@pytest.mark.parametrize("top", [TOP, "", "some name/"])
def test_the_data_set_is_found_in_the_archive(tmp_path, top):
    root = tmp_path / "ade"
    root.mkdir()  # an empty folder is no obstacle
    unpack(make_zip(tmp_path / "a.zip", members(top)), root, progress=False)
    assert sorted(path.name for path in root.iterdir()) == ["annotations", "images", "objectInfo150.txt"]
    assert (root / "images" / "training" / "1.jpg").read_bytes() == IMAGE
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "ade"]


def test_what_a_killed_attempt_left_behind_is_cleared_away(tmp_path):
    left = tmp_path / ".ade.unpacking" / "images"
    left.mkdir(parents=True)
    (left / "half.jpg").write_bytes(b"")
    unpack(make_zip(tmp_path / "a.zip", members()), tmp_path / "ade", progress=False)
    assert not left.exists() and not (tmp_path / "ade" / "images" / "half.jpg").exists()


def info(name: str, mode: int = stat.S_IFREG | 0o644) -> zipfile.ZipInfo:
    made = zipfile.ZipInfo(name)
    made.create_system = 3  # Unix, so that the mode counts
    made.external_attr = mode << 16
    return made


HOSTILE = {
    "parent": info("../outside.txt"),
    "hidden parent": info(f"{TOP}images/../../../outside.txt"),
    "backslashes": info("..\\outside.txt"),
    "absolute": info("/tmp/outside.txt"),
    "drive": info("C:\\outside.txt"),
    "drive, relative": info("C:outside.txt"),
    "share": info("\\\\host\\share\\outside.txt"),
    "stream": info(f"{TOP}images/a.jpg:outside.txt"),
    "symbolic link": info(f"{TOP}outside.txt", stat.S_IFLNK | 0o777),
    "fifo": info(f"{TOP}outside.txt", stat.S_IFIFO | 0o644),
    "twice": info(f"{TOP}images/training/1.jpg"),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_archives_are_refused_and_write_nothing(tmp_path, kind):
    outside = tmp_path / "a" / "b"
    outside.mkdir(parents=True)
    archive = make_zip(tmp_path / "a.zip", members(), [(HOSTILE[kind], b"/etc/passwd")])
    before = tree(tmp_path)
    with pytest.raises(InputError, match=r"a\.zip holds .* do not trust this archive"):
        unpack(archive, outside / "ade", progress=False)
    assert tree(tmp_path) == before
    assert not Path("/tmp/outside.txt").exists()


def test_damaged_archives(tmp_path):
    archive = make_zip(tmp_path / "a.zip", members())
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"a\.zip is no sound zip archive .*fetch it again"):
        unpack(archive, tmp_path / "ade", progress=False)
    with zipfile.ZipFile(io.BytesIO(whole)) as sound:
        at = sound.getinfo(f"{TOP}images/training/0.jpg").header_offset + 80
    archive.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
    with pytest.raises(InputError, match="is no sound zip archive"):
        unpack(archive, tmp_path / "ade", progress=False)
    assert tree(tmp_path) == ["a.zip"]


def test_an_archive_of_something_else(tmp_path):
    with pytest.raises(InputError, match="holds no data set"):
        unpack(make_zip(tmp_path / "a.zip", {"readme.txt": b""}), tmp_path / "ade", progress=False)
    assert tree(tmp_path) == ["a.zip"]


def test_too_little_room_is_said_beforehand(tmp_path, monkeypatch):
    usage = fetch.shutil._ntuple_diskusage(10**9, 10**9 - 100, 100)
    monkeypatch.setattr(fetch.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(InputError, match=r"needs .* GB and 0\.0 GB are free"):
        unpack(make_zip(tmp_path / "a.zip", members()), tmp_path / "ade", progress=False)
    assert tree(tmp_path) == ["a.zip"]


# Checking


def test_a_sound_set(tmp_path):
    report = check(make_set(tmp_path, pairs=3), progress=False)
    assert report.pairs == {"training": 3, "validation": 3} and report.classes == 150
    assert not report.complete, "ADE20K has 20 210 and 2 000"
    assert str(report).endswith(
        "3 training and 3 validation pairs, 150 classes; names, headers and sizes checked and sound."
    )


def test_complete_is_ade20ks_own_count(tmp_path, monkeypatch):
    make_set(tmp_path, pairs=3)
    monkeypatch.setattr(fetch, "ADE20K_PAIRS", {"training": 3, "validation": 3})
    assert check(tmp_path, progress=False).complete
    (tmp_path / "classes.json").write_text('{"classes": [{"name": "a", "colour": [0, 0, 0]}]}', encoding="utf-8")
    assert not check(tmp_path, progress=False).complete, "other classes: another data set"


def test_faults_are_listed(tmp_path):
    make_set(tmp_path, pairs=9)
    annotations = tmp_path / "annotations" / "training"
    (annotations / "3.png").write_bytes(png(np.ones((6, 4), np.uint8)))
    (annotations / "4.png").write_bytes(png(np.ones((4, 6, 3), np.uint8)))
    (tmp_path / "images" / "validation" / "5.jpg").write_bytes(b"")
    with pytest.raises(
        InputError, match=r"has 3 faulty pairs: .*3\.png is 4 wide.*4\.png is no label.*5\.jpg is empty"
    ):
        check(tmp_path, progress=False)
    for number in range(9):
        (annotations / f"{number}.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"has 10 faulty pairs: .* and 5 more"):
        check(tmp_path, progress=False)


def test_only_a_deep_check_reads_labels_and_pixels(tmp_path):
    make_set(tmp_path)
    mask = tmp_path / "annotations" / "training" / "0.png"
    mask.write_bytes(png(np.full((4, 6), 151, np.uint8)))
    assert not check(tmp_path, progress=False).deep
    with pytest.raises(InputError, match=r"0\.png holds the label 151"):
        check(tmp_path, deep=True, progress=False)


def test_a_lonely_image_is_found(tmp_path):
    make_set(tmp_path)
    (tmp_path / "annotations" / "validation" / "0.png").unlink()
    with pytest.raises(InputError, match=r"0\.jpg has no annotation"):
        check(tmp_path, progress=False)
