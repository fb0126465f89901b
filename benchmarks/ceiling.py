"""Where the time of a training step goes: operations counted, the machine's measured ceiling, the share reached.

    python benchmarks/ceiling.py        prints both tables, keeps them in results/ceiling.json (about 3 minutes)

The first table takes DeiT-S with the neck apart, batch 2 at 512×512, forward and backward. The second holds every
shortcut against the plain way, in turns; a ratio above 1 means that the shortcut is quicker.
"""

import argparse
import datetime
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from run import RESULTS, machine, number
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from vitseg_lib import files, recipes
from vitseg_lib.engine.fast_inference import argmax_labels, upsampled
from vitseg_lib.engine.fast_loss import chunked_segmentation_loss
from vitseg_lib.engine.loss import segmentation_loss
from vitseg_lib.engine.metrics import ConfusionMatrix
from vitseg_lib.engine.schedule import build_optimizer
from vitseg_lib.model.attention import SelfAttention
from vitseg_lib.model.fast import convolve_concat, convolve_resized, fast
from vitseg_lib.model.upernet import resize

RECIPE = recipes.get("deit_s16_mln_160k")
BATCH, SIDE, CLASSES = 2, 512, 150


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def best(work: Callable[[], object], repeats: int) -> float:
    """The quickest of some calls after a first one."""
    work()
    return min(seconds(work) for _ in range(repeats))


@torch.no_grad()
def ceiling(repeats: int) -> dict[str, float]:
    """What the machine can do: products by both of PyTorch's libraries for them, and copying."""
    a, b = torch.randn(4096, 1024), torch.randn(1024, 4096)
    maps, weight = torch.randn(2, 512, 64, 64), torch.randn(512, 512, 3, 3)
    maps = maps.contiguous(memory_format=torch.channels_last)
    block, into = torch.randn(2**25), torch.empty(2**25)
    tokens, linear = torch.randn(BATCH, 1025, 384), fast(nn.Linear(384, 1536))
    return {
        "matrix product, GFLOP/s": 2 * a.numel() * 4096 / best(lambda: a @ b, repeats) / 1e9,
        "3×3 convolution, GFLOP/s": 2
        * 9
        * 512
        * maps.numel()
        / best(lambda: F.conv2d(maps, weight, padding=1), repeats)
        / 1e9,
        "1×1 convolution, GFLOP/s": 2 * tokens.numel() * 1536 / best(lambda: linear(tokens), repeats) / 1e9,
        "copy, GB/s": 2 * block.nbytes / best(lambda: into.copy_(block), repeats) / 1e9,
    }


def with_backward(part: Callable[..., Any], *inputs: Any) -> Callable[[], None]:
    """Forward and backward of a part, from inputs that want gradients."""

    def run() -> None:
        given = [
            [x.detach().requires_grad_() for x in i] if isinstance(i, list) else i.detach().requires_grad_()
            for i in inputs
        ]
        result = part(*given)
        results = result if isinstance(result, list) else [result]
        torch.autograd.backward(results, [torch.ones_like(r) for r in results])

    return run


def parts(repeats: int, top: float) -> list[dict[str, Any]]:
    """A row for each part of a step: operations of the plain model and of the fast one, time, share of the ceiling."""
    model = recipes.build_model(RECIPE).train()
    optimizer, pixels = build_optimizer(model, RECIPE), torch.randn(BATCH, 3, SIDE, SIDE)
    with torch.no_grad():
        maps = fast(model).encoder(pixels)["encoder"]
        levels = fast(model).neck(maps)
    plain, quick = work_of(model, maps, levels), work_of(fast(model), maps, levels, is_fast=True)
    rows = []
    for name, (times, run) in {**quick, "optimiser": (1, optimizer.step)}.items():
        took = times * best(run, repeats)
        counts = [times * operations(side) for side in (plain.get(name, (1, run))[1], run)]
        reached = counts[1] / took
        rows.append({"part": name, "plain": counts[0], "done": counts[1], "seconds": took})
        rows[-1] |= {"GFLOP/s": reached, "share": reached / top}
    return rows


def operations(run: Callable[[], None]) -> float:
    """Billions of floating-point operations, by PyTorch's counter."""
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops() / 1e9


def work_of(model: nn.Module, maps: list[Tensor], levels: list[Tensor], is_fast: bool = False) -> dict[str, tuple]:
    """How often a step does each part, and the part itself, forward and backward."""
    block, head = model.encoder.blocks[0], model.decode_head
    tokens, labels = torch.randn(BATCH, 1025, RECIPE.embed_dim), torch.randint(0, CLASSES, (BATCH, SIDE, SIDE))
    logits = torch.randn(BATCH, CLASSES, 128, 128)
    loss = chunked_segmentation_loss if is_fast else segmentation_loss

    def each(convs: nn.ModuleList) -> Callable[[list[Tensor]], list[Tensor]]:
        return lambda x: [conv(y) for conv, y in zip(convs, x, strict=False)]

    def fusion(x: list[Tensor]) -> Tensor:
        block, size = head.fpn_bottleneck, (128, 128)
        if is_fast:
            return block.bn(convolve_concat(x, block.conv.weight, size)).relu_()
        return block(torch.cat([resize(level, size) for level in x], dim=1))

    return {
        "12 × attention": (12, with_backward(lambda x: block.attn(block.norm1(x))[0], tokens)),
        "12 × MLP": (12, with_backward(lambda x: block.mlp(block.norm2(x)), tokens)),
        "neck": (1, with_backward(model.neck, maps)),
        "pyramid pooling": (1, with_backward(head.ppm, levels[3])),
        "lateral convolutions": (1, with_backward(each(head.lateral_convs), levels)),
        "FPN convolutions": (1, with_backward(each(head.fpn_convs), smoothed(levels))),
        "fusion": (1, with_backward(fusion, fused(levels))),
        "classifier": (1, with_backward(head.conv_seg, torch.randn(BATCH, 512, 128, 128))),
        "auxiliary head": (1, with_backward(model.auxiliary_head, levels[3])),
        "loss of the logits": (1, with_backward(lambda x: loss(x, labels), logits)),
    }


def smoothed(levels: list[Tensor]) -> list[Tensor]:
    """Maps of the head's width in the sizes of the three finest levels."""
    return [
        torch.randn(BATCH, 512, *level.shape[-2:]).contiguous(memory_format=torch.channels_last) for level in levels[:3]
    ]


def fused(levels: list[Tensor]) -> list[Tensor]:
    """The same, of all four."""
    return [*smoothed(levels), torch.randn(BATCH, 512, *levels[3].shape[-2:])]


def shortcuts(repeats: int) -> list[dict[str, Any]]:
    """A row for each shortcut: (quick, plain) in turns."""
    attention, tokens = SelfAttention(embed_dim=384, num_heads=6), torch.randn(BATCH, 1025, 384)
    fast_attention = fast(attention)
    linear, labels = nn.Linear(384, 1536), torch.randint(0, CLASSES, (BATCH, SIDE, SIDE))
    logits, kernel = torch.randn(BATCH, CLASSES, 32, 32), nn.Parameter(torch.randn(512, 512, 3, 3))
    rng = np.random.default_rng(0)
    truth, found = (rng.integers(0, CLASSES, (512, 683)).astype(np.uint8) for _ in range(2))
    large = torch.randn(1, CLASSES, 32, 43)
    rows = {
        "attention: fused / readable": (
            with_backward(lambda x: fast_attention(x)[0], tokens),
            with_backward(lambda x: attention(x)[0], tokens),
        ),
        "linear layer: 1×1 convolution / matrix product": (
            with_backward(fast(linear), tokens),
            with_backward(linear, tokens),
        ),
        "loss: in chunks / of full-size logits": (
            with_backward(lambda x: chunked_segmentation_loss(x, labels), logits),
            with_backward(lambda x: segmentation_loss(x, labels), logits),
        ),
        "labels of 512×683: in tiles / of full-size logits": (
            lambda: argmax_labels([upsampled(large, (512, 683))]),
            lambda: resize(large, (512, 683)).argmax(1),
        ),
        "counts of one image: one bincount / three histograms": (
            lambda: ConfusionMatrix(CLASSES).update(truth, found),
            lambda: histograms(torch.from_numpy(truth), torch.from_numpy(found)),
        ),
    }
    for factor in (2, 4, 8):
        side = 128 // factor
        x = torch.randn(BATCH, 512, side, side).contiguous(memory_format=torch.channels_last)
        rows[f"3×3 convolution of a map upsampled {factor}×: short / plain"] = (
            with_backward(lambda x, w: convolve_resized(x, w, (128, 128)), x, kernel),
            with_backward(lambda x, w: F.conv2d(resize(x, (128, 128)), w, padding=1), x, kernel),
        )
    measured = []
    for name, (quick, plain) in rows.items():
        quick(), plain()
        pairs = [(seconds(quick), seconds(plain)) for _ in range(repeats)]
        ratios = sorted(b / a for a, b in pairs)
        measured.append(
            {"shortcut": name, "ratio": statistics.median(ratios), "lowest": ratios[0], "highest": ratios[-1]}
        )
    return measured


def histograms(truth: Tensor, found: Tensor) -> list[Tensor]:
    """Areas of intersection, prediction and truth, as the reference counts them."""
    return [torch.histc(a.float(), bins=CLASSES, min=0, max=CLASSES - 1) for a in (found[found == truth], found, truth)]


def table(kept: dict[str, Any]) -> str:
    """Both tables and what they were measured on, for benchmarks/README.md."""
    lines = [f"{kept['date']}, {kept['machine']}: `python benchmarks/ceiling.py`, {kept['repeats']} repetitions.", ""]
    lines += [
        "| the machine's ceiling | |",
        "|---|--:|",
        *(f"| {k} | {number(v)} |" for k, v in kept["ceiling"].items()),
    ]
    lines += ["", "| part | GFLOP, plain | GFLOP, done | seconds | GFLOP/s | share of the ceiling |"]
    lines += ["|---|--:|--:|--:|--:|--:|"]
    for row in kept["parts"]:
        counted = [number(row[key]) if row["done"] else "–" for key in ("plain", "done")]
        reached = [number(row["GFLOP/s"]), f"{row['share']:.0%}"] if row["done"] > 1 else ["–", "–"]
        lines.append("| " + " | ".join([row["part"], *counted, number(row["seconds"]), *reached]) + " |")
    lines += ["", "| shortcut / plain way | times as quick | lowest – highest |", "|---|--:|--:|"]
    for row in kept["shortcuts"]:
        lines.append(f"| {row['shortcut']} | **{row['ratio']:.1f}** | {row['lowest']:.1f} – {row['highest']:.1f} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5)
    repeats = parser.parse_args().repeat
    torch.manual_seed(0)
    found = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": machine()[1],
        "repeats": repeats,
    }
    found["ceiling"] = ceiling(repeats)
    found["parts"] = parts(repeats, max(v for k, v in found["ceiling"].items() if "GFLOP" in k))
    found["shortcuts"] = shortcuts(repeats)
    print(table(found))
    files.write_json(RESULTS / "ceiling.json", found)


if __name__ == "__main__":
    main()
