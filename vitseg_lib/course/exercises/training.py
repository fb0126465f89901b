"""The exercises of chapter 09: one step of AdamW, and the learning rate of a step."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from vitseg_lib.course import solution
from vitseg_lib.course.exercises import training_mistakes as mistakes
from vitseg_lib.course.exercises.base import Case, Exercise, randint

# AdamW


def adamw_step(weight: Tensor, gradient: Tensor, m: Tensor, v: Tensor, step: int, lr: float, decay: float):
    """One step of AdamW, betas 0.9 and 0.999, eps 1e-8, `step` from 1; returns the new weight, m and v."""
    m = 0.9 * m + 0.1 * gradient
    v = 0.999 * v + 0.001 * gradient**2
    m_hat = m / (1 - 0.9**step)
    v_hat = v / (1 - 0.999**step)
    weight = weight - lr * decay * weight - lr * m_hat / (v_hat.sqrt() + 1e-8)
    return weight, m, v


def _weights_and_gradients(generator: torch.Generator) -> Iterator[Case]:
    """A first step, one with gradients as small as eps, and a later one with moments of its own."""
    for size, first in ((1.0, True), (1e-8, True), (1.0, False)):
        shape = (randint(generator, 2, 4), randint(generator, 5, 7))
        weight, gradient, past = (torch.randn(shape, generator=generator) for _ in range(3))
        spread = torch.rand(shape, generator=generator) + 0.5
        step = 1 if first else randint(generator, 3, 9)
        m, v = (torch.zeros(shape), torch.zeros(shape)) if first else (0.3 * past, 0.01 * spread)
        lr, decay = (0.1 + 0.1 * torch.rand(2, generator=generator)).tolist()
        yield weight, size * gradient, m, v, step, lr, 2 * decay


adamw = Exercise(
    title="One step of AdamW",
    minutes=10,
    difficulty=2,
    reference=adamw_step,
    may_change=True,
    cases=_weights_and_gradients,
    hints=(
        "Five lines, in the order of the formulae: m, v, the two corrected ones, the weight. Correct into new names: "
        "what you return are m and v themselves.",
        "m is 0.9 of the old and 0.1 of the gradient; v is 0.999 of the old and 0.001 of the squared gradient. Divide "
        "them by 1 - 0.9**step and 1 - 0.999**step.",
        "The new weight is weight - lr * decay * weight - lr * m_hat / (v_hat.sqrt() + 1e-8).",
    ),
    mistakes=mistakes.ADAMW,
)


# The learning rate


def _steps_of_runs(generator: torch.Generator) -> Iterator[Case]:
    """The steps of a run at which something begins or ends, and some between."""
    total, warmup = randint(generator, 60, 90), randint(generator, 8, 15)
    base = 1 + float(torch.rand((), generator=generator))
    inside, later = randint(generator, 2, warmup - 2), randint(generator, warmup + 5, total - 10)
    for step in (0, inside, warmup - 1, warmup, warmup + 1, later, total - 1):
        yield step, total, base, warmup


rate = Exercise(
    title="The learning rate of a step",
    minutes=6,
    difficulty=1,
    reference=solution.learning_rate,
    part="learning_rate",
    cases=_steps_of_runs,
    hints=(
        "First the straight line alone: `base` at step 0, and it would be 0 at step `total`. Then, for steps below "
        "`warmup` only, a factor on top.",
        "The factor is 1e-6 at step 0 and grows in equal steps; at step `warmup` it would be 1.",
        "The line is base * (1 - step / total); the factor 1 - (1 - step / warmup) * (1 - 1e-6).",
    ),
    mistakes=mistakes.RATE,
    tolerance=1e-8,
)


# What decays


def _models(generator: torch.Generator) -> Iterator[Case]:
    sizes = {"embed_dim": 8, "depth": 2, "num_heads": 2, "patch_size": 4, "image_size": 16, "out_indices": (0, 0, 1, 1)}
    yield solution.Encoder(**sizes), float(torch.rand((), generator=generator))


def _groups(answer: Callable, case: Case) -> Any:
    """Of each parameter's name, its weight decay."""
    model, weight_decay = case
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = answer(model, weight_decay)
    found = {names[id(p)]: group.get("weight_decay", 0.01) for group in groups for p in group["params"]}
    return {name: found.get(name, "in no group") for name in names.values()}


groups = Exercise(
    title="What decays",
    minutes=5,
    difficulty=1,
    reference=solution.parameter_groups,
    cases=_models,
    call=_groups,
    hints=("Two lists of parameters, by whether a name ends in `cls_token` or `pos_embed`.",),
    part="parameter_groups",
)
