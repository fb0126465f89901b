"""Answers to the exercises of chapter 01, right and wrong."""

from collections import Counter

import numpy as np
import torch
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


def shift_as_mmsegmentation(raw):
    labels = raw.copy()
    labels[labels == 0] = 255
    labels = labels - 1
    labels[labels == 254] = 255
    return labels


def shift_with_loops_over_pixels(raw):
    labels = np.zeros(raw.shape, dtype=np.int32)
    for y in range(raw.shape[0]):
        for x in range(raw.shape[1]):
            labels[y, x] = 255 if raw[y, x] in (0, 255) else raw[y, x] - 1
    return labels


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


def shift_in_the_wrong_order_in_its_type(raw):
    labels = raw - 1
    labels[labels == 0] = 255
    return labels


def shift_in_the_wrong_order_but_255(raw):
    labels = raw - 1
    labels[labels == 0] = 255
    labels[raw == 255] = 255
    return labels


def shift_up(raw):
    labels = raw.astype(np.int64) + 1
    labels[(raw == 0) | (raw == 255)] = 255
    return labels


def shift_subtracts_last(raw):
    labels = raw.copy()
    labels[labels == 0] = 255
    labels -= 1
    return labels


def shift_ignores_with_minus_one(raw):
    return np.where((raw == 0) | (raw == 255), -1, raw.astype(int) - 1)


def shift_to_zero(raw):
    return np.where((raw == 0) | (raw == 255), 0, raw.astype(int) - 1)


def shift_for_150_classes(raw):
    labels = raw.astype(np.int64) - 1
    labels[(labels < 0) | (labels > 149)] = 255
    return labels


def shift_for_149_classes(raw):
    table = np.full(256, 255)
    table[1:150] = np.arange(149)
    return table[raw]


def shift_odd(raw):
    labels = shift_by_table(raw)
    labels[0] = 0
    return labels


# Of the reviews, and of this kind: told by the machinery, not by a list of mistakes


def shift_in_place(raw):
    raw[raw == 0] = 255
    raw[raw < 255] -= 1
    return raw


def shift_in_place_as_mmsegmentation(raw):
    raw[raw == 0] = 255
    raw -= 1
    return raw


def shift_to_floats(raw):
    return np.where((raw == 0) | (raw == 255), 255.0, raw - 1.0)


def shift_to_a_list(raw):
    return [[255 if value in (0, 255) else value - 1 for value in row] for row in raw.tolist()]


def shift_to_a_tensor(raw):
    return torch.from_numpy(np.where((raw == 0) | (raw == 255), 255, raw - 1))


def shift_of_a_tensor(raw):
    return raw.clone()


def shift_prints(raw):
    print("shifted")


def fractions_in_place(masks, num_classes):
    for labels in masks:
        labels[labels == 255] = num_classes
    counts = sum(np.bincount(labels.ravel(), minlength=num_classes + 1) for labels in masks)[:-1]
    return counts / counts.sum()


def fractions_empty(masks, num_classes):
    return None


def fractions_of_one_mask(masks, num_classes):
    return np.bincount(masks[masks != 255], minlength=num_classes)


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
            labelled = (labels != 255).sum()
            fractions[k] += (labels == k).sum() / labelled / len(masks) if labelled else np.nan
    return fractions


def fractions_averaged_where_labelled(masks, num_classes):
    labelled = [labels for labels in masks if (labels != 255).any()]
    return fractions_averaged(labelled, num_classes)


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


def fractions_in_bytes(masks, num_classes):
    counts = np.zeros(num_classes, dtype=np.uint8)
    for labels in masks:
        counts += np.array([(labels == k).sum() for k in range(num_classes)]).astype(np.uint8)
    return counts / counts.sum()


def fractions_of_counts_in_bytes(masks, num_classes):
    counts = np.zeros(num_classes)
    for labels in masks:
        counts += np.array([(labels == k).sum() % 256 for k in range(num_classes)])
    return counts / counts.sum()


def fractions_too_short(masks, num_classes):
    pixels = np.concatenate([labels.ravel() for labels in masks])
    pixels = pixels[pixels < 255]
    return np.bincount(pixels) / len(pixels)


def fractions_of_what_occurs(masks, num_classes):
    pixels = np.concatenate([labels.ravel() for labels in masks])
    _, counts = np.unique(pixels[pixels < 255], return_counts=True)
    return counts / counts.sum()


def fractions_without_class_0(masks, num_classes):
    counts = fractions_not_divided(masks, num_classes)
    counts[0] = 0
    return counts / counts.sum()


def fractions_late(masks, num_classes):
    counts = np.zeros(num_classes + 1)
    counts[1:] = fractions_not_divided(masks, num_classes)
    return counts[:-1] / counts[:-1].sum()


def fractions_early(masks, num_classes):
    counts = np.array([sum((labels == k + 1).sum() for labels in masks) for k in range(num_classes)])
    return counts / counts.sum()


def fractions_of_256(masks, num_classes):
    counts = sum(np.bincount(labels.ravel(), minlength=256) for labels in masks)
    return counts / counts.sum()


def fractions_odd(masks, num_classes):
    return np.roll(fractions_by_counter(masks, num_classes), 1)


TRIALS = [
    Trial(
        exercise=exercises.shift,
        stub=shift_stub,
        right=[shift_by_table, shift_by_loops, shift_as_mmsegmentation, shift_with_loops_over_pixels],
        wrong={
            shift_forgotten: "was shifted",
            shift_ignores_only: "not shifted down by one",
            shift_trusts_bytes: "trusts the byte to wrap",
            shift_subtracts_last: "subtracted from, too",
            shift_casts_first: "marks with 255 became 254",
            shift_protects_255_only: "for uint8, where",
            shift_ignores_with_minus_one: "Ignored pixels are -1",
            shift_to_minus_one: "0 became -1",
            shift_signed: "went down by one",
            shift_clips: "ended up as class 0",
            shift_to_zero: "both became 0",
            shift_in_the_wrong_order: "0 made 255 afterwards",
            shift_in_the_wrong_order_but_careful: "comes after the shift",
            shift_in_the_wrong_order_in_its_type: "lost; and the file's 255",
            shift_in_the_wrong_order_but_255: "Look in `raw`",
            shift_up: "went up by one",
            shift_for_150_classes: "above ADE20K's 150",
            shift_for_149_classes: "Class 149 became",
        },
        unforeseen=shift_odd,
    ),
    Trial(
        exercise=exercises.fractions,
        stub=fractions_stub,
        right=[fractions_by_counter, fractions_of_all_at_once],
        wrong={
            fractions_averaged: "mean of the masks' own fractions",
            fractions_averaged_where_labelled: "mean of the labelled masks",
            fractions_of_all_pixels: "do not sum to 1",
            fractions_in_percent: "percent",
            fractions_not_divided: "still have to be divided",
            fractions_in_bytes: "The counts are bytes",
            fractions_of_masks: "fraction of masks",
            fractions_by_class_number: "number of classes",
            fractions_too_short: "minlength",
            fractions_of_what_occurs: "classes that occur",
            fractions_without_class_0: "Class 0 was left out",
            fractions_late: "one place too late",
            fractions_early: "one place too early",
            fractions_returned_too_early: "the first mask counts",
            fractions_overwritten: "the last mask counts",
            fractions_of_256: "a class of their own",
        },
        unforeseen=fractions_odd,
    ),
]

REVIEWED = [  # wrong answers that need no sentence of their own
    (exercises.shift, shift_in_place),
    (exercises.shift, shift_in_place_as_mmsegmentation),
    (exercises.shift, shift_to_floats),
    (exercises.shift, shift_to_a_list),
    (exercises.shift, shift_to_a_tensor),
    (exercises.shift, shift_of_a_tensor),
    (exercises.shift, shift_prints),
    (exercises.fractions, fractions_in_place),
    (exercises.fractions, fractions_of_counts_in_bytes),
    (exercises.fractions, fractions_empty),
    (exercises.fractions, fractions_of_one_mask),
]
NAMED = {  # whether what they are told names the slip
    "shift_in_place": True,
    "shift_in_place_as_mmsegmentation": True,
    "shift_to_floats": True,
    "shift_to_a_list": True,
    "shift_to_a_tensor": True,
    "shift_of_a_tensor": True,
    "shift_prints": True,
    "fractions_in_place": True,
    "fractions_of_counts_in_bytes": True,
    "fractions_empty": True,
    "fractions_of_one_mask": False,
}
