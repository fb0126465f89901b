"""Chapter 02's pictures: the numbers they tell against torch and the pipeline, the colours, and what they refuse."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from looking import ACCENT_BYTES, CLASSES, GREEN, has_colour, pixels_of

from vitseg_lib.course.figures.ch02_augmentation import colour_panel, pad_panel, window_panel
from vitseg_lib.course.figures.ch02_resampling import rulers, tried_windows
from vitseg_lib.data.colour import apply_adjustments
from vitseg_lib.data.transforms import TrainPipeline

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


# What the sliders draw

PIPELINE = TrainPipeline(crop=16, scale=(64, 16))
LABELS = np.repeat([[0] * 16 + [1] * 16], 16, axis=0).astype(np.uint8)
IMAGE = np.repeat(LABELS[..., None] * np.uint8(200), 3, axis=2)


def window(**changed):
    return window_panel(
        IMAGE, LABELS, PIPELINE, CLASSES, **({"r": 1.0, "down": 0.0, "right": 0.0, "mirrored": False} | changed)
    )


def test_the_window_is_where_it_was_put():
    assert "16×16 of 16×32 pixels, largest class: 100 %" in window().alt
    assert "16×16 of 32×64 pixels, largest class: 50 %" in window(r=2.0, right=0.5).alt
    assert "8×16 of 8×16 pixels" in window(r=0.5).alt, "a smaller image is whole"
    red, green = (has_colour(pixels_of(window(right=right)), GREEN) for right in (0.0, 1.0))
    assert red == 0 < green
    assert (pixels_of(window(right=0.25)) != pixels_of(window(right=0.25, mirrored=True))).any()


def test_colours_change_in_the_requested_order():
    image = np.full((8, 8, 3), 200, np.uint8)
    still = {"saturation": 1.0, "hue": 0}
    first = colour_panel(image, brightness=-32, contrast=1.5, contrast_first=True, **still)
    assert has_colour(pixels_of(first), (200, 200, 200)) and has_colour(pixels_of(first), (252, 252, 252))
    assert "brightness −32, contrast × 1.50, saturation × 1.00, hue +0" in first.alt
    coloured = np.full((8, 8, 3), (250, 100, 50), np.uint8)
    amounts = {"brightness": 0, "contrast": 1.5, "saturation": 1.5, "hue": 9}
    early, late = (colour_panel(coloured, contrast_first=first, **amounts) for first in (True, False))
    assert "hue +9, contrast × 1.50" in late.alt
    expected = apply_adjustments(coloured, (("saturation", 1.5), ("hue", 9), ("contrast", 1.5)))[0, 0]
    assert has_colour(pixels_of(late), expected) and not has_colour(pixels_of(early), expected)


def test_the_padding_has_the_requested_colour():
    after, before = (pad_panel(IMAGE, LABELS, PIPELINE, CLASSES, r=0.5, before=early) for early in (False, True))
    assert has_colour(pixels_of(after), (124, 116, 104)) > 1000, "the mean colour, rounded"
    assert has_colour(pixels_of(before), (124, 116, 104)) == 0
    assert "8×16 on the mean colour" in after.alt and "8×16 on black" in before.alt
