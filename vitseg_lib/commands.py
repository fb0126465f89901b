"""What each command of the command line does; `cli` only reads the options."""

import json
import os
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import Any

from vitseg_lib import files
from vitseg_lib.files import InputError


def show_recipes(options: Namespace) -> None:
    """Print one line a recipe: sizes, schedule, published figures, and the best result found here."""
    from vitseg_lib import recipes

    found = results_by_recipe([Path("data/weights"), options.runs])
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
            best[result["recipe"]] = max(result["mIoU"], best.get(result["recipe"], 0.0))
        except (ValueError, KeyError, TypeError, OSError):
            continue  # some other JSON file
    return best


def make_data(options: Namespace) -> None:
    """Draw the toy scenes, fetch ADE20K, or check a data set."""
    from vitseg_lib.data import fetch, toy_scenes

    default = {"toy": Path("data/toy_scenes"), "ade20k": Path("data/ADEChallengeData2016"), "check": options.root}
    root = options.out or default[options.what]
    if root is None:
        raise InputError("Nothing to check was named: say `vitseg data check ROOT`.")
    if options.what == "toy" and not options.check:
        toy_scenes.write(root)
    elif options.what == "ade20k" and not options.check:
        root = fetch.fetch_ade20k(root)
    print(fetch.check(root, deep=options.deep or options.what == "toy"))


def train(options: Namespace) -> int | None:
    """Train a recipe into a run folder."""
    from vitseg_lib.engine import training

    recipe = chosen_recipe(options.recipe)
    changes = {key: getattr(options, key) for key in ("iterations", "batch_size", "evaluate_every", "pretrained")}
    recipe = replace(recipe, **{key: value for key, value in changes.items() if value is not None})
    if recipe.pretrained == "none":
        recipe = replace(recipe, pretrained=None)
    result = training.train(
        recipe,
        options.data,
        options.out,
        seed=options.seed,
        resume=options.resume,
        progress=not options.no_progress,
        **machine(options),
    )
    if result is None:
        print(f"Stopped and saved; go on with: the same command and --resume (run folder {options.out}).")
        return 130
    print_scores(result)
    return None


def evaluate(options: Namespace) -> None:
    """Score weights on a data set."""
    from vitseg_lib.data.ade20k import read_classes
    from vitseg_lib.engine.evaluation import evaluate as run

    recipe, classes = chosen_recipe(options.recipe), read_classes(options.data)
    model = load_model(recipe, options.weights, num_classes=len(classes))
    mode = "ms_flip" if options.ms_flip else "slide" if options.slide else "whole"
    where = machine(options)
    confusion = run(
        model.to(where["device"]),
        options.data,
        recipe,
        split=options.split,
        mode=mode,
        limit=options.limit,
        workers=where["workers"],
        progress=not options.no_progress,
    )
    made_by = {"recipe": recipe.name, "weights": str(options.weights), "split": options.split, "mode": mode}
    result = made_by | {"limit": options.limit} | confusion.scores().as_dict(classes.names)
    print_scores(result)
    if options.json:
        files.write_json(options.json, result)


def predict(options: Namespace) -> None:
    """Label photographs; NAME.png holds the labels as ADE20K's files do, NAME_overlay.png shows them."""
    from PIL import Image
    from tqdm.auto import tqdm

    from vitseg_lib.data.ade20k import colour_labels, write_labels
    from vitseg_lib.data.photos import image_size, read_image
    from vitseg_lib.engine import inference

    outputs = [options.out / f"{path.stem}.png" for path in options.images]
    overlays = [path.with_name(f"{path.stem}_overlay.png") for path in outputs]
    for path in outputs + overlays:
        if (outputs + overlays).count(path) > 1:
            raise InputError(f"{path} would be written twice: give the images different names.")
        files.refuse_existing(path, options.overwrite)
    for source in options.images:
        image_size(source)  # what is missing or no image is said before anything is computed
    recipe = chosen_recipe(options.recipe)
    classes = classes_for(options.weights, options.classes)
    model = load_model(recipe, options.weights, num_classes=len(classes))
    model.to(machine(options)["device"])
    mode = "ms_flip" if options.ms_flip else "whole"
    jobs = zip(options.images, outputs, overlays, strict=True)
    for source, output, overlay in tqdm(list(jobs), unit="image", disable=options.no_progress):
        image = read_image(source)
        labels = inference.predict(model, image, recipe, mode=mode)
        write_labels(output, labels, classes, overwrite=options.overwrite)
        blend = Image.blend(Image.fromarray(image), Image.fromarray(colour_labels(labels, classes)), 0.55)
        with files.atomic_path(overlay, overwrite=options.overwrite) as temporary:
            blend.save(temporary, format="PNG")
    print(f"{len(outputs)} predicted into {options.out}")


def convert(options: Namespace) -> None:
    """Write weights under mmsegmentation's or timm's names, or under ours in half precision."""
    import torch
    from safetensors.torch import save as to_bytes

    from vitseg_lib.model import weights

    recipe = chosen_recipe(options.recipe)
    classes = classes_for(options.weights, None)
    model = load_model(recipe, options.weights, num_classes=len(classes))
    suffix = "pth" if options.to == "mmseg" else "safetensors"
    path = options.out or Path(f"{recipe.name}_{options.to}.{suffix}")
    files.refuse_existing(path)
    if options.to == "half":
        weights.save(model, path, dtype=torch.float16, recipe=recipe.name, classes=classes.as_dict())
    elif options.to == "timm":
        state = {key: value.contiguous() for key, value in weights.to_timm(model.encoder).items()}
        with files.atomic_path(path, overwrite=False) as temporary:
            temporary.write_bytes(to_bytes(state))
    else:
        state = {"meta": {"CLASSES": list(classes.names)}, "state_dict": weights.to_mmseg(model)}
        with files.atomic_path(path, overwrite=False) as temporary, temporary.open("wb") as file:
            torch.save(state, file)
    print(f"wrote {path}")


def chosen_recipe(name: str) -> Any:
    """The recipe, or one sentence with the nearest name."""
    from vitseg_lib import recipes

    try:
        return recipes.get(name)
    except KeyError as error:
        raise InputError(f"{error.args[0]}.") from error


def classes_for(weights_source: str, root: Path | None) -> Any:
    """The classes that weights know: a data set's, those in the header of a file of ours, else ADE20K's."""
    from vitseg_lib.data.ade20k import ade20k_classes, parse_classes, read_classes
    from vitseg_lib.model import weights

    if root is not None:
        return read_classes(root)
    if weights_source.endswith(".safetensors"):
        notes = weights.read_safetensors(weights_source)[1]
        if "classes" in notes:
            return parse_classes(json.dumps(notes["classes"]), weights_source)
    return ade20k_classes()


def load_model(recipe: Any, source: str, *, num_classes: int) -> Any:
    """The recipe's model in eval mode, filled from `published`, `random`, a file of ours or one of mmsegmentation's."""
    import torch

    from vitseg_lib import recipes
    from vitseg_lib.model import weights

    torch.manual_seed(0)
    model = recipes.build_model(recipe, num_classes).eval()
    if source == "published":
        if recipe.published is None:
            raise InputError(f"Nobody published weights for {recipe.name}: pass a file.")
        weights.load_mmseg(model, recipe.published)
    elif source.endswith(".safetensors"):
        weights.load(model, source)
    elif source != "random":
        weights.load_mmseg(model, source)
    return model


def machine(options: Namespace) -> dict[str, Any]:
    """Device and number of reading processes, as asked for or as fits the machine."""
    import torch

    best = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(options.device or best)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"This machine cannot use the device {options.device}: try --device {best}.") from error
    workers = 0 if device.type == "cpu" else min(8, os.cpu_count() or 1)
    return {"device": str(device), "workers": workers if options.workers is None else options.workers}


def print_scores(result: dict[str, Any]) -> None:
    """A table of the classes, best first, and the three means."""
    rows = sorted(result["classes"].items(), key=lambda item: -(item[1]["IoU"] or 0))
    print(f"{'class':<24} {'IoU':>6} {'Acc':>6}")
    for name, row in rows:
        if row["IoU"] is not None:
            print(f"{name.split(',')[0]:<24} {row['IoU']:6.2f} {row['Acc'] or 0:6.2f}")
    print(f"\nmIoU {result['mIoU']:.2f}   mAcc {result['mAcc']:.2f}   aAcc {result['aAcc']:.2f}")
