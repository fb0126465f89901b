"""A chapter in real JupyterLab, in headless Chromium, run from the top as a learner would run it."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import nbformat
import pytest
from conftest import ROOT
from nbformat.v4 import new_code_cell, new_notebook

pytestmark = pytest.mark.slow
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-background-networking --disable-component-update --disable-sync"
)

RUN_ALL = """async () => {
  const panel = window.jupyterapp.shell.currentWidget;
  await panel.context.ready;
  await panel.sessionContext.ready;
  await panel.sessionContext.session.kernel.info;
  window.finished = false;
  void window.jupyterapp.commands.execute('notebook:run-all-cells').then(() => { window.finished = true; });
}"""

# What the notebook's model holds, so that cells that are scrolled out of sight count too.
OUTPUTS = """() => window.jupyterapp.shell.currentWidget.context.model.toJSON().cells
  .filter(cell => cell.cell_type === 'code').map(cell => [cell.execution_count, cell.outputs])"""


@pytest.fixture(scope="module")
def page():
    """A page in the browser there is; without one a skip, or a failure where the browser is required."""
    from playwright.sync_api import sync_playwright

    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        if os.environ.get("VITSEG_REQUIRE_BROWSER"):
            pytest.fail("VITSEG_REQUIRE_BROWSER is set and there is no Chromium")
        pytest.skip("no Chromium on this machine")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS.split())
        yield browser.new_page(viewport={"width": 1280, "height": 900})
        browser.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A copy of the notebooks and what they read."""
    folder = tmp_path_factory.mktemp("course")
    for name in ("notebooks", "data", "tests/reference", "benchmarks/results"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("ADEChallengeData2016", "*.zip"))
    return folder


@pytest.fixture(scope="module")
def lab(folder):
    """The address of a JupyterLab over the copy."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = ["--no-browser", "--allow-root", f"--ServerApp.root_dir={folder}", f"--ServerApp.port={port}"]
    settings += ["--IdentityProvider.token=", "--LabApp.expose_app_in_browser=True", "--ServerApp.port_retries=0"]
    command = [sys.executable, "-m", "jupyterlab", *settings]
    log = (folder / "lab.log").open("w")
    env = os.environ | {"VITSEG_MINE": str(folder / "notebooks" / "mine.py")}
    server = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=folder, env=env)
    address = f"http://127.0.0.1:{port}"
    for _ in range(120):
        try:
            urllib.request.urlopen(f"{address}/api", timeout=2).close()
            break
        except OSError:
            assert server.poll() is None, (folder / "lab.log").read_text()
            time.sleep(0.5)
    yield address
    server.terminate()
    server.wait(20)
    log.close()


WORKED_THROUGH = ("03", "04", "05")  # cell by cell, with answers, in test_mine_in_lab
CHAPTERS = sorted(path.name for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"))
CHAPTERS = [name for name in CHAPTERS if not name.startswith(WORKED_THROUGH)]


def open_and_run(page, lab: str, notebook: str) -> list:
    """Open a notebook and run it from the top; each code cell's number and outputs."""
    page.goto(f"{lab}/lab/tree/notebooks/{notebook}?reset")
    page.wait_for_function("() => window.jupyterapp?.shell?.currentWidget?.context !== undefined", timeout=90_000)
    page.evaluate(RUN_ALL)
    page.wait_for_function("() => window.finished", timeout=300_000)
    return page.evaluate(OUTPUTS)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_runs_from_the_top(page, lab, chapter):
    cells = open_and_run(page, lab, chapter)
    assert [count for count, _ in cells] == list(range(1, len(cells) + 1))
    outputs = [output for _, found in cells for output in found]
    assert [o for o in outputs if o["output_type"] == "error" or o.get("name") == "stderr"] == []
    page.wait_for_selector(".jp-OutputArea img", timeout=20_000)
    page.wait_for_timeout(500)  # words move onto the image before them when both are there
    silent = "found => found.filter(i => i.alt.length <= 20).map(i => i.outerHTML.slice(-200))"
    assert page.eval_on_selector_all(".jp-OutputArea img", silent) == []


SLIDERS = """
from ipywidgets import IntSlider
from vitseg_lib.course.figures.picture import Sheet
from vitseg_lib.course.widgets.sliders import Sliders

def draw(side):
    return Sheet(100 + side, 100).picture(name="a card", alt=f"An empty card, {100 + side} pixels wide.")

Sliders(draw, side=IntSlider(5, 0, 9))
"""
UPLOAD = "from vitseg_lib.course.widgets.photo_upload import PhotoUpload\nPhotoUpload(print)"


def tab_until(page, selector: str, most: int = 12) -> bool:
    """Press Tab from the selected cell on until something that matches has the focus."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return True
    return False


def test_tab_reaches_the_controls_and_arrow_keys_move_them(page, lab, folder):
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}  # else JupyterLab asks for one
    notebook = new_notebook(cells=[new_code_cell(SLIDERS), new_code_cell(UPLOAD)], metadata=kernel)
    nbformat.write(notebook, folder / "notebooks" / "controls.ipynb")
    open_and_run(page, lab, "controls.ipynb")
    image = page.locator(".vitseg-sliders img")
    image.wait_for()
    page.evaluate("() => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = 0; }")
    page.locator(".jp-Notebook").focus()
    assert tab_until(page, ".vitseg-sliders [role=slider]")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("() => document.querySelector('.vitseg-sliders img').alt.includes('106 pixels')")
    assert tab_until(page, ".jupyter-widgets.widget-upload")
