"""Models without numbers: the shapes of the others, and after loading their weights."""

import pytest
import torch

from vitseg_lib import recipes
from vitseg_lib.engine.inference import predict
from vitseg_lib.files import InputError
from vitseg_lib.model import weights
from vitseg_lib.model.unfilled import unfilled

TOY = recipes.get("toy_mln")


def built() -> torch.nn.Module:
    with unfilled():
        return recipes.build_model(TOY, 12).eval()


def test_it_has_every_tensors_shape_and_no_numbers():
    expected, found = recipes.build_model(TOY, 12).state_dict(), built().state_dict()
    assert {key: value.shape for key, value in found.items()} == {key: value.shape for key, value in expected.items()}
    assert all(value.is_meta for value in found.values())


def test_nothing_is_drawn_from_the_common_stream():
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    built()
    assert torch.equal(torch.rand(4), expected)
    assert recipes.build_model(TOY, 12).encoder.class_token.std() > 0, "outside, weights are drawn again"


@pytest.mark.parametrize("dtype", [None, torch.float16])
def test_loaded_it_is_as_one_that_was_drawn_first(tmp_path, dtype):
    weights.save(recipes.build_model(TOY, 12), tmp_path / "a.safetensors", dtype=dtype)
    drawn, filled = recipes.build_model(TOY, 12).eval(), built()
    for model in (drawn, filled):
        weights.load(model, tmp_path / "a.safetensors")
    for (key, expected), found in zip(drawn.state_dict().items(), filled.state_dict().values(), strict=True):
        assert torch.equal(found, expected) and found.dtype == expected.dtype, key
    assert [p.requires_grad for p in filled.parameters()] == [p.requires_grad for p in drawn.parameters()]
    image = torch.randint(0, 256, (90, 130, 3), dtype=torch.uint8).numpy()
    assert (predict(filled, image, TOY) == predict(drawn, image, TOY)).all()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_number_that_is_not_finite_is_refused_wherever_it_stands(value):
    state = {key: tensor.clone() for key, tensor in recipes.build_model(TOY, 12).state_dict().items()}
    state["encoder.blocks.3.mlp.expand.weight"][7, 5] = value
    model = built()
    with pytest.raises(InputError, match=r"encoder\.blocks\.3\.mlp\.expand\.weight hold"):
        weights.load_mmseg(model, state)
    assert all(tensor.is_meta for tensor in model.state_dict().values())
