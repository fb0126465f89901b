"""Runs in processes of their own: two that share the work, and one that is killed again and again."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiny
import torch

from vitseg_lib import cli, recipes, state_files
from vitseg_lib.engine.evaluation import evaluate
from vitseg_lib.model import weights

pytestmark = pytest.mark.slow
PROGRAM = Path(tiny.__file__)
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tiny.make_pictures(tmp_path_factory.mktemp("data"))


def finished(command: list) -> subprocess.CompletedProcess:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return done


def log(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_two_processes_give_the_losses_of_one(root, tmp_path):
    changes = {"iterations": 6, "evaluate_every": 3, "warmup": 2}
    options = json.dumps({"toy": True, "without_chance": True, "recipe": changes})
    finished([sys.executable, PROGRAM, root, tmp_path / "one", options])
    finished([*TORCHRUN, PROGRAM, root, tmp_path / "two", options])
    one, two = log(tmp_path / "one"), log(tmp_path / "two")
    assert len(one) == 6 and one[0]["loss"] > one[-1]["loss"]
    for ours, theirs in zip(one, two, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5)


def test_two_processes_resume_where_they_stopped(root, tmp_path):
    options = {"recipe": {"batch_size": 8, "iterations": 6, "evaluate_every": 3}}
    finished([*TORCHRUN, PROGRAM, root, tmp_path / "whole", json.dumps(options)])
    finished([*TORCHRUN, PROGRAM, root, tmp_path / "again", json.dumps(options)])
    for name in ("resume.pt", "result.json", "last.safetensors"):  # as if it had died before its first checkpoint
        (tmp_path / "again" / name).unlink()
    finished([*TORCHRUN, PROGRAM, root, tmp_path / "again", json.dumps(options | {"resume": True})])
    ours, theirs = (state_files.read_safetensors(tmp_path / run / "last.safetensors")[0] for run in ("whole", "again"))
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_the_score_of_two_processes_is_that_of_the_weights_they_save(root, tmp_path):
    """On CPUs each process has BatchNorm statistics of its own; those of rank 0 are saved, so those must be scored."""
    options = {"recipe": {"batch_size": 8, "iterations": 6, "evaluate_every": 6}}
    finished([*TORCHRUN, PROGRAM, root, tmp_path / "run", json.dumps(options)])
    model = recipes.build_model(tiny.TINY, 2)
    weights.load(model, tmp_path / "run" / "last.safetensors")
    again = evaluate(model, root, tiny.TINY, progress=False).scores()
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert (result["mIoU"], result["mAcc"], result["aAcc"]) == (again.mIoU, again.mAcc, again.aAcc)


def test_sigterm_to_the_whole_group_saves(root, tmp_path):
    """As SLURM and systemd send it: to the processes that read images, too."""
    options = json.dumps({"workers": 2, "recipe": {"iterations": 100_000, "evaluate_every": 100_000}})
    command = [sys.executable, str(PROGRAM), str(root), str(tmp_path / "run"), options]
    log_file, until = tmp_path / "run" / "log.jsonl", time.monotonic() + 120
    with subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, text=True) as process:
        while not (log_file.exists() and log_file.read_text().count("\n") > 3) and time.monotonic() < until:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGTERM)
        assert process.wait(timeout=60) == 0, process.stderr.read()
    steps = log_file.read_text().count("\n")
    assert steps > 3 and torch.load(tmp_path / "run" / "resume.pt", weights_only=True)["step"] == steps


def test_evaluation_on_two_processes_counts_the_same(root, tmp_path):
    model = recipes.build_model(recipes.get("toy"), 2)
    weights.save(model, tmp_path / "w.safetensors")
    command = ["evaluate", "toy", "--weights", tmp_path / "w.safetensors", "--data", root, "--device", "cpu"]
    command += ["--split", "training", "--limit", "3"]  # an odd number, shared by two
    assert cli.main([str(part) for part in [*command, "--json", tmp_path / "one.json", "--no-progress"]]) == 0
    done = finished([*TORCHRUN, "-m", "vitseg_lib", *command, "--json", tmp_path / "two.json", "--no-progress"])
    assert done.stdout.count("mIoU") == 1  # one process speaks
    assert json.loads((tmp_path / "one.json").read_text()) == json.loads((tmp_path / "two.json").read_text())


KILLS = 20
LONG = {"toy": True, "checkpoint_every": 1, "recipe": {"iterations": 120, "evaluate_every": 20, "warmup": 10}}


def kill_at_some_point(process: subprocess.Popen, out: Path, chance: random.Random, *, while_writing: bool) -> bool:
    """SIGKILL once the run is under way, at any moment or while a file is being written; whether it was one."""
    started = (out / "log.jsonl").read_bytes() if (out / "log.jsonl").exists() else b""
    while process.poll() is None:
        if (out / "log.jsonl").exists() and (out / "log.jsonl").read_bytes() > started:
            break
        time.sleep(0.01)
    time.sleep(chance.uniform(0, 0.3))
    until = time.monotonic() + 2
    while while_writing and not any(out.glob(".*")) and time.monotonic() < until and process.poll() is None:
        pass
    process.send_signal(signal.SIGKILL)
    process.wait()
    return any(out.glob(".*"))


def test_a_run_that_is_killed_twenty_times_ends_as_if_it_had_not_been(root, tmp_path, record_property):
    chance, half_written, kills = random.Random(0), 0, 0
    finished([sys.executable, PROGRAM, root, tmp_path / "whole", json.dumps(LONG)])
    out = tmp_path / "killed"
    while kills < KILLS:
        options = json.dumps(LONG | {"resume": (out / "run.json").exists()})
        process = subprocess.Popen([sys.executable, str(PROGRAM), str(root), str(out), options])
        half_written += kill_at_some_point(process, out, chance, while_writing=kills % 2 == 1)
        assert process.returncode == -signal.SIGKILL, f"the run had ended before kill {kills + 1}"
        kills += 1
        trusted = [path for path in out.iterdir() if not path.name.startswith(".")]
        for path in trusted:  # whole, or not there
            if path.suffix == ".safetensors":
                state_files.read_safetensors(path)
            if path.suffix == ".json":
                json.loads(path.read_text())
        if (out / "resume.pt").exists():
            torch.load(out / "resume.pt", weights_only=True)
    finished([sys.executable, PROGRAM, root, out, json.dumps(LONG | {"resume": True})])
    for name in ("last.safetensors", "best.safetensors"):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert (out / "log.jsonl").read_text() == (tmp_path / "whole" / "log.jsonl").read_text()
    assert {path.name for path in out.iterdir()} == {path.name for path in (tmp_path / "whole").iterdir()}
    print(f"\n{kills} kills, {half_written} of them while a file was being written")
    assert half_written > 0
