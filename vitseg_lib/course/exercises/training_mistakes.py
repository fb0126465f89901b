"""The mistakes that the exercises of chapter 09 know by name: what each does, as code, and the sentence for it."""

import math
from collections.abc import Callable

from torch import Tensor

from vitseg_lib.course.exercises.base import mistakes

START = 1e-6  # the factor at step 0
FIRST, SECOND, EPS = 0.9, 0.999, 1e-8
Step = tuple[Tensor, Tensor, Tensor]  # weight and both moments after a step


# Learning rate: step, total, base, warmup


def warm_up(step: int, warmup: int, start: float = START) -> float:
    """The factor of the warm-up: from `start` at step 0 to 1 at step `warmup`, and 1 from there on."""
    return start + (1 - start) * min(1.0, step / warmup)


def rate_decaying_late(step: int, total: int, base: float, warmup: int) -> float:
    """The rate decays from the end of the warm-up only."""
    return base * warm_up(step, warmup) * (1 - max(0, step - warmup) / (total - warmup))


def rate_warming_up_to_base(step: int, total: int, base: float, warmup: int) -> float:
    """The warm-up rises to `base`, not to the linear decay."""
    return base * warm_up(step, warmup) if step < warmup else base * (1 - step / total)


def rate_from_one(step: int, total: int, base: float, warmup: int) -> float:
    """The step counted from 1."""
    return base * (1 - (step + 1) / total) * warm_up(step + 1, warmup)


def rate_reaching_zero(step: int, total: int, base: float, warmup: int) -> float:
    """The last step has rate 0."""
    return base * (1 - step / (total - 1)) * warm_up(step, warmup)


def rate_warming_up(factor: Callable[[int, int], float]) -> Callable:
    """The linear decay, multiplied by another factor of (step, warmup)."""

    def wrong(step: int, total: int, base: float, warmup: int) -> float:
        return base * (1 - step / total) * factor(step, warmup)

    return wrong


def rate_starting_at(step: int, total: int, base: float, warmup: int) -> float:
    """1e-6 as the first rate, not as the first factor."""
    line, part = base * (1 - step / total), min(1.0, step / warmup)
    return START * (1 - part) + line * part


def rate_decaying(shape: Callable[[float], float]) -> Callable:
    """Another decay: `shape` of the fraction of the run that is done, 0..1."""

    def wrong(step: int, total: int, base: float, warmup: int) -> float:
        return base * shape(step / total) * warm_up(step, warmup)

    return wrong


RATE = mistakes(
    {
        "The decay begins after the warm-up here. That is mmsegmentation 1.x; in 0.17 the rate decays over the whole "
        "run, from step 0.": rate_decaying_late,
        "During the warm-up the rate rises towards `base`. The factor multiplies the linear decay, also there.": (
            rate_warming_up_to_base
        ),
        "It is one step ahead: the step is counted from 0, so nothing has decayed at the first one.": rate_from_one,
        "The last step gets rate 0, and learns nothing: divide by `total`, not by `total - 1`.": rate_reaching_zero,
        "The warm-up is one step ahead: step 0 has the factor 1e-6; only at step `warmup` is it 1.": (
            rate_warming_up(lambda step, warmup: warm_up(step + 1, warmup))
        ),
        "The factor reaches 1 at the last step of the warm-up; it should reach it at the step after, `warmup`.": (
            rate_warming_up(lambda step, warmup: warm_up(step, warmup - 1))
        ),
        "The warm-up starts at a factor of 0, so the first step is wasted: it starts at 1e-6.": (
            rate_warming_up(lambda step, warmup: warm_up(step, warmup, start=0.0))
        ),
        "There is no warm-up: for steps below `warmup` a factor is missing.": rate_warming_up(lambda step, warmup: 1.0),
        "1e-6 is taken for the first rate. It is the first factor, which multiplies the linear decay.": (
            rate_starting_at
        ),
        "The decay is a parabola. The power of this schedule is 1: a straight line.": (
            rate_decaying(lambda done: (1 - done) ** 2)
        ),
        "The decay is half a cosine wave. Many runs use that; this one decays in a straight line.": (
            rate_decaying(lambda done: (1 + math.cos(math.pi * done)) / 2)
        ),
        "After the warm-up the rate is constant: the linear decay is missing.": rate_decaying(lambda done: 1.0),
    }
)


# AdamW: weight, gradient, m, v, step, lr, decay


def moments(gradient: Tensor, m: Tensor, v: Tensor, first: float = FIRST, second: float = SECOND):
    """Both running means after this gradient."""
    return first * m + (1 - first) * gradient, second * v + (1 - second) * gradient**2


def right_way(gradient: Tensor, m: Tensor, v: Tensor, step: int) -> tuple[Tensor, Tensor, Tensor]:
    """The direction of the step, and both moments."""
    m, v = moments(gradient, m, v)
    return (m / (1 - FIRST**step)) / ((v / (1 - SECOND**step)).sqrt() + EPS), m, v


def adamw_l2(weight: Tensor, gradient: Tensor, m: Tensor, v: Tensor, step: int, lr: float, decay: float) -> Step:
    """Decay added to the gradient, as Adam with an L2 penalty does."""
    way, m, v = right_way(gradient + decay * weight, m, v, step)
    return weight - lr * way, m, v


def adamw_with(direction: Callable[[Tensor, Tensor, int], Tensor]) -> Callable:
    """AdamW with another direction, made of both moments and the step."""

    def wrong(weight: Tensor, gradient: Tensor, m: Tensor, v: Tensor, step: int, lr: float, decay: float) -> Step:
        m, v = moments(gradient, m, v)
        return weight * (1 - lr * decay) - lr * direction(m, v, step), m, v

    return wrong


def uncorrected(m: Tensor, v: Tensor, step: int) -> Tensor:
    """Neither moment corrected."""
    return m / (v.sqrt() + EPS)


def corrected_first(m: Tensor, v: Tensor, step: int) -> Tensor:
    """The first moment corrected alone."""
    return m / (1 - FIRST**step) / (v.sqrt() + EPS)


def eps_inside(m: Tensor, v: Tensor, step: int) -> Tensor:
    """Epsilon under the root."""
    return m / (1 - FIRST**step) / (v / (1 - SECOND**step) + EPS).sqrt()


def eps_before(m: Tensor, v: Tensor, step: int) -> Tensor:
    """Epsilon beside the root that is not corrected yet."""
    return m / (1 - FIRST**step) * math.sqrt(1 - SECOND**step) / (v.sqrt() + EPS)


def without_root(m: Tensor, v: Tensor, step: int) -> Tensor:
    """No root."""
    return m / (1 - FIRST**step) / (v / (1 - SECOND**step) + EPS)


def without_eps(m: Tensor, v: Tensor, step: int) -> Tensor:
    """No epsilon."""
    return m / (1 - FIRST**step) / (v / (1 - SECOND**step)).sqrt()


def one_ahead(m: Tensor, v: Tensor, step: int) -> Tensor:
    """Corrected for one step more."""
    return m / (1 - FIRST ** (step + 1)) / ((v / (1 - SECOND ** (step + 1))).sqrt() + EPS)


def uphill(m: Tensor, v: Tensor, step: int) -> Tensor:
    """The other way."""
    return -m / (1 - FIRST**step) / ((v / (1 - SECOND**step)).sqrt() + EPS)


def adamw_decaying(kept: Callable[[float, float], float]) -> Callable:
    """AdamW whose decay multiplies the weight by another factor of (lr, decay)."""

    def wrong(weight: Tensor, gradient: Tensor, m: Tensor, v: Tensor, step: int, lr: float, decay: float) -> Step:
        way, m, v = right_way(gradient, m, v, step)
        return weight * kept(lr, decay) - lr * way, m, v

    return wrong


def adamw_decay_last(weight: Tensor, gradient: Tensor, m: Tensor, v: Tensor, step: int, lr: float, decay: float):
    """Decay of the weight after the step."""
    way, m, v = right_way(gradient, m, v, step)
    return (weight - lr * way) * (1 - lr * decay), m, v


def adamw_remembering(update: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]) -> Callable:
    """AdamW with other running means."""

    def wrong(weight: Tensor, gradient: Tensor, m: Tensor, v: Tensor, step: int, lr: float, decay: float) -> Step:
        m, v = update(gradient, m, v)
        way = (m / (1 - FIRST**step)) / ((v / (1 - SECOND**step)).sqrt() + EPS)
        return weight * (1 - lr * decay) - lr * way, m, v

    return wrong


def adamw_swapped(weight: Tensor, gradient: Tensor, m: Tensor, v: Tensor, step: int, lr: float, decay: float) -> Step:
    """0.999 for the first moment and 0.9 for the second, in the corrections too."""
    m, v = moments(gradient, m, v, first=SECOND, second=FIRST)
    way = (m / (1 - SECOND**step)) / ((v / (1 - FIRST**step)).sqrt() + EPS)
    return weight * (1 - lr * decay) - lr * way, m, v


def adamw_keeping_corrected(weight: Tensor, gradient: Tensor, m: Tensor, v: Tensor, step: int, lr: float, decay: float):
    """The corrected moments returned."""
    way, m, v = right_way(gradient, m, v, step)
    return weight * (1 - lr * decay) - lr * way, m / (1 - FIRST**step), v / (1 - SECOND**step)


ADAMW = mistakes(
    {
        "The decay goes through the moments: that is Adam with an L2 penalty. AdamW decays the weight itself, beside "
        "the gradient.": adamw_l2,
        "The moments start from 0 and are too small at first: the correction of both is missing.": (
            adamw_with(uncorrected)
        ),
        "Only the first moment is corrected; the second starts from 0 as well.": adamw_with(corrected_first),
        "Epsilon stands inside the root. It is added to the root, where it is much smaller.": adamw_with(eps_inside),
        "Epsilon is added before the second moment is corrected; correct, take the root, then add it.": (
            adamw_with(eps_before)
        ),
        "The root of the second moment is missing, so large gradients make small steps.": adamw_with(without_root),
        "Epsilon is missing: a gradient next to 0 makes a full step.": adamw_with(without_eps),
        "The correction is one step ahead: `step` is 1 at the first step, as it comes.": adamw_with(one_ahead),
        "It goes uphill: the step is against the gradient.": adamw_with(uphill),
        "The weight decays by `decay` at once; a step takes `lr * decay` of it.": (
            adamw_decaying(lambda lr, decay: 1 - decay)
        ),
        "The weight does not decay at all.": adamw_decaying(lambda lr, decay: 1.0),
        "The weight grows by its decay: the sign is wrong.": adamw_decaying(lambda lr, decay: 1 + lr * decay),
        "The weight decays after the step, so the step shrinks too; the decay is a fraction of the old weight.": (
            adamw_decay_last
        ),
        "The two betas are swapped: 0.9 belongs to the gradient's mean, 0.999 to that of its square.": adamw_swapped,
        "The two factors are swapped: 0.9 and 0.999 multiply the old moments, not what comes in.": (
            adamw_remembering(lambda g, m, v: (0.1 * m + 0.9 * g, 0.001 * v + 0.999 * g**2))
        ),
        "The second moment takes the square of the first; it is a mean of squared gradients.": (
            adamw_remembering(lambda g, m, v: (0.9 * m + 0.1 * g, 0.999 * v + 0.001 * (0.9 * m + 0.1 * g) ** 2))
        ),
        "The step is right, but the corrected moments are returned; correct a copy, and return m and v.": (
            adamw_keeping_corrected
        ),
    }
)
