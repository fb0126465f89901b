"""Answers to the exercises of chapter 02, right and wrong."""

import numpy as np
import torch
from PIL import Image
from trials import Trial

from vitseg_lib.course.exercises import augmentation as exercises

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
    },
    unforeseen=flip_by_roll,
)


# Nearest, by the centre


def nearest_stub(labels, size):
    raise NotImplementedError


def nearest_by_pillow(labels, size):
    return np.array(Image.fromarray(labels).resize((size[1], size[0]), Image.Resampling.NEAREST))


def nearest_by_torch(labels, size):
    planes = torch.from_numpy(labels.astype(np.float32))[None, None]
    return torch.nn.functional.interpolate(planes, size=size, mode="nearest-exact")[0, 0].numpy().astype(np.uint8)


def nearest_by_loops(labels, size):
    height, width = labels.shape
    scale = height / size[0], width / size[1]
    return np.array(
        [
            [labels[int((row + 0.5) * scale[0]), int((column + 0.5) * scale[1])] for column in range(size[1])]
            for row in range(size[0])
        ]
    )


def nearest_by_corner(labels, size):
    planes = torch.from_numpy(labels.astype(np.float32))[None, None]
    return torch.nn.functional.interpolate(planes, size=size, mode="nearest")[0, 0].numpy()


def places(new, old):
    """The centres of the new pixels on the old ruler."""
    return (np.linspace(0, 1, new, endpoint=False) + 0.5 / new) * old


def nearest_rounded(labels, size):
    rows, columns = (places(new, old).round().astype(int) for new, old in zip(size, labels.shape, strict=True))
    return labels[np.ix_(rows.clip(max=labels.shape[0] - 1), columns.clip(max=labels.shape[1] - 1))]


def nearest_half_an_old_pixel_on(labels, size):
    height, width = labels.shape
    rows = [min(round(row * height / size[0] + 1e-9), height - 1) for row in range(size[0])]
    columns = [min(round(column * width / size[1] + 1e-9), width - 1) for column in range(size[1])]
    return labels[rows][:, columns]


def nearest_shifted(labels, size):
    rows, columns = (np.maximum(places(new, old) - 0.5, 0) for new, old in zip(size, labels.shape, strict=True))
    return labels[np.ix_(rows.astype(int), columns.astype(int))]


def nearest_with_corners_aligned(labels, size):
    rows, columns = (
        np.round(np.linspace(0, old - 1, new)).astype(int) for new, old in zip(size, labels.shape, strict=True)
    )
    return labels[np.ix_(rows, columns)]


def nearest_width_first(labels, size):
    return np.array(Image.fromarray(labels).resize(size, Image.Resampling.NEAREST))


def nearest_transposed(labels, size):
    return nearest_by_loops(labels, size).transpose()


def nearest_blended(labels, size):
    planes = torch.tensor(labels, dtype=torch.float64)[None, None]
    return torch.nn.functional.interpolate(planes, size=size, mode="bilinear").round()[0, 0]


def nearest_from_the_right(labels, size):
    return nearest_by_loops(labels[:, ::-1], size)


NEAREST = Trial(
    exercise=exercises.nearest_by_centre,
    stub=nearest_stub,
    right=[nearest_by_pillow, nearest_by_torch, nearest_by_loops],
    wrong={
        nearest_by_corner: "corner",
        nearest_rounded: "rounded",
        nearest_half_an_old_pixel_on: "added after scaling",
        nearest_shifted: "belongs to bilinear",
        nearest_with_corners_aligned: "centres are aligned",
        nearest_width_first: "the other way round",
        nearest_transposed: "swapped in the result",
        nearest_blended: "invents labels",
    },
    unforeseen=nearest_from_the_right,
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
        window_left_first: "rows come first",
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
    pixels[:, rows, columns] = (torch.tensor(image).movedim(-1, 0) - mean[:, None, None]) / std[:, None, None]
    padded = torch.full((crop, crop), label, dtype=torch.uint8)
    padded[rows, columns] = torch.tensor(labels)
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
    normalised = (torch.tensor(image) - MEAN) / STD
    pixels = torch.zeros(3, crop, crop)
    pixels[:, : labels.shape[0], : labels.shape[1]] = normalised.view(3, *labels.shape)
    return pixels, pad_into_a_canvas(image, labels, crop)[1]


def pad_channels_last(image, labels, crop):
    pixels, padded = pad_into_a_canvas(image, labels, crop)
    return pixels.movedim(0, -1), padded


def pad_sides_swapped(image, labels, crop):
    pixels = ((torch.tensor(image) - MEAN) / STD).movedim(-1, 0)
    bottom, right = crop - labels.shape[0], crop - labels.shape[1]
    return torch.nn.functional.pad(pixels, (0, bottom, 0, right)), pad_into_a_canvas(image, labels, crop)[1]


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
    },
    unforeseen=pad_by_mirror,
)


TRIALS = [FLIP, NEAREST, WINDOW, PAD]
