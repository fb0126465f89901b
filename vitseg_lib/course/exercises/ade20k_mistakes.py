"""The mistakes that the exercises of chapter 01 know by name: what each does, as code, and the sentence for it."""

from collections.abc import Callable, Sequence

import numpy as np

from vitseg_lib.course.exercises.base import mistakes
from vitseg_lib.course.solution import class_fractions
from vitseg_lib.data.classes import IGNORED

Masks = Sequence[np.ndarray]


# From the file to memory: raw


def by_value(becomes: Callable[[int], int]) -> Callable:
    """An answer that treats every pixel by its value alone, in integers wide enough."""
    return lambda raw: np.vectorize(becomes, otypes=[np.int64])(raw.astype(np.int64))


def wraps(raw: np.ndarray) -> np.ndarray:
    """One subtracted in the mask's own type: bytes wrap around, int64 do not."""
    return raw - raw.dtype.type(1)


SHIFT = mistakes(
    {
        "nothing was shifted: the file's 1 is class 0 in memory, its 2 is class 1": lambda raw: raw,
        "0 became 255, as it must, but the classes were not shifted down by one": by_value(lambda k: k or 255),
        "this subtracts one and trusts the byte to wrap around: an array of int64 holds -1 then, and the 255 that was "
        "there before becomes 254": wraps,
        "the 255 of ignored pixels was subtracted from, too, and became 254: set it last, or set aside what is ignored "
        "before you subtract": by_value(lambda k: 254 if k in (0, 255) else k - 1),
        "a pixel that the file marks with 255 became 254: the shift must leave it alone": (
            by_value(lambda k: k - 1 if k else 255)
        ),
        "right for uint8, where 0 - 1 wraps around to 255, but in an array of int64 it is -1": (
            lambda raw: np.where(raw == 255, 255, wraps(raw))
        ),
        "ignored pixels are -1. In this course, as in ADE20K's tools, the number for them is 255; -1 as an index would "
        "mean the last class": by_value(lambda k: -1 if k in (0, 255) else k - 1),
        "the file's 0 became -1, which as an index means the last class: it must become 255": (
            by_value(lambda k: 255 if k == 255 else k - 1)
        ),
        "every value went down by one: 0 must not become -1, nor 255 254": by_value(lambda k: k - 1),
        "the file's 0, other, ended up as class 0: it must be ignored": (
            by_value(lambda k: 255 if k == 255 else max(k, 1) - 1)
        ),
        "0 and 255 both became 0, the first class: both are ignored, and the number for that is 255": (
            by_value(lambda k: 0 if k in (0, 255) else k - 1)
        ),
        "one was subtracted first and 0 made 255 afterwards, which loses the first class; and the 255 that was there "
        "before became 254": by_value(lambda k: 255 if k in (0, 1) else k - 1),
        "0 was looked for after one had been subtracted, when it is the first class: that class is lost; and the "
        "file's 255 became 254": lambda raw: np.where(wraps(raw) == 0, 255, wraps(raw)),
        "0 was looked for after one had been subtracted, when it is the first class, which is lost. Look in `raw`": (
            lambda raw: np.where((wraps(raw) == 0) | (raw == 255), 255, wraps(raw))
        ),
        "your step that turns 0 into 255 comes after the shift, when 0 is the first class: that class is lost": (
            by_value(lambda k: 255 if k in (0, 1, 255) else k - 1)
        ),
        "the classes went up by one: this is the way from memory to the file": (
            by_value(lambda k: 255 if k in (0, 255) else k + 1)
        ),
        "classes above ADE20K's 150 became ignored. A mask may hold up to 254 of them: only 0 and 255 are ignored": (
            by_value(lambda k: 255 if k == 0 or k > 150 else k - 1)
        ),
        "class 149 became ignored, and so did all above it: only the file's 0 and 255 are": (
            by_value(lambda k: 255 if k == 0 or k > 149 else k - 1)
        ),
    }
)


# Class fractions: masks, num_classes


def counts(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Pixels of each class in one mask."""
    return np.bincount(labels[labels != IGNORED], minlength=num_classes)


def total(masks: Masks, num_classes: int) -> np.ndarray:
    """Pixels of each class in all masks."""
    return sum(counts(labels, num_classes) for labels in masks)


def mean_of_fractions(masks: Masks, num_classes: int, *, skip_empty: bool = False) -> np.ndarray:
    """Each mask's own fractions, averaged."""
    with np.errstate(invalid="ignore"):
        rows = [counts(labels, num_classes) / (labels != IGNORED).sum() for labels in masks]
    return np.mean([row for row in rows if not (skip_empty and np.isnan(row).any())], axis=0)


def in_bytes(masks: Masks, num_classes: int) -> np.ndarray:
    """Counts that wrap around after 255."""
    wrapped = total(masks, num_classes).astype(np.uint8)
    return wrapped / wrapped.sum(dtype=np.int64)


def scaled(numbers: np.ndarray) -> np.ndarray:
    """Numbers that sum to 1."""
    return numbers / numbers.sum()


FRACTIONS = mistakes(
    {
        "this is the mean of the masks' own fractions: it counts a pixel of a small mask for more than one of a large "
        "mask (and divides by 0 where nothing is labelled). Add up pixels, then divide": mean_of_fractions,
        "this is the mean of the labelled masks' own fractions: a pixel of a small mask counts for more than one of a "
        "large mask. Add up pixels, then divide": lambda masks, k: mean_of_fractions(masks, k, skip_empty=True),
        "the fractions do not sum to 1, because the ignored pixels are in the number you divide by": (
            lambda masks, k: total(masks, k) / sum(labels.size for labels in masks)
        ),
        "these are percent; fractions sum to 1": lambda masks, k: 100 * class_fractions(masks, k),
        "these are counts: they still have to be divided by their sum": total,
        "the counts are bytes (uint8), which hold at most 255: they wrapped around. Count in wider integers": in_bytes,
        "this is the fraction of masks in which a class occurs, however small it is there; count pixels": (
            lambda masks, k: np.mean([counts(labels, k) > 0 for labels in masks], axis=0)
        ),
        "the counts are divided by the number of classes; divide by the number of labelled pixels": (
            lambda masks, k: total(masks, k) / k
        ),
        "the result has no place for a class that does not occur: `bincount` needs `minlength=num_classes`": (
            lambda masks, k: scaled(np.bincount(np.concatenate([m[m != IGNORED] for m in masks])))
        ),
        "only classes that occur are in the result; a class that does not has the fraction 0, at its own place": (
            lambda masks, k: scaled(total(masks, k)[total(masks, k) > 0])
        ),
        "class 0 was left out. In labels 0 is a class like any other; ignored pixels are 255": (
            lambda masks, k: scaled(total(masks, k) * (np.arange(k) > 0))
        ),
        "every fraction stands one place too late: labels count from 0 already, nothing needs shifting": (
            lambda masks, k: scaled(np.append(0, total(masks, k)[:-1]))
        ),
        "every fraction stands one place too early: labels count from 0 already, nothing needs shifting": (
            lambda masks, k: scaled(np.append(total(masks, k)[1:], 0))
        ),
        "only the first mask counts. Is `return` in the loop?": lambda masks, k: class_fractions(masks[:1], k),
        "only the last mask counts. Are the counts overwritten in the loop, where they should grow?": (
            lambda masks, k: class_fractions(masks[-1:], k)
        ),
        "ignored pixels are counted as a class of their own, at place 255: leave them out before you count": (
            lambda masks, k: scaled(np.bincount(np.concatenate([m.ravel() for m in masks]), minlength=k))
        ),
    }
)
