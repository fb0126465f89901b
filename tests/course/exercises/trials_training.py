"""Answers to the exercises of chapter 09, right and wrong."""

import math

import torch
from trials import Trial

from vitseg_lib.course.exercises import training as exercises
from vitseg_lib.engine.schedule import learning_rate

# AdamW


def adamw_stub(weight, gradient, m, v, step, lr, decay):
    raise NotImplementedError


def adamw_by_torch(weight, gradient, m, v, step, lr, decay):
    """PyTorch's own optimiser, put where the run is."""
    parameter = torch.nn.Parameter(weight)
    optimizer = torch.optim.AdamW([parameter], lr=lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=decay)
    optimizer.state[parameter] = {"step": torch.tensor(float(step - 1)), "exp_avg": m, "exp_avg_sq": v}
    parameter.grad = gradient
    optimizer.step()
    return parameter.detach(), m, v


def adamw_in_place(weight, gradient, m, v, step, lr, decay):
    m.lerp_(gradient, 0.1)
    v.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
    root = (v / (1 - 0.999**step)).sqrt_().add_(1e-8)
    weight.mul_(1 - lr * decay).addcdiv_(m, root, value=-lr / (1 - 0.9**step))
    return weight, m, v


def number_by_number(change):
    """AdamW on each number alone, with `change` of its parts."""

    def answer(weight, gradient, m, v, step, lr, decay):
        rows = zip(weight.flatten(), gradient.flatten(), m.flatten(), v.flatten(), strict=True)
        done = [one_number(*(float(x) for x in row), step, lr, decay, **change) for row in rows]
        return tuple(torch.tensor(column).reshape(weight.shape) for column in zip(*done, strict=True))

    answer.__name__ = "_".join(
        ["numbers", *(f"{key}_{getattr(value, '__name__', value)}" for key, value in change.items())]
    )
    return answer


def one_number(
    w, g, m, v, step, lr, decay, *, l2=0, c1=1, c2=1, root=1, late=0, ahead=0, sign=-1, fraction=None, eps=1e-8
):
    g = g + l2 * decay * w
    m, v = m + (g - m) / 10, v + (g * g - v) / 1000
    first = m / (1 - 0.9 ** (step + ahead)) if c1 else m
    second = v / (1 - 0.999 ** (step + ahead)) if c2 else v
    moved = sign * lr * first / ((math.sqrt(second) if root else second) + eps)
    lost = 0 if l2 else (lr * decay if fraction is None else fraction(lr, decay))
    return (w + moved) * (1 - lost) if late else w - lost * w + moved, m, v


def all_at_once(lr, decay):
    return decay


def nothing(lr, decay):
    return 0


def backwards(lr, decay):
    return -lr * decay


def adamw_eps_in_root(weight, gradient, m, v, step, lr, decay):
    _, m, v = adamw_in_place(weight.clone(), gradient, m, v, step, lr, decay)
    return weight * (1 - lr * decay) - lr * m / (1 - 0.9**step) * torch.rsqrt(v / (1 - 0.999**step) + 1e-8), m, v


def adamw_eps_first(weight, gradient, m, v, step, lr, decay):
    _, m, v = adamw_in_place(weight.clone(), gradient, m, v, step, lr, decay)
    size = lr * (1 - 0.999**step) ** 0.5 / (1 - 0.9**step)
    return weight * (1 - lr * decay) - size * m / (v**0.5 + 1e-8), m, v


def adamw_with_betas(b1, b2, keep_1=None, keep_2=None):
    def answer(weight, gradient, m, v, step, lr, decay):
        m = (b1 if keep_1 is None else keep_1) * m + (1 - (b1 if keep_1 is None else keep_1)) * gradient
        v = (b2 if keep_2 is None else keep_2) * v + (1 - (b2 if keep_2 is None else keep_2)) * gradient.square()
        step_size = lr / (1 - b1**step)
        return weight - lr * decay * weight - step_size * m / ((v / (1 - b2**step)).sqrt() + 1e-8), m, v

    answer.__name__ = f"betas_{b1}_{b2}_{keep_1}_{keep_2}"
    return answer


def adamw_squares_the_mean(weight, gradient, m, v, step, lr, decay):
    m = m + 0.1 * (gradient - m)
    v = v + 0.001 * (m * m - v)
    root = (v / (1 - 0.999**step)) ** 0.5 + 1e-8
    return weight * (1 - lr * decay) - lr * (m / (1 - 0.9**step)) / root, m, v


def adamw_corrects_for_good(weight, gradient, m, v, step, lr, decay):
    m = (0.9 * m + 0.1 * gradient) / (1 - 0.9**step)
    v = (0.999 * v + 0.001 * gradient.pow(2)) / (1 - 0.999**step)
    return (1 - lr * decay) * weight - lr * m / (v.sqrt() + 1e-8), m, v


def adamw_odd(weight, gradient, m, v, step, lr, decay):
    return adamw_in_place(weight, gradient, m, v, step, lr / 2, decay)


# The learning rate


def rate_stub(step, total, base, warmup):
    raise NotImplementedError


def rate_by_library(step, total, base, warmup):
    return learning_rate(step, total=total, base=base, warmup=warmup)


def rate_by_loop(step, total, base, warmup):
    rate, factor = base, 1e-6
    for _ in range(step):
        rate -= base / total
        factor += (1 - 1e-6) / warmup
    return rate * min(factor, 1.0)


def rate_of_1x(step, total, base, warmup):
    if step < warmup:
        return base * (1e-6 + (1 - 1e-6) * step / warmup)
    return base * (total - step) / (total - warmup)


def rate_towards_base(step, total, base, warmup):
    if step >= warmup:
        return base - base * step / total
    return base * (1e-6 * (1 - step / warmup) + step / warmup)


def rate_shifted(step, total, base, warmup):
    return rate_by_library(step + 1, total, base, warmup)


def rate_ending_in_zero(step, total, base, warmup):
    warm = 1e-6 + (1 - 1e-6) * step / warmup if step < warmup else 1
    return base * warm * (total - 1 - step) / (total - 1)


def rate_warm_too_soon(step, total, base, warmup):
    warm = 1e-6 + (1 - 1e-6) * (step + 1) / warmup if step + 1 < warmup else 1
    return base * warm * (total - step) / total


def rate_warm_on_the_last(step, total, base, warmup):
    lacking = max(0.0, 1 - step / (warmup - 1))
    return (base - base * step / total) * (1 - lacking * (1 - 1e-6))


def rate_from_nothing(step, total, base, warmup):
    return base * (1 - step / total) * min(step, warmup) / warmup


def rate_cold(step, total, base, warmup):
    return base - step * base / total


def rate_of_a_millionth(step, total, base, warmup):
    line = rate_cold(step, total, base, warmup)
    return 1e-6 + (line - 1e-6) * step / warmup if step < warmup else line


def rate_squared(step, total, base, warmup):
    return rate_by_library(step, total, base, warmup) * (total - step) / total


def rate_cosine(step, total, base, warmup):
    warm = 1e-6 + (1 - 1e-6) * step / warmup if step < warmup else 1
    return warm * base * math.cos(math.pi * step / total / 2) ** 2


def rate_flat(step, total, base, warmup):
    return base if step >= warmup else base * (1e-6 + (1 - 1e-6) * step / warmup)


def rate_odd(step, total, base, warmup):
    return rate_by_library(step, total, base, warmup) * 1.01


TRIALS = [
    Trial(
        exercise=exercises.adamw,
        stub=adamw_stub,
        right=[adamw_by_torch, adamw_in_place, number_by_number({})],
        wrong={
            number_by_number({"l2": 1}): "L2 penalty",
            number_by_number({"c1": 0, "c2": 0}): "correction of both",
            number_by_number({"c2": 0}): "Only the first moment",
            adamw_eps_in_root: "inside the root",
            adamw_eps_first: "before the second moment is corrected",
            number_by_number({"root": 0}): "root of the second moment is missing",
            number_by_number({"eps": 0}): "Epsilon is missing",
            number_by_number({"ahead": 1}): "one step ahead",
            number_by_number({"sign": 1}): "uphill",
            number_by_number({"fraction": all_at_once}): "`lr * decay`",
            number_by_number({"fraction": nothing}): "does not decay",
            number_by_number({"fraction": backwards}): "sign is wrong",
            number_by_number({"late": 1}): "decays after the step",
            adamw_with_betas(0.999, 0.9): "betas are swapped",
            adamw_with_betas(0.9, 0.999, 0.1, 0.001): "factors are swapped",
            adamw_squares_the_mean: "mean of squared gradients",
            adamw_corrects_for_good: "corrected moments are returned",
        },
        unforeseen=adamw_odd,
    ),
    Trial(
        exercise=exercises.rate,
        stub=rate_stub,
        right=[rate_by_library, rate_by_loop],
        wrong={
            rate_of_1x: "after the warm-up here",
            rate_towards_base: "rises towards `base`",
            rate_shifted: "one step ahead: the step",
            rate_ending_in_zero: "learns nothing",
            rate_warm_too_soon: "warm-up is one step ahead",
            rate_warm_on_the_last: "last step of the warm-up",
            rate_from_nothing: "factor of 0",
            rate_cold: "no warm-up",
            rate_of_a_millionth: "first rate",
            rate_squared: "parabola",
            rate_cosine: "cosine",
            rate_flat: "rate is constant",
        },
        unforeseen=rate_odd,
    ),
]
