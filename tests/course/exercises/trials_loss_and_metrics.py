"""Answers to the exercises of chapter 08, right and wrong."""

import numpy as np
import torch
import torch.nn.functional as F
from trials import Trial

from vitseg_lib.course.exercises import loss_and_metrics as exercises

# Cross-entropy


def loss_stub(logits, labels):
    raise NotImplementedError


def loss_by_torch(logits, labels):
    return F.cross_entropy(logits, labels, ignore_index=255, reduction="none").mean()


def loss_by_loops(logits, labels):
    total = 0.0
    for b, row, column in (labels != 255).nonzero().tolist():
        scores = logits[b, :, row, column].double()
        scores = scores - scores.max()
        total += float(scores.exp().sum().log() - scores[labels[b, row, column]])
    return total / labels.numel()


def loss_in_place(logits, labels):
    counted = labels != 255
    labels = labels * counted
    logits = logits - logits.amax(dim=1, keepdim=True)
    p = logits.exp() / logits.exp().sum(dim=1, keepdim=True)
    return -(p.gather(1, labels.unsqueeze(1)).squeeze(1).log() * counted).sum() / counted.numel()


def loss_counted(logits, labels):
    return F.cross_entropy(logits, labels, ignore_index=255)


def loss_image_by_image(logits, labels):
    means = [F.cross_entropy(x[None], y[None], ignore_index=255) for x, y in zip(logits, labels, strict=True)]
    return sum(means) / len(means)


def loss_other_is_sky(logits, labels):
    labels[labels == 255] = 0
    return F.cross_entropy(logits, labels)


def loss_clamped(logits, labels):
    return F.cross_entropy(logits, labels.clamp(max=logits.shape[1] - 1))


def loss_summed(logits, labels):
    return F.cross_entropy(logits, labels, ignore_index=255, reduction="sum")


def loss_summed_by_image(logits, labels):
    return loss_summed(logits, labels) / labels.shape[0]


def loss_plus(logits, labels):
    return -loss_by_torch(logits, labels)


def softmaxed_over(axis):
    def answer(logits, labels):
        return F.nll_loss(F.log_softmax(logits, dim=axis), labels, ignore_index=255, reduction="none").mean()

    answer.__name__ = f"softmaxed_over_{axis}"
    return answer


def loss_complement(logits, labels):
    one_hot = F.one_hot(labels % 255, logits.shape[1]).movedim(-1, 1)
    wrong = 1 - (logits.softmax(1) * one_hot).sum(1)
    return wrong[labels != 255].sum() / labels.numel()


def loss_probability(logits, labels):
    return F.nll_loss(logits.softmax(1), labels, ignore_index=255, reduction="none").mean()


def loss_raw(logits, labels):
    return F.nll_loss(logits, labels, ignore_index=255, reduction="none").mean()


def loss_naive_softmax(logits, labels):
    p = torch.exp(logits) / torch.exp(logits).sum(dim=1, keepdim=True)
    return F.nll_loss(p.log(), labels, ignore_index=255, reduction="none").mean()


def loss_naive_sum(logits, labels):
    one_hot = F.one_hot(labels % 255, logits.shape[1]).movedim(-1, 1)
    losses = torch.log(torch.exp(logits).sum(1)) - (logits * one_hot).sum(1)
    return losses[labels != 255].sum() / labels.numel()


def loss_odd(logits, labels):
    return loss_by_torch(logits, labels) / 2


# The confusion matrix


def counts_stub(labels, prediction, num_classes):
    raise NotImplementedError


def counts_by_loop(labels, prediction, num_classes):
    counts = np.zeros((num_classes, num_classes))
    for true, predicted in zip(labels.ravel().tolist(), prediction.ravel().tolist(), strict=True):
        if true != 255:
            counts[true, predicted] += 1
    return counts


def counts_by_one_hot(labels, prediction, num_classes):
    classes = np.arange(num_classes)
    rows, columns = labels.ravel()[:, None] == classes, prediction.ravel()[:, None] == classes
    return rows.T.astype(int) @ columns.astype(int)


def counts_swapped(labels, prediction, num_classes):
    return counts_by_loop(labels, prediction, num_classes).T


def counts_other_is_sky(labels, prediction, num_classes):
    labels[labels == 255] = 0
    return counts_by_loop(labels, prediction, num_classes)


def counts_clipped(labels, prediction, num_classes):
    return counts_by_loop(labels.clip(0, num_classes - 1), prediction, num_classes)


def counts_hits(labels, prediction, num_classes):
    labels[labels != prediction] = 255
    return counts_by_loop(labels, prediction, num_classes)


def counts_misses(labels, prediction, num_classes):
    labels[labels == prediction] = 255
    return counts_by_loop(labels, prediction, num_classes)


def counts_by_fancy_index(labels, prediction, num_classes):
    counts, kept = np.zeros((num_classes, num_classes), int), labels < 255
    counts[labels[kept], prediction[kept]] += 1
    return counts


def counts_wrapped(labels, prediction, num_classes):
    kept = labels < 255
    numbers = labels[kept] * np.uint8(num_classes) + prediction[kept]
    return np.bincount(numbers, minlength=num_classes**2).reshape(num_classes, -1)


def counts_of_present(labels, prediction, num_classes):
    return counts_by_loop(labels, prediction, 1 + int(max(labels[labels < 255].max(), prediction[labels < 255].max())))


def counts_by_row(labels, prediction, num_classes):
    counts = counts_by_loop(labels, prediction, num_classes)
    return np.array([row / row.sum() if row.any() else row for row in counts])


def counts_by_column(labels, prediction, num_classes):
    counts = counts_by_loop(labels, prediction, num_classes)
    return np.array([column / column.sum() if column.any() else column for column in counts.T]).T


def counts_as_fractions(labels, prediction, num_classes):
    return counts_by_loop(labels, prediction, num_classes) / (labels < 255).sum()


def counts_odd(labels, prediction, num_classes):
    return 2 * counts_by_loop(labels, prediction, num_classes)


# IoU


def iou_stub(counts):
    raise NotImplementedError


def iou_by_loop(counts):
    values = []
    for k in range(len(counts)):
        union = counts[k].sum() + counts[:, k].sum() - counts[k, k]
        values.append(100 * counts[k, k] / union if union else float("nan"))
    present = [value for value in values if value == value]
    return values, sum(present) / len(present)


def iou_with_nan(counts):
    with np.errstate(invalid="ignore"):
        iou = 100 * counts.diagonal() / (counts.sum(0) + counts.sum(1) - counts.diagonal())
    return np.array(iou), np.nanmean(iou)


def over(numerator, denominator):
    """100 · a / b, NaN where b is 0, and the mean of the others."""
    values = np.array([100 * a / b if b else np.nan for a, b in zip(numerator, denominator, strict=True)])
    return values, np.nanmean(values)


def iou_double_union(counts):
    return over(np.diag(counts), counts.sum(0) + counts.sum(1))


def iou_dice(counts):
    return over(2 * np.diag(counts), counts.sum(0) + counts.sum(1))


def iou_recall(counts):
    return over(np.diag(counts), counts.sum(1))


def iou_precision(counts):
    return over(np.diag(counts), counts.sum(0))


def iou_absent_zero(counts):
    values = np.nan_to_num(iou_with_nan(counts)[0])
    return values, values.mean()


def iou_absent_full(counts):
    values = np.nan_to_num(iou_with_nan(counts)[0], nan=100.0)
    return values, values.mean()


def iou_plain_mean(counts):
    values, _ = iou_with_nan(counts)
    return values, values.mean()


def iou_mean_by_k(counts):
    values, mean = iou_with_nan(counts)
    return values, mean * np.isfinite(values).sum() / len(values)


def iou_labelled_only(counts):
    values, _ = iou_with_nan(counts)
    return values, np.mean([value for value, row in zip(values, counts, strict=True) if row.any()])


def iou_by_frequency(counts):
    values, _ = iou_with_nan(counts)
    return values, np.average(np.nan_to_num(values), weights=counts.sum(1))


def iou_pooled(counts):
    right = np.diag(counts).sum()
    return iou_with_nan(counts)[0], 100 * right / (counts.sum(0) + counts.sum(1) - np.diag(counts)).sum()


def iou_fractions(counts):
    values, mean = iou_with_nan(counts)
    return values / 100, mean / 100


def iou_odd(counts):
    values, mean = iou_with_nan(counts)
    return values + 5, mean + 5


TRIALS = [
    Trial(
        exercise=exercises.loss,
        stub=loss_stub,
        right=[loss_by_torch, loss_by_loops, loss_in_place],
        wrong={
            loss_counted: "counted pixels only",
            loss_image_by_image: "a mean of its own",
            loss_other_is_sky: "as class 0",
            loss_clamped: "as the last class",
            loss_summed: "division by their number",
            loss_summed_by_image: "number of images",
            loss_plus: "minus is missing",
            softmaxed_over(0): "over the batch",
            softmaxed_over(2): "over the rows",
            softmaxed_over(3): "over the columns",
            loss_complement: "1 - p",
            loss_probability: "logarithm is missing",
            loss_raw: "without the softmax",
            loss_naive_softmax: "the result is nan",
            loss_naive_sum: "the result is inf",
        },
        unforeseen=loss_odd,
    ),
    Trial(
        exercise=exercises.confusion,
        stub=counts_stub,
        right=[counts_by_loop, counts_by_one_hot],
        wrong={
            counts_swapped: "columns are swapped",
            counts_other_is_sky: "as class 0",
            counts_clipped: "as the last class",
            counts_hits: "diagonal is filled",
            counts_misses: "diagonal is empty",
            counts_by_fancy_index: "counted once",
            counts_wrapped: "starts over at 256",
            counts_of_present: "all K",
            counts_by_row: "row is divided by its sum",
            counts_by_column: "column is divided by its sum",
            counts_as_fractions: "number of pixels",
        },
        unforeseen=counts_odd,
    ),
    Trial(
        exercise=exercises.iou,
        stub=iou_stub,
        right=[iou_by_loop, iou_with_nan],
        wrong={
            iou_double_union: "intersection twice",
            iou_dice: "Dice",
            iou_recall: "recall",
            iou_precision: "precision",
            iou_absent_zero: "gets IoU 0",
            iou_absent_full: "gets IoU 100",
            iou_plain_mean: "mean is NaN",
            iou_mean_by_k: "all K classes",
            iou_labelled_only: "never a label",
            iou_by_frequency: "by its pixels",
            iou_pooled: "over all unions",
            iou_fractions: "fractions",
        },
        unforeseen=iou_odd,
    ),
]
