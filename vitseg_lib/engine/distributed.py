"""One run on many processes, started by torchrun: who am I, what do the others say, and who writes.

    torchrun --nproc-per-node 8 -m vitseg_lib train deit_s16_160k --data ROOT --out RUN

Without torchrun there is one process, and every function here gives its argument back.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed as dist
from torch import nn

from vitseg_lib.files import InputError


@dataclass(frozen=True)
class World:
    """All processes of a run, seen from one of them."""

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes files and shows progress."""
        return self.rank == 0

    def any(self, answer: bool) -> bool:
        """Whether the answer is true in at least one process."""
        return bool(self.sum(np.array([answer], dtype=np.int64))[0])

    def mean(self, values: dict[str, float]) -> dict[str, float]:
        """Each value's mean over the processes."""
        if self.size == 1:
            return values
        sums = self.sum(np.array(list(values.values()), dtype=np.float64))
        return dict(zip(values, (sums / self.size).tolist(), strict=True))

    def sum(self, numbers: np.ndarray) -> np.ndarray:
        """The element-wise sum over the processes; exact for whole numbers."""
        if self.size == 1:
            return numbers
        total = torch.from_numpy(numbers.copy()).to(_device_of_the_group())
        dist.all_reduce(total)
        return total.cpu().numpy()

    def wait(self) -> None:
        """Go on when every process has come here."""
        self.any(False)


def world() -> World:
    """The processes of this run; one, unless `joined` says otherwise."""
    return World(dist.get_rank(), dist.get_world_size()) if dist.is_available() and dist.is_initialized() else World()


@contextmanager
def joined(device: str) -> Iterator[str]:
    """Join the processes that torchrun started, if it did; yields this process's device ("cuda" → "cuda:3").

    Raises `InputError` if there are more processes than GPUs.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or "RANK" not in os.environ:
        yield device
        return
    if device.startswith("cuda"):
        local = int(os.environ.get("LOCAL_RANK", "0"))
        if local >= torch.cuda.device_count():
            raise InputError(
                f"This machine has {torch.cuda.device_count()} GPUs and torchrun started a process number "
                f"{local + 1}: give it --nproc-per-node {torch.cuda.device_count()}."
            )
        device = f"cuda:{local}"
        torch.cuda.set_device(local)
    dist.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    try:
        yield device
    finally:
        dist.destroy_process_group()


def images_a_process(batch_size: int, processes: int, accumulate: int) -> int:
    """Each process's part of a batch, which must come out even.

    Raises `InputError` if it does not, or if a BatchNorm would see a single image.
    """
    pieces = processes * accumulate
    if batch_size % pieces:
        raise InputError(
            f"A batch of {batch_size} cannot be shared evenly by {processes} processes in {accumulate} pieces each: "
            f"choose a batch size that {pieces} divides."
        )
    if batch_size == pieces:
        raise InputError(
            "BatchNorm cannot learn from one image at a time: choose a larger --batch-size or fewer --accumulate."
        )
    return batch_size // processes


def synchronise_norms(model: nn.Module, device: str) -> nn.Module:
    """Let BatchNorm see all GPUs' images. One process, or a CPU, keeps its plain BatchNorm."""
    if world().size == 1 or not device.startswith("cuda"):
        return model
    return nn.SyncBatchNorm.convert_sync_batchnorm(model)


def average_gradients(model: nn.Module) -> nn.Module:
    """The model as it is called in training: backward leaves the mean of all processes' gradients."""
    return nn.parallel.DistributedDataParallel(model) if world().size > 1 else model


def _device_of_the_group() -> str:
    return "cuda" if dist.get_backend() == "nccl" else "cpu"
