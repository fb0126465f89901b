"""A training run to look at, for chapter 09: loss and learning rate so far, and one scene's predictions on the way."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from IPython.display import display

from vitseg_lib.course.figures import axes, colours, layout
from vitseg_lib.course.figures.layout import GAP, LEGEND_LINE, MARGIN
from vitseg_lib.course.figures.picture import ACCENT, MUTED, SMALL, UNIT, Picture, Sheet
from vitseg_lib.data.classes import Classes

PLOT = 15 * UNIT  # the height of a plot
LEFT = 7 * UNIT  # for the numbers at a vertical axis
SHEET = 84 * UNIT


def run_so_far(
    lines: Sequence[Mapping[str, Any]],
    predictions: Mapping[str, np.ndarray],
    *,
    total: int,
    classes: Classes,
) -> Picture:
    """Draw loss and learning rate against the step, on an axis of `total` steps, and below them labelled maps.

    `lines` are a run's log lines ("step" from 1, "loss", "lr"); `predictions`, up to four of uint8 (H, W), stand
    under their names, above a legend of the classes that occur. Raises ValueError where there is no line yet.
    """
    if not lines:
        raise ValueError("a run is drawn from its first step on")
    tile = (SHEET - 2 * MARGIN - 3 * GAP) / 4
    top = MARGIN + 3 * UNIT
    tiles = PLOT + top + 6 * UNIT + layout.HEADING
    masks = list(predictions.values())
    entries = layout.legend_entries(masks, classes) if masks else []
    height = max((mask.shape[0] * tile / mask.shape[1] for mask in masks), default=-layout.HEADING)
    below = tiles + height + (2 * UNIT + LEGEND_LINE * layout.legend_lines(entries, SHEET - 2 * MARGIN) if masks else 0)
    sheet = Sheet(SHEET, round(below + MARGIN))
    steps = [line["step"] for line in lines]
    wide = (SHEET - 2 * MARGIN - 2 * LEFT - 3 * UNIT) / 2
    for column, name in enumerate(("loss", "lr")):
        box = (MARGIN + LEFT + column * (wide + LEFT + 3 * UNIT), top, wide, PLOT)
        _draw_line(sheet, box, steps, [line[name] for line in lines], total, "learning rate" if column else "loss")
    for column, (name, mask) in enumerate(predictions.items()):
        x = MARGIN + column * (tile + GAP)
        sheet.text(x, tiles - layout.HEADING / 2, name, size=SMALL, colour=MUTED)
        sheet.image(x, tiles, tile, mask.shape[0] * tile / mask.shape[1], colours.flat(mask, classes))
    if masks:
        layout.draw_legend(sheet, tiles + height + 2 * UNIT, entries)
    scene = f" Below: {', '.join(predictions)}, in the classes' colours." if predictions else ""
    words = f"Loss and learning rate against the step, up to step {steps[-1]} of {total}.{scene}"
    return sheet.picture(name=f"a run after {steps[-1]} of {total} steps", alt=words)


def _draw_line(
    sheet: Sheet, box: layout.Rect, steps: Sequence[int], values: Sequence[float], total: int, name: str
) -> None:
    """One small plot: a thin line through the values and a dot on the last one."""
    high, low = max(values), min(values)
    up = axes.scale_of(np.array([*values, 0.0 if low >= 0 else low, high or 1.0]))
    sheet.text(box[0], MARGIN, name, size=SMALL, colour=MUTED)
    x_of, y_of = axes.draw_scales(sheet, box, axes.scale_of(np.array([0.0, total])), up)
    sheet.text(box[0] + box[2], box[1] + box[3] + 3.5 * UNIT, "step", size=SMALL, colour=MUTED, ha="right")
    points = [(x_of(x), y_of(y)) for x, y in zip(steps, values, strict=True)]
    sheet.line(*zip(*points, strict=True), colour=ACCENT, line=1.8)
    x, y = points[-1]
    sheet.rounded(x - 3, y - 3, 6, 6, radius=3, face=ACCENT)


class Board:
    """An output under a cell whose picture is replaced while the cell runs."""

    def __init__(self) -> None:
        self.handles: list[Any] = []

    def show(self, picture: Picture) -> None:
        """Show the picture where the last one stood, or for the first time."""
        bundles = picture.bundles()
        if not self.handles:
            self.handles = [display(data, metadata=known, raw=True, display_id=True) for data, known in bundles]
            return
        for handle, (data, metadata) in zip(self.handles, bundles, strict=True):
            handle.update(data, metadata=metadata, raw=True)
