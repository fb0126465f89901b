"""Pictures of pairs: what is shown where, in whose colours, what they say, and what they refuse."""

import numpy as np
import pytest
from looking import ACCENT_BYTES, BLUE, CLASSES, GREEN, RED, has_colour, pixels_of

from vitseg_lib.course.figures import ch01_ade20k
from vitseg_lib.course.figures.picture import DOTS
from vitseg_lib.data.classes import Classes, ade20k_classes

GREY = np.full((16, 24, 3), 100, np.uint8)
CELL = (ch01_ade20k.CELL * DOTS) ** 2  # dots in a pixel of the close-up


@pytest.fixture
def labels() -> np.ndarray:
    labels = np.full((16, 24), 255, np.uint8)
    labels[:, :6], labels[:, 6:18] = 1, 2
    return labels


def test_layers_show_image_mask_and_both(labels):
    picture = ch01_ade20k.layers(GREY, labels, classes=CLASSES, opacity=0.5)
    pixels = pixels_of(picture)
    assert has_colour(pixels, (50, 178, 50)) > 0, "half green, half grey"
    assert has_colour(pixels, (50, 50, 178)) > 0
    assert has_colour(pixels, GREEN) > 0 and has_colour(pixels, RED) == 0
    grey = has_colour(pixels, (100, 100, 100))
    assert grey / has_colour(pixels, (50, 178, 50)) == pytest.approx(5, rel=0.05), "a whole tile and a quarter"
    assert "50%" in picture.alt and "Classes: tree, sky, not labelled." in picture.alt


@pytest.mark.parametrize(("opacity", "greens"), [(0.0, 1), (1.0, 2)])
def test_opacity_runs_from_the_image_to_the_mask(labels, opacity, greens):
    pixels = pixels_of(ch01_ade20k.layers(GREY, labels, classes=CLASSES, opacity=opacity))
    tile = has_colour(pixels, BLUE) / 2 / greens  # a legend's swatch is small beside it
    assert has_colour(pixels, GREEN) / greens == pytest.approx(tile, rel=0.1)


def test_a_close_up_shows_the_same_pixels_twice(labels):
    image = GREY.copy()
    image[3, 4] = (1, 2, 3)
    raw = labels + np.uint8(1)  # back to the file's numbers
    raw[3, 4] = 1
    picture = ch01_ade20k.close_up(image, raw, classes=CLASSES, corner=(3, 4))
    pixels = pixels_of(picture)
    assert has_colour(pixels, (1, 2, 3)) == pytest.approx(CELL, rel=0.1)
    assert 0.5 * CELL < has_colour(pixels, RED) < CELL, "a cell, less its number and its edge"
    assert has_colour(pixels, BLUE) > has_colour(pixels, GREEN) > 10 * CELL
    assert "there are 1, 2, 3." in picture.alt


def test_a_close_up_at_the_edge_shows_what_there_is(labels):
    picture = ch01_ade20k.close_up(GREY, labels, classes=CLASSES, corner=(14, 20))
    assert picture.alt.startswith("2 rows")


def test_the_numbers_of_a_file_without_other_begin_at_the_first_class():
    plain = Classes(CLASSES.names, CLASSES.colours, zero_is_other=False)
    raw = np.zeros((16, 24), np.uint8)
    shown = pixels_of(ch01_ade20k.close_up(GREY, raw, classes=plain, corner=(0, 0)))
    assert has_colour(shown, RED) > 50 * CELL
    assert has_colour(pixels_of(ch01_ade20k.close_up(GREY, raw, classes=CLASSES, corner=(0, 0))), RED) == 0


def test_the_shift_is_drawn_and_told():
    picture = ch01_ade20k.shift_diagram(CLASSES, first=2)
    assert "0 to 255, 1 to 0, 2 to 1, 3 to 2, 255 to 255." in picture.alt
    pixels = pixels_of(picture)
    assert all(has_colour(pixels, colour) > 2 * CELL for colour in (RED, GREEN, BLUE))
    assert "150 to 149" in ch01_ade20k.shift_diagram(ade20k_classes()).alt


def test_the_data_flow_names_what_becomes_of_both_files():
    picture = ch01_ade20k.data_flow()
    assert "the shift makes labels of it, 0 to K−1 and 255 for ignored pixels" in picture.alt
    assert has_colour(pixels_of(picture), ACCENT_BYTES) > 500, "raw and labels are outlined"


def test_confusion_counts_the_rows_on_the_diagonal_and_draws_it():
    shifted = {"right": np.diag([3, 1, 50]), "off by one": np.roll(np.diag([3, 1, 50]), 1, axis=0)}
    picture = ch01_ade20k.confusion(shifted, ("wall", "sky", "tree"))
    assert "right: 3 of 3 rows largest on the diagonal; off by one: 0 of 3" in picture.alt
    side = 17 * DOTS
    assert has_colour(pixels_of(picture), ACCENT_BYTES) > 4 * side**2, "each row is coloured by its own sum"


def test_a_row_without_pixels_has_no_colour():
    picture = ch01_ade20k.confusion({"": np.zeros((3, 3), int)}, ("wall", "sky", "tree"))
    assert has_colour(pixels_of(picture), ACCENT_BYTES) < 17 * 17, "the bar's end alone"


def test_confusion_wants_a_name_for_each_class():
    with pytest.raises(ValueError, match="2 names do not fit"):
        ch01_ade20k.confusion({"right": np.eye(3)}, ("wall", "sky"))
