"""The figures of chapter 03: from an image to tokens, the filters of the embedding, the centres of two grids."""

from collections.abc import Mapping

import numpy as np

from vitseg_lib.course.figures.heatmap import Limits, paint
from vitseg_lib.course.figures.layout import MARGIN
from vitseg_lib.course.figures.picture import ACCENT, INK, MUTED, RULE, SMALL, UNIT, Picture, Sheet
from vitseg_lib.course.figures.pipeline_strip import scene

FILTER = 38  # CSS pixels: the side of a drawn filter
PITCH = FILTER + 6
COLUMNS = 16
TITLE = 26
LENGTH = 60 * UNIT  # of a row of old positions
BAR = 3 * UNIT  # its height
BETWEEN = 4 * UNIT  # from the old positions down to the new ones
TINT = "#f4d9cb"
WHITE = "#ffffff"

SIDE = 34  # the flow: a patch in the image
TILE = 26  # a patch in the list
ROW = 36  # from one token to the next
STRIP = 104  # the length of a drawn token
ROWS = ("class token", "1", "2", "3", "⋮", "16")
FLOW_WORDS = (
    "An image of 4×4 patches. Cut row by row, they become a list: patch 1, 2, 3 and so on to 16. The same linear layer "
    "makes a token, a row of C numbers, of each. A learnt class token, which comes from no patch, stands in front of "
    "them. To every one of the 1 + N tokens its own row of the position embedding is added; the sums go into the "
    "encoder."
)


def patch_flow() -> Picture:
    """Draw the chapter's data flow: image, patches, tokens, the class token in front, positions added."""
    sheet = Sheet(94 * UNIT, 2 * MARGIN + len(ROWS) * ROW + 44)
    top = MARGIN + 34
    image, list_of, token = MARGIN, MARGIN + 4 * (SIDE + 4) + 52, MARGIN + 4 * (SIDE + 4) + 184
    position, end = token + STRIP + 40, token + 2 * STRIP + 92
    first = top + (len(ROWS) * ROW - 4 * (SIDE + 4)) / 2
    patches = [scene(96)[0][24 * row : 24 * row + 24, 24 * c : 24 * c + 24] for row in range(4) for c in range(4)]
    for number, pixels in enumerate(patches):
        row, column = divmod(number, 4)
        sheet.image(image + column * (SIDE + 4), first + row * (SIDE + 4), SIDE, SIDE, pixels)
    middle = first + 2 * (SIDE + 4) - 2
    sheet.arrow((list_of - 44, middle), (list_of - 8, middle))
    sheet.text(list_of - 26, middle - 12, "cut", size=SMALL, colour=MUTED, ha="center")
    rng = np.random.default_rng(3)
    filters_of_8, class_token = rng.normal(size=(24 * 24 * 3, 8)) / 40, rng.normal(size=8)
    for number, name in enumerate(ROWS):
        y, pixels = top + number * ROW, patches[int(name) - 1] if name.isdigit() else None
        vector = class_token if pixels is None else (pixels.ravel() / 127.5 - 1) @ filters_of_8 * 2
        _draw_row(sheet, y, name, pixels, (list_of, token, position, end), (vector, rng.normal(size=8)))
    sheet.rounded(end, top - 4, 9 * UNIT, len(ROWS) * ROW - 2, radius=6, face=WHITE, edge=RULE)
    sheet.text(end + 4.5 * UNIT, top + len(ROWS) * ROW / 2, "encoder", ha="center")
    bottom = top + len(ROWS) * ROW + 8
    heads = ((image, "image", "3 × H × W"), (list_of - 8, "patches", "N × 3·p·p"), (token, "tokens", "(1 + N) × C"))
    for x, name, shape in (*heads, (position, "positions", "(1 + N) × C")):
        sheet.text(x, MARGIN + 4, name, bold=True)
        sheet.text(x, bottom, shape, size=SMALL, colour=MUTED, mono=True)
    sheet.text((list_of + TILE + token) / 2, top + ROW - 6, "W x + b", size=SMALL, colour=MUTED, ha="center", mono=True)
    return sheet.picture(name="from an image to tokens", alt=FLOW_WORDS)


def _draw_row(
    sheet: Sheet, y: float, name: str, pixels: np.ndarray | None, xs: tuple[float, ...], vectors: tuple[np.ndarray, ...]
) -> None:
    """One token's way: its patch, its vector, its position, and on into the encoder."""
    list_of, token, position, end = xs
    middle, is_class = y + TILE / 2, name == "class token"
    if name == "⋮":
        for x in (list_of + TILE / 2, token + STRIP / 2, position + STRIP / 2):
            sheet.text(x, middle, "⋮", colour=MUTED, ha="center")
        return
    if pixels is None:
        sheet.text(token - UNIT, middle, "class token, learnt", size=SMALL, colour=ACCENT, ha="right")
    else:
        sheet.image(list_of, y, TILE, TILE, pixels)
        sheet.text(list_of - 6, middle, name, size=SMALL, colour=MUTED, ha="right")
        sheet.arrow((list_of + TILE + 6, middle), (token - 6, middle))
    for x, one in zip((token, position), vectors, strict=True):
        sheet.image(x, y + 3, STRIP, TILE - 6, paint(one[None], Limits(-2.5, 2.5, beyond=False)))
        sheet.box(x, y + 3, STRIP, TILE - 6, edge=ACCENT if is_class and x == token else RULE, line=1.4)
    sheet.text((token + STRIP + position) / 2, middle, "+", ha="center", bold=True)
    sheet.arrow((position + STRIP + 8, middle), (end - 6, middle))


def filters(groups: Mapping[str, np.ndarray]) -> Picture:
    """Show filters (n, 3, p, p) as colours, one titled group of them after the other.

    Each filter has its own scale: middle grey is 0, its largest value, of either sign, fills a channel.
    Raises ValueError for none, and for arrays of another shape.
    """
    arrays = {name: np.asarray(values, dtype=float) for name, values in groups.items()}
    if not arrays or any(values.ndim != 4 or values.shape[1] != 3 or not values.size for values in arrays.values()):
        raise ValueError("filters come in groups of the shape (n, 3, p, p)")
    columns = min(COLUMNS, max(map(len, arrays.values())))
    lines = sum(-(-len(values) // columns) for values in arrays.values())
    width = 2 * MARGIN + max(columns * PITCH, 30 * UNIT)
    sheet = Sheet(width, 2 * MARGIN - UNIT + len(arrays) * (TITLE + UNIT) + lines * PITCH - UNIT)
    y = float(MARGIN - UNIT)
    for name, values in arrays.items():
        sheet.text(MARGIN, y + TITLE / 2, name, size=SMALL, colour=MUTED)
        y += TITLE
        for number, values_of_one in enumerate(values):
            line, column = divmod(number, columns)
            sheet.image(MARGIN + column * PITCH, y + line * PITCH, FILTER, FILTER, coloured(values_of_one))
        y += -(-len(values) // columns) * PITCH + UNIT
    counted = ", ".join(f"{len(values)} under the title “{name}”" for name, values in arrays.items())
    count = sum(map(len, arrays.values()))
    words = f"{count} filters as small colour images, middle grey where a filter is 0: {counted}."
    return sheet.picture(name=f"{count} filters", alt=words)


def coloured(values: np.ndarray) -> np.ndarray:
    """A filter (3, p, p) as an image, uint8 (p, p, 3): 0 is middle grey, its largest value fills a channel."""
    scaled = values / max(np.abs(values).max(), 1e-12)
    return (127.5 + 127.5 * scaled + 0.5).clip(0, 255).astype(np.uint8).transpose(1, 2, 0)


def centres(old: int, new: int, highlighted: int) -> Picture:
    """Draw `old` positions in a row over as many or more `new` ones: with half-pixel centres, and with aligned corners.

    A line leads from the centre of the new position `highlighted` to where it lies among the old ones; the number at
    its end counts old positions from 0, and the two old positions beside it are tinted.
    Raises ValueError for fewer than two positions, for fewer new ones, or for a highlighted one that is not there.
    """
    if not 2 <= old <= new or not 0 <= highlighted < new:
        raise ValueError(f"at least two old positions, as many new ones, one of those: not {old}, {new}, {highlighted}")
    halves = (highlighted + 0.5) * old / new - 0.5
    corners = highlighted * (old - 1) / (new - 1)
    block = TITLE + 2 * BAR + BETWEEN + 4 * UNIT
    sheet = Sheet(2 * MARGIN + LENGTH, 2 * (block + MARGIN) - UNIT)
    title = "half-pixel centres (align_corners=False)"
    _draw_rows(sheet, MARGIN - UNIT, title, old, new, highlighted, at=halves, pitch=LENGTH / new)
    title = "outermost centres aligned (align_corners=True)"
    pitch = (old - 1) * LENGTH / old / (new - 1)
    _draw_rows(sheet, MARGIN + block, title, old, new, highlighted, at=corners, pitch=pitch)
    words = (
        f"{old} old positions in a row over {new} new ones, drawn twice. With half-pixel centres both rows are equally "
        f"long, and new position {highlighted} lies at {halves:.2f} of the old ones; with the outermost centres "
        f"aligned the new row is no longer than the old one, and it lies at {corners:.2f}."
    )
    return sheet.picture(name=f"{old} positions over {new}", alt=words)


def _draw_rows(
    sheet: Sheet, top: float, title: str, old: int, new: int, highlighted: int, *, at: float, pitch: float
) -> None:
    """One pair of rows: the old positions fill the width; the new ones, `pitch` wide, stand centred below them."""
    side, first = LENGTH / old, (LENGTH - new * pitch) / 2
    sheet.text(MARGIN, top + TITLE / 2, title, size=SMALL, colour=MUTED)
    y = top + TITLE + UNIT
    beside = {int(np.floor(at)), int(np.floor(at)) + 1}
    for n in range(old):
        face = TINT if n in beside else WHITE
        sheet.box(MARGIN + n * side, y, side, BAR, face=face, edge=RULE)
        _dot(sheet, MARGIN + (n + 0.5) * side, y + BAR / 2, INK)
        if n % max(1, old // 4) == 0 or n in beside:
            sheet.text(MARGIN + (n + 0.5) * side, y - 6, str(n), size=9, colour=MUTED, ha="center")
    below = y + BAR + BETWEEN
    for n in range(new):
        x = MARGIN + first + n * pitch
        sheet.box(x, below, pitch, BAR, face=WHITE, edge=RULE)
        _dot(sheet, x + pitch / 2, below + BAR / 2, MUTED)
    x = MARGIN + first + (highlighted + 0.5) * pitch
    sheet.box(x - pitch / 2, below, pitch, BAR, edge=ACCENT, line=2)
    sheet.line([x, x], [below + BAR / 2, y + BAR / 2], colour=ACCENT, line=1.6)
    for height in (y + BAR / 2, below + BAR / 2):
        _dot(sheet, x, height, ACCENT, size=7)
    sheet.text(x + UNIT, y + BAR + BETWEEN / 2, f"{at:.2f}", colour=ACCENT, bold=True)
    sheet.text(x, below + BAR + 1.5 * UNIT, f"new position {highlighted}", size=SMALL, colour=ACCENT, ha="center")


def _dot(sheet: Sheet, x: float, y: float, colour: str, *, size: float = 4) -> None:
    sheet.rounded(x - size / 2, y - size / 2, size, size, radius=size / 2, face=colour)
