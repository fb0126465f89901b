"""The learning rate at each step, and which parameters decay.

Built step by step in chapter 09.
"""

import torch
from torch import nn

from vitseg_lib.recipes import Recipe

NO_WEIGHT_DECAY = ("cls_token", "pos_embed")


def learning_rate(step: int, *, total: int, base: float, warmup: int) -> float:
    """Learning rate of a step (from 0) of a run of `total` steps.

    It falls in a straight line from `base` to 0 over the *whole* run; over the first `warmup` steps that line is
    multiplied by a factor that climbs from 1e-6 to 1. Source: reproduction of mmsegmentation 0.17 (1.x starts
    the fall only after the warm-up).
    """
    rate = base * (1 - step / total)
    if step < warmup:
        rate *= 1 - (1 - step / warmup) * (1 - 1e-6)
    return rate


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict]:
    """Two groups for the optimiser: all that decays, and the class token and position embedding, which do not.

    LayerNorms and biases decay too: the published configuration means to spare the norms, but its rule matches no
    parameter's name.
    """
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    spared = [p for name, p in named if name.endswith(NO_WEIGHT_DECAY)]
    decayed = [p for name, p in named if not name.endswith(NO_WEIGHT_DECAY)]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": spared, "weight_decay": 0.0}]


def build_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019) with the recipe's rate and decay, betas 0.9 and 0.999."""
    groups = parameter_groups(model, recipe.weight_decay)
    fused = all(p.device.type in ("cpu", "cuda") for p in model.parameters())
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(0.9, 0.999), eps=1e-8, fused=fused)
