"""The model for other programs: ONNX, or PyTorch's own exported program; images of any size, one at a time.

What comes out maps "pixels", normalised float32 (1, 3, H, W), to "logits" (1, K, h, w), as `model(pixels)` does.
Each file is checked against the model before it gets its name.
"""

import contextlib
import io
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from vitseg_lib import files
from vitseg_lib.files import InputError

TOLERANCE = 1e-4  # of the logits' standard deviation
TRACED_SIZE = (100, 132)  # any that is neither square nor the model's own
CHECKED_SIZES = ((128, 128), (75, 201))  # of random images, the second of odd sides
ANY = torch.export.Dim.DYNAMIC


def export_torch(model: nn.Module, path: str | Path) -> float:
    """Write a .pt2 file, which `torch.export.load(path).module()` reads without this library; see `export_onnx`."""
    encoded = io.BytesIO()  # PyTorch's writer aborts the whole process on a full disk
    torch.export.save(_traced(model), encoded)
    with files.atomic_path(path, overwrite=False) as temporary:
        temporary.write_bytes(encoded.getbuffer())
        return _checked(model, torch.export.load(temporary).module(), path)


def export_onnx(model: nn.Module, path: str | Path) -> float:
    """Write an ONNX file, and return its largest difference to the model, in standard deviations of the logits.

    Raises `InputError` if a package is missing, the file exists, or it computes something else than the model.
    """
    try:
        import onnxruntime
        import onnxscript  # noqa: F401 (torch.onnx needs it)
    except ImportError as error:
        raise InputError(f"ONNX needs a package more: install it with `pip install {error.name} onnx`.") from error
    with files.atomic_path(path, overwrite=False) as temporary:
        with contextlib.redirect_stdout(io.StringIO()):  # it reports each step
            torch.onnx.export(_traced(model), dynamo=True, output_names=["logits"]).save(temporary)
        session = onnxruntime.InferenceSession(temporary, providers=["CPUExecutionProvider"])
        return _checked(model, lambda x: torch.from_numpy(session.run(None, {"pixels": x.numpy()})[0]), path)


def _traced(model: nn.Module) -> torch.export.ExportedProgram:
    pixels = torch.zeros(1, 3, *TRACED_SIZE)
    return torch.export.export(model.cpu().eval(), (pixels,), dynamic_shapes={"pixels": {2: ANY, 3: ANY}})


@torch.inference_mode()
def _checked(model: nn.Module, exported, path: str | Path) -> float:
    """The largest difference on random images of several sizes; `InputError` if it is too large."""
    generator, worst = torch.Generator().manual_seed(0), 0.0
    for size in CHECKED_SIZES:
        pixels = torch.randn(1, 3, *size, generator=generator)
        expected: Tensor = model(pixels)
        difference = (exported(pixels) - expected).abs().max() / expected.std()
        worst = float(np.fmax(worst, difference.item()))
    if not worst <= TOLERANCE:
        message = f"{path} was not written: the exported model differs from this one by {worst:.1e} standard "
        raise InputError(message + "deviations; renew torch, onnx and onnxruntime.")
    return worst
