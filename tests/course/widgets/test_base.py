"""The base of all widgets: readable colours, a page that lives alone, one sentence for bad images."""

import json
import re

import numpy as np
import pytest
import traitlets

from vitseg_lib.course.widgets import base
from vitseg_lib.course.widgets.base import DARK, LIGHT, CourseWidget, check_finite, check_image
from vitseg_lib.files import InputError

RENDER = """
function render({ model, el }) {
  const { root, say } = card(model, el);
  const bytes = arrayOf(model.get('bytes'), Uint8Array);
  const sum = node('output', { id: 'sum' }, String(bytes.reduce((a, b) => a + b, 0)));
  const press = toggle('twice </script>', false, (on) => {
    model.set('count', on ? 2 : 1);
    model.save_changes();
    say('pressed');
  });
  model.on('change:count', () => { sum.textContent = `count ${model.get('count')}`; });
  root.append(sum, press.element);
}
"""


class Trial(CourseWidget):
    """A widget of a few lines: a sum of bytes and a button."""

    _esm = (base.HERE / "kit.js").read_text(encoding="utf-8") + RENDER + "export default { render };"
    _css = base.tokens() + (base.HERE / "kit.css").read_text(encoding="utf-8")
    bytes = traitlets.Bytes().tag(sync=True)
    count = traitlets.Int(1).tag(sync=True)


@pytest.fixture
def trial():
    return Trial(bytes=bytes(range(256)), label="a <trial>", alt="A sum & a button.")


def luminance(colour: str) -> float:
    """The relative luminance of "#rrggbb" (WCAG 2)."""
    parts = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one: str, other: str) -> float:
    dark, light = sorted(map(luminance, (one, other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_words_can_be_read_on_every_ground(palette):
    for words in ("ink", "muted", "accent", "cold"):
        for ground in ("paper", "surface"):
            assert contrast(palette[words], palette[ground]) >= 4.5, (words, ground)
    assert contrast(palette["ink"], palette["shade"]) >= 4.5


def test_light_and_dark_have_the_same_roles():
    assert list(LIGHT) == list(DARK)


def test_the_text_of_a_notebook_is_the_repr(trial):
    bundle = trial._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert data["text/plain"] == repr(trial) == "<Trial>"


def test_the_page_asks_for_nothing_and_holds_the_words(trial, tmp_path):
    text = trial.to_html(tmp_path / "trial.html").read_text(encoding="utf-8")
    assert not re.search(r"https?://|@import|url\(", text)
    assert "<noscript>" in text and "A sum &amp; a button." in text
    assert "<title>a &lt;trial&gt;</title>" in text
    state = json.loads(re.search(r'id="state">(.*?)</script>', text, re.DOTALL).group(1))
    assert state["count"] == 1 and "bytes" not in state


def test_nothing_is_overwritten_unasked(trial, tmp_path):
    path = trial.to_html(tmp_path / "trial.html")
    with pytest.raises(InputError, match="exists already"):
        trial.to_html(path)
    trial.to_html(path, title="again", overwrite=True)
    assert "<title>again</title>" in path.read_text(encoding="utf-8")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ([[1]], "image is a list; give a NumPy array"),
        (np.zeros((4, 4), np.uint8), r"shape \(4, 4\); give RGB"),
        (np.zeros((0, 4, 3), np.uint8), "image is empty"),
        (np.zeros((4, 4, 3)), "float64; give uint8"),
    ],
)
def test_a_bad_image_gets_one_sentence(image, words):
    with pytest.raises(ValueError, match=words) as caught:
        check_image(image)
    assert "\n" not in str(caught.value)


def test_bad_numbers_get_one_sentence():
    with pytest.raises(ValueError, match="scores has 1 values that are NaN"):
        check_finite(np.array([1.0, np.nan]), "scores")
    with pytest.raises(ValueError, match="scores is empty"):
        check_finite(np.zeros((0, 3)), "scores")


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_without_a_kernel_lives(trial, open_widget, scheme):
    page = open_widget(trial, scheme=scheme)
    assert page.inner_text("#sum") == str(sum(range(256)))
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.inner_text("#sum") == "count 2"
    assert page.get_attribute("button", "aria-pressed") == "true"
    page.wait_for_function("() => document.querySelector('[aria-live]').textContent === 'pressed'")
    palette = DARK if scheme == "dark" else LIGHT
    ground = page.evaluate("getComputedStyle(document.querySelector('.vitseg-widget')).backgroundColor")
    assert ground == f"rgb({', '.join(str(int(palette['paper'][i : i + 2], 16)) for i in (1, 3, 5))})"


def test_an_unknown_name_fails_instead_of_being_forgotten():
    """traitlets only warns, where nobody looks: a stale name once showed a widget without its ground truth."""
    with pytest.raises(TypeError, match="Trial has no cuont, truth"):
        Trial(cuont=2, truth=3)
