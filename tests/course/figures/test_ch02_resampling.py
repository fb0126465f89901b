"""Chapter 02's pictures of resampling and windows: the numbers they tell against torch, and the colours."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from looking import ACCENT_BYTES, CLASSES, GREEN, has_colour, pixels_of

from vitseg_lib.course.figures.ch02_resampling import rulers, tried_windows

VALUES = [40, 80, 200, 120, 60]


@pytest.mark.parametrize(("new", "at"), [(3, 0), (3, 2), (8, 0), (8, 4), (8, 7), (1, 0)])
def test_the_ruler_tells_what_torch_computes(new, at):
    row = torch.tensor(VALUES, dtype=torch.float32)[None, None]
    linear = F.interpolate(row, size=new, mode="linear", align_corners=False).flatten()
    nearest = VALUES.index(int(F.interpolate(row, size=new, mode="nearest").flatten()[at]))
    words = rulers(VALUES, new, at).alt
    assert f"give {round(float(linear[at]))}." in words
    assert f"corner of new pixel {at} lies in old pixel {nearest};" in words


def test_the_new_pixel_is_outlined_and_filled_with_the_blend():
    pixels = pixels_of(rulers([0, 200], 1, 0))
    assert has_colour(pixels, ACCENT_BYTES) > 100
    assert has_colour(pixels, (100, 100, 100)) > 1000


def test_windows_are_outlined_and_their_commonest_classes_told():
    image, labels = np.full((40, 60, 3), 128, np.uint8), np.zeros((40, 60), np.uint8)
    labels[:, 25:] = 1
    labels[:4, :10] = 255
    picture = tried_windows(image, labels, [(0, 0, 20, 20), (10, 20, 30, 40)], classes=CLASSES)
    assert "1 · wall 100 %, 2 · sky 75 %" in picture.alt
    pixels = pixels_of(picture)
    assert has_colour(pixels, ACCENT_BYTES) > 200, "the chosen one"
    assert has_colour(pixels, GREEN) > 200, "the bar of its class"
    assert picture.name == "2 windows that were tried"
