"""From an image of any size to one label a pixel: whole image, sliding window, multi-scale with flips.

Built step by step in chapter 10.
"""

from collections.abc import Iterator
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vitseg_lib.data.transforms import EvalPipeline
from vitseg_lib.recipes import Recipe

Mode = Literal["whole", "slide", "ms_flip"]
MS_FLIP_RATIOS = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
FLOATS_AT_ONCE = 2**26  # 256 MiB of float32 while a large photo's classes are compared


@torch.inference_mode()
def predict(model: nn.Module, image: np.ndarray, recipe: Recipe, *, mode: Mode = "whole") -> np.ndarray:
    """Label every pixel of an image, uint8 (H, W, 3) → uint8 (H, W) in 0..K-1.

    "whole" is how the published single-scale figures were made, "ms_flip" the second ones; "slide" moves a window of
    the recipe's crop by two thirds of its side. Source: reproduction of mmsegmentation 0.17.
    """
    size = image.shape[:2]
    if mode == "ms_flip":
        return mean_probabilities(model, image, recipe).argmax(dim=0).to(torch.uint8).cpu().numpy()
    pixels = to_pixels(model, image, recipe.test_scale)
    logits = whole_image(model, pixels) if mode == "whole" else sliding_window(model, pixels, recipe.crop)
    return best_class(logits, size).cpu().numpy()


def to_pixels(model: nn.Module, image: np.ndarray, scale: tuple[int, int]) -> Tensor:
    """Resize to fit `scale` = (long side, short side), normalise, move to the model: (1, 3, h, w)."""
    return EvalPipeline(scale=scale)(image)[None].to(next(model.parameters()).device)


def whole_image(model: nn.Module, pixels: Tensor) -> Tensor:
    """(1, 3, h, w) → logits (1, K, h, w): the first of the two upsampling steps, to the *resized* image's size."""
    return upsample(model(pixels).float(), pixels.shape[-2:])


def sliding_window(model: nn.Module, pixels: Tensor, crop: int, stride: int | None = None) -> Tensor:
    """(1, 3, h, w) → logits (1, K, h, w): the windows' raw logits, averaged where windows overlap."""
    total, count = 0, pixels.new_zeros(pixels.shape[-2:])
    for top, left in window_corners(*pixels.shape[-2:], crop, stride or crop * 2 // 3):
        rows, columns = slice(top, top + crop), slice(left, left + crop)
        logits = whole_image(model, pixels[..., rows, columns])
        if not torch.is_tensor(total):
            total = logits.new_zeros(1, logits.shape[1], *pixels.shape[-2:])
        total[..., rows, columns] += logits
        count[rows, columns] += 1
    return total / count


def window_corners(height: int, width: int, crop: int, stride: int) -> Iterator[tuple[int, int]]:
    """(top, left) of each window; the last of each row and column is pulled back inside the image."""

    def starts(side: int) -> list[int]:
        steps = max(side - crop + stride - 1, 0) // stride + 1
        return [max(min(i * stride, side - crop), 0) for i in range(steps)]

    return ((top, left) for top in starts(height) for left in starts(width))


def mean_probabilities(model: nn.Module, image: np.ndarray, recipe: Recipe) -> Tensor:
    """Probabilities (K, H, W), the mean over six scales of `recipe.test_scale`, each plain and flipped.

    Softmax comes before the mean; the scales are ratios of the *test scale*, not of the image.
    """
    views = [(ratio, flipped) for ratio in MS_FLIP_RATIOS for flipped in (False, True)]
    return sum(view_probabilities(model, image, recipe, *view) for view in views) / len(views)


def view_probabilities(model: nn.Module, image: np.ndarray, recipe: Recipe, ratio: float, flipped: bool) -> Tensor:
    """Probabilities (K, H, W) of one view: resize, flip, model, up in two steps, softmax, flip back."""
    long_side, short_side = recipe.test_scale
    pixels = to_pixels(model, image, (int(long_side * ratio), int(short_side * ratio)))
    logits = whole_image(model, pixels.flip(-1) if flipped else pixels)
    probabilities = upsample(logits, image.shape[:2]).softmax(dim=1)[0]
    return probabilities.flip(-1) if flipped else probabilities


def upsample(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, K, h, w) → (B, K, *size), bilinear with half-pixel centres."""
    return F.interpolate(logits, size=size, mode="bilinear", align_corners=False)


def best_class(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Logits (1, K, h, w) → uint8 (*size): upsample, then argmax, a few classes at a time.

    The result is that of `upsample(logits, size).argmax(1)`; the memory is not: 150 classes of a photograph of 24
    megapixels would be 14 GB.
    """
    at_once = max(1, FLOATS_AT_ONCE // (size[0] * size[1]))
    best, labels = None, None
    for first in range(0, logits.shape[1], at_once):
        value, index = upsample(logits[:, first : first + at_once], size)[0].max(dim=0)
        index = (index + first).to(torch.uint8)
        if best is None:
            best, labels = value, index
        else:
            labels = torch.where(value > best, index, labels)
            best = torch.maximum(value, best)
    return labels
