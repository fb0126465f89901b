"""The mistakes that the exercises of chapter 07 know by name: what each does, as code, and the sentence for it."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from vitseg_lib.course.exercises.base import mistakes

Window = Callable[[int, int, int], tuple[int, int]]  # (i, side, bins) → first pixel, one past the last


# Adaptive average pooling: x (B, C, h, w), bins


def exact(i: int, side: int, bins: int) -> tuple[int, int]:
    """The window as it should be: from the floor to the ceiling."""
    return i * side // bins, -(-(i + 1) * side // bins)


def pooled_but(
    *,
    window: Window = exact,
    reduced: Callable = lambda x: x.mean(dim=(2, 3)),
    sides: tuple[int, int] = (2, 3),
) -> Callable:
    """Adaptive pooling with a thing changed: the window, what is made of it, or the sides that windows are cut from."""

    def wrong(x: Tensor, bins: int) -> Tensor:
        result = x.new_zeros(*x.shape[:2], bins, bins)
        for i in range(bins):
            for j in range(bins):
                rows, columns = (slice(*window(n, x.shape[axis], bins)) for n, axis in zip((i, j), sides, strict=True))
                result[:, :, i, j] = reduced(x[:, :, rows, columns])
        return result

    return wrong


def over_one_area(x: Tensor, bins: int) -> Tensor:
    """Sums, all divided by one area: that of a window of ⌈h/bins⌉ × ⌈w/bins⌉."""
    h, w = x.shape[-2:]
    return pooled_but(reduced=lambda x: x.sum(dim=(2, 3)))(x, bins) / (-(-h // bins) * -(-w // bins))


POOL = mistakes(
    {
        "your windows do not overlap: both ends are rounded down. Round the end of a window up": pooled_but(
            window=lambda i, side, bins: (i * side // bins, (i + 1) * side // bins)
        ),
        "all your windows have the length side // bins, and the last pixels are in none: multiply before you divide": (
            pooled_but(window=lambda i, side, bins: (i * (side // bins), (i + 1) * (side // bins)))
        ),
        "the end is the floor plus one; where the division is exact that is a pixel too far: take the ceiling": (
            pooled_but(window=lambda i, side, bins: (i * side // bins, (i + 1) * side // bins + 1))
        ),
        "the start of a window is rounded up, so that neighbours do not share the pixel between them; round it down": (
            pooled_but(window=lambda i, side, bins: (-(-i * side // bins), -(-(i + 1) * side // bins)))
        ),
        "you add the pixels of a window up; divide by how many there are": (
            pooled_but(reduced=lambda x: x.sum(dim=(2, 3)))
        ),
        "every window is divided by the same area, but they are not all of one size": over_one_area,
        "you take the largest pixel of each window: that is max pooling; here it is the mean": (
            pooled_but(reduced=lambda x: x.amax(dim=(2, 3)))
        ),
        "the values are right but rows and columns are swapped: the first index of a bin goes along h": (
            lambda x, bins: pooled_but()(x, bins).transpose(2, 3)
        ),
        "the columns' windows are cut from h: the width has windows of its own": pooled_but(sides=(2, 2)),
        "you resize the map, which looks at a few pixels and leaves the others out; average whole windows": (
            lambda x, bins: F.interpolate(x, size=(bins, bins), mode="bilinear", align_corners=False)
        ),
    }
)


# The top-down path: levels, a list of (B, C, h, w), finest first


def upsampled(x: Tensor, like: Tensor, **how) -> Tensor:
    """Resize to another map's sides, bilinear by default."""
    return F.interpolate(x, size=like.shape[-2:], **({"mode": "bilinear", "align_corners": False} | how))


def down_the_path(
    levels: list[Tensor], steps: list[int] | None = None, join: Callable = torch.add, **how
) -> list[Tensor]:
    """The top-down path with a thing changed: which steps, how two maps are joined, how one is resized."""
    levels = list(levels)
    for i in steps or range(len(levels) - 1, 0, -1):
        levels[i - 1] = join(levels[i - 1], upsampled(levels[i], levels[i - 1], **how))
    return levels


def upwards(levels: list[Tensor]) -> list[Tensor]:
    """Each level adds the finer one below it."""
    levels = list(levels)
    for i in range(1, len(levels)):
        levels[i] = levels[i] + upsampled(levels[i - 1], levels[i])
    return levels


def straight(levels: list[Tensor]) -> list[Tensor]:
    """Each level adds all coarser ones, each resized at once to its size."""
    return [a + sum((upsampled(b, a) for b in levels[i + 1 :]), torch.zeros_like(a)) for i, a in enumerate(levels)]


TOP_DOWN = mistakes(
    {
        "each level gets its coarser neighbour as it came in, not as a sum, so the coarsest map reaches one level; go "
        "from the top down and use the sums": lambda levels: down_the_path(levels, steps=list(range(1, len(levels)))),
        "you go upwards: each level adds the finer one below it. The path starts at the coarsest map": upwards,
        "the finest level, number 0, stays as it came in: one step is missing at the end of the loop": (
            lambda levels: down_the_path(levels, steps=list(range(len(levels) - 1, 1, -1)))
        ),
        "the coarsest level is never added to anything: the loop starts one step too late": (
            lambda levels: down_the_path(levels, steps=list(range(len(levels) - 2, 0, -1)))
        ),
        "you replace a level by the resized one above it and lose its own: add the two": (
            lambda levels: down_the_path(levels, join=lambda own, above: above)
        ),
        "you average the two maps; the path adds them": (
            lambda levels: down_the_path(levels, join=lambda own, above: (own + above) / 2)
        ),
        "the maps are resized by the nearest pixel: a block for each; use `bilinear`": (
            lambda levels: down_the_path(levels, mode="nearest", align_corners=None)
        ),
        "`align_corners` is True, which stretches the map to its outermost pixels' centres; it is False throughout": (
            lambda levels: down_the_path(levels, align_corners=True)
        ),
        "each level gets the coarsest map only; those between are left out": (
            lambda levels: [*(x + upsampled(levels[-1], x) for x in levels[:-1]), levels[-1]]
        ),
        "you resize every coarser level straight to the size at hand; go step by step, sum by sum": straight,
    }
)


# BatchNorm folded into a convolution: weight (out, in, k, k), and (out,) each: gain, shift, mean, variance; eps


def folded_but(
    *,
    scale: Callable = lambda gain, variance, eps: gain / (variance + eps) ** 0.5,
    bias: Callable = lambda scale, gain, shift, mean: shift - mean * scale,
    weight: Callable = lambda weight, scale: weight * scale[:, None, None, None],
) -> Callable:
    """A fold with a thing changed: the factor of a channel, the bias, or the weight."""

    def wrong(kernel: Tensor, gain: Tensor, shift: Tensor, mean: Tensor, variance: Tensor, eps: float) -> tuple:
        factor = scale(gain, variance, eps)
        return weight(kernel, factor), bias(factor, gain, shift, mean)

    return wrong


FOLD = mistakes(
    {
        "the eps is left out: it belongs beside the variance, under the root": (
            folded_but(scale=lambda gain, variance, eps: gain / variance**0.5)
        ),
        "the eps is added to the root; it belongs under it": (
            folded_but(scale=lambda gain, variance, eps: gain / (variance**0.5 + eps))
        ),
        "you divide by the variance; divide by its root, the standard deviation": (
            folded_but(scale=lambda gain, variance, eps: gain / (variance + eps))
        ),
        "you multiply by the standard deviation where BatchNorm divides by it": (
            folded_but(scale=lambda gain, variance, eps: gain * (variance + eps) ** 0.5)
        ),
        "the gain is left out: BatchNorm's own weight multiplies the channel": (
            folded_but(scale=lambda gain, variance, eps: (variance + eps) ** -0.5)
        ),
        "the bias is the shift alone: the mean that BatchNorm subtracts is forgotten": (
            folded_but(bias=lambda scale, gain, shift, mean: shift)
        ),
        "the mean is subtracted as it is: BatchNorm subtracts it first and multiplies then, so it is scaled too": (
            folded_but(bias=lambda scale, gain, shift, mean: shift - mean)
        ),
        "the mean is added where BatchNorm subtracts it": folded_but(
            bias=lambda scale, gain, shift, mean: shift + mean * scale
        ),
        "the shift is scaled as well: it is added at the end, and stays as it is": (
            folded_but(bias=lambda scale, gain, shift, mean: (shift - mean) * scale)
        ),
        "the bias is right but the weight is as it was: each output channel's kernel is scaled": (
            folded_but(weight=lambda weight, scale: weight)
        ),
    }
)
