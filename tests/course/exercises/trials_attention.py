"""Answers to the exercises of chapter 04: attention of one head, of many, and the module."""

import math

import torch
import torch.nn.functional as F
from torch import nn
from trials import Trial

from vitseg_lib.course.exercises import attention as exercises


def stub(*arguments):
    raise NotImplementedError


# One head


def fused(queries, keys, values):
    return F.scaled_dot_product_attention(queries, keys, values)


def by_loops(queries, keys, values):
    results = torch.zeros_like(queries)
    for image in range(len(queries)):
        for i, query in enumerate(queries[image]):
            powers = torch.stack([(query @ key / math.sqrt(len(query))).exp() for key in keys[image]])
            results[image, i] = sum(p / powers.sum() * value for p, value in zip(powers, values[image], strict=True))
    return results


def by_einsum(queries, keys, values):
    scores = torch.einsum("bid,bjd->bij", queries, keys).div(queries.size(-1) ** 0.5)
    powers = (scores - scores.amax(-1, keepdim=True)).exp()
    return torch.einsum("bij,bjd->bid", powers / powers.sum(-1, keepdim=True), values)


def over_queries(queries, keys, values):
    scores = torch.bmm(queries, keys.transpose(1, 2)) / math.sqrt(queries.size(2))
    return torch.bmm(F.softmax(scores, dim=-2), values)


def over_the_batch(queries, keys, values):
    scores = torch.bmm(queries, keys.transpose(1, 2)) / math.sqrt(queries.size(2))
    return torch.bmm(F.softmax(scores, 0), values)


def unscaled(queries, keys, values):
    return F.scaled_dot_product_attention(queries, keys, values, scale=1.0)


def divided_by_d(queries, keys, values):
    return F.scaled_dot_product_attention(queries, keys, values, scale=1 / queries.size(-1))


def multiplied(queries, keys, values):
    return F.scaled_dot_product_attention(queries, keys, values, scale=math.sqrt(queries.size(-1)))


def root_of_tokens(queries, keys, values):
    return F.scaled_dot_product_attention(queries, keys, values, scale=queries.size(1) ** -0.5)


def root_of_32(queries, keys, values):
    return F.scaled_dot_product_attention(queries, keys, values, scale=1 / math.sqrt(32))


def root_of_images(queries, keys, values):
    return F.scaled_dot_product_attention(queries, keys, values, scale=1 / math.sqrt(len(queries)))


def keys_reshaped(queries, keys, values):
    images, tokens, width = keys.shape
    return F.softmax(queries @ keys.view(images, width, tokens) / math.sqrt(width), -1) @ values


def scaled_too_late(queries, keys, values):
    return F.scaled_dot_product_attention(queries, keys, values, scale=1.0) / math.sqrt(queries.size(-1))


def transposed(queries, keys, values):
    weights = F.softmax(queries @ keys.transpose(-2, -1) / math.sqrt(queries.size(-1)), -1)
    return torch.einsum("bkq,bkd->bqd", weights, values)


def keys_and_queries_swapped(queries, keys, values):
    return F.scaled_dot_product_attention(keys, queries, values)


def keys_and_values_swapped(queries, keys, values):
    return F.scaled_dot_product_attention(queries, values, keys)


def keys_instead_of_values(queries, keys, values):
    return F.scaled_dot_product_attention(queries, keys, keys)


def batch_flattened(queries, keys, values):
    flat = [x.flatten(0, 1) for x in (queries, keys, values)]
    return F.scaled_dot_product_attention(*flat).view_as(queries)


def divided_by_the_sum(queries, keys, values):
    scores = queries @ keys.mT / math.sqrt(queries.size(-1))
    return (scores / scores.sum(2)[..., None]) @ values


def never_divided(queries, keys, values):
    return torch.exp(queries @ keys.mT * queries.size(-1) ** -0.5) @ values


def softmaxed_twice(queries, keys, values):
    return F.softmax(F.softmax(queries @ keys.mT / math.sqrt(queries.size(-1)), -1), -1) @ values


def never_softmaxed(queries, keys, values):
    return queries @ (keys.transpose(-2, -1) @ values) / math.sqrt(queries.size(-1))


def softmaxed_last(queries, keys, values):
    return F.softmax(queries @ (keys.transpose(-2, -1) @ values) / math.sqrt(queries.size(-1)), -1)


def weights_alone(queries, keys, values):
    return F.softmax(queries @ keys.mT / math.sqrt(queries.size(-1)), -1)


def both_returned(queries, keys, values):
    return [fused(queries, keys, values), weights_alone(queries, keys, values)]


def without_itself(queries, keys, values):
    scores = queries @ keys.transpose(-2, -1) / math.sqrt(queries.size(-1))
    return scores.masked_fill(torch.eye(queries.size(1), dtype=torch.bool), -1e9).softmax(-1) @ values


# Many heads


def torch_heads(qkv, heads):
    """Queries, keys and values split as torch does it: view, then transpose."""
    return [t.reshape(*t.shape[:2], heads, -1).transpose(1, 2) for t in qkv.chunk(3, -1)]


def rejoined(mixed):
    return mixed.transpose(1, 2).flatten(2)


def weighted(queries, keys, values, scale=None, axis=-1):
    """The mixed values and the weights."""
    scores = torch.matmul(queries, keys.transpose(-2, -1)) * (scale or queries.size(-1) ** -0.5)
    weights = F.softmax(scores, axis)
    return weights @ values, weights


def finished(queries, keys, values, **changes):
    mixed, weights = weighted(queries, keys, values, **changes)
    return rejoined(mixed), weights


def as_torch(qkv, heads):
    return finished(*torch_heads(qkv, heads))


def head_by_head(qkv, heads):
    queries, keys, values = qkv.chunk(3, -1)
    split = zip(queries.chunk(heads, -1), keys.chunk(heads, -1), values.chunk(heads, -1), strict=True)
    mixed, weights = zip(*(weighted(*part) for part in split), strict=True)
    return torch.cat(mixed, dim=-1), torch.stack(weights, dim=1)


def root_of_all(qkv, heads):
    return finished(*torch_heads(qkv, heads), scale=(qkv.size(-1) // 3) ** -0.5)


def root_of_three(qkv, heads):
    return finished(*torch_heads(qkv, heads), scale=qkv.size(-1) ** -0.5)


def root_of_toy(qkv, heads):
    return finished(*torch_heads(qkv, heads), scale=1 / math.sqrt(32))


def no_root(qkv, heads):
    return finished(*torch_heads(qkv, heads), scale=1)


def by_the_width(qkv, heads):
    return finished(*torch_heads(qkv, heads), scale=3 * heads / qkv.size(-1))


def root_of_heads(qkv, heads):
    return finished(*torch_heads(qkv, heads), scale=heads**-0.5)


def times_the_root(qkv, heads):
    return finished(*torch_heads(qkv, heads), scale=(qkv.size(-1) / 3 / heads) ** 0.5)


def each_column(qkv, heads):
    return finished(*torch_heads(qkv, heads), axis=2)


def heads_compete(qkv, heads):
    return finished(*torch_heads(qkv, heads), axis=1)


def images_compete(qkv, heads):
    return finished(*torch_heads(qkv, heads), axis=0)


def weights_turned(qkv, heads):
    queries, keys, values = torch_heads(qkv, heads)
    weights = weighted(queries, keys, values)[1]
    return rejoined(weights.transpose(2, 3) @ values), weights


def one_mean_for_all(qkv, heads):
    queries, keys, values = torch_heads(qkv, heads)
    mean = weighted(queries, keys, values)[1].mean(1, keepdim=True).expand(-1, heads, -1, -1)
    return rejoined(mean @ values), mean


def interleaved(qkv, heads):
    three = [t.unflatten(-1, (-1, heads)).permute(0, 3, 1, 2) for t in qkv.chunk(3, -1)]
    return finished(*three)


def three_inside(qkv, heads):
    return finished(*qkv.unflatten(-1, (heads, 3, -1)).permute(3, 0, 2, 1, 4))


def joined_in_turns(qkv, heads):
    mixed, weights = weighted(*torch_heads(qkv, heads))
    return mixed.permute(0, 2, 3, 1).flatten(2), weights


def never_moved_back(qkv, heads):
    mixed, weights = weighted(*torch_heads(qkv, heads))
    return mixed.contiguous().view(qkv.size(0), qkv.size(1), -1), weights


def cut_by_view(qkv, heads):
    three = [t.contiguous().view(t.size(0), heads, t.size(1), -1) for t in qkv.chunk(3, -1)]
    return finished(*three)


def cut_and_glued_by_view(qkv, heads):
    three = [t.contiguous().view(t.size(0), heads, t.size(1), -1) for t in qkv.chunk(3, -1)]
    mixed, weights = weighted(*three)
    return mixed.contiguous().view(qkv.size(0), qkv.size(1), -1), weights


def heads_among_themselves(qkv, heads):
    mixed, weights = weighted(*[t.unflatten(-1, (heads, -1)) for t in qkv.chunk(3, -1)])
    return mixed.flatten(2), weights


def key_first(qkv, heads):
    keys, queries, values = torch_heads(qkv, heads)
    return finished(queries, keys, values)


def value_second(qkv, heads):
    queries, values, keys = torch_heads(qkv, heads)
    return finished(queries, keys, values)


def value_first(qkv, heads):
    values, queries, keys = torch_heads(qkv, heads)
    return finished(queries, keys, values)


def query_last(qkv, heads):
    keys, values, queries = torch_heads(qkv, heads)
    return finished(queries, keys, values)


def turned_round(qkv, heads):
    values, keys, queries = torch_heads(qkv, heads)
    return finished(queries, keys, values)


def one_wide_head(qkv, heads):
    return weighted(*qkv.chunk(3, -1))


def one_wide_head_with_axis(qkv, heads):
    mixed, weights = one_wide_head(qkv, heads)
    return mixed, weights.unsqueeze(1)


def heads_for_width(qkv, heads):
    return finished(*[t.unflatten(-1, (-1, heads)).transpose(1, 2) for t in qkv.chunk(3, -1)])


def mean_returned(qkv, heads):
    mixed, weights = as_torch(qkv, heads)
    return mixed, weights.mean(1)


def stacked_in_front(qkv, heads):
    mixed, weights = as_torch(qkv, heads)
    return mixed, torch.stack([weights[:, head] for head in range(heads)])


def turned_weights_returned(qkv, heads):
    mixed, weights = as_torch(qkv, heads)
    return mixed, weights.transpose(-1, -2)


def plain_scores(qkv, heads):
    queries, keys, _ = torch_heads(qkv, heads)
    return queries @ keys.transpose(-2, -1) / queries.size(-1) ** 0.5


def scores_returned(qkv, heads):
    return as_torch(qkv, heads)[0], plain_scores(qkv, heads)


def scores_mixed(qkv, heads):
    scores = plain_scores(qkv, heads)
    return rejoined(scores @ torch_heads(qkv, heads)[2]), scores


def nothing_beside(qkv, heads):
    return rejoined(F.scaled_dot_product_attention(*torch_heads(qkv, heads))), None


def mixed_alone(qkv, heads):
    return rejoined(F.scaled_dot_product_attention(*torch_heads(qkv, heads)))


def wrong_way_round(qkv, heads):
    return as_torch(qkv, heads)[::-1]


def heads_backwards(qkv, heads):
    mixed, weights = weighted(*torch_heads(qkv, heads))
    return rejoined(mixed.flip(1)), weights.flip(1)


INSIDE = {
    root_of_all: "whole width",
    root_of_three: "root of 3·C",
    root_of_toy: "root of 32",
    no_root: "not scaled",
    by_the_width: "by d itself",
    root_of_heads: "root of the number of heads",
    times_the_root: "multiplied",
    each_column: "over the queries",
    heads_compete: "over the heads",
    images_compete: "over the batch",
    weights_turned: "mixed with the weights transposed",
    one_mean_for_all: "mean of the heads' weights",
    interleaved: "dealt out in turns",
    three_inside: "inside each head",
    joined_in_turns: "joined in turns",
    never_moved_back: "not moved back",
    cut_by_view: "which mixes tokens",
    cut_and_glued_by_view: "cut off and joined",
    heads_among_themselves: "attend to each other",
    key_first: "ueries and keys",
    value_second: "eys and values",
    value_first: "values are looked for first",
    query_last: "order is keys, values, queries",
    turned_round: "turned round",
    one_wide_head: "only one head: the last axis",
    one_wide_head_with_axis: "with an axis of heads",
    heads_for_width: "width of a head",
    mean_returned: "mean over the heads",
    stacked_in_front: "head by head",
    turned_weights_returned: "returned are transposed",
    scores_returned: "scores are returned",
    scores_mixed: "softmax is missing",
    nothing_beside: "None",
}

# The module


def built(heads_of, end=None):
    """A module with these heads, and perhaps another end: end(module, tokens, mixed, weights)."""

    class Answer(nn.Module):
        def __init__(self, embed_dim, num_heads):
            super().__init__()
            self.heads = num_heads
            self.qkv = nn.Linear(embed_dim, embed_dim * 3, bias=True)
            self.proj = nn.Linear(embed_dim, embed_dim, bias=True)

        def forward(self, x):
            found = heads_of(self.qkv(x), self.heads)
            if end is not None:
                return end(self, x, *found)
            return self.proj(found[0]), found[1]

    Answer.__name__ = (end or heads_of).__name__
    return Answer


class Untried(nn.Module):
    def __init__(self, *, embed_dim, num_heads):
        super().__init__()
        raise NotImplementedError


class AsTimm(nn.Module):
    """Split by one reshape, as timm does it."""

    def __init__(self, embed_dim, num_heads):
        super().__init__()
        self.num_heads, self.scale = num_heads, (embed_dim // num_heads) ** -0.5
        self.qkv, self.proj = nn.Linear(embed_dim, embed_dim * 3), nn.Linear(embed_dim, embed_dim)

    def forward(self, x):
        B, N, C = x.shape
        q, k, v = self.qkv(x).reshape(B, N, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        attn = ((q * self.scale) @ k.transpose(-2, -1)).softmax(dim=-1)
        return self.proj((attn @ v).transpose(1, 2).reshape(B, N, C)), attn


def never_projected(module, tokens, mixed, weights):
    return mixed, weights


def tokens_alone(module, tokens, mixed, weights):
    return module.proj(mixed)


def weights_first(module, tokens, mixed, weights):
    return weights, module.proj(mixed)


def with_the_tokens(module, tokens, mixed, weights):
    return tokens + module.proj(mixed), weights


def projected_twice(module, tokens, mixed, weights):
    return module.proj(module.proj(mixed)), weights


def weights_detached(module, tokens, mixed, weights):
    return module.proj(mixed), weights.detach()


def tokens_detached(module, tokens, mixed, weights):
    return module.proj(mixed.detach()), weights


ENDS = {
    never_projected: "projection is not applied",
    tokens_alone: "nly the tokens are returned",
    weights_first: "return the tokens, then the weights",
    with_the_tokens: "task of the block",
    projected_twice: "applied twice",
    weights_detached: "weights are detached",
    tokens_detached: "tokens are detached",
}


class NoBias(AsTimm):
    def __init__(self, embed_dim, num_heads):
        super().__init__(embed_dim, num_heads)
        self.qkv = nn.Linear(embed_dim, embed_dim * 3, bias=False)


class NoProjection(AsTimm):
    def __init__(self, embed_dim, num_heads):
        super().__init__(embed_dim, num_heads)
        self.proj = nn.Identity()


class ThreeLayers(nn.Module):
    def __init__(self, embed_dim, num_heads):
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(embed_dim, embed_dim) for _ in range(3))
        self.proj = nn.Linear(embed_dim, embed_dim)


class NarrowHeads(AsTimm):
    """A layer for one head only."""

    def __init__(self, embed_dim, num_heads):
        super().__init__(embed_dim, num_heads)
        self.qkv = nn.Linear(embed_dim, 3 * embed_dim // num_heads)


class WithoutSuper(nn.Module):
    def __init__(self, embed_dim, num_heads):
        self.qkv = nn.Linear(embed_dim, embed_dim * 3)


def the_function(embed_dim, num_heads):
    return lambda tokens: tokens


FAULTS = {  # what is said of a module whose parameters do not fit, or which is none
    NoBias: "no parameter `qkv.bias`",
    NoProjection: "no parameter `proj.weight`",
    ThreeLayers: "no parameter `qkv.weight`",
    NarrowHeads: "`qkv.weight` has shape",
    WithoutSuper: "cannot assign module before Module.__init__() call",
    the_function: "no `nn.Module`",
}

TRIALS = [
    Trial(
        exercise=exercises.one_head,
        stub=stub,
        right=[fused, by_loops, by_einsum],
        wrong={
            over_queries: "over the queries",
            over_the_batch: "over the batch",
            unscaled: "not scaled",
            divided_by_d: "by d itself",
            multiplied: "multiplied",
            root_of_tokens: "number of tokens",
            root_of_32: "root of 32",
            root_of_images: "number of images",
            keys_reshaped: "by a reshape",
            scaled_too_late: "after the softmax",
            transposed: "weights transposed",
            keys_and_queries_swapped: "ueries and keys are swapped",
            keys_and_values_swapped: "eys and values are swapped",
            keys_instead_of_values: "keys are mixed instead",
            batch_flattened: "one list of tokens",
            divided_by_the_sum: "without e to its power",
            never_divided: "not divided by the sum",
            softmaxed_twice: "twice",
            never_softmaxed: "softmax is missing",
            softmaxed_last: "after the mixing",
            weights_alone: "These are the attention weights",
            both_returned: "beside the result",
        },
        unforeseen=without_itself,
    ),
    Trial(
        exercise=exercises.many_heads,
        stub=stub,
        right=[as_torch, head_by_head],
        wrong=INSIDE | {wrong_way_round: "weights come first", mixed_alone: "nly the mixed values"},
        unforeseen=heads_backwards,
    ),
    Trial(
        exercise=exercises.self_attention,
        stub=Untried,
        right=[AsTimm, built(as_torch), built(head_by_head)],
        wrong={built(heads_of): words for heads_of, words in INSIDE.items()}
        | {built(as_torch, end): words for end, words in ENDS.items()},
        unforeseen=built(heads_backwards),
    ),
]

# Wrong answers that no mistake of an exercise explains, and whether what is said of them names the slip.
REVIEWED = [(exercises.self_attention, answer) for answer in FAULTS]
REVIEWED += [(trial.exercise, trial.unforeseen) for trial in TRIALS]
NAMED = {answer.__name__: answer in FAULTS for _, answer in REVIEWED}
