"""Counts of memory, against sizes worked out by hand; the most similar patches, against a scene made for it."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from looking import pixels_of
from matplotlib.colors import to_rgb

from vitseg_lib.course.figures.ch04_attention import kept_for_backward, largest_tensor, milliseconds, twins
from vitseg_lib.course.figures.picture import INK
from vitseg_lib.model.attention import SelfAttention
from vitseg_lib.model.fast import fast

FLOAT = 4  # bytes


A, B = torch.randn(30), torch.randn(20)
LARGE = torch.randn(30, 20)
LEARNT = torch.randn(50, requires_grad=True)


@pytest.mark.parametrize(
    ("compute", "shape"),
    [
        (lambda: (A[:, None] * B).sum() + A.sum(), (30, 20)),
        (lambda: (LARGE.sum(), A * 2), (30,)),  # a tensor that was there before is not counted
        (lambda: LARGE.T.reshape(20, 30)[:, :2].exp(), (20, 2)),  # nor is a view of one
        (lambda: LARGE.sort(dim=1), (30, 20)),  # an operation that returns several tensors
        (lambda: None, (0,)),
    ],
    ids=["outer product", "there before", "view", "several", "nothing"],
)
def test_the_largest_tensor_that_is_made(compute, shape):
    assert largest_tensor(compute) == shape


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
    assert largest_tensor(lambda: attention(tokens)) == (1, heads, 200, 200)
    assert math.prod(largest_tensor(lambda: quick(tokens))) == 200 * 3 * 16
    extra = kept_for_backward(lambda: attention(tokens)) - kept_for_backward(lambda: quick(tokens))
    weights = heads * 200 * 200 * FLOAT
    assert 0.8 * weights < extra < 1.1 * weights


def test_an_error_passes_through():
    with pytest.raises(IndexError):
        largest_tensor(lambda: F.softmax(torch.randn(3), dim=5))


def test_the_fastest_run_counts(monkeypatch):
    clock, ran = iter([0.0, 3.0, 10.0, 10.5, 20.0, 25.0]), []
    monkeypatch.setattr("vitseg_lib.course.figures.ch04_attention.perf_counter", lambda: next(clock))
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
