"""`vitseg recipes`, `vitseg predict`, `vitseg convert` and `vitseg export`."""

import io
import json
from argparse import Namespace
from pathlib import Path

import torch
from PIL import Image
from tqdm.auto import tqdm

from vitseg_lib import files, recipes, state_files
from vitseg_lib.commands.common import chosen_recipe, load_model, settle_machine
from vitseg_lib.data.ade20k import colour_labels, write_labels
from vitseg_lib.data.image_io import image_size, read_image, write_image
from vitseg_lib.engine.export import export_onnx, export_torch
from vitseg_lib.engine.fast_inference import fast_predict
from vitseg_lib.files import InputError
from vitseg_lib.model import weights
from vitseg_lib.model.fast import fast


def show_recipes(options: Namespace) -> None:
    """Print one line per recipe: sizes, schedule, published figures, and the best result measured here."""
    best = results_by_recipe([Path("data/weights"), Path("benchmarks/results/reproduced"), options.runs])
    row = "{:<22} {:>5} {:>5} {:>4} {:>4} {:>7} {:>7} {:>8} {:>8}  {}"
    print(row.format("recipe", "embed", "depth", "neck", "norm", "steps", "params", "mIoU", "ms+flip", "run here"))
    for recipe in recipes.RECIPES.values():
        figures = recipe.published
        params = figures.params_M if figures else recipes.count_parameters(recipe) / 1e6
        parts = ["yes" if part else "–" for part in (recipe.neck, recipe.final_norm)]
        published = [f"{x:.2f}" for x in (figures.mIoU, figures.mIoU_ms_flip)] if figures else ["", ""]
        here = f"mIoU {best[recipe.name]:.2f}" if recipe.name in best else "not run"
        sizes = (recipe.name, recipe.embed_dim, recipe.depth, *parts, recipe.iterations)
        print(row.format(*sizes, f"{params:.2f}M", *published, here))
    print("\nmIoU and ms+flip: as published by mmsegmentation, on ADE20K; a blank was never published.")


def results_by_recipe(folders: list[Path]) -> dict[str, float]:
    """The best mIoU by recipe among the result files in some folders and their subfolders."""
    best: dict[str, float] = {}
    for path in [p for folder in folders for pattern in ("*.json", "*/result.json") for p in folder.glob(pattern)]:
        try:
            result = json.loads(path.read_text(encoding="utf-8"))
            score = result.get("whole", result)["mIoU"]  # `vitseg reproduce` keeps one per mode
            best[result["recipe"]] = max(score, best.get(result["recipe"], 0.0))
        except (ValueError, AttributeError, KeyError, TypeError, OSError):
            continue  # some other JSON file
    return best


def predict(options: Namespace) -> None:
    """Label photographs; NAME.png holds the labels as ADE20K's files do, NAME_overlay.png shows them."""
    outputs = [options.out / f"{path.stem}{end}.png" for end in ("", "_overlay") for path in options.images]
    for path in outputs:
        if outputs.count(path) > 1:
            raise InputError(f"{path} would be written twice: give the images different names.")
        files.ensure_writable(path, options.overwrite)
    for path in options.images:
        image_size(path)  # a missing or damaged image is named before anything is computed
    if options.classes and not options.classes.is_dir():
        raise InputError(f"There is no data set at {options.classes}: name a folder with a classes.json by --classes.")
    recipe = chosen_recipe(options.recipe)
    model, classes = load_model(recipe, options.weights, options.classes)
    settle_machine(options)
    model = fast(model.to(options.device))
    jobs = list(zip(options.images, outputs, outputs[len(options.images) :], strict=False))
    for path, labelled, overlay in tqdm(jobs, unit="image", disable=options.no_progress):
        image = read_image(path)
        labels = fast_predict(model, image, recipe, mode=options.mode)
        write_labels(labelled, labels, classes, overwrite=options.overwrite)
        blend = Image.blend(Image.fromarray(image), Image.fromarray(colour_labels(labels, classes)), 0.55)
        write_image(blend, overlay, overwrite=options.overwrite)
    print(f"{len(jobs)} predicted into {options.out}")


def convert(options: Namespace) -> None:
    """Write weights under the names of other tools, or under ours in half precision."""
    recipe = chosen_recipe(options.recipe)
    path = options.out or Path(f"{recipe.name}_{options.to}.{'pth' if options.to == 'mmseg' else 'safetensors'}")
    files.ensure_writable(path)
    model, classes = load_model(recipe, options.weights)
    if options.to == "half":
        weights.save(model, path, dtype=torch.float16, recipe=recipe.name, classes=classes.as_dict())
    elif options.to == "timm":
        state_files.write_safetensors(path, model.encoder.state_dict())
    else:
        encoded = io.BytesIO()  # torch.save aborts the whole process on a full disk
        torch.save({"meta": {"CLASSES": list(classes.names)}, "state_dict": weights.to_mmseg(model)}, encoded)
        files.write_bytes(path, encoded.getbuffer(), overwrite=False)
    print(f"wrote {path}")


def export(options: Namespace) -> None:
    """Write the model for other programs, and say how exactly it computes the same."""
    recipe = chosen_recipe(options.recipe)
    path = options.out or Path(f"{recipe.name}.{'onnx' if options.to == 'onnx' else 'pt2'}")
    files.ensure_writable(path)
    model, _ = load_model(recipe, options.weights)
    difference = (export_onnx if options.to == "onnx" else export_torch)(model, path)
    print(f"wrote {path}: images of any size; it differs from the model by {difference:.0e} standard deviations")
