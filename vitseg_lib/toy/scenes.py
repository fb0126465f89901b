"""Toy scenes: little landscapes and streets drawn by formula, with their labels, in ADE20K's folder layout.

A segmenter has something to do here: still water mirrors the sky and the hills, roofs have the colours of roads and
earth, cars and boats any colour at all, people are small or large; what a thing *is* shows in its shape, its place and
its neighbours. Twelve of ADE20K's classes, with its names and colours; what belongs to none of them is labelled 0.
"""

from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from vitseg_lib.data.image_io import write_image
from vitseg_lib.files import InputError, atomic_path
from vitseg_lib.toy import land, shapes
from vitseg_lib.toy.canvas import Canvas, Label
from vitseg_lib.toy.places import avenue, balloons, populate

CLASSES: tuple[tuple[str, tuple[int, int, int]], ...] = (
    ("sky", (6, 230, 230)),
    ("mountain", (143, 255, 140)),
    ("tree", (4, 200, 3)),
    ("grass", (4, 250, 7)),
    ("earth", (120, 120, 70)),
    ("road", (140, 140, 140)),
    ("water", (61, 230, 250)),
    ("house", (255, 9, 224)),
    ("fence", (255, 184, 6)),
    ("car", (0, 102, 200)),
    ("boat", (173, 255, 0)),
    ("person", (150, 5, 61)),
)


def draw_scene(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw one scene.

    Returns the image, uint8 (H, W, 3) RGB, and its labels as they lie on disk, uint8 (H, W): 0 other, 1..K the
    classes. The short side is 128, the long one 128 to 176 pixels. The same generator state gives the same scene.
    """
    long = int(rng.integers(128, 177))
    size = (128, long) if rng.random() < 0.7 else (long, 128)
    kind = rng.choice([country, lake, sea, street, from_above], p=[0.34, 0.26, 0.08, 0.22, 0.10])
    hour = str(rng.choice(list(land.HOURS), p=[0.16, 0.42, 0.17, 0.09, 0.11, 0.05]))
    return kind(rng, size, hour, str(rng.choice(list(shapes.LEAVES), p=[0.66, 0.13, 0.14, 0.07]))).finish()


def begin(
    rng: np.random.Generator, size: tuple[int, int], hour: str, horizon: tuple[float, float], eye: tuple[float, float]
) -> Canvas:
    """A canvas with its horizon (in heights) and eye (in metres) drawn from two ranges, and the sky on it."""
    light = land.HOURS[hour].jitter(rng)
    c = Canvas(rng, size=size, horizon=size[0] * rng.uniform(*horizon), eye=rng.uniform(*eye), light=light)
    land.sky(c, hour)
    return c


def country(rng: np.random.Generator, size: tuple[int, int], hour: str, season: str) -> Canvas:
    """Fields and hills, a winding road, a farm."""
    c = begin(rng, size, hour, (0.25, 0.6), (2.2, 5.0))
    backdrop(c, season)
    fields(c, season)
    if rng.random() < 0.75:
        land.road(c, width=rng.uniform(3.5, 6), across=bool(rng.random() < 0.3))
    populate(c, season, trees=4, houses=1, people=3, fences=2, cars=2, others=1)
    return c


def lake(rng: np.random.Generator, size: tuple[int, int], hour: str, season: str) -> Canvas:
    """Still or ruffled water between a far and a near shore."""
    c = begin(rng, size, hour, (0.3, 0.6), (2.2, 4.0))
    backdrop(c, season)
    fields(c, season)
    first, _, _ = c.plane()
    down = (c.rows[first:] - c.horizon) / (c.height - c.horizon)
    slant = rng.uniform(-0.3, 0.3) * (c.columns / c.width - 0.5)
    near = rng.uniform(0.5, 1.0) + slant + 0.05 * c.patch(c.smooth, (1, c.columns.size))
    far = 0.03 * rng.integers(2)
    land.water(c, (down < near) & (down > far), calm=float(rng.choice([0.95, 0.5, 0.3, 0.1])))
    populate(c, season, boats=4, trees=2, people=3, fences=1, others=1)
    return c


def sea(rng: np.random.Generator, size: tuple[int, int], hour: str, season: str) -> Canvas:
    """Open water to the horizon, at times a headland: what is above is sky, what is below is water."""
    c = begin(rng, size, hour, (0.2, 0.7), (2.5, 5.0))
    if rng.random() < 0.3:
        land.mountains(c, season)
    _, x, _ = c.plane()
    land.water(c, np.ones(x.shape, bool), calm=float(rng.choice([0.95, 0.5, 0.2])))
    populate(c, season, boats=6)
    return c


def street(rng: np.random.Generator, size: tuple[int, int], hour: str, season: str) -> Canvas:
    """A straight road between two rows of houses."""
    c = begin(rng, size, hour, (0.3, 0.6), (1.9, 3.4))
    backdrop(c, season)
    fields(c, season)
    width = rng.uniform(5, 8)
    land.road(c, width=width, straight=True)
    avenue(c, season, width)
    populate(c, season, cars=3, people=3, others=1)
    return c


def from_above(rng: np.random.Generator, size: tuple[int, int], hour: str, season: str) -> Canvas:
    """Looking down from a height: no sky, no horizon; textures and neighbours tell what is what."""
    c = begin(rng, size, hour, (-0.9, -0.3), (9.0, 14.0))
    fields(c, season)
    if rng.random() < 0.55:
        _, x, z = c.plane()
        pond = c.sample(c.smooth, x * 6, z * 6) > rng.uniform(0.3, 1.0)
        if pond.mean() < 0.5:  # a shore must be seen
            land.water(c, pond, calm=float(rng.choice([0.9, 0.5])))
    for across in (False, True):
        if rng.random() < 0.5:
            land.road(c, width=rng.uniform(3.5, 6), across=across)
    populate(c, season, trees=4, houses=1, people=3, fences=2, cars=3, boats=2, others=1)
    return c


def backdrop(c: Canvas, season: str) -> None:
    """What stands on the horizon and in the sky: mountains, a wood, a balloon, or nothing."""
    if c.rng.random() < 0.72:
        land.mountains(c, season)
    balloons(c)
    if c.rng.random() < 0.45:
        land.woods(c, season)


def fields(c: Canvas, season: str) -> None:
    """Grass with fields of earth or other grass in it, or the other way about."""
    rng = c.rng
    grasses, soils = land.SOILS[Label.GRASS, season], land.SOILS[Label.EARTH, "any"]
    here = [(Label.GRASS, shapes.choose(rng, grasses), 0.0), (Label.EARTH, shapes.choose(rng, soils), 0.0)]
    if rng.random() < 0.3:
        here.reverse()
    land.ground(c, *here[0])
    for _ in range(rng.integers(3)):
        label, colour, _ = here[rng.random() < 0.6]
        furrows = float(rng.choice([0, 5, 8])) if label == Label.EARTH else 0.0
        land.ground(c, label, colour * np.float32(rng.uniform(0.8, 1.15)), furrows, land.field(c))


def write(root: Path, *, train: int = 400, val: int = 100, seed: int = 0, progress: bool = True) -> None:
    """Draw a data set into ``root``, in ADE20K's layout, with its ``classes.json``.

    Scene i of a split depends on (seed, split, i) alone. Raises InputError if the folder holds images already.
    """
    root = Path(root)
    if any(root.glob("images/*/*")) or any(root.glob("annotations/*/*")):
        raise InputError(f"{root} already holds images or annotations; name another folder or remove them first.")
    names = [("training", "train", i) for i in range(1, train + 1)]
    names += [("validation", "val", i) for i in range(1, val + 1)]
    for split, short, i in tqdm(names, desc="toy scenes", unit="scene", disable=not progress):
        image, labels = draw_scene(np.random.default_rng([seed, split == "validation", i]))
        name = f"toy_{short}_{i:08d}"
        write_image(Image.fromarray(image), root / "images" / split / f"{name}.jpg", quality=90, subsampling=0)
        write_image(Image.fromarray(labels), root / "annotations" / split / f"{name}.png", optimize=True)
    rows = ",\n".join(f'    {{"name": "{name}", "colour": {list(colour)}}}' for name, colour in CLASSES)
    text = f'{{\n  "classes": [\n{rows}\n  ],\n  "ignore": 255,\n  "zero_is_other": true\n}}\n'
    with atomic_path(root / "classes.json") as path:
        path.write_text(text, encoding="utf-8")
