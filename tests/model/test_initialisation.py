"""The values a model starts with: the standard deviation of every tensor, and what norms and dropout are set to.

Expected values: PyTorch's formulas for the schemes that mmsegmentation 0.17 uses (reproduction of its `init_weights`).
"""

import math
import re

import pytest
import torch
from torch import nn

from vitseg_lib import recipes


def kaiming(fan: int) -> float:
    return math.sqrt(2 / max(fan, 1))


def xavier(fan_in: int, fan_out: int) -> float:
    return math.sqrt(2 / max(fan_in + fan_out, 1))


def expected_std(name: str, shape: tuple[int, ...]) -> float:
    """By name: truncated normal in the encoder, Kaiming in convolution blocks, Xavier in the neck, 0.01 at last."""
    fan_in, fan_out = (math.prod(shape[1:]), shape[0] * math.prod(shape[2:])) if len(shape) > 1 else (0, 0)
    rules = {
        r"encoder\.(cls_token|pos_embed)": 0.02,
        r"encoder\.patch_embed\.proj\.weight": kaiming(fan_in),
        r"encoder\.blocks\.\d+\.(attn\.(qkv|proj)|mlp\.fc[12])\.weight": 0.02,
        r"encoder\.blocks\.\d+\.mlp\.fc[12]\.bias": 1e-6,
        r"neck\..*conv\.weight": xavier(fan_in, fan_out),
        r".*conv_seg\.weight": 0.01,
        r"(decode|auxiliary)_head\..*conv\.weight": kaiming(fan_out),
    }
    return next((std for rule, std in rules.items() if re.fullmatch(rule, name)), 0.0)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return recipes.build_model(recipes.get("deit_s16_ln_mln_160k"))


def test_the_standard_deviation_of_every_tensor(model):
    for name, tensor in model.named_parameters():
        expected = expected_std(name, tuple(tensor.shape))
        found = tensor.std(correction=0).item()
        spread = 4 / math.sqrt(2 * tensor.numel())  # four standard errors of a standard deviation
        assert found == pytest.approx(expected, rel=spread + 0.002, abs=1e-12), name
        mean = 1.0 if expected == 0 and re.search(r"(norm\d?|bn)\.weight$", name) else 0.0
        assert tensor.mean().item() == pytest.approx(mean, abs=4 * expected / math.sqrt(tensor.numel()) + 1e-12), name


def test_norms_and_dropout(model, mmseg_configs):
    common = mmseg_configs["common"]
    kinds = {kind: [m for m in model.modules() if isinstance(m, kind)] for kind in (nn.BatchNorm2d, nn.LayerNorm)}
    assert len(kinds[nn.BatchNorm2d]) == 4 + 1 + 3 + 3 + 1 + 1 and len(kinds[nn.LayerNorm]) == 25
    assert {(norm.eps, norm.momentum) for norm in kinds[nn.BatchNorm2d]} == {(1e-5, 0.1)}  # PyTorch's, as mmcv's BN
    assert {norm.eps for norm in kinds[nn.LayerNorm]} == {common["norm_eps"]}
    assert model.decode_head.dropout.p == common["dropout"] and model.auxiliary_head.dropout.p == common["aux_dropout"]
    assert isinstance(model.decode_head.dropout, nn.Dropout2d) and isinstance(
        model.auxiliary_head.dropout, nn.Dropout2d
    )
    assert list(model.decode_head.ppm.bins) == common["bins"]
    assert model.encoder.blocks[0].mlp.fc1.out_features == common["mlp_ratio"] * 384
    assert [branch.scale for branch in model.neck.branches] == [4, 2, 1, 0.5]
    assert [block.drop_path.rate for block in model.encoder.blocks] == pytest.approx([0.1 * i / 11 for i in range(12)])
