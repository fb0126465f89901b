"""Numbers as colours: the ramp and its bar, and one matrix on a sheet as a heat map.

Paper stands for 0, the accent for the largest value, blue for the most negative.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.colors import to_rgb
from PIL import Image

from vitseg_lib.course.figures.colours import LUMA
from vitseg_lib.course.figures.layout import MARGIN, Rect, draw_outline
from vitseg_lib.course.figures.picture import ACCENT, DOTS, INK, MUTED, PAPER, RULE, SMALL, UNIT, Sheet, text_width

COLD = "#3b6ea5"
BAR = 15 * UNIT  # CSS pixels: the length of the bar that explains the colours
BAR_HEIGHT = 4 * UNIT  # with its numbers
DARK = 150  # a colour less bright than this is written on in white

AXIS = 20  # the height of an axis's name
TITLE = 22
APART = 3 * UNIT  # from one matrix to the next
TALLEST = 40 * UNIT
LARGEST_CELL = 40
SEPARATE = 10  # cells of this size or more are drawn apart
READ_OUT = 36  # values: matrices of more are not read out

MAP_GAP = 6
TALLEST_MAPS = 70 * UNIT

SHADES = 32  # from paper to the full colour: more cannot be told apart, and would weigh a notebook down
MANY = 1024  # values: among so many a few may lie beyond the full colour
MOST = 0.995  # of them do not
Size = tuple[float, float]  # width and height of a cell


@dataclass(frozen=True)
class Limits:
    """The values of the lowest and the highest colour, and whether some values lie beyond them."""

    low: float
    high: float
    beyond: bool

    def names(self) -> list[str]:
        """What stands under a bar's ends, and under its middle where that is 0."""
        sign = "≥ " if self.beyond else ""
        high = f"{self.high:.2g}"
        return ["0", sign + high] if self.low == 0 else [("≤ " if self.beyond else "") + f"−{high}", "0", sign + high]


def limits_of(arrays: Sequence[np.ndarray], limit: float | None = None) -> Limits:
    """Limits for arrays together: from 0 on, or as far below 0 as above it if any value is negative.

    The highest is `limit`; without it the largest value, or of many values the one that most stay below, if the
    largest is more than twice that.
    """
    sizes = np.concatenate([np.abs(values).ravel() for values in arrays])
    largest = float(sizes.max())
    most = float(np.quantile(sizes, MOST)) if sizes.size > MANY else largest
    high = limit or (most if 0 < 2 * most < largest else largest) or 1.0
    return Limits(-high if any((values < 0).any() for values in arrays) else 0.0, high, largest > high * (1 + 1e-6))


def paint(values: np.ndarray, limits: Limits) -> np.ndarray:
    """The colour of each value, uint8 (…, 3); what lies beyond the limits has theirs."""
    paper, warm, cold = (np.array(to_rgb(colour)) * 255 for colour in (PAPER, ACCENT, COLD))
    strength = (values / limits.high * SHADES).round().clip(-SHADES, SHADES)[..., None] / SHADES
    full = np.where(strength < 0, cold, warm)
    return (paper + (full - paper) * np.abs(strength) + 0.5).astype(np.uint8)


def draw_bar(sheet: Sheet, left: float, top: float, limits: Limits) -> None:
    """A bar of all colours with the values of its ends below it, each flush with its end."""
    names = limits.names()
    sheet.image(left, top, BAR, UNIT, paint(np.linspace(limits.low, limits.high, 4 * BAR)[None], limits))
    sheet.box(left, top, BAR, UNIT, edge=RULE, line=0.8)
    for part, name in zip(np.linspace(0, 1, len(names)), names, strict=True):
        ha = {0: "left", 1: "right"}.get(part, "center")
        sheet.text(left + part * BAR, top + 2.5 * UNIT, name, size=SMALL, colour=MUTED, ha=ha)


def cell_sizes(arrays: Sequence[np.ndarray], *, digits: int | None, max_width: float) -> list[Size]:
    """Width and height of the cells of each matrix: squares, unless it is far longer than wide.

    All matrices have cells of one size if those of the largest would not be tiny in another.
    """
    if digits is not None:
        widest = max(text_width(number(v, digits), size=SMALL) for values in arrays for v in values.flat)
        return [(max(4 * UNIT, widest + 12), 4 * UNIT)] * len(arrays)
    in_line = -(-len(arrays) // -(-len(arrays) // 4))
    side = (max_width - (in_line - 1) * APART) / in_line - AXIS
    own = [_cell(values.shape, side) for values in arrays]
    least, most = min(own), max(own)
    alike = most[0] < 3 * least[0] and all(wide == high for wide, high in own)
    return [least] * len(own) if alike else own


def _cell(shape: tuple[int, int], side: float) -> Size:
    rows, columns = shape
    cell = min(side / columns, TALLEST / rows, LARGEST_CELL)
    return max(cell, min(2 * UNIT, 6 * UNIT / columns)), max(cell, min(2 * UNIT, 6 * UNIT / rows))


def matrix_rects(
    arrays: Mapping[str, np.ndarray], cells: Sequence[Size], *, max_width: float
) -> tuple[list[Rect], Size]:
    """Where the cells of each matrix go in lines of at most `max_width`; and the end of all."""
    rects, x, y, line, right = [], 0.0, float(MARGIN - UNIT), 0.0, 0.0
    for (name, values), (wide, high) in zip(arrays.items(), cells, strict=True):
        width, height = values.shape[1] * wide, values.shape[0] * high
        block = AXIS + max(width, text_width(name))
        if x and x + block > max_width + 1:
            x, y, line = 0.0, y + line + APART, 0.0
        rects.append((MARGIN + x + AXIS, y + TITLE + AXIS, width, height))
        right, x, line = max(right, x + block), x + block + APART, max(line, TITLE + AXIS + height)
    return rects, (right, y + line)


def draw_matrix(
    sheet: Sheet, rect: Rect, name: str, values: np.ndarray, *, axes: tuple[str, str], limits: Limits
) -> None:
    """A heat map with its name and the names of its axes: rows, columns."""
    x, y, width, height = rect
    sheet.text(x, y - AXIS - TITLE / 2, name)
    sheet.text(x, y - AXIS / 2, f"{axes[1]} →", size=SMALL, colour=MUTED)
    sheet.text(x - AXIS / 2, y, f"← {axes[0]}", size=SMALL, colour=MUTED, rotation=90, va="top", ha="center")
    sheet.image(x, y, width, height, paint(pooled(values, width, height), limits))
    rows, columns = values.shape
    if min(width / columns, height / rows) >= SEPARATE:
        for row in range(1, rows):
            sheet.line([x, x + width], [y + row * height / rows] * 2, colour=PAPER)
        for column in range(1, columns):
            sheet.line([x + column * width / columns] * 2, [y, y + height], colour=PAPER)
    sheet.box(x, y, width, height, edge=RULE, line=0.8)


def pooled(values: np.ndarray, width: float, height: float) -> np.ndarray:
    """The matrix with at most one value to a CSS pixel, the mean of those that fall into it."""
    size = min(values.shape[1], int(width)), min(values.shape[0], int(height))
    if size == values.shape[::-1]:
        return values
    return np.array(Image.fromarray(values.astype(np.float32)).resize(size, Image.Resampling.BOX))


def draw_digits(sheet: Sheet, rect: Rect, values: np.ndarray, digits: int, limits: Limits) -> None:
    """Each value in its cell of a matrix, with so many decimals."""
    x, y, width, height = rect
    wide, high = width / values.shape[1], height / values.shape[0]
    dark = paint(values, limits) @ LUMA < DARK
    for (row, column), value in np.ndenumerate(values):
        colour = "#ffffff" if dark[row, column] else INK
        middle = x + (column + 0.5) * wide, y + (row + 0.5) * high
        sheet.text(*middle, number(value, digits), size=SMALL, colour=colour, ha="center")


def number(value: float, digits: int) -> str:
    """A value as it stands in a cell, with a true minus sign and no minus before a zero."""
    return f"{value:z.{digits}f}".replace("-", "−")


def read_out(arrays: Mapping[str, np.ndarray], digits: int | None) -> str:
    """The numbers of small matrices, row by row, for those who cannot see them."""
    if digits is None or sum(values.size for values in arrays.values()) > READ_OUT:
        return ""
    rows = {name: "; ".join(", ".join(number(v, digits) for v in row) for row in a) for name, a in arrays.items()}
    return "".join(f" {name}: {words}." for name, words in rows.items())


def thinned(count: int, most: int) -> list[int]:
    """At most `most` of 0 … count-1, evenly apart."""
    step = -(-count // most)
    return list(range((count - 1) % step // 2, count, step))


def map_cell(size: tuple[int, int], shown: tuple[int, int], max_width: float) -> float:
    """The side of a cell of small maps, a whole number of dots, so that all of them fit."""
    high, wide = (
        (space - (n - 1) * MAP_GAP) / (n * length)
        for space, n, length in zip((TALLEST_MAPS, max_width), shown, size, strict=True)
    )
    return max(1, np.floor(min(high, wide, LARGEST_CELL) * DOTS) / DOTS)


def draw_map(sheet: Sheet, rect: Rect, values: np.ndarray, own: tuple[int, int], limits: Limits) -> None:
    """One small map, with a ring at its own position."""
    sheet.image(*rect, paint(values, limits))
    sheet.box(*rect, edge=RULE, line=0.8)
    draw_outline(sheet, rect, own, values.shape)
