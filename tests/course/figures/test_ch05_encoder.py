"""The drawings of a block and of the encoder: where norms and taps stand, what their words say, what they refuse."""

import numpy as np
import pytest
from looking import ACCENT_BYTES, has_colour, pixels_of

from vitseg_lib.course.figures.ch05_encoder import RIGHT, TINTED, block_drawing, encoder_drawing

NORM = np.array([int(TINTED[i : i + 2], 16) for i in (1, 3, 5)], np.uint8)
INK = np.array((0x22, 0x27, 0x2E), np.uint8)


def is_ink(pixels: np.ndarray) -> np.ndarray:
    return (pixels[..., :3] == INK).all(axis=-1)


def stream(pixels: np.ndarray) -> np.ndarray:
    """The column of pixels with the most ink in the left half: the stream of the first block runs along it."""
    return pixels[:, int(is_ink(pixels).sum(axis=0).argmax())][:, None]


def test_the_norms_stand_beside_the_stream_before_and_on_it_after():
    before, after = (pixels_of(block_drawing(kind)) for kind in ("pre-norm", "post-norm"))
    assert has_colour(before, NORM) > 5000 and has_colour(after, NORM) > 5000
    assert has_colour(stream(before), NORM) == 0
    assert has_colour(stream(after), NORM) > 50


def test_attention_and_mlp_are_drawn_in_the_accent_colour_beside_the_stream():
    pixels = pixels_of(block_drawing())
    assert has_colour(pixels, ACCENT_BYTES) > 5000
    assert has_colour(stream(pixels), ACCENT_BYTES) == 0


def test_the_words_tell_the_order_and_the_name_the_kind():
    picture = block_drawing("pre-norm", "post-norm")
    assert repr(picture) == "<Picture: a pre-norm and a post-norm block>"
    assert "LayerNorm, attention and drop path" in picture.alt and "runs through a LayerNorm" in picture.alt
    assert block_drawing().name == "a pre-norm block" and "post-norm" not in block_drawing().alt


def test_two_kinds_stand_side_by_side_on_a_sheet_no_wider_than_others():
    one, two = pixels_of(block_drawing("pre-norm")), pixels_of(block_drawing("pre-norm", "post-norm"))
    assert two.shape[1] > 1.7 * one.shape[1] and two.shape[0] < 1.1 * one.shape[0]
    assert max(block_drawing("pre-norm", "post-norm").width, encoder_drawing().width) <= 760


def stream_row(pixels: np.ndarray) -> int:
    """The middle row of the encoder's stream."""
    rows = is_ink(pixels).sum(axis=1)
    return int(np.flatnonzero(rows > 0.9 * rows.max()).mean())


def beginnings(flags: np.ndarray) -> list[int]:
    return [int(x) for x in np.flatnonzero(flags & ~np.roll(flags, 1))]


def taps(pixels: np.ndarray) -> tuple[list[int], list[int]]:
    """Where a tap leaves the stream, and where a block begins: x of each, in dots."""
    row = stream_row(pixels)
    below_digits = pixels[row + 22, :, :3]
    blocks = beginnings((below_digits == ACCENT_BYTES).all(axis=-1))
    dots = beginnings(is_ink(pixels)[row + 6])  # so far below the middle reach only the dots, and digits' feet never
    inside = np.array([(pixels[row + 15, x, :3] == ACCENT_BYTES).all() for x in dots])
    arrow = 2 * RIGHT - 28  # the head of the arrow at the end is no dot
    return [x for x, block in zip(dots, inside, strict=True) if not block and x < arrow], blocks


@pytest.mark.parametrize(("out_indices", "depth"), [((1, 2, 4, 5), 6), ((2, 5, 8, 11), 12), ((0, 3), 4)])
def test_each_tap_leaves_the_stream_between_its_block_and_the_next(out_indices, depth):
    found, blocks = taps(pixels_of(encoder_drawing(out_indices, depth)))
    assert len(blocks) == depth and len(found) == len(out_indices)
    for x, index in zip(found, out_indices, strict=True):
        assert blocks[index] < x and (index + 1 == depth or x < blocks[index + 1])


def test_the_final_norm_stands_behind_the_last_block_and_before_the_last_tap():
    pixels = pixels_of(encoder_drawing((2, 5, 8, 11), 12, final_norm=True))
    norm = np.flatnonzero((pixels[stream_row(pixels), :, :3] == NORM).all(axis=-1))
    found, blocks = taps(pixels)
    assert blocks[-1] < norm.min() and norm.max() < found[-1]
    assert "only the last map is normalised" in encoder_drawing((0,), 2, final_norm=True).alt


def test_the_encoder_says_its_taps_and_refuses_others():
    picture = encoder_drawing()
    assert picture.name == "the encoder: 6 blocks, 4 taps"
    assert "6 blocks, numbered from 0" in picture.alt and "Behind blocks 1, 2, 4, 5" in picture.alt
    for wrong in (6, -1):
        with pytest.raises(ValueError, match=f"numbered 0 to 5: there is no {wrong}"):
            encoder_drawing((1, wrong), 6)
