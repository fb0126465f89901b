"""The loss: cross-entropy on every pixel, with the reference's denominator.

Built step by step in chapter 08; computed here without ever holding all logits at the labels' size.
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from vitseg_lib.model.plain import is_plain
from vitseg_lib.model.resizing import floats_at_once, reach, resize, resize_matrix


def segmentation_loss(logits: Tensor, labels: Tensor, *, ignore: int = 255) -> Tensor:
    """Cross-entropy of logits (B, K, h, w) against labels (B, H, W) in 0..K-1 or `ignore`; a scalar ≥ 0.

    The logits go up bilinearly to the labels' size. Ignored pixels count as zero loss but stay in the mean: with half
    the pixels ignored, this is half of what PyTorch's own mean gives. Source: reproduction of mmsegmentation 0.17.
    """
    if is_plain():
        logits = resize(logits, labels.shape[-2:])
        return F.cross_entropy(logits, labels, ignore_index=ignore, reduction="none").mean()
    with torch.autocast(logits.device.type, enabled=False):  # sums over many pixels need all their bits
        logits = logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
        return UpsampledCrossEntropy.apply(logits, labels, ignore)


class UpsampledCrossEntropy(torch.autograd.Function):
    """The plain way of `segmentation_loss`, strip by strip.

    150 classes of a 512×512 batch of 16 are 2.5 GB, needed several times over. Instead a strip of rows at a time goes
    up, gives its losses and at once its gradient, softmax minus one-hot, which goes back down by the same matrices
    transposed; only the small gradient is kept for the backward pass.
    """

    @staticmethod
    def forward(ctx, logits: Tensor, labels: Tensor, ignore: int) -> Tensor:
        """The mean loss of logits (B, K, h, w) and labels (B, H, W); keeps the gradient of the logits."""
        batch, classes, h, w = logits.shape
        height, width = labels.shape[-2:]
        rows, columns = resize_matrix(h, height, logits), resize_matrix(w, width, logits)
        wide = columns @ rearrange(logits, "b k h w -> b h w k")  # (B, h, W, K)
        gradient = torch.zeros_like(wide)
        total = logits.new_zeros(())
        step = max(1, floats_at_once(logits.device) // (batch * width * classes))
        for top in range(0, height, step):
            strip = rows[top : top + step]
            first, last = reach(top, min(top + step, height), h, height)
            strip = strip[:, first:last].expand(batch, -1, -1)
            scores = torch.bmm(strip, wide[:, first:last].flatten(2)).view(-1, classes)
            truth = labels[:, top : top + step].reshape(-1, 1)
            counted = truth != ignore
            truth = truth.where(counted, 0)
            log_shares = scores.log_softmax(dim=1)
            total -= log_shares.gather(1, truth).where(counted, 0).sum()
            error = log_shares.exp_()
            error.scatter_add_(1, truth, -torch.ones_like(truth, dtype=error.dtype))
            error *= counted
            down = torch.bmm(strip.mT, error.view(batch, -1, width * classes))
            gradient[:, first:last] += down.view(batch, -1, width, classes)
        ctx.save_for_backward(rearrange(columns.T @ gradient, "b h w k -> b k h w") / labels.numel())
        return total / labels.numel()

    @staticmethod
    def backward(ctx, upstream: Tensor) -> tuple[Tensor, None, None]:
        """The kept gradient, scaled."""
        (gradient,) = ctx.saved_tensors
        return upstream * gradient, None, None
