"""Counts of memory, against sizes worked out by hand; the most similar patches, against a scene made for it."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from looking import pixels_of
from matplotlib.colors import to_rgb
from torch.nn.attention import SDPBackend, sdpa_kernel

from vitseg_lib.course.figures.ch04_attention import (
    ARROWS,
    BOXES,
    attention_maps,
    data_flow,
    kept_for_backward,
    largest_allocation,
    milliseconds,
    power_of_ten,
    twins,
)
from vitseg_lib.course.figures.picture import INK
from vitseg_lib.model.attention import SelfAttention
from vitseg_lib.model.fast import fast
from vitseg_lib.recipes import build_model, get

FLOAT = 4  # bytes


A, B = torch.randn(30), torch.randn(20)
LARGE = torch.randn(30, 20)
LEARNT = torch.randn(50, requires_grad=True)


def maths_backend(queries, keys, values):
    with sdpa_kernel(SDPBackend.MATH):
        return F.scaled_dot_product_attention(queries, keys, values)


@pytest.mark.parametrize(
    ("compute", "floats"),
    [
        (lambda: (A[:, None] * B).sum() + A.sum(), 600),
        (lambda: (LARGE.sum(), A * 2), 30),  # a tensor that was there before is not counted
        (lambda: LARGE.T[:2].exp(), 60),  # nor is a view of one
        (lambda: None, 0),
    ],
    ids=["outer product", "there before", "view", "nothing"],
)
def test_the_largest_piece_of_memory_that_is_asked_for(compute, floats):
    assert largest_allocation(compute) == floats * FLOAT


def test_the_measurement_sees_inside_a_call_and_can_tell_a_kernel_that_makes_the_weights():
    arguments = torch.randn(3, 1, 2, 300, 64)
    result, weights = 2 * 300 * 64 * FLOAT, 2 * 300 * 300 * FLOAT
    assert largest_allocation(maths_backend, *arguments) >= weights
    assert result <= largest_allocation(F.scaled_dot_product_attention, *arguments) < weights


def test_the_measurement_gives_the_threads_back_and_lets_errors_through():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(IndexError):
            largest_allocation(F.softmax, torch.randn(3), 5)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("around", [torch.enable_grad, torch.no_grad])
@pytest.mark.parametrize(
    ("compute", "floats"),
    [
        (lambda: None, 0),
        (lambda: A.exp(), 0),  # nothing is kept where nothing learns
        (lambda: LEARNT.exp(), 50),  # its result
        (lambda: LEARNT**2, 50),  # its argument
        (lambda: LEARNT.exp() ** 2, 50),  # one memory that two operations keep counts once
    ],
    ids=["nothing", "no gradient", "exponential", "square", "both"],
)
def test_the_bytes_that_are_kept_for_the_backward(compute, floats, around):
    with around():
        assert kept_for_backward(compute) == floats * FLOAT


@pytest.mark.parametrize("heads", [1, 2])
def test_only_the_plain_attention_makes_and_keeps_a_weight_for_each_pair_of_tokens(heads):
    attention, tokens = SelfAttention(embed_dim=16, num_heads=heads), torch.randn(1, 200, 16)
    quick = fast(attention)
    assert largest_allocation(attention, tokens) == heads * 200 * 200 * FLOAT
    assert largest_allocation(quick, tokens) < heads * 200 * 200 * FLOAT
    extra = kept_for_backward(lambda: attention(tokens)) - kept_for_backward(lambda: quick(tokens))
    weights = heads * 200 * 200 * FLOAT
    assert 0.8 * weights < extra < 1.1 * weights


@pytest.mark.parametrize(
    ("difference", "words"),
    [(0, "below 1e-06"), (3e-9, "below 1e-06"), (5e-7, "below 1e-05"), (2e-6, "below 1e-05"), (0.02, "below 1e-01")],
)
def test_a_difference_as_a_power_of_ten(difference, words):
    assert power_of_ten(torch.tensor([1.0, difference]).double(), torch.tensor([1.0, 0.0]).double()) == words


def test_the_fastest_run_counts(monkeypatch):
    clock, ran = iter([0.0, 3.0, 10.0, 10.5, 20.0, 25.0]), []
    for name in ("process_time", "perf_counter"):  # which of them it takes depends on the system
        monkeypatch.setattr(f"vitseg_lib.course.figures.ch04_attention.{name}", lambda: next(clock))
    assert milliseconds(lambda: ran.append(1)) == 500
    assert len(ran) == 3


def scene(*patches: tuple[int, int], size: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """A scene of two by two patches, each (class, grey level)."""
    kinds, greys = (np.array(values).reshape(2, 2) for values in zip(*patches, strict=True))
    image = np.kron(greys, np.ones((size, size)))[..., None].repeat(3, axis=-1).astype(np.uint8)
    return image, np.kron(kinds, np.ones((size, size))).astype(np.uint8)


def test_twins_are_the_most_similar_patches_of_two_classes_in_one_scene():
    far = scene((0, 10), (1, 200), (2, 100), (0, 30))
    near = scene((2, 117), (0, 90), (1, 97), (0, 120))
    found = twins([far, near], 0, 1, side=8, patch=4)
    assert found.numbers == (1, 2) and found.difference == 7
    assert [int(patch.mean()) for patch in found.patches] == [90, 97]
    assert np.array_equal(found.image, near[0]) and np.array_equal(found.labels, near[1])
    assert twins([far, near], 1, 0, side=8, patch=4).numbers == (2, 1)


def test_twins_are_all_of_their_class():
    image, labels = scene((0, 10), (1, 12), (1, 200), (0, 60))
    labels[0, 7] = 2  # a single pixel of the patch that looks most like class 0
    assert twins([(image, labels)], 0, 1, side=8, patch=4).numbers == (3, 2)


def test_only_the_upper_left_is_looked_at():
    image, labels = scene((0, 10), (1, 50), (0, 0), (1, 0))
    assert twins([(image, labels)], 0, 1, side=8, patch=4).difference == 0
    assert twins([(image[:4], labels[:4])], 0, 1, side=8, patch=4).difference == 40


def test_both_patches_are_outlined_where_they_are():
    found = twins([scene((0, 10), (1, 200), (2, 100), (0, 30))], 0, 1, side=8, patch=4)
    picture = found.in_place()
    assert "row 1, column 1 and row 0, column 1" in picture.alt
    drawn = pixels_of(picture)[..., :3].astype(int)
    middle = len(drawn) // 2
    dark = (abs(drawn - np.array(to_rgb(INK)) * 255) < 8).all(axis=-1)
    assert dark[:, middle + 20 :].sum() > 20 * max(1, dark[:, : middle - 20].sum())


def test_the_drawing_has_an_arrow_for_every_use_and_for_nothing_else():
    made_of = {end: {start for start, other in ARROWS if other == end} for _, end in ARROWS}
    assert made_of == {
        "qkv": {"tokens"},
        "queries": {"qkv"},
        "keys": {"qkv"},
        "values": {"qkv"},
        "scores": {"queries", "keys"},
        "weights": {"scores"},
        "mixed": {"weights", "values"},
        "joined": {"mixed"},
        "new tokens": {"joined"},
    }
    assert set(made_of) | {"tokens"} == set(BOXES)
    assert all(f"{start} → {end}" in data_flow().alt for start, end in ARROWS)


@pytest.mark.parametrize(("start", "end"), ARROWS)
def test_every_arrow_of_the_drawing_can_be_seen(monkeypatch, start, end):
    whole = pixels_of(data_flow())
    monkeypatch.setattr(
        "vitseg_lib.course.figures.ch04_attention.ARROWS", [arrow for arrow in ARROWS if arrow != (start, end)]
    )
    assert (whole != pixels_of(data_flow())).any()


def test_the_maps_of_all_scenes_are_rows_among_patches_beside_whether_classes_agree():
    torch.manual_seed(0)
    recipe = get("toy")
    model = build_model(recipe, num_classes=3).eval()
    image = np.random.default_rng(0).integers(0, 256, (140, 128, 3), dtype=np.uint8)
    labels = np.zeros((140, 128), dtype=np.uint8)
    labels[:, 64:], labels[:8, :8] = 1, 255
    maps, same = attention_maps(model, [(image, labels)] * 2, recipe, layer=1)
    assert maps.shape == (2, 3, 256, 256) and same.shape == (2, 256, 256)
    torch.testing.assert_close(maps.sum(dim=-1), torch.ones(2, 3, 256))
    assert same[0, 1, 2] == 1 and same[0, 1, 15] == 0  # of one class, of two
    assert not same[0, 0].any() and not same[0, :, 0].any()  # an ignored patch is of no class
    assert same[0].sum() == 127**2 + 128**2
