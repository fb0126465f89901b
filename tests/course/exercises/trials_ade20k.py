"""Answers to the exercises of chapter 01, right and wrong."""

from collections import Counter

import numpy as np
from trials import Trial

from vitseg_lib.course.exercises import ade20k as exercises

# From the file to memory


def shift_stub(raw):
    raise NotImplementedError


def shift_by_table(raw):
    table = np.arange(256) - 1
    table[[0, 255]] = 255
    return table[raw]


def shift_by_loops(raw):
    return np.array([[255 if value in (0, 255) else value - 1 for value in row] for row in raw.tolist()])


def shift_in_place(raw):
    raw[raw == 0] = 255
    raw[raw < 255] -= 1
    return raw


def shift_forgotten(raw):
    return raw.copy()


def shift_ignores_only(raw):
    labels = raw.tolist()
    return np.array([[255 if value == 0 else value for value in row] for row in labels])


def shift_trusts_bytes(raw):
    labels = raw.copy()
    labels -= 1
    return labels


def shift_casts_first(raw):
    return raw.astype(np.uint8) - np.uint8(1)


def shift_protects_255_only(raw):
    labels = raw.copy()
    labels[raw != 255] -= 1
    return labels


def shift_to_minus_one(raw):
    return np.array([[255 if value == 255 else value - 1 for value in row] for row in raw.tolist()])


def shift_signed(raw):
    return raw.astype(np.int32) - 1


def shift_clips(raw):
    labels = np.clip(raw.astype(np.int16) - 1, 0, 254)
    labels[raw == 255] = 255
    return labels


def shift_in_the_wrong_order(raw):
    labels = raw.astype(np.uint8) - np.uint8(1)
    labels[labels == 0] = 255
    return labels


def shift_in_the_wrong_order_but_careful(raw):
    labels = raw.astype(np.int64)
    labels[labels < 255] -= 1
    labels[labels <= 0] = 255
    return labels


def shift_up(raw):
    labels = raw.astype(np.int64) + 1
    labels[(raw == 0) | (raw == 255)] = 255
    return labels


def shift_odd(raw):
    labels = shift_by_table(raw)
    labels[0] = 0
    return labels


# Labels to colours


def paint_stub(labels, colours, blank):
    raise NotImplementedError


def paint_by_loops(labels, colours, blank):
    return np.array([[blank if k == 255 else colours[k] for k in row] for row in labels.tolist()])


def paint_class_by_class(labels, colours, blank):
    image = np.empty((*labels.shape, 3), np.uint8)
    image[:] = blank
    for k, colour in enumerate(colours):
        image[labels == k] = colour
    return image


def paint_black(labels, colours, blank):
    image = np.zeros((*labels.shape, 3), np.uint8)
    for k, colour in enumerate(colours):
        image[labels == k] = colour
    return image


def paint_clipped(labels, colours, blank):
    return colours[labels.clip(0, len(colours) - 1)]


def paint_ignored_as_first(labels, colours, blank):
    labels[labels == 255] = 0
    return colours[labels]


def paint_shifted(labels, colours, blank):
    image = paint_by_loops(labels, np.vstack([[blank], colours]), blank)
    return image


def paint_bgr(labels, colours, blank):
    return paint_by_loops(labels, colours, blank)[..., ::-1]


def paint_channels_first(labels, colours, blank):
    return np.stack([paint_by_loops(labels, colours, blank)[..., channel] for channel in range(3)])


def paint_turned(labels, colours, blank):
    return paint_by_loops(labels, colours, blank).swapaxes(0, 1)


def paint_in_floats(labels, colours, blank):
    return paint_by_loops(labels, colours / 255, [value / 255 for value in blank])


def paint_odd(labels, colours, blank):
    image = paint_by_loops(labels, colours, blank)
    image[0, 0, 1] ^= 1
    return image


# Class fractions of a data set


def fractions_stub(masks, num_classes):
    raise NotImplementedError


def fractions_by_counter(masks, num_classes):
    counter = Counter()
    for labels in masks:
        counter.update(labels.ravel().tolist())
    del counter[255]
    return [counter[k] / counter.total() for k in range(num_classes)]


def fractions_of_all_at_once(masks, num_classes):
    pixels = np.concatenate([labels.ravel() for labels in masks])
    return np.array([(pixels == k).sum() for k in range(num_classes)]) / (pixels < 255).sum()


def fractions_averaged(masks, num_classes):
    fractions = np.zeros(num_classes)
    for labels in masks:
        for k in range(num_classes):
            fractions[k] += (labels == k).sum() / (labels != 255).sum() / len(masks)
    return fractions


def fractions_of_all_pixels(masks, num_classes):
    pixels = np.concatenate([labels.ravel() for labels in masks])
    return np.array([(pixels == k).mean() for k in range(num_classes)])


def fractions_in_percent(masks, num_classes):
    return np.array(fractions_by_counter(masks, num_classes)) * 100


def fractions_not_divided(masks, num_classes):
    return np.array([sum((labels == k).sum() for labels in masks) for k in range(num_classes)])


def fractions_of_masks(masks, num_classes):
    return [sum(k in labels for labels in masks) / len(masks) for k in range(num_classes)]


def fractions_by_class_number(masks, num_classes):
    return fractions_not_divided(masks, num_classes) / num_classes


def fractions_returned_too_early(masks, num_classes):
    counts = np.zeros(num_classes)
    for labels in masks:
        for k in range(num_classes):
            counts[k] += (labels == k).sum()
        return counts / counts.sum()


def fractions_overwritten(masks, num_classes):
    for labels in masks:
        counts = np.array([(labels == k).sum() for k in range(num_classes)])
    return counts / counts.sum()


def fractions_odd(masks, num_classes):
    return np.roll(fractions_by_counter(masks, num_classes), 1)


TRIALS = [
    Trial(
        exercise=exercises.shift,
        stub=shift_stub,
        right=[shift_by_table, shift_by_loops, shift_in_place],
        wrong={
            shift_forgotten: "was shifted",
            shift_ignores_only: "not shifted down by one",
            shift_trusts_bytes: "trusts the byte to wrap",
            shift_casts_first: "marks with 255 became 254",
            shift_protects_255_only: "for uint8, where",
            shift_to_minus_one: "became -1",
            shift_signed: "went down by one",
            shift_clips: "ended up as class 0",
            shift_in_the_wrong_order: "0 made 255 afterwards",
            shift_in_the_wrong_order_but_careful: "comes after the shift",
            shift_up: "went up by one",
        },
        unforeseen=shift_odd,
    ),
    Trial(
        exercise=exercises.paint,
        stub=paint_stub,
        right=[paint_by_loops, paint_class_by_class],
        wrong={
            paint_black: "ignored pixels are black",
            paint_clipped: "last class's colour",
            paint_ignored_as_first: "first class's colour",
            paint_shifted: "neighbour's colour",
            paint_bgr: "blue are swapped",
            paint_channels_first: "channels came first",
            paint_turned: "columns are swapped",
            paint_in_floats: "0 to 1",
        },
        unforeseen=paint_odd,
    ),
    Trial(
        exercise=exercises.fractions,
        stub=fractions_stub,
        right=[fractions_by_counter, fractions_of_all_at_once],
        wrong={
            fractions_averaged: "mean of the masks' own fractions",
            fractions_of_all_pixels: "do not sum to 1",
            fractions_in_percent: "percent",
            fractions_not_divided: "still have to be divided",
            fractions_of_masks: "fraction of masks",
            fractions_by_class_number: "number of classes",
            fractions_returned_too_early: "the first mask counts",
            fractions_overwritten: "the last mask counts",
        },
        unforeseen=fractions_odd,
    ),
]
