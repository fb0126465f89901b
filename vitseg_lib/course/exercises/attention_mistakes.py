"""The mistakes that the exercises of chapter 04 know by name: what each does, as code, and the sentence for it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from einops import rearrange, repeat
from torch import Tensor, nn

from vitseg_lib.course.exercises.base import mistakes

# One head: queries, keys and values (B, N, d)


def raw_scores(queries: Tensor, keys: Tensor) -> Tensor:
    """Every query's dot product with every key, (B, N, N)."""
    return torch.einsum("bqd,bkd->bqk", queries, keys)


def scaled(queries: Tensor, keys: Tensor) -> Tensor:
    """The scores as they should be."""
    return raw_scores(queries, keys) / queries.shape[-1] ** 0.5


def batch_as_one(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """The tokens of all images in one list, which attend to each other."""
    flat = [rearrange(x, "b n d -> 1 (b n) d") for x in (queries, keys, values)]
    mixed = scaled(flat[0], flat[1]).softmax(dim=-1) @ flat[2]
    return rearrange(mixed, "1 (b n) d -> b n d", b=len(queries))


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
        "the scale is the root of 32, the width of the toy model's heads: take d from the shape": (
            lambda q, k, v: (raw_scores(q, k) / 32**0.5).softmax(dim=-1) @ v
        ),
        "the scale is the root of the number of images, which `len` counts here; d is the length of the last axis": (
            lambda q, k, v: (raw_scores(q, k) / len(q) ** 0.5).softmax(dim=-1) @ v
        ),
        "the keys get their shape (B, d, N) by a reshape, which does not turn the axes: use `rearrange` or `.mT`": (
            lambda q, k, v: (q @ k.reshape(len(k), k.shape[2], -1) / k.shape[2] ** 0.5).softmax(dim=-1) @ v
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
        "keys and values are swapped: queries are compared with keys, and the values are mixed": (
            lambda q, k, v: scaled(q, v).softmax(dim=-1) @ k
        ),
        "the keys are mixed instead of the values: a key only serves to be compared with": (
            lambda q, k, v: scaled(q, k).softmax(dim=-1) @ k
        ),
        "all images of the batch are one list of tokens, so that they attend to each other: leave the batch axis in "
        "front": batch_as_one,
        "each score is divided by the sum of its row, without e to its power: that sum may be anything, 0 too": (
            lambda q, k, v: scaled(q, k) / scaled(q, k).sum(dim=-1, keepdim=True) @ v
        ),
        "each power of e is not divided by the sum of its row: the weights must sum to one": (
            lambda q, k, v: scaled(q, k).exp() @ v
        ),
        "the softmax is taken twice, which makes the weights almost even": (
            lambda q, k, v: scaled(q, k).softmax(dim=-1).softmax(dim=-1) @ v
        ),
        "the softmax is missing: scores are mixed as they are": lambda q, k, v: scaled(q, k) @ v,
        "the softmax comes after the mixing: it has to turn scores into weights first": (
            lambda q, k, v: (scaled(q, k) @ v).softmax(dim=-1)
        ),
        "these are the attention weights, (B, N, N): the weighted mean of the values is still to come": (
            lambda q, k, v: scaled(q, k).softmax(dim=-1)
        ),
        "it returns the weights beside the result: here only the result is wanted": (
            lambda q, k, v: (scaled(q, k).softmax(dim=-1) @ v, scaled(q, k).softmax(dim=-1))
        ),
    }
)


# Many heads: queries, keys and values side by side (B, N, 3·C) → mixed (B, N, C) and the weights (B, heads, N, N)


def attend(
    queries: Tensor, keys: Tensor, values: Tensor, scale: float | None = None, dim: int = -1
) -> tuple[Tensor, Tensor]:
    """Attention over the last two axes and its weights, right but for a `scale` or softmax axis of its own."""
    scores = torch.einsum("...qd,...kd->...qk", queries, keys) / (scale or queries.shape[-1] ** 0.5)
    weights = scores.softmax(dim=dim)
    return weights @ values, weights


@dataclass(frozen=True)
class Heads:
    """What many heads can do otherwise; as it stands, each choice is the right one."""

    parts: str = "three heads d"  # of the last axis, from the outermost to the innermost
    order: tuple[int, int, int] = (0, 1, 2)  # where queries, keys and values are taken from
    joined: str = "b n (heads d)"
    scale: Callable[[int, int], float] = lambda d, heads: d**0.5
    dim: int = -1  # of the softmax
    change: Callable[[Tensor], Tensor] = lambda weights: weights  # before they are used
    shown: Callable[[Tensor], Any] = lambda weights: weights  # before they are returned

    def __call__(self, qkv: Tensor, heads: int) -> tuple[Tensor, Any]:
        """Queries, keys and values side by side (B, N, 3·C) → mixed (B, N, C) and what is shown of the weights."""
        three = rearrange(qkv, f"b n ({self.parts}) -> three b heads n d", three=3, heads=heads)
        q, k, v = (three[i] for i in self.order)
        weights = self.change(attend(q, k, v, scale=self.scale(q.shape[-1], heads), dim=self.dim)[1])
        return rearrange(weights @ v, f"b heads n d -> {self.joined}"), self.shown(weights)


def split_by_view(qkv: Tensor, heads: int) -> tuple[Tensor, Tensor]:
    """The heads cut off with a view: a head's tokens come from anywhere."""
    batch, tokens, width = qkv.shape
    three = [part.reshape(batch, heads, tokens, width // 3 // heads) for part in qkv.chunk(3, dim=-1)]
    mixed, weights = attend(*three)
    return rearrange(mixed, "b heads n d -> b n (heads d)"), weights


def split_and_joined_by_view(qkv: Tensor, heads: int) -> tuple[Tensor, Tensor]:
    """Both with a view, so that the tokens at least end up where they were."""
    batch, tokens, width = qkv.shape
    three = [part.reshape(batch, heads, tokens, width // 3 // heads) for part in qkv.chunk(3, dim=-1)]
    mixed, weights = attend(*three)
    return mixed.reshape(batch, tokens, width // 3), weights


def joined_by_view(qkv: Tensor, heads: int) -> tuple[Tensor, Tensor]:
    """The heads put together with a view: the axes are never moved back."""
    three = rearrange(qkv, "b n (three heads d) -> three b heads n d", three=3, heads=heads)
    mixed, weights = attend(*three)
    return mixed.reshape(qkv.shape[0], qkv.shape[1], -1), weights


def across_heads(qkv: Tensor, heads: int) -> tuple[Tensor, Tensor]:
    """Heads behind tokens, as they came: at each token, heads attend to heads."""
    three = rearrange(qkv, "b n (three heads d) -> three b n heads d", three=3, heads=heads)
    mixed, weights = attend(*three)
    return rearrange(mixed, "b n heads d -> b n (heads d)"), weights


def one_wide_head(qkv: Tensor, heads: int) -> tuple[Tensor, Tensor]:
    """Never split into heads."""
    return attend(*qkv.chunk(3, dim=-1))


def width_for_heads(qkv: Tensor, heads: int) -> tuple[Tensor, Tensor]:
    """As many heads as a head should be wide."""
    return Heads()(qkv, qkv.shape[-1] // 3 // heads)


def mean_of(weights: Tensor) -> Tensor:
    """The mean over the heads, for every head."""
    return repeat(weights.mean(dim=1), "b n m -> b heads n m", heads=weights.shape[1])


# What goes wrong inside, in the function and in the module alike: diagnosis → what it does
INSIDE = {
    "the scale is the root of the whole width C; a head is only d = C / heads wide": (
        Heads(scale=lambda d, heads: (d * heads) ** 0.5)
    ),
    "the scale is the root of 3·C, the width of `qkv`; a head is only d = C / heads wide": (
        Heads(scale=lambda d, heads: (3 * d * heads) ** 0.5)
    ),
    "the scale is the root of 32, the width of the toy model's heads: here d = C / heads is another": (
        Heads(scale=lambda d, heads: 32**0.5)
    ),
    "the scores are not scaled: the root of the head's width is missing": Heads(scale=lambda d, heads: 1),
    "the scores are divided by d itself, not by its root": Heads(scale=lambda d, heads: d),
    "the scale is the root of the number of heads; it should be that of a head's width": (
        Heads(scale=lambda d, heads: heads**0.5)
    ),
    "the scores are multiplied by the root of d: it should make them smaller": Heads(scale=lambda d, heads: d**-0.5),
    "the softmax runs over the queries: each column sums to one. It is each query's row that must": Heads(dim=-2),
    "the softmax runs over the heads, so that they compete: it is each query's row, the last axis, that must sum to "
    "one": Heads(dim=1),
    "the softmax runs over the batch, so that images compete: count the axes from the end": Heads(dim=0),
    "the values are mixed with the weights transposed: row i holds what token i attends to": (
        Heads(change=lambda w: w.mT, shown=lambda w: w.mT)
    ),
    "every head mixes with the mean of the heads' weights: each has weights of its own": Heads(change=mean_of),
    "the heads are dealt out in turns, channel by channel: a head's d channels lie side by side, so heads come before "
    "d in the pattern": Heads(parts="three d heads"),
    "query, key and value are looked for inside each head: the last axis holds all queries, then all keys, then all "
    "values": Heads(parts="heads three d"),
    "the attention is right, but the heads are joined in turns, channel by channel: put them one after the other": (
        Heads(joined="b n (d heads)")
    ),
    "the attention is right, but at the end heads and tokens are not moved back before they are joined: a reshape "
    "alone does not move an axis": joined_by_view,
    "the heads are cut off with a reshape alone, which mixes tokens: split the last axis, then move the heads in front "
    "of the tokens": split_by_view,
    "the heads are cut off and joined with a reshape alone, so each attends among mixed-up pieces: split the last "
    "axis, then move the heads": split_and_joined_by_view,
    "the heads attend to each other, token by token: the tokens must be the last axis but one when you attend": (
        across_heads
    ),
    "queries and keys are swapped: the queries are the first third of the last axis": Heads(order=(1, 0, 2)),
    "keys and values are swapped: the order is queries, keys, values": Heads(order=(0, 2, 1)),
    "the values are looked for first: the order is queries, keys, values": Heads(order=(1, 2, 0)),
    "the order is turned round: queries come first, then keys, and values last": Heads(order=(2, 1, 0)),
    "the order is keys, values, queries, where queries come first: queries, keys, values": Heads(order=(2, 0, 1)),
    "there is only one head: the last axis is never split by `heads`": one_wide_head,
    "there is only one head, although its weights are returned with an axis of heads: split the last axis": (
        lambda x, heads: [part if i == 0 else part[:, None] for i, part in enumerate(one_wide_head(x, heads))]
    ),
    "the number of heads is taken for the width of a head: there are `heads` heads, each C / heads wide": (
        width_for_heads
    ),
    "the weights that are returned are the mean over the heads: return those of every head, (B, heads, N, N)": (
        Heads(shown=lambda w: w.mean(dim=1))
    ),
    "the weights that are returned come head by head, (heads, B, N, N): stack them along axis 1, behind the images": (
        Heads(shown=lambda w: w.transpose(0, 1))  # a list of the heads' weights agrees with it, too
    ),
    "the weights that are returned are transposed: row i holds what token i attends to": Heads(shown=lambda w: w.mT),
    "the scores are returned, not the weights: return what the softmax made of them": (
        lambda x, heads: (Heads()(x, heads)[0], scores_of(x, heads))
    ),
    "the softmax is missing: scores are mixed as they are": (
        lambda x, heads: Heads(change=lambda w: scores_of(x, heads))(x, heads)
    ),
    "None is returned beside the mixed values: return the weights, (B, heads, N, N)": (
        lambda x, heads: (Heads()(x, heads)[0], None)
    ),
    "the weights come first: return the mixed values, then the weights": (
        lambda x, heads: tuple(reversed(Heads()(x, heads)))
    ),
}


def scores_of(qkv: Tensor, heads: int) -> Tensor:
    """The scores before the softmax, (B, heads, N, N)."""
    queries, keys, _ = rearrange(qkv, "b n (three heads d) -> three b heads n d", three=3, heads=heads)
    return torch.einsum("...qd,...kd->...qk", queries, keys) / queries.shape[-1] ** 0.5


MANY_HEADS = mistakes(
    INSIDE
    | {
        "only the mixed values are returned: return the weights, (B, heads, N, N), beside them": (
            lambda x, heads: Heads()(x, heads)[0]
        ),
    }
)


# The module: tokens (B, N, C) → tokens (B, N, C) and the weights (B, heads, N, N)


def module(
    heads_of: Callable[[Tensor, int], tuple[Tensor, Tensor]] = Heads(),
    end: Callable[[nn.Module, Tensor, Tensor, Tensor], object] = lambda module, tokens, mixed, w: (
        module.proj(mixed),
        w,
    ),
) -> type[nn.Module]:
    """A self-attention that goes wrong among its heads or at its end."""

    class Wrong(nn.Module):
        def __init__(self, *, embed_dim: int, num_heads: int):
            super().__init__()
            self.num_heads = num_heads
            self.qkv = nn.Linear(embed_dim, 3 * embed_dim)
            self.proj = nn.Linear(embed_dim, embed_dim)

        def forward(self, tokens: Tensor) -> object:
            mixed, weights = heads_of(self.qkv(tokens), self.num_heads)
            return end(self, tokens, mixed, weights)

    return Wrong


SWAPPED = "the weights come first: return the mixed values, then the weights"
SELF_ATTENTION = mistakes(
    {diagnosis: module(heads_of) for diagnosis, heads_of in INSIDE.items() if diagnosis != SWAPPED}
    | {
        "the projection is not applied: the joined heads pass through `proj` before they are returned": module(
            end=lambda module, tokens, mixed, w: (mixed, w)
        ),
        "only the tokens are returned: return the attention weights beside them": module(
            end=lambda module, tokens, mixed, w: module.proj(mixed)
        ),
        "the weights come first: return the tokens, then the weights": module(
            end=lambda module, tokens, mixed, w: (w, module.proj(mixed))
        ),
        "the tokens that came in are added: that is the task of the block, in chapter 05": module(
            end=lambda module, tokens, mixed, w: (tokens + module.proj(mixed), w)
        ),
        "the projection is applied twice": module(
            end=lambda module, tokens, mixed, w: (module.proj(module.proj(mixed)), w)
        ),
        "the values are right, but the weights are detached, so that no gradient passes through them": module(
            end=lambda module, tokens, mixed, w: (module.proj(mixed), w.detach())
        ),
        "the values are right, but the tokens are detached, so that no gradient passes through them": module(
            end=lambda module, tokens, mixed, w: (module.proj(mixed).detach(), w)
        ),
    }
)
