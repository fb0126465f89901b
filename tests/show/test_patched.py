"""The drawings of chapter 03: filters as colours, and where the centres of two grids lie."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from looking import ACCENT_BYTES, has_colour, pixels_of

from vitseg_lib.show import patched


def test_a_filter_is_grey_at_zero_and_full_at_its_largest_value():
    values = np.zeros((3, 2, 2))
    values[0, 0, 1], values[2, 1, 0] = -4, 2
    image = patched.coloured(values)
    assert image.dtype == np.uint8 and image.shape == (2, 2, 3)
    assert image[0, 0].tolist() == [128, 128, 128]
    assert image[0, 1].tolist() == [0, 128, 128]
    assert image[1, 0].tolist() == [128, 128, 191]


def test_filters_draws_every_filter_in_its_colour():
    values = np.zeros((17, 3, 2, 2))
    values[:, 0] = 1  # red is full, green and blue are 0
    picture = patched.filters({"red ones": values, "and its opposite": -values[:1]})
    assert "18 filters" in repr(picture) and "17 under the title “red ones”" in picture.alt
    pixels = pixels_of(picture)
    area = (2 * patched.FILTER) ** 2
    assert abs(has_colour(pixels, (255, 128, 128)) - 17 * area) < 0.1 * area
    assert abs(has_colour(pixels, (0, 128, 128)) - area) < 0.1 * area


@pytest.mark.parametrize(
    "groups", [{}, {"a": np.zeros((2, 3, 4))}, {"a": np.zeros((2, 1, 4, 4))}, {"a": np.ones((0, 3, 2, 2))}]
)
def test_filters_refuses_what_is_not_a_group_of_filters(groups):
    with pytest.raises(ValueError, match="filters come in groups"):
        patched.filters(groups)


@pytest.mark.parametrize(("old", "new", "lit"), [(16, 20, 7), (16, 20, 0), (5, 9, 8), (4, 4, 2)])
def test_centres_says_where_torch_finds_the_new_place(old, new, lit):
    """A ramp, resized linearly, gives the place itself, but for the rim, where torch repeats the outermost one."""
    ramp = torch.arange(float(old))[None, None]
    found = [F.interpolate(ramp, new, mode="linear", align_corners=c)[0, 0, lit].item() for c in (False, True)]
    picture = patched.centres(old, new, lit)
    told = [float(words.split(" ")[0].rstrip(".")) for words in picture.alt.split("lies at ")[1:]]
    assert told[0] == pytest.approx((lit + 0.5) * old / new - 0.5, abs=0.006)
    assert np.clip(told[0], 0, old - 1) == pytest.approx(found[0], abs=0.006)
    assert told[1] == pytest.approx(found[1], abs=0.006)
    assert has_colour(pixels_of(picture), ACCENT_BYTES) > 500


@pytest.mark.parametrize(("old", "new", "lit"), [(1, 4, 0), (4, 3, 0), (4, 4, 4), (4, 4, -1)])
def test_centres_refuses_rows_too_short_and_places_that_are_not_there(old, new, lit):
    with pytest.raises(ValueError, match="at least two old places"):
        patched.centres(old, new, lit)
