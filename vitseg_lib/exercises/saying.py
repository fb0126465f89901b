"""What an exercise says: a word, a sentence, and code where there is some; text and, in a notebook, a small card."""

import re
from dataclasses import dataclass
from html import escape

from vitseg_lib.show.picture import ACCENT, MUTED

GOOD = "#2f7d4f"
MARKS = {"right": "✓", "not yet": "✗", "not tried yet": "○"}
CODE = re.compile(r"`([^`]+)`")
COLOURS = {"right": GOOD, "not yet": ACCENT}


@dataclass(frozen=True)
class Saying:
    """A verdict, a hint or a solution. `word` is the verdict: *right*, *not tried yet*, or *not yet*."""

    word: str
    sentence: str
    title: str = ""
    code: str = ""

    def __repr__(self) -> str:
        text = f"{MARKS.get(self.word, '·')} {self.title}: {self.word}. {self.sentence}"
        return f"{text}\n\n{self.code}" if self.code else text

    def _repr_html_(self) -> str:
        """A card in the notebook's own colours, with a bar that tells good from not yet; the words say it as well."""
        colour = COLOURS.get(self.word, MUTED)
        sentence = CODE.sub(r"<code>\1</code>", escape(self.sentence))
        code = f"<pre style='margin:8px 0 0; white-space:pre-wrap'>{escape(self.code)}</pre>" if self.code else ""
        return (
            f"<div style='border-left:4px solid {colour}; padding:4px 12px; margin:4px 0'>"
            f"<b>{MARKS.get(self.word, '·')} {escape(self.word)}</b> · {escape(self.title)}"
            f"<div>{sentence}</div>{code}</div>"
        )
