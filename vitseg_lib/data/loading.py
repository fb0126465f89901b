"""From a folder to batches: which picture comes at which place in the run, and with which random changes.

Both depend on the seed and the position in the run only, never on the number of workers or on where a run was
resumed, so a run of one process can be repeated exactly.
"""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from vitseg_lib.data.ade20k import list_pairs, read_classes, read_pair
from vitseg_lib.data.cache import DecodedCache
from vitseg_lib.files import InputError

SHUFFLE = 1  # keeps the sampler's random stream apart from the dataset's

Transform = Callable[[np.ndarray, np.ndarray, np.random.Generator], tuple[Any, Any]]


class SegmentationFolder(Dataset):
    """The pairs of one split of a data set in ADE20K's layout.

    An item is (image, labels) as read, uint8 (H, W, 3) and (H, W), or what `transform(image, labels, rng)` makes
    of them. Asked for (position, index), the generator is seeded by (`seed`, position); asked for an index, the
    index is the position.
    """

    def __init__(
        self,
        root: str | Path,
        split: str,
        *,
        transform: Transform | None = None,
        seed: int = 0,
        cache: DecodedCache | None = None,
    ) -> None:
        """List the pairs; raises `InputError` if the folder is no data set. A `cache` keeps them decoded."""
        self.pairs = list_pairs(root, split)
        self.classes = read_classes(root)
        self.transform = transform
        self.seed = seed
        self.cache = cache

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.pairs)

    def __getitem__(self, where: int | tuple[int, int]) -> tuple[Any, Any]:
        """Read and transform one pair; raises `InputError` if a file is at fault."""
        position, index = where if isinstance(where, tuple) else (where % len(self), where)
        paths = self.pairs[index]
        image, labels = self.cache.read(*paths) if self.cache else read_pair(*paths, self.classes)
        if self.transform is None:
            return image, labels
        return self.transform(image, labels, np.random.default_rng((self.seed, position)))


class EndlessSampler(Sampler):
    """Yields (position, index) from position `start` to before `stop`, or for ever; every epoch in its own order.

    Position p takes element p mod `length` of the permutation of epoch p // `length`. Process `rank` of `world`
    takes every `world`-th position.
    """

    def __init__(
        self, length: int, *, seed: int, start: int = 0, stop: int | None = None, rank: int = 0, world: int = 1
    ) -> None:
        """Nothing is drawn before the iteration begins."""
        self.length, self.seed = length, seed
        self.start, self.stop, self.rank, self.world = start, stop, rank, world

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Start over at `start`."""
        position, epoch, order = self.start + self.rank, -1, np.empty(0, int)
        while self.stop is None or position < self.stop:
            if position // self.length != epoch:
                epoch = position // self.length
                order = np.random.default_rng((self.seed, epoch, SHUFFLE)).permutation(self.length)
            yield position, int(order[position % self.length])
            position += self.world


class FaultsAsItems(Dataset):
    """Hands an `InputError` over as an item: raised in a worker it would reach the user wrapped in a traceback."""

    def __init__(self, dataset: SegmentationFolder) -> None:
        self.dataset = dataset

    def __getitem__(self, where: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor] | InputError:
        try:
            return self.dataset[where]
        except InputError as error:
            return error


class TrainLoader(DataLoader):
    """A `DataLoader` that raises the `InputError` a worker met, as it was."""

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield batches: pixels, float32 (B, 3, H, W), and labels, int64 (B, H, W)."""
        fault = None
        for batch in super().__iter__():
            if isinstance(batch, InputError):
                fault = batch
                break
            yield batch
        if fault is not None:  # raised out here, where the workers have ended: a traceback would keep them waiting
            raise fault

    def files_of(self, step: int) -> list[Path]:
        """The images of a step, those of all processes."""
        order, span = self.sampler, self.batch_size * self.sampler.world
        places = EndlessSampler(order.length, seed=order.seed, start=step * span, stop=(step + 1) * span)
        return [self.dataset.dataset.pairs[index][0] for _, index in places]


def train_loader(
    root: str | Path,
    pipeline: Transform,
    *,
    batch_size: int,
    seed: int,
    start_step: int = 0,
    stop_step: int | None = None,
    workers: int = 0,
    rank: int = 0,
    world: int = 1,
    cache: DecodedCache | None = None,
) -> TrainLoader:
    """Load the training split from step `start_step` to before `stop_step`, or for ever, in full batches.

    A batch is pixels, float32 (B, 3, H, W), and labels, int64 (B, H, W), with B = `batch_size` for each of `world`
    processes. Step s is the same batch whatever `start_step`, `workers` and `cache` are.

    Raises `InputError`, here or in the iteration, if a file is at fault.
    """
    dataset = SegmentationFolder(root, "training", transform=pipeline, seed=seed, cache=cache)
    span = batch_size * world
    sampler = EndlessSampler(
        len(dataset),
        seed=seed,
        start=start_step * span,
        stop=None if stop_step is None else stop_step * span,
        rank=rank,
        world=world,
    )
    return TrainLoader(
        FaultsAsItems(dataset),
        batch_size=batch_size,
        sampler=sampler,
        num_workers=workers,
        collate_fn=_collate,
        worker_init_fn=_start_worker,
        pin_memory=torch.cuda.is_available(),
        generator=torch.Generator(),  # the loader must not draw from the global stream, which dropout uses
    )


def _collate(items: list[Any]) -> tuple[torch.Tensor, torch.Tensor] | InputError:
    fault = next((item for item in items if isinstance(item, InputError)), None)
    if fault is not None:
        return fault
    pixels, labels = zip(*items, strict=True)
    return torch.stack(pixels), torch.stack(labels).long()


def _start_worker(worker: int) -> None:
    """Leave Ctrl-C to the main process, which ends its workers; PyTorch gives each a single thread."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
