"""Boxes with shapes and arrows between them: how wide they are, how they fall into lines, how one is drawn."""

from collections.abc import Sequence
from dataclasses import dataclass

from vitseg_lib.course.figures.layout import MARGIN, TEXT_LINE, wrapped
from vitseg_lib.course.figures.picture import ACCENT, INK, MUTED, RULE, SMALL, UNIT, Sheet, text_width

BOX = 7 * UNIT  # CSS pixels: the height of a box
ARROW = 4 * UNIT  # from one box to the next
NARROWEST = 12 * UNIT
PADDING = 1.5 * UNIT
WHITE = "#ffffff"


@dataclass(frozen=True)
class Step:
    """One box: a name, a shape, and how it came about; where it stands."""

    name: str
    shape: str
    how: tuple[str, ...]
    width: float
    x: float = 0
    line: int = 0


def steps_of(rows: Sequence[Sequence[str]], width: float) -> list[Step]:
    """Place boxes from left to right, in as few lines of `width` as hold them, about as many in each."""
    sized = []
    for name, shape, *how in rows:
        box = max(text_width(name, bold=True), text_width(shape, size=SMALL, mono=True)) + 2 * PADDING
        box = max(box, NARROWEST, *(text_width(word, size=SMALL) for word in " ".join(how).split()))
        sized.append(Step(name, shape, tuple(wrapped(" ".join(how), box + ARROW - UNIT)), box))
    for lines in range(1, len(sized) + 1):
        in_line = -(-len(sized) // lines)
        placed = [_placed(sized[start : start + in_line], start // in_line) for start in range(0, len(sized), in_line)]
        if all(line[-1].x + line[-1].width <= width for line in placed):
            break
    return [step for line in placed for step in line]


def _placed(steps: Sequence[Step], line: int) -> list[Step]:
    x, placed = float(ARROW if line else 0), []
    for step in steps:
        placed.append(Step(step.name, step.shape, step.how, step.width, x, line))
        x += step.width + ARROW
    return placed


def draw_step(sheet: Sheet, step: Step, top: float, *, highlighted: bool, arrow: bool) -> None:
    """A box, the words below it, and the arrow that leads to it."""
    x, middle = MARGIN + step.x, top + BOX / 2
    face, edge, ink, shape_ink = (ACCENT, ACCENT, WHITE, WHITE) if highlighted else (WHITE, RULE, INK, MUTED)
    if arrow:
        sheet.arrow((x - ARROW + 5, middle), (x - 5, middle))
    sheet.rounded(x, top, step.width, BOX, radius=6, face=face, edge=edge)
    sheet.text(x + step.width / 2, middle - 10, step.name, colour=ink, bold=highlighted, ha="center")
    sheet.text(x + step.width / 2, middle + 11, step.shape, size=SMALL, colour=shape_ink, mono=True, ha="center")
    for number, words in enumerate(step.how):
        height = top + BOX + UNIT + TEXT_LINE * (number + 0.5)
        sheet.text(x + step.width / 2, height, words, size=SMALL, colour=MUTED, ha="center")
