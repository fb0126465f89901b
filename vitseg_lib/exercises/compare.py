"""Whether two results agree, and where they differ most, in words.

Results are tensors, arrays, numbers, strings, or tuples, lists and dicts of those.
"""

from collections.abc import Mapping, Sequence
from numbers import Number
from typing import Any

import numpy as np
import torch


def parts(value: Any) -> list[tuple[str, Any]]:
    """The result's tensors, numbers and words, each with the name of its place: [("", value)] where it is one."""
    if isinstance(value, Mapping):
        return [(f"[{key!r}]{name}", part) for key in value for name, part in parts(value[key])]
    if isinstance(value, (list, tuple)) and not _is_plain(list(value) if all(map(_is_number, value)) else value):
        return [(f"[{number}]{name}", part) for number, item in enumerate(value) for name, part in parts(item)]
    return [("", value)]


def _is_plain(value: Any) -> bool:
    """Whether it is a number, or a list of numbers or of such lists: those are read as one array."""
    return _is_number(value) or (isinstance(value, list) and all(map(_is_plain, value)))


def _is_number(value: Any) -> bool:
    return isinstance(value, (Number, np.number))


def numbers(value: Any) -> np.ndarray | None:
    """The value as an array of float64, or None where it is not numbers."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().double().numpy() if not value.is_complex() else None
    try:
        return None if value is None or isinstance(value, str) else np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        return None


def agree(given: Any, expected: Any, tolerance: float) -> bool:
    """Whether two results have the same structure and shapes, and values within `tolerance` of the largest one."""
    ours, theirs = parts(given), parts(expected)
    if [name for name, _ in ours] != [name for name, _ in theirs]:
        return False
    return all(_same(a, b, tolerance) for (_, a), (_, b) in zip(ours, theirs, strict=True))


def _same(given: Any, expected: Any, tolerance: float) -> bool:
    a, b = numbers(given), numbers(expected)
    if a is None or b is None:
        return type(given) is type(expected) and repr(given) == repr(expected)
    if a.shape != b.shape:
        return False
    finite = np.abs(b[np.isfinite(b)])
    return bool(np.allclose(a, b, rtol=0, atol=tolerance * max(float(finite.max(initial=0)), 1e-3), equal_nan=True))


def difference(given: Any, expected: Any, axes: Sequence[str] = ()) -> str:
    """A sentence on how two results that do not agree differ: structure, shape, or the largest difference and where."""
    ours, theirs = parts(given), parts(expected)
    if [name for name, _ in ours] != [name for name, _ in theirs]:
        return f"the result is {form(given)}, where {form(expected)} was expected"
    for (name, a), (_, b) in zip(ours, theirs, strict=True):
        if not _same(a, b, 1e-6):
            return (f"in part {name}, " if name else "") + _differ(a, b, axes)
    return "the result differs by very little"


def _differ(given: Any, expected: Any, axes: Sequence[str]) -> str:
    a, b = numbers(given), numbers(expected)
    if a is None or b is None:
        return f"the result is {form(given)}, where {form(expected)} was expected"
    if a.shape != b.shape:
        return f"the result has shape {a.shape}, where {b.shape} was expected"
    apart = np.where(np.isfinite(a) | (np.isnan(a) & np.isnan(b)), np.abs(np.nan_to_num(a - b)), np.inf)
    at = np.unravel_index(int(apart.argmax()), apart.shape)
    where = f" at {place(at, axes)}" if at else ""
    return f"the largest difference is {apart[at]:.3g}{where}: {a[at]:.4g} instead of {b[at]:.4g}"


def place(at: Sequence[int], axes: Sequence[str] = ()) -> str:
    """An index in words: "row 2, column 5", or "[2, 5]" where the axes have no names."""
    if len(axes) != len(at):
        return str([int(i) for i in at])
    return ", ".join(f"{axis} {int(i)}" for axis, i in zip(axes, at, strict=True))


def form(value: Any) -> str:
    """What kind of thing it is, in a few words."""
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
    if isinstance(value, (str, bool, int)) or (isinstance(value, tuple) and len(value) < 5):
        return f"= {value!r}"
    return f"({form(value)})"
