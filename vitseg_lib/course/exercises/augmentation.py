"""The exercises of chapter 02: mirror a pair, resize labels by their centres, choose a window, normalise and pad."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from vitseg_lib.course import solution
from vitseg_lib.course.exercises.augmentation_mistakes import FLIPS, INVENTED, NEAREST, PADS, WINDOWS
from vitseg_lib.course.exercises.base import Case, Exercise, randint


def numpy_generator(generator: torch.Generator) -> np.random.Generator:
    """A NumPy generator with a seed of its own."""
    return np.random.default_rng(randint(generator, 0, 2**31 - 1))


def random_pair(generator: torch.Generator, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """An image and labels of noise."""
    rng = numpy_generator(generator)
    return rng.integers(0, 256, (height, width, 3), np.uint8), rng.integers(0, 150, (height, width), np.uint8)


# Mirror both, or neither


def flip_both_cases(generator: torch.Generator) -> Iterator[Case]:
    """One case for each outcome of two draws, of which one is needed."""
    for outcome in ([True, True], [True, False], [False, True], [False, False]):
        probability = 0.3 + 0.4 * float(torch.rand((), generator=generator))
        seed = randint(generator, 0, 2**30)
        while (np.random.default_rng(seed).random(2) < probability).tolist() != outcome:
            seed += 1
        height = randint(generator, 3, 6)
        pair = random_pair(generator, height, height + randint(generator, 1, 4))
        yield *pair, probability, np.random.default_rng(seed)


flip_both = Exercise(
    title="Mirror both, or neither",
    minutes=4,
    difficulty=1,
    reference=solution.flip_both,
    part="flip_both",
    cases=flip_both_cases,
    hints=(
        "Draw once, and use that one draw for both arrays.",
        "Columns are axis 1 of both arrays: `image[:, ::-1]` leaves rows and channels as they are.",
    ),
    mistakes=FLIPS,
)


# Nearest, by the centre


def nearest_by_centre_solution(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Labels (H, W) → labels of (height, width): each new pixel copies the old one that its centre falls into."""
    rows = (2 * np.arange(size[0]) + 1) * labels.shape[0] // (2 * size[0])
    columns = (2 * np.arange(size[1]) + 1) * labels.shape[1] // (2 * size[1])
    return labels[rows[:, None], columns]


def nearest_by_centre_cases(generator: torch.Generator) -> Iterator[Case]:
    """Larger and smaller along either axis; odd old and even new sides, so that no centre falls on an edge."""
    for down, across in ((1.6, 2.3), (0.7, 0.45), (1.4, 0.6), (0.55, 1.7)):
        # 3 modulo 4 and prime: in whatever way halves are rounded, the same mistake gives the same pixels.
        old = (11, 19)[randint(generator, 0, 1)], (23, 31)[randint(generator, 0, 1)]
        size = [2 * round(side * factor / 2) for side, factor in zip(old, (down, across), strict=True)]
        size = [new + 2 if new % side == 0 else new for new, side in zip(size, old, strict=True)]
        yield random_pair(generator, *old)[1] // 7 * 7, tuple(size)  # a blend is no multiple of 7


def copied_labels(answer: Callable, case: Case) -> Any:
    """The labels, or one word for all answers with labels that were not there: rounding would tell them apart."""
    labels = answer(*case)
    if labels is None or labels is ... or np.isin(labels, case[0]).all():
        return labels
    return INVENTED


nearest_by_centre = Exercise(
    title="Nearest, by the centre",
    minutes=8,
    difficulty=2,
    reference=nearest_by_centre_solution,
    cases=nearest_by_centre_cases,
    call=copied_labels,
    hints=(
        "The centre of new pixel i lies at i + 0.5 on the new ruler. Where is that on the old one?",
        "Old pixel j covers the stretch from j to j + 1; so the one that covers the position x is floor(x).",
        "For each axis `np.floor((np.arange(new) + 0.5) * old / new).astype(int)`; then index with rows and columns.",
    ),
    mistakes=NEAREST,
    axes=("row", "column"),
)


# A window that looks at its classes


def choose_window_cases(generator: torch.Generator) -> Iterator[Case]:
    """Windows with exactly three quarters of a class, one class only, much that is ignored, and small images."""
    height, crop = randint(generator, 9, 11), 8
    halves = np.repeat([[3] * 13 + [1] * 14], height, axis=0).astype(np.uint8)
    for ignored, left in (
        (slice(0, 0), 7),  # 6 of the window's 8 columns are one class: exactly three quarters
        (slice(0, 0), 6),  # 7 of 8
        (slice(4, 10), 4),  # 2 of 8 have a class, the same
        (slice(9, 15), 8),  # 2 of 8 have a class, and not the same
        (slice(0, 20), 3),  # none has
    ):
        labels = halves.copy()
        labels[:, ignored] = 255
        yield labels, crop, rng_whose_first_window(generator, labels, crop, left)
    yield np.full((height, 19), 7, np.uint8), crop, numpy_generator(generator)
    yield random_pair(generator, 5, 21)[1], crop, numpy_generator(generator)
    yield random_pair(generator, 17, 14)[1] % 3, crop, numpy_generator(generator)


def rng_whose_first_window(generator: torch.Generator, labels: np.ndarray, crop: int, left: int) -> np.random.Generator:
    """A generator whose first window begins at the column `left`."""
    bounds = [side - crop + 1 for side in labels.shape]
    seed = randint(generator, 0, 2**30)
    while int(np.random.default_rng(seed).integers(bounds)[1]) != left:
        seed += 1
    return np.random.default_rng(seed)


choose_window = Exercise(
    title="A window that looks",
    minutes=12,
    difficulty=3,
    reference=solution.choose_window,
    part="choose_window",
    cases=choose_window_cases,
    hints=(
        "A loop of ten draws: draw, cut the window out, count its classes, and return at once if it will do.",
        "`counts = np.bincount(window[window != 255])` counts each class among the pixels that have one; "
        "the largest fraction is `counts.max() / counts.sum()`, unless nothing is counted at all.",
        "After the loop comes one more draw, and its window is returned unchecked. A window of an image smaller than "
        "`crop` ends where the image ends.",
    ),
    mistakes=WINDOWS,
)


# Normalise, then pad


def normalise_and_pad_cases(generator: torch.Generator) -> Iterator[Case]:
    """Images that lack rows, columns, or both."""
    for lacking in ((0, 3), (4, 0), (2, 5)):
        crop = randint(generator, 8, 11)
        yield *random_pair(generator, crop - lacking[0], crop - lacking[1]), crop


normalise_and_pad = Exercise(
    title="Normalise, then pad",
    minutes=8,
    difficulty=2,
    reference=solution.normalise_and_pad,
    part="normalise_and_pad",
    cases=normalise_and_pad_cases,
    hints=(
        "Zero is the mean colour only once the mean has been subtracted.",
        "`(image - MEAN) / STD` works on (H, W, 3) as it is; then the channels move to the front.",
        "`F.pad(pixels, (left, right, top, bottom))` counts from the last axis; "
        "`np.pad(labels, ((top, bottom), (left, right)), constant_values=…)` from the first.",
    ),
    mistakes=PADS,
)


# The training transform


def _pipeline_cases(generator: torch.Generator) -> Iterator[Case]:
    """Images that grow, shrink below the crop and must be padded, and are mirrored or not."""
    for ratio in (0.5, 1.0, 1.6):
        height, width = randint(generator, 20, 30), randint(generator, 31, 44)
        seed = randint(generator, 0, 2**30)
        yield *random_pair(generator, height, width), seed, 24, (4 * width, height), (ratio, ratio + 0.3)


def transformed(answer: Callable, case: Case) -> Any:
    """Pixels and labels of an answer that draws from a generator of this seed."""
    image, labels, seed, crop, scale, ratio_range = case
    rng = np.random.default_rng(seed)
    pixels, labels = answer(image, labels, rng, crop=crop, scale=scale, ratio_range=ratio_range)
    return pixels, labels, float(rng.random())


pipeline = Exercise(
    title="The training transform",
    minutes=12,
    difficulty=2,
    reference=solution.train_transform,
    cases=_pipeline_cases,
    call=transformed,
    hints=(
        "In this order: draw a size and resize both; choose a window and cut both; mirror; normalise and pad.",
        "`size = fit_size(*labels.shape, random_scale(rng, scale, ratio_range))`, then `resize_image` and "
        "`resize_labels`. Everything random comes from `rng`, in this order.",
    ),
    part="train_transform",
)
