"""The linear layer: one product for every token, by the fastest kernel that the machine's PyTorch has for it."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vitseg_lib.model.plain import is_plain


class Linear(nn.Linear):
    """`nn.Linear` on tokens; the same numbers, up to rounding."""

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, N, in) → (B, N, out)."""
        return linear(tokens, self.weight, self.bias)


def linear(tokens: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """(B, N, C) and (O, C) → (B, N, O): `F.linear`, on a processor as a convolution by 1×1.

    Tokens are an image with one row and channels last; no number moves. PyTorch hands `F.linear` to MKL and, if it has
    more than one thread, a convolution to oneDNN, which was twice as fast on an AMD processor (benchmarks/README.md).
    """
    if is_plain() or tokens.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return F.linear(tokens, weight, bias)
    return F.conv2d(tokens.mT.unsqueeze(2), weight[:, :, None, None], bias).squeeze(2).mT
