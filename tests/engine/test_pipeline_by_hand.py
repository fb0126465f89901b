"""A full-size recipe's predictions against the published pipeline, taken step by step from a photograph to labels.

Nothing of the library stands between the file and the label here but the model: sizes, resizing, normalising and
padding are NumPy's arithmetic, the two steps up are torch's. The model's weights are the reference's, by formula.
"""

import os
from dataclasses import replace
from pathlib import Path

import formula_weights
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from vitseg_lib import recipes
from vitseg_lib.engine import inference
from vitseg_lib.engine.fast_inference import fast_predict
from vitseg_lib.model import weights
from vitseg_lib.model.fast import fast
from vitseg_lib.model.upernet import resize

pytestmark = pytest.mark.slow
FULL, SMALL = (2048, 512), (512, 128)  # what a photograph must fit into: the published scale, and a sixteenth of it
RATIOS = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
LEVELS = np.float32(255) * np.array([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]], np.float32)  # ImageNet's mean, std
TOLERANCE = 1e-4  # of a probability; SAME is of the labels
SAME = 0.9999

DATA = os.environ.get("VITSEG_DATA")
PHOTOS = sorted((Path(DATA) / "images" / "validation").glob("*.jpg"))[:3] if DATA else []
NO_PHOTO = pytest.param(None, marks=pytest.mark.skip(reason="VITSEG_DATA names no folder with ADE20K's images"))
photos = pytest.mark.parametrize("path", PHOTOS or [NO_PHOTO], ids=lambda path: path.stem if path else "none")


@pytest.fixture(scope="module")
def model_of(reference_models):
    """A recipe's fast model in eval mode, with 150 classes and the reference's formula weights."""

    def build(name: str) -> torch.nn.Module:
        model = recipes.build_model(recipes.get(name)).eval()
        weights.load_mmseg(model, formula_weights.fill(reference_models[name.removesuffix("_160k")]["state_dict"]))
        return fast(model)

    return build


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


@pytest.fixture
def small_photo(ade20k_root) -> np.ndarray:
    """A real photograph where there is one, else noise; 200 wide and 150 high."""
    path = sorted((ade20k_root / "images" / "training").glob("*.jpg"))[0]
    return np.asarray(Image.fromarray(read(path)).resize((200, 150)))


# The pipeline, one step a function.


def fitted(height: int, width: int, scale: tuple[int, int]) -> tuple[int, int]:
    factor = min(scale[0] / max(height, width), scale[1] / min(height, width))
    return int(height * factor + 0.5), int(width * factor + 0.5)


def neighbours(new: int, old: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each new pixel, the old one before its centre, its weight and the next one's, in 2048ths."""
    centre = ((np.arange(new) + 0.5) * (old / new) - 0.5).astype(np.float32)
    first = np.floor(centre).astype(int)
    past = centre - first
    return first, np.rint((1 - past) * 2048).astype(int), np.rint(past * 2048).astype(int)


def resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bilinear between the four nearest pixels, however far the image shrinks, in whole numbers.

    Columns first, then rows, with the bits that OpenCV drops on the way. Beyond the first and the last column it takes
    that column; beyond the first and the last row it blends that row with itself.
    """
    (height, width), levels = image.shape[:2], image.astype(int)
    left, near, far = neighbours(size[1], width)
    beyond = (left < 0) | (left >= width - 1)
    near, far = (np.where(beyond, alone, weight)[:, None] for alone, weight in ((2048, near), (0, far)))
    columns = levels[:, left.clip(0, width - 1)] * near + levels[:, (left + 1).clip(0, width - 1)] * far >> 4
    top, near, far = neighbours(size[0], height)
    upper, lower = columns[top.clip(0, height - 1)], columns[(top + 1).clip(0, height - 1)]
    return ((upper * near[:, None, None] >> 16) + (lower * far[:, None, None] >> 16) + 2 >> 2).astype(np.uint8)


def normalised(image: np.ndarray) -> np.ndarray:
    return (image.astype(np.float32) - LEVELS[0]) / LEVELS[1]


def padded(pixels: np.ndarray) -> torch.Tensor:
    """Zeros below and to the right, up to whole patches of 16; (1, 3, h, w)."""
    height, width = (-(-side // 16) * 16 for side in pixels.shape[:2])
    canvas = np.zeros((1, 3, height, width), np.float32)
    canvas[0, :, : pixels.shape[0], : pixels.shape[1]] = pixels.transpose(2, 0, 1)
    return torch.from_numpy(canvas)


def up(logits: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    return F.interpolate(logits, size=size, mode="bilinear", align_corners=False)


def logits_of(model, image: np.ndarray, size: tuple[int, int], *, flipped=False, resize=resized) -> torch.Tensor:
    """The head's logits of a photograph resized to `size` and, if asked for, mirrored: still the head's resolution."""
    small = resize(image, size)
    return model(padded(normalised(small[:, ::-1] if flipped else small)))


def whole(model, image: np.ndarray, scale: tuple[int, int], **changes) -> torch.Tensor:
    """Logits (150, H, W) of the whole photograph: up to the resized size, then up to its own."""
    size = fitted(*image.shape[:2], scale)
    return up(up(logits_of(model, image, size, **changes), size), image.shape[:2])[0]


def many_views(model, image: np.ndarray, scale: tuple[int, int]) -> torch.Tensor:
    """Probabilities (150, H, W): six scales, each plain and mirrored; softmax, mirrored back, mean."""
    total = torch.zeros(150, *image.shape[:2])
    for ratio in RATIOS:
        bounds = (int(scale[0] * ratio), int(scale[1] * ratio))
        total += whole(model, image, bounds).softmax(dim=0)
        total += whole(model, image, bounds, flipped=True).softmax(dim=0).flip(-1)
    return total / 12


# The same with one mistake each, as somebody might make it.


def with_one_step_up(model, image, scale):
    return up(logits_of(model, image, fitted(*image.shape[:2], scale)), image.shape[:2])[0].softmax(dim=0)


def with_the_padding_in_the_picture(model, image, scale):
    size = fitted(*image.shape[:2], scale)
    logits = logits_of(model, image, size)
    return up(up(logits, tuple(-(-side // 16) * 16 for side in size)), image.shape[:2])[0].softmax(dim=0)


def with_antialias(model, image, scale):
    def pillow(image, size):
        return np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR))

    return whole(model, image, scale, resize=pillow).softmax(dim=0)


def with_softmax_after_the_mean(model, image, scale):
    total = 0
    for bounds in [(int(scale[0] * ratio), int(scale[1] * ratio)) for ratio in RATIOS]:
        total = total + whole(model, image, bounds) + whole(model, image, bounds, flipped=True).flip(-1)
    return (total / 12).softmax(dim=0)


def with_scales_of_the_original(model, image, scale):
    total = 0
    for ratio in RATIOS:
        size = tuple(int(side * ratio) for side in image.shape[:2])
        for flipped in (False, True):
            logits = up(up(logits_of(model, image, size, flipped=flipped), size), image.shape[:2])[0]
            total = total + (logits.flip(-1) if flipped else logits).softmax(dim=0)
    return total / 12


def with_mirrored_views_left_mirrored(model, image, scale):
    bounds = [(int(scale[0] * ratio), int(scale[1] * ratio)) for ratio in RATIOS]
    views = [whole(model, image, b, flipped=f).softmax(dim=0) for b in bounds for f in (False, True)]
    return sum(views) / 12


WHOLE_MISTAKES = (with_one_step_up, with_the_padding_in_the_picture, with_antialias)
MS_FLIP_MISTAKES = (with_softmax_after_the_mean, with_scales_of_the_original, with_mirrored_views_left_mirrored)


# The library beside it.


def library(model, image: np.ndarray, recipe, mode: str) -> tuple[np.ndarray, torch.Tensor]:
    """The labels that evaluation gives, and the plain way's probabilities."""
    labels = fast_predict(model, image, recipe, mode=mode)
    if mode == "ms_flip":
        return labels, inference.tta_probabilities(model, image, recipe)
    logits = inference.whole_image(model, inference.to_pixels(model, image, recipe.test_scale))
    return labels, resize(logits, image.shape[:2])[0].softmax(dim=0)


@torch.inference_mode()
def compare(model, image: np.ndarray, name: str, scale: tuple[int, int], mode: str) -> None:
    """Assert that probabilities and labels are those of the pipeline by hand, and print how close they came."""
    labels, probabilities = library(model, image, replace(recipes.get(name), test_scale=scale), mode)
    by_hand = many_views(model, image, scale) if mode == "ms_flip" else whole(model, image, scale).softmax(dim=0)
    furthest = (probabilities - by_hand).abs().max().item()
    same = float((labels == by_hand.argmax(dim=0).numpy()).mean())
    print(f"{name} {mode} {image.shape[:2]}: probabilities within {furthest:.1e}, {same:.4%} of the labels the same")
    assert furthest < TOLERANCE and same >= SAME
    assert len(np.unique(labels)) > 3  # a picture of one class would prove little


@pytest.mark.parametrize("name", ["deit_s16_160k", "deit_s16_mln_160k"])
@photos
def test_whole_photographs_at_full_size(path, name, model_of):
    assert recipes.get(name).test_scale == FULL
    compare(model_of(name), read(path), name, FULL, "whole")


@pytest.mark.parametrize("path", PHOTOS[:1] or [NO_PHOTO], ids=lambda path: path.stem if path else "none")
def test_a_photograph_in_twelve_views_at_full_size(path, model_of):
    compare(model_of("deit_s16_160k"), read(path), "deit_s16_160k", FULL, "ms_flip")


@pytest.mark.parametrize(
    ("name", "mode"), [("deit_s16_160k", "whole"), ("deit_s16_mln_160k", "whole"), ("deit_s16_160k", "ms_flip")]
)
def test_a_small_photograph(name, mode, small_photo, model_of):
    compare(model_of(name), small_photo, name, SMALL, mode)


@torch.inference_mode()
@pytest.mark.parametrize("mode", ["whole", "ms_flip"])
def test_each_mistake_would_be_noticed(mode, small_photo, model_of):
    model, recipe = model_of("deit_s16_160k"), replace(recipes.get("deit_s16_160k"), test_scale=SMALL)
    _, right = library(model, small_photo, recipe, mode)
    for mistake in WHOLE_MISTAKES if mode == "whole" else MS_FLIP_MISTAKES:
        off = (mistake(model, small_photo, SMALL) - right).abs().max().item()
        print(f"{mistake.__name__}: off by {off:.1e}")
        assert off > TOLERANCE, mistake.__name__
