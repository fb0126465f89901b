"""What the tests of pictures share: three classes in pure colours, and looking at what was drawn."""

import io

import numpy as np
from PIL import Image

from vitseg_lib.course.figures.picture import ACCENT, Picture
from vitseg_lib.data.classes import Classes

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
CLASSES = Classes(("wall, bare", "sky", "tree"), np.array([RED, GREEN, BLUE], np.uint8))
ACCENT_BYTES = np.array([int(ACCENT[i : i + 2], 16) for i in (1, 3, 5)], np.uint8)


def pixels_of(picture: Picture) -> np.ndarray:
    """The picture's PNG file, decoded: RGBA, uint8 (H, W, 4)."""
    return np.array(Image.open(io.BytesIO(picture.png)).convert("RGBA"))


def has_colour(pixels: np.ndarray, colour: tuple[int, ...] | np.ndarray) -> int:
    """How many pixels have exactly that colour."""
    return int((pixels[..., :3] == np.array(colour)).all(axis=-1).sum())
