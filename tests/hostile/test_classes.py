"""classes.json: text that is no JSON, JSON that lists no classes, classes that cannot be."""

import json
from functools import partial

import pytest

from hostile.stage import Case, Stage, cases

pytestmark = pytest.mark.slow

SKY, SEA = {"name": "sky", "colour": [0, 0, 90]}, {"name": "sea", "colour": [9, 9, 9]}


def listed(*entries: object, **more: object) -> str:
    return json.dumps({"classes": [*entries], **more})


ENTRIES = {
    "an entry that is text": "sky",
    "an entry that is a list": ["sky", [0, 0, 0]],
    "an entry that is nothing": None,
    "no name": {"colour": [0, 0, 0]},
    "an empty name": SKY | {"name": ""},
    "a blank name": SKY | {"name": " \t"},
    "a name of two lines": SKY | {"name": "sky\nblue"},
    "a name with an escape sequence": SKY | {"name": "\x1b[31msky"},
    "half a character as name": SKY | {"name": "\ud800"},
    "a number as name": SKY | {"name": 5},
    "no colour": {"name": "sky"},
    "a colour of two": SKY | {"colour": [0, 0]},
    "a colour of four": SKY | {"colour": [0, 0, 0, 255]},
    "a colour in letters": SKY | {"colour": "#0000ff"},
    "a colour of letters": SKY | {"colour": ["0", "0", "9"]},
    "a colour of fractions": SKY | {"colour": [0.0, 0.5, 1.0]},
    "a colour above 255": SKY | {"colour": [0, 0, 256]},
    "a colour below 0": SKY | {"colour": [0, 0, -1]},
    "a colour of booleans": SKY | {"colour": [True, False, True]},
}
TEXTS = {
    "an empty classes.json": ("", "is not valid JSON"),
    "text": ("sky, sea", "is not valid JSON"),
    "half of it": (listed(SKY, SEA)[:30], "is not valid JSON"),
    "a comma too many": ('{"classes": [],}', "is not valid JSON"),
    "a byte-order mark": (b"\xef\xbb\xbf{}", "is not valid JSON"),
    "UTF-16": (listed(SKY, SEA).encode("utf-16"), "cannot be read"),
    "Latin-1": ('{"classes": [{"name": "Bäume"}]}'.encode("latin-1"), "cannot be read"),
    "zeros": (bytes(500), "is not valid JSON"),
    "an image": (b"\x89PNG\r\n\x1a\n" + bytes(30), "cannot be read"),
    "a hundred thousand brackets": ("[" * 100_000, "is not valid JSON"),
    "a number of 9 999 digits": ('{"classes": [], "ignore": ' + "9" * 9999 + "}", "is not valid JSON"),
    "a list": ("[]", 'needs a list "classes"'),
    "a number": ("5", 'needs a list "classes"'),
    "null": ("null", 'needs a list "classes"'),
    "no classes": ("{}", 'needs a list "classes"'),
    "classes by name": ('{"classes": {"sky": 1}}', 'needs a list "classes"'),
    "none of them": (listed(), "lists 0 classes"),
    "255 of them and 0 as other": (listed(*[SKY] * 255), "lists 255 classes"),
    "256 of them": (listed(*[SKY] * 256, zero_is_other=False), "lists 256 classes"),
    **{what: (listed(SEA, entry), "class number 2 needs") for what, entry in ENTRIES.items()},
    "one name twice": (listed(SKY, SKY), "occurs twice"),
    "one very long name twice": (listed(*[SKY | {"name": "sky" * 5000}] * 2), "classes.json"),
    "zero_is_other as text": (listed(SKY, SEA, zero_is_other="yes"), '"zero_is_other" must be'),
    "zero_is_other as number": (listed(SKY, SEA, zero_is_other=1), '"zero_is_other" must be'),
    **{
        f"ignore {value!r}": (listed(SKY, SEA, ignore=value), '"ignore" must be')
        for value in (-1, 256, 1.5, "255", True, None, [255], float("nan"))
    },
    "a class's own value ignored": (listed(SKY, SEA, ignore=1), "stands for two things"),
    "values in one entry only": (listed(SKY | {"values": [1]}, SEA), "either every class has"),
    **{
        f"values {values!r}": (listed(SKY | {"values": [7]}, SEA | {"values": values}), 'the "values" of class number 2')
        for values in ([], 5, "5", None, [255], [-1], [1.5], ["1"], [[1]], {"1": 1})
    },
    "a value for two classes": (listed(SKY | {"values": [7]}, SEA | {"values": [7]}), "stands for two things"),
    "a value twice in one class": (listed(SKY | {"values": [7, 7]}, SEA | {"values": [8]}), "stands for two things"),
}  # fmt: skip


def written(stage: Stage, content: str | bytes) -> list:
    path = stage.data() / "classes.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return ["data", "check", stage.data()]


def placed(stage: Stage, prepare) -> list:
    path = stage.data() / "classes.json"
    path.unlink()
    prepare(path)
    return ["data", "check", stage.data()]


def elsewhere(stage: Stage) -> list:
    return stage.predict("--classes", stage.folder / "gone")


@pytest.mark.parametrize(
    "case",
    cases(
        (Case(f"classes: {w}", partial(written, content=c), ("classes.json", s)) for w, (c, s) in TEXTS.items()),
        Case("classes: a folder", partial(placed, prepare=lambda p: p.mkdir()), ("classes.json cannot be read",)),
        Case("classes: a link to nothing", partial(placed, prepare=lambda p: p.symlink_to("x")), ("classes.json",)),
        Case("classes of a data set that is not there", elsewhere, ("gone",)),
        Case("fewer classes than the weights know", lambda s: (
            (s.data() / "classes.json").write_text(listed(SKY), encoding="utf-8")
        ) and s.evaluate(weights=s.weights()), ("trained on other classes", "tiny.safetensors")),
    ),
)  # fmt: skip
def test_bad_classes(case, refused):
    refused(case)
