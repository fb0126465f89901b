"""Bilinear resizing as matrix products, and the 3×3 convolution of resized maps without resizing them.

Shown at work in chapter 07, where the plain way is built. `resize` and `F.interpolate` give the same numbers.
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from vitseg_lib.model.linear import linear
from vitseg_lib.model.plain import is_plain


def floats_at_once(device: torch.device) -> int:
    """How many numbers of a large map to work on at a time: on a processor, few enough for its cache."""
    return 2**20 if device.type == "cpu" else 2**27


def resize_matrix(old: int, new: int, like: Tensor) -> Tensor:
    """(new, old): row i says how much of each old pixel goes into new pixel i of an axis; rows sum to 1.

    Bilinear with half-pixel centres, as `F.interpolate(..., align_corners=False)`: the operator itself fills it in.
    """
    unit = torch.eye(old, dtype=like.dtype, device=like.device)
    return F.interpolate(unit[None], size=new, mode="linear", align_corners=False)[0].T


def reach(top: int, bottom: int, old: int, new: int) -> tuple[int, int]:
    """First and last (excluded) of the `old` rows that the rows from `top` to `bottom` of the `new` ones draw from."""
    first, last = (top + 0.5) * old / new - 0.5, (bottom - 0.5) * old / new - 0.5
    return max(int(first), 0), min(int(last) + 2, old)


def resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, C, h, w) → (B, C, *size), bilinear with half-pixel centres."""
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


def convolve_joined(maps: list[Tensor], conv: nn.Conv2d, size: tuple[int, int]) -> Tensor:
    """`conv` (3×3, padding 1, no bias) of the maps, each (B, C_i, h_i, w_i), resized to `size` and joined.

    The maps that have the size already are convolved as they are, and each of the others by `convolve_resized`.
    """
    if is_plain():
        return conv(torch.cat([resize(x, size) for x in maps], dim=1))
    weights = conv.weight.split([x.shape[1] for x in maps], dim=1)
    pairs = list(zip(maps, weights, strict=True))
    ready = [pair for pair in pairs if pair[0].shape[-2:] == size]
    x, weight = (torch.cat(part, dim=1) if len(ready) > 1 else part[0] for part in zip(*ready, strict=True))
    total = F.conv2d(x, weight, padding=1)
    for x, weight in pairs:
        if x.shape[-2:] != size:
            total += convolve_resized(x, weight, size)
    return total


def convolve_resized(x: Tensor, weight: Tensor, size: tuple[int, int]) -> Tensor:
    """A 3×3 convolution of `resize(x, size)`: x (B, C, h, w), weight (O, C, 3, 3) → (B, O, *size).

    Mixing channels and resizing commute, for one works on channels and the other on places. So each of the kernel's
    nine taps mixes channels where the pixels are few; the results go up, are shifted by the tap's place, and summed.
    Shift and resize are one matrix an axis. The numbers are those of the plain way, up to rounding.
    """
    if is_plain():
        return F.conv2d(resize(x, size), weight, padding=1)
    h, w = x.shape[-2:]
    rows, columns = shifted(resize_matrix(h, size[0], x)), shifted(resize_matrix(w, size[1], x))
    columns = rearrange(columns, "across new old -> new (old across)")
    pixels, taps = rearrange(x, "b c h w -> b (h w) c"), []
    for kernel in weight.unbind(dim=2):  # its three rows: (O, C, 3)
        mixed = linear(pixels, rearrange(kernel, "o c across -> (across o) c"))
        mixed = rearrange(mixed, "b (h w) (across o) -> (b h) (w across) o", h=h, across=3)
        wide = torch.bmm(columns.expand(len(mixed), -1, -1), mixed)
        taps.append(rearrange(wide, "(b h) width o -> b h (width o)", h=h))
    rows = rearrange(rows, "down new old -> new (down old)").expand(len(x), -1, -1)
    return rearrange(torch.bmm(rows, torch.cat(taps, dim=1)), "b height (width o) -> b o height width", width=size[1])


def shifted(matrix: Tensor) -> Tensor:
    """(new, old) → (3, new, old): what a 3-tap kernel's taps see of the resized axis; beyond its ends there is 0."""
    padded = F.pad(matrix, (0, 0, 1, 1))
    return torch.stack([padded[tap : tap + len(matrix)] for tap in range(3)])
