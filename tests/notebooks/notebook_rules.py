"""What every chapter keeps to, one small function a rule: it returns the chapter's faults, none if all is well.

The parts of a chapter are marked with cell tags (in JupyterLab: the gear at the top right), which nbval ignores:

    open        the first cell, markdown: `# NN · Title`, one sentence, then a line with the words **Minutes**,
                **Needs** and **Runs in**; one of the first two code cells draws `pipeline_strip(...)`
    predict     markdown: a question, asked right before the code cell that answers it, tagged
    reveal      code: the answer, with an output that nbval compares
    naive       code: the plain version, loops and all
    check       code: the comparison with an independent truth
    see         code: a picture or a widget of a real tensor
    trap        code: the real mistake, made on purpose and measured
    exercise    code: a stub to fill in; two to six of them
    try         code: to be edited or completed by the reader; it runs as it is (second edition)
    library     code: the library's finished version, shown and proven equal
    close       the last cell, markdown: a numbered list of three things to remember, and where to read on

Chapter 00 shows the destination and builds nothing: `chapters.EXEMPT` names the parts it need not have.
"""

import ast
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import edition_rules
from chapters import Chapter, is_compared, is_ignored, shown_texts, start_of, tags, text_of
from IPython.core.inputtransformer2 import TransformerManager

import vitseg_lib

PARTS = ("open", "predict", "reveal", "naive", "check", "see", "trap", "exercise", "library", "close")
FORBIDDEN_TAGS = {"nbval-skip", "nbval-raises-exception", "raises-exception"}

LARGEST_OUTPUT = 300_000  # bytes
LARGEST_NOTEBOOK = 2_000_000
LONGEST_CELL = 25  # lines
LONGEST_MEDIAN = 5
FEWEST_COMPARED = 8
CELLS_PER_IGNORED = 10


Rule = Callable[[Chapter], list[str]]


def has_all_parts(chapter: Chapter) -> list[str]:
    return [f"no cell is tagged {part}" for part in PARTS if chapter.needs(part) and not chapter.tagged(part)]


def opens_well(chapter: Chapter) -> list[str]:
    first = chapter.notebook.cells[0]
    number = chapter.path.stem.split("_")[0]
    if first.cell_type != "markdown" or "open" not in tags(first):
        return ["the first cell is not the markdown cell tagged open"]
    faults = [
        f"the opening lacks **{word}**" for word in ("Minutes", "Needs", "Runs in") if f"**{word}**" not in first.source
    ]
    if not first.source.startswith(f"# {number} · "):
        faults.append(f"the first line is not '# {number} · Title'")
    if not any("pipeline_strip(" in cell.source for cell in chapter.code[:2]):
        faults.append("no pipeline_strip(...) in the first two code cells")
    return faults


def predicts_before_it_reveals(chapter: Chapter) -> list[str]:
    cells, faults = chapter.notebook.cells, []
    for cell, after in zip(cells, [*cells[1:], None], strict=True):
        if "predict" not in tags(cell):
            continue
        if cell.cell_type != "markdown" or "?" not in cell.source:
            faults.append(f"{start_of(cell)} is tagged predict but asks nothing in prose")
        if after is None or after.cell_type != "code" or "reveal" not in tags(after) or not is_compared(after):
            faults.append(f"{start_of(cell)} is not followed by a code cell tagged reveal whose output is compared")
    return faults


def shows_something_to_see(chapter: Chapter) -> list[str]:
    kinds = ("image/", "application/vnd.jupyter.widget-view")
    seen = [
        any(kind.startswith(kinds) for output in cell.outputs for kind in output.get("data", {}))
        for cell in chapter.code
        if "see" in tags(cell)
    ]
    return [] if all(seen) else ["a cell tagged see shows neither picture nor widget"]


def has_two_to_six_exercises(chapter: Chapter) -> list[str]:
    count = len(chapter.tagged("exercise"))
    return [f"{count} exercises, not two to six"] if chapter.needs("exercise") and not 2 <= count <= 6 else []


def closes_well(chapter: Chapter) -> list[str]:
    last = chapter.notebook.cells[-1]
    if last.cell_type != "markdown" or "close" not in tags(last):
        return ["the last cell is not the markdown cell tagged close"]
    numbered = re.findall(r"^\d+\. ", last.source, flags=re.MULTILINE)
    faults = [] if len(numbered) == 3 else [f"{len(numbered)} things to remember, not three"]
    return faults if re.search(r"\]\([^)]+\)|`[^`]+`", last.source) else [*faults, "nothing says where to read on"]


def ran_in_order(chapter: Chapter) -> list[str]:
    counts = [cell.execution_count for cell in chapter.code]
    return [] if counts == list(range(1, len(counts) + 1)) else [f"cells were run in the order {counts}"]


def ends_no_cell_badly(chapter: Chapter) -> list[str]:
    faults = []
    for cell in chapter.code:
        for output in cell.outputs:
            if output.output_type == "error":
                faults.append(f"{start_of(cell)} raised {output.ename}")
            if output.get("name") == "stderr" or re.search(r"Warning\b", text_of(output)):
                faults.append(f"{start_of(cell)} warned: {text_of(output)[:80]!r}")
    return faults


def is_light(chapter: Chapter) -> list[str]:
    faults = []
    for cell in chapter.code:
        sizes = [len(json.dumps(output).encode()) for output in cell.outputs]
        faults += [f"{start_of(cell)} has an output of {size} bytes" for size in sizes if size > LARGEST_OUTPUT]
    size = len(json.dumps(chapter.notebook).encode())
    return [*faults, f"the notebook has {size} bytes"] if size > LARGEST_NOTEBOOK else faults


def needs_no_network_for_images(chapter: Chapter) -> list[str]:
    remote = r"""!\[[^\]]*\]\(\s*<?(?:https?:)?//|<img\b[^>]*\bsrc\s*=\s*["']?\s*(?:https?:)?//"""
    return [
        f"a remote image: {found[:80]!r}" for text in shown_texts(chapter) for found in re.findall(remote, text, re.I)
    ]


def describes_every_image(chapter: Chapter) -> list[str]:
    faults = []
    for text in shown_texts(chapter):
        faults += [f"no alt text: {found}" for found in re.findall(r"!\[\s*\]\([^)]*\)?", text)]
        faults += [f"no alt text: {tag[:80]}" for tag in re.findall(r"<img\b[^>]*>", text, re.I) if not has_alt(tag)]
    for cell in chapter.code:
        for output in cell.outputs:
            for kind in output.get("data", {}):
                if kind.startswith("image/") and not output.metadata.get(kind, {}).get("alt", "").strip():
                    faults.append(f"{start_of(cell)} shows an {kind} without alt text: return a vitseg_lib Picture")
    return faults


def has_alt(tag: str) -> bool:
    return bool(re.search(r"""\balt\s*=\s*(["'])\s*[^\s"'][^"']*\1""", tag, re.I))


def keeps_cells_short(chapter: Chapter) -> list[str]:
    lines = [len(cell.source.strip().split("\n")) for cell in chapter.code]
    faults = [
        f"{start_of(cell)} has {count} lines"
        for cell, count in zip(chapter.code, lines, strict=True)
        if count > LONGEST_CELL
    ]
    return [*faults, f"the median cell has {median(lines)} lines"] if median(lines) > LONGEST_MEDIAN else faults


def copies_nothing_from_the_library(chapter: Chapter) -> list[str]:
    known = {
        tree
        for path in Path(vitseg_lib.__file__).parent.rglob("*.py")
        if path.name != "solution.py"  # what the learner writes
        for _, tree in definitions(path.read_text("utf-8"))
    }
    transform = TransformerManager().transform_cell
    found = [item for cell in chapter.code for item in definitions(transform(cell.source))]
    return [
        f"{name} is a copy of the library's: show the library's source instead" for name, tree in found if tree in known
    ]


def definitions(source: str) -> Iterator[tuple[str, str]]:
    """Name and syntax tree, docstrings left out, of every class and function."""
    tree = ast.parse(source)
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    nodes = [node for node in ast.walk(tree) if isinstance(node, kinds)]
    for node in nodes:
        if ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ((node.name, ast.dump(node)) for node in nodes)


def ignores_few_outputs(chapter: Chapter) -> list[str]:
    ignored = [cell for cell in chapter.code if is_ignored(cell)]
    faults = [
        f"{start_of(cell)} is tagged {tag}" for cell in chapter.code for tag in sorted(tags(cell) & FORBIDDEN_TAGS)
    ]
    if len(ignored) * CELLS_PER_IGNORED > len(chapter.code):
        faults.append(f"{len(ignored)} of {len(chapter.code)} code cells are not compared")
    return faults


def compares_enough_outputs(chapter: Chapter) -> list[str]:
    count = sum(is_compared(cell) for cell in chapter.code)
    return [] if count >= FEWEST_COMPARED else [f"only {count} cells have a compared output that says something"]


def links_to_what_is_there(chapter: Chapter) -> list[str]:
    links = [link for cell in chapter.prose for link in re.findall(r"\]\(<?([^)#\s>]+)", cell.source)]
    local = [link for link in links if not re.match(r"[a-z]+:", link)]
    return [f"nothing is at {link}" for link in local if not (chapter.path.parent / link).exists()]


def tells_nothing_of_the_machine(chapter: Chapter) -> list[str]:
    private = r"(/(?:home|Users|root|tmp)/\w*|[A-Z]:\\+Users|site-packages|0x[0-9a-f]{8,})"
    texts = [text_of(output) for cell in chapter.code for output in cell.outputs]
    return [f"an output names {found!r}" for text in texts for found in re.findall(private, text)]


def is_portable(chapter: Chapter) -> list[str]:
    name = chapter.notebook.metadata.get("kernelspec", {}).get("name")
    faults = [] if name == "python3" else [f"its kernel is called {name!r}, not 'python3'"]
    stale = "widgets" in chapter.notebook.metadata
    return [*faults, "it carries the widgets of an old run: `make notebooks` drops them"] if stale else faults


def respects_the_reader(chapter: Chapter) -> list[str]:
    found = [
        m for cell in chapter.prose for m in re.findall(r"easy to see|obviously|trivially|of course", cell.source, re.I)
    ]
    return [f"the prose says {words!r}" for words in found]


RULES: tuple[Rule, ...] = (
    has_all_parts,
    opens_well,
    predicts_before_it_reveals,
    shows_something_to_see,
    has_two_to_six_exercises,
    closes_well,
    ran_in_order,
    ends_no_cell_badly,
    is_light,
    needs_no_network_for_images,
    describes_every_image,
    keeps_cells_short,
    copies_nothing_from_the_library,
    ignores_few_outputs,
    compares_enough_outputs,
    links_to_what_is_there,
    tells_nothing_of_the_machine,
    is_portable,
    respects_the_reader,
    *edition_rules.RULES,
)
