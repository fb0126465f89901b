"""Image ↔ patches: padding, the patch embedding, and the resize of the position embedding.

Built step by step in chapter 03.
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn


def pad_to_multiple(pixels: Tensor, patch_size: int) -> Tensor:
    """Pad with zeros, right and bottom, until both sides are multiples of the patch size.

    (B, 3, H, W) → (B, 3, ⌈H / p⌉·p, ⌈W / p⌉·p). On normalised pixels, zero is ImageNet's mean colour.
    """
    height, width = pixels.shape[-2:]
    return F.pad(pixels, (0, -width % patch_size, 0, -height % patch_size))


class PatchEmbedding(nn.Module):
    """One linear projection of every patch: a convolution whose stride is its size (Dosovitskiy et al. 2021, 3.1)."""

    def __init__(self, *, embed_dim: int, patch_size: int, in_channels: int = 3):
        super().__init__()
        self.patch_size = patch_size
        self.proj = nn.Conv2d(in_channels, embed_dim, kernel_size=patch_size, stride=patch_size)

    def forward(self, pixels: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """(B, 3, H, W) of any size → tokens (B, N, C), row by row, and their grid (h, w) with N = h·w."""
        maps = self.proj(pad_to_multiple(pixels, self.patch_size))
        h, w = maps.shape[-2:]
        return rearrange(maps, "b c h w -> b (h w) c"), (h, w)


def tokens_to_map(tokens: Tensor, grid: tuple[int, int]) -> Tensor:
    """(B, 1 + N, C), class token first → (B, C, h, w), class token dropped."""
    h, w = grid
    return rearrange(tokens[:, 1:], "b (h w) c -> b c h w", h=h, w=w)


def resize_pos_embed(pos_embed: Tensor, old: tuple[int, int], new: tuple[int, int]) -> Tensor:
    """Resize the grid part of a position embedding; the class token's row stays as it is.

    (1, 1 + h·w, C) for the old grid → (1, 1 + h'·w', C) for the new one. Bicubic with half-pixel centres and *no*
    antialiasing, as in mmsegmentation 0.17: timm's own resampler antialiases and gives other values.
    """
    if not torch.compiler.is_exporting() and old == new:  # an exported model must serve all grids
        return pos_embed
    class_row, rows = pos_embed[:, :1], pos_embed[:, 1:]
    maps = rearrange(rows, "b (h w) c -> b c h w", h=old[0], w=old[1])
    maps = F.interpolate(maps, size=new, mode="bicubic", align_corners=False, antialias=False)
    return torch.cat([class_row, rearrange(maps, "b c h w -> b (h w) c")], dim=1)
