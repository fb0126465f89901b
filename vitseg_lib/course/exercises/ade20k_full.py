"""The exercises of chapter 11: the hours that a training run takes, and the effect of one part among several."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from statistics import mean, stdev

import torch

from vitseg_lib.course.exercises import ade20k_full_mistakes as mistakes
from vitseg_lib.course.exercises.base import Case, Exercise, randint

# The hours of a training run


def hours_of_training(multiplications: float, batch: int, steps: int, gpus: int, peak: float, reached: float) -> float:
    """Hours of a run whose forward takes so many multiplications per image, each with an addition.

    `peak` is what one GPU can do at best, in operations per second; `reached` the fraction of it, 0..1, in training.
    """
    forward = 2 * multiplications
    operations = 3 * forward * batch * steps
    return operations / (gpus * peak * reached) / 3600


def _runs(generator: torch.Generator) -> Iterator[Case]:
    """Two runs of different size on several GPUs, none at half or a third of its peak."""
    for _ in range(2):
        multiplications = randint(generator, 30, 400) * 1e9
        batch, steps = 2 * randint(generator, 4, 12), 1000 * randint(generator, 20, 160)
        gpus, peak = randint(generator, 4, 9), randint(generator, 15, 300) * 1e12
        yield multiplications, batch, steps, gpus, peak, randint(generator, 21, 48, exclude=(33, 34)) / 100


training_hours = Exercise(
    title="The hours of a training run",
    minutes=5,
    difficulty=1,
    reference=hours_of_training,
    cases=_runs,
    hints=(
        "Operations of the whole run, over the operations per second that all GPUs together really do; then "
        "seconds to hours.",
        "One multiplication brings an addition: two operations. Forward and backward together are three forwards. "
        "Each step takes a whole batch.",
        "3 · 2 · multiplications · batch · steps, over gpus · peak · reached, over 3600.",
    ),
    mistakes=mistakes.HOURS,
)


# The effect of one part among several

Results = Mapping[tuple[bool, ...], Sequence[float]]


def effect_and_spread(results: Results, factor: int) -> tuple[float, float]:
    """What a factor is worth: the mean over seeds of (mean with it − mean without it), and the standard deviation.

    `results` holds, for each combination of switches such as (neck, norm, aux), the mIoU of each seed, in one order.
    """
    by_seed = []
    for seed in range(len(next(iter(results.values())))):
        with_it = mean(row[seed] for switches, row in results.items() if switches[factor])
        without = mean(row[seed] for switches, row in results.items() if not switches[factor])
        by_seed.append(with_it - without)
    return mean(by_seed), stdev(by_seed)


def _ablations(generator: torch.Generator) -> Iterator[Case]:
    """All eight combinations of three switches in a random order, with three or four seeds; each factor once."""
    combinations = list(itertools.product((False, True), repeat=3))
    for factor, seeds in ((0, 3), (1, 4), (2, 3)):
        order = torch.randperm(len(combinations), generator=generator).tolist()
        level = 5 * torch.randn(seeds, generator=generator)  # a good seed is good in every combination
        rows = 50 + 8 * torch.rand(len(combinations), seeds, generator=generator) + level
        yield {combinations[n]: rows[n].tolist() for n in order}, factor


main_effect = Exercise(
    title="The effect of one part",
    minutes=8,
    difficulty=2,
    reference=effect_and_spread,
    cases=_ablations,
    hints=(
        "For one seed: four combinations have the part, four have not. What is the difference of their means?",
        "That gives a number per seed. Their mean is the effect; their standard deviation, with n − 1, is the spread.",
        "`statistics.mean` and `statistics.stdev` of a list with, for each seed, the mean of `row[seed]` where "
        "`switches[factor]`, minus that of the others.",
    ),
    mistakes=mistakes.EFFECT,
)
