"""A model's score on a data set, or on part of one."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn
from torch.utils.data import DataLoader
from tqdm.auto import tqdm

from vitseg_lib.data.loading import CatchErrors, SegmentationFolder, start_worker
from vitseg_lib.engine.distributed import world
from vitseg_lib.engine.fast_inference import fast_predict
from vitseg_lib.engine.inference import Mode
from vitseg_lib.engine.metrics import ConfusionMatrix
from vitseg_lib.engine.precision import Precision
from vitseg_lib.files import InputError
from vitseg_lib.model.fast import fast
from vitseg_lib.recipes import Recipe


def evaluate(
    model: nn.Module,
    root: str | Path,
    recipe: Recipe,
    *,
    split: str = "validation",
    on_image: Callable[[Path, np.ndarray], None] | None = None,
    **options: Any,
) -> ConfusionMatrix:
    """Predict every image of a split and count; `.scores()` of the result gives percent.

    `options` are those of `predictions`; `on_image` receives each image's path and its predicted labels, uint8 (H, W).
    Of many processes each takes its part, all with rank 0's BatchNorm statistics, and all get the sum.
    Raises `InputError` if a file is at fault, or if every pixel is ignored.
    """
    dataset = SegmentationFolder(root, split)
    confusion = ConfusionMatrix(len(dataset.classes))
    world().broadcast(model.buffers())
    for path, labels, prediction in predictions(model, dataset, recipe, **options):
        confusion.update(labels, prediction)
        if on_image is not None:
            on_image(path, prediction)
    confusion.counts = world().sum(confusion.counts)
    if not confusion.counts.any():
        message = f"No pixel of the {split} images in {root} is counted: "
        raise InputError(message + "check the masks' values against the data set's classes.")
    return confusion


def predictions(
    model: nn.Module,
    dataset: SegmentationFolder,
    recipe: Recipe,
    *,
    mode: Mode = "whole",
    limit: int | None = None,
    workers: int = 0,
    precision: Precision = "fp32",
    progress: bool = True,
) -> Iterator[tuple[Path, np.ndarray, np.ndarray]]:
    """Yield path, labels and predicted labels, uint8 (H, W), of this process's part of the first `limit` images.

    Images pass one at a time, each at its own size, through a fast twin in eval mode; the model is left as it is.
    """
    twin, processes = fast(model).eval(), world()
    mine = range(processes.rank, min(limit or len(dataset), len(dataset)), processes.size)
    options = {"num_workers": workers, "worker_init_fn": start_worker, "collate_fn": _as_is}
    loader = DataLoader(CatchErrors(dataset), batch_size=None, sampler=mine, **options)
    items = zip(mine, loader, strict=True)  # tqdm would start a loader's workers twice
    options = {"total": len(mine), "unit": "image", "disable": not progress, "leave": False}
    for index, item in tqdm(items, desc=f"evaluate ({mode})", **options):
        if isinstance(item, InputError):
            raise item
        image, labels = item
        yield dataset.pairs[index][0], labels, fast_predict(twin, image, recipe, mode=mode, precision=precision)


def _as_is(pair: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Keep arrays as arrays: nothing is stacked, because no two images need have one size."""
    return pair
