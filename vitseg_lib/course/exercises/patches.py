"""The exercises of chapter 03: patches put back together, the patch embedding, whose pixels, the resize."""

import math
from collections.abc import Iterator

import torch
from einops import rearrange
from torch import Tensor

from vitseg_lib.course import solution
from vitseg_lib.course.exercises.base import Case, Exercise, module_call, randint
from vitseg_lib.course.exercises.patches_mistakes import PATCH_EMBEDDING, PIXELS_OF_TOKEN, PUT_BACK, RESIZE_POSITION

Grid = tuple[int, int]


def choose(generator: torch.Generator, *options: Grid) -> Grid:
    """One of the options at random."""
    return options[randint(generator, 0, len(options) - 1)]


def put_together(patches: Tensor, grid: Grid, p: int) -> Tensor:
    """(B, N, 3·p·p) → (B, 3, h·p, w·p)."""
    h, w = grid
    return rearrange(patches, "b (h w) (c p q) -> b c (h p) (w q)", h=h, w=w, p=p, q=p)


def _patches(generator: torch.Generator) -> Iterator[Case]:
    """Wide, upright and square grids whose count is a square number: whoever guesses the grid from it is found out."""
    wide, upright = ((2, 8), (1, 9), (3, 12), (4, 9)), ((8, 2), (9, 1), (12, 3), (9, 4))
    for grids in (wide, upright, ((2, 2), (3, 3))):
        (h, w), p = choose(generator, *grids), randint(generator, 2, 4)
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
        "`rearrange` cannot guess how N falls into rows and columns: give it h, w, p and q by name, with q=p.",
        'Before the arrow: `"b (h w) (c p q)"`. After it, each side is a bracket of two letters, the patch first.',
    ),
    mistakes=PUT_BACK,
)


def _images(generator: torch.Generator) -> Iterator[Case]:
    """Sides that are multiples of the patch, both, one, or none of them; wide, upright, 2:1 and square."""
    p, h, w = randint(generator, 3, 5), randint(generator, 2, 3), randint(generator, 4, 5)
    more = randint(generator, 1, p - 1)
    sizes = (
        (h * p, w * p),
        (h * p + 1, w * p + p - 1),
        (2 * h * p, h * p + more),
        (w * p + more, 2 * p),
        (h * p, h * p),
    )
    for height, width in sizes:
        sizes_of_module = {"embed_dim": randint(generator, 6, 9), "patch_size": p}
        yield sizes_of_module, [torch.randn(2, 3, height, width, generator=generator)]


patch_embedding = Exercise(
    title="The patch embedding",
    minutes=10,
    difficulty=2,
    reference=solution.PatchEmbedding,
    cases=_images,
    call=module_call(solution.PatchEmbedding),
    hints=(
        "Cut and projection are one layer: `self.proj = nn.Conv2d(…)`, with the patch's side as its kernel and stride.",
        "Before it, zeros on the right and at the bottom: `F.pad(pixels, (left, right, top, bottom))`. The number of "
        "missing columns is `-width % p`, which is 0 where p divides the width.",
        "The convolution gives (B, C, h, w); `rearrange` makes (B, h·w, C) of it. Return the grid (h, w) beside it.",
    ),
    mistakes=PATCH_EMBEDDING,
    part="PatchEmbedding",
)


def pixels_of(number: int, size: Grid, p: int) -> tuple[int, int, int, int]:
    """Token number, counted from the class token's 0, → (top, left, bottom, right), the last two excluded."""
    height, width = size
    row, column = divmod(number - 1, math.ceil(width / p))
    top, left = row * p, column * p
    return top, left, min(top + p, height), min(left + p, width)


def _tokens(generator: torch.Generator) -> Iterator[Case]:
    """Images whose sides p divides, both, one, or none of them; wide, upright and square; first, last and between."""
    p, h, w = randint(generator, 5, 9), randint(generator, 3, 4), randint(generator, 6, 9)
    more = randint(generator, 1, p - 1)
    for size in (
        (h * p, w * p),
        (h * p + more, w * p),
        (h * p - more, w * p - more),
        (2 * h * p, h * p),
        (h * p, h * p),
    ):
        rows, columns = (math.ceil(side / p) for side in size)
        between = randint(generator, columns + 2, rows * columns - columns)
        for number in (1, columns, columns + 1, between, rows * columns):
            yield number, size, p


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
    """Grids that look equal (in count, height or width), that are 2:1, equal, or break a resize by a factor."""
    equal_counts = ((2, 8), (4, 4)), ((4, 6), (3, 8)), ((3, 8), (8, 3)), ((4, 4), (2, 8)), ((6, 4), (4, 6))
    n = randint(generator, 0, len(equal_counts) - 1)
    h, w, more = randint(generator, 3, 4), randint(generator, 5, 6), randint(generator, 1, 3)
    pairs = [
        equal_counts[n],
        ((h, w), (h, w + more)),
        ((h, w), (h + more, w)),
        ((2 * h, h), (w, 2 * w)),  # 2:1, upright and wide
        (choose(generator, (11, 3), (13, 4)), (15, 6)),  # 11 · (15 / 11) is a little less than 15
        ((h + 3, w + 3), (h, w - 1)),
        ((h, w), (h, w)),
    ]
    for old, new in pairs:
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
        "Take the class row off, resize the rest, put the class row back in front with `torch.cat`.",
        "`F.interpolate` wants (B, C, h, w), so the rows must become a map first, and rows again after it. A `reshape` "
        "cannot do that: the channel stands last in a row and second in a map.",
        'The options are `size=new, mode="bicubic", align_corners=False`, and no antialias.',
    ),
    mistakes=RESIZE_POSITION,
)
