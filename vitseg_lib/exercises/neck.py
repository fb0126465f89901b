"""The exercises of chapter 06: a convolution that is a matrix, sizes of a pyramid, where a resize reads."""

from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from vitseg_lib.exercises.base import Case, Exercise, whole
from vitseg_lib.exercises.neck_mistakes import LEVEL_SIZES, MIX_CHANNELS, READING_PLACES

Grid = tuple[int, int]


def mixed(maps: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """(B, C, h, w), (D, C, 1, 1), (D,) → (B, D, h, w)."""
    places = rearrange(maps, "b c h w -> b h w c")
    return rearrange(F.linear(places, weight[:, :, 0, 0], bias), "b h w d -> b d h w")


def _maps(generator: torch.Generator) -> Iterator[Case]:
    # as many columns as channels, and as many new channels as old ones: here a wrong axis does not stop the answer
    c, h = whole(generator, 4, 7), whole(generator, 2, 3)
    maps, weight = torch.randn(2, c, h, c, generator=generator), torch.randn(c, c, 1, 1, generator=generator)
    yield maps, weight, torch.randn(c, generator=generator)


mix_channels = Exercise(
    title="A convolution that is a matrix",
    minutes=5,
    difficulty=1,
    reference=mixed,
    cases=_maps,
    axes=("picture", "channel", "row", "column"),
    hints=(
        "At each place stand C numbers, and the same matrix turns them into D. Which axis has to meet the matrix?",
        "`F.linear` works on the last axis; the channels are the second. Move them to the end, and back afterwards.",
        'Or name the axes: `torch.einsum("dc,bchw->bdhw", …)`. The bias then needs two axes more.',
    ),
    mistakes=MIX_CHANNELS,
)


def sizes(grid: Grid, factors: Sequence[float]) -> list[Grid]:
    """A grid (h, w) and the factors → a size (h, w) for each factor."""
    h, w = grid
    return [(max(1, int(h * factor)), max(1, int(w * factor))) for factor in factors]


def _grids(generator: torch.Generator) -> Iterator[Case]:
    # half of 4n + 1 and half of 4n + 3: Python's `round` takes the one down and the other up
    for low in (1, 3):
        yield (4 * whole(generator, 2, 5) + low, 4 * whole(generator, 6, 9) + low), (4, 2, 1, 0.5)
    yield (1, 2 * whole(generator, 2, 6) + 1), (4, 2, 1, 0.5)
    yield (2 * whole(generator, 2, 6) + 1, 1), (0.5, 3)


def _as_pairs(answer: Callable, case: Case) -> list[Grid] | None:
    """Lists, tuples and tensors of sizes are as good as each other."""
    given = answer(*case)
    return given if given is None or given is ... else [tuple(int(side) for side in size) for size in given]


level_sizes = Exercise(
    title="Sizes of a pyramid",
    minutes=4,
    difficulty=1,
    reference=sizes,
    cases=_grids,
    axes=("side",),
    hints=(
        "Each side is multiplied by the factor and rounded down; `int` does that for what is not negative.",
        "Then look at a grid of one row. What does rounding down make of a half, and what should be there?",
    ),
    mistakes=LEVEL_SIZES,
    call=_as_pairs,
)


def places(old: int, factor: float) -> tuple[Tensor, Tensor]:
    """Old places and the factor → where the ⌊old · factor⌋ new ones read: by factor, by size."""
    new = int(old * factor)
    centres = torch.arange(new) + 0.5
    return centres / factor - 0.5, centres * old / new - 0.5


def _rows(generator: torch.Generator) -> Iterator[Case]:
    yield 2 * whole(generator, 5, 12) + 1, 0.5
    yield 4 * whole(generator, 3, 6) + whole(generator, 1, 3), 1.25


def _as_tensors(answer: Callable, case: Case) -> list[Tensor] | None:
    """Lists, arrays and tensors of places are as good as each other."""
    given = answer(*case)
    if given is None or given is ...:
        return given
    return [torch.as_tensor(row, dtype=torch.float64) for row in given]


reading_places = Exercise(
    title="Where does it read?",
    minutes=7,
    difficulty=2,
    reference=places,
    cases=_rows,
    axes=("new place",),
    hints=(
        "The centre of new place i lies i + ½ steps from the edge, and the centre of old place 0 lies ½ from it.",
        "Only the length of a step differs. Given the factor it is 1 / factor; given the size it is old / new.",
    ),
    mistakes=READING_PLACES,
    call=_as_tensors,
)
