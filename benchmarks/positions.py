"""What a position embedding is worth on the toy scenes: trained without it, taken away, and resized wrongly.

    python benchmarks/positions.py                      trains what is missing: about two minutes a run, ten runs
    python benchmarks/positions.py --no-training        measures the trained model alone, a minute

Runs of benchmarks/ablation.py with the same steps are taken over. Results go to benchmarks/results/positions.json,
and chapter 03 reads them there.
"""

import argparse
import json
import math
import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unittest import mock

import ablation
import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from vitseg_lib import files, recipes
from vitseg_lib.data.loading import SegmentationFolder
from vitseg_lib.engine.inference import predict
from vitseg_lib.engine.metrics import ConfusionMatrix
from vitseg_lib.model import weights
from vitseg_lib.model.patches import resize_pos_embed
from vitseg_lib.model.segmenter import Segmenter
from vitseg_lib.toy import land, scenes, shapes

RESULTS = Path(__file__).parent / "results" / "positions.json"
STEPS = 300
PAIR = ("as it is", "no position embedding")
Grid = tuple[int, int]
Resize = Callable[[Tensor, Grid, Grid], Tensor]


def resize_by(*, read: str = "(h w)", turn: int = 1, first: int = 1, **options) -> Resize:
    """A resize that may read the old grid in another order, turn the new one, or start at another row."""

    def resize(embedding: Tensor, old: Grid, new: Grid) -> Tensor:
        rows = embedding[:, first : first + old[0] * old[1]]
        maps = rearrange(rows, f"b {read} c -> b c h w", h=old[0])
        maps = F.interpolate(maps, size=tuple(new)[::turn], **({"mode": "bicubic"} | options))
        return torch.cat([embedding[:, :1], rearrange(maps, "b c h w -> b (h w) c")], dim=1)

    return resize


def changed_first(change: Callable[[Tensor], Tensor]) -> Resize:
    """The right resize of maps (1, h, w, C) that were changed before it."""

    def resize(embedding: Tensor, old: Grid, new: Grid) -> Tensor:
        maps = change(rearrange(embedding[:, 1:], "b (h w) c -> b h w c", h=old[0]))
        rows = rearrange(maps.expand(-1, *old, -1), "b h w c -> b (h w) c")
        return resize_pos_embed(torch.cat([embedding[:, :1], rows], dim=1), old, new)

    return resize


def all_zeros(embedding: Tensor, old: Grid, new: Grid) -> Tensor:
    """Nothing is added, not even to the class token."""
    return 0 * resize_pos_embed(embedding, old, new)


WAYS: dict[str, Resize] = {
    "right": resize_pos_embed,
    "antialias": resize_by(antialias=True),
    "bilinear": resize_by(mode="bilinear"),
    "nearest": resize_by(mode="nearest"),
    "corners aligned": resize_by(align_corners=True),
    "class row taken for a position": resize_by(first=0),
    "height and width swapped": resize_by(turn=-1),
    "old grid read by columns": resize_by(read="(w h)"),
    "zeros everywhere": all_zeros,
    "one mean vector everywhere": changed_first(lambda maps: maps.mean(dim=(1, 2), keepdim=True)),
    "mean of each row": changed_first(lambda maps: maps.mean(dim=2, keepdim=True)),
    "mean of each column": changed_first(lambda maps: maps.mean(dim=1, keepdim=True)),
    "mirrored left to right": changed_first(lambda maps: maps.flip(2)),
    "turned upside down": changed_first(lambda maps: maps.flip(1)),
}


def counts_compared(embedding: Tensor, old: Grid, new: Grid) -> Tensor:
    """As it is where the number of positions is the same."""
    return embedding if old[0] * old[1] == new[0] * new[1] else resize_pos_embed(embedding, old, new)


def panoramas(number: int = 100, size: Grid = (64, 256)) -> list[tuple[np.ndarray, np.ndarray]]:
    """Images and labels of new scenes of another form, whose 8×32 patches are as many as 16×16."""
    rng = np.random.default_rng(0)
    kinds = (scenes.country, scenes.lake, scenes.sea, scenes.street)
    drawn = []
    for n in range(number):
        hour, season = (str(rng.choice(list(names))) for names in (land.HOURS, shapes.LEAVES))
        image, labels = kinds[n % len(kinds)](rng, size, hour, season).finish()
        drawn.append((image, labels.astype(np.uint8) - np.uint8(1)))  # 0, "other", becomes 255
    return drawn


def toy_model(weights_file: Path, num_classes: int) -> Segmenter:
    """The trained toy model."""
    model = recipes.build_model(recipes.get("toy"), num_classes=num_classes)
    weights.load(model, weights_file)
    return model.eval()


def measure(
    model: Segmenter, pairs: list[tuple[np.ndarray, np.ndarray]], ways: dict[str, Resize], *, test_scale: Grid
) -> dict[str, dict[str, float]]:
    """Each way's mIoU on these images, and the percentage of pixels whose prediction it changes."""
    recipe = replace(recipes.get("toy"), test_scale=test_scale)
    found, right = {}, []
    for name, resize in ways.items():
        counts = ConfusionMatrix(model.decode_head.conv_seg.out_channels)
        with mock.patch("vitseg_lib.model.encoder.resize_pos_embed", resize):
            predictions = [predict(model, image, recipe) for image, _ in pairs]
        right = right or predictions
        for (_, labels), prediction in zip(pairs, predictions, strict=True):
            counts.update(labels, prediction)
        changed = [float((a != b).mean()) for a, b in zip(predictions, right, strict=True)]
        found[name] = {"mIoU": counts.scores().mIoU, "changed_percent": 100 * float(np.mean(changed))}
        print(f"{found[name]['mIoU']:.2f} mIoU, {found[name]['changed_percent']:.2f} % changed: {name}", flush=True)
    return found


def paired_p_value(differences: list[float]) -> float:
    """Two-sided p-value of Student's t-test of paired differences, its density integrated."""
    count = len(differences)
    t = abs(statistics.mean(differences)) / (statistics.stdev(differences) / count**0.5)
    dof = count - 1
    scale = math.gamma((dof + 1) / 2) / (math.sqrt(dof * math.pi) * math.gamma(dof / 2))
    x = np.linspace(0, t, 100_001)
    return float(1 - 2 * np.trapezoid(scale * (1 + x**2 / dof) ** (-(dof + 1) / 2), x))


def train(root: Path, seeds: int, runs: dict[str, dict[str, float]], keep: Callable[[], None]) -> None:
    """Train both of the pair with every seed that has no run yet."""
    base = replace(recipes.get("toy"), iterations=STEPS, evaluate_every=STEPS)
    chosen = ablation.variants(base)
    before = json.loads(ablation.RESULTS.read_text(encoding="utf-8"))["mIoU"].get(str(STEPS), {})
    for seed in map(str, range(seeds)):
        for name in PAIR:
            done = runs.setdefault(name, {})
            if seed not in done:
                done[seed] = before.get(name, {}).get(seed) or ablation.run(*chosen[name], root, int(seed))
                keep()


def main() -> None:
    """Run what is missing from the results file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data/toy_scenes"))
    parser.add_argument("--weights", type=Path, default=Path("data/weights/toy.safetensors"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--no-training", action="store_true")
    options = parser.parse_args()
    content = {"command": "python benchmarks/positions.py", "torch": torch.__version__, "steps": STEPS, "trained": {}}
    if RESULTS.exists():
        content["trained"] = json.loads(RESULTS.read_text(encoding="utf-8"))["trained"]
    folder = SegmentationFolder(options.data, "validation")
    model, pairs = toy_model(options.weights, len(folder.classes)), [folder[n] for n in range(len(folder))]
    content["resized"] = measure(model, pairs, WAYS, test_scale=(512, 128))
    ways = {"resized": resize_pos_embed, "taken as they are": counts_compared, "taken away": all_zeros}
    content["panoramas"] = measure(model, panoramas(), ways, test_scale=(256, 64))
    if not options.no_training:
        train(options.data, options.seeds, content["trained"], lambda: files.write_json(RESULTS, content))
    whole, without = (content["trained"][name] for name in PAIR)
    content["p_value"] = paired_p_value([without[seed] - whole[seed] for seed in whole])
    files.write_json(RESULTS, content)


if __name__ == "__main__":
    main()
