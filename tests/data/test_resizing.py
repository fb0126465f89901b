"""Resizing against torch, closed forms and hand counts."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from vitseg_lib.data import transforms
from vitseg_lib.data.transforms import fit_size, resize_image, resize_labels

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 256, (37, 53, 3), dtype=np.uint8)
LABELS = RNG.integers(0, 150, (37, 53), dtype=np.uint8)
SIZES = [(37, 53), (74, 106), (19, 27), (1, 1), (100, 31), (5, 200)]


def test_sizes_of_the_reference(rules):
    for name, (height, width) in rules["test_resize"].items():
        assert fit_size(*map(int, name.split("x"))) == (height, width)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (17, 4000), (4000, 17), (1, 10_000), (3, 2)])
def test_any_size_fits_and_has_at_least_a_pixel(height, width):
    new_height, new_width = fit_size(height, width)
    assert 1 <= min(new_height, new_width) <= 512 and max(new_height, new_width) <= 2048
    assert max(new_height, new_width) == 2048 or min(new_height, new_width) == 512
    assert fit_size(width, height) == (new_width, new_height)
    assert fit_size(height, width, (512, 2048)) == (new_height, new_width)


@pytest.mark.parametrize("size", SIZES)
def test_images_are_resized_as_by_the_formula(size):
    # Half-pixel bilinear in float64, one pixel at a time: the tent's two neighbours, the edge repeated.
    def taps(new, old):
        at = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
        low = np.floor(at).astype(int)
        return low, np.minimum(low + 1, old - 1), at - low

    top, bottom, down = taps(size[0], 37)
    left, right, across = taps(size[1], 53)
    rows = IMAGE[top] * (1 - down)[:, None, None] + IMAGE[bottom] * down[:, None, None]
    exact = rows[:, left] * (1 - across)[:, None] + rows[:, right] * across[:, None]
    resized = resize_image(IMAGE, size)
    assert resized.dtype == np.uint8 and resized.shape == (*size, 3)
    assert np.abs(resized - exact).max() < 1  # rounded weights, and three times a rounded result
    torchs = F.interpolate(torch.from_numpy(IMAGE).permute(2, 0, 1)[None].float(), size=size, mode="bilinear")[0]
    assert np.abs(resized - torchs.round().permute(1, 2, 0).numpy()).max() <= 1


def test_no_antialias():
    stripes = np.zeros((1, 64, 3), np.uint8)
    stripes[:, 1::4] = stripes[:, 2::4] = 255
    assert (resize_image(stripes, (1, 16)) == 255).all()  # an antialiasing filter would give grey


def test_resizing_returns_a_new_array():
    resized = resize_image(IMAGE, IMAGE.shape[:2])
    np.testing.assert_array_equal(resized, IMAGE)
    assert not np.shares_memory(resized, IMAGE)


@pytest.mark.parametrize("size", SIZES)
def test_labels_are_resized_as_torch_nearest(size):
    expected = F.interpolate(torch.from_numpy(LABELS)[None, None].float(), size=size, mode="nearest")[0, 0]
    np.testing.assert_array_equal(resize_labels(LABELS, size), expected.numpy())


def test_label_indices_by_hand():
    assert resize_labels(np.array([[10, 20, 30]], np.uint8), (1, 5)).tolist() == [[10, 10, 20, 20, 30]]
    assert resize_labels(np.array([[1, 2, 3, 4, 5]], np.uint8), (2, 3)).tolist() == [[1, 2, 4], [1, 2, 4]]


def test_random_scale_is_uniform_and_truncated():
    drawn = [transforms.random_scale(np.random.default_rng(seed), (2048, 512), (0.5, 2.0)) for seed in range(2000)]
    shorts = np.array([short for _, short in drawn])
    assert 256 <= shorts.min() < 262 and 1018 < shorts.max() < 1024
    assert abs(shorts.mean() - 640) < 15
    assert all(4 * short <= long <= 4 * short + 3 for long, short in drawn)
