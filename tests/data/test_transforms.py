"""Crop, normalise, pad and the pipelines against torch, closed forms and hand counts."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from vitseg_lib.data import colour, transforms
from vitseg_lib.data.transforms import EvalPipeline, TrainPipeline, resize_image

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 256, (37, 53, 3), dtype=np.uint8)
LABELS = RNG.integers(0, 150, (37, 53), dtype=np.uint8)


# Crop


class Script:
    """A generator that plays back the given integers, and remembers the bounds it was asked for."""

    def __init__(self, *values):
        self.values, self.bounds = list(values), []

    def integers(self, bound):
        self.bounds.append(bound)
        return self.values.pop(0)


def halves() -> np.ndarray:
    """Eight rows, 32 columns: class 0 on the left half, class 1 on the right."""
    return np.repeat([[0] * 16 + [1] * 16], 8, axis=0).astype(np.uint8)


def test_the_first_good_draw_is_taken():
    # Class 1 has 0, 6 and 5 of the window's 8 columns: all one class, exactly 75 %, and 62.5 %.
    rng = Script(0, 0, 0, 14, 0, 13, 0, 12)
    assert transforms.crop_box(halves(), 8, rng) == (0, 13, 8, 21)
    assert rng.bounds == [1, 25] * 3, "offsets from 0 to side - crop, both included"


def test_after_ten_bad_draws_the_eleventh_is_taken_unchecked():
    rng = Script(*[0, 0] * 10, 0, 1, 0, 13)
    assert transforms.crop_box(halves(), 8, rng) == (0, 1, 8, 9)
    assert rng.values == [0, 13]


def test_ignored_pixels_count_for_nothing():
    labels = halves()
    labels[:, :16] = 255  # what remains is one class, or none
    rng = Script(*[0, 13] * 5, *[0, 0] * 5, 0, 7)
    assert transforms.crop_box(labels, 8, rng) == (0, 7, 8, 15)
    labels[:, 0], labels[:, 1] = 3, 1  # one column each, and six that do not count: half and half
    assert transforms.crop_box(labels, 8, Script(0, 0)) == (0, 0, 8, 8)


def test_no_check_when_one_class_may_fill_the_crop():
    assert transforms.crop_box(np.zeros((8, 32), np.uint8), 8, Script(0, 5), cat_max_ratio=1.0) == (0, 5, 8, 13)


def test_class_share_by_hand():
    assert transforms.largest_class_fraction(np.array([[1, 1, 1, 7, 255, 255]], np.uint8)) == 0.75
    assert transforms.largest_class_fraction(np.full((2, 2), 255, np.uint8)) == 1.0
    counts = np.bincount(LABELS[3:20, 5:11].ravel())
    assert transforms.largest_class_fraction(LABELS[3:20, 5:11]) == counts.max() / (17 * 6)


def test_offsets_are_uniform_and_reach_both_ends():
    rng = np.random.default_rng(0)
    tops, lefts, bottoms, rights = np.array([transforms.random_box(rng, 12, 9, 8) for _ in range(4000)]).T
    assert (bottoms - tops == 8).all() and (rights - lefts == 8).all()
    for offsets, count in ((tops, 5), (lefts, 2)):
        counts = np.bincount(offsets)
        assert len(counts) == count and np.abs(counts - 4000 / count).max() < 4 * np.sqrt(4000 / count)


def test_a_smaller_image_is_taken_whole():
    assert transforms.random_box(np.random.default_rng(0), 5, 7, 8) == (0, 0, 5, 7)
    box = (1, 2, 4, 7)
    np.testing.assert_array_equal(transforms.crop_array(IMAGE, box), IMAGE[1:4, 2:7])


# Normalise, pad, pipelines


def test_normalise_and_back():
    pixels = transforms.normalise(IMAGE)
    exact = (IMAGE - np.array([123.675, 116.28, 103.53])) / np.array([58.395, 57.12, 57.375])
    assert pixels.dtype == torch.float32 and pixels.is_contiguous()
    np.testing.assert_allclose(pixels.numpy(), exact.transpose(2, 0, 1), atol=1e-6)
    np.testing.assert_array_equal(transforms.denormalise(pixels), IMAGE)


def test_pad_fills_right_and_bottom():
    pixels, labels = transforms.pad(torch.ones(3, 2, 5), np.zeros((2, 5), np.uint8), 4)
    assert pixels.shape == (3, 4, 5) and labels.shape == (4, 5)
    assert (pixels[:, :2] == 1).all() and (pixels[:, 2:] == 0).all()
    assert (labels[:2] == 0).all() and (labels[2:] == 255).all()


SMALL = TrainPipeline(crop=32, scale=(128, 32))


def test_the_eight_steps_in_order():
    names = [step.name for step in SMALL.steps(IMAGE, LABELS, np.random.default_rng(5))]
    assert names == ["read", "shift labels", "resize", "crop", "flip", "colour", "normalise", "pad"]


def by_hand(image, labels, rng, crop) -> tuple[np.ndarray, np.ndarray]:
    """The pipeline but for the resizing: every random number drawn here, in the reference's order, and used at once."""
    rng.uniform(1, 1)  # the ratio
    height, width = labels.shape
    for attempt in range(11):
        top, left = rng.integers(max(height - crop, 0) + 1), rng.integers(max(width - crop, 0) + 1)
        window = labels[top : top + crop, left : left + crop]
        counts = np.bincount(window[window != 255], minlength=1)
        if attempt < 10 and counts.max() < 0.75 * counts.sum():
            break
    image, labels = image[top : top + crop, left : left + crop].astype(np.float32), window
    if rng.random() < 0.5:
        image, labels = image[:, ::-1], labels[:, ::-1]
    brightness, has_brightness = rng.uniform(-32, 32), rng.integers(2)
    contrast_first, contrast, has_contrast = rng.integers(2), rng.uniform(0.5, 1.5), rng.integers(2)
    saturation, has_saturation = rng.uniform(0.5, 1.5), rng.integers(2)
    hue, has_hue = rng.integers(-18, 18), rng.integers(2)
    image = np.clip(image + np.float32(brightness * has_brightness), 0, 255).astype(np.uint8)
    for is_contrast in (True, False) if contrast_first else (False, True):
        if is_contrast and has_contrast:
            image = np.clip(image.astype(np.float32) * np.float32(contrast), 0, 255).astype(np.uint8)
        if not is_contrast:
            image = colour.adjust_saturation(image, saturation) if has_saturation else image
            image = colour.adjust_hue(image, int(hue)) if has_hue else image
    pixels, padded = np.zeros((crop, crop, 3)), np.full((crop, crop), 255)
    pixels[: image.shape[0], : image.shape[1]] = (image - np.array([123.675, 116.28, 103.53])) / [58.395, 57.12, 57.375]
    padded[: image.shape[0], : image.shape[1]] = labels
    return pixels.transpose(2, 0, 1), padded


def test_the_pipeline_is_the_one_by_hand():
    for seed in range(200):
        rng = np.random.default_rng(seed)
        height, width = (int(side) for side in rng.integers(8, 90, 2))
        image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        labels = rng.choice([0] * rng.integers(2, 12) + [1, 2, 255], (height, width)).astype(np.uint8)
        pipeline = TrainPipeline(crop=32, scale=(height, width), ratio_range=(1.0, 1.0))  # nothing to resize
        pixels, target = pipeline(image, labels, np.random.default_rng(seed))
        expected_pixels, expected_target = by_hand(image, labels, np.random.default_rng(seed), crop=32)
        np.testing.assert_allclose(pixels.numpy(), expected_pixels, atol=1e-5)
        np.testing.assert_array_equal(target.numpy(), expected_target)


def test_each_step_can_be_redone_from_its_parameters():
    for seed in range(20):
        step = {step.name: step for step in SMALL.steps(IMAGE, LABELS, np.random.default_rng(seed))}
        image = resize_image(IMAGE, step["resize"].parameters["size"])
        np.testing.assert_array_equal(step["resize"].image, image)
        top, left, bottom, right = step["crop"].parameters["box"]
        image = image[top:bottom, left:right]
        image = image[:, ::-1] if step["flip"].parameters["flipped"] else image
        np.testing.assert_array_equal(step["flip"].image, image)
        for name, parameter in step["colour"].parameters["adjustments"]:
            image = colour.ADJUST[name](image, parameter)
        np.testing.assert_array_equal(step["colour"].image, image)
        height, width = image.shape[:2]
        pixels = transforms.normalise(image)
        assert torch.equal(step["pad"].image[:, :height, :width], pixels)


def test_image_and_labels_move_together():
    # Red holds the label, so after any resize by nearest and any crop and flip the two must still agree.
    pipeline = TrainPipeline(crop=24, scale=(53, 37), ratio_range=(1.0, 1.0), photometric=False)
    image = np.repeat(LABELS[..., None], 3, axis=2)
    for seed in range(10):
        pixels, labels = pipeline(image, LABELS, np.random.default_rng(seed))
        np.testing.assert_array_equal(transforms.denormalise(pixels)[..., 0], labels.numpy())


def test_the_same_seed_gives_the_same_and_another_another():
    one, again, other = (SMALL(IMAGE, LABELS, np.random.default_rng(seed))[0] for seed in (1, 1, 2))
    assert torch.equal(one, again) and not torch.equal(one, other)


@pytest.mark.parametrize("size", [(1, 1), (17, 4000), (3, 200), (64, 64)])
def test_every_size_becomes_a_full_crop(size):
    for seed in range(3):
        labels = np.zeros(size, np.uint8)
        pixels, labels = SMALL(np.zeros((*size, 3), np.uint8), labels, np.random.default_rng(seed))
        assert pixels.shape == (3, 32, 32) and pixels.dtype == torch.float32
        assert labels.shape == (32, 32) and labels.dtype == torch.uint8


def test_padding_is_zero_after_normalising_and_ignored():
    pipeline = TrainPipeline(crop=64, scale=(37, 53), ratio_range=(1.0, 1.0))
    pixels, labels = pipeline(IMAGE, LABELS, np.random.default_rng(0))
    assert (pixels[:, 37:] == 0).all() and (pixels[:, :, 53:] == 0).all()
    assert (labels[37:] == 255).all() and (labels[:, 53:] == 255).all() and (labels[:37, :53] != 255).all()


def test_flipping_happens_as_often_as_asked():
    def flips(hflip):
        pipeline = TrainPipeline(crop=4, scale=(8, 4), hflip=hflip, photometric=False)
        return sum(
            step.parameters["flipped"]
            for seed in range(200)
            for step in pipeline.steps(IMAGE[:8, :8], LABELS[:8, :8], np.random.default_rng(seed))
            if step.name == "flip"
        )

    assert flips(0.0) == 0 and flips(1.0) == 200 and 70 < flips(0.5) < 130


def test_the_originals_are_never_changed():
    image, labels = IMAGE.copy(), LABELS.copy()
    image.flags.writeable = labels.flags.writeable = False
    for seed in range(5):
        SMALL(image, labels, np.random.default_rng(seed))
    EvalPipeline()(image)


@pytest.mark.parametrize(
    ("shape", "scale", "expected"),
    [
        ((37, 53), (128, 32), (32, 46)),  # 37 to 32, and 53 · 32 / 37 = 45.8
        ((4000, 17), (2048, 512), (2048, 9)),
        ((1, 1), (2048, 512), (512, 512)),
    ],
)
def test_the_eval_pipeline_beside_torch(shape, scale, expected):
    image = RNG.integers(0, 256, (*shape, 3), dtype=np.uint8)
    pixels = EvalPipeline(scale=scale)(image)
    resized = F.interpolate(torch.from_numpy(image).permute(2, 0, 1)[None].double(), size=expected, mode="bilinear")[0]
    off = (
        pixels * torch.tensor(transforms.STD)[:, None, None] + torch.tensor(transforms.MEAN)[:, None, None]
    ) - resized
    assert pixels.dtype == torch.float32 and pixels.shape == (3, *expected)
    assert off.abs().max() < 1, "rounded weights and a rounded result: less than one grey level"
