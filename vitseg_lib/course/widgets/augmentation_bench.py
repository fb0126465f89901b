"""The augmentation bench: training's pipeline on one image and its mask, step by step, every parameter on a control.

The browser takes the steps itself: augmentation_pixels.js does what `vitseg_lib.data.transforms` and `colour` do,
augmentation_view.js shows it, and augmentation_bench.js holds the controls.
"""

from typing import Any

import numpy as np
import traitlets

from vitseg_lib.course.figures.layout import short_name
from vitseg_lib.course.widgets.base import CourseWidget, check_image
from vitseg_lib.data.classes import IGNORED, Classes
from vitseg_lib.data.transforms import TrainPipeline

SOURCE = ("augmentation_pixels", "augmentation_view", "augmentation_bench")

ALT = (
    "The steps that make a training image out of {height}×{width} pixels, each an image above its mask: read, "
    "resize, crop, flip, colour, normalise, pad. Below, the {crop}×{crop} window on the resized pair: the arrow keys "
    "move it while it has the focus, Home and End take it to the edges. Every parameter is a control after that. The "
    "key R draws all of them again, as training would, and a list says which windows were refused and why."
)


class AugmentationBench(CourseWidget, source=SOURCE):
    """Resize, crop, flip, recolour, normalise and pad one image, uint8 (H, W, 3), and its labels, uint8 (H, W).

    `options` are those of `TrainPipeline`, by default with the toy recipe's crop and scale. `seed` is the first
    draw's; the browser has a generator of its own, so a seed gives another image than NumPy's.
    `parameters` says where the controls are, in the library's terms: `ratio`, `size`, `box`, `flipped`, `adjustments`.
    It is empty before a browser has shown the widget.
    Raises ValueError with one sentence for an image or labels of another kind, and for parameters out of range.
    """

    image = traitlets.Bytes().tag(sync=True)
    labels = traitlets.Bytes().tag(sync=True)
    size = traitlets.List(traitlets.Int()).tag(sync=True)
    names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    colours = traitlets.List().tag(sync=True)
    pipeline = traitlets.Dict().tag(sync=True)
    seed = traitlets.Int(0, min=0).tag(sync=True)
    parameters = traitlets.Dict().tag(sync=True)

    def __init__(self, image: np.ndarray, labels: np.ndarray, classes: Classes, *, seed: int = 0, **options: Any):
        image = check_image(image)
        labels = _checked_labels(labels, image.shape[:2], classes)
        pipeline = _checked_pipeline(TrainPipeline(**{"crop": 128, "scale": (512, 128)} | options))
        super().__init__(
            label="Augmentation bench",
            alt=ALT.format(height=image.shape[0], width=image.shape[1], crop=pipeline["crop"]),
            image=image.tobytes(),
            labels=labels.tobytes(),
            size=list(labels.shape),
            names=[short_name(name) for name in classes.names],
            colours=classes.colours.tolist(),
            pipeline=pipeline,
            seed=_checked_seed(seed),
        )

    def __repr__(self) -> str:
        height, width = self.size
        crop = self.pipeline["crop"]
        return f"<AugmentationBench: {height}×{width} → {crop}×{crop}, {len(self.names)} classes>"


def _checked_labels(labels: np.ndarray, size: tuple[int, int], classes: Classes) -> np.ndarray:
    """Return labels as contiguous uint8 (H, W), each a class or 255."""
    if not isinstance(labels, np.ndarray) or labels.ndim != 2:
        given = f"the shape {labels.shape}" if isinstance(labels, np.ndarray) else f"the type {type(labels).__name__}"
        raise ValueError(f"labels have {given}; give one class per pixel, a NumPy array uint8 (H, W).")
    if labels.dtype != np.uint8:
        raise ValueError(f"labels hold {labels.dtype}; give uint8: the number of a class, or {IGNORED} for ignored.")
    if labels.shape != size:
        raise ValueError(f"labels are {labels.shape} and the image is {size} pixels; give the mask of this image.")
    outside = (labels >= len(classes)) & (labels != IGNORED)
    if outside.any():
        raise ValueError(
            f"labels hold {labels[outside][0]}, but classes has 0 to {len(classes) - 1}, and {IGNORED} is ignored; "
            "give the classes of this mask, or shift its labels first."
        )
    return np.ascontiguousarray(labels)


def _checked_pipeline(pipeline: TrainPipeline) -> dict[str, Any]:
    """Return what the browser needs of the pipeline, or say which parameter is out of range."""
    if not _is_integer(pipeline.crop) or pipeline.crop < 1:
        raise ValueError(f"crop is {pipeline.crop!r}; give a whole number of pixels, 1 or more.")
    scale = tuple(pipeline.scale) if isinstance(pipeline.scale, tuple | list) else ()
    if len(scale) != 2 or not all(_is_integer(side) and side >= 1 for side in scale):
        raise ValueError(f"scale is {pipeline.scale!r}; give two whole numbers of pixels, as (512, 128).")
    ratios = tuple(pipeline.ratio_range) if isinstance(pipeline.ratio_range, tuple | list) else ()
    if len(ratios) != 2 or not 0 < ratios[0] <= ratios[1] < np.inf or ratios[0] * min(scale) < 1:
        raise ValueError(
            f"ratio_range is {pipeline.ratio_range!r}; give the least and the largest ratio, as (0.5, 2.0), that leave "
            "at least one pixel of the scale."
        )
    if not 0 < pipeline.cat_max_ratio <= 1:
        raise ValueError(f"cat_max_ratio is {pipeline.cat_max_ratio!r}; give a fraction above 0 and up to 1.")
    return {
        "crop": int(pipeline.crop),
        "scale": [int(side) for side in scale],
        "ratio_range": [float(ratio) for ratio in ratios],
        "cat_max_ratio": float(pipeline.cat_max_ratio),
        "hflip": float(pipeline.hflip),
        "photometric": bool(pipeline.photometric),
        "mean": list(pipeline.mean),
        "std": list(pipeline.std),
    }


def _checked_seed(seed: int) -> int:
    if not _is_integer(seed) or seed < 0:
        raise ValueError(f"seed is {seed!r}; give a whole number, 0 or more.")
    return int(seed)


def _is_integer(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
