"""ADE20K's classes, and those of a classes.json."""

import json

import numpy as np
import pytest
from PIL import Image

from vitseg_lib.data.ade20k import read_labels, write_labels
from vitseg_lib.data.classes import read_classes
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
        ({"classes": [entry()], "ignore": 256}, '"ignore" must be a whole number from 0 to 255'),
        ({"classes": [entry()], "ignore": None}, '"ignore" must be a whole number from 0 to 255'),
        ({"classes": [entry()], "ignore": 1}, "value 1 stands for two things"),
        ({"classes": [entry()], "ignore": 0, "zero_is_other": False}, "value 0 stands for two things"),
        ({"classes": [entry() | {"values": [7]}, entry("sea")]}, "either every class has its"),
        ({"classes": [entry() | {"values": 7}]}, '"values" of class number 1'),
        ({"classes": [entry() | {"values": []}]}, '"values" of class number 1'),
        ({"classes": [entry() | {"values": [255]}]}, '"values" of class number 1'),
        ({"classes": [entry() | {"values": [7]}, entry("sea") | {"values": [8, 7]}]}, "value 7 stands for two things"),
        ({"classes": [entry()], "zero_is_other": 1}, '"zero_is_other" must be true or false'),
    ],
)
def test_a_faulty_classes_file_is_named_with_its_fault(tmp_path, content, fault):
    text = content if isinstance(content, str) else json.dumps(content)
    (tmp_path / "classes.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=rf"classes\.json.*{fault}.*data/README\.md"):
        read_classes(tmp_path)


def own_classes(folder, content):
    (folder / "classes.json").write_text(json.dumps(content), encoding="utf-8")
    return read_classes(folder)


def save(path, raw, palette=None):
    image = Image.fromarray(np.array(raw, np.uint8))
    if palette is not None:
        image.putpalette(palette)
    image.save(path)
    return path


def test_masks_in_pascal_vocs_style(tmp_path):
    """A palette PNG whose indices are the classes, the background among them; 255 is the void."""
    entries = [entry("background", (0, 0, 0)), entry("aeroplane", (128, 0, 0)), entry("bicycle", (0, 128, 0))]
    classes = own_classes(tmp_path, {"classes": entries, "zero_is_other": False})
    path = save(tmp_path / "a.png", [[0, 1, 2], [255, 2, 0]], palette=[0, 0, 0, 128, 0, 0, 0, 128, 0] + [0] * 759)
    assert read_labels(path, classes).tolist() == [[0, 1, 2], [255, 2, 0]]
    save(path, [[3]])
    with pytest.raises(InputError, match="holds the label 3, outside the data set's 3 classes, values 0 to 2"):
        read_labels(path, classes)


def test_masks_in_cityscapes_style(tmp_path):
    """A label map: each class says which of the file's ids are its own; the others are not counted."""
    entries = [entry("road", (128, 64, 128)) | {"values": [7]}, entry("vehicle", (0, 0, 142)) | {"values": [26, 27]}]
    classes = own_classes(tmp_path, {"classes": entries})
    path = save(tmp_path / "a.png", [[7, 26, 27], [0, 3, 255]])
    assert read_labels(path, classes).tolist() == [[0, 1, 1], [255, 255, 255]]
    assert own_classes(tmp_path, classes.as_dict()).values == ((7,), (26, 27))


@pytest.mark.parametrize(
    "content",
    [
        {"zero_is_other": True},
        {"zero_is_other": False},
        {"zero_is_other": False, "ignore": 200},
        {"zero_is_other": True, "ignore": 0},
    ],
)
def test_labels_come_back_as_they_were_written(tmp_path, content):
    classes = own_classes(tmp_path, {"classes": [entry(str(n)) for n in range(7)]} | content)
    labels = np.array([[0, 1, 2, 3], [4, 5, 6, 255]], np.uint8)
    write_labels(tmp_path / "a.png", labels, classes)
    assert read_labels(tmp_path / "a.png", classes).tolist() == labels.tolist()
    if content.get("ignore"):
        assert np.array(Image.open(tmp_path / "a.png"))[1, 3] == content["ignore"]


def test_labels_with_listed_values_come_back_too(tmp_path):
    entries = [entry(str(n)) | {"values": [40 - n, 90 + n]} for n in range(3)]
    classes = own_classes(tmp_path, {"classes": entries})
    labels = np.array([[0, 1], [2, 255]], np.uint8)
    write_labels(tmp_path / "a.png", labels, classes)
    assert np.array(Image.open(tmp_path / "a.png")).tolist() == [[40, 39], [38, 255]]
    assert read_labels(tmp_path / "a.png", classes).tolist() == labels.tolist()


def test_a_classes_file_that_is_no_text(tmp_path):
    (tmp_path / "classes.json").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(InputError, match=r"classes\.json cannot be read"):
        read_classes(tmp_path)
