"""The exercises of chapter 04: attention of one head, many heads out of one product, mean attention distance."""

from collections.abc import Iterator

import torch
from einops import rearrange
from torch import Tensor

from vitseg_lib.course import solution
from vitseg_lib.course.exercises.attention_mistakes import MANY_HEADS, MEAN_DISTANCE, ONE_HEAD
from vitseg_lib.course.exercises.base import Case, Exercise, module_call, randint


def random_weights(*shape: int, generator: torch.Generator) -> Tensor:
    """Random attention weights: ≥ 0, and the last axis sums to one."""
    return (2 * torch.randn(*shape, generator=generator)).softmax(dim=-1)


# One head


def one_head_solution(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Queries, keys and values (B, N, d) → for each token a mix of the values, (B, N, d)."""
    scores = queries @ rearrange(keys, "b n d -> b d n") / queries.shape[-1] ** 0.5
    return scores.softmax(dim=-1) @ values


def one_head_cases(generator: torch.Generator) -> Iterator[tuple]:
    """A batch of two or three, with fewer tokens than a head is wide, and with more."""
    for tokens, width in ((randint(generator, 4, 6), randint(generator, 8, 11)), (randint(generator, 7, 9), 3)):
        batch = randint(generator, 2, 3)
        yield tuple(torch.randn(3, batch, tokens, width, generator=generator) * 1.5)


one_head = Exercise(
    title="Attention of one head",
    minutes=5,
    difficulty=1,
    reference=one_head_solution,
    cases=one_head_cases,
    axes=("image", "token", "channel"),
    hints=(
        "Three steps: a score for each pair of tokens, a softmax, a mix. Which of them needs an axis, and which axis?",
        'Scores: `queries @ rearrange(keys, "b n d -> b d n")`, divided by the root of the last size of `queries`. '
        "The axis that must sum to one is the one that runs over the keys.",
    ),
    mistakes=ONE_HEAD,
)


# Many heads


def many_heads_solution(qkv: Tensor, heads: int) -> Tensor:
    """Queries, keys and values side by side (B, N, 3·C) → the heads' results side by side (B, N, C)."""
    queries, keys, values = rearrange(qkv, "b n (three heads d) -> three b heads n d", three=3, heads=heads)
    scores = queries @ rearrange(keys, "b heads n d -> b heads d n") / queries.shape[-1] ** 0.5
    return rearrange(scores.softmax(dim=-1) @ values, "b heads n d -> b n (heads d)")


def many_heads_cases(generator: torch.Generator) -> Iterator[tuple]:
    """Batches of one and more, and more than one head, no two sizes alike."""
    for heads, width in ((2, 5), (3, 4)):
        batch, tokens = randint(generator, 1, 2) + (heads == 3), randint(generator, 6, 9)
        yield torch.randn(batch, tokens, 3 * heads * width, generator=generator) * 1.5, heads


many_heads = Exercise(
    title="Many heads out of one product",
    minutes=10,
    difficulty=2,
    reference=many_heads_solution,
    cases=many_heads_cases,
    axes=("image", "token", "channel"),
    hints=(
        "Name the parts of the last axis, from the outermost to the innermost, and let `rearrange` take them apart: "
        "first which of the three, then which head, then the channels of that head.",
        '`rearrange(qkv, "b n (three heads d) -> three b heads n d", three=3, heads=heads)` gives queries, keys and '
        "values. Attend as before: `@` and `softmax` leave the axes in front alone. How wide is one head?",
    ),
    mistakes=MANY_HEADS,
)


# Mean attention distance


def mean_distance_solution(weights: Tensor, grid: tuple[int, int]) -> Tensor:
    """Attention (heads, 1 + h·w, 1 + h·w) → for each head the mean distance that it attends over, in patches."""
    h, w = grid
    among_patches = weights[:, 1:, 1:]
    among_patches = among_patches / among_patches.sum(dim=-1, keepdim=True)
    positions = torch.cartesian_prod(torch.arange(h), torch.arange(w)).float()  # (h·w, 2): row, column
    return (among_patches * torch.cdist(positions, positions)).sum(dim=-1).mean(dim=-1)


def mean_distance_cases(generator: torch.Generator) -> Iterator[tuple]:
    """Grids that are no squares, wide and tall, and a few heads."""
    for grid in ((randint(generator, 2, 3), randint(generator, 5, 6)), (randint(generator, 4, 6), 3)):
        tokens = 1 + grid[0] * grid[1]
        yield random_weights(randint(generator, 2, 4), tokens, tokens, generator=generator), grid


mean_distance = Exercise(
    title="How far a head looks",
    minutes=8,
    difficulty=2,
    reference=mean_distance_solution,
    cases=mean_distance_cases,
    axes=("head",),
    hints=(
        "Drop the class token, which has no position, from both axes; make every row sum to one again; then take, for "
        "each row, the mean of the distances weighted by it.",
        "Patch n lies in row n // w and column n % w. `torch.cdist(positions, positions)` gives all distances at once.",
    ),
    mistakes=MEAN_DISTANCE,
)


# The module


def _tokens(generator: torch.Generator) -> Iterator[Case]:
    """A batch of two or three; another number of tokens than of channels."""
    for heads, width in ((2, 5), (3, 4), (1, 6)):
        tokens = torch.randn(randint(generator, 2, 3), randint(generator, 6, 9), heads * width, generator=generator)
        yield {"embed_dim": heads * width, "num_heads": heads}, [tokens]


self_attention = Exercise(
    title="Self-attention",
    minutes=15,
    difficulty=3,
    reference=solution.SelfAttention,
    cases=_tokens,
    call=module_call(solution.SelfAttention),
    hints=(
        "Two linear layers: `qkv` from C to 3·C, and `proj` from C to C. Between them stands what you wrote for many "
        "heads.",
        "`return self.proj(mixed), weights`: the module hands back its attention weights (B, heads, N, N), too.",
    ),
    part="SelfAttention",
)
