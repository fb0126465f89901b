"""What a run tells whoever watches it: a bar with speed, memory, loss, learning rate and the time that is left."""

import sys
import time
from types import TracebackType

import torch
from tqdm.auto import tqdm

from vitseg_lib.recipes import Recipe


class Meter:
    """The progress bar of a training run; images/s are those of the last second or so, memory is the peak."""

    def __init__(self, recipe: Recipe, step: int, *, device: str, show: bool):
        options = {"unit": "step", "disable": not show, "mininterval": 0.5}
        self.bar = tqdm(total=recipe.iterations, initial=step, desc=recipe.name, **options)
        self.batch_size, self.device = recipe.batch_size, torch.device(device)
        self.since, self.images, self.speed = time.perf_counter(), 0, float("nan")

    def update(self, loss: float, lr: float, best: float) -> None:
        """One step more."""
        self.images += self.batch_size
        passed = time.perf_counter() - self.since
        if passed > 1:
            self.speed = self.images / passed
            self.since, self.images = time.perf_counter(), 0
        shown = {"loss": f"{loss:.3f}", "lr": f"{lr:.1e}", "best": f"{best:.1f}", "img/s": f"{self.speed:.1f}"}
        memory = peak_memory(self.device)
        if memory is not None:
            shown["GB"] = f"{memory / 1e9:.1f}"
        self.bar.set_postfix(shown, refresh=False)
        self.bar.update()

    def __enter__(self) -> "Meter":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.bar.close()


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
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
