"""Figures of chapter 00: where one attention head looks, from several patches, in one scale.

Images are uint8 (H, W, 3) RGB. Every function returns a `Picture`.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from vitseg_lib.course.figures import colours, heatmap, layout
from vitseg_lib.course.figures.layout import MARGIN
from vitseg_lib.course.figures.picture import MUTED, SMALL, UNIT, Picture, Sheet

IN_ROW = 3
STRONGEST = 0.9  # how much of the accent colour the largest weight has


def attention_in_one_scale(
    image: np.ndarray, maps: Mapping[str, np.ndarray], queries: Sequence[tuple[int, int]], *, limit: float | None = None
) -> Picture:
    """Show attention weights (h, w) from several patches over copies of the image, all in one colour scale.

    `maps` are the weights by title, `queries` the (row, column) of the patch that each belongs to; it is outlined.
    `limit` is the weight of the full colour, by default the largest. ValueError unless there is a query for each map.
    """
    if len(maps) != len(queries) or not maps:
        raise ValueError(f"there is one query for each map: {len(queries)} and {len(maps)} do not fit")
    weights = [np.asarray(values, dtype=float) for values in maps.values()]
    limits = heatmap.limits_of(weights, limit or max(values.max() for values in weights))
    rows = [range(start, min(start + IN_ROW, len(weights))) for start in range(0, len(weights), IN_ROW)]
    heading = layout.heading_height(list(maps))
    rects, bottom = layout.tile_rects([[image] * len(row) for row in rows], titled=len(rows), heading=heading)
    below = bottom + 2 * UNIT
    sheet = Sheet(layout.tile_width(rects), below + heatmap.BAR_HEIGHT + MARGIN - UNIT)
    titles = list(maps)
    for row, row_rects in zip(rows, rects, strict=True):
        layout.draw_titles(sheet, [titles[n] for n in row], row_rects[0][1])
        for number, rect in zip(row, row_rects, strict=True):
            sheet.image(*rect, over(image, weights[number], limits.high))
            layout.draw_outline(sheet, rect, queries[number], weights[number].shape)
    heatmap.draw_bar(sheet, MARGIN, below, limits)
    words = "attention weight of a patch, one scale for all"
    sheet.text(MARGIN + heatmap.BAR + 2 * UNIT, below + UNIT / 2, words, size=SMALL, colour=MUTED)
    listed = "; ".join(f"{title}, from row {r}, column {c}" for title, (r, c) in zip(maps, queries, strict=True))
    words = f"Attention weights over faded copies of the image, the query's patch outlined, in one scale: {listed}."
    return sheet.picture(name=f"attention from {len(maps)} patches, one scale", alt=words)


def over(image: np.ndarray, weights: np.ndarray, limit: float) -> np.ndarray:
    """The faded image, in the accent colour where the weights (h, w) reach the limit."""
    height, width = image.shape[:2]
    rows = np.arange(height) * weights.shape[0] // height
    columns = np.arange(width) * weights.shape[1] // width
    strength = STRONGEST * (weights / limit).clip(0, 1)[rows][:, columns, None]
    return (colours.faded(image) * (1 - strength) + colours.ACCENT_RGB * strength + 0.5).astype(np.uint8)
