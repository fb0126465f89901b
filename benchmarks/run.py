"""`make bench`: the library beside mmsegmentation 1.2.2, in one run on this machine.

    python benchmarks/run.py                          every part, 5 repetitions (about 15 minutes on 2 cores)
    python benchmarks/run.py --only metric pipeline   some of them, printed and not kept
    python benchmarks/run.py --repeat 9               more repetitions

It makes an environment for the toolbox (.venv-mmseg, beside .venv, with the same PyTorch), runs both sides in turns,
prints the table and keeps it in benchmarks/results/<date>-<machine>.json, from which README's table is made.
"""

import argparse
import datetime
import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from vitseg_lib import files

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
ENVIRONMENT = ROOT / ".venv-mmseg"
TOOLBOX = ("mmsegmentation==1.2.2", "mmengine==0.10.7", "mmcv-lite==2.1.0", "opencv-python==5.0.0.93", "ftfy", "regex")
OURS = ("einops", "numpy", "pillow", "safetensors", "setuptools", "timm", "torch", "torchvision", "tqdm")
PARTS = ("step", "inference", "views", "pipeline", "metric", "memory", "first")
NAMED = re.compile(r"\d{4}-\d{2}-\d{2}-.+\.json")


def environment() -> Path:
    """The Python of the toolbox's environment; made when it is not there or another toolbox is asked for."""
    python = ENVIRONMENT / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    ready, wanted = ENVIRONMENT / "ready", "\n".join((*TOOLBOX, *OURS, (ROOT / "requirements.txt").read_text()))
    if not ready.exists() or ready.read_text() != wanted:
        uv = (sys.executable, "-m", "uv")
        subprocess.run([*uv, "venv", "--quiet", "--clear", "--python", sys.executable, ENVIRONMENT], check=True)
        pins = ("--constraint", ROOT / "requirements.txt")
        subprocess.run([*uv, "pip", "install", "--quiet", "--python", python, *pins, *TOOLBOX, *OURS], check=True)
        ready.write_text(wanted)
    return python


def installed() -> Path:
    """`environment()`, or one sentence on why there is none."""
    try:
        return environment()
    except subprocess.CalledProcessError as error:
        told = (
            "The toolbox's environment could not be made (see above); check the network and the disk, then try again."
        )
        raise SystemExit(told) from error


def machine() -> tuple[str, str]:
    """The machine's kind, for a file's name, and in words."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    told = Path("/proc/cpuinfo")
    model = re.search(r"model name\s*: (.*)", told.read_text()) if told.exists() else None
    name = model[1] if model else platform.processor() or platform.machine()
    kind = re.sub(r"[^a-z0-9]+", "-", f"cpu {cores} cores {name}".lower()).strip("-")
    return kind, f"{name}, {cores} cores, torch {torch.__version__}, Python {platform.python_version()}"


def measured(parts: list[str], repeats: int) -> list[dict[str, Any]]:
    """The rows of the parts, as they come."""
    script = ROOT / "benchmarks" / "side_by_side.py"
    command = [installed(), script, "--repeat", str(repeats), "--only"]
    rows = []
    for part in tqdm(parts, unit="part", disable=not sys.stderr.isatty()):
        done = subprocess.run([*command, part], stdout=subprocess.PIPE, text=True)
        if done.returncode:
            raise SystemExit(f"The part {part!r} failed (see above); nothing was kept.")
        for line in done.stdout.splitlines():
            if line.startswith('{"part"'):
                rows.append(json.loads(line))
                tqdm.write(line_of(rows[-1]))
    return rows


def line_of(row: dict[str, Any]) -> str:
    """A row as a line of a table in Markdown."""
    goal = "" if row["goal"] is None else f"≥ {row['goal']:g}"
    spread = f"{row['lowest']:.2f} – {row['highest']:.2f}"
    both = f"{number(row['ours'])} {row['unit']} | {number(row['reference'])} {row['unit']}"
    return f"| {row['part']} | {both} | **{row['ratio']:.2f}×** | {spread} | {goal} |"


def number(value: float) -> str:
    """Three digits that count."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def table(rows: list[dict[str, Any]]) -> str:
    """The table that README carries, with what it was measured on."""
    head = "| part | this library | mmsegmentation 1.2.2 | ratio | lowest – highest | goal |\n|---|---|---|---|---|---|"
    one = rows[0]
    repeats = sorted(row["repeats"] for row in rows)
    counted = f"{repeats[0]} to {repeats[-1]}" if repeats[0] < repeats[-1] else repeats[0]
    made = (
        f"{one['date']}, {one['machine']}. Medians of {counted} repetitions, both sides in turns: `{one['command']}`."
    )
    return "\n".join([head, *map(line_of, rows), "", made])


def newest() -> Path | None:
    """The newest kept comparison."""
    kept = sorted(path for path in RESULTS.glob("*.json") if NAMED.fullmatch(path.name))
    return kept[-1] if kept else None


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5, help="repetitions of each part (default 5)")
    parser.add_argument("--only", nargs="+", choices=PARTS, help="some parts; printed, not kept")
    options = parser.parse_args()
    kind, words = machine()
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    made = {
        "date": date,
        "machine": words,
        "command": "make bench" if options.repeat == 5 else f"make bench, --repeat {options.repeat}",
    }
    rows = [row | made for row in measured(options.only or list(PARTS), options.repeat)]
    print("\n" + table(rows))
    if not options.only:
        path = RESULTS / f"{date}-{kind}.json"
        files.write_json(path, rows)
        print(f"\nkept in {path.relative_to(ROOT)}; `python tests/renew.py` renews README's table")


if __name__ == "__main__":
    main()
