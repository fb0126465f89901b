"""Answers to the exercises of chapter 11, right and wrong."""

import numpy as np
from trials import Trial

from vitseg_lib.course.exercises import ade20k_full as exercises

# The hours of a training run


def hours_stub(multiplications, batch, steps, gpus, peak, reached):
    raise NotImplementedError


def hours_by_days(multiplications, batch, steps, gpus, peak, reached):
    per_step = batch * (2 * multiplications + 4 * multiplications)
    seconds = per_step / (peak * reached) / gpus
    return 24 * (steps * seconds / 86_400)


def hours_forward(multiplications, batch, steps, gpus, peak, reached):
    return 2 * multiplications * batch * steps / gpus / peak / reached / 3600


def hours_twice(multiplications, batch, steps, gpus, peak, reached):
    return 2 * hours_forward(multiplications, batch, steps, gpus, peak, reached)


def hours_products(multiplications, batch, steps, gpus, peak, reached):
    return hours_by_days(multiplications / 2, batch, steps, gpus, peak, reached)


def hours_one_image(multiplications, batch, steps, gpus, peak, reached):
    return hours_by_days(multiplications, 1, steps, gpus, peak, reached)


def hours_in_seconds(multiplications, batch, steps, gpus, peak, reached):
    return 6 * multiplications * batch * steps / (gpus * peak * reached)


def hours_in_minutes(multiplications, batch, steps, gpus, peak, reached):
    return hours_in_seconds(multiplications, batch, steps, gpus, peak, reached) / 60


def hours_at_peak(multiplications, batch, steps, gpus, peak, reached):
    return hours_by_days(multiplications, batch, steps, gpus, peak, 1)


def hours_times_fraction(multiplications, batch, steps, gpus, peak, reached):
    return reached * hours_at_peak(multiplications, batch, steps, gpus, peak, reached)


def hours_one_gpu(multiplications, batch, steps, gpus, peak, reached):
    return hours_by_days(multiplications, batch, steps, 1, peak, reached)


def hours_odd(multiplications, batch, steps, gpus, peak, reached):
    return hours_by_days(multiplications, batch, steps + 17_000, gpus, peak, reached)


# The effect of one part


def effect_stub(results, factor):
    raise NotImplementedError


def cube(results, factor):
    """(with or without, the four others, seeds)."""
    halves = [[row for switches, row in sorted(results.items()) if switches[factor] is on] for on in (False, True)]
    return np.array(halves)


def effect_by_numpy(results, factor):
    without, with_it = cube(results, factor)
    gains = (with_it - without).mean(axis=0)
    return gains.mean(), gains.std(ddof=1)


def effect_turned(results, factor):
    effect, spread = effect_by_numpy(results, factor)
    return -effect, spread


def effect_of_one_pair(results, factor):
    without, with_it = cube(results, factor)
    return (with_it - without)[0].mean(), (with_it - without)[0].std(ddof=1)


def effect_over_eight(results, factor):
    signs = np.array([[-1], [1]])
    gains = (cube(results, factor).sum(axis=1) * signs).sum(axis=0) / 8
    return gains.mean(), gains.std(ddof=1)


def effect_of_unrelated_seeds(results, factor):
    by_seed = cube(results, factor).mean(axis=1)
    return by_seed[1].mean() - by_seed[0].mean(), np.sqrt(by_seed.var(axis=1, ddof=1).sum())


def effect_of_the_best(results, factor):
    best = cube(results, factor).max(axis=2).mean(axis=1)
    return best[1] - best[0], effect_by_numpy(results, factor)[1]


def effect_over_n(results, factor):
    without, with_it = cube(results, factor)
    gains = (with_it - without).mean(axis=0)
    return gains.mean(), gains.std()


def effect_with_error(results, factor):
    effect, spread = effect_by_numpy(results, factor)
    return effect, spread / np.sqrt(len(next(iter(results.values()))))


def effect_of_all_pairs(results, factor):
    without, with_it = cube(results, factor)
    return (with_it - without).mean(), (with_it - without).std(ddof=1)


def effect_summed(results, factor):
    without, with_it = cube(results, factor)
    gains = (with_it - without).sum(axis=0)
    return gains.mean(), gains.std(ddof=1)


def effect_odd(results, factor):
    without, with_it = cube(results, factor)
    return np.median(with_it) - np.median(without), 1.0


TRIALS = [
    Trial(
        exercise=exercises.training_hours,
        stub=hours_stub,
        right=[hours_by_days],
        wrong={
            hours_forward: "forward only",
            hours_twice: "as one forward",
            hours_products: "an addition goes with each",
            hours_one_image: "one image per step",
            hours_in_seconds: "seconds, not hours",
            hours_in_minutes: "minutes, not hours",
            hours_at_peak: "divide by the peak",
            hours_times_fraction: "multiply the time by the fraction",
            hours_one_gpu: "one GPU do all the work",
        },
        unforeseen=hours_odd,
    ),
    Trial(
        exercise=exercises.main_effect,
        stub=effect_stub,
        right=[effect_by_numpy],
        wrong={
            effect_turned: "sign is turned round",
            effect_of_one_pair: "one pair of combinations",
            effect_over_eight: "divide by all eight",
            effect_of_unrelated_seeds: "as unrelated",
            effect_of_the_best: "best seed",
            effect_over_n: "divide by n − 1",
            effect_with_error: "standard error",
            effect_of_all_pairs: "over all pairs of runs",
            effect_summed: "add the four differences",
        },
        unforeseen=effect_odd,
    ),
]
