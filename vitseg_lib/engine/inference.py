"""From an image of any size to one label per pixel: whole image, sliding window, multi-scale with flips.

Built step by step in chapter 10. Evaluation and the commands use `fast_inference`, which gives the same labels.
"""

from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from vitseg_lib.data.transforms import EvalPipeline
from vitseg_lib.model.upernet import resize
from vitseg_lib.recipes import Recipe

Mode = Literal["whole", "slide", "ms_flip"]
Size = tuple[int, int]
Forward = Callable[[Tensor], Tensor]  # pixels (1, 3, h, w) → logits (1, K, h', w')
MS_FLIP_RATIOS = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)


@torch.inference_mode()
def predict(model: nn.Module, image: np.ndarray, recipe: Recipe, *, mode: Mode = "whole") -> np.ndarray:
    """Label every pixel of an image, uint8 (H, W, 3) → uint8 (H, W) in 0..K-1.

    "whole" is how the published single-scale figures were made, "ms_flip" the second ones; "slide" moves a window of
    the recipe's crop by two thirds of its side. Source: reproduction of mmsegmentation 0.17.
    """
    if mode == "ms_flip":
        return tta_probabilities(model, image, recipe).argmax(dim=0).byte().cpu().numpy()
    pixels = to_pixels(model, image, recipe.test_scale)
    logits = sliding_window(model, pixels, recipe.crop) if mode == "slide" else whole_image(model, pixels)
    return resize(logits, image.shape[:2])[0].argmax(dim=0).byte().cpu().numpy()


def to_pixels(model: nn.Module, image: np.ndarray, scale: Size) -> Tensor:
    """Resize to fit `scale` = (long side, short side), normalise, move to the model: (1, 3, h, w)."""
    return EvalPipeline(scale=scale)(image)[None].to(next(model.parameters()).device)


def whole_image(model: Forward, pixels: Tensor) -> Tensor:
    """(1, 3, h, w) → logits (1, K, h, w): the first of the two upsampling steps, to the *resized* image's size."""
    return resize(model(pixels).float(), pixels.shape[-2:])


def sliding_window(model: Forward, pixels: Tensor, crop: int, stride: int | None = None) -> Tensor:
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


def tta_views(model: nn.Module, image: np.ndarray, recipe: Recipe) -> Iterator[tuple[Tensor, bool]]:
    """Pixels of the twelve views of test-time augmentation: six scales, each plain and then mirrored (True).

    The ratios are of the recipe's *test scale*, not of the image.
    """
    long_side, short_side = recipe.test_scale
    for ratio in MS_FLIP_RATIOS:
        pixels = to_pixels(model, image, (int(long_side * ratio), int(short_side * ratio)))
        yield pixels, False
        yield pixels.flip(-1), True


def tta_probabilities(model: nn.Module, image: np.ndarray, recipe: Recipe) -> Tensor:
    """(K, H, W): the mean over the twelve views of their probabilities. Softmax comes before the mean."""
    total = 0
    for pixels, mirrored in tta_views(model, image, recipe):
        probabilities = resize(whole_image(model, pixels), image.shape[:2]).softmax(dim=1)
        total = total + (probabilities.flip(-1) if mirrored else probabilities)
    return total[0] / (2 * len(MS_FLIP_RATIOS))
