"""From an image of any size to one label a pixel: whole image, sliding window, multi-scale with flips.

Built step by step in chapter 10.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn

from vitseg_lib.data.transforms import EvalPipeline
from vitseg_lib.model.resizing import floats_at_once, reach, resize, resize_matrix
from vitseg_lib.recipes import Recipe

Mode = Literal["whole", "slide", "ms_flip"]
Size = tuple[int, int]
MS_FLIP_RATIOS = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)


@torch.inference_mode()
def predict(model: nn.Module, image: np.ndarray, recipe: Recipe, *, mode: Mode = "whole") -> np.ndarray:
    """Label every pixel of an image, uint8 (H, W, 3) → uint8 (H, W) in 0..K-1.

    "whole" is how the published single-scale figures were made, "ms_flip" the second ones; "slide" moves a window of
    the recipe's crop by two thirds of its side. Source: reproduction of mmsegmentation 0.17.
    """
    if mode == "ms_flip":
        return best_class(all_views(model, image, recipe)).cpu().numpy()
    pixels = to_pixels(model, image, recipe.test_scale)
    if mode == "slide":
        views = [View(sliding_window(model, pixels, recipe.crop), image.shape[:2])]
    else:
        views = [View(model(pixels), pixels.shape[-2:], image.shape[:2])]
    return best_class(views).cpu().numpy()


def to_pixels(model: nn.Module, image: np.ndarray, scale: Size) -> Tensor:
    """Resize to fit `scale` = (long side, short side), normalise, move to the model: (1, 3, h, w)."""
    return EvalPipeline(scale=scale)(image)[None].to(next(model.parameters()).device)


class View:
    """Logits on their way up to an image: as small as the model made them, with a matrix an axis.

    The first of two upsampling steps goes to the *resized* image's size and the second to the image's; each is a
    product with a matrix, and so are both together: the product of the two. What they give is never held whole.
    """

    def __init__(self, logits: Tensor, *sizes: Size, mirrored: bool = False):
        """Logits (1, K, h, w), and the sizes they pass through; `mirrored` logits are those of a mirrored image."""
        self.logits = rearrange(logits.float(), "1 k h w -> h w k")
        self.heights, widths = ([old, *(s[axis] for s in sizes)] for axis, old in enumerate(self.logits.shape[:2]))
        self.rows, self.columns = through(self.heights, self.logits), through(widths, self.logits)
        if mirrored:
            self.columns = self.columns.flip(0)

    @property
    def size(self) -> Size:
        """Height and width at the end of the way."""
        return len(self.rows), len(self.columns)


def through(sides: Sequence[int], like: Tensor) -> Tensor:
    """(last, first): one matrix for all resizes of an axis, from each of the sides to the next."""
    matrix = torch.eye(sides[0], dtype=like.dtype, device=like.device)
    for old, new in pairwise(sides):
        if old != new:
            matrix = resize_matrix(old, new, like) @ matrix
    return matrix


def tiles(views: Sequence[View]) -> Iterator[tuple[tuple[slice, slice], list[Tensor]]]:
    """Cut the image into tiles: (rows, columns) of each, and each view's logits there, (height, width, K).

    The logits are those of upsampling as a whole; the memory is not: 150 classes of a photograph of 24 megapixels
    would be 14 GB.
    """
    (height, width), budget = views[0].size, floats_at_once(views[0].logits.device)
    tall = sum(view.logits[:, 0].numel() for view in views)
    across = max(1, 16 * budget // tall)
    for left in range(0, width, across):
        wides = [view.columns[left : left + across] @ view.logits for view in views]
        down = max(1, budget // wides[0][0].numel())
        for top in range(0, height, down):
            place = (slice(top, top + down), slice(left, left + across))
            yield place, [strip(view, wide, top, top + down) for view, wide in zip(views, wides, strict=True)]


def strip(view: View, wide: Tensor, top: int, bottom: int) -> Tensor:
    """Of a map (h, W, K), the rows from `top` to `bottom` of the view: (height, W, K), drawn from few of the map's."""
    rows = view.rows[top:bottom]
    first, last = top, top + len(rows)
    for new, old in pairwise(reversed(view.heights)):
        first, last = reach(first, last, old, new)
    return (rows[:, first:last] @ wide[first:last].flatten(1)).unflatten(1, wide.shape[1:])


def best_class(views: Sequence[View]) -> Tensor:
    """Uint8 (H, W): the likeliest class; of several views, by the mean of their probabilities."""
    labels = views[0].logits.new_empty(views[0].size, dtype=torch.uint8)
    for place, scores in tiles(views):
        shares = scores[0] if len(scores) == 1 else sum(score.softmax(dim=-1) for score in scores)
        labels[place] = shares.argmax(dim=-1).to(torch.uint8)
    return labels


def probabilities(views: Sequence[View]) -> Tensor:
    """(K, H, W): the mean over the views of their probabilities. Softmax comes before the mean."""
    found = views[0].logits.new_empty(*views[0].size, views[0].logits.shape[-1])
    for place, scores in tiles(views):
        found[place] = sum(score.softmax(dim=-1) for score in scores) / len(scores)
    return rearrange(found, "h w k -> k h w")


def whole_image(model: nn.Module, pixels: Tensor) -> Tensor:
    """(1, 3, h, w) → logits (1, K, h, w): the first of the two upsampling steps, to the *resized* image's size."""
    return resize(model(pixels).float(), pixels.shape[-2:])


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


def all_views(model: nn.Module, image: np.ndarray, recipe: Recipe) -> list[View]:
    """Six scales of `recipe.test_scale`, each plain and mirrored. The ratios are of the *test scale*, not the image."""
    return [view(model, image, recipe, ratio, mirrored) for ratio in MS_FLIP_RATIOS for mirrored in (False, True)]


def view(model: nn.Module, image: np.ndarray, recipe: Recipe, ratio: float, mirrored: bool) -> View:
    """One of them: resize, mirror, model; on its way up the view is mirrored back."""
    long_side, short_side = recipe.test_scale
    pixels = to_pixels(model, image, (int(long_side * ratio), int(short_side * ratio)))
    logits = model(pixels.flip(-1) if mirrored else pixels)
    return View(logits, pixels.shape[-2:], image.shape[:2], mirrored=mirrored)
