"""The exercises of chapter 07: adaptive average pooling, the top-down path, BatchNorm folded into a convolution."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from vitseg_lib.course.exercises import upernet_mistakes as mistakes
from vitseg_lib.course.exercises.base import Case, Exercise, randint

# Adaptive average pooling


def average_windows(x: Tensor, bins: int) -> Tensor:
    """(B, C, h, w) → (B, C, bins, bins): the mean of each of bins × bins windows, which may overlap by a pixel."""
    (B, C), (h, w) = x.shape[:2], x.shape[2:]
    result = torch.empty(B, C, bins, bins)
    for i in range(bins):
        for j in range(bins):
            rows = slice(i * h // bins, -(-(i + 1) * h // bins))
            columns = slice(j * w // bins, -(-(j + 1) * w // bins))
            result[:, :, i, j] = x[:, :, rows, columns].mean(dim=(2, 3))
    return result


def _pool_cases(generator: torch.Generator) -> Iterator[Case]:
    """Sides that leave a remainder, in windows of two sizes; one pair where some divisions are exact."""
    for bins, more in ((3, 1), (4, 2), (6, 3)):
        h = bins * randint(generator, 1, 2) + (bins // 2 if bins == 6 else bins - 1)
        w = h + bins * more
        yield torch.rand(randint(generator, 2, 3), randint(generator, 4, 5), h, w, generator=generator) + 0.5, bins


adaptive_pool = Exercise(
    title="Adaptive average pooling",
    minutes=8,
    difficulty=2,
    reference=average_windows,
    cases=_pool_cases,
    hints=(
        "Window i of a side reaches from ⌊i · side / bins⌋ to ⌈(i + 1) · side / bins⌉, the end not included. Height "
        "and width have windows of their own.",
        "In whole numbers, `a // b` is the floor and `-(-a // b)` the ceiling: multiply by i first, divide then.",
        "Two loops, over i and j: cut rows and columns out of `x[:, :, rows, columns]`, and take the mean over the "
        "last two axes.",
    ),
    mistakes=mistakes.POOL,
    axes=("image", "channel", "row", "column"),
)


# The top-down path


def sum_downwards(levels: list[Tensor]) -> list[Tensor]:
    """Maps (B, C, h, w), finest first → maps of the same shapes, each with all coarser ones added to it."""
    sums = levels[-1:]
    for level in reversed(levels[:-1]):
        above = F.interpolate(sums[0], size=level.shape[-2:], mode="bilinear", align_corners=False)
        sums = [level + above, *sums]
    return sums


def _path_cases(generator: torch.Generator) -> Iterator[Case]:
    """Pyramids of four and of three levels, not square, with sides that do not halve evenly."""
    for count in (4, 3):
        batch, channels, h, w = 2, randint(generator, 3, 4), randint(generator, 2, 3), randint(generator, 4, 5)
        sides = [(h, w)]
        for _ in range(count - 1):
            sides.insert(0, tuple(2 * side + randint(generator, 0, 1) for side in sides[0]))
        yield ([torch.randn(batch, channels, *side, generator=generator) for side in sides],)


top_down = Exercise(
    title="The top-down path",
    minutes=6,
    difficulty=2,
    reference=sum_downwards,
    cases=_path_cases,
    hints=(
        "Begin with the last map of the list, the coarsest. Which map is it added to, and which one comes next?",
        "For i = last, …, 2, 1: resize `levels[i]` to the sides of `levels[i - 1]` and add. When level 1 is added "
        "to level 0 it must hold levels 2 and 3 already.",
        "`F.interpolate(x, size=other.shape[-2:], mode='bilinear', align_corners=False)`, in a loop over "
        "`range(len(levels) - 1, 0, -1)`; return the whole list.",
    ),
    mistakes=mistakes.TOP_DOWN,
    axes=("image", "channel", "row", "column"),
)


# BatchNorm folded into a convolution


def folded(
    weight: Tensor, gain: Tensor, shift: Tensor, mean: Tensor, variance: Tensor, eps: float
) -> tuple[Tensor, Tensor]:
    """Weight (out, in, k, k) and bias (out,) of one convolution that does what convolution and BatchNorm do."""
    scale = gain / torch.sqrt(variance + eps)
    return weight * scale.reshape(-1, 1, 1, 1), shift - mean * scale


def _fold_cases(generator: torch.Generator) -> Iterator[Case]:
    for kernel in (1, 3):
        out, into = randint(generator, 4, 5), randint(generator, 2, 3)
        weight = torch.randn(out, into, kernel, kernel, generator=generator)
        gain, mean = torch.rand(2, out, generator=generator) + 0.5
        shift, variance = torch.randn(out, generator=generator), torch.rand(out, generator=generator) * 3 + 0.3
        yield weight, gain, shift, mean, variance, randint(generator, 1, 3) / 10


fold = Exercise(
    title="A BatchNorm folded into its convolution",
    minutes=8,
    difficulty=2,
    reference=folded,
    cases=_fold_cases,
    hints=(
        "Write out what happens to one output channel: (convolution - mean) / deviation · gain + shift. What "
        "multiplies the convolution, and what is left over?",
        "The factor is gain / √(variance + eps), one number per channel. What no input multiplies is the bias.",
        "`factor.reshape(-1, 1, 1, 1)` multiplies the first axis of the weight, the output channels. The bias is the "
        "shift minus the mean times the factor.",
    ),
    mistakes=mistakes.FOLD,
)
