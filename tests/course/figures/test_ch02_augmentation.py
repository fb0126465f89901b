"""Chapter 02's two lanes: every step and its draws are there, the arrows say which lane moves, and what is missing."""

import numpy as np
import pytest
from looking import ACCENT_BYTES, BLUE, CLASSES, GREEN, RED, has_colour, pixels_of

from vitseg_lib.course.figures.ch02_augmentation import two_lanes
from vitseg_lib.data.transforms import MEAN, TrainPipeline

LABELS = np.zeros((40, 60), np.uint8)
LABELS[:, 20:] = 1
LABELS[:20, 40:] = 2
IMAGE = np.full((40, 60, 3), 200, np.uint8)


def steps(seed=0, *, ratio=0.8, **changed):
    pipeline = TrainPipeline(crop=40, scale=(160, 40), ratio_range=(ratio, ratio), **changed)
    return list(pipeline.steps(IMAGE, LABELS, np.random.default_rng(seed)))


def test_every_step_is_told_with_what_it_drew():
    made = steps(photometric=False, hflip=1.0)
    words = two_lanes(made, CLASSES).alt
    top, left = made[3].parameters["box"][:2]
    assert f"crop: top {top}, left {left}" in words and "flip: yes" in words and "recolour: nothing" in words
    assert "to the image only" in words


def test_changes_of_colour_are_told_in_their_order():
    made = next(s for s in (steps(seed) for seed in range(50)) if len(s[5].parameters["adjustments"]) > 2)
    words = two_lanes(made, CLASSES).alt
    names = [name for name, _ in made[5].parameters["adjustments"]]
    places = [words.index(name, words.index("recolour:")) for name in names]
    assert places == sorted(places)


def test_both_lanes_and_the_padding_are_drawn():
    pixels = pixels_of(two_lanes(steps(photometric=False), CLASSES))
    assert all(has_colour(pixels, colour) > 300 for colour in (RED, GREEN, BLUE)), "the labels' classes"
    assert has_colour(pixels, (200, 200, 200)) > 3000, "the image"
    assert has_colour(pixels, np.round(MEAN).astype(int)) > 300, "its padding"
    assert has_colour(pixels, ACCENT_BYTES) > 100, "the arrows"


def test_recolouring_has_one_arrow_less_than_the_other_steps():
    """An arrow down from a draw is 30 CSS pixels or more of the accent in one column."""
    pixels = pixels_of(two_lanes(steps(photometric=False), CLASSES))
    is_accent = (pixels[..., :3] == ACCENT_BYTES).all(axis=-1)
    lanes = np.array_split(is_accent, 2)
    upper, lower = (int((lane.sum(axis=0) > 20).sum() > 0) for lane in lanes)
    assert upper and lower
    columns = [np.flatnonzero(np.diff((lane.sum(axis=0) > 20).astype(int)) == 1) for lane in lanes]
    assert len(columns[0]) == len(columns[1]) + 1


def test_a_pipeline_without_a_step_is_refused():
    with pytest.raises(ValueError, match="'flip' is missing"):
        two_lanes([step for step in steps() if step.name != "flip"], CLASSES)
