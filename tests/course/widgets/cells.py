"""Canvases that show a grid, on a page: where a cell is, and the colour of each."""

from base64 import b64decode
from io import BytesIO

import numpy as np
from PIL import Image

CANVASES = ".vitseg-widget canvas[role=application]"  # those that can be walked over


def rgb(colour: str) -> np.ndarray:
    """ "#rrggbb" → three numbers."""
    return np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)])


def settled(page) -> None:
    """Wait two frames: everything that was asked for is drawn then."""
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def centre(page, number: int, row: int, column: int, grid: tuple[int, int]) -> tuple[float, float]:
    """Where on the page the middle of a cell is, x and y, on one of the canvases that can be walked over."""
    canvas = page.locator(CANVASES).nth(number)
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    return box["x"] + (column + 0.5) * box["width"] / grid[1], box["y"] + (row + 0.5) * box["height"] / grid[0]


def dots(canvas) -> np.ndarray:
    """A canvas as it is drawn, (height, width, 3), in the screen's dots."""
    png = b64decode(canvas.evaluate("(canvas) => canvas.toDataURL()").split(",")[1])
    return np.array(Image.open(BytesIO(png)).convert("RGB")).astype(int)


def painted(canvas, grid: tuple[int, int]) -> np.ndarray:
    """The colour at 0.3 of each cell's sides on a canvas, (h, w, 3)."""
    drawn = dots(canvas)
    rows, columns = (((np.arange(n) + 0.3) * side / n).astype(int) for n, side in zip(grid, drawn.shape, strict=False))
    return drawn[rows][:, columns]


# Renders the page's widget anew beside the document and attaches it then, as JupyterLab does.
APART = """async () => {
  const source = new Blob([document.getElementById('module').textContent], { type: 'text/javascript' });
  const address = URL.createObjectURL(source);
  const { default: widget } = await import(address);
  const apart = document.createElement('div');
  widget.render({ model: widgetModel, el: apart });
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  document.getElementById('widget').replaceChildren(apart);
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
}"""
