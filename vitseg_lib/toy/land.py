"""The land of the toy scenes: hours of the day, sky, mountains, woods, ground, roads and water."""

import numpy as np

from vitseg_lib.toy.canvas import SCALE, TILE, Canvas, Label, Light, rgb, smoothstep
from vitseg_lib.toy.shapes import LEAVES, choose

HOURS = {
    "dawn": Light(rgb(0.50, 0.58, 0.80), rgb(0.88, 0.74, 0.78), rgb(1.0, 0.84, 0.70), rgb(1.0, 0.92, 0.89),
                  rgb(0.90, 0.80, 0.80), rgb(1.0, 0.90, 0.70), lamps=0.15, clouds=0.35),
    "noon": Light(rgb(0.24, 0.47, 0.80), rgb(0.45, 0.67, 0.90), rgb(0.78, 0.88, 0.95), rgb(1.06, 1.03, 0.97),
                  rgb(0.72, 0.82, 0.91), rgb(1.0, 0.98, 0.90), lamps=0.0, clouds=0.45),
    "gold": Light(rgb(0.42, 0.56, 0.72), rgb(0.82, 0.78, 0.66), rgb(1.0, 0.83, 0.55), rgb(1.06, 0.96, 0.83),
                  rgb(0.92, 0.78, 0.58), rgb(1.0, 0.88, 0.60), lamps=0.1, clouds=0.35),
    "dusk": Light(rgb(0.24, 0.24, 0.44), rgb(0.62, 0.40, 0.50), rgb(0.98, 0.60, 0.36), rgb(0.88, 0.74, 0.70),
                  rgb(0.74, 0.50, 0.48), rgb(1.0, 0.70, 0.40), lamps=0.6, clouds=0.4),
    "grey": Light(rgb(0.58, 0.63, 0.68), rgb(0.72, 0.75, 0.78), rgb(0.84, 0.85, 0.85), rgb(0.86, 0.88, 0.90),
                  rgb(0.78, 0.80, 0.82), rgb(0.92, 0.92, 0.90), lamps=0.1, clouds=0.8),
    "night": Light(rgb(0.05, 0.08, 0.19), rgb(0.11, 0.16, 0.31), rgb(0.24, 0.30, 0.46), rgb(0.50, 0.55, 0.70),
                   rgb(0.20, 0.26, 0.41), rgb(0.92, 0.93, 0.86), lamps=0.8, clouds=0.3),
}  # fmt: skip
SOILS = {
    (Label.GRASS, "summer"): [rgb(0.36, 0.52, 0.18), rgb(0.44, 0.57, 0.22), rgb(0.30, 0.47, 0.17)],
    (Label.GRASS, "spring"): [rgb(0.46, 0.62, 0.23), rgb(0.38, 0.57, 0.22), rgb(0.52, 0.64, 0.28)],
    (Label.GRASS, "autumn"): [rgb(0.53, 0.55, 0.22), rgb(0.43, 0.49, 0.20), rgb(0.58, 0.54, 0.25)],
    (Label.GRASS, "dry"): [rgb(0.61, 0.61, 0.29), rgb(0.55, 0.58, 0.26), rgb(0.65, 0.63, 0.33)],
    (Label.EARTH, "any"): [
        *(rgb(0.50, 0.35, 0.24), rgb(0.62, 0.45, 0.31), rgb(0.42, 0.30, 0.22)),
        *(rgb(0.57, 0.36, 0.26), rgb(0.68, 0.50, 0.35)),
    ],
    (Label.ROAD, "any"): [
        *(rgb(0.45, 0.45, 0.46), rgb(0.34, 0.34, 0.36), rgb(0.55, 0.54, 0.53)),
        *(rgb(0.40, 0.40, 0.43), rgb(0.58, 0.54, 0.50)),
    ],
}


def sky(c: Canvas, hour: str) -> None:
    """A gradient of three colours, the sun's glow, clouds on a plane overhead, and stars at night."""
    light = c.light
    fall = np.clip(c.rows[:, 0] / max(c.horizon, 0.6 * c.height), 0, 1)
    stops = np.stack([light.top, light.middle, light.low])
    c.image[:] = np.stack([np.interp(fall, (0, 0.55, 1), stops[:, i]) for i in range(3)], -1)[:, None]
    if c.horizon < 8:
        return
    if hour == "night":
        stars = c.rng.random((c.height, c.width)) < 0.004
        shine = np.kron(stars * c.rng.uniform(0.1, 0.6, stars.shape), np.ones((SCALE, SCALE)))
        c.image += (shine * np.clip(1 - c.rows / c.horizon, 0, 1))[..., None].astype(np.float32)
    sun(c, hour)
    clouds(c)


def sun(c: Canvas, hour: str) -> None:
    """A disc and its glow, low at dawn and dusk; the moon at night; under a grey sky nothing to see."""
    low = {"dawn": 0.85, "gold": 0.7, "dusk": 0.9, "noon": 0.1, "night": 0.3, "grey": 0.2}[hour]
    x = c.width * (0.5 + c.light.side * c.rng.uniform(0.05, 0.42))
    y = c.horizon * float(np.clip(low + c.rng.normal(0, 0.12), 0.05, 0.97))
    above = int(np.clip(c.horizon * SCALE, 0, len(c.rows)))
    far = np.hypot(c.columns - x, c.rows[:above] - y) / c.height
    glow = {"grey": 0.05, "noon": 0.3, "night": 0.3}.get(hour, 0.75) * np.exp(
        -far / (0.09 if hour == "night" else 0.22)
    )
    if hour not in ("grey", "noon"):
        glow = np.maximum(glow, smoothstep(0.034 - far, 0, 0.006))
    c.image[:above] += glow[..., None] * (c.light.sun - c.image[:above])


def clouds(c: Canvas) -> None:
    """Fractal clouds that flatten towards the horizon, lit from the sun's side."""
    above = int(np.clip(c.horizon * SCALE, 0, len(c.rows)))
    up = np.maximum(c.horizon - c.rows[:above], 0) + 0.16 * c.height
    shift_u, shift_v = c.rng.uniform(0, TILE, 2)
    u = (c.columns - c.vanish) / up * (1.3 * c.height) + shift_u
    v = np.broadcast_to(2.6 * c.height**2 / up + shift_v, u.shape)
    thick = c.sample(c.smooth, u, v) + 0.25 * c.sample(c.rough, u, v)
    edge = 1.6 - 2.6 * c.light.clouds
    cover = smoothstep(thick, edge, edge + 1.3) * np.float32(c.rng.uniform(0.6, 0.95))
    shade = 0.92 + 0.10 * (thick - c.sample(c.smooth, u - 14 * c.light.side, v + 10))
    white = np.clip(0.5 * c.light.low + 0.5 * c.light.sun, 0, 1) if c.light.lamps < 0.7 else c.light.low * 1.1
    white = white if c.light.clouds < 0.65 else 0.55 * white + 0.45 * c.light.middle
    c.image[:above] += cover[..., None] * (white * shade[..., None] - c.image[:above])


def ridge(c: Canvas, base: float, peak: float, rugged: float) -> np.ndarray:
    """The rows of a skyline, (1, columns): rolling (``rugged`` 0) to jagged (1)."""
    row = c.smooth[c.rng.integers(TILE)]
    at = c.columns[0] * SCALE * c.rng.uniform(0.45, 0.9) + c.rng.uniform(0, TILE)
    shape = np.interp(at % TILE, np.arange(TILE), row)
    jag = np.interp(at * 1.7 % TILE, np.arange(TILE), c.rough[c.rng.integers(TILE)])
    shape = (1 - rugged) * np.tanh(shape) + rugged * (1.2 - 2 * np.abs(np.tanh(0.8 * shape)) + 0.05 * jag)
    return (base - peak * (0.55 + 0.45 * shape))[None].astype(np.float32)


def mountains(c: Canvas, season: str) -> None:
    """One to four ranges, the far ones in the haze; rock, wooded or grassy slopes, snow on the high ones."""
    ranges, rugged = int(c.rng.integers(1, 5)), float(c.rng.choice([0.0, 0.25, 0.6, 0.8]))
    tall = c.horizon * c.rng.uniform(0.55, 0.95) * (0.85 + 0.2 * rugged)
    snow = rugged > 0.5 and c.rng.random() < 0.6
    for i in range(ranges):
        near = (i + 1) / ranges
        slope = choose(
            c.rng, [rgb(0.38, 0.38, 0.54), rgb(0.33, 0.35, 0.50), rgb(0.45, 0.38, 0.48), rgb(0.30, 0.37, 0.44)]
        )
        hazy = np.float32(1 - near * c.rng.uniform(0.65, 0.85))
        skyline = ridge(c, c.horizon, tall * (1.0 - 0.62 * (i / ranges)) * c.rng.uniform(0.85, 1.0), rugged)
        paint_range(c, skyline, c.lit(slope), hazy, c.horizon - 0.72 * tall if snow else -1e9, rugged)


def paint_range(
    c: Canvas, skyline: np.ndarray, colour: np.ndarray, hazy: np.float32, snow_line: float, rugged: float
) -> None:
    """Fill below a skyline down to the horizon, with relief from embossed noise and snow above a line."""
    box = c.box([(0, float(skyline.min())), (c.width, c.horizon)])
    if box is None:
        return
    rows = c.rows[box[0]]
    shape = (len(rows), c.columns.shape[1])
    noise = c.patch(c.smooth, (shape[0] + 6, shape[1] + 6)) + 0.12 * c.patch(c.rough, (shape[0] + 6, shape[1] + 6))
    relief = (noise[6:, 6:] - noise[:-6, :-6]) * c.light.side * np.float32(0.55 + 0.7 * rugged)
    slope = np.convolve(np.gradient(skyline[0]), np.ones(31) / 31, "same")[None].astype(np.float32)
    relief -= c.light.side * (0.4 + rugged) * slope * np.exp((skyline - rows) / (0.25 * c.height))
    faces = colour * np.clip(1 + 0.4 * np.tanh(relief), 0.5, 1.5)[..., None]
    snowy = smoothstep(snow_line - rows + 3.5 * noise[3:-3, 3:-3], -1, 2.5)[..., None]
    white = c.lit(rgb(0.95, 0.96, 1.0)) * np.clip(0.9 + 0.22 * np.tanh(relief), 0.6, 1.1)[..., None]
    faces = faces + snowy * (white - faces)
    mist = np.clip(hazy + 0.28 * smoothstep(rows, float(skyline.min()), c.horizon), 0, 0.9)[..., None]
    c.fill(box, rows >= skyline, faces * (1 - mist) + c.light.haze * mist, Label.MOUNTAIN)


def woods(c: Canvas, season: str) -> None:
    """A far wood along the horizon."""
    peak = c.height * c.rng.uniform(0.05, 0.11)
    at = (c.columns[0] * SCALE * 1.3 + c.rng.uniform(0, TILE)) % TILE
    rough = np.interp(at, np.arange(TILE), c.rough[c.rng.integers(TILE)])
    broad = np.interp(at * 0.4, np.arange(TILE), c.smooth[c.rng.integers(TILE)])
    skyline = (c.horizon + 1 - peak * np.clip(0.65 + 0.7 * broad + 0.16 * rough, 0, 2))[None].astype(np.float32)
    box = c.box([(0, float(skyline.min())), (c.width, c.horizon + 0.02 * c.height)])
    rows = c.rows[box[0]]
    leaf = c.lit(choose(c.rng, LEAVES[season]), c.horizon + 0.08 * c.height)
    shine = 1 + 0.2 * c.patch(c.rough, (len(rows), c.columns.shape[1])) - 0.02 * (rows - skyline)
    c.fill(box, (rows >= skyline) & (skyline < c.horizon), leaf * np.clip(shine, 0.4, 1.5)[..., None], Label.TREE)


def ground(c: Canvas, label: Label, colour: np.ndarray, furrows: float = 0.0, where: np.ndarray | None = None) -> None:
    """Cover the plane (or a mask over its rows) with grass, earth or road, textured in perspective.

    ``colour`` is one colour or an array of them over the plane; ``furrows`` how close a plough's lines lie, 0 for none.
    """
    first, x, z = c.plane()
    if first == len(c.rows):
        return
    turn = c.rng.uniform(-1, 1)
    grain = {Label.GRASS: 0.07, Label.EARTH: 0.09}.get(label, 0.035)
    near = smoothstep(c.rows[first:] - c.horizon, 0, 0.5 * c.height)
    fine = c.sample(c.rough, x * 70, z * (34 if label == Label.GRASS else 60))
    broad = c.sample(c.smooth, x * 9, z * 9)
    shine = 1 + grain * (0.35 + near) * fine + 0.06 * broad
    if furrows:
        shine += 0.14 * np.sin((x + turn * z) * furrows) * smoothstep(near, 0.02, 0.3)
    depth = 0.4 * np.exp(-(c.rows[first:] - c.horizon) / (0.13 * c.height))[..., None]
    hue = 1 + (0.05 * broad)[..., None] * rgb(1.2, 0.2, -0.6)
    colours = (colour * c.light.tint * shine[..., None] * hue) * (1 - depth) + c.light.haze * depth
    box = (slice(first, len(c.rows)), slice(0, c.columns.shape[1]))
    c.fill(box, np.ones(x.shape, bool) if where is None else where, colours.astype(np.float32), label)


def field(c: Canvas) -> np.ndarray:
    """A part of the plane, bool over its rows: a half plane, a strip, or islands with a ragged shore."""
    _, x, z = c.plane()
    ragged = 0.6 * c.sample(c.smooth, x * 16, z * 16)
    lean, kind = c.rng.uniform(-0.8, 0.8), c.rng.integers(3)
    if kind == 0:
        return x + lean * z + ragged > c.rng.uniform(-1, 1) * c.eye
    if kind == 1:
        start = c.eye * c.rng.uniform(1.3, 4)
        return np.abs(z - start + 0.3 * lean * x + 0.5 * ragged) < c.rng.uniform(0.2, 0.45) * start
    islands = c.sample(c.smooth, x * 66 / c.eye, z * 44 / c.eye)
    return islands > c.rng.uniform(0, 0.8) + z / (9 * c.eye)  # none far away, where they would be stripes


def road(c: Canvas, *, width: float, across: bool = False, straight: bool = False) -> None:
    """A road that winds towards the horizon, or (``across``) runs from side to side; verges, and a dashed line."""
    _, x, z = c.plane()
    colour = choose(c.rng, SOILS[Label.ROAD, "any"])
    if across:
        bend = c.eye / c.rng.uniform(0.18, 0.5) + c.rng.uniform(-0.25, 0.25) * x
        off, along = z - bend, x
    else:
        wind = 0.0 if straight else c.rng.uniform(0.4, 1.6) * width
        lead = 0.0 if straight else c.rng.uniform(-0.12, 0.12)
        start = 0.0 if straight else c.rng.uniform(-0.5, 0.5) * width
        off = (
            x
            - start
            - lead * z
            - wind * np.sin(z / (4.2 * c.eye) + c.rng.uniform(0, 6.3)) * smoothstep(z, 0, 6 * c.eye)
        )
        along = z
    off = off + 0.05 * c.sample(c.rough, x * 20, z * 20)
    inside = np.abs(off) < width / 2
    pale, dash = (rgb(0.82, 0.80, 0.74), rgb(0.88, 0.86, 0.80)) if colour.mean() < 0.5 else (0.75 * colour, colour)
    line = (np.abs(off) < 0.11) & (along % 3 < 1.7) & (width > 4.5)
    colours = np.where((np.abs(off) > width / 2 - 0.25)[..., None], pale, np.where(line[..., None], dash, colour))
    ground(c, Label.ROAD, colours, where=inside)


def water(c: Canvas, where: np.ndarray, *, calm: float) -> None:
    """Water where the mask (over the plane's rows) says: it mirrors what is above the horizon, rippled unless calm."""
    first, x, z = c.plane()
    down = c.rows[first:] - c.horizon
    ripple = c.sample(c.rough, x * 26, z * 90) * smoothstep(down, 0, 0.25 * c.height)
    swell = c.sample(c.smooth, x * 14, z * 60)
    wave = (1 - calm) * (0.6 * ripple + 0.8 * swell)
    source = c.horizon - down + 5 * wave
    top = 0.3 * max(c.horizon, 1)  # what lies above the picture is guessed from what is highest in it
    source = np.where(source > 0, source, top * np.tanh(-source / top))
    source = (source * SCALE).astype(np.int32).clip(0, max(first - 1, 0))
    side = np.clip(c.columns * SCALE + 5 * wave, 0, c.columns.shape[1] - 1).astype(np.int32)
    if c.horizon > 8:
        seen = c.image[source, side]
    else:
        seen = c.light.low + (c.light.top - c.light.low) * np.clip(c.rows[first:] / c.height, 0, 1)[..., None]
    deep = c.rng.uniform(0.35, 0.85) * (1 - 0.85 * calm) * smoothstep(down, -0.2 * c.height, 0.5 * c.height)[..., None]
    hue = c.lit(choose(c.rng, [rgb(0.08, 0.36, 0.42), rgb(0.10, 0.40, 0.40), rgb(0.06, 0.30, 0.42)]))
    colours = (seen * (1 - deep) + hue * deep) * (0.985 + 0.05 * wave[..., None])
    glint = (smoothstep(wave, 0.9 * (1.2 - calm), 1.6 * (1.2 - calm)) * 0.25)[..., None]
    colours = colours + glint * (c.light.low - colours)
    box = (slice(first, len(c.rows)), slice(0, c.columns.shape[1]))
    c.fill(box, where, colours.astype(np.float32), Label.WATER)
