"""Answers to the exercises of chapter 02, right and wrong."""

from functools import partial

import numpy as np
import torch
from PIL import Image
from trials import Trial

from vitseg_lib.course import solution
from vitseg_lib.course.exercises import augmentation as exercises
from vitseg_lib.data import transforms

# Mirror both, or neither


def flip_stub(image, labels, probability, rng):
    raise NotImplementedError


def flip_with_numpy(image, labels, probability, rng):
    arrays = (image, labels)
    return tuple(map(np.fliplr, arrays)) if rng.uniform() < probability else arrays


def flip_by_index(image, labels, probability, rng):
    columns = np.arange(labels.shape[1])
    if rng.random() < probability:
        columns = columns.max() - columns
    return np.take(image, columns, axis=1), np.take(labels, columns, axis=1)


def flip_image_only(image, labels, probability, rng):
    if rng.random() < probability:
        image = np.flip(image, axis=1)
    return image, labels


def flip_labels_only(image, labels, probability, rng):
    if rng.random() < probability:
        labels = np.flip(labels, axis=1)
    return image, labels


def flip_each_by_its_own_draw(image, labels, probability, rng):
    if rng.random() < probability:
        image = np.fliplr(image)
    if rng.random() < probability:
        labels = np.fliplr(labels)
    return image, labels


def flip_upside_down(image, labels, probability, rng):
    return (np.flipud(image), np.flipud(labels)) if rng.random() < probability else (image, labels)


def flip_otherwise(image, labels, probability, rng):
    if rng.random() > probability:
        image, labels = np.fliplr(image), np.fliplr(labels)
    return image, labels


def flip_always(image, labels, probability, rng):
    return np.fliplr(image), np.fliplr(labels)


def flip_with_channels(image, labels, probability, rng):
    if rng.random() < probability:
        return np.flip(image, axis=(1, 2)), np.flip(labels, axis=1)
    return image, labels


def flip_last_axis(image, labels, probability, rng):
    if rng.random() < probability:
        image, labels = image[..., ::-1], labels[..., ::-1]
    return image, labels


def flip_not_assigned(image, labels, probability, rng):
    if rng.random() < probability:
        image[:, ::-1]
        labels[:, ::-1]
    return image, labels


def flip_transposed(image, labels, probability, rng):
    if rng.random() < probability:
        return image.swapaxes(0, 1), labels.swapaxes(0, 1)
    return image, labels


def flip_in_place(image, labels, probability, rng):
    if rng.random() < probability:
        image[:] = image[:, ::-1].copy()
        labels[:] = labels[:, ::-1].copy()
    return image, labels


def flip_by_numpys_global_draw(image, labels, probability, rng):
    if np.random.rand() < probability:  # noqa: NPY002
        return np.fliplr(image), np.fliplr(labels)
    return image, labels


def flip_by_a_generator_of_its_own(image, labels, probability, rng):
    if np.random.default_rng().random() < probability:
        return np.fliplr(image), np.fliplr(labels)
    return image, labels


def flip_labels_forgotten(image, labels, probability, rng):
    return np.fliplr(image) if rng.random() < probability else image


def flip_by_roll(image, labels, probability, rng):
    if rng.random() < probability:
        return np.roll(image, 1, axis=1), np.roll(labels, 1, axis=1)
    return image, labels


FLIP = Trial(
    exercise=exercises.flip_both,
    stub=flip_stub,
    right=[flip_with_numpy, flip_by_index],
    wrong={
        flip_image_only: "image is mirrored and its labels are not",
        flip_labels_only: "labels are mirrored and the image is not",
        flip_each_by_its_own_draw: "draw once",
        flip_upside_down: "upside down",
        flip_otherwise: "in the other cases",
        flip_always: "every time",
        flip_with_channels: "red and blue",
        flip_last_axis: "reverses the last axis",
        flip_not_assigned: "until you assign it",
        flip_transposed: "no mirror",
    },
    unforeseen=flip_by_roll,
)


# Resize labels by copying


def nearest_stub(labels, size):
    raise NotImplementedError


def nearest_by_loops(labels, size):
    height, width = labels.shape
    return np.array(
        [
            [labels[int(row * height / size[0]), int(column * width / size[1])] for column in range(size[1])]
            for row in range(size[0])
        ]
    )


def nearest_by_torch(labels, size):
    planes = torch.from_numpy(labels.astype(np.float32))[None, None]
    return torch.nn.functional.interpolate(planes, size=size, mode="nearest")[0, 0].numpy()


def nearest_axis_by_axis(labels, size):
    rows, columns = (np.floor(np.linspace(0, m, n, endpoint=False) + 1e-9) for m, n in zip(labels.shape, size))  # noqa: B905
    return labels[rows.astype(int)][:, columns.astype(int)]


def nearest_by_pillow(labels, size):
    return np.array(Image.fromarray(labels).resize((size[1], size[0]), Image.Resampling.NEAREST))


def places(new, old):
    """The centres of the new pixels on the old ruler."""
    return (np.linspace(0, 1, new, endpoint=False) + 0.5 / new) * old


def nearest_by_rounded_centre(labels, size):
    rows, columns = (np.round(places(new, old) - 0.5).astype(int) for new, old in zip(size, labels.shape, strict=True))
    return labels[np.ix_(rows, columns)]


def nearest_rounded(labels, size):
    height, width = labels.shape
    rows = [min(round(row * height / size[0]), height - 1) for row in range(size[0])]
    columns = [min(round(column * width / size[1]), width - 1) for column in range(size[1])]
    return labels[rows][:, columns]


def nearest_with_corners_aligned(labels, size):
    rows, columns = (
        np.round(np.linspace(0, old - 1, new)).astype(int) for new, old in zip(size, labels.shape, strict=True)
    )
    return labels[np.ix_(rows, columns)]


def nearest_upside_down(labels, size):
    rows, columns = (
        np.minimum(np.arange(new) * new // old, old - 1) for new, old in zip(size, labels.shape, strict=True)
    )
    return labels[np.ix_(rows, columns)]


def nearest_width_first(labels, size):
    return nearest_by_loops(labels, (size[1], size[0]))


def nearest_transposed(labels, size):
    return nearest_by_loops(labels, size).transpose()


def nearest_rows_only(labels, size):
    return labels[np.arange(size[0]) * len(labels) // size[0]]


def nearest_by_np_resize(labels, size):
    return np.resize(labels.ravel(), size)


def nearest_blended(labels, size):
    planes = torch.tensor(labels, dtype=torch.float64)[None, None]
    return torch.nn.functional.interpolate(planes, size=size, mode="bilinear").round()[0, 0]


def nearest_without_the_crossing(labels, size):
    rows = np.arange(size[0]) * labels.shape[0] // size[0]
    columns = np.arange(size[1]) * labels.shape[1] // size[1]
    return labels[rows, columns]


def nearest_from_the_right(labels, size):
    return nearest_by_loops(labels[:, ::-1], size)


NEAREST = Trial(
    exercise=exercises.nearest_by_index,
    stub=nearest_stub,
    right=[nearest_by_loops, nearest_by_torch, nearest_axis_by_axis],
    wrong={
        nearest_by_pillow: "centre",
        nearest_rounded: "rounding *down*",
        nearest_with_corners_aligned: "align_corners",
        nearest_upside_down: "upside down",
        nearest_width_first: "the other way round",
        nearest_transposed: "swapped in the result",
        nearest_rows_only: "Only the rows",
        nearest_by_np_resize: "knows no rows",
        nearest_blended: "invents labels",
    },
    unforeseen=nearest_from_the_right,
)


# Resize a row by blending


def row_stub(row, new):
    raise NotImplementedError


def row_by_interp(row, new):
    return np.interp(places(new, len(row)), np.arange(len(row)) + 0.5, row)


def row_by_torch(row, new):
    return torch.nn.functional.interpolate(torch.tensor(row)[None, None], size=new, mode="linear")[0, 0]


def row_by_loop(row, new):
    blended = []
    for i in range(new):
        x = min(max((i + 0.5) * len(row) / new - 0.5, 0), len(row) - 1)
        left, right = int(np.floor(x)), int(np.ceil(x))
        blended.append(row[left] + (x - left) * (row[right] - row[left]))
    return blended


def row_between_corners(row, new):
    return np.interp(np.arange(new) / new * len(row), np.arange(len(row)), row)


def row_aligned(row, new):
    plane = torch.tensor(row)[None, None]
    return torch.nn.functional.interpolate(plane, size=new, mode="linear", align_corners=True)[0, 0]


def row_half_too_far(row, new):
    return np.interp(places(new, len(row)), np.arange(len(row)), row)


def row_upside_down(row, new):
    return np.interp((np.arange(new) + 0.5) * (new / len(row)) - 0.5, np.arange(len(row)), row)


def row_goes_on(row, new):
    blended = []
    for x in places(new, len(row)) - 0.5:
        left = min(max(int(np.floor(x)), 0), len(row) - 2)
        blended.append(row[left] + (x - left) * (row[left + 1] - row[left]))
    return blended


def row_wraps(row, new):
    blended = []
    for x in places(new, len(row)) - 0.5:
        left = int(np.floor(x))
        right = min(left + 1, len(row) - 1)
        blended.append(row[left] + (x - left) * (row[right] - row[left]))
    return blended


def row_weights_swapped(row, new):
    blended = []
    for i in range(new):
        x = min(max((i + 0.5) * len(row) / new - 0.5, 0), len(row) - 1)
        left = min(int(x), len(row) - 2)
        blended.append((x - left) * row[left] + (1 - (x - left)) * row[left + 1])
    return blended


def row_copied(row, new):
    return torch.nn.functional.interpolate(torch.tensor(row)[None, None], size=new, mode="nearest")[0, 0]


def row_antialiased(row, new):
    plane = torch.tensor(row)[None, None, None]
    return torch.nn.functional.interpolate(plane, size=(1, new), mode="bilinear", antialias=True)[0, 0, 0]


def row_rounded(row, new):
    return np.round(row_by_interp(row, new))


def row_without_an_end(row, new):
    x = places(new, len(row)) - 0.5
    left = x.astype(int)
    return (1 - (x - left)) * row[left] + (x - left) * row[left + 1]


def row_reversed(row, new):
    return row_by_interp(row, new)[::-1]


ROW = Trial(
    exercise=exercises.blend_a_row,
    stub=row_stub,
    right=[row_by_interp, row_by_torch, row_by_loop],
    wrong={
        row_between_corners: "half a pixel is missing",
        row_aligned: "align_corners",
        row_half_too_far: "− ½",
        row_upside_down: "upside down",
        row_goes_on: "straight line",
        row_wraps: "*last* value",
        row_weights_swapped: "weights are swapped",
        row_copied: "copies one",
        row_antialiased: "antialiased",
        row_rounded: "rounded",
    },
    unforeseen=row_reversed,
)


# A window that looks


def window_stub(labels, crop, rng):
    raise NotImplementedError


def place(labels, crop, rng):
    """A window drawn as the exercise asks, as slices."""
    starts = [int(rng.integers(0, max(0, side - crop), endpoint=True)) for side in labels.shape]
    return tuple(slice(start, min(start + crop, side)) for start, side in zip(starts, labels.shape, strict=True))


def corners(window):
    """The slices as (top, left, bottom, right)."""
    rows, columns = window
    return rows.start, columns.start, rows.stop, columns.stop


def shares(values):
    """How often each value occurs, of all of them."""
    return np.unique(values, return_counts=True)[1] / max(values.size, 1)


def search(labels, crop, rng, accept, looks=10):
    """The first of so many windows that is accepted, and else the next."""
    for _ in range(looks):
        window = place(labels, crop, rng)
        if accept(labels[window]):
            return corners(window)
    return corners(place(labels, crop, rng))


def window_by_search(labels, crop, rng):
    def accept(window):
        counted = window[window < 255]
        return counted.size > 0 and shares(counted).max() < 3 / 4

    return search(labels, crop, rng, accept)


def window_of_numpy_numbers(labels, crop, rng):
    return list(np.array(window_by_search(labels, crop, rng)))


def window_unchecked(labels, crop, rng):
    return corners(place(labels, crop, rng))


def window_counts_ignored(labels, crop, rng):
    return search(labels, crop, rng, lambda window: shares(window).max() < 0.75)


def window_fraction_of_all(labels, crop, rng):
    def accept(window):
        counted = window[window < 255]
        return counted.size > 0 and shares(counted).max() * counted.size / window.size < 0.75

    return search(labels, crop, rng, accept)


def window_lets_three_quarters_through(labels, crop, rng):
    def accept(window):
        counted = window[window < 255]
        return counted.size > 0 and not (shares(counted) > 0.75).any()

    return search(labels, crop, rng, accept)


def window_keeps_the_dull(labels, crop, rng):
    def accept(window):
        counted = window[window < 255]
        return counted.size == 0 or shares(counted).max() > 0.75

    return search(labels, crop, rng, accept)


def window_wants_two_classes(labels, crop, rng):
    return search(labels, crop, rng, lambda window: len(set(window.ravel().tolist()) - {255}) >= 2)


def window_takes_the_empty(labels, crop, rng):
    return search(labels, crop, rng, lambda window: not (shares(window[window < 255]) >= 0.75).any())


def window_without_an_eleventh(labels, crop, rng):
    for _ in range(10):
        window = place(labels, crop, rng)
        counted = labels[window][labels[window] != 255]
        if counted.size and shares(counted).max() < 0.75:
            break
    return corners(window)


def window_that_looks_once_more(labels, crop, rng):
    def accept(window):
        counted = window[window < 255]
        return counted.size > 0 and shares(counted).max() < 0.75

    return search(labels, crop, rng, accept, looks=11)


def window_short_of_the_end(labels, crop, rng):
    class Short:
        def integers(self, low, high, endpoint):
            return rng.integers(low, max(high, 1))

    return window_by_search(labels, crop, Short())


def window_left_first(labels, crop, rng):
    left, top, right, bottom = window_by_search(labels.T, crop, rng)
    return top, left, bottom, right


def window_without_class_0(labels, crop, rng):
    def accept(window):
        counted = window[(window != 255) & (window != 0)]
        return counted.size > 0 and shares(counted).max() < 0.75

    return search(labels, crop, rng, accept)


def window_best_of_ten(labels, crop, rng):
    best, least = None, 2.0
    for _ in range(10):
        window = place(labels, crop, rng)
        counted = labels[window][labels[window] != 255]
        share = shares(counted).max() if counted.size else 1.0
        if share < least:
            best, least = corners(window), share
    return best


def window_back_to_the_best(labels, crop, rng):
    best, least = None, 2.0
    for _ in range(10):
        window = place(labels, crop, rng)
        counted = labels[window][labels[window] != 255]
        share = shares(counted).max() if counted.size else 1.0
        if share < 0.75:
            return corners(window)
        if share < least:
            best, least = corners(window), share
    return best


def window_with_its_extent(labels, crop, rng):
    top, left, bottom, right = window_by_search(labels, crop, rng)
    return top, left, bottom - top, right - left


def window_with_crop_twice(labels, crop, rng):
    top, left, _, _ = window_by_search(labels, crop, rng)
    return top, left, crop, crop


def window_columns_first(labels, crop, rng):
    top, left, bottom, right = window_by_search(labels, crop, rng)
    return left, top, right, bottom


def window_by_axis(labels, crop, rng):
    top, left, bottom, right = window_by_search(labels, crop, rng)
    return top, bottom, left, right


def window_beyond_the_image(labels, crop, rng):
    top, left, _, _ = window_by_search(labels, crop, rng)
    return top, left, top + crop, left + crop


def window_of_all_if_small(labels, crop, rng):
    if labels.shape[0] < crop or labels.shape[1] < crop:
        return 0, 0, *labels.shape
    return window_by_search(labels, crop, rng)


def window_keeps_three_quarters_and_more(labels, crop, rng):
    def accept(window):
        counted = window[window < 255]
        return counted.size > 0 and shares(counted).max() >= 0.75

    return search(labels, crop, rng, accept)


def window_crashes_on_nothing(labels, crop, rng):
    return search(labels, crop, rng, lambda window: np.bincount(window[window != 255]).max() < 0.75 * crop * crop)


def window_of_a_shared_generator(labels, crop, rng):
    return window_by_search(labels, crop, np.random.default_rng())


def window_in_the_corner(labels, crop, rng):
    return 0, 0, min(crop, labels.shape[0]), min(crop, labels.shape[1])


WINDOW = Trial(
    exercise=exercises.choose_window,
    stub=window_stub,
    right=[window_by_search, window_of_numpy_numbers],
    wrong={
        window_unchecked: "without looking",
        window_counts_ignored: "255 is counted",
        window_fraction_of_all: "divide by the counted ones",
        window_lets_three_quarters_through: "exactly three quarters",
        window_keeps_the_dull: "wrong way round",
        window_wants_two_classes: "Two classes are enough",
        window_takes_the_empty: "without any counted pixel",
        window_without_an_eleventh: "eleventh draw is missing",
        window_that_looks_once_more: "looks at eleven",
        window_short_of_the_end: "last position is never drawn",
        window_left_first: "Left is drawn before top",
        window_without_class_0: "Class 0",
        window_best_of_ten: "best of ten",
        window_back_to_the_best: "goes back to the best",
        window_with_its_extent: "height and width",
        window_columns_first: "(left, top, right, bottom)",
        window_by_axis: "(top, bottom, left, right)",
        window_beyond_the_image: "beyond the image",
        window_of_all_if_small: "only that side",
    },
    unforeseen=window_in_the_corner,
)


# Normalise, then pad

MEAN = torch.tensor([123.675, 116.28, 103.53])
STD = torch.tensor([58.395, 57.12, 57.375])


def pad_stub(image, labels, crop):
    raise NotImplementedError


def pad_into_a_canvas(image, labels, crop, *, mean=MEAN, std=STD, fill=0.0, label=255, corner=False):
    """Both into canvases of the full size; the options are for the wrong answers below."""
    height, width = labels.shape
    rows, columns = (slice(-height, None), slice(-width, None)) if corner else (slice(height), slice(width))
    pixels = torch.zeros(3, crop, crop) + torch.as_tensor(fill).reshape(-1, 1, 1)
    pixels[:, rows, columns] = (torch.tensor(image.copy()).movedim(-1, 0) - mean[:, None, None]) / std[:, None, None]
    padded = torch.full((crop, crop), label, dtype=torch.uint8)
    padded[rows, columns] = torch.tensor(labels.copy())
    return pixels, padded


def pad_plane_by_plane(image, labels, crop):
    sides = [(0, crop - side) for side in labels.shape]
    values = zip(np.moveaxis(image, 2, 0), MEAN.tolist(), STD.tolist(), strict=True)
    planes = [np.pad((plane - mean) / std, sides) for plane, mean, std in values]
    padded = np.full((crop, crop), 255)
    padded[: labels.shape[0], : labels.shape[1]] = labels
    return np.stack(planes), padded


def pad_black(image, labels, crop):
    return pad_into_a_canvas(image, labels, crop, fill=-MEAN / STD)


def pad_labels_with_zero(image, labels, crop):
    return pad_into_a_canvas(image, labels, crop, label=0)


def pad_on_the_left(image, labels, crop):
    return pad_into_a_canvas(image, labels, crop, corner=True)


def pad_dividing_first(image, labels, crop):
    return pad_into_a_canvas(image, labels, crop, mean=MEAN * STD)


def pad_without_std(image, labels, crop):
    return pad_into_a_canvas(image, labels, crop, std=torch.ones(3))


def pad_of_fractions(image, labels, crop):
    return pad_into_a_canvas(image, labels, crop, mean=MEAN * 255, std=STD * 255)


def pad_blue_first(image, labels, crop):
    return pad_into_a_canvas(image, labels, crop, mean=MEAN.flip(0), std=STD.flip(0))


def pad_of_reshaped(image, labels, crop):
    normalised = (torch.tensor(image.copy()) - MEAN) / STD
    pixels = torch.zeros(3, crop, crop)
    pixels[:, : labels.shape[0], : labels.shape[1]] = normalised.view(3, *labels.shape)
    return pixels, pad_into_a_canvas(image, labels, crop)[1]


def pad_channels_last(image, labels, crop):
    pixels, padded = pad_into_a_canvas(image, labels, crop)
    return pixels.movedim(0, -1), padded


def pad_sides_swapped(image, labels, crop):
    pixels = ((torch.tensor(image.copy()) - MEAN) / STD).movedim(-1, 0)
    bottom, right = crop - labels.shape[0], crop - labels.shape[1]
    return torch.nn.functional.pad(pixels, (0, bottom, 0, right)), pad_into_a_canvas(image, labels, crop)[1]


def pad_not_normalised(image, labels, crop):
    return pad_into_a_canvas(image, labels, crop, mean=0 * MEAN, std=torch.ones(3))


def pad_pixels_only(image, labels, crop):
    return pad_into_a_canvas(image, labels, crop)[0], labels


def pad_with_255(image, labels, crop):
    return pad_into_a_canvas(image, labels, crop, fill=255.0)


def pad_in_the_middle(image, labels, crop):
    missing = [crop - side for side in labels.shape]
    sides = [(side // 2, side - side // 2) for side in missing]
    pixels = ((torch.tensor(image.copy()) - MEAN) / STD).movedim(-1, 0).numpy()
    return np.pad(pixels, [(0, 0), *sides]), np.pad(labels, sides, constant_values=255)


def pad_without_labels(image, labels, crop):
    return pad_into_a_canvas(image, labels, crop)[0]


def pad_of_a_mirrored_view(image, labels, crop):
    return pad_into_a_canvas(torch.from_numpy(image).numpy(), labels, crop)


def pad_by_mirror(image, labels, crop):
    pixels, padded = pad_into_a_canvas(image, labels, crop)
    return pixels + pixels.flip(-1), padded


PAD = Trial(
    exercise=exercises.normalise_and_pad,
    stub=pad_stub,
    right=[pad_into_a_canvas, pad_plane_by_plane],
    wrong={
        pad_black: "padding is black",
        pad_labels_with_zero: "255",
        pad_on_the_left: "right and below",
        pad_dividing_first: "divides before it subtracts",
        pad_without_std: "standard deviation is missing",
        pad_of_fractions: "grey levels",
        pad_blue_first: "blue's mean",
        pad_of_reshaped: "reshaped, not moved",
        pad_channels_last: "last axis: (3",
        pad_sides_swapped: "Right and bottom",
        pad_not_normalised: "not normalised",
        pad_pixels_only: "labels are not padded",
        pad_with_255: "holds 255",
        pad_in_the_middle: "in the middle",
    },
    unforeseen=pad_by_mirror,
)


# The training transform


def transform_stub(image, labels, rng, *, crop, scale, ratio_range):
    raise NotImplementedError


def transform_by_the_library(image, labels, rng, *, crop, scale, ratio_range):
    pipeline = transforms.TrainPipeline(crop=crop, scale=scale, ratio_range=ratio_range, photometric=False)
    return pipeline(image, labels, rng)


def transform_with(fault, image, labels, rng, *, crop, scale, ratio_range):
    """By hand, with the library's functions; `fault` says what is wrong with it."""
    if fault == "flips first" and rng.random() < 0.5:
        image, labels = np.fliplr(image), np.fliplr(labels)
    before = labels
    if fault == "crops first":
        box = transforms.crop_box(labels, crop, rng)
        image, labels = transforms.crop_array(image, box), transforms.crop_array(labels, box)
    ratio = 1.0 if fault == "no ratio" else rng.uniform(*ratio_range)
    height, width = transforms.fit_size(*labels.shape, [int(ratio * side) for side in scale])
    size = (width, height) if fault == "swaps" else (height, width)
    image = transforms.resize_image(image, size)
    labels = transforms.resize_image(labels, size) if fault == "blends" else transforms.resize_labels(labels, size)
    if fault != "crops first":
        box = transforms.crop_box(before if fault == "looks too early" else labels, crop, rng)
        image = transforms.crop_array(image, box)
        if fault == "chooses twice":
            box = transforms.crop_box(labels, crop, rng)
        labels = transforms.crop_array(labels, box)
    mirror = fault != "flips first" and fault != "never flips" and rng.random() < 0.5
    if mirror or fault == "always flips":
        image = np.fliplr(image)
        labels = labels if fault == "flips the image" else np.fliplr(labels)
    if fault == "loses the flip" and mirror:
        image, labels = np.fliplr(image), np.fliplr(labels)
    if fault == "crops first":
        return solution.normalise_and_pad(image, labels, crop)
    return pad_into_a_canvas(image.copy(), labels.copy(), crop)


def answer_with(fault):
    answer = partial(transform_with, fault)
    answer.__name__ = "transform_that_" + fault.replace(" ", "_")
    return answer


transform_by_hand = answer_with("")


def transform_that_never_pads(image, labels, rng, *, crop, scale, ratio_range):
    pixels, labels = transform_with("", image, labels, rng, crop=crop, scale=scale, ratio_range=ratio_range)
    return pixels[:, :-1], labels[:-1]


def transform_that_draws_once_more(image, labels, rng, *, crop, scale, ratio_range):
    result = transform_with("", image, labels, rng, crop=crop, scale=scale, ratio_range=ratio_range)
    rng.random()
    return result


def transform_that_negates(image, labels, rng, *, crop, scale, ratio_range):
    pixels, labels = transform_with("", image, labels, rng, crop=crop, scale=scale, ratio_range=ratio_range)
    return -pixels, labels


FAULTS = {
    "flips the image": "Only the image",
    "never flips": "never mirrors",
    "always flips": "every time",
    "flips first": "before it resizes and crops",
    "looks too early": "before their resize",
    "chooses twice": "a window each",
    "blends": "labels are blended",
    "no ratio": "No ratio",
    "swaps": "Height and width",
    "loses the flip": "is lost",
}
TRANSFORM = Trial(
    exercise=exercises.pipeline,
    stub=transform_stub,
    right=[transform_by_the_library, transform_by_hand],
    wrong={
        **{answer_with(fault): words for fault, words in FAULTS.items()},
        transform_that_draws_once_more: "draws more often",
    },
    unforeseen=transform_that_negates,
)


TRIALS = [FLIP, NEAREST, ROW, WINDOW, PAD, TRANSFORM]

# Wrong answers that were met, beside those above: none is right. Whether its feedback names the slip, in which words.
REVIEWED = [
    (exercises.flip_both, flip_in_place),
    (exercises.flip_both, flip_by_numpys_global_draw),
    (exercises.flip_both, flip_by_a_generator_of_its_own),
    (exercises.flip_both, flip_labels_forgotten),
    (exercises.nearest_by_index, nearest_by_rounded_centre),
    (exercises.nearest_by_index, nearest_without_the_crossing),
    (exercises.blend_a_row, row_without_an_end),
    (exercises.choose_window, window_keeps_three_quarters_and_more),
    (exercises.choose_window, window_with_crop_twice),
    (exercises.choose_window, window_crashes_on_nothing),
    (exercises.choose_window, window_of_a_shared_generator),
    (exercises.normalise_and_pad, pad_without_labels),
    (exercises.normalise_and_pad, pad_of_a_mirrored_view),
    (exercises.pipeline, answer_with("crops first")),
    (exercises.pipeline, transform_that_never_pads),
]
NAMED = {
    "flip_in_place": True,
    "flip_by_numpys_global_draw": True,
    "flip_by_a_generator_of_its_own": True,
    "flip_labels_forgotten": True,  # "a array of shape …, where a tuple of 2 was expected"
    "nearest_by_rounded_centre": True,
    "nearest_without_the_crossing": True,  # NumPy's whole message
    "row_without_an_end": True,  # an index out of bounds, NumPy's whole message
    "window_keeps_three_quarters_and_more": True,
    "window_with_crop_twice": True,
    "window_crashes_on_nothing": True,  # NumPy's message: an empty array has no maximum
    "window_of_a_shared_generator": True,
    "pad_without_labels": True,
    "pad_of_a_mirrored_view": True,  # torch's whole message: a stride is negative, make a copy
    "transform_that_crops_first": True,  # "larger than `crop`: crop *after* the resize"
    "transform_that_never_pads": False,
}
