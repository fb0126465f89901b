"""A run: its settings, its state, and the folder that keeps them; every file whole or not at all.

last.safetensors  best.safetensors   weights, for `vitseg evaluate` and `vitseg predict`
resume.pt                            model, optimiser and step together, so that they always agree
run.json                             the settings, and what else a resumed run must repeat
log.jsonl                            one line per step, with the mIoU where there was an evaluation
tensorboard/                         the same for TensorBoard, if requested
result.json                          written when the run is complete
"""

import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vitseg_lib import files
from vitseg_lib.data.ade20k import SPLITS, list_pairs
from vitseg_lib.data.classes import Classes, read_classes
from vitseg_lib.engine.distributed import world
from vitseg_lib.engine.log import Log
from vitseg_lib.engine.metrics import Scores
from vitseg_lib.engine.precision import MixedPrecision, Precision
from vitseg_lib.files import InputError
from vitseg_lib.model import weights
from vitseg_lib.recipes import Recipe
from vitseg_lib.state_files import todays_names

FILES = ("run.json", "resume.pt", "last.safetensors", "best.safetensors", "log.jsonl", "result.json")
# Settings that a resumed run may change: none of them changes a weight.
FREE = ("data", "out", "device", "workers", "cache", "checkpoint_every", "tensorboard")
FIRST_EDITION = {"width": "embed_dim", "heads": "num_heads", "taps": "out_indices", "train_ratios": "ratio_range"}


@dataclass(frozen=True)
class RunSettings:
    """All that a run is started with; written to run.json as it is."""

    recipe: Recipe
    data: Path
    out: Path
    seed: int = 0
    device: str = "cpu"
    precision: Precision = "fp32"
    accumulate: int = 1  # micro-batches per step
    compile: bool = False
    deterministic: bool = False
    workers: int = 0
    cache: Path | None = None  # a folder for decoded training images
    checkpoint_every: int = 1000  # steps
    tensorboard: bool = False


@dataclass
class TrainingState:
    """All that training changes."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    amp: MixedPrecision
    step: int = 0  # steps done
    best: float = 0.0  # mIoU


@dataclass(frozen=True)
class RunFolder:
    """Where a run keeps its files; of many processes the main one writes."""

    settings: RunSettings
    classes: Classes
    pairs: str  # which training images: their number, and a hash of their names

    @property
    def path(self) -> Path:
        """The folder."""
        return Path(self.settings.out)

    @cached_property
    def record(self) -> dict[str, Any]:
        """What run.json holds: the settings, and what else decides the weights of a run."""
        decided = {"classes": self.classes.as_dict(), "training_pairs": self.pairs, "processes": world().size}
        return json.loads(json.dumps(asdict(self.settings) | decided, default=str))

    @classmethod
    def open(cls, settings: RunSettings, *, resume: bool) -> "RunFolder":
        """Name a new folder or go on with one; InputError if it holds a run and `resume` is false, or the reverse.

        A fault in the data set shows before anything is written.
        """
        training, _ = (list_pairs(settings.data, split) for split in SPLITS)
        names = "\n".join(image.name for image, _ in training).encode(errors="surrogateescape")
        pairs = f"{len(training)}, {hashlib.sha256(names).hexdigest()[:8]}"
        folder = cls(settings, read_classes(settings.data), pairs)
        found = next((name for name in FILES if (folder.path / name).exists()), None)
        if resume:
            folder.check_resumable()
        elif found == "run.json":
            raise InputError(f"{folder.path} holds a run already: go on with it by --resume, or choose another --out.")
        elif found:
            raise InputError(f"{folder.path} holds {found} of another run: choose another --out.")
        return folder

    def begin(self) -> None:
        """Write run.json, once all that a run needs is there, and clear away what a killed run was writing."""
        if world().is_main and not (self.path / "run.json").exists():
            files.write_json(self.path / "run.json", self.record)
        if world().is_main:
            files.remove_temporaries(self.path)

    def log(self, step: int) -> Log:
        """The run's log, from `step` on; that of another process than the main one writes nothing."""
        path = self.path / "log.jsonl" if world().is_main else None
        return Log(path, step, tensorboard=self.settings.tensorboard)

    def check_resumable(self) -> None:
        """Refuse to resume a run with other settings, data or processes than it was started with."""
        run_file = self.path / "run.json"
        if not run_file.exists():
            raise InputError(f"{self.path} holds no run to resume: leave out --resume to start one.")
        try:
            before = dict(json.loads(run_file.read_text(encoding="utf-8")))
            before["recipe"] = {FIRST_EDITION.get(key, key): value for key, value in dict(before["recipe"]).items()}
        except (OSError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise InputError(f"{run_file} is damaged ({error}): start again in another folder.") from error
        for name, old, new in _differences(before, self.record):
            if name not in FREE:
                raise InputError(f"{run_file} says {name} = {old}, not {new}: resume with the settings of the start.")

    def save_state(self, state: TrainingState) -> None:
        """Write last.safetensors and, last of all, resume.pt: a kill in between repeats steps and loses none.

        Raises `InputError`, and writes nothing, if a weight is not finite.
        """
        if not world().is_main:
            return
        if broken := next((name for name, t in state.model.state_dict().items() if not t.isfinite().all()), None):
            raise InputError(
                f"After step {state.step} {broken} holds values that are not finite, so nothing was saved over the "
                f"last good weights in {self.path}: lower the learning rate, or train in fp32 or bf16."
            )
        self.save_weights("last", state)
        content = {"model": state.model.state_dict(), "optimizer": state.optimizer.state_dict()}
        content |= {"scaler": state.amp.scaler.state_dict(), "step": state.step, "best": state.best}
        encoded = io.BytesIO()  # torch.save aborts the whole process on a full disk
        torch.save(content, encoded)
        files.write_bytes(self.path / "resume.pt", encoded.getbuffer())

    def save_weights(self, name: str, state: TrainingState) -> None:
        """Write NAME.safetensors with the recipe's name and the classes in its header."""
        if world().is_main:
            notes = {"recipe": self.settings.recipe.name, "classes": self.classes.as_dict(), "step": state.step}
            weights.save(state.model, self.path / f"{name}.safetensors", **notes)

    def write_result(self, scores: Scores, state: TrainingState) -> dict[str, Any]:
        """Write result.json, and return it: the scores of the last weights, and what made them."""
        recipe, made_by = self.settings.recipe, {"seed": self.settings.seed, "mode": "whole", "best_mIoU": state.best}
        made_by |= {"recipe": recipe.name, "iterations": recipe.iterations, "batch_size": recipe.batch_size}
        result = made_by | scores.as_dict(self.classes.names)
        if world().is_main:
            files.write_json(self.path / "result.json", result)
        return result

    def has_state(self) -> bool:
        """Whether there is something to resume from; a run killed before its first checkpoint starts over."""
        return (self.path / "resume.pt").exists()

    def load_state(self, state: TrainingState) -> None:
        """Fill the state from resume.pt, if there is one."""
        path = self.path / "resume.pt"
        try:
            if not path.exists():
                return
            content = dict(torch.load(path, map_location="cpu", weights_only=True))
            state.model.load_state_dict(todays_names(content["model"]))
            state.optimizer.load_state_dict(content["optimizer"])
            state.amp.scaler.load_state_dict(dict(content["scaler"]))
            state.step, state.best = content["step"], content["best"]
            _check_state(state, steps=self.settings.recipe.iterations)
        except Exception as error:  # unpickling arbitrary bytes raises almost anything
            raise InputError(f"{path} is damaged or another model's: start again in another folder.") from error


def _check_state(state: TrainingState, *, steps: int) -> None:
    """Raise ValueError if what was loaded cannot be what was saved."""
    moments = [(p.shape, m["exp_avg"].shape, m["exp_avg_sq"].shape) for p, m in state.optimizer.state.items()]
    plausible = (
        *(type(state.step) is int, type(state.best) is float, 0 <= state.step <= steps, 0 <= state.best <= 100),
        *(tensor.isfinite().all() for tensor in state.model.state_dict().values()),
        *(len(set(shapes)) == 1 for shapes in moments),
    )
    if not all(plausible):
        raise ValueError("not a state that was saved")


def _differences(before: dict, now: dict, prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Name, old and new value of all that differs; what an older run.json does not say is taken as equal."""
    for key in before.keys() & now.keys():
        old, new = before[key], now[key]
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _differences(old, new, f"{prefix}{key}.")
        elif old != new:
            yield prefix + key, old, new
