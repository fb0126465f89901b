"""The multi-level neck: four maps of one size become a pyramid.

Built step by step in chapter 06.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from vitseg_lib.model.resizing import convolve_resized


class NeckBranch(nn.Module):
    """1×1 convolution, bilinear resize by a factor, 3×3 convolution; no norm and no activation."""

    def __init__(self, *, width: int, scale: float):
        super().__init__()
        self.scale = scale
        self.lateral = nn.Conv2d(width, width, kernel_size=1)
        self.smooth = nn.Conv2d(width, width, kernel_size=3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) → (B, C, ⌊h·scale⌋, ⌊w·scale⌋), at least 1×1.

        By `scale_factor`, not by size: where the factor does not come out even (43 → 21) the sampling points
        of the two differ, and the published weights were trained with the factor.
        """
        x = self.lateral(x)
        h, w = x.shape[-2:]
        if self.scale > 1 and self.scale == int(self.scale):  # factor and size agree, so the quick way is exact
            size = (h * int(self.scale), w * int(self.scale))
            return convolve_resized(x, self.smooth.weight, size) + self.smooth.bias[:, None, None]
        if self.scale < 1:  # a side of one patch is doubled first, so that halving it leaves one
            x = F.pad(x, (0, int(w == 1), 0, int(h == 1)), mode="replicate")
        if self.scale != 1:
            x = F.interpolate(x, scale_factor=self.scale, mode="bilinear", align_corners=False)
        return self.smooth(x)


class MultiLevelNeck(nn.Module):
    """A plain Vision Transformer has one scale; these four branches make 4, 2, 1 and ½ of it.

    Source: reproduction of mmsegmentation 0.17's MLN; the need for it: Ranftl et al. 2021 (DPT), section 3.
    """

    def __init__(self, *, width: int, scales: tuple[float, ...] = (4, 2, 1, 0.5)):
        super().__init__()
        self.branches = nn.ModuleList(NeckBranch(width=width, scale=scale) for scale in scales)
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
