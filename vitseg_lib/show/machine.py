"""What this machine has, and what of the course will therefore run on it."""

import http.client
import os
import platform
import queue
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import torch

from vitseg_lib.data.ade20k import list_pairs
from vitseg_lib.files import InputError

WEIGHTS_SERVER = "https://download.openmmlab.com"
PATIENCE = 2.0  # seconds that the network may take to answer
GIB = 2**30
ADE20K_TRAINING_IMAGES = 20_210


@dataclass(frozen=True)
class Table:
    """Rows of plain words under a heading; a notebook shows them as a table, a terminal as lines."""

    heading: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def _repr_markdown_(self) -> str:
        lines = [self.heading, tuple("---" for _ in self.heading), *self.rows]
        return "\n".join(f"| {' | '.join(cell.replace('|', '¦') for cell in line)} |" for line in lines)

    def __repr__(self) -> str:
        lines = (self.heading, *self.rows)
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.heading))]
        padded = ("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in lines)
        return "\n".join(padded)


def check(data_roots: tuple[str | Path, ...] = (), patience: float = PATIENCE) -> Table:
    """Look at processor, memory, graphics card, ADE20K and network; wait `patience` seconds for the last at most.

    ADE20K is sought at `$VITSEG_DATA`, then in `data_roots`.
    """
    rows = (_processor(), _memory(), _accelerator(), _ade20k(data_roots), _network(WEIGHTS_SERVER, patience))
    return Table(("", "here", "so"), rows)


def _processor() -> tuple[str, str, str]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    found = f"{cores} core{'s' if cores > 1 else ''}, {platform.machine()}"
    return "processor", found, "every chapter runs, at the toy scale" + (", slowly" if cores == 1 else "")


def _memory() -> tuple[str, str, str]:
    try:
        import psutil
    except ImportError:
        return "memory", "unknown", "4 GB are enough for every chapter"
    total = psutil.virtual_memory().total / GIB
    enough = "enough for every chapter" if total >= 4 else "tight: close other programs first"
    return "memory", f"{total:.0f} GB", enough


def _accelerator() -> tuple[str, str, str]:
    if torch.cuda.is_available():
        card = torch.cuda.get_device_properties(0)
        return "graphics card", f"{card.name}, {card.total_memory / GIB:.0f} GB", "the full recipes can be trained too"
    if torch.backends.mps.is_available():
        return "graphics card", "Apple (MPS)", "the full recipes can be evaluated; training them needs a larger one"
    return "graphics card", "none", "nothing is lost before the last chapter, whose full runs you will read about"


def _ade20k(roots: tuple[str | Path, ...]) -> tuple[str, str, str]:
    named = os.environ.get("VITSEG_DATA")
    for root in ([named] if named else []) + list(roots):
        try:
            count = len(list_pairs(root, "training"))
        except InputError:
            continue
        if count == ADE20K_TRAINING_IMAGES:
            return "ADE20K", f"{count} training images", "chapters 10 and 11 can use it"
    return "ADE20K", "not found", "toy scenes stand in for it; `vitseg data ade20k` fetches it (923 MB)"


def _network(address: str, patience: float) -> tuple[str, str, str]:
    if _answers(address, patience):
        return "network", "there", "published weights can be fetched"
    return "network", "no answer", "nothing is lost: all that the chapters need is in the repository"


def _answers(address: str, patience: float) -> bool:
    """Whether a server says anything at all in time; looking up a name can hang, so a thread does the waiting."""
    answers: queue.Queue[bool] = queue.Queue()

    def ask() -> None:
        try:
            request = urllib.request.Request(address, method="HEAD", headers={"User-Agent": "vitseg"})
            urllib.request.urlopen(request, timeout=patience).close()
            answers.put(True)
        except urllib.error.HTTPError as error:
            error.close()
            answers.put(True)
        except (OSError, ValueError, http.client.HTTPException):
            answers.put(False)

    threading.Thread(target=ask, daemon=True).start()
    try:
        return answers.get(timeout=patience)
    except queue.Empty:
        return False
