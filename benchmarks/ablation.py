"""What each part of the segmenter is worth on the toy scenes: several seeds each, in short runs and in long ones.

    python benchmarks/ablation.py                       all variants, three seeds, about 45 minutes on two cores
    python benchmarks/ablation.py --variants "with the neck" --seeds 1
    python benchmarks/ablation.py --iterations 1400 --variants "as it is" "no position embedding"

Results go to benchmarks/results/ablation.json as each run ends, by the number of steps; runs that are there already
are not repeated. `--table` prints what the file holds and runs nothing.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import torch
from torch import nn

from vitseg_lib import files, recipes
from vitseg_lib.data.classes import read_classes
from vitseg_lib.engine import training
from vitseg_lib.engine.checkpoints import RunSettings
from vitseg_lib.recipes import Recipe

RESULTS = Path(__file__).parent / "results" / "ablation.json"


def leave(model: nn.Module) -> None:
    """Change nothing."""


def without_position(model: nn.Module) -> None:
    """Fix the position embedding at zero: the encoder no longer knows where a patch is."""
    nn.init.zeros_(model.encoder.pos_embed).requires_grad_(False)


def variants(base: Recipe) -> dict[str, tuple[Recipe, Callable[[nn.Module], None]]]:
    """Each variant's recipe, and what is done to its model before training."""
    last = base.depth - 1
    return {
        "as it is": (base, leave),
        "no position embedding": (base, without_position),
        "only the last layer tapped": (replace(base, out_indices=(last,) * len(base.out_indices)), leave),
        "no auxiliary loss": (replace(base, aux_weight=0.0), leave),
        "with the neck": (replace(base, neck=True), leave),
        "with the final LayerNorm": (replace(base, final_norm=True), leave),
        "LayerNorm, no auxiliary loss": (replace(base, final_norm=True, aux_weight=0.0), leave),
        "neck, no auxiliary loss": (replace(base, neck=True, aux_weight=0.0), leave),
        "neck and LayerNorm": (replace(base, neck=True, final_norm=True), leave),
        "neck and LayerNorm, no auxiliary loss": (replace(base, neck=True, final_norm=True, aux_weight=0.0), leave),
    }


def run(recipe: Recipe, change: Callable[[nn.Module], None], root: Path, seed: int) -> float:
    """Train one variant with one seed and return its mIoU on the validation scenes."""

    model = training.starting_model(recipe, len(read_classes(root)), seed=seed, pretrained=recipe.pretrained)
    change(model)
    with tempfile.TemporaryDirectory() as out:
        settings = RunSettings(recipe=recipe, data=root, out=Path(out) / "run", seed=seed)
        result = training.train(settings, model=model, progress=sys.stderr.isatty())
    if result is None:
        raise SystemExit("stopped; run the same command again to go on")
    return result["mIoU"]


def table(content: dict) -> str:
    """The results as Markdown: mean and spread over seeds, and the difference to the whole recipe."""
    lines = [
        "| variant | steps | mIoU, mean of seeds | lowest – highest | standard deviation | difference |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for steps, rows in content["mIoU"].items():
        whole = statistics.mean(rows["as it is"].values()) if "as it is" in rows else float("nan")
        for name, by_seed in rows.items():
            values = list(by_seed.values())
            mean = statistics.mean(values)
            spread = f"{statistics.stdev(values):.1f}" if len(values) > 1 else "one seed"
            away = "" if name == "as it is" else f"{mean - whole:+.1f}"
            lines.append(
                f"| {name} | {steps} | {mean:.1f} | {min(values):.1f} – {max(values):.1f} | {spread} | {away} |"
            )
    return "\n".join(lines)


def main() -> None:
    """Run what is missing from the results file, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="toy")
    parser.add_argument("--data", type=Path, default=Path("data/toy_scenes"))
    parser.add_argument("--iterations", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--variants", nargs="*", help="some of the variants instead of all")
    parser.add_argument("--table", action="store_true", help="print the table and run nothing")
    options = parser.parse_args()
    base = replace(recipes.get(options.recipe), iterations=options.iterations, evaluate_every=options.iterations)
    content = {
        "command": f"python benchmarks/ablation.py --recipe {base.name} --iterations N",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}",
        "date": date.today().isoformat(),
        "mIoU": {},
    }
    if RESULTS.exists():
        before = json.loads(RESULTS.read_text(encoding="utf-8"))
        if options.table:
            return print(table(before))
        if before["command"] == content["command"]:
            content["mIoU"] = before["mIoU"]
    rows = content["mIoU"].setdefault(str(options.iterations), {})
    chosen = variants(base)
    for seed in range(options.seeds):
        for name in options.variants or chosen:
            done = rows.setdefault(name, {})
            if str(seed) not in done:
                done[str(seed)] = run(*chosen[name], options.data, seed)
                files.write_json(RESULTS, content)
    print(table(content))
    return None


if __name__ == "__main__":
    main()
