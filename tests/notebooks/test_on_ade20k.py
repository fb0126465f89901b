"""The chapters that read ADE20K: run on the real images where VITSEG_DATA names them, and kept on the drawings."""

import os
from collections.abc import Iterable
from pathlib import Path

import nbformat
import pytest
from conftest import ROOT
from nbclient import NotebookClient

DATA = os.environ.get("VITSEG_DATA")
# Words that a chapter shows when it runs on the drawings, and words it shows when it runs on photographs.
SAYS = {
    "01_ade20k": "image and ground truth",
    "10_evaluation": "Real photographs",
    "11_ade20k_full": "runs on the real images",
}
NEVER = {"01_ade20k": "No ADE20K here", "10_evaluation": "No ADE20K here", "11_ade20k_full": "runs on the toy"}


def outputs_of(name: str, monkeypatch: pytest.MonkeyPatch) -> list[nbformat.NotebookNode]:
    """All that a chapter shows when it is run from the top on that folder; its file stays as it is."""
    monkeypatch.setenv("VITSEG_DATA", str(Path(DATA).resolve()))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    path = ROOT / "notebooks" / f"{name}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(path.parent)}}).execute()
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def words_of(outputs: Iterable[nbformat.NotebookNode]) -> str:
    """All outputs' text."""
    return " ".join(str(one.get("text", "")) + str(one.get("data", {}).get("text/plain", "")) for one in outputs)


@pytest.mark.slow
@pytest.mark.skipif(not DATA, reason="VITSEG_DATA names no folder with ADE20K's images")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the clients of Jupyter's kernels, not ours
@pytest.mark.parametrize("name", SAYS)
def test_the_chapter_runs_on_the_real_images(name, monkeypatch):
    outputs = outputs_of(name, monkeypatch)
    assert not [output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"]
    shown = words_of(outputs)
    assert SAYS[name] in shown, "it does not say that it ran on the real images"
    assert NEVER[name] not in shown


@pytest.mark.parametrize("name", SAYS)
def test_the_kept_outputs_do_not_call_the_drawings_real(name):
    notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    shown = words_of(output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs)
    assert NEVER[name] in shown
    assert name == "01_ade20k" or SAYS[name] not in shown  # chapter 01 shows images and labels of drawings elsewhere
