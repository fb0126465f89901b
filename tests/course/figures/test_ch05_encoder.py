"""The drawing of a block: where its norms stand, what its words say, and what it refuses."""

import numpy as np
from looking import ACCENT_BYTES, has_colour, pixels_of

from vitseg_lib.course.figures.ch05_encoder import TINTED, block_drawing

NORM = np.array([int(TINTED[i : i + 2], 16) for i in (1, 3, 5)], np.uint8)
INK = (0x22, 0x27, 0x2E)


def stream(pixels: np.ndarray) -> np.ndarray:
    """The row of pixels with the most ink: the stream runs along it."""
    ink = (pixels[..., :3] == np.array(INK)).all(axis=-1).sum(axis=1)
    return pixels[int(ink.argmax())][None]


def test_the_norms_stand_beside_the_stream_before_and_on_it_after():
    before, after = (pixels_of(block_drawing(kind)) for kind in ("pre-norm", "post-norm"))
    assert has_colour(before, NORM) > 5000 and has_colour(after, NORM) > 5000
    assert has_colour(stream(before), NORM) == 0
    assert has_colour(stream(after), NORM) > 50


def test_attention_and_mlp_are_drawn_in_the_accent_colour_below_the_stream():
    pixels = pixels_of(block_drawing())
    assert has_colour(pixels, ACCENT_BYTES) > 5000
    assert has_colour(stream(pixels), ACCENT_BYTES) == 0


def test_the_words_tell_the_order_and_the_name_the_kind():
    picture = block_drawing("pre-norm", "post-norm")
    assert repr(picture) == "<Picture: a pre-norm and a post-norm block>"
    assert "LayerNorm, attention and drop path" in picture.alt and "runs through a LayerNorm" in picture.alt
    assert block_drawing().name == "a pre-norm block" and "post-norm" not in block_drawing().alt


def test_two_kinds_stand_one_above_the_other_on_a_sheet_no_wider_than_others():
    one, two = pixels_of(block_drawing("pre-norm")), pixels_of(block_drawing("pre-norm", "post-norm"))
    assert two.shape[0] > 1.9 * one.shape[0]
    assert block_drawing("pre-norm", "post-norm").width <= 760
