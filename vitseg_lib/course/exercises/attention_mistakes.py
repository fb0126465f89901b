"""The mistakes that the exercises of chapter 04 know by name: what each does, as code, and the sentence for it."""

import torch
from einops import rearrange
from torch import Tensor

from vitseg_lib.course.exercises.base import mistakes

# One head: queries, keys and values (B, N, d)


def raw_scores(queries: Tensor, keys: Tensor) -> Tensor:
    """Every query's dot product with every key, (B, N, N)."""
    return torch.einsum("bqd,bkd->bqk", queries, keys)


def scaled(queries: Tensor, keys: Tensor) -> Tensor:
    """The scores as they should be."""
    return raw_scores(queries, keys) / queries.shape[-1] ** 0.5


ONE_HEAD = mistakes(
    {
        "the softmax runs over the queries: each column sums to one. It is each query's row that must": (
            lambda q, k, v: scaled(q, k).softmax(dim=1) @ v
        ),
        "the softmax runs over the batch, so that images compete: count the axes from the end": (
            lambda q, k, v: scaled(q, k).softmax(dim=0) @ v
        ),
        "the scores are not scaled: the root of the head's width is missing": (
            lambda q, k, v: raw_scores(q, k).softmax(dim=-1) @ v
        ),
        "the scores are divided by d itself, not by its root: the weights come out too even": (
            lambda q, k, v: (raw_scores(q, k) / q.shape[-1]).softmax(dim=-1) @ v
        ),
        "the scores are multiplied by the root of d: it should make them smaller": (
            lambda q, k, v: (raw_scores(q, k) * q.shape[-1] ** 0.5).softmax(dim=-1) @ v
        ),
        "the scale is the root of the number of tokens; it should be that of the head's width, the last axis": (
            lambda q, k, v: (raw_scores(q, k) / q.shape[-2] ** 0.5).softmax(dim=-1) @ v
        ),
        "the scale comes after the softmax, where it only shrinks the result: it belongs before": (
            lambda q, k, v: raw_scores(q, k).softmax(dim=-1) / q.shape[-1] ** 0.5 @ v
        ),
        "the values are mixed with the weights transposed: row i holds what token i attends to": (
            lambda q, k, v: scaled(q, k).softmax(dim=-1).mT @ v
        ),
        "queries and keys are swapped: a row of scores must belong to a query": (
            lambda q, k, v: scaled(k, q).softmax(dim=-1) @ v
        ),
        "the keys are mixed instead of the values: a key only serves to be compared with": (
            lambda q, k, v: scaled(q, k).softmax(dim=-1) @ k
        ),
        "the softmax is missing: scores are mixed as they are": lambda q, k, v: scaled(q, k) @ v,
        "the softmax comes after the mixing: it has to turn scores into weights first": (
            lambda q, k, v: (scaled(q, k) @ v).softmax(dim=-1)
        ),
    }
)


# Many heads: queries, keys and values side by side (B, N, 3·C)


def attend(queries: Tensor, keys: Tensor, values: Tensor, scale: float | None = None) -> Tensor:
    """Attention over the last two axes, right but for a `scale` of its own."""
    scores = torch.einsum("...qd,...kd->...qk", queries, keys) / (scale or queries.shape[-1] ** 0.5)
    return scores.softmax(dim=-1) @ values


def heads_but(
    qkv: Tensor,
    heads: int,
    *,
    parts: str = "three heads d",
    order: tuple[int, int, int] = (0, 1, 2),
    joined: str = "b n (heads d)",
    root_of_width: bool = False,
) -> Tensor:
    """Many heads with one thing changed."""
    three = rearrange(qkv, f"b n ({parts}) -> three b heads n d", three=3, heads=heads)
    mixed = attend(*(three[i] for i in order), scale=(qkv.shape[-1] / 3) ** 0.5 if root_of_width else None)
    return rearrange(mixed, f"b heads n d -> {joined}")


def split_by_view(qkv: Tensor, heads: int) -> Tensor:
    """The heads cut off with a view: a head's tokens come from anywhere."""
    batch, tokens, width = qkv.shape
    three = [part.reshape(batch, heads, tokens, width // 3 // heads) for part in qkv.chunk(3, dim=-1)]
    return rearrange(attend(*three), "b heads n d -> b n (heads d)")


def split_and_joined_by_view(qkv: Tensor, heads: int) -> Tensor:
    """Both with a view, so that the tokens at least end up where they were."""
    batch, tokens, width = qkv.shape
    three = [part.reshape(batch, heads, tokens, width // 3 // heads) for part in qkv.chunk(3, dim=-1)]
    return attend(*three).reshape(batch, tokens, width // 3)


def joined_by_view(qkv: Tensor, heads: int) -> Tensor:
    """The heads put together with a view: the axes are never moved back."""
    three = rearrange(qkv, "b n (three heads d) -> three b heads n d", three=3, heads=heads)
    return attend(*three).reshape(qkv.shape[0], qkv.shape[1], -1)


def across_heads(qkv: Tensor, heads: int) -> Tensor:
    """Heads behind tokens, as they came: at each token, heads attend to heads."""
    three = rearrange(qkv, "b n (three heads d) -> three b n heads d", three=3, heads=heads)
    return rearrange(attend(*three), "b n heads d -> b n (heads d)")


MANY_HEADS = mistakes(
    {
        "the scale is the root of the whole width C; a head is only d = C / heads wide": (
            lambda x, heads: heads_but(x, heads, root_of_width=True)
        ),
        "the heads are dealt out in turns, channel by channel: a head's d channels lie side by side, so heads come "
        "before d in the pattern": lambda x, heads: heads_but(x, heads, parts="three d heads"),
        "query, key and value are looked for inside each head: the last axis holds all queries, then all keys, then "
        "all values": lambda x, heads: heads_but(x, heads, parts="heads three d"),
        "the attention is right, but the heads are joined in turns, channel by channel: put them one after the other": (
            lambda x, heads: heads_but(x, heads, joined="b n (d heads)")
        ),
        "the attention is right, but at the end heads and tokens are not moved back before they are joined: a reshape "
        "alone does not move an axis": joined_by_view,
        "the heads are cut off with a reshape alone, which mixes tokens: split the last axis, then move the heads in "
        "front of the tokens": split_by_view,
        "the heads are cut off and joined with a reshape alone, so each attends among mixed-up pieces: split the last "
        "axis, then move the heads": split_and_joined_by_view,
        "the heads attend to each other, token by token: the tokens must be the last axis but one when you attend": (
            across_heads
        ),
        "queries and keys are swapped: the queries are the first third of the last axis": (
            lambda x, heads: heads_but(x, heads, order=(1, 0, 2))
        ),
        "keys and values are swapped: the order is queries, keys, values": (
            lambda x, heads: heads_but(x, heads, order=(0, 2, 1))
        ),
        "there is only one head: the last axis is never split by `heads`": lambda x, heads: attend(*x.chunk(3, dim=-1)),
    }
)


# Mean attention distance: weights (heads, 1 + h·w, 1 + h·w), and the grid (h, w)


def distances(grid: tuple[int, int], *, power: float = 2, columns: int | None = None) -> Tensor:
    """(h·w, h·w): how far apart patches are; numbered by rows of `columns`, which should be w."""
    number = torch.arange(grid[0] * grid[1])
    positions = torch.stack([number // (columns or grid[1]), number % (columns or grid[1])], dim=-1).float()
    return torch.cdist(positions, positions, p=power)


def to_one(weights: Tensor, axis: int = -1) -> Tensor:
    """Made to sum to one along an axis."""
    return weights / weights.sum(dim=axis, keepdim=True)


def among_patches(weights: Tensor) -> Tensor:
    """Without the class token's row and column, each row made to sum to one again."""
    return to_one(weights[:, 1:, 1:])


MEAN_DISTANCE = mistakes(
    {
        "the class token is dropped, but the rows that are left no longer sum to one": (
            lambda a, grid: (a[:, 1:, 1:] * distances(grid)).sum(dim=-1).mean(dim=-1)
        ),
        "the last token is dropped; the class token is the first": (
            lambda a, grid: (to_one(a[:, :-1, :-1]) * distances(grid)).sum(dim=-1).mean(dim=-1)
        ),
        "rows and columns are added up (Manhattan distance); here a diagonal is the straight line": (
            lambda a, grid: (among_patches(a) * distances(grid, power=1)).sum(dim=-1).mean(dim=-1)
        ),
        "the distances are squared: a root is missing": (
            lambda a, grid: (among_patches(a) * distances(grid) ** 2).sum(dim=-1).mean(dim=-1)
        ),
        "height and width are swapped: a row of the grid has w patches, so patch n lies in row n // w": (
            lambda a, grid: (among_patches(a) * distances(grid, columns=grid[0])).sum(dim=-1).mean(dim=-1)
        ),
        "the distance is counted along the list of tokens; there, neighbours above each other are w apart": (
            lambda a, grid: (among_patches(a) * distances((1, grid[0] * grid[1]))).sum(dim=-1).mean(dim=-1)
        ),
        "the columns are made to sum to one: that is the distance of those that attend to a patch; take the rows": (
            lambda a, grid: (to_one(a[:, 1:, 1:], axis=-2) * distances(grid)).sum(dim=-2).mean(dim=-1)
        ),
        "the products of each row are averaged; its weights sum to one already, so add the products up": (
            lambda a, grid: (among_patches(a) * distances(grid)).mean(dim=(-2, -1))
        ),
        "the distances of all queries are added up: take their mean": (
            lambda a, grid: (among_patches(a) * distances(grid)).sum(dim=(-2, -1))
        ),
        "all queries are pooled, so a patch that attends little to patches counts little: make each row sum to "
        "one first": (
            lambda a, grid: (a[:, 1:, 1:] * distances(grid)).sum(dim=(-2, -1)) / a[:, 1:, 1:].sum(dim=(-2, -1))
        ),
    }
)
