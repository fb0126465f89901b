"""The table of recipes: its rows, its figures, and what happens to a name that is not there."""

import dataclasses

import pytest

from vitseg_lib import recipes

TABLE = """
vit_b16_mln_80k 0.0 80000 144.17 47.71 49.51 0403cee1
vit_b16_mln_160k 0.0 160000 144.17 46.75 48.46 852fa768
vit_b16_ln_mln_160k 0.1 160000 144.18 47.73 49.95 f444c077
deit_s16_80k 0.1 80000 52.09 42.96 43.79 afc93ec2
deit_s16_160k 0.1 160000 52.09 42.87 43.79 5110d916
deit_s16_mln_160k 0.1 160000 58.00 43.82 45.07 fb9a5dfb
deit_s16_ln_mln_160k 0.1 160000 58.00 43.52 45.01 c0cd652f
deit_b16_80k 0.1 80000 120.57 45.24 46.73 1e090789
deit_b16_160k 0.1 160000 120.57 45.36 47.16 828705d7
deit_b16_mln_160k 0.1 160000 144.17 45.46 47.16 4e1450f3
deit_b16_ln_mln_160k 0.1 160000 144.18 45.37 47.23 8a959c14
"""


def test_the_published_rows_and_their_order():
    found = []
    for name in recipes.names():
        recipe, row = recipes.get(name), recipes.get(name).published
        if row:
            found.append(
                f"{name} {recipe.drop_path} {recipe.iterations} {row.params_M:.2f} {row.mIoU:.2f} "
                f"{row.mIoU_ms_flip:.2f} {row.sha256_prefix}"
            )
    assert found == TABLE.split("\n")[1:-1]


def test_all_fifteen_and_the_small_ones_last():
    assert len([name for name in recipes.names() if not name.startswith("toy")]) == 15
    assert recipes.names()[-2].startswith("toy")
    for name in ("vit_b16_80k", "vit_b16_160k", "deit_s16_ln_160k", "deit_b16_ln_160k"):
        assert recipes.get(name).published is None


@pytest.mark.parametrize("name", recipes.names())
def test_switches_say_what_the_name_says(name):
    recipe = recipes.get(name)
    assert recipe.name == name
    if not name.startswith("toy"):
        parts = name.split("_")
        assert recipe.neck == ("mln" in parts) and recipe.final_norm == ("ln" in parts)
        assert recipe.iterations == int(parts[-1].removesuffix("k")) * 1000
        assert (recipe.head_channels, recipe.crop, recipe.batch_size) == (512, 512, 16)


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(KeyError, match="nearest is 'deit_s16_mln_160k'") as error:
        recipes.get("deit_s_mln_160k")
    assert all(name in str(error.value) for name in recipes.names())


def test_recipes_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipes.get("toy").width = 1


def test_addresses_follow_the_published_pattern():
    row = recipes.get("deit_s16_ln_mln_160k").published
    assert row.url.endswith(
        "/v0.5/vit/upernet_deit-s16_ln_mln_512x512_160k_ade20k/"
        "upernet_deit-s16_ln_mln_512x512_160k_ade20k_20210621_161021-c0cd652f.pth"
    )
