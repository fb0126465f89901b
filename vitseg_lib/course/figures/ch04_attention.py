"""What chapter 04 needs: attention drawn, what a computation costs, and patches that look alike and are not."""

import json
import math
import os
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from time import get_clock_info, perf_counter, process_time
from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.profiler import ProfilerActivity, profile

from vitseg_lib.course.figures.layout import MARGIN, TEXT_LINE, draw_outline
from vitseg_lib.course.figures.picture import ACCENT, INK, MUTED, RULE, SMALL, UNIT, Picture, Sheet
from vitseg_lib.engine.inference import to_pixels
from vitseg_lib.recipes import Recipe

IGNORE = 255


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def largest_allocation(compute: Callable[..., Any], *arguments: Any) -> int:
    """The bytes of the largest piece of memory that `compute(*arguments)` asks for, kernels' inner ones too.

    PyTorch's profiler writes down every allocation. It runs without gradients and on one thread, for a kernel may give
    each thread a workspace; so the answer is the same on every machine.
    """
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler has notes for its makers
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
            compute(*arguments)
    finally:
        torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(trace))
        events = json.loads(trace.read_text(encoding="utf-8"))["traceEvents"]
    return max((event["args"]["Bytes"] for event in events if event.get("name") == "[memory]"), default=0)


HIGH, NARROW, WIDE = 7 * UNIT, 10 * UNIT, 13 * UNIT  # CSS pixels: a box's height, and widths with and without heads
ROW = HIGH + 5 * UNIT  # from one row of boxes to the next
CARD = 4  # how far a head's card stands out behind another
CLEAR = 5  # between an arrow and a box
WHITE = "#ffffff"
# The tensors of attention: name → (left edge, row, axes, how it is made); those with heads are stacks of cards.
BOXES = {
    "tokens": (0, 1, "B, N, C", ""),
    "qkv": (105, 1, "B, N, 3·C", "linear layer qkv"),
    "queries": (210, 0, "B, heads, N, d", ""),
    "keys": (210, 1, "B, heads, N, d", ""),
    "values": (210, 2, "B, heads, N, d", ""),
    "scores": (340, 0.5, "B, heads, N, N", "q · k / √d"),
    "weights": (470, 0.5, "B, heads, N, N", "softmax of each row"),
    "mixed": (600, 2, "B, heads, N, d", "weights × values"),
    "joined": (612, 3.1, "B, N, C", "heads side by side"),
    "new tokens": (482, 3.1, "B, N, C", "linear layer proj"),
}
ARROWS = (  # what is made from what
    ("tokens", "qkv"),
    ("qkv", "queries"),
    ("qkv", "keys"),
    ("qkv", "values"),
    ("queries", "scores"),
    ("keys", "scores"),
    ("scores", "weights"),
    ("weights", "mixed"),
    ("values", "mixed"),
    ("mixed", "joined"),
    ("joined", "new tokens"),
)


def data_flow() -> Picture:
    """The way of the tokens through self-attention: a box for each tensor with its axes, an arrow for each use."""
    sheet = Sheet(2 * MARGIN + BOXES["mixed"][0] + WIDE + 2 * CARD, 2 * MARGIN + 3.1 * ROW + HIGH + 3 * UNIT)
    for start, end in ARROWS:
        _draw_flow(sheet, start, end)
    for name, (_, _, axes, how) in BOXES.items():
        x, y, width = _place(name)
        face, edge, ink, faint = (ACCENT, ACCENT, WHITE, WHITE) if name == "weights" else (WHITE, RULE, INK, MUTED)
        for card in (2, 1, 0) if "heads" in axes else (0,):
            sheet.rounded(
                x + card * CARD, y - card * CARD, width, HIGH, radius=6, face=WHITE if card else face, edge=edge
            )
        middle = x + width / 2
        sheet.text(middle, y + HIGH / 2 - 10, name, colour=ink, bold=name == "weights", ha="center")
        sheet.text(middle, y + HIGH / 2 + 11, axes, size=SMALL, colour=faint, mono=True, ha="center")
        sheet.text(middle, y + HIGH + TEXT_LINE - 3, how, size=SMALL, colour=MUTED, ha="center")
    uses = ", ".join(f"{start} → {end}" for start, end in ARROWS)
    boxes = "; ".join(f"{name} ({axes}{': ' + how if how else ''})" for name, (_, _, axes, how) in BOXES.items())
    words = f"Self-attention as boxes with arrows. The boxes and their axes: {boxes}. The arrows: {uses}."
    return sheet.picture(name="the data flow of self-attention", alt=words)


def _place(name: str) -> tuple[float, float, float]:
    """A box's left and upper edge, and its width."""
    left, row, axes, _ = BOXES[name]
    return MARGIN + left, MARGIN + UNIT + row * ROW, WIDE if "heads" in axes else NARROW


def _draw_flow(sheet: Sheet, start: str, end: str) -> None:
    """An arrow from box to box: to the right, to the left, down, or right and then down."""
    (x, y, width), (to_x, to_y, to_width) = _place(start), _place(end)
    middle, to_middle = y + HIGH / 2, to_y + HIGH / 2
    if end == "joined":
        sheet.arrow((x + width / 2, y + HIGH + TEXT_LINE + CLEAR), (x + width / 2, to_y - CLEAR))
    elif (start, end) == ("weights", "mixed"):
        sheet.line([x + width + 2 * CARD + CLEAR, to_x + to_width / 2], [middle] * 2)
        sheet.arrow((to_x + to_width / 2, middle), (to_x + to_width / 2, to_y - 2 * CARD - CLEAR))
    elif to_x < x:
        sheet.arrow((x - CLEAR, middle), (to_x + to_width + CLEAR, to_middle))
    else:
        slope = UNIT if end == "scores" else 0  # two arrows meet there
        sheet.arrow((x + width + CLEAR, middle), (to_x - CLEAR, to_middle + slope * (1 if middle > to_middle else -1)))


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


def power_of_ten(one: Tensor, other: Tensor) -> str:
    """A power of ten that the largest difference of two tensors stays below: "below 1e-05".

    It is the smallest that leaves a factor of three, as rounding differs between machines, and never below 1e-6.
    """
    difference = float((one - other).abs().max())
    return f"below 1e{max(-6, math.ceil(math.log10(max(3 * difference, 1e-12)))):03d}"


def milliseconds(compute: Callable[[], Any], times: int = 3) -> float:
    """How long the processor works in the fastest of a few runs: all here that differs between machines.

    Other programs do not count, unless the processor's own clock is too coarse for it (on Windows): then all time does.
    """
    clock = process_time if get_clock_info("process_time").resolution < 1e-5 else perf_counter
    taken = []
    for _ in range(times):
        start = clock()
        compute()
        taken.append(1000 * (clock() - start))
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


@torch.no_grad()
def attention_maps(
    model: nn.Module, scenes: Iterable[tuple[np.ndarray, np.ndarray]], recipe: Recipe, layer: int, *, side: int = 128
) -> tuple[Tensor, Tensor]:
    """One layer's attention among patches in every scene, (S, heads, P, P), and whether two are of one class.

    Rows sum to one without the class token. The second tensor, (S, P, P), is 1 where the middle pixels of both patches
    have one label, and 0 elsewhere and where it is ignored. The upper left `side` × `side` pixels are looked at.
    """
    maps, same, p = [], [], recipe.patch_size
    for image, labels in scenes:
        _, stages = model(
            to_pixels(model, image[:side, :side], recipe.test_scale), return_stages=True, return_attention=True
        )
        weights = stages["attention"][layer][0, :, 1:, 1:]
        maps.append(weights / weights.sum(dim=-1, keepdim=True))
        kinds = torch.from_numpy(labels[p // 2 : side : p, p // 2 : side : p].copy()).flatten()
        same.append((kinds[:, None] == kinds) & (kinds != IGNORE))
    return torch.stack(maps), torch.stack(same).float()
