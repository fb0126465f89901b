"""A picture with controls: it follows them, says so, and answers a fault with a sentence."""

import ipywidgets
import numpy as np
import pytest

from vitseg_lib.course.figures import arrays, plots
from vitseg_lib.course.figures.picture import Picture
from vitseg_lib.course.widgets.sliders import Sliders


def two_bars(first: float, second: float) -> Picture:
    return plots.bars({"first": first, "second": second})


@pytest.fixture
def sliders() -> Sliders:
    return Sliders(two_bars, first=ipywidgets.FloatSlider(value=1, min=-5, max=5), second=ipywidgets.IntSlider(value=2))


def test_the_picture_follows_the_controls(sliders):
    before = sliders.stage.png
    assert sliders.stage.alt == sliders.picture.alt == "A bar for each value: first 1.0, second 2.0."
    sliders.controls["second"].value = 3
    assert sliders.stage.alt == "A bar for each value: first 1.0, second 3.0."
    assert sliders.stage.png == sliders.picture.png != before
    assert sliders.stage.width == sliders.picture.width


def test_width_follows_too():
    wide = Sliders(lambda n: arrays.matrices({"a": np.eye(n)}, digits=1), n=ipywidgets.IntSlider(value=4))
    before = wide.stage.width
    wide.controls["n"].value = 9
    assert wide.stage.width > before


def test_a_fault_is_one_sentence_and_the_last_picture_stays(sliders):
    before = sliders.stage.png
    sliders.controls["first"].value = -1
    assert sliders.stage.error == "bars show one or more values of at least 0"
    assert sliders.stage.png == before
    sliders.controls["first"].value = 2
    assert sliders.stage.error == ""
    assert "first 2.0" in sliders.stage.alt


def test_a_fault_without_words_is_called_by_its_name():
    def draw(n: int) -> Picture:
        if n:
            raise ZeroDivisionError
        return two_bars(1, 1)

    sliders = Sliders(draw, n=ipywidgets.IntSlider(value=0))
    sliders.controls["n"].value = 1
    assert sliders.stage.error == "ZeroDivisionError"


def test_a_fault_at_the_start_is_the_authors_and_raised():
    with pytest.raises(ValueError, match="at least 0"):
        Sliders(two_bars, first=ipywidgets.FloatSlider(value=-1, min=-5), second=ipywidgets.IntSlider())
    with pytest.raises(TypeError, match="a Picture, not str"):
        Sliders(lambda n: str(n), n=ipywidgets.IntSlider())
    with pytest.raises(ValueError, match="at least one control"):
        Sliders(two_bars)


def test_its_name_is_stable_and_is_what_a_notebook_keeps(sliders):
    assert repr(sliders) == "<Sliders: first, second>"
    assert sliders._repr_mimebundle_()["text/plain"] == repr(sliders)


def test_controls_may_have_any_name_and_keep_the_label_they_have():
    box = Sliders(
        lambda draw, slow_: two_bars(draw, slow_),
        draw=ipywidgets.Dropdown(options=[1, 2], description="a long label that is read in full"),
        slow_=ipywidgets.Checkbox(value=True),
    )
    assert [c.description for c in box.controls.values()] == ["a long label that is read in full", "slow_"]
    widths = {control.style.description_width for control in box.controls.values()}
    assert len(widths) == 1 and float(widths.pop().removesuffix("em")) > 15
    box.controls["slow_"].value = False
    assert "second 0.0" in box.picture.alt


def test_slow_waits_until_a_slider_is_let_go():
    for slow in (False, True):
        slider = ipywidgets.IntSlider()
        Sliders(lambda n: two_bars(n, n), slow=slow, n=slider)
        assert slider.continuous_update is not slow
