"""The pyramid explorer: the head's own maps, their bytes and cells, and its page under mouse, touch and keyboard."""

import re

import numpy as np
import pytest
import torch
import traitlets

from vitseg_lib import recipes
from vitseg_lib.course.features import pca_colours
from vitseg_lib.course.widgets.base import DARK, LIGHT
from vitseg_lib.course.widgets.pyramid_explorer import BINS, PyramidExplorer, head_stages
from vitseg_lib.data.loading import SegmentationFolder
from vitseg_lib.engine.inference import to_pixels
from vitseg_lib.model import weights
from vitseg_lib.model.upernet import pooling_matrix
from widgets.cells import CANVASES, centre, dots, painted, rgb, settled


def build(name, toy_root):
    model = recipes.build_model(recipes.get(name), num_classes=12).eval()
    if name == "toy":
        weights.load(model, toy_root.parent / "weights" / "toy.safetensors")
    return model


@pytest.fixture(scope="module")
def scenes(toy_root):
    return SegmentationFolder(toy_root, "validation")


@pytest.fixture(params=["toy", "toy_mln"])
def model(request, toy_root):
    return build(request.param, toy_root)


@pytest.fixture
def necked(toy_root, scenes):
    """Ten maps of four sizes, of an image that is 165 pixels wide: 21 patches, of which the coarsest map reads 20."""
    return PyramidExplorer.from_model(build("toy_mln", toy_root), scenes[20][0], recipes.get("toy_mln"))


def trials():
    """Three small maps of a grey image."""
    maps = {"fine": torch.randn(5, 12, 16), "middle": torch.randn(1, 20, 6, 8), "coarse": torch.randn(3, 3, 4)}
    return PyramidExplorer(np.full((24, 32, 3), 128, np.uint8), maps, pooled="middle"), maps


@torch.inference_mode()
def test_the_head_s_stages_end_in_the_model_s_own_logits(model, scenes):
    pixels = to_pixels(model, scenes[20][0], recipes.get("toy").test_scale)
    logits, stages = model(pixels, return_stages=True)
    found = head_stages(model.decode_head, stages["neck"])
    assert torch.equal(found["logits"], logits)
    assert found["pooling"].shape[-2:] == stages["neck"][-1].shape[-2:]


def test_repr_names_shapes_only(necked):
    layers = ", ".join(f"layer {index} 96×16×21" for index in (1, 2, 4, 5))
    neck = "neck ×4 96×64×84, neck ×2 96×32×42, neck ×1 96×16×21, neck ×½ 96×8×10"
    assert repr(necked) == f"<PyramidExplorer: {layers}, {neck}, pooling 64×8×10, fused 64×64×84>"
    assert repr(necked) in str(necked._repr_mimebundle_())


def test_cells_are_strides_in_the_image_s_own_pixels(necked, model, scenes):
    assert [known["cell"][1] for known in necked.maps] == [8, 8, 8, 8, 2, 4, 8, 16, 16, 2]
    assert necked.maps[necked.pooled]["name"] == "neck ×½"
    large = np.repeat(np.repeat(scenes[11][0], 3, axis=0), 3, axis=1)  # 384×480, shrunk to 128×160 before the model
    widget = PyramidExplorer.from_model(model, large, recipes.get("toy"))
    assert widget.maps[0]["cell"] == [24, 24]
    assert widget.size == [384, 480]


def test_what_is_sent_are_components_and_the_most_varied_channels(tmp_path):
    widget, maps = trials()
    colours, channels = (np.frombuffer(getattr(widget, name), np.uint8) for name in ("colours", "channels"))
    for known, x in zip(widget.maps, maps.values(), strict=True):
        x = x.reshape(-1, *x.shape[-2:])
        size = x[0].numel()
        assert np.array_equal(colours[: 3 * size].reshape(*x.shape[1:], 3), pca_colours(x[None], patch_size=1))
        spread = x.flatten(1).var(dim=1)
        assert known["channels"] == sorted(range(len(x)), key=lambda c: -spread[c])[:16]
        for number, low, high in zip(known["channels"], known["lows"], known["highs"], strict=True):
            sent = low + channels[:size].reshape(x.shape[1:]) / 255 * (high - low)
            assert np.abs(sent - x[number].numpy().clip(low, high)).max() <= 0.51 * (high - low) / 255
            channels = channels[size:]
        colours = colours[3 * size :]
    assert len(colours) == len(channels) == 0
    assert widget.to_html(tmp_path / "page.html").stat().st_size < 100_000


def test_a_constant_map_of_one_channel_and_one_cell_is_shown_too():
    widget = PyramidExplorer(np.zeros((4, 4, 3), np.uint8), {"one": np.ones((1, 1, 1), np.float32)})
    assert (widget.colours, widget.channels, widget.bins, widget.pooled) == (b"\0\0\0", b"\0", [], -1)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"image": np.zeros((4, 4), np.uint8)}, "image has the shape (4, 4); give RGB pixels, (H, W, 3)."),
        ({"maps": {}}, "maps is empty; give at least one map, (C, h, w)."),
        ({"maps": {"a": torch.zeros(2, 3, 4, 4)}}, "the map 'a' has the shape (2, 3, 4, 4); give (C, h, w), one image"),
        ({"maps": {"a": torch.zeros(3, 0, 4)}}, "the map 'a' is empty, (3, 0, 4)"),
        ({"maps": {"a": torch.full((1, 2, 2), torch.nan)}}, "the map 'a' has 4 values that are NaN or infinite"),
        ({"pooled": "b"}, "there is no map 'b'; the names in maps are: a."),
        ({"cells": {"c": (1, 1)}}, "there is no map 'c'; the names in maps are: a."),
        ({"cells": {"a": (0, 1)}}, "cells has (0, 1) for 'a'; give two sizes in pixels above 0, (down, across)."),
    ],
)
def test_bad_arguments_get_one_sentence(change, message):
    given = {"image": np.zeros((8, 8, 3), np.uint8), "maps": {"a": torch.randn(3, 4, 4)}}
    with pytest.raises(ValueError, match=re.escape(message)):
        PyramidExplorer(**given | change)


@pytest.mark.parametrize("name, value, allowed", [("pixel", [24, 0], "0 to 23 and 0 to 31"), ("chosen", 3, "0 to 2")])
def test_what_python_chooses_is_checked(name, value, allowed):
    widget, _ = trials()
    with pytest.raises(traitlets.TraitError, match=re.escape(f"{name} is {value}; give {allowed}.")):
        setattr(widget, name, value)


def test_a_model_in_training_mode_is_refused(model, scenes):
    with pytest.raises(ValueError, match=re.escape("norms depend on the batch; call model.eval() first.")):
        PyramidExplorer.from_model(model.train(), scenes[0][0], recipes.get("toy"))


# ---- In the browser ----------------------------------------------------------------------------------------------


def cells_read(page):
    """Row and column of the cell that each map says it shows."""
    lines = page.get_by_text(re.compile(r"^cell \d+, \d+")).all_inner_texts()
    return [tuple(map(int, re.findall(r"\d+", line)[:2])) for line in lines]


def cells_of(widget, y, x):
    """The cell of each map that holds a pixel of the image, counted by hand."""
    return [
        tuple(min(int(at / side), n - 1) for at, side, n in zip((y, x), known["cell"], known["shape"][1:], strict=True))
        for known in widget.maps
    ]


def agrees(page, number, colours):
    """Whether a map has these colours (h, w, 3), outlines left out."""
    off = np.abs(painted(page.locator(CANVASES).nth(number), colours.shape[:2]) - colours).max(axis=-1)
    return (off > 2).sum() <= 0.05 * off.size + 9


@pytest.mark.slow
def test_the_mouse_on_the_image_shows_its_cell_in_every_map(necked, open_widget):
    page = open_widget(necked)
    for row, column in ((0, 0), (77, 101), (127, 164), (40, 12)):
        page.mouse.move(*centre(page, 0, row, column, (128, 165)))
        settled(page)
        assert cells_read(page) == cells_of(necked, row + 0.5, column + 0.5)
        height, width = necked.maps[necked.pooled]["shape"][1:]
        cell = cells_of(necked, row + 0.5, column + 0.5)[necked.pooled]
        for bins in BINS:  # how many rows of the averaging matrices draw from the cell
            down, across = (
                int((pooling_matrix(side, bins, torch.zeros(1))[:, at] > 0).sum())
                for side, at in zip((height, width), cell, strict=True)
            )
            assert page.get_by_text(f"{down * across} of {bins**2} window", exact=bins == 1).count() == 1
    assert page.evaluate("widgetModel.get('pixel')") == [64, 82]  # hovering tells Python nothing


@pytest.mark.slow
def test_a_click_on_a_coarse_cell_outlines_its_footprint_on_the_image(necked, open_widget):
    page = open_widget(necked)
    number = 1 + [known["name"] for known in necked.maps].index("neck ×½")
    page.mouse.click(*centre(page, number, 5, 3, (8, 10)))
    settled(page)
    assert page.evaluate("[widgetModel.get('pixel'), widgetModel.get('chosen')]") == [[88, 56], number - 1]
    assert "neck ×½: a cell is 16 × 16 pixels" in page.locator(".said").inner_text()
    image = page.locator(CANVASES).first
    drawn = dots(image)
    rows, columns = np.nonzero((np.abs(drawn - rgb(LIGHT["accent"])) <= 3).all(axis=-1))
    scale = drawn.shape[1] / 165
    edges = np.array([rows.min(), rows.max(), columns.min(), columns.max()]) / scale
    assert np.abs(edges - [80, 96, 48, 64]).max() < 2.5 / scale + 1


@pytest.mark.slow
def test_one_channel_and_pca_colours_are_the_bytes_that_were_sent(open_widget):
    widget, maps = trials()
    page = open_widget(widget)
    colours = np.frombuffer(widget.colours, np.uint8)
    assert agrees(page, 1, colours[: 3 * 12 * 16].reshape(12, 16, 3).astype(int))
    page.get_by_role("radio", name="one channel").click()
    slide = page.get_by_role("slider", name="channel")
    slide.focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("widgetModel.get('channel')") == 2
    page.mouse.move(*centre(page, 2, 1, 6, (6, 8)))
    settled(page)
    known = widget.maps[1]
    values = (maps["middle"][0, known["channels"][1]].numpy() - known["lows"][1]) / (
        known["highs"][1] - known["lows"][1]
    )
    paper, accent = rgb(LIGHT["paper"]), rgb(LIGHT["accent"])
    assert agrees(page, 2, paper + (accent - paper) * values.clip(0, 1)[..., None])
    text = page.get_by_text(re.compile("^cell 1, 6: ")).inner_text().replace("−", "-")
    clipped = float(maps["middle"][0, known["channels"][1], 1, 6].clamp(known["lows"][1], known["highs"][1]))
    assert float(text.split()[-1]) == pytest.approx(clipped, abs=0.06 * abs(clipped) + 0.02)
    assert f"channel {known['channels'][1]} of 20" in page.locator(".vitseg-widget").inner_text()


@pytest.mark.slow
def test_keys_walk_by_the_cells_of_the_map_that_was_last_used(necked, open_widget):
    page = open_widget(necked)
    page.locator(CANVASES).nth(8).focus()  # the coarsest map
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    for key in ("PageUp", "Home", "ArrowRight", "ArrowDown", "ArrowDown"):
        page.keyboard.press(key)
    settled(page)
    assert cells_read(page) == cells_of(necked, 40, 24)
    page.locator(CANVASES).first.focus()  # on the image the steps are still the coarse map's
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    settled(page)
    assert cells_read(page) == cells_of(necked, 40, 40)
    assert page.evaluate("[widgetModel.get('pixel'), widgetModel.get('chosen')]") == [[40, 40], 7]
    page.wait_for_function("document.querySelector('[aria-live]').textContent.endsWith('neck ×½, cell 2, 2.')")


@pytest.mark.slow
def test_a_finger_chooses_and_python_moves_a_dark_page(necked, open_widget):
    page = open_widget(necked, width=440, scheme="dark", touch=True)
    page.touchscreen.tap(*centre(page, 10, 10, 30, (64, 84)))
    settled(page)
    assert page.evaluate("[widgetModel.get('pixel'), widgetModel.get('chosen')]") == [[21, 61], 9]
    page.evaluate("widgetModel.set('pixel', [100, 20])")
    page.evaluate("widgetModel.set('coloured', 'one channel')")
    settled(page)
    assert cells_read(page) == cells_of(necked, 100.5, 20.5)
    assert page.evaluate("document.documentElement.scrollWidth") == 440
    ink = "rgb({}, {}, {})".format(*rgb(DARK["ink"]))
    assert page.locator(".vitseg-widget").evaluate("(card) => getComputedStyle(card).color") == ink
    names = page.locator(CANVASES).evaluate_all("(all) => all.map((canvas) => canvas.getAttribute('aria-label'))")
    assert names[:2] == ["The image", "The map layer 1"]
