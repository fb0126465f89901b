"""The mistakes that the exercises of chapter 06 know by name: what each does, as code, and the sentence for it."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from vitseg_lib.course.exercises.base import mistakes

# A convolution that is a matrix: (maps, weight, bias)


def _conv(maps: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return F.conv2d(maps, weight, bias)


MIX_CHANNELS = mistakes(
    {
        "The bias is missing: each new channel gets its own value added.": lambda m, w, b: _conv(m, w, None),
        "The matrix is transposed: the first axis of the weight is the new channel, the second the old one.": (
            lambda m, w, b: _conv(m, w.transpose(0, 1), b)
        ),
        "It mixes columns, not channels: a linear layer works on the last axis, so the channels must be moved there.": (
            lambda m, w, b: F.linear(m, w[:, :, 0, 0], b)
        ),
        "The channels were left at the end: the values are right, but the result should be (B, D, h, w).": (
            lambda m, w, b: _conv(m, w, b).movedim(1, -1)
        ),
        "Axes were merged by `reshape` where they had to be swapped: the values are right and lie elsewhere.": (
            lambda m, w, b: _conv(m, w, b).movedim(1, -1).reshape(len(m), len(w), *m.shape[-2:])
        ),
        "The bias was added along the columns: give it two axes of length 1, so that it meets the channels.": (
            lambda m, w, b: _conv(m, w, None) + b
        ),
        "There is an activation: negative values became 0, but the neck has none.": (
            lambda m, w, b: _conv(m, w, b).relu()
        ),
        "It averages over the channels where it should sum: the products are too small by the number of channels.": (
            lambda m, w, b: _conv(m, w, None) / m.shape[1] + b[:, None, None]
        ),
    }
)


# Sizes of a pyramid: (grid, factors)


def _sizes(rounding, least=1):
    """The right answer with another rounding, or another least side."""
    return lambda grid, factors: [tuple(max(least, rounding(side * f)) for side in grid) for f in factors]


LEVEL_SIZES = mistakes(
    {
        "A half is rounded up: PyTorch rounds down, so that half of 21 is 10.": _sizes(math.ceil),
        "Python's `round` goes to the nearest even number: half of 21 became 10, but half of 23 became 12.": (
            _sizes(round)
        ),
        "Half of one row became none: a map has at least one row and one column.": _sizes(int, least=0),
        "Rows and columns are swapped: a size is (h, w), the rows first.": (
            lambda grid, factors: _sizes(int)(grid[::-1], factors)
        ),
        "The factor was divided by: factor 4 makes a map larger, not smaller.": (
            lambda grid, factors: _sizes(int)(grid, [1 / f for f in factors])
        ),
        "The levels stand in another order than the factors: one size for each factor, in their order.": (
            lambda grid, factors: _sizes(int)(grid, factors)[::-1]
        ),
        "At least two is too much: a level may have one row, and here it was given two.": _sizes(int, least=2),
    }
)


# Where does it read?: (old, factor)


def _sampled(by_factor, by_size):
    """An answer from two rules (i, old, new, factor) → position."""

    def answer(old: int, factor: float) -> list[Tensor]:
        new = int(old * factor)
        i = torch.arange(new, dtype=torch.float64)
        return [by_factor(i, old, new, factor), by_size(i, old, new, factor)]

    return answer


def _by_factor(i, old, new, factor):
    return (i + 0.5) / factor - 0.5


def _by_size(i, old, new, factor):
    return (i + 0.5) * old / new - 0.5


SOURCE_POSITIONS = mistakes(
    {
        "Both rows are those by factor: given the size, PyTorch does not know the factor, and steps by old / new.": (
            _sampled(_by_factor, _by_factor)
        ),
        "Both rows are those by size: given the factor, PyTorch steps by 1 / factor, whatever the sizes.": (
            _sampled(_by_size, _by_size)
        ),
        "The two rows are swapped: by factor comes first.": _sampled(_by_size, _by_factor),
        "The half-pixel centres are missing: pixel i samples at i steps, as if values belonged to corners.": (
            _sampled(lambda i, o, n, f: i / f, lambda i, o, n, f: i * o / n)
        ),
        "The last ½ is missing: these are distances from the edge; old pixel 0 has its centre half a pixel from it.": (
            _sampled(lambda i, o, n, f: (i + 0.5) / f, lambda i, o, n, f: (i + 0.5) * o / n)
        ),
        "The first and last centres are aligned with the first and last: that is `align_corners=True`.": (
            _sampled(_by_factor, lambda i, o, n, f: i * (o - 1) / (n - 1))
        ),
        "The factor is the wrong way round: with factor ½ a new step is two old pixels long.": (
            _sampled(lambda i, o, n, f: (i + 0.5) * f - 0.5, lambda i, o, n, f: (i + 0.5) * n / o - 0.5)
        ),
        "Positions before the first were clipped to it: the task is to leave them negative.": (
            _sampled(lambda *a: _by_factor(*a).clamp(min=0), lambda *a: _by_size(*a).clamp(min=0))
        ),
    }
)
