"""What chapter 02's sliders draw: a window on a resized pair, other colours, a frame, and all steps of one seed."""

from collections.abc import Sequence

import numpy as np

from vitseg_lib.data.ade20k import Classes
from vitseg_lib.data.colour import apply_adjustments
from vitseg_lib.data.transforms import (
    TrainPipeline,
    crop_array,
    denormalise,
    fit_size,
    flip,
    largest_class_share,
    normalise,
    pad,
    resize_image,
    resize_labels,
)
from vitseg_lib.show.arrays import image_row
from vitseg_lib.show.colours import flat
from vitseg_lib.show.picture import Picture


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
    top, left = (round(share * max(side - crop, 0)) for share, side in zip((down, right), size, strict=True))
    box = top, left, min(top + crop, size[0]), min(left + crop, size[1])
    picture, mask = crop_array(resize_image(image, size), box), crop_array(resize_labels(labels, size), box)
    if mirrored:
        picture, mask = flip(picture), flip(mask)
    said = f"{mask.shape[0]}×{mask.shape[1]} of {size[0]}×{size[1]} pixels"
    return image_row(
        [picture, flat(mask, classes)], [said, f"largest class: {100 * largest_class_share(mask):.0f} %"], columns=2
    )


def colour_panel(
    image: np.ndarray, *, brightness: float, contrast: float, saturation: float, hue: int, contrast_first: bool
) -> Picture:
    """Draw the image before and after these changes of its colours."""
    early, middle = [("contrast", contrast)], [("saturation", saturation), ("hue", hue)]
    order = [("brightness", brightness), *(early + middle if contrast_first else middle + early)]
    return image_row([image, apply_adjustments(image, tuple(order))], ["as it is", _told(order)], columns=2)


def pad_panel(
    image: np.ndarray, labels: np.ndarray, pipeline: TrainPipeline, classes: Classes, *, r: float, before: bool
) -> Picture:
    """Draw the pair made smaller by the ratio `r` and padded to the crop, `before` normalising or after it."""
    size = fit_size(*labels.shape, tuple(int(r * side) for side in pipeline.scale))
    box = 0, 0, min(pipeline.crop, size[0]), min(pipeline.crop, size[1])
    picture, mask = crop_array(resize_image(image, size), box), crop_array(resize_labels(labels, size), box)
    pixels, padded = pad(normalise(picture, pipeline.mean, pipeline.std), mask, pipeline.crop)
    shown = denormalise(pixels, pipeline.mean, pipeline.std)
    if before:
        shown = np.pad(picture, [(0, pipeline.crop - side) for side in mask.shape] + [(0, 0)])
    said = f"{mask.shape[0]}×{mask.shape[1]} on {'black' if before else 'the mean colour'}"
    return image_row([shown, flat(padded, classes)], [said, "its labels, 255 around them"], columns=2)


def steps_panel(
    image: np.ndarray, labels: np.ndarray, pipeline: TrainPipeline, classes: Classes, *, seed: int
) -> Picture:
    """Draw the steps that one seed leads to, each under what was drawn for it, and the labels at the end."""
    steps = {step.name: step for step in pipeline.steps(image, labels, np.random.default_rng(seed))}
    size, box = steps["resize"].parameters["size"], steps["crop"].parameters["box"]
    titles = {
        "resize": f"resized to {size[0]}×{size[1]}",
        "crop": f"window at row {box[0]}, column {box[1]}",
        "flip": "mirrored" if steps["flip"].parameters["flipped"] else "not mirrored",
        "colour": _told(steps["colour"].parameters["adjustments"]) or "colours as they are",
    }
    tiles = [steps[name].image for name in titles]
    tiles += [denormalise(steps["pad"].image, pipeline.mean, pipeline.std), flat(steps["pad"].labels, classes)]
    return image_row(tiles, [*titles.values(), "normalised and padded", "its labels"])


def _told(changes: Sequence[tuple[str, float]]) -> str:
    """Each change with what it adds, or what it multiplies by, in order."""
    signs = {"brightness": "{:+.0f}", "hue": "{:+.0f}", "contrast": "× {:.2f}", "saturation": "× {:.2f}"}
    return ", ".join(f"{name} {signs[name].format(value)}" for name, value in changes).replace("-", "−")
