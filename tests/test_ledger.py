"""The shape ledger in notebooks/glossary.md is true: every shape, type and range is what the library makes."""

import math
import re
from functools import cache

import ledger
import numpy as np
import pages
import pytest
import torch
from conftest import ROOT
from pages import Page

GLOSSARY = Page(ROOT / "notebooks" / "glossary.md")
PLAIN = str.maketrans({"'": "_", "₀": "_0", "₁": "_1", "₂": "_2", "₃": "_3"})  # letters as Python's names
PATHS = ("tested_toy", "trained_deit", "tested_vit")  # in the order of the ledger's columns


@cache
def measured(path: str) -> ledger.Notes:
    return getattr(ledger, path)()


def tables(text: str, first: str) -> list[list[str]]:
    """The cells of all rows of the tables whose first column is headed so."""
    found = []
    for block in re.findall(rf"^\| {first} \|.*\n\|[-:| ]+\|\n((?:\|.*\n)+)", text, re.M):
        found += [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()]
    return found


LETTERS = tables(GLOSSARY.text, "letter")
ROWS = tables(GLOSSARY.text, "name in the code")


def names(cell: str) -> list[str]:
    """What a row is about: several tensors of one shape, one for each k, or one."""
    if re.fullmatch(r"`[^`]+`(?:, `[^`]+`)+", cell):
        return re.findall(r"`([^`]+)`", cell)
    name, ks = re.match(r"(.*?)(?:, k = ([\d, ]+))?$", cell.replace("`", "")).groups()
    return [f"{name}, k = {k}" for k in ks.split(", ")] if ks else [name]


def letters(column: int) -> dict[str, float]:
    """What the letters stand for on one path, as the page says."""
    found = {}
    for row in LETTERS:
        values = [float(value) for value in row[2 + column].split("×")]
        found |= dict(zip(row[0].split(), values, strict=True))
    return found


def work_out(formula: str, values: dict[str, float]) -> int:
    """The length of one axis from its formula: 3C, (1+N), ⌊r·H+½⌋, p·h …"""
    code = formula.replace("½", "0.5").replace("²", "**2").replace("·", "*").replace("⌊", "floor(").replace("⌋", ")")
    code = re.sub(r"(\d)([A-Za-z])", r"\1*\2", code).translate(PLAIN)
    known = {letter.translate(PLAIN): value for letter, value in values.items()}
    length = eval(code, {"__builtins__": {}, "floor": math.floor}, known)
    assert length == int(length)
    return int(length)


def shape_of(cell: str, values: dict[str, float], k: str = "") -> tuple[int, tuple[int, ...]]:
    """How many tensors, and of which shape, a cell speaks of."""
    count, _, cell = cell.rpartition(" of ")
    axes = [] if cell == "one number" else cell.split("×")
    known = values | ({"k": float(k)} if k else {})
    return (work_out(count, known) if count else 1), tuple(work_out(axis, known) for axis in axes)


def really(value: object) -> tuple[int, tuple[int, ...]]:
    return (len(value), tuple(value[0].shape)) if isinstance(value, list) else (1, tuple(getattr(value, "shape", ())))


def test_the_ledger_has_a_row_for_every_tensor_and_no_other():
    written = [name for row in ROWS for name in names(row[0])]
    assert len(written) == len(set(written)) > 50
    assert set(written) == set().union(*map(measured, PATHS))


@pytest.mark.parametrize("column", range(len(PATHS)), ids=PATHS)
def test_every_shape_in_the_ledger_is_the_real_one(column):
    values, found = letters(column), measured(PATHS[column])
    for row in ROWS:
        for name in names(row[0]):
            if row[2 + column] == "–":
                assert name not in found
                continue
            k = name.partition("k = ")[2]
            assert shape_of(row[2 + column], {}, k) == really(found[name]), name
            assert shape_of(row[1], values, k) == really(found[name]), f"{name}: its letters"


@pytest.mark.parametrize("column", range(len(PATHS)), ids=PATHS)
def test_every_type_and_range_in_the_ledger_is_the_real_one(column):
    classes, found = letters(column)["K"], measured(PATHS[column])
    for row in ROWS:
        kind, _, bounds = row[5].partition(", ")
        for name in set(names(row[0])) & set(found):
            value = found[name][-1] if isinstance(found[name], list) else found[name]
            assert kind == str(getattr(value, "dtype", type(value).__name__)).removeprefix("torch."), name
            if not getattr(value, "is_meta", False):
                assert in_range(np.asarray(torch.as_tensor(value).detach()), bounds, classes), f"{name}: {bounds}"


def in_range(values: np.ndarray, bounds: str, classes: float) -> bool:
    """Whether all values keep to the bounds: nothing, "≥ 0", "a … b" or "a … b, or 255"; NaN is outside of none."""
    least, most = (0.0, math.inf) if bounds == "≥ 0" else (-math.inf, math.inf)
    if "…" in bounds:
        ends = bounds.removesuffix(", or 255").replace("−", "-").split(" … ")
        least, most = (float(eval(end, {"K": classes})) for end in ends)
    kept = values[~np.isnan(values) & ~((values == 255) & bounds.endswith(", or 255"))]
    return bool(kept.size and kept.min() >= least - 0.01 and kept.max() <= most + 0.01)


def test_the_reader_of_ranges_sees_what_is_outside():
    assert in_range(np.array([0, 12]), "0 … K", 12) and not in_range(np.array([0, 13]), "0 … K", 12)
    assert in_range(np.array([11, 255]), "0 … K−1, or 255", 12) and not in_range(np.array([12]), "0 … K−1, or 255", 12)
    assert not in_range(np.array([-1.0]), "≥ 0", 12) and not in_range(np.array([-2.5]), "−2.12 … 2.64", 12)
    assert not in_range(np.array([0, 255]), "0 … K−1", 12) and in_range(np.array([-9.0, np.nan]), "", 12)


def test_weights_and_probabilities_sum_to_one():
    found = measured("tested_toy")
    assert torch.allclose(found["weights"].sum(dim=-1), torch.ones(1), atol=1e-4)
    assert torch.allclose(found["tta_probabilities(…)"].sum(dim=0), torch.ones(1), atol=1e-4)


def test_the_letters_are_worked_out_as_they_read():
    values = {"C": 5, "M": 2, "h": 3, "H'": 7, "H": 9, "r": 1.5, "g": 4}
    cases = {"C+4M": 13, "(1+g²)": 17, "⌊r·H+½⌋": 14, "H'": 7, "4h": 12, "3": 3}
    assert {formula: work_out(formula, values) for formula in cases} == cases
    with pytest.raises(NameError):
        work_out("3Q", values)


def test_every_letter_is_used_and_every_name_stands_in_the_file_that_makes_it():
    formulas = " ".join(row[1] for row in ROWS)
    for row in LETTERS:
        for letter in row[0].split():
            assert letter in formulas, letter
    for row in ROWS:
        files = [GLOSSARY.path.parent / link for link in pages.links(row[6])]
        word = re.findall(r"\w+", names(row[0])[0])
        word = word[1] if word[0] == "stages" else word[0]
        assert files and any(re.search(rf"\b{word}\b", f.read_text(encoding="utf-8")) for f in files), row[0]
