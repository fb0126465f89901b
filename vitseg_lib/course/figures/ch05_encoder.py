"""The drawing of a Transformer block: the stream of tokens as a thick line in two halves, a branch beside each."""

from dataclasses import dataclass

from vitseg_lib.course.figures.layout import MARGIN
from vitseg_lib.course.figures.picture import ACCENT, BODY, INK, MUTED, RULE, SMALL, UNIT, Picture, Sheet, text_width

WORDS = {
    "pre-norm": "A pre-norm block: tokens run along a line with nothing on it but two sums. Below it, a branch of "
    "LayerNorm, attention and drop path leads to the first; one of LayerNorm, MLP and drop path to the second.",
    "post-norm": "A post-norm block: the branches are attention and drop path, then MLP and drop path; after each sum "
    "the line itself runs through a LayerNorm.",
}
HALVES = {"attention": "first, between the tokens", "MLP": "then, each token alone"}
BOX = 30  # CSS pixels: the height of a box
GAP = 18  # from one box of a branch to the next, with an arrow in it
DEPTH = 60  # from the stream to the middle of a branch
TURN = 22  # from where a branch leaves the stream to its first box
ROW = 126
TITLE = 24
PLUS = 9  # the radius of a sum
STREAM = 3.2
WHITE = "#ffffff"
TINTED = "#ecebe4"


@dataclass
class Pen:
    """Where the drawing of a row has come to: `x`, on the stream at height `y`."""

    sheet: Sheet
    y: float
    x: float

    def stream(self, length: float) -> None:
        """Draw the stream on by `length`."""
        self.sheet.line([self.x, self.x + length], [self.y, self.y], colour=INK, line=STREAM)
        self.x += length

    def branch(self, *names: str) -> None:
        """Draw a branch below the stream, and the stream past it up to and over its sum."""
        widths = [_width(name) for name in names]
        start, middle = self.x, self.y + DEPTH
        end = start + 2 * TURN + sum(widths) + GAP * (len(names) - 1)
        self.stream(end - start - PLUS)
        self.x = end
        x = start + TURN
        self.sheet.line([start, start, x - 5], [self.y, middle, middle], colour=MUTED, line=1.2)
        self.sheet.arrow((x - 6, middle), (x - 1, middle))
        for number, (name, width) in enumerate(zip(names, widths, strict=True)):
            if number:
                self.sheet.arrow((x - GAP + 2, middle), (x - 1, middle))
            _draw_box(self.sheet, x, middle, width, name)
            x += width + GAP
        self.sheet.line([x - GAP + 2, end, end], [middle, middle, self.y + PLUS + 6], colour=MUTED, line=1.2)
        self.sheet.arrow((end, self.y + PLUS + 7), (end, self.y + PLUS + 1))
        self.plus()

    def plus(self) -> None:
        """Draw a sum on the stream."""
        side, half = 2 * PLUS, PLUS - 4
        self.sheet.rounded(self.x - PLUS, self.y - PLUS, side, side, radius=PLUS, face=WHITE, edge=INK, line=1.4)
        for across, down in ((half, 0), (0, half)):
            ends = [self.x - across, self.x + across], [self.y - down, self.y + down]
            self.sheet.line(*ends, colour=INK, line=1.4)
        self.x += PLUS

    def on_the_stream(self, name: str) -> None:
        """Draw a box that the stream itself runs through."""
        self.stream(TURN)
        _draw_box(self.sheet, self.x, self.y, _width(name), name)
        self.x += _width(name)


def block_drawing(*kinds: str) -> Picture:
    """Draw a block of each kind, "pre-norm" or "post-norm", one below the other; pre-norm alone without any.

    Raises ValueError for another kind.
    """
    kinds = kinds or ("pre-norm",)
    if unknown := [kind for kind in kinds if kind not in WORDS]:
        raise ValueError(f"a block is {' or '.join(WORDS)}, not {unknown[0]!r}")
    titled = TITLE if len(kinds) > 1 else 0
    sheet = Sheet(round(2 * MARGIN + max(map(_length, kinds))), 2 * UNIT + len(kinds) * (2 * ROW + titled))
    for number, kind in enumerate(kinds):
        top = UNIT + number * (2 * ROW + titled)
        if titled:
            sheet.text(MARGIN, top + 2 * UNIT, kind, bold=True)
        for half, name in enumerate(HALVES):
            _draw_half(Pen(sheet, top + titled + half * ROW + 5 * UNIT, MARGIN), kind, name)
    return sheet.picture(name=f"a {' and a '.join(kinds)} block", alt=" ".join(WORDS[kind] for kind in kinds))


def _draw_half(pen: Pen, kind: str, name: str) -> None:
    pen.sheet.text(pen.x, pen.y - 2 * UNIT, HALVES[name], size=SMALL, colour=MUTED)
    pen.stream(2 * UNIT)
    if kind == "pre-norm":
        pen.branch("LayerNorm", name, "drop path")
    else:
        pen.branch(name, "drop path")
        pen.on_the_stream("LayerNorm")
    pen.stream(2 * UNIT)
    pen.sheet.arrow((pen.x, pen.y), (pen.x + UNIT, pen.y), colour=INK, line=STREAM)


def _length(kind: str) -> float:
    """How long the longer half is: the boxes, and all the line between them."""
    between = 2 * TURN + 2 * GAP if kind == "pre-norm" else 3 * TURN + GAP
    return sum(map(_width, ("LayerNorm", "attention", "drop path"))) + between + 5 * UNIT + PLUS


def _width(name: str) -> float:
    return text_width("attention" if name in HALVES else name) + 2.5 * UNIT


def _draw_box(sheet: Sheet, x: float, middle: float, width: float, name: str) -> None:
    face, edge, ink = (ACCENT, ACCENT, WHITE) if name in ("attention", "MLP") else (WHITE, RULE, INK)
    face, edge = (TINTED, MUTED) if name == "LayerNorm" else (face, edge)
    sheet.rounded(x, middle - BOX / 2, width, BOX, radius=6, face=face, edge=edge)
    sheet.text(x + width / 2, middle, name, size=BODY, colour=ink, ha="center")
