"""Photometric distortion: brightness, contrast, saturation and hue, each on uint8 (H, W, 3) RGB.

Source: reproduction: mmsegmentation 0.17, `PhotoMetricDistortion`, and OpenCV's 8-bit HSV, where hue runs from
0 to 179 (two degrees a step) and saturation and value from 0 to 255. Every step clips and truncates to uint8.
"""

import numpy as np

STRIP = 64  # rows that are adjusted at a time
Adjustments = tuple[tuple[str, float], ...]  # (name, parameter), in the order in which they are applied


def adjust_brightness(image: np.ndarray, delta: float) -> np.ndarray:
    """Add `delta` (in grey levels) to every value."""
    return _looked_up(_levels(np.arange(256) + delta), image)


def adjust_contrast(image: np.ndarray, factor: float) -> np.ndarray:
    """Multiply every value by `factor`."""
    return _looked_up(_levels(np.arange(256) * factor), image)


def adjust_saturation(image: np.ndarray, factor: float) -> np.ndarray:
    """Multiply the saturation by `factor`: 0 is grey, 1 changes nothing but the rounding."""
    hue, saturation, value = rgb_to_hsv(image)
    return hsv_to_rgb(hue, np.take(_levels(np.arange(256) * factor), saturation), value)


def adjust_hue(image: np.ndarray, shift: int) -> np.ndarray:
    """Turn the hue by `shift` steps of two degrees: 60 makes red green."""
    hue, saturation, value = rgb_to_hsv(image)
    return hsv_to_rgb(np.take(((np.arange(256) + shift) % 180).astype(np.uint8), hue), saturation, value)


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
    if not adjustments:
        return image
    height, width, _ = image.shape
    adjusted = np.empty((3, height, width), np.uint8).transpose(1, 2, 0)
    for top in range(0, height, STRIP):  # what is made on the way to the result then fits the processor's cache
        strip = image[top : top + STRIP]
        for name, parameter in adjustments:
            strip = ADJUST[name](strip, parameter)
        adjusted[top : top + STRIP] = strip
    return adjusted


def rgb_to_hsv(image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Split uint8 (H, W, 3) RGB into hue 0..179, saturation and value 0..255, each uint8 (H, W)."""
    red, green, blue = (image[..., channel].astype(np.int16) for channel in range(3))
    value = np.maximum(np.maximum(red, green), blue)
    spread = value - np.minimum(np.minimum(red, green), blue)
    # The sector in which the largest channel lies, and how far into it: hue / 60°, times the spread.
    is_red, is_green = (value == red).astype(np.int16), (value == green).astype(np.int16)
    is_green *= 1 - is_red
    sixths = (green - blue) * is_red
    sixths += (blue - red + 2 * spread) * is_green
    sixths += (red - green + 4 * spread) * (1 - is_red - is_green)
    hue = _scaled(sixths, spread, 180 / 6)
    hue += 180 * (hue < 0).astype(np.int16)
    return hue.astype(np.uint8), _scaled(spread, value, 255).astype(np.uint8), value.astype(np.uint8)


def _scaled(part: np.ndarray, whole: np.ndarray, steps: float) -> np.ndarray:
    """Return round(part / whole · steps), int16, as OpenCV: the divisor in fixed point with 12 binary digits.

    All these numbers have at most 24 binary digits, so that float32 holds them exactly.
    """
    scaled = np.clip(whole, 1, 255).astype(np.float32)
    np.rint(np.divide(np.float32(steps * 4096), scaled, out=scaled), out=scaled)
    scaled *= part.astype(np.float32)
    scaled += np.float32(2048)
    scaled *= np.float32(1 / 4096)
    return np.floor(scaled, out=scaled).astype(np.int16)


def hsv_to_rgb(hue: np.ndarray, saturation: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Join hue 0..179, saturation and value 0..255, each uint8 (H, W), into uint8 (H, W, 3) RGB, truncated."""
    image = np.empty((3, *hue.shape), np.uint8)
    hue, saturation, value = hue.astype(np.int16), saturation.astype(np.float32), value.astype(np.float32)
    saturation *= np.float32(1 / 255)
    # Along the colour circle a channel is full for 120°, falls for 60°, is absent for 120° and rises for 60°:
    # what it lacks of the chroma, in thirtieths, goes by the distance from red, green or blue in steps of 2°.
    distances = 90 - np.abs(hue - 90), np.abs(hue - 60), np.abs(hue - 120)
    for plane, distance in zip(image, distances, strict=True):
        lacking = np.clip(distance - 30, 0, 30).astype(np.float32)
        lacking /= np.float32(30)
        lacking *= saturation
        np.subtract(np.float32(1), lacking, out=lacking)
        lacking *= value
        plane[:] = lacking
    return image.transpose(1, 2, 0)


def _looked_up(table: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Replace every value by the table's; the result lies in memory channel by channel, as all images made here."""
    return np.take(table, image.transpose(2, 0, 1)).transpose(1, 2, 0)


def _levels(values: np.ndarray) -> np.ndarray:
    """Make a table, uint8 (256,), of real values: clipped, and truncated as the reference does."""
    return np.clip(values.astype(np.float32), 0, 255).astype(np.uint8)
