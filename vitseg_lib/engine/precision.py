"""Which numbers the forward pass computes in: single precision, or half of it where that does no harm.

fp32 is what the published models were trained in. bf16 keeps fp32's range with 8 bits of precision; fp16 has 11 bits
and a small range, so its gradients are scaled up before they vanish (Micikevicius et al. 2018, section 3.2).
Weights, optimiser and loss stay in fp32 in every case.
"""

from typing import Literal, get_args

import torch

Precision = Literal["fp32", "bf16", "fp16"]
PRECISIONS = get_args(Precision)
HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """Within it, products and convolutions compute in `precision` and what needs more (norms, softmax) in fp32."""
    return torch.autocast(device.type, dtype=HALVES.get(precision), enabled=precision in HALVES)
