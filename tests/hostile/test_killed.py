"""Processes that die under a command: workers that the system kills, and a machine without memory."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hostile.stage import Case
from vitseg_lib import cli
from vitseg_lib.engine import evaluation, training
from vitseg_lib.engine.log import StopSignal

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # a killed worker's open socket
]
LEAVES = ("new_run/run.json", "new_run/log.jsonl", "new_run/resume.pt", "new_run/*.safetensors")


class StoppedAtOnce(StopSignal):
    def __enter__(self) -> StopSignal:
        self.received = True
        return self


@contextmanager
def killer(number: int, after: float, log: Path | None = None) -> Iterator[None]:
    """Send a signal to the first worker, `after` seconds after it was born and, if there is a log, has a line."""
    over, sent, others = threading.Event(), [], multiprocessing.active_children()  # others: of an earlier test

    def watch() -> None:
        while not over.is_set():
            workers = [worker for worker in multiprocessing.active_children() if worker not in others]
            if workers and (log is None or (log.exists() and log.read_text())):
                time.sleep(after)
                os.kill(workers[0].pid, number)
                sent.append(number)
                return
            time.sleep(0.002)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert sent, "the command ended before a worker could be killed"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV], ids=lambda number: number.name)
@pytest.mark.parametrize("workers", [1, 2])
def test_a_worker_that_is_killed_while_training(number, workers, refused, stage, capsys):
    case = Case(
        f"training, one of {workers} workers killed by {number.name}",
        lambda s: s.train(
            "--iterations", 2000, "--evaluate-every", 2000, "--checkpoint-every", 5, "--workers", workers
        ),
        ("a process that reads images", "--resume"),
        LEAVES,
    )
    refused(case, within=killer(number, after=0.3, log=stage.folder / "new_run" / "log.jsonl"))
    options = ("--iterations", "2000", "--evaluate-every", "2000", "--checkpoint-every", "5")
    before = (stage.folder / "new_run" / "log.jsonl").read_text().count("\n")
    assert before > 0 and (before <= 5 or (stage.folder / "new_run" / "resume.pt").exists())
    with pytest.MonkeyPatch.context() as patch:  # it goes on: stopped at once, it has saved more than before
        patch.setattr(training, "StopSignal", StoppedAtOnce)
        assert cli.main([str(part) for part in stage.train("--resume", *options)]) == 130
    assert "go on with the same command and --resume" in capsys.readouterr().out


def test_workers_that_are_killed_while_scoring(refused, monkeypatch):
    predicted, predict = [], evaluation.fast_predict

    def predict_and_kill(*arguments, **options):
        predicted.append(predict(*arguments, **options))
        for worker in multiprocessing.active_children() if len(predicted) == 20 else ():
            os.kill(worker.pid, signal.SIGKILL)
        return predicted[-1]

    def make(stage):
        data = stage.data()
        for kind in ("images", "annotations"):
            for number in range(2, 100):
                os.link(data / kind / "validation" / "0.png", data / kind / "validation" / f"{number}.png")
        return stage.evaluate("--workers", 1)

    monkeypatch.setattr(evaluation, "fast_predict", predict_and_kill)
    refused(Case("scoring, all workers killed", make, ("a process that reads images",)))
    assert 20 <= len(predicted) < 100


def test_a_machine_without_memory(stage, request):
    """A photograph of 100 megapixels where 200 MB are left: in a process of its own, which takes the limit along."""
    program = (
        "import resource, sys; from PIL import Image; from vitseg_lib import cli, recipes; import torch, tiny\n"
        "from vitseg_lib.commands import using\n"
        "recipes.RECIPES['tiny'] = tiny.TINY; Image.new('RGB', (11_000, 9_000)).save('large.png')\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 200_000_000,) * 2)\n"
        "sys.exit(cli.main('predict large.png --recipe tiny --weights random --out p --no-progress'.split()))"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, env=environment, check=False
    )
    assert (done.returncode, done.stderr) == (2, f"vitseg: error: {cli.OUT_OF_MEMORY}\n"), done.stderr[-2000:]
    assert [path.name for path in stage.folder.rglob("*")] in (["large.png"], ["large.png", "p"], ["p", "large.png"])
    from hostile.conftest import MET

    request.config.stash.setdefault(MET, []).append("a machine without memory")
