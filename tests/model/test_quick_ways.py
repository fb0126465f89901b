"""The quick ways of `resizing` and `linear` against the plain ones that the chapters teach."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from vitseg_lib.model.linear import Linear, linear
from vitseg_lib.model.neck import NeckBranch
from vitseg_lib.model.resizing import convolve_joined, convolve_resized, resize, resize_matrix

SIZES = [
    ((7, 9), (14, 18)),
    ((5, 6), (20, 24)),
    ((3, 4), (24, 32)),
    ((6, 6), (32, 43)),
    ((1, 1), (5, 6)),
    ((9, 8), (4, 3)),
]


def double(*shape: int) -> torch.Tensor:
    """Noise in double precision that wants a gradient."""
    return torch.randn(shape, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize(("old", "new"), SIZES)
def test_a_matrix_an_axis_resizes_as_the_operator(old, new):
    x = double(2, 3, *old)
    rows, columns = (resize_matrix(a, b, x) for a, b in zip(old, new, strict=True))
    torch.testing.assert_close(rows @ x @ columns.T, F.interpolate(x, size=new, mode="bilinear"))
    torch.testing.assert_close(resize(x, new), F.interpolate(x, size=new, mode="bilinear"))


@pytest.mark.parametrize(("old", "new"), SIZES)
def test_the_convolution_of_a_resized_map_and_its_gradients(old, new):
    x, weight, upstream = double(2, 5, *old), double(4, 5, 3, 3), torch.randn(2, 4, *new, dtype=torch.float64)
    plain = F.conv2d(F.interpolate(x, size=new, mode="bilinear"), weight, padding=1)
    quick = convolve_resized(x, weight, new)
    torch.testing.assert_close(quick, plain)
    for ours, theirs in zip(*(torch.autograd.grad(y, (x, weight), upstream) for y in (quick, plain)), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("sides", [(8, 4, 2, 1), (8, 8, 8, 8), (4, 8, 8, 3)])
def test_the_convolution_of_maps_of_several_sizes(sides):
    maps = [double(2, 3 + i, side, side + 1 if side < 8 else 9) for i, side in enumerate(sides)]
    conv = nn.Conv2d(sum(x.shape[1] for x in maps), 4, 3, padding=1, bias=False).double()
    plain = conv(torch.cat([F.interpolate(x, size=(8, 9), mode="bilinear") for x in maps], dim=1))
    quick = convolve_joined(maps, conv, (8, 9))
    torch.testing.assert_close(quick, plain)
    wanted = (*maps, conv.weight)
    for ours, theirs in zip(*(torch.autograd.grad(y.square().sum(), wanted) for y in (quick, plain)), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("scale", [4, 2, 1, 0.5, 1.5])
@pytest.mark.parametrize("size", [(32, 43), (7, 5), (1, 1)])
def test_a_branch_of_the_neck(scale, size):
    branch = NeckBranch(width=6, scale=scale).double()
    nn.init.normal_(branch.smooth.bias)
    x = double(2, 6, *size)
    low = (
        F.pad(branch.lateral(x), (0, size[1] == 1, 0, size[0] == 1), mode="replicate")
        if scale < 1
        else branch.lateral(x)
    )
    plain = branch.smooth(F.interpolate(low, scale_factor=scale, mode="bilinear"))
    torch.testing.assert_close(branch(x), plain)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("tokens", [1, 17])
def test_the_linear_layer_is_pytorchs(bias, tokens):
    layer, x = Linear(6, 5, bias=bias).double(), double(3, tokens, 6)
    plain = F.linear(x, layer.weight, layer.bias)
    torch.testing.assert_close(layer(x), plain)
    wanted = (x, *layer.parameters())
    for ours, theirs in zip(*(torch.autograd.grad(y.square().sum(), wanted) for y in (layer(x), plain)), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_the_linear_layer_without_one_dnn(monkeypatch):
    x, weight = torch.randn(2, 3, 4), torch.randn(5, 4)
    by_convolution = linear(x, weight)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    torch.testing.assert_close(linear(x, weight), by_convolution)
