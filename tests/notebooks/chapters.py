"""A chapter of the course as its tests see it: its cells, their tags, and what nbval would compare of them."""

import re
from dataclasses import dataclass
from pathlib import Path

from nbformat import NotebookNode

from vitseg_lib.course.figures.picture import UNSEEN

# Chapter 00 shows the destination and builds nothing: it is exempt from these parts, and from nothing else.
EXEMPT = {"00_start_here": {"naive", "check", "trap", "exercise", "library"}}
IGNORE = {"nbval-ignore-output"}
FIRST_EDITION = ("06", "07", "08", "09", "10", "11")  # chapters that the second edition has not reached


@dataclass(frozen=True)
class Chapter:
    """A notebook and where it lies."""

    path: Path
    notebook: NotebookNode

    @property
    def code(self) -> list[NotebookNode]:
        return [cell for cell in self.notebook.cells if cell.cell_type == "code"]

    @property
    def prose(self) -> list[NotebookNode]:
        return [cell for cell in self.notebook.cells if cell.cell_type == "markdown"]

    def tagged(self, tag: str) -> list[NotebookNode]:
        return [cell for cell in self.notebook.cells if tag in tags(cell)]

    @property
    def is_second_edition(self) -> bool:
        return not self.path.stem.startswith(FIRST_EDITION)

    def needs(self, part: str) -> bool:
        return part not in EXEMPT.get(self.path.stem, set())


def tags(cell: NotebookNode) -> set[str]:
    return set(cell.metadata.get("tags", []))


def start_of(cell: NotebookNode) -> str:
    return repr(cell.source.strip().split("\n")[0][:60])


def is_ignored(cell: NotebookNode) -> bool:
    marked = re.search(r"^\s*#\s*(NBVAL_IGNORE_OUTPUT|PYTEST_VALIDATE_IGNORE_OUTPUT|NBVAL_SKIP)\s*$", cell.source, re.M)
    return bool(marked or tags(cell) & IGNORE)


def is_compared(cell: NotebookNode) -> bool:
    """Whether nbval compares something of the cell that matters: a picture's name and words do not."""
    return not is_ignored(cell) and any(says_something(output) for output in cell.outputs)


def says_something(output: NotebookNode) -> bool:
    data = output.get("data", {})
    pictured = any(kind.startswith(("image/", "application/vnd.jupyter.widget")) for kind in data)
    return bool(text_of(output).strip()) and not pictured and UNSEEN not in data.get("text/html", "")


def text_of(output: NotebookNode) -> str:
    data = output.get("data", {})
    return str(output.get("text", "")) + str(data.get("text/plain", "")) + str(data.get("text/html", ""))


def shown_texts(chapter: Chapter) -> list[str]:
    """All markdown and HTML that a reader's browser would render."""
    rendered = ("text/html", "text/markdown")
    outputs = [output.get("data", {}) for cell in chapter.code for output in cell.outputs]
    return [cell.source for cell in chapter.prose] + [
        str(data[kind]) for data in outputs for kind in rendered if kind in data
    ]
