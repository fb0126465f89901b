"""What an exercise answers: a verdict, a sentence, and code where there is some; text and, in a notebook, a card."""

import re
from dataclasses import dataclass
from html import escape

from vitseg_lib.course.figures.picture import ACCENT, MUTED

GOOD = "#2f7d4f"
MARKS = {"right": "✓", "not yet": "✗", "not tried yet": "○"}
CODE = re.compile(r"`([^`]+)`")
COLOURS = {"right": GOOD, "not yet": ACCENT}


@dataclass(frozen=True)
class Feedback:
    """A verdict (*right*, *not tried yet* or *not yet*), a hint or a solution, with its message."""

    verdict: str
    message: str
    title: str = ""
    code: str = ""

    def __repr__(self) -> str:
        text = f"{MARKS.get(self.verdict, '·')} {self.title}: {self.verdict}. {self.message}"
        return f"{text}\n\n{self.code}" if self.code else text

    def _repr_html_(self) -> str:
        """A card in the notebook's own colours, whose bar tells right from not yet; the words do so as well."""
        colour = COLOURS.get(self.verdict, MUTED)
        message = CODE.sub(r"<code>\1</code>", escape(self.message))
        code = f"<pre style='margin:8px 0 0; white-space:pre-wrap'>{escape(self.code)}</pre>" if self.code else ""
        return (
            f"<div style='border-left:4px solid {colour}; padding:4px 12px; margin:4px 0'>"
            f"<b>{MARKS.get(self.verdict, '·')} {escape(self.verdict)}</b> · {escape(self.title)}"
            f"<div>{message}</div>{code}</div>"
        )
