"""Figures: what they show, pixel by pixel where that is known, what they say, and what they refuse."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from looking import ACCENT_BYTES, BLUE, CLASSES, GREEN, RED, has_colour, pixels_of

import vitseg_lib
from vitseg_lib.course.figures import colours, layout, panels
from vitseg_lib.course.figures.picture import Sheet, text_width
from vitseg_lib.course.figures.pipeline_strip import (
    BELOW,
    BOXES,
    NAMES,
    PITCH,
    TILE,
    TOP,
    _corner,
    pipeline_strip,
    scene,
)


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)


@pytest.fixture
def labels() -> np.ndarray:
    return np.random.default_rng(1).choice(np.array([0, 1, 2, 255], np.uint8), (16, 24))


def test_overlay_mixes_by_alpha_and_leaves_ignored_pixels(image, labels):
    assert (colours.overlay(image, labels, CLASSES, alpha=0) == image).all()
    full = colours.overlay(image, labels, CLASSES, alpha=1)
    assert all((full[labels == k] == CLASSES.colours[k]).all() for k in range(3))
    assert (full[labels == 255] == image[labels == 255]).all()
    grey = np.full((1, 1, 3), 100, np.uint8)
    assert colours.overlay(grey, np.array([[0]], np.uint8), CLASSES, alpha=0.6).tolist() == [[[193, 40, 40]]]


def test_flat_labels_leave_a_hole_where_nothing_is_labelled(labels):
    flat = colours.flat(labels, CLASSES)
    assert has_colour(flat, RED) == (labels == 0).sum()
    assert (flat[labels == 255] == colours.UNLABELLED).all()


def test_error_map_marks_wrong_pixels_and_never_ignored_ones(image, labels):
    prediction = np.roll(labels % 3, 1, axis=0)
    wrong = sum(label != k and label != 255 for label, k in zip(labels.flat, prediction.flat, strict=True))
    marked = colours.error_map(image, labels, prediction, CLASSES)
    assert has_colour(marked, ACCENT_BYTES) == wrong > 0
    assert has_colour(colours.error_map(image, labels, labels, CLASSES), ACCENT_BYTES) == 0


def test_glow_colours_the_cell_of_the_strongest_patch():
    white = np.full((16, 24, 3), 255, np.uint8)
    head = np.zeros((4, 3))
    head[2, 1] = 0.01  # its strength does not matter, only that it is the strongest
    coloured = colours.glow(white, head)[..., 2] < 128
    expected = np.zeros((16, 24), bool)
    expected[8:12, 8:16] = True
    assert (coloured == expected).all()
    assert (colours.glow(white, np.zeros((4, 3))) == 255).all()


def test_legend_lists_what_is_present_by_area():
    mask = np.array([[2] * 5 + [0] * 2 + [255] * 9], np.uint8)
    entries = layout.legend_entries([mask, mask], CLASSES)
    assert [name for name, _ in entries] == ["tree", "wall", "not labelled"]
    assert [tuple(colour) for _, colour in entries[:2]] == [BLUE, RED]
    assert [name for name, _ in layout.legend_entries([mask % 3], CLASSES)] == ["wall", "tree"]


def test_legend_flows_into_lines_that_fit():
    entries = [(f"class number {n}", np.array(RED)) for n in range(9)]
    xs, lines = zip(*layout.legend_positions(entries, 300), strict=True)
    assert list(lines) == sorted(lines)
    ends = [x + layout.SWATCH + 6 + text_width(name) for x, (name, _) in zip(xs, entries, strict=True)]
    assert max(ends) <= 300
    one, some, all_ = (layout.legend_lines(entries, width) for width in (1e6, 300, 1))
    assert one == 1 < some <= all_ == 9
    assert layout.legend_lines([], 300) == 0


def test_a_panel_shows_every_column_and_says_so(image, labels):
    panel = panels.segmentation_panel([image] * 2, [labels] * 2, [labels % 3] * 2, classes=CLASSES, errors=True)
    assert repr(panel) == "<Picture: image, ground truth, prediction and errors of 2 scenes>"
    assert "Classes: " in panel.alt and "not labelled" in panel.alt
    photo = panels.segmentation_panel([image], predictions=[labels], classes=CLASSES)
    assert repr(photo) == "<Picture: image and prediction of 1 scene>"
    one = panels.segmentation_panel([image], [labels], classes=CLASSES)
    assert repr(one) == "<Picture: image and ground truth of 1 scene>"
    assert one.width < panel.width


def test_a_panel_draws_the_masks_in_the_classes_colours(image):
    mask = np.zeros((16, 24), np.uint8)
    panel = panels.segmentation_panel([image], [mask], [mask + 1], classes=CLASSES)
    tile = (2 * layout.TILE) * (2 * layout.TILE * 16 // 24)
    drawn = pixels_of(panel)
    assert has_colour(drawn, RED) >= tile
    assert has_colour(drawn, GREEN) >= tile
    assert has_colour(drawn, BLUE) == 0


def test_extreme_shapes_make_a_panel():
    for height, width in ((1, 1), (4000, 17), (17, 4000)):
        mask = np.zeros((height, width), np.uint8)
        panel = panels.segmentation_panel([np.zeros((height, width, 3), np.uint8)], [mask], classes=CLASSES)
        assert len(panel.png) > 0


def test_bars_are_as_long_as_their_values():
    bars = panels.iou_bars([20.0, 80.0, np.nan], CLASSES)
    assert bars.alt.endswith("as long as its IoU in percent: wall 20, sky 80, tree did not occur; mean 50.")
    drawn = pixels_of(bars)
    lengths = [(drawn[..., :3] == colour).all(-1).sum(axis=1).max() for colour in (RED, GREEN, BLUE)]
    assert lengths[2] == 0
    assert lengths[1] / lengths[0] == pytest.approx(4, rel=0.03)


def test_attention_takes_one_head_or_many(image):
    weights = np.random.default_rng(2).random((5, 4, 3))
    many = panels.attention_on_image(image, weights, (1, 2))
    assert repr(many) == "<Picture: attention of 5 heads>"
    assert "from the patch in row 1, column 2" in many.alt
    assert repr(panels.attention_on_image(image, weights[0])) == "<Picture: attention of 1 head>"


def test_the_outline_is_around_the_query():
    sheet = Sheet(100, 100)
    layout.draw_outline(sheet, (10, 20, 60, 40), (3, 1), (4, 3))
    dark = np.argwhere(pixels_of(sheet.picture(name="", alt=""))[4:-4, 4:-4, :3].max(axis=-1) < 60) + 4
    middle = (dark.min(axis=0) + dark.max(axis=0) + 1) / 2 / 2  # dots → CSS pixels
    assert middle.tolist() == pytest.approx([20 + 35, 10 + 30], abs=0.5)  # y, x: centre of the cell


def test_curves_label_their_lines_apart():
    x = [0, 10, 20]
    picture = panels.curve({"a": (x, [3, 2, 1]), "b": (x, [3, 2, 1.01])}, x_name="step", y_name="loss")
    assert repr(picture) == "<Picture: loss against step>"
    assert layout.spread([50, 20, 21], least=16) == [52, 20, 36]
    with pytest.raises(ValueError, match="1 to 4 lines"):
        panels.curve({}, x_name="step", y_name="loss")


def test_a_strip_highlights_the_named_boxes():
    assert has_colour(pixels_of(pipeline_strip()), ACCENT_BYTES) == 0
    highlighted = {name: has_colour(pixels_of(pipeline_strip(name)), ACCENT_BYTES) for name in ("neck", "loss")}
    assert min(highlighted.values()) > 1000
    both = pipeline_strip("neck", "loss")
    assert has_colour(pixels_of(both), ACCENT_BYTES) == sum(highlighted.values())
    assert repr(both) == "<Picture: the pipeline, neck and loss highlighted>"
    assert both.alt.endswith("Highlighted: neck and loss.")


def test_every_box_of_the_strip_is_a_file_of_the_library():
    library = Path(vitseg_lib.__file__).parent
    assert set(NAMES) <= {path.stem for path in library.rglob("*.py")}
    assert all((library / box.package / f"{box.name}.py").exists() for box in BOXES)


def test_the_strips_scene_has_as_many_colours_as_classes():
    image, mask = scene(64)
    assert image.shape == mask.shape == (64, 64, 3)
    assert len(np.unique(mask.reshape(-1, 3), axis=0)) == 5


@pytest.mark.parametrize("highlighted", [(), NAMES])
def test_the_strip_is_drawn_inside_its_card_and_read_on_a_narrow_screen(highlighted):
    drawn = pixels_of(pipeline_strip(*highlighted))
    paper = drawn[40, 40, :3]
    left, right, top, bottom = drawn[40:-40, 8:16], drawn[40:-40, -16:-8], drawn[8:16, 40:-40], drawn[-16:-8, 40:-40]
    assert all((edge[..., :3] == paper).all() for edge in (left, right, top, bottom))
    assert pipeline_strip(*highlighted).width * 0.7 <= 364  # CSS pixels of a figure on a screen of 480


def test_boxes_of_the_strip_do_not_overlap():
    corners = [_corner(number) for number in range(len(BOXES))]
    assert len(set(corners)) == len(BOXES)
    for (x, y), (other_x, other_y) in pairwise(corners):
        assert (abs(x - other_x), abs(y - other_y)) in ((PITCH, 0), (0, BELOW - TOP))  # beside it or below
    assert min(PITCH, BELOW - TOP) > TILE
