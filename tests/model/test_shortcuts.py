"""Whole models by the library's shortcuts and plainly: logits, losses and every gradient."""

import pytest
import torch

from vitseg_lib import recipes
from vitseg_lib.engine.loss import segmentation_loss
from vitseg_lib.model.plain import is_plain, plainly


def everything(model, pixels, labels):
    """The logits, the loss of both heads, and the gradient of every parameter."""
    logits, stages = model(pixels, return_stages=True)
    loss = segmentation_loss(logits, labels) + 0.4 * segmentation_loss(stages["aux_logits"], labels)
    model.zero_grad()
    loss.backward()
    gradients = [parameter.grad for parameter in model.parameters()]
    return [logits.detach(), stages["aux_logits"].detach(), loss.detach(), *gradients]


@pytest.mark.parametrize("size", [(128, 160), (64, 64), (33, 90)])
@pytest.mark.parametrize("name", ["toy", "toy_mln"])
def test_a_step_is_the_same_plainly(name, size):
    recipe = recipes.get(name)
    model = recipes.build_model(recipe, 12).double().train()
    for module in model.modules():  # what is drawn at random would differ
        if isinstance(module, torch.nn.Dropout2d):
            module.p = 0.0
        elif hasattr(module, "rate"):
            module.rate = 0.0
    pixels = torch.randn(2, 3, *size, dtype=torch.float64)
    labels = torch.randint(0, 12, (2, *size))
    labels[:, :9] = 255
    quick = everything(model, pixels, labels)
    with plainly():
        plain = everything(model, pixels, labels)
    for ours, theirs in zip(quick, plain, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("name", ["deit_s16_160k", "deit_s16_mln_160k"])
@torch.inference_mode()
def test_full_size_logits_are_the_same_plainly(name):
    model, pixels = recipes.build_model(recipes.get(name)).eval(), torch.randn(1, 3, 128, 171)
    quick = model(pixels)
    with plainly():
        plain = model(pixels)
    assert (quick - plain).abs().max() < 1e-4 * plain.std()


def test_the_plain_way_ends_with_its_block_and_with_a_failure_in_it():
    with pytest.raises(KeyError), plainly():
        assert is_plain()
        with plainly():
            pass
        assert is_plain()
        raise KeyError
    assert not is_plain()
