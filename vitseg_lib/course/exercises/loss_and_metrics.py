"""The exercises of chapter 08: cross-entropy with ignored pixels, the confusion matrix, IoU from counts."""

from collections.abc import Iterator

import torch
from torch import Tensor

from vitseg_lib.course import solution
from vitseg_lib.course.exercises import loss_and_metrics_mistakes as mistakes
from vitseg_lib.course.exercises.base import Case, Exercise, randint
from vitseg_lib.data.classes import IGNORED

HIGH = 150.0  # added to all logits: the probabilities stay as they are, and exp() leaves float32's range


# Cross-entropy, the mean over all pixels


def cross_entropy_over_all(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean of -log p(true class) over all pixels of labels (B, H, W), ignored ones as 0; logits (B, K, H, W)."""
    counted = labels != IGNORED
    index = torch.where(counted, labels, 0)
    true = logits.gather(1, index[:, None])[:, 0]
    losses = logits.logsumexp(dim=1) - true
    return torch.where(counted, losses, 0).mean()


def _logits_and_labels(generator: torch.Generator) -> Iterator[Case]:
    """Two batches, the second with large logits; each image has its own fraction of ignored pixels."""
    for offset in (0.0, HIGH):
        batch, classes = randint(generator, 2, 3), randint(generator, 4, 6)
        height, width = randint(generator, 7, 9), randint(generator, 10, 12)
        logits = 2 * torch.randn(batch, classes, height, width, generator=generator) + offset
        labels = torch.randint(classes, (batch, height, width), generator=generator)
        fractions = torch.linspace(0.1, 0.7, batch)[:, None, None]
        ignored = torch.rand(batch, height, width, generator=generator) < fractions
        yield logits, torch.where(ignored, IGNORED, labels)


loss = Exercise(
    title="Cross-entropy, with the reference's mean",
    minutes=10,
    difficulty=2,
    reference=cross_entropy_over_all,
    cases=_logits_and_labels,
    hints=(
        "Three steps: a loss at every pixel; 0 where the label is 255; the mean over all pixels. The 255 must be gone "
        "before you look up the true class, for there is no class 255.",
        "`logits.logsumexp(dim=1)` is the stable logarithm of the sum of exponentials, over the classes. The true "
        "logit is `logits.gather(1, index[:, None])[:, 0]`, with `index` the labels, 255 replaced by any class.",
        "The losses are `logits.logsumexp(dim=1) - true`; `torch.where(labels != 255, losses, 0).mean()` the result.",
    ),
    mistakes=mistakes.LOSS,
)


# The confusion matrix


def _labels_to_count(generator: torch.Generator) -> Iterator[Case]:
    """Two pairs of uint8 masks, so many classes that K · K is above 255; the last class and one more never occur."""
    for _ in range(2):
        classes = randint(generator, 18, 22)
        size = (randint(generator, 30, 36), randint(generator, 40, 46))
        target = torch.randint(1, classes - 1, size, generator=generator)
        other = torch.randint(1, classes - 1, size, generator=generator)
        prediction = torch.where(torch.rand(size, generator=generator) < 0.5, target, other)
        ignored = torch.rand(size, generator=generator) < 0.2
        labels = torch.where(ignored, IGNORED, target)
        yield labels.to(torch.uint8).numpy(), prediction.to(torch.uint8).numpy(), classes


confusion = Exercise(
    title="Count a confusion matrix",
    minutes=8,
    difficulty=2,
    reference=solution.confusion_matrix,
    part="confusion_matrix",
    cases=_labels_to_count,
    hints=(
        "Give each pair (true, predicted) a number of its own, K · true + predicted, and count the numbers.",
        "`np.bincount(numbers, minlength=K * K)` counts. Drop the pixels with label 255 first. And mind that the masks "
        "are uint8: what is 20 · 19 in a byte?",
        "Keep `labels != 255` in both masks, `.astype(int)` the labels, times K, plus the prediction; bincount; "
        "reshape to (K, K).",
    ),
    mistakes=mistakes.CONFUSION,
    axes=("true class", "predicted class"),
)


# IoU from counts


def _random_counts(generator: torch.Generator) -> Iterator[Case]:
    """Matrices in which one class occurs nowhere, and another is predicted but never a label."""
    for _ in range(2):
        classes = randint(generator, 5, 8)
        counts = torch.randint(1, 40, (classes, classes), generator=generator)
        counts += torch.diag(torch.randint(50, 400, (classes,), generator=generator))
        absent, invented = torch.randperm(classes, generator=generator)[:2].tolist()
        counts[absent] = counts[:, absent] = counts[invented] = 0
        yield (counts.numpy(),)


iou = Exercise(
    title="IoU and mIoU from counts",
    minutes=6,
    difficulty=1,
    reference=solution.iou_and_mean,
    part="iou_and_mean",
    cases=_random_counts,
    hints=(
        "Three numbers per class: what lies on the diagonal, the sum of its row (labelled), the sum of its column "
        "(predicted). In row + column, the diagonal has been counted twice.",
        "A class with an empty union has no IoU. Start from `np.full(K, np.nan)`, and fill in the classes that occur.",
        "union = row + column - diagonal; iou = 100 · diagonal / union where union > 0; `np.nanmean` of it.",
    ),
    mistakes=mistakes.IOU,
)


# The loss on logits of another size


def _small_logits(generator: torch.Generator) -> Iterator[Case]:
    """As of the head: a quarter of the labels' size; one image wholly ignored."""
    for all_ignored in (False, True):
        logits = 2 * torch.randn(2, 4, 3, 5, generator=generator)
        labels = torch.randint(4, (2, 12, 20), generator=generator)
        labels[torch.rand(labels.shape, generator=generator) < 0.2] = IGNORED
        labels[1] = torch.where(torch.tensor(all_ignored), IGNORED, labels[1])
        yield logits, labels


whole_loss = Exercise(
    title="The loss of a segmenter",
    minutes=5,
    difficulty=1,
    reference=solution.segmentation_loss,
    cases=_small_logits,
    hints=("Upsample the logits to the labels' size, then `F.cross_entropy` without a reduction, then the mean.",),
    part="segmentation_loss",
)
