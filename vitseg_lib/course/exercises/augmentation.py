"""The exercises of chapter 02: mirror, resize labels and a row, choose a window, normalise and pad, and all of it."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from vitseg_lib.course import solution
from vitseg_lib.course.exercises.augmentation_mistakes import (
    FLIPS,
    INVENTED,
    NEAREST,
    PADS,
    PIPELINES,
    ROWS,
    WINDOWS,
)
from vitseg_lib.course.exercises.base import Case, Exercise, Fault, randint
from vitseg_lib.course.exercises.compare import agree


def yours_if_right(exercise: Exercise, answer: Callable) -> Callable:
    """The answer if it is right, else the course's own; a line says whose it is."""
    right = exercise.check(answer).verdict == "right"
    whose = "yours" if right else "the course's"
    print(f"{whose}: {exercise.reference.__name__}")
    return answer if right else exercise.reference


def numpy_generator(generator: torch.Generator) -> np.random.Generator:
    """A NumPy generator with a seed of its own."""
    return np.random.default_rng(randint(generator, 0, 2**31 - 1))


def random_pair(generator: torch.Generator, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """An image and labels of noise."""
    rng = numpy_generator(generator)
    return rng.integers(0, 256, (height, width, 3), np.uint8), rng.integers(0, 150, (height, width), np.uint8)


def drawing_from_rng(answer: Callable, case: Case) -> Any:
    """The answer's result. Fault if the same call gives another one: then it draws from elsewhere than from `rng`."""
    before = answer(*copy.deepcopy(case))
    result = answer(*case)
    if before is not None and before is not ... and not agree(before, result, 1e-6):
        raise Fault("the same `rng` gives another result each time: draw from `rng` only, not from `np.random`")
    return result


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
    minutes=3,
    difficulty=1,
    reference=solution.flip_both,
    part="flip_both",
    cases=flip_both_cases,
    call=drawing_from_rng,
    hints=(
        "Draw once, and use that one draw for both arrays.",
        "Columns are axis 1 of both arrays: `image[:, ::-1]` leaves rows and channels as they are.",
    ),
    mistakes=FLIPS,
)


# Resize labels: nearest, by index


def nearest(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Labels (H, W) → labels of (height, width): new pixel i of n copies old pixel i * m // n of m."""
    rows = np.arange(size[0]) * labels.shape[0] // size[0]
    columns = np.arange(size[1]) * labels.shape[1] // size[1]
    return labels[rows[:, None], columns]


def nearest_cases(generator: torch.Generator) -> Iterator[Case]:
    """Halved and doubled, larger and smaller along either axis, and sides of which one does not divide the other."""
    even = 2 * randint(generator, 4, 7), 2 * randint(generator, 8, 10)
    yield random_pair(generator, *even)[1] // 7 * 7, (even[0] // 2, even[1] // 2)
    yield random_pair(generator, *even)[1] // 7 * 7, (2 * even[0], 2 * even[1])
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


nearest_by_index = Exercise(
    title="Resize labels by copying",
    minutes=4,
    difficulty=1,
    reference=nearest,
    cases=nearest_cases,
    call=copied_labels,
    hints=(
        "Which row is copied does not depend on the column: work out all rows once, and all columns once.",
        "`rows = np.arange(size[0]) * labels.shape[0] // size[0]`, and columns in the same way.",
        "`labels[rows[:, None], columns]`: rows stand upright, columns lie flat, together they give the whole grid.",
    ),
    mistakes=NEAREST,
    axes=("row", "column"),
)


# Resize a row: bilinear, in one direction


def blend_row(row: np.ndarray, new: int) -> np.ndarray:
    """A row of m values → `new` values, each a blend of the two old ones around its centre."""
    x = (np.arange(new) + 0.5) * len(row) / new - 0.5
    x = np.clip(x, 0, len(row) - 1)  # at the ends, the last value goes on
    left = np.minimum(x.astype(int), len(row) - 2)
    weight = x - left
    return (1 - weight) * row[left] + weight * row[left + 1]


def blend_row_cases(generator: torch.Generator) -> Iterator[Case]:
    """Rows that grow, shrink, keep their length, and become a single value."""
    for old, new in ((5, 3), (4, 8), (6, 3), (7, 7), (3, 10), (2, 5), (8, 5), (4, 1)):
        row = torch.rand(old, generator=generator, dtype=torch.float64) * 255
        yield row.numpy(), new


blend_a_row = Exercise(
    title="Resize a row by blending",
    minutes=5,
    difficulty=2,
    reference=blend_row,
    cases=blend_row_cases,
    hints=(
        "First the positions x of all new centres, an array of `new` numbers, by the formula above.",
        "`np.clip(x, 0, len(row) - 1)` keeps them between the first old centre and the last one.",
        "`left = np.minimum(x.astype(int), len(row) - 2)` always has a right neighbour, whose weight is `x - left`.",
    ),
    mistakes=ROWS,
    axes=("new pixel",),
)


# A window that looks at its classes


def choose_window_cases(generator: torch.Generator) -> Iterator[Case]:
    """Windows with exactly three quarters of a class, one class only, much that is ignored, and small images."""
    height, crop = randint(generator, 9, 11), 8
    for first, second in ((3, 1), (0, 2)):
        halves = np.repeat([[first] * 13 + [second] * 14], height, axis=0).astype(np.uint8)
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
    yield np.full((height, 19), randint(generator, 0, 7), np.uint8), crop, numpy_generator(generator)
    yield np.full((height, 19), 255, np.uint8), crop, numpy_generator(generator)
    yield random_pair(generator, 5, 21)[1], crop, numpy_generator(generator)
    yield random_pair(generator, 17, 14)[1] % 3, crop, numpy_generator(generator)


def rng_whose_first_window(generator: torch.Generator, labels: np.ndarray, crop: int, left: int) -> np.random.Generator:
    """A generator whose first window begins at the column `left`."""
    bounds = [side - crop + 1 for side in labels.shape]
    seed = randint(generator, 0, 2**30)
    while int(np.random.default_rng(seed).integers(bounds)[1]) != left:
        seed += 1
    return np.random.default_rng(seed)


def window_by_name(answer: Callable, case: Case) -> Any:
    """The four numbers under their names, where there are four."""
    window = drawing_from_rng(answer, case)
    if isinstance(window, (tuple, list, np.ndarray)) and len(window) == 4:
        return dict(zip(("top", "left", "bottom", "right"), window, strict=True))
    return window


choose_window = Exercise(
    title="A window that looks",
    minutes=10,
    difficulty=3,
    reference=solution.choose_window,
    part="choose_window",
    cases=choose_window_cases,
    call=window_by_name,
    hints=(
        "A loop of ten draws: draw, cut the window out, count its classes, and return at once if it will do.",
        "`counts = np.bincount(window[window != 255])` counts each class among the pixels that have one; "
        "the largest fraction is `counts.max() / counts.sum()`, unless nothing is counted at all.",
        "After the loop comes one more draw, and its window is returned unchecked. A side shorter than `crop` is taken "
        "whole: there the draw is among one position, and the window ends where the image ends.",
    ),
    mistakes=WINDOWS,
)


# Normalise, then pad


def normalise_and_pad_cases(generator: torch.Generator) -> Iterator[Case]:
    """Images that lack rows, columns, both, or nothing."""
    for lacking in ((0, 3), (4, 0), (2, 5), (0, 0)):
        crop = randint(generator, 8, 11)
        yield *random_pair(generator, crop - lacking[0], crop - lacking[1]), crop


def of_mirrored_views(answer: Callable, case: Case) -> Any:
    """The answer's result for mirrored views of the arrays, which is what flipping hands on."""
    image, labels, crop = case
    return answer(image[:, ::-1], labels[:, ::-1], crop)


normalise_and_pad = Exercise(
    title="Normalise, then pad",
    minutes=5,
    difficulty=2,
    reference=solution.normalise_and_pad,
    part="normalise_and_pad",
    cases=normalise_and_pad_cases,
    call=of_mirrored_views,
    hints=(
        "Zero is the mean colour only once the mean has been subtracted.",
        "`(image - np.float32(MEAN)) / np.float32(STD)` works on (H, W, 3) as it is; `torch.from_numpy` makes a tensor "
        "of it, and `rearrange` moves the channels to the front.",
        "`F.pad(pixels, (left, right, top, bottom))` counts from the last axis; "
        "`np.pad(labels, ((top, bottom), (left, right)), constant_values=…)` from the first.",
    ),
    mistakes=PADS,
)


# The training transform


def pipeline_cases(generator: torch.Generator) -> Iterator[Case]:
    """Images that grow, keep their size, or shrink below the crop and must be padded; lively labels and dull ones."""
    for ratio, dull in ((0.5, False), (1.0, True), (1.6, False), (1.3, True)):
        height, width = randint(generator, 20, 30), randint(generator, 31, 44)
        image, labels = random_pair(generator, height, width)
        seed = randint(generator, 0, 2**30)
        yield image, labels // 100 * 100 if dull else labels, seed, 24, (4 * width, height), (ratio, ratio + 0.3)


def transformed(answer: Callable, case: Case) -> Any:
    """Pixels and labels of an answer that draws from a generator of this seed, and what that would draw next."""
    image, labels, seed, *options = case
    options = dict(zip(("crop", "scale", "ratio_range"), options, strict=True))
    rng = np.random.default_rng(seed)
    try:
        result = answer(image, labels, rng, **options)
    except (ValueError, RuntimeError) as error:
        if "negative" in str(error):
            raise Fault("what comes to `normalise_and_pad` is larger than `crop`: crop *after* the resize") from error
        raise
    if isinstance(result, (tuple, list)) and len(result) == 2:
        return {"pixels": result[0], "labels": result[1], "next draw of rng": float(rng.random())}
    return result


pipeline = Exercise(
    title="The training transform",
    minutes=7,
    difficulty=2,
    reference=solution.train_transform,
    cases=pipeline_cases,
    call=transformed,
    hints=(
        "In this order: draw a size and resize both; choose a window and cut both; mirror; normalise and pad.",
        "`size = fit_size(*labels.shape, random_scale(rng, scale, ratio_range))`, then `resize_image` and "
        "`resize_labels`. Everything random comes from `rng`, in this order.",
        "`top, left, bottom, right = choose_window(labels, crop, rng)` with the *resized* labels; then one slice, "
        "`[top:bottom, left:right]`, for both. `flip_both` returns a pair: give it the names `image, labels`.",
    ),
    mistakes=PIPELINES,
    part="train_transform",
)
