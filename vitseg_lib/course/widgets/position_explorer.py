"""Chapter 03 under a finger: an image cut into patches, and the position embedding of each.

The embedding is sent once, with the matrices that resize it to the grid of each patch size, rightly and wrongly. The
browser multiplies them out and compares the position that is pointed at with all others.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import traitlets
from torch import Tensor

from vitseg_lib.course.widgets.base import CourseWidget, check_finite, check_image
from vitseg_lib.model.patches import resize_pos_embed
from vitseg_lib.model.segmenter import Segmenter

# What may go wrong in a resize: another matrix, or the right one on rows that are taken for other positions.
OTHER_MATRIX = {
    "antialias": {"mode": "bicubic", "antialias": True},
    "bilinear": {"mode": "bilinear"},
    "corners aligned": {"mode": "bicubic", "align_corners": True},
}
MISTAKES = {  # in the order of the buttons
    "antialias": "The flag blurs a grid that shrinks, and takes another curve for one that grows.",
    "bilinear": "Two neighbours per direction instead of four: linear between positions.",
    "corners aligned": "The outermost centres are aligned, instead of the edges.",
    "class row as a patch": "The class row is not set apart, and every vector comes one position late.",
    "read by columns": "The old grid is read by columns: down is taken for right.",
}


class PositionExplorer(CourseWidget, source=("grids", "position_vectors", "position_explorer")):
    """An image cut into patches at several sizes, and the cosines of one position's embedding with all others.

    Three maps show the cosines: on the grid the embedding was trained on; resized to the image's grid as the library
    does; and resized with a mistake. `position`, `patch_size` and `mistake` follow what is chosen in the browser.
    """

    pixels = traitlets.Bytes().tag(sync=True)  # uint8 (H, W, 3)
    size = traitlets.List(traitlets.Int()).tag(sync=True)  # H, W
    vectors = traitlets.Bytes().tag(sync=True)  # float32 (1 + h·w, C), the class row first
    channels = traitlets.Int().tag(sync=True)
    matrices = traitlets.Bytes().tag(sync=True)  # float32 (new, old), by patch size, kind and axis
    kinds = traitlets.List(traitlets.Unicode(), ["right", *OTHER_MATRIX]).tag(sync=True)
    trained = traitlets.List(traitlets.Int()).tag(sync=True)  # h, w: the embedding's own grid
    patch_sizes = traitlets.List(traitlets.Int()).tag(sync=True)
    patch_size = traitlets.Int().tag(sync=True)
    mistakes = traitlets.Dict(default_value=MISTAKES).tag(sync=True)
    mistake = traitlets.Enum(tuple(MISTAKES), "antialias").tag(sync=True)
    position = traitlets.List(traitlets.Int()).tag(sync=True)  # row, column of the chosen patch

    def __init__(
        self,
        image: np.ndarray,
        embedding: Tensor | np.ndarray,
        grid: tuple[int, int],
        *,
        patch_size: int = 8,
        patch_sizes: Sequence[int] | None = None,
        **options: Any,
    ):
        """`image` uint8 (H, W, 3); `embedding` (1, 1 + h·w, C) or (1 + h·w, C), class row first; `grid` its (h, w).

        `patch_size` in pixels is shown first; `patch_sizes` are those to choose from, by default its half to its
        fourfold as far as the image goes.
        Raises ValueError with one sentence for what does not fit together.
        """
        image = check_image(image)
        vectors = _check_embedding(embedding, grid)
        if patch_sizes is None:
            around = (patch_size // 2, patch_size, 2 * patch_size, 4 * patch_size)
            patch_sizes = [size for size in around if 1 <= size <= min(image.shape[:2])]
        sizes = _check_sizes({*patch_sizes, patch_size}, image.shape)
        grids = {size: tuple(-(-side // size) for side in image.shape[:2]) for size in sizes}
        super().__init__(
            label="Patches and positions",
            alt=_alt(image.shape, grid, sizes),
            pixels=image.tobytes(),
            size=list(image.shape[:2]),
            vectors=vectors.tobytes(),
            channels=vectors.shape[1],
            matrices=b"".join(_matrices(tuple(grid), new).tobytes() for new in grids.values()),
            trained=list(map(int, grid)),
            patch_sizes=sizes,
            patch_size=patch_size,
            position=[side // 3 for side in grids[patch_size]],
            **options,
        )

    @classmethod
    def from_model(cls, model: Segmenter, image: np.ndarray, **options: Any) -> "PositionExplorer":
        """The position embedding of a segmenter's encoder over `image`, cut at its patch size first."""
        encoder = getattr(model, "encoder", None)
        if not hasattr(encoder, "pos_embed"):
            kind = type(model).__name__
            raise ValueError(f"model is a {kind} without a position embedding; give one of recipes.build_model.")
        options = {"patch_size": encoder.patch_embed.patch_size} | options
        return cls(image, encoder.pos_embed, encoder.grid_size, **options)

    @traitlets.validate("patch_size")
    def _one_of_the_sizes(self, proposal: Any) -> int:
        if proposal.value not in self.patch_sizes:
            message = f"patch_size is {proposal.value}; give one of {', '.join(map(str, self.patch_sizes))}."
            raise traitlets.TraitError(message)
        return proposal.value

    @traitlets.validate("position")
    def _on_the_grid(self, proposal: Any) -> list[int]:
        rows, columns = (-(-side // self.patch_size) for side in self.size)
        row, column = proposal.value
        if not (0 <= row < rows and 0 <= column < columns):
            message = (
                f"position is {proposal.value}; give the row and column of one of {rows}×{columns} patches, from 0."
            )
            raise traitlets.TraitError(message)
        return proposal.value

    def __repr__(self) -> str:
        rows, columns = self.trained
        return f"<PositionExplorer: {self.size[0]}×{self.size[1]} pixels, {rows}×{columns} positions × {self.channels}>"


def resize_matrix(old: int, new: int, kind: str = "right") -> Tensor:
    """The weight of each old position of an axis in each new one, (new, old): the resize of a unit matrix.

    `kind` is "right", the library's own, or one of `OTHER_MATRIX`.
    """
    unit = torch.eye(old)
    if kind == "right":
        return resize_pos_embed(F.pad(unit, (0, 0, 1, 0))[None], (old, 1), (new, 1))[0, 1:]
    return F.interpolate(unit[None, None], size=(new, old), **OTHER_MATRIX[kind])[0, 0]


def _matrices(old: tuple[int, int], new: tuple[int, int]) -> np.ndarray:
    """The matrices of all kinds from grid to grid, down and across, one after the other."""
    kinds = ("right", *OTHER_MATRIX)
    matrices = [resize_matrix(a, b, kind).flatten() for kind in kinds for a, b in zip(old, new, strict=True)]
    return torch.cat(matrices).numpy()


def _check_embedding(embedding: Tensor | np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """The embedding as float32 (1 + h·w, C), or a ValueError."""
    values = embedding.detach().cpu().float() if torch.is_tensor(embedding) else embedding
    values = check_finite(np.asarray(values, dtype=np.float32), "embedding")
    if len(grid) != 2 or min(grid) < 1:
        raise ValueError(f"grid is {tuple(grid)}; give the embedding's own (rows, columns).")
    expected = 1 + grid[0] * grid[1]
    rows = values[0] if values.ndim == 3 and len(values) == 1 else values
    if rows.ndim != 2 or len(rows) != expected:
        needed = f"a grid of {grid[0]}×{grid[1]} needs (1, {expected}, C), a class row and one per position"
        raise ValueError(f"embedding has the shape {values.shape}; {needed}.")
    return np.ascontiguousarray(rows)


def _check_sizes(sizes: set[int], shape: tuple[int, ...]) -> list[int]:
    """The patch sizes in order, or a ValueError."""
    for size in sorted(sizes):
        if not 1 <= size <= min(shape[:2]):
            allowed = f"give sizes from 1 to {min(shape[:2])}, the image's shorter side"
            raise ValueError(f"patch_sizes has {size}; {allowed}.")
    return sorted(map(int, sizes))


def _alt(shape: tuple[int, ...], grid: tuple[int, int], sizes: Sequence[int]) -> str:
    return (
        f"An image of {shape[0]} by {shape[1]} pixels, cut into square patches of {', '.join(map(str, sizes))} pixels "
        "as you choose; the patch you point at is magnified beside it. Below are three maps of how similar the "
        f"embedding of that position is to all others: as trained on a grid of {grid[0]} by {grid[1]}, resized to the "
        "image's grid, and resized with a mistake that you choose. Blue is −1, plain 0, orange 1. Arrow keys move over "
        "the image and over each map; Home, End, Page Up and Page Down go to the border; Enter sends the position to "
        "Python."
    )
