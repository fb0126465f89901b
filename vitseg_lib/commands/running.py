"""`vitseg train`, `vitseg evaluate` and `vitseg reproduce`; under torchrun, on many processes."""

import platform
from argparse import Namespace
from dataclasses import fields, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vitseg_lib import files, recipes
from vitseg_lib.commands.common import chosen_recipe, load_model, settle_machine
from vitseg_lib.data.ade20k import list_pairs, write_labels
from vitseg_lib.engine import evaluation, training
from vitseg_lib.engine.checkpoints import RunSettings
from vitseg_lib.engine.distributed import process_group, world
from vitseg_lib.files import InputError
from vitseg_lib.recipes import Recipe

VALIDATION_IMAGES = 2000  # ADE20K's


def train(options: Namespace) -> int:
    """Train a recipe into a run folder."""
    settings = run_settings(options)
    with process_group(settings.device):
        result = training.train(settings, resume=options.resume, progress=not options.no_progress)
        if world().is_main and result is None:
            print(f"Stopped and saved in {settings.out}: go on with the same command and --resume.")
        elif world().is_main:
            print_scores(result)
    return 130 if result is None else 0


def run_settings(options: Namespace) -> RunSettings:
    """The settings of a run, and of its recipe: what the options of their names say."""
    changes = {field.name: getattr(options, field.name, None) for field in fields(Recipe)}
    recipe = replace(chosen_recipe(options.recipe), **{k: v for k, v in changes.items() if v is not None})
    if recipe.pretrained == "none":
        recipe = replace(recipe, pretrained=None)
    if options.cache and options.cache.exists() and not options.cache.is_dir():
        raise InputError(f"{options.cache} is a file: name a folder for --cache.")
    settle_machine(options)
    if options.compile and options.device == "cpu":  # minutes of compiling, for slower steps
        raise InputError("--compile is for GPUs: leave it out on this device, a CPU.")
    names = [field.name for field in fields(RunSettings) if field.name != "recipe"]
    return RunSettings(recipe, **{name: getattr(options, name) for name in names})


def evaluate(options: Namespace) -> None:
    """Score weights on a data set, and write the result and the predictions where the options say so."""
    if options.json:
        files.ensure_writable(options.json, options.overwrite)
    recipe = chosen_recipe(options.recipe)
    list_pairs(options.data, options.split)  # the data set's faults come before the weights'
    settle_machine(options)
    made_by = {key: getattr(options, key) for key in ("recipe", "weights", "split", "mode", "limit", "precision")}
    with process_group(options.device):
        result = made_by | score(recipe, options.weights, options, options.mode, options.save_predictions)
        if world().is_main:
            print_scores(result)
        if world().is_main and options.json:
            files.write_json(options.json, result, overwrite=options.overwrite)


def score(recipe: Recipe, source: str, options: Namespace, mode: str, keep_in: Path | None) -> dict[str, Any]:
    """The scores of weights in one mode, as result.json holds them; all processes of a run get the same."""
    model, classes = load_model(recipe, source, options.data)

    def keep(image: Path, labels: np.ndarray) -> None:
        write_labels(keep_in / f"{image.stem}.png", labels, classes, overwrite=options.overwrite)

    settings = {name: getattr(options, name) for name in ("split", "limit", "workers", "precision")}
    settings |= {"mode": mode, "progress": not options.no_progress and world().is_main}
    settings["on_image"] = keep if keep_in else None
    confusion = evaluation.evaluate(model.to(options.device), options.data, recipe, **settings)
    return confusion.scores().as_dict(classes.names)


def reproduce(options: Namespace) -> None:
    """Fetch published weights, evaluate them, and print ours beside theirs; one file per recipe keeps the result."""
    rows = [chosen_recipe(name) for name in dict.fromkeys(options.recipes)] or recipes.PUBLISHED
    for recipe in rows:
        if recipe.published is None:
            raise InputError(f"Nobody published weights or figures for {recipe.name}, so there is nothing to compare.")
        files.ensure_writable(options.out / f"{recipe.name}.json", options.overwrite)
    count = len(list_pairs(options.data, options.split))
    images = min(options.limit or count, count)
    settle_machine(options)
    with process_group(options.device):
        results = [reproduced(recipe, images, options) for recipe in rows]
        if world().is_main:
            print_comparison(results)


def reproduced(recipe: Recipe, images: int, options: Namespace) -> dict[str, Any]:
    """What a recipe's file holds: its published weights' scores beside the published ones, and what made them."""
    row, device = recipe.published, options.device
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else f"{device}, {platform.machine()}"
    result = {"recipe": recipe.name, "weights": row.url, "sha256_prefix": row.sha256_prefix, "split": options.split}
    result |= {"images": images, "precision": options.precision, "device": name, "date": date.today().isoformat()}
    for mode, theirs in (("whole", row.mIoU), ("ms_flip", row.mIoU_ms_flip)):
        if mode in ("whole", options.mode):
            keep_in = options.save_predictions and options.save_predictions / recipe.name / mode
            scores = score(recipe, "published", options, mode, keep_in)
            result[mode] = scores | {"published_mIoU": theirs, "difference": scores["mIoU"] - theirs}
    if world().is_main:
        files.write_json(options.out / f"{recipe.name}.json", result, overwrite=options.overwrite)
    return result


def print_comparison(results: list[dict[str, Any]]) -> None:
    """Ours beside theirs, and whether the two can be compared."""
    print(f"{'recipe':<22} {'mode':<8} {'ours':>6} {'published':>9} {'difference':>10}")
    for result, mode in [(result, mode) for result in results for mode in ("whole", "ms_flip") if mode in result]:
        mIoU, theirs, difference = (result[mode][key] for key in ("mIoU", "published_mIoU", "difference"))
        print(f"{result['recipe']:<22} {mode:<8} {mIoU:6.2f} {theirs:9.2f} {difference:+10.2f}")
    if (results[0]["split"], results[0]["images"]) != ("validation", VALIDATION_IMAGES):
        print(f"\nNot ADE20K's {VALIDATION_IMAGES:,} validation images: the published figures are of those.")


def print_scores(result: dict[str, Any]) -> None:
    """A table of the classes, best first, and the three means."""
    print(f"{'class':<24} {'IoU':>6} {'Acc':>6}")
    for name, row in sorted(result["classes"].items(), key=lambda item: -(item[1]["IoU"] or 0)):
        if row["IoU"] is not None:
            print(f"{name.split(',')[0]:<24} {row['IoU']:6.2f} {row['Acc'] or 0:6.2f}")
    print(f"\nmIoU {result['mIoU']:.2f}   mAcc {result['mAcc']:.2f}   aAcc {result['aAcc']:.2f}")
