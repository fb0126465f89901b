"""Figures of a data set's pairs: image, mask and both laid over each other; a mask's values; the label shift.

Images are uint8 (H, W, 3) RGB, labels uint8 (H, W) with 0..K-1 and 255 = ignored. Every function returns a `Picture`.
"""

import numpy as np

from vitseg_lib.course.figures import colours, layout
from vitseg_lib.course.figures.layout import EDGE, GAP, MARGIN
from vitseg_lib.course.figures.picture import INK, MUTED, SMALL, UNIT, Picture, Sheet, text_width
from vitseg_lib.data.ade20k import colour_labels
from vitseg_lib.data.classes import Classes

WHITE = "#ffffff"
CELL = 28  # CSS pixels: a pixel of a mask with its number
WINDOW = (8, 9)  # rows and columns of a close-up


def layers(image: np.ndarray, labels: np.ndarray, *, classes: Classes, opacity: float = 0.6) -> Picture:
    """Show image, mask and overlay side by side above a legend; `opacity` (0..1) is the mask's in the overlay.

    Raises ValueError if image and labels differ in size.
    """
    tiles = {
        "image": image,
        "mask, painted": colours.flat(labels, classes),
        f"overlay, {opacity:.0%} mask": colours.overlay(image, labels, classes, opacity),
    }
    entries = layout.legend_entries([labels], classes)
    sheet = layout.draw_tiles([list(tiles.values())], list(tiles), entries)
    words = f"One scene: image, mask in its classes' colours, and the mask laid over the image at {opacity:.0%}."
    present = ", ".join(name for name, _ in entries)
    return sheet.picture(name="image, mask and overlay", alt=f"{words} Classes: {present}.")


def close_up(image: np.ndarray, raw: np.ndarray, *, classes: Classes, corner: tuple[int, int]) -> Picture:
    """Show some pixels of an image, magnified, beside the same pixels of its mask with the file's values in them.

    `raw`, uint8 (H, W), is the mask as it lies on disk; `corner` the (row, column) of the first pixel shown.
    Raises ValueError if image and mask differ in size, or the corner lies outside.
    """
    if image.shape[:2] != raw.shape:
        raise ValueError(f"image and mask differ in size: {image.shape[:2]} and {raw.shape}")
    if not all(0 <= start < side for start, side in zip(corner, raw.shape, strict=True)):
        raise ValueError(f"there is no pixel {corner} in a mask of {raw.shape[0]} by {raw.shape[1]}")
    window = tuple(slice(start, start + count) for start, count in zip(corner, WINDOW, strict=True))
    pixels, numbers = image[window], raw[window]
    height, width = (CELL * side for side in numbers.shape)
    top, left = MARGIN + 2 * UNIT, MARGIN + width + 2 * GAP
    sheet = Sheet(left + width + MARGIN, top + height + MARGIN)
    sheet.text(MARGIN, MARGIN, "the photo's pixels", size=SMALL, colour=MUTED)
    sheet.text(left, MARGIN, "the mask's values", size=SMALL, colour=MUTED)
    sheet.image(MARGIN, top, width, height, pixels, interpolation="nearest")
    paints = _file_colours(classes)[numbers]
    for (row, column), number in np.ndenumerate(numbers):
        rect = (left + CELL * column, top + CELL * row, CELL, CELL)
        _number_box(sheet, rect, str(number), paints[row, column])
    listed = ", ".join(map(str, np.unique(numbers)))
    words = f"{len(numbers)} rows of pixels: photo, magnified, and the mask, a number in each; there are {listed}."
    return sheet.picture(name="pixels and their numbers", alt=words)


def shift_diagram(classes: Classes, *, first: int = 3) -> Picture:
    """Show which number in a file becomes which in memory: other, the `first` classes, the last one, and 255.

    Raises ValueError unless there are more than `first` classes.
    """
    last = len(classes) - 1
    if last < first:
        raise ValueError(f"{first} first classes and a last one are more than there are: {len(classes)}")
    columns = [("other", 0, 255), *((layout.short_name(classes.names[k]), k + 1, k) for k in range(first))]
    columns += [("…", None, None), (layout.short_name(classes.names[last]), last + 1, last), ("ignored", 255, 255)]
    paints, side, pitch = _file_colours(classes), 5 * UNIT, 8.5 * UNIT
    left = round(MARGIN + text_width("in memory", size=SMALL))
    sheet = Sheet(round(left + pitch * len(columns) + MARGIN - UNIT), 24 * UNIT)
    tops = (7 * UNIT, 16 * UNIT)
    for words, top in zip(("in the file", "in memory"), tops, strict=True):
        sheet.text(MARGIN, top + side / 2, words, size=SMALL, colour=MUTED)
    for column, (name, before, after) in enumerate(columns):
        middle = left + pitch * (column + 0.5)
        sheet.text(middle, 4.5 * UNIT, name, ha="center", colour=INK if after != 255 else MUTED)
        if before is None:
            continue
        for top, number in zip(tops, (before, after), strict=True):
            _number_box(sheet, (middle - side / 2, top, side, side), str(number), paints[before])
        sheet.arrow((middle, tops[0] + side + 4), (middle, tops[1] - 4))
    listed = ", ".join(f"{before} to {after}" for _, before, after in columns if before is not None)
    words = f"Numbers in a file above, labels in memory below, an arrow from each to its own: {listed}."
    return sheet.picture(name="the label shift", alt=words)


def _file_colours(classes: Classes) -> np.ndarray:
    """The colour of each value in a file, uint8 (256, 3): the card's own for what is no class."""
    memory = np.arange(256, dtype=np.uint8) - np.uint8(classes.zero_is_other)
    table = colour_labels(memory, classes)
    table[memory >= len(classes)] = colours.UNLABELLED
    return table


def _number_box(sheet: Sheet, rect: layout.Rect, number: str, paint: np.ndarray) -> None:
    """A number on its class's colour, in ink or white, whichever can be read on it."""
    x, y, width, height = rect
    sheet.box(*rect, face=tuple(paint / 255), edge=EDGE, line=0.8)
    dark = paint @ colours.LUMA < 110
    sheet.text(x + width / 2, y + height / 2, number, colour=WHITE if dark else INK, ha="center")
