"""Sheets and pictures: where things are drawn, what a notebook shows, how heavy it is, how it is saved."""

import subprocess
import sys

import numpy as np
import pytest
from looking import ACCENT_BYTES, BLUE, GREEN, RED, has_colour, pixels_of

from vitseg_lib.course.figures.panels import segmentation_panel
from vitseg_lib.course.figures.picture import ACCENT, BODY, LARGEST_PNG, Sheet, coarsen, text_width
from vitseg_lib.course.figures.pipeline_strip import pipeline_strip
from vitseg_lib.data.classes import Classes
from vitseg_lib.files import InputError


def test_an_image_on_a_sheet_is_where_it_was_put_and_its_pixels_stay_squares():
    sheet = Sheet(40, 30)
    sheet.image(10, 5, 20, 20, np.array([[RED, GREEN], [BLUE, RED]], np.uint8))
    drawn = pixels_of(sheet.picture(name="", alt=""))  # two dots to the CSS pixel
    assert drawn.shape == (60, 80, 4)
    assert has_colour(drawn[10:30, 20:40], RED) == has_colour(drawn[30:50, 20:40], BLUE) == 400
    assert has_colour(drawn, GREEN) == 400
    assert drawn[0, 0, 3] == 0  # outside the round corner nothing is drawn


def test_what_is_drawn_later_covers_what_was_drawn_before():
    sheet = Sheet(40, 40)
    sheet.box(10, 10, 20, 20, face="#ff0000")
    sheet.image(10, 10, 20, 20, np.full((1, 1, 3), (0, 0, 255), np.uint8))
    assert has_colour(pixels_of(sheet.picture(name="", alt="")), RED) == 0


@pytest.mark.parametrize("name", [r"$\foo$", "10 $ and 20 $", "$", r"\alpha", "a_b^c"])
def test_a_class_with_a_dollar_in_its_name_is_written_as_it_is(name):
    classes = Classes((name, "sky"), np.array([RED, GREEN], np.uint8))
    mask = np.array([[0, 1]], np.uint8)
    picture = segmentation_panel([np.zeros((1, 2, 3), np.uint8)], [mask], classes=classes)
    assert name in picture.alt and has_colour(pixels_of(picture), RED) > 0
    sheet = Sheet(500, 40)
    sheet.text(20, 20, name)
    columns = np.flatnonzero((pixels_of(sheet.picture(name="", alt=""))[10:70, 10:990, :3] < 128).any(axis=(0, 2)))
    assert (columns[-1] - columns[0] + 1) / 2 == pytest.approx(text_width(name), abs=BODY / 4)


def test_text_width_is_the_width_that_is_drawn():
    words = "neck, upernet and inference"
    sheet = Sheet(400, 40)
    sheet.text(20, 20, words)
    dark = pixels_of(sheet.picture(name="", alt=""))[10:70, 10:790, :3].min(axis=(0, 2)) < 128
    columns = np.flatnonzero(dark)
    drawn = (columns[-1] - columns[0] + 1) / 2
    assert drawn == pytest.approx(text_width(words), abs=BODY / 4)


def test_a_picture_shows_image_and_words(monkeypatch):
    shown = []
    monkeypatch.setattr(
        "IPython.display.display", lambda data, metadata=None, raw=False: shown.append((data, metadata))
    )
    picture = Sheet(80, 40).picture(name="a card", alt='nothing & "no one" <yet>')
    picture._ipython_display_()
    (image, metadata), (words, _) = shown
    assert image["text/plain"] == "<Picture: a card>"
    assert metadata == {"image/png": {"width": 80, "alt": 'nothing & "no one" <yet>'}}
    assert "nothing &amp; &quot;no one&quot; &lt;yet&gt;" in words["text/html"]


def test_a_heavy_picture_is_made_lighter_and_keeps_its_flat_colours():
    noise = np.random.default_rng(3).integers(0, 256, (240, 240, 3), dtype=np.uint8)
    sheet = Sheet(220, 260)
    sheet.image(10, 10, 200, 200, noise)
    sheet.box(10, 220, 50, 30, face=ACCENT)
    heavy = sheet.picture(name="", alt="")
    assert len(heavy.png) <= LARGEST_PNG < heavy.pixels().nbytes / 4
    assert has_colour(pixels_of(heavy), ACCENT_BYTES) >= 49 * 29
    endless = Sheet(420, 420)
    endless.image(0, 0, 420, 420, np.random.default_rng(4).integers(0, 256, (420, 420, 3), dtype=np.uint8))
    assert pixels_of(endless.picture(name="", alt="")).shape[1] == 420  # one dot a CSS pixel is the least


@pytest.mark.parametrize("bits", [4, 5, 6, 8])
def test_coarse_colours_are_near_and_few_and_reach_black_and_white(bits):
    ramp = np.repeat(np.arange(256, dtype=np.uint8), 4).reshape(16, 16, 4)  # every grey once
    flat = np.full((4, 16, 4), 77, np.uint8)
    rough = coarsen(np.concatenate([ramp, flat]), bits)
    assert (rough[16:] == 77).all()
    assert abs(rough[:16].astype(int) - ramp).max() < 2 ** (8 - bits)
    values = set(rough[:16].ravel().tolist())
    assert {0, 255} <= values
    assert 2**bits <= len(values) <= 2**bits + 1  # and 77


def test_a_picture_is_saved_whole_and_overwrites_nothing(tmp_path):
    picture = pipeline_strip("neck")
    for suffix, start in (("png", b"\x89PNG"), ("svg", b"<?xml")):
        path = tmp_path / f"strip.{suffix}"
        picture.save(path)
        assert path.read_bytes().startswith(start)
        with pytest.raises(InputError, match="it exists already"):
            picture.save(path)
        picture.save(path, overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["strip.png", "strip.svg"]


def test_the_figures_touch_no_global_plotting_state():
    code = "import sys, vitseg_lib.course.figures.panels; print('matplotlib.pyplot' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == ("False", "")


def test_a_sheet_has_whole_pixels():
    assert pixels_of(Sheet(300.3, 199.6).picture(name="a card", alt="An empty card.")).shape == (400, 600, 4)
