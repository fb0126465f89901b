"""What the attention explorer sends to the browser, and the values it writes under each head.

L layers, T tokens: one per patch, row by row, and before them the class token if there is one.
"""

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn

from vitseg_lib.model.attention import attention_weights


@torch.no_grad()
def queries_and_keys(encoder: nn.Module, pixels: Tensor) -> tuple[Tensor, Tensor, tuple[int, int]]:
    """Queries and keys of each layer: two (L, heads, T, d) and the grid (h, w), from pixels (1, 3, H, W).

    The encoder returns every layer's tokens; a layer's queries and keys are one linear map of its input.
    """
    patches, grid = encoder.patch_embed(pixels)
    first = encoder.add_cls_token_and_pos_embed(patches, grid)
    incoming = [first, *encoder(pixels)["tokens"][:-1]]
    both = [_project(block, tokens) for block, tokens in zip(encoder.blocks, incoming, strict=True)]
    queries, keys = torch.stack(both).unbind(dim=1)
    return queries, keys, grid


def _project(block: nn.Module, tokens: Tensor) -> Tensor:
    """(1, T, C) → queries and keys (2, heads, T, d); the values are left out."""
    qkv = block.attn.qkv(block.norm1(tokens))
    return rearrange(qkv, "1 n (three heads d) -> three heads n d", three=3, heads=block.attn.num_heads)[:2]


def quantise(values: np.ndarray, kind: type = np.int16) -> tuple[np.ndarray, np.ndarray]:
    """(…, d) floats → integers of `kind` (…, d) and float32 scales (…): one scale per token, layer and head.

    16 bits and not 8: a logit's error grows with the logits, and the softmax turns it into an error in ratio, so
    sharp heads suffer most. tests/course/widgets/test_attention_explorer.py measures both.
    """
    largest = np.abs(values).max(axis=-1)
    scales = (np.where(largest > 1e-30, largest, 1) / np.iinfo(kind).max).astype(np.float32)
    return np.rint(values / scales[..., None]).astype(kind), scales


@torch.no_grad()
def summarise(
    queries: Tensor, keys: Tensor, grid: tuple[int, int], patch: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Entropy in bits (L, heads), mean distance in pixels (L, heads), and the rollout (T, T), over the whole image.

    `patch` is a patch's height and width in pixels. Distances are between patches, weighted by attention; the
    class token is left out as query and key, and each patch weighs the same (Dosovitskiy et al. 2021, figure 7).
    Entropy is the mean over the rows of the patches, class token included as a key.
    Rollout: Abnar and Zuidema 2020, equation 1, with half of each token kept and the mean over heads.
    """
    extra = queries.shape[2] - grid[0] * grid[1]
    apart = _distances(grid, patch)
    rollout = torch.eye(queries.shape[2])
    entropy, distance = [], []
    for layer_queries, layer_keys in zip(queries, keys, strict=True):
        weights = attention_weights(layer_queries[None].float().cpu(), layer_keys[None].float().cpu())[0]
        rollout = (0.5 * weights.mean(dim=0) + 0.5 * torch.eye(len(rollout))) @ rollout
        rows = weights[:, extra:]
        entropy.append(torch.special.entr(rows).sum(dim=-1).mean(dim=-1) / np.log(2))
        among = rows[..., extra:]
        lengths = (among * apart).sum(dim=-1) / among.sum(dim=-1).clamp_min(1e-30)
        distance.append(lengths.mean(dim=-1))
    return torch.stack(entropy).numpy(), torch.stack(distance).numpy(), rollout.numpy()


def _distances(grid: tuple[int, int], patch: tuple[float, float]) -> Tensor:
    """Between the centres of all pairs of patches, in pixels: (h·w, h·w)."""
    rows, columns = torch.meshgrid(torch.arange(grid[0]), torch.arange(grid[1]), indexing="ij")
    centres = torch.stack([rows.flatten() * patch[0], columns.flatten() * patch[1]], dim=-1).float()
    return torch.cdist(centres, centres)
