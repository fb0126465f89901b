"""The exercises of chapter 10: the windows along a side, the mean of many views, and the pixels near an edge."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from vitseg_lib.course.exercises import evaluation_mistakes as mistakes
from vitseg_lib.course.exercises.base import Case, Exercise, randint

# Windows along one side


def windows_along(side: int, crop: int, stride: int) -> list[tuple[int, int]]:
    """(start, stop) of each window of at most `crop` pixels along a side; the last is shifted back inside."""
    starts = [0]
    while starts[-1] + crop < side:
        starts.append(min(starts[-1] + stride, side - crop))
    return [(start, min(start + crop, side)) for start in starts]


def _sides(generator: torch.Generator) -> Iterator[Case]:
    """A last window to shift back, windows that fit exactly, a side of one window, and one smaller than the window."""
    crop = randint(generator, 40, 60)
    stride = randint(generator, 21, crop - 12)
    steps = randint(generator, 3, 5)
    fits = crop + steps * stride
    yield fits + randint(generator, 3, stride - 8), crop, stride
    yield fits + stride - 2, crop, stride
    yield fits, crop, stride
    yield crop, crop, stride
    yield randint(generator, 15, crop - 5), crop, stride


windows = Exercise(
    title="Where the windows stand",
    minutes=8,
    difficulty=2,
    reference=windows_along,
    cases=_sides,
    hints=(
        "Three things can happen at the end: the last window fits exactly, it would run over the end and is shifted "
        "back, or the side is shorter than one window. Draw a side of 10 with windows of 4 every 3.",
        "Begin with one window at 0. While the last one does not reach the end, add another: `stride` further on, but "
        "never further than `side - crop`.",
        "`starts.append(min(starts[-1] + stride, side - crop))` while `starts[-1] + crop < side`; each stop is "
        "`min(start + crop, side)`.",
    ),
    mistakes=mistakes.WINDOWS,
)


# One prediction from many views


def mean_probabilities(views: Tensor, flipped: Sequence[bool]) -> Tensor:
    """Logits of each view (V, K, H, W), some of mirrored images → mean probabilities (K, H, W), none mirrored."""
    total = torch.zeros(views.shape[1:])
    for logits, mirrored in zip(views, flipped, strict=True):
        probabilities = logits.softmax(dim=0)
        total += probabilities.flip(-1) if mirrored else probabilities
    return total / len(views)


def _views(generator: torch.Generator) -> Iterator[Case]:
    """Two sets of views, of which two or three are mirrored; the views differ much in their confidence."""
    for _ in range(2):
        count, classes = randint(generator, 5, 6), randint(generator, 4, 7, exclude=(5, 6))
        height, width = randint(generator, 8, 10), randint(generator, 11, 13)
        confidence = torch.linspace(0.5, 6, count)[torch.randperm(count, generator=generator), None, None, None]
        views = confidence * torch.randn(count, classes, height, width, generator=generator)
        order = torch.randperm(count, generator=generator)
        yield views, [bool(rank < randint(generator, 2, 3)) for rank in order]


fuse = Exercise(
    title="Many views, one prediction",
    minutes=8,
    difficulty=2,
    reference=mean_probabilities,
    cases=_views,
    hints=(
        "Three steps for every view: logits become probabilities; a mirrored view is mirrored back; then the mean over "
        "views. Which axis are the classes on, which the columns?",
        "`views.softmax(dim=1)` makes probabilities of all views at once; `view.flip(-1)` mirrors left and right.",
        "Go through `zip(views, flipped)`, add `logits.softmax(dim=0)`, mirrored back where `flipped` says so, and "
        "divide by `len(views)`.",
    ),
    mistakes=mistakes.FUSE,
    axes=("class", "row", "column"),
)


# Pixels near an edge


def near_an_edge(labels: Tensor, distance: int) -> Tensor:
    """Whether a pixel of labels (H, W) has another label within `distance` rows and columns: (H, W), bool."""
    height, width = labels.shape
    near = torch.zeros(labels.shape, dtype=torch.bool)
    for row in range(height):
        for column in range(width):
            rows = slice(max(row - distance, 0), row + distance + 1)
            columns = slice(max(column - distance, 0), column + distance + 1)
            near[row, column] = bool((labels[rows, columns] != labels[row, column]).any())
    return near


def _maps(generator: torch.Generator) -> Iterator[Case]:
    """Small maps of four labels in blocks, far from square, at distances 1 to 3."""
    for distance in (1, 2, 3):
        blocks = torch.randint(0, 4, (randint(generator, 2, 3), randint(generator, 4, 5)), generator=generator)
        blocks[0, 0], blocks[0, 1] = 3, 0
        tall, wide = randint(generator, 8, 9), randint(generator, 10, 12)
        yield blocks.repeat_interleave(tall, 0).repeat_interleave(wide, 1), distance


edges = Exercise(
    title="Near an edge",
    minutes=10,
    difficulty=2,
    reference=near_an_edge,
    cases=_maps,
    hints=(
        "For one pixel: cut the square of 2 · distance + 1 pixels around it out of the map, and see whether any label "
        "in it differs from the pixel's own. Mind what a slice does with a negative start.",
        "Without loops: the largest label of each square and the smallest. Where either differs from the pixel's own, "
        "there is another label in the square.",
        "`F.max_pool2d(x, 2 * distance + 1, stride=1, padding=distance)` of the labels as float is the largest, and "
        "`-F.max_pool2d(-x, …)` the smallest; the pool wants an axis for channels in front.",
    ),
    mistakes=mistakes.EDGES,
    axes=("row", "column"),
)
