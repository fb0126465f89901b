"""Answers to the exercises of chapter 06, as learners write them: with loops, einsum, floor division and linspace."""

import math

import numpy as np
import torch
from torch import nn
from trials import Trial

from vitseg_lib.course.exercises import neck as exercises


def stub(*arguments):
    raise NotImplementedError


# A convolution that is a matrix


def by_einsum(maps, weight, bias):
    return torch.einsum("dc,bchw->bdhw", weight.squeeze(), maps) + bias.view(1, -1, 1, 1)


def by_loops(maps, weight, bias):
    channels = [
        sum(weight[d, c, 0, 0] * maps[:, c] for c in range(maps.shape[1])) + bias[d] for d in range(len(weight))
    ]
    return torch.stack(channels, dim=1)


def by_module(maps, weight, bias):
    layer = nn.Conv2d(weight.shape[1], len(weight), kernel_size=1)
    layer.load_state_dict({"weight": weight, "bias": bias})
    return layer(maps).detach()


def without_bias(maps, weight, bias):
    return by_einsum(maps, weight, torch.zeros_like(bias))


def turned_matrix(maps, weight, bias):
    return torch.einsum("cd,bchw->bdhw", weight.squeeze(), maps) + bias.view(1, -1, 1, 1)


def matrix_on_the_columns(maps, weight, bias):
    return maps @ weight.squeeze().T + bias


def bias_on_the_columns(maps, weight, bias):
    return torch.einsum("dc,bchw->bdhw", weight.squeeze(), maps) + bias


def channels_left_last(maps, weight, bias):
    return maps.permute(0, 2, 3, 1) @ weight.squeeze().T + bias


def viewed_back(maps, weight, bias):
    flat = channels_left_last(maps, weight, bias).contiguous()
    return flat.view(maps.shape[0], weight.shape[0], maps.shape[2], maps.shape[3])


def with_relu(maps, weight, bias):
    return torch.relu(by_einsum(maps, weight, bias))


def mean_of_products(maps, weight, bias):
    products = weight.squeeze()[None, :, :, None, None] * maps[:, None]
    return products.mean(dim=2) + bias[:, None, None]


def doubled(maps, weight, bias):
    return 2 * by_einsum(maps, weight, bias)


# Sizes of a pyramid


def by_floor(grid, factors):
    return [tuple(max(math.floor(side * factor), 1) for side in grid) for factor in factors]


def as_array(grid, factors):
    return np.maximum(np.floor(np.outer(factors, grid)), 1).astype(int)


def rounded_up(grid, factors):
    return [(math.ceil(grid[0] * f), math.ceil(grid[1] * f)) for f in factors]


def rounded(grid, factors):
    return [(max(round(grid[0] * f), 1), max(round(grid[1] * f), 1)) for f in factors]


def no_least(grid, factors):
    return [(int(grid[0] * f // 1), int(grid[1] * f // 1)) for f in factors]


def width_first(grid, factors):
    return [size[::-1] for size in by_floor(grid, factors)]


def divided(grid, factors):
    return [(max(int(grid[0] / f), 1), max(int(grid[1] / f), 1)) for f in factors]


def coarse_first(grid, factors):
    return list(reversed(by_floor(grid, factors)))


def one_too_many(grid, factors):
    return [(h + 1, w) for h, w in by_floor(grid, factors)]


# Where does it read?


def with_lists(old, factor):
    new = math.floor(old * factor)
    by_factor = [(2 * i + 1) / (2 * factor) - 0.5 for i in range(new)]
    return by_factor, [(2 * i + 1) * old / (2 * new) - 0.5 for i in range(new)]


def with_numpy(old, factor):
    edges = np.arange(0.5, int(old * factor))
    return np.stack([edges / factor - 0.5, edges / len(edges) * old - 0.5])


def one_rule(old, factor):
    by_factor, _ = with_lists(old, factor)
    return by_factor, by_factor


def stretched_both(old, factor):
    _, by_size = with_lists(old, factor)
    return by_size, by_size


def size_first(old, factor):
    return with_lists(old, factor)[::-1]


def corners(old, factor):
    steps = torch.arange(int(old * factor))
    return steps / factor, steps * (old / len(steps))


def from_the_edge(old, factor):
    return [[x + 0.5 for x in row] for row in with_lists(old, factor)]


def aligned(old, factor):
    by_factor, by_size = with_lists(old, factor)
    return by_factor, torch.linspace(0, old - 1, len(by_size))


def backwards(old, factor):
    centres = torch.arange(int(old * factor)) + 0.5
    return centres * factor - 0.5, centres * len(centres) / old - 0.5


def held_inside(old, factor):
    return [[max(0.0, x) for x in row] for row in with_lists(old, factor)]


def a_quarter_on(old, factor):
    return [[x + 0.25 for x in row] for row in with_lists(old, factor)]


TRIALS = [
    Trial(
        exercise=exercises.mix_channels,
        stub=stub,
        right=[by_einsum, by_loops, by_module],
        wrong={
            without_bias: "bias is missing",
            channels_left_last: "left at the end",
            viewed_back: "merged by `reshape`",
            with_relu: "activation",
            mean_of_products: "averages",
            turned_matrix: "transposed",
            matrix_on_the_columns: "mixes columns",
            bias_on_the_columns: "along the columns",
        },
        unforeseen=doubled,
    ),
    Trial(
        exercise=exercises.level_sizes,
        stub=stub,
        right=[by_floor, as_array],
        wrong={
            rounded_up: "rounded up",
            rounded: "nearest even",
            no_least: "at least one row",
            width_first: "swapped",
            divided: "divided",
            coarse_first: "another order",
        },
        unforeseen=one_too_many,
    ),
    Trial(
        exercise=exercises.source_positions,
        stub=stub,
        right=[with_lists, with_numpy],
        wrong={
            one_rule: "Both rows are those by factor",
            stretched_both: "Both rows are those by size",
            size_first: "swapped",
            corners: "half-pixel centres are missing",
            from_the_edge: "last ½",
            aligned: "align_corners",
            backwards: "wrong way round",
            held_inside: "leave them negative",
        },
        unforeseen=a_quarter_on,
    ),
]
