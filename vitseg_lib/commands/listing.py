"""`vitseg recipes`."""

import json
from argparse import Namespace
from pathlib import Path


def show_recipes(options: Namespace) -> None:
    """Print one line a recipe: sizes, schedule, published figures, and the best result found here."""
    from vitseg_lib import recipes

    found = results_by_recipe([Path("data/weights"), Path("benchmarks/results/reproduced"), options.runs])
    row = "{:<22} {:>5} {:>5} {:>4} {:>4} {:>7} {:>7} {:>8} {:>8}  {}"
    print(row.format("recipe", "width", "depth", "neck", "norm", "steps", "params", "mIoU", "ms+flip", "run here"))
    for name in recipes.names():
        recipe = recipes.get(name)
        figures = recipe.published
        print(
            row.format(
                name,
                recipe.width,
                recipe.depth,
                "yes" if recipe.neck else "–",
                "yes" if recipe.final_norm else "–",
                recipe.iterations,
                f"{figures.params_M if figures else recipes.count_parameters(recipe) / 1e6:.2f}M",
                f"{figures.mIoU:.2f}" if figures else "",
                f"{figures.mIoU_ms_flip:.2f}" if figures else "",
                f"mIoU {found[name]:.2f}" if name in found else "not run",
            )
        )
    print("\nmIoU and ms+flip: as published by mmsegmentation, on ADE20K; a blank was never published.")


def results_by_recipe(folders: list[Path]) -> dict[str, float]:
    """The best mIoU by recipe among the result files in some folders and their subfolders."""
    best: dict[str, float] = {}
    for path in (
        path for folder in folders for pattern in ("*.json", "*/result.json") for path in folder.glob(pattern)
    ):
        try:
            result = json.loads(path.read_text(encoding="utf-8"))
            score = result.get("whole", result)["mIoU"]  # `vitseg reproduce` keeps one a mode
            best[result["recipe"]] = max(score, best.get(result["recipe"], 0.0))
        except (ValueError, KeyError, TypeError, OSError):
            continue  # some other JSON file
    return best
