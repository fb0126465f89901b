"""From arrays to arrays: labels in their classes' colours, errors and attention over a faded image.

Images are uint8 (H, W, 3) RGB, labels uint8 (H, W) with 0..K-1 and 255 = ignored.
"""

import numpy as np
from matplotlib.colors import to_rgb

from vitseg_lib.course.figures.picture import ACCENT, PAPER
from vitseg_lib.data.ade20k import colour_labels
from vitseg_lib.data.classes import Classes

ACCENT_RGB = np.array(to_rgb(ACCENT)) * 255
UNLABELLED = (np.array(to_rgb(PAPER)) * 255).round().astype(np.uint8)  # ignored pixels: a hole to the card
LUMA = np.array([0.299, 0.587, 0.114])  # Rec. 601: how bright red, green and blue look


def overlay(image: np.ndarray, labels: np.ndarray, classes: Classes, alpha: float = 0.6) -> np.ndarray:
    """Lay the classes' colours over an image, `alpha` (0..1) of them; ignored pixels keep the image's.

    uint8 (H, W, 3) and labels (H, W) → uint8 (H, W, 3).
    """
    _same_size(image, labels)
    weight = np.where(labels == classes.ignore, 0.0, alpha)[..., None]
    return _to_bytes(image * (1 - weight) + colour_labels(labels, classes) * weight)


def flat(labels: np.ndarray, classes: Classes) -> np.ndarray:
    """The labels in their colours; ignored pixels a hole."""
    return overlay(np.broadcast_to(UNLABELLED, (*labels.shape, 3)), labels, classes, alpha=1)


def faded(image: np.ndarray) -> np.ndarray:
    """A pale grey copy, float (H, W, 3): a background for colours that mean something."""
    grey = image @ LUMA
    return np.repeat((0.45 * grey + 0.55 * 255)[..., None], 3, axis=2)


def error_map(image: np.ndarray, labels: np.ndarray, prediction: np.ndarray, classes: Classes) -> np.ndarray:
    """The faded image, in the accent colour where `prediction` differs from `labels`; ignored pixels never do."""
    _same_size(image, labels)
    _same_size(image, prediction)
    wrong = (labels != prediction) & (labels != classes.ignore)
    return _to_bytes(np.where(wrong[..., None], ACCENT_RGB, faded(image)))


def glow(image: np.ndarray, head: np.ndarray) -> np.ndarray:
    """The faded image, in the accent colour where `head` (h, w), one value per patch, is strong."""
    height, width = image.shape[:2]
    rows = np.arange(height) * head.shape[0] // height
    columns = np.arange(width) * head.shape[1] // width
    weight = 0.9 * (head / max(head.max(), 1e-12))[rows][:, columns, None]
    return _to_bytes(faded(image) * (1 - weight) + ACCENT_RGB * weight)


def _same_size(image: np.ndarray, labels: np.ndarray) -> None:
    if image.shape[:2] != labels.shape:
        raise ValueError(f"image and labels differ in size: {image.shape[:2]} and {labels.shape}")


def _to_bytes(values: np.ndarray) -> np.ndarray:
    return (values + 0.5).clip(0, 255).astype(np.uint8)
