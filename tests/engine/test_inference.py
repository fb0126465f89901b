"""Whole image, sliding window and multi-scale with flips against the same steps written out plainly."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from vitseg_lib import recipes
from vitseg_lib.data.transforms import EvalPipeline, fit_size
from vitseg_lib.engine import inference

TOY = recipes.get("toy")


class TiedToPlace(nn.Module):
    """A stand-in for a model: logits at a quarter of the resolution that depend on colour and on place."""

    def __init__(self, classes: int = 5):
        super().__init__()
        self.conv = nn.Conv2d(3, classes, 7, stride=4, padding=3)

    def forward(self, pixels):
        return self.conv(pixels) * 3


@pytest.fixture
def model():
    return TiedToPlace().eval()


@pytest.fixture
def image():
    return np.random.default_rng(3).integers(0, 256, (90, 131, 3), dtype=np.uint8)


@torch.inference_mode()
def test_whole_image_goes_up_in_two_steps(model, image):
    pixels = EvalPipeline(scale=TOY.test_scale)(image)[None]
    assert pixels.shape[-2:] == fit_size(90, 131, TOY.test_scale) != (90, 131)
    first = F.interpolate(model(pixels), size=pixels.shape[-2:], mode="bilinear")
    second = F.interpolate(first, size=(90, 131), mode="bilinear")
    assert np.array_equal(inference.predict(model, image, TOY), second.argmax(1)[0].numpy())
    one_step = F.interpolate(model(pixels), size=(90, 131), mode="bilinear")
    assert not torch.allclose(second, one_step, atol=1e-3)  # the shortcut is another result


@torch.inference_mode()
def test_multi_scale_and_flip_is_the_mean_of_twelve_probabilities(model, image):
    total = 0
    for ratio in (0.5, 0.75, 1.0, 1.25, 1.5, 1.75):
        pixels = EvalPipeline(scale=(int(512 * ratio), int(128 * ratio)))(image)[None]
        for view in (pixels, torch.flip(pixels, [3])):
            logits = F.interpolate(model(view), size=pixels.shape[-2:], mode="bilinear")
            probability = F.interpolate(logits, size=(90, 131), mode="bilinear").softmax(1)
            total = total + (probability if view is pixels else torch.flip(probability, [3]))
    ours = inference.probabilities(inference.all_views(model, image, TOY))
    assert torch.allclose(ours, total[0] / 12, atol=1e-6)
    assert torch.allclose(ours.sum(0), torch.ones(90, 131), atol=1e-5)
    assert np.array_equal(inference.predict(model, image, TOY, mode="ms_flip"), ours.argmax(0).numpy())


@pytest.mark.parametrize("size", [(200, 300), (128, 128), (60, 500), (129, 128)])
def test_windows_cover_the_image_and_stay_inside(size):
    corners = list(inference.window_corners(*size, crop=128, stride=85))
    seen = np.zeros(size, int)
    for top, left in corners:
        assert top >= 0 and left >= 0
        assert top + 128 <= max(size[0], 128) and left + 128 <= max(size[1], 128)
        seen[top : top + 128, left : left + 128] += 1
    assert seen.min() >= 1
    rows, columns = (max(side - 128 + 85 - 1, 0) // 85 + 1 for side in size)
    assert len(corners) == rows * columns


@torch.inference_mode()
def test_sliding_window_averages_raw_logits(model):
    pixels = torch.randn(1, 3, 150, 200)
    ours = inference.sliding_window(model, pixels, crop=128, stride=85)
    total, count = torch.zeros(1, 5, 150, 200), torch.zeros(150, 200)
    for top in (0, 22):
        for left in (0, 72):
            window = pixels[..., top : top + 128, left : left + 128]
            logits = F.interpolate(model(window), size=(128, 128), mode="bilinear")
            total[..., top : top + 128, left : left + 128] += logits
            count[top : top + 128, left : left + 128] += 1
    assert torch.allclose(ours, total / count, atol=1e-5)


@pytest.mark.parametrize("at_once", [1, 700, 2**20])
@pytest.mark.parametrize("sizes", [[(6, 7)], [(20, 30)], [(33, 14), (20, 30)], [(3, 2), (5, 90)]])
@pytest.mark.parametrize("mirrored", [False, True])
def test_tiles_hold_what_upsampling_as_a_whole_gives(monkeypatch, at_once, sizes, mirrored):
    monkeypatch.setattr(inference, "floats_at_once", lambda device: at_once)
    logits = plain = torch.randn(1, 11, 6, 7)
    logits[:, 5] = logits[:, 2]  # a tie: the first class wins
    for size in sizes:
        plain = F.interpolate(plain, size=size, mode="bilinear")
    plain = plain.flip(-1) if mirrored else plain
    views = [inference.View(logits, *sizes, mirrored=mirrored)]
    assert np.array_equal(inference.best_class(views).numpy(), plain.argmax(1)[0].numpy())
    torch.testing.assert_close(inference.probabilities(views), plain.softmax(1)[0])


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (2, 300), (300, 2)])
@pytest.mark.parametrize("name", ["toy", "toy_mln"])
def test_the_smallest_and_the_narrowest_images(size, name):
    recipe = recipes.get(name)
    model = recipes.build_model(recipe, 3).eval()
    image = np.full((*size, 3), 90, np.uint8)
    for mode in ("whole", "slide", "ms_flip"):
        labels = inference.predict(model, image, recipe, mode=mode)
        assert labels.shape == size and labels.dtype == np.uint8 and labels.max() < 3
