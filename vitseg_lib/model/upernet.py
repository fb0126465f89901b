"""The UPerNet head, from four maps to logits, and the auxiliary head that helps to train it.

Built step by step in chapter 07.
"""

import torch
from torch import Tensor, nn

from vitseg_lib.model.resizing import convolve_joined, resize


class ConvBlock(nn.Sequential):
    """Convolution without bias, BatchNorm, ReLU. (B, in, h, w) → (B, out, h, w), values ≥ 0."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int):
        super().__init__()
        padding = kernel_size // 2
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, padding=padding, bias=False)
        self.norm = nn.BatchNorm2d(out_channels)
        self.activation = nn.ReLU(inplace=True)  # BatchNorm's backward needs its input only
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")


class JoiningBlock(ConvBlock):
    """A 3×3 `ConvBlock` of several maps: as if each were resized to one size and all were joined by channels."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__(in_channels, out_channels, 3)

    def forward(self, maps: list[Tensor], size: tuple[int, int]) -> Tensor:
        """Maps (B, C_i, h_i, w_i), one of them of `size` at least → (B, out, *size)."""
        return self.activation(self.norm(convolve_joined(maps, self.conv, size)))


def pooling_matrix(side: int, bins: int, like: Tensor) -> Tensor:
    """(bins, side): row i averages the pixels ⌊i·side/bins⌋ to ⌈(i+1)·side/bins⌉ of an axis."""
    index = torch.arange(bins, device=like.device)
    start, stop = index * side // bins, -(-(index + 1) * side // bins)
    pixel = torch.arange(side, device=like.device)
    inside = (pixel >= start[:, None]) & (pixel < stop[:, None])
    return (inside / (stop - start)[:, None]).to(like.dtype)


def adaptive_average_pool(x: Tensor, bins: int) -> Tensor:
    """(B, C, h, w) → (B, C, bins, bins): the mean of each of bins × bins windows that cover the map.

    The same numbers as `F.adaptive_avg_pool2d`, as two small matrix products: so it also runs where that
    operator refuses sides that the bins do not divide (Apple's MPS, ONNX).
    """
    h, w = x.shape[-2:]
    return pooling_matrix(h, bins, x) @ x @ pooling_matrix(w, bins, x).T


class PyramidPooling(nn.Module):
    """The whole image at a glance: averages over 1, 2², 3² and 6² windows, mixed into every pixel.

    Source: Zhao et al. 2017 (PSPNet), section 3.2.
    """

    def __init__(self, in_channels: int, channels: int, bins: tuple[int, ...] = (1, 2, 3, 6)):
        super().__init__()
        self.bins = bins
        self.branches = nn.ModuleList(ConvBlock(in_channels, channels, 1) for _ in bins)
        self.fuse = JoiningBlock(in_channels + len(bins) * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) → (B, channels, h, w)."""
        pooled = [branch(adaptive_average_pool(x, k)) for k, branch in zip(self.bins, self.branches, strict=True)]
        return self.fuse([x, *pooled], x.shape[-2:])


class UPerHead(nn.Module):
    """Unified perceptual parsing: pyramid pooling on top, a feature pyramid downwards, one fusion, one classifier.

    Source: Xiao et al. 2018 (UPerNet), section 3.1 and figure 4.
    """

    def __init__(self, *, in_channels: int, channels: int, num_classes: int, levels: int = 4, dropout: float = 0.1):
        super().__init__()
        lower = range(levels - 1)
        self.pyramid = PyramidPooling(in_channels, channels)
        self.laterals = nn.ModuleList(ConvBlock(in_channels, channels, 1) for _ in lower)
        self.smooths = nn.ModuleList(ConvBlock(channels, channels, 3) for _ in lower)
        self.fuse = JoiningBlock(levels * channels, channels)
        self.dropout = nn.Dropout2d(dropout)
        self.classifier = classifier(channels, num_classes)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Four (B, C, h, w), finest first → logits (B, K, h, w) at the finest map's size."""
        levels = [lateral(x) for lateral, x in zip(self.laterals, maps[:-1], strict=True)]
        levels.append(self.pyramid(maps[-1]))
        for i in range(len(levels) - 1, 0, -1):  # top down: each level adds the sum of all above it
            levels[i - 1] = levels[i - 1] + resize(levels[i], levels[i - 1].shape[-2:])
        outputs = [smooth(x) for smooth, x in zip(self.smooths, levels[:-1], strict=True)] + levels[-1:]
        fused = self.fuse(outputs, outputs[0].shape[-2:])
        return self.classifier(self.dropout(fused))


class AuxiliaryHead(nn.Module):
    """A small fully convolutional head on one map, for an extra loss while training.

    Source: Zhao et al. 2017 (PSPNet), section 3.3; Long et al. 2015 (FCN).
    """

    def __init__(self, *, in_channels: int, channels: int, num_classes: int, dropout: float = 0.1):
        super().__init__()
        self.conv = ConvBlock(in_channels, channels, 3)
        self.dropout = nn.Dropout2d(dropout)
        self.classifier = classifier(channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) → logits (B, K, h, w)."""
        return self.classifier(self.dropout(self.conv(x)))


def classifier(in_channels: int, num_classes: int) -> nn.Conv2d:
    """Build the 1×1 convolution that gives every pixel its logits; weights N(0, 0.01), zero bias."""
    conv = nn.Conv2d(in_channels, num_classes, kernel_size=1)
    nn.init.normal_(conv.weight, std=0.01)
    nn.init.zeros_(conv.bias)
    return conv
