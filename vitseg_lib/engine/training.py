"""Training: one step on one screen, and the loop around it.

Built step by step in chapter 09. To follow a step: here, then model/segmenter, encoder, neck and upernet.
"""

import math
import os
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from vitseg_lib.data.cache import DecodedCache
from vitseg_lib.data.classes import read_classes
from vitseg_lib.data.loading import TrainLoader, train_loader
from vitseg_lib.data.transforms import TrainPipeline
from vitseg_lib.engine.checkpoints import RunFolder, RunSettings, TrainingState
from vitseg_lib.engine.distributed import convert_sync_batchnorm, per_rank_batch_size, world, wrap_ddp
from vitseg_lib.engine.evaluation import evaluate
from vitseg_lib.engine.fast_loss import chunked_segmentation_loss
from vitseg_lib.engine.log import Meter, StopSignal
from vitseg_lib.engine.precision import MixedPrecision
from vitseg_lib.engine.schedule import build_optimizer, learning_rate
from vitseg_lib.files import InputError
from vitseg_lib.model import weights
from vitseg_lib.model.fast import fast
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
    amp: MixedPrecision | None = None,
    accumulate: int = 1,
) -> dict[str, float]:
    """One step on one batch: pixels (B, 3, H, W) normalised, labels (B, H, W); returns the losses.

    `accumulate` cuts the batch into that many equal micro-batches, which pass one after the other and add their
    gradients: the same step in less memory, except that BatchNorm sees one micro-batch at a time.
    """
    for group in optimizer.param_groups:
        group["lr"] = lr
    amp = amp or MixedPrecision(pixels.device)
    losses = dict.fromkeys(("loss", "decode_loss", "aux_loss"), 0.0)
    optimizer.zero_grad()
    for i in range(accumulate):
        micro_batch, target = pixels.chunk(accumulate)[i], labels.chunk(accumulate)[i]
        # Many processes average their gradients once, at the last micro-batch.
        with nullcontext() if i == accumulate - 1 else getattr(model, "no_sync", nullcontext)():
            with amp.autocast():
                logits, stages = model(micro_batch, return_stages=True)
            decode_loss = chunked_segmentation_loss(logits, target)
            aux_loss = chunked_segmentation_loss(stages["aux_logits"], target)
            loss = decode_loss + aux_weight * aux_loss
            amp.backward(loss / accumulate)
        for name, value in zip(losses, (loss, decode_loss, aux_loss), strict=True):
            losses[name] += value.item() / accumulate
    amp.step(optimizer)
    return losses


def train(
    settings: RunSettings,
    *,
    model: nn.Module | None = None,
    resume: bool = False,
    progress: bool = True,
    on_step: Callable[[dict[str, Any]], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> dict[str, Any] | None:
    """Train into a run folder; returns what result.json holds, or None after Ctrl-C, SIGTERM or a true `stop()`.

    What a run computes depends on its recipe, data and seed alone: sample i of the run is drawn from (seed, i), and
    step t draws from (seed, t, rank). So a run can be repeated, and a resumed one is the run that was never stopped.
    Other precisions and numbers of processes or micro-batches round differently, and draw other dropout masks.

    `model` takes the place of `starting_model`; `on_step` receives every line of the log as it is written.
    """
    recipe, processes = settings.recipe, world()
    folder = RunFolder.open(settings, resume=resume)
    state = starting_state(folder, model)
    forward = compile_model(state.model, settings)
    loader = run_loader(settings, state.step)
    show = progress and processes.is_main
    options = {"workers": settings.workers, "precision": settings.precision, "progress": show}
    score = partial(evaluate, state.model, settings.data, recipe, **options)
    scores = None
    meter = Meter(recipe, state.step, device=settings.device, show=show)
    with StopSignal() as signals, folder.log(state.step) as log, meter:
        for pixels, labels in loader:
            lr = learning_rate(state.step, total=recipe.iterations, base=recipe.learning_rate, warmup=recipe.warmup)
            seed_step(settings.seed, state.step, processes.rank)
            pixels = pixels.to(settings.device, non_blocking=True)
            labels = labels.to(settings.device, non_blocking=True)
            rates = {"lr": lr, "aux_weight": recipe.aux_weight, "accumulate": settings.accumulate}
            losses = processes.mean(training_step(forward, state.optimizer, pixels, labels, amp=state.amp, **rates))
            state.step += 1
            check_finite_loss(losses["loss"], loader, state.step, folder)
            line = {"step": state.step, "lr": lr, **losses}
            if state.step % recipe.evaluate_every == 0 or state.step == recipe.iterations:
                scores = score().scores()
                line["mIoU"] = scores.mIoU
                if scores.mIoU >= state.best:
                    state.best = scores.mIoU
                    folder.save_weights("best", state)
            log.write(**line)  # before the state: a resumed run drops what lies beyond it, and can add nothing before
            meter.show(losses["loss"], lr, state.best)
            if on_step is not None:
                on_step(line)
            stopping = processes.any(signals.received or (stop is not None and stop()))
            if "mIoU" in line or stopping or state.step % settings.checkpoint_every == 0:
                folder.save_state(state)
            if stopping and state.step < recipe.iterations:
                return None
    return folder.write_result(scores or score().scores(), state)


def starting_state(folder: RunFolder, model: nn.Module | None = None) -> TrainingState:
    """Model, optimiser and scaler on their device, at the first step or where the run folder's last checkpoint is."""
    settings, recipe = folder.settings, folder.settings.recipe
    batch_size = per_rank_batch_size(recipe.batch_size, world().size, settings.accumulate)
    if settings.deterministic:  # only operations that repeat to the bit, and a warning where PyTorch has none
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.backends.cudnn.benchmark = False
    if model is None:
        pretrained = None if folder.has_state() else recipe.pretrained
        model = starting_model(recipe, len(folder.classes), seed=settings.seed, pretrained=pretrained)
    world().barrier()
    folder.begin()
    model = convert_sync_batchnorm(model.to(settings.device), settings.device).train()
    warn_of_small_batches(model, batch_size // settings.accumulate)
    amp = MixedPrecision(torch.device(settings.device), settings.precision)
    state = TrainingState(model, build_optimizer(model, recipe), amp)
    folder.load_state(state)
    return state


def starting_model(recipe: Recipe, num_classes: int, *, seed: int, pretrained: str | None) -> nn.Module:
    """The model a run starts from: random weights drawn from the seed, the encoder's from timm where it has a tag."""
    torch.manual_seed(seed)
    model = build_model(recipe, num_classes)
    if pretrained is not None:
        left_over = weights.load_timm(model.encoder, pretrained)
        tqdm.write(f"encoder from timm's {pretrained}; not used: {', '.join(left_over) or 'nothing'}")
    return model


def compile_model(model: nn.Module, settings: RunSettings) -> nn.Module:
    """The model as a training step calls it: its fast twin, in DDP where there are processes, compiled on request."""
    forward = wrap_ddp(fast(model))
    return torch.compile(forward) if settings.compile else forward


def run_loader(settings: RunSettings, start_step: int = 0) -> TrainLoader:
    """The run's batches from a step on; each process has its own part of every batch."""
    recipe, processes = settings.recipe, world()
    cache = DecodedCache(settings.cache, read_classes(settings.data)) if settings.cache else None
    options = {"steps": range(start_step, recipe.iterations), "shard": (processes.rank, processes.size)}
    options |= {"seed": settings.seed, "workers": settings.workers, "cache": cache}
    batch_size = recipe.batch_size // processes.size
    return train_loader(settings.data, train_pipeline(recipe), batch_size=batch_size, **options)


def train_pipeline(recipe: Recipe) -> TrainPipeline:
    """The recipe's random changes of a training image."""
    sizes = {"crop": recipe.crop, "scale": recipe.test_scale, "ratio_range": recipe.ratio_range}
    return TrainPipeline(**sizes, photometric=recipe.photometric)


def warn_of_small_batches(model: nn.Module, images: int) -> None:
    """Say it if BatchNorm sees few images: the usual reason for a lower mIoU with fewer GPUs."""
    is_synchronised = any(isinstance(module, nn.SyncBatchNorm) for module in model.modules())
    seen = images * world().size if is_synchronised else images
    if seen < SMALL_BATCH and world().is_main:
        message = f"BatchNorm sees {seen} images at a time, where the published runs saw 16: expect a lower mIoU "
        tqdm.write(message + "(mmsegmentation issues 179, 1569, 2456).")


def seed_step(seed: int, step: int, rank: int = 0) -> None:
    """Start the random numbers of dropout and drop path afresh from (seed, step), others in every process."""
    entropy = (seed, step, rank) if rank else (seed, step)
    torch.manual_seed(int(np.random.SeedSequence(entropy).generate_state(1)[0]))


def check_finite_loss(loss: float, loader: TrainLoader, step: int, folder: RunFolder) -> None:
    """Stop before a loss that is not finite ruins the weights that are saved."""
    if math.isfinite(loss):
        return
    names, saved = ", ".join(path.name for path in loader.files_of(step - 1)), folder.path / "last.safetensors"
    good = f"the last good weights are in {saved}" if saved.exists() else "no weights were saved yet"
    message = f"The loss of step {step} is {loss} (images {names}): {good}; "
    raise InputError(message + "lower the learning rate, or train in fp32 or bf16.")
