"""The UPerNet head, from four maps to logits, and the auxiliary head that helps to train it.

Built step by step in chapter 07.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, C, h, w) → (B, C, *size), bilinear with half-pixel centres."""
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


class ConvBlock(nn.Module):
    """Convolution without bias, BatchNorm, ReLU."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, h, w) → (B, out, h, w), values ≥ 0."""
        return F.relu(self.bn(self.conv(x)), inplace=True)  # BatchNorm's backward needs its input only


def pooling_matrix(side: int, bins: int, like: Tensor) -> Tensor:
    """(bins, side): row i averages the pixels ⌊i·side/bins⌋ to ⌈(i+1)·side/bins⌉ of an axis."""
    index = torch.arange(bins, device=like.device)
    start, stop = index * side // bins, -(-(index + 1) * side // bins)
    pixel = torch.arange(side, device=like.device)
    inside = (pixel >= start[:, None]) & (pixel < stop[:, None])
    return inside.to(like.dtype) / (stop - start)[:, None]


def adaptive_avg_pool(x: Tensor, bins: int) -> Tensor:
    """(B, C, h, w) → (B, C, bins, bins): the mean of each of bins × bins windows that cover the map.

    As `F.adaptive_avg_pool2d`, which refuses sides that the bins do not divide on Apple's MPS and in ONNX.
    """
    h, w = x.shape[-2:]
    return pooling_matrix(h, bins, x) @ x @ pooling_matrix(w, bins, x).T


class PyramidPooling(nn.Module):
    """Averages over 1, 2², 3² and 6² windows, mixed into every pixel (Zhao et al. 2017, PSPNet, section 3.2)."""

    def __init__(self, in_channels: int, channels: int, bins: tuple[int, ...] = (1, 2, 3, 6)):
        super().__init__()
        self.bins = bins
        self.psp_modules = nn.ModuleList(ConvBlock(in_channels, channels, 1) for _ in bins)
        self.bottleneck = ConvBlock(in_channels + len(bins) * channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) → (B, channels, h, w)."""
        pooled = [conv(adaptive_avg_pool(x, k)) for k, conv in zip(self.bins, self.psp_modules, strict=True)]
        upsampled = [resize(p, x.shape[-2:]) for p in pooled]
        return self.bottleneck(torch.cat([x, *upsampled], dim=1))


class UPerHead(nn.Module):
    """Unified perceptual parsing: pyramid pooling, a top-down path, fusion of all levels, one classifier.

    Source: Xiao et al. 2018 (UPerNet), section 3.1 and figure 4.
    """

    def __init__(self, *, in_channels: int, channels: int, num_classes: int, levels: int = 4, dropout: float = 0.1):
        super().__init__()
        self.ppm = PyramidPooling(in_channels, channels)
        self.lateral_convs = nn.ModuleList(ConvBlock(in_channels, channels, 1) for _ in range(levels - 1))
        self.fpn_convs = nn.ModuleList(ConvBlock(channels, channels, 3) for _ in range(levels - 1))
        self.fpn_bottleneck = ConvBlock(levels * channels, channels, 3)
        self.dropout = nn.Dropout2d(dropout)
        self.conv_seg = classifier(channels, num_classes)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Four (B, C, h, w), finest first → logits (B, K, h, w) at the finest map's size."""
        levels = [lateral_conv(x) for lateral_conv, x in zip(self.lateral_convs, maps[:-1], strict=True)]
        levels.append(self.ppm(maps[-1]))
        levels = top_down(levels)
        outputs = [fpn_conv(x) for fpn_conv, x in zip(self.fpn_convs, levels[:-1], strict=True)]
        outputs = [resize(x, maps[0].shape[-2:]) for x in [*outputs, levels[-1]]]
        fused = self.fpn_bottleneck(torch.cat(outputs, dim=1))
        return self.conv_seg(self.dropout(fused))


def top_down(levels: list[Tensor]) -> list[Tensor]:
    """Add to each level, finest first, the upsampled sum of all above it (Lin et al. 2017, FPN, section 3)."""
    sums = list(levels)
    for i in range(len(sums) - 1, 0, -1):
        sums[i - 1] = sums[i - 1] + resize(sums[i], sums[i - 1].shape[-2:])
    return sums


class FCNHead(nn.Module):
    """A small head on one map for an auxiliary loss in training (Zhao et al. 2017, section 3.3; Long et al. 2015)."""

    def __init__(self, *, in_channels: int, channels: int, num_classes: int, dropout: float = 0.1):
        super().__init__()
        self.convs = nn.Sequential(ConvBlock(in_channels, channels, 3))
        self.dropout = nn.Dropout2d(dropout)
        self.conv_seg = classifier(channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) → logits (B, K, h, w)."""
        return self.conv_seg(self.dropout(self.convs(x)))


def classifier(in_channels: int, num_classes: int) -> nn.Conv2d:
    """Build the 1×1 convolution that gives every pixel its logits; weights N(0, 0.01), zero bias."""
    conv = nn.Conv2d(in_channels, num_classes, kernel_size=1)
    nn.init.normal_(conv.weight, std=0.01)
    nn.init.zeros_(conv.bias)
    return conv
