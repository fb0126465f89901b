"""Each box of the model against an independent truth: torch, loops, closed forms, timm."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from vitseg_lib.model.attention import SelfAttention, attention_weights
from vitseg_lib.model.encoder import DropPath, Encoder, drop_path_rates
from vitseg_lib.model.neck import MultiLevelNeck
from vitseg_lib.model.patches import PatchEmbedding, resize_pos_embed, tokens_to_map
from vitseg_lib.model.upernet import UPerHead, adaptive_avg_pool, top_down


def small_encoder(**changes) -> Encoder:
    sizes = {"embed_dim": 32, "depth": 4, "num_heads": 2, "patch_size": 8, "image_size": 32}
    sizes |= {"out_indices": (0, 1, 2, 3)} | changes
    return Encoder(**sizes).eval()


def test_patch_embedding_is_a_linear_map_of_each_patch():
    patches = PatchEmbedding(embed_dim=5, patch_size=4)
    pixels = torch.randn(2, 3, 8, 12)
    tokens, grid = patches(pixels)
    assert grid == (2, 3) and tokens.shape == (2, 6, 5)
    weight = patches.proj.weight.flatten(1)
    for row in range(2):
        for column in range(3):
            patch = pixels[:, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4].flatten(1)
            expected = patch @ weight.T + patches.proj.bias
            assert torch.allclose(tokens[:, 3 * row + column], expected, atol=1e-5)


@pytest.mark.parametrize(("size", "grid"), [((512, 683), (32, 43)), ((1, 1), (1, 1)), ((17, 33), (2, 3))])
def test_sides_that_do_not_divide_are_padded_with_zeros_right_and_bottom(size, grid):
    patches = PatchEmbedding(embed_dim=4, patch_size=16)
    pixels = torch.randn(1, 3, *size)
    tokens, found = patches(pixels)
    whole = torch.zeros(1, 3, grid[0] * 16, grid[1] * 16)
    whole[..., : size[0], : size[1]] = pixels
    assert found == grid
    assert torch.allclose(tokens, patches(whole)[0])


def test_tokens_to_map_drops_the_class_token_and_keeps_rows():
    tokens = torch.arange(7.0)[None, :, None]
    assert tokens_to_map(tokens, (2, 3))[0, 0].tolist() == [[1, 2, 3], [4, 5, 6]]


def test_position_resize_agrees_with_the_reference(rules):
    import formula_weights

    rule = rules["pos_embed_14_to_32"]
    embedding = formula_weights.tensor_for("golden.pos_embed", (1, 197, 8))
    resized = resize_pos_embed(embedding, (14, 14), (32, 32))
    probe = formula_weights.probes(resized, n=len(rule["values"]))
    assert probe["shape"] == rule["shape"]
    assert np.abs(np.subtract(probe["values"], rule["values"])).max() < 1e-4 * rule["std"]
    assert torch.equal(resized[:, 0], embedding[:, 0])


def test_the_antialias_trap_gives_other_numbers():
    """timm's own resampler antialiases: on the way down, that is another embedding."""
    embedding = torch.randn(1, 1025, 8)
    grid = embedding[:, 1:].unflatten(1, (32, 32)).permute(0, 3, 1, 2)
    theirs = F.interpolate(grid, size=(14, 14), mode="bicubic", antialias=True).flatten(2).mT
    ours = resize_pos_embed(embedding, (32, 32), (14, 14))[:, 1:]
    assert ours.shape == theirs.shape
    assert (ours - theirs).std() > 0.5 * theirs.std()


def test_position_resize_looks_at_the_grid_and_not_at_the_number_of_patches():
    embedding = torch.randn(1, 1025, 8)
    assert not torch.equal(resize_pos_embed(embedding, (32, 32), (16, 64)), embedding)
    assert resize_pos_embed(embedding, (32, 32), (32, 32)) is embedding


def test_attention_agrees_with_torch():
    torch_attention = nn.MultiheadAttention(32, 4, batch_first=True)
    nn.init.normal_(torch_attention.in_proj_bias)
    ours = SelfAttention(embed_dim=32, num_heads=4)
    ours.qkv.load_state_dict({"weight": torch_attention.in_proj_weight, "bias": torch_attention.in_proj_bias})
    ours.proj.load_state_dict(torch_attention.out_proj.state_dict())
    tokens = torch.randn(2, 7, 32)
    expected, maps = torch_attention(tokens, tokens, tokens, average_attn_weights=False)
    mixed, weights = ours(tokens)
    assert torch.allclose(mixed, expected, atol=1e-6)
    assert torch.allclose(weights, maps, atol=1e-6)
    assert torch.allclose(weights.sum(-1), torch.ones(2, 4, 7))


def test_attention_by_loops():
    queries, keys = torch.randn(1, 1, 3, 4), torch.randn(1, 1, 3, 4)
    weights = attention_weights(queries, keys)[0, 0]
    for i in range(3):
        scores = [sum(float(a * b) for a, b in zip(queries[0, 0, i], keys[0, 0, j], strict=True)) / 2 for j in range(3)]
        exponentials = np.exp(scores)
        assert np.allclose(weights[i].numpy(), exponentials / exponentials.sum(), atol=1e-6)


def test_heads_must_divide_embed_dim():
    with pytest.raises(ValueError, match="5 heads do not divide an embed_dim of 32"):
        SelfAttention(embed_dim=32, num_heads=5)


def test_drop_path_keeps_the_mean_and_drops_whole_samples():
    drop = DropPath(0.25).train()
    kept = drop(torch.ones(4000, 3, 2))
    per_sample = kept[:, 0, 0]
    assert per_sample.unique().tolist() == [0.0, pytest.approx(4 / 3)]
    assert torch.equal(kept, per_sample[:, None, None].expand_as(kept))
    assert abs(per_sample.mean().item() - 1) < 0.04
    assert torch.equal(drop.eval()(kept), kept)


def test_drop_path_rates_climb_by_layer_and_act_on_both_branches(rules):
    rule = rules["drop_path"]
    assert np.allclose(drop_path_rates(rule["rate"], rule["depth"]), rule["values"], atol=1e-7)
    encoder = small_encoder(drop_path=1.0)
    block = encoder.blocks[-1].train()
    block.drop_path.rate = 0.999999  # almost surely all dropped
    tokens = torch.randn(2, 5, 32)
    assert torch.equal(block(tokens)[0], tokens)


@pytest.mark.parametrize("tag", ["deit_small_patch16_224", "vit_small_patch16_224"])
def test_tokens_agree_with_timm_after_every_block(tag):
    import timm

    from vitseg_lib.model import weights

    theirs = timm.create_model(tag, pretrained=False, img_size=64, depth=12).eval()
    for parameter in theirs.parameters():
        nn.init.normal_(parameter, std=0.05)
    ours = Encoder(
        embed_dim=384, depth=12, num_heads=6, patch_size=16, image_size=64, out_indices=(2, 5, 8, 11), final_norm=True
    ).eval()
    left_over = weights.load_timm(ours, theirs.state_dict())
    assert sorted(left_over) == ["head.bias", "head.weight"]
    pixels = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        tokens = theirs._pos_embed(theirs.patch_embed(pixels))
        stages = ours(pixels)
        for index, block in enumerate(theirs.blocks):
            tokens = block(theirs.norm_pre(tokens) if index == 0 else tokens)
            expected = theirs.norm(tokens) if index == 11 else tokens
            assert (stages["tokens"][index] - expected).abs().max() < 1e-5 * expected.abs().max()


def test_out_indices_norm_and_attention():
    encoder = small_encoder(out_indices=(1, 1, 3), final_norm=True)
    pixels = torch.randn(2, 3, 32, 40)
    stages = encoder(pixels, return_attention=True)
    assert [tuple(m.shape) for m in stages["encoder"]] == [(2, 32, 4, 5)] * 3
    assert [tuple(a.shape) for a in stages["attention"]] == [(2, 2, 21, 21)] * 4
    assert "attention" not in encoder(pixels)
    assert torch.equal(stages["encoder"][2], encoder(pixels)["encoder"][2])
    last = stages["encoder"][2].permute(0, 2, 3, 1)
    assert torch.allclose(last.mean(-1), torch.zeros(2, 4, 5), atol=1e-5)  # normalised
    assert not torch.allclose(stages["encoder"][0].mean(1), torch.zeros(2, 4, 5), atol=1e-3)  # not normalised
    with pytest.raises(ValueError, match="reach outside layers 0 to 3"):
        small_encoder(out_indices=(2, 4))


def test_neck_scales_by_factor_and_survives_a_single_patch():
    neck = MultiLevelNeck(embed_dim=4)
    shapes = [tuple(m.shape[-2:]) for m in neck([torch.randn(1, 4, 32, 43)] * 4)]
    assert shapes == [(128, 172), (64, 86), (32, 43), (16, 21)]
    assert [tuple(m.shape[-2:]) for m in neck([torch.randn(1, 4, 1, 7)] * 4)][-1] == (1, 3)
    assert [tuple(m.shape[-2:]) for m in neck([torch.randn(1, 4, 1, 1)] * 4)][-1] == (1, 1)


def test_by_factor_and_by_size_are_not_the_same_at_odd_widths():
    x = torch.randn(1, 1, 4, 43)
    branch = MultiLevelNeck(embed_dim=1).branches[3]
    ours = branch(x)
    by_size = branch.conv(F.interpolate(branch.lateral_conv(x), size=(2, 21), mode="bilinear"))
    by_factor = branch.conv(F.interpolate(branch.lateral_conv(x), scale_factor=0.5, mode="bilinear"))
    assert torch.equal(ours, by_factor)
    assert (ours - by_size).abs().max() > 1e-3


@pytest.mark.parametrize("size", [(32, 32), (16, 21), (7, 5), (1, 3), (1, 1)])
@pytest.mark.parametrize("bins", [1, 2, 3, 6])
def test_pooling_agrees_with_torch(size, bins):
    x = torch.randn(2, 3, *size)
    assert torch.allclose(adaptive_avg_pool(x, bins), F.adaptive_avg_pool2d(x, bins), atol=1e-5)


def test_top_down_adds_the_summed_level():
    maps = [torch.full((1, 1, side, side), float(value)) for side, value in ((8, 1), (4, 10), (2, 100), (1, 1000))]
    assert [level.unique().tolist() for level in top_down(maps)] == [[1111], [1110], [1100], [1000]]
    assert maps[0].unique().tolist() == [1]  # its argument stays what it was


def test_the_head_fuses_the_sums_of_all_levels():
    """With identities for convolutions, the four channels before the classifier are the four sums."""
    head = UPerHead(in_channels=1, channels=1, num_classes=1).eval()
    head.ppm = nn.Identity()
    head.lateral_convs = nn.ModuleList(nn.Identity() for _ in range(3))
    head.fpn_convs = nn.ModuleList(nn.Identity() for _ in range(3))
    head.fpn_bottleneck = head.dropout = head.conv_seg = nn.Identity()
    maps = [torch.full((1, 1, side, side), float(value)) for side, value in ((8, 1), (4, 10), (2, 100), (1, 1000))]
    assert head(maps)[0, :, 0, 0].tolist() == [1111, 1110, 1100, 1000]


def test_padding_reaches_the_logits_like_zeros_by_hand():
    encoder = small_encoder()
    pixels = torch.randn(1, 3, 30, 27)
    by_hand = F.pad(pixels, (0, 5, 0, 2))
    for ours, theirs in zip(encoder(pixels)["encoder"], encoder(by_hand)["encoder"], strict=True):
        assert torch.equal(ours, theirs)
