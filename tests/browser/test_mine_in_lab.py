"""Chapters 03, 04 and 05 worked through in JupyterLab: right answers are typed, and a file of one's own grows."""

import ast
import importlib
import inspect
import json
import os
import re
import subprocess
import sys

import pytest
from conftest import ROOT
from test_lab import OUTPUTS, folder, lab, page  # noqa: F401, the fixtures

from vitseg_lib.course import keeping, mine

sys.path.append(str(ROOT / "tests" / "course" / "exercises"))
pytestmark = pytest.mark.slow
CHAPTERS = ("03_patches", "04_attention", "05_encoder")

OPENED = """async () => {
  const panel = window.jupyterapp.shell.currentWidget;
  await panel.context.ready;
  await panel.sessionContext.ready;
  await panel.sessionContext.session.kernel.info;
}"""
SELECT = """index => {
  const notebook = window.jupyterapp.shell.currentWidget.content;
  notebook.activeCellIndex = index;
  notebook.mode = 'edit';
}"""
RUN = """index => {
  window.jupyterapp.shell.currentWidget.content.activeCellIndex = index;
  return window.jupyterapp.commands.execute('notebook:run-cell');
}"""
SOURCE = "index => window.jupyterapp.shell.currentWidget.context.model.toJSON().cells[index].source"


def definitions(answer) -> str:
    """The source of an answer of the tests, and of all in its own file that it uses."""
    module = inspect.getmodule(answer)
    nodes = ast.parse(inspect.getsource(module)).body
    known = {name: node for node in nodes for name in keeping.names_of(node)}
    wanted, found = [answer.__name__], []
    while wanted:
        name = wanted.pop()
        if name in known and name not in found:
            found.append(name)
            wanted += keeping.globals_used(compile(ast.unparse(known[name]), "answer", "exec"))
    imports = [ast.unparse(node) for node in nodes if isinstance(node, (ast.Import, ast.ImportFrom))]
    imports = [line for line in imports if "trials" not in line]
    return "\n".join(imports) + "\n\n\n" + "\n\n\n".join(ast.unparse(known[name]) for name in reversed(found)) + "\n"


def answers(chapter: str) -> dict[str, str]:
    """Exercise → what is typed into its cell: the tests' first other right answer, under the stub's name."""
    name = chapter.split("_", 1)[1]
    module = importlib.import_module(f"vitseg_lib.course.exercises.{name}")
    trials = importlib.import_module(f"trials_{name}").TRIALS
    names = {id(value): key for key, value in vars(module).items()}
    return {names[id(trial.exercise)]: trial.right[0] for trial in trials}


def kept(folder) -> list[str]:  # noqa: F811
    file = folder / "notebooks" / "mine.py"
    return mine.defined(file.read_text()) if file.exists() else []


def type_answers(page, chapter: str) -> None:  # noqa: F811
    """Run the open notebook cell by cell from the top; into every exercise an answer is typed first."""
    cells = json.loads((ROOT / "notebooks" / f"{chapter}.ipynb").read_text())["cells"]
    right = answers(chapter)
    for index, cell in enumerate(cells):
        if cell["cell_type"] != "code":
            continue
        if "exercise" in cell["metadata"].get("tags", []):
            source = page.evaluate(SOURCE, index)
            exercise, stub = re.search(r"exercises\.(\w+)\.check\((\w+)\)", source).groups()
            answer = right[exercise].__name__
            page.evaluate(SELECT, index)
            page.keyboard.press("Control+a")
            alias = "" if stub == answer else f"{stub} = {answer}\n"
            page.keyboard.insert_text(f"{definitions(right[exercise])}\n{alias}exercises.{exercise}.check({stub})")
        page.evaluate(RUN, index)
        output = json.dumps(page.evaluate(OUTPUTS)[sum(c["cell_type"] == "code" for c in cells[:index])])
        assert '"error"' not in output, output[:2000]
        if "exercise" in cell["metadata"].get("tags", []):
            assert "right" in output and "not yet" not in output, output[:2000]


def test_a_learner_types_three_chapters_and_owns_an_encoder(page, lab, folder):  # noqa: F811
    for chapter in CHAPTERS:
        page.goto(f"{lab}/lab/tree/notebooks/{chapter}.ipynb?reset")
        page.wait_for_function("() => window.jupyterapp?.shell?.currentWidget?.context !== undefined", timeout=90_000)
        page.evaluate(OPENED)
        type_answers(page, chapter)
        expected = [name for name, part in mine.PARTS.items() if "03" <= part.chapter <= chapter]
        assert kept(folder) == expected
    command = [sys.executable, "-m", "vitseg_lib", "grade", str(folder / "notebooks" / "mine.py")]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ, timeout=300)
    assert done.returncode == 1 and f"{len(expected)} of {len(mine.PARTS)} parts" in done.stdout, done.stdout
    assert all(f"✓ {mine.PARTS[name].chapter[:2]} {name}" in done.stdout for name in expected)
