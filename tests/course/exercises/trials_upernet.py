"""Answers to the exercises of chapter 07, right and wrong."""

import itertools
import math

import torch
import torch.nn.functional as F
from torch import nn
from trials import Trial

from vitseg_lib.course.exercises import upernet as exercises

# Adaptive average pooling


def pool_stub(x, bins):
    raise NotImplementedError


def pool_by_torch(x, bins):
    return nn.AdaptiveAvgPool2d(bins)(x)


def averaging(side, bins, start=math.floor, stop=math.ceil):
    """Row i averages window i of a side."""
    rows = torch.zeros(bins, side)
    for i in range(bins):
        rows[i, start(i * side / bins) : stop((i + 1) * side / bins)] = 1
    return rows / rows.sum(dim=1, keepdim=True)


def pool_by_matrices(x, bins):
    return torch.einsum("ih,bchw,jw->bcij", averaging(x.shape[2], bins), x, averaging(x.shape[3], bins))


def pool_floors(x, bins):
    down, across = (averaging(side, bins, stop=math.floor) for side in x.shape[-2:])
    return down @ x @ across.T


def pool_ceilings(x, bins):
    down, across = (averaging(side, bins, start=math.ceil) for side in x.shape[-2:])
    return down @ x @ across.T


def pool_too_far(x, bins):
    down, across = (averaging(side, bins, stop=lambda end: math.floor(end) + 1) for side in x.shape[-2:])
    return down @ x @ across.T


def pool_fixed_windows(x, bins):
    size = (x.shape[2] // bins, x.shape[3] // bins)
    return F.avg_pool2d(x, kernel_size=size, stride=size)[:, :, :bins, :bins]


def pool_sums(x, bins):
    down, across = (averaging(side, bins) for side in x.shape[-2:])
    return (down > 0).float() @ x @ (across > 0).float().T


def pool_one_area(x, bins):
    return pool_sums(x, bins) / (math.ceil(x.shape[2] / bins) * math.ceil(x.shape[3] / bins))


def pool_largest(x, bins):
    return F.adaptive_max_pool2d(x, bins)


def pool_transposed(x, bins):
    return F.adaptive_avg_pool2d(x.mT, bins)


def pool_height_twice(x, bins):
    return F.adaptive_avg_pool2d(x[..., : x.shape[2]], bins)


def pool_resized(x, bins):
    return nn.Upsample((bins, bins), mode="bilinear")(x)


def pool_odd(x, bins):
    return F.adaptive_avg_pool2d(x, bins) ** 2


# The top-down path


def path_stub(levels):
    raise NotImplementedError


def bigger(x, other, **how):
    return F.interpolate(x, other.shape[2:], **(how or {"mode": "bilinear"}))


def path_in_place(levels):
    levels = [level.clone() for level in levels]
    for i in (3, 2, 1)[-len(levels) + 1 :]:
        levels[i - 1] += bigger(levels[i], levels[i - 1])
    return levels


def path_by_recursion(levels):
    if len(levels) == 1:
        return levels
    rest = path_by_recursion(levels[1:])
    return [levels[0] + bigger(rest[0], levels[0]), *rest]


def path_unsummed(levels):
    return [a + bigger(b, a) for a, b in itertools.pairwise(levels)] + [levels[-1]]


def path_upwards(levels):
    found = [levels[0]]
    for level in levels[1:]:
        found.append(level + bigger(found[-1], level))
    return found


def path_without_the_last(levels):
    return [levels[0], *path_by_recursion(levels[1:])]


def path_without_the_first(levels):
    return [*path_by_recursion(levels[:-1]), levels[-1]]


def path_replaced(levels):
    found = [levels[-1]]
    for level in levels[-2::-1]:
        found.insert(0, bigger(found[0], level))
    return found


def path_averaged(levels):
    found = [levels[-1]]
    for level in levels[-2::-1]:
        found.insert(0, torch.stack([level, bigger(found[0], level)]).mean(0))
    return found


def path_nearest(levels):
    found = [levels[-1]]
    for level in levels[-2::-1]:
        found.insert(0, level + bigger(found[0], level, mode="nearest"))
    return found


def path_to_the_corners(levels):
    found = [levels[-1]]
    for level in levels[-2::-1]:
        found.insert(0, level + bigger(found[0], level, mode="bilinear", align_corners=True))
    return found


def path_from_the_top_only(levels):
    top = levels[-1]
    return [x if x is top else x + bigger(top, x) for x in levels]


def path_straight(levels):
    return [sum(bigger(b, a) for b in levels[i:]) for i, a in enumerate(levels)]


def path_odd(levels):
    return [x * 2 for x in path_by_recursion(levels)]


# BatchNorm folded into a convolution


def fold_stub(weight, gain, shift, mean, variance, eps):
    raise NotImplementedError


def fold_by_torch(weight, gain, shift, mean, variance, eps):
    nothing = torch.zeros_like(mean)
    return nn.utils.fusion.fuse_conv_bn_weights(weight, nothing, mean, variance, eps, gain, shift)


def fold_by_probing(weight, gain, shift, mean, variance, eps):
    def norm(x):
        return F.batch_norm(x, mean, variance, gain, shift, eps=eps)

    bias = norm(torch.zeros(1, len(mean)))[0]
    kernels = norm(weight.flatten(1).T) - bias
    return kernels.T.reshape(weight.shape), bias


def fold_without_eps(weight, gain, shift, mean, variance, eps):
    return fold_by_torch(weight, gain, shift, mean, variance, 0.0)


def fold_eps_outside(weight, gain, shift, mean, variance, eps):
    deviation = variance.sqrt() + eps
    return weight * (gain / deviation)[:, None, None, None], shift - gain * mean / deviation


def fold_without_root(weight, gain, shift, mean, variance, eps):
    return torch.einsum("oikl,o->oikl", weight, gain / (variance + eps)), shift - mean * gain / (variance + eps)


def fold_multiplied(weight, gain, shift, mean, variance, eps):
    deviation = (variance + eps).sqrt()
    return torch.einsum("oikl,o->oikl", weight, gain * deviation), shift - mean * gain * deviation


def fold_without_gain(weight, gain, shift, mean, variance, eps):
    return fold_by_torch(weight, torch.ones_like(gain), shift, mean, variance, eps)


def fold_without_mean(weight, gain, shift, mean, variance, eps):
    return fold_by_torch(weight, gain, shift, torch.zeros_like(mean), variance, eps)


def fold_plain_mean(weight, gain, shift, mean, variance, eps):
    return fold_by_torch(weight, gain, shift, mean, variance, eps)[0], -mean + shift


def fold_mean_added(weight, gain, shift, mean, variance, eps):
    return fold_by_torch(weight, gain, shift, -mean, variance, eps)


def fold_shift_scaled(weight, gain, shift, mean, variance, eps):
    factor = gain * torch.rsqrt(variance + eps)
    return torch.einsum("oikl,o->oikl", weight, factor), factor * shift - factor * mean


def fold_bias_only(weight, gain, shift, mean, variance, eps):
    return weight, fold_by_torch(weight, gain, shift, mean, variance, eps)[1]


def fold_odd(weight, gain, shift, mean, variance, eps):
    folded_weight, bias = fold_by_torch(weight, gain, shift, mean, variance, eps)
    return folded_weight, bias + 1


TRIALS = [
    Trial(
        exercise=exercises.adaptive_pool,
        stub=pool_stub,
        right=[pool_by_torch, pool_by_matrices],
        wrong={
            pool_floors: "both ends are rounded down",
            pool_ceilings: "start of a window is rounded up",
            pool_too_far: "floor plus one",
            pool_fixed_windows: "the last pixels are in none",
            pool_sums: "add the pixels of a window up",
            pool_one_area: "divided by the same area",
            pool_largest: "max pooling",
            pool_transposed: "rows and columns are swapped",
            pool_height_twice: "windows are cut from h",
            pool_resized: "resize the map, which",
        },
        unforeseen=pool_odd,
    ),
    Trial(
        exercise=exercises.top_down,
        stub=path_stub,
        right=[path_in_place, path_by_recursion],
        wrong={
            path_unsummed: "not as a sum",
            path_upwards: "go upwards: each level",
            path_without_the_last: "number 0, stays as it came in",
            path_without_the_first: "never added to anything",
            path_replaced: "lose its own",
            path_averaged: "average the two maps",
            path_nearest: "nearest pixel",
            path_to_the_corners: "`align_corners` is True",
            path_from_the_top_only: "coarsest map only",
            path_straight: "step by step",
        },
        unforeseen=path_odd,
    ),
    Trial(
        exercise=exercises.fold,
        stub=fold_stub,
        right=[fold_by_torch, fold_by_probing],
        wrong={
            fold_without_eps: "eps is left out",
            fold_eps_outside: "eps is added to the root",
            fold_without_root: "divide by the variance",
            fold_multiplied: "multiply by the standard deviation",
            fold_without_gain: "gain is left out",
            fold_without_mean: "bias is the shift alone",
            fold_plain_mean: "mean is subtracted as it is",
            fold_mean_added: "mean is added where",
            fold_shift_scaled: "shift is scaled as well",
            fold_bias_only: "weight is as it was",
        },
        unforeseen=fold_odd,
    ),
]
