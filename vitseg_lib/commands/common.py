"""What several commands need: the recipe, the device, the model with its weights and classes."""

import json
import os
from argparse import Namespace
from contextlib import nullcontext
from itertools import zip_longest
from pathlib import Path

import torch

from vitseg_lib import recipes, state_files
from vitseg_lib.data.classes import Classes, ade20k_classes, parse_classes, read_classes
from vitseg_lib.engine.distributed import local_device, world
from vitseg_lib.files import InputError
from vitseg_lib.model import weights
from vitseg_lib.model.segmenter import Segmenter
from vitseg_lib.recipes import Recipe


def chosen_recipe(name: str) -> Recipe:
    """The recipe, or one sentence with the nearest name."""
    try:
        return recipes.get(name)
    except KeyError as error:
        raise InputError(f"{error.args[0]}.") from error


def settle_machine(options: Namespace) -> None:
    """Make `options.device` this process's own device, and fill in the number of workers that suits it."""
    best = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(local_device(options.device or best))
        torch.zeros(1, device=device).item()  # some devices exist and cannot compute
    except (RuntimeError, AssertionError) as error:
        wanted, other = (options.device, best) if options.device else (best, "cpu")
        raise InputError(f"This machine cannot use the device {wanted}: try --device {other}.") from error
    options.device = str(device)
    if options.workers is None:
        options.workers = 0 if device.type == "cpu" else min(8, os.cpu_count() or 1)


def load_model(recipe: Recipe, source: str, root: Path | None = None) -> tuple[Segmenter, Classes]:
    """The recipe's model in eval mode, and its classes: those of the data set at `root`, of the weights, or ADE20K's.

    `source` is `published`, `random`, an address, a file of ours or one of mmsegmentation's. InputError if weights
    that name their classes were trained on others than the data set's.
    """
    file = fetched(recipe, source)
    is_ours = file.endswith(".safetensors")
    state, notes = state_files.read_safetensors(file) if is_ours else ({}, {})
    known = parse_classes(json.dumps(notes["classes"]), file) if "classes" in notes else None
    classes = read_classes(root) if root else known or ade20k_classes()
    if known:
        check_class_names(known, classes, file, root)
    torch.manual_seed(0)
    with nullcontext() if source == "random" else recipes.meta_init():
        model = recipes.build_model(recipe, len(classes)).eval()
    if is_ours:
        state_files.fill(model, state, file)
    elif source != "random":
        weights.load_mmseg(model, file)
    return model, classes


def fetched(recipe: Recipe, source: str) -> str:
    """The file that `source` names; of many processes the main one fetches it, and the others wait."""
    row = recipe.published if source == "published" else None
    if source == "published" and row is None:
        raise InputError(f"Nobody published weights for {recipe.name}: pass a file.")
    if row is None and not source.startswith(("http://", "https://")):
        return source
    if not world().is_main:
        world().barrier()
    file = state_files.fetch(row.url, row.sha256_prefix) if row else state_files.fetch(source)
    if world().is_main:
        world().barrier()
    return str(file)


def check_class_names(known: Classes, classes: Classes, file: str, root: Path | None) -> None:
    """Refuse weights on a data set with other classes: as many of them would load, and score nonsense."""
    for number, (theirs, ours) in enumerate(zip_longest(known.names, classes.names, fillvalue="missing"), start=1):
        if theirs != ours:
            raise InputError(
                f"{file} was trained on other classes: class number {number} is {theirs[:80]}, and in {root} it is "
                f"{ours[:80]}; use the data set of these weights, or train on this one."
            )
