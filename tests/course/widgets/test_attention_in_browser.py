"""The attention explorer on a page without a kernel: mouse, touch and keys show what Python computes."""

import importlib.util
import re

import numpy as np
import pytest
from conftest import ROOT

from vitseg_lib.course.widgets.attention_explorer import AttentionExplorer
from widgets.test_attention_explorer import GRID, small, softmax

pytestmark = pytest.mark.slow

ROWS_OF = """async () => {
  const text = document.getElementById('module').textContent;
  const { rowsOf } = await import(URL.createObjectURL(new Blob(
    [text, 'export const rowsOf = attentionRows;'], { type: 'text/javascript' })));
  window.rows = rowsOf(widgetModel);
}"""


def move_to(page, row, column, *, grid=GRID, act="move"):
    """Put the mouse on a patch, or click or tap it."""
    box = page.locator("[role=application]").bounding_box()
    x, y = box["x"] + box["width"] * (column + 0.5) / grid[1], box["y"] + box["height"] * (row + 0.5) / grid[0]
    {"move": page.mouse.move, "click": page.mouse.click, "tap": page.touchscreen.tap}[act](x, y)
    settle(page)


def settle(page):
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def press(page, *keys):
    for key in keys:
        page.keyboard.press(key)
    settle(page)


def numbers(page) -> list[list[float]]:
    """The percentages at the right of each tile's first line."""
    lines = page.eval_on_selector_all(
        ".tiles [role=radio]", "tiles => tiles.map(t => t.querySelector('.line').innerText)"
    )
    return [[float(value) for value in re.findall(r"\d+(?:\.\d+)?", line.split("≤")[1])] for line in lines]


def canvases(page) -> list[str]:
    return page.eval_on_selector_all(".vitseg-widget canvas", "all => all.map(c => c.toDataURL())")


def reading(page) -> str:
    return page.inner_text(".reading")


def shown(rows: np.ndarray) -> list[float]:
    """What the tiles should say of rows (maps, tokens): the strongest patch's weight in percent."""
    return [round(100 * row[1:].max(), 1) for row in rows]


def close(one, other) -> bool:
    return all(
        abs(a - b) <= max(0.51, 0.01 * b) if b >= 9.9 else abs(a - b) < 0.11 for a, b in zip(one, other, strict=True)
    )


def test_the_browser_computes_the_models_own_rows(toy_explorer, open_widget, toy_attention):
    page = open_widget(toy_explorer)
    page.evaluate(ROWS_OF)
    worst = []
    for layer, head, token in [(0, 0, 0), (0, 2, 57), (3, 1, 174), (5, 0, 320), (5, 2, 1), (2, 2, 211)]:
        row = np.array(page.evaluate("([l, h, t]) => Array.from(rows.head(l, h, t))", [layer, head, token]))
        worst.append(np.abs(row - toy_attention[layer, head, token]).sum() / 2)
    assert max(worst) < 0.001
    mean = np.array(page.evaluate("Array.from(rows.mean(4, 99))"))
    assert np.abs(mean - toy_attention[4, :, 99].mean(axis=0)).max() < 1e-4
    rollout = np.eye(321)
    for layer in toy_attention:
        rollout = (0.5 * layer.mean(axis=0) + 0.5 * np.eye(321)) @ rollout
    rolled = np.array(page.evaluate("Array.from(rows.rollout(99))"))
    assert np.abs(rolled - rollout[99]).max() <= rollout[99].max() / 255


def test_the_mouse_chooses_and_pins(toy_explorer, open_widget, toy_attention):
    page = open_widget(toy_explorer)
    before = canvases(page)
    move_to(page, 3, 4)
    token = 1 + 3 * 20 + 4
    heads = [*toy_attention[5, :, token], toy_attention[5, :, token].mean(axis=0)]
    assert close([one for (one,) in numbers(page)[:4]], shown(heads))
    assert all(a != b for a, b in zip(before, canvases(page), strict=True))
    strongest = divmod(int(toy_attention[5, 0, token, 1:].argmax()), 20)
    assert f"from row 3, column 4 to row {strongest[0]}, column {strongest[1]}:" in reading(page)
    assert page.evaluate("widgetModel.get('query')") == 1 + 10 * 20 + 13  # hovering says nothing to the kernel
    move_to(page, 3, 4, act="click")
    move_to(page, 12, 9, act="click")
    assert page.evaluate("widgetModel.get('pins')") == [token, 1 + 12 * 20 + 9]
    pair = [shown(toy_attention[5, :, one]) for one in (token, 1 + 12 * 20 + 9)]
    assert all(close(read, both) for read, both in zip(numbers(page)[:3], zip(*pair, strict=True), strict=True))
    held = numbers(page)
    move_to(page, 0, 0)
    assert numbers(page) == held and "from B, row 12, column 9, to" in reading(page)
    page.click("text=clear")
    assert page.evaluate("widgetModel.get('pins')") == []


def test_the_keyboard_reaches_and_does_everything(toy_explorer, open_widget, toy_attention):
    page = open_widget(toy_explorer)
    reached = []
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate("document.activeElement.textContent || document.activeElement.getAttribute('role')")
        )
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        assert page.evaluate("document.activeElement.dataset.lmSuppressShortcuts") == "true" or reached[-1] in (
            "class token",
            "pin as A",
        )
        if len(reached) == 8:
            break
    assert "application" in reached and "class token" in reached and "pin as A" in reached
    page.focus("[role=application]")
    press(page, "ArrowRight", "ArrowDown")
    assert "from row 11, column 14 to" in reading(page)
    press(page, "Home", "PageUp")
    assert "from row 0, column 0 to" in reading(page)
    press(page, "ArrowLeft", "ArrowUp")
    assert "from row 0, column 0 to" in reading(page)
    press(page, "Enter", "End", "PageDown", " ")
    assert page.evaluate("widgetModel.get('pins')") == [1, 320]
    press(page, "Escape", "c")
    assert "from the class token to" in reading(page)
    assert close([one for (one,) in numbers(page)[:3]], shown(toy_attention[5, :, 0]))
    page.wait_for_function("() => document.querySelector('[aria-live]').textContent.includes('the class token')")
    page.focus(".controls [role=radio][aria-checked=true]")
    press(page, "ArrowRight")
    assert page.evaluate("widgetModel.get('view')") == "layers"
    assert len(numbers(page)) == 7
    assert close([one for (one,) in numbers(page)[:6]], shown(toy_attention[:, 0, 0]))
    page.focus(".tiles [role=radio][aria-checked=true]")
    press(page, "Home")
    assert page.evaluate("[widgetModel.get('layer'), widgetModel.get('rolled')]") == [0, False]
    press(page, "End")
    assert page.evaluate("widgetModel.get('rolled')") and "Rollout attends most" in reading(page)


def test_a_finger_chooses_and_pins_with_a_second_tap(toy_explorer, open_widget, toy_attention):
    page = open_widget(toy_explorer, touch=True, width=440)
    assert page.evaluate("document.documentElement.scrollWidth") <= 440
    move_to(page, 5, 6, act="tap")
    assert "from row 5, column 6 to" in reading(page)
    assert page.evaluate("widgetModel.get('pins')") == []
    move_to(page, 5, 6, act="tap")
    assert page.evaluate("widgetModel.get('pins')") == [1 + 5 * 20 + 6]


def test_the_opacity_and_the_scale_change_the_maps(toy_explorer, open_widget):
    page = open_widget(toy_explorer)
    first = canvases(page)
    page.fill("input[type=range]", "0.2")
    settle(page)
    second = canvases(page)
    assert all(a != b for a, b in zip(first, second, strict=True))
    page.click("text=one scale")
    settle(page)
    third = canvases(page)
    assert sum(a != b for a, b in zip(second, third, strict=True)) >= 3
    assert "%" in page.inner_text(".legend")


def test_python_sets_what_is_shown(toy_explorer, open_widget, toy_attention):
    page = open_widget(toy_explorer)
    page.evaluate("widgetModel.set('layer', 1); widgetModel.set('query', 40)")
    settle(page)
    assert close([one for (one,) in numbers(page)[:3]], shown(toy_attention[1, :, 40]))
    page.evaluate("widgetModel.set('view', 'layers'); widgetModel.set('head', 3)")
    settle(page)
    assert close([one for (one,) in numbers(page)[:6]], shown(toy_attention[:, :, 40].mean(axis=1)))


def test_odd_grids_without_a_class_token_work_in_the_dark(open_widget):
    image, queries, keys = small(tokens=6)
    page = open_widget(AttentionExplorer(image, queries, keys, grid=(2, 3)), scheme="dark", width=460)
    move_to(page, 1, 2, grid=(2, 3))
    assert "from row 1, column 2 to" in reading(page)
    page.keyboard.press("Tab")
    assert page.locator("text=class token").count() == 0
    expected = [round(100 * row[5].max(), 1) for row in softmax(queries, keys)[1]]
    assert close([one for (one,) in numbers(page)[:2]], expected)


def test_it_is_eight_times_as_fast_as_a_redrawn_figure(open_widget):
    spec = importlib.util.spec_from_file_location("widgets_benchmark", ROOT / "benchmarks" / "widgets.py")
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    image, queries, keys = bench.synthetic()
    page = open_widget(AttentionExplorer(image, queries, keys, grid=(bench.SIDE, bench.SIDE)))
    ours = np.median(bench.widget_times(page, 40)["heads of a layer"])
    theirs = np.median(bench.matplotlib_times(image, queries, keys, 6))
    assert theirs / ours >= 8
