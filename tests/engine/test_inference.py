"""Whole image, sliding window and multi-scale with flips: the steps by hand, the plain functions, the fast ones."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from vitseg_lib import recipes
from vitseg_lib.data.transforms import EvalPipeline, fit_size
from vitseg_lib.engine import fast_inference, inference
from vitseg_lib.engine.fast_inference import fast_predict

TOY = recipes.get("toy")


class PositionAware(nn.Module):
    """A stand-in for a model: logits at a quarter of the resolution that depend on colour and on position."""

    def __init__(self, classes: int = 5):
        super().__init__()
        self.conv = nn.Conv2d(3, classes, 7, stride=4, padding=3)

    def forward(self, pixels):
        return self.conv(pixels) * 3


@pytest.fixture
def model():
    return PositionAware().eval()


@pytest.fixture
def image():
    return np.random.default_rng(3).integers(0, 256, (90, 131, 3), dtype=np.uint8)


@torch.inference_mode()
def test_a_whole_image_is_upsampled_in_two_steps(model, image):
    pixels = EvalPipeline(scale=TOY.test_scale)(image)[None]
    assert pixels.shape[-2:] == fit_size(90, 131, TOY.test_scale) != (90, 131)
    first = F.interpolate(model(pixels), size=pixels.shape[-2:], mode="bilinear")
    second = F.interpolate(first, size=(90, 131), mode="bilinear")
    for predict in (inference.predict, fast_predict):
        assert np.array_equal(predict(model, image, TOY), second.argmax(1)[0].numpy())
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
    ours = inference.tta_probabilities(model, image, TOY)
    assert torch.allclose(ours, total[0] / 12, atol=1e-6)
    assert torch.allclose(ours.sum(0), torch.ones(90, 131), atol=1e-5)
    for predict in (inference.predict, fast_predict):
        assert np.array_equal(predict(model, image, TOY, mode="ms_flip"), ours.argmax(0).numpy())


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
def test_tiles_hold_what_upsampling_the_whole_gives(monkeypatch, at_once, sizes, mirrored):
    monkeypatch.setattr(fast_inference, "chunk_elements", lambda device, maps: at_once)
    logits = plain = torch.randn(1, 11, 6, 7)
    logits[:, 5] = logits[:, 2]  # a tie: the first class wins
    for size in sizes:
        plain = F.interpolate(plain, size=size, mode="bilinear")
    plain = plain.flip(-1) if mirrored else plain
    view = fast_inference.upsampled(logits, *sizes, mirrored=mirrored)
    assert np.array_equal(fast_inference.argmax_labels([view]).numpy(), plain.argmax(1)[0].numpy())
    whole = torch.full((*plain.shape[-2:], 11), float("nan"))
    for tile, (scores,) in fast_inference.tiles([view]):
        whole[tile] = scores
    torch.testing.assert_close(whole.permute(2, 0, 1), plain[0])


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (2, 300), (300, 2)])
@pytest.mark.parametrize("name", ["toy", "toy_mln"])
def test_the_smallest_and_the_narrowest_images(size, name):
    recipe = recipes.get(name)
    model = recipes.build_model(recipe, 3).eval()
    image = np.full((*size, 3), 90, np.uint8)
    for mode in ("whole", "slide", "ms_flip"):
        plain, labels = (predict(model, image, recipe, mode=mode) for predict in (inference.predict, fast_predict))
        assert labels.shape == size and labels.dtype == np.uint8 and labels.max() < 3
        assert (plain == labels).mean() > 0.99  # a tie within rounding may fall either way


@torch.inference_mode()
def test_only_the_forward_pass_computes_in_half_precision(image, monkeypatch):
    """In the first edition autocast reached into the upsampling, and near ties were decided by bf16's rounding."""
    seen, tiles = [], fast_inference.tiles

    def watched(views):
        for tile, scores in tiles(views):
            seen.extend(score.dtype for score in scores)
            yield tile, scores

    monkeypatch.setattr(fast_inference, "tiles", watched)
    model = PositionAware().eval()
    inside = []
    model.register_forward_hook(lambda module, given, result: inside.append(result.dtype))
    for mode in ("whole", "slide", "ms_flip"):
        fast_predict(model, image, TOY, mode=mode, precision="bf16")
    assert set(inside) == {torch.bfloat16} and set(seen) == {torch.float32}
