"""The table of recipes: its rows, its figures, and what happens to a name that is not there."""

import dataclasses
import inspect

import pytest
import torch

from vitseg_lib import recipes
from vitseg_lib.data.transforms import crop_box
from vitseg_lib.engine.inference import MS_FLIP_RATIOS, sliding_window
from vitseg_lib.engine.schedule import build_optimizer, learning_rate
from vitseg_lib.engine.training import train_pipeline

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


def config_of(name: str, configs: dict) -> dict:
    """mmsegmentation's configuration of a recipe: vit_b16_ln_mln_160k → vit_vit-b16-ln_mln_upernet_8xb2-160k_…"""
    backbone, *switches, schedule = name.replace("_b16", "-b16").replace("_s16", "-s16").split("_")
    switches = "-ln_mln" if "ln" in switches else "_mln" if switches else ""
    return configs["common"] | configs["rows"][f"vit_{backbone}{switches}_upernet_8xb2-{schedule}_ade20k-512x512"]


FIELDS = (
    *("embed_dim", "depth", "num_heads", "patch_size", "final_norm", "drop_path", "neck", "head_channels"),
    *("aux_channels", "aux_weight", "photometric", "learning_rate", "weight_decay", "warmup"),
    *("iterations", "evaluate_every"),
)


@pytest.mark.parametrize("name", [name for name in recipes.names() if recipes.get(name).published])
def test_every_field_is_mmsegmentations(name, mmseg_configs):
    recipe, config = recipes.get(name), config_of(name, mmseg_configs)
    if name == "deit_s16_160k":  # 1.2.2's file of that name inherits the 80k schedule; the published run had 160k
        config |= {"iterations": 160_000, "evaluate_every": 16_000}
    assert {field: getattr(recipe, field) for field in FIELDS} == {field: config[field] for field in FIELDS}
    assert [recipe.crop] * 2 == config["crop"] and recipe.batch_size == 8 * config["batch_size_per_gpu"]
    assert list(recipe.out_indices) == config["out_indices"]
    assert list(recipe.ratio_range) == config["ratio_range"]
    assert list(recipe.test_scale) == config["test_scale"] == config["train_scale"]


def test_transforms_optimiser_and_views_are_mmsegmentations(mmseg_configs):
    common, recipe = mmseg_configs["common"], recipes.get("deit_s16_160k")
    pipeline = train_pipeline(recipe)
    assert (pipeline.cat_max_ratio, pipeline.hflip) == (common["cat_max_ratio"], common["hflip"])
    assert inspect.signature(crop_box).parameters["cat_max_ratio"].default == common["cat_max_ratio"]
    assert (list(pipeline.mean), list(pipeline.std)) == (common["mean"], common["std"])
    assert (list(pipeline.scale), list(pipeline.ratio_range)) == (common["train_scale"], common["ratio_range"])
    assert (pipeline.crop, pipeline.photometric) == (512, True)
    assert list(MS_FLIP_RATIOS) == common["tta_ratios"]
    group = build_optimizer(recipes.build_model(recipes.get("toy"), 2), recipe).param_groups[0]
    assert [*group["betas"]] == common["betas"] and group["lr"] == common["learning_rate"]
    first = learning_rate(0, total=160_000, base=1.0, warmup=common["warmup"])
    assert first == pytest.approx(common["warmup_start_factor"])


def test_a_sliding_window_of_512_moves_by_341():
    """As in mmsegmentation's configurations with `mode="slide"` for 512×512 crops of ADE20K: stride=(341, 341)."""
    seen = []

    def forward(pixels):
        seen.append(pixels[0, 0, 0, :2].tolist())
        return pixels.new_zeros(1, 2, 4, 4)

    pixels = torch.stack(torch.meshgrid(torch.arange(853.0), torch.arange(1194.0), indexing="ij"))[None]
    sliding_window(forward, pixels.flip(1).expand(1, 2, -1, -1), 512)
    assert [left for left, _ in seen] == [0, 341, 682] * 2
