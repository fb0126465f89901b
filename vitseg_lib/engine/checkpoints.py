"""A run folder: weights, what resuming needs, the log and the result; every file whole or not at all.

last.safetensors  best.safetensors   weights, for `vitseg evaluate` and `vitseg predict`
resume.pt                            model, optimiser and step together, so that they always agree
run.json                             the settings a resumed run must repeat
log.jsonl                            one line a step, with the mIoU where there was an evaluation
tensorboard/                         the same for TensorBoard, if asked for
result.json                          written when the run is complete
"""

import io
import json
import signal
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch import nn

from vitseg_lib import files
from vitseg_lib.data.ade20k import Classes
from vitseg_lib.files import InputError
from vitseg_lib.model import weights
from vitseg_lib.recipes import Recipe

FILES = ("resume.pt", "last.safetensors", "best.safetensors", "log.jsonl", "result.json")


@dataclass(frozen=True)
class RunFolder:
    """Where a run keeps its files, and what it was started with; of many processes one `writes`."""

    path: Path
    settings: dict[str, Any]
    writes: bool = True

    @classmethod
    def open(
        cls, path: str | Path, recipe: Recipe, *, classes: Classes, resume: bool, writes: bool = True, **settings: Any
    ) -> "RunFolder":
        """Name a new folder or go on with one; InputError if it holds a run and `resume` is false, or the reverse."""
        settings = {"recipe": asdict(recipe), "classes": classes.as_dict()} | settings
        folder = cls(Path(path), json.loads(json.dumps(settings)), writes)
        run_file = folder.path / "run.json"
        if resume:
            folder.check_settings(run_file)
        elif run_file.exists():
            raise InputError(f"{path} holds a run already: go on with it by --resume, or choose another --out.")
        elif found := next((name for name in FILES if (folder.path / name).exists()), None):
            raise InputError(f"{path} holds {found} of another run: choose another --out.")
        return folder

    def begin(self) -> None:
        """Write run.json, once all that a run needs is there, and clear away what a killed run was writing."""
        if self.writes:
            files.write_json(self.path / "run.json", self.settings)
            files.remove_temporaries(self.path)

    def log(self, step: int, *, tensorboard: bool = False) -> "Log | Silence":
        """The run's log, from `step` on."""
        return Log(self.path / "log.jsonl", step, tensorboard=tensorboard) if self.writes else Silence()

    def check_settings(self, run_file: Path) -> None:
        """Refuse to resume a run with other settings than it was started with."""
        try:
            before = dict(json.loads(run_file.read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise InputError(f"{self.path} holds no run to resume: leave out --resume to start one.") from None
        except (OSError, TypeError, ValueError, RecursionError) as error:
            raise InputError(f"{run_file} is damaged ({error}): start again in another folder.") from error
        for name, old, new in _differences(before, self.settings):
            raise InputError(f"{run_file} says {name} = {old}, not {new}: resume with the settings of the start.")

    def save_state(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        scaler: torch.amp.GradScaler,
        step: int,
        best: float,
    ) -> None:
        """Write last.safetensors and, last of all, resume.pt: a kill in between repeats steps and loses none.

        Raises `InputError`, and writes nothing, if a weight is no number.
        """
        if not self.writes:
            return
        for name, tensor in model.state_dict().items():
            if not tensor.isfinite().all():
                raise InputError(
                    f"After step {step} {name} holds numbers that are not finite, so nothing was saved over the last "
                    f"good weights in {self.path}: lower the learning rate, or train in fp32 or bf16."
                )
        self.save_weights("last", model, step)
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step, "best": best}
        state["scaler"] = scaler.state_dict()  # empty but in fp16
        encoded = io.BytesIO()  # for torch.save on a full disk takes the whole program down
        torch.save(state, encoded)
        with files.atomic_path(self.path / "resume.pt") as temporary:
            temporary.write_bytes(encoded.getbuffer())

    def save_weights(self, name: str, model: nn.Module, step: int) -> None:
        """Write NAME.safetensors with the recipe's name and the classes in its header."""
        if not self.writes:
            return
        notes = {"recipe": self.settings["recipe"]["name"], "classes": self.settings["classes"], "step": step}
        weights.save(model, self.path / f"{name}.safetensors", **notes)

    def has_state(self) -> bool:
        """Whether there is something to resume from; a run killed before its first checkpoint starts over."""
        return (self.path / "resume.pt").exists()

    def load_state(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler
    ) -> tuple[int, float]:
        """Fill model, optimiser and scaler from resume.pt, if there is one; (steps done, best mIoU so far)."""
        path = self.path / "resume.pt"
        if not self.has_state():
            return 0, 0.0
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            if not isinstance(state, dict):
                raise TypeError("no table")
            model.load_state_dict(state["model"])
            optimizer.load_state_dict(state["optimizer"])
            scaler.load_state_dict(dict(state["scaler"]))
            _check_state(state, optimizer, steps=self.settings["recipe"]["iterations"])
        except Exception as error:  # unpickling arbitrary bytes raises almost anything
            raise InputError(f"{path} is damaged or another model's: start again in another folder.") from error
        return state["step"], state["best"]


def _check_state(state: dict[str, Any], optimizer: torch.optim.Optimizer, *, steps: int) -> None:
    """Raise ValueError if what was loaded cannot be what was saved."""
    if type(state["step"]) is not int or not 0 <= state["step"] <= steps:
        raise ValueError("step")
    if type(state["best"]) is not float or not 0 <= state["best"] <= 100:
        raise ValueError("best")
    if not all(tensor.isfinite().all() for tensor in state["model"].values()):
        raise ValueError("model")
    for parameter, moments in optimizer.state.items():
        if any(moments[name].shape != parameter.shape for name in ("exp_avg", "exp_avg_sq")):
            raise ValueError("optimizer")


def _differences(before: dict, now: dict, prefix: str = ""):
    for key in before.keys() | now.keys():
        old, new = before.get(key), now.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _differences(old, new, f"{key}.")
        elif old != new:
            yield prefix + key, old, new


class Log:
    """log.jsonl, one JSON object a line, flushed as it is written; a resumed run drops the lines it will repeat."""

    def __init__(self, path: Path, step: int, *, tensorboard: bool = False):
        self.board = open_tensorboard(path.parent / "tensorboard", step) if tensorboard else None
        kept = [line for line in _whole_lines(path) if _step_of(line, path) <= step]
        with files.atomic_path(path) as temporary:
            temporary.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
        self.file = path.open("a", encoding="utf-8")

    def write(self, **values: Any) -> None:
        """Add one line."""
        self.file.write(json.dumps(values) + "\n")
        self.file.flush()
        for name in values.keys() - {"step"} if self.board else ():
            self.board.add_scalar(name, values[name], values["step"])

    def __enter__(self) -> "Log":
        return self

    def __exit__(self, *exception: object) -> None:
        self.file.close()
        if self.board:
            self.board.close()


class Silence:
    """The log of a process that writes none."""

    def write(self, **values: Any) -> None:
        """Write nothing."""

    def __enter__(self) -> "Silence":
        return self

    def __exit__(self, *exception: object) -> None:
        pass


def open_tensorboard(folder: Path, step: int) -> Any:
    """TensorBoard's writer; what it holds of later steps than `step` will not be shown."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise InputError("--tensorboard needs TensorBoard: install it with `pip install tensorboard`.") from error
    return SummaryWriter(folder, purge_step=step + 1)


def _whole_lines(path: Path) -> list[str]:
    """The log's lines, without a last one that a kill cut short."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error}): move it away and run this again.") from error
    return text[: text.rfind("\n") + 1].splitlines()


def _step_of(line: str, path: Path) -> int:
    try:
        return int(json.loads(line)["step"])
    except (LookupError, TypeError, ValueError, RecursionError) as error:
        told = f'{path} is damaged: "{line[:40]}" is no line of a log; move it away and run this again.'
        raise InputError(told) from error


class StopSignal:
    """Within it, Ctrl-C and SIGTERM only set `.asked`, so that a step in progress is finished; a second one stops."""

    def __init__(self):
        self.asked = False
        self.before: dict[int, Any] = {}

    def __enter__(self) -> "StopSignal":
        if threading.current_thread() is threading.main_thread():
            self.before = {number: signal.signal(number, self.ask) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def ask(self, number: int, frame: object) -> None:
        """Note the wish; hand the signals back to whoever had them."""
        self.asked = True
        self.restore()

    def restore(self) -> None:
        """Put the signal handlers back that were there before."""
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.restore()
