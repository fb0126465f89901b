"""A model's score on a data set, or on part of one."""

from pathlib import Path

import numpy as np
from torch import nn
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from vitseg_lib.data.loading import FaultsAsItems, SegmentationFolder
from vitseg_lib.engine.inference import Mode, predict
from vitseg_lib.engine.metrics import ConfusionMatrix
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
    progress: bool = True,
) -> ConfusionMatrix:
    """Predict every image of a split (or the first `limit`) and count; `.scores()` of the result gives percent.

    Images pass one at a time, each at its own size; the model is put into eval mode and back again.
    """
    dataset = SegmentationFolder(root, split)
    count = min(limit or len(dataset), len(dataset))
    loader = DataLoader(
        FaultsAsItems(dataset), batch_size=None, sampler=range(count), num_workers=workers, collate_fn=_as_it_is
    )
    confusion, was_training = ConfusionMatrix(len(dataset.classes)), model.training
    model.eval()
    try:
        for item in tqdm(loader, desc=f"evaluate ({mode})", unit="image", disable=not progress, leave=False):
            image, labels = _or_raise(item)
            confusion.update(labels, predict(model, image, recipe, mode=mode))
    finally:
        model.train(was_training)
    return confusion


def _as_it_is(pair: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Keep arrays as arrays: nothing is stacked, because no two images need have one size."""
    return pair


def _or_raise(item):
    if isinstance(item, InputError):
        raise item
    return item
