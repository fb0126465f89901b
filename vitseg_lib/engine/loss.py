"""The loss: cross-entropy on every pixel, with the reference's denominator.

Built step by step in chapter 08. Training uses `fast_loss`, which gives the same loss and gradient.
"""

import torch.nn.functional as F
from torch import Tensor

from vitseg_lib.model.upernet import resize


def segmentation_loss(logits: Tensor, labels: Tensor, *, ignore: int = 255) -> Tensor:
    """Cross-entropy of logits (B, K, h, w) against labels (B, H, W) in 0..K-1 or `ignore`; a scalar ≥ 0.

    The logits are upsampled to the labels' size. Ignored pixels count as zero loss but stay in the mean: with half
    the pixels ignored, this is half of what PyTorch's own mean gives. Source: reproduction of mmsegmentation 0.17.
    """
    logits = resize(logits, labels.shape[-2:])
    return F.cross_entropy(logits, labels, ignore_index=ignore, reduction="none").mean()
