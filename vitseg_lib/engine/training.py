"""Training: one step on one screen, and the loop around it.

Built step by step in chapter 09. To follow a step: here, then model/segmenter, encoder, neck and upernet.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from vitseg_lib import files
from vitseg_lib.data.ade20k import SPLITS, list_pairs, read_classes
from vitseg_lib.data.loading import train_loader
from vitseg_lib.data.transforms import TrainPipeline
from vitseg_lib.engine.checkpoints import Log, RunFolder, StopSignal
from vitseg_lib.engine.evaluation import evaluate
from vitseg_lib.engine.loss import segmentation_loss
from vitseg_lib.engine.schedule import build_optimizer, learning_rate
from vitseg_lib.files import InputError
from vitseg_lib.model import weights
from vitseg_lib.recipes import Recipe, build_model


def training_step(
    model: nn.Module, optimizer: torch.optim.Optimizer, pixels: Tensor, labels: Tensor, *, lr: float, aux_weight: float
) -> dict[str, float]:
    """One step on one batch: pixels (B, 3, H, W) normalised, labels (B, H, W); returns the losses it found."""
    for group in optimizer.param_groups:
        group["lr"] = lr
    logits, stages = model(pixels, return_stages=True)
    decode_loss = segmentation_loss(logits, labels)
    aux_loss = segmentation_loss(stages["aux_logits"], labels)
    loss = decode_loss + aux_weight * aux_loss
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {"loss": loss.item(), "decode_loss": decode_loss.item(), "aux_loss": aux_loss.item()}


def train(
    recipe: Recipe,
    root: str | Path,
    out: str | Path,
    *,
    seed: int = 0,
    workers: int = 0,
    device: str = "cpu",
    resume: bool = False,
    progress: bool = True,
    on_step: Callable[[dict[str, Any]], None] | None = None,
    build: Callable[..., nn.Module] | None = None,
) -> dict[str, Any] | None:
    """Train a recipe on a data set into a run folder; returns what result.json holds, or None if asked to stop.

    What a run computes depends on its recipe, data and seed alone: sample i of the run is drawn from (seed, i) and
    step t runs on random numbers from (seed, t). So a run can be repeated, and a resumed one is the run that was never
    stopped. `on_step` receives every line of the log as it is written; `build` takes the place of `starting_model`.
    """
    for split in SPLITS:  # a fault in the data set should show before anything is written
        list_pairs(root, split)
    classes = read_classes(root)
    folder = RunFolder.open(out, recipe, seed=seed, classes=classes, resume=resume)
    pretrained = None if folder.has_state() else recipe.pretrained
    model = (build or starting_model)(recipe, len(classes), seed=seed, pretrained=pretrained)
    folder.begin()
    model.to(device)
    optimizer = build_optimizer(model, recipe)
    step, best = folder.load_state(model, optimizer) if resume else (0, 0.0)
    loader = train_loader(
        root,
        train_pipeline(recipe),
        batch_size=recipe.batch_size,
        seed=seed,
        start_step=step,
        stop_step=recipe.iterations,
        workers=workers,
    )
    model.train()
    scores = None
    bar = tqdm(
        total=recipe.iterations, initial=step, desc=recipe.name, unit="step", disable=not progress, mininterval=0.5
    )
    with StopSignal() as stop, Log(folder.path / "log.jsonl", step) as log, bar:
        for pixels, labels in loader:
            lr = learning_rate(step, total=recipe.iterations, base=recipe.learning_rate, warmup=recipe.warmup)
            seed_step(seed, step)
            pixels, labels = pixels.to(device, non_blocking=True), labels.to(device, non_blocking=True)
            losses = training_step(model, optimizer, pixels, labels, lr=lr, aux_weight=recipe.aux_weight)
            step += 1
            line = {"step": step, "lr": lr, **losses}
            refuse_nonsense(losses["loss"], step, folder.path)
            if step % recipe.evaluate_every == 0 or step == recipe.iterations:
                scores = evaluate(model, root, recipe, progress=progress).scores()
                line["mIoU"] = scores.mIoU
                if scores.mIoU >= best:
                    best = scores.mIoU
                    folder.save_weights("best", model, step)
                folder.save_state(model, optimizer, step, best)
            elif stop.asked:
                folder.save_state(model, optimizer, step, best)
            log.write(**line)
            bar.set_postfix(loss=f"{losses['loss']:.3f}", lr=f"{lr:.1e}", best=f"{best:.1f}", refresh=False)
            bar.update()
            if on_step is not None:
                on_step(line)
            if stop.asked and step < recipe.iterations:
                return None
    scores = scores or evaluate(model, root, recipe, progress=progress).scores()
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


def seed_step(seed: int, step: int) -> None:
    """Start the random numbers of dropout and drop path afresh from (seed, step)."""
    torch.manual_seed(int(np.random.SeedSequence((seed, step)).generate_state(1)[0]))


def refuse_nonsense(loss: float, step: int, folder: Path) -> None:
    """Stop before a loss that is not a number ruins the weights that are saved."""
    if not math.isfinite(loss):
        raise InputError(
            f"The loss of step {step} is {loss}: the last good weights are in {folder / 'last.safetensors'} if a "
            "checkpoint was reached; lower the learning rate."
        )


def write_result(
    folder: RunFolder, recipe: Recipe, scores: dict[str, Any], *, best: float, seed: int
) -> dict[str, Any]:
    """Write result.json: the scores of the last weights, and what made them."""
    made_by = {"recipe": recipe.name, "iterations": recipe.iterations, "batch_size": recipe.batch_size, "seed": seed}
    result = made_by | {"mode": "whole", "best_mIoU": best} | scores
    files.write_json(folder.path / "result.json", result)
    return result
