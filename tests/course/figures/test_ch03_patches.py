"""The drawings of chapter 03: from an image to tokens, filters as colours, and where the centres of two grids lie."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from looking import ACCENT_BYTES, has_colour, pixels_of

from vitseg_lib.course.figures import ch03_patches


def test_the_flow_draws_equal_tokens_for_equal_patches_and_the_class_token_in_the_accent():
    picture = ch03_patches.patch_flow()
    for words in ("class token", "position", "linear layer", "row by row"):
        assert words in picture.alt
    pixels = pixels_of(picture)[..., :3].astype(int)
    assert has_colour(pixels, ACCENT_BYTES) > 200
    sheet = ch03_patches
    token = 2 * (sheet.MARGIN + 4 * (sheet.SIDE + 4) + 184)
    tops = [2 * (sheet.MARGIN + 34 + row * sheet.ROW + 3) for row in range(len(sheet.ROWS))]
    strips = [pixels[top + 4 : top + 34, token + 4 : token + 2 * sheet.STRIP - 4] for top in tops]
    assert abs(strips[1] - strips[2]).max() < 40 < abs(strips[0] - strips[1]).max()  # sky and sky; class and sky
    assert abs(strips[1] - strips[5]).max() > 40  # sky and grass


def test_a_filter_is_grey_at_zero_and_full_at_its_largest_value():
    values = np.zeros((3, 2, 2))
    values[0, 0, 1], values[2, 1, 0] = -4, 2
    image = ch03_patches.coloured(values)
    assert image.dtype == np.uint8 and image.shape == (2, 2, 3)
    assert image[0, 0].tolist() == [128, 128, 128]
    assert image[0, 1].tolist() == [0, 128, 128]
    assert image[1, 0].tolist() == [128, 128, 191]


def test_filters_draws_every_filter_in_its_colour():
    values = np.zeros((17, 3, 2, 2))
    values[:, 0] = 1  # red is full, green and blue are 0
    picture = ch03_patches.filters({"red ones": values, "and its opposite": -values[:1]})
    assert "18 filters" in repr(picture) and "17 under the title “red ones”" in picture.alt
    pixels = pixels_of(picture)
    area = (2 * ch03_patches.FILTER) ** 2
    assert abs(has_colour(pixels, (255, 128, 128)) - 17 * area) < 0.1 * area
    assert abs(has_colour(pixels, (0, 128, 128)) - area) < 0.1 * area


@pytest.mark.parametrize(("old", "new", "highlighted"), [(16, 20, 7), (16, 20, 0), (5, 9, 8), (4, 4, 2)])
def test_centres_says_where_torch_samples_the_new_position(old, new, highlighted):
    """A ramp, resized linearly, gives the position itself, but for the rim, where torch repeats the outermost one."""
    ramp = torch.arange(float(old))[None, None]
    expected = [
        F.interpolate(ramp, new, mode="linear", align_corners=c)[0, 0, highlighted].item() for c in (False, True)
    ]
    picture = ch03_patches.centres(old, new, highlighted)
    positions = [float(words.split(" ")[0].rstrip(".")) for words in picture.alt.split("lies at ")[1:]]
    assert positions[0] == pytest.approx((highlighted + 0.5) * old / new - 0.5, abs=0.006)
    assert np.clip(positions[0], 0, old - 1) == pytest.approx(expected[0], abs=0.006)
    assert positions[1] == pytest.approx(expected[1], abs=0.006)
    assert has_colour(pixels_of(picture), ACCENT_BYTES) > 500
