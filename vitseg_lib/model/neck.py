"""The multi-level neck: four maps of one size become a pyramid.

Built step by step in chapter 06.
"""

import torch.nn.functional as F
from torch import Tensor, nn


def resize_by_factor(x: Tensor, scale: float) -> Tensor:
    """(B, C, h, w) → (B, C, ⌊h·scale⌋, ⌊w·scale⌋), at least 1×1: bilinear, by `scale_factor` and not by size.

    At odd sides (43 → 21) the two sample other points, and the published weights were trained with the factor.
    """
    if scale < 1:  # a side of one is doubled first, so that halving it leaves one
        x = F.pad(x, (0, int(x.shape[-1] == 1), 0, int(x.shape[-2] == 1)), mode="replicate")
    return F.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=False)


class NeckBranch(nn.Module):
    """1×1 convolution, bilinear resize by a factor, 3×3 convolution; no norm and no activation."""

    def __init__(self, *, embed_dim: int, scale: float):
        super().__init__()
        self.scale = scale
        self.lateral_conv = nn.Conv2d(embed_dim, embed_dim, kernel_size=1)
        self.conv = nn.Conv2d(embed_dim, embed_dim, kernel_size=3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) → (B, C, ⌊h·scale⌋, ⌊w·scale⌋), at least 1×1."""
        x = self.lateral_conv(x)
        x = resize_by_factor(x, self.scale)
        return self.conv(x)


class MultiLevelNeck(nn.Module):
    """A plain Vision Transformer has one scale; these four branches make 4, 2, 1 and ½ of it.

    Source: reproduction of mmsegmentation 0.17's MLN; the need for it: Ranftl et al. 2021 (DPT), section 3.
    """

    def __init__(self, *, embed_dim: int, scales: tuple[float, ...] = (4, 2, 1, 0.5)):
        super().__init__()
        self.branches = nn.ModuleList(NeckBranch(embed_dim=embed_dim, scale=scale) for scale in scales)
        self.reset_parameters()

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Four (B, C, h, w) → (B, C, 4h, 4w), (B, C, 2h, 2w), (B, C, h, w), (B, C, ⌊h/2⌋, ⌊w/2⌋)."""
        return [branch(x) for branch, x in zip(self.branches, maps, strict=True)]

    def reset_parameters(self) -> None:
        """Xavier uniform weights and zero biases, as in mmsegmentation 0.17."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
