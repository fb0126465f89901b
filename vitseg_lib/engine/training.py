"""Training: one step on one screen, and the loop around it.

Built step by step in chapter 09. To follow a step: here, then model/segmenter, encoder, neck and upernet.
"""

import math
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from vitseg_lib import files
from vitseg_lib.data.ade20k import SPLITS, list_pairs, read_classes
from vitseg_lib.data.cache import DecodedCache
from vitseg_lib.data.loading import TrainLoader, train_loader
from vitseg_lib.data.transforms import TrainPipeline
from vitseg_lib.engine.checkpoints import RunFolder, StopSignal
from vitseg_lib.engine.distributed import average_gradients, images_a_process, synchronise_norms, world
from vitseg_lib.engine.evaluation import evaluate
from vitseg_lib.engine.loss import segmentation_loss
from vitseg_lib.engine.precision import Precision, autocast
from vitseg_lib.engine.progress import Meter
from vitseg_lib.engine.schedule import build_optimizer, learning_rate
from vitseg_lib.files import InputError
from vitseg_lib.model import weights
from vitseg_lib.recipes import Recipe, build_model

SMALL_BATCH = 8  # images; below it the statistics of BatchNorm are poor (Wu and He 2018, figure 1)


def training_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    pixels: Tensor,
    labels: Tensor,
    *,
    lr: float,
    aux_weight: float,
    precision: Precision = "fp32",
    scaler: torch.amp.GradScaler | None = None,
    accumulate: int = 1,
) -> dict[str, float]:
    """One step on one batch: pixels (B, 3, H, W) normalised, labels (B, H, W); returns the losses it found.

    `accumulate` cuts the batch into that many equal pieces, which pass one after the other and add their gradients:
    the same step in less memory, except that BatchNorm sees one piece at a time. fp16 needs a `scaler`.
    """
    for group in optimizer.param_groups:
        group["lr"] = lr
    scaler = scaler or torch.amp.GradScaler(pixels.device.type, enabled=False)
    losses = dict.fromkeys(("loss", "decode_loss", "aux_loss"), 0.0)
    optimizer.zero_grad()
    for piece in range(accumulate):
        part, truth = pixels.chunk(accumulate)[piece], labels.chunk(accumulate)[piece]
        # Many processes exchange their gradients once, at the last piece.
        exchange = nullcontext() if piece == accumulate - 1 else getattr(model, "no_sync", nullcontext)()
        with exchange:
            with autocast(pixels.device, precision):
                logits, stages = model(part, return_stages=True)
            decode_loss = segmentation_loss(logits.float(), truth)
            aux_loss = segmentation_loss(stages["aux_logits"].float(), truth)
            loss = decode_loss + aux_weight * aux_loss
            scaler.scale(loss / accumulate).backward()
        for name, value in zip(losses, (loss, decode_loss, aux_loss), strict=True):
            losses[name] += value.item() / accumulate
    scaler.step(optimizer)
    scaler.update()
    return losses


def train(
    recipe: Recipe,
    root: str | Path,
    out: str | Path,
    *,
    seed: int = 0,
    workers: int = 0,
    device: str = "cpu",
    precision: Precision = "fp32",
    accumulate: int = 1,
    compiled: bool = False,
    checkpoint_every: int = 1000,
    tensorboard: bool = False,
    cache: str | Path | None = None,
    resume: bool = False,
    progress: bool = True,
    on_step: Callable[[dict[str, Any]], None] | None = None,
    stop: Callable[[], bool] | None = None,
    build: Callable[..., nn.Module] | None = None,
) -> dict[str, Any] | None:
    """Train a recipe on a data set into a run folder; returns what result.json holds, or None if asked to stop.

    What a run computes depends on its recipe, data and seed alone: sample i of the run is drawn from (seed, i) and
    step t runs on random numbers from (seed, t). So a run can be repeated, and a resumed one is the run that was never
    stopped. `precision`, `accumulate` and the number of processes change its rounding, and what BatchNorm sees.

    `cache` is a folder in which decoded training images are kept, and read from the next time on.
    `on_step` receives every line of the log as it is written; `stop` is asked after each step, and a true answer saves
    and stops as Ctrl-C does; `build` takes the place of `starting_model`.
    """
    for split in SPLITS:  # a fault in the data set should show before anything is written
        list_pairs(root, split)
    classes, processes = read_classes(root), world()
    share = images_a_process(recipe.batch_size, processes.size, accumulate)
    settings = {"seed": seed, "precision": precision, "accumulate": accumulate}
    folder = RunFolder.open(out, recipe, classes=classes, resume=resume, writes=processes.is_first, **settings)
    pretrained = None if folder.has_state() else recipe.pretrained
    model = (build or starting_model)(recipe, len(classes), seed=seed, pretrained=pretrained)
    processes.wait()
    folder.begin()
    model = synchronise_norms(model.to(device), device)
    if processes.is_first:
        warn_of_small_batches(model, share // accumulate, processes.size)
    optimizer = build_optimizer(model, recipe)
    scaler = torch.amp.GradScaler(torch.device(device).type, enabled=precision == "fp16")
    step, best = folder.load_state(model, optimizer, scaler) if resume else (0, 0.0)
    runner = average_gradients(model)
    if compiled:
        runner = torch.compile(runner)
    loader = train_loader(
        root,
        train_pipeline(recipe),
        batch_size=share,
        seed=seed,
        start_step=step,
        stop_step=recipe.iterations,
        workers=workers,
        rank=processes.rank,
        world=processes.size,
        cache=DecodedCache(cache, classes) if cache else None,
    )
    score = partial(
        evaluate, model, root, recipe, workers=workers, precision=precision, progress=progress and processes.is_first
    )
    model.train()
    scores = None
    meter = Meter(recipe, step, device=device, show=progress and processes.is_first)
    with StopSignal() as signals, folder.log(step, tensorboard=tensorboard) as log, meter:
        for pixels, labels in loader:
            lr = learning_rate(step, total=recipe.iterations, base=recipe.learning_rate, warmup=recipe.warmup)
            seed_step(seed, step, processes.rank)
            pixels, labels = pixels.to(device, non_blocking=True), labels.to(device, non_blocking=True)
            losses = training_step(
                runner,
                optimizer,
                pixels,
                labels,
                lr=lr,
                aux_weight=recipe.aux_weight,
                precision=precision,
                scaler=scaler,
                accumulate=accumulate,
            )
            losses = processes.mean(losses)
            step += 1
            line = {"step": step, "lr": lr, **losses}
            refuse_nonsense(losses["loss"], loader, step, folder)
            if step % recipe.evaluate_every == 0 or step == recipe.iterations:
                scores = score().scores()
                line["mIoU"] = scores.mIoU
                if scores.mIoU >= best:
                    best = scores.mIoU
                    folder.save_weights("best", model, step)
            log.write(**line)  # before the state: a resumed run drops what lies beyond it, and can add nothing before
            meter.update(losses["loss"], lr, best)
            if on_step is not None:
                on_step(line)
            asked = processes.any(signals.asked or (stop is not None and stop()))
            if "mIoU" in line or asked or step % checkpoint_every == 0:
                folder.save_state(model, optimizer, scaler, step, best)
            if asked and step < recipe.iterations:
                return None
    scores = scores or score().scores()
    return write_result(folder, recipe, scores.as_dict(classes.names), best=best, seed=seed)


def train_pipeline(recipe: Recipe) -> TrainPipeline:
    """The recipe's random changes of a training image."""
    return TrainPipeline(
        crop=recipe.crop,
        scale=recipe.test_scale,
        ratio_range=recipe.train_ratios,
        photometric=recipe.photometric,
    )


def starting_model(recipe: Recipe, num_classes: int, *, seed: int, pretrained: str | None) -> nn.Module:
    """The model a run starts from: random weights drawn from the seed, the encoder's from timm where it has a tag."""
    torch.manual_seed(seed)
    model = build_model(recipe, num_classes)
    if pretrained is not None:
        left_over = weights.load_timm(model.encoder, pretrained)
        tqdm.write(f"encoder from timm's {pretrained}; not used: {', '.join(left_over) or 'nothing'}")
    return model


def warn_of_small_batches(model: nn.Module, images: int, processes: int) -> None:
    """Say it if BatchNorm sees few images: the usual reason for a lower mIoU with fewer GPUs."""
    synchronised = any(isinstance(module, nn.SyncBatchNorm) for module in model.modules())
    seen = images * processes if synchronised else images
    if seen < SMALL_BATCH:
        tqdm.write(
            f"BatchNorm sees {seen} images at a time, where the published runs saw 16: expect a lower mIoU "
            "(mmsegmentation issues 179, 1569, 2456)."
        )


def seed_step(seed: int, step: int, rank: int = 0) -> None:
    """Start the random numbers of dropout and drop path afresh from (seed, step), apart in every process."""
    entropy = (seed, step, rank) if rank else (seed, step)
    torch.manual_seed(int(np.random.SeedSequence(entropy).generate_state(1)[0]))


def refuse_nonsense(loss: float, loader: TrainLoader, step: int, folder: RunFolder) -> None:
    """Stop before a loss that is not a number ruins the weights that are saved."""
    if math.isfinite(loss):
        return
    names = ", ".join(path.name for path in loader.files_of(step - 1))
    saved = folder.path / "last.safetensors"
    good = f"the last good weights are in {saved}" if saved.exists() else "no weights were saved yet"
    raise InputError(
        f"The loss of step {step} is {loss} (images {names}): {good}; lower the learning rate, or train in "
        "fp32 or bf16."
    )


def write_result(
    folder: RunFolder, recipe: Recipe, scores: dict[str, Any], *, best: float, seed: int
) -> dict[str, Any]:
    """Write result.json: the scores of the last weights, and what made them."""
    made_by = {"recipe": recipe.name, "iterations": recipe.iterations, "batch_size": recipe.batch_size, "seed": seed}
    result = made_by | {"mode": "whole", "best_mIoU": best} | scores
    files.write_json(folder.path / "result.json", result)
    return result
