"""The exercises of chapter 06: a convolution that is a matrix, sizes of a pyramid, where a resize samples."""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from vitseg_lib.course import solution
from vitseg_lib.course.exercises.base import Case, Exercise, module_call, randint
from vitseg_lib.course.exercises.neck_mistakes import LEVEL_SIZES, MIX_CHANNELS, SOURCE_POSITIONS

Grid = tuple[int, int]


def mixed(maps: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """(B, C, h, w), (D, C, 1, 1), (D,) → (B, D, h, w)."""
    channels_last = rearrange(maps, "b c h w -> b h w c")
    return rearrange(F.linear(channels_last, weight[:, :, 0, 0], bias), "b h w d -> b d h w")


def _maps(generator: torch.Generator) -> Iterator[Case]:
    # as many columns as channels, and as many new channels as old ones: so a wrong axis raises no error
    c, h = randint(generator, 4, 7), randint(generator, 2, 3)
    maps, weight = torch.randn(2, c, h, c, generator=generator), torch.randn(c, c, 1, 1, generator=generator)
    yield maps, weight, torch.randn(c, generator=generator)


mix_channels = Exercise(
    title="A convolution that is a matrix",
    minutes=5,
    difficulty=1,
    reference=mixed,
    cases=_maps,
    axes=("image", "channel", "row", "column"),
    hints=(
        "Every position has C values, and the same matrix turns them into D. Which axis has to meet the matrix?",
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
    # half of 4n + 1 and half of 4n + 3: Python's `round` takes one down and the other up
    for low in (1, 3):
        yield (4 * randint(generator, 2, 5) + low, 4 * randint(generator, 6, 9) + low), (4, 2, 1, 0.5)
    yield (1, 2 * randint(generator, 2, 6) + 1), (4, 2, 1, 0.5)
    yield (2 * randint(generator, 2, 6) + 1, 1), (0.5, 3)


level_sizes = Exercise(
    title="Sizes of a pyramid",
    minutes=4,
    difficulty=1,
    reference=sizes,
    cases=_grids,
    axes=("side",),
    hints=(
        "Each side is multiplied by the factor and rounded down; `int` does that for what is not negative.",
        "Then look at a grid of one row. What does rounding down make of a half, and what should it be?",
    ),
    mistakes=LEVEL_SIZES,
)


def positions(old: int, factor: float) -> tuple[Tensor, Tensor]:
    """Old pixels and the factor → the position that each of ⌊old · factor⌋ new ones samples: by factor, by size."""
    new = int(old * factor)
    centres = torch.arange(new) + 0.5
    return centres / factor - 0.5, centres * old / new - 0.5


def _rows(generator: torch.Generator) -> Iterator[Case]:
    yield 2 * randint(generator, 5, 12) + 1, 0.5
    yield 4 * randint(generator, 3, 6) + randint(generator, 1, 3), 1.25


source_positions = Exercise(
    title="Where does it read?",
    minutes=7,
    difficulty=2,
    reference=positions,
    cases=_rows,
    axes=("new pixel",),
    hints=(
        "The centre of new pixel i lies i + ½ steps from the edge, and the centre of old pixel 0 lies ½ from it.",
        "Only the length of a step differs. Given the factor it is 1 / factor; given the size it is old / new.",
    ),
    mistakes=SOURCE_POSITIONS,
)


# The modules


def _branch_cases(generator: torch.Generator) -> Iterator[Case]:
    for scale, side in ((4, 3), (0.5, 7), (0.5, 1)):
        yield {"embed_dim": 5, "scale": scale}, [torch.randn(2, 5, side, side + 2, generator=generator)]


def _neck_cases(generator: torch.Generator) -> Iterator[Case]:
    yield {"embed_dim": 4}, [[torch.randn(2, 4, 5, 7, generator=generator) for _ in range(4)]]


neck_branch = Exercise(
    title="A branch of the neck",
    minutes=8,
    difficulty=1,
    reference=solution.NeckBranch,
    cases=_branch_cases,
    call=module_call(solution.NeckBranch),
    hints=("`lateral_conv` 1×1, a resize by factor, `conv` 3×3.",),
    part="NeckBranch",
)

multi_level_neck = Exercise(
    title="The neck",
    minutes=5,
    difficulty=1,
    reference=solution.MultiLevelNeck,
    cases=_neck_cases,
    call=module_call(solution.MultiLevelNeck),
    hints=("`branches`, a `nn.ModuleList` of four, for the scales 4, 2, 1 and 0.5.",),
    part="MultiLevelNeck",
)
