"""Labels from small logits, tile by tile: 150 classes of a photograph of 24 megapixels would be 14 GB.

`fast_predict` gives `inference.predict`'s labels; both upsampling steps are one product of matrices for each axis.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn

from vitseg_lib.engine.fast_loss import chunk_elements
from vitseg_lib.engine.inference import Mode, Size, sliding_window, to_pixels, tta_views
from vitseg_lib.engine.precision import Precision, autocast
from vitseg_lib.model.fast import resize_matrix
from vitseg_lib.recipes import Recipe


@torch.inference_mode()
def fast_predict(
    model: nn.Module, image: np.ndarray, recipe: Recipe, *, mode: Mode = "whole", precision: Precision = "fp32"
) -> np.ndarray:
    """Label every pixel of an image, uint8 (H, W, 3) → uint8 (H, W) in 0..K-1.

    `precision` is the forward pass's; the upsampling is always computed in fp32.
    """

    def forward(pixels: Tensor) -> Tensor:
        with autocast(pixels.device, precision):
            return model(pixels)

    size = image.shape[:2]
    if mode == "ms_flip":
        views = [upsampled(forward(x), x.shape[-2:], size, mirrored=m) for x, m in tta_views(model, image, recipe)]
        return argmax_labels(views).cpu().numpy()
    pixels = to_pixels(model, image, recipe.test_scale)
    if mode == "slide":
        views = [upsampled(sliding_window(forward, pixels, recipe.crop), size)]
    else:
        views = [upsampled(forward(pixels), pixels.shape[-2:], size)]
    return argmax_labels(views).cpu().numpy()


class View(NamedTuple):
    """Logits as small as the model made them, (h, w, K), and what upsamples them: (H, h) and (W, w).

    Output row i draws from the logits' rows from `first[i]` to before `last[i]`.
    """

    logits: Tensor
    rows: Tensor
    columns: Tensor
    first: list[int]
    last: list[int]


def upsampled(logits: Tensor, *sizes: Size, mirrored: bool = False) -> View:
    """The view of logits (1, K, h, w) resized to each of the sizes in turn; `mirrored` ones are mirrored back."""
    logits = rearrange(logits.float(), "1 k h w -> h w k")
    rows, columns = (
        compose_resize([old, *(size[axis] for size in sizes)], logits) for axis, old in enumerate(logits.shape[:2])
    )
    used = (rows != 0).int()
    first, last = used.argmax(dim=1), len(logits) - used.flip(1).argmax(dim=1)
    return View(logits, rows, columns.flip(0) if mirrored else columns, first.tolist(), last.tolist())


def compose_resize(sides: Sequence[int], like: Tensor) -> Tensor:
    """(last, first): one matrix for all resizes of an axis, from each of the sides to the next."""
    matrix = torch.eye(sides[0], dtype=like.dtype, device=like.device)
    for old, new in pairwise(sides):
        if old != new:
            matrix = resize_matrix(old, new, like) @ matrix
    return matrix


def tiles(views: Sequence[View]) -> Iterator[tuple[tuple[slice, slice], list[Tensor]]]:
    """Cut the image into tiles: (rows, columns) of each, and each view's logits there, (height, width, K)."""
    height, width = len(views[0].rows), len(views[0].columns)
    budget = chunk_elements(views[0].logits.device, len(views))
    across = max(1, 16 * budget // sum(view.logits[:, 0].numel() for view in views))
    for left in range(0, width, across):
        wides = [view.columns[left : left + across] @ view.logits for view in views]
        down = max(1, budget // wides[0][0].numel())
        for top in range(0, height, down):
            tile = (slice(top, top + down), slice(left, left + across))
            yield tile, [_row_tile(view, wide, tile[0]) for view, wide in zip(views, wides, strict=True)]


def _row_tile(view: View, wide: Tensor, rows: slice) -> Tensor:
    """Of a map (h, W, K), the view's output rows: (height, W, K), drawn from few of the map's."""
    source = slice(view.first[rows][0], view.last[rows][-1])
    return (view.rows[rows, source] @ wide[source].flatten(1)).unflatten(1, wide.shape[1:])


def argmax_labels(views: Sequence[View]) -> Tensor:
    """Uint8 (H, W): the likeliest class; of several views, by the mean of their probabilities."""
    labels = views[0].logits.new_empty(len(views[0].rows), len(views[0].columns), dtype=torch.uint8)
    for tile, scores in tiles(views):
        scores = scores[0] if len(scores) == 1 else sum(score.softmax(dim=-1) for score in scores)
        labels[tile] = scores.argmax(dim=-1).to(torch.uint8)
    return labels
