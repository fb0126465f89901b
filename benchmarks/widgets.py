"""From the pointer's move to the picture: the attention explorer in a browser, beside `interact` with matplotlib.

    python benchmarks/widgets.py                      120 moves a view, 12 layers × 6 heads × 32×32 patches
    python benchmarks/widgets.py --moves 30 --out ""  a quick look that is not kept

The explorer's times run from the event's own time stamp, waiting for the frame included, to the task after the page has
painted; headless Chromium, without a graphics card. The other side is what the kernel alone does after an event with
`interact`: six rows of attention, six images with their maps, one PNG. Sending it there and back and showing it comes
on top, so this side is favoured. Both run on one machine in one run; compare the ratio, not the milliseconds.
"""

import argparse
import io
import os
import platform
import shutil
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from vitseg_lib.course.figures.colours import faded
from vitseg_lib.course.widgets.attention_explorer import AttentionExplorer
from vitseg_lib.files import write_json

LAYERS, HEADS, SIDE, WIDTH = 12, 6, 32, 64
FLAGS = "--headless --no-sandbox --disable-gpu --disable-background-networking --disable-sync --no-first-run"
RESULTS = Path(__file__).parent / "results" / "widgets.json"

# The listener comes before the widget's own, so its frame callback runs in the same frame as the widget's drawing, and
# the message arrives once that frame is painted.
PROBE = """() => {
  window.took = [];
  addEventListener('pointermove', (event) => requestAnimationFrame(() => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => window.took.push(performance.now() - event.timeStamp);
    channel.port2.postMessage(0);
  }), { capture: true });
}"""
VIEWS = {
    "heads of a layer": {"view": "heads"},
    "layers of a head": {"view": "layers", "head": 0},
    "layers, mean of all heads": {"view": "layers", "head": HEADS},
    "heads of a layer, one patch pinned": {"view": "heads", "pins": [100]},
}


def synthetic(layers: int = LAYERS, heads: int = HEADS) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An image of noise, and queries and keys (layers, heads, 1 + SIDE², WIDTH)."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (16 * SIDE, 16 * SIDE, 3), dtype=np.uint8)
    queries, keys = rng.normal(0, 1.2, (2, layers, heads, 1 + SIDE * SIDE, WIDTH)).astype(np.float32)
    return image, queries, keys


def widget_times(page, moves: int) -> dict[str, list[float]]:
    """Milliseconds of each move, a list a view, on a page that `to_html` wrote; the mouse jumps from patch to patch."""
    page.evaluate(PROBE)
    box = page.locator("[role=application]").bounding_box()
    places = np.random.default_rng(1).uniform(0.02, 0.98, (moves + 10, 2))
    times = {}
    for name, state in VIEWS.items():
        page.evaluate(
            "state => Object.entries({ pins: [], ...state }).forEach(entry => widgetModel.set(...entry))", state
        )
        page.wait_for_timeout(200)
        page.evaluate("window.took = []")
        for across, down in places:
            page.mouse.move(box["x"] + across * box["width"], box["y"] + down * box["height"])
            page.wait_for_timeout(25)
        page.wait_for_timeout(200)
        times[name] = page.evaluate("window.took")[10:]
    return times


def matplotlib_times(image: np.ndarray, queries: np.ndarray, keys: np.ndarray, moves: int) -> list[float]:
    """Milliseconds of each redraw of six maps as a PNG, as a function under `interact` draws them."""
    ground = faded(image).astype(np.uint8)
    times = []
    for token in np.random.default_rng(1).integers(1, queries.shape[2], moves + 2):
        start = time.perf_counter()
        scores = np.einsum("hd,hnd->hn", queries[-1, :, token], keys[-1]) / WIDTH**0.5
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        weights /= weights.sum(axis=1, keepdims=True)
        figure = Figure(figsize=(7.5, 5.4), dpi=100)
        FigureCanvasAgg(figure)
        for axes, row in zip(figure.subplots(2, 3).flat, weights, strict=True):
            axes.imshow(ground)
            axes.imshow(row[1:].reshape(SIDE, SIDE), extent=(0, 16 * SIDE, 16 * SIDE, 0), cmap="Oranges", alpha=0.7)
            axes.set_axis_off()
        figure.savefig(io.BytesIO(), format="png")
        times.append(1000 * (time.perf_counter() - start))
    return times[2:]


def summary(times: list[float]) -> dict[str, float]:
    """Median and 95th percentile, in milliseconds."""
    return {"p50_ms": round(float(np.median(times)), 1), "p95_ms": round(float(np.quantile(times, 0.95)), 1)}


def main() -> None:
    """Measure both sides, print them, and keep them unless told not to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moves", type=int, default=120, help="moves of the pointer for each view")
    parser.add_argument("--out", default=str(RESULTS), help="where the results go; nothing: they are not kept")
    options = parser.parse_args()
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        sys.exit("There is no Chromium on this machine, and the widget is measured in one: install chromium.")
    from playwright.sync_api import sync_playwright

    image, queries, keys = synthetic()
    widget = AttentionExplorer(image, queries, keys, grid=(SIDE, SIDE))
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = widget.to_html(Path(folder) / "explorer.html")
        megabytes = path.stat().st_size / 1e6
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS.split())
        page = browser.new_page(viewport={"width": 1000, "height": 900})
        start = time.perf_counter()
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready]", state="attached")
        ready = time.perf_counter() - start
        measured = {name: summary(times) for name, times in widget_times(page, options.moves).items()}
        version = browser.version
        browser.close()
    slow = summary(matplotlib_times(image, queries, keys, max(10, options.moves // 6)))
    ratio = slow["p50_ms"] / measured["heads of a layer"]["p50_ms"]
    for name, times in {**measured, "matplotlib, six maps, the kernel's part": slow}.items():
        print(f"{name:42}{times['p50_ms']:8.1f} ms{times['p95_ms']:8.1f} ms")
    print(f"a page of {megabytes:.1f} MB, ready in {ready:.1f} s; matplotlib / explorer {ratio:.1f}")
    if options.out:
        hardware = {"machine": platform.machine(), "cores": os.cpu_count(), "torch": torch.__version__}
        write_json(
            options.out,
            {
                "command": "python benchmarks/widgets.py"
                + (f" --moves {options.moves}" if options.moves != 120 else ""),
                "date": datetime.now(UTC).date().isoformat(),
                "hardware": {**hardware, "chromium": version},
                "tokens": f"{LAYERS} layers × {HEADS} heads × {1 + SIDE * SIDE} tokens of width {WIDTH}",
                "page": {"megabytes": round(megabytes, 1), "ready_s": round(ready, 1)},
                "explorer": measured,
                "matplotlib": slow,
                "ratio": round(ratio, 1),
            },
        )


if __name__ == "__main__":
    main()
