"""Figures of arrays as they are: images in rows, patches, matrices, maps of maps, and the shapes between steps.

Images are uint8 (H, W, 3) RGB or (H, W) grey, labels uint8 (H, W) with 0..K-1 and 255 = ignored. Every function
returns a `Picture`, which shows itself as a cell's last value.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from vitseg_lib.course.figures import colours, flow_diagram, heatmap, layout, patchwork
from vitseg_lib.course.figures.layout import GAP, MARGIN, TEXT_LINE, TILE, WIDTH
from vitseg_lib.course.figures.picture import MUTED, SMALL, UNIT, Picture, Sheet, text_width
from vitseg_lib.data.classes import Classes

WIDEST = 95 * UNIT  # CSS pixels: no sheet here is wider
INNER = WIDEST - 2 * MARGIN  # what its margins leave
MOST_MAPS = 8  # rows and columns of maps in a map of maps


def image_row(
    images: Sequence[np.ndarray], titles: Sequence[str], *, columns: int = 3, to_scale: bool = False
) -> Picture:
    """Show images, each under its title, in rows of `columns`.

    With `to_scale` all have one scale, so that an image of half the pixels is drawn half as large.
    Raises ValueError if there is not one title per image, or an image is not uint8 (H, W, 3) or (H, W).
    """
    images = _same_number(images, titles, "title")
    tile = min(TILE, (INNER - (columns - 1) * GAP) / columns)
    scale = min(tile / max(image.shape[1] for image in images), 1.25 * tile / max(i.shape[0] for i in images))
    lines = [range(start, min(start + columns, len(images))) for start in range(0, len(images), columns)]
    rects, bottom = layout.tile_rects(
        [[images[n] for n in line] for line in lines],
        titled=len(lines) if any(titles) else 0,
        tile=tile,
        heading=layout.heading_height(titles, tile),
        scale=scale if to_scale else None,
    )
    sheet = Sheet(layout.tile_width(rects, tile), bottom + MARGIN)
    for line, row in zip(lines, rects, strict=True):
        layout.draw_titles(sheet, [titles[n] for n in line], row[0][1], tile)
        for number, rect in zip(line, row, strict=True):
            sheet.image(*rect, images[number])
    words = f"{_count(len(images), 'image')} side by side: {', '.join(t or 'untitled' for t in titles)}."
    return sheet.picture(name=_count(len(images), "image"), alt=words)


def labelled_row(
    images: Sequence[np.ndarray], masks: Sequence[np.ndarray], titles: Sequence[str], *, classes: Classes
) -> Picture:
    """Show each image above its mask in the classes' colours, side by side, and a legend of the classes that occur.

    Raises ValueError if there is not one mask and one title per image, or a mask differs in size from its image.
    """
    images = _same_number(images, titles, "title")
    _same_number(images, masks, "mask")
    for image, mask in zip(images, masks, strict=True):
        if image.shape[:2] != mask.shape:
            raise ValueError(f"an image and its mask differ in size: {image.shape[:2]} and {mask.shape}")
    tile = min(TILE, (INNER - (len(images) - 1) * GAP) / len(images))
    rows = [images, [colours.flat(mask, classes) for mask in masks]]
    entries = layout.legend_entries(masks, classes)
    sheet = layout.draw_tiles(rows, titles, entries, tile=tile)
    named = f": {', '.join(titles)}" if any(titles) else ""
    words = f"{_count(len(images), 'image')}, each above its mask{named}. Classes: {', '.join(n for n, _ in entries)}."
    return sheet.picture(name=f"{_count(len(images), 'image')} and {_count(len(images), 'mask')}", alt=words)


def patch_grid(image: np.ndarray, patch_size: int, *, highlighted: Sequence[int] = ()) -> Picture:
    """Show the image cut into patches of `patch_size` pixels, drawn a little apart.

    `highlighted` holds numbers of patches, counted row by row from 0: those are outlined and numbered, the others
    faded. A patch that the image does not fill stays open at its end.
    Raises ValueError for a patch size below 1, or a number that no patch has.
    """
    image = _pixels(image)
    if patch_size < 1:
        raise ValueError(f"a patch has at least 1 pixel per side, not {patch_size}")
    rows, columns = patchwork.grid_of(image, patch_size)
    if wrong := [number for number in highlighted if not 0 <= number < rows * columns]:
        raise ValueError(f"{rows}×{columns} patches are numbered 0 to {rows * columns - 1}: there is no {wrong[0]}")
    side, gap = patchwork.side_of((rows, columns), INNER), patchwork.GAP
    sheet = Sheet(2 * MARGIN + columns * (side + gap) - gap, 2 * MARGIN + rows * (side + gap) - gap)
    patchwork.draw_patches(sheet, image, patch_size, highlighted, side)
    for number in highlighted:
        patchwork.draw_number(sheet, number, patchwork.rect_of(number, columns, side))
    name = f"{rows}×{columns} patches of {patch_size}×{patch_size} pixels"
    marked = f" Outlined: patch {', '.join(map(str, highlighted))}; the others are faded." if len(highlighted) else ""
    return sheet.picture(name=name, alt=f"The image cut into {name}, drawn apart.{marked}")


def matrices(
    named: Mapping[str, np.ndarray],
    *,
    rows: str = "query",
    columns: str = "key",
    digits: int | None = None,
    limit: float | None = None,
) -> Picture:
    """Show matrices as heat maps side by side, in one scale: paper for 0, the accent for the largest, blue below 0.

    `rows` and `columns` say what the axes count; `digits` writes each value with so many decimals, for small
    matrices. `limit` is the value of the full colour; without it that is the largest value, or, where few of many
    values tower above the rest, one that 199 of 200 stay below.
    Raises ValueError for none, and for anything but arrays of two axes.
    """
    arrays = {name: np.asarray(values, dtype=float) for name, values in named.items()}
    if not arrays:
        raise ValueError("there is no matrix to show")
    for name, values in arrays.items():
        if values.ndim != 2 or not values.size:
            raise ValueError(f"a matrix has rows and columns, but {name!r} has the shape {values.shape}")
    every = list(arrays.values())
    limits = heatmap.limits_of(every, limit)
    cells = heatmap.cell_sizes(every, digits=digits, max_width=INNER)
    rects, (width, bottom) = heatmap.matrix_rects(arrays, cells, max_width=INNER)
    below = bottom + 2 * UNIT
    sheet = Sheet(2 * MARGIN + max(width, heatmap.BAR + 3 * UNIT), below + heatmap.BAR_HEIGHT + MARGIN - UNIT)
    for (name, values), rect in zip(arrays.items(), rects, strict=True):
        heatmap.draw_matrix(sheet, rect, name, values, axes=(rows, columns), limits=limits)
        if digits is not None:
            heatmap.draw_digits(sheet, rect, values, digits, limits)
    heatmap.draw_bar(sheet, sheet.width - MARGIN - heatmap.BAR, below, limits)
    many = f"{len(arrays)} matrices" if len(arrays) > 1 else "1 matrix"
    shapes = ", ".join(f"{name} ({v.shape[0]}×{v.shape[1]})" for name, v in arrays.items())
    words = f"{many} as heat maps, one row per {rows}, one column per {columns}: {shapes}."
    return sheet.picture(name=f"{many}: {', '.join(arrays)}", alt=words + heatmap.read_out(arrays, digits))


def map_of_maps(maps: np.ndarray) -> Picture:
    """Show (h, w, h, w) values: at each position of the grid a small map of how it relates to all positions.

    At most eight rows and columns of positions are drawn, evenly thinned; each map has all of its h × w values, and a
    ring at its own position. The colours are those of `matrices`.
    Raises ValueError for another shape.
    """
    maps = np.asarray(maps, dtype=float)
    if maps.ndim != 4 or maps.shape[:2] != maps.shape[2:] or not maps.size:
        raise ValueError(f"a map of maps has the shape (h, w, h, w), not {maps.shape}")
    h, w = maps.shape[:2]
    limits = heatmap.limits_of([maps])
    down, across = (heatmap.thinned(count, MOST_MAPS) for count in (h, w))
    cell = heatmap.map_cell((h, w), (len(down), len(across)), INNER - heatmap.AXIS - UNIT)
    left, top = MARGIN + heatmap.AXIS + UNIT, MARGIN + heatmap.AXIS
    xs, ys = (
        start + np.arange(n) * (size * cell + heatmap.MAP_GAP)
        for start, n, size in ((left, len(across), w), (top, len(down), h))
    )
    words = "row and column of the query"
    right = max(xs[-1] + w * cell, left + text_width(words, size=SMALL) + 2 * UNIT + heatmap.BAR)
    bottom = ys[-1] + h * cell
    sheet = Sheet(right + MARGIN, bottom + 2 * UNIT + heatmap.BAR_HEIGHT + MARGIN - UNIT)
    for row, y in zip(down, ys, strict=True):
        sheet.text(left - UNIT, y + h * cell / 2, str(row), size=SMALL, colour=MUTED, ha="right")
        for column, x in zip(across, xs, strict=True):
            heatmap.draw_map(sheet, (x, y, w * cell, h * cell), maps[row, column], (row, column), limits)
    for column, x in zip(across, xs, strict=True):
        sheet.text(x + w * cell / 2, top - 12, str(column), size=SMALL, colour=MUTED, ha="center")
    heatmap.draw_bar(sheet, right - heatmap.BAR, bottom + 2 * UNIT, limits)
    sheet.text(left, bottom + 2 * UNIT + 4, words, size=SMALL, colour=MUTED)
    thinned = "" if (len(down), len(across)) == (h, w) else f" of {h}×{w}"
    name = f"{len(down)}×{len(across)} maps{thinned}, each of {h}×{w}"
    words = "A grid of small maps: at each position, how it relates to all others; a ring marks its own."
    return sheet.picture(name=name, alt=f"{words} {name} positions.")


def shape_flow(steps: Sequence[Sequence[str]], *, highlighted: Sequence[str] = ()) -> Picture:
    """Draw a box for each step, with arrows from one to the next: (name, shape) or (name, shape, how it came about).

    The boxes whose names are in `highlighted` have the accent colour. What is too wide goes on in a second line.
    Raises ValueError for none, for a step of other than two or three words, and for a highlighted name without a step.
    """
    if not steps or any(len(step) not in (2, 3) for step in steps):
        raise ValueError("a step is (name, shape) or (name, shape, how it came about), and there is at least one")
    if unknown := [name for name in highlighted if name not in [step[0] for step in steps]]:
        raise ValueError(f"no step is called {unknown[0]!r}")
    placed = flow_diagram.steps_of(steps, WIDTH - 2 * MARGIN)
    lines = placed[-1].line + 1
    words = max(len(step.how) for step in placed)
    pitch = flow_diagram.BOX + 2 * UNIT + words * TEXT_LINE + (UNIT if words else 0)
    right = max(step.x + step.width for step in placed)
    sheet = Sheet(2 * MARGIN + right, 2 * MARGIN + lines * pitch - (3 if words else 2) * UNIT + UNIT)
    for number, step in enumerate(placed):
        top = MARGIN + step.line * pitch
        flow_diagram.draw_step(sheet, step, top, highlighted=step.name in highlighted, arrow=number > 0)
    listed = [f"{name}, {shape}{', ' + how[0] if how else ''}" for name, shape, *how in steps]
    name = f"the shapes of {len(steps)} steps" if len(steps) > 1 else "the shape of 1 step"
    return sheet.picture(name=name, alt=f"Boxes with arrows from one to the next: {'; '.join(listed)}.")


def _pixels(image: np.ndarray) -> np.ndarray:
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3):
        raise ValueError(f"an image is uint8 (H, W, 3) or (H, W), not {image.dtype} {image.shape}")
    return image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)


def _same_number(images: Sequence[np.ndarray], others: Sequence, what: str) -> list[np.ndarray]:
    if not len(images) or len(images) != len(others):
        raise ValueError(f"there is one {what} for each image: {len(images)} and {len(others)} do not fit")
    return [_pixels(image) for image in images]


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
