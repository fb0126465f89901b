"""The mask explorer: an image, its ground truth and a prediction as layers, and each pixel's probabilities.

MaskExplorer.from_model(model, image, recipe, classes, labels=labels)
"""

import math
from typing import Any

import numpy as np
import torch
import traitlets
from PIL import Image
from torch import nn

from vitseg_lib.course.figures.layout import short_name
from vitseg_lib.course.widgets.base import CourseWidget
from vitseg_lib.data.classes import Classes
from vitseg_lib.engine.fast_inference import View, tiles, upsampled
from vitseg_lib.engine.inference import to_pixels
from vitseg_lib.engine.metrics import ConfusionMatrix
from vitseg_lib.recipes import Recipe

TOP = 5  # classes per pixel
MOST_PIXELS = 1_000_000  # 15 bytes each travel to the browser
LAYERS = ("image", "ground truth", "prediction", "errors")


class MaskExplorer(CourseWidget, source=("mask_panel", "mask_explorer")):
    """Layers with a wipe between two of them, a list of the classes, and the likeliest classes of one pixel.

    `image` uint8 (H, W, 3) RGB; `labels` and `prediction` integers (H, W) in 0..K-1, where `labels` may hold
    `classes.ignore`, or be None for a photo that nobody labelled; `top_classes` integers (T, H, W) in 0..K-1, the
    likeliest class first; `top_probabilities` (T, H, W), 0..1, sent in steps of 1/255. T is 5, or K if that is less.

    The state that the browser sets: `pixel` [row, column] or [] is what was last clicked, `left` and `right` name the
    layers, `wipe` (0..1) is where one ends, `opacity` (0..1) how much of a class's colour lies on the image,
    `hidden` lists the classes that were switched off, `only_errors` fades what is right.
    Raises ValueError naming the argument that does not fit.
    """

    size = traitlets.List().tag(sync=True)  # H, W
    pixels = traitlets.Bytes().tag(sync=True)  # H × W × 3
    labels = traitlets.Bytes().tag(sync=True)  # H × W, or empty
    prediction = traitlets.Bytes().tag(sync=True)  # H × W
    top_classes = traitlets.Bytes().tag(sync=True)  # T × H × W
    top_probabilities = traitlets.Bytes().tag(sync=True)  # T × H × W, 255 for 1
    names = traitlets.List().tag(sync=True)
    colours = traitlets.List().tag(sync=True)  # K × 3
    ignore = traitlets.Int().tag(sync=True)
    rows = traitlets.List().tag(sync=True)  # {class, area, iou} of each class that occurs, the largest first
    scores = traitlets.Dict().tag(sync=True)  # mIoU and aAcc of this image in percent; empty without labels

    pixel = traitlets.List().tag(sync=True)
    left = traitlets.Enum(LAYERS, "image").tag(sync=True)
    right = traitlets.Enum(LAYERS, "prediction").tag(sync=True)
    wipe = traitlets.Float(0.5, min=0, max=1).tag(sync=True)
    opacity = traitlets.Float(0.7, min=0, max=1).tag(sync=True)
    hidden = traitlets.List().tag(sync=True)
    only_errors = traitlets.Bool(False).tag(sync=True)

    def __init__(
        self,
        image: np.ndarray,
        labels: np.ndarray | None,
        prediction: np.ndarray,
        top_classes: np.ndarray,
        top_probabilities: np.ndarray,
        classes: Classes,
        **state: Any,
    ):
        size = _check_image(image)
        _check_labels("prediction", prediction, size, len(classes), "classes are 0..{}")
        if labels is not None:
            _check_labels("labels", labels, size, len(classes), "classes are 0..{} or the ignored one", classes.ignore)
        _check_top(top_classes, top_probabilities, size, len(classes))
        _check_state(state, size, len(classes), labels is not None)
        counts = None if labels is None else _count(labels, prediction, classes)
        super().__init__(
            size=list(size),
            pixels=image.tobytes(),
            labels=b"" if labels is None else labels.astype(np.uint8).tobytes(),
            prediction=prediction.astype(np.uint8).tobytes(),
            top_classes=top_classes.astype(np.uint8).tobytes(),
            top_probabilities=np.rint(255 * np.asarray(top_probabilities, np.float32)).astype(np.uint8).tobytes(),
            names=[short_name(name) for name in classes.names],
            colours=classes.colours.tolist(),
            ignore=classes.ignore,
            rows=_rows(prediction, counts, len(classes)),
            scores={} if counts is None else _scores(counts),
            label="Mask explorer",
            **state,
        )
        self.alt = _words(self)

    @classmethod
    def from_model(
        cls,
        model: nn.Module,
        image: np.ndarray,
        recipe: Recipe,
        classes: Classes,
        *,
        labels: np.ndarray | None = None,
        **state: Any,
    ) -> "MaskExplorer":
        """Run the model on the whole image, as `inference.predict` does.

        A photo of over a million pixels is shown smaller than it is.
        """
        height, width = _check_image(image, most=None)
        if labels is not None:
            known = "classes are 0..{} or the ignored one"
            _check_labels("labels", labels, (height, width), len(classes), known, classes.ignore)
        shrink = min(1.0, math.sqrt(MOST_PIXELS / (height * width)))
        size = (max(1, int(height * shrink)), max(1, int(width * shrink)))
        prediction, top, probabilities = top_of_model(model, image, recipe, size)
        if size != (height, width):
            image = np.array(Image.fromarray(image).resize(size[::-1], Image.Resampling.BOX))
            labels = None if labels is None else _nearest(labels, size)
        return cls(image, labels, prediction, top, probabilities, classes, **state)

    def __repr__(self) -> str:
        height, width = self.size
        labelled = "with" if self.labels else "without"
        return f"<MaskExplorer: {height}×{width} pixels, {len(self.rows)} classes, {labelled} ground truth>"


def _words(widget: MaskExplorer) -> str:
    """What there is to see and how to use it."""
    layers = "Image, ground truth, prediction and errors" if widget.labels else "Image and prediction"
    top = ", ".join(f"{widget.names[row['class']]} {row['area']:.0f} percent" for row in widget.rows[:TOP])
    score = f" Mean IoU {widget.scores['mIoU']:.0f} percent." if widget.scores else ""
    return (
        f"{layers} of one image as layers, two of them side by side with a divider between. Largest: {top}.{score}"
        " On the image, arrow keys walk from pixel to pixel, with Shift by eight, and read out what is there;"
        " the divider and the list of classes are controls of their own."
    )


@torch.inference_mode()
def top_of_model(
    model: nn.Module, image: np.ndarray, recipe: Recipe, size: tuple[int, int] | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels (H, W), classes (T, H, W) uint8 and probabilities (T, H, W) float32, the likeliest first.

    The labels are those of `inference.predict`, at the image's size unless `size` (H, W) says another.
    """
    size, was_training = size or image.shape[:2], model.training
    model.eval()
    try:
        pixels = to_pixels(model, image, recipe.test_scale)
        return top_classes_of(upsampled(model(pixels), pixels.shape[-2:], size))
    finally:
        model.train(was_training)


def top_classes_of(view: View) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels (H, W), and the likeliest classes (T, H, W), both uint8, with their probabilities (T, H, W) float32."""
    most, size = min(TOP, view.logits.shape[-1]), (len(view.rows), len(view.columns))
    labels, classes = np.empty(size, np.uint8), np.empty((most, *size), np.uint8)
    probabilities = np.empty(classes.shape, np.float32)
    for tile, (logits,) in tiles([view]):
        labels[tile] = logits.argmax(dim=-1).cpu().numpy()
        top = logits.softmax(dim=-1).topk(most, dim=-1)
        probabilities[:, *tile], classes[:, *tile] = (values.movedim(-1, 0).cpu().numpy() for values in top)
    return labels, classes, probabilities


def _check_image(image: np.ndarray, most: int | None = MOST_PIXELS) -> tuple[int, int]:
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"image must be uint8 (H, W, 3), not {_described(image)}: read it with read_image")
    if image.size == 0:
        raise ValueError(f"image has no pixels, its shape is {image.shape}: give one of at least 1×1")
    if most and image.shape[0] * image.shape[1] > most:
        raise ValueError(f"image has more than {most:,} pixels: use from_model, which shows it smaller, or shrink all")
    return image.shape[:2]


def _check_labels(
    name: str, labels: np.ndarray, size: tuple[int, int], count: int, known: str, ignore: int | None = None
) -> None:
    """Refuse labels that are no integers, of another size, or name no class."""
    if not isinstance(labels, np.ndarray) or labels.shape != size or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"{name} must be integers of the image's {size}, not {_described(labels)}")
    outside = (labels < 0) | (labels >= count) & (labels != ignore)
    if outside.any():
        raise ValueError(f"{name} holds {labels[outside][0]}, but its {known.format(count - 1)}: correct it")


def _check_top(classes: np.ndarray, probabilities: np.ndarray, size: tuple[int, int], count: int) -> None:
    shape = (min(TOP, count), *size)
    for name, array in (("top_classes", classes), ("top_probabilities", probabilities)):
        if not isinstance(array, np.ndarray) or array.shape != shape:
            raise ValueError(f"{name} must have the shape {shape}, the likeliest class first, not {_described(array)}")
    _check_labels("top_classes", classes, shape, count, "classes are 0..{}")
    if not ((probabilities >= 0) & (probabilities <= 1.0001)).all():
        raise ValueError("top_probabilities holds values that are no fractions of 1: give the softmax, not the logits")


def _check_state(state: dict[str, Any], size: tuple[int, int], count: int, known: bool) -> None:
    """Refuse a first view that cannot be shown."""
    if not known and (state.get("only_errors") or {state.get("left"), state.get("right")} & {"ground truth", "errors"}):
        raise ValueError("without labels there are no errors to show: give labels, or show image and prediction")
    for k in state.get("hidden", []):
        if not 0 <= k < count:
            raise ValueError(f"hidden names the class {k}, but classes are 0..{count - 1}: correct it")
    pixel = state.get("pixel") or [0, 0]
    if len(pixel) != 2 or not (0 <= pixel[0] < size[0] and 0 <= pixel[1] < size[1]):
        raise ValueError(f"pixel {pixel} is outside the image's {size}: give row and column")


def _described(value: Any) -> str:
    return f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__


def _count(labels: np.ndarray, prediction: np.ndarray, classes: Classes) -> ConfusionMatrix:
    counts = ConfusionMatrix(len(classes))
    counts.update(labels, prediction, ignore=classes.ignore)
    return counts


def _rows(prediction: np.ndarray, counts: ConfusionMatrix | None, count: int) -> list[dict[str, Any]]:
    """Class, area in percent (of the labelled pixels; of all without labels) and IoU of each that occurs, by area."""
    predicted = np.bincount(prediction.ravel(), minlength=count)
    area = predicted if counts is None else counts.counts.sum(axis=1)
    iou = np.full(count, np.nan) if counts is None else counts.scores().IoU
    occurs = sorted(np.flatnonzero(predicted + area), key=lambda k: (-area[k], -predicted[k]))
    total = max(1, area.sum())
    return [
        {"class": int(k), "area": float(100 * area[k] / total), "iou": None if np.isnan(iou[k]) else float(iou[k])}
        for k in occurs
    ]


def _scores(counts: ConfusionMatrix) -> dict[str, float]:
    """mIoU and aAcc, 0 where no pixel is labelled."""
    scores = counts.scores()
    return {"mIoU": float(np.nan_to_num(scores.mIoU)), "aAcc": float(np.nan_to_num(scores.aAcc))}


def _nearest(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    rows, columns = (np.arange(new) * old // new for new, old in zip(size, labels.shape, strict=True))
    return labels[rows][:, columns]
