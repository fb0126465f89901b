"""Decoded pairs on the disk: what is read is what `read_pair` reads, whatever happened to files and folder."""

import multiprocessing
import os
import pickle

import numpy as np
import pytest
from PIL import Image

from vitseg_lib.data.ade20k import read_pair
from vitseg_lib.data.cache import DecodedCache
from vitseg_lib.data.classes import Classes, ade20k_classes
from vitseg_lib.files import InputError

CLASSES = ade20k_classes()


def write(folder, seed=0, size=(20, 24)):
    rng = np.random.default_rng(seed)
    Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(folder / "a.jpg")
    Image.fromarray(rng.integers(0, 151, size, dtype=np.uint8)).save(folder / "a.png")
    return folder / "a.jpg", folder / "a.png"


def entries(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def assert_reads(cache, paths):
    for found, expected in zip(cache.read(*paths), read_pair(*paths, cache.classes), strict=True):
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, expected)


def test_first_and_later_reads_are_read_pairs(tmp_path, monkeypatch):
    paths, cache = write(tmp_path), DecodedCache(tmp_path / "cache", CLASSES)
    assert_reads(cache, paths)
    (entry,) = entries(tmp_path / "cache")
    expected = read_pair(*paths, CLASSES)
    monkeypatch.setattr("vitseg_lib.data.cache.read_pair", None)
    for again in (cache, DecodedCache(str(tmp_path / "cache"), ade20k_classes()), pickle.loads(pickle.dumps(cache))):
        assert all(map(np.array_equal, again.read(*map(str, paths)), expected))
    assert entries(tmp_path / "cache") == [entry]
    assert entry.stat().st_size - 4 * 20 * 24 <= 128, "a header and the pixels"


@pytest.mark.parametrize("changed", [0, 1])
def test_a_changed_file_is_decoded_anew(tmp_path, changed):
    paths, cache = write(tmp_path), DecodedCache(tmp_path / "cache", CLASSES)
    assert_reads(cache, paths)
    before = [path.read_bytes() for path in paths]
    write(tmp_path, seed=1)
    paths[1 - changed].write_bytes(before[1 - changed])
    assert_reads(cache, paths)
    os.utime(paths[changed], ns=(0, 12345))
    assert_reads(cache, paths)
    assert len(entries(tmp_path / "cache")) == 3


def test_other_classes_and_other_places_have_entries_of_their_own(tmp_path):
    other = Classes(CLASSES.names, CLASSES.colours, values=tuple((150 - label,) for label in range(150)))
    (tmp_path / "b").mkdir()
    for classes in (CLASSES, other):
        for paths in (write(tmp_path), write(tmp_path / "b", seed=2)):
            assert_reads(DecodedCache(tmp_path / "cache", classes), paths)


OTHERS = {
    "other": np.zeros((4, 4), np.float32),
    "of an older form": np.zeros((4, 20, 24), np.uint8),
    "object": np.array([{}]),
}


VAST = (
    b"\x93NUMPY\x01\x00v\x00"
    + b"{'descr': '|u1', 'fortran_order': False, 'shape': (999999999, 99999996), }".ljust(117)
    + b"\n"
)


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY", b"no array", VAST, "cut", *OTHERS])
def test_a_damaged_entry_is_replaced(tmp_path, damage):
    paths, cache = write(tmp_path), DecodedCache(tmp_path / "cache", CLASSES)
    cache.read(*paths)
    (entry,) = entries(tmp_path / "cache")
    whole = entry.read_bytes()
    if damage in OTHERS:
        np.save(entry, OTHERS[damage], allow_pickle=True)
    else:
        entry.write_bytes(whole[:-100] if damage == "cut" else damage)
    assert_reads(cache, paths)
    assert entry.read_bytes() == whole


def test_faults_of_the_files_are_read_pairs(tmp_path):
    paths, cache = write(tmp_path), DecodedCache(tmp_path / "cache", CLASSES)
    paths[0].write_bytes(b"")
    with pytest.raises(InputError, match=r"a\.jpg is empty"):
        cache.read(*paths)
    paths[0].unlink()
    with pytest.raises(InputError, match=r"a\.jpg does not exist"):
        cache.read(*paths)
    assert entries(tmp_path) == [paths[1]]


def test_where_nothing_can_be_kept_it_warns_once_and_decodes(tmp_path):
    (tmp_path / "cache").write_text("a file in the folder's place")
    paths, cache = write(tmp_path), DecodedCache(tmp_path / "cache", CLASSES)
    with pytest.warns(UserWarning, match=r"not cached from here on\. Cannot write .*cache") as warned:
        cache.read(*paths)
    assert len(warned) == 1
    assert_reads(cache, paths)


def read_often(folder, barrier):
    barrier.wait()
    for _ in range(20):
        for entry in entries(folder / "cache"):
            entry.unlink(missing_ok=True)
        assert_reads(DecodedCache(folder / "cache", CLASSES), (folder / "a.jpg", folder / "a.png"))


def test_processes_may_write_one_entry_at_a_time(tmp_path):
    write(tmp_path)
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    workers = [context.Process(target=read_often, args=(tmp_path, barrier)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    (entry,) = entries(tmp_path / "cache")
    assert np.load(entry).shape == (20, 4 * 24)
