"""Photometric distortion against colorsys, closed forms and hand counts."""

import colorsys
import itertools

import numpy as np
import pytest

from vitseg_lib.data import colour
from vitseg_lib.data.colour import adjust_brightness, adjust_contrast, adjust_hue, adjust_saturation, rgb_to_hsv

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 256, (37, 53, 3), dtype=np.uint8)


def levels(values) -> np.ndarray:
    return np.clip(values, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("delta", [-32.0, -0.5, 0.0, 0.5, 31.9])
def test_brightness(delta):
    np.testing.assert_array_equal(adjust_brightness(IMAGE, delta), levels(IMAGE.astype(np.float32) + np.float32(delta)))


@pytest.mark.parametrize("factor", [0.5, 0.99, 1.0, 1.5])
def test_contrast(factor):
    np.testing.assert_array_equal(adjust_contrast(IMAGE, factor), levels(IMAGE.astype(np.float32) * np.float32(factor)))


def test_clipping_and_truncation_by_hand():
    image = np.array([[[0, 100, 250]]], np.uint8)
    assert adjust_brightness(image, 9.9).tolist() == [[[9, 109, 255]]]
    assert adjust_brightness(image, -9.9).tolist() == [[[0, 90, 240]]]
    assert adjust_contrast(image, 1.499).tolist() == [[[0, 149, 255]]]


def test_hsv_is_colorsys_in_8_bits():
    hue, saturation, value = np.moveaxis(rgb_to_hsv(IMAGE), 2, 0)
    exact = np.array([colorsys.rgb_to_hsv(*pixel) for pixel in IMAGE.reshape(-1, 3).tolist()]).reshape(*IMAGE.shape)
    around = np.abs(hue - exact[..., 0] * 180)
    # Rounding costs half a step, the division by table up to 5 · 255 / 2^13 more in hue.
    assert np.minimum(around, 180 - around).max() <= 0.5 + 0.16 and hue.max() < 180
    assert np.abs(saturation - exact[..., 1] * 255).max() <= 0.5 + 0.04
    np.testing.assert_array_equal(value, IMAGE.max(axis=2))


def test_hsv_by_hand():
    pixels = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0], [255, 0, 255], [7, 7, 7], [0, 0, 0]]])
    hue, saturation, value = np.moveaxis(rgb_to_hsv(pixels.astype(np.uint8)), 2, 0)
    assert hue.tolist() == [[0, 60, 120, 30, 150, 0, 0]]
    assert saturation.tolist() == [[255, 255, 255, 255, 255, 0, 0]]
    assert value.tolist() == [[255, 255, 255, 255, 255, 7, 0]]


def test_adjusting_takes_views_and_leaves_the_original():
    changes = (("brightness", 9.5), ("saturation", 1.3), ("hue", -7), ("contrast", 0.8))
    image = IMAGE.copy()
    image.flags.writeable = False
    view = image[5:, 40:2:-1]
    expected = np.ascontiguousarray(view)
    for name, parameter in changes:
        expected = colour.ADJUST[name](expected, parameter)
    np.testing.assert_array_equal(colour.apply_adjustments(view, changes), expected)
    np.testing.assert_array_equal(colour.apply_adjustments(image, ()), IMAGE)


def test_hsv_back_is_colorsys_cut_or_rounded():
    hsv = RNG.integers(0, 256, (40, 40, 3), dtype=np.uint8)
    hsv[..., 0] %= 180
    back = colour.hsv_to_rgb(hsv)
    exact = [[colorsys.hsv_to_rgb(h / 180, s / 255, float(v)) for h, s, v in row] for row in hsv.tolist()]
    error = np.array(exact) - back
    assert error.min() > -0.5 - 1e-3 and error.max() < 1 + 1e-3  # OpenCV cuts most and rounds the last of a row


def test_hue_turns_the_colour_circle():
    red = np.array([[[200, 0, 0]]], np.uint8)
    assert adjust_hue(red, 60).tolist() == [[[0, 200, 0]]]
    assert adjust_hue(red, -60).tolist() == [[[0, 0, 200]]]
    assert adjust_hue(red, 30).tolist() == [[[200, 200, 0]]]
    assert adjust_hue(red, 180).tolist() == adjust_hue(red, 0).tolist() == red.tolist()


def test_saturation_moves_towards_and_away_from_grey():
    image = np.array([[[200, 100, 100]]], np.uint8)
    assert adjust_saturation(image, 0).tolist() == [[[200, 200, 200]]]
    assert np.abs(adjust_saturation(image, 0.5).astype(int) - [200, 150, 150]).max() <= 1
    assert np.abs(adjust_saturation(image, 1.5).astype(int) - [200, 50, 50]).max() <= 1
    grey = np.full((1, 1, 3), 77, np.uint8)
    assert adjust_saturation(grey, 1.5).tolist() == adjust_hue(grey, 9).tolist() == grey.tolist()


def test_drawn_adjustments_follow_the_rules():
    draws = [colour.draw_adjustments(np.random.default_rng(seed)) for seed in range(4000)]
    bounds = {"brightness": (-32, 32), "contrast": (0.5, 1.5), "saturation": (0.5, 1.5), "hue": (-18, 17)}
    for name, (low, high) in bounds.items():
        values = np.array([value for draw in draws for adjusted, value in draw if adjusted == name])
        assert abs(len(values) - 2000) < 150, "each has probability 0.5"
        assert low <= values.min() and values.max() <= high
        assert values.max() - values.min() > 0.98 * (high - low)
        assert abs(values.mean() - (low + high) / 2) < 0.05 * (high - low)
    hues = {value for draw in draws for name, value in draw if name == "hue"}
    assert hues == set(range(-18, 18))
    orders = {tuple(name for name, _ in draw) for draw in draws}
    middle = ("saturation", "hue")
    expected = set()
    for kept in itertools.product([False, True], repeat=4):
        chosen = {name for name, keep in zip(bounds, kept, strict=True) if keep}
        for order in (("brightness", "contrast", *middle), ("brightness", *middle, "contrast")):
            expected.add(tuple(name for name in order if name in chosen))
    assert orders == expected
    both = [draw for draw in draws if {"contrast", "hue"} <= {name for name, _ in draw}]
    first = np.mean([[name for name, _ in draw].index("contrast") < len(draw) - 1 for draw in both])
    assert abs(first - 0.5) < 0.06, "contrast before or after, by a fair coin"
