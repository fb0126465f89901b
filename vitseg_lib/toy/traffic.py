"""What moves in the toy scenes: cars, boats and people.

Everything stands at (x, y), its foot, in pixels of the finished picture; ``metre`` is the size of a metre there.
"""

import numpy as np

from vitseg_lib.toy.canvas import SCALE, Canvas, Label, rgb
from vitseg_lib.toy.shapes import FRAME, GLASS, LAMP, Pen, choose

SKIN = [rgb(0.95, 0.78, 0.66), rgb(0.80, 0.58, 0.44), rgb(0.55, 0.37, 0.26), rgb(0.36, 0.24, 0.18)]
HAIR = [rgb(0.15, 0.11, 0.09), rgb(0.38, 0.24, 0.14), rgb(0.78, 0.62, 0.34), rgb(0.62, 0.60, 0.58)]
SAILS = [rgb(0.95, 0.94, 0.90), rgb(0.90, 0.86, 0.76), rgb(0.72, 0.28, 0.20), rgb(0.85, 0.60, 0.25)]
PAINTS = [
    *(
        rgb(0.78, 0.16, 0.14),
        rgb(0.15, 0.30, 0.62),
        rgb(0.92, 0.90, 0.88),
        rgb(0.20, 0.20, 0.23),
        rgb(0.93, 0.70, 0.16),
    ),
    *(
        rgb(0.16, 0.52, 0.50),
        rgb(0.66, 0.67, 0.70),
        rgb(0.55, 0.22, 0.48),
        rgb(0.90, 0.45, 0.18),
        rgb(0.55, 0.72, 0.86),
    ),
]
COATS = [
    *(rgb(0.86, 0.20, 0.18), rgb(0.95, 0.62, 0.14), rgb(0.88, 0.34, 0.52), rgb(0.50, 0.22, 0.58)),
    *(rgb(0.93, 0.80, 0.28), rgb(0.14, 0.50, 0.56), rgb(0.92, 0.46, 0.28)),
]
TROUSERS = [rgb(0.16, 0.20, 0.36), rgb(0.22, 0.28, 0.46), rgb(0.30, 0.20, 0.26), rgb(0.18, 0.18, 0.20)]
RUBBER, STEEL, RED, MAST = rgb(0.1, 0.1, 0.11), rgb(0.7, 0.7, 0.7), rgb(0.85, 0.08, 0.05), rgb(0.4, 0.3, 0.2)
CABINS = [
    [(-1.5, 0.9), (-0.9, 1.5), (0.5, 1.5), (1.15, 0.9)],  # a saloon
    [(-2.1, 0.9), (-1.8, 1.6), (0.4, 1.6), (1.1, 0.9)],  # a hatchback
    [(-2.15, 0.9), (-2.1, 2.0), (1.0, 2.0), (1.75, 0.9)],  # a van
]


def paint(rng: np.random.Generator) -> np.ndarray:
    """A colour that people paint cars and boats and dye clothes in."""
    return choose(rng, PAINTS, 0.15)


def either(rng: np.random.Generator) -> int:
    """1 or -1: which way something looks."""
    return int(rng.choice([-1, 1]))


def car(c: Canvas, x: float, y: float, metre: float, along: bool) -> None:
    """A car from the side, or (``along``) from behind or before."""
    c.shadow(x, y, (1.3 if along else 2.5) * metre, 0.45 * metre + 0.5, 0.5)
    pen = Pen(c, x, y, metre, Label.CAR, either(c.rng))
    (car_end if along else car_side)(pen, paint(c.rng))


def car_side(pen: Pen, body: np.ndarray) -> None:
    """Cabin, windows, body, wheels and lamps."""
    cabin = CABINS[pen.canvas.rng.integers(len(CABINS))]
    pen.shape(cabin, body, face=0.6)
    pen.shape([(0.86 * u + 0.02, 0.93 + 0.82 * (v - 0.9)) for u, v in cabin], GLASS, glow=True)
    pen.shape([(-0.32, 0.9), (-0.32, cabin[1][1]), (-0.18, cabin[1][1]), (-0.18, 0.9)], body, face=0.6)
    hull = [(-2.2, 0.3), (-2.2, 0.85), (-2.0, 0.98), (1.2, 0.98), (2.05, 0.8), (2.2, 0.6), (2.2, 0.3)]
    pen.shape(hull, body, face=0.6, fade=0.7)
    for u in (-1.35, 1.35):
        pen.disc(u, 0.36, 0.42, 0.40, RUBBER)
        pen.disc(u, 0.36, 0.2, 0.2, STEEL)
    for u, colour in ((2.1, LAMP), (-2.12, RED)):
        pen.disc(u, 0.7, 0.12, 0.12, colour, glow=True)


def car_end(pen: Pen, body: np.ndarray) -> None:
    """The back of a car (red lamps) on the right of the view, the front (white ones) on the left."""
    tall = pen.canvas.rng.uniform(1.45, 1.95)
    for u in (-0.68, 0.68):
        pen.shape([(u - 0.17, 0), (u + 0.17, 0), (u + 0.17, 0.5), (u - 0.17, 0.5)], RUBBER)
    pen.shape([(-0.88, 0.9), (-0.66, tall), (0.66, tall), (0.88, 0.9)], body, face=0.6)
    top = tall - 0.12
    pen.shape([(-0.72, 0.95), (-0.56, top), (0.56, top), (0.72, 0.95)], GLASS, fade=0.7, glow=True)
    hull = [(-0.95, 0.25), (-0.95, 0.85), (-0.86, 0.98), (0.86, 0.98), (0.95, 0.85), (0.95, 0.25)]
    pen.shape(hull, body, face=0.6, fade=0.7)
    for u in (-0.74, 0.74):
        pen.disc(u, 0.72, 0.15, 0.13, RED if pen.x > pen.canvas.vanish else FRAME, glow=True)
    pen.shape([(-0.25, 0.42), (-0.25, 0.6), (0.25, 0.6), (0.25, 0.42)], FRAME)


def boat(c: Canvas, x: float, y: float, metre: float) -> None:
    """A sailing boat, a motor boat or (near by) a rowing boat, and its reflection, which is water."""
    kind = c.rng.choice(["sail", "sail", "motor", "row" if metre > 9 else "motor"])
    half, high = {"sail": (1.9, 6.5), "motor": (2.4, 2.4), "row": (1.7, 2.4)}[kind]
    pen = Pen(c, x, y, metre, Label.BOAT, either(c.rng))
    c.shadow(x, y, 1.3 * half * metre, 0.5 * metre + 0.5, 0.3)
    if kind == "sail":
        rig(pen)
    elif kind == "motor":
        pen.shape([(-1.5, 0.8), (-1.4, 1.9), (0.5, 1.9), (1.0, 0.8)], FRAME, face=0.3, fade=0.85)
        pen.shape([(-1.1, 1.15), (-1.05, 1.7), (0.4, 1.7), (0.65, 1.15)], GLASS, glow=True)
    hull = [(-half, 1.0), (half * 1.15, 1.1), (half * 0.8, 0.0), (-half * 0.85, 0.0)]
    pen.shape(hull, paint(c.rng), fade=0.7)
    pen.shape([*hull[:2], (half * 1.09, 0.88), (-half * 0.98, 0.8)], FRAME)
    if kind == "row":
        for seat in (-0.5, 0.7)[: c.rng.integers(1, 3)]:
            person(c, x + pen.flip * seat * metre, y - 0.7 * metre, 1.9 * metre, shadow=False)
    mirror(c, x, y, 1.3 * half * metre, high * metre)


def rig(pen: Pen) -> None:
    """A mast, a mainsail and a foresail."""
    sail, sunny = choose(pen.canvas.rng, SAILS), 0.7 if pen.flip == pen.canvas.light.side else -0.3
    pen.shape([(-0.06, 0.8), (-0.06, 6.4), (0.06, 6.4), (0.06, 0.8)], MAST)
    pen.shape([(-0.1, 6.2), (-0.1, 1.1), (-1.8, 1.1), (-1.1, 3.6)], sail, face=sunny, fade=0.86)
    pen.shape([(0.1, 5.6), (0.1, 1.1), (1.8, 1.1), (0.8, 3.2)], sail, face=sunny - 0.5, fade=0.86)


def mirror(c: Canvas, x: float, y: float, half: float, height: float) -> None:
    """Reflect the boat that was just drawn above row y in the water below it, dimly; the labels stay water."""
    box = c.box([(x - half, y), (x + half, y + 0.75 * height)])
    if box is None:
        return
    rows, columns = box
    source = np.clip(2 * round(y * SCALE) - np.arange(rows.start, rows.stop) - 1, 0, len(c.rows) - 1)
    above, label = c.image[source, columns], c.labels[source, columns]
    here = (label == Label.BOAT) & (c.labels[box] == Label.WATER)
    calm = c.patch(c.rough, (len(source), 1)) > -0.6  # some rows are ruffled and show nothing
    strength = np.linspace(0.5, 0.18, len(source), dtype=np.float32)[:, None] * calm * here
    c.image[box] += strength[..., None] * (0.85 * above - c.image[box])


def person(c: Canvas, x: float, y: float, height: float, *, shadow: bool = True) -> None:
    """Someone: legs or a skirt, arms, a coat, a head with hair, now and then a hat."""
    rng = c.rng
    if shadow:
        c.shadow(x, y, 0.32 * height, 0.06 * height + 0.5, 0.45)
    coat, cloth, skin = choose(rng, COATS), choose(rng, TROUSERS), choose(rng, SKIN, 0.04)
    pen = Pen(c, x, y, height, Label.PERSON, either(rng), girth=rng.uniform(1.3, 1.65))
    step, swing, skirt = rng.uniform(0.02, 0.09), rng.uniform(0.19, 0.27), rng.random() < 0.3
    if skirt:
        pen.shape([(-0.09, 0.52), (0.09, 0.52), (0.19, 0.16), (-0.19, 0.16)], cloth, fade=0.8)
    for s in (-1, 1):
        leg = [(s * 0.01 - 0.065, 0.5), (s * 0.06 + 0.055, 0.5), (s * step + 0.065, 0), (s * step - 0.055, 0)]
        pen.shape(leg, skin if skirt else cloth, fade=0.75)
    for s in (-1, 1):
        arm = [(s * 0.10, 0.80), (s * 0.17, 0.78), (s * (swing + 0.04), 0.44), (s * (swing - 0.04), 0.44)]
        pen.shape(arm, 0.82 * coat, face=0.2)
        pen.disc(s * swing, 0.44, 0.034, 0.042, skin, face=0.3)
    torso = [(-0.15, 0.80), (-0.08, 0.85), (0.08, 0.85), (0.15, 0.80), (0.12, 0.44), (-0.12, 0.44)]
    pen.shape(torso, coat, face=0.2, fade=0.8)
    pen.disc(-0.01, 0.935, 0.095, 0.125, choose(rng, HAIR))
    pen.disc(0.02, 0.915, 0.074, 0.098, skin, face=0.3)
    if rng.random() < 0.3:
        hat = [(-0.16, 0.99), (-0.09, 1.01), (-0.08, 1.08), (0.08, 1.08), (0.09, 1.01), (0.16, 0.99)]
        pen.shape(hat, choose(rng, COATS))
