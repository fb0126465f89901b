"""Chapters 06 and 07 under a finger: what every map between encoder and logits holds at a pixel of the image.

Each map is sent as three colours, its first principal components, and as its most varied channels, one byte per value.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import traitlets
from torch import Tensor

from vitseg_lib.course.features import pca_colours
from vitseg_lib.course.widgets.base import CourseWidget, check_finite, check_image
from vitseg_lib.engine.inference import to_pixels
from vitseg_lib.model.segmenter import Segmenter
from vitseg_lib.model.upernet import UPerHead, resize, top_down
from vitseg_lib.recipes import Recipe

MOST = 16  # channels of a map that are sent
BINS = (1, 2, 3, 6)  # windows per side, of the pyramid pooling
SPREAD = (0.02, 0.98)  # a channel's lowest and highest colour: these fractions of its values lie below

Cell = tuple[float, float]  # how many pixels of the image a cell is high and wide


class PyramidExplorer(CourseWidget, source=("grids", "pyramid_maps", "pyramid_explorer")):
    """Several maps of one image: a pixel is shown in all, with the footprints of their cells on the image.

    `pixel` (row and column), `chosen` (a map's number), `coloured` and `channel` (from 1, the most varied
    first) follow what is chosen in the browser.
    """

    pixels = traitlets.Bytes().tag(sync=True)  # uint8 (H, W, 3)
    size = traitlets.List(traitlets.Int()).tag(sync=True)  # H, W
    maps = traitlets.List(traitlets.Dict()).tag(sync=True)  # name, shape, cell; channels, lows, highs of those sent
    colours = traitlets.Bytes().tag(sync=True)  # uint8 (h, w, 3), one map after the other
    channels = traitlets.Bytes().tag(sync=True)  # uint8 (n, h, w), one map after the other
    bins = traitlets.List(traitlets.Int()).tag(sync=True)
    pooled = traitlets.Int(-1).tag(sync=True)  # the number of the map that is pooled, or −1
    pixel = traitlets.List(traitlets.Int()).tag(sync=True)
    chosen = traitlets.Int().tag(sync=True)
    coloured = traitlets.Enum(("three colours", "one channel"), "three colours").tag(sync=True)
    channel = traitlets.Int(1).tag(sync=True)

    def __init__(
        self,
        image: np.ndarray,
        maps: Mapping[str, Tensor | np.ndarray],
        *,
        cells: Mapping[str, Cell] | None = None,
        pooled: str | None = None,
        **options: Any,
    ):
        """`image` uint8 (H, W, 3); `maps` by name, (C, h, w) or (1, C, h, w) each, shown in that order.

        `cells` says how many pixels of the image, (down, across), a cell of each map stands for; by default a map
        covers the image edge to edge. `pooled` names the map whose pooling windows are shown.
        Raises ValueError with one sentence for what does not fit together.
        """
        image = check_image(image)
        arrays = {name: _check_map(name, values) for name, values in maps.items()}
        if not arrays:
            raise ValueError("maps is empty; give at least one map, (C, h, w).")
        for name in (*(cells or {}), *([pooled] if pooled else [])):
            if name not in arrays:
                raise ValueError(f"there is no map {name!r}; the names in maps are: {', '.join(arrays)}.")
        for name, cell in (cells or {}).items():
            if len(cell) != 2 or not 0 < min(cell) <= max(cell) < np.inf:
                raise ValueError(
                    f"cells has {tuple(cell)} for {name!r}; give two sizes in pixels above 0, (down, across)."
                )
        height, width = image.shape[:2]
        cells = {name: (height / x.shape[1], width / x.shape[2]) for name, x in arrays.items()} | dict(cells or {})
        described = [_describe(name, x, cells[name]) for name, x in arrays.items()]
        super().__init__(
            label="The maps of one image",
            alt=_alt(image.shape, described, pooled),
            pixels=image.tobytes(),
            size=list(image.shape[:2]),
            maps=[known for known, _ in described],
            colours=b"".join(_pca_colours(x).tobytes() for x in arrays.values()),
            channels=b"".join(sent.tobytes() for _, sent in described),
            bins=list(BINS) if pooled else [],
            pooled=list(arrays).index(pooled) if pooled else -1,
            pixel=[side // 2 for side in image.shape[:2]],
            chosen=len(arrays) - 1,
            **options,
        )

    @classmethod
    def from_model(cls, model: Segmenter, image: np.ndarray, recipe: Recipe, **options: Any) -> "PyramidExplorer":
        """Run a segmenter in eval mode on `image`: its encoder's maps, its neck, pyramid pooling and fused map."""
        image = check_image(image)
        if model.training:
            raise ValueError("model is in training mode, where norms depend on the batch; call model.eval() first.")
        with torch.inference_mode():
            pixels = to_pixels(model, image, recipe.test_scale)
            _, stages = model(pixels, return_stages=True)
            head = head_stages(model.decode_head, stages["neck"])
        patch = tuple(recipe.patch_size * image.shape[axis] / pixels.shape[2 + axis] for axis in (0, 1))
        maps = {f"layer {index}": x for index, x in zip(model.encoder.out_indices, stages["encoder"], strict=True)}
        cells = dict.fromkeys(maps, patch)
        for branch, x in zip(getattr(model.neck, "branches", ()), stages["neck"], strict=False):
            name = f"neck ×{'½' if branch.scale == 0.5 else f'{branch.scale:g}'}"
            maps[name], cells[name] = x, tuple(side / branch.scale for side in patch)
        ends = list(cells.values())[-len(stages["neck"]) :]
        pooled = list(maps)[-1]
        maps |= {"pooling": head["pooling"], "fused": head["fused"]}
        return cls(image, maps, cells=cells | {"pooling": ends[-1], "fused": ends[0]}, pooled=pooled, **options)

    @traitlets.validate("pixel", "chosen", "channel")
    def _in_range(self, proposal: Any) -> int | list[int]:
        name, value = proposal.trait.name, proposal.value
        lows, ends = {
            "pixel": ([0, 0], self.size),
            "chosen": ([0], [len(self.maps)]),
            "channel": ([1], [1 + max(len(known["channels"]) for known in self.maps)]),
        }[name]
        given = value if isinstance(value, list) else [value]
        if len(given) != len(ends) or any(not a <= n < b for a, n, b in zip(lows, given, ends, strict=True)):
            allowed = " and ".join(f"{a} to {b - 1}" for a, b in zip(lows, ends, strict=True))
            raise traitlets.TraitError(f"{name} is {value}; give {allowed}.")
        return value

    def __repr__(self) -> str:
        shapes = ", ".join(f"{known['name']} {'×'.join(map(str, known['shape']))}" for known in self.maps)
        return f"<PyramidExplorer: {shapes}>"


def head_stages(head: UPerHead, maps: list[Tensor]) -> dict[str, Tensor]:
    """What the head computes on the way, by its own layers, in eval mode.

    Four (B, C, h, w), finest first → "pooling" at the coarsest map's size, "fused" and "logits" at the finest one's.
    """
    pooling = head.ppm(maps[-1])
    levels = [lateral_conv(x) for lateral_conv, x in zip(head.lateral_convs, maps[:-1], strict=True)]
    levels = top_down([*levels, pooling])
    outputs = [*(fpn_conv(x) for fpn_conv, x in zip(head.fpn_convs, levels[:-1], strict=True)), pooling]
    fused = head.fpn_bottleneck(torch.cat([resize(x, outputs[0].shape[-2:]) for x in outputs], dim=1))
    return {"pooling": pooling, "fused": fused, "logits": head.conv_seg(fused)}


def _check_map(name: str, values: Tensor | np.ndarray) -> Tensor:
    """A map as float32 (C, h, w), or a ValueError."""
    x = torch.as_tensor(values).detach().cpu().float()
    check_finite(x.numpy(), f"the map {name!r}")
    x = x[0] if x.ndim == 4 and len(x) == 1 else x
    if x.ndim != 3:
        raise ValueError(f"the map {name!r} has the shape {tuple(x.shape)}; give (C, h, w), one image's.")
    return x


def _pca_colours(x: Tensor) -> np.ndarray:
    """The first three principal components of a map as colours, uint8 (h, w, 3); 0 where there are fewer."""
    colours = pca_colours(x[None], patch_size=1)
    return np.pad(colours, ((0, 0), (0, 0), (0, 3 - colours.shape[2])))


def _describe(name: str, x: Tensor, cell: Cell) -> tuple[dict[str, Any], np.ndarray]:
    """What the browser gets of a map (C, h, w), and its most varied channels, uint8 (n, h, w)."""
    flat = x.flatten(1)
    numbers = flat.var(dim=1, correction=0).argsort(descending=True, stable=True)[:MOST]
    values = flat[numbers].numpy()
    lows, highs = np.quantile(values, SPREAD, axis=1).astype(np.float32)
    scaled = (values - lows[:, None]) / np.maximum(highs - lows, 1e-12)[:, None]
    known = {
        "name": name,
        "shape": list(x.shape),
        "cell": list(map(float, cell)),
        "channels": numbers.tolist(),
        "lows": lows.tolist(),
        "highs": highs.tolist(),
    }
    return known, (255 * scaled + 0.5).clip(0, 255).astype(np.uint8)


def _alt(shape: tuple[int, ...], described: list[tuple[dict[str, Any], np.ndarray]], pooled: str | None) -> str:
    sizes = ", ".join(f"{known['name']} {known['shape'][1]} by {known['shape'][2]}" for known, _ in described)
    windows = " Small copies of the image show the pooling windows that hold the pixel." if pooled else ""
    return (
        f"An image of {shape[0]} by {shape[1]} pixels and its maps, each in colours: {sizes}. The pixel you point at, "
        "on the image or on a map, is outlined in all of them, and the cell that holds it on the image."
        f"{windows} Arrow keys move over the image and over each map by a cell of the map that was last used; Home, "
        "End, Page Up and Page Down go to the border; Enter sends the pixel to Python."
    )
