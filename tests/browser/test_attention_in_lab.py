"""The attention explorer in real JupyterLab: mouse and keys change the pixels, and a pin reaches the kernel."""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from test_lab import folder, lab, open_and_run, page  # noqa: F401

pytestmark = pytest.mark.slow

EXPLORER = """
from vitseg_lib import recipes
from vitseg_lib.data.loading import SegmentationFolder
from vitseg_lib.model import weights
from vitseg_lib.course.widgets.attention_explorer import AttentionExplorer

scenes = SegmentationFolder("../data/toy_scenes", "validation")
recipe = recipes.get("toy")
model = recipes.build_model(recipe, num_classes=len(scenes.classes))
weights.load(model, "../data/weights/toy.safetensors")
explorer = AttentionExplorer.from_model(model.eval(), scenes[11][0], recipe, patch=(10, 13))
explorer
"""
ASKED = "explorer.query, explorer.pins"
MAPS = "() => [...document.querySelectorAll('.vitseg-widget .tiles canvas')].map(canvas => canvas.toDataURL())"


def settled(page) -> list[str]:  # noqa: F811
    """The pixels of the small maps, once the next frame is drawn."""
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return page.evaluate(MAPS)


def test_mouse_and_keys_change_the_maps_in_a_notebook(page, lab, folder):  # noqa: F811
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}  # else JupyterLab asks for one
    cells = [new_code_cell(EXPLORER), new_code_cell(ASKED)]
    nbformat.write(new_notebook(cells=cells, metadata=kernel), folder / "notebooks" / "attention.ipynb")
    faults = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    outputs = open_and_run(page, lab, "attention.ipynb")
    assert outputs[0][1][0]["data"]["text/plain"] == "<AttentionExplorer: 6 layers × 3 heads, 16 × 20 patches>"

    image = page.locator(".vitseg-widget [role=application]")
    image.wait_for()
    page.wait_for_function("() => document.querySelector('.vitseg-widget .reading').textContent.includes('row 10')")
    start = settled(page)
    assert len(start) == 5
    box = image.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 4.5 / 20, box["y"] + box["height"] * 3.5 / 16)
    pointed = settled(page)
    assert all(one != other for one, other in zip(start, pointed, strict=True))
    assert "from row 3, column 4 to" in page.inner_text(".vitseg-widget .reading")

    image.focus()  # the cell stays in command mode, in which JupyterLab would take the arrow keys and C
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    walked = settled(page)
    assert all(one != other for one, other in zip(pointed, walked, strict=True))
    assert "from row 4, column 5 to" in page.inner_text(".vitseg-widget .reading")
    assert page.evaluate("() => document.activeElement.getAttribute('role')") == "application"
    page.keyboard.press("c")
    settled(page)
    assert "from the class token to" in page.inner_text(".vitseg-widget .reading")
    page.keyboard.press("Enter")
    settled(page)
    assert "from A, the class token, to" in page.inner_text(".vitseg-widget .reading")

    page.evaluate("() => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = 1; }")
    page.evaluate("() => { void window.jupyterapp.commands.execute('notebook:run-cell'); }")
    page.wait_for_function(
        "() => window.jupyterapp.shell.currentWidget.context.model.toJSON().cells[1].outputs[0]"
        "?.data['text/plain'] === '(0, [0])'"
    )
    assert faults == []
