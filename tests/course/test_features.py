"""The linear probe against least squares and hand-made cases; the principal components as colours."""

import numpy as np
import pytest
import torch
from torch.nn.functional import one_hot

from vitseg_lib import recipes
from vitseg_lib.course import features
from vitseg_lib.data.loading import SegmentationFolder

TOY = recipes.get("toy")


def test_the_probe_solves_the_ridge_regression():
    """The same weights as least squares with √λ·I written below X, and zeros below Y."""
    tokens, classes = torch.randn(50, 4, dtype=torch.float64), torch.arange(50) % 3
    x = torch.cat([tokens, torch.ones(50, 1)], dim=1)
    penalty = (features.RIDGE * 50) ** 0.5 * torch.eye(5, dtype=torch.float64)
    targets = torch.cat([one_hot(classes, 3).double(), torch.zeros(5, 3)])
    expected = torch.linalg.lstsq(torch.cat([x, penalty]), targets).solution
    assert torch.allclose(features.linear_probe(tokens, classes, 3), expected, atol=1e-10)


def test_separate_classes_are_read_without_a_mistake_and_noise_is_not():
    classes = torch.arange(90) % 3
    apart = one_hot(classes, 3).double() * 5 + 0.1 * torch.randn(90, 3, dtype=torch.float64)
    noise = torch.randn(90, 3, dtype=torch.float64)
    assert features.probe_miou((apart[:60], classes[:60]), (apart[60:], classes[60:]), 3) == 100
    assert features.probe_miou((noise[:60], classes[:60]), (noise[60:], classes[60:]), 3) < 60


def test_scale_and_offset_of_a_channel_do_not_matter():
    tokens, classes = torch.randn(60, 3, dtype=torch.float64), torch.randint(3, (60,))
    moved = tokens * torch.tensor([1e-3, 1.0, 1e3]) + torch.tensor([5.0, 0.0, -700.0])
    scores = [features.probe_miou((x[:40], classes[:40]), (x[40:], classes[40:]), 3) for x in (tokens, moved)]
    assert scores[0] == pytest.approx(scores[1])


def test_tokens_come_with_the_class_in_the_middle_of_their_patch():
    encoder = recipes.build_model(TOY, 12).encoder.eval()
    labels = np.full((128, 133), 255, np.uint8)
    labels[4, 12], labels[0, 0], labels[124, 132] = 7, 3, 5  # a middle, none, the nearest
    layers, classes = features.tokens_by_layer(encoder, [(np.zeros((128, 133, 3), np.uint8), labels)], TOY)
    assert len(layers) == 1 + TOY.depth and layers[0].shape == (2, TOY.embed_dim)
    assert classes.tolist() == [7, 5]


def test_a_patch_has_one_colour_and_the_main_difference_is_red():
    across = torch.arange(6.0).expand(4, 6)
    feature_map = torch.stack([10 * across, across.flip(0) * 0 + torch.arange(4.0)[:, None], torch.rand(4, 6)])[None]
    colours = features.pca_colours(feature_map, patch_size=5)
    assert colours.shape == (20, 30, 3) and colours.dtype == np.uint8
    assert (colours[:5, :5] == colours[0, 0]).all()
    red = colours[::5, ::5, 0].astype(int)
    assert (np.diff(red, axis=1) >= 0).all() and red.min() == 0 and red.max() == 255


def test_the_sign_of_a_direction_is_not_left_to_chance():
    feature_map = torch.randn(1, 7, 5, 6, dtype=torch.float64)
    again = feature_map.flip(3)  # the same tokens in another order
    assert (features.pca_colours(again) == features.pca_colours(feature_map)[:, ::-1]).all()


def test_one_score_per_layer_and_one_for_out_indices_together(toy_root):
    encoder = recipes.build_model(TOY, 12).encoder.eval()
    scores = features.probe_layers(encoder, toy_root, TOY, training=4, validation=2)
    train, test = (
        features.tokens_by_layer(encoder, [SegmentationFolder(toy_root, split)[n] for n in range(count)], TOY)
        for split, count in (("training", 4), ("validation", 2))
    )
    assert len(scores) == 1 + TOY.depth + 1
    assert scores[3] == features.probe_miou((train[0][3], train[1]), (test[0][3], test[1]), 12)
    assert min(scores) > 0 and max(scores) < 100


def test_the_factor_of_lengths_is_that_of_the_tokens_that_enter_the_first_block():
    encoder = recipes.build_model(TOY, 12).encoder.eval()
    scenes = [(np.random.default_rng(n).integers(0, 255, (128, 144, 3), np.uint8), None) for n in range(2)]
    factors = features.length_factors(encoder, scenes, TOY)
    labels = np.zeros((128, 144), np.uint8)
    lengths = features.tokens_by_layer(encoder, [(scenes[1][0], labels)], TOY)[0][0].norm(dim=1)
    assert len(factors) == 2 and factors[1] == pytest.approx(float(lengths.max() / lengths.min()), rel=1e-5)
