"""What the second edition adds to the rules of every chapter: length, plain code, and who writes it.

Two more marks: `try` is a code cell which the reader is asked to edit or complete and which runs as it is; imports and
answers are folded (`jupyter.source_hidden`, `jupyter.outputs_hidden`).
"""

import ast
import re
from collections.abc import Iterator

from chapters import Chapter, start_of, tags
from IPython.core.inputtransformer2 import TransformerManager

MOST_WORDS, MOST_CELLS, MOST_MINUTES, WIDEST_LINE = 3500, 60, 60, 88
LONGER = {"05_encoder": 80}  # five parts are written there
WORDS_A_MINUTE, MINUTES_A_CELL, MINUTES_OFF = 200, 0.5, 5
LEAST_WRITTEN = 0.2
IMPORTS_TO_FOLD = 4


def hides_what_it_reveals(chapter: Chapter) -> list[str]:
    shown = [cell for cell in chapter.tagged("reveal") if not cell.metadata.get("jupyter", {}).get("outputs_hidden")]
    return [f"{start_of(cell)} shows its answer before it is run" for cell in shown]


def folds_its_imports(chapter: Chapter) -> list[str]:
    faults = []
    for cell in chapter.code if chapter.is_second_edition else ():
        imports = [node for node in tree_of(cell.source).body if isinstance(node, (ast.Import, ast.ImportFrom))]
        if len(imports) >= IMPORTS_TO_FOLD and not cell.metadata.get("jupyter", {}).get("source_hidden"):
            faults.append(f"{start_of(cell)} has {len(imports)} imports in the reader's face")
    return faults


def is_short(chapter: Chapter) -> list[str]:
    words, cells = word_count(chapter), len(chapter.notebook.cells)
    faults = [f"{words} words"] if words > MOST_WORDS else []
    faults += [f"{cells} cells"] if cells > MOST_CELLS else []
    return faults if chapter.is_second_edition else []


def word_count(chapter: Chapter) -> int:
    return sum(len(cell.source.split()) for cell in chapter.prose)


def states_its_minutes_as_measured(chapter: Chapter) -> list[str]:
    """200 words a minute, half a minute for a code cell, exercises as they say."""
    stated = re.search(r"\*\*Minutes\*\* (\d+)", chapter.notebook.cells[0].source)
    if stated is None or not chapter.is_second_edition:
        return []
    exercises = sum(int(m) for cell in chapter.prose for m in re.findall(r"(\d+) minutes · [●○]", cell.source))
    found = word_count(chapter) / WORDS_A_MINUTE + MINUTES_A_CELL * len(chapter.code) + exercises
    faults = [] if abs(int(stated[1]) - found) <= MINUTES_OFF else [f"{stated[1]} minutes stated, {found:.0f} measured"]
    most = LONGER.get(chapter.path.stem, MOST_MINUTES)
    return faults if found <= most else [*faults, f"{found:.0f} minutes"]


def is_written_by_the_learner(chapter: Chapter) -> list[str]:
    if not chapter.is_second_edition or not chapter.needs("exercise") or chapter.path.stem.startswith("01"):
        return []
    share = learners_share(chapter)
    return [] if share >= LEAST_WRITTEN else [f"the learner writes {share:.0%} of the code cells"]


def learners_share(chapter: Chapter) -> float:
    return sum(bool(tags(cell) & {"exercise", "try"}) for cell in chapter.code) / max(len(chapter.code), 1)


def writes_plain_code(chapter: Chapter) -> list[str]:
    faults = []
    for cell in chapter.code if chapter.is_second_edition else ():
        wide = [line for line in cell.source.splitlines() if len(line) > WIDEST_LINE]
        faults += [f"{len(line)} columns: {line.strip()[:40]}" for line in wide]
        faults += [f"{start_of(cell)} has {trick}" for trick in tricks(tree_of(cell.source))]
    return faults


def tricks(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.NamedExpr):
            yield "a walrus"
        elif isinstance(node, (ast.Yield, ast.YieldFrom)):
            yield "a yield"
        elif isinstance(node, ast.Starred):
            yield "star-unpacking"
        elif isinstance(node, (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)) and len(node.generators) > 1:
            yield "a comprehension of more than one for"


def tree_of(source: str) -> ast.Module:
    return ast.parse(TransformerManager().transform_cell(source))


RULES = (
    hides_what_it_reveals,
    folds_its_imports,
    is_short,
    states_its_minutes_as_measured,
    is_written_by_the_learner,
    writes_plain_code,
)
