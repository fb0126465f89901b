"""The drawing that opens every chapter: the whole segmenter as a strip of boxes, the chapter's own highlighted.

The boxes carry the names of the library's files; the strip turns after the encoder and comes back below, and the
training loop closes it. At each arrow stands the shape of what passes, for `deit_s16_mln_160k` and a crop of 512×512.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from vitseg_lib.course.figures.picture import ACCENT, INK, MUTED, PAPER, RULE, Picture, Sheet, text_width

TILE = 64  # CSS pixels: the side of a box
PITCH = 100  # from one box to the next
LEFT, TOP = 18, 52  # of the first box
IN_LINE = 5  # boxes from left to right; the others below them run back, so that the type is read on a narrow screen
LOOP = TOP + TILE + 84  # the height of the training loop, between the lines
BELOW = LOOP + 36  # the top of the lower line
NAME, TYPE = 13, 11  # text heights
WHITE = "#ffffff"
GOOD = "#2f7d4f"
FILLED = {"none": (WHITE, RULE), "some": (WHITE, GOOD), "all": ("#d9ecdf", GOOD)}  # face and edge of a box

Draw = Callable[[Sheet, float, float, str], None]


@dataclass(frozen=True)
class Box:
    """One file of the library: its package, what it returns, and how its icon is drawn."""

    name: str
    package: str
    gives: str
    draw: Draw


def scene(size: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """A hill, a house and a tree drawn by formula: image (size, size, 3) and its ADE20K colours, uint8."""
    y, x = (np.mgrid[:size, :size] + 0.5) / size
    hill = y > 0.62 - 0.16 * np.sin(3.2 * x + 0.3)
    field = y > 0.74 - 0.04 * np.cos(5 * x)
    wall = (abs(x - 0.33) < 0.15) & (y > 0.5) & (y < 0.8)
    roof = (y > 0.3) & (y < 0.52) & (abs(x - 0.33) < 0.95 * (y - 0.3))
    trunk = (abs(x - 0.74) < 0.03) & (y > 0.6) & (y < 0.82)
    crown = (x - 0.74) ** 2 + (y - 0.47) ** 2 < 0.029
    light = (1.06 - 0.22 * y)[..., None]
    image = np.array([176, 208, 226]) * (0.86 + 0.3 * y[..., None])
    labels = np.full((size, size, 3), (6, 230, 230))
    parts = (
        (hill, (136, 158, 128), (143, 255, 140)),  # mountain
        (field, (188, 182, 118), (4, 250, 7)),  # grass
        (wall, (232, 220, 200), (255, 9, 224)),  # house
        (roof, (178, 92, 66), (255, 9, 224)),
        (trunk, (104, 80, 60), (4, 200, 3)),  # tree
        (crown, (74, 116, 74), (4, 200, 3)),
    )
    for where, paint, colour in parts:
        image = np.where(where[..., None], np.array(paint) * light, image)
        labels = np.where(where[..., None], colour, labels)
    return image.clip(0, 255).astype(np.uint8), labels.astype(np.uint8)


def _photo(sheet: Sheet, x: float, y: float, ink: str) -> None:
    sheet.image(x + 8, y + 8, 48, 48, scene(96)[0])


def _crop(sheet: Sheet, x: float, y: float, ink: str) -> None:
    image = scene(96)[0][:, ::-1]
    faded = (image * 0.35 + 255 * 0.65).astype(np.uint8)
    faded[28:92, 8:72] = image[28:92, 8:72]
    sheet.image(x + 8, y + 8, 48, 48, faded)
    sheet.box(x + 12, y + 22, 32, 32, edge=ink, line=1.6)


def _patches(sheet: Sheet, x: float, y: float, ink: str) -> None:
    image = scene(96)[0]
    for row in range(4):
        for column in range(4):
            piece = image[24 * row : 24 * row + 24, 24 * column : 24 * column + 24]
            sheet.image(x + 8 + 13 * column, y + 8 + 13 * row, 10, 10, piece)


def _attention(sheet: Sheet, x: float, y: float, ink: str) -> None:
    weights = ((2, 4, 1, 0), (4, 9, 3, 1), (1, 5, 0, 6), (0, 1, 2, 8))
    for row in range(4):
        for column in range(4):
            left, top = x + 8 + 13 * column, y + 8 + 13 * row
            sheet.box(left, top, 10, 10, face=ink, alpha=0.08 + 0.09 * weights[row][column])
    sheet.box(x + 19.5, y + 19.5, 13, 13, edge=ink, line=1.6)


def _layers(sheet: Sheet, x: float, y: float, ink: str) -> None:
    for layer in range(12):
        selected = layer % 3 == 2
        top = y + 52.5 - 4 * layer
        sheet.box(x + 12, top, 32, 2.6, face=ink, alpha=1 if selected else 0.35)
        if selected:
            sheet.line([x + 44, x + 53], [top + 1.3, top + 1.3], colour=ink, line=1.4)


def _pyramid(sheet: Sheet, x: float, y: float, ink: str) -> None:
    for side, left, top in ((28, 8, 28), (16, 27, 20), (9, 39, 13), (5, 48, 8)):
        sheet.box(x + left, y + top, side, side, face=WHITE if ink != WHITE else ACCENT, edge=ink, line=1.4)


def _top_down(sheet: Sheet, x: float, y: float, ink: str) -> None:
    for level, (width, tone) in enumerate(((10, 1), (20, 0.8), (32, 0.6), (48, 0.4))):
        sheet.box(x + 32 - width / 2, y + 9 + 13 * level, width, 6, face=ink, alpha=tone)
        if level:
            sheet.line([x + 32, x + 32], [y + 2.5 + 13 * level, y + 8.5 + 13 * level], colour=ink, line=1.2)


def _labels(sheet: Sheet, x: float, y: float, ink: str) -> None:
    sheet.image(x + 8, y + 8, 48, 48, scene(96)[1])


def _overlap(sheet: Sheet, x: float, y: float, ink: str) -> None:
    sheet.box(x + 22, y + 22, 20, 20, face=ink, alpha=0.55)
    for corner in (10, 22):
        sheet.box(x + corner, y + corner, 32, 32, edge=ink, line=1.4)


BOXES = (
    Box("ade20k", "data", "512 × 683 × 3", _photo),
    Box("transforms", "data", "3 × 512 × 512", _crop),
    Box("patches", "model", "1024 × 384", _patches),
    Box("attention", "model", "1025 × 384", _attention),
    Box("encoder", "model", "4 × 384 × 32²", _layers),
    Box("neck", "model", "128² 64² 32² 16²", _pyramid),
    Box("upernet", "model", "150 × 128 × 128", _top_down),
    Box("inference", "engine", "512 × 683", _labels),
    Box("metrics", "engine", "mIoU", _overlap),
)
LOOP_BOXES = {"cli": 0, "recipes": 1, "training": 2, "loss": 3}  # around the model, and in which column
NAMES = (*(box.name for box in BOXES), *LOOP_BOXES)


def pipeline_strip(*highlighted: str, yours: Mapping[str, str] | None = None) -> Picture:
    """Draw the strip with the named boxes highlighted, if any.

    `yours` says of a box whether "all", "some" or "none" of it is the learner's (`course.mine.boxes`); it is filled.
    Raises ValueError for a name that is no box: the names are `pipeline_strip.NAMES`.
    """
    yours = yours or {}
    if unknown := [name for name in highlighted if name not in NAMES]:
        raise ValueError(f"no box is called {unknown[0]!r}; the boxes are {', '.join(NAMES)}")
    sheet = Sheet(2 * LEFT + PITCH * (IN_LINE - 1) + TILE, BELOW + TILE + 84)
    for below in (False, True):
        for package in ("data", "model", "engine"):
            _draw_package(sheet, package, below=below)
    _draw_loop(sheet, highlighted, yours)
    for index, box in enumerate(BOXES):
        _draw_box(sheet, index, highlighted=box.name in highlighted, yours=yours.get(box.name, "none"))
        _draw_flow(sheet, index)
    name = f"the pipeline, {' and '.join(highlighted)} highlighted" if highlighted else "the pipeline"
    return sheet.picture(name=name, alt=_words(highlighted, yours))


def _words(highlighted: tuple[str, ...], yours: Mapping[str, str]) -> str:
    flow = ", ".join(f"{box.name} gives {box.gives}" for box in BOXES)
    here = f" Highlighted: {' and '.join(highlighted)}." if highlighted else ""
    for much, words in (("all", "Yours"), ("some", "Partly yours")):
        boxes = [name for name, found in yours.items() if found == much]
        here += f" {words}: {', '.join(boxes)}." if boxes else ""
    return (
        f"The segmenter as a strip of boxes that turns after {BOXES[IN_LINE - 1].name}. {flow}. From upernet's logits "
        f"a line runs back through loss and training to the model; cli and recipes stand where it begins.{here}"
    )


def _corner(index: int) -> tuple[float, float]:
    """The top left corner of a box: the first ones from left to right, the others below them and back."""
    column = index if index < IN_LINE else 2 * IN_LINE - 1 - index
    return LEFT + PITCH * column, TOP if index < IN_LINE else BELOW


def _draw_package(sheet: Sheet, package: str, *, below: bool) -> None:
    """A rule along the boxes of one package, on the outer side of its line."""
    inside = [_corner(n)[0] for n, box in enumerate(BOXES) if box.package == package and (n >= IN_LINE) == below]
    if not inside:
        return
    left, right = min(inside), max(inside) + TILE
    rule, name = (BELOW + TILE + 50, BELOW + TILE + 64) if below else (TOP - 14, TOP - 27)
    sheet.line([left, right], [rule, rule], colour=RULE, line=1)
    sheet.text(left, name, package, size=TYPE, colour=MUTED)


def _draw_box(sheet: Sheet, index: int, *, highlighted: bool, yours: str) -> None:
    box, (x, y) = BOXES[index], _corner(index)
    face, edge = (ACCENT, ACCENT) if highlighted else FILLED[yours]
    sheet.rounded(x, y, TILE, TILE, radius=6, face=face, edge=edge)
    box.draw(sheet, x, y, WHITE if highlighted else INK)
    if yours == "all":
        sheet.text(x + TILE - 8, y + 9, "✓", size=NAME, colour=GOOD, bold=True, ha="right")
    colour = ACCENT if highlighted else INK
    sheet.text(x + TILE / 2, y + TILE + 15, box.name, size=NAME, colour=colour, bold=highlighted, ha="center")


def _draw_flow(sheet: Sheet, index: int) -> None:
    """The arrow to the next box, and what passes under it; after the last box, what comes out."""
    box, (x, y), gap = BOXES[index], _corner(index), PITCH - TILE
    middle = y + TILE / 2
    if index + 1 == IN_LINE:
        x += TILE / 2
        sheet.arrow((x, y + TILE + 28), (x, BELOW - 4))
        width = text_width(box.gives, size=TYPE) + 8
        sheet.box(x - width / 2, LOOP - 11, width, 20, face=PAPER)
        sheet.text(x, LOOP, box.gives, size=TYPE, colour=MUTED, ha="center")
        return
    start, end = (x + TILE, x + PITCH) if index < IN_LINE else (x, x - gap)
    step = 4 if end > start else -4
    sheet.arrow((start + step, middle), (end - step, middle))
    if index + 1 < len(BOXES):
        shift = 10 if box.name == "neck" else 0  # the longest two would touch
        sheet.text((start + end) / 2 + shift, y + TILE + 35, box.gives, size=TYPE, colour=MUTED, ha="center")
    else:
        sheet.text(end - 8, middle, box.gives, size=NAME, bold=True, ha="right")
    if box.name == "attention":
        sheet.text((start + end) / 2, middle - 13, "× 12", size=TYPE, colour=MUTED, ha="center")


def _draw_loop(sheet: Sheet, highlighted: tuple[str, ...], yours: Mapping[str, str]) -> None:
    """What surrounds the model: the loss that flows back from its end, and what builds it at its beginning."""
    centres = {name: LEFT + PITCH * column + TILE / 2 for name, column in LOOP_BOXES.items()}
    sheet.line([centres["cli"], centres["loss"], centres["loss"]], [LOOP, LOOP, BELOW - 4])
    sheet.arrow((centres["training"], LOOP), (centres["training"], TOP + TILE + 28))
    for name, middle in centres.items():
        _draw_pill(sheet, middle, name, highlighted=name in highlighted, yours=yours.get(name, "none"))


def _draw_pill(sheet: Sheet, middle: float, name: str, *, highlighted: bool, yours: str) -> None:
    width = text_width(name, size=NAME, bold=True) + 22
    face, edge, colour = (ACCENT, ACCENT, WHITE) if highlighted else (*FILLED[yours], INK)
    sheet.rounded(middle - width / 2, LOOP - 12, width, 24, radius=12, face=face, edge=edge)
    sheet.text(middle, LOOP, name, size=NAME, colour=colour, bold=highlighted, ha="center")
