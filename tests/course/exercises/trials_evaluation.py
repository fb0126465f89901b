"""Answers to the exercises of chapter 10, right and wrong."""

import math

import torch
import torch.nn.functional as F
from trials import Trial

from vitseg_lib.course.exercises import evaluation as exercises
from vitseg_lib.engine.inference import window_corners

# Windows along one side


def windows_stub(side, crop, stride):
    raise NotImplementedError


def windows_by_formula(side, crop, stride):
    steps = max(side - crop + stride - 1, 0) // stride + 1
    starts = [max(min(step * stride, side - crop), 0) for step in range(steps)]
    return [(start, min(start + crop, side)) for start in starts]


def windows_by_the_library(side, crop, stride):
    return [[left, min(left + crop, side)] for _, left in window_corners(1, side, crop, stride)]


def windows_over_the_end(side, crop, stride):
    found, start = [], 0
    while True:
        found.append((start, start + crop))
        if start + crop >= side:
            return found
        start += stride


def windows_cut_short(side, crop, stride):
    return [(start, min(stop, side)) for start, stop in windows_over_the_end(side, crop, stride)]


def windows_that_fit(side, crop, stride):
    if side < crop:
        return [(0, side)]
    return [(start, start + crop) for start in range(0, side - crop + 1, stride)]


def windows_one_too_many(side, crop, stride):
    if side < crop:
        return [(0, side)]
    starts = [*range(0, side - crop + 1, stride), side - crop]
    return [(start, start + crop) for start in starts]


def windows_from_everywhere(side, crop, stride):
    starts = [max(0, min(start, side - crop)) for start in range(0, side, stride)]
    return [(start, min(start + crop, side)) for start in starts]


def windows_without_overlap(side, crop, stride):
    return windows_by_formula(side, crop, crop)


def windows_too_long(side, crop, stride):
    return [(start, start + crop) for start, _ in windows_by_formula(side, crop, stride)]


def windows_below_zero(side, crop, stride):
    steps = max(0, math.ceil((side - crop) / stride)) + 1
    return [(min(n * stride, side - crop), min(n * stride, side - crop) + crop) for n in range(steps)]


def windows_as_lengths(side, crop, stride):
    return [(start, stop - start) for start, stop in windows_by_formula(side, crop, stride)]


def windows_odd(side, crop, stride):
    return [(start + 1, stop) for start, stop in windows_by_formula(side, crop, stride)]


# One answer from many views


def fuse_stub(views, flipped):
    raise NotImplementedError


def fuse_at_once(views, flipped):
    views = views.clone()
    views[flipped] = views[flipped].flip(-1)
    return torch.softmax(views, 1).mean(0)


def fuse_by_exp(views, flipped):
    belief = views.double().exp()
    belief = belief / belief.sum(1, keepdim=True)
    turned = [b.flip(dims=[2]) if f else b for b, f in zip(belief, flipped, strict=True)]
    return sum(turned) / len(turned)


def fuse_logits(views, flipped):
    views[flipped] = views[flipped].flip(-1)
    return F.softmax(views.mean(0), 0)


def fuse_raw(views, flipped):
    views[flipped] = views[flipped].flip(-1)
    return sum(views) / len(views)


def fuse_mixed(views, flipped):
    return torch.softmax(views, 1).sum(0) / len(flipped)


def fuse_all_turned(views, flipped):
    return fuse_mixed(torch.flip(views, [3]), flipped)


def fuse_wrong_ones(views, flipped):
    return fuse_at_once(views, [not f for f in flipped])


def fuse_upside_down(views, flipped):
    views[flipped] = views[flipped].flip(2)
    return fuse_mixed(views, flipped)


def fuse_over_views(views, flipped):
    views = torch.softmax(views, 0)
    views[flipped] = views[flipped].flip(-1)
    return views.mean(0)


def fuse_votes(views, flipped):
    views[flipped] = views[flipped].flip(-1)
    best = views.argmax(1, keepdim=True)
    return torch.zeros_like(views).scatter(1, best, 1.0).mean(0)


def fuse_sum(views, flipped):
    return fuse_at_once(views, flipped) * len(flipped)


def fuse_labels(views, flipped):
    return fuse_at_once(views, flipped).argmax(0)


def fuse_odd(views, flipped):
    return fuse_at_once(views, flipped) ** 2


# The neighbourhood of edges


def edges_stub(labels, distance):
    raise NotImplementedError


def pooled(labels, size, padding):
    return F.max_pool2d(labels[None].float(), size, stride=1, padding=padding)[0]


def edges_by_pools(labels, distance):
    size = 2 * distance + 1
    highest, lowest = pooled(labels, size, distance), -pooled(-labels, size, distance)
    return (highest != labels) | (lowest != labels)


def edges_by_unfold(labels, distance):
    padded = F.pad(labels[None, None].float(), [distance] * 4, mode="replicate")[0, 0]
    squares = padded.unfold(0, 2 * distance + 1, 1).unfold(1, 2 * distance + 1, 1)
    return (squares != labels[..., None, None]).flatten(2).any(-1)


def edges_inverted(labels, distance):
    return edges_by_pools(labels, distance) == 0


def edges_too_near(labels, distance):
    return edges_by_pools(labels, distance - 1)


def edges_too_far(labels, distance):
    return edges_by_pools(labels, distance + 1)


def looking(labels, distance, before, after):
    near = torch.zeros_like(labels, dtype=torch.bool)
    for row in range(labels.shape[0]):
        for column in range(labels.shape[1]):
            top, left = max(row - before, 0), max(column - before, 0)
            patch = labels[top : row + after, left : column + after]
            near[row, column] = (patch != labels[row, column]).any()
    return near


def edges_rightwards(labels, distance):
    return looking(labels, distance, 0, distance + 1)


def edges_open_slice(labels, distance):
    return looking(labels, distance, distance, distance)


def edges_only_maximum(labels, distance):
    return pooled(labels, 2 * distance + 1, distance) > labels


def edges_only_minimum(labels, distance):
    return -pooled(-labels, 2 * distance + 1, distance) < labels


def edges_as_a_cross(labels, distance):
    rows, columns = (
        (F.max_pool2d(sign * labels[None].float(), size, stride=1, padding=pad)[0] != sign * labels)
        for sign in (1, -1)
        for size, pad in [((1, 2 * distance + 1), (0, distance))]
    )
    upright = edges_by_pools(labels, 0)
    for sign in (1, -1):
        column = F.max_pool2d(sign * labels[None].float(), (2 * distance + 1, 1), stride=1, padding=(distance, 0))[0]
        upright |= column != sign * labels
    return rows | columns | upright


def edges_with_border(labels, distance):
    padded = F.pad(labels, [distance] * 4, value=-1)
    return edges_by_pools(padded, distance)[distance:-distance, distance:-distance]


def edges_odd(labels, distance):
    return edges_by_pools(labels, distance).flip(0)


TRIALS = [
    Trial(
        exercise=exercises.windows,
        stub=windows_stub,
        right=[windows_by_formula, windows_by_the_library],
        wrong={
            windows_over_the_end: "runs over the end",
            windows_cut_short: "cut short",
            windows_that_fit: "rounded up",
            windows_one_too_many: "one window too many",
            windows_from_everywhere: "cover each other",
            windows_without_overlap: "side by side",
            windows_too_long: "ends outside",
            windows_below_zero: "negative start",
            windows_as_lengths: "(start, length)",
        },
        unforeseen=windows_odd,
    ),
    Trial(
        exercise=exercises.fuse,
        stub=fuse_stub,
        right=[fuse_at_once, fuse_by_exp],
        wrong={
            fuse_logits: "mean of the logits, then the softmax",
            fuse_raw: "never became probabilities",
            fuse_mixed: "not mirrored back",
            fuse_all_turned: "the plain ones too",
            fuse_wrong_ones: "the other way round",
            fuse_upside_down: "upside down",
            fuse_over_views: "runs over the views",
            fuse_votes: "counts votes",
            fuse_sum: "the sum over the views",
            fuse_labels: "the best class",
        },
        unforeseen=fuse_odd,
    ),
    Trial(
        exercise=exercises.edges,
        stub=edges_stub,
        right=[edges_by_pools, edges_by_unfold],
        wrong={
            edges_inverted: "inverted",
            edges_too_near: "too small",
            edges_too_far: "too large",
            edges_rightwards: "to the right and down only",
            edges_open_slice: "lacks its last row",
            edges_only_maximum: "that of the smaller label",
            edges_only_minimum: "that of the larger label",
            edges_as_a_cross: "corners count",
            edges_with_border: "border of the map",
        },
        unforeseen=edges_odd,
    ),
]
