"""Writes that are whole or not at all, and faults in one sentence."""

import errno
import json
import os
import re
from pathlib import Path

import pytest

from vitseg_lib.files import InputError, atomic_path, cache_dir, write_json


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_atomic_path_makes_folders_and_leaves_only_the_file(tmp_path):
    target = tmp_path / "new" / "folder" / "result.txt"
    with atomic_path(target) as temporary:
        assert temporary.suffix == ".txt" and temporary.parent == target.parent and temporary.name.startswith(".")
        temporary.write_text("whole", encoding="utf-8")
        assert not target.exists()
    assert target.read_text(encoding="utf-8") == "whole"
    assert names(target.parent) == ["result.txt"]


def test_two_writers_of_one_file_do_not_meet(tmp_path):
    with atomic_path(tmp_path / "a.txt") as one, atomic_path(tmp_path / "a.txt") as other:
        assert one != other
        one.write_text("1", encoding="utf-8")
        other.write_text("2", encoding="utf-8")


def test_a_failing_block_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "kept.txt"
    target.write_text("old", encoding="utf-8")
    with pytest.raises(KeyboardInterrupt), atomic_path(target) as temporary:
        temporary.write_text("half", encoding="utf-8")
        raise KeyboardInterrupt
    assert target.read_text(encoding="utf-8") == "old"
    assert names(tmp_path) == ["kept.txt"]


def test_overwriting_is_refused_unless_asked_for(tmp_path):
    target = tmp_path / "a.json"
    write_json(target, 1)
    with pytest.raises(InputError, match=r"Will not overwrite .*a\.json"):
        write_json(target, 2, overwrite=False)
    assert json.loads(target.read_text(encoding="utf-8")) == 1
    write_json(target, 2)
    assert json.loads(target.read_text(encoding="utf-8")) == 2


def test_a_file_that_appears_meanwhile_is_not_overwritten(tmp_path):
    target = tmp_path / "a.txt"
    with (
        pytest.raises(InputError, match="Will not overwrite"),
        atomic_path(target, overwrite=False) as temporary,
    ):
        temporary.write_text("ours", encoding="utf-8")
        target.write_text("theirs", encoding="utf-8")
    assert target.read_text(encoding="utf-8") == "theirs"


@pytest.mark.parametrize(
    ("number", "fault"),
    [(errno.ENOSPC, "disk is full"), (errno.EDQUOT, "quota"), (errno.EROFS, "read-only"), (errno.EACCES, "no right")],
)
def test_a_refusal_of_the_system_is_one_sentence(tmp_path, number, fault):
    target = tmp_path / "a.bin"
    with pytest.raises(InputError, match=rf"^Cannot write {re.escape(str(target))}: .*{fault}") as caught:  # noqa: SIM117
        with atomic_path(target) as temporary:
            temporary.write_bytes(b"half")
            raise OSError(number, os.strerror(number))
    assert "\n" not in str(caught.value)
    assert names(tmp_path) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX file size limits")
def test_a_real_refusal_halfway_is_explained(tmp_path):
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(InputError, match=r"a\.bin: the file grew larger"), atomic_path(tmp_path / "a.bin") as path:
            path.write_bytes(bytes(20_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert names(tmp_path) == []


def test_other_files_faults_and_other_errors_pass_unchanged(tmp_path):
    with pytest.raises(PermissionError), atomic_path(tmp_path / "a.txt"):
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "elsewhere" / "b.txt"))
    with pytest.raises(ZeroDivisionError), atomic_path(tmp_path / "a.txt"):
        _ = 1 / 0


def test_a_folder_in_the_way_and_a_file_as_parent(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="it is a folder"):
        write_json(tmp_path / "folder", 1)
    with pytest.raises(InputError, match="is a file"):
        write_json(tmp_path / "file" / "a.json", 1)


def test_write_json_is_utf8_and_indented(tmp_path):
    write_json(tmp_path / "a.json", {"name": "Weiß"})
    assert (tmp_path / "a.json").read_bytes() == '{\n  "name": "Weiß"\n}\n'.encode()


def test_cache_dir(monkeypatch, tmp_path):
    monkeypatch.setenv("VITSEG_CACHE", str(tmp_path))
    assert cache_dir() == tmp_path
    monkeypatch.delenv("VITSEG_CACHE")
    assert cache_dir() == Path.home() / ".cache" / "vitseg"
