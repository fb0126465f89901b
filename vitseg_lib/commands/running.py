"""`vitseg train`, `vitseg evaluate` and `vitseg reproduce`; under torchrun, on many processes."""

import os
from argparse import Namespace
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from vitseg_lib import files
from vitseg_lib.commands.common import chosen_recipe, load_model, machine
from vitseg_lib.files import InputError

VALIDATION_IMAGES = 2000  # ADE20K's


def train(options: Namespace) -> int | None:
    """Train a recipe into a run folder."""
    from vitseg_lib.engine import training
    from vitseg_lib.engine.distributed import joined, world

    recipe = chosen_recipe(options.recipe)
    changes = {key: getattr(options, key) for key in ("iterations", "batch_size", "evaluate_every", "pretrained")}
    recipe = replace(recipe, **{key: value for key, value in changes.items() if value is not None})
    if recipe.pretrained == "none":
        recipe = replace(recipe, pretrained=None)
    if options.cache and options.cache.exists() and not options.cache.is_dir():
        raise InputError(f"{options.cache} is a file: name a folder for --cache.")
    where = machine(options)
    if options.deterministic:
        make_deterministic()
    with joined(where.pop("device")) as device:
        result = training.train(
            recipe,
            options.data,
            options.out,
            seed=options.seed,
            resume=options.resume,
            progress=not options.no_progress,
            device=device,
            precision=options.precision,
            accumulate=options.accumulate,
            compiled=options.compile,
            checkpoint_every=options.checkpoint_every,
            tensorboard=options.tensorboard,
            cache=options.cache,
            **where,
        )
        told = world().is_first
    if result is None:
        if told:
            print(f"Stopped and saved; go on with: the same command and --resume (run folder {options.out}).")
        return 130
    if told:
        print_scores(result)
    return None


def make_deterministic() -> None:
    """Let PyTorch choose only operations that repeat to the bit, and warn where it has none."""
    import torch

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False


def evaluate(options: Namespace) -> None:
    """Score weights on a data set, and keep the predictions if asked to."""
    from vitseg_lib.data.ade20k import read_classes
    from vitseg_lib.engine.distributed import joined, world

    if options.json:
        files.refuse_existing(options.json, options.overwrite)
    recipe, classes = chosen_recipe(options.recipe), read_classes(options.data)
    model = load_model(recipe, options.weights, num_classes=len(classes))
    mode = "ms_flip" if options.ms_flip else "slide" if options.slide else "whole"
    with joined(machine(options)["device"]) as device:
        scores = score(model.to(device), recipe, classes, options, mode=mode, keep_in=options.save_predictions)
        told = world().is_first
    made_by = {"recipe": recipe.name, "weights": str(options.weights), "split": options.split, "mode": mode}
    result = made_by | {"limit": options.limit, "precision": options.precision} | scores
    if told:
        print_scores(result)
        if options.json:
            files.write_json(options.json, result)


def score(
    model: Any, recipe: Any, classes: Any, options: Namespace, *, mode: str, keep_in: Path | None
) -> dict[str, Any]:
    """The scores of a model in one mode, as result.json holds them; all processes of a run get the same."""
    from vitseg_lib.data.ade20k import write_labels
    from vitseg_lib.engine.distributed import world
    from vitseg_lib.engine.evaluation import evaluate as run

    def keep(image: Path, labels: Any) -> None:
        write_labels(keep_in / f"{image.stem}.png", labels, classes, overwrite=options.overwrite)

    confusion = run(
        model,
        options.data,
        recipe,
        split=options.split,
        mode=mode,
        limit=options.limit,
        workers=machine(options)["workers"],
        precision=options.precision,
        progress=not options.no_progress and world().is_first,
        on_image=keep if keep_in else None,
    )
    return confusion.scores().as_dict(classes.names)


def reproduce(options: Namespace) -> None:
    """Fetch published weights, evaluate them, and print ours beside theirs; a file a recipe keeps the result."""
    from vitseg_lib import recipes
    from vitseg_lib.data.ade20k import list_pairs, read_classes
    from vitseg_lib.engine.distributed import joined, world

    rows = [chosen_recipe(name) for name in options.recipes or recipes.names()]
    rows = [recipe for recipe in rows if recipe.published or options.recipes]
    for recipe in rows:
        if recipe.published is None:
            raise InputError(f"Nobody published weights or figures for {recipe.name}, so there is nothing to compare.")
        files.refuse_existing(options.out / f"{recipe.name}.json", options.overwrite)
    classes, count = read_classes(options.data), len(list_pairs(options.data, options.split))
    modes = ("whole", "ms_flip") if options.ms_flip else ("whole",)
    comparison = []
    with joined(machine(options)["device"]) as device:
        for recipe in rows:
            model = load_model(recipe, "published", num_classes=len(classes)).to(device)
            result = {
                "recipe": recipe.name,
                "weights": recipe.published.url,
                "sha256_prefix": recipe.published.sha256_prefix,
                "split": options.split,
                "images": min(options.limit or count, count),
                "precision": options.precision,
                "device": device_name(device),
                "date": date.today().isoformat(),
            }
            for mode in modes:
                keep_in = options.save_predictions and options.save_predictions / recipe.name / mode
                scores = score(model, recipe, classes, options, mode=mode, keep_in=keep_in)
                theirs = recipe.published.mIoU if mode == "whole" else recipe.published.mIoU_ms_flip
                result[mode] = scores | {"published_mIoU": theirs, "difference": scores["mIoU"] - theirs}
                comparison.append((recipe.name, mode, scores["mIoU"], theirs))
            if world().is_first:
                files.write_json(options.out / f"{recipe.name}.json", result, overwrite=options.overwrite)
        told = world().is_first
    if told:
        print_comparison(comparison, whole_set=options.limit is None and count == VALIDATION_IMAGES)


def device_name(device: str) -> str:
    """What computed, in words."""
    import platform

    import torch

    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return f"{device}, {platform.machine()}"


def print_comparison(rows: list[tuple[str, str, float, float]], *, whole_set: bool) -> None:
    """Ours beside theirs, and whether the two can be compared."""
    print(f"{'recipe':<22} {'mode':<8} {'ours':>6} {'published':>9} {'difference':>10}")
    for name, mode, ours, theirs in rows:
        print(f"{name:<22} {mode:<8} {ours:6.2f} {theirs:9.2f} {ours - theirs:+10.2f}")
    if not whole_set:
        print(f"\nNot ADE20K's {VALIDATION_IMAGES:,} validation images: the published figures are of those.")


def print_scores(result: dict[str, Any]) -> None:
    """A table of the classes, best first, and the three means."""
    rows = sorted(result["classes"].items(), key=lambda item: -(item[1]["IoU"] or 0))
    print(f"{'class':<24} {'IoU':>6} {'Acc':>6}")
    for name, row in rows:
        if row["IoU"] is not None:
            print(f"{name.split(',')[0]:<24} {row['IoU']:6.2f} {row['Acc'] or 0:6.2f}")
    print(f"\nmIoU {result['mIoU']:.2f}   mAcc {result['mAcc']:.2f}   aAcc {result['aAcc']:.2f}")
