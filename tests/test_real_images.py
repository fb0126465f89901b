"""A full-size recipe on real photographs, on a CPU: it learns, and half precision sees what single precision sees.

Run as a program: trains for twenty steps and prints, as JSON, what they took.

OMP_NUM_THREADS=2 python tests/test_real_images.py ROOT OUT
"""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vitseg_lib import cli, recipes
from vitseg_lib.data.ade20k import SPLITS, list_pairs
from vitseg_lib.engine import training
from vitseg_lib.engine.checkpoints import RunSettings
from vitseg_lib.engine.log import peak_memory

DATA = os.environ.get("VITSEG_DATA")
STEPS = 20

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA, reason="VITSEG_DATA names no folder with ADE20K's images"),
]


def train(root: str, out: str) -> dict:
    """Twenty steps of DeiT-S from random weights on two images each; the median step's seconds, and the peak memory."""
    changes = {"pretrained": None, "warmup": 0, "iterations": STEPS, "batch_size": 2, "evaluate_every": STEPS}
    recipe = replace(recipes.get("deit_s16_160k"), **changes)
    ends = [time.perf_counter()]
    peaks = []

    def note(line: dict) -> None:
        ends.append(time.perf_counter())
        peaks.append(peak_memory(torch.device("cpu")))

    training.train(RunSettings(recipe=recipe, data=Path(root), out=Path(out)), on_step=note, progress=False)
    # The first interval holds the building of the model, the last one the evaluation.
    return {"seconds_a_step": float(np.median(np.diff(ends)[1:-1])), "peak_GB": peaks[-2] / 1e9}


@pytest.fixture
def three(tmp_path) -> Path:
    """The first three pairs of each split: what VITSEG_DATA names may be the whole set."""
    for split in SPLITS:
        for path in (path for pair in list_pairs(DATA, split)[:3] for path in pair):
            copy = tmp_path / "three" / path.relative_to(DATA)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
    return tmp_path / "three"


@pytest.fixture
def out(tmp_path):
    """A folder for a run, taken away afterwards: weights and optimiser are a gigabyte."""
    yield tmp_path / "run"
    shutil.rmtree(tmp_path / "run", ignore_errors=True)


def test_a_full_size_recipe_learns_in_twenty_steps(three, out, capsys):
    threads = {"OMP_NUM_THREADS": str(min(2, os.cpu_count() or 1))}
    command = [sys.executable, __file__, str(three), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, env=os.environ | threads)
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["step"] for line in lines] == list(range(1, STEPS + 1))
    first, last = lines[0], float(np.mean([line["loss"] for line in lines[-5:]]))
    assert first["lr"] == 6e-5 and lines[-1]["lr"] == pytest.approx(6e-5 / STEPS)  # no warm-up: at once the full rate
    assert first["loss"] == pytest.approx(1.4 * np.log(150), rel=0.2)  # all 150 classes about equally likely, two heads
    took = json.loads(done.stdout.splitlines()[-1])
    with capsys.disabled():
        print(
            f"\ndeit_s16_160k, batch 2, fp32, {threads['OMP_NUM_THREADS']} threads: {took['seconds_a_step']:.1f} s a "
            f"step, peak {took['peak_GB']:.1f} GB; loss {first['loss']:.3f}, mean of the last five {last:.3f}, which "
            f"is {last / first['loss']:.1%}"
        )
    assert last < 0.85 * first["loss"]


def test_half_precision_predicts_the_same(tmp_path, capsys):
    name = "deit_s16_160k"
    evaluate = ["evaluate", name, "--weights", "random", "--data", DATA, "--limit", "1", "--device", "cpu"]
    first = sorted((Path(DATA) / "annotations" / "validation").iterdir())[0]
    truth, predictions = values_in(first), []
    for precision in ("fp32", "bf16"):
        kept, file = tmp_path / precision, tmp_path / f"{precision}.json"
        more = ["--precision", precision, "--save-predictions", str(kept), "--json", str(file), "--no-progress"]
        assert cli.main([*evaluate, *more]) == 0
        predictions.append(values_in(kept / first.name))
        result = json.loads(file.read_text(encoding="utf-8"))
        counted = truth > 0
        seen = set(truth[counted]) | set(predictions[-1][counted])
        scored = {value for value, row in enumerate(result["classes"].values(), start=1) if row["IoU"] is not None}
        assert scored == seen and result["precision"] == precision
    same = float(np.equal(*predictions).mean())
    with capsys.disabled():
        print(f"\n{name}, random weights: bf16 agrees with fp32 on {same:.2%} of {truth.size:,} pixels")
    assert 0.97 <= same < 1  # bf16 has 8 bits: equal in every pixel would mean that it was not used


def values_in(path: Path) -> np.ndarray:
    with Image.open(path) as labels:
        return np.array(labels)


if __name__ == "__main__":
    print(json.dumps(train(sys.argv[1], sys.argv[2])))
