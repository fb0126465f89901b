"""Attention under a finger: any patch of an image as the query, and the attention of every head of a layer at once.

    AttentionExplorer.from_model(model, image, recipe)

Queries and keys are sent, not the attention, which grows with the square of the tokens; the browser computes the rows
that are shown, and needs no kernel.
"""

from typing import Any

import numpy as np
import torch
import traitlets
from torch import Tensor, nn

from vitseg_lib.course.widgets.attention_data import quantise, queries_and_keys, summarise
from vitseg_lib.course.widgets.base import CourseWidget, check_finite, check_image
from vitseg_lib.data.transforms import MEAN, resize_image
from vitseg_lib.engine.inference import to_pixels
from vitseg_lib.recipes import Recipe

Patch = tuple[int, int] | None  # (row, column); None is the class token
Arrays = np.ndarray | Tensor


class AttentionExplorer(CourseWidget, source=("attention_rows", "attention_tiles", "attention_explorer")):
    """Point at a patch, and see which patches each head of a layer, or one head in each layer, attends to from it.

    `image` is uint8 (H, W, 3); `queries` and `keys` are (L, heads, T, d), where T is h·w of `grid` = (h, w), or one
    more with the class token first. `layer`, `head` and `patch`, (row, column) or None for the class token, are
    shown first; `view` is "heads" (of one layer) or "layers" (of one head). `head` may also be "mean".
    Raises ValueError with one sentence if these do not fit together.
    """

    image = traitlets.Bytes().tag(sync=True)
    image_size = traitlets.List().tag(sync=True)  # height, width
    grid = traitlets.List().tag(sync=True)  # rows, columns
    layers = traitlets.Int().tag(sync=True)
    heads = traitlets.Int().tag(sync=True)
    tokens = traitlets.Int().tag(sync=True)
    width = traitlets.Int().tag(sync=True)  # of a head
    query_codes = traitlets.Bytes().tag(sync=True)  # int16 (L, heads, T, d), with float32 scales (L, heads, T)
    key_codes = traitlets.Bytes().tag(sync=True)
    query_scales = traitlets.Bytes().tag(sync=True)
    key_scales = traitlets.Bytes().tag(sync=True)
    rollout = traitlets.Bytes().tag(sync=True)  # uint8 (T, T), with float32 scales (T)
    rollout_scales = traitlets.Bytes().tag(sync=True)
    entropy = traitlets.List().tag(sync=True)  # bits, L lists of heads
    distance = traitlets.List().tag(sync=True)  # pixels, L lists of heads

    view = traitlets.Enum(["heads", "layers"], "heads").tag(sync=True)
    layer = traitlets.Int().tag(sync=True)
    head = traitlets.Int().tag(sync=True)  # `heads` stands for their mean
    rolled = traitlets.Bool(False).tag(sync=True)  # the rollout lies over the image, not a head
    query = traitlets.Int().tag(sync=True)  # the token; the browser sets it when it is pinned
    pins = traitlets.List().tag(sync=True)  # up to two tokens, A and B
    opacity = traitlets.Float(0.8).tag(sync=True)

    def __init__(
        self,
        image: np.ndarray,
        queries: Arrays,
        keys: Arrays,
        *,
        grid: tuple[int, int],
        layer: int | None = None,
        head: int | str = 0,
        patch: Patch | str = "centre",
        view: str = "heads",
    ):
        image = check_image(image)
        queries, keys = (_array(values, name) for values, name in ((queries, "queries"), (keys, "keys")))
        extra = _check_shapes(queries, keys, grid)
        layers, heads, tokens, width = queries.shape
        sides = image.shape[0] / grid[0], image.shape[1] / grid[1]
        entropy, distance, rollout = summarise(torch.from_numpy(queries), torch.from_numpy(keys), grid, sides)
        data = {}
        for name, values, kind in (("query", queries, np.int16), ("key", keys, np.int16), ("roll", rollout, np.uint8)):
            data[name], data[f"{name}_scales"] = (array.tobytes() for array in quantise(values, kind))
        super().__init__(
            image=image.tobytes(),
            image_size=list(image.shape[:2]),
            grid=list(map(int, grid)),
            layers=layers,
            heads=heads,
            tokens=tokens,
            width=width,
            query_codes=data["query"],
            query_scales=data["query_scales"],
            key_codes=data["key"],
            key_scales=data["key_scales"],
            rollout=data["roll"],
            rollout_scales=data["roll_scales"],
            entropy=np.round(entropy.astype(float), 3).tolist(),
            distance=np.round(distance.astype(float), 2).tolist(),
            view=_choice("view", view, ("heads", "layers")),
            layer=_number("layer", layers - 1 if layer is None else layer, layers),
            head=heads if head == "mean" else _number("head", head, heads),
            query=_token(patch, grid, extra),
            label="Attention explorer",
            alt=_words(layers, heads, grid, extra),
        )

    @classmethod
    def from_model(cls, model: nn.Module, image: np.ndarray, recipe: Recipe, **options: Any) -> "AttentionExplorer":
        """Run `model`, a segmenter or an encoder of this library, on `image`, uint8 (H, W, 3) of any size.

        The image is shown as the model gets it, resized and padded. `options` are the constructor's.
        Raises ValueError for a model that has no attention to show.
        """
        image = check_image(image)
        encoder = getattr(model, "encoder", model)
        if not all(hasattr(getattr(block, "attn", None), "qkv") for block in getattr(encoder, "blocks", [None])):
            raise ValueError(
                f"model, a {type(model).__name__}, has no attention to show; give a segmenter or encoder of vitseg_lib."
            )
        if encoder.training:
            raise ValueError("model is in training mode, which drops paths at random; call model.eval() first.")
        pixels = to_pixels(model, image, recipe.test_scale)
        queries, keys, grid = queries_and_keys(encoder, pixels)
        shown = _resized_and_padded(image, tuple(pixels.shape[-2:]), encoder.patch_embed.patch_size)
        return cls(shown, queries, keys, grid=grid, **options)

    def __repr__(self) -> str:
        rows, columns = self.grid
        return f"<AttentionExplorer: {self.layers} layers × {self.heads} heads, {rows} × {columns} patches>"


def _array(values: Arrays, name: str) -> np.ndarray:
    """As contiguous float32, finite."""
    if isinstance(values, Tensor):
        values = values.detach().float().cpu().numpy()
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "fiu":
        raise ValueError(
            f"{name} is a {type(values).__name__}, not of numbers; give an array (layers, heads, tokens, d)."
        )
    if values.ndim != 4:
        raise ValueError(f"{name} has the shape {values.shape}; give (layers, heads, tokens, d).")
    return np.ascontiguousarray(check_finite(values, name), dtype=np.float32)


def _check_shapes(queries: np.ndarray, keys: np.ndarray, grid: tuple[int, int]) -> int:
    """Return how many tokens stand before the patches: 0, or 1 for the class token."""
    if queries.shape != keys.shape:
        raise ValueError(
            f"queries {queries.shape} and keys {keys.shape} differ in shape; give both of the same layers."
        )
    if len(grid) != 2 or min(grid) < 1:
        raise ValueError(f"grid is {tuple(grid)}; give the rows and columns of patches, both at least 1.")
    extra = queries.shape[2] - grid[0] * grid[1]
    if extra not in (0, 1):
        patches = f"{grid[0]} × {grid[1]} = {grid[0] * grid[1]} patches"
        raise ValueError(f"grid has {patches} and queries {queries.shape[2]} tokens; give one per patch, or one more.")
    return extra


def _number(name: str, value: Any, count: int) -> int:
    if not isinstance(value, int | np.integer) or not 0 <= value < count:
        raise ValueError(f"{name} is {value!r}; give a number from 0 to {count - 1}.")
    return int(value)


def _choice(name: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}; give {' or '.join(map(repr, allowed))}.")
    return value


def _token(patch: Patch | str, grid: tuple[int, int], extra: int) -> int:
    """The number of the token at (row, column), or of the class token for None."""
    if patch is None and extra:
        return 0
    row, column = (grid[0] // 2, grid[1] // 2) if patch == "centre" else patch or (-1, -1)
    if not (0 <= row < grid[0] and 0 <= column < grid[1]):
        raise ValueError(f"patch is {patch!r}; give (row, column) below {tuple(grid)}, or None for the class token.")
    return int(extra + row * grid[1] + column)


def _words(layers: int, heads: int, grid: tuple[int, int], extra: int) -> str:
    """The alt text: what there is to see, and how the keyboard works it."""
    return (
        f"An image of {grid[0]} × {grid[1]} patches, and beside it a small map for each of {heads} heads of one of "
        f"{layers} layers: coloured where that head attends to from the patch that is pointed at. On the image, "
        f"arrow keys move from patch to patch{', C chooses the class token' if extra else ''}, Enter pins up to two "
        "patches to compare, Escape unpins them."
    )


def _resized_and_padded(image: np.ndarray, size: tuple[int, int], patch: int) -> np.ndarray:
    """The image at the model's size, padded to whole patches with the mean colour, as the encoder pads."""
    resized = resize_image(image, size)
    height, width = -(-size[0] // patch) * patch, -(-size[1] // patch) * patch
    padded = np.empty((height, width, 3), np.uint8)
    padded[:] = np.rint(MEAN)
    padded[: size[0], : size[1]] = resized
    return padded
