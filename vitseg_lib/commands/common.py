"""What several commands need: the recipe, the classes, the model with its weights, the machine."""

import json
import os
from argparse import Namespace
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from vitseg_lib.files import InputError


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
        if not root.is_dir():
            raise InputError(f"There is no data set at {root}: name a folder with a classes.json by --classes.")
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
    from vitseg_lib.model.unfilled import unfilled

    torch.manual_seed(0)
    with nullcontext() if source == "random" else unfilled():
        model = recipes.build_model(recipe, num_classes).eval()
    if source == "published":
        if recipe.published is None:
            raise InputError(f"Nobody published weights for {recipe.name}: pass a file.")
        weights.load_mmseg(model, recipe.published)
    elif source.endswith(".safetensors"):
        weights.load(model, source)
    elif source.startswith("http") and source.endswith("/"):
        raise InputError(f"{source} names no file: give the address of a checkpoint.")
    elif source != "random":
        weights.load_mmseg(model, source)
    return model


def machine(options: Namespace) -> dict[str, Any]:
    """Device and number of reading processes, as asked for or as fits the machine."""
    import torch

    best = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(options.device or best)
        torch.zeros(1, device=device).item()  # some devices exist and cannot compute
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"This machine cannot use the device {options.device}: try --device {best}.") from error
    workers = 0 if device.type == "cpu" else min(8, os.cpu_count() or 1)
    return {"device": str(device), "workers": workers if options.workers is None else options.workers}
