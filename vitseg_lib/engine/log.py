"""What a run tells whoever watches it: log.jsonl, TensorBoard, a progress bar; and how it hears that it should stop."""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import torch
from tqdm.auto import tqdm

from vitseg_lib import files
from vitseg_lib.files import InputError
from vitseg_lib.recipes import Recipe


class Log:
    """log.jsonl, one JSON object per line, flushed as it is written; a resumed run drops the lines it will repeat."""

    def __init__(self, path: Path | None, step: int, *, tensorboard: bool = False):
        """Go on after `step`; without a path nothing is written."""
        self.board = open_tensorboard(path.parent / "tensorboard", step) if path and tensorboard else None
        if path is not None:
            kept = [line for line in _whole_lines(path) if _step_of(line, path) <= step]
            files.write_bytes(path, "".join(f"{line}\n" for line in kept).encode())
        self.file = open(path or os.devnull, "a", encoding="utf-8")  # noqa: PTH123, SIM115 (closed by __exit__)

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
        text = path.read_text(encoding="utf-8") if path.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error}): move it away and run this again.") from error
    return text[: text.rfind("\n") + 1].splitlines()


def _step_of(line: str, path: Path) -> int:
    try:
        return int(json.loads(line)["step"])
    except (LookupError, TypeError, ValueError, RecursionError) as error:
        message = f'{path} is damaged: "{line[:40]}" is no line of a log; move it away and run this again.'
        raise InputError(message) from error


class Meter(tqdm):
    """The progress bar of a training run; images/s are those of the last second or so, memory is the peak."""

    def __init__(self, recipe: Recipe, step: int, *, device: str, show: bool):
        options = {"unit": "step", "disable": not show, "mininterval": 0.5}
        super().__init__(total=recipe.iterations, initial=step, desc=recipe.name, **options)
        self.batch_size, self.device = recipe.batch_size, torch.device(device)
        self.since, self.images, self.speed = time.perf_counter(), 0, float("nan")

    def show(self, loss: float, lr: float, best: float) -> None:
        """One step more."""
        self.images += self.batch_size
        passed = time.perf_counter() - self.since
        if passed > 1:
            self.since, self.images, self.speed = time.perf_counter(), 0, self.images / passed
        shown = {"loss": f"{loss:.3f}", "lr": f"{lr:.1e}", "best": f"{best:.1f}", "img/s": f"{self.speed:.1f}"}
        memory = peak_memory(self.device)
        self.set_postfix(shown | ({"GB": f"{memory / 1e9:.1f}"} if memory is not None else {}), refresh=False)
        self.update()


def peak_memory(device: torch.device) -> int | None:
    """The most memory in use so far, in bytes: the GPU's, or the process's on a CPU; None where nobody counts it."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if device.type == "mps":
        return torch.mps.driver_allocated_memory()
    try:
        import resource
    except ImportError:  # Windows
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


class StopSignal:
    """Within it, Ctrl-C and SIGTERM only set `.received`, so that a step is finished; a second one stops at once."""

    def __init__(self):
        self.received = False
        self.before: dict[int, Any] = {}

    def __enter__(self) -> "StopSignal":
        if threading.current_thread() is threading.main_thread():
            self.before = {number: signal.signal(number, self.receive) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def receive(self, number: int, frame: object) -> None:
        """Note the signal, and give the handlers back to whoever had them."""
        self.received = True
        self.__exit__()

    def __exit__(self, *exception: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)
