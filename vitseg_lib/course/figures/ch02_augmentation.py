"""What chapter 02's sliders draw: a window on a resized pair, other colours, and padding."""

from collections.abc import Sequence

import numpy as np

from vitseg_lib.course.figures.arrays import image_row
from vitseg_lib.course.figures.colours import flat
from vitseg_lib.course.figures.picture import Picture
from vitseg_lib.data.classes import Classes
from vitseg_lib.data.colour import apply_adjustments
from vitseg_lib.data.transforms import (
    TrainPipeline,
    crop_array,
    denormalise,
    fit_size,
    flip,
    largest_class_fraction,
    normalise,
    pad,
    resize_image,
    resize_labels,
)


def window_panel(
    image: np.ndarray,
    labels: np.ndarray,
    pipeline: TrainPipeline,
    classes: Classes,
    *,
    r: float,
    down: float,
    right: float,
    mirrored: bool,
) -> Picture:
    """Draw the window that lies `down` and `right` (0..1) in its range, after a resize by the ratio `r`."""
    size = fit_size(*labels.shape, tuple(int(r * side) for side in pipeline.scale))
    crop = pipeline.crop
    top, left = (round(fraction * max(side - crop, 0)) for fraction, side in zip((down, right), size, strict=True))
    box = top, left, min(top + crop, size[0]), min(left + crop, size[1])
    pixels, mask = crop_array(resize_image(image, size), box), crop_array(resize_labels(labels, size), box)
    if mirrored:
        pixels, mask = flip(pixels), flip(mask)
    title = f"{mask.shape[0]}×{mask.shape[1]} of {size[0]}×{size[1]} pixels"
    return image_row(
        [pixels, flat(mask, classes)], [title, f"largest class: {100 * largest_class_fraction(mask):.0f} %"], columns=2
    )


def colour_panel(
    image: np.ndarray, *, brightness: float, contrast: float, saturation: float, hue: int, contrast_first: bool
) -> Picture:
    """Draw the image before and after these changes of its colours."""
    early, middle = [("contrast", contrast)], [("saturation", saturation), ("hue", hue)]
    order = [("brightness", brightness), *(early + middle if contrast_first else middle + early)]
    return image_row([image, apply_adjustments(image, tuple(order))], ["as it is", _listed(order)], columns=2)


def pad_panel(
    image: np.ndarray, labels: np.ndarray, pipeline: TrainPipeline, classes: Classes, *, r: float, before: bool
) -> Picture:
    """Draw the pair made smaller by the ratio `r` and padded to the crop, `before` normalising or after it."""
    size = fit_size(*labels.shape, tuple(int(r * side) for side in pipeline.scale))
    box = 0, 0, min(pipeline.crop, size[0]), min(pipeline.crop, size[1])
    pixels, mask = crop_array(resize_image(image, size), box), crop_array(resize_labels(labels, size), box)
    normalised, padded = pad(normalise(pixels, pipeline.mean, pipeline.std), mask, pipeline.crop)
    shown = denormalise(normalised, pipeline.mean, pipeline.std)
    if before:
        shown = np.pad(pixels, [(0, pipeline.crop - side) for side in mask.shape] + [(0, 0)])
    title = f"{mask.shape[0]}×{mask.shape[1]} on {'black' if before else 'the mean colour'}"
    return image_row([shown, flat(padded, classes)], [title, "its labels, 255 around them"], columns=2)


def _listed(changes: Sequence[tuple[str, float]]) -> str:
    """Each change with what it adds, or what it multiplies by, in order."""
    forms = {"brightness": "{:+.0f}", "hue": "{:+.0f}", "contrast": "× {:.2f}", "saturation": "× {:.2f}"}
    return ", ".join(f"{name} {forms[name].format(value)}" for name, value in changes).replace("-", "−")
