"""The exercises of chapter 04: attention of one head, many heads out of one product, and the module around them."""

from collections.abc import Callable, Iterator

import torch
from einops import rearrange
from torch import Tensor

from vitseg_lib.course import solution
from vitseg_lib.course.exercises.attention_mistakes import MANY_HEADS, ONE_HEAD, SELF_ATTENTION
from vitseg_lib.course.exercises.base import Case, Exercise, module_call, randint


def yours_if_right(exercise: Exercise, answer: Callable) -> Callable:
    """The answer to a small exercise if it is right, else the course's solution; a line says which."""
    right = exercise.check(answer).verdict == "right"
    name = exercise.reference.__name__.removesuffix("_solution")
    print(f"yours: {name}" if right else f"the course's: {name}")
    return answer if right else exercise.reference


# One head


def one_head_solution(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Queries, keys and values (B, N, d) → for each token a weighted mean of the values, (B, N, d)."""
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
        "Three steps, a line each: a score for each pair of tokens, a softmax, a weighted mean. Which of them needs an "
        "axis, and which axis?",
        "The scores have the shape (B, N, N), a row for each query. `@` multiplies the last two axes, so the keys must "
        'be (B, d, N): `rearrange(keys, "b n d -> b d n")`.',
        "Divide by `queries.shape[-1] ** 0.5`. The axis that must sum to one is the one that runs over the keys, the "
        "last. Then `@ values`.",
    ),
    mistakes=ONE_HEAD,
)


# Many heads


def many_heads_solution(qkv: Tensor, heads: int) -> tuple[Tensor, Tensor]:
    """Queries, keys and values side by side (B, N, 3·C) → the heads' results side by side (B, N, C), and the weights.

    The weights are (B, heads, N, N).
    """
    queries, keys, values = rearrange(qkv, "b n (three heads d) -> three b heads n d", three=3, heads=heads)
    scores = queries @ rearrange(keys, "b heads n d -> b heads d n") / queries.shape[-1] ** 0.5
    weights = scores.softmax(dim=-1)
    return rearrange(weights @ values, "b heads n d -> b n (heads d)"), weights


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
    hints=(
        "Name the parts of the last axis, from the outermost to the innermost, and let `rearrange` take them apart: "
        "first which of the three, then which head, then the channels of that head.",
        '`rearrange(qkv, "b n (three heads d) -> three b heads n d", three=3, heads=heads)` gives queries, keys and '
        "values. Attend as before: `@` and `softmax` leave the axes in front alone. How wide is one head?",
        'Last, `rearrange(weights @ values, "b heads n d -> b n (heads d)")`, and return the weights beside it.',
    ),
    mistakes=MANY_HEADS,
)


# The module


def _tokens(generator: torch.Generator) -> Iterator[Case]:
    """A batch of two or three; another number of tokens than of channels; one head, too."""
    for heads, width in ((2, 5), (3, 4), (1, 6)):
        tokens = torch.randn(randint(generator, 2, 3), randint(generator, 6, 9), heads * width, generator=generator)
        yield {"embed_dim": heads * width, "num_heads": heads}, [1.5 * tokens]


self_attention = Exercise(
    title="Self-attention",
    minutes=8,
    difficulty=2,
    reference=solution.SelfAttention,
    cases=_tokens,
    call=module_call(solution.SelfAttention),
    hints=(
        "Two linear layers are made in `__init__`: `self.qkv`, from C to 3·C, and `self.proj`, from C to C. `forward` "
        "has three steps: the first layer, what you wrote for many heads, the second layer.",
        "`many_heads` needs the number of heads: keep it as `self.num_heads`. Return `self.proj(mixed), weights`.",
    ),
    mistakes=SELF_ATTENTION,
    part="SelfAttention",
)
