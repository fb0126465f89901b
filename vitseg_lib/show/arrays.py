"""Pictures of arrays as they are: images in rows, patches, matrices, maps of maps, and the shapes between steps.

Images are uint8 (H, W, 3) RGB or (H, W) grey, labels uint8 (H, W) with 0..K-1 and 255 = ignored. Every function
returns a `Picture`, which shows itself as a cell's last value.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from vitseg_lib.data.ade20k import Classes
from vitseg_lib.show import colours, flow, heat, parts, patchwork
from vitseg_lib.show.parts import GAP, LEGEND_LINE, MARGIN, TEXT_LINE, TILE, WIDTH
from vitseg_lib.show.picture import MUTED, SMALL, UNIT, Picture, Sheet, text_width

WIDEST = 95 * UNIT  # CSS pixels: no sheet here is wider
ROOM = WIDEST - 2 * MARGIN  # what its margins leave


def image_row(
    images: Sequence[np.ndarray], titles: Sequence[str], *, columns: int = 3, to_scale: bool = False
) -> Picture:
    """Show images, each under its title, in lines of `columns`.

    With `to_scale` all have one scale, so that an image of half the pixels is drawn half as large.
    Raises ValueError if there is not one title an image, or an image is not uint8 (H, W, 3) or (H, W).
    """
    images = _same_number(images, titles, "title")
    tile = min(TILE, (ROOM - (columns - 1) * GAP) / columns)
    scale = min(tile / max(image.shape[1] for image in images), 1.25 * tile / max(i.shape[0] for i in images))
    lines = [range(start, min(start + columns, len(images))) for start in range(0, len(images), columns)]
    places, bottom = parts.tile_places(
        [[images[n] for n in line] for line in lines],
        titled=len(lines) if any(titles) else 0,
        tile=tile,
        heading=parts.heading_height(titles, tile),
        scale=scale if to_scale else None,
    )
    sheet = _sheet(parts.tile_width(places, tile), bottom + MARGIN)
    for line, row in zip(lines, places, strict=True):
        parts.draw_titles(sheet, [titles[n] for n in line], row[0][1], tile)
        for number, place in zip(line, row, strict=True):
            sheet.image(*place, images[number])
    words = f"{_count(len(images), 'image')} side by side: {', '.join(t or 'untitled' for t in titles)}."
    return sheet.picture(name=_count(len(images), "image"), alt=words)


def labelled_row(
    images: Sequence[np.ndarray], masks: Sequence[np.ndarray], titles: Sequence[str], *, classes: Classes
) -> Picture:
    """Show each image above its mask in the classes' colours, side by side, and a legend of what is in sight.

    Raises ValueError if there is not one mask and one title an image, or a mask differs in size from its image.
    """
    images = _same_number(images, titles, "title")
    _same_number(images, masks, "mask")
    for image, mask in zip(images, masks, strict=True):
        if image.shape[:2] != mask.shape:
            raise ValueError(f"an image and its mask differ in size: {image.shape[:2]} and {mask.shape}")
    tile = min(TILE, (ROOM - (len(images) - 1) * GAP) / len(images))
    rows = [images, [colours.flat(mask, classes) for mask in masks]]
    heading = parts.heading_height(titles, tile)
    places, bottom = parts.tile_places(rows, titled=1 if heading else 0, tile=tile, heading=heading)
    entries = parts.legend_entries(masks, classes)
    width = parts.tile_width(places, tile)
    lines = parts.legend_lines(entries, width - 2 * MARGIN)
    sheet = _sheet(width, bottom + 2 * UNIT + LEGEND_LINE * lines + MARGIN - UNIT)
    parts.draw_titles(sheet, titles, places[0][0][1], tile)
    for row, row_places in zip(rows, places, strict=True):
        for pixels, place in zip(row, row_places, strict=True):
            sheet.image(*place, pixels)
    parts.draw_legend(sheet, bottom + 2 * UNIT, entries)
    named = f": {', '.join(titles)}" if any(titles) else ""
    words = f"{_count(len(images), 'image')}, each above its mask{named}. In sight: {', '.join(n for n, _ in entries)}."
    return sheet.picture(name=f"{_count(len(images), 'image')} and {_count(len(images), 'mask')}", alt=words)


def patch_grid(
    image: np.ndarray, patch_size: int, *, lit: Sequence[int] = (), numbered: bool = False, gap: float = 3
) -> Picture:
    """Show the image cut into patches of `patch_size` pixels, drawn `gap` CSS pixels apart.

    `lit` holds numbers of patches, counted row by row from 0: those are outlined and numbered, the others
    faded. `numbered` writes every patch's number. A patch that the image does not fill stays open at its end.
    Raises ValueError for a patch size below 1, or a number that no patch has.
    """
    image = _pixels(image)
    if patch_size < 1:
        raise ValueError(f"a patch has at least 1 pixel a side, not {patch_size}")
    rows, columns = patchwork.grid_of(image, patch_size)
    if wrong := [number for number in lit if not 0 <= number < rows * columns]:
        raise ValueError(f"{rows}×{columns} patches are numbered 0 to {rows * columns - 1}: there is no {wrong[0]}")
    side = patchwork.side_of((rows, columns), gap, ROOM)
    sheet = _sheet(2 * MARGIN + columns * (side + gap) - gap, 2 * MARGIN + rows * (side + gap) - gap)
    patchwork.draw_patches(sheet, image, patch_size, lit, side=side, gap=gap)
    for number in range(rows * columns) if numbered else lit:
        place = patchwork.place_of(number, columns, side, gap)
        patchwork.draw_number(sheet, number, place, lit=number in lit)
    name = f"{rows}×{columns} patches of {patch_size}×{patch_size} pixels"
    marked = f" Outlined: patch {', '.join(map(str, lit))}; the others are faded." if len(lit) else ""
    return sheet.picture(name=name, alt=f"The image cut into {name}, drawn apart.{marked}")


def matrices(
    named: Mapping[str, np.ndarray],
    *,
    rows: str = "query",
    columns: str = "key",
    digits: int | None = None,
    limit: float | None = None,
    shared: bool = True,
) -> Picture:
    """Show matrices as heat maps side by side, in one scale: paper for 0, the accent for the largest, blue below 0.

    `rows` and `columns` say what the axes count; `digits` writes each value with so many decimals, for small
    matrices. `limit` is the value of the full colour; without it that is the largest value, or, where few of many
    values tower above the rest, one that 199 of 200 stay below. Without `shared` each matrix has its own scale.
    Raises ValueError for none, and for anything but arrays of two axes.
    """
    arrays = {name: np.asarray(values, dtype=float) for name, values in named.items()}
    if not arrays:
        raise ValueError("there is no matrix to show")
    for name, values in arrays.items():
        if values.ndim != 2 or not values.size:
            raise ValueError(f"a matrix has rows and columns, but {name!r} has the shape {values.shape}")
    every = list(arrays.values())
    limits = [heat.limits_of(every if shared else [values], limit) for values in every]
    cells = heat.cell_sizes(every, digits=digits, room=ROOM)
    foot = 0 if shared else heat.BAR_HEIGHT + UNIT
    places, (width, bottom) = heat.matrix_places(arrays, cells, room=ROOM, foot=foot)
    room = 2 * UNIT + heat.BAR_HEIGHT if shared else 0
    sheet = _sheet(2 * MARGIN + max(width, heat.BAR + 3 * UNIT), bottom + room + MARGIN - UNIT)
    for (name, values), place, own in zip(arrays.items(), places, limits, strict=True):
        heat.draw_matrix(sheet, place, name, values, axes=(rows, columns), limits=own)
        if digits is not None:
            heat.draw_digits(sheet, place, values, digits, own)
        if not shared:
            heat.draw_bar(sheet, place[0], place[1] + place[3] + UNIT, own, length=max(place[2], 5 * UNIT))
    if shared:
        left = sheet.width - MARGIN - heat.BAR
        heat.draw_bar(sheet, left, bottom + 2 * UNIT, limits[0])
    many = f"{len(arrays)} matrices" if len(arrays) > 1 else "1 matrix"
    shapes = ", ".join(f"{name} ({v.shape[0]}×{v.shape[1]})" for name, v in arrays.items())
    words = f"{many} as heat maps, a row for each {rows}, a column for each {columns}: {shapes}."
    return sheet.picture(name=f"{many}: {', '.join(arrays)}", alt=words + heat.read_out(arrays, digits))


def map_of_maps(maps: np.ndarray, *, places: int = 8, limit: float | None = None) -> Picture:
    """Show (h, w, h, w) values: at each place of the grid a little map of how it relates to all places.

    At most `places` rows and columns of places are drawn, evenly thinned; each map has all of its h × w values,
    and a ring at its own place. The colours are those of `matrices`.
    Raises ValueError for another shape.
    """
    maps = np.asarray(maps, dtype=float)
    if maps.ndim != 4 or maps.shape[:2] != maps.shape[2:] or not maps.size:
        raise ValueError(f"a map of maps has the shape (h, w, h, w), not {maps.shape}")
    h, w = maps.shape[:2]
    limits = heat.limits_of([maps], limit)
    down, across = (heat.thinned(count, places) for count in (h, w))
    cell = heat.map_cell((h, w), (len(down), len(across)), ROOM - heat.AXIS - UNIT)
    left, top = MARGIN + heat.AXIS + UNIT, MARGIN + heat.AXIS
    xs, ys = (
        start + np.arange(n) * (size * cell + heat.MAP_GAP)
        for start, n, size in ((left, len(across), w), (top, len(down), h))
    )
    words = "row and column of the patch that asks"
    right = max(xs[-1] + w * cell, left + text_width(words, size=SMALL) + 2 * UNIT + heat.BAR)
    bottom = ys[-1] + h * cell
    sheet = _sheet(right + MARGIN, bottom + 2 * UNIT + heat.BAR_HEIGHT + MARGIN - UNIT)
    for row, y in zip(down, ys, strict=True):
        sheet.text(left - UNIT, y + h * cell / 2, str(row), size=SMALL, colour=MUTED, ha="right")
        for column, x in zip(across, xs, strict=True):
            heat.draw_map(sheet, (x, y, w * cell, h * cell), maps[row, column], (row, column), limits)
    for column, x in zip(across, xs, strict=True):
        sheet.text(x + w * cell / 2, top - 12, str(column), size=SMALL, colour=MUTED, ha="center")
    heat.draw_bar(sheet, right - heat.BAR, bottom + 2 * UNIT, limits)
    sheet.text(left, bottom + 2 * UNIT + 4, words, size=SMALL, colour=MUTED)
    thinned = "" if (len(down), len(across)) == (h, w) else f" of {h}×{w}"
    name = f"{len(down)}×{len(across)} maps{thinned}, each of {h}×{w}"
    told = "A grid of little maps: at each place, how that place relates to all others; a ring marks its own."
    return sheet.picture(name=name, alt=f"{told} {name} places.")


def shape_flow(steps: Sequence[Sequence[str]], *, lit: Sequence[str] = ()) -> Picture:
    """Draw a box for each step, with arrows from one to the next: (name, shape) or (name, shape, how it came about).

    The boxes whose names are in `lit` have the accent colour. What is too wide goes on in a second line.
    Raises ValueError for none, for a step of other than two or three words, and for a lit name that no step has.
    """
    if not steps or any(len(step) not in (2, 3) for step in steps):
        raise ValueError("a step is (name, shape) or (name, shape, how it came about), and there is at least one")
    if unknown := [name for name in lit if name not in [step[0] for step in steps]]:
        raise ValueError(f"no step is called {unknown[0]!r}")
    placed = flow.steps_of(steps, WIDTH - 2 * MARGIN)
    lines = placed[-1].line + 1
    words = max(len(step.how) for step in placed)
    pitch = flow.BOX + 2 * UNIT + words * TEXT_LINE + (UNIT if words else 0)
    right = max(step.x + step.width for step in placed)
    sheet = _sheet(2 * MARGIN + right, 2 * MARGIN + lines * pitch - (3 if words else 2) * UNIT + UNIT)
    for number, step in enumerate(placed):
        flow.draw_step(sheet, step, MARGIN + step.line * pitch, lit=step.name in lit, arrow=number > 0)
    told = [f"{name}, {shape}{', ' + how[0] if how else ''}" for name, shape, *how in steps]
    name = f"the shapes of {len(steps)} steps" if len(steps) > 1 else "the shape of 1 step"
    return sheet.picture(name=name, alt=f"Boxes with arrows from one to the next: {'; '.join(told)}.")


def _sheet(width: float, height: float) -> Sheet:
    return Sheet(round(width), round(height))


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
