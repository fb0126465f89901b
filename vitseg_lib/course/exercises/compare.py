"""Whether two results agree, and where they differ most, in words.

Results are tensors, arrays, numbers, strings, or tuples, lists and dicts of those.
"""

from collections.abc import Mapping, Sequence
from numbers import Number
from typing import Any

import numpy as np
import torch


def as_array(value: Any) -> np.ndarray | None:
    """A tensor, array, number, or (nested) list of numbers as float64; None for anything else."""
    if isinstance(value, torch.Tensor):
        return None if value.is_complex() else value.detach().cpu().double().numpy()
    if not isinstance(value, np.ndarray) and not _is_numbers(value):
        return None
    try:
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):  # an array of strings, rows of different lengths
        return None


def _is_numbers(value: Any) -> bool:
    """Whether it is a number, or a list or tuple of such."""
    return isinstance(value, (Number, np.number)) or (isinstance(value, (list, tuple)) and all(map(_is_numbers, value)))


def agree(given: Any, expected: Any, tolerance: float) -> bool:
    """Whether two results have the same structure and shapes, and values within `tolerance` of the largest one."""
    a, b = as_array(given), as_array(expected)
    if a is not None and b is not None:
        return a.shape == b.shape and _close(a, b, tolerance)
    pairs = _paired(given, expected)
    if pairs is not None:
        return all(agree(ours, theirs, tolerance) for _, ours, theirs in pairs)
    return type(given) is type(expected) and repr(given) == repr(expected)


def _close(a: np.ndarray, b: np.ndarray, tolerance: float) -> bool:
    finite = np.abs(b[np.isfinite(b)])
    return bool(np.allclose(a, b, rtol=0, atol=tolerance * max(float(finite.max(initial=0)), 1e-3), equal_nan=True))


def _paired(given: Any, expected: Any) -> list[tuple[Any, Any, Any]] | None:
    """(key or number, item, item) of two dicts with the same keys, or of two equally long sequences or arrays."""
    if isinstance(given, Mapping) and isinstance(expected, Mapping):
        return [(key, given[key], expected[key]) for key in given] if list(given) == list(expected) else None
    ours, theirs = _items(given), _items(expected)
    if ours is None or theirs is None or len(ours) != len(theirs):
        return None
    return list(zip(range(len(ours)), ours, theirs, strict=True))


def _items(value: Any) -> list[Any] | None:
    if isinstance(value, (list, tuple)):
        return list(value)
    return list(value) if isinstance(value, (torch.Tensor, np.ndarray)) and value.ndim else None


def difference(given: Any, expected: Any, axes: Sequence[str] = (), part: str = "") -> str:
    """A sentence on how two results that do not agree differ: structure, shape, or the largest difference and where."""
    where = f"in part {part}, " if part else ""
    a, b = as_array(given), as_array(expected)
    if a is not None and b is not None:
        return where + _largest_difference(a, b, axes)
    for key, ours, theirs in _paired(given, expected) or ():
        if not agree(ours, theirs, 1e-6):
            return difference(ours, theirs, axes, f"{part}[{key!r}]")
    return f"{where}the result is {kind(given)}, where {kind(expected)} was expected"


def _largest_difference(a: np.ndarray, b: np.ndarray, axes: Sequence[str]) -> str:
    if a.shape != b.shape:
        return f"the result has shape {a.shape}, where {b.shape} was expected"
    apart = np.where(np.isfinite(a) | (np.isnan(a) & np.isnan(b)), np.abs(np.nan_to_num(a - b)), np.inf)
    at = np.unravel_index(int(apart.argmax()), apart.shape)
    where = f" at {position(at, axes)}" if at else ""
    return f"the largest difference is {apart[at]:.3g}{where}: {a[at]:.4g} instead of {b[at]:.4g}"


def position(at: Sequence[int], axes: Sequence[str] = ()) -> str:
    """An index in words: "row 2, column 5", or "[2, 5]" where the axes have no names."""
    if len(axes) != len(at):
        return str([int(i) for i in at])
    return ", ".join(f"{axis} {int(i)}" for axis, i in zip(axes, at, strict=True))


def kind(value: Any) -> str:
    """What kind of object it is, in a few words."""
    if isinstance(value, (torch.Tensor, np.ndarray)):
        return f"a {'tensor' if isinstance(value, torch.Tensor) else 'array'} of shape {tuple(value.shape)}"
    if isinstance(value, (str, bool, int, float)):
        return repr(value)
    if isinstance(value, Sequence):
        return f"a {type(value).__name__} of {len(value)}"
    return f"a {type(value).__name__}"


def arguments(case: Sequence[Any], names: Sequence[str]) -> str:
    """The arguments of a call in words: "labels of shape (5, 6), rate = 0.4"."""
    return ", ".join(f"{name} {_outline(value)}" for name, value in zip(names, case, strict=True))


def _outline(value: Any) -> str:
    if hasattr(value, "shape"):
        return f"of shape {tuple(value.shape)}"
    if isinstance(value, float):
        return f"= {value:.3g}"
    if isinstance(value, dict) and all(isinstance(item, (str, bool, int, float, tuple)) for item in value.values()):
        return "(" + ", ".join(f"{name} = {item!r}" for name, item in value.items()) + ")"
    if isinstance(value, list) and value and all(hasattr(item, "shape") for item in value):
        return f"of shape {' and '.join(str(tuple(item.shape)) for item in value)}"
    if isinstance(value, (str, bool, int)) or (isinstance(value, tuple) and len(value) < 5):
        return f"= {value!r}"
    return f"({kind(value)})"
