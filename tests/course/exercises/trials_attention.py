"""Answers to the exercises of chapter 04, as learners write them: with loops, transposes and views."""

import math

import torch
import torch.nn.functional as F
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


def scaled_too_late(queries, keys, values):
    return F.scaled_dot_product_attention(queries, keys, values, scale=1.0) / math.sqrt(queries.size(-1))


def transposed(queries, keys, values):
    weights = F.softmax(queries @ keys.transpose(-2, -1) / math.sqrt(queries.size(-1)), -1)
    return torch.einsum("bkq,bkd->bqd", weights, values)


def keys_and_queries_swapped(queries, keys, values):
    return F.scaled_dot_product_attention(keys, queries, values)


def keys_instead_of_values(queries, keys, values):
    return F.scaled_dot_product_attention(queries, keys, keys)


def never_softmaxed(queries, keys, values):
    return queries @ (keys.transpose(-2, -1) @ values) / math.sqrt(queries.size(-1))


def softmaxed_last(queries, keys, values):
    return F.softmax(queries @ (keys.transpose(-2, -1) @ values) / math.sqrt(queries.size(-1)), -1)


def without_itself(queries, keys, values):
    scores = queries @ keys.transpose(-2, -1) / math.sqrt(queries.size(-1))
    return scores.masked_fill(torch.eye(queries.size(1), dtype=torch.bool), -1e9).softmax(-1) @ values


# Many heads


def torch_heads(three, heads):
    """Split as torch does it: view, then transpose."""
    return [t.view(*t.shape[:2], heads, -1).transpose(1, 2) for t in three]


def rejoined(mixed):
    return mixed.transpose(1, 2).flatten(2)


def fused_heads(qkv, heads):
    return rejoined(F.scaled_dot_product_attention(*torch_heads(qkv.chunk(3, -1), heads)))


def head_by_head(qkv, heads):
    queries, keys, values = qkv.chunk(3, -1)
    split = zip(queries.chunk(heads, -1), keys.chunk(heads, -1), values.chunk(heads, -1), strict=True)
    return torch.cat([by_loops(*part) for part in split], dim=-1)


def root_of_all(qkv, heads):
    scale = (qkv.size(-1) // 3) ** -0.5
    return rejoined(F.scaled_dot_product_attention(*torch_heads(qkv.chunk(3, -1), heads), scale=scale))


def interleaved(qkv, heads):
    three = [t.unflatten(-1, (-1, heads)).permute(0, 3, 1, 2) for t in qkv.chunk(3, -1)]
    return rejoined(F.scaled_dot_product_attention(*three))


def three_inside(qkv, heads):
    three = qkv.unflatten(-1, (heads, 3, -1)).permute(3, 0, 2, 1, 4)
    return rejoined(F.scaled_dot_product_attention(*three))


def joined_in_turns(qkv, heads):
    mixed = F.scaled_dot_product_attention(*torch_heads(qkv.chunk(3, -1), heads))
    return mixed.permute(0, 2, 3, 1).flatten(2)


def never_moved_back(qkv, heads):
    mixed = F.scaled_dot_product_attention(*torch_heads(qkv.chunk(3, -1), heads))
    return mixed.contiguous().view(qkv.size(0), qkv.size(1), -1)


def cut_by_view(qkv, heads):
    three = [t.contiguous().view(t.size(0), heads, t.size(1), -1) for t in qkv.chunk(3, -1)]
    return rejoined(F.scaled_dot_product_attention(*three))


def cut_and_glued_by_view(qkv, heads):
    three = [t.contiguous().view(t.size(0), heads, t.size(1), -1) for t in qkv.chunk(3, -1)]
    return F.scaled_dot_product_attention(*three).contiguous().view(qkv.size(0), qkv.size(1), -1)


def heads_among_themselves(qkv, heads):
    three = [t.unflatten(-1, (heads, -1)) for t in qkv.chunk(3, -1)]
    return F.scaled_dot_product_attention(*three).flatten(2)


def key_first(qkv, heads):
    keys, queries, values = torch_heads(qkv.chunk(3, -1), heads)
    return rejoined(F.scaled_dot_product_attention(queries, keys, values))


def value_second(qkv, heads):
    queries, values, keys = torch_heads(qkv.chunk(3, -1), heads)
    return rejoined(F.scaled_dot_product_attention(queries, keys, values))


def one_wide_head(qkv, heads):
    return F.scaled_dot_product_attention(*qkv.chunk(3, -1))


def heads_backwards(qkv, heads):
    return rejoined(F.scaled_dot_product_attention(*torch_heads(qkv.chunk(3, -1), heads)).flip(1))


# Mean attention distance


def distance_by_loops(weights, grid, far=math.dist):
    h, w = grid
    positions = [(row, column) for row in range(h) for column in range(w)]
    means = torch.zeros(len(weights))
    for head, matrix in enumerate(weights.tolist()):
        for position, row in zip(positions, matrix[1:], strict=True):
            reach = sum(weight * far(position, other) for weight, other in zip(row[1:], positions, strict=True))
            means[head] += reach / sum(row[1:]) / len(positions)
    return means


def distance_by_meshgrid(weights, grid):
    rows, columns = torch.meshgrid(torch.arange(grid[0]), torch.arange(grid[1]), indexing="ij")
    apart = torch.hypot(*((x.flatten()[:, None] - x.flatten()).float() for x in (rows, columns)))
    among = weights[:, 1:, 1:]
    return ((among * apart).sum(-1) / among.sum(-1)).mean(-1)


def distance_with_class_token(weights, grid):
    among = weights[:, 1:, 1:]
    return torch.stack([(head * apart_on(grid)).sum() / len(head) for head in among])


def distance_from_the_wrong_end(weights, grid):
    among = weights[:, :-1, :-1]
    return ((among * apart_on(grid)).sum(-1) / among.sum(-1)).mean(-1)


def apart_on(grid):
    """The distances between the positions of a grid, (h·w, h·w)."""
    positions = [(row, column) for row in range(grid[0]) for column in range(grid[1])]
    return torch.tensor([[math.dist(a, b) for b in positions] for a in positions])


def manhattan(weights, grid):
    return distance_by_loops(weights, grid, lambda a, b: abs(a[0] - b[0]) + abs(a[1] - b[1]))


def squared(weights, grid):
    return distance_by_loops(weights, grid, lambda a, b: (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2)


def turned(weights, grid):
    return distance_by_meshgrid(weights, grid[::-1])


def along_the_list(weights, grid):
    among, number = weights[:, 1:, 1:], torch.arange(grid[0] * grid[1])
    return ((among * (number[:, None] - number).abs()).sum(-1) / among.sum(-1)).mean(-1)


def attended_from(weights, grid):
    return distance_by_meshgrid(weights.mT, grid)


def plain_mean(weights, grid):
    among = weights[:, 1:, 1:] / weights[:, 1:, 1:].sum(-1)[..., None]
    return (among * apart_on(grid)).flatten(1).mean(1)


def never_averaged(weights, grid):
    return distance_by_meshgrid(weights, grid) * grid[0] * grid[1]


def all_at_once(weights, grid):
    among = weights[:, 1:, 1:].flatten(1)
    return among @ apart_on(grid).flatten() / among.sum(1)


def strongest_only(weights, grid):
    return torch.stack([apart_on(grid).gather(1, head[1:, 1:].argmax(1)[:, None]).mean() for head in weights])


TRIALS = [
    Trial(
        exercise=exercises.one_head,
        stub=stub,
        right=[fused, by_loops],
        wrong={
            over_queries: "over the queries",
            over_the_batch: "over the batch",
            unscaled: "not scaled",
            divided_by_d: "by d itself",
            multiplied: "multiplied",
            root_of_tokens: "number of tokens",
            scaled_too_late: "after the softmax",
            transposed: "weights transposed",
            keys_and_queries_swapped: "ueries and keys are swapped",
            keys_instead_of_values: "keys are mixed instead",
            never_softmaxed: "softmax is missing",
            softmaxed_last: "after the mixing",
        },
        unforeseen=without_itself,
    ),
    Trial(
        exercise=exercises.many_heads,
        stub=stub,
        right=[fused_heads, head_by_head],
        wrong={
            root_of_all: "whole width",
            interleaved: "dealt out in turns",
            three_inside: "inside each head",
            joined_in_turns: "joined in turns",
            never_moved_back: "not moved back",
            cut_by_view: "which mixes tokens",
            cut_and_glued_by_view: "cut off and joined",
            heads_among_themselves: "attend to each other",
            key_first: "ueries and keys",
            value_second: "eys and values",
            one_wide_head: "only one head",
        },
        unforeseen=heads_backwards,
    ),
    Trial(
        exercise=exercises.mean_distance,
        stub=stub,
        right=[distance_by_loops, distance_by_meshgrid],
        wrong={
            distance_with_class_token: "no longer sum to one",
            distance_from_the_wrong_end: "last token is dropped",
            manhattan: "Manhattan",
            squared: "squared",
            turned: "swapped",
            along_the_list: "along the list",
            attended_from: "those that attend",
            plain_mean: "averaged",
            never_averaged: "take their mean",
            all_at_once: "are pooled",
        },
        unforeseen=strongest_only,
    ),
]
