"""Figures of arrays: what is drawn where, counted in dots, and what is refused."""

from itertools import pairwise

import numpy as np
import pytest
from looking import ACCENT_BYTES, BLUE, CLASSES, GREEN, RED, has_colour, pixels_of
from matplotlib.colors import to_rgb

from vitseg_lib.course.figures import arrays, flow_diagram, heatmap, patchwork
from vitseg_lib.course.figures.layout import MARGIN
from vitseg_lib.course.figures.picture import DOTS, PAPER, UNIT, text_width

COLD_BYTES = np.round(np.array(to_rgb(heatmap.COLD)) * 255).astype(np.uint8)


def flat(colour: tuple[int, int, int], height: int = 16, width: int = 24) -> np.ndarray:
    return np.full((height, width, 3), colour, np.uint8)


def box_of(pixels: np.ndarray, colour: tuple[int, ...] | np.ndarray) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of all pixels of a colour."""
    ys, xs = np.nonzero((pixels[..., :3] == np.array(colour)).all(axis=-1))
    return int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1


def test_images_stand_in_a_row_and_wrap():
    images = [flat(RED), flat(GREEN), flat(BLUE)]
    row = pixels_of(arrays.image_row(images, ["a", "b", "c"]))
    red, green, blue = (box_of(row, colour) for colour in (RED, GREEN, BLUE))
    assert red[1] == green[1] == blue[1]
    assert red[2] < green[0] < green[2] < blue[0]
    wrapped = pixels_of(arrays.image_row(images, ["a", "b", "c"], columns=2))
    assert box_of(wrapped, BLUE)[0] == box_of(wrapped, RED)[0]
    assert box_of(wrapped, BLUE)[1] > box_of(wrapped, RED)[3]


def test_to_scale_half_the_pixels_are_half_the_side():
    picture = arrays.image_row([flat(RED), flat(GREEN, 8, 12)], ["", ""], to_scale=True)
    red, green = (box_of(pixels_of(picture), colour) for colour in (RED, GREEN))
    assert red[2] - red[0] == 2 * (green[2] - green[0])
    assert red[3] - red[1] == 2 * (green[3] - green[1])
    same = pixels_of(arrays.image_row([flat(RED), flat(GREEN, 8, 12)], ["", ""]))
    assert has_colour(same, RED) == has_colour(same, GREEN)


def test_many_images_are_no_wider_than_the_widest_sheet():
    for columns in (3, 6, 9):
        assert arrays.image_row([flat(RED)] * 9, [""] * 9, columns=columns).width <= arrays.WIDEST


def test_a_grey_image_is_an_image():
    grey = np.full((4, 4), 77, np.uint8)
    assert has_colour(pixels_of(arrays.image_row([grey], ["grey"])), (77, 77, 77)) > 1000


def test_a_row_says_its_titles():
    picture = arrays.image_row([flat(RED), flat(BLUE)], ["before", "after"])
    assert repr(picture) == "<Picture: 2 images>"
    assert picture.alt == "2 images side by side: before, after."


def test_a_mask_stands_below_its_image_in_its_classes_colours():
    image, mask = flat((9, 9, 9)), np.zeros((16, 24), np.uint8)
    picture = arrays.labelled_row([image, image], [mask, mask + 1], ["one", "two"], classes=CLASSES)
    drawn = pixels_of(picture)[: -2 * DOTS * 24]  # without the legend
    above, below = box_of(drawn, (9, 9, 9)), box_of(drawn, RED)
    assert above[0] == below[0] and above[3] < below[1]
    assert has_colour(drawn, RED) == has_colour(drawn, GREEN) == has_colour(drawn, (9, 9, 9)) / 2
    assert picture.alt == "2 images, each above its mask: one, two. Classes: wall, sky."
    with pytest.raises(ValueError, match=r"differ in size: \(16, 24\) and \(15, 24\)"):
        arrays.labelled_row([image], [mask[1:]], ["one"], classes=CLASSES)
    with pytest.raises(ValueError, match="one mask for each image: 1 and 2"):
        arrays.labelled_row([image], [mask, mask], ["one"], classes=CLASSES)


def test_patches_keep_every_pixel_and_stand_apart():
    image = np.concatenate([np.concatenate([flat(RED, 4, 4), flat(GREEN, 4, 4)], axis=1), flat(BLUE, 4, 8)])
    picture = arrays.patch_grid(image, 4)
    drawn = pixels_of(picture)
    side = round(patchwork.side_of((2, 2), arrays.INNER) * DOTS)
    assert has_colour(drawn, RED) == has_colour(drawn, GREEN) == side**2
    assert has_colour(drawn, BLUE) == 2 * side**2
    red, green, blue = (box_of(drawn, colour) for colour in (RED, GREEN, BLUE))
    assert green[0] - red[2] == blue[1] - red[3] == round(patchwork.GAP * DOTS)
    assert repr(picture) == "<Picture: 2×2 patches of 4×4 pixels>"


def test_a_patch_that_the_image_does_not_fill_stays_open():
    drawn = pixels_of(arrays.patch_grid(flat(RED, 3, 3), 2))
    side = round(patchwork.side_of((2, 2), arrays.INNER) * DOTS)
    assert has_colour(drawn, RED) == side**2 * (1 + 0.5 + 0.5 + 0.25)


def test_only_highlighted_patches_keep_their_colour():
    image = flat(GREEN, 8, 12)
    picture = arrays.patch_grid(image, 4, highlighted=[4])
    drawn = pixels_of(picture)
    side = round(patchwork.side_of((2, 3), arrays.INNER) * DOTS)
    left, top, right, _ = box_of(drawn, GREEN)
    assert (left + right) / 2 == pytest.approx(drawn.shape[1] / 2, abs=8)  # the middle column; a tag hides a corner
    assert top > drawn.shape[0] / 2
    assert 0.7 * side**2 < has_colour(drawn, GREEN) < side**2
    assert has_colour(drawn, ACCENT_BYTES) > 8 * side * 0.5  # the outline
    assert picture.alt.endswith("Outlined: patch 4; the others are faded.")


def test_a_full_photograph_in_small_patches_fits():
    photo = np.random.default_rng(0).integers(0, 256, (512, 683, 3), dtype=np.uint8)
    picture = arrays.patch_grid(photo, 8)
    assert repr(picture) == "<Picture: 64×86 patches of 8×8 pixels>"
    assert picture.width <= arrays.WIDEST


def test_cells_are_painted_from_paper_to_the_accent_and_to_blue():
    values = np.array([[0.0, 2.0], [-2.0, 1.0]])
    zero, full, cold, half = heatmap.paint(values, heatmap.limits_of([values])).reshape(4, 3)
    paper = np.round(np.array(to_rgb(PAPER)) * 255)
    assert (zero == paper).all() and (full == ACCENT_BYTES).all() and (cold == COLD_BYTES).all()
    assert abs(half - (paper + ACCENT_BYTES) / 2).max() <= 1
    drawn = pixels_of(arrays.matrices({"a": values}))
    assert has_colour(drawn, ACCENT_BYTES) == pytest.approx(has_colour(drawn, COLD_BYTES), rel=0.05)
    assert box_of(drawn[:-120], ACCENT_BYTES)[0] >= box_of(drawn[:-120], COLD_BYTES)[2]  # right column, left column


def test_all_matrices_have_one_scale():
    matrices = {"weak": np.full((3, 3), 0.1), "strong": np.full((3, 3), 0.8)}
    together, strong = ({**matrices}, {"strong": matrices["strong"]})
    counts = [has_colour(pixels_of(arrays.matrices(shown)), ACCENT_BYTES) for shown in (together, strong)]
    assert counts[0] == pytest.approx(counts[1], rel=0.2) and counts[1] > 0


def test_few_towering_values_do_not_wash_out_the_rest():
    weights = np.full((50, 50), 0.02)
    weights[:, 0] = 0.5
    assert heatmap.limits_of([weights]) == heatmap.Limits(0.0, 0.5, False)  # one in fifty is not few
    weights[1:, 0] = 0.02
    limits = heatmap.limits_of([weights])
    assert limits == heatmap.Limits(0.0, 0.02, True)
    assert limits.names() == ["0", "≥ 0.02"]
    assert heatmap.limits_of([-weights], 0.25).names() == ["≤ −0.25", "0", "≥ 0.25"]
    assert heatmap.limits_of([np.zeros((2, 2))]) == heatmap.Limits(0.0, 1.0, False)


def test_small_matrices_are_written_and_read_out():
    picture = arrays.matrices({"a": np.array([[0.5, -0.001], [-1, 2]])}, digits=2, rows="token", columns="channel")
    assert repr(picture) == "<Picture: 1 matrix: a>"
    words = "1 matrix as heat maps, one row per token, one column per channel: a (2×2)."
    assert picture.alt == f"{words} a: 0.50, 0.00; −1.00, 2.00."
    assert "0.5" not in arrays.matrices({"a": np.full((9, 9), 0.5)}, digits=1).alt


@pytest.mark.parametrize("shapes", [[(2, 2)], [(300, 300)], [(3, 321)], [(321, 3)], [(50, 50)] * 9, [(4, 96), (96, 4)]])
def test_matrices_of_all_sizes_fit_and_can_be_seen(shapes):
    arrays_ = {f"head {n}": np.random.default_rng(n).random(shape) for n, shape in enumerate(shapes)}
    cells = heatmap.cell_sizes(list(arrays_.values()), digits=None, max_width=arrays.INNER)
    rects, (width, _) = heatmap.matrix_rects(arrays_, cells, max_width=arrays.INNER)
    assert width <= arrays.INNER + 1
    assert all(wide >= 15 and high >= 15 for _, _, wide, high in rects)
    boxes = [(x - heatmap.AXIS, y - heatmap.AXIS - heatmap.TITLE, x + wide, y + high) for x, y, wide, high in rects]
    for number, (left, top, right, bottom) in enumerate(boxes):
        for other in boxes[:number]:
            assert left >= other[2] or top >= other[3] or right <= other[0] or bottom <= other[1]
    assert len(arrays.matrices(arrays_).png) > 0


def test_a_matrix_too_fine_to_draw_is_averaged():
    values = np.random.default_rng(3).random((600, 400))
    small = heatmap.pooled(values, 100, 150)
    assert small.shape == (150, 100)
    assert small == pytest.approx(values.reshape(150, 4, 100, 4).mean(axis=(1, 3)), abs=1e-6)
    assert heatmap.pooled(values, 400, 600) is values


def test_each_position_has_its_own_map():
    maps = np.zeros((1, 2, 1, 2))
    maps[0, 0, 0, 1] = 1  # the left position relates to the right one, the right one to nothing
    drawn = pixels_of(arrays.map_of_maps(maps))
    left, top, right, bottom = box_of(drawn[: -DOTS * 8 * UNIT], ACCENT_BYTES)  # without the bar
    first = MARGIN + heatmap.AXIS + UNIT  # where the left map begins: 2 × 1 cells of the largest size
    ring = 2 * DOTS  # of the cell beside it
    expected = [DOTS * (first + heatmap.LARGEST_CELL * n) for n in (1, 2)]
    assert [left - ring, right] == pytest.approx(expected, abs=1)  # a thin frame lies on the edge
    assert bottom - top == pytest.approx(DOTS * heatmap.LARGEST_CELL, abs=2)


def test_maps_are_thinned_evenly():
    assert heatmap.thinned(16, 8) == [0, 2, 4, 6, 8, 10, 12, 14]
    assert heatmap.thinned(21, 8) == [1, 4, 7, 10, 13, 16, 19]
    assert heatmap.thinned(5, 8) == [0, 1, 2, 3, 4]
    for count in range(1, 70):
        shown = heatmap.thinned(count, 8)
        assert 1 <= len(shown) <= 8 and len(set(np.diff(shown))) <= 1
        assert abs(shown[0] - (count - 1 - shown[-1])) <= 1  # as much left out before as after
    picture = arrays.map_of_maps(np.random.default_rng(0).random((16, 20, 16, 20)))
    assert repr(picture) == "<Picture: 8×7 maps of 16×20, each of 16×20>"
    assert picture.width <= arrays.WIDEST


STEPS = [
    ("image", "3 × 128 × 160", "normalised"),
    ("patches", "320 × 192", "cut into squares of 8×8 pixels"),
    ("tokens", "320 × 96"),
]


def test_a_flow_tells_names_shapes_and_how():
    picture = arrays.shape_flow(STEPS)
    assert repr(picture) == "<Picture: the shapes of 3 steps>"
    assert "patches, 320 × 192, cut into squares of 8×8 pixels; tokens, 320 × 96." in picture.alt
    assert has_colour(pixels_of(picture), ACCENT_BYTES) == 0
    assert has_colour(pixels_of(arrays.shape_flow(STEPS, highlighted=["tokens"])), ACCENT_BYTES) > 5000


@pytest.mark.parametrize("count", [1, 2, 4, 7, 12])
def test_the_boxes_of_a_flow_stand_in_lines_that_fit(count):
    steps = flow_diagram.steps_of([STEPS[n % 3] for n in range(count)], 500)
    assert len(steps) == count
    for before, after in pairwise(steps):
        assert (after.line, after.x) > (before.line, before.x + before.width) or after.line == before.line + 1
    assert all(step.x + step.width <= 500 for step in steps)
    assert all(text_width(step.shape, size=11, mono=True) < step.width for step in steps)


def test_a_box_wider_than_the_sheet_has_a_line_of_its_own():
    steps = flow_diagram.steps_of([("a" * 90, "1"), ("b", "2")], 300)
    assert [step.line for step in steps] == [0, 1]
