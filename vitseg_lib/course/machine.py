"""What this machine has, and which parts of the course will run on it."""

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
TIMEOUT = 2.0  # seconds that the network may take to answer
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


def check(data_roots: tuple[str | Path, ...] = (), timeout: float = TIMEOUT) -> Table:
    """Look at CPU, memory, GPU, ADE20K and network; wait `timeout` seconds for the last at most.

    ADE20K is looked for at `$VITSEG_DATA`, then in `data_roots`.
    """
    rows = (_cpu(), _memory(), _gpu(), _ade20k(data_roots), _network(WEIGHTS_SERVER, timeout))
    return Table(("", "here", "so"), rows)


def _cpu() -> tuple[str, str, str]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    described = f"{cores} core{'s' if cores > 1 else ''}, {platform.machine()}"
    return "CPU", described, "every chapter runs, at the toy scale" + (", slowly" if cores == 1 else "")


def _memory() -> tuple[str, str, str]:
    try:
        import psutil
    except ImportError:
        return "memory", "unknown", "4 GB are enough for every chapter"
    total = psutil.virtual_memory().total / GIB
    enough = "enough for every chapter" if total >= 4 else "tight: close other programs first"
    return "memory", f"{total:.0f} GB", enough


def _gpu() -> tuple[str, str, str]:
    if torch.cuda.is_available():
        gpu = torch.cuda.get_device_properties(0)
        return "GPU", f"{gpu.name}, {gpu.total_memory / GIB:.0f} GB", "the full recipes can be trained too"
    if torch.backends.mps.is_available():
        return "GPU", "Apple (MPS)", "the full recipes can be evaluated; training them needs a larger one"
    return "GPU", "none", "nothing is lost before the last chapter, whose full runs you will read about"


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


def _network(address: str, timeout: float) -> tuple[str, str, str]:
    if _answers(address, timeout):
        return "network", "there", "published weights can be fetched"
    return "network", "no answer", "nothing is lost: the repository holds all that the chapters need"


def _answers(address: str, timeout: float) -> bool:
    """Whether a server answers at all in time; looking up a name can hang, so a thread does the waiting."""
    answers: queue.Queue[bool] = queue.Queue()

    def ask() -> None:
        try:
            request = urllib.request.Request(address, method="HEAD", headers={"User-Agent": "vitseg"})
            urllib.request.urlopen(request, timeout=timeout).close()
            answers.put(True)
        except urllib.error.HTTPError as error:
            error.close()
            answers.put(True)
        except (OSError, ValueError, http.client.HTTPException):
            answers.put(False)

    threading.Thread(target=ask, daemon=True).start()
    try:
        return answers.get(timeout=timeout)
    except queue.Empty:
        return False
