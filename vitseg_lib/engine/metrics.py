"""mIoU, mAcc and aAcc from integer counts over a whole set.

Built step by step in chapter 08.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Scores:
    """All in percent. `IoU` and `Acc`: float64 (K,), NaN for a class that the mean leaves out."""

    mIoU: float
    mAcc: float
    aAcc: float
    IoU: np.ndarray
    Acc: np.ndarray

    def as_dict(self, names: tuple[str, ...]) -> dict[str, Any]:
        """What `result.json` holds: the three means and, by class name, IoU and Acc (None where there is none)."""
        rows = zip(names, self.IoU, self.Acc, strict=True)
        classes = {name: {"IoU": _or_none(iou), "Acc": _or_none(acc)} for name, iou, acc in rows}
        return {name: _or_none(getattr(self, name)) for name in ("mIoU", "mAcc", "aAcc")} | {"classes": classes}


class ConfusionMatrix:
    """Counts pixels by (true class, predicted class). Integers, so that order and batching change nothing."""

    def __init__(self, num_classes: int):
        self.counts = np.zeros((num_classes, num_classes), dtype=np.int64)

    def update(self, labels: np.ndarray, prediction: np.ndarray, *, ignore: int = 255) -> None:
        """Add one image: labels in 0..K-1 or `ignore`, prediction in 0..K-1, both integer arrays of one shape."""
        if labels.shape != prediction.shape:
            raise ValueError(f"labels {labels.shape} and prediction {prediction.shape} differ in shape")
        k = len(self.counts)
        # One index for each pair; those of bytes and of up to 255 classes fit 16 bits, which are quicker to count.
        dtype = np.uint16 if labels.dtype == prediction.dtype == np.uint8 and k < 256 else np.int64
        pairs = labels.astype(dtype) * dtype(k) + prediction
        self.counts += np.bincount(pairs[labels != ignore], minlength=k * k).reshape(k, k)

    def scores(self) -> Scores:
        """IoU = I / (P + L - I) and Acc = I / L by class, their means, and aAcc = ΣI / ΣL.

        mIoU leaves out the classes that are neither labelled nor predicted anywhere, mAcc those never labelled.
        Source: reproduction of mmsegmentation 0.17, `mean_iou`.
        """
        intersection = np.diag(self.counts)
        labelled, predicted = self.counts.sum(axis=1), self.counts.sum(axis=0)
        iou = _percent(intersection, predicted + labelled - intersection)
        acc = _percent(intersection, labelled)
        overall = _percent(intersection.sum(keepdims=True), labelled.sum(keepdims=True))
        return Scores(_mean(iou), _mean(acc), float(overall[0]), iou, acc)


def _percent(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """100 · part / whole, NaN where the whole is 0."""
    return np.divide(100 * part, whole, out=np.full(part.shape, np.nan), where=whole > 0)


def _mean(values: np.ndarray) -> float:
    counted = values[~np.isnan(values)]
    return float(counted.mean()) if counted.size else float("nan")


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
