"""Figures of chapter 02: the position of a new pixel among the old ones, and the windows that were tried for a crop."""

from collections.abc import Sequence

import numpy as np

from vitseg_lib.course.figures import layout
from vitseg_lib.course.figures.layout import BAR_LINE, MARGIN, WIDTH
from vitseg_lib.course.figures.picture import ACCENT, INK, MUTED, PAPER, RULE, SMALL, UNIT, Picture, Sheet, text_width
from vitseg_lib.data.classes import Classes
from vitseg_lib.data.transforms import crop_array

PIXEL = 6 * UNIT  # CSS pixels: the height of a row of pixels
BETWEEN = 9 * UNIT  # the two rulers
DARK = 140  # a grey below this is written on in white


def rulers(values: Sequence[int], new: int, at: int) -> Picture:
    """Draw a row of grey pixels above the `new` ones that replace it, and where pixel `at` of those comes from.

    `values` are grey levels, 0..255. A grey line goes up from the new pixel's corner, which `nearest` takes;
    the accent joins its centre to the centres of the two old pixels that bilinear blends, with their weights.
    Raises ValueError for fewer than two old pixels, and for a pixel that is not there.
    """
    if len(values) < 2 or not 0 <= at < new:
        raise ValueError(f"there is no pixel {at} of {new} to be made of {len(values)} old ones, two at least")
    left, top, below = MARGIN + 6 * UNIT, MARGIN + 2 * UNIT, MARGIN + 2 * UNIT + PIXEL + BETWEEN
    width = WIDTH - left - MARGIN
    sheet = Sheet(WIDTH, below + PIXEL + 2 * UNIT + MARGIN)
    low, weight = _between(len(values), new, at)
    blend = round((1 - weight) * values[low] + weight * values[low + 1])
    weights = {low: 1 - weight, low + 1: weight}
    labels = [f"{v} × {weights[n]:.2f}" if n in weights else str(v) for n, v in enumerate(values)]
    _draw_pixels(sheet, (left, top, width, PIXEL), values, labels, name="old", numbers=top - UNIT)
    shown = [blend if pixel == at else None for pixel in range(new)]
    labels = [str(blend) if pixel == at else "" for pixel in range(new)]
    _draw_pixels(sheet, (left, below, width, PIXEL), shown, labels, name="new", numbers=below + PIXEL + 1.5 * UNIT)
    corner, centre = left + width * at / new, left + width * (at + 0.5) / new
    sheet.line([corner, corner], [below, top + PIXEL], colour=MUTED, line=1.4, dashes=(3, 3))
    sheet.text(corner - UNIT, below - 2 * UNIT, "its corner", size=SMALL, colour=MUTED, ha="right")
    for pixel, each in weights.items():
        x = left + width * (pixel + 0.5) / len(values)
        sheet.line([centre, x], [below, top + PIXEL], colour=ACCENT, line=1 + 2 * each)
    sheet.box(centre + 1.5 * UNIT, below - 3 * UNIT, text_width("its centre"), 2 * UNIT, face=PAPER)
    sheet.text(centre + 2 * UNIT, below - 2 * UNIT, "its centre", size=SMALL, colour=ACCENT)
    sheet.box(left + width * at / new, below, width / new, PIXEL, edge=ACCENT, line=2.4)
    words = (
        f"A row of {len(values)} old pixels above {new} new ones of the same length. The corner of new pixel {at} lies "
        f"in old pixel {at * len(values) // new}; its centre lies between the centres of {low} and {low + 1}, whose "
        f"weights are {1 - weight:.2f} and {weight:.2f}: {values[low]} and {values[low + 1]} give {blend}."
    )
    return sheet.picture(name=f"{len(values)} old pixels and {new} new ones", alt=words)


def _between(old: int, new: int, at: int) -> tuple[int, float]:
    """The left one of the two old pixels that a new pixel's centre lies between, and the weight of the right one."""
    position = min(max((at + 0.5) * old / new - 0.5, 0), old - 1)
    low = min(int(position), old - 2)
    return low, position - low


def _draw_pixels(
    sheet: Sheet, rect: layout.Rect, values: Sequence[int | None], labels: Sequence[str], *, name: str, numbers: float
) -> None:
    """A row of pixels in their greys, white where these are not known, with words, and numbers at one height."""
    left, top, width, height = rect
    wide = width / len(values)
    sheet.text(MARGIN, top + height / 2, name, colour=MUTED)
    for number, (value, words) in enumerate(zip(values, labels, strict=True)):
        x = left + number * wide
        face, ink = ("#ffffff", INK) if value is None else ((value / 255,) * 3, "#ffffff" if value < DARK else INK)
        sheet.box(x, top, wide, height, face=face, edge=RULE)
        sheet.text(x + wide / 2, numbers, str(number), size=SMALL, colour=MUTED, ha="center")
        sheet.text(x + wide / 2, top + height / 2, words, colour=ink, ha="center")


def tried_windows(
    image: np.ndarray,
    labels: np.ndarray,
    boxes: Sequence[tuple[int, int, int, int]],
    *,
    classes: Classes,
    limit: float = 0.75,
) -> Picture:
    """Outline the windows (top, left, bottom, right) that were tried on an image, the last one in the accent.

    Beside it a bar for each: its commonest class and that one's fraction of the labelled pixels, and a line at `limit`.
    Raises ValueError for no window, and for one without a labelled pixel.
    """
    counts = [np.bincount(crop_array(labels, box).ravel(), minlength=256)[: classes.ignore] for box in boxes]
    if not counts or not all(counted.any() for counted in counts):
        raise ValueError("there is no window, or one in which no pixel is labelled")
    commonest = [(int(counted.argmax()), counted.max() / counted.sum()) for counted in counts]
    names = [f"{n} · {layout.short_name(classes.names[k])}" for n, (k, _) in enumerate(commonest, start=1)]
    height, width = image.shape[:2]
    scale = min(30 * UNIT / width, 28 * UNIT / height)
    bars = MARGIN + width * scale + 3 * UNIT + max(map(text_width, names)) + UNIT
    long = WIDTH - bars - MARGIN - 5 * UNIT
    top = MARGIN + 2 * UNIT
    sheet = Sheet(WIDTH, top + round(max(height * scale, BAR_LINE * len(boxes) + UNIT)) + MARGIN)
    sheet.image(MARGIN, top, width * scale, height * scale, image)
    paints = [INK] * (len(boxes) - 1) + [ACCENT]
    for (up, left, down, right), paint in zip(boxes, paints, strict=True):
        rect = (MARGIN + left * scale, top + up * scale, (right - left) * scale, (down - up) * scale)
        sheet.box(*rect, edge="#ffffff", line=3.2)
        sheet.box(*rect, edge=paint, line=1.6 if paint == INK else 2.4)
    for number, ((up, left, _, _), paint) in enumerate(zip(boxes, paints, strict=True), start=1):
        x, y = MARGIN + left * scale, top + up * scale
        sheet.rounded(x, y, 2 * UNIT, 2 * UNIT, radius=2, face=paint)
        sheet.text(x + UNIT, y + UNIT, str(number), size=SMALL, colour="#ffffff", ha="center")
    x = bars + limit * long
    sheet.line([x, x], [top - UNIT, top + BAR_LINE * len(boxes) + UNIT], colour=ACCENT, dashes=(3, 3))
    sheet.text(x, top - 2 * UNIT, f"{100 * limit:.0f} %", size=SMALL, colour=ACCENT, ha="center")
    for row, (name, (k, fraction)) in enumerate(zip(names, commonest, strict=True)):
        middle = top + BAR_LINE * (row + 0.5)
        layout.draw_bar(sheet, bars, middle, name, classes.colours[k], fraction, long, f"{100 * fraction:.0f} %")
    listed = ", ".join(f"{name} {100 * fraction:.0f} %" for name, (_, fraction) in zip(names, commonest, strict=True))
    words = f"Windows on an image, the last one chosen, and a bar for the commonest class of each: {listed}."
    return sheet.picture(name=f"{len(boxes)} windows that were tried", alt=words)
