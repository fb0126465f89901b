"""The mask explorer: what it sends is what the model predicted, and mouse, touch and keys show it."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from vitseg_lib import recipes
from vitseg_lib.course.widgets import base, mask_explorer
from vitseg_lib.course.widgets.mask_explorer import MaskExplorer, top_classes_of, top_of_model
from vitseg_lib.data.classes import Classes, ade20k_classes
from vitseg_lib.data.loading import SegmentationFolder
from vitseg_lib.engine import fast_inference
from vitseg_lib.engine.fast_inference import upsampled
from vitseg_lib.engine.inference import predict, to_pixels, whole_image
from vitseg_lib.model import weights
from vitseg_lib.model.upernet import resize
from widgets.cells import APART

ROOT = Path(__file__).parents[3]
PAPER, ACCENT = (np.array([int(base.LIGHT[name][i : i + 2], 16) for i in (1, 3, 5)]) for name in ("paper", "accent"))


@pytest.fixture(scope="module")
def toy():
    """The trained toy model, its recipe, and one scene with its classes."""
    scenes = SegmentationFolder(ROOT / "data" / "toy_scenes", "validation")
    recipe = recipes.get("toy")
    model = recipes.build_model(recipe, num_classes=len(scenes.classes))
    weights.load(model, ROOT / "data" / "weights" / "toy.safetensors")
    return model.eval(), recipe, *scenes[11], scenes.classes


@pytest.fixture(scope="module")
def explorer(toy):
    model, recipe, image, labels, classes = toy
    return MaskExplorer.from_model(model, image, recipe, classes, labels=labels)


def small(labelled=True, classes=3, size=(6, 8), **state):
    """An explorer of noise, and the arrays that it was made from."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    labels, prediction = rng.integers(0, classes, (2, *size), dtype=np.uint8)
    labels[0, :3] = 255
    probabilities = -np.sort(-rng.dirichlet(np.ones(classes), size), axis=-1).transpose(2, 0, 1)[:5]
    best = rng.permuted(np.tile(np.arange(classes)[:, None, None], (1, *size)), axis=0)[:5]
    names = tuple(f"class {'abcdefghijklmnop'[k]}, thing" for k in range(classes))
    arguments = {
        "image": image,
        "labels": labels if labelled else None,
        "prediction": prediction,
        "top_classes": best,
        "top_probabilities": probabilities,
        "classes": Classes(names, rng.integers(0, 256, (classes, 3), dtype=np.uint8)),
    }
    return arguments | state


def sent(explorer, name, *shape):
    return np.frombuffer(getattr(explorer, name), np.uint8).reshape(*shape)


def test_the_labels_are_those_of_predict_and_the_top_five_those_of_the_softmax(toy, explorer):
    model, recipe, image, _, _ = toy
    labels = predict(model, image, recipe)
    with torch.inference_mode():
        logits = whole_image(model, to_pixels(model, image, recipe.test_scale))
        expected = F.interpolate(logits, size=image.shape[:2], mode="bilinear").softmax(1)[0].topk(5, dim=0)
    assert (sent(explorer, "prediction", 128, 160) == labels).all()
    best, values = sent(explorer, "top_classes", 5, 128, 160), sent(explorer, "top_probabilities", 5, 128, 160)
    assert (best[0] == labels).all()
    np.testing.assert_allclose(values / 255, expected.values.numpy(), atol=0.5 / 255 + 1e-6)
    assert (best == expected.indices.numpy())[expected.values.numpy() > 1e-3].mean() > 0.9999


@pytest.mark.parametrize("at_once", [1, 2, 7, 1000])
def test_the_softmax_is_the_same_a_few_rows_at_a_time(monkeypatch, at_once):
    monkeypatch.setattr(fast_inference, "chunk_elements", lambda device, count: at_once * 12 * 11)
    logits = 5 * torch.randn(1, 12, 4, 5)
    labels, classes, probabilities = top_classes_of(upsampled(logits, (9, 11)))
    expected = resize(logits, (9, 11)).softmax(1)[0].topk(5, dim=0)
    assert (classes == expected.indices.numpy()).all() and (labels == classes[0]).all()
    np.testing.assert_allclose(probabilities, expected.values.numpy(), rtol=1e-5, atol=1e-6)


def test_with_fewer_than_five_classes_all_are_sent():
    _, classes, probabilities = top_classes_of(upsampled(torch.randn(1, 3, 4, 5)))
    assert classes.shape == (3, 4, 5)
    np.testing.assert_allclose(probabilities.sum(0), 1, rtol=1e-5)


def test_from_model_leaves_the_model_as_it_was(toy):
    model, recipe, image, _, _ = toy
    model.train()
    labels, _, _ = top_of_model(model, image, recipe)
    assert model.training
    model.eval()
    assert (labels == predict(model, image, recipe)).all()


def test_a_large_photo_is_shown_smaller(toy, monkeypatch):
    model, recipe, image, labels, classes = toy
    monkeypatch.setattr(mask_explorer, "MOST_PIXELS", 64 * 80)
    explorer = MaskExplorer.from_model(model, image, recipe, classes, labels=labels)
    assert explorer.size == [64, 80]
    assert (sent(explorer, "labels", 64, 80) == labels[::2, ::2]).all()
    whole = predict(model, image, recipe)[::2, ::2]
    assert (sent(explorer, "prediction", 64, 80) == whole).mean() > 0.95


def test_rows_and_scores_are_counted_by_hand(toy, explorer):
    labels = toy[3]
    prediction = sent(explorer, "prediction", 128, 160)
    counted = labels != 255
    areas, ious = [], []
    for row in explorer.rows:
        is_true, is_predicted = labels == row["class"], (prediction == row["class"]) & counted
        areas.append(row["area"])
        ious.append(100 * (is_true & is_predicted).sum() / (is_true | is_predicted).sum())
        assert row["area"] == pytest.approx(100 * is_true.sum() / counted.sum())
        assert row["iou"] == pytest.approx(ious[-1])
    assert areas == sorted(areas, reverse=True) and sum(areas) == pytest.approx(100)
    assert {row["class"] for row in explorer.rows} == set(np.unique(labels[counted])) | set(np.unique(prediction))
    assert explorer.scores == pytest.approx(
        {"mIoU": np.mean(ious), "aAcc": 100 * (prediction == labels)[counted].mean()}
    )


def test_a_photo_without_labels(toy):
    model, recipe, image, _, classes = toy
    explorer = MaskExplorer.from_model(model, image, recipe, classes)
    assert repr(explorer) == "<MaskExplorer: 128×160 pixels, 7 classes, without ground truth>"
    assert explorer.labels == b"" and explorer.scores == {}
    assert all(row["iou"] is None for row in explorer.rows)
    assert "ground truth" not in explorer.alt


def test_an_image_with_no_labelled_pixel_has_scores_of_nought():
    arguments = small()
    explorer = MaskExplorer(**arguments | {"labels": np.full((6, 8), 255)})
    assert explorer.scores == {"mIoU": 0.0, "aAcc": 0.0}
    assert {row["iou"] for row in explorer.rows} == {None}


def test_its_name_is_stable_and_its_words_say_what_there_is(explorer):
    assert repr(explorer) == "<MaskExplorer: 128×160 pixels, 7 classes, with ground truth>"
    assert explorer._repr_mimebundle_()[0]["text/plain"] == repr(explorer)
    assert "earth 27 percent" in explorer.alt and "arrow keys" in explorer.alt


def test_the_page_is_small(explorer, tmp_path):
    page = explorer.to_html(tmp_path / "page.html").read_text(encoding="utf-8")
    assert len(page) < 600_000


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"image": np.zeros((6, 8))}, "image must be uint8 (H, W, 3), not float64 (6, 8): read it with read_image"),
        ({"image": None}, "image must be uint8 (H, W, 3), not NoneType: read it with read_image"),
        ({"image": np.zeros((0, 8, 3), np.uint8)}, "image has no pixels, its shape is (0, 8, 3)"),
        ({"image": np.zeros((1001, 1000, 3), np.uint8)}, "image has more than 1,000,000 pixels: use from_model"),
        ({"labels": np.zeros((6, 9), int)}, "labels must be integers of the image's (6, 8), not int64 (6, 9)"),
        ({"prediction": np.zeros((6, 8))}, "prediction must be integers of the image's (6, 8), not float64 (6, 8)"),
        ({"prediction": np.zeros((1, 6, 8), int)}, "prediction must be integers of the image's (6, 8)"),
        ({"prediction": np.full((6, 8), 255)}, "prediction holds 255, but its classes are 0..2: correct it"),
        ({"labels": np.full((6, 8), 3)}, "labels holds 3, but its classes are 0..2 or the ignored one: correct it"),
        (
            {"top_classes": np.zeros((5, 6, 8), int)},
            "top_classes must have the shape (3, 6, 8), the likeliest class first",
        ),
        ({"top_classes": np.full((3, 6, 8), -1)}, "top_classes holds -1, but its classes are 0..2: correct it"),
        (
            {"top_probabilities": np.full((3, 6, 8), np.nan)},
            "top_probabilities holds values that are no fractions of 1",
        ),
        ({"top_probabilities": np.full((3, 6, 8), 2.5)}, "top_probabilities holds values that are no fractions"),
        ({"labels": None, "left": "errors"}, "without labels there are no errors to show"),
        ({"labels": None, "only_errors": True}, "without labels there are no errors to show"),
        ({"hidden": [7]}, "hidden names the class 7, but classes are 0..2: correct it"),
        ({"pixel": [6, 0]}, "pixel [6, 0] is outside the image's (6, 8): give row and column"),
    ],
)
def test_bad_arguments_get_one_sentence(change, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)) as fault:
        MaskExplorer(**small() | change)
    assert "\n" not in str(fault.value)


# In the browser: what is painted and said is what Python computes.


def painted(explorer, arguments, layer, opacity=0.7, shown=None, only_errors=False):
    """What a layer should look like, uint8 (H, W, 3), in the light scheme."""
    image, labels, prediction = (arguments[name] for name in ("image", "labels", "prediction"))
    colours = arguments["classes"].colours
    faded = 0.45 * (image @ np.array([0.299, 0.587, 0.114]))[..., None] + 0.55 * PAPER
    table = np.isin(np.arange(256), range(len(colours)) if shown is None else shown)
    wrong = (labels != prediction) & (labels != 255)
    if layer == "errors":
        pixels = np.where((wrong & (table[labels] | table[prediction]))[..., None], ACCENT, faded)
    elif layer == "image":
        pixels = image
    else:
        labels = arguments["prediction" if layer == "prediction" else "labels"]
        pixels = np.where(table[labels][..., None], (1 - opacity) * image + opacity * colours[labels % 3], faded)
        pixels = np.where((labels == 255)[..., None], image if shown is None else faded, pixels)
        pixels = np.where((only_errors & ~wrong)[..., None], faded, pixels)
    return pixels


READ = """() => {
  const canvas = document.querySelector('.stage canvas'), [h, w] = widgetModel.get('size');
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', { willReadFrequently: true });
  copy.drawImage(canvas, 0, 0);
  const { data, width } = copy.getImageData(0, 0, canvas.width, canvas.height);
  const at = (r, c) => 4 * (Math.floor((r + 0.2) * canvas.height / h) * width + Math.floor((c + 0.2) * width / w));
  const rgb = (r, c) => [...data.slice(at(r, c), at(r, c) + 3)];
  return Array.from({ length: h }, (_, r) => Array.from({ length: w }, (_, c) => rgb(r, c)));
}"""


def looks_like(page, expected):
    """Compare a dot in each pixel's upper left corner, away from the outline of the pixel under the cursor."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    difference = np.abs(np.array(page.evaluate(READ)) - expected).max(axis=2)
    assert (difference > 1.01).sum() <= 9  # the outline's own


@pytest.fixture
def noise(open_widget):
    """A page of 6×8 pixels of noise in three classes, with `left` of its layers everywhere."""
    arguments = small(wipe=1.0, left="prediction", pixel=[3, 4])
    explorer = MaskExplorer(**arguments)
    return open_widget(explorer), explorer, arguments


@pytest.mark.slow
def test_it_finds_its_colours_when_it_is_put_on_the_page_later(noise):
    """As JupyterLab does: it renders first and attaches then."""
    page, explorer, arguments = noise
    page.evaluate(APART)
    page.get_by_role("radiogroup", name="left").get_by_role("radio", name="errors").click()
    looks_like(page, painted(explorer, arguments, "errors"))


def press(page, *keys):
    for key in keys:
        page.keyboard.press(key)


def frame(page):
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


@pytest.mark.slow
def test_every_layer_is_painted_as_computed(noise):
    page, explorer, arguments = noise
    for layer in ("image", "ground truth", "prediction", "errors"):
        page.get_by_role("radiogroup", name="left").get_by_role("radio", name=layer).click()
        looks_like(page, painted(explorer, arguments, layer))


@pytest.mark.slow
def test_opacity_only_errors_and_the_classes_repaint(noise):
    page, explorer, arguments = noise
    page.get_by_role("slider", name="colour").focus()
    press(page, "End")
    looks_like(page, painted(explorer, arguments, "prediction", opacity=1))
    page.get_by_role("button", name="only errors").click()
    looks_like(page, painted(explorer, arguments, "prediction", opacity=1, only_errors=True))
    page.get_by_role("button", name="only errors").click()
    page.get_by_role("button", name=re.compile("^class b")).click()
    page.mouse.move(0, 0)
    looks_like(page, painted(explorer, arguments, "prediction", opacity=1, shown=[0, 2]))
    assert page.evaluate("widgetModel.get('hidden')") == [1]
    page.get_by_role("button", name="show all").click()
    looks_like(page, painted(explorer, arguments, "prediction", opacity=1))


@pytest.mark.slow
def test_only_this_class_by_double_click_and_by_keys(noise):
    page, explorer, arguments = noise
    page.get_by_role("button", name=re.compile("^class c")).dblclick()
    page.mouse.move(0, 0)
    looks_like(page, painted(explorer, arguments, "prediction", shown=[2]))
    page.get_by_role("button", name=re.compile("^class c")).focus()
    press(page, "Shift+Enter")
    looks_like(page, painted(explorer, arguments, "prediction"))
    press(page, "Home", "Shift+Enter")
    first = explorer.rows[0]["class"]
    looks_like(page, painted(explorer, arguments, "prediction", shown=[first]))
    press(page, "ArrowDown", "Enter")
    looks_like(page, painted(explorer, arguments, "prediction", shown=[first, explorer.rows[1]["class"]]))


@pytest.mark.slow
def test_the_wipe_by_mouse_and_by_keys(noise):
    page, explorer, arguments = noise
    knob = page.get_by_role("slider", name="Divider")
    box, stage = page.locator(".knob").bounding_box(), page.locator(".stage").bounding_box()
    page.mouse.move(box["x"] + 8, box["y"] + 10)
    page.mouse.down()
    page.mouse.move(stage["x"] + stage["width"] * 0.25, box["y"], steps=3)
    page.mouse.up()
    assert page.evaluate("widgetModel.get('wipe')") == pytest.approx(0.25, abs=0.01)
    page.get_by_role("radiogroup", name="right").get_by_role("radio", name="ground truth").click()
    halves = [painted(explorer, arguments, layer) for layer in ("prediction", "ground truth")]
    looks_like(page, np.concatenate([halves[0][:, :2], halves[1][:, 2:]], axis=1))
    knob.focus()
    press(page, "End", "Shift+ArrowLeft", "Shift+ArrowLeft", "ArrowLeft")
    assert page.evaluate("widgetModel.get('wipe')") == pytest.approx(0.79)
    frame(page)
    assert knob.get_attribute("aria-valuetext") == "prediction up to 79 percent, then ground truth"
    press(page, "Home")
    looks_like(page, halves[1])


def told(explorer, row, column):
    """What the panel should say of a pixel: true, predicted and the top classes with their percent."""
    height, width = explorer.size
    shape, names = (-1, height, width), [*explorer.names, *["not labelled"] * 256]
    best, values = (sent(explorer, f"top_{name}", *shape)[:, row, column] for name in ("classes", "probabilities"))
    percents = [np.floor(100 * int(value) / 255 + 0.5) for value in values]
    words = ["< 1 %" if 0 < v < 2.55 else f"{percent:.0f} %" for v, percent in zip(values, percents, strict=True)]
    known = [sent(explorer, name, height, width)[row, column] for name in ("labels", "prediction")]
    return [names[k] for k in known], [f"{names[k]} {word}" for k, word in zip(best, words, strict=True)]


def read(page):
    frame(page)
    facts = page.locator(".fact > span:last-child").all_inner_texts()[1:]
    bars = [line.split("\n") for line in page.locator(".reading li").all_inner_texts()]
    return facts, [" ".join(filter(None, line)) for line in bars]


@pytest.mark.slow
def test_the_pixel_in_hand_by_mouse_and_by_keys(explorer, open_widget):
    page = open_widget(explorer)
    stage = page.locator(".stage").bounding_box()

    def point(row, column):
        page.mouse.move(
            stage["x"] + (column + 0.5) * stage["width"] / 160, stage["y"] + (row + 0.5) * stage["height"] / 128
        )

    for row, column in ((0, 0), (60, 100), (127, 159), (30, 20)):
        point(row, column)
        assert read(page) == told(explorer, row, column)
    assert page.evaluate("widgetModel.get('pixel')") == []  # hovering sends nothing
    page.mouse.down()
    page.mouse.up()
    assert page.evaluate("widgetModel.get('pixel')") == [30, 20]
    press(page, "ArrowRight", "ArrowDown", "Shift+ArrowDown", "Shift+ArrowRight", "ArrowUp", "ArrowLeft")
    assert read(page) == told(explorer, 38, 28)
    assert page.locator(".reading .caps").first.inner_text().lower() == "row 38, column 28"
    press(page, "Shift+ArrowLeft", "Home", "PageUp", "Enter")
    assert page.evaluate("widgetModel.get('pixel')") == [0, 0]
    page.wait_for_function(
        "document.querySelector('[aria-live]').textContent.startsWith('row 0, column 0: true sky, predicted sky')"
    )


@pytest.mark.slow
def test_touch_reads_a_pixel_and_switches_a_class(explorer, open_widget):
    page = open_widget(explorer, touch=True, width=440)
    stage = page.locator(".stage").bounding_box()
    page.touchscreen.tap(
        stage["x"] + 100.5 * stage["width"] / 160,
        stage["y"] + 60.5 * stage["height"] / 128,
    )
    assert page.evaluate("widgetModel.get('pixel')") == [60, 100]
    assert read(page) == told(explorer, 60, 100)
    page.get_by_role("button", name=re.compile("^house")).tap()
    assert page.evaluate("widgetModel.get('hidden')") == [7]
    assert page.evaluate("document.documentElement.scrollWidth") <= 440


@pytest.mark.slow
def test_the_list_sorts_by_name_iou_and_area(explorer, open_widget):
    page = open_widget(explorer)

    def order():
        return [int(k) for k in page.eval_on_selector_all(".classes .class", "all => all.map((b) => b.dataset.class)")]

    rows = explorer.rows
    assert order() == [row["class"] for row in rows]
    page.get_by_role("button", name="Sort by IoU").click()
    assert order() == [row["class"] for row in sorted(rows, key=lambda row: -row["iou"])]
    page.get_by_role("button", name="Sort by IoU").click()
    assert order() == [row["class"] for row in sorted(rows, key=lambda row: row["iou"])]
    page.get_by_role("button", name="Sort by class").click()
    assert order() == [row["class"] for row in sorted(rows, key=lambda row: explorer.names[row["class"]])]


@pytest.mark.slow
def test_a_photo_and_a_hundred_and_fifty_classes_fit(open_widget):
    arguments = small(classes=16, size=(683, 512))
    rng = np.random.default_rng(1)
    names = ade20k_classes()
    prediction = np.repeat(rng.integers(0, 150, (683, 8)), 64, axis=1)
    explorer = MaskExplorer(**arguments | {"classes": names, "prediction": prediction, "labels": None})
    for width in (1000, 440):
        page = open_widget(explorer, width=width)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator(".classes").bounding_box()["height"] <= 260
        assert page.locator(".stage").bounding_box()["height"] <= 561
        assert page.get_by_role("radio", name="ground truth").count() == page.get_by_text("only errors").count() == 0
        assert page.locator(".classes .class").count() == 150


@pytest.mark.slow
def test_in_the_dark_it_is_readable(explorer, open_widget):
    page = open_widget(explorer, scheme="dark")
    ground, ink = page.eval_on_selector(
        ".vitseg-widget", "e => [getComputedStyle(e).backgroundColor, getComputedStyle(e).color]"
    )
    light = [np.array(re.findall(r"\d+", colour)[:3], float).mean() for colour in (ground, ink)]
    assert light[0] < 60 and light[1] > 200


@pytest.mark.slow
def test_tab_reaches_every_control_and_none_is_small(noise):
    page, _, _ = noise
    reached = []
    for _ in range(14):
        press(page, "Tab")
        reached.append(
            page.evaluate(
                "() => { const e = document.activeElement; return e.getAttribute('aria-label') || e.textContent; }"
            )
        )
    for name in ("image", "prediction", "colour", "only errors", "Image of", "Divider", "Sort by class", "class"):
        assert any(name in words for words in reached), (name, reached)
    heights = page.eval_on_selector_all(
        ".vitseg-widget :is(button, input, .knob)", "all => all.map((e) => e.getBoundingClientRect().height)"
    )
    assert min(heights) >= 28
