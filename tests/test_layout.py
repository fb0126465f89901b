"""The house: imports go one way, files stay small, and a training step is read in five files."""

import ast
import sys
from pathlib import Path

import pytest
import torch

from vitseg_lib import recipes
from vitseg_lib.engine.schedule import build_optimizer
from vitseg_lib.engine.training import training_step

LIBRARY = Path(__file__).parent.parent / "vitseg_lib"
MODULES = sorted(LIBRARY.rglob("*.py"))

# What each room may import of the library, itself aside.
ALLOWED = {
    "": set(),
    "files": set(),
    "data": {"files"},
    "model": {"files"},
    "recipes": {"files", "model"},
    "engine": {"files", "data", "model", "recipes"},
    "show": {"files", "data", "model", "recipes", "engine"},
    "exercises": {"files", "data", "model", "recipes", "engine", "show"},
    "commands": {"files", "data", "model", "recipes", "engine", "show"},
    "cli": {"files", "commands"},
    "__main__": {"cli"},
}


def room(path: Path) -> str:
    return path.relative_to(LIBRARY).parts[0].removesuffix(".py").replace("__init__", "")


def imported_rooms(source: str) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            if node.module == "vitseg_lib":
                found |= {alias.name for alias in node.names}
            elif (node.module or "").startswith("vitseg_lib."):
                found.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {a.name.split(".")[1] for a in node.names if a.name.startswith("vitseg_lib.")}
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(LIBRARY)))
def test_imports_go_one_way(path):
    own = room(path)
    assert imported_rooms(path.read_text(encoding="utf-8")) - {own} <= ALLOWED[own]


def test_the_reader_of_imports_sees_all_forms():
    source = (
        "import vitseg_lib.show.figures\nfrom vitseg_lib import cli\ndef f():\n    from vitseg_lib.data.ade20k import x"
    )
    assert imported_rooms(source) == {"show", "cli", "data"}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(LIBRARY)))
def test_no_file_is_longer_than_250_lines(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 250


@pytest.mark.parametrize("path", [p for p in MODULES if p.name == "__init__.py"], ids=lambda p: p.parent.name)
def test_init_files_hold_a_docstring_and_nothing_else(path):
    body = ast.parse(path.read_text(encoding="utf-8")).body
    assert len(body) == 1 and ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


def test_a_training_step_is_read_in_five_files():
    """Five files tell the step; the other files that it enters are single boxes, named where they are called."""
    story = {"engine/training.py", "model/segmenter.py", "model/encoder.py", "model/neck.py", "model/upernet.py"}
    boxes = {"model/patches.py", "model/attention.py", "model/linear.py", "model/resizing.py", "model/plain.py"}
    boxes |= {"engine/loss.py", "engine/precision.py"}
    recipe = recipes.get("toy_mln")
    model = recipes.build_model(recipe, 3)
    optimizer = build_optimizer(model, recipe)
    entered = set()

    def note(frame, event, argument):
        path = Path(frame.f_code.co_filename)
        if event == "call" and LIBRARY in path.parents:
            entered.add(path.relative_to(LIBRARY).as_posix())

    sys.setprofile(note)
    try:
        training_step(
            model, optimizer, torch.randn(2, 3, 64, 64), torch.zeros(2, 64, 64).long(), lr=1e-4, aux_weight=0.4
        )
    finally:
        sys.setprofile(None)
    assert entered == story | boxes
    for box in boxes:
        assert len((LIBRARY / box).read_text(encoding="utf-8").splitlines()) < 90


def test_the_forward_of_the_segmenter_reads_like_the_figure():
    tree = ast.parse((LIBRARY / "model" / "segmenter.py").read_text(encoding="utf-8"))
    forward = next(n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == "forward")
    assert sum(1 for n in ast.walk(forward) if isinstance(n, ast.stmt)) - 2 <= 15
