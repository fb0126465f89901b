"""ADE20K's classes, and those of a classes.json."""

import json

import numpy as np
import pytest

from vitseg_lib.data.ade20k import read_classes
from vitseg_lib.files import InputError


def test_ade20k_has_its_150_classes(tmp_path):
    classes = read_classes(tmp_path)
    assert len(classes) == len(set(classes.names)) == 150
    assert classes.colours.shape == (150, 3) and classes.colours.dtype == np.uint8
    assert classes.names[0] == "wall" and classes.names[12] == "person, individual, someone, somebody, mortal, soul"
    assert classes.colours[2].tolist() == [6, 230, 230] and classes.names[149] == "flag"
    assert classes.zero_is_other and classes.ignore == 255


def test_a_data_set_may_bring_its_own_classes(tmp_path):
    entries = [
        {"name": "sky", "colour": [1, 2, 3], "note": "extra keys are welcome"},
        {"name": "sea", "colour": [0, 0, 9]},
    ]
    content = {"classes": entries, "ignore": 255, "zero_is_other": False}
    (tmp_path / "classes.json").write_text(json.dumps(content), encoding="utf-8")
    classes = read_classes(tmp_path)
    assert classes.names == ("sky", "sea") and classes.colours.tolist() == [[1, 2, 3], [0, 0, 9]]
    assert not classes.zero_is_other


def entry(name="sky", colour=(1, 2, 3)):
    return {"name": name, "colour": list(colour)}


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("{", "not valid JSON"),
        ("[]", 'needs a list "classes"'),
        ({"classes": {"sky": 1}}, 'needs a list "classes"'),
        ({"classes": []}, "lists 0 classes"),
        ({"classes": [entry(str(n)) for n in range(255)]}, "lists 255 classes, where 1 to 254"),
        ({"classes": [entry(str(n)) for n in range(256)], "zero_is_other": False}, "lists 256 classes, where 1 to 255"),
        ({"classes": ["sky"]}, "class number 1"),
        ({"classes": [entry(), entry("")]}, "class number 2"),
        ({"classes": [entry(), {"name": "sea"}]}, "class number 2"),
        ({"classes": [entry(7)]}, "class number 1"),
        ({"classes": [entry(colour=(1, 2))]}, "class number 1"),
        ({"classes": [entry(colour=(1, 2, 256))]}, "class number 1"),
        ({"classes": [entry(colour=(1, 2, -1))]}, "class number 1"),
        ({"classes": [entry(colour=(1, 2, 0.5))]}, "class number 1"),
        ({"classes": [entry(colour=(1, 2, True))]}, "class number 1"),
        ({"classes": [entry(), entry()]}, 'name "sky" occurs twice'),
        ({"classes": [entry()], "ignore": 0}, '"ignore" must be 255'),
        ({"classes": [entry()], "zero_is_other": 1}, '"zero_is_other" must be true or false'),
    ],
)
def test_a_faulty_classes_file_is_named_with_its_fault(tmp_path, content, fault):
    text = content if isinstance(content, str) else json.dumps(content)
    (tmp_path / "classes.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=rf"classes\.json.*{fault}.*data/README\.md"):
        read_classes(tmp_path)


def test_a_classes_file_that_is_no_text(tmp_path):
    (tmp_path / "classes.json").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(InputError, match=r"classes\.json cannot be read"):
        read_classes(tmp_path)
