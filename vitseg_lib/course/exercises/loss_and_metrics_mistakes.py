"""The mistakes that the exercises of chapter 08 know by name: what each does, as code, and the sentence for it."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from vitseg_lib.course.exercises.base import mistakes
from vitseg_lib.data.classes import IGNORED

# Cross-entropy: logits (B, K, H, W), labels (B, H, W)


def per_pixel(logits: Tensor, labels: Tensor, over: int = 1) -> Tensor:
    """-log p of the labels' classes, (B, H, W), with the softmax over the axis `over`."""
    return -logits.log_softmax(dim=over).gather(1, labels[:, None])[:, 0]


def zeroed(logits: Tensor, labels: Tensor, over: int = 1) -> Tensor:
    """The loss at every pixel, (B, H, W), 0 where the label is 255."""
    counted = labels != IGNORED
    return per_pixel(logits, torch.where(counted, labels, 0), over) * counted


def loss_counting_ignored_as(number: int) -> Callable:
    """Count 255 as one of the classes."""

    def wrong(logits: Tensor, labels: Tensor) -> Tensor:
        return per_pixel(logits, torch.where(labels == IGNORED, number % logits.shape[1], labels)).mean()

    return wrong


def loss_by_image(logits: Tensor, labels: Tensor) -> Tensor:
    """Each image's mean over its counted pixels, then the mean over images."""
    return (zeroed(logits, labels).sum((1, 2)) / (labels != IGNORED).sum((1, 2))).mean()


def loss_without_logarithm(logits: Tensor, labels: Tensor) -> Tensor:
    """1 - p, as a mean over all pixels."""
    counted = labels != IGNORED
    return ((1 - torch.exp(-zeroed(logits, labels))) * counted).mean()


def loss_minus_p(logits: Tensor, labels: Tensor) -> Tensor:
    """-p, as a mean over all pixels."""
    counted = labels != IGNORED
    return (-torch.exp(-zeroed(logits, labels)) * counted).mean()


def loss_minus_logit(logits: Tensor, labels: Tensor) -> Tensor:
    """The true logit with a minus, no softmax."""
    counted = labels != IGNORED
    true = logits.gather(1, torch.where(counted, labels, 0)[:, None])[:, 0]
    return -(true * counted).mean()


def loss_when_exp_overflows(value: float) -> Callable:
    """Right for small logits, `value` for large ones."""

    def wrong(logits: Tensor, labels: Tensor) -> Tensor:
        return torch.tensor(value) if torch.isinf(logits.exp()).any() else zeroed(logits, labels).mean()

    return wrong


OVERFLOW = (
    "right for small logits, but with large ones exp() leaves the range of float32 and the result is {}: take the "
    "largest logit away first, or use `logsumexp` or `log_softmax`"
)

LOSS = mistakes(
    {
        "your mean is over the counted pixels only, which is PyTorch's; the reference divides by all pixels": (
            lambda x, y: zeroed(x, y).sum() / (y != IGNORED).sum()
        ),
        "each image gets a mean of its own, over its counted pixels; the reference takes one mean over all pixels": (
            loss_by_image
        ),
        "the ignored pixels are counted as class 0: their loss must be 0": loss_counting_ignored_as(0),
        "the ignored pixels are counted as the last class: their loss must be 0": loss_counting_ignored_as(-1),
        "the sum over the pixels is right; the division by their number is missing": lambda x, y: zeroed(x, y).sum(),
        "you divide by the number of images; the mean is over pixels": (lambda x, y: zeroed(x, y).sum() / len(x)),
        "the minus is missing: a logarithm of a probability is never above 0, a loss never below": (
            lambda x, y: -zeroed(x, y).mean()
        ),
        "the softmax runs over the batch; at each pixel the K classes compete": (lambda x, y: zeroed(x, y, 0).mean()),
        "the softmax runs over the rows of the image; at each pixel the K classes compete": (
            lambda x, y: zeroed(x, y, 2).mean()
        ),
        "the softmax runs over the columns of the image; at each pixel the K classes compete": (
            lambda x, y: zeroed(x, y, 3).mean()
        ),
        "this is 1 - p of the true class; cross-entropy is -log p": loss_without_logarithm,
        "this is -p of the true class: the logarithm is missing": loss_minus_p,
        "this is the true class's logit with a minus: without the softmax, the other classes do not matter": (
            loss_minus_logit
        ),
        OVERFLOW.format("nan"): loss_when_exp_overflows(float("nan")),
        OVERFLOW.format("inf"): loss_when_exp_overflows(float("inf")),
    }
)


# The confusion matrix: labels and prediction uint8 (H, W), K


def count(labels: np.ndarray, prediction: np.ndarray, num_classes: int) -> np.ndarray:
    """Count pairs that are all in 0..K-1."""
    counts = np.zeros((num_classes, num_classes), int)
    np.add.at(counts, (labels.ravel(), prediction.ravel()), 1)
    return counts


def right_counts(labels: np.ndarray, prediction: np.ndarray, num_classes: int) -> np.ndarray:
    """The matrix as it should be."""
    counted = labels != IGNORED
    return count(labels[counted], prediction[counted], num_classes)


def count_ignored_as(number: int) -> Callable:
    """Take 255 for one of the classes."""
    return lambda t, p, k: count(np.where(t == IGNORED, number % k, t), p, k)


def count_in_bytes(labels: np.ndarray, prediction: np.ndarray, num_classes: int) -> np.ndarray:
    """K · true + predicted, modulo 256."""
    counted = labels != IGNORED
    pairs = (labels[counted].astype(int) * num_classes + prediction[counted]) % 256
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def count_what_occurs(labels: np.ndarray, prediction: np.ndarray, num_classes: int) -> np.ndarray:
    """Only as many classes as the largest label that occurs."""
    counted = labels != IGNORED
    present = int(max(labels[counted].max(), prediction[counted].max())) + 1
    return right_counts(labels, prediction, num_classes)[:present, :present]


def normalised(counts: np.ndarray, axis: int | None) -> np.ndarray:
    """Counts divided by their sum along an axis, 0 where that is 0."""
    return counts / np.maximum(counts.sum(axis=axis, keepdims=True), 1)


CONFUSION = mistakes(
    {
        "rows and columns are swapped: a row is a true class, a column a predicted one": (
            lambda t, p, k: right_counts(t, p, k).T
        ),
        "the ignored pixels are counted as class 0; they must not be counted at all": count_ignored_as(0),
        "the ignored pixels are counted as the last class; they must not be counted at all": count_ignored_as(-1),
        "only the diagonal is filled: the wrong pixels are counted too, beside it": (
            lambda t, p, k: np.diag(np.diag(right_counts(t, p, k)))
        ),
        "the diagonal is empty: pixels that are right are counted as well": (
            lambda t, p, k: right_counts(t, p, k) * (1 - np.eye(k, dtype=int))
        ),
        "each pair is counted once, however often it occurs: `counts[true, predicted] += 1` with arrays as indices "
        "adds 1 to an entry only once": lambda t, p, k: (right_counts(t, p, k) > 0).astype(int),
        "K · true + predicted was computed in uint8 and starts over at 256: turn the labels into int first": (
            count_in_bytes
        ),
        "the matrix has only as many classes as occur in these masks; it needs all K, or two images cannot be added": (
            count_what_occurs
        ),
        "each row is divided by its sum; what can be added up over images are counts": (
            lambda t, p, k: normalised(right_counts(t, p, k), 1)
        ),
        "each column is divided by its sum; what can be added up over images are counts": (
            lambda t, p, k: normalised(right_counts(t, p, k), 0)
        ),
        "the counts are divided by the number of pixels; what can be added up over images are counts": (
            lambda t, p, k: normalised(right_counts(t, p, k), None)
        ),
    }
)


# IoU: counts (K, K)


def iou_but(
    *,
    union: Callable = lambda both, labelled, predicted: labelled + predicted - both,
    scale: float = 100,
    absent: float = np.nan,
    counted: Callable = lambda iou, labelled: ~np.isnan(iou),
) -> Callable:
    """IoU with a thing or two changed: the union, the factor, an absent class's IoU, which classes are in the mean."""

    def wrong(counts: np.ndarray) -> tuple[np.ndarray, float]:
        both, labelled, predicted = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
        either = union(both, labelled, predicted)
        iou = np.where(either > 0, scale * both / np.maximum(either, 1), absent)
        return iou, float(iou[counted(iou, labelled)].mean())

    return wrong


def with_mean(mean: Callable) -> Callable:
    """The right IoU, with another mean: mean(counts, iou) → number."""

    def wrong(counts: np.ndarray) -> tuple[np.ndarray, float]:
        iou, _ = iou_but()(counts)
        return iou, float(mean(counts, iou))

    return wrong


def pooled(counts: np.ndarray, iou: np.ndarray) -> float:
    """All intersections over all unions."""
    both = np.trace(counts)
    return 100 * both / (2 * counts.sum() - both)


IOU = mistakes(
    {
        "the union counts the intersection twice: it is in the row's sum and in the column's": (
            iou_but(union=lambda both, labelled, predicted: labelled + predicted)
        ),
        "this is Dice, twice the intersection over row + column; IoU divides by what lies in either": (
            iou_but(union=lambda both, labelled, predicted: labelled + predicted, scale=200)
        ),
        "you divide by the labelled pixels: that is Acc, or recall, which ignores every false positive": (
            iou_but(union=lambda both, labelled, predicted: labelled)
        ),
        "you divide by the predicted pixels: that is precision, which ignores every false negative": (
            iou_but(union=lambda both, labelled, predicted: predicted)
        ),
        "a class that occurs nowhere gets IoU 0 and lowers the mean: it has no IoU": iou_but(absent=0),
        "a class that occurs nowhere gets IoU 100 and raises the mean: it has no IoU": iou_but(absent=100),
        "the mean is NaN: leave the classes without an IoU out of it": with_mean(lambda counts, iou: np.mean(iou)),
        "the NaN is right, but the mean divides by all K classes: divide by those that have an IoU": (
            with_mean(lambda counts, iou: np.nansum(iou) / len(iou))
        ),
        "the mean leaves out a class that was predicted and is never a label: it occurs, and its IoU is 0": (
            iou_but(counted=lambda iou, labelled: labelled > 0)
        ),
        "the mean weighs each class by its pixels; in mIoU a small class counts as much as a large one": (
            with_mean(lambda counts, iou: np.nansum(counts.sum(axis=1) * iou) / counts.sum())
        ),
        "your mean is all intersections over all unions; mIoU is the mean of the classes' IoU": with_mean(pooled),
        "these are fractions, where percent was requested": iou_but(scale=1),
    }
)
