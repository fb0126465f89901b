"""A model's score on a data set, or on part of one."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from torch import nn
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from vitseg_lib.data.loading import FaultsAsItems, SegmentationFolder
from vitseg_lib.engine.distributed import world
from vitseg_lib.engine.inference import Mode, predict
from vitseg_lib.engine.metrics import ConfusionMatrix
from vitseg_lib.engine.precision import Precision, autocast
from vitseg_lib.files import InputError
from vitseg_lib.recipes import Recipe


def evaluate(
    model: nn.Module,
    root: str | Path,
    recipe: Recipe,
    *,
    split: str = "validation",
    mode: Mode = "whole",
    limit: int | None = None,
    workers: int = 0,
    precision: Precision = "fp32",
    progress: bool = True,
    on_image: Callable[[Path, np.ndarray], None] | None = None,
) -> ConfusionMatrix:
    """Predict every image of a split (or the first `limit`) and count; `.scores()` of the result gives percent.

    Images pass one at a time, each at its own size; of many processes each takes its share, and all get the sum.
    `on_image` receives each image's path and its labels, uint8 (H, W). The model is put into eval mode and back again.
    Raises `InputError` if a file is at fault, or if every pixel is ignored.
    """
    dataset, processes = SegmentationFolder(root, split), world()
    mine = range(processes.rank, min(limit or len(dataset), len(dataset)), processes.size)
    loader = DataLoader(
        FaultsAsItems(dataset), batch_size=None, sampler=mine, num_workers=workers, collate_fn=_as_it_is
    )
    device = next(model.parameters()).device
    confusion, was_training = ConfusionMatrix(len(dataset.classes)), model.training
    model.eval()
    try:
        items = zip(mine, loader, strict=True)  # tqdm would start a loader's workers twice
        options = {"total": len(mine), "unit": "image", "disable": not progress, "leave": False}
        for index, item in tqdm(items, desc=f"evaluate ({mode})", **options):
            image, labels = _or_raise(item)
            with autocast(device, precision):
                prediction = predict(model, image, recipe, mode=mode)
            confusion.update(labels, prediction)
            if on_image is not None:
                on_image(dataset.pairs[index][0], prediction)
    finally:
        model.train(was_training)
    confusion.counts = processes.sum(confusion.counts)
    if not confusion.counts.any():
        raise InputError(
            f"No pixel of the {split} images in {root} is counted: check the masks' values against the data set's "
            "classes."
        )
    return confusion


def _as_it_is(pair: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Keep arrays as arrays: nothing is stacked, because no two images need have one size."""
    return pair


def _or_raise(item):
    if isinstance(item, InputError):
        raise item
    return item
