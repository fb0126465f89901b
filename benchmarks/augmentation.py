"""What random changes of the training images are worth on the toy scenes: short runs in pairs, with and without.

    python benchmarks/augmentation.py                   five seeds, 25 runs, about 40 minutes on one core
    python benchmarks/augmentation.py --table           print what the results file holds and run nothing

Runs of one seed differ in nothing but the changes: the same weights at the start, the same scenes in the same order.
On all scenes such a run sees each a few times; on twenty, drawn by the seed, about as often as a published run sees
each photograph of ADE20K. Results go to benchmarks/results/augmentation.json as each run ends; runs that are there
already are not repeated.
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
from vitseg_lib.engine.schedule import build_optimizer, learning_rate
from vitseg_lib.model.fast import fast
from vitseg_lib.recipes import Recipe

RESULTS = Path(__file__).parent / "results" / "augmentation.json"
FEW = 20  # scenes
ONCE = 7  # keeps the draws that are made once for each scene apart from the others
NEW, SAME, NONE = "new draws each time", "one draw for each scene", "no changes"
PLAN = {"all scenes": (NEW, NONE), "twenty scenes": (NEW, SAME, NONE)}
TEST_SIDES = (64, 128, 192)  # short sides of the test images: half, as it is, one and a half

Pair = tuple[np.ndarray, np.ndarray]
Transform = Callable[[Pair, int, int], tuple[torch.Tensor, torch.Tensor]]  # a pair, its position, its number


def transform_of(way: str, recipe: Recipe, seed: int) -> Transform:
    """What makes a training sample out of a scene."""
    pipeline = training.train_pipeline(recipe)

    def changed(pair: Pair, position: int, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        entropy = (seed, position) if way == NEW else (seed, number, ONCE)
        return pipeline(*pair, np.random.default_rng(entropy))

    def unchanged(pair: Pair, position: int, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        image, labels = pair  # the toy scenes have the test scale's short side: there is nothing to resize
        top, left = (max(side - recipe.crop, 0) // 2 for side in labels.shape)
        box = (top, left, top + recipe.crop, left + recipe.crop)
        pixels = EvalPipeline(scale=recipe.test_scale)(crop_array(image, box))
        pixels, labels = pad(pixels, crop_array(labels, box), recipe.crop)
        return pixels, torch.from_numpy(labels)

    return unchanged if way == NONE else changed


def run(recipe: Recipe, root: Path, pairs: list[Pair], transform: Transform, seed: int) -> dict[str, float]:
    """Train on the pairs, and return the mIoU of all validation scenes by the short side that they are resized to."""
    model = training.starting_model(recipe, 12, seed=seed, pretrained=None).train()
    optimizer, forward = build_optimizer(model, recipe), fast(model)
    order = iter(InfiniteSampler(len(pairs), seed=seed))
    for step in range(recipe.iterations):
        numbered = [next(order) for _ in range(recipe.batch_size)]
        samples = [transform(pairs[number], position, number) for position, number in numbered]
        pixels, labels = (torch.stack(column) for column in zip(*samples, strict=True))
        lr = learning_rate(step, total=recipe.iterations, base=recipe.learning_rate, warmup=recipe.warmup)
        training.seed_step(seed, step)
        training.training_step(forward, optimizer, pixels, labels.long(), lr=lr, aux_weight=recipe.aux_weight)
    scales = {str(side): replace(recipe, test_scale=(4 * side, side)) for side in TEST_SIDES}
    return {side: evaluate(model, root, scale, progress=False).scores().mIoU for side, scale in scales.items()}


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


def compared(runs: dict, scenes: str, ours: str, theirs: str, side: str = "128") -> dict | None:
    """The paired difference of two ways, over the seeds that both have."""
    seeds = sorted(runs[scenes].get(ours, {}).keys() & runs[scenes].get(theirs, {}).keys())
    if len(seeds) < 2:
        return None
    differences = [runs[scenes][ours][seed][side] - runs[scenes][theirs][seed][side] for seed in seeds]
    t, p = paired_t_test(differences)
    spread = statistics.stdev(differences)
    return {
        "scenes": scenes,
        "first": ours,
        "second": theirs,
        "short side": int(side),
        "seeds": len(seeds),
        "difference": statistics.mean(differences),
        "standard deviation": spread,
        "t": t,
        "p": p,
    }


def comparisons(runs: dict) -> list[dict]:
    """Every pair of ways on the same scenes, at every test size."""
    wanted = [
        (scenes, ways[first], ways[second], str(side))
        for scenes, ways in PLAN.items()
        for first in range(len(ways))
        for second in range(first + 1, len(ways))
        for side in TEST_SIDES
    ]
    return [row for row in (compared(runs, *one) for one in wanted) if row]


def table(content: dict) -> str:
    """The results as Markdown."""
    lines = ["| scenes | changes | seeds | mIoU at 64 | at 128 | at 192 |", "|---|---|--:|--:|--:|--:|"]
    for scenes, ways in content["runs"].items():
        for way, by_seed in ways.items():
            cells = []
            for side in map(str, TEST_SIDES):
                values = [scores[side] for scores in by_seed.values()]
                spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
                cells.append(f"{statistics.mean(values):.1f}{spread}")
            lines.append(f"| {scenes} | {way} | {len(by_seed)} | {' | '.join(cells)} |")
    lines += [
        f"{row['scenes']}, {row['short side']}: {row['first']} − {row['second']}: {row['difference']:+.2f} "
        f"± {row['standard deviation']:.2f}, t = {row['t']:.2f}, p = {row['p']:.1e}"
        for row in content["comparisons"]
    ]
    return "\n".join(lines)


def main() -> None:
    """Run what is missing from the results file, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data/toy_scenes"))
    parser.add_argument("--iterations", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--table", action="store_true", help="print the table and run nothing")
    options = parser.parse_args()
    content = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {"runs": {}, "comparisons": []}
    if options.table:
        return print(table(content))
    if content.get("iterations", options.iterations) != options.iterations:
        raise SystemExit(f"{RESULTS} holds runs of {content['iterations']} steps: move it away first")
    recipe = replace(recipes.get("toy"), iterations=options.iterations)
    folder = SegmentationFolder(options.data, "training")
    every = [folder[number] for number in range(len(folder))]
    content |= {
        "command": f"python benchmarks/augmentation.py --iterations {options.iterations}",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}",
        "date": date.today().isoformat(),
        "iterations": options.iterations,
        "batch_size": recipe.batch_size,
        "scenes": {"all scenes": len(every), "twenty scenes": FEW},
    }
    for seed in range(options.seeds):
        few = [every[number] for number in np.random.default_rng(seed).choice(len(every), FEW, replace=False)]
        for scenes, ways in PLAN.items():
            for way in ways:
                done = content["runs"].setdefault(scenes, {}).setdefault(way, {})
                if str(seed) not in done:
                    pairs = every if scenes == "all scenes" else few
                    done[str(seed)] = run(recipe, options.data, pairs, transform_of(way, recipe, seed), seed)
                    content["comparisons"] = comparisons(content["runs"])
                    files.write_json(RESULTS, content)
                    print(f"seed {seed}, {scenes}, {way}: {done[str(seed)]}", flush=True)
    print(table(content))
    return None


if __name__ == "__main__":
    main()
