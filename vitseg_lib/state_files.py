"""Weights as tensors by name: on the disk, behind an address, and strictly into a model.

Weights that load "successfully" and are not used are the field's most costly mistake (43 → 20 mIoU;
open-mmlab/mmsegmentation issues 1288, 1933, 1166). Nothing pickled is ever executed.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from vitseg_lib import files
from vitseg_lib.files import InputError

StateDict = dict[str, Tensor]

# Pairs of what tensors' names held in the first edition and hold now, in the order in which they are replaced.
FIRST_EDITION = """
    class_token cls_token               position_embedding pos_embed      patches.projection patch_embed.proj
    attention.projection attn.proj      attention.qkv attn.qkv            mlp.expand mlp.fc1
    mlp.contract mlp.fc2                .norm. .bn.                       final_norm norm
    .lateral. .lateral_conv.            .smooth. .conv.
    auxiliary_head.conv. auxiliary_head.convs.0.                auxiliary_head.classifier auxiliary_head.conv_seg
    head.pyramid.branches decode_head.ppm.psp_modules           head.pyramid.fuse decode_head.ppm.bottleneck
    head.laterals decode_head.lateral_convs                     head.smooths decode_head.fpn_convs
    head.fuse decode_head.fpn_bottleneck                        head.classifier decode_head.conv_seg
"""


def read(source: Any) -> tuple[StateDict, str]:
    """A state dict and a label for messages: from a file, an address, a published row, or a state dict."""
    if isinstance(source, dict):
        return source.get("state_dict", source.get("model", source)), "the state dict"
    if hasattr(source, "url"):
        source = fetch(source.url, sha256=source.sha256_prefix)
    elif str(source).startswith(("http://", "https://")):
        source = fetch(str(source))
    is_ours = Path(source).suffix == ".safetensors"
    return read_safetensors(source)[0] if is_ours else read_checkpoint(Path(source)), str(source)


def read_timm(source: "str | Path | StateDict") -> tuple[StateDict, str]:
    """A state dict and its label, from a timm tag, a file or a state dict."""
    if isinstance(source, dict) or Path(source).suffix in (".pth", ".pt", ".safetensors", ".bin"):
        return read(source)
    import timm  # slow to import, and only needed here

    try:
        return timm.create_model(str(source), pretrained=True).state_dict(), f"timm's {source}"
    except Exception as error:  # timm, the hub and the network raise a dozen kinds
        why = first_line(error)
        message = f"timm's {source}: could not be fetched ({why}); check tag and network, or pass a file."
        raise InputError(message) from error


def fetch(url: str, sha256: str | None = None) -> Path:
    """The cached file of an address; downloaded, resumably, when it is not there yet."""
    name = url.rsplit("/", 1)[-1]
    if sha256 is None:  # half the field's checkpoints are called iter_160000.pth: the address tells them apart
        name = f"{hashlib.sha256(url.encode()).hexdigest()[:8]}-{name}"
    return files.download(url, files.cache_dir() / "checkpoints" / name, sha256=sha256)


def read_safetensors(path: str | Path) -> tuple[StateDict, dict[str, Any]]:
    """Tensors and notes of a safetensors file; InputError when it is missing, cut short or something else."""
    require_file(path)
    try:
        with safe_open(path, framework="pt") as file:
            notes = dict(json.loads((file.metadata() or {}).get("notes", "{}")))
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError, ValueError, TypeError, RecursionError) as error:
        message = f"{path}: not a whole safetensors file of ours ({first_line(error)}); save or copy it again."
        raise InputError(message) from error
    return todays_names(state), notes


def write_safetensors(path: str | Path, state: StateDict, notes: dict[str, Any] | None = None) -> None:
    """Write tensors and notes (anything JSON can hold), whole or not at all; the same ones give the same bytes."""
    state = {key: value.detach().cpu().contiguous() for key, value in state.items()}
    metadata = {"notes": json.dumps(notes, sort_keys=True)} if notes is not None else None
    files.write_bytes(path, save(state, metadata=metadata))


def read_checkpoint(path: Path) -> StateDict:
    """The state dict of a PyTorch file, of which only tensors and plain values are read; InputError if it has none."""
    require_file(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling arbitrary bytes raises almost anything
        denied = isinstance(error, PermissionError) and "may not be read by you"
        reason = denied or ("holds more than tensors" if "weights_only" in str(error) else "is damaged")
        raise InputError(f"{path}: not a checkpoint that can be read safely: it {reason}; fetch it again.") from error
    content = content.get("state_dict", content.get("model", content)) if isinstance(content, dict) else content
    if not isinstance(content, dict) or not all(type(k) is str and isinstance(v, Tensor) for k, v in content.items()):
        raise InputError(f"{path}: holds no state dict (a table of tensors by name); pass a checkpoint file.")
    return content


def fill(module: nn.Module, state: StateDict, label: str) -> None:
    """Copy every tensor of `state` into the module; nothing half done.

    InputError names every tensor that is missing, left over, of another shape or not finite.
    """
    own = module.state_dict()
    both = [(key, value, own[key]) for key, value in state.items() if key in own]
    faults = {
        "missing": [key for key in own if key not in state],
        "left over": [key for key in state if key not in own],
        "of another shape": [
            f"{key} is {_shape(v)} instead of {_shape(w)}" for key, v, w in both if v.shape != w.shape
        ],
        "of another kind": [
            f"{k} is {v.dtype}" for k, v, w in both if v.is_floating_point() != w.is_floating_point() or v.is_meta
        ],
    }
    if fault := ", ".join(f"{len(found)} {what} ({_some(found)})" for what, found in faults.items() if found):
        raise InputError(f"{label}: these weights are another model's: {fault}; choose the matching recipe or classes.")
    if broken := [key for key, v, _ in both if not torch.stack(v.float().aminmax()).isfinite().all()]:
        raise InputError(f"{label}: {_some(broken)} hold values that are not finite; fetch it or train it again.")
    on_meta = any(tensor.is_meta for tensor in own.values())  # without values of its own it takes these very tensors
    module.load_state_dict({key: value.to(own[key].dtype) for key, value in state.items()}, assign=on_meta)


def _shape(tensor: Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "a scalar"


def _some(items: list[str], most: int = 4) -> str:
    return ", ".join(items[:most]) + (f" and {len(items) - most} more" if len(items) > most else "")


def require_file(path: str | Path) -> None:
    """Raise InputError unless there is such a file."""
    if not Path(path).is_file():
        raise InputError(f"{path}: there is no such weights file; check the path.")


def todays_names(state: StateDict) -> StateDict:
    """The state dict as it is or, if it is one of the first edition, under the names of this one."""
    if "encoder.class_token" not in state:
        return state
    pairs = list(zip(FIRST_EDITION.split()[::2], FIRST_EDITION.split()[1::2], strict=True))
    return {_replaced(key, pairs): value for key, value in state.items()}


def _replaced(key: str, pairs: list[tuple[str, str]]) -> str:
    for old, new in pairs:
        key = key.replace(old, new)
    return key


def first_line(error: Exception) -> str:
    """The first line of an error's text, at most 200 characters."""
    return str(error).split("\n")[0].strip()[:200]
