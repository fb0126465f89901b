"""The table and the figures of chapter 11: what they show, and what they refuse."""

import numpy as np
import pytest
from looking import ACCENT_BYTES, has_colour, pixels_of

from vitseg_lib import recipes
from vitseg_lib.course.figures import ch11_results

BAND = tuple(int(ch11_results.NOISE[i : i + 2], 16) for i in (1, 3, 5))


def cells(text: str) -> dict[str, list[str]]:
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()[2:]]
    return {row[0].strip("`"): row[1:] for row in rows}


def test_the_table_has_every_recipe_in_order_and_no_figure_that_was_not_published():
    rows = cells(ch11_results.table())
    assert list(rows) == recipes.names()
    assert rows["deit_s16_160k"] == ["12 × 384", "–", "–", "160 000", "52.09", "42.87", "43.79", "not run"]
    assert rows["vit_b16_80k"][5:] == ["–", "–", "not run"]
    assert all(row[-1] == "not run" for row in rows.values())


RUNS = [{"mIoU": score, "classes": {"sky": 1, "sea": 2}} for score in (50.0, 71.256, 60.0)]
REPRODUCED = {"images": 3, "whole": {"mIoU": 42.0, "classes": {"wall": 1}}, "ms_flip": {}}


@pytest.mark.parametrize(
    ("recipe", "results", "cell"),
    [
        (
            "toy",
            [{"mIoU": score, "classes": {"sky": 1, "sea": 2}} for score in (50.0, 71.256, 60.0)],
            "71.26, 2 classes",
        ),
        ("deit_s16_160k", [REPRODUCED], "42.00, 3 images, 1 classes"),
    ],
)
def test_the_best_result_stands_in_its_row_with_its_images_and_classes(recipe, results, cell):
    rows = cells(ch11_results.table({"recipe": name} | result for name in (recipe, "unknown") for result in results))
    assert rows[recipe][-1] == cell
    assert sum(row[-1] != "not run" for row in rows.values()) == 1


def test_the_words_of_the_scatter_tell_each_score_and_cost():
    picture = ch11_results.score_against_cost({"deit_s16_160k": 0.95, "vit_b16_ln_mln_160k": 6.8})
    assert "deit_s16_160k 42.87 for 0.95" in picture.alt and "vit_b16_ln_mln_160k 47.73 for 6.8" in picture.alt
    assert repr(picture) == "<Picture: score against cost of 2 recipes>"


def test_a_filled_mark_has_more_of_its_colour_than_a_hollow_one():
    hollow, filled = (
        has_colour(pixels_of(ch11_results.score_against_cost({name: 3.0, "deit_b16_160k": 1.0})), ACCENT_BYTES)
        for name in ("vit_b16_mln_160k", "vit_b16_ln_mln_160k")
    )
    assert filled > hollow + 100


def test_recipes_are_named_as_people_say_them():
    names = [ch11_results.short(recipes.get(name)) for name in ("vit_b16_mln_80k", "deit_s16_ln_mln_160k")]
    assert names == ["ViT-B 80k", "DeiT-S 160k"]


def accent_columns(values: dict[str, list[float]]) -> np.ndarray:
    pixels = pixels_of(ch11_results.differences(values, noise=0.5))
    return np.flatnonzero((pixels[..., :3] == ACCENT_BYTES).all(axis=-1).any(axis=0))


def test_dots_stand_on_their_side_of_zero():
    left, right = accent_columns({"part": [-1.0], "other": []}), accent_columns({"part": [1.0], "other": []})
    assert left.max() < right.min()
    assert len(accent_columns({"part": [-1.0, 1.0]})) > 1.5 * len(left)


def test_the_band_is_as_wide_as_the_noise():
    narrow, wide = (
        has_colour(pixels_of(ch11_results.differences({"part": [-2.0, 2.0]}, noise=noise)), BAND)
        for noise in (0.25, 1.0)
    )
    assert 3 < wide / narrow < 5


def test_means_and_missing_runs_are_told_in_words():
    picture = ch11_results.differences({"neck": [1.0, 2.0], "norm": [-0.5], "aux": []}, noise=0.5)
    assert "neck +1.50, norm −0.50, aux not run" in picture.alt
    assert ch11_results.differences({"aux": []}, noise=0.5).alt.endswith("aux not run.")
