"""Weights in and out: published mmsegmentation checkpoints, timm, and our own safetensors.

Every loader is strict both ways: it fills each tensor of the model and uses each of the source, or names what does
not fit. Weights that load "successfully" and are not used are the field's most costly mistake (43 → 20 mIoU;
open-mmlab/mmsegmentation issues 1288, 1933, 1166). Nothing pickled is ever executed.
"""

import json
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from vitseg_lib import files
from vitseg_lib.files import InputError
from vitseg_lib.model.patches import resize_position_embedding

StateDict = dict[str, Tensor]

# Our name and mmsegmentation's, as pairs of fragments; `#` stands for a number. Order matters: the first match counts.
MMSEG_NAMES = (
    ("encoder.class_token", "backbone.cls_token"),
    ("encoder.position_embedding", "backbone.pos_embed"),
    ("encoder.patches.projection.", "backbone.patch_embed.projection."),
    ("encoder.blocks.#.norm1.", "backbone.layers.#.ln1."),
    ("encoder.blocks.#.attention.qkv.", "backbone.layers.#.attn.attn.in_proj_"),
    ("encoder.blocks.#.attention.projection.", "backbone.layers.#.attn.attn.out_proj."),
    ("encoder.blocks.#.norm2.", "backbone.layers.#.ln2."),
    ("encoder.blocks.#.mlp.expand.", "backbone.layers.#.ffn.layers.0.0."),
    ("encoder.blocks.#.mlp.contract.", "backbone.layers.#.ffn.layers.1."),
    ("encoder.final_norm.", "backbone.ln1."),
    ("neck.branches.#.lateral.", "neck.lateral_convs.#.conv."),
    ("neck.branches.#.smooth.", "neck.convs.#.conv."),
    ("head.pyramid.branches.#.conv.", "decode_head.psp_modules.#.1.conv."),
    ("head.pyramid.branches.#.norm.", "decode_head.psp_modules.#.1.bn."),
    ("head.pyramid.fuse.conv.", "decode_head.bottleneck.conv."),
    ("head.pyramid.fuse.norm.", "decode_head.bottleneck.bn."),
    ("head.laterals.#.conv.", "decode_head.lateral_convs.#.conv."),
    ("head.laterals.#.norm.", "decode_head.lateral_convs.#.bn."),
    ("head.smooths.#.conv.", "decode_head.fpn_convs.#.conv."),
    ("head.smooths.#.norm.", "decode_head.fpn_convs.#.bn."),
    ("head.fuse.conv.", "decode_head.fpn_bottleneck.conv."),
    ("head.fuse.norm.", "decode_head.fpn_bottleneck.bn."),
    ("head.classifier.", "decode_head.conv_seg."),
    ("auxiliary_head.conv.conv.", "auxiliary_head.convs.0.conv."),
    ("auxiliary_head.conv.norm.", "auxiliary_head.convs.0.bn."),
    ("auxiliary_head.classifier.", "auxiliary_head.conv_seg."),
)

TIMM_NAMES = (
    ("class_token", "cls_token"),
    ("position_embedding", "pos_embed"),
    ("patches.projection.", "patch_embed.proj."),
    ("blocks.#.norm1.", "blocks.#.norm1."),
    ("blocks.#.attention.qkv.", "blocks.#.attn.qkv."),
    ("blocks.#.attention.projection.", "blocks.#.attn.proj."),
    ("blocks.#.norm2.", "blocks.#.norm2."),
    ("blocks.#.mlp.expand.", "blocks.#.mlp.fc1."),
    ("blocks.#.mlp.contract.", "blocks.#.mlp.fc2."),
    ("final_norm.", "norm."),
)
# What an ImageNet classifier has and a segmenter's encoder has no place for.
TIMM_LEFT_OVER = ("head.", "fc_norm.", "pre_logits.")


def load_mmseg(model: nn.Module, source: "str | Path | StateDict | Any") -> None:
    """Fill a segmenter from a checkpoint of mmsegmentation 0.x.

    `source`: a file, an http(s) address, a recipe's `published` row (fetched, its SHA-256 prefix checked) or a
    state dict. InputError names every tensor that is missing, left over or of another shape.
    """
    state, label = _read(source)
    names = {theirs: ours for ours, theirs in _names(model, MMSEG_NAMES).items()}
    _fill(model, {names.get(key, key): value for key, value in state.items()}, label)


def to_mmseg(model: nn.Module) -> StateDict:
    """A segmenter's weights under mmsegmentation 0.17's keys."""
    names = _names(model, MMSEG_NAMES)
    return {names[key]: value for key, value in model.state_dict().items()}


def load_timm(encoder: nn.Module, source: "str | Path | StateDict") -> list[str]:
    """Fill an encoder from a timm Vision Transformer and return the names that were left over.

    `source`: a timm tag such as "deit_small_patch16_224.fb_in1k" (fetched by timm), a file, or a state dict. The
    position embedding is resized to the encoder's grid. Only a classifier's tensors may be left over (`head.*`,
    `fc_norm.*`, `pre_logits.*`) and, for an encoder without a final LayerNorm, `norm.*`; all else is an InputError.
    """
    state, label = _read_timm(source)
    has_norm = any(key.startswith("final_norm.") for key in encoder.state_dict())
    skipped = TIMM_LEFT_OVER if has_norm else (*TIMM_LEFT_OVER, "norm.")
    left_over = [key for key in state if key.startswith(skipped)]
    names = {theirs: ours for ours, theirs in _names(encoder, TIMM_NAMES).items()}
    state = {names.get(key, key): value for key, value in state.items() if key not in left_over}
    if "position_embedding" in state:
        state["position_embedding"] = _fit_position(state["position_embedding"], encoder.grid, label)
    _fill(encoder, state, label)
    return left_over


def to_timm(encoder: nn.Module) -> StateDict:
    """An encoder's weights under timm's keys; the position embedding keeps the encoder's own grid."""
    names = _names(encoder, TIMM_NAMES)
    return {names[key]: value for key, value in encoder.state_dict().items()}


def save(model: nn.Module, path: str | Path, *, dtype: torch.dtype | None = None, **notes: Any) -> None:
    """Write the weights as safetensors, whole or not at all, with notes (anything JSON can hold) in the header.

    The same weights and notes give the same bytes. `dtype=torch.float16` halves the file; `load` then fills in the
    rounded values, in the model's own dtype.
    """
    state = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    if dtype is not None:
        state = {key: v.to(dtype) if v.is_floating_point() else v for key, v in state.items()}
    with files.atomic_path(path) as temporary:
        temporary.write_bytes(to_bytes(state, metadata={"notes": json.dumps(notes, sort_keys=True)}))


def load(model: nn.Module, path: str | Path) -> dict[str, Any]:
    """Fill the model from a file that `save` wrote, strictly, and return its notes."""
    state, notes = read_safetensors(path)
    _fill(model, state, str(path))
    return notes


def read_safetensors(path: str | Path) -> tuple[StateDict, dict[str, Any]]:
    """Tensors and notes of a safetensors file; InputError when it is missing, cut short or something else."""
    if not Path(path).is_file():
        raise InputError(f"{path}: there is no such weights file; check the path.")
    try:
        with safe_open(path, framework="pt") as file:
            notes = dict(json.loads((file.metadata() or {}).get("notes", "{}")))
            return {key: file.get_tensor(key) for key in file.keys()}, notes  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError, ValueError, TypeError, RecursionError) as error:
        told = f"{path}: not a whole safetensors file of ours ({_one_line(error)}); save or copy it again."
        raise InputError(told) from error


def _read(source: Any) -> tuple[StateDict, str]:
    """A state dict and a label for messages, from whatever `load_mmseg` accepts."""
    if isinstance(source, dict):
        return source.get("state_dict", source), "the state dict"
    if hasattr(source, "url"):
        return _read_file(_fetch(source.url, sha256=source.sha256_prefix))
    if str(source).startswith(("http://", "https://")):
        return _read_file(_fetch(str(source)))
    return _read_file(Path(source))


def _fetch(url: str, sha256: str | None = None) -> Path:
    """The cached file of an address; downloaded, resumably, when it is not there yet."""
    return files.download(url, files.cache_dir() / "checkpoints" / url.rsplit("/", 1)[-1], sha256=sha256)


def _read_file(path: Path) -> tuple[StateDict, str]:
    """The state dict in a .safetensors, or in a PyTorch file of which only tensors and plain values are read."""
    if path.suffix == ".safetensors":
        return read_safetensors(path)[0], str(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such weights file; check the path.")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling arbitrary bytes raises almost anything
        denied = isinstance(error, PermissionError) and "may not be read by you"
        reason = denied or ("holds more than tensors" if "weights_only" in str(error) else "is damaged")
        raise InputError(f"{path}: not a checkpoint that can be read safely: it {reason}; fetch it again.") from error
    content = content.get("state_dict", content.get("model", content)) if isinstance(content, dict) else content
    if not isinstance(content, dict) or any(
        type(k) is not str or not isinstance(v, Tensor) for k, v in content.items()
    ):
        raise InputError(f"{path}: holds no state dict (a table of tensors by name); pass a checkpoint file.")
    return content, str(path)


def _read_timm(source: "str | Path | StateDict") -> tuple[StateDict, str]:
    """A state dict and its label, from a timm tag, a file or a state dict."""
    if isinstance(source, dict) or Path(source).suffix in (".pth", ".pt", ".safetensors", ".bin"):
        state, label = _read(source)
        return state.get("model", state), label
    import timm  # slow to import, and only needed here

    try:
        return timm.create_model(str(source), pretrained=True).state_dict(), f"timm's {source}"
    except Exception as error:  # timm, the hub and the network raise a dozen kinds
        told = f"timm's {source}: could not be fetched ({_one_line(error)}); check tag and network, or pass a file."
        raise InputError(told) from error


def _names(module: nn.Module, table: Iterable[tuple[str, str]]) -> dict[str, str]:
    """{our key: their key} for every tensor of a module."""
    rules = [(re.compile(re.escape(a).replace(r"\#", r"(\d+)")), b.replace("#", r"\1")) for a, b in table]
    return {key: _rename(key, rules) for key in module.state_dict()}


def _rename(key: str, rules: list[tuple[re.Pattern, str]]) -> str:
    for pattern, theirs in rules:
        if match := pattern.match(key):
            return match.expand(theirs) + key[match.end() :]
    raise KeyError(f"{key} has no name in the table")


def _fit_position(embedding: Tensor, grid: tuple[int, int], label: str) -> Tensor:
    """A square position embedding with a class row, resized to the encoder's grid."""
    rows = embedding.shape[1] if embedding.ndim == 3 else 0
    side = math.isqrt(max(rows - 1, 0))
    if side < 1 or side * side + 1 != rows:
        told = f"{label}: its position embedding has {rows} rows, not one class row and a square grid; "
        raise InputError(told + "use the weights of a plain, non-distilled ViT or DeiT.")
    return resize_position_embedding(embedding.float(), (side, side), grid)


def _fill(module: nn.Module, state: StateDict, label: str) -> None:
    """Copy every tensor of `state` into the module, or raise and name what does not fit; nothing half done."""
    own = module.state_dict()
    both = [(key, value, own[key]) for key, value in state.items() if key in own]
    shapes = [f"{key} is {_shape(v)} instead of {_shape(w)}" for key, v, w in both if v.shape != w.shape]
    kinds = [f"{k} is {v.dtype}" for k, v, w in both if v.is_floating_point() != w.is_floating_point() or v.is_meta]
    faults = [
        ("missing", [key for key in own if key not in state]),
        ("left over", [key for key in state if key not in own]),
        ("of another shape", shapes),
        ("of another kind", kinds),
    ]
    if told := ", ".join(f"{len(found)} {what} ({_some(found)})" for what, found in faults if found):
        raise InputError(f"{label}: these weights are another model's: {told}; choose the matching recipe or classes.")
    if broken := [key for key, v, _ in both if not torch.stack(v.float().aminmax()).isfinite().all()]:
        raise InputError(f"{label}: {_some(broken)} hold numbers that are not finite; fetch it or train it again.")
    takes = any(tensor.is_meta for tensor in own.values())  # without numbers of its own it takes these very tensors
    module.load_state_dict({key: value.to(own[key].dtype) for key, value in state.items()}, assign=takes)


def _shape(tensor: Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "a scalar"


def _some(items: list[str], most: int = 4) -> str:
    return ", ".join(items[:most]) + (f" and {len(items) - most} more" if len(items) > most else "")


def _one_line(error: Exception) -> str:
    return str(error).split("\n")[0].strip()[:200]
