"""A page in headless Chromium with the network cut, on which a widget stands; and the trained toy model's attention."""

import os
import shutil
from collections.abc import Callable

import numpy as np
import pytest
import torch
from conftest import ROOT

from vitseg_lib import recipes
from vitseg_lib.course.widgets.attention_explorer import AttentionExplorer
from vitseg_lib.data.loading import SegmentationFolder
from vitseg_lib.engine.inference import to_pixels
from vitseg_lib.model import weights

TOY = recipes.get("toy")

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-background-networking --disable-component-update "
    "--disable-sync --no-first-run"
)


@pytest.fixture(scope="package")  # not of the session: Playwright starts once at a time, and tests/browser does too
def browser():
    """The Chromium there is; without one a skip, or a failure where a browser is required."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        if os.environ.get("VITSEG_REQUIRE_BROWSER"):
            pytest.fail("VITSEG_REQUIRE_BROWSER is set and there is no Chromium")
        pytest.skip("no Chromium on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS.split())
        yield browser
        browser.close()


@pytest.fixture
def open_widget(browser, tmp_path) -> Callable:
    """`open_widget(widget, *, scheme="light", width=1000, height=900, touch=False)` → a page that shows it.

    Afterwards: no console message of warning or error, no fault of the page's, and no request but the file's own.
    """
    contexts, said, asked = [], [], []

    def open_(widget, *, scheme: str = "light", width: int = 1000, height: int = 900, touch: bool = False):
        path = widget.to_html(tmp_path / f"widget{len(contexts)}.html")
        context = browser.new_context(
            color_scheme=scheme, viewport={"width": width, "height": height}, has_touch=touch, device_scale_factor=2
        )
        contexts.append(context)
        context.set_offline(True)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        own = (path.as_uri(), "blob:", "data:")
        page.on("request", lambda request: asked.append(request.url) if not request.url.startswith(own) else None)
        page.goto(path.as_uri())
        try:
            page.wait_for_selector("html[data-ready]", state="attached")
        except Exception as error:
            raise AssertionError(f"the widget did not start: {said}") from error
        return page

    yield open_
    for context in contexts:
        context.close()
    assert said == []
    assert asked == []


@pytest.fixture(scope="session")
def toy_scene() -> np.ndarray:
    """A house, a tree, a road: uint8 (128, 160, 3)."""
    return SegmentationFolder(ROOT / "data" / "toy_scenes", "validation")[11][0]


@pytest.fixture(scope="session")
def toy_model() -> torch.nn.Module:
    """The trained toy model."""
    model = recipes.build_model(TOY, num_classes=12)
    weights.load(model, ROOT / "data" / "weights" / "toy.safetensors")
    return model.eval()


@pytest.fixture(scope="session")
def toy_attention(toy_model, toy_scene) -> np.ndarray:
    """The model's own attention on the scene, (layers, heads, tokens, tokens)."""
    with torch.no_grad():
        pixels = to_pixels(toy_model, toy_scene, TOY.test_scale)
        _, stages = toy_model(pixels, return_stages=True, return_attention=True)
    return torch.cat(stages["attention"]).double().numpy()


@pytest.fixture
def toy_explorer(toy_model, toy_scene) -> AttentionExplorer:
    return AttentionExplorer.from_model(toy_model, toy_scene, TOY, patch=(10, 13))
