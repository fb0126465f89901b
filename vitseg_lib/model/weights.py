"""Weights in and out, under our names, timm's (which are ours) and mmsegmentation's; every loader is strict."""

import math
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vitseg_lib import state_files
from vitseg_lib.files import InputError
from vitseg_lib.model.patches import resize_pos_embed
from vitseg_lib.state_files import StateDict, fill

# From our names to mmsegmentation's: patterns and what takes their place, applied one after the other.
MMSEG_NAMES = (
    (r"^encoder\.norm\.", "backbone.ln1."),
    (r"^encoder\.", "backbone."),
    (r"patch_embed\.proj\.", "patch_embed.projection."),
    (r"blocks\.(\d+)\.norm", r"layers.\1.ln"),
    (r"blocks\.(\d+)\.attn\.qkv\.", r"layers.\1.attn.attn.in_proj_"),
    (r"blocks\.(\d+)\.attn\.proj\.", r"layers.\1.attn.attn.out_proj."),
    (r"blocks\.(\d+)\.mlp\.fc1\.", r"layers.\1.ffn.layers.0.0."),
    (r"blocks\.(\d+)\.mlp\.fc2\.", r"layers.\1.ffn.layers.1."),
    (r"^neck\.branches\.(\d)\.(lateral_conv|conv)\.", r"neck.\2s.\1.conv."),
    (r"ppm\.psp_modules\.(\d)\.", r"psp_modules.\1.1."),
    (r"ppm\.", ""),
)
# What an ImageNet classifier has and a segmenter's encoder has no place for.
TIMM_LEFT_OVER = ("head.", "fc_norm.", "pre_logits.")


def load_mmseg(model: nn.Module, source: "str | Path | StateDict | Any") -> None:
    """Fill a segmenter from a checkpoint of mmsegmentation 0.x.

    `source`: a file, an http(s) address, a recipe's `published` row (fetched, its SHA-256 prefix checked) or a
    state dict. InputError if it does not fit, as of `state_files.fill`.
    """
    state, label = state_files.read(source)
    names = {mmseg_name(key): key for key in model.state_dict()}
    fill(model, {names.get(key, key): value for key, value in state.items()}, label)


def to_mmseg(model: nn.Module) -> StateDict:
    """A segmenter's weights under mmsegmentation 0.17's keys."""
    return {mmseg_name(key): value for key, value in model.state_dict().items()}


def mmseg_name(key: str) -> str:
    """What mmsegmentation 0.17 calls a tensor of ours."""
    for pattern, replacement in MMSEG_NAMES:
        key = re.sub(pattern, replacement, key)
    return key


def load_timm(encoder: nn.Module, source: "str | Path | StateDict") -> list[str]:
    """Fill an encoder from a timm Vision Transformer, whose names it has, and return the names that were left over.

    `source`: a tag such as "deit_small_patch16_224.fb_in1k" (fetched by timm), a file, or a state dict. The position
    embedding is resized to the encoder's grid. Left over may be a classifier's tensors (`TIMM_LEFT_OVER`) and, for an
    encoder without a final LayerNorm, `norm.*`; all else is an InputError.
    """
    state, label = state_files.read_timm(source)
    skipped = TIMM_LEFT_OVER if "norm.weight" in encoder.state_dict() else (*TIMM_LEFT_OVER, "norm.")
    left_over = [key for key in state if key.startswith(skipped)]
    state = {key: value for key, value in state.items() if key not in left_over}
    if "pos_embed" in state:
        state["pos_embed"] = _fit_pos_embed(state["pos_embed"], encoder.grid_size, label)
    fill(encoder, state, label)
    return left_over


def save(model: nn.Module, path: str | Path, *, dtype: torch.dtype | None = None, **notes: Any) -> None:
    """Write the weights as safetensors, whole or not at all, with notes (anything JSON can hold) in the header.

    The same weights and notes give the same bytes. `dtype=torch.float16` halves the file; `load` then fills in the
    rounded values, in the model's own dtype.
    """
    state = {key: v.to(dtype or v.dtype) if v.is_floating_point() else v for key, v in model.state_dict().items()}
    state_files.write_safetensors(path, state, notes)


def load(model: nn.Module, path: str | Path) -> dict[str, Any]:
    """Fill the model from a file that `save` wrote, strictly, and return its notes."""
    state, notes = state_files.read_safetensors(path)
    fill(model, state, str(path))
    return notes


def _fit_pos_embed(pos_embed: Tensor, grid: tuple[int, int], label: str) -> Tensor:
    """A square position embedding with a class row, resized to the encoder's grid."""
    rows = pos_embed.shape[1] if pos_embed.ndim == 3 else 0
    side = math.isqrt(max(rows - 1, 0))
    if side < 1 or side * side + 1 != rows:
        message = f"{label}: its position embedding has {rows} rows, not one class row and a square grid; "
        raise InputError(message + "use the weights of a plain, non-distilled ViT or DeiT.")
    return resize_pos_embed(pos_embed.float(), (side, side), grid)
