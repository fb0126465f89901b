"""Where things stand in the toy scenes: on what, how large, and what hides what."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vitseg_lib.toy import shapes, traffic
from vitseg_lib.toy.canvas import SCALE, Canvas, Label

LAND = (Label.GRASS, Label.EARTH)

Draw = Callable[[Canvas, float, float, float], None]  # canvas, foot x, foot y, pixels a metre


@dataclass(frozen=True)
class Wish:
    """A kind of thing to place: at most how many, on which labels, how tall (metres, pixels), how wide."""

    draw: Draw
    most: int
    on: tuple[Label, ...]
    metres: float
    smallest: float  # pixels; nearer to the horizon it would be a speck
    largest: float = 0.6  # picture heights
    reach: float = 0.4  # half the width it takes up, in heights


def populate(c: Canvas, season: str, **most: int) -> None:
    """Place up to ``most`` things of each kind (a third of that at least is tried), and draw them from far to near."""
    free = c.labels[SCALE // 2 :: SCALE, SCALE // 2 :: SCALE].copy()
    placed = []
    for wish in wishes(c, season, most):
        for _ in range(c.rng.integers(wish.most // 3, wish.most + 1)):
            at = spot(c, free, wish)
            placed += [(at[1], at[0], wish.draw)] if at else []
    for y, x, draw in sorted(placed, key=lambda thing: thing[0]):
        draw(c, x, y, c.metre(y))


def wishes(c: Canvas, season: str, most: dict[str, int]) -> list[Wish]:
    """What each kind asks of its place."""
    rng = c.rng

    def tree(c: Canvas, x: float, y: float, metre: float) -> None:
        shapes.tree(c, x, y, c.rng.uniform(3.5, 8) * metre, season)

    def car(c: Canvas, x: float, y: float, metre: float) -> None:
        traffic.car(c, x, y, 1.15 * metre, bool(c.rng.random() < 0.55))

    def house(c: Canvas, x: float, y: float, metre: float) -> None:
        shapes.house(c, x, y, c.rng.uniform(5.5, 8) * metre)

    def person(c: Canvas, x: float, y: float, metre: float) -> None:
        traffic.person(c, x, y, c.rng.uniform(1.65, 2.1) * metre)

    thing = (shapes.rock, shapes.bale, shapes.lamp_post)[rng.integers(3)]
    parking = (Label.ROAD,) if rng.random() < 0.95 else (Label.ROAD, *LAND)
    asked = {
        "trees": (tree, LAND, 5.7, 42, 0.85, 0.25),
        "houses": (house, LAND, 6.7, 38, 0.6, 0.7),
        "people": (person, (*LAND, Label.ROAD), 1.9, 42, 0.7, 0.4),
        "cars": (car, parking, 1.6, 18, 0.3, 1.6),
        "boats": (traffic.boat, (Label.WATER,), 1.0, 5.5, 0.11, 2.2),
        "fences": (fence, LAND, 1.4, 17, 0.3, 0.5),
        "others": (thing, LAND, 1.0, 6, 0.17, 1.0),
    }
    return [Wish(asked[kind][0], number, *asked[kind][1:]) for kind, number in most.items()]


def spot(c: Canvas, free: np.ndarray, wish: Wish) -> tuple[float, float] | None:
    """A foot (x, y) that grants the wish, which is then taken; None if there is none."""
    rows, columns = np.nonzero(np.isin(free, wish.on))
    high = (rows - c.horizon) / c.eye * wish.metres
    fit = np.flatnonzero((high >= wish.smallest) & (high <= wish.largest * c.height))
    if not len(fit):
        return None
    i = fit[c.rng.integers(len(fit))]
    x, y = float(columns[i]), float(rows[i]) + 0.5
    half = int(wish.reach * wish.metres * c.metre(y)) + 1
    free[max(int(y) - 2, 0) : int(y) + 3, max(int(x) - half, 0) : int(x) + half] = 255
    return x, y


def fence(c: Canvas, x: float, y: float, metre: float) -> None:
    """A fence that runs a few metres to one side, level or a little nearer or farther."""
    run = float(c.rng.choice([-1, 1])) * c.rng.uniform(5, 12) * metre
    lean = c.rng.uniform(-0.06, 0.12) * abs(run)
    shapes.fence(c, (x, y), (x + run, y + lean), c.rng.uniform(1.3, 1.7))


def balloons(c: Canvas) -> None:
    """Now and then a balloon in the sky, where there is one."""
    if c.horizon > 40 and c.rng.random() < 0.25:
        x, y = c.rng.uniform(0.1, 0.9) * c.width, c.rng.uniform(0.15, 0.45) * c.horizon
        shapes.balloon(c, x, y, c.rng.uniform(9, 26))


def avenue(c: Canvas, season: str, width: float) -> None:
    """Houses, trees and fences on both sides of a straight road ``width`` metres wide, from far to near."""
    gap, near = c.rng.uniform(7, 11), c.rng.uniform(0.8, 1.3)
    for z in np.arange(9 * gap, 0.5 * gap, -gap):
        y = float(c.horizon + c.height * c.eye / (z * near))
        if 4 < c.metre(y) < 0.107 * c.height:
            for side in (-1, 1):
                plot(c, season, y, side, width / 2)


def plot(c: Canvas, season: str, y: float, side: int, kerb: float) -> None:
    """What stands at row y on one side of the road: perhaps a house, a tree, a fence along the kerb."""
    rng, metre = c.rng, c.metre(y)
    x = c.vanish + side * (kerb + rng.uniform(3.5, 5)) * metre
    if not -0.5 * c.width < x < 1.5 * c.width:
        return
    if rng.random() < 0.75:
        shapes.house(c, x, y, rng.uniform(5.5, 8) * metre)
    if rng.random() < 0.5:
        shapes.tree(c, c.vanish + side * (kerb + 1.2) * metre, y + 0.5 * metre, rng.uniform(3, 6) * metre, season)
    if rng.random() < 0.35:
        closer = y + 0.25 * (y - c.horizon)
        far, near = (c.vanish + side * (kerb + 0.8) * c.metre(row) for row in (y, closer))
        shapes.fence(c, (far, y), (near, closer), 1.5)
