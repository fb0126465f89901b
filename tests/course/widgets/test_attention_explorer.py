"""The attention explorer: what it sends is the model's own attention, and what it says of a head is so."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import nn

from vitseg_lib import recipes
from vitseg_lib.course.widgets.attention_data import quantise, queries_and_keys, summarise
from vitseg_lib.course.widgets.attention_explorer import AttentionExplorer
from vitseg_lib.engine.inference import to_pixels

RECIPE = recipes.get("toy")
GRID = (16, 20)
slow = pytest.mark.slow


def small(layers=2, heads=2, tokens=7, width=4):
    """An image of 2 × 3 patches of 4 × 4 pixels, and its random queries and keys."""
    rng = np.random.default_rng(3)
    image = rng.integers(0, 256, (8, 12, 3), dtype=np.uint8)
    return image, *rng.normal(size=(2, layers, heads, tokens, width)).astype(np.float32)


def softmax(queries, keys):
    """Rows of attention in double precision."""
    scores = np.einsum("...nd,...md->...nm", queries.astype(float), keys.astype(float)) / queries.shape[-1] ** 0.5
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def as_sent(queries, keys, kind):
    """The attention of queries and keys that were rounded as they are for the browser."""
    rounded = [
        codes * scales[..., None].astype(float) for codes, scales in (quantise(a, kind) for a in (queries, keys))
    ]
    return softmax(*rounded)


def variation(one, other):
    """Total variation of each row, its 99th percentile."""
    return float(np.quantile(np.abs(one - other).sum(axis=-1) / 2, 0.99))


# ---- What is sent


def test_queries_and_keys_are_those_of_the_model(toy_model, toy_scene, toy_attention):
    double, pixels = deepcopy(toy_model.encoder).double(), to_pixels(toy_model, toy_scene, RECIPE.test_scale).double()
    queries, keys, grid = queries_and_keys(double, pixels)
    with torch.no_grad():
        exact = torch.cat(double(pixels, return_attention=True)["attention"]).numpy()
    assert grid == GRID
    assert np.abs(softmax(queries.numpy(), keys.numpy()) - exact).max() < 1e-12
    assert np.abs(toy_attention - exact).max() < 1e-5  # the model's own rounding, in single precision


def test_sixteen_bits_show_the_trained_model_as_it_is(toy_model, toy_scene, toy_attention):
    queries, keys, _ = queries_and_keys(toy_model.encoder, to_pixels(toy_model, toy_scene, RECIPE.test_scale))
    sixteen, eight = (
        variation(as_sent(queries.numpy(), keys.numpy(), kind), toy_attention) for kind in (np.int16, np.int8)
    )
    print(f"total variation at the 99th percentile, the trained toy model: int16 {sixteen:.5f}, int8 {eight:.4f}")
    assert sixteen < 0.001


@pytest.mark.parametrize("spread", [1, 3, 6])
def test_sixteen_bits_were_chosen_for_sharp_heads(spread):
    """Logits with a standard deviation of up to 6: 16 bits stay far below the required 0.01, 8 bits do not.

    A rounded logit is off by an amount that grows with the logits, and the softmax turns that into a ratio. So 8 bits,
    half the size, would do for soft heads only, and nobody can tell a head's sharpness before it is looked at.
    """
    rng = np.random.default_rng(spread)
    queries, keys = rng.normal(0, spread**0.5, (2, 4, 400, 64)).astype(np.float32)
    exact = softmax(queries, keys)
    sixteen, eight = (variation(as_sent(queries, keys, kind), exact) for kind in (np.int16, np.int8))
    print(f"total variation at the 99th percentile, spread {spread}: int16 {sixteen:.5f}, int8 {eight:.4f}")
    assert sixteen < 0.001
    assert (eight > 0.01) == (spread >= 3)


def test_nothing_overflows_and_zeros_stay_zeros():
    values = np.array([[0.0, 0.0], [1e30, -1e30], [1e-38, 0.0], [-3.0, 1.0]], np.float32)
    codes, scales = quantise(values)
    assert np.abs(codes.astype(int)).max() <= 32767
    assert codes[0].tolist() == [0, 0] and np.isfinite(scales).all()
    assert np.allclose(codes * scales[:, None], values, rtol=1e-4, atol=1e-30)


def test_the_numbers_under_the_heads_by_loops():
    _, queries, keys = small()
    entropy, distance, rollout = summarise(torch.from_numpy(queries), torch.from_numpy(keys), (2, 3), (4.0, 4.0))
    rows = softmax(queries, keys)
    centres = [(4 * row, 4 * column) for row in range(2) for column in range(3)]
    for layer in range(2):
        for head in range(2):
            bits, lengths = [], []
            for query in range(6):
                row = rows[layer, head, 1 + query]
                bits.append(-sum(p * np.log2(p) for p in row))
                apart = [np.hypot(*np.subtract(centres[query], centre)) for centre in centres]
                lengths.append(sum(p * d for p, d in zip(row[1:], apart, strict=True)) / row[1:].sum())
            assert entropy[layer, head] == pytest.approx(np.mean(bits), abs=1e-5)
            assert distance[layer, head] == pytest.approx(np.mean(lengths), abs=1e-4)
    first, second = (0.5 * layer.mean(axis=0) + 0.5 * np.eye(7) for layer in rows)
    assert np.allclose(rollout, second @ first, atol=1e-6)
    assert np.allclose(rollout.sum(axis=1), 1, atol=1e-5)


def test_a_uniform_head_has_all_bits_and_one_that_attends_to_itself_none():
    same, far = torch.zeros(1, 1, 4, 4), 200 * torch.eye(4)[None, None]
    assert summarise(same, same, (2, 2), (1.0, 1.0))[0] == pytest.approx(2)
    entropy, distance, _ = summarise(far, far, (2, 2), (1.0, 1.0))
    assert entropy == pytest.approx(0) and distance == pytest.approx(0)


def test_the_repr_says_the_sizes_only(toy_explorer):
    assert repr(toy_explorer) == "<AttentionExplorer: 6 layers × 3 heads, 16 × 20 patches>"
    bundle = toy_explorer._repr_mimebundle_()
    assert (bundle[0] if isinstance(bundle, tuple) else bundle)["text/plain"] == repr(toy_explorer)
    assert "16 × 20 patches" in toy_explorer.alt and "arrow keys" in toy_explorer.alt


def test_any_size_is_shown_as_the_encoder_pads_it(toy_model, toy_scene):
    cut = np.ascontiguousarray(toy_scene[:101, :150])
    explorer = AttentionExplorer.from_model(toy_model.encoder, cut, RECIPE)
    pixels = to_pixels(toy_model, cut, RECIPE.test_scale)
    rows, columns = (-(-side // 8) for side in pixels.shape[-2:])
    assert (explorer.grid, explorer.image_size) == ([rows, columns], [8 * rows, 8 * columns])
    assert explorer.tokens == 1 + rows * columns
    assert len(explorer.image) == 3 * 64 * rows * columns


def test_tokens_without_a_class_token_and_tensors_are_taken():
    image, queries, keys = small(tokens=6)
    explorer = AttentionExplorer(image, torch.from_numpy(queries), torch.from_numpy(keys), grid=(2, 3), patch=(1, 2))
    assert explorer.query == 5 and "class token" not in explorer.alt


BAD = [
    ({"image": np.zeros((0, 5, 3), np.uint8)}, "image is empty"),
    ({"queries": np.zeros((2, 7, 4), np.float32)}, r"queries has the shape \(2, 7, 4\); give \(layers, heads"),
    ({"queries": np.full((2, 2, 7, 4), np.nan, np.float32)}, "queries has 112 values that are NaN"),
    ({"queries": np.zeros((0, 2, 7, 4), np.float32)}, "queries is empty"),
    ({"queries": None}, "queries is a NoneType"),
    ({"keys": np.zeros((2, 2, 7, 5), np.float32)}, "differ in shape"),
    ({"grid": (3, 3)}, r"grid has 3 × 3 = 9 patches and queries 7 tokens"),
    ({"grid": (0, 3)}, "at least 1"),
    ({"layer": 2}, "layer is 2; give a number from 0 to 1"),
    ({"head": -1}, "head is -1"),
    ({"patch": (2, 0)}, r"patch is \(2, 0\)"),
    ({"view": "both"}, "view is 'both'; give 'heads' or 'layers'"),
]


@pytest.mark.parametrize(("changes", "words"), BAD, ids=[words[:24] for _, words in BAD])
def test_a_bad_argument_gets_one_sentence(changes, words):
    image, queries, keys = small()
    arguments = {"image": image, "queries": queries, "keys": keys, "grid": (2, 3)} | changes
    with pytest.raises(ValueError, match=words) as caught:
        AttentionExplorer(**arguments)
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")


def test_a_model_without_attention_or_in_training_is_refused(toy_model, toy_scene):
    with pytest.raises(ValueError, match="Linear, has no attention to show"):
        AttentionExplorer.from_model(nn.Linear(2, 2), toy_scene, RECIPE)
    with pytest.raises(ValueError, match=r"call model.eval\(\) first"):
        AttentionExplorer.from_model(recipes.build_model(RECIPE, 12), toy_scene, RECIPE)


def size_of(tmp_path, heads):
    rng = np.random.default_rng(0)
    queries, keys = rng.normal(size=(2, 12, heads, 1025, 64)).astype(np.float32)
    image = rng.integers(0, 256, (512, 512, 3), dtype=np.uint8)
    return len(AttentionExplorer(image, queries, keys, grid=(32, 32)).to_html(tmp_path / "x.html").read_text())


@slow
@pytest.mark.parametrize(("heads", "most"), [(6, 30e6), (12, 60e6)])
def test_a_page_of_a_published_model_is_light_enough_to_send(tmp_path, heads, most):
    assert size_of(tmp_path, heads) < most
