"""The mistakes that the exercises of chapter 02 know by name: what each does, as code, and the sentence for it."""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

from vitseg_lib.course import solution
from vitseg_lib.course.exercises.base import Mistake, mistakes
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
        "`[..., ::-1]` reverses the last axis, which for the image is its channels: columns are axis 1": flipping(
            lambda image: image[..., ::-1], across
        ),
        "It never mirrors: `image[:, ::-1]` is a new array; `image` stays as it was until you assign it": flipping(
            lambda image: image, lambda labels: labels
        ),
        "Rows and columns are swapped, which is no mirror: read the columns backwards instead": flipping(
            lambda image: image.transpose(1, 0, 2), lambda labels: labels.T
        ),
    }
)


# Resize labels by copying: labels (H, W), size


def indexed(rule: Callable[[np.ndarray, int, int], np.ndarray]) -> Callable:
    """A resize that copies, along each axis, the old pixels that `rule(new pixels, old side, new side)` names."""

    def answer(labels, size):
        pairs = zip(labels.shape, size, strict=True)
        rows, columns = (np.clip(rule(np.arange(new), old, new), 0, old - 1).astype(int) for old, new in pairs)
        return labels[rows[:, None], columns]

    return answer


corner = indexed(lambda i, old, new: i * old // new)


INVENTED = "labels that were not there"
CENTRE = "It takes the new pixel's centre: here the rule is the corner, `i * m // n`, as the published models had it"
ROUNDED = "The position is rounded: the old pixel in which the corner lies is found by rounding *down*"


NEAREST = (
    *mistakes(
        {
            CENTRE: indexed(lambda i, old, new: (2 * i + 1) * old // (2 * new)),
            ROUNDED: indexed(lambda i, old, new: np.rint(i * old / new)),
            "The first and last pixels are aligned, as `align_corners` does: pixels have a width": indexed(
                lambda i, old, new: np.rint(i * (old - 1) / max(new - 1, 1))
            ),
            "The scale is upside down: from the new ruler to the old one it is old / new": indexed(
                lambda i, old, new: i * new // old
            ),
            "`size` is (height, width), and was read the other way round": lambda labels, size: corner(
                labels, size[::-1]
            ),
            "Rows and columns are swapped in the result": lambda labels, size: corner(labels, size).T,
            "Only the rows are resized: the columns need the same": lambda labels, size: corner(
                labels, (size[0], labels.shape[1])
            ),
            "`np.resize` fills the new shape with the old values one after the other: it knows no rows": np.resize,
            "It invents labels: the mean of two classes is a third one, so every value must be copied": lambda *case: (
                INVENTED
            ),
        }
    ),
    Mistake(indexed(lambda i, old, new: np.rint((i + 0.5) * old / new - 0.5)), CENTRE),  # ties to even
    Mistake(
        indexed(lambda i, old, new: np.rint((np.linspace(0, 1, len(i), endpoint=False) + 0.5 / new) * old - 0.5)),
        CENTRE,
    ),
    Mistake(indexed(lambda i, old, new: np.floor(i * old / new + 0.5)), ROUNDED),
)


# Resize a row by blending: row (m,), new


def blended(
    position: Callable[[np.ndarray, int, int], np.ndarray] = lambda i, old, new: (i + 0.5) * old / new - 0.5,
    *,
    clipped: bool = True,
    swapped: bool = False,
) -> Callable:
    """A blend of the two old values around `position(new pixels, old length, new length)`."""

    def answer(row, new):
        x = position(np.arange(new), len(row), new)
        x = np.clip(x, 0, len(row) - 1) if clipped else x
        left = np.clip(x.astype(int), 0, len(row) - 2)
        weight = 1 - (x - left) if swapped else x - left
        return (1 - weight) * row[left] + weight * row[left + 1]

    return answer


def wrapped_around(row: np.ndarray, new: int) -> np.ndarray:
    """Left of the first centre, index -1 is the last value."""
    x = (np.arange(new) + 0.5) * len(row) / new - 0.5
    left = np.floor(x).astype(int)
    return (1 - (x - left)) * row[left] + (x - left) * row[np.minimum(left + 1, len(row) - 1)]


def copied(row: np.ndarray, new: int) -> np.ndarray:
    """The nearer of the two, by the corner."""
    return row[np.arange(new) * len(row) // new]


def antialiased(row: np.ndarray, new: int) -> np.ndarray:
    """As torch and Pillow do when a row shrinks."""
    planes = torch.from_numpy(row).reshape(1, 1, 1, -1)
    return F.interpolate(planes, size=(1, new), mode="bilinear", antialias=True).flatten().numpy()


ROWS = (
    *mistakes(
        {
            "It joins corners: a value belongs to its pixel's centre, so half a pixel is missing": blended(
                lambda i, old, new: i * old / new
            ),
            "The first and last centres are aligned, as `align_corners` does: pixels have a width": blended(
                lambda i, old, new: i * (old - 1) / max(new - 1, 1)
            ),
            "The − ½ at the end is missing: old centres lie at ½, 1½, …, so x counts from the first of them": blended(
                lambda i, old, new: (i + 0.5) * old / new
            ),
            "The scale is upside down: from the new ruler to the old one it is m / n": blended(
                lambda i, old, new: (i + 0.5) * new / old - 0.5
            ),
            "Beyond the first and the last centre it goes on in a straight line: keep x from 0 to m − 1": blended(
                clipped=False
            ),
            "Left of the first centre it reads index −1, which is the *last* value: keep x from 0 to m − 1": (
                wrapped_around
            ),
            "The weights are swapped: the right neighbour's is x − left, for it counts more the nearer x is": blended(
                swapped=True
            ),
            "It copies one old value: blend the two around x": copied,
            "It is antialiased: where a row shrinks, more than two old values take part, and here two do": antialiased,
            "It is rounded to whole numbers: leave the blend as it is": lambda row, new: np.rint(blended()(row, new)),
        }
    ),
    Mistake(
        lambda row, new: blended()(row, new).astype(int), "It is rounded to whole numbers: leave the blend as it is"
    ),
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


def largest_fraction(
    window: np.ndarray, *, counted: bool = True, of_all: bool = False, empty: float = 1.0, first: int = 0
) -> float:
    """The fraction of the commonest value: of the `counted` pixels only, 255 left out, or 255 like a class."""
    counts = np.bincount(window.ravel(), minlength=256)[first:]
    counts = counts[: 255 - first] if counted else counts
    total = window.size if of_all else counts.sum()
    return counts.max() / total if counts.any() else empty


def best_of_ten(*, stops: bool = False, empty: float = 1.0) -> Callable:
    """An answer that takes the one with the smallest fraction; `stops` at the first good one."""

    def answer(labels, crop, rng):
        boxes = []
        for _ in range(10):
            boxes.append(looking(lambda window: True)(labels, crop, rng))
            if stops and good(cut(labels, boxes[-1])):
                return boxes[-1]
        return min(boxes, key=lambda box: largest_fraction(cut(labels, box), empty=empty))

    return answer


def cut(array: np.ndarray, box: tuple) -> np.ndarray:
    """The box of an image or of labels."""
    top, left, bottom, right = box
    return array[top:bottom, left:right]


def returning(change: Callable[..., tuple]) -> Callable:
    """An answer that finds the right window, and returns `change(crop, *window)`."""
    return lambda labels, crop, rng: change(crop, *looking(good)(labels, crop, rng))


def whole_if_small(labels: np.ndarray, crop: int, rng: np.random.Generator) -> tuple:
    """All of an image of which one side is short."""
    height, width = labels.shape
    return (0, 0, height, width) if min(height, width) < crop else looking(good)(labels, crop, rng)


def good(window: np.ndarray) -> bool:
    """The rule as it should be."""
    return largest_fraction(window) < 0.75


REVERSED = "The comparison is the wrong way round: it is the windows full of one class that are kept"
BEST = "It keeps the best of ten: the rule stops at the first that will do"
EXTENT = "The last two are the window's height and width: (top, left, bottom, right) was requested"


WINDOWS = (
    *mistakes(
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
            REVERSED: looking(lambda window: largest_fraction(window) > 0.75),
            "Two classes are enough for it, however small the second: the largest fraction must be below 0.75": looking(
                lambda window: len(np.unique(window[window != 255])) > 1
            ),
            "A window without any counted pixel is let through: nothing can be learnt from it": looking(
                lambda window: largest_fraction(window, empty=0.0) < 0.75
            ),
            "Class 0 is left out of the count: here 0 is a class like any other": looking(
                lambda window: largest_fraction(window, first=1) < 0.75
            ),
            "The eleventh draw is missing: after ten bad windows comes a new one, unchecked": looking(good, last=False),
            "It looks at eleven windows: the eleventh is taken unchecked": looking(good, draws=11),
            BEST: best_of_ten(),
            "After ten bad windows it goes back to the best of them: the rule takes a new one, unchecked": best_of_ten(
                stops=True
            ),
            "The last position is never drawn: `rng.integers(n)` stops before n, so it needs side − crop + 1": looking(
                good, spare=0
            ),
            "Left is drawn before top: here rows come first": looking(good, left_first=True),
            EXTENT: returning(lambda crop, top, left, bottom, right: (top, left, bottom - top, right - left)),
            "The order is (left, top, right, bottom): rows come first, (top, left, bottom, right)": returning(
                lambda crop, top, left, bottom, right: (left, top, right, bottom)
            ),
            "The order is (top, bottom, left, right): it should be (top, left, bottom, right)": returning(
                lambda crop, top, left, bottom, right: (top, bottom, left, right)
            ),
            "The window reaches beyond the image where a side is shorter than `crop`: it ends where that side ends": (
                returning(lambda crop, top, left, bottom, right: (top, left, top + crop, left + crop))
            ),
            "If one side is shorter than `crop`, only that side is taken whole: the other one is still cropped": (
                whole_if_small
            ),
        }
    ),
    Mistake(looking(lambda window: largest_fraction(window) >= 0.75), REVERSED),
    Mistake(looking(lambda window: largest_fraction(window, empty=0.0) > 0.75), REVERSED),
    Mistake(looking(lambda window: largest_fraction(window, empty=0.0) >= 0.75), REVERSED),
    Mistake(best_of_ten(empty=0.0), BEST),
    Mistake(returning(lambda crop, top, left, bottom, right: (top, left, crop, crop)), EXTENT),
)


# Normalise, then pad: image (H, W, 3), labels (H, W), crop


def planes(image: np.ndarray) -> np.ndarray:
    """Normalised, (3, H, W), as it should be."""
    return ((image - MEAN) / STD).transpose(2, 0, 1)


def padding(
    pixels: Callable = planes,
    *,
    fill: int = 255,
    zero: float = 0,
    before: Callable[[int], int] = lambda missing: 0,
    labels_too: bool = True,
) -> Callable:
    """An answer that pads `pixels(image)` with `zero` and labels with `fill`, `before(missing)` of it in front."""

    def answer(image, labels, crop):
        missing = [crop - side for side in labels.shape]
        sides = [(before(side), side - before(side)) for side in missing]
        padded = np.pad(labels, sides, constant_values=fill) if labels_too else labels
        return np.pad(pixels(image), ((0, 0), *sides), constant_values=zero), padded

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
        "The padding is on the left and above: it belongs on the right and below": padding(
            before=lambda missing: missing
        ),
        "The image sits in the middle: the padding belongs on the right and below only": padding(
            before=lambda missing: missing // 2
        ),
        "It is not normalised: subtract MEAN and divide by STD": padding(lambda image: image.transpose(2, 0, 1)),
        "The pixels' padding holds 255, which belongs to the labels only: pixels are filled up with 0": padding(
            zero=255
        ),
        "The labels are not padded: they need the pixels' size, with 255 around them": padding(labels_too=False),
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


# The training transform: image, labels, rng, crop, scale, ratio_range


def assembled(fault: str) -> Callable:
    """The transform with one fault, named by a word or two."""

    def answer(image, labels, rng, *, crop, scale, ratio_range):
        if fault == "flip first":
            image, labels = solution.flip_both(image, labels, 0.5, rng)
        drawn = scale if fault == "no ratio" else transforms.random_scale(rng, scale, ratio_range)
        size = transforms.fit_size(*labels.shape, drawn)[:: -1 if fault == "sides" else 1]
        small = labels
        image = transforms.resize_image(image, size)
        resize = transforms.resize_image if fault == "blended" else transforms.resize_labels
        labels = resize(labels, size)
        if fault == "flip second":
            image, labels = solution.flip_both(image, labels, 0.5, rng)
        box = solution.choose_window(small if fault == "window of the old" else labels, crop, rng)
        other = solution.choose_window(labels, crop, rng) if fault == "two windows" else box
        image, labels = cut(image, box), cut(labels, other)
        mirrored = image, labels
        if fault not in ("never", "always", "flip first", "flip second"):
            mirrored = solution.flip_both(image, labels, 0.5, rng)
        if fault == "image only":
            image = mirrored[0]
        elif fault in ("always", "always, drawn"):
            image, labels = across(image), across(labels)
        elif fault != "flip lost":
            image, labels = mirrored
        if fault == "one draw more":
            rng.random()
        return solution.normalise_and_pad(np.ascontiguousarray(image), labels, crop)

    return answer


EARLY = "It mirrors before it resizes and crops: the draws must come in the order resize, crop, flip"
ALWAYS = "It mirrors every time: call `flip_both` with the probability 0.5"


PIPELINES = (
    *mistakes(
        {
            "The mirrored pair is lost: `flip_both` returns image and labels, so assign both": assembled("flip lost"),
            "Only the image is mirrored: take the labels that `flip_both` returns, too": assembled("image only"),
            "It never mirrors: `flip_both` is missing, with the probability 0.5": assembled("never"),
            ALWAYS: assembled("always"),
            EARLY: assembled("flip first"),
            "The window was chosen on the labels before their resize: choose it on the resized ones": assembled(
                "window of the old"
            ),
            "Image and labels have a window each: choose once, and cut both": assembled("two windows"),
            "The labels are blended: they need `resize_labels`, which copies": assembled("blended"),
            "No ratio is drawn: the scale is multiplied at random first, by `random_scale`": assembled("no ratio"),
            "Height and width are swapped: `fit_size` takes (height, width) and returns them so": assembled("sides"),
            "The result is right, but it draws more often from `rng` than it has to: the next sample differs": (
                assembled("one draw more")
            ),
        }
    ),
    Mistake(assembled("always, drawn"), ALWAYS),
    Mistake(assembled("flip second"), EARLY),
)
