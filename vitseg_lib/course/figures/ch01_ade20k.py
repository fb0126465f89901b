"""Figures of a data set's pairs: from files to labels; image, mask and overlay; the label shift; confusion.

Images are uint8 (H, W, 3) RGB, labels uint8 (H, W) with 0..K-1 and 255 = ignored. Every function returns a `Picture`.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from vitseg_lib.course.figures import colours, heatmap, layout
from vitseg_lib.course.figures.layout import EDGE, GAP, MARGIN
from vitseg_lib.course.figures.picture import ACCENT, INK, MUTED, RULE, SMALL, UNIT, Picture, Sheet, text_width
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


def data_flow() -> Picture:
    """The way of a photograph and its mask from their files to what uses them: H × W pixels, K classes."""
    boxes = {  # what stands below the name; column and row
        "NAME.jpg": ("images/", 0, 0),
        "image": ("H × W × 3", 1, 0),
        "model": ("prediction", 3, 0),
        "NAME.png": ("annotations/", 0, 1),
        "raw": ("H × W", 1, 1),
        "labels": ("H × W", 2, 1),
        "loss and metrics": ("one number", 3, 1),
        "painted mask": ("H × W × 3", 3, 2),
        "class fractions": ("K", 3, 3),
    }
    below = {"raw": "0 other, 1…K", "labels": "0…K−1, 255 ignored"}
    rects = {name: _flow_rect(column, row) for name, (_, column, row) in boxes.items()}
    right, bottom = (max(rect[n] + rect[n + 2] for rect in rects.values()) for n in (0, 1))
    sheet = Sheet(right + MARGIN, bottom + MARGIN)
    arrows = [("NAME.jpg", "image", "read"), ("image", "model", "chapters 02–07")]
    arrows += [("NAME.png", "raw", "read"), ("raw", "labels", "shift"), ("labels", "loss and metrics", "")]
    for start, end, words in arrows:
        (x0, y, w, h), x1 = rects[start], rects[end][0]
        sheet.arrow((x0 + w + 4, y + h / 2), (x1 - 4, y + h / 2))
        sheet.text((x0 + w + x1) / 2, y + h / 2 - 11, words, size=SMALL, colour=MUTED, ha="center")
    x, y, w, h = rects["model"]
    sheet.arrow((x + w / 2, y + h + 4), (x + w / 2, rects["loss and metrics"][1] - 4))
    x, y, w, h = rects["labels"]
    middle = (x + w + rects["painted mask"][0]) / 2
    for end in ("painted mask", "class fractions"):
        height_of_end = rects[end][1] + rects[end][3] / 2
        sheet.line([middle, middle], [y + h / 2, height_of_end])
        sheet.arrow((middle, height_of_end), (rects[end][0] - 4, height_of_end))
    for name, (shape, _, _) in boxes.items():
        x, y, w, h = rects[name]
        accent = name in ("raw", "labels")
        sheet.rounded(x, y, w, h, radius=6, face=WHITE, edge=ACCENT if accent else RULE)
        sheet.text(x + w / 2, y + h / 2 - 9, name, ha="center", bold=accent)
        sheet.text(x + w / 2, y + h / 2 + 10, shape, size=SMALL, colour=MUTED, ha="center")
        sheet.text(x + w / 2, y + h + 12, below.get(name, ""), size=SMALL, colour=MUTED, ha="center")
    words = (
        "NAME.jpg is read to the image, which goes to the model. NAME.png is read to raw, with values 0 for other and "
        "1 to K; the shift makes labels of it, 0 to K−1 and 255 for ignored pixels. Labels and prediction meet in loss "
        "and metrics; labels are also painted, and counted to class fractions."
    )
    return sheet.picture(name="from files to labels", alt=words)


def _flow_rect(column: int, row: int) -> layout.Rect:
    wide = 15 * UNIT
    return MARGIN + column * (wide + 6.5 * UNIT), MARGIN + row * 9.5 * UNIT, wide, 6 * UNIT


def confusion(named: Mapping[str, np.ndarray], names: Sequence[str]) -> Picture:
    """Show confusion matrices (K, K) side by side, each row as fractions; a thin line marks the diagonal.

    Row: the class in the ground truth; column: the predicted class. ValueError unless there is a name for each class.
    """
    for title, counts in named.items():
        if counts.shape != (len(names), len(names)):
            raise ValueError(f"{len(names)} names do not fit {title!r}, a matrix of shape {counts.shape}")
    rows = {title: counts / np.maximum(counts.sum(axis=1, keepdims=True), 1) for title, counts in named.items()}
    limits = heatmap.Limits(0.0, 1.0, beyond=False)
    room, side = max(text_width(name, size=SMALL) for name in names) + UNIT, 17 * len(names)
    top, pitch = MARGIN + 4 * UNIT, side + room + 2 * UNIT
    below = top + side + room + UNIT
    left = MARGIN + 2 * UNIT + room
    sheet = Sheet(left + pitch * len(rows) - room - 2 * UNIT + MARGIN, below + heatmap.BAR_HEIGHT + MARGIN)
    for number, (title, values) in enumerate(rows.items()):
        x = left + number * pitch
        sheet.text(x, MARGIN, title)
        sheet.text(x, MARGIN + 2.25 * UNIT, "ground truth ↓   predicted →", size=SMALL, colour=MUTED)
        sheet.image(x, top, side, side, heatmap.paint(values, limits), interpolation="nearest")
        sheet.box(x, top, side, side, edge=RULE, line=0.8)
        for k, name in enumerate(names):
            middle = 17 * (k + 0.5)
            sheet.text(x - 6, top + middle, name, size=SMALL, colour=MUTED, ha="right")
            turned = {"ha": "center", "va": "top", "rotation": 90}
            sheet.text(x + middle, top + side + 6, name, size=SMALL, colour=MUTED, **turned)
        sheet.line([x, x + side], [top, top + side], colour=INK, line=0.8, dashes=(4, 4))
    heatmap.draw_bar(sheet, left, below, limits)
    words = "fraction of the row; the dashed line is the diagonal"
    sheet.text(left + heatmap.BAR + 2 * UNIT, below + UNIT / 2, words, size=SMALL, colour=MUTED)
    most = {title: sum(values.argmax(axis=1) == np.arange(len(names))) for title, values in rows.items()}
    told = "; ".join(f"{title}: {count} of {len(names)} rows largest on the diagonal" for title, count in most.items())
    words = f"Confusion matrices with the diagonal drawn, a row per class: {told}."
    return sheet.picture(name=f"confusion: {', '.join(rows)}", alt=words)


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
