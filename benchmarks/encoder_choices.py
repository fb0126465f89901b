"""Two choices inside a block, each tried with five seeds: where the norms stand, and how wide the MLP is.

    python benchmarks/encoder_choices.py                what is missing, about 25 minutes on one core
    python benchmarks/encoder_choices.py --table        print what the file holds and run nothing

*Norms*: twelve layers of 32 channels read rows of sixteen symbols backwards; the mean loss of the last 20 steps, where
guessing costs ln 8 = 2.08. *Width*: a small encoder with one linear layer on its patch tokens learns the toy scenes for
300 steps; mIoU over the patches of all validation scenes. Results go to benchmarks/results/encoder_choices.json.
"""

import argparse
import itertools
import json
import math
import platform
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vitseg_lib import files
from vitseg_lib.course import solution
from vitseg_lib.data.loading import SegmentationFolder
from vitseg_lib.data.transforms import MEAN, STD
from vitseg_lib.engine.metrics import ConfusionMatrix

RESULTS = Path(__file__).parent / "results" / "encoder_choices.json"
SEEDS = range(5)

# Where the norms stand


class PostNormBlock(solution.Block):
    """A block as in 2017: a norm on the stream after each sum."""

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """(B, N, C) → (B, N, C) and the attention weights."""
        mixed, weights = self.attn(tokens)
        tokens = self.norm1(tokens + mixed)
        return self.norm2(tokens + self.mlp(tokens)), weights


KINDS = {"pre-norm": solution.Block, "post-norm": PostNormBlock}
NORMS = {  # kind, initial weights, learning rate, steps, steps of warm-up
    "pre-norm": ("pre-norm", "glorot", 3e-3, 120, 0),
    "post-norm": ("post-norm", "glorot", 3e-3, 120, 0),
    "post-norm, five times as long": ("post-norm", "glorot", 3e-3, 600, 0),
    "post-norm, with warm-up": ("post-norm", "glorot", 3e-3, 600, 300),
    "post-norm, a tenth of the rate": ("post-norm", "glorot", 3e-4, 600, 0),
    "pre-norm, small initial weights": ("pre-norm", "small", 3e-3, 120, 0),
    "post-norm, small initial weights": ("post-norm", "small", 3e-3, 120, 0),
}


def glorot(module: nn.Module) -> None:
    """Glorot's initial weights, as in 2017, and no biases."""
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)


def small(module: nn.Module) -> None:
    """Initial weights of standard deviation 0.02, as in a Vision Transformer, and no biases."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)


INITS = {"glorot": glorot, "small": small}


def reading_backwards(kind: str, init: str, rate: float, steps: int, warmup: int, seed: int) -> list[float]:
    """The mean loss of every 20 steps, one after the other."""
    torch.manual_seed(seed)
    embed, positions = nn.Embedding(8, 32), nn.Parameter(torch.randn(16, 32))
    layers = nn.ModuleList(KINDS[kind](embed_dim=32, num_heads=2) for _ in range(12))
    score = nn.Sequential(nn.LayerNorm(32, eps=1e-6), nn.Linear(32, 8))
    learnt = nn.ModuleList([embed, layers, score]).apply(INITS[init]).parameters()
    optimiser = torch.optim.AdamW([positions, *learnt], lr=rate)
    losses = []
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = rate * min(1, (step + 1) / max(warmup, 1))
        symbols = torch.randint(8, (16, 16))
        tokens = embed(symbols) + positions
        for layer in layers:
            tokens, _ = layer(tokens)
        loss = F.cross_entropy(score(tokens).flatten(0, 1), symbols.flip(dims=[1]).flatten())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return [round(statistics.mean(losses[start : start + 20]), 4) for start in range(0, steps, 20)]


# How wide the MLP is

WIDTHS = {  # hidden width as a multiple of C, layers
    "no MLP": (0, 4),
    "C → C → C": (1, 4),
    "C → 2C → C": (2, 4),
    "C → 4C → C": (4, 4),
    "C → 8C → C": (8, 4),
    "C → C → C, 8 layers": (1, 8),
}
CHANNELS, PATCH, CROP, BATCH, STEPS, RATE = 64, 8, 128, 8, 300, 2e-3


class NoMLP(nn.Module):
    """A branch that adds nothing."""

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, N, C) → zeros."""
        return torch.zeros_like(tokens)


def small_encoder(ratio: int, depth: int, num_classes: int) -> nn.Module:
    """An encoder with MLPs of that width, and a linear layer that reads the classes from its last map."""
    sizes = {"embed_dim": CHANNELS, "depth": depth, "num_heads": 2, "patch_size": PATCH, "image_size": CROP}
    encoder = solution.Encoder(**sizes, out_indices=(depth - 1,), final_norm=True)
    for block in encoder.blocks:
        block.mlp = solution.MLP(embed_dim=CHANNELS, hidden_dim=ratio * CHANNELS) if ratio else NoMLP()
    encoder.reset_parameters()
    encoder.classify = nn.Conv2d(CHANNELS, num_classes, kernel_size=1)
    return encoder


def patch_scenes(split: str) -> tuple[list[Tensor], list[Tensor]]:
    """Normalised pixels (3, H, W), cut to whole patches, and the class in the middle of each patch (h, w)."""
    images, labels = [], []
    for image, mask in SegmentationFolder("data/toy_scenes", split):
        height, width = (side // PATCH * PATCH for side in mask.shape)
        pixels = (image[:height, :width] - np.float32(MEAN)) / np.float32(STD)
        images.append(torch.from_numpy(pixels).permute(2, 0, 1))
        middles = mask[PATCH // 2 : height : PATCH, PATCH // 2 : width : PATCH]
        labels.append(torch.from_numpy(middles.copy()).long())
    return images, labels


def batches(images: list[Tensor], labels: list[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    """Crops of whole patches at random places, for ever."""
    side = CROP // PATCH
    while True:
        crops, classes = [], []
        for n in torch.randint(len(images), (BATCH,)).tolist():
            h, w = labels[n].shape
            top, left = (int(torch.randint(max(count - side, 0) + 1, ())) for count in (h, w))
            rows, columns = slice(top, top + side), slice(left, left + side)
            pixels = images[n][:, top * PATCH : (top + side) * PATCH, left * PATCH : (left + side) * PATCH]
            crops.append(F.pad(pixels, (0, CROP - pixels.shape[2], 0, CROP - pixels.shape[1])))
            found = labels[n][rows, columns]
            classes.append(F.pad(found, (0, side - found.shape[1], 0, side - found.shape[0]), value=255))
        yield torch.stack(crops), torch.stack(classes)


def width_miou(ratio: int, depth: int, seed: int) -> float:
    """Train with one seed; mIoU in percent over the patches of all validation scenes."""
    num_classes = len(SegmentationFolder("data/toy_scenes", "training").classes)
    torch.manual_seed(seed)
    model = small_encoder(ratio, depth, num_classes)
    optimiser = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.05)
    for step, (pixels, classes) in enumerate(itertools.islice(batches(*patch_scenes("training")), STEPS)):
        optimiser.param_groups[0]["lr"] = RATE * min((step + 1) / 20, 1 - step / STEPS)
        loss = F.cross_entropy(model.classify(model(pixels)["encoder"][0]), classes, ignore_index=255)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    confusion = ConfusionMatrix(num_classes)
    model.eval()
    with torch.inference_mode():
        for pixels, classes in zip(*patch_scenes("validation"), strict=True):
            predicted = model.classify(model(pixels[None])["encoder"][0])[0].argmax(dim=0)
            confusion.update(classes.numpy(), predicted.numpy())
    return confusion.scores().mIoU


# All of it


def p_value(differences: list[float]) -> float:
    """Two-sided p of a paired t-test: the probability of a mean difference at least as large if there were none."""
    n = len(differences)
    t = abs(statistics.mean(differences)) / (statistics.stdev(differences) / math.sqrt(n))
    steps = np.linspace(0, t, 200_001)
    density = (1 + steps**2 / (n - 1)) ** (-n / 2)
    scale = math.gamma(n / 2) / (math.sqrt((n - 1) * math.pi) * math.gamma((n - 1) / 2))
    return float(max(1 - 2 * scale * np.trapezoid(density, steps), 0))


def run_missing(rows: dict, names: dict, one: Callable, save: Callable) -> None:
    """Run every variant with every seed that the file lacks."""
    for seed, name in itertools.product(SEEDS, names):
        by_seed = rows.setdefault(name, {})
        if str(seed) not in by_seed:
            by_seed[str(seed)] = one(*names[name], seed)
            save()


def table(content: dict) -> str:
    """Means and spreads as Markdown; each width against four times C, paired by seed."""
    lines = ["| norms | last 20 steps' mean loss, lowest – highest |", "|---|--:|"]
    for name, by_seed in content["norms"].items():
        ends = [losses[-1] for losses in by_seed.values()]
        lines.append(f"| {name} | {min(ends):.3f} – {max(ends):.3f} |")
    lines += ["", "| MLP | mIoU, mean ± standard deviation | difference to 4C | p |", "|---|--:|--:|--:|"]
    whole = content["width"].get("C → 4C → C", {})
    for name, by_seed in content["width"].items():
        values = list(by_seed.values())
        apart = [by_seed[seed] - whole[seed] for seed in by_seed if seed in whole]
        p = f"{p_value(apart):.4f}" if len(apart) > 2 and any(apart) else ""
        apart = apart or [float("nan")]
        spread = statistics.stdev(values) if len(values) > 1 else float("nan")
        lines.append(f"| {name} | {statistics.mean(values):.1f} ± {spread:.1f} | {statistics.mean(apart):+.1f} | {p} |")
    return "\n".join(lines)


def main() -> None:
    """Run what is missing from the results file, then print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="store_true", help="print the tables and run nothing")
    options = parser.parse_args()
    content = {
        "command": "python benchmarks/encoder_choices.py",
        "machine": f"{platform.machine()}, torch {torch.__version__}",
        "norms": {},
        "width": {},
    }
    if RESULTS.exists():
        content = json.loads(RESULTS.read_text(encoding="utf-8"))
    if not options.table:
        save = lambda: files.write_json(RESULTS, content)  # noqa: E731
        run_missing(content["norms"], NORMS, reading_backwards, save)
        run_missing(content["width"], WIDTHS, width_miou, save)
        content["p against 4C, paired by seed"] = {
            name: round(p_value([by_seed[seed] - content["width"]["C → 4C → C"][seed] for seed in by_seed]), 5)
            for name, by_seed in content["width"].items()
            if name != "C → 4C → C"
        }
        save()
    print(table(content))


if __name__ == "__main__":
    main()
