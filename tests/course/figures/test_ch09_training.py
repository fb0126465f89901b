"""The picture of a run: what it says, where it ends, and that a board replaces what it shows."""

import numpy as np

from vitseg_lib.course.figures import ch09_training
from vitseg_lib.course.figures.ch09_training import Board, run_so_far
from vitseg_lib.data.classes import Classes

CLASSES = Classes(("dark", "bright"), np.array([[0, 0, 90], [250, 250, 0]], np.uint8))
LINES = [{"step": step, "loss": 3 / step, "lr": 1e-3 * step} for step in range(1, 9)]
MASK = np.arange(48).reshape(6, 8).astype(np.uint8) % 2


def drawn(lines=LINES, predictions=None, total=20):
    return run_so_far(lines, predictions or {}, total=total, classes=CLASSES)


def test_it_says_how_far_the_run_has_come():
    picture = drawn(predictions={"ground truth": MASK, "step 8": MASK})
    assert repr(picture) == "<Picture: a run after 8 of 20 steps>"
    assert "up to step 8 of 20" in picture.alt and "ground truth, step 8" in picture.alt


def test_predictions_make_it_higher_and_show_their_colours():
    bare, full = drawn().pixels(1), drawn(predictions={"ground truth": MASK}).pixels(1)
    assert full.shape[0] > bare.shape[0] + 50 and full.shape[1] == bare.shape[1]
    yellow = (full[..., :3] == [250, 250, 0]).all(axis=-1).sum()
    assert yellow > 500 and not (bare[..., :3] == [250, 250, 0]).all(axis=-1).any()


def test_the_line_moves_right_as_the_run_goes_on():
    def furthest(picture):
        accent = (np.abs(picture.pixels(1)[..., :3].astype(int) - [194, 65, 12]).sum(axis=-1) < 12).any(axis=0)
        return np.flatnonzero(accent).max()

    assert furthest(drawn(LINES[:2])) < furthest(drawn(LINES[:5])) < furthest(drawn())


def test_a_board_is_shown_once_and_then_replaced(monkeypatch):
    shown, updated = [], []

    class Handle:
        def update(self, data, **options):
            updated.append((data, options))

    def fake(data, **options):
        shown.append((data, options))
        return Handle()

    monkeypatch.setattr(ch09_training, "display", fake)
    board = Board()
    for upto in (2, 5, 8):
        board.show(drawn(LINES[:upto]))
    assert [len(shown), len(updated)] == [2, 4]  # each time the image and its words
    assert "step 2 of 20" in shown[0][1]["metadata"]["image/png"]["alt"]
    assert "step 8 of 20" in updated[-2][1]["metadata"]["image/png"]["alt"]
    assert "after 8 of 20" in updated[-2][0]["text/plain"]
