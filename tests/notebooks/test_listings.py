"""What a chapter builds is what the library holds: where both define a class or a function, their code is the same."""

import ast
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "vitseg_lib"
CHAPTERS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
PLAIN = [path for path in (LIBRARY / "model").glob("*.py") if path.name != "fast.py"]
PLAIN += [LIBRARY / "engine" / f"{name}.py" for name in ("loss", "inference", "schedule", "training", "metrics")]
BUILT = {  # what must be built in its chapter, and shown at its end
    "04_attention": ["SelfAttention"],
    "05_encoder": ["Block"],
    "06_neck": ["NeckBranch"],
    "07_upernet": ["ConvBlock", "PyramidPooling", "UPerHead"],
}


class _Bare(ast.NodeTransformer):
    """Code without what a chapter may leave out: docstrings, annotations, and the mark of keyword-only arguments."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        self.generic_visit(node)
        node.returns = None
        arguments = node.args
        defaults = [default for default in arguments.kw_defaults if default is not None]
        arguments.args, arguments.defaults = arguments.args + arguments.kwonlyargs, arguments.defaults + defaults
        arguments.kwonlyargs, arguments.kw_defaults = [], []
        return self.visit_ClassDef(node)

    def visit_ClassDef(self, node):
        if not isinstance(node, ast.FunctionDef):
            self.generic_visit(node)
        if ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
        return node

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node


def bare(node: ast.AST) -> str:
    return ast.unparse(_Bare().visit(node))


def definitions(source: str) -> dict[str, str]:
    kinds = (ast.ClassDef, ast.FunctionDef)
    return {node.name: bare(node) for node in ast.parse(source).body if isinstance(node, kinds)}


def library() -> dict[str, str]:
    return {name: code for path in PLAIN for name, code in definitions(path.read_text(encoding="utf-8")).items()}


def cells(path: Path) -> list[dict]:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def of_chapter(path: Path) -> dict[str, str]:
    """All classes and functions of a chapter; the exercises' empty stubs are the learner's to fill."""
    found: dict[str, str] = {}
    for cell in cells(path):
        if "exercise" not in cell.metadata.get("tags", []):
            found |= definitions(cell.source)
    return found


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_class_of_the_librarys_name_is_the_librarys(path):
    ours, theirs = of_chapter(path), library()
    for name in ours.keys() & theirs.keys():
        assert ours[name] == theirs[name], f"{path.stem}: {name} is not what vitseg_lib holds under that name"
    stubs = {name for cell in cells(path) for name in definitions(cell.source)}  # those that the learner fills
    assert set(BUILT.get(path.stem, [])) <= ours.keys() | stubs


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_no_listing_shows_a_shortcut(path):
    """What `inspect.getsource` prints at a chapter's end is plain code, and what the chapter had to build is in it."""
    shown = "".join(
        "".join(output.get("data", {}).get("text/markdown", "") for output in cell.outputs)
        for cell in cells(path)
        if "getsource" in cell.source
    )
    for quick in [LIBRARY / "model" / "fast.py", *(LIBRARY / "engine").glob("fast_*.py")]:
        for name in definitions(quick.read_text(encoding="utf-8")):
            assert f"class {name}(" not in shown and f"def {name}(" not in shown, f"{path.stem} shows {name}"
    for name in BUILT.get(path.stem, []):
        assert f"class {name}(" in shown, f"{path.stem} does not end in {name}"
