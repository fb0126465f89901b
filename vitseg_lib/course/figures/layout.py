"""The parts that figures are put together from: tiles in rows, legends, bars, scales."""

from collections.abc import Sequence

import numpy as np

from vitseg_lib.course.figures.colours import UNLABELLED
from vitseg_lib.course.figures.picture import INK, MUTED, PAPER, SMALL, UNIT, Sheet, text_width
from vitseg_lib.data.classes import Classes

MARGIN = 3 * UNIT
GAP = UNIT
TILE = 24 * UNIT  # CSS pixels: the width of an image among others
WIDTH = 2 * MARGIN + 3 * TILE + 2 * GAP  # of a sheet that holds three tiles in a row
HEADING = 26
SWATCH = 12  # the side of a colour in a legend
LEGEND_LINE = 22
TEXT_LINE = 15  # from one line of small words to the next
BAR_LINE = 22

EDGE = (0, 0, 0, 0.25)  # around a class's colour, for some are almost white

Entry = tuple[str, np.ndarray]
Rect = tuple[float, float, float, float]  # x, y, width, height


def short_name(name: str) -> str:
    """The first of a class's synonyms: "building, edifice" → "building"."""
    return name.split(",")[0].strip()


def legend_entries(masks: Sequence[np.ndarray], classes: Classes) -> list[Entry]:
    """Name and colour of every class in the masks, the largest first; "not labelled" last."""
    area = sum(np.bincount(mask.ravel(), minlength=256) for mask in masks)
    order = sorted((k for k in range(len(classes)) if area[k]), key=lambda k: -area[k])
    entries = [(short_name(classes.names[k]), classes.colours[k]) for k in order]
    return entries + ([("not labelled", UNLABELLED)] if area[classes.ignore] else [])


def legend_positions(entries: Sequence[Entry], width: float) -> list[tuple[float, int]]:
    """Where each entry begins: x, and the number of its line, as words flow into lines of `width`."""
    positions, x, line = [], 0.0, 0
    for name, _ in entries:
        needed = SWATCH + 6 + text_width(name)
        if x and x + needed > width:
            x, line = 0.0, line + 1
        positions.append((x, line))
        x += needed + 2.5 * UNIT
    return positions


def legend_lines(entries: Sequence[Entry], width: float) -> int:
    """How many lines of `width` the entries fill."""
    return legend_positions(entries, width)[-1][1] + 1 if entries else 0


def draw_legend(sheet: Sheet, top: float, entries: Sequence[Entry]) -> None:
    """Draw a legend as wide as the sheet, `top` CSS pixels from its top."""
    for (name, colour), (x, line) in zip(entries, legend_positions(entries, sheet.width - 2 * MARGIN), strict=True):
        left, middle = MARGIN + x, top + LEGEND_LINE * (line + 0.5)
        draw_swatch(sheet, left, middle - SWATCH / 2, SWATCH, SWATCH, colour)
        sheet.text(left + SWATCH + 6, middle, name)


def draw_swatch(sheet: Sheet, x: float, y: float, width: float, height: float, colour: np.ndarray) -> None:
    """A patch of a class's colour with a thin edge, for some classes are almost white."""
    sheet.box(x, y, width, height, face=tuple(colour / 255), edge=EDGE, line=0.8)


def tile_rects(
    rows: Sequence[Sequence[np.ndarray]],
    *,
    titled: int,
    tile: float = TILE,
    heading: float = HEADING,
    scale: float | None = None,
) -> tuple[list[list[Rect]], float]:
    """Where images in rows go, each fitted into its column, and where they end; the first `titled` rows have titles.

    `tile` is a column's width and `heading` a title's height. With `scale`, CSS pixels to the image's pixel, all
    images have that one scale and stand at the left of their columns.
    """
    rects, y = [], float(MARGIN - (UNIT if titled else 0))
    for number, row in enumerate(rows):
        y += heading if number < titled else 0
        sizes = [_fit(pixels, tile, scale) for pixels in row]
        indents = [0 if scale else (tile - width) / 2 for width, _ in sizes]
        xs = [MARGIN + column * (tile + GAP) + indent for column, indent in enumerate(indents)]
        rects.append([(x, y, width, height) for x, (width, height) in zip(xs, sizes, strict=True)])
        y += max(height for _, height in sizes) + GAP
    return rects, y - GAP


def draw_tiles(
    rows: Sequence[Sequence[np.ndarray]], titles: Sequence[str], entries: Sequence[Entry], *, tile: float = TILE
) -> Sheet:
    """A sheet with images in rows, a title above each column, and a legend of `entries` below."""
    heading = heading_height(titles, tile)
    rects, bottom = tile_rects(rows, titled=1 if heading else 0, tile=tile, heading=heading)
    width = tile_width(rects, tile)
    lines = legend_lines(entries, width - 2 * MARGIN)
    sheet = Sheet(width, bottom + 2 * UNIT + LEGEND_LINE * lines + MARGIN - UNIT)
    draw_titles(sheet, titles, rects[0][0][1], tile)
    for row, row_rects in zip(rows, rects, strict=True):
        for pixels, rect in zip(row, row_rects, strict=True):
            sheet.image(*rect, pixels)
    draw_legend(sheet, bottom + 2 * UNIT, entries)
    return sheet


def tile_width(rects: list[list[Rect]], tile: float = TILE) -> float:
    """The width of a sheet for the tiles: two at least, as a legend stands below them."""
    columns = max(map(len, rects))
    return 2 * MARGIN + max(2 * TILE + GAP, columns * tile + (columns - 1) * GAP)


def draw_titles(sheet: Sheet, titles: Sequence[str], y: float, tile: float = TILE) -> None:
    """Write a small title above each column, in as many lines as it takes; `y` is the top of the tiles."""
    for column, title in enumerate(titles):
        for line, words in enumerate(reversed(wrapped(title, tile))):
            height = y - HEADING / 2 + 1 - TEXT_LINE * line
            sheet.text(MARGIN + column * (tile + GAP), height, words, size=SMALL, colour=MUTED)


def heading_height(titles: Sequence[str], tile: float = TILE) -> float:
    """How high the titles of tiles stand; nothing without words."""
    lines = max((len(wrapped(title, tile)) for title in titles), default=0)
    return HEADING + TEXT_LINE * (lines - 1) if lines else 0


def wrapped(words: str, width: float, size: float = SMALL, *, mono: bool = False) -> list[str]:
    """Cut `words` at their spaces into lines that are at most `width` CSS pixels wide where that can be."""
    lines: list[str] = []
    for word in words.split(" ") if words else []:
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer, size=size, mono=mono) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _fit(pixels: np.ndarray, tile: float, scale: float | None) -> tuple[float, float]:
    """Width and height in CSS pixels: as wide as a tile, unless that makes it far taller than wide."""
    height, width = pixels.shape[:2]
    scale = scale or min(tile / width, 1.25 * tile / height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def draw_bar(
    sheet: Sheet, left: float, middle: float, name: str, colour: np.ndarray, value: float, scale: float, number: str
) -> None:
    """A bar of `value` · `scale` CSS pixels, its name on the left, its number at its end."""
    sheet.text(left - UNIT, middle, name, ha="right", colour=INK if np.isfinite(value) else MUTED)
    length = value * scale if np.isfinite(value) else 0
    if length:
        draw_swatch(sheet, left, middle - 6, length, 12, colour)
    sheet.box(left + length + UNIT - 3, middle - 8, text_width(number) + 6, 16, face=PAPER)
    sheet.text(left + length + UNIT, middle, number, colour=INK if np.isfinite(value) else MUTED)


def spread(heights: Sequence[float], least: float) -> list[float]:
    """Move the lower ones down until labels at these heights are `least` CSS pixels apart."""
    moved: dict[int, float] = {}
    for index in sorted(range(len(heights)), key=lambda i: heights[i]):
        moved[index] = max(heights[index], max(moved.values(), default=-np.inf) + least)
    return [moved[index] for index in range(len(heights))]


def draw_outline(sheet: Sheet, rect: Rect, cell: tuple[int, int], grid: tuple[int, int]) -> None:
    """Outline one (row, column) of the patches that an image at `rect` is cut into."""
    x, y, width, height = rect
    wide, high = width / grid[1], height / grid[0]
    for colour, line in (("white", 4), (INK, 1.6)):
        sheet.box(x + cell[1] * wide, y + cell[0] * high, wide, high, edge=colour, line=line)
