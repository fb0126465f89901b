"""A few minutes on one GPU: is the library right there, what does a training step cost, and which choice pays?

    python benchmarks/gpu.py --out gpu.json                  about five minutes on a current data-centre GPU
    python benchmarks/gpu.py --small --out gpu.json          the same on a CPU with the toy recipes, to see that it runs

Truths come first, then one row for each choice, compiled ones last. Every row is written as soon as it is known, so
that a run which is cut off has told what it found; a part that fails says so, and the next one goes on.
"""

import argparse
import datetime
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vitseg_lib import files, recipes
from vitseg_lib.engine.fast_inference import fast_predict
from vitseg_lib.engine.fast_loss import chunked_segmentation_loss
from vitseg_lib.engine.loss import segmentation_loss
from vitseg_lib.engine.precision import autocast
from vitseg_lib.engine.schedule import build_optimizer
from vitseg_lib.model.fast import fast

# Label, and what differs from bf16 autocast, the fast model, and losses read after every step.
STEPS = (
    ("bf16, fast", {}),
    ("bf16, fast, losses not read", {"reads": False}),
    ("bf16, fast, channels-last weights", {"channels_last": True, "reads": False}),
    ("bf16, plain model and loss", {"quick": False, "reads": False}),
    ("fp32, fast", {"precision": "fp32"}),
    ("fp32 with TF32 products, fast", {"precision": "fp32", "tf32": True}),
    ("bf16, fast, model and loss compiled", {"compiled": True, "channels_last": True, "reads": False}),
)


class Report:
    """Rows, written as they come."""

    def __init__(self, path: Path, minutes: float):
        self.path, self.rows, self.start, self.minutes = path, [], time.time(), minutes

    def add(self, part: str, **values: Any) -> None:
        """Add a row, write the file, and print the row."""
        self.rows.append({"part": part, "at_s": round(time.time() - self.start, 1), **values})
        files.write_json(self.path, self.rows)
        print(self.rows[-1], flush=True)

    def has(self, seconds: float) -> bool:
        """Whether so many seconds are left."""
        return time.time() - self.start + seconds < 60 * self.minutes

    def guard(self, part: str, work: Callable[[], None]) -> None:
        """Do a part, or say why it failed."""
        try:
            work()
        except Exception as error:
            self.add(part, failed=f"{type(error).__name__}: {str(error)[:300]}")
        torch.cuda.empty_cache()


def model_of(name: str, device: str) -> nn.Module:
    """The recipe's model in train mode, the same for every call."""
    torch.manual_seed(0)
    return recipes.build_model(recipes.get(name)).to(device).train()


def batch_of(name: str, device: str, size: int) -> tuple[Tensor, Tensor]:
    """Noise, and labels in blocks of 16 pixels of which one in twenty is ignored."""
    side = recipes.get(name).crop
    blocks = torch.randint(0, 150, (size, side // 16, side // 16), device=device)
    blocks[torch.rand(blocks.shape, device=device) < 0.05] = 255
    return torch.randn(size, 3, side, side, device=device), blocks.repeat_interleave(16, 1).repeat_interleave(16, 2)


def check_loss(report: Report, device: str) -> None:
    """The chunked loss and its gradient beside the plain one."""
    logits = torch.randn(2, 150, 32, 32, device=device).mul_(3).requires_grad_()
    labels = torch.randint(0, 150, (2, 128, 128), device=device)
    labels[:, :40] = 255
    plain, quick = (loss(logits, labels) for loss in (segmentation_loss, chunked_segmentation_loss))
    (a,), (b,) = (torch.autograd.grad(value, logits) for value in (plain, quick))
    worst = (a - b).abs().max() / a.abs().max()
    report.add("chunked loss beside the plain one", loss=abs(plain - quick).item(), gradient=worst.item())


@torch.inference_mode()
def check_logits(report: Report, name: str, device: str, size: tuple[int, int]) -> None:
    """Logits beside those of the plain model in fp32 on this device, in standard deviations."""
    model, pixels = model_of(name, device).eval(), torch.randn(2, 3, *size, device=device)
    torch.backends.cudnn.allow_tf32 = False
    exact = model(pixels)

    def off(logits: Tensor) -> float:
        return ((logits.float() - exact).std() / exact.std()).item()

    rows = {"fast, fp32": off(fast(model)(pixels))}
    torch.backends.cudnn.allow_tf32 = True
    rows["fast, fp32 with TF32 convolutions"] = off(fast(model)(pixels))
    with autocast(torch.device(device), "bf16"):
        rows |= {"plain, bf16": off(model(pixels)), "fast, bf16": off(fast(model)(pixels))}
    on_cpu = model.cpu()(pixels[:1].cpu())
    rows["plain, fp32, the CPU's"] = ((exact[:1].cpu() - on_cpu).std() / on_cpu.std()).item()
    report.add(f"deviation of the logits, {name}", **rows)


def step_of(
    name: str, device: str, size: int, *, precision: str, quick: bool, reads: bool, channels_last: bool, compiled: bool
) -> Callable[[], None]:
    """A training step as a callable."""
    model, (pixels, labels) = model_of(name, device), batch_of(name, device, size)
    if channels_last:
        model, pixels = (x.to(memory_format=torch.channels_last) for x in (model, pixels))
    optimizer, loss_of = build_optimizer(model, recipes.get(name)), segmentation_loss
    if quick:
        model, loss_of = fast(model), chunked_segmentation_loss

    def forward(pixels: Tensor, labels: Tensor) -> Tensor:
        with autocast(torch.device(device), precision):
            logits, stages = model(pixels, return_stages=True)
        return loss_of(logits.float(), labels) + 0.4 * loss_of(stages["aux_logits"].float(), labels)

    run = torch.compile(forward) if compiled else forward

    def step() -> None:
        optimizer.zero_grad()
        loss = run(pixels, labels)
        loss.backward()
        optimizer.step()
        if reads:
            loss.item()

    return step


def time_step(report: Report, name: str, label: str, device: str, small: bool, changes: dict[str, Any]) -> None:
    """Milliseconds, images per second and peak memory of a step, after some that are not counted."""
    torch.manual_seed(0)
    torch._dynamo.reset()
    choice = {"precision": "bf16", "quick": True, "reads": True, "channels_last": False, "compiled": False} | changes
    torch.backends.cuda.matmul.allow_tf32 = choice.pop("tf32", False)
    size, warm, timed = (2, 1, 2) if small else (16, 4, 12)
    step, on_gpu = step_of(name, device, size, **choice), device != "cpu"
    synchronise = torch.cuda.synchronize if on_gpu else lambda: None
    for _ in range(warm):
        step()
    synchronise()
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    start = time.perf_counter()
    for _ in range(timed):
        step()
    synchronise()
    seconds = (time.perf_counter() - start) / timed
    memory = torch.cuda.max_memory_allocated() / 2**30 if on_gpu else None
    row = {
        "ms": round(1e3 * seconds, 2),
        "images_per_s": round(size / seconds, 1),
        "peak_GiB": memory and round(memory, 2),
    }
    report.add("step", recipe=name, variant=label, batch=size, **row)


def time_predictions(report: Report, name: str, device: str, small: bool) -> None:
    """Milliseconds from an image of 512×683 to its labels."""
    model, recipe = fast(model_of(name, device).eval()), recipes.get(name)
    image = np.random.default_rng(0).integers(0, 256, (512, 683, 3), dtype=np.uint8)
    for mode in ("whole", "ms_flip"):
        for precision in ("fp32", "bf16"):
            times = []
            for _ in range(2 if small else 6):
                start = time.perf_counter()
                fast_predict(model, image, recipe, mode=mode, precision=precision)
                times.append(1e3 * (time.perf_counter() - start))
            report.add(
                "predict", recipe=name, mode=mode, precision=precision, ms=round(statistics.median(times[1:]), 1)
            )


def table(rows: list[dict[str, Any]]) -> str:
    """The result as Markdown, for benchmarks/README.md."""
    device = rows[0]
    made_by = device.get("note", "`python benchmarks/gpu.py`")
    lines = [f"{device['date']}, {device['name']}, torch {device['torch']}: {made_by}.", ""]
    lines += ["| training step | recipe | ms | images/s | peak, GiB |", "|---|---|--:|--:|--:|"]
    for row in rows:
        if row["part"] == "step" and "ms" in row:
            numbers = f"{row['ms']:.1f} | {row['images_per_s']:.0f} | {row['peak_GiB'] or 0:.1f}"
            lines.append(f"| {row['variant']} | `{row['recipe']}` | {numbers} |")
    lines += ["", "| prediction of 512×683 | recipe | precision | ms |", "|---|---|---|--:|"]
    lines += [
        f"| {row['mode']} | `{row['recipe']}` | {row['precision']} | {row['ms']:.0f} |"
        for row in rows
        if row["part"] == "predict" and "ms" in row
    ]
    lines += ["", "| logits beside the plain model's in fp32 | recipe | deviation |", "|---|---|--:|"]
    for row in rows:
        recipe = row["part"].removeprefix("deviation of the logits, ")
        if recipe != row["part"]:
            lines += [f"| {k} | `{recipe}` | {v:.1e} |" for k, v in row.items() if k not in ("part", "at_s")]
    return "\n".join(lines)


def main() -> None:
    """Check, time, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("gpu.json"))
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--minutes", type=float, default=8, help="start nothing that would end later (default: 8)")
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    names = ("toy", "toy_mln") if options.small else ("deit_s16_160k", "deit_s16_mln_160k")
    report, small = Report(options.out, options.minutes), options.small
    about = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    report.add("device", name=about, torch=torch.__version__, date=today)
    report.guard("loss", lambda: check_loss(report, device))
    for name in names:
        size = (96, 131) if small else (512, 683)
        report.guard("logits", lambda name=name, size=size: check_logits(report, name, device, size))
    for label, changes in STEPS:
        for name in names:
            if report.has(100 if "compiled" in changes else 20) and not (small and "compiled" in changes):
                work = (report, name, label, device, small, changes)
                report.guard(label, lambda work=work: time_step(*work))
        if label.startswith("fp32 with"):  # before the compiled ones, which take a minute each
            for name in names:
                report.guard("predict", lambda name=name: time_predictions(report, name, device, small))
    report.add("end")


if __name__ == "__main__":
    main()
