"""The mistakes that the exercises of chapter 02 know by name: what each does, as code, and the sentence for it."""

from collections.abc import Callable

import numpy as np

from vitseg_lib.course.exercises.base import mistakes
from vitseg_lib.data import transforms

MEAN, STD = np.float32(transforms.MEAN), np.float32(transforms.STD)


# Mirror both, or neither: image, labels, probability, rng


def flipping(image: Callable, labels: Callable, when: Callable = lambda draw, p: draw < p) -> Callable:
    """An answer that changes image and labels by these functions when the draw says so."""

    def answer(pixels, mask, probability, rng):
        return (image(pixels), labels(mask)) if when(rng.random(), probability) else (pixels, mask)

    return answer


def across(array: np.ndarray) -> np.ndarray:
    """Mirror left to right, as it should be."""
    return array[:, ::-1]


def two_draws(image: np.ndarray, labels: np.ndarray, probability: float, rng: np.random.Generator) -> tuple:
    """A draw for each."""
    first, second = rng.random(2) < probability
    return across(image) if first else image, across(labels) if second else labels


FLIPS = mistakes(
    {
        "The image is mirrored and its labels are not: what moves must move both": flipping(across, lambda mask: mask),
        "The labels are mirrored and the image is not: what moves must move both": flipping(lambda im: im, across),
        "Image and labels each have a draw of their own: draw once, for both": two_draws,
        "It turns the image upside down: axis 0 counts rows; left and right are axis 1": flipping(
            lambda image: image[::-1], lambda labels: labels[::-1]
        ),
        "It mirrors in the other cases: a draw *below* the probability mirrors": flipping(
            across, across, lambda draw, p: draw >= p
        ),
        "It mirrors every time: compare the draw with the probability": flipping(across, across, lambda draw, p: True),
        "The channels are reversed too, so red and blue are swapped: leave the last axis alone": flipping(
            lambda image: image[:, ::-1, ::-1], across
        ),
    }
)


# Nearest, by the centre: labels (H, W), size


def indexed(rule: Callable[[np.ndarray, int, int], np.ndarray]) -> Callable:
    """A resize that copies, along each axis, the old pixels that `rule(new pixels, old side, new side)` names."""

    def answer(labels, size):
        pairs = zip(labels.shape, size, strict=True)
        rows, columns = (np.clip(rule(np.arange(new), old, new), 0, old - 1).astype(int) for old, new in pairs)
        return labels[rows[:, None], columns]

    return answer


centre = indexed(lambda i, old, new: (2 * i + 1) * old // (2 * new))


INVENTED = "labels that were not there"


NEAREST = mistakes(
    {
        "It takes the new pixel's corner: its centre lies at i + 0.5": indexed(lambda i, old, new: i * old // new),
        "The position is right but rounded: the old pixel that covers the position x is floor(x)": indexed(
            lambda i, old, new: np.rint((i + 0.5) * old / new)
        ),
        "The half is added after scaling: it is half a *new* pixel, and is scaled too": indexed(
            lambda i, old, new: np.floor(i * old / new + 0.5)
        ),
        "Half an old pixel too far left: subtracting 0.5 belongs to bilinear; old pixel j covers j to j + 1": indexed(
            lambda i, old, new: np.floor((i + 0.5) * old / new - 0.5)
        ),
        "The first and last centres are aligned, as `align_corners` does: pixels have a width": indexed(
            lambda i, old, new: np.rint(i * (old - 1) / max(new - 1, 1))
        ),
        "The scale is upside down: from the new ruler to the old one it is old / new": indexed(
            lambda i, old, new: (2 * i + 1) * new // (2 * old)
        ),
        "`size` is (height, width), and was read the other way round": lambda labels, size: centre(labels, size[::-1]),
        "Rows and columns are swapped in the result": lambda labels, size: centre(labels, size).T,
        "It invents labels: the mean of two classes is a third one, so every value must be copied": lambda *case: (
            INVENTED
        ),
    }
)


# A window that looks: labels (H, W), crop, rng


def looking(
    fits: Callable[[np.ndarray], bool], *, draws: int = 10, last: bool = True, spare: int = 1, left_first: bool = False
) -> Callable:
    """An answer that takes the first of `draws` windows that `fits`, and else one more, or the `last` one looked at."""

    def draw(labels, crop, rng):
        height, width = labels.shape
        counts = [max(max(side - crop, 0) + spare, 1) for side in (height, width)]
        top, left = (
            (int(rng.integers(n)) for n in counts)
            if not left_first
            else reversed([int(rng.integers(n)) for n in reversed(counts)])
        )
        return top, left, min(top + crop, height), min(left + crop, width)

    def answer(labels, crop, rng):
        for _ in range(draws):
            top, left, bottom, right = box = draw(labels, crop, rng)
            if fits(labels[top:bottom, left:right]):
                return box
        return draw(labels, crop, rng) if last else box

    return answer


def largest_fraction(window: np.ndarray, *, counted: bool = True, of_all: bool = False, empty: float = 1.0) -> float:
    """The fraction of the commonest value: of the `counted` pixels only, 255 left out, or 255 like a class."""
    counts = np.bincount(window.ravel(), minlength=256)
    counts = counts[:255] if counted else counts
    total = window.size if of_all else counts.sum()
    return counts.max() / total if counts.any() else empty


def best_of_ten(labels: np.ndarray, crop: int, rng: np.random.Generator) -> tuple:
    """All ten are looked at."""
    boxes = [looking(lambda window: True)(labels, crop, rng) for _ in range(10)]
    return min(boxes, key=lambda box: largest_fraction(labels[box[0] : box[2], box[1] : box[3]]))


def good(window: np.ndarray) -> bool:
    """The rule as it should be."""
    return largest_fraction(window) < 0.75


WINDOWS = mistakes(
    {
        "It takes the first window without looking at its classes": looking(lambda window: True),
        "255 is counted like a class: leave ignored pixels out before you count": looking(
            lambda window: largest_fraction(window, counted=False) < 0.75
        ),
        "The fraction is taken of all the window's pixels: divide by the counted ones": looking(
            lambda window: largest_fraction(window, of_all=True) < 0.75
        ),
        "A class with exactly three quarters is let through: the fraction must be *below* 0.75": looking(
            lambda window: largest_fraction(window) <= 0.75
        ),
        "The comparison is the wrong way round: it is the windows full of one class that are kept": looking(
            lambda window: largest_fraction(window) > 0.75
        ),
        "Two classes are enough for it, however small the second: the largest fraction must be below 0.75": looking(
            lambda window: len(np.unique(window[window != 255])) > 1
        ),
        "A window without any counted pixel is let through: nothing can be learnt from it": looking(
            lambda window: largest_fraction(window, empty=0.0) < 0.75
        ),
        "The eleventh draw is missing: after ten bad windows comes a new one, unchecked": looking(good, last=False),
        "It looks at eleven windows: the eleventh is taken unchecked": looking(good, draws=11),
        "It keeps the best of ten: the rule stops at the first that will do": best_of_ten,
        "The last position is never drawn: `rng.integers(n)` stops before n, so it needs side − crop + 1": looking(
            good, spare=0
        ),
        "Left is drawn before top: here rows come first": looking(good, left_first=True),
    }
)


# Normalise, then pad: image (H, W, 3), labels (H, W), crop


def planes(image: np.ndarray) -> np.ndarray:
    """Normalised, (3, H, W), as it should be."""
    return ((image - MEAN) / STD).transpose(2, 0, 1)


def padding(pixels: Callable = planes, *, fill: int = 255, before: bool = False) -> Callable:
    """An answer that fills `pixels(image)` up with 0 and the labels with `fill`, after or before what is there."""

    def answer(image, labels, crop):
        missing = [crop - side for side in labels.shape]
        sides = [(side, 0) if before else (0, side) for side in missing]
        return np.pad(pixels(image), ((0, 0), *sides)), np.pad(labels, sides, constant_values=fill)

    return answer


def padded_first(image: np.ndarray, labels: np.ndarray, crop: int) -> tuple:
    """Padded before normalising."""
    sides = [(0, crop - side) for side in labels.shape]
    return planes(np.pad(image, (*sides, (0, 0)))), np.pad(labels, sides, constant_values=255)


def channels_last(image: np.ndarray, labels: np.ndarray, crop: int) -> tuple:
    """(crop, crop, 3)."""
    pixels, labels = padding()(image, labels, crop)
    return pixels.transpose(1, 2, 0), labels


def swapped_sides(image: np.ndarray, labels: np.ndarray, crop: int) -> tuple:
    """What is missing in rows is added in columns."""
    bottom, right = (crop - side for side in labels.shape)
    return np.pad(planes(image), ((0, 0), (0, right), (0, bottom))), padding()(image, labels, crop)[1]


PADS = mistakes(
    {
        "The padding is black: it was added before normalising, and 0 is the mean colour only afterwards": padded_first,
        "The labels' padding holds 0, which is a class: nobody labelled these pixels, so they are 255": padding(fill=0),
        "The padding is on the left and above: it belongs on the right and below": padding(before=True),
        "It divides before it subtracts: first the mean, then the standard deviation": padding(
            lambda image: (image / STD - MEAN).transpose(2, 0, 1)
        ),
        "The standard deviation is missing: the mean is subtracted, and nothing divides": padding(
            lambda image: (image - MEAN).transpose(2, 0, 1)
        ),
        "The image is brought to 0..1 first, but MEAN and STD are in grey levels from 0 to 255": padding(
            lambda image: planes(image / 255)
        ),
        "Red has blue's mean: the channels are red, green, blue, as in MEAN and STD": padding(
            lambda image: planes(image[..., ::-1])[::-1]
        ),
        "The values are reshaped, not moved: bring the channel axis to the front instead": padding(
            lambda image: ((image - MEAN) / STD).reshape(3, *image.shape[:2])
        ),
        "The channels are still the last axis: (3, crop, crop) was requested": channels_last,
        "Right and bottom are swapped: `F.pad` counts from the last axis": swapped_sides,
    }
)
