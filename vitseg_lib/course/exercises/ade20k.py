"""Exercises of chapter 01: from a file's values to labels, and to a data set's class fractions.

A file's masks hold 0 = other and k = class k-1; labels in memory hold 0..K-1 and 255 = ignored.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from vitseg_lib.course.exercises import ade20k_mistakes as mistakes
from vitseg_lib.course.exercises.base import Case, Exercise, Fault, randint
from vitseg_lib.course.solution import class_fractions, labels_from_file
from vitseg_lib.data.classes import IGNORED


def _scattered(generator: torch.Generator, values: Sequence[int], fill: int = IGNORED) -> np.ndarray:
    """The values at random positions of an array (H, W) that is not square, and `fill` at the positions left."""
    width = randint(generator, 5, 9)
    height = -(-len(values) // width)
    height += height == width
    flat = torch.full((height * width,), fill)
    flat[: len(values)] = torch.tensor(values)
    return flat[torch.randperm(len(flat), generator=generator)].reshape(height, width).numpy()


# From the file to memory


def _files(generator: torch.Generator) -> Iterator[Case]:
    """Masks of bytes and of int64, with both kinds of ignored pixels and with classes beyond ADE20K's 150."""
    for dtype in (np.uint8, np.int64):
        values = torch.randint(0, 255, (30,), generator=generator).tolist()
        yield (_scattered(generator, [0, 0, 1, 2, 12, 150, 151, 254, 255, 255, *values], fill=0).astype(dtype),)


def _whole_numbers(answer: Callable, case: Case) -> Any:
    result = answer(*case)
    if isinstance(result, (list, tuple, torch.Tensor)):
        kind = type(result).__name__
        raise Fault(f"the labels are a {kind}, where the chapters go on with a NumPy array: return np.array(labels)")
    if result is not None and np.asarray(result).dtype.kind == "f":
        raise Fault("the labels are floats. A label is an index, a whole number: return integers, of any width")
    return result


shift = Exercise(
    title="From the file to memory",
    minutes=5,
    difficulty=1,
    reference=labels_from_file,
    part="labels_from_file",
    cases=_files,
    call=_whole_numbers,
    axes=("row", "column"),
    hints=(
        "Write down what the file's 0, 1, 12 and 255 must become. Three rules are enough.",
        "Decide which pixels are ignored by looking at `raw`, before anything is subtracted.",
        "`np.where(condition, a, b)` takes from `a` where the condition holds and from `b` elsewhere.",
    ),
    mistakes=mistakes.SHIFT,
)


# Class fractions of a whole data set


def _collections(generator: torch.Generator) -> Iterator[Case]:
    """Masks of unequal size, one class with more than 255 pixels; the last class occurs only in the second case."""
    for last_occurs in (False, True):
        count = randint(generator, 5, 8)
        classes = torch.randperm(count - 1, generator=generator)[:3].tolist()
        masks = []
        for size in (12, 30, 75):
            values = torch.tensor(classes)[torch.randint(0, 3, (size,), generator=generator)].tolist()
            masks.append([*values, 0, *[IGNORED] * randint(generator, 3, 9)])
        masks[-1] += [classes[0]] * randint(generator, 260, 300)
        masks[0] += [count - 1] * (4 if last_occurs else 0)
        masks.insert(1, [IGNORED] * (20 if last_occurs else 0) or [0, IGNORED])  # nothing labelled, in one of the cases
        yield [_scattered(generator, values).astype(np.uint8) for values in masks], count


fractions = Exercise(
    title="Class fractions of a data set",
    minutes=7,
    difficulty=2,
    reference=class_fractions,
    part="class_fractions",
    cases=_collections,
    axes=("class",),
    hints=(
        "Add up whole numbers over all masks first; divide once, at the end.",
        "`np.bincount(values, minlength=num_classes)` counts 0, 1, 2, … and has a 0 for a class that is absent.",
        "Divide by the number of pixels that were counted, which is the sum of the counts.",
    ),
    mistakes=mistakes.FRACTIONS,
)
