"""What an encoder's features hold: read by a linear probe, and shown as their principal components."""

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor

from vitseg_lib.data.loading import SegmentationFolder
from vitseg_lib.engine.inference import to_pixels
from vitseg_lib.engine.metrics import ConfusionMatrix
from vitseg_lib.model.encoder import Encoder
from vitseg_lib.recipes import Recipe

RIDGE = 1e-3  # times the number of tokens: the penalty on a probe's weights


def pca_colours(feature_map: Tensor, patch_size: int = 8) -> np.ndarray:
    """The first three principal components of a map (1, C, h, w) as red, green and blue, uint8 (h·p, w·p, 3).

    A component's largest weight is positive; each colour spans the middle 96 % of its component's values.
    """
    tokens = rearrange(feature_map, "1 c h w -> (h w) c")
    centred = tokens - tokens.mean(dim=0)
    directions = torch.linalg.svd(centred, full_matrices=False).Vh[:3]
    signs = directions.gather(1, directions.abs().argmax(dim=1, keepdim=True)).sign()
    values = centred @ (directions * signs).T
    low, high = values.quantile(torch.tensor([0.02, 0.98], dtype=values.dtype), dim=0)
    colours = (255 * (values - low) / (high - low).clamp(min=1e-12)).clamp(0, 255).byte()
    p = patch_size
    return repeat(colours, "(h w) rgb -> (h i) (w j) rgb", h=feature_map.shape[2], i=p, j=p).numpy()


@torch.inference_mode()
def tokens_by_layer(
    encoder: Encoder, scenes: Iterable[tuple[np.ndarray, np.ndarray]], recipe: Recipe
) -> tuple[list[Tensor], Tensor]:
    """Tokens (M, C), float64, before the first layer and after each, and the class (M,) of each token's patch.

    `scenes` are images and labels, not larger than the recipe's test scale. A patch has the class of its middle
    pixel; patches that are not labelled there, and class tokens, are left out.
    """
    layers, classes = [[] for _ in range(1 + len(encoder.blocks))], []
    for image, labels in scenes:
        pixels = to_pixels(encoder, image, recipe.test_scale)
        patches, grid = encoder.patch_embed(pixels)
        known = _patch_labels(torch.from_numpy(labels).long(), grid, recipe.patch_size)
        first = encoder.add_cls_token_and_pos_embed(patches, grid)
        for collected, tokens in zip(layers, [first, *encoder(pixels)["tokens"]], strict=True):
            collected.append(tokens[0, 1:][known < 255].double())
        classes.append(known[known < 255])
    return [torch.cat(tokens) for tokens in layers], torch.cat(classes)


def _patch_labels(labels: Tensor, grid: tuple[int, int], patch_size: int) -> Tensor:
    """The label (h·w,) in the middle of each patch, or the nearest where the patch reaches beyond the image."""
    rows, columns = (
        (patch_size * torch.arange(count) + patch_size // 2).clamp(max=side - 1)
        for count, side in zip(grid, labels.shape, strict=True)
    )
    return labels[rows][:, columns].flatten()


def linear_probe(tokens: Tensor, classes: Tensor, num_classes: int) -> Tensor:
    """Weights (C + 1, K) that read classes (M,) from tokens (M, C): ridge regression, (XᵀX + λI)⁻¹ XᵀY.

    X has a last channel of ones, so the last row of the weights is the bias; λ is `RIDGE` · M.
    """
    x, y = F.pad(tokens, (0, 1), value=1), F.one_hot(classes, num_classes).to(tokens.dtype)
    penalty = RIDGE * len(x) * torch.eye(x.shape[1], dtype=x.dtype)
    return torch.linalg.solve(x.T @ x + penalty, x.T @ y)


def probe_miou(train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor], num_classes: int) -> float:
    """Fit a linear probe on some tokens (M, C) and their classes (M,), test it on others: mIoU in percent."""
    mean, spread = train[0].mean(dim=0), train[0].std(dim=0) + 1e-12
    train_tokens, test_tokens = ((tokens - mean) / spread for tokens, _ in (train, test))
    scores = F.pad(test_tokens, (0, 1), value=1) @ linear_probe(train_tokens, train[1], num_classes)
    confusion = ConfusionMatrix(num_classes)
    confusion.update(test[1].numpy(), scores.argmax(dim=1).numpy())
    return confusion.scores().mIoU


def probe_layers(
    encoder: Encoder, root: str | Path, recipe: Recipe, *, training: int = 40, validation: int = 30
) -> list[float]:
    """A probe's mIoU in percent before the first layer, after each, and on all of `out_indices` concatenated.

    Fitted to the first `training` scenes of the data set at `root`, tested on the first `validation` ones.
    """
    sets = []
    for split, count in (("training", training), ("validation", validation)):
        scenes = SegmentationFolder(root, split)
        layers, classes = tokens_by_layer(encoder, islice(scenes, count), recipe)
        sets.append(([*layers, torch.cat([layers[1 + index] for index in encoder.out_indices], dim=1)], classes))
    (train, train_classes), (test, test_classes) = sets
    num_classes = len(scenes.classes)
    return [probe_miou((a, train_classes), (b, test_classes), num_classes) for a, b in zip(train, test, strict=True)]


@torch.inference_mode()
def length_factors(encoder: Encoder, scenes: Iterable[tuple[np.ndarray, np.ndarray]], recipe: Recipe) -> list[float]:
    """By which factor the longest patch token that enters the first block exceeds the shortest, scene by scene."""
    factors = []
    for image, _ in scenes:
        patches, grid = encoder.patch_embed(to_pixels(encoder, image, recipe.test_scale))
        lengths = encoder.add_cls_token_and_pos_embed(patches, grid)[0, 1:].norm(dim=-1)
        factors.append(float(lengths.max() / lengths.min()))
    return factors
