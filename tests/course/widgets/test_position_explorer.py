"""The position explorer: its matrices against torch, its arguments, and its page under mouse, touch and keyboard."""

import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import traitlets
from einops import rearrange

from vitseg_lib import recipes
from vitseg_lib.course.widgets.base import DARK, LIGHT
from vitseg_lib.course.widgets.position_explorer import MISTAKES, OTHER_MATRIX, PositionExplorer, resize_matrix
from vitseg_lib.data.loading import SegmentationFolder
from vitseg_lib.model import weights
from vitseg_lib.model.patches import resize_pos_embed
from widgets.cells import CANVASES, centre, painted, rgb, settled


@pytest.fixture(scope="module")
def model(toy_root):
    model = recipes.build_model(recipes.get("toy"), num_classes=12).eval().requires_grad_(False)
    weights.load(model, toy_root.parent / "weights" / "toy.safetensors")
    return model


@pytest.fixture(scope="module")
def image(toy_root):
    return SegmentationFolder(toy_root, "validation")[11][0]


@pytest.fixture
def widget(model, image):
    return PositionExplorer.from_model(model, image)


def by_torch(embedding, old, new, mistake):
    """An embedding (1, 1 + h·w, C) for another grid, (h', w', C): rightly, or by one of the mistakes."""
    rows = embedding[:, :-1] if mistake == "class row as a patch" else embedding[:, 1:]
    read = "b (w h) c -> b c h w" if mistake == "read by columns" else "b (h w) c -> b c h w"
    how = OTHER_MATRIX.get(mistake, {"mode": "bicubic", "align_corners": False, "antialias": False})
    return rearrange(F.interpolate(rearrange(rows, read, h=old[0]), size=new, **how), "1 c h w -> h w c")


def cosines(vectors, row, column):
    return F.cosine_similarity(vectors[row, column], vectors, dim=-1)


def test_repr_names_sizes_only(widget):
    assert repr(widget) == "<PositionExplorer: 128×160 pixels, 16×16 positions × 96>"
    assert repr(widget) in str(widget._repr_mimebundle_())


@pytest.mark.parametrize("old, new", [((16, 16), (16, 20)), ((16, 16), (5, 40)), ((3, 7), (7, 3)), ((1, 4), (2, 2))])
def test_the_matrices_are_the_library_s_resize_and_the_flags(old, new):
    embedding = torch.randn(1, 1 + old[0] * old[1], 6)
    right = rearrange(resize_pos_embed(embedding, old, new)[0, 1:], "(h w) c -> h w c", h=new[0])
    rows = rearrange(embedding[0, 1:], "(h w) c -> h w c", h=old[0])
    for kind in ("right", *OTHER_MATRIX):
        matrices = [resize_matrix(a, b, kind) for a, b in zip(old, new, strict=True)]
        expected = right if kind == "right" else by_torch(embedding, old, new, kind)
        assert torch.allclose(torch.einsum("ih, jw, hwc -> ijc", *matrices, rows), expected, atol=1e-5)


def test_what_is_sent_is_small_and_whole(widget, model, image, tmp_path):
    sent = np.frombuffer(widget.vectors, np.float32).reshape(-1, widget.channels)
    assert np.array_equal(sent, model.encoder.pos_embed[0].numpy())
    assert np.array_equal(np.frombuffer(widget.pixels, np.uint8).reshape(image.shape), image)
    assert (widget.patch_size, widget.patch_sizes) == (8, [4, 8, 16, 32])
    grids = [(-(-128 // p), -(-160 // p)) for p in widget.patch_sizes]
    assert len(widget.matrices) == 4 * sum(4 * 16 * (h + w) for h, w in grids)
    page = widget.to_html(tmp_path / "page.html")
    assert page.stat().st_size < 400_000


@pytest.mark.parametrize(
    "change, message",
    [
        ({"image": np.zeros((8, 8, 3))}, "image holds float64; give uint8, 0 to 255."),
        ({"image": np.zeros((0, 8, 3), np.uint8)}, "image is empty, (0, 8, 3); give one that has pixels."),
        ({"grid": (2, 3)}, "embedding has the shape (1, 5, 4); a grid of 2×3 needs (1, 7, C), a class row and one per"),
        ({"embedding": torch.randn(2, 5, 4)}, "embedding has the shape (2, 5, 4); a grid of 2×2 needs (1, 5, C)"),
        ({"embedding": np.full((5, 4), np.nan)}, "embedding has 20 values that are NaN or infinite"),
        ({"embedding": np.zeros((0, 4))}, "embedding is empty"),
        ({"grid": (4,)}, "grid is (4,); give the embedding's own (rows, columns)."),
        ({"patch_sizes": (4, 99)}, "patch_sizes has 99; give sizes from 1 to 16, the image's shorter side."),
        ({"patch_size": 0}, "patch_sizes has 0; give sizes from 1 to 16, the image's shorter side."),
    ],
)
def test_bad_arguments_get_one_sentence(change, message):
    given = {"image": np.zeros((16, 24, 3), np.uint8), "embedding": torch.randn(1, 5, 4), "grid": (2, 2)}
    with pytest.raises(ValueError, match=re.escape(message)):
        PositionExplorer(**given | change)


def test_what_python_chooses_is_checked(widget):
    with pytest.raises(traitlets.TraitError, match=r"patch_size is 5; give one of 4, 8, 16, 32\."):
        widget.patch_size = 5
    with pytest.raises(traitlets.TraitError, match=r"the row and column of one of 16×20 patches, from 0\."):
        widget.position = [16, 0]


def test_a_model_without_positions_is_named():
    with pytest.raises(ValueError, match="model is a Linear without a position embedding; give one of recipes"):
        PositionExplorer.from_model(torch.nn.Linear(2, 2), np.zeros((16, 16, 3), np.uint8))


# ---- In the browser ----------------------------------------------------------------------------------------------


def point(page, number, row, column, grid):
    page.mouse.move(*centre(page, number, row, column, grid))
    settled(page)


def colours_of(values, roles=LIGHT):
    """The scale of the maps: cold, paper, accent."""
    cold, paper, accent = (rgb(roles[name]) for name in ("cold", "paper", "accent"))
    values = values.clamp(-1, 1).numpy()[..., None]
    return paper + (np.where(values < 0, cold, accent) - paper) * np.abs(values)


def agrees(page, number, values, row, column, roles=LIGHT):
    """Whether a map shows the values, the outlined cell and its neighbours left out."""
    off = np.abs(painted(page.locator(CANVASES).nth(number), values.shape) - colours_of(values, roles)).max(axis=-1)
    off[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2] = 0
    return off.max() <= 2


@pytest.mark.slow
def test_the_mouse_shows_the_cosines_of_every_mistake(widget, model, open_widget):
    page = open_widget(widget)
    embedding = model.encoder.pos_embed
    trained = rearrange(embedding[0, 1:], "(h w) c -> h w c", h=16)
    for size, grid, (row, column) in ((8, (16, 20), (4, 13)), (32, (4, 5), (2, 1)), (4, (32, 40), (30, 38))):
        page.get_by_role("radio", name=f"{size}×{size}", exact=True).click()
        point(page, 0, row, column, grid)
        own = int((row + 0.5) / grid[0] * 16), int((column + 0.5) / grid[1] * 16)
        assert agrees(page, 1, cosines(trained, *own), *own)
        right = by_torch(embedding, (16, 16), grid, "right")
        assert agrees(page, 2, cosines(right, row, column), row, column)
        for mistake in MISTAKES:
            page.get_by_role("radio", name=mistake).click()
            point(page, 0, row, column, grid)
            wrong = by_torch(embedding, (16, 16), grid, mistake)
            assert agrees(page, 3, cosines(wrong, row, column), row, column)
            most = float((cosines(right, row, column) - cosines(wrong, row, column)).abs().max())
            percent = 100 * float((right - wrong).norm() / right.norm())
            read = re.fullmatch(
                r".* at most (\S+) \(row .* positions by (\S+)\s%\.", page.locator(".said").inner_text()
            )
            assert [float(number) for number in read.groups()] == pytest.approx([most, percent], abs=0.051, rel=0)
            assert float(read[1]) == pytest.approx(most, abs=6e-5)


@pytest.mark.slow
def test_pointing_lifts_a_patch_and_leaving_puts_it_back(widget, image, open_widget):
    page = open_widget(widget)
    page.mouse.move(0, 0)
    before = page.get_by_text("row 5, column 6", exact=True).count()
    point(page, 0, 10, 3, (16, 20))
    text = page.locator(".vitseg-widget").inner_text()
    assert "pixels 80–87 down" in text and "pixels 24–31 across" in text and "8 × 8 × 3 = 192 values" in text
    assert "patch 203" in text.lower() and "token 204" in text
    loupe = page.get_by_role("img", name="The chosen patch, magnified")
    assert np.array_equal(painted(loupe, (8, 8)), image[80:88, 24:32])
    assert page.evaluate("widgetModel.get('position')") == [5, 6]  # hovering tells Python nothing
    page.mouse.move(0, 0)
    settled(page)
    assert page.get_by_text("row 5, column 6", exact=True).count() == before == 3  # the facts and two maps


@pytest.mark.slow
def test_keys_walk_the_image_and_each_map_and_enter_tells_python(widget, open_widget):
    page = open_widget(widget)
    page.keyboard.press("Tab")  # the chosen patch size
    page.keyboard.press("ArrowRight")
    assert page.evaluate("[widgetModel.get('patch_size'), widgetModel.get('position')]") == [16, [2, 3]]
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Tab")  # the image
    focus = "getComputedStyle(document.activeElement).outlineStyle"
    assert page.evaluate(focus) == "solid"
    for key in ("ArrowRight", "ArrowDown", "ArrowDown"):
        page.keyboard.press(key)
    settled(page)
    assert page.get_by_text("row 7, column 7", exact=True).count() == 3
    assert page.evaluate("widgetModel.get('position')") == [5, 6]
    page.keyboard.press("Enter")
    assert page.evaluate("widgetModel.get('position')") == [7, 7]
    page.keyboard.press("End")
    page.keyboard.press("PageDown")
    page.keyboard.press("Space")
    assert page.evaluate("widgetModel.get('position')") == [15, 19]
    page.keyboard.press("Tab")  # the mistakes
    page.keyboard.press("ArrowRight")
    assert page.evaluate("widgetModel.get('mistake')") == "bilinear"
    page.keyboard.press("Tab")  # the trained map: its own 16 columns
    page.keyboard.press("Home")
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    settled(page)
    assert page.get_by_text("row 15, column 5", exact=True).count() == 1
    assert page.get_by_text("row 15, column 6", exact=True).count() == 3  # 5.5 · 20 / 16 = 6.9; the facts, two maps
    page.wait_for_function(
        "document.querySelector('[aria-live]').textContent.startsWith('Patch 306, row 15, column 6.')"
    )


@pytest.mark.slow
def test_a_finger_chooses(widget, open_widget):
    page = open_widget(widget, width=440, touch=True)
    page.touchscreen.tap(*centre(page, 2, 3, 17, (16, 20)))
    settled(page)
    assert page.evaluate("widgetModel.get('position')") == [3, 17]
    page.get_by_role("radio", name="32×32").tap()
    page.touchscreen.tap(*centre(page, 1, 3, 7, (16, 16)))  # the trained map is finer now, and keeps its own cell
    settled(page)
    assert page.evaluate("widgetModel.get('position')") == [0, 2]
    assert page.get_by_text("row 3, column 7", exact=True).count() == 1
    assert page.evaluate("document.documentElement.scrollWidth") == 440


@pytest.mark.slow
def test_python_moves_it_and_the_dark_page_has_its_own_colours(widget, model, open_widget):
    page = open_widget(widget, scheme="dark")
    page.evaluate("widgetModel.set('patch_size', 16)")
    page.evaluate("widgetModel.set('position', [6, 9])")
    settled(page)
    values = cosines(by_torch(model.encoder.pos_embed, (16, 16), (8, 10), "right"), 6, 9)
    assert agrees(page, 2, values, 6, 9, DARK)
    shown = page.locator(".vitseg-widget")
    assert shown.evaluate("(card) => getComputedStyle(card).color") == "rgb(232, 231, 226)"
    names = page.locator(CANVASES).evaluate_all("(all) => all.map((canvas) => canvas.getAttribute('aria-label'))")
    assert names[0] == "The image in 8 × 10 = 80 patches"
    assert names[3] == "Cosines with the chosen position, antialias · 8×10"


@pytest.mark.slow
def test_an_image_that_patches_do_not_divide_says_what_is_padding(open_widget):
    widget = PositionExplorer(np.full((20, 30, 3), 200, np.uint8), torch.randn(1, 7, 5), (2, 3), patch_size=8)
    assert widget.patch_sizes == [4, 8, 16]
    page = open_widget(widget)
    page.locator(CANVASES).first.focus()
    page.keyboard.press("End")
    page.keyboard.press("PageDown")
    settled(page)
    text = page.locator(".vitseg-widget").inner_text()
    assert "40 of 64 pixels are padding" in text and "pixels 16–19 down" in text and "pixels 24–29 across" in text
