"""The mistakes that the exercises of chapter 11 know by name: what each does, as code, and the sentence for it."""

from collections.abc import Callable, Mapping, Sequence
from statistics import mean, pstdev, stdev

from vitseg_lib.course.exercises.base import mistakes

Results = Mapping[tuple[bool, ...], Sequence[float]]


# The hours: multiplications, batch, steps, gpus, peak, reached


def hours_but(factor: Callable[[int, int, int, float], float]) -> Callable:
    """The right hours, times a factor of (batch, steps, gpus, reached)."""

    def wrong(multiplications: float, batch: int, steps: int, gpus: int, peak: float, reached: float) -> float:
        right = 6 * multiplications * batch * steps / (gpus * peak * reached) / 3600
        return right * factor(batch, steps, gpus, reached)

    return wrong


HOURS = mistakes(
    {
        "you count the forward only; the backward of a product is two products of its size": (
            hours_but(lambda batch, steps, gpus, reached: 1 / 3)
        ),
        "you count the backward as one forward; it makes two gradients, and each costs as much as the forward": (
            hours_but(lambda batch, steps, gpus, reached: 2 / 3)
        ),
        "you count multiplications, and the GPU's speed counts operations: an addition goes with each": (
            hours_but(lambda batch, steps, gpus, reached: 1 / 2)
        ),
        "you count one image per step; a step takes a batch of them": (
            hours_but(lambda batch, steps, gpus, reached: 1 / batch)
        ),
        "these are seconds, not hours": hours_but(lambda batch, steps, gpus, reached: 3600),
        "these are minutes, not hours": hours_but(lambda batch, steps, gpus, reached: 60),
        "you divide by the peak, which no training reaches; only a fraction of it is sustained": (
            hours_but(lambda batch, steps, gpus, reached: reached)
        ),
        "you multiply the time by the fraction; a smaller fraction takes longer": (
            hours_but(lambda batch, steps, gpus, reached: reached**2)
        ),
        "you let one GPU do all the work; all of them work": hours_but(lambda batch, steps, gpus, reached: gpus),
    }
)


# The effect: results {switches: mIoU by seed}, factor


def sides(results: Results, factor: int) -> tuple[list[list[float]], list[list[float]]]:
    """The rows with the factor and the rows without it."""
    with_it = [list(row) for switches, row in results.items() if switches[factor]]
    return with_it, [list(row) for switches, row in results.items() if not switches[factor]]


def by_seed(results: Results, factor: int) -> list[float]:
    """The difference of the two means, one number per seed."""
    with_it, without = (list(map(mean, zip(*rows, strict=True))) for rows in sides(results, factor))
    return [a - b for a, b in zip(with_it, without, strict=True)]


def of_seeds(made: Callable[[list[float]], tuple[float, float]]) -> Callable:
    """An answer made from the differences of the seeds."""
    return lambda results, factor: made(by_seed(results, factor))


def one_pair(results: Results, factor: int) -> tuple[float, float]:
    """Only the combination with nothing but the factor, against the one with nothing."""
    alone = results[tuple(n == factor for n in range(3))]
    gains = [a - b for a, b in zip(alone, results[(False,) * 3], strict=True)]
    return mean(gains), stdev(gains)


def unpaired(results: Results, factor: int) -> tuple[float, float]:
    """The spreads of both sides added, as if the seeds had nothing to do with each other."""
    with_it, without = (list(map(mean, zip(*rows, strict=True))) for rows in sides(results, factor))
    return mean(with_it) - mean(without), (stdev(with_it) ** 2 + stdev(without) ** 2) ** 0.5


def best_seeds(results: Results, factor: int) -> tuple[float, float]:
    """The best seed of every combination instead of their mean."""
    with_it, without = (mean(map(max, rows)) for rows in sides(results, factor))
    return with_it - without, stdev(by_seed(results, factor))


def over_all_pairs(results: Results, factor: int) -> tuple[float, float]:
    """The spread over all pairs of runs, which also holds how the other parts change the effect."""
    gains = []
    for switches, row in results.items():
        if switches[factor]:
            partner = results[tuple(on and n != factor for n, on in enumerate(switches))]
            gains += [a - b for a, b in zip(row, partner, strict=True)]
    return mean(gains), stdev(gains)


EFFECT = mistakes(
    {
        "the sign is turned round: it is with the part minus without it": (
            of_seeds(lambda gains: (-mean(gains), stdev(gains)))
        ),
        "you compare one pair of combinations only; the part can be switched in four": one_pair,
        "you divide by all eight combinations; four stand on each side": (
            of_seeds(lambda gains: (mean(gains) / 2, stdev(gains) / 2))
        ),
        "you treat the seeds of the two sides as unrelated; subtract seed by seed first, then take the spread": (
            unpaired
        ),
        "you take the best seed of each combination; luck is not the question: take the mean": best_seeds,
        "the standard deviation is divided by n; three or four seeds are a sample, so divide by n − 1": (
            of_seeds(lambda gains: (mean(gains), pstdev(gains)))
        ),
        "this spread is the standard error, already divided by √n; the question is the standard deviation": (
            of_seeds(lambda gains: (mean(gains), stdev(gains) / len(gains) ** 0.5))
        ),
        "your spread is over all pairs of runs; take the mean of a seed's pairs first, then the spread over seeds": (
            over_all_pairs
        ),
        "you add the four differences of a seed up; take their mean": (
            of_seeds(lambda gains: (4 * mean(gains), 4 * stdev(gains)))
        ),
    }
)
