"""Photometric distortion: brightness, contrast, saturation and hue, each on uint8 (H, W, 3) RGB.

Source: reproduction: mmsegmentation 0.17, `PhotoMetricDistortion`, and OpenCV's 8-bit HSV: hue 0 to 179 (two degrees
a step), saturation and value 0 to 255. Every step clips and truncates to uint8; on the way back from HSV, OpenCV
rounds the last pixels of a row, which are too few for its vector instructions.
"""

import numpy as np

from vitseg_lib.data.opencv import cv2

Adjustments = tuple[tuple[str, float], ...]  # (name, parameter), in the order in which they are applied
LEVELS = np.arange(256, dtype=np.float32)


def adjust_brightness(image: np.ndarray, delta: float) -> np.ndarray:
    """Add `delta` (in grey levels) to every value."""
    return cv2.LUT(image, _clip_to_uint8(LEVELS + delta))


def adjust_contrast(image: np.ndarray, factor: float) -> np.ndarray:
    """Multiply every value by `factor`."""
    return cv2.LUT(image, _clip_to_uint8(LEVELS * factor))


def adjust_saturation(image: np.ndarray, factor: float) -> np.ndarray:
    """Multiply the saturation by `factor`: 0 is grey, 1 changes nothing but the rounding."""
    hsv = rgb_to_hsv(image)
    hsv[..., 1] = cv2.LUT(hsv[..., 1], _clip_to_uint8(LEVELS * factor))
    return hsv_to_rgb(hsv)


def adjust_hue(image: np.ndarray, shift: int) -> np.ndarray:
    """Turn the hue by `shift` steps of two degrees: 60 makes red green."""
    hsv = rgb_to_hsv(image)
    hsv[..., 0] = cv2.LUT(hsv[..., 0], _clip_to_uint8((LEVELS + shift) % 180))
    return hsv_to_rgb(hsv)


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


def rgb_to_hsv(image: np.ndarray) -> np.ndarray:
    """Turn RGB into hue 0..179, saturation and value 0..255, all uint8 (H, W, 3)."""
    return cv2.cvtColor(image, cv2.COLOR_RGB2HSV)


def hsv_to_rgb(image: np.ndarray) -> np.ndarray:
    """Undo `rgb_to_hsv`."""
    return cv2.cvtColor(image, cv2.COLOR_HSV2RGB)


def _clip_to_uint8(values: np.ndarray) -> np.ndarray:
    """Make a lookup table, uint8 (256,), of real values: clipped, and truncated as the reference does."""
    return np.clip(values, 0, 255).astype(np.uint8)
