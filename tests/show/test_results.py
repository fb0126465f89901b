"""The table and the figures of chapter 11: what stands in them, and what they refuse."""

import numpy as np
import pytest
from looking import ACCENT_BYTES, has_colour, pixels_of

from vitseg_lib import recipes
from vitseg_lib.show import results

BAND = tuple(int(results.NOISE[i : i + 2], 16) for i in (1, 3, 5))


def cells(text: str) -> dict[str, list[str]]:
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()[2:]]
    return {row[0].strip("`"): row[1:] for row in rows}


def test_the_table_has_every_recipe_in_order_and_no_figure_that_was_not_published():
    rows = cells(results.table())
    assert list(rows) == recipes.names()
    assert rows["deit_s16_160k"] == ["12 × 384", "–", "–", "160 000", "52.09", "42.87", "43.79", "not run"]
    assert rows["vit_b16_80k"][5:] == ["–", "–", "not run"]
    assert all(row[-1] == "not run" for row in rows.values())


def test_the_best_result_stands_in_its_row_with_the_number_of_its_classes():
    found = [{"recipe": "toy", "mIoU": score, "classes": {"sky": 1, "sea": 2}} for score in (50.0, 71.256, 60.0)]
    rows = cells(results.table([*found, {"recipe": "unheard of", "mIoU": 99.0, "classes": {}}]))
    assert rows["toy"][-1] == "71.26, 2 classes"
    assert sum(row[-1] != "not run" for row in rows.values()) == 1


def test_a_reproduced_row_tells_its_images():
    result = {"recipe": "deit_s16_160k", "images": 3, "whole": {"mIoU": 42.0, "classes": {"wall": 1}}, "ms_flip": {}}
    assert cells(results.table([result]))["deit_s16_160k"][-1] == "42.00, 3 images, 1 classes"


def test_the_words_of_the_scatter_tell_each_score_and_cost():
    picture = results.score_against_cost({"deit_s16_160k": 0.95, "vit_b16_ln_mln_160k": 6.8})
    assert "deit_s16_160k 42.87 for 0.95" in picture.alt and "vit_b16_ln_mln_160k 47.73 for 6.8" in picture.alt
    assert repr(picture) == "<Picture: score against cost of 2 recipes>"


def test_a_filled_mark_has_more_of_its_colour_than_a_hollow_one():
    hollow, filled = (
        has_colour(pixels_of(results.score_against_cost({name: 3.0, "deit_b16_160k": 1.0})), ACCENT_BYTES)
        for name in ("vit_b16_mln_160k", "vit_b16_ln_mln_160k")
    )
    assert filled > hollow + 100


@pytest.mark.parametrize("costs", [{}, {"toy": 1.0}, {"deit_s16_160k": 1.0, "vit_b16_80k": 2.0}])
def test_only_published_rows_are_drawn(costs):
    with pytest.raises(ValueError, match="published"):
        results.score_against_cost(costs)


@pytest.mark.parametrize("cost", [0.0, -1.0])
def test_a_cost_that_no_logarithm_has_is_refused(cost):
    with pytest.raises(ValueError, match="above 0"):
        results.score_against_cost({"deit_s16_160k": cost, "deit_b16_160k": 1.0})


def test_recipes_are_named_as_people_say_them():
    names = [results.short(recipes.get(name)) for name in ("vit_b16_mln_80k", "deit_s16_ln_mln_160k")]
    assert names == ["ViT-B 80k", "DeiT-S 160k"]


def accent_columns(values: dict[str, list[float]]) -> np.ndarray:
    pixels = pixels_of(results.differences(values, noise=0.5))
    return np.flatnonzero((pixels[..., :3] == ACCENT_BYTES).all(axis=-1).any(axis=0))


def test_dots_stand_on_their_side_of_zero():
    left, right = accent_columns({"part": [-1.0], "other": []}), accent_columns({"part": [1.0], "other": []})
    assert left.max() < right.min()
    assert len(accent_columns({"part": [-1.0, 1.0]})) > 1.5 * len(left)


def test_the_band_is_as_wide_as_the_noise():
    narrow, wide = (
        has_colour(pixels_of(results.differences({"part": [-2.0, 2.0]}, noise=noise)), BAND) for noise in (0.25, 1.0)
    )
    assert 3 < wide / narrow < 5


def test_means_and_missing_runs_are_told_in_words():
    picture = results.differences({"neck": [1.0, 2.0], "norm": [-0.5], "aux": []}, noise=0.5)
    assert "neck +1.50, norm −0.50, aux not run" in picture.alt
    assert results.differences({"aux": []}, noise=0.5).alt.endswith("aux not run.")


@pytest.mark.parametrize("values", [{}, {"part": [float("nan")]}, {"part": [float("inf"), 1.0]}])
def test_no_name_and_no_number_are_refused(values):
    with pytest.raises(ValueError, match="finite"):
        results.differences(values, noise=0.5)
