"""The paper, the light and the brushes that the toy scenes are drawn with.

Everything is drawn ``SCALE`` times too large, colour and label by the same stroke, and made small once at the end:
the colours by area average, the labels by their centre sample, so that edges are soft and no label is invented.
Positions are in pixels of the finished picture, x to the right, y down; colours are float RGB in 0..1.
"""

from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
from PIL import Image, ImageDraw

SCALE = 3
TILE = 512  # side of the periodic noise tiles, in drawn pixels: a power of two

Points = list[tuple[float, float]]


class Label(IntEnum):
    """Label values as they lie on disk: 0 is everything outside the classes."""

    OTHER = 0
    SKY = 1
    MOUNTAIN = 2
    TREE = 3
    GRASS = 4
    EARTH = 5
    ROAD = 6
    WATER = 7
    HOUSE = 8
    FENCE = 9
    CAR = 10
    BOAT = 11
    PERSON = 12


def rgb(*values: float) -> np.ndarray:
    """A colour, (3,) float32."""
    return np.array(values, np.float32)


@dataclass(frozen=True)
class Light:
    """One hour of the day: the colours of the sky, of the sunlight on things, and of the air in between."""

    top: np.ndarray
    middle: np.ndarray
    low: np.ndarray  # just above the horizon
    tint: np.ndarray  # multiplies the colour of everything the light falls on
    haze: np.ndarray  # what far things fade to
    sun: np.ndarray
    lamps: float  # chance that a window is lit
    clouds: float  # share of the sky that is covered
    side: int = 1  # where the sun stands: 1 right, -1 left

    def jitter(self, rng: np.random.Generator) -> "Light":
        """The same hour on another day."""
        cast = 1 + rng.normal(0, 0.03, 3).astype(np.float32)
        names = ("top", "middle", "low", "tint", "haze")
        varied = {name: np.clip(getattr(self, name) * cast * np.float32(rng.normal(1, 0.05)), 0, 1) for name in names}
        cover = float(np.clip(self.clouds + rng.normal(0, 0.15), 0, 1))
        return replace(self, **varied, clouds=cover, side=int(rng.choice([-1, 1])))


def fractal(rng: np.random.Generator, power: float) -> np.ndarray:
    """Periodic noise with amplitude 1/frequency**power: (TILE, TILE) float32, mean 0, deviation 1."""
    y, x = np.fft.fftfreq(TILE)[:, None].astype(np.float32), np.fft.rfftfreq(TILE)[None].astype(np.float32)
    strength = np.maximum(x * x + y * y, np.float32(TILE**-2)) ** np.float32(-power / 2)
    white = rng.standard_normal((*strength.shape, 2), dtype=np.float32).view(np.complex64)[..., 0]
    field = np.fft.irfft2(strength * white, s=(TILE, TILE)).astype(np.float32)
    return (field - field.mean()) / field.std()


def smoothstep(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 below ``low``, 1 above ``high``, and soft in between."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


class Canvas:
    """A picture in the making: colours, labels, the light, and a camera over a plane.

    The camera stands ``eye`` metres above the ground and looks along Z; ``horizon`` is a row (it may lie outside the
    picture) and ``vanish`` the column where lines along Z meet.
    """

    def __init__(
        self, rng: np.random.Generator, *, size: tuple[int, int], horizon: float, eye: float, light: Light
    ) -> None:
        self.height, self.width = size
        self.horizon, self.eye, self.light, self.rng = horizon, eye, light, rng
        self.vanish = self.width * rng.uniform(0.25, 0.75)
        shape = (self.height * SCALE, self.width * SCALE)
        self.image = np.zeros((*shape, 3), np.float32)
        self.labels = np.full(shape, Label.SKY, np.uint8)
        self.smooth, self.rough = fractal(rng, 1.9), fractal(rng, 1.15)
        self.rows = (np.arange(shape[0], dtype=np.float32)[:, None] + 0.5) / SCALE
        self.columns = (np.arange(shape[1], dtype=np.float32)[None] + 0.5) / SCALE

    def metre(self, y: float) -> float:
        """How many pixels a metre measures for something that stands on the ground at row y."""
        return max(y - self.horizon, 0.5) / self.eye

    def plane(self) -> tuple[int, np.ndarray, np.ndarray]:
        """The first drawn row of the ground, then X and Z in metres, (rows, columns), of all its drawn pixels."""
        first = int(np.clip(round(self.horizon * SCALE), 0, len(self.rows)))
        down = np.maximum(self.rows[first:] - self.horizon, 0.3)
        across = (self.columns - self.vanish) * (self.eye / down)
        return first, across, np.broadcast_to(self.height * self.eye / down, across.shape)

    def sample(self, tile: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """A noise tile read at row v and column u, which repeats for ever in both directions."""
        return tile[v.astype(np.int32) & (TILE - 1), u.astype(np.int32) & (TILE - 1)]

    def patch(self, tile: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        """A piece of a noise tile from a random place."""
        top, left = self.rng.integers(TILE, size=2)
        rows, columns = (np.arange(shape[0]) + top) % TILE, (np.arange(shape[1]) + left) % TILE
        return tile[rows[:, None], columns[None]]

    def lit(self, colour: np.ndarray, y: float | None = None, face: float = 0.0) -> np.ndarray:
        """What the light makes of a colour, standing at row y (haze) and turned to the sun (1) or away (-1)."""
        lit = colour * self.light.tint * np.float32(1 + 0.22 * face)
        if y is None:
            return lit
        depth = np.float32(0.4 * np.exp(-max(y - self.horizon, 0) / (0.13 * self.height)))
        return lit * (1 - depth) + self.light.haze * depth

    def box(self, points: Points) -> tuple[slice, slice] | None:
        """The drawn rows and columns that hold the points (None when they all lie outside)."""
        xy = np.array(points) * SCALE
        (left, top), (right, bottom) = np.floor(xy.min(0)).astype(int), np.ceil(xy.max(0)).astype(int) + 1
        rows = slice(max(top, 0), min(bottom, self.labels.shape[0]))
        columns = slice(max(left, 0), min(right, self.labels.shape[1]))
        return (rows, columns) if rows.start < rows.stop and columns.start < columns.stop else None

    def polygon(
        self,
        points: Points,
        colour: np.ndarray,
        label: int,
        *,
        to: np.ndarray | None = None,
        texture: float = 0.0,
        draw: str = "polygon",
    ) -> None:
        """Fill a polygon (or ``draw="ellipse"``: two corners), from ``colour`` at the top to ``to`` at the bottom."""
        box = self.box(points)
        if box is None:
            return
        mask = self.stencil(box, points, draw)
        self.fill(box, mask, self.wash(mask.shape, colour, to, texture), label)

    def stencil(self, box: tuple[slice, slice], points: Points, draw: str = "polygon") -> np.ndarray:
        """Which drawn pixels of a box lie in a polygon or an ellipse: bool (h, w)."""
        rows, columns = box
        stencil = Image.new("1", (columns.stop - columns.start, rows.stop - rows.start))
        moved = [(x * SCALE - columns.start, y * SCALE - rows.start) for x, y in points]
        getattr(ImageDraw.Draw(stencil), draw)(moved, fill=1)
        return np.asarray(stencil)

    def wash(self, shape: tuple[int, int], colour: np.ndarray, to: np.ndarray | None, texture: float) -> np.ndarray:
        """A colour, or a gradient downwards, with a little noise: (h, w, 3)."""
        fall = np.linspace(0, 1, shape[0], dtype=np.float32)[:, None, None]
        base = colour if to is None else colour * (1 - fall) + to * fall
        noise = 1 + texture * self.patch(self.rough, shape)[..., None] if texture else np.float32(1)
        return np.broadcast_to(base * noise, (*shape, 3))

    def fill(self, box: tuple[slice, slice], mask: np.ndarray, colours: np.ndarray, label: int) -> None:
        """Set colour and label of the masked pixels of a box, together."""
        np.copyto(self.image[box], colours, where=mask[..., None])
        np.copyto(self.labels[box], np.uint8(label), where=mask)

    def foliage(self, x: float, y: float, rx: float, ry: float, colour: np.ndarray, rough: float = 0.2) -> None:
        """A clump of leaves with a ragged edge, lit from the sun's side."""
        box = self.box([(x - 1.4 * rx, y - 1.4 * ry), (x + 1.4 * rx, y + 1.4 * ry)])
        if box is None:
            return
        v, u = (self.rows[box[0]] - y) / ry, (self.columns[:, box[1]] - x) / rx
        noise = self.patch(self.rough, (v.shape[0], u.shape[1]))
        mask = u * u + v * v + rough * noise < 1
        shine = 0.92 + 0.2 * (self.light.side * u - v) + 0.16 * noise
        self.fill(box, mask, np.clip(shine, 0.3, 1.6)[..., None] * colour, Label.TREE)

    def shadow(self, x: float, y: float, rx: float, ry: float, strength: float = 0.35) -> None:
        """Darken the ground softly, away from the sun."""
        x -= self.light.side * 0.45 * rx
        box = self.box([(x - rx, y - ry), (x + rx, y + ry)])
        if box is not None:
            far = ((self.columns[:, box[1]] - x) / rx) ** 2 + ((self.rows[box[0]] - y) / ry) ** 2
            self.image[box] *= (1 - strength * smoothstep(1 - far, 0, 0.7))[..., None]

    def relabel(self, points: Points, label: int, dim: float) -> None:
        """Label a polygon and only dim what it shows."""
        box = self.box(points)
        if box is not None:
            mask = self.stencil(box, points)
            self.fill(box, mask, dim * self.image[box], label)

    def finish(self) -> tuple[np.ndarray, np.ndarray]:
        """The picture made small, with grain: image uint8 (H, W, 3) and labels uint8 (H, W)."""
        image = self.image.reshape(self.height, SCALE, self.width, SCALE, 3).mean((1, 3))
        x, y = np.meshgrid(np.linspace(-1, 1, self.width), np.linspace(-1, 1, self.height))
        image *= (1.02 - 0.07 * (x * x + y * y))[..., None]
        image += self.rng.normal(0, 0.008, (self.height, self.width, 1))
        labels = self.labels[SCALE // 2 :: SCALE, SCALE // 2 :: SCALE].copy()
        return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8), labels
