"""From a folder to batches: which image comes at which position of a run, and with which random changes.

Both depend on the seed and the position only, not on workers or on where a run was resumed: a run repeats exactly.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from vitseg_lib.data.ade20k import list_pairs, read_pair
from vitseg_lib.data.cache import DecodedCache
from vitseg_lib.data.classes import read_classes
from vitseg_lib.files import InputError

ENDLESS = range(2**40)  # steps or positions
SHUFFLE = 1  # keeps the sampler's random stream apart from the dataset's

Transform = Callable[[np.ndarray, np.ndarray, np.random.Generator], tuple[Any, Any]]


class SegmentationFolder(Dataset):
    """The pairs of one split of a data set in ADE20K's layout.

    An item is (image, labels) as read, uint8 (H, W, 3) and (H, W), or what `transform(image, labels, rng)` makes of
    them. The rng of item (position, index) is seeded by (`seed`, position); a mere index is the position as well.
    Raises `InputError` if the folder is no data set, and for an item if a file is at fault.
    """

    cache: DecodedCache | None = None  # set it to keep pairs decoded

    def __init__(self, root: str | Path, split: str, *, transform: Transform | None = None, seed: int = 0) -> None:
        self.pairs, self.classes = list_pairs(root, split), read_classes(root)
        self.transform, self.seed = transform, seed

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, item: int | tuple[int, int]) -> tuple[Any, Any]:
        position, index = item if isinstance(item, tuple) else (item % len(self), item)
        paths = self.pairs[index]
        image, labels = self.cache.read(*paths) if self.cache else read_pair(*paths, self.classes)
        if self.transform is None:
            return image, labels
        return self.transform(image, labels, np.random.default_rng((self.seed, position)))


class InfiniteSampler(Sampler):
    """Yields (position, index) for the `positions` of a run, which may go on for ever; every epoch in its own order.

    Position p takes element p mod `length` of the permutation of epoch p // `length`.
    """

    def __init__(self, length: int, *, seed: int, positions: range = ENDLESS) -> None:
        self.length, self.seed, self.positions = length, seed, positions

    def __iter__(self) -> Iterator[tuple[int, int]]:
        epoch = -1
        for position in self.positions:
            if position // self.length != epoch:
                epoch = position // self.length
                order = np.random.default_rng((self.seed, epoch, SHUFFLE)).permutation(self.length)
            yield position, int(order[position % self.length])


class CatchErrors(Dataset):
    """Returns an `InputError` as the item: raised in a worker it would reach the user wrapped in a traceback."""

    def __init__(self, dataset: SegmentationFolder) -> None:
        self.dataset = dataset

    def __getitem__(self, item: tuple[int, int]) -> tuple[Any, Any] | InputError:
        try:
            return self.dataset[item]
        except InputError as error:
            return error


class TrainLoader(DataLoader):
    """A `DataLoader` that raises the `InputError` a worker met, as it was."""

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for batch in super().__iter__():
            if isinstance(batch, InputError):
                break
            yield batch
        else:
            return
        raise batch  # out here, where the workers have ended: a traceback would keep them waiting

    def files_of(self, step: int) -> list[Path]:
        """The images of a step, those of all processes."""
        span = self.batch_size * self.sampler.positions.step
        positions = range(step * span, (step + 1) * span)
        items = InfiniteSampler(self.sampler.length, seed=self.sampler.seed, positions=positions)
        return [self.dataset.dataset.pairs[index][0] for _, index in items]


def train_loader(
    root: str | Path,
    pipeline: Transform,
    *,
    batch_size: int,
    seed: int,
    steps: range = ENDLESS,
    workers: int = 0,
    shard: tuple[int, int] = (0, 1),
    cache: DecodedCache | None = None,
) -> TrainLoader:
    """Load the training split's batches of `steps`: pixels, float32 (B, 3, H, W), and labels, int64 (B, H, W).

    B is `batch_size` for each process; `shard` is (rank, world size). No batch depends on `workers` or `cache`.
    Raises `InputError`, here or in the iteration, if a file is at fault.
    """
    dataset = SegmentationFolder(root, "training", transform=pipeline, seed=seed)
    dataset.cache = cache
    rank, world = shard
    span = batch_size * world
    positions = range(steps.start * span + rank, steps.stop * span, world)
    return TrainLoader(
        CatchErrors(dataset),
        batch_size=batch_size,
        sampler=InfiniteSampler(len(dataset), seed=seed, positions=positions),
        num_workers=workers,
        collate_fn=_collate,
        worker_init_fn=start_worker,
        pin_memory=torch.cuda.is_available(),
        generator=torch.Generator(),  # the loader must not draw from the global stream, which dropout uses
    )


def _collate(items: list[Any]) -> tuple[Tensor, Tensor] | InputError:
    for item in items:
        if isinstance(item, InputError):
            return item
    pixels, labels = zip(*items, strict=True)
    return torch.stack(pixels), torch.stack(labels).long()


def start_worker(worker: int) -> None:
    """Leave Ctrl-C and SIGTERM, which all processes may get, to the main one: it ends its workers when it has saved."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):  # which macOS and Windows lack
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_wait_for_parents_sigterm, daemon=True).start()


def _wait_for_parents_sigterm() -> None:
    """Exit by a SIGTERM of the parent, which it sends at its own exit and then waits, and by nobody else's."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)
