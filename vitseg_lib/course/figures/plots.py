"""Plots of plain numbers: the class fractions of a data set, and bars to compare a few values by."""

from collections.abc import Mapping, Sequence

import numpy as np

from vitseg_lib.course.figures import axes, layout
from vitseg_lib.course.figures.layout import BAR_LINE, MARGIN, WIDTH
from vitseg_lib.course.figures.picture import ACCENT, INK, MUTED, PAPER, SMALL, UNIT, Picture, Sheet, text_width
from vitseg_lib.data.classes import Classes

TAIL_WIDTH = 92 * UNIT  # CSS pixels: 150 columns of four and their scale
TAIL_COLUMNS = 27 * UNIT  # the height of the axis
FEW = 16  # classes: so many can all be named
GREY = "#b9bdc2"  # a bar among others


def long_tail(
    fractions: Sequence[float], classes: Classes, *, log: bool = True, named: Sequence[int | str] | None = None
) -> Picture:
    """Draw a thin column for each class, the largest first, as high as its fraction of the pixels.

    `fractions` holds K values, 0..1; `log` makes the scale logarithmic, and a fraction of 0 has no column. `named`,
    numbers or first names of classes, says which are labelled; by default a few along the way.
    Raises ValueError unless there is one fraction per class, all between 0 and 1, and for a name no class has.
    """
    values = np.asarray(fractions, dtype=float)
    if values.shape != (len(classes),):
        raise ValueError(f"{len(classes)} classes need {len(classes)} fractions, not an array of shape {values.shape}")
    if not ((values >= 0) & (values <= 1)).all() or not values.any():
        raise ValueError("fractions are between 0 and 1, and not all are 0")
    names = [layout.short_name(name) for name in classes.names]
    order = np.argsort(-values, kind="stable")
    present = int((values > 0).sum())
    ranks = _along_the_way(present) if named is None else [_rank_of(name, names, order) for name in named]
    labels = {rank: f"{names[order[rank]]} {percent(values[order[rank]])}" for rank in sorted(set(ranks))}
    sheet = _draw_tail(values[order], classes.colours[order], labels, log=log)
    listed = ", ".join(labels.values())
    missing = "" if present == len(classes) else f" {len(classes) - present} of them have no pixel."
    words = (
        f"A column for each of {len(classes)} classes, the largest first, as high as its fraction: {listed}.{missing}"
    )
    return sheet.picture(name=f"the fractions of {len(classes)} classes", alt=words)


def percent(fraction: float) -> str:
    """A fraction in percent, with two digits that count: 0.1576 → "16 %", 0.00021 → "0.021 %"."""
    return f"{float(f'{100 * fraction:.2g}'):g} %"


def _along_the_way(count: int) -> list[int]:
    """Ranks of all classes that occur if they are few; else the first, the last, and some between."""
    return list(range(count)) if count <= FEW else [round((count - 1) * part) for part in (0, 0.06, 0.2, 0.45, 0.7, 1)]


def _rank_of(name: int | str, names: Sequence[str], order: np.ndarray) -> int:
    number = names.index(name) if name in names else name
    if isinstance(number, str) or not 0 <= number < len(names):
        raise ValueError(f"no class is called {name!r}")
    return int(np.flatnonzero(order == number)[0])


def _draw_tail(values: np.ndarray, paints: np.ndarray, labels: Mapping[int, str], *, log: bool) -> Sheet:
    """The columns over thin rules, some of them named; the sheet is as high as the names need."""
    left, pitch = MARGIN + 5 * UNIT, (TAIL_WIDTH - 2 * MARGIN - 5 * UNIT) / len(values)
    percents = 100 * values[values > 0]
    lowest = 0.7 * percents.min() if log else 0.0  # so that the last column can be seen too
    scale = axes.scale_of(np.append(percents, lowest), log=log)
    heights = [TAIL_COLUMNS * scale.part(100 * value) if value else 0.0 for value in values]
    names = _label_positions(heights, labels, pitch)
    top = MARGIN + 3 * UNIT + max(0.0, max((high for _, high in names.values()), default=0) + UNIT - TAIL_COLUMNS)
    foot = top + TAIL_COLUMNS
    sheet = Sheet(TAIL_WIDTH, round(foot + 3 * UNIT + MARGIN))
    axes.draw_rules(sheet, (left, top, pitch * len(values), TAIL_COLUMNS), scale)
    wide = min(0.8 * pitch, pitch - 0.5, 4 * UNIT)
    for rank, (height, paint) in enumerate(zip(heights, paints, strict=True)):
        if height:
            x = left + pitch * (rank + 0.5) - wide / 2
            sheet.box(x, foot - height, wide, height, face=tuple(paint / 255), edge=layout.EDGE, line=0.4)
    sheet.line([left, TAIL_WIDTH - MARGIN], [foot, foot], colour=MUTED)
    for rank, (_, high) in names.items():
        x = left + pitch * (rank + 0.5)
        sheet.line([x, x], [foot - heights[rank] - 2, foot - high + 7], colour=MUTED, line=0.8)
    for rank, (start, high) in names.items():
        wide = text_width(labels[rank], size=SMALL)
        sheet.box(left + start - 2, foot - high - 7, wide + 4, 14, face=PAPER)
        sheet.text(left + start, foot - high, labels[rank], size=SMALL)
    sheet.text(MARGIN, MARGIN, "percent of the pixels", size=SMALL, colour=MUTED)
    words = f"{len(values)} classes, the largest first"
    sheet.text(TAIL_WIDTH - MARGIN, sheet.height - MARGIN, words, size=SMALL, colour=MUTED, ha="right")
    return sheet


def _label_positions(
    heights: Sequence[float], labels: Mapping[int, str], pitch: float
) -> dict[int, tuple[float, float]]:
    """Where names begin and how high they stand, clear of the columns and of each other; the last ones first."""
    positions: dict[int, tuple[float, float]] = {}
    for rank in sorted(labels, reverse=True):
        wide = text_width(labels[rank], size=SMALL)
        start = min(pitch * (rank + 0.5) - 2, pitch * len(heights) - wide)
        covered = range(max(0, int((start - UNIT) / pitch)), min(len(heights), int((start + wide + UNIT) / pitch) + 1))
        high = max(heights[column] for column in covered) + 2 * UNIT
        beside = [
            h
            for other, (x, h) in positions.items()
            if x - UNIT < start + wide and start < x + text_width(labels[other], size=SMALL) + UNIT
        ]
        while any(abs(high - other) < 15 for other in beside):
            high += 1
        positions[rank] = (start, high)
    return positions


def bars(values: Mapping[str, float], *, unit: str = "", digits: int = 1, highlighted: Sequence[str] = ()) -> Picture:
    """Draw a bar for each named value, its number and `unit` at its end; those in `highlighted` in the accent.

    Raises ValueError for no value, for one below 0 or not finite, and for a highlighted name that is not among them.
    """
    if not values or any(not np.isfinite(value) or value < 0 for value in values.values()):
        raise ValueError("bars show one or more values of at least 0")
    if unknown := [name for name in highlighted if name not in values]:
        raise ValueError(f"no bar is called {unknown[0]!r}")
    numbers = [f"{value:,.{digits}f}".replace(",", " ") + (f" {unit}" if unit else "") for value in values.values()]
    left = MARGIN + max(map(text_width, values)) + UNIT
    room = WIDTH - left - MARGIN - UNIT - max(text_width(number, bold=True) for number in numbers)
    scale = room / (max(values.values()) or 1)
    sheet = Sheet(WIDTH, 2 * MARGIN - UNIT + BAR_LINE * len(values))
    for row, (name, value, number) in enumerate(zip(values, values.values(), numbers, strict=True)):
        middle = MARGIN - UNIT / 2 + BAR_LINE * (row + 0.5)
        sheet.text(left - UNIT, middle, name, ha="right", bold=name in highlighted)
        sheet.box(left, middle - 6, max(value * scale, 1), 12, face=ACCENT if name in highlighted else GREY)
        ink = ACCENT if name in highlighted else INK
        sheet.text(left + value * scale + UNIT, middle, number, colour=ink, bold=name in highlighted)
    listed = ", ".join(f"{name} {number}" for name, number in zip(values, numbers, strict=True))
    name = f"{len(values)} bars" if len(values) > 1 else "1 bar"
    return sheet.picture(name=f"{name}: {', '.join(values)}", alt=f"A bar for each value: {listed}.")
