"""Fetching and unpacking a data set."""

import functools
import hashlib
import io
import threading
import zipfile
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vitseg_lib.data import fetch
from vitseg_lib.data.check import check
from vitseg_lib.data.fetch import fetch_ade20k, unpack
from vitseg_lib.files import InputError


def png(array) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


IMAGE, MASK = png(np.zeros((4, 6, 3), np.uint8)), png(np.ones((4, 6), np.uint8))
TOP = "ADEChallengeData2016/"


def members(top: str = TOP) -> dict[str, bytes]:
    contents = {f"{top}objectInfo150.txt": b"Idx Ratio\n"}
    for split in ("training", "validation"):
        for number in range(2):
            contents[f"{top}images/{split}/{number}.jpg"] = IMAGE
            contents[f"{top}annotations/{split}/{number}.png"] = MASK
    return contents


def make_zip(path: Path, contents: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return path


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


def test_fetch_ends_with_a_data_set_and_its_archive(served, tmp_path):
    folder, address = served
    archive = make_zip(folder / "ade.zip", members())
    sha1 = hashlib.sha1(archive.read_bytes()).hexdigest()
    root = tmp_path / "data" / "ADEChallengeData2016"
    options = {"url": f"{address}/ade.zip", "sha1": sha1, "progress": False}
    assert fetch_ade20k(root, **options) == root
    assert check(root, deep=True, progress=False).pairs == {"training": 2, "validation": 2}
    assert sorted(path.name for path in root.parent.iterdir()) == [root.name, f"{root.name}.zip"]
    archive.unlink()
    assert fetch_ade20k(root, **options) == root, "what is there is not fetched again"


def test_a_wrong_sum_unpacks_nothing(served, tmp_path):
    folder, address = served
    make_zip(folder / "ade.zip", members())
    with pytest.raises(InputError, match=r"SHA1 is .*, not 219e1696"):
        fetch_ade20k(tmp_path / "data" / "ade", url=f"{address}/ade.zip", progress=False)
    assert tree(tmp_path / "data") == [".ade.zip.lock"]


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


@pytest.mark.parametrize(
    "name", ["../evil.txt", f"{TOP}images/../../../evil.txt", "/tmp/vitseg_evil.txt", "..\\evil.txt"]
)
def test_nothing_is_written_outside(tmp_path, name):
    (tmp_path / "a" / "b").mkdir(parents=True)
    unpack(make_zip(tmp_path / "a.zip", members() | {name: b"evil"}), tmp_path / "a" / "b" / "ade", progress=False)
    assert sorted(path.name for path in tmp_path.rglob("*") if "ade" not in path.parts) == ["a", "a.zip", "b"]
    assert not Path("/tmp/vitseg_evil.txt").exists()


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


def test_too_little_space_is_noticed_beforehand(tmp_path, monkeypatch):
    usage = fetch.shutil._ntuple_diskusage(10**9, 10**9 - 100, 100)
    monkeypatch.setattr(fetch.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(InputError, match=r"needs .* GB and 0\.0 GB are free"):
        unpack(make_zip(tmp_path / "a.zip", members()), tmp_path / "ade", progress=False)
    assert tree(tmp_path) == ["a.zip"]
