"""What chapter 04 needs: what a computation costs, and patches that look alike and are not.

Memory is counted and not measured, so that the answer is the same on every machine.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from vitseg_lib.course.figures.layout import MARGIN, draw_outline
from vitseg_lib.course.figures.picture import UNIT, Picture, Sheet


def _tensors(values: Any) -> list[Tensor]:
    return [value for value in tree_leaves(values) if isinstance(value, Tensor)]


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


class _Watch(TorchFunctionMode):
    """Notes the shape of the largest tensor that any operation returns."""

    def __init__(self) -> None:
        super().__init__()
        self.largest = torch.Size([0])

    def __torch_function__(self, operation: Callable, types: Any, arguments: tuple = (), options: dict | None = None):
        options = options or {}
        results = operation(*arguments, **options)
        known = {_memory(tensor) for tensor in _tensors((arguments, options))}
        for made in _tensors(results):
            if _memory(made) not in known:  # a view makes nothing
                self.largest = max(self.largest, made.shape, key=lambda shape: (shape.numel(), len(shape)))
        return results


def largest_tensor(compute: Callable[[], Any]) -> tuple[int, ...]:
    """The shape of the largest tensor that PyTorch makes while `compute()` runs without gradients.

    Results of the operations that Python calls are seen; what a kernel uses inside and frees again is not.
    """
    watch = _Watch()
    with torch.no_grad(), watch:
        compute()
    return tuple(watch.largest)


def kept_for_backward(compute: Callable[[], Any]) -> int:
    """How many bytes of tensors `compute()` keeps until its gradients are computed; one memory counts once."""
    kept: dict[int, int] = {}
    held = []  # what is freed meanwhile could come back at the same address

    def keep(tensor: Tensor) -> Tensor:
        kept[_memory(tensor)] = tensor.untyped_storage().nbytes()
        held.append(tensor.detach())
        return tensor

    with torch.enable_grad(), saved_tensors_hooks(keep, lambda tensor: tensor):
        result = compute()
    del result
    return sum(kept.values())


def milliseconds(compute: Callable[[], Any], times: int = 3) -> float:
    """How long the fastest of a few runs takes: the only result of this file that differs between machines."""
    taken = []
    for _ in range(times):
        start = perf_counter()
        compute()
        taken.append(1000 * (perf_counter() - start))
    return min(taken)


@dataclass(frozen=True)
class Twins:
    """Two patches of one scene that look most alike and are not of one class; `patches` are uint8 (p, p, 3)."""

    image: np.ndarray
    labels: np.ndarray
    numbers: tuple[int, int]  # of the patches, counted row by row
    patches: tuple[np.ndarray, np.ndarray]
    difference: float  # in grey levels, the mean over pixels and colours

    def in_place(self) -> Picture:
        """The scene with both patches outlined."""
        size, grid = 40 * UNIT, tuple(side // len(self.patches[0]) for side in self.labels.shape)
        sheet = Sheet(size + 2 * MARGIN, size + 2 * MARGIN)
        sheet.image(MARGIN, MARGIN, size, size, self.image)
        cells = [divmod(number, grid[1]) for number in self.numbers]
        for cell in cells:
            draw_outline(sheet, (MARGIN, MARGIN, size, size), cell, grid)
        words = " and ".join(f"row {row}, column {column}" for row, column in cells)
        return sheet.picture(name="two patches in their scene", alt=f"The scene; outlined, the patches in {words}.")


def twins(
    scenes: Iterable[tuple[np.ndarray, np.ndarray]], first: int, second: int, *, side: int = 128, patch: int = 8
) -> Twins:
    """Of all patches that are wholly class `first` or wholly class `second`, the pair of one scene most alike.

    Scenes are images, uint8 (H, W, 3), and labels (H, W); the upper left `side` × `side` pixels of each are looked at.
    Raises ValueError if no scene has both.
    """
    best = None
    for scene in scenes:
        image, labels = (array[:side, :side] for array in scene)
        squares, kinds = (rearrange(a, "(h p) (w q) ... -> (h w) p q ...", p=patch, q=patch) for a in (image, labels))
        ones, others = (np.flatnonzero((kinds == k).all(axis=(1, 2))) for k in (first, second))
        for one in ones if len(others) else ():
            apart = np.abs(squares[others].astype(float) - squares[one]).mean(axis=(1, 2, 3))
            if best is None or apart.min() < best.difference:
                pair = int(one), int(others[apart.argmin()])
                best = Twins(image, labels, pair, (squares[pair[0]], squares[pair[1]]), float(apart.min()))
    if best is None:
        raise ValueError(f"no scene has a patch that is all class {first} and another that is all class {second}")
    return best
