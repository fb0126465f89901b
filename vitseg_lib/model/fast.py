"""The same model, sooner: twins of the plain forwards, with the same tensors and, up to rounding, the same results.

Training, evaluation and the commands call `fast`; chapters, operation counts and export use the plain model. What each
shortcut is worth stands in benchmarks/README.md.
"""

import copy

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from vitseg_lib.model.attention import SelfAttention
from vitseg_lib.model.encoder import Encoder
from vitseg_lib.model.neck import NeckBranch
from vitseg_lib.model.upernet import PyramidPooling, UPerHead, adaptive_avg_pool, top_down

ONEDNN = torch.backends.mkldnn.is_available()  # asked once: torch.compile cannot trace the question


def fast(model: nn.Module) -> nn.Module:
    """The model's fast twin: the same tensors and hooks, other forwards; `model` itself stays plain.

    The twin starts in the model's mode (train or eval) and then has its own. Call it when the model is on its device,
    which decides: a CPU also gets the linear layers of oneDNN.
    """
    device = next((p.device.type for p in model.parameters()), "cpu")
    return _twin(model, TWINS | ({nn.Linear: LinearAsConvolution} if device == "cpu" and ONEDNN else {}))


def _twin(module: nn.Module, twins: dict[type, type]) -> nn.Module:
    twin = copy.copy(module)  # shares the parameters, buffers and hooks
    parts = list(module.modules())[1:]
    if not any(part._forward_hooks or part._forward_pre_hooks for part in parts):  # a hook must see its part run
        twin.__class__ = twins.get(type(module), type(module))
    twin._modules = {name: child and _twin(child, twins) for name, child in module._modules.items()}
    return twin


class FusedSelfAttention(SelfAttention):
    """PyTorch's fused kernel, which never stores the attention weights."""

    def forward(self, tokens: Tensor) -> tuple[Tensor, None]:
        """(B, N, C) → (B, N, C), and no weights."""
        queries, keys, values = rearrange(
            self.qkv(tokens), "b n (three heads d) -> three b heads n d", three=3, heads=self.num_heads
        )
        mixed = F.scaled_dot_product_attention(queries, keys, values)
        return self.proj(rearrange(mixed, "b heads n d -> b n (heads d)")), None


class FusedEncoder(Encoder):
    """An encoder that has no attention weights to return."""

    def forward(self, pixels: Tensor, *, return_attention: bool = False) -> dict[str, list[Tensor]]:
        """As the plain one; ValueError if attention weights are requested."""
        if return_attention:
            raise ValueError("a fast model keeps no attention weights: request them of the plain one")
        return super().forward(pixels)


class LinearAsConvolution(nn.Linear):
    """A linear layer on tokens as a 1×1 convolution."""

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, N, in) → (B, N, out)."""
        return linear(tokens, self.weight, self.bias)


class FastNeckBranch(NeckBranch):
    """A whole factor above 1 agrees with the size, and the 3×3 convolution needs no upsampled map."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) → (B, C, ⌊h·scale⌋, ⌊w·scale⌋)."""
        if self.scale <= 1 or self.scale != int(self.scale):
            return super().forward(x)
        size = tuple(side * int(self.scale) for side in x.shape[-2:])
        return convolve_resized(self.lateral_conv(x), self.conv.weight, size) + self.conv.bias[:, None, None]


class FastPyramidPooling(PyramidPooling):
    """The pooled maps are mixed while they are small."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) → (B, channels, h, w)."""
        pooled = [conv(adaptive_avg_pool(x, k)) for k, conv in zip(self.bins, self.psp_modules, strict=True)]
        mixed = convolve_concat([x, *pooled], self.bottleneck.conv.weight, x.shape[-2:])
        return self.bottleneck.bn(mixed).relu_()


class FastUPerHead(UPerHead):
    """The coarse levels are mixed while they are small."""

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Four (B, C, h, w), finest first → logits (B, K, h, w)."""
        levels = [lateral_conv(x) for lateral_conv, x in zip(self.lateral_convs, maps[:-1], strict=True)]
        levels = top_down([*levels, self.ppm(maps[-1])])
        outputs = [fpn_conv(x) for fpn_conv, x in zip(self.fpn_convs, levels[:-1], strict=True)] + levels[-1:]
        mixed = convolve_concat(outputs, self.fpn_bottleneck.conv.weight, outputs[0].shape[-2:])
        return self.conv_seg(self.dropout(self.fpn_bottleneck.bn(mixed).relu_()))


TWINS = {
    **{SelfAttention: FusedSelfAttention, Encoder: FusedEncoder, NeckBranch: FastNeckBranch},
    **{PyramidPooling: FastPyramidPooling, UPerHead: FastUPerHead},
}


def linear(tokens: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """(B, N, C) and (O, C) → (B, N, O): `F.linear`, on a CPU as a 1×1 convolution of an image with one row.

    PyTorch hands `F.linear` to MKL, but a convolution to oneDNN, which was twice as fast on an AMD CPU of two cores.
    """
    if tokens.device.type != "cpu" or not ONEDNN:
        return F.linear(tokens, weight, bias)
    return F.conv2d(tokens.mT.unsqueeze(2), weight[:, :, None, None], bias).squeeze(2).mT


def resize_matrix(old: int, new: int, like: Tensor) -> Tensor:
    """(new, old): row i holds the bilinear weights of the old pixels for new pixel i of an axis; rows sum to 1."""
    unit = torch.eye(old, dtype=like.dtype, device=like.device)
    return F.interpolate(unit[None], size=new, mode="linear", align_corners=False)[0].T


def convolve_concat(maps: list[Tensor], weight: Tensor, size: tuple[int, int]) -> Tensor:
    """A 3×3 convolution, without bias, of maps (B, C_i, h_i, w_i), as if resized to `size` and concatenated."""
    pairs = list(zip(maps, weight.split([x.shape[1] for x in maps], dim=1), strict=True))
    ready = [pair for pair in pairs if pair[0].shape[-2:] == size]
    x, weight = (torch.cat(part, dim=1) if len(ready) > 1 else part[0] for part in zip(*ready, strict=True))
    total = F.conv2d(x, weight, padding=1)
    for x, weight in pairs:
        if x.shape[-2:] != size:
            total += convolve_resized(x, weight, size)
    return total


def convolve_resized(x: Tensor, weight: Tensor, size: tuple[int, int]) -> Tensor:
    """A 3×3 convolution of `resize(x, size)`: x (B, C, h, w), weight (O, C, 3, 3) → (B, O, *size).

    Mixing channels and resizing commute. So each of the kernel's nine positions mixes channels where the pixels are
    few; the results are upsampled, shifted, and summed. Shift and resize are one matrix for each axis.
    """
    h, w = x.shape[-2:]
    rows, columns = shifted(resize_matrix(h, size[0], x)), shifted(resize_matrix(w, size[1], x))
    columns = rearrange(columns, "across new old -> new (old across)")
    pixels, mixes = rearrange(x, "b c h w -> b (h w) c"), []
    for kernel in weight.unbind(dim=2):  # its three rows: (O, C, 3)
        mixed = linear(pixels, rearrange(kernel, "o c across -> (across o) c"))
        mixed = rearrange(mixed, "b (h w) (across o) -> (b h) (w across) o", h=h, across=3)
        wide = torch.bmm(columns.expand(len(mixed), -1, -1), mixed)
        mixes.append(rearrange(wide, "(b h) width o -> b h (width o)", h=h))
    rows = rearrange(rows, "down new old -> new (down old)").expand(len(x), -1, -1)
    return rearrange(torch.bmm(rows, torch.cat(mixes, dim=1)), "b height (width o) -> b o height width", width=size[1])


def shifted(matrix: Tensor) -> Tensor:
    """(new, old) → (3, new, old): what a 3-tap kernel sees of the resized axis; beyond its ends there is 0."""
    padded = F.pad(matrix, (0, 0, 1, 1))
    return torch.stack([padded[tap : tap + len(matrix)] for tap in range(3)])
