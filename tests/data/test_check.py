"""Whether a data set is what it should be."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vitseg_lib.data.check import check
from vitseg_lib.files import InputError


def png(array) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


def make_set(root: Path, pairs: int = 2) -> Path:
    for kind, content in (("images", np.zeros((4, 6, 3), np.uint8)), ("annotations", np.ones((4, 6), np.uint8))):
        for split in ("training", "validation"):
            (root / kind / split).mkdir(parents=True)
            for number in range(pairs):
                (root / kind / split / f"{number}.png").write_bytes(png(content))
    return root


def test_a_sound_set(tmp_path):
    report = check(make_set(tmp_path, pairs=3), progress=False)
    assert report.pairs == {"training": 3, "validation": 3} and report.classes == 150
    assert not report.complete, "ADE20K has 20 210 and 2 000"
    assert str(report).endswith(
        "3 training and 3 validation pairs, 150 classes; names, headers and sizes checked and sound."
    )


def test_complete_is_ade20ks_own_count(tmp_path, monkeypatch):
    make_set(tmp_path, pairs=3)
    monkeypatch.setattr("vitseg_lib.data.check.ADE20K_PAIRS", {"training": 3, "validation": 3})
    assert check(tmp_path, progress=False).complete
    (tmp_path / "classes.json").write_text('{"classes": [{"name": "a", "colour": [0, 0, 0]}]}', encoding="utf-8")
    assert not check(tmp_path, progress=False).complete, "other classes: another data set"


def test_faults_are_listed(tmp_path):
    make_set(tmp_path, pairs=9)
    annotations = tmp_path / "annotations" / "training"
    (annotations / "3.png").write_bytes(png(np.ones((6, 4), np.uint8)))
    (annotations / "4.png").write_bytes(png(np.ones((4, 6, 3), np.uint8)))
    (tmp_path / "images" / "validation" / "5.png").write_bytes(b"")
    with pytest.raises(
        InputError, match=r"has 3 faulty pairs: .*3\.png is 4 wide.*4\.png is no label.*5\.png is empty"
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
    with pytest.raises(InputError, match=r"0\.png has no annotation"):
        check(tmp_path, progress=False)
