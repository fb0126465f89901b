"""Attention from several patches: one colour scale for all of them, and a query for each."""

import numpy as np
import pytest
from looking import ACCENT_BYTES, pixels_of

from vitseg_lib.course.figures.ch00_start_here import STRONGEST, attention_in_one_scale, over

GREY = np.full((16, 24, 3), 100, np.uint8)
FADED = 0.45 * 100 + 0.55 * 255
FULL = np.round(FADED * (1 - STRONGEST) + ACCENT_BYTES * STRONGEST)


def test_all_maps_have_one_scale():
    """The map with a tenth of the weight is pale, though it is as uneven as the other."""
    strong, weak = np.zeros((2, 3)), np.zeros((2, 3))
    strong[0, 0], weak[0, 0] = 0.5, 0.05
    first, second = over(GREY, strong, 0.5), over(GREY, weak, 0.5)
    assert np.abs(first[0, 0] - FULL).max() <= 1
    pale = FADED * (1 - STRONGEST / 10) + ACCENT_BYTES * STRONGEST / 10
    assert np.abs(second[0, 0] - pale).max() <= 1
    assert np.abs(first[8:, 8:] - FADED).max() <= 1, "no weight, no colour"


def test_a_weight_beyond_the_limit_has_the_full_colour():
    assert (over(GREY, np.full((2, 3), 0.9), 0.1) == over(GREY, np.full((2, 3), 0.1), 0.1)).all()


def test_the_words_name_what_is_shown():
    maps = {"from the sky: perplexity 3": np.eye(2, 3), "from the house": np.full((2, 3), 0.1)}
    picture = attention_in_one_scale(GREY, maps, [(0, 0), (1, 2)])
    assert "from the sky: perplexity 3, from row 0, column 0; from the house, from row 1, column 2." in picture.alt
    assert picture.name == "attention from 2 patches, one scale"
    red = np.abs(pixels_of(picture)[..., :3].astype(int) - FULL).max(axis=-1) <= 2
    assert red.sum() > 1000, "the strongest patch has the full colour"


@pytest.mark.parametrize("queries", [[], [(0, 0), (0, 1)]])
def test_each_map_needs_its_query(queries):
    with pytest.raises(ValueError, match="one query for each map"):
        attention_in_one_scale(GREY, {"a": np.ones((2, 3))}, queries)
