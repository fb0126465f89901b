"""The loss without logits at the labels' size: those of sixteen 512×512 crops and 150 classes are 2.5 GB."""

import torch
from einops import rearrange
from torch import Tensor
from torch.autograd.function import once_differentiable

from vitseg_lib.model.fast import resize_matrix


def chunk_elements(device: torch.device, maps: int = 1) -> int:
    """How many elements of each of so many large maps to work on at a time: on a CPU, few enough for its cache."""
    return 2**20 if device.type == "cpu" else 2**27 // maps


def source_rows(top: int, bottom: int, old: int, new: int) -> tuple[int, int]:
    """First and last (excluded) of the `old` rows that the rows from `top` to `bottom` of the `new` ones draw from."""
    first, last = (top + 0.5) * old / new - 0.5, (bottom - 0.5) * old / new - 0.5
    return max(int(first), 0), min(int(last) + 2, old)


def chunked_segmentation_loss(logits: Tensor, labels: Tensor, *, ignore: int = 255) -> Tensor:
    """`segmentation_loss`, a few rows at a time; in fp32 also inside autocast, as sums over many pixels need it."""
    with torch.autocast(logits.device.type, enabled=False):
        logits = logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
        return UpsampledCrossEntropy.apply(logits, labels, ignore)


class UpsampledCrossEntropy(torch.autograd.Function):
    """A chunk of rows at a time is upsampled and gives its losses and at once its gradient, softmax minus one-hot.

    The gradient returns to the logits' size by the same matrices transposed; only that is kept for the backward pass.
    """

    @staticmethod
    def forward(ctx, logits: Tensor, labels: Tensor, ignore: int) -> Tensor:
        """The mean loss of logits (B, K, h, w) and labels (B, H, W); keeps the gradient where one is wanted."""
        batch, classes, h, w = logits.shape
        height, width = labels.shape[-2:]
        rows, columns = resize_matrix(h, height, logits), resize_matrix(w, width, logits)
        wide = columns @ rearrange(logits, "b k h w -> b h w k")  # (B, h, W, K)
        gradient = torch.zeros_like(wide) if ctx.needs_input_grad[0] else None
        total = logits.new_zeros(())
        step = max(1, chunk_elements(logits.device) // (batch * width * classes))
        for top in range(0, height, step):
            first, last = source_rows(top, min(top + step, height), h, height)
            weights = rows[top : top + step, first:last].expand(batch, -1, -1)
            scores = torch.bmm(weights, wide[:, first:last].flatten(2)).view(-1, classes)
            loss, error = losses_and_errors(scores, labels[:, top : top + step].reshape(-1, 1), ignore)
            total -= loss
            if gradient is not None:
                error = torch.bmm(weights.mT, error.view(batch, -1, width * classes))
                gradient[:, first:last] += error.view(batch, -1, width, classes)
        if gradient is not None:
            ctx.save_for_backward(rearrange(columns.T @ gradient, "b h w k -> b k h w") / labels.numel())
        return total / labels.numel()

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream: Tensor) -> tuple[Tensor, None, None]:
        """The kept gradient, scaled."""
        (gradient,) = ctx.saved_tensors
        return upstream * gradient, None, None


def losses_and_errors(scores: Tensor, labels: Tensor, ignore: int) -> tuple[Tensor, Tensor]:
    """Scores (pixels, K) and labels (pixels, 1) → the sum of log-probabilities, and softmax minus one-hot."""
    counted = labels != ignore
    labels = labels.where(counted, 0)
    log_probabilities = scores.log_softmax(dim=1)
    total = log_probabilities.gather(1, labels).where(counted, 0).sum()
    error = log_probabilities.exp_()
    error.scatter_add_(1, labels, -torch.ones_like(labels, dtype=error.dtype))
    error *= counted
    return total, error
