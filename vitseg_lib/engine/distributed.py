"""One run on many processes, started by torchrun: rank, world size, and the collectives between them.

    torchrun --nproc-per-node 8 -m vitseg_lib train deit_s16_160k --data ROOT --out RUN

Without torchrun there is one process, and every function here returns its argument.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from vitseg_lib.files import InputError


@dataclass(frozen=True)
class World:
    """All processes of a run, seen from one of them."""

    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that writes files and shows progress."""
        return self.rank == 0

    def sum(self, values: np.ndarray) -> np.ndarray:
        """The element-wise sum over the processes; exact for integers."""
        if self.size == 1:
            return values
        total = torch.from_numpy(values.copy()).to("cuda" if dist.get_backend() == "nccl" else "cpu")
        dist.all_reduce(total)
        return total.cpu().numpy()

    def any(self, flag: bool) -> bool:
        """Whether the flag is true in at least one process."""
        return bool(self.sum(np.array([flag], dtype=np.int64))[0])

    def mean(self, values: dict[str, float]) -> dict[str, float]:
        """Each value's mean over the processes."""
        sums = self.sum(np.array(list(values.values()), dtype=np.float64))
        return dict(zip(values, (sums / self.size).tolist(), strict=True))

    def broadcast(self, tensors: Iterable[Tensor]) -> None:
        """Give the tensors rank 0's values, in place."""
        for tensor in tensors if self.size > 1 else ():
            dist.broadcast(tensor, src=0)

    def barrier(self) -> None:
        """Go on when every process has come here."""
        self.any(False)


def world() -> World:
    """The processes of this run; one, unless inside `process_group`."""
    return World(dist.get_rank(), dist.get_world_size()) if dist.is_available() and dist.is_initialized() else World()


def launched_processes() -> int:
    """How many processes torchrun started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1


def local_device(device: str) -> str:
    """The device of this process: of many, "cuda" is the GPU of its local rank. InputError if there are too few."""
    if launched_processes() == 1 or device != "cuda":
        return device
    local, count = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if local >= count > 0:
        message = f"This machine has {count} GPUs and torchrun started a process number {local + 1}: "
        raise InputError(message + f"give it --nproc-per-node {count}.")
    return f"cuda:{local}"


@contextmanager
def process_group(device: str) -> Iterator[None]:
    """Within it, the processes that torchrun started, if it did, know each other; `device` is this one's own."""
    if launched_processes() == 1:
        yield
        return
    if device.startswith("cuda"):
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    yield  # after an error nothing is destroyed: others may still wait in a collective
    world().barrier()  # none leaves while another still writes
    dist.destroy_process_group()


def leave(code: int) -> NoReturn:
    """End a process of a group. The usual teardown, beside gloo threads that DDP keeps, aborted 2 runs of some 80."""
    print(end="", flush=True)
    os._exit(code)


def per_rank_batch_size(batch_size: int, processes: int, accumulate: int) -> int:
    """Each process's part of a batch. InputError if it does not come out even, or leaves BatchNorm a single image."""
    pieces = processes * accumulate
    if batch_size % pieces:
        raise InputError(
            f"A batch of {batch_size} cannot be split evenly into {accumulate} micro-batches on {processes} processes: "
            f"choose a batch size that {pieces} divides."
        )
    if batch_size == pieces:
        message = "BatchNorm cannot learn from one image at a time: choose a larger --batch-size or fewer --accumulate."
        raise InputError(message)
    return batch_size // processes


def convert_sync_batchnorm(model: nn.Module, device: str) -> nn.Module:
    """Let BatchNorm see all GPUs' images. One process, or a CPU, keeps its plain BatchNorm."""
    synchronise = world().size > 1 and device.startswith("cuda")
    return nn.SyncBatchNorm.convert_sync_batchnorm(model) if synchronise else model


def wrap_ddp(model: nn.Module) -> nn.Module:
    """The model as training calls it: backward leaves the mean of all processes' gradients."""
    return nn.parallel.DistributedDataParallel(model) if world().size > 1 else model
