"""What the figures refuse, and what they say then."""

from functools import partial

import numpy as np
import pytest
from looking import CLASSES

from vitseg_lib.course.figures import (
    arrays,
    axes,
    ch01_ade20k,
    ch02_resampling,
    ch03_patches,
    ch04_attention,
    ch05_encoder,
    ch09_training,
    ch11_results,
    colours,
    panels,
    plots,
)
from vitseg_lib.course.figures.pipeline_strip import pipeline_strip

IMAGE, LABELS = np.zeros((16, 24, 3), np.uint8), np.zeros((16, 24), np.uint8)
IGNORED, CUT = LABELS + 255, LABELS[1:]
NAN, INF = float("nan"), float("inf")
STEPS = [("image", "3 × 128 × 160", "normalised"), ("tokens", "320 × 96")]


def close_up(image=IMAGE, labels=LABELS, corner=(0, 0)):
    ch01_ade20k.close_up(image, labels, classes=CLASSES, corner=corner)


tried_windows = partial(ch02_resampling.tried_windows, classes=CLASSES)

# One row per function and message: what is called, with which arguments in turn, and what it says.
REFUSALS = [
    (arrays.image_row, [([], [])], "0 and 0 do not fit"),
    (arrays.image_row, [([IMAGE], ["a", "b"])], "one title for each image: 1 and 2"),
    (arrays.image_row, [([np.zeros((4, 4, 3))], ["a"])], r"not float64 \(4, 4, 3\)"),
    (arrays.image_row, [([np.zeros((4, 4, 4), np.uint8)], ["a"])], r"not uint8 \(4, 4, 4\)"),
    (lambda n: arrays.patch_grid(IMAGE, 8, highlighted=[n]), [(6,)], "numbered 0 to 5: there is no 6"),
    (lambda n: arrays.patch_grid(IMAGE, 8, highlighted=[n]), [(-1,)], "there is no -1"),
    (arrays.patch_grid, [(IMAGE, 0)], "at least 1 pixel per side, not 0"),
    (arrays.matrices, [({},)], "no matrix"),
    (arrays.matrices, [({"a": np.zeros(3)},)], r"'a' has the shape \(3,\)"),
    (arrays.matrices, [({"b": np.zeros((0, 3))},)], r"'b'.*\(0, 3\)"),
    (
        lambda *s: arrays.map_of_maps(np.zeros(s)),
        [(4, 4), (2, 3, 3, 2), (0, 0, 0, 0)],
        r"shape \(h, w, h, w\), not",
    ),
    (arrays.shape_flow, [([],), ([("name",)],), ([("name", "shape", "how", "why")],)], "a step is"),
    (lambda name: arrays.shape_flow(STEPS, highlighted=[name]), [("neck",)], "no step is called 'neck'"),
    (partial(axes.scale_of, log=True), [(np.array([0, 1]),), (np.array([-1, 1]),)], "values above 0"),
    (partial(ch01_ade20k.layers, classes=CLASSES), [(IMAGE, CUT)], "differ in size"),
    (close_up, [(IMAGE[1:],)], "differ in size"),
    (close_up, [(IMAGE, LABELS, corner) for corner in ((16, 0), (0, 24), (-1, 0))], "no pixel"),
    (lambda first: ch01_ade20k.shift_diagram(CLASSES, first=first), [(3,)], "more than there are: 3"),
    (ch02_resampling.rulers, [([7], 3, 0), ([1, 2, 3], 3, 3), ([1, 2, 3], 3, -1)], "there is no pixel"),
    (tried_windows, [(IMAGE, IGNORED, []), (IMAGE, IGNORED, [(0, 0, 2, 2)])], "no window"),
    (ch03_patches.filters, [({},)], "filters come in groups"),
    (lambda *s: ch03_patches.filters({"a": np.zeros(s)}), [(2, 3, 4), (2, 1, 4, 4), (0, 3, 2, 2)], "come in groups"),
    (ch03_patches.centres, [(1, 4, 0), (4, 3, 0), (4, 4, 4), (4, 4, -1)], "at least two old positions"),
    (ch04_attention.twins, [([(IMAGE, LABELS)], 0, 3)], "class 3"),
    (ch05_encoder.block_drawing, [("sandwich",)], "not 'sandwich'"),
    (lambda lines: ch09_training.run_so_far(lines, {}, total=20, classes=CLASSES), [([],)], "first step"),
    (
        ch11_results.score_against_cost,
        [({},), ({"toy": 1.0},), ({"deit_s16_160k": 1.0, "vit_b16_80k": 2},)],
        "published",
    ),
    (
        ch11_results.score_against_cost,
        [({"deit_s16_160k": cost, "deit_b16_160k": 1.0},) for cost in (0, -1)],
        "above 0",
    ),
    (partial(ch11_results.differences, noise=0.5), [({},), ({"part": [NAN]},), ({"part": [INF, 1.0]},)], "finite"),
    (colours.overlay, [(IMAGE, CUT, CLASSES)], r"differ in size: \(16, 24\) and \(15, 24\)"),
    (colours.error_map, [(IMAGE, CUT, CUT, CLASSES)], r"differ in size: \(16, 24\) and \(15, 24\)"),
    (partial(panels.segmentation_panel, classes=CLASSES), [([IMAGE] * 2, [LABELS])], "shorter"),
    (panels.iou_bars, [([1.0, 2.0], CLASSES)], "3 classes need 3 values"),
    (pipeline_strip, [("nek",)], "no box is called 'nek'; the boxes are ade20k, "),
    (plots.long_tail, [([0.5, 0.5], CLASSES)], "3 classes need 3 fractions"),
    (
        plots.long_tail,
        [(x, CLASSES) for x in ([0.5, 0.6, 1.1], [0.5, -0.1, 0.2], [NAN, 0, 1], [0] * 3)],
        "fractions are",
    ),
    (plots.bars, [({},), ({"a": -1},), ({"a": NAN},), ({"a": INF},)], "one or more values of at least 0"),
    (lambda name: plots.bars({"a": 1}, highlighted=[name]), [("c",)], "no bar is called 'c'"),
]


@pytest.mark.parametrize(("draw", "calls", "message"), REFUSALS, ids=[message[:24] for *_, message in REFUSALS])
def test_what_cannot_be_drawn_is_refused_in_one_sentence(draw, calls, message):
    for arguments in calls:
        with pytest.raises(ValueError, match=message) as caught:
            draw(*arguments)
        assert "\n" not in str(caught.value)
