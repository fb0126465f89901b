"""From a photograph to the network's input, and the random changes that make one image many.

Small pure functions with every parameter explicit, functions that draw those parameters, and the two pipelines.
Source: reproduction: mmsegmentation 0.17. Images are uint8 (H, W, 3) RGB, labels uint8 (H, W), 255 = ignored.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import Generator
from torch import Tensor

from vitseg_lib.data.classes import IGNORED
from vitseg_lib.data.colour import apply_adjustments, draw_adjustments
from vitseg_lib.data.opencv import cv2

MEAN = (123.675, 116.28, 103.53)  # ImageNet's, red, green and blue, in grey levels
STD = (58.395, 57.12, 57.375)

Box = tuple[int, int, int, int]  # top, left, bottom, right; the last two excluded


def fit_size(height: int, width: int, scale: tuple[int, int] = (2048, 512)) -> tuple[int, int]:
    """Return the largest (height, width) of the same shape whose long and short side fit those of `scale`; ≥ 1."""
    factor = min(max(scale) / max(height, width), min(scale) / min(height, width))
    return max(int(height * factor + 0.5), 1), max(int(width * factor + 0.5), 1)


def resize_image(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize an image to (height, width) by OpenCV: bilinear, half-pixel centres, no antialias, weights in 1/2048."""
    return cv2.resize(image, tuple(size)[::-1], interpolation=cv2.INTER_LINEAR)


def resize_labels(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize labels to (height, width): the nearest by index floor(new · old_side / new_side), no blending."""
    height, width = labels.shape
    rows = np.arange(size[0]) * height // size[0]
    columns = np.arange(size[1]) * width // size[1]
    across = np.take(cv2.transpose(labels), columns, axis=0)  # transposed, for rows are copied faster than columns
    return np.take(cv2.transpose(across), rows, axis=0)


def random_scale(rng: Generator, scale: tuple[int, int], ratio_range: tuple[float, float]) -> tuple[int, int]:
    """Draw r ~ U(`ratio_range`) and return (int(r · scale[0]), int(r · scale[1]))."""
    ratio = rng.uniform(*ratio_range)
    return int(scale[0] * ratio), int(scale[1] * ratio)


def random_box(rng: Generator, height: int, width: int, crop: int) -> Box:
    """Draw the position of a `crop` × `crop` window inside height × width; a shorter side is taken whole."""
    top = int(rng.integers(max(height - crop, 0) + 1))
    left = int(rng.integers(max(width - crop, 0) + 1))
    return top, left, min(top + crop, height), min(left + crop, width)


def largest_class_fraction(labels: np.ndarray) -> float:
    """Return the fraction, 0 to 1, of the commonest class among the pixels not ignored; 1 if there are none."""
    counts = cv2.calcHist([labels], [0], None, [256], [0, 256])[:IGNORED].astype(int)
    return float(counts.max() / counts.sum()) if counts.any() else 1.0


def crop_box(labels: np.ndarray, crop: int, rng: Generator, *, cat_max_ratio: float = 0.75, draws: int = 10) -> Box:
    """Draw windows until no class fills `cat_max_ratio` of one; after `draws` of them take the next as it is."""
    for _ in range(draws if cat_max_ratio < 1 else 0):
        box = random_box(rng, *labels.shape, crop)
        if largest_class_fraction(crop_array(labels, box)) < cat_max_ratio:
            return box
    return random_box(rng, *labels.shape, crop)


def crop_array(array: np.ndarray, box: Box) -> np.ndarray:
    """Cut the box out of an image or of labels."""
    top, left, bottom, right = box
    return array[top:bottom, left:right]


def flip(array: np.ndarray) -> np.ndarray:
    """Mirror an image or labels, left to right."""
    return cv2.flip(array, 1)


def normalise(image: np.ndarray, mean: tuple[float, ...] = MEAN, std: tuple[float, ...] = STD) -> Tensor:
    """Turn an image, uint8 (H, W, 3), into (image - mean) / std, float32 (3, H, W)."""
    planes = torch.stack([torch.from_numpy(plane) for plane in cv2.split(image)]).float()
    return planes.sub_(_per_channel(mean)).div_(_per_channel(std))


def denormalise(pixels: Tensor, mean: tuple[float, ...] = MEAN, std: tuple[float, ...] = STD) -> np.ndarray:
    """Undo `normalise`: float32 (3, H, W) to uint8 (H, W, 3), rounded."""
    image = pixels * _per_channel(std) + _per_channel(mean)
    return image.round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).contiguous().numpy()


def _per_channel(values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)[:, None, None]


def pad(pixels: Tensor, labels: np.ndarray, crop: int) -> tuple[Tensor, np.ndarray]:
    """Fill up right and bottom to `crop` × `crop`: pixels (3, H, W) with 0, labels (H, W) with 255."""
    bottom, right = (max(crop - side, 0) for side in labels.shape)
    if not (bottom or right):
        return pixels, labels
    padded = np.pad(labels, ((0, bottom), (0, right)), constant_values=IGNORED)
    return F.pad(pixels, (0, right, 0, bottom)), padded


class Step(NamedTuple):
    """What a step did: the parameters it drew, the image (float32 (3, H, W) once normalised) and labels after it."""

    name: str
    parameters: dict[str, Any]
    image: np.ndarray | Tensor
    labels: np.ndarray


@dataclass(frozen=True)
class TrainPipeline:
    """The training transforms: resize, crop, flip, colour, normalise, pad.

    `scale` is what the image fits into, times a ratio from `ratio_range`; `crop` the side of the square result;
    `cat_max_ratio` the largest fraction of one class in a crop; `hflip` the probability of mirroring.
    """

    crop: int = 512
    scale: tuple[int, int] = (2048, 512)
    ratio_range: tuple[float, float] = (0.5, 2.0)
    cat_max_ratio: float = 0.75
    hflip: float = 0.5
    photometric: bool = True
    mean: tuple[float, ...] = MEAN
    std: tuple[float, ...] = STD

    def __call__(self, image: np.ndarray, labels: np.ndarray, rng: Generator) -> tuple[Tensor, Tensor]:
        """Return pixels, float32 (3, crop, crop), and labels, uint8 (crop, crop), for an image and its labels."""
        *_, last = self.steps(image, labels, rng)
        return last.image, torch.from_numpy(last.labels)

    def steps(self, image: np.ndarray, labels: np.ndarray, rng: Generator) -> Iterator[Step]:
        """Yield each of the eight steps as it is taken; the first two were taken by whoever read the pair."""
        yield Step("read", {}, image, labels)
        yield Step("shift labels", {}, image, labels)

        size = fit_size(*labels.shape, random_scale(rng, self.scale, self.ratio_range))
        image, labels = resize_image(image, size), resize_labels(labels, size)
        yield Step("resize", {"size": size}, image, labels)

        box = crop_box(labels, self.crop, rng, cat_max_ratio=self.cat_max_ratio)
        image, labels = crop_array(image, box), crop_array(labels, box)
        yield Step("crop", {"box": box}, image, labels)

        if flipped := bool(rng.random() < self.hflip):
            image, labels = flip(image), flip(labels)
        yield Step("flip", {"flipped": flipped}, image, labels)

        adjustments = draw_adjustments(rng) if self.photometric else ()
        image = apply_adjustments(image, adjustments)
        yield Step("colour", {"adjustments": adjustments}, image, labels)

        pixels = normalise(image, self.mean, self.std)
        yield Step("normalise", {"mean": self.mean, "std": self.std}, pixels, labels)

        pixels, labels = pad(pixels, labels, self.crop)
        yield Step("pad", {"crop": self.crop}, pixels, labels)


@dataclass(frozen=True)
class EvalPipeline:
    """The test transforms: resize to fit `scale`, normalise; padding is the encoder's affair."""

    scale: tuple[int, int] = (2048, 512)
    mean: tuple[float, ...] = MEAN
    std: tuple[float, ...] = STD

    def __call__(self, image: np.ndarray) -> Tensor:
        """Turn an image, uint8 (H, W, 3), into pixels, float32 (3, h, w)."""
        return normalise(resize_image(image, fit_size(*image.shape[:2], self.scale)), self.mean, self.std)
