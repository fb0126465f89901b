"""What stands in the toy scenes: trees, houses, fences, and a few things that belong to no class.

Everything stands at (x, y), its foot, in pixels of the finished picture. A pen's units are the height of a tree or a
house, or a metre.
"""

from dataclasses import dataclass

import numpy as np

from vitseg_lib.toy.canvas import Canvas, Label, Points, rgb

LEAVES = {
    "summer": [rgb(0.21, 0.38, 0.15), rgb(0.15, 0.31, 0.17), rgb(0.28, 0.42, 0.17), rgb(0.13, 0.28, 0.20)],
    "autumn": [rgb(0.70, 0.36, 0.11), rgb(0.78, 0.56, 0.16), rgb(0.56, 0.22, 0.12), rgb(0.27, 0.34, 0.15)],
    "spring": [rgb(0.30, 0.46, 0.18), rgb(0.82, 0.60, 0.66), rgb(0.24, 0.42, 0.18), rgb(0.90, 0.80, 0.82)],
    "dry": [rgb(0.30, 0.37, 0.18), rgb(0.23, 0.31, 0.18), rgb(0.34, 0.38, 0.20), rgb(0.20, 0.28, 0.17)],
}
WALLS = [
    *(rgb(0.94, 0.88, 0.78), rgb(0.92, 0.78, 0.58), rgb(0.72, 0.36, 0.27), rgb(0.88, 0.62, 0.50)),
    *(rgb(0.92, 0.80, 0.48), rgb(0.68, 0.24, 0.19), rgb(0.80, 0.70, 0.60)),
]
ROOFS = [
    *(rgb(0.64, 0.26, 0.19), rgb(0.40, 0.32, 0.30), rgb(0.48, 0.31, 0.24)),
    *(rgb(0.72, 0.38, 0.26), rgb(0.54, 0.22, 0.18)),
]
STAINS = [rgb(0.95, 0.93, 0.90), rgb(0.92, 0.90, 0.86), rgb(0.97, 0.96, 0.95), rgb(0.62, 0.42, 0.24)]
SILKS = [rgb(0.85, 0.25, 0.20), rgb(0.95, 0.75, 0.25), rgb(0.20, 0.45, 0.70), rgb(0.92, 0.90, 0.85)]
STONES = [rgb(0.52, 0.50, 0.48), rgb(0.42, 0.40, 0.38)]
BARK, BRICK, IRON, STRAW = rgb(0.30, 0.22, 0.16), rgb(0.5, 0.33, 0.27), rgb(0.2, 0.22, 0.24), rgb(0.80, 0.66, 0.36)
FRAME, GLASS, LAMP = rgb(0.94, 0.92, 0.88), rgb(0.22, 0.28, 0.34), rgb(1.0, 0.80, 0.42)


def choose(rng: np.random.Generator, colours: list[np.ndarray], spread: float = 0.08) -> np.ndarray:
    """One of the colours, a little varied."""
    colour = colours[rng.integers(len(colours))] * (1 + rng.normal(0, spread, 3))
    return np.clip(colour, 0.03, 0.98).astype(np.float32)


@dataclass(frozen=True)
class Pen:
    """Draws the parts of one thing in the thing's own units: its foot at (0, 0), v upwards, mirrored if flip is -1.

    Colours are what the thing is painted; the pen puts them in the light. ``face`` says how much a part looks towards
    the sun (1) or away from it (-1), ``fade`` what its colour is multiplied by towards its lower end.
    """

    canvas: Canvas
    x: float
    y: float
    size: float  # pixels a unit
    label: Label
    flip: int = 1
    girth: float = 1.0
    hazy: bool = True

    def at(self, u: float, v: float) -> tuple[float, float]:
        """A point of the thing, in pixels."""
        return self.x + self.flip * self.girth * self.size * u, self.y - self.size * v

    def shape(
        self,
        points: Points,
        colour: np.ndarray,
        *,
        face: float = 0.0,
        fade: float = 1.0,
        texture: float = 0.0,
        glow: bool = False,
        draw: str = "polygon",
    ) -> None:
        """Fill a polygon, in the thing's units; with ``glow`` it shines at night and mirrors the sky by day."""
        c = self.canvas
        lit = c.lit(colour, self.y if self.hazy else None, face)
        if glow:
            lit = colour if colour[0] > 0.8 and c.light.lamps > 0.05 else lit + 0.12 * c.light.middle
        to = None if fade == 1 else np.float32(fade) * lit
        c.polygon([self.at(u, v) for u, v in points], lit, self.label, to=to, texture=texture, draw=draw)

    def disc(self, u: float, v: float, ru: float, rv: float, colour: np.ndarray, **how: float) -> None:
        """Fill an upright ellipse with centre (u, v)."""
        left, right = (u - ru, u + ru) if self.flip > 0 else (u + ru, u - ru)
        self.shape([(left, v + rv), (right, v - rv)], colour, draw="ellipse", **how)

    def leaves(self, u: float, v: float, ru: float, rv: float, colour: np.ndarray) -> None:
        """A clump of leaves with centre (u, v)."""
        x, y = self.at(u, v)
        self.canvas.foliage(x, y, ru * self.size, rv * self.size, self.canvas.lit(colour, self.y))


def tree(c: Canvas, x: float, y: float, height: float, season: str) -> None:
    """A tree: a fir, a poplar, a bush, or a broad crown of several clumps."""
    kind = c.rng.choice(["fir", "crown", "poplar", "bush"], p=[0.25, 0.5, 0.13, 0.12])
    pen = Pen(c, x, y, height, Label.TREE)
    leaf = choose(c.rng, LEAVES["summer" if kind == "fir" else season])
    c.shadow(x, y, 0.36 * height, 0.06 * height + 0.8)
    if kind != "bush":
        pen.shape([(-0.032, 0), (0.032, 0), (0.02, 0.5), (-0.02, 0.5)], BARK, texture=0.12)
    if kind == "fir":
        fir(pen, leaf)
    elif kind == "crown":
        for _ in range(c.rng.integers(4, 7)):
            u, v, size = c.rng.normal(0, 0.14), c.rng.uniform(0.52, 0.80), c.rng.uniform(0.15, 0.24)
            pen.leaves(u, v, size, 0.85 * size, leaf * np.float32(0.84 + 0.6 * (v - 0.52)))
    else:
        pen.leaves(0, *((0.56, 0.13, 0.44) if kind == "poplar" else (0.2, 0.28, 0.21)), leaf)


def fir(pen: Pen, leaf: np.ndarray) -> None:
    """Drooping tiers, wide below and narrow above, the sunny half lighter."""
    wide, sun = pen.canvas.rng.uniform(0.18, 0.27), pen.canvas.light.side
    for tier in range(5):
        low, top, half = 0.1 + 0.16 * tier, 0.42 + 0.145 * tier, wide * (1 - 0.17 * tier)
        for side in (-1, 1):
            outline = [(0, top), (side * half, low), (0, low + 0.05)]
            pen.shape(outline, leaf, face=0.9 * side * sun, fade=0.8, texture=0.12)


def rectangle(left: float, low: float, right: float, high: float) -> Points:
    """The four corners."""
    return [(left, low), (right, low), (right, high), (left, high)]


def windows(pen: Pen, left: float, right: float, high: float, columns: int, storeys: int) -> None:
    """Rows of framed windows between two edges of a wall that is ``high``, some of them lit."""
    c, low = pen.canvas, 0.1
    across, up = (right - left) / columns, (high - low) / storeys
    for storey, column in np.ndindex(storeys, columns):
        u, v = left + across * (column + 0.5), low + up * (storey + 0.5)
        ru, rv = 0.28 * abs(across), 0.30 * up
        pen.shape(rectangle(u - ru, v - rv, u + ru, v + rv), FRAME)
        ru, rv = 0.75 * ru, 0.8 * rv
        pane = rectangle(u - ru, v - rv, u + ru, v + rv)
        pen.shape(pane, LAMP if c.rng.random() < c.light.lamps else GLASS, glow=True, fade=0.8)


def house(c: Canvas, x: float, y: float, height: float) -> None:
    """A house from a corner: a gabled front, a side wall towards the middle of the view, a roof, a chimney."""
    rng, flip = c.rng, 1 if x < c.vanish else -1
    pen = Pen(c, x, y, height, Label.HOUSE, flip)
    storeys = 2 if rng.random() < 0.35 else 1
    half, side = rng.uniform(0.25, 0.42), rng.uniform(0.5, 1.0)
    eaves, lift, sunny = (0.74 if storeys == 2 else 0.58), 0.05, flip * c.light.side
    end = half + side
    wall, roof = choose(rng, WALLS), choose(rng, ROOFS)
    c.shadow(x, y, 0.95 * height, 0.12 * height)
    if rng.random() < 0.7:
        pen.shape(rectangle(0.7 * side - 0.045, 0.7, 0.7 * side + 0.045, 1.1), BRICK, face=-0.5)
    flank = [(half, 0), (half, eaves), (end, eaves - lift), (end, lift)]
    front = [(-half, 0), (-half, eaves), (0, 1), (half, eaves), (half, 0)]
    pen.shape(flank, wall, face=0.8 * sunny, fade=0.88, texture=0.03)
    pen.shape(front, wall, face=-0.8 * sunny, fade=0.9, texture=0.03)
    slope = [(0, 1), (side, 1 - lift), (end + 0.06, eaves - 1.4 * lift), (half + 0.036, eaves - 0.05)]
    pen.shape(slope, roof, face=0.9 * sunny, fade=0.8, texture=0.06)
    for u in (-half - 0.048, half + 0.036):  # the edges of the roof above the front
        pen.shape([(0, 1), (0, 0.93), (u, eaves - 0.08), (u, eaves - 0.05)], 0.85 * roof, face=-0.9)
    windows(pen, -half, half, eaves, 2, storeys)
    windows(pen, half, end, eaves - lift, int(rng.integers(2, 4)), storeys)
    pen.shape(rectangle(-0.07, 0, 0.07, 0.3), choose(rng, ROOFS), fade=0.8)


def fence(c: Canvas, start: tuple[float, float], end: tuple[float, float], metres: float) -> None:
    """Pickets on two rails; the label covers the gaps too, as a person would outline it.

    It runs from ``start`` to ``end`` and is ``metres`` high, so it grows smaller where it runs away from the viewer.
    """
    stain = choose(c.rng, STAINS)
    (x0, y0), (x1, y1) = start, end
    h0, h1 = metres * c.metre(y0), metres * c.metre(y1)
    c.relabel([(x0, y0), (x0, y0 - h0), (x1, y1 - h1), (x1, y1)], Label.FENCE, 0.72)
    for low, high in ((0.22, 0.36), (0.68, 0.82)):
        rail = [(x0, y0 - low * h0), (x0, y0 - high * h0), (x1, y1 - high * h1), (x1, y1 - low * h1)]
        c.polygon(rail, c.lit(stain, y0, -0.6), Label.FENCE)
    length, t = max(np.hypot(x1 - x0, 3 * (y1 - y0)), 1), 0.0
    while t < 1:
        y, h = y0 + t * (y1 - y0), h0 + t * (h1 - h0)
        pen = Pen(c, x0 + t * (x1 - x0), y, h, Label.FENCE)
        pen.shape([(-0.1, 0), (-0.1, 0.9), (0, 1), (0.1, 0.9), (0.1, 0)], stain, face=0.5, fade=0.85, texture=0.05)
        t += max(0.42 * h, 1.2) / length


def balloon(c: Canvas, x: float, y: float, size: float) -> None:
    """A hot-air balloon: other."""
    pen = Pen(c, x, y, size, Label.OTHER, hazy=False)
    stripes = choose(c.rng, SILKS), choose(c.rng, SILKS)
    for i, width in enumerate((0.5, 0.31, 0.12)):
        pen.disc(0, 0, width, 0.56, stripes[i % 2], face=0.3, fade=0.7)
    pen.shape([(-0.3, -0.42), (0.3, -0.42), (0.1, -0.72), (-0.1, -0.72)], stripes[1], face=-0.8)
    pen.shape([(-0.1, -0.78), (0.1, -0.78), (0.08, -0.95), (-0.08, -0.95)], BARK)


def rock(c: Canvas, x: float, y: float, metre: float) -> None:
    """A boulder: other."""
    size = c.rng.uniform(0.5, 1.1) * metre
    c.shadow(x, y, 1.4 * size, 0.35 * size + 0.4)
    angles = np.sort(c.rng.uniform(0, np.pi, 7))
    outline = [(1.1 * np.cos(t), c.rng.uniform(0.75, 1.0) * np.sin(t)) for t in angles]
    stone = choose(c.rng, STONES)
    Pen(c, x, y, size, Label.OTHER).shape([(1, 0), *outline, (-1, 0)], stone, face=0.7, fade=0.55, texture=0.12)


def bale(c: Canvas, x: float, y: float, metre: float) -> None:
    """A round bale of straw: other."""
    c.shadow(x, y, 1.5 * metre, 0.3 * metre + 0.4)
    pen = Pen(c, x, y, 0.75 * metre, Label.OTHER, int(c.rng.choice([-1, 1])))
    pen.shape(rectangle(-1, 0, 0.8, 2), STRAW, face=0.5, fade=0.6, texture=0.1)
    pen.disc(-1, 1, 0.8, 1, STRAW, texture=0.1)
    pen.disc(-1, 1, 0.4, 0.5, 0.85 * STRAW)


def lamp_post(c: Canvas, x: float, y: float, metre: float) -> None:
    """A street lamp: other."""
    pen = Pen(c, x, y, metre, Label.OTHER)
    c.shadow(x, y, 0.8 * metre, 0.2 * metre + 0.3)
    pen.shape([(-0.12, 0), (0.12, 0), (0.08, 4.2), (-0.08, 4.2)], IRON)
    pen.shape([(-0.2, 4.2), (0.2, 4.2), (0.36, 4.9), (-0.36, 4.9)], LAMP if c.light.lamps > 0.3 else FRAME, glow=True)
    pen.shape([(-0.45, 4.9), (0.45, 4.9), (0, 5.3)], IRON)
