"""Costs: against a count by hand, PyTorch's counter over a backward, and what was published of memory."""

from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from vitseg_lib import recipes
from vitseg_lib.course import cost
from vitseg_lib.recipes import get

SMALL = replace(get("toy"), crop=64, embed_dim=48, depth=3, out_indices=(0, 1, 2, 2), head_channels=32, aux_channels=16)


def conv(pixels: int, kernel: int, into: int, out: int) -> int:
    return 2 * pixels * kernel**2 * into * out


def head_by_hand(embed_dim: int, channels: int, classes: int, sides: list[int]) -> int:
    """UPerNet on four maps of these sides, finest first, from the paper's boxes."""
    finest, coarsest = sides[0] ** 2, sides[3] ** 2
    pooling = sum(conv(k * k, 1, embed_dim, channels) for k in (1, 2, 3, 6))
    pooling += conv(coarsest, 3, embed_dim + 4 * channels, channels)
    lateral = sum(conv(side**2, 1, embed_dim, channels) for side in sides[:3])
    fpn = sum(conv(side**2, 3, channels, channels) for side in sides[:3])
    return pooling + lateral + fpn + conv(finest, 3, 4 * channels, channels) + conv(finest, 1, channels, classes)


@pytest.mark.parametrize("name", ["deit_s16_160k", "deit_s16_mln_160k", "deit_b16_160k", "deit_b16_mln_160k"])
def test_every_part_is_counted_as_by_hand(name):
    recipe, patches = get(name), 32 * 32
    C, tokens = recipe.embed_dim, patches + 1
    layer = 12 * tokens * C**2 + 2 * tokens**2 * C
    sides = [128, 64, 32, 16] if recipe.neck else [32] * 4
    neck = sum(conv(patches, 1, C, C) + conv(side**2, 3, C, C) for side in sides) if recipe.neck else 0
    # adaptive pooling by matrices multiplies too: a little, and only there
    pooling = sum(2 * C * (k * sides[3] ** 2 + k * k * sides[3]) for k in (1, 2, 3, 6))
    counted = cost.operations(recipe)
    assert counted["encoder"] == 2 * (patches * 3 * 16**2 * C + 12 * layer)
    assert counted["neck"] == neck
    assert counted["decode_head"] - head_by_hand(C, 512, 150, sides) in (0, pooling)
    assert counted["auxiliary_head"] == conv(sides[3] ** 2, 3, C, 256) + conv(sides[3] ** 2, 1, 256, 150)


@pytest.mark.parametrize(
    ("name", "tera"),
    [("deit_s16_80k", 0.37), ("deit_s16_mln_160k", 1.65), ("deit_b16_160k", 0.84), ("vit_b16_mln_80k", 2.66)],
)
def test_a_training_image_costs_what_was_counted_independently(name, tera):
    recipe = get(name)
    assert 3 * sum(cost.operations(recipe).values()) / 1e12 == pytest.approx(tera, abs=0.006)


def test_forward_and_backward_are_three_forwards():
    model, pixels = recipes.build_model(SMALL, 7), torch.rand(2, 3, 64, 64)
    with FlopCounterMode(display=False) as counter:
        logits, stages = model(pixels, return_stages=True)
        (logits.sum() + stages["aux_logits"].sum()).backward()
    forward = 2 * sum(cost.operations(SMALL, 7).values())
    assert counter.get_total_flops() / forward == pytest.approx(3, rel=0.03)


def test_what_stays_is_four_floats_per_parameter():
    model = recipes.build_model(SMALL, 7)
    optimizer = torch.optim.AdamW(model.parameters())
    logits, stages = model(torch.rand(2, 3, 64, 64), return_stages=True)
    (logits.sum() + stages["aux_logits"].sum()).backward()
    optimizer.step()
    held = [*model.parameters(), *(p.grad for p in model.parameters())]
    held += [moment for state in optimizer.state.values() for moment in (state["exp_avg"], state["exp_avg_sq"])]
    assert cost.state_bytes(SMALL, 7) == sum(tensor.nbytes for tensor in held)


def test_what_is_kept_grows_with_the_batch_and_by_attention_with_its_tokens():
    kept = {batch: cost.activation_bytes(SMALL, 7, batch=batch) for batch in (2, 3, 4)}
    assert kept[4] - kept[3] == pytest.approx(kept[3] - kept[2], rel=1e-3)
    deeper = replace(SMALL, depth=4)
    attention = 4 * 2 * SMALL.num_heads * 65**2
    assert cost.activation_bytes(deeper, 7) - cost.activation_bytes(SMALL, 7) > attention
    assert cost.activation_bytes(replace(SMALL, neck=True), 7) > 2 * kept[2]


def test_the_forecast_of_memory_is_below_what_was_published_and_foretells_the_neck():
    def total(name):
        return (cost.state_bytes(get(name)) + cost.activation_bytes(get(name))) / 1e9

    for plain, neck in (("deit_s16_160k", "deit_s16_mln_160k"), ("deit_b16_160k", "deit_b16_mln_160k")):
        published = [get(name).published.memory_GB for name in (plain, neck)]
        assert 0.5 * published[0] < total(plain) < published[0]
        assert total(neck) - total(plain) == pytest.approx(published[1] - published[0], abs=0.05)


def test_nothing_is_computed_and_random_numbers_stay():
    before = torch.get_rng_state()
    cost.operations(SMALL, 7)
    cost.activation_bytes(SMALL, 7)
    assert torch.equal(before, torch.get_rng_state())
