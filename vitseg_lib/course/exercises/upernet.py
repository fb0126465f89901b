"""The exercises of chapter 07: adaptive average pooling, the top-down path, BatchNorm folded into a convolution."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from vitseg_lib.course import solution
from vitseg_lib.course.exercises import upernet_mistakes as mistakes
from vitseg_lib.course.exercises.base import Case, Exercise, module_call, randint

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
    reference=solution.top_down,
    part="top_down",
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


# The modules


def _map(generator: torch.Generator, width: int, side: int = 5) -> Tensor:
    return torch.randn(2, width, side, side + 2, generator=generator)


def _conv_block_cases(generator: torch.Generator) -> Iterator[Case]:
    for kernel_size in (1, 3):
        yield {"in_channels": 4, "out_channels": 6, "kernel_size": kernel_size}, [_map(generator, 4)]


def _pooling_cases(generator: torch.Generator) -> Iterator[Case]:
    yield {"in_channels": 4, "channels": 5}, [_map(generator, 4, 7)]


def _uper_cases(generator: torch.Generator) -> Iterator[Case]:
    sizes = {"in_channels": 4, "channels": 5, "num_classes": 3}
    yield sizes, [[_map(generator, 4, side) for side in (9, 7, 5, 3)]]
    yield sizes, [[_map(generator, 4, 5) for _ in range(4)]]


def _fcn_cases(generator: torch.Generator) -> Iterator[Case]:
    yield {"in_channels": 4, "channels": 5, "num_classes": 3}, [_map(generator, 4)]


def _segmenter_cases(generator: torch.Generator) -> Iterator[Case]:
    sizes = {"embed_dim": 8, "depth": 2, "num_heads": 2, "patch_size": 4, "image_size": 16, "out_indices": (0, 0, 1, 1)}
    heads = {"in_channels": 8, "channels": 4, "num_classes": 3}
    for neck in (None, solution.MultiLevelNeck(embed_dim=8)):
        parts = {
            "encoder": solution.Encoder(**sizes),
            "neck": neck,
            "decode_head": solution.UPerHead(**heads),
            "auxiliary_head": solution.FCNHead(**heads),
        }
        yield parts, [torch.randn(2, 3, 16, 20, generator=generator)]


def _with_stages(answer: Callable, case: Case) -> Any:
    """Logits alone, and logits with every stage."""
    parts, (pixels,) = case
    model = answer(**parts).eval()
    logits, stages = model(pixels, return_stages=True)
    return {"alone": model(pixels), "logits": logits, "stages": {name: stages[name] for name in sorted(stages)}}


conv_block = Exercise(
    title="Convolution, BatchNorm, ReLU",
    minutes=4,
    difficulty=1,
    reference=solution.ConvBlock,
    cases=_conv_block_cases,
    call=module_call(solution.ConvBlock),
    hints=("`conv` without bias, `bn`, then ReLU; the padding keeps the size.",),
    part="ConvBlock",
)

pyramid_pooling = Exercise(
    title="Pyramid pooling",
    minutes=10,
    difficulty=2,
    reference=solution.PyramidPooling,
    cases=_pooling_cases,
    call=module_call(solution.PyramidPooling),
    hints=("Pool to 1, 2, 3 and 6 bins; `psp_modules[i]`; resize; all beside x; `bottleneck`.",),
    part="PyramidPooling",
)

uper_head = Exercise(
    title="The UPerNet head",
    minutes=15,
    difficulty=3,
    reference=solution.UPerHead,
    cases=_uper_cases,
    call=module_call(solution.UPerHead),
    hints=("Laterals and `ppm`; top down; `fpn_convs`; resize to the finest; `fpn_bottleneck`; dropout; `conv_seg`.",),
    part="UPerHead",
)

fcn_head = Exercise(
    title="The auxiliary head",
    minutes=4,
    difficulty=1,
    reference=solution.FCNHead,
    cases=_fcn_cases,
    call=module_call(solution.FCNHead),
    hints=("`convs`, a `nn.Sequential` of one 3×3 ConvBlock; dropout; `conv_seg`.",),
    part="FCNHead",
)

segmenter = Exercise(
    title="The segmenter",
    minutes=8,
    difficulty=2,
    reference=solution.Segmenter,
    cases=_segmenter_cases,
    call=_with_stages,
    hints=("Encoder, neck, decode head; the auxiliary head reads the last map of the neck.",),
    part="Segmenter",
)
