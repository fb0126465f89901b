"""From arrays to figures: segmentations, legends, scores, attention, curves.

Images are uint8 (H, W, 3) RGB, labels uint8 (H, W) with 0..K-1 and 255 = ignored, in the colours of a
`vitseg_lib.data.classes.Classes`. Every function returns a `Picture`, which shows itself as a cell's last value.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from vitseg_lib.course.figures import axes, colours, layout
from vitseg_lib.course.figures.heatmap import COLD
from vitseg_lib.course.figures.layout import BAR_LINE, MARGIN, WIDTH
from vitseg_lib.course.figures.picture import ACCENT, INK, MUTED, PAPER, SMALL, UNIT, Picture, Sheet, text_width
from vitseg_lib.data.classes import Classes


def segmentation_panel(
    images: Sequence[np.ndarray],
    labels: Sequence[np.ndarray] | None = None,
    predictions: Sequence[np.ndarray] | None = None,
    *,
    classes: Classes,
    errors: bool = False,
) -> Picture:
    """Show image · ground truth · prediction, one scene per row, above a legend of the classes that occur.

    Labels or predictions may be left out; with `errors`, which needs both, a fourth column marks the wrong
    pixels in the accent colour, ignored ones left out.
    """
    masks = {"ground truth": labels, "prediction": predictions}
    shown = {name: list(column) for name, column in masks.items() if column is not None}
    columns = {"image": images} | {name: [colours.flat(m, classes) for m in column] for name, column in shown.items()}
    if errors:
        scenes = zip(images, shown["ground truth"], shown["prediction"], strict=True)
        columns["errors"] = [colours.error_map(*scene, classes) for scene in scenes]
    entries = layout.legend_entries([mask for column in shown.values() for mask in column], classes)
    rows = list(zip(*columns.values(), strict=True))
    *first, last = columns
    heads = f"{', '.join(first)} and {last}"
    count = "1 scene" if len(rows) == 1 else f"{len(rows)} scenes, one per row"
    sure = layout.legend_entries(next(iter(shown.values())), classes)  # the labels': a prediction's last pixel may vary
    words = f"{count}: {heads}, side by side. Classes: {', '.join(name for name, _ in sure)}."
    return layout.draw_tiles(rows, list(columns), entries).picture(name=f"{heads} of {count.split(',')[0]}", alt=words)


def iou_bars(iou: Sequence[float], classes: Classes, *, decimals: int = 0) -> Picture:
    """Draw one bar per class, longest first, from `iou`: K values in percent, NaN where a class did not occur.

    Raises ValueError unless there is one value per class.
    """
    values = np.asarray(iou, dtype=float)
    if values.shape != (len(classes),):
        raise ValueError(f"{len(classes)} classes need {len(classes)} values, not an array of shape {values.shape}")
    names = [layout.short_name(name) for name in classes.names]
    numbers = [f"{value:.{decimals}f}" if np.isfinite(value) else "did not occur" for value in values]
    order = np.argsort(np.where(np.isfinite(values), -values, np.inf), kind="stable")
    left = MARGIN + max(map(text_width, names)) + UNIT
    scale = (WIDTH - left - MARGIN - 5 * UNIT) / 100
    foot = MARGIN + BAR_LINE * len(order)
    sheet = Sheet(WIDTH, foot + 5 * UNIT)
    mean = f"mean {np.nanmean(values):.{decimals}f}"
    x = left + np.nanmean(values) * scale
    sheet.line([x, x], [MARGIN - UNIT, foot + UNIT], colour=INK, dashes=(3, 3))
    sheet.text(x, foot + 2.25 * UNIT, mean, ha="center", bold=True)
    for row, k in enumerate(order):
        middle = MARGIN + BAR_LINE * (row + 0.5)
        layout.draw_bar(sheet, left, middle, names[k], classes.colours[k], values[k], scale, numbers[k])
    listed = ", ".join(f"{name} {number}" for name, number in zip(names, numbers, strict=True))
    words = f"A bar for each class, the longest first, as long as its IoU in percent: {listed}; {mean}."
    return sheet.picture(name=f"IoU of {len(order)} classes", alt=words)


def attention_on_image(
    image: np.ndarray,
    weights: np.ndarray,
    query: tuple[int, int] | None = None,
    *,
    names: Sequence[str] | None = None,
) -> Picture:
    """Show where attention goes: the image, and a faded copy of it per head, coloured where that head attends.

    `weights`, (heads, h, w) or (h, w), lie over the grid of patches; a head's strongest patch has the full
    colour. `query`, (row, column) in that grid, is the query; it is outlined. `names` are the heads'.
    """
    weights = np.asarray(weights, dtype=float)
    heads = weights[None] if weights.ndim == 2 else weights
    names = names or [f"head {number}" for number in range(len(heads))]
    titles = [f"{name} · up to {100 * head.max():.1f} %" for name, head in zip(names, heads, strict=True)]
    lines = [range(start, min(start + 3, len(heads))) for start in range(0, len(heads), 3)]
    rects, bottom = layout.tile_rects([[image] * (1 + len(line)) for line in lines], titled=len(lines))
    sheet = Sheet(layout.tile_width(rects), bottom + MARGIN)
    tiles = [(image, rects[0][0])]
    for line, row in zip(lines, rects, strict=True):
        layout.draw_titles(sheet, ["" if line[0] else "image", *(titles[n] for n in line)], row[0][1])
        tiles += [(colours.glow(image, heads[n]), rect) for n, rect in zip(line, row[1:], strict=True)]
    for pixels, rect in tiles:
        sheet.image(*rect, pixels)
        if query is not None:
            layout.draw_outline(sheet, rect, query, heads.shape[1:])
    origin = "" if query is None else f" from the patch in row {query[0]}, column {query[1]}, which is outlined"
    copies = f"{len(heads)} faded copies of it" if len(heads) > 1 else "a faded copy of it"
    words = f"Attention{origin}: the image, and {copies}, coloured where a head attends: {', '.join(names)}."
    return sheet.picture(name=f"attention of {len(heads)} head{'s' if len(heads) > 1 else ''}", alt=words)


def curve(
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    x_name: str,
    y_name: str,
    log: str = "",
    marks: bool = False,
    x_ticks: Sequence[float] | None = None,
    y_ticks: Sequence[float] | None = None,
) -> Picture:
    """Draw up to four named lines of (xs, ys), each labelled at its right end, over thin rules.

    `log` makes an axis logarithmic: "x", "y" or "xy". `marks` puts a dot on every point. `x_ticks` and `y_ticks`
    are the values to write at an axis, if not those that are chosen.
    Raises ValueError for more lines than there are colours that can be told apart, and for another `log`.
    """
    paints = (ACCENT, INK, COLD, MUTED)
    if not 1 <= len(lines) <= len(paints):
        raise ValueError(f"a curve shows 1 to {len(paints)} lines, not {len(lines)}")
    if log not in ("", "x", "y", "xy"):
        raise ValueError(f"log is 'x', 'y', 'xy' or nothing, not {log!r}")
    sheet = Sheet(WIDTH, 38 * UNIT)
    xs, ys = (np.concatenate([np.asarray(line[axis], float) for line in lines.values()]) for axis in (0, 1))
    across, up = axes.scale_of(xs, log="x" in log, ticks=x_ticks), axes.scale_of(ys, log="y" in log, ticks=y_ticks)
    room = max(text_width(name, bold=True) for name in lines) + UNIT
    left, top = MARGIN + 5 * UNIT, MARGIN + 3 * UNIT
    box = (left, top, WIDTH - MARGIN - room - left, sheet.height - MARGIN - 4 * UNIT - top)
    x_of, y_of = axes.draw_scales(sheet, box, across, up)
    sheet.text(MARGIN, MARGIN, y_name, size=SMALL, colour=MUTED)
    sheet.text(left + box[2], sheet.height - MARGIN, x_name, size=SMALL, colour=MUTED, ha="right")
    labels = layout.spread([y_of(ys[-1]) for _, ys in lines.values()], least=16)
    for colour, (name, points), height in zip(paints, lines.items(), labels, strict=False):
        drawn = [(x_of(x), y_of(y)) for x, y in zip(*points, strict=True)]
        sheet.line(*zip(*drawn, strict=True), colour=colour, line=1.8)
        for x, y in drawn if marks else ():
            sheet.rounded(x - 3, y - 3, 6, 6, radius=3, face=colour, edge=PAPER)
        sheet.text(drawn[-1][0] + UNIT, height, name, colour=colour, bold=True)
    words = f"{y_name} against {x_name}, a line each for {', '.join(lines)}."
    return sheet.picture(name=f"{y_name} against {x_name}", alt=words)
