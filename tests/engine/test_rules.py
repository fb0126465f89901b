"""Loss, schedule, parameter groups and metric against the reference values and against plain counting."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from vitseg_lib import recipes
from vitseg_lib.engine.fast_loss import chunked_segmentation_loss
from vitseg_lib.engine.loss import segmentation_loss
from vitseg_lib.engine.metrics import ConfusionMatrix
from vitseg_lib.engine.schedule import build_optimizer, learning_rate, parameter_groups


@pytest.mark.parametrize("loss", [segmentation_loss, chunked_segmentation_loss])
def test_loss_agrees_with_the_reference(rules, loss):
    rng = np.random.default_rng(7)
    logits = torch.from_numpy(rng.standard_normal((2, 150, 32, 32)).astype(np.float32))
    labels = rng.integers(0, 150, (2, 128, 128))
    labels[rng.random(labels.shape) < 0.3] = 255
    labels = torch.from_numpy(labels)
    assert loss(logits, labels).item() == pytest.approx(rules["loss"]["mmseg"], rel=1e-6)
    upsampled = F.interpolate(logits, size=(128, 128), mode="bilinear")
    torchs = F.cross_entropy(upsampled, labels, ignore_index=255).item()
    assert torchs == pytest.approx(rules["loss"]["torch_mean"], rel=1e-6)  # the trap is another number


@pytest.mark.parametrize("loss", [segmentation_loss, chunked_segmentation_loss])
def test_a_batch_of_ignored_pixels_has_no_loss_and_no_gradient(loss):
    logits = torch.randn(1, 3, 2, 2, requires_grad=True)
    value = loss(logits, torch.full((1, 4, 4), 255))
    value.backward()
    assert value.item() == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


@pytest.mark.parametrize("total", ["80000", "160000"])
def test_learning_rate_agrees_with_the_reference(total, rules):
    for step, expected in rules["lr_0x"][total].items():
        rate = learning_rate(int(step), total=int(total), base=6e-5, warmup=1500)
        assert rate == pytest.approx(expected, rel=1e-9)


def test_only_class_token_and_position_embedding_escape_decay(rules):
    with torch.device("meta"):
        model = recipes.build_model(recipes.get("deit_s16_ln_mln_160k"))
    decayed, spared = parameter_groups(model, 0.01)
    names = {id(p): name for name, p in model.named_parameters()}
    assert [names[id(p)] for p in spared["params"]] == ["encoder.cls_token", "encoder.pos_embed"]
    assert len(rules["no_weight_decay"]) == 2
    assert spared["weight_decay"] == 0 and decayed["weight_decay"] == 0.01
    assert len(decayed["params"]) + len(spared["params"]) == len(list(model.parameters()))


def test_optimizer_settings_agree_with_the_reference(rules):
    recipe = recipes.get("toy")
    published = recipes.get("deit_s16_160k")
    optimizer = build_optimizer(recipes.build_model(recipe, 2), recipe)
    group = optimizer.param_groups[0]
    rule = rules["optimizer"]
    assert [*group["betas"]] == rule["betas"] and group["eps"] == rule["eps"]
    assert (published.learning_rate, published.weight_decay) == (rule["lr"], rule["weight_decay"])


def reference_images():
    rng = np.random.default_rng(11)
    for _ in range(5):
        h, w = (int(rng.integers(40, 90)) for _ in range(2))
        truth = rng.integers(0, 140, (h, w))
        prediction = np.where(rng.random((h, w)) < 0.6, truth, rng.integers(0, 150, (h, w)))
        yield np.where(rng.random((h, w)) < 0.1, 255, truth), prediction


def test_metric_agrees_with_the_reference(rules):
    confusion, rule = ConfusionMatrix(150), rules["metric"]
    for labels, prediction in reference_images():
        confusion.update(labels, prediction)
    scores = confusion.scores()
    for name in ("mIoU", "mAcc", "aAcc"):
        assert getattr(scores, name) == pytest.approx(rule[name], rel=1e-6)
    assert scores.IoU[:5].tolist() == pytest.approx(rule["IoU_first5"], rel=1e-6)
    assert scores.IoU[138:142].tolist() == pytest.approx(rule["IoU_last"], rel=1e-6)


def test_metric_counted_by_hand():
    confusion = ConfusionMatrix(4)
    confusion.update(np.array([[0, 0, 1], [1, 255, 1]], np.uint8), np.array([[0, 1, 1], [1, 2, 0]], np.uint8))
    scores = confusion.scores()
    # class 0: I 1, P 2, L 2; class 1: I 2, P 3, L 3; class 2 is predicted on an ignored pixel only; 3 nowhere
    assert confusion.counts.sum() == 5
    assert scores.IoU[:2].tolist() == pytest.approx([100 / 3, 50])
    assert np.isnan(scores.IoU[2:]).all()
    assert scores.mIoU == pytest.approx((100 / 3 + 50) / 2)
    assert scores.mAcc == pytest.approx((50 + 200 / 3) / 2)
    assert scores.aAcc == pytest.approx(60)


def test_a_class_predicted_but_never_labelled_counts_for_mIoU_and_not_for_mAcc():
    confusion = ConfusionMatrix(2)
    confusion.update(np.array([0, 0]), np.array([0, 1]))
    scores = confusion.scores()
    assert scores.IoU.tolist() == [50, 0] and scores.mIoU == 25
    assert scores.mAcc == 50 and np.isnan(scores.Acc[1])
    assert scores.as_dict(("a", "b"))["classes"]["b"] == {"IoU": 0.0, "Acc": None}


def test_counts_do_not_depend_on_how_images_are_split_up():
    whole, parts = ConfusionMatrix(150), ConfusionMatrix(150)
    for labels, prediction in reference_images():
        whole.update(labels, prediction)
        for row in range(0, len(labels), 7):
            parts.update(labels[row : row + 7], prediction[row : row + 7])
    assert np.array_equal(whole.counts, parts.counts)
    with pytest.raises(ValueError, match="differ in shape"):
        whole.update(np.zeros((2, 2)), np.zeros((2, 3)))


def test_nothing_counted_is_no_score():
    scores = ConfusionMatrix(3).scores()
    assert np.isnan(scores.mIoU) and scores.as_dict(("a", "b", "c"))["mIoU"] is None


@pytest.mark.parametrize("classes", [1, 2, 150, 254, 255])
@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_counts_are_those_of_a_loop_over_pixels(classes, dtype):
    rng = np.random.default_rng(classes)
    labels, prediction = (rng.integers(max(classes - 9, 0), classes, (20, 30)).astype(dtype) for _ in range(2))
    labels[rng.random(labels.shape) < 0.2] = 255
    expected = np.zeros((classes, classes), np.int64)
    for truth, found in zip(labels.ravel(), prediction.ravel(), strict=True):
        if truth != 255:
            expected[truth, found] += 1
    confusion = ConfusionMatrix(classes)
    confusion.update(labels, prediction)
    assert (confusion.counts == expected).all()


def test_a_label_beyond_the_classes_is_not_counted_as_another():
    with pytest.raises(ValueError, match="reshape"):
        ConfusionMatrix(150).update(np.full((2, 2), 200, np.uint8), np.zeros((2, 2), np.uint8))
    with pytest.raises(ValueError, match="reshape"):
        ConfusionMatrix(150).update(np.full((2, 2), 70_000), np.zeros((2, 2), np.int64))
