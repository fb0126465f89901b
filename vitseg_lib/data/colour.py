"""Photometric distortion: brightness, contrast, saturation and hue, each on uint8 (H, W, 3) RGB.

Source: reproduction: mmsegmentation 0.17, `PhotoMetricDistortion`, and OpenCV's 8-bit HSV, where hue runs from
0 to 179 (two degrees a step) and saturation and value from 0 to 255. Every step clips and truncates to uint8.
"""

import numpy as np

Adjustments = tuple[tuple[str, float], ...]  # (name, parameter), in the order in which they are applied


def adjust_brightness(image: np.ndarray, delta: float) -> np.ndarray:
    """Add `delta` (in grey levels) to every value."""
    return _levels(np.arange(256) + delta)[image]


def adjust_contrast(image: np.ndarray, factor: float) -> np.ndarray:
    """Multiply every value by `factor`."""
    return _levels(np.arange(256) * factor)[image]


def adjust_saturation(image: np.ndarray, factor: float) -> np.ndarray:
    """Multiply the saturation by `factor`: 0 is grey, 1 changes nothing but the rounding."""
    hue, saturation, value = rgb_to_hsv(image)
    return hsv_to_rgb(hue, _levels(np.arange(256) * factor)[saturation], value)


def adjust_hue(image: np.ndarray, shift: int) -> np.ndarray:
    """Turn the hue by `shift` steps of two degrees: 60 makes red green."""
    hue, saturation, value = rgb_to_hsv(image)
    return hsv_to_rgb(((np.arange(256) + shift) % 180).astype(np.uint8)[hue], saturation, value)


ADJUST = {
    "brightness": adjust_brightness,
    "contrast": adjust_contrast,
    "saturation": adjust_saturation,
    "hue": adjust_hue,
}


def draw_adjustments(rng: np.random.Generator) -> Adjustments:
    """Draw what to change: each of the four with probability 0.5, contrast as the second or as the last.

    Brightness +U(-32, 32), contrast ×U(0.5, 1.5), saturation ×U(0.5, 1.5), hue + an integer from -18 to 17.
    """

    def maybe(name: str, draw: float) -> Adjustments:
        return ((name, draw),) if rng.integers(2) else ()

    brightness = maybe("brightness", rng.uniform(-32, 32))
    contrast_first = rng.integers(2)
    contrast = maybe("contrast", rng.uniform(0.5, 1.5))
    saturation = maybe("saturation", rng.uniform(0.5, 1.5))
    hue = maybe("hue", int(rng.integers(-18, 18)))
    middle = saturation + hue
    return brightness + (contrast + middle if contrast_first else middle + contrast)


def apply_adjustments(image: np.ndarray, adjustments: Adjustments) -> np.ndarray:
    """Apply the named adjustments to an image, uint8 (H, W, 3), one after the other."""
    for name, parameter in adjustments:
        image = ADJUST[name](image, parameter)
    return image


def rgb_to_hsv(image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Split uint8 (H, W, 3) RGB into hue 0..179, saturation and value 0..255, each uint8 (H, W)."""
    red, green, blue = (image[..., channel].astype(np.int16) for channel in range(3))
    value = np.maximum(np.maximum(red, green), blue)
    spread = value - np.minimum(np.minimum(red, green), blue)
    # The sector in which the largest channel lies, and how far into it: hue / 60°, times the spread.
    sixths = np.where(
        value == red, green - blue, np.where(value == green, blue - red + 2 * spread, red - green + 4 * spread)
    )
    hue = (sixths * _PER_SPREAD[spread] + _HALF) >> _BITS
    saturation = (spread * _PER_VALUE[value] + _HALF) >> _BITS
    return np.where(hue < 0, hue + 180, hue).astype(np.uint8), saturation.astype(np.uint8), value.astype(np.uint8)


def hsv_to_rgb(hue: np.ndarray, saturation: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Join hue 0..179, saturation and value 0..255, each uint8 (H, W), into uint8 (H, W, 3) RGB, truncated."""
    lacking = (saturation * np.float32(1 / 255))[..., None] * _MISSING[hue]
    return (value[..., None] * (1 - lacking)).astype(np.uint8)


def _levels(values: np.ndarray) -> np.ndarray:
    """Make a table, uint8 (256,), of real values: clipped, and truncated as the reference does."""
    return np.clip(values.astype(np.float32), 0, 255).astype(np.uint8)


def _missing() -> np.ndarray:
    """Return, for every hue, how much of the chroma red, green and blue lack: float32 (180, 3) from 0 to 1.

    Along the colour circle a channel is full for 120°, falls for 60°, is absent for 120° and rises for 60°.
    """
    sector = (np.arange(180)[:, None] / 30 + np.array([5, 3, 1])) % 6
    return np.clip(np.minimum(sector, 4 - sector), 0, 1).astype(np.float32)


# OpenCV divides by table, in fixed point with 12 binary digits; the entries for 0 are never used.
_BITS, _HALF = 12, 1 << 11
_DIVISORS = np.maximum(np.arange(256), 1)
_PER_SPREAD = np.rint((180 << _BITS) / (6 * _DIVISORS)).astype(np.int32)
_PER_VALUE = np.rint((255 << _BITS) / _DIVISORS).astype(np.int32)
_MISSING = _missing()
