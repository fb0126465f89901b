"""The exercises of chapter 03: patches, put back together; a kernel from elsewhere; whose pixels; the resize."""

import math
from collections.abc import Iterator

import torch
from einops import rearrange
from torch import Tensor

from vitseg_lib.course import solution
from vitseg_lib.course.exercises.base import Case, Exercise, module_call, randint
from vitseg_lib.course.exercises.patches_mistakes import CONVOLUTION_WEIGHT, PIXELS_OF_TOKEN, PUT_BACK, RESIZE_POSITION

Grid = tuple[int, int]


def put_together(patches: Tensor, grid: Grid, p: int) -> Tensor:
    """(B, N, 3·p·p) → (B, 3, h·p, w·p)."""
    h, w = grid
    return rearrange(patches, "b (h w) (c p q) -> b c (h p) (w q)", h=h, w=w, p=p, q=p)


def _patches(generator: torch.Generator) -> Iterator[Case]:
    h, p = randint(generator, 2, 5), randint(generator, 2, 4)
    w = randint(generator, 2, 6, exclude=(h,))
    yield torch.randn(randint(generator, 2, 3), h * w, 3 * p * p, generator=generator), (h, w), p


put_back = Exercise(
    title="Put it back together",
    minutes=4,
    difficulty=1,
    reference=put_together,
    cases=_patches,
    axes=("image", "channel", "row", "column"),
    hints=(
        "It is the cut read from right to left: what was in brackets after the arrow now comes before it.",
        "`rearrange` cannot guess how N falls into rows and columns: give it h, w and p by name.",
        'Before the arrow: `"b (h w) (c p q)"`. After it, each side is a bracket of two letters, the patch first.',
    ),
    mistakes=PUT_BACK,
)


def to_convolution(kernel: Tensor) -> Tensor:
    """(p, p, 3, C) → (C, 3, p, p)."""
    return rearrange(kernel, "row column channel width -> width channel row column")


def _kernels(generator: torch.Generator) -> Iterator[Case]:
    p = randint(generator, 2, 5, exclude=(3,))
    yield (torch.randn(p, p, 3, randint(generator, 6, 9), generator=generator),)


convolution_weight = Exercise(
    title="A kernel from elsewhere",
    minutes=4,
    difficulty=1,
    reference=to_convolution,
    cases=_kernels,
    axes=("output channel", "input channel", "row", "column"),
    hints=(
        "Nothing is computed: four axes are reordered. Name them, then write the names in the new order.",
        "Two of the axes have the same length. Which of them is the row? Whoever swaps them gets no error.",
    ),
    mistakes=CONVOLUTION_WEIGHT,
)


def pixels_of(number: int, size: Grid, p: int) -> tuple[int, int, int, int]:
    """Token number, counted from the class token's 0, → (top, left, bottom, right), the last two excluded."""
    height, width = size
    row, column = divmod(number - 1, math.ceil(width / p))
    top, left = row * p, column * p
    return top, left, min(top + p, height), min(left + p, width)


def _tokens(generator: torch.Generator) -> Iterator[Case]:
    p = randint(generator, 5, 9)
    height = p * randint(generator, 3, 4) + randint(generator, 1, p - 1)
    width = p * randint(generator, 6, 9) + randint(generator, 1, p - 1)
    h, w = math.ceil(height / p), math.ceil(width / p)
    for number in (1, w, w + 1, randint(generator, w + 2, h * w - w), h * w):
        yield number, (height, width), p


pixels_of_token = Exercise(
    title="Whose pixels are these?",
    minutes=5,
    difficulty=2,
    reference=pixels_of,
    cases=_tokens,
    axes=("entry",),
    hints=(
        "Token 0 has no pixels. So the first patch is token 1: count from there.",
        "How many patches are in a row? The last one may be cut short, and counts. `divmod` gives row and column.",
        "The patch may reach beyond the image, into the padding; its pixels do not.",
    ),
    mistakes=PIXELS_OF_TOKEN,
)


def _embeddings(generator: torch.Generator) -> Iterator[Case]:
    for low, high in ((2, 4), (6, 9)):  # once a smaller grid, once a larger one
        old = randint(generator, 4, 5), randint(generator, 6, 7)
        new = randint(generator, low, high, exclude=old), randint(generator, low + 1, high + 2, exclude=old)
        yield torch.randn(1, 1 + old[0] * old[1], 5, generator=generator), old, new


resize_position = Exercise(
    title="Another grid",
    minutes=8,
    difficulty=3,
    reference=solution.resize_pos_embed,
    part="resize_pos_embed",
    cases=_embeddings,
    axes=("batch", "row of the embedding", "channel"),
    hints=(
        "Take the class row off, resize the rest, put the class row back in front.",
        "`F.interpolate` wants (B, C, h, w), so the rows must become a map first, and rows again after it.",
        'The options are `size=new, mode="bicubic", align_corners=False`, and no antialias.',
    ),
    mistakes=RESIZE_POSITION,
)


# The patch embedding


def _images(generator: torch.Generator) -> Iterator[Case]:
    """Sides that are multiples of the patch, and sides that are not; a square, too."""
    p = randint(generator, 3, 5)
    h, w = randint(generator, 2, 3), randint(generator, 4, 6)
    for height, width in ((h * p, w * p), (h * p + 1, w * p + p - 1), (h * p, h * p)):
        sizes = {"embed_dim": randint(generator, 6, 9), "patch_size": p}
        yield sizes, [torch.randn(2, 3, height, width, generator=generator)]


patch_embedding = Exercise(
    title="The patch embedding",
    minutes=10,
    difficulty=2,
    reference=solution.PatchEmbedding,
    cases=_images,
    call=module_call(solution.PatchEmbedding),
    hints=(
        "A patch embedding is a convolution whose stride is its size: `nn.Conv2d`, called `proj`.",
        "Pad right and bottom first: `F.pad(pixels, (0, -width % p, 0, -height % p))`.",
        "The convolution gives (B, C, h, w); `rearrange` makes (B, h·w, C) of it. Return the grid (h, w) beside it.",
    ),
    part="PatchEmbedding",
)
