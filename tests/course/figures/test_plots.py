"""Plots of numbers: columns and bars as high and long as their values, labels that stay apart, axes that hold all."""

import numpy as np
import pytest
from looking import ACCENT_BYTES, BLUE, CLASSES, GREEN, RED, has_colour, pixels_of

from vitseg_lib.course.figures import axes, panels, plots
from vitseg_lib.course.figures.picture import SMALL, text_width
from vitseg_lib.data.classes import ade20k_classes


def heights(picture) -> list[int]:
    """How many dots high the columns of the three classes are."""
    drawn = pixels_of(picture)
    return [int((drawn[..., :3] == np.array(colour)).all(-1).sum(axis=0).max()) for colour in (RED, GREEN, BLUE)]


def test_columns_are_as_high_as_their_fractions():
    red, green, blue = heights(plots.long_tail([0.2, 0.4, 0.1], CLASSES, log=False))
    assert red / green == pytest.approx(0.5, abs=0.02)
    assert blue / green == pytest.approx(0.25, abs=0.02)


def test_on_a_logarithmic_scale_equal_ratios_are_equal_steps():
    red, green, blue = heights(plots.long_tail([0.1, 0.9, 0.9 / 81], CLASSES))
    assert green - red == pytest.approx(red - blue, abs=2)
    assert blue > 10  # the last column can be seen


def test_the_largest_comes_first_and_none_at_all_has_no_column():
    picture = plots.long_tail([0, 0.25, 0.5], CLASSES)
    drawn = pixels_of(picture)
    columns = [np.nonzero((drawn[..., :3] == np.array(c)).all(-1))[1] for c in (BLUE, GREEN)]
    assert columns[0].max() < columns[1].min()
    assert has_colour(drawn, RED) == 0
    assert picture.alt.endswith("as high as its fraction: tree 50 %, sky 25 %. 1 of them have no pixel.")
    assert repr(picture) == "<Picture: the fractions of 3 classes>"


def test_the_named_columns_are_named():
    assert "fraction: sky 40 %." in plots.long_tail([0.2, 0.4, 0.1], CLASSES, named=["sky"]).alt
    assert "fraction: wall 20 %, tree 10 %." in plots.long_tail([0.2, 0.4, 0.1], CLASSES, named=[2, 0, "wall"]).alt
    assert plots.long_tail([0.2, 0.4, 0.1], CLASSES, named=()).alt.endswith("its fraction: .")
    for name in ("sea", 3, -1):
        with pytest.raises(ValueError, match="no class is called"):
            plots.long_tail([0.2, 0.4, 0.1], CLASSES, named=[name])


@pytest.mark.parametrize(("fraction", "text"), [(0.1576, "16 %"), (0.048, "4.8 %"), (0.0005, "0.05 %"), (1, "100 %")])
def test_fractions_are_written_with_two_digits(fraction, text):
    assert plots.percent(fraction) == text


@pytest.mark.parametrize("seed", range(5))
def test_labels_stay_clear_of_columns_and_of_each_other(seed):
    random = np.random.default_rng(seed)
    columns = sorted(random.random(150) * 200, reverse=True)
    labels = {int(rank): "a name 0.01 %" for rank in random.choice(150, 12, replace=False)}
    positions = plots._label_positions(columns, labels, 4.5)
    wide = text_width("a name 0.01 %", size=SMALL)
    boxes = [(start, start + wide, high) for start, high in positions.values()]
    for number, (start, end, high) in enumerate(boxes):
        assert start >= -2 and end <= 150 * 4.5 + 0.01
        assert all(high - 7 > columns[rank] for rank in range(150) if start < 4.5 * (rank + 0.5) < end)
        assert all(end < s or e < start or abs(high - h) >= 14 for s, e, h in boxes[:number])


def test_ade20ks_classes_have_their_tail():
    picture = plots.long_tail(np.geomspace(0.16, 0.0002, 150), ade20k_classes())
    assert picture.alt.count("%") == 6
    assert "fraction: wall 16 %, " in picture.alt


def test_bars_are_as_long_as_their_values_and_highlighted():
    picture = plots.bars({"a": 20, "b": 80}, highlighted=["a", "b"], unit="ms", digits=0)
    rows = np.sort((pixels_of(picture)[..., :3] == ACCENT_BYTES).all(-1).sum(axis=1))
    assert rows[-1] / rows[-40] == pytest.approx(4, rel=0.15)  # the numbers are highlighted too
    assert picture.alt == "A bar for each value: a 20 ms, b 80 ms."
    assert repr(picture) == "<Picture: 2 bars: a, b>"
    assert has_colour(pixels_of(plots.bars({"a": 20, "b": 80})), ACCENT_BYTES) == 0
    assert plots.bars({"nothing": 0.0}).alt.endswith("nothing 0.0.")
    assert "12 345.6" in plots.bars({"a": 12345.6}).alt


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_a_scale_holds_its_values_and_a_few_ticks(log, seed):
    random = np.random.default_rng(seed)
    values = 10.0 ** random.uniform(-4, 6, 2)
    scale = axes.scale_of(values, log=log)
    assert scale.low <= values.min() < values.max() <= scale.high
    assert 2 <= len(scale.ticks) <= 12
    assert all(scale.low * 0.999999 <= tick <= scale.high * 1.000001 for tick in scale.ticks)
    assert [scale.part(scale.low), scale.part(scale.high)] == [0, 1]


def test_a_logarithmic_scale_puts_equal_ratios_equally_apart():
    scale = axes.scale_of(np.array([64, 4096]), log=True)
    parts = [scale.part(value) for value in (64, 512, 4096)]
    assert parts[2] - parts[1] == pytest.approx(parts[1] - parts[0])
    assert axes.scale_of(np.array([0.13, 420.0]), log=True).ticks == (0.1, 1, 10, 100)
    assert len(axes.scale_of(np.array([30.0, 50.0]), log=True).ticks) >= 3


def test_given_ticks_are_kept_and_whole_numbers_have_whole_ticks():
    assert axes.scale_of(np.array([64, 256]), log=True, ticks=[64, 128, 256]).ticks == (64, 128, 256)
    assert axes.scale_of(np.array([5, 900]), ticks=[100, 200]).high == 900
    assert axes.scale_of(np.array([1, 3])).ticks == (1, 2, 3)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (-0.5, "−0.5"), (1000, "1000"), (20000, "20 000"), (1e6, "10⁶"), (3e-5, "3·10⁻⁵"), (0.001, "0.001")],
)
def test_ticks_are_written_to_be_read(value, text):
    assert axes.tick_name(value) == text


def test_curves_take_logarithmic_axes_marks_and_ticks():
    n = [64, 256, 1024]
    lines = {"time": (n, [v**2 for v in n])}
    plain, marked = (
        has_colour(pixels_of(panels.curve(lines, x_name="n", y_name="t", log="xy", marks=m)), ACCENT_BYTES)
        for m in (False, True)
    )
    assert marked > plain + 100
    panels.curve(lines, x_name="n", y_name="t", log="x", x_ticks=n).pixels()
    with pytest.raises(ValueError, match="'x', 'y', 'xy' or nothing, not 'z'"):
        panels.curve(lines, x_name="n", y_name="t", log="z")


def test_a_power_law_is_a_straight_line_on_logarithmic_axes():
    n = np.array([64, 256, 1024, 4096])
    picture = panels.curve({"": (n, n**2)}, x_name="n", y_name="t", log="xy")
    ys, xs = np.nonzero((pixels_of(picture)[..., :3] == ACCENT_BYTES).all(-1))
    assert abs(np.corrcoef(xs, ys)[0, 1]) > 0.999
