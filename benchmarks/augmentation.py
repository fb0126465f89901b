"""What random changes of the training images are worth on the toy scenes: short runs in pairs, with and without.

    python benchmarks/augmentation.py                   five seeds, 20 runs, about 45 minutes on one core
    python benchmarks/augmentation.py --table           print what the results file holds and run nothing

The two runs of a pair differ in nothing but the changes: the same weights at the start, the same scenes in the same
order. On all scenes a run sees each a few times; on twenty, drawn by the seed, more often than a published run sees
each image of ADE20K (127 times). Results go to benchmarks/results/augmentation.json as each run ends; runs that are
there already are not repeated.
"""

import argparse
import json
import os
import platform
import statistics
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import torch

from vitseg_lib import files, recipes
from vitseg_lib.data.loading import InfiniteSampler, SegmentationFolder
from vitseg_lib.data.transforms import EvalPipeline, crop_array, pad
from vitseg_lib.engine import training
from vitseg_lib.engine.evaluation import evaluate
from vitseg_lib.engine.fast_inference import fast_predict
from vitseg_lib.engine.metrics import ConfusionMatrix
from vitseg_lib.engine.schedule import build_optimizer, learning_rate
from vitseg_lib.model.fast import fast
from vitseg_lib.recipes import Recipe

RESULTS = Path(__file__).parent / "results" / "augmentation.json"
WAYS = WITH, WITHOUT = "with", "without"  # the random changes
STEPS = {"twenty scenes": 500, "all scenes": 200}
COUNTS = {"twenty scenes": 20, "all scenes": 400}
SIDES = {"twenty scenes": (128,), "all scenes": (64, 128, 192)}  # short sides that the test images are resized to
OWN = "training scenes"  # the score on the scenes of the training themselves, where it is taken

Pair = tuple[np.ndarray, np.ndarray]


def prepare_with(recipe: Recipe) -> Callable:
    """The recipe's own pipeline: another ratio, window and flip each time."""
    pipeline = training.train_pipeline(recipe)
    return lambda pair, rng: pipeline(*pair, rng)


def prepare_without(recipe: Recipe) -> Callable:
    """The scene at its own size, its short side that of the test scale, and the window in its middle."""
    pixels_of = EvalPipeline(scale=recipe.test_scale)

    def prepare(pair: Pair, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        image, labels = pair
        top, left = (max(side - recipe.crop, 0) // 2 for side in labels.shape)
        box = (top, left, top + recipe.crop, left + recipe.crop)
        pixels, labels = pad(pixels_of(crop_array(image, box)), crop_array(labels, box), recipe.crop)
        return pixels, torch.from_numpy(labels)

    return prepare


def run(recipe: Recipe, root: Path, pairs: list[Pair], way: str, seed: int, sides: tuple[int, ...]) -> dict[str, float]:
    """Train on the pairs; the mIoU of all validation scenes by their short side, and of few training scenes too."""
    prepare = (prepare_with if way == WITH else prepare_without)(recipe)
    model = training.starting_model(recipe, 12, seed=seed, pretrained=None).train()
    optimizer, forward = build_optimizer(model, recipe), fast(model)
    order = iter(InfiniteSampler(len(pairs), seed=seed))
    for step in range(recipe.iterations):
        batch = [next(order) for _ in range(recipe.batch_size)]
        samples = [prepare(pairs[number], np.random.default_rng((seed, position))) for position, number in batch]
        pixels, labels = (torch.stack(column) for column in zip(*samples, strict=True))
        lr = learning_rate(step, total=recipe.iterations, base=recipe.learning_rate, warmup=recipe.warmup)
        training.seed_step(seed, step)
        training.training_step(forward, optimizer, pixels, labels.long(), lr=lr, aux_weight=recipe.aux_weight)
    scales = {str(side): replace(recipe, test_scale=(4 * side, side)) for side in sides}
    scores = {side: evaluate(model, root, scale, progress=False).scores().mIoU for side, scale in scales.items()}
    if len(pairs) < 100:
        confusion, twin = ConfusionMatrix(12), fast(model).eval()
        for image, labels in pairs:
            confusion.update(labels, fast_predict(twin, image, recipe))
        scores[OWN] = confusion.scores().mIoU
    return scores


def paired_t_test(differences: list[float]) -> tuple[float, float]:
    """Student's t of the mean of paired differences, and its two-sided p-value.

    With n - 1 = ν degrees of freedom and x = √ν tan a, t's density becomes cos(a) to the power ν - 1.
    """
    freedom = len(differences) - 1
    t = statistics.mean(differences) / (statistics.stdev(differences) / len(differences) ** 0.5)
    angles = (np.arange(1_000_000) + 0.5) / 1_000_000 * np.pi / 2
    density = np.cos(angles) ** (freedom - 1)
    beyond = angles > np.arctan(abs(t) / freedom**0.5)
    return t, float(density[beyond].sum() / density.sum())


def comparisons(runs: dict) -> list[dict]:
    """With minus without, over the seeds that both have, for every score."""
    rows = []
    for scenes, ways in runs.items():
        ours, theirs = (ways.get(way, {}) for way in WAYS)
        seeds = sorted(ours.keys() & theirs.keys())
        for score in ours[seeds[0]] if len(seeds) > 1 else ():
            differences = [ours[seed][score] - theirs[seed][score] for seed in seeds]
            t, p = paired_t_test(differences)
            row = {"scenes": scenes, "score": score, "seeds": len(seeds), "difference": statistics.mean(differences)}
            rows.append(row | {"standard deviation": statistics.stdev(differences), "t": t, "p": p})
    return rows


def table(content: dict) -> str:
    """The results as Markdown."""
    lines = ["| scenes | random changes | score on | seeds | mIoU |", "|---|---|--:|--:|--:|"]
    for scenes, ways in content["runs"].items():
        for way, by_seed in ways.items():
            for score in next(iter(by_seed.values())):
                values = [scores[score] for scores in by_seed.values()]
                spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
                lines.append(f"| {scenes} | {way} | {score} | {len(values)} | {statistics.mean(values):.1f}{spread} |")
    lines += [
        f"{row['scenes']}, {row['score']}: {row['difference']:+.2f} ± {row['standard deviation']:.2f}, "
        f"t = {row['t']:.2f}, p = {row['p']:.1e}"
        for row in content["comparisons"]
    ]
    return "\n".join(lines)


def main() -> None:
    """Run what is missing from the results file, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data/toy_scenes"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--table", action="store_true", help="print the table and run nothing")
    options = parser.parse_args()
    content = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {"runs": {}, "comparisons": []}
    if options.table:
        return print(table(content))
    recipe = recipes.get("toy")
    folder = SegmentationFolder(options.data, "training")
    every = [folder[number] for number in range(len(folder))]
    content |= {
        "command": "python benchmarks/augmentation.py",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}",
        "date": date.today().isoformat(),
        "steps": STEPS,
        "times each scene is seen": {name: STEPS[name] * recipe.batch_size / COUNTS[name] for name in STEPS},
    }
    for scenes, seed, way in [(scenes, seed, way) for scenes in STEPS for seed in range(options.seeds) for way in WAYS]:
        done = content["runs"].setdefault(scenes, {}).setdefault(way, {})
        if str(seed) in done:
            continue
        chosen = np.random.default_rng(seed).choice(len(every), COUNTS[scenes], replace=False)
        pairs = [every[number] for number in chosen]
        done[str(seed)] = run(replace(recipe, iterations=STEPS[scenes]), options.data, pairs, way, seed, SIDES[scenes])
        content["comparisons"] = comparisons(content["runs"])
        files.write_json(RESULTS, content)
        print(f"seed {seed}, {scenes}, {way}: {done[str(seed)]}", flush=True)
    print(table(content))
    return None


if __name__ == "__main__":
    main()
