"""Exercises of chapter 01: from a file's values to labels, to colours, to a data set's class fractions.

A file's masks hold 0 = other and k = class k-1; labels in memory hold 0..K-1 and 255 = ignored.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from vitseg_lib.course.exercises.base import Case, Exercise, mistakes, randint
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
    for dtype in (np.uint8, np.int64):
        values = torch.randint(0, 13, (30,), generator=generator).tolist()
        yield (_scattered(generator, [0, 0, 1, 2, 12, 255, *values], fill=0).astype(dtype),)


def _shifted_then_ignored(raw: np.ndarray) -> np.ndarray:
    labels = raw.astype(np.uint8) - np.uint8(1)
    return np.where(labels == 0, 255, labels)


SHIFT = mistakes(
    {
        "nothing was shifted: the file's 1 is class 0 in memory, its 2 is class 1": lambda raw: raw,
        "0 became 255, as it must, but the classes were not shifted down by one": (
            lambda raw: np.where(raw == 0, 255, raw)
        ),
        "this subtracts one and trusts the byte to wrap around: an array of int64 holds -1 then, and the 255 that was "
        "there before becomes 254": lambda raw: raw - raw.dtype.type(1),
        "a pixel that the file marks with 255 became 254: the shift must leave it alone": (
            lambda raw: np.where(raw == 0, 255, raw.astype(int) - 1)
        ),
        "right for uint8, where 0 - 1 wraps around to 255, but in an array of int64 it is -1": (
            lambda raw: np.where(raw == 255, 255, raw - raw.dtype.type(1))
        ),
        "the file's 0 became -1, which as an index means the last class: it must become 255": (
            lambda raw: np.where(raw == 255, 255, raw.astype(int) - 1)
        ),
        "every value went down by one: 0 must not become -1, nor 255 254": lambda raw: raw.astype(int) - 1,
        "the file's 0, other, ended up as class 0: it must be ignored": (
            lambda raw: np.where(raw == 255, 255, np.maximum(raw, 1) - raw.dtype.type(1))
        ),
        "one was subtracted first and 0 made 255 afterwards, which loses the first class; and the 255 that was there "
        "before became 254": _shifted_then_ignored,
        "your step that turns 0 into 255 comes after the shift, when 0 is the first class: that class is lost": (
            lambda raw: np.where(raw == 255, 255, _shifted_then_ignored(raw))
        ),
        "the classes went up by one: this is the way from memory to the file": (
            lambda raw: np.where((raw == 0) | (raw == 255), 255, raw.astype(int) + 1)
        ),
    }
)

shift = Exercise(
    title="From the file to memory",
    minutes=4,
    difficulty=1,
    reference=labels_from_file,
    part="labels_from_file",
    cases=_files,
    axes=("row", "column"),
    hints=(
        "Write down what the file's 0, 1, 12 and 255 must become. Three rules are enough.",
        "Decide which pixels are ignored by looking at `raw`, before anything is subtracted.",
        "`np.where(condition, a, b)` takes from `a` where the condition holds and from `b` elsewhere.",
    ),
    mistakes=SHIFT,
)


# Labels to colours


def paint_labels(labels: np.ndarray, colours: np.ndarray, blank: tuple[int, int, int]) -> np.ndarray:
    """Return an image, uint8 (H, W, 3): `colours[k]` where the label is k, `blank` where it is 255."""
    table = np.full((256, 3), blank, dtype=np.uint8)
    table[: len(colours)] = colours
    return table[labels]


def _paintings(generator: torch.Generator) -> Iterator[Case]:
    for count in (randint(generator, 4, 6), randint(generator, 7, 9)):
        present = torch.randint(0, count, (22,), generator=generator).tolist()
        labels = _scattered(generator, [*range(count), *present]).astype(np.uint8)
        labels[-1, -1] = IGNORED
        colours = torch.randint(20, 236, (count, 3), generator=generator).numpy().astype(np.uint8)
        yield labels, colours, tuple(torch.randint(20, 236, (3,), generator=generator).tolist())


def _painted(labels: np.ndarray, colours: np.ndarray, blank: Sequence[int], first: int = 0) -> np.ndarray:
    """Paint label k in the colour of the class k - `first`."""
    table = np.full((256, 3), blank, dtype=np.uint8)
    table[first : first + len(colours)] = colours
    return table[labels]


PAINT = mistakes(
    {
        "the classes are right, but ignored pixels are black; they should have the colour `blank`": (
            lambda labels, colours, blank: _painted(labels, colours, (0, 0, 0))
        ),
        "ignored pixels have the last class's colour: 255 was clipped to the range of the classes": (
            lambda labels, colours, blank: colours[np.minimum(labels, len(colours) - 1)]
        ),
        "ignored pixels have the first class's colour": (
            lambda labels, colours, blank: colours[np.where(labels == 255, 0, labels)]
        ),
        "every class has its neighbour's colour: these labels count from 0, in memory nothing needs shifting": (
            lambda labels, colours, blank: _painted(labels, colours, blank, first=1)
        ),
        "red and blue are swapped: the colours are in the order red, green, blue": (
            lambda labels, colours, blank: _painted(labels, colours[:, ::-1], blank[::-1])
        ),
        "the channels came first; an image has its channels last, (H, W, 3)": (
            lambda labels, colours, blank: _painted(labels, colours, blank).transpose(2, 0, 1)
        ),
        "rows and columns are swapped: the first axis of the labels is the height": (
            lambda labels, colours, blank: _painted(labels.T, colours, blank)
        ),
        "the colours are right but run from 0 to 1; an image of bytes runs from 0 to 255": (
            lambda labels, colours, blank: _painted(labels, colours, blank) / 255
        ),
    }
)

paint = Exercise(
    title="Paint a mask",
    minutes=4,
    difficulty=1,
    reference=paint_labels,
    cases=_paintings,
    axes=("row", "column", "channel"),
    hints=(
        "A label can be any byte, so a table with 256 rows has a colour for each of them.",
        "Fill the table with `blank`, write the classes' colours into its first rows, then index it with the labels.",
    ),
    mistakes=PAINT,
)


# Class fractions of a whole data set


def _collections(generator: torch.Generator) -> Iterator[Case]:
    count = randint(generator, 5, 8)
    masks = []
    for size in (12, 30, 75):
        present = torch.randperm(count - 1, generator=generator)[:3]  # the last class never occurs
        values = present[torch.randint(0, 3, (size,), generator=generator)].tolist()
        masks.append(_scattered(generator, [*values, *[IGNORED] * randint(generator, 3, 9)]).astype(np.uint8))
    yield masks, count


def _counts(labels: np.ndarray, num_classes: int) -> np.ndarray:
    return np.bincount(labels[labels != IGNORED], minlength=num_classes)


def _total(masks: Sequence[np.ndarray], num_classes: int) -> np.ndarray:
    return sum(_counts(labels, num_classes) for labels in masks)


FRACTIONS = mistakes(
    {
        "this is the mean of the masks' own fractions: it counts a pixel of a small mask for more than one of a large "
        "mask. Add up pixels, then divide": (
            lambda masks, k: np.mean([class_fractions([labels], k) for labels in masks], axis=0)
        ),
        "the fractions do not sum to 1, because the ignored pixels are in the number you divide by": (
            lambda masks, k: _total(masks, k) / sum(labels.size for labels in masks)
        ),
        "these are percent; fractions sum to 1": lambda masks, k: 100 * class_fractions(masks, k),
        "these are counts: they still have to be divided by their sum": _total,
        "this is the fraction of masks in which a class occurs, however small it is there; count pixels": (
            lambda masks, k: np.mean([_counts(labels, k) > 0 for labels in masks], axis=0)
        ),
        "the counts are divided by the number of classes; divide by the number of labelled pixels": (
            lambda masks, k: _total(masks, k) / k
        ),
        "only the first mask counts. Is `return` in the loop?": lambda masks, k: class_fractions(masks[:1], k),
        "only the last mask counts. Are the counts overwritten in the loop, where they should grow?": (
            lambda masks, k: class_fractions(masks[-1:], k)
        ),
    }
)

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
    mistakes=FRACTIONS,
)
