"""Models for other programs compute what ours do."""

import numpy as np
import pytest
import torch

from vitseg_lib import recipes
from vitseg_lib.engine import export
from vitseg_lib.files import InputError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["toy", "toy_mln"])
def model(request):
    torch.manual_seed(0)
    return recipes.build_model(recipes.get(request.param), 12).eval()


def images():
    """A random image of the model's own size, and some of odd sizes."""
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(1, 3, *size, generator=generator) for size in ((128, 128), (33, 175), (97, 64))]


@torch.inference_mode()
def test_onnx_agrees_with_the_model(model, tmp_path):
    import onnxruntime

    assert export.export_onnx(model, tmp_path / "m.onnx") < 1e-4
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    for pixels in images():
        (logits,) = session.run(["logits"], {"pixels": pixels.numpy()})
        np.testing.assert_allclose(logits, model(pixels).numpy(), atol=1e-4 * model(pixels).std().item())


@torch.inference_mode()
def test_an_exported_program_agrees_with_the_model(model, tmp_path):
    assert export.export_torch(model, tmp_path / "m.pt2") < 1e-4
    program = torch.export.load(tmp_path / "m.pt2").module()
    for pixels in images():
        torch.testing.assert_close(program(pixels), model(pixels))


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"mine")
    with pytest.raises(InputError, match="Will not overwrite"):
        export.export_onnx(recipes.build_model(recipes.get("toy"), 2), tmp_path / "m.onnx")
    assert (tmp_path / "m.onnx").read_bytes() == b"mine"


def test_a_file_that_computes_something_else_is_refused(monkeypatch, tmp_path):
    traced, other = export._traced, recipes.build_model(recipes.get("toy"), 2)
    monkeypatch.setattr(export, "_traced", lambda model: traced(other))
    with pytest.raises(InputError, match="differs from this one"):
        export.export_torch(recipes.build_model(recipes.get("toy"), 2).eval(), tmp_path / "m.pt2")
    assert list(tmp_path.iterdir()) == []
