"""The dtype of the forward pass: single precision, or half of it where that does no harm.

fp32 is what the published models were trained in. bf16 keeps fp32's range with 8 bits of precision; fp16 has 11 bits
and a small range, so its gradients are scaled up before they vanish (Micikevicius et al. 2018, section 3.2).
Weights, optimiser and loss stay in fp32 in every case. On a GPU, PyTorch by itself computes fp32 convolutions in TF32
(logits 6e-4 of their standard deviation away on an H200: benchmarks/README.md).
"""

from typing import Literal, get_args

import torch
from torch import Tensor

Precision = Literal["fp32", "bf16", "fp16"]
PRECISIONS = get_args(Precision)
AMP_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """Within it, matmuls and convolutions compute in `precision`, and what needs more (norms, softmax) in fp32."""
    return torch.autocast(device.type, dtype=AMP_DTYPES.get(precision), enabled=precision in AMP_DTYPES)


class MixedPrecision:
    """Autocast for the forward pass and, in fp16, the scaler for the backward pass."""

    def __init__(self, device: torch.device, precision: Precision = "fp32"):
        self.device, self.precision = device, precision
        self.scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")

    def autocast(self) -> torch.autocast:
        """The context of the forward pass."""
        return autocast(self.device, self.precision)

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of the loss, scaled in fp16."""
        self.scaler.scale(loss).backward()

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        """Unscale the gradients, let the optimiser step if all are finite, and move the scale."""
        self.scaler.step(optimizer)
        self.scaler.update()
