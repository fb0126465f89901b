"""The drawings of chapter 05: a Transformer block with its two branches, and the encoder with its taps.

The stream of tokens is a thick line; what is computed stands beside it, and every arrow is one that the code has.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from vitseg_lib.course.figures.layout import MARGIN, TEXT_LINE, wrapped
from vitseg_lib.course.figures.picture import ACCENT, BODY, INK, MUTED, RULE, SMALL, UNIT, Picture, Sheet

WORDS = {
    "pre-norm": "A pre-norm block: tokens run down a line with nothing on it but two sums. A branch of LayerNorm, "
    "attention and drop path leads to the first; one of LayerNorm, MLP and drop path, which leaves the line behind the "
    "first sum, to the second.",
    "post-norm": "A post-norm block: the branches are attention and drop path, then MLP and drop path; after each sum "
    "the line itself runs through a LayerNorm.",
}
NOTES = {
    "LayerNorm": "each token on a scale of its own",
    "attention": "between the tokens: (1 + N) × (1 + N) weights a head",
    "MLP": "each token alone: C → 4C, GELU, 4C → C",
    "drop path": "in training only: for some images, nothing is added",
}
BOX = 30  # CSS pixels: the height of a box
WIDE = 92  # its width
GAP = 16  # from one box of a branch to the next, with an arrow in it
TURN = 20  # from where a branch leaves the stream to its first box
REACH = 46  # from the stream to a branch's boxes
COLUMN = 260  # the width of a block
NOTE = 250  # the width of the words beside its boxes
PLUS = 9  # the radius of a sum
STREAM = 3.2
WHITE = "#ffffff"
TINTED = "#ecebe4"

STEP = 150  # the width of a box before the blocks
MAP = 40  # the side of a map
FIRST_BLOCK = MARGIN + STEP + 4 * UNIT
RIGHT = 92 * UNIT  # where the stream of the encoder ends


@dataclass
class Pen:
    """Where the drawing of a stream has come to: `y`, on a line that runs down at `x`."""

    sheet: Sheet
    x: float
    y: float
    noted: bool = False

    def stream(self, length: float) -> None:
        """Draw the stream on by `length`."""
        self.sheet.line([self.x, self.x], [self.y, self.y + length], colour=INK, line=STREAM)
        self.y += length

    def branch(self, *names: str) -> None:
        """Draw a branch beside the stream, and the stream past it down to its sum."""
        start, left, middle = self.y, self.x + REACH, self.x + REACH + WIDE / 2
        end = start + 2 * TURN + BOX * len(names) + GAP * (len(names) - 1)
        self.stream(end - start - PLUS)
        self.sheet.line([self.x, middle, middle], [start, start, start + TURN - 6], colour=MUTED, line=1.2)
        y = start + TURN
        for name in names:
            self.sheet.arrow((middle, y - 7), (middle, y - 1))
            draw_box(self.sheet, left, y, name)
            if self.noted:
                self.sheet.text(left + WIDE + 2 * UNIT, y + BOX / 2, NOTES[name], size=SMALL, colour=MUTED)
            y += BOX + GAP
            if name != names[-1]:
                self.sheet.line([middle, middle], [y - GAP, y - 6], colour=MUTED, line=1.2)
        ends = [middle, middle, self.x + PLUS + 6], [y - GAP, end, end]
        self.sheet.line(*ends, colour=MUTED, line=1.2)
        self.sheet.arrow((self.x + PLUS + 7, end), (self.x + PLUS + 1, end))
        draw_sum(self.sheet, self.x, end)
        self.y = end + PLUS

    def on_the_stream(self, name: str) -> None:
        """Draw a box that the stream itself runs through."""
        self.stream(TURN)
        draw_box(self.sheet, self.x - WIDE / 2, self.y, name)
        self.y += BOX


def draw_box(sheet: Sheet, x: float, y: float, name: str, *, width: float = WIDE, height: float = BOX) -> None:
    """A box with a name: attention, MLP and blocks in the accent colour, norms tinted."""
    accented = name in ("attention", "MLP") or name.isdigit()
    face, edge, ink = (ACCENT, ACCENT, WHITE) if accented else (WHITE, RULE, INK)
    face, edge = (TINTED, MUTED) if name == "LayerNorm" else (face, edge)
    sheet.rounded(x, y, width, height, radius=6, face=face, edge=edge)
    sheet.text(x + width / 2, y + height / 2, name, size=BODY, colour=ink, ha="center")


def draw_sum(sheet: Sheet, x: float, y: float) -> None:
    """A plus in a circle."""
    half = PLUS - 4
    sheet.rounded(x - PLUS, y - PLUS, 2 * PLUS, 2 * PLUS, radius=PLUS, face=WHITE, edge=INK, line=1.4)
    sheet.line([x - half, x + half], [y, y], colour=INK, line=1.4)
    sheet.line([x, x], [y - half, y + half], colour=INK, line=1.4)


def block_drawing(*kinds: str) -> Picture:
    """Draw a block of each kind, "pre-norm" or "post-norm", side by side; pre-norm alone, with notes, without any.

    Raises ValueError for another kind.
    """
    noted, kinds = not kinds, kinds or ("pre-norm",)
    if unknown := [kind for kind in kinds if kind not in WORDS]:
        raise ValueError(f"a block is {' or '.join(WORDS)}, not {unknown[0]!r}")
    heading = 0 if noted else 3 * UNIT
    width = 2 * MARGIN + COLUMN * len(kinds) + (NOTE if noted else 0)
    sheet = Sheet(width, heading + max(map(_height, kinds)) + 11 * UNIT)
    for number, kind in enumerate(kinds):
        x = MARGIN + number * COLUMN + WIDE / 2
        if not noted:
            sheet.text(MARGIN + number * COLUMN, 3 * UNIT, kind, bold=True)
        sheet.text(x + 2 * UNIT, heading + 3 * UNIT, "tokens, (1 + N) × C", size=SMALL, colour=MUTED)
        pen = Pen(sheet, x, heading + 2 * UNIT, noted)
        pen.stream(4 * UNIT)
        for name in ("attention", "MLP"):
            _draw_half(pen, kind, name)
        pen.stream(3 * UNIT)
        sheet.arrow((x, pen.y), (x, pen.y + UNIT), colour=INK, line=STREAM)
        sheet.text(x + 2 * UNIT, pen.y, "tokens, (1 + N) × C, for the next block", size=SMALL, colour=MUTED)
    return sheet.picture(name=f"a {' and a '.join(kinds)} block", alt=" ".join(WORDS[kind] for kind in kinds))


def _draw_half(pen: Pen, kind: str, name: str) -> None:
    if kind == "pre-norm":
        pen.branch("LayerNorm", name, "drop path")
    else:
        pen.branch(name, "drop path")
        pen.on_the_stream("LayerNorm")
    pen.stream(2 * UNIT)


def _height(kind: str) -> float:
    """How long the stream of a block is between its two labels."""
    boxes = 3 if kind == "pre-norm" else 2
    half = 2 * TURN + BOX * boxes + GAP * (boxes - 1) + PLUS + 2 * UNIT
    return 2 * (half + (0 if kind == "pre-norm" else TURN + BOX))


def encoder_drawing(out_indices: Sequence[int] = (1, 2, 4, 5), depth: int = 6, *, final_norm: bool = False) -> Picture:
    """Draw the encoder: what makes the tokens, the blocks on their stream, and a tap after each of `out_indices`.

    Raises ValueError for a tap that no block has.
    """
    if wrong := [index for index in out_indices if not 0 <= index < depth]:
        raise ValueError(f"blocks are numbered 0 to {depth - 1}: there is no {wrong[0]}")
    rows = (
        ("pixels", "3 × H × W"),
        ("patch embedding", "N × C"),
        ("class token in front", "(1 + N) × C"),
        ("+ position embedding", "(1 + N) × C"),
    )
    sheet = Sheet(RIGHT + MARGIN, 2 * MARGIN + len(rows) * 62 + 5 * UNIT)
    middle, y = MARGIN + STEP / 2, float(MARGIN)
    for number, (name, shape) in enumerate(rows):
        if number:
            sheet.arrow((middle, y - 18), (middle, y - 2))
        draw_box(sheet, MARGIN, y, "", width=STEP, height=42)
        sheet.text(middle, y + 13, name, ha="center")
        sheet.text(middle, y + 30, shape, size=SMALL, colour=MUTED, mono=True, ha="center")
        y += 62
    stream = y + BOX / 2
    sheet.line([middle, middle, FIRST_BLOCK], [y - 19, stream, stream], colour=INK, line=STREAM)
    _draw_blocks(sheet, stream, tuple(out_indices), depth, final_norm)
    taps = ", ".join(map(str, out_indices))
    norm = " A final LayerNorm stands behind the last block, so that only the last map is normalised." * final_norm
    words = (
        "Pixels go through the patch embedding; the class token is put in front, position embeddings are added. The "
        f"tokens then run along a line through {depth} blocks, numbered from 0. Behind blocks {taps} an arrow leads up "
        f"from the line to a map: the tokens without the class token, laid out as C × h × w.{norm}"
    )
    return sheet.picture(name=f"the encoder: {depth} blocks, {len(out_indices)} taps", alt=words)


def _draw_blocks(sheet: Sheet, y: float, out_indices: tuple[int, ...], depth: int, final_norm: bool) -> None:
    end = RIGHT - 2 * UNIT - (WIDE + 2 * UNIT if final_norm else 0)
    pitch = (end - FIRST_BLOCK) / depth
    wide, top = min(54, 0.62 * pitch), y - 15 * UNIT
    sheet.line([FIRST_BLOCK, RIGHT - UNIT], [y, y], colour=INK, line=STREAM)
    sheet.arrow((RIGHT - UNIT, y), (RIGHT, y), colour=INK, line=STREAM)
    for index in range(depth):
        draw_box(sheet, FIRST_BLOCK + index * pitch, y - BOX / 2, str(index), width=wide)
    if final_norm:
        draw_box(sheet, end, y - BOX / 2, "LayerNorm")
    for index in out_indices:
        last = final_norm and index == depth - 1
        x = RIGHT - 2.5 * UNIT if last else FIRST_BLOCK + index * pitch + (wide + pitch) / 2
        sheet.rounded(x - 4, y - 4, 8, 8, radius=4, face=INK)
        sheet.line([x, x], [y - 5, top + MAP + 8], colour=MUTED, line=1.2)
        sheet.arrow((x, top + MAP + 9), (x, top + MAP + 2))
        _draw_map(sheet, min(x, RIGHT - MAP / 2) - MAP / 2, top)
    words = "a tap: the tokens behind that block, without the class token, laid out as a map C × h × w"
    for line, text in enumerate(wrapped(words, RIGHT - FIRST_BLOCK)):
        sheet.text(FIRST_BLOCK, top - 3 * UNIT + line * TEXT_LINE, text, size=SMALL, colour=MUTED)
    sheet.text(FIRST_BLOCK, y + BOX / 2 + 1.5 * UNIT, f"blocks 0 to {depth - 1}", size=SMALL, colour=MUTED)


def _draw_map(sheet: Sheet, x: float, y: float) -> None:
    """A square of four by four patches."""
    sheet.box(x, y, MAP, MAP, face=TINTED, edge=MUTED)
    for part in (0.25, 0.5, 0.75):
        sheet.line([x, x + MAP], [y + part * MAP] * 2, colour=RULE)
        sheet.line([x + part * MAP] * 2, [y, y + MAP], colour=RULE)
    sheet.box(x, y, MAP, MAP, edge=MUTED)
