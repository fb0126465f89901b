"""From arrays to pictures: segmentations, legends, scores, attention, curves.

Images are uint8 (H, W, 3) RGB, labels uint8 (H, W) with 0..K-1 and 255 = ignored, in the colours of a
`vitseg_lib.data.ade20k.Classes`. Every function returns a `Picture`, which shows itself as a cell's last value.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from vitseg_lib.data.ade20k import Classes
from vitseg_lib.show import colours, parts, scales
from vitseg_lib.show.heat import COLD
from vitseg_lib.show.parts import BAR_LINE, LEGEND_LINE, MARGIN, WIDTH
from vitseg_lib.show.picture import ACCENT, INK, MUTED, PAPER, SMALL, UNIT, Picture, Sheet, text_width


def segmentation_panel(
    images: Sequence[np.ndarray],
    truths: Sequence[np.ndarray] | None = None,
    predictions: Sequence[np.ndarray] | None = None,
    *,
    classes: Classes,
    errors: bool = False,
) -> Picture:
    """Show image · truth · prediction, one scene a row, above a legend of the classes in sight.

    Truths or predictions may be left out; with `errors`, which needs both, a fourth column marks the wrong
    pixels in the accent colour, ignored ones left out.
    """
    masks = {"truth": truths, "prediction": predictions}
    shown = {name: list(column) for name, column in masks.items() if column is not None}
    columns = {"image": images} | {name: [colours.flat(m, classes) for m in column] for name, column in shown.items()}
    if errors:
        scenes = zip(images, shown["truth"], shown["prediction"], strict=True)
        columns["errors"] = [colours.error_map(*scene, classes) for scene in scenes]
    entries = parts.legend_entries([mask for column in shown.values() for mask in column], classes)
    rows = list(zip(*columns.values(), strict=True))
    *first, last = columns
    heads = f"{', '.join(first)} and {last}"
    count = "1 scene" if len(rows) == 1 else f"{len(rows)} scenes, one a row"
    sure = parts.legend_entries(next(iter(shown.values())), classes)  # the truth's: a prediction's last pixel may vary
    words = f"{count}: {heads}, side by side. In sight: {', '.join(name for name, _ in sure)}."
    return _draw_panel(rows, list(columns), entries).picture(name=f"{heads} of {count.split(',')[0]}", alt=words)


def _draw_panel(rows: Sequence, titles: Sequence[str], entries: Sequence[parts.Entry]) -> Sheet:
    places, bottom = parts.tile_places(rows, titled=1 if titles else 0)
    width = parts.tile_width(places)
    lines = parts.legend_lines(entries, width - 2 * MARGIN)
    sheet = Sheet(width, bottom + 2 * UNIT + LEGEND_LINE * lines + MARGIN - UNIT)
    parts.draw_titles(sheet, titles, places[0][0][1])
    for row, row_places in zip(rows, places, strict=True):
        for pixels, place in zip(row, row_places, strict=True):
            sheet.image(*place, pixels)
    parts.draw_legend(sheet, bottom + 2 * UNIT, entries)
    return sheet


def legend(classes: Classes, present: Sequence[int] | None = None) -> Picture:
    """Show colour and name of the classes numbered in `present`, in that order; of all without it."""
    numbers = range(len(classes)) if present is None else present
    entries = [(parts.short_name(classes.names[k]), classes.colours[k]) for k in numbers]
    sheet = Sheet(WIDTH, 2 * MARGIN + LEGEND_LINE * parts.legend_lines(entries, WIDTH - 2 * MARGIN))
    parts.draw_legend(sheet, MARGIN, entries)
    names = ", ".join(name for name, _ in entries)
    return sheet.picture(name=f"the colours of {len(entries)} classes", alt=f"A colour for each class: {names}.")


def iou_bars(iou: Sequence[float], classes: Classes, *, decimals: int = 0) -> Picture:
    """Draw a bar a class, longest first, from `iou`: K values in percent, NaN where a class did not occur.

    Raises ValueError unless there is one value a class.
    """
    values = np.asarray(iou, dtype=float)
    if values.shape != (len(classes),):
        raise ValueError(f"{len(classes)} classes need {len(classes)} values, not an array of shape {values.shape}")
    names = [parts.short_name(name) for name in classes.names]
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
        parts.draw_bar(sheet, left, middle, names[k], classes.colours[k], values[k], scale, numbers[k])
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
    """Show where attention goes: the image, and a faded copy of it a head, coloured where that head looks.

    `weights`, (heads, h, w) or (h, w), lie over the grid of patches; a head's strongest patch has the full
    colour. `query`, (row, column) in that grid, is the patch that asks; it is outlined. `names` are the heads'.
    """
    weights = np.asarray(weights, dtype=float)
    heads = weights[None] if weights.ndim == 2 else weights
    names = names or [f"head {number}" for number in range(len(heads))]
    titles = [f"{name} · up to {100 * head.max():.1f} %" for name, head in zip(names, heads, strict=True)]
    lines = [range(start, min(start + 3, len(heads))) for start in range(0, len(heads), 3)]
    places, bottom = parts.tile_places([[image] * (1 + len(line)) for line in lines], titled=len(lines))
    sheet = Sheet(parts.tile_width(places), bottom + MARGIN)
    tiles = [(image, places[0][0])]
    for line, row in zip(lines, places, strict=True):
        parts.draw_titles(sheet, ["" if line[0] else "image", *(titles[n] for n in line)], row[0][1])
        tiles += [(colours.glow(image, heads[n]), place) for n, place in zip(line, row[1:], strict=True)]
    for pixels, place in tiles:
        sheet.image(*place, pixels)
        if query is not None:
            parts.draw_outline(sheet, place, query, heads.shape[1:])
    asked = "" if query is None else f" from the patch in row {query[0]}, column {query[1]}, which is outlined"
    copies = f"{len(heads)} faded copies of it" if len(heads) > 1 else "a faded copy of it"
    words = f"Attention{asked}: the image, and {copies}, coloured where a head looks: {', '.join(names)}."
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
    across, up = scales.scale_of(xs, log="x" in log, ticks=x_ticks), scales.scale_of(ys, log="y" in log, ticks=y_ticks)
    room = max(text_width(name, bold=True) for name in lines) + UNIT
    left, top = MARGIN + 5 * UNIT, MARGIN + 3 * UNIT
    box = (left, top, WIDTH - MARGIN - room - left, sheet.height - MARGIN - 4 * UNIT - top)
    x_of, y_of = scales.draw_scales(sheet, box, across, up)
    sheet.text(MARGIN, MARGIN, y_name, size=SMALL, colour=MUTED)
    sheet.text(left + box[2], sheet.height - MARGIN, x_name, size=SMALL, colour=MUTED, ha="right")
    labels = parts.spread([y_of(ys[-1]) for _, ys in lines.values()], least=16)
    for colour, (name, points), height in zip(paints, lines.items(), labels, strict=False):
        places = [(x_of(x), y_of(y)) for x, y in zip(*points, strict=True)]
        sheet.line(*zip(*places, strict=True), colour=colour, line=1.8)
        for x, y in places if marks else ():
            sheet.rounded(x - 3, y - 3, 6, 6, radius=3, face=colour, edge=PAPER)
        sheet.text(places[-1][0] + UNIT, height, name, colour=colour, bold=True)
    words = f"{y_name} against {x_name}, a line each for {', '.join(lines)}."
    return sheet.picture(name=f"{y_name} against {x_name}", alt=words)
