"""The library beside mmsegmentation 1.2.2, on the same work with the same weights, in one process.

`benchmarks/run.py` makes the environment and starts this. Both sides of a part take turns, so that whatever else the
machine does slows both; before that, their results are compared. A ratio above 1 means that the library is better.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent.parent))

import toolbox

from vitseg_lib import recipes
from vitseg_lib.data.ade20k import read_pair
from vitseg_lib.data.classes import read_classes
from vitseg_lib.data.image_io import read_image
from vitseg_lib.data.transforms import TrainPipeline
from vitseg_lib.engine import training
from vitseg_lib.engine.fast_inference import argmax_labels, fast_predict, upsampled
from vitseg_lib.engine.fast_loss import chunked_segmentation_loss
from vitseg_lib.engine.metrics import ConfusionMatrix
from vitseg_lib.engine.schedule import build_optimizer
from vitseg_lib.model import weights
from vitseg_lib.model.fast import fast

THREADS = torch.get_num_threads()
WORK = Path(tempfile.mkdtemp(prefix="vitseg_bench_"))
SIZE = (512, 683)  # of most of ADE20K's images, after the resize
CROP, BATCH, CLASSES = 512, 2, 150


@dataclass
class Part:
    """One row: two callables that do the same work, and the goal for the ratio of their times."""

    name: str
    ours: Callable[[], object]
    reference: Callable[[], object]
    difference: float  # of the results, relative to the largest value; or a share of pixels
    goal: float | None
    amount: float = 1  # pieces of work in one call
    unit: str = "s"
    repeats: int | None = None
    is_warm: bool = False  # both sides have run once already


@cache
def pictures(count: int) -> list[tuple[Path, Path]]:
    """Write JPEGs of ADE20K's size, in pixels and in bytes, and PNG labels in its layout: regions with texture."""
    rng, found, folder = np.random.default_rng(0), [], WORK / f"pictures_{count}"
    for kind in ("images", "annotations"):
        (folder / kind / "training").mkdir(parents=True)
    for index in range(count):
        regions = rng.integers(1, 151, (6, 8), dtype=np.uint8)
        labels = np.asarray(Image.fromarray(regions).resize(SIZE[::-1], Image.Resampling.NEAREST))
        colours = rng.integers(0, 256, (151, 3))
        texture = rng.normal(0, 8, (SIZE[0] // 2, SIZE[1] // 2 + 1)).repeat(2, 0).repeat(2, 1)[:, : SIZE[1]]
        image = np.clip(colours[labels] + texture[..., None], 0, 255).astype(np.uint8)
        pair = (folder / f"images/training/{index}.jpg", folder / f"annotations/training/{index}.png")
        Image.fromarray(image).save(pair[0], quality=75)
        Image.fromarray(labels).save(pair[1])
        found.append(pair)
    return found


def batch(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Normalised pixels and labels in blocks, a tenth of them ignored."""
    pixels = torch.randn(BATCH, 3, CROP, CROP, generator=generator)
    blocks = torch.randint(0, CLASSES, (BATCH, 16, 16), generator=generator)
    blocks[torch.rand(blocks.shape, generator=generator) < 0.1] = 255
    return pixels, blocks.repeat_interleave(32, 1).repeat_interleave(32, 2)


def largest(ours: Tensor, reference: Tensor) -> float:
    """The largest difference as a share of the largest value."""
    return ((ours - reference).abs().max() / reference.abs().max()).item()


def step(name: str, goal: float) -> Part:
    """A training step, batch 2: forward, loss, backward, optimiser."""
    recipe = recipes.get(name)
    pixels, labels = batch(torch.Generator().manual_seed(0))
    data, difference = toolbox.samples(labels), same_gradients(name, pixels, labels)
    ours = fast(recipes.build_model(recipe).train())
    found = toolbox.config(name)
    theirs = toolbox.build(found, weights.to_mmseg(ours)).train()
    optimizer, wrapper = build_optimizer(ours, recipe), toolbox.optimiser(found, theirs)
    return Part(
        f"training step, {words(name)}, batch 2 at 512²",
        lambda: training.training_step(ours, optimizer, pixels, labels, lr=6e-5, aux_weight=recipe.aux_weight),
        lambda: toolbox.training_step(theirs, wrapper, pixels, data),
        difference,
        goal,
    )


def same_gradients(name: str, pixels: Tensor, labels: Tensor) -> float:
    """Largest difference in loss and gradients, without dropout and with batch norms in training mode."""
    ours = fast(training.starting_model(recipes.get(name), CLASSES, seed=0, pretrained=None).train())
    theirs = toolbox.build(toolbox.config(name), weights.to_mmseg(ours), dropout=False).train()
    for module in ours.modules():
        if isinstance(module, torch.nn.Dropout2d):
            module.p = 0.0
        elif hasattr(module, "rate"):
            module.rate = 0.0
    logits, stages = ours(pixels, return_stages=True)
    heads = (logits, 1.0), (stages["aux_logits"], 0.4)
    loss = sum(weight * chunked_segmentation_loss(scores, labels) for scores, weight in heads)
    loss.backward()
    reference, _ = theirs.parse_losses(theirs(pixels, toolbox.samples(labels), mode="loss"))
    reference.backward()
    for parameter in ours.parameters():
        parameter.data = parameter.grad
    gradients, others = weights.to_mmseg(ours), dict(theirs.named_parameters())
    scale = max(value.grad.abs().max() for value in others.values())
    worst = max((gradients[key] - value.grad).abs().max() / scale for key, value in others.items())
    return max(worst.item(), abs(loss.item() - reference.item()) / reference.item())


def words(name: str) -> str:
    """A recipe's name as a row says it."""
    return "DeiT-S + neck" if "mln" in name else "DeiT-S"


def whole(name: str, goal: float) -> Part:
    """Whole-image inference: from normalised pixels to the label map."""
    ours, theirs, _ = models(name)
    pixels, data = torch.randn(1, 3, *SIZE), toolbox.samples(torch.zeros(1, *SIZE, dtype=torch.int64))

    @torch.inference_mode()
    def predicted() -> Tensor:
        return argmax_labels([upsampled(ours(pixels), SIZE)])

    with torch.inference_mode():
        difference = largest(ours(pixels), theirs(pixels))
    reference = lambda: toolbox.label_map(theirs, pixels, data)  # noqa: E731
    require_same_labels(predicted().numpy(), reference().numpy())
    return Part(f"inference 512×683, {words(name)}", predicted, reference, difference, goal)


def twelve_views(name: str) -> Part:
    """Multi-scale with flips: from an image file to the label map."""
    ours, theirs, found = models(name)
    photo, _ = pictures(1)[0]
    predicted = lambda: fast_predict(ours, read_image(photo), recipes.get(name), mode="ms_flip")  # noqa: E731
    reference = lambda: toolbox.multi_scale(found, theirs, photo)  # noqa: E731
    apart = disagreement(predicted(), reference().numpy())
    return Part(f"ms+flip of one image, {words(name)}", predicted, reference, apart, None, repeats=2, is_warm=True)


def models(name: str) -> tuple[nn.Module, nn.Module, Any]:
    """Both sides' model with the same random weights, and the toolbox's configuration."""
    ours = fast(training.starting_model(recipes.get(name), CLASSES, seed=0, pretrained=None).eval())
    found = toolbox.config(name)
    return ours, toolbox.build(found, weights.to_mmseg(ours)).eval(), found


def require_same_labels(ours: np.ndarray, reference: np.ndarray, most: float = 1e-4) -> None:
    """Stop if more than a share of the labels differ: nobody should be quick at something else."""
    if (apart := disagreement(ours, reference)) > most:
        raise SystemExit(f"{apart:.2%} of the labels differ: the two sides do not do the same work.")


def disagreement(ours: np.ndarray, reference: np.ndarray) -> float:
    """The share of pixels with another label."""
    return float((ours != reference).mean())


def pipelines() -> Iterator[Part]:
    """The training transforms on one core, from files and from the decoded cache."""
    import cv2

    from vitseg_lib.data.cache import DecodedCache

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    transform = training.train_pipeline(recipes.get("deit_s16_160k"))
    pairs = pictures(12)
    root = pairs[0][0].parents[2]
    classes, theirs = read_classes(root), toolbox.pipeline(toolbox.config("deit_s16_160k"))

    def ours(read: Callable) -> Callable[[Path, Path], object]:
        rng = np.random.default_rng(0)
        return lambda *pair: transform(*read(*pair), rng)

    def each(side: Callable[[Path, Path], object]) -> Callable[[], None]:
        def run() -> None:
            for pair in pairs:
                side(*pair)

        return run

    sources = {
        "JPEG and PNG": partial(read_pair, classes=classes),
        "a decoded cache": DecodedCache(root / "c", classes).read,
    }
    difference = max(same_pixels(transform, *pair, seed) for seed, pair in enumerate(pairs))
    for (name, read), goal in zip(sources.items(), (1.5, 3.0), strict=True):
        yield Part(
            f"training pipeline on one core, from {name}",
            each(ours(read)),
            each(theirs),
            difference,
            goal,
            amount=len(pairs),
            unit="images/s",
            repeats=9,
        )
    torch.set_num_threads(THREADS)


def same_pixels(transform: TrainPipeline, image: Path, labels: Path, seed: int) -> float:
    """Largest difference of the normalised pixels when the toolbox's functions get the parameters that ours drew."""
    pair = read_pair(image, labels, read_classes(image.parents[2]))
    steps = {step.name: step for step in transform.steps(*pair, np.random.default_rng(seed))}
    drawn = {
        key: value for name in ("resize", "crop", "flip", "colour") for key, value in steps[name].parameters.items()
    }
    theirs = toolbox.transformed(toolbox.config("deit_s16_160k"), image, **drawn)
    return largest(steps["pad"].image, theirs)


def metric() -> Part:
    """Counts and scores of 100 images of 512×683 with 150 classes."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, CLASSES, (10, *SIZE)).astype(np.uint8)
    found = np.where(rng.random(truth.shape) < 0.8, truth, rng.integers(0, CLASSES, truth.shape)).astype(np.uint8)
    truth[:, :20] = 255
    pairs = [(truth[i % 10], found[i % 10]) for i in range(100)]
    as_theirs = [(a.astype(np.int64), b.astype(np.int64)) for a, b in pairs]

    def ours() -> float:
        confusion = ConfusionMatrix(CLASSES)
        for a, b in pairs:
            confusion.update(a, b)
        return confusion.scores().mIoU

    theirs = toolbox.scores(as_theirs, CLASSES)["mIoU"]
    difference = abs(ours() - theirs) / theirs  # the toolbox rounds its scores to two digits
    return Part(
        "metric, 100 images of 512×683, 150 classes", ours, lambda: toolbox.scores(as_theirs, CLASSES), difference, 8.0
    )


def in_turns(part: Part, repeats: int) -> dict[str, Any]:
    """Run both sides of a part in turns and return its row."""
    repeats = part.repeats or repeats
    if not part.is_warm:  # the first of each pays for what is made once
        part.ours(), part.reference()
    pairs = [(seconds(part.ours), seconds(part.reference)) for _ in range(repeats)]
    return row(part.name, pairs, part.goal, part.unit, part.difference, part.amount)


def row(
    name: str,
    pairs: list[tuple[float, float]],
    goal: float | None,
    unit: str,
    difference: float | None = None,
    amount: float = 1,
) -> dict[str, Any]:
    """Of (ours, reference) a repetition, both the less the better: medians, and the ratios' median and spread."""
    ratios = sorted(reference / ours for ours, reference in pairs)
    ours, reference = (statistics.median(side) for side in zip(*pairs, strict=True))
    if unit.endswith("/s"):
        ours, reference = amount / ours, amount / reference
    return {
        "part": name,
        "ours": round(ours, 4),
        "reference": round(reference, 4),
        "ratio": round(statistics.median(ratios), 3),
        "lowest": round(ratios[0], 3),
        "highest": round(ratios[-1], 3),
        "goal": goal,
        "unit": unit,
        "repeats": len(pairs),
        "difference": None if difference is None else float(difference),
    }


def seconds(side: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    side()
    return time.perf_counter() - start


def alone(what: str, goal: float, unit: str, title: str, repeats: int, *, compiled: bool = True) -> dict[str, Any]:
    """A row of what each side does in a process of its own, in turns; with Python's compiled files, or without."""
    recipe, folder = "deit_s16_160k", Path(tempfile.mkdtemp(dir=WORK))
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    if not compiled:
        environment |= {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPYCACHEPREFIX": str(folder)}
    model = training.starting_model(recipes.get(recipe), CLASSES, seed=0, pretrained=None)
    weights.save(model, folder / "ours.safetensors")
    palette = {"classes": [str(i) for i in range(CLASSES)], "palette": [[0, 0, 0]] * CLASSES}
    torch.save({"state_dict": weights.to_mmseg(model), "meta": {"dataset_meta": palette}}, folder / "reference.pth")
    torch.save(batch(torch.Generator().manual_seed(0)), folder / "batch.pt")
    shutil.copy(pictures(1)[0][0], folder / "photo.jpg")

    def run(side: str) -> float:
        command = [sys.executable, Path(__file__).parent / "alone.py", what, side, recipe, folder]
        return float(
            subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout.split()[-1]
        )

    run("ours"), run("reference")  # the first of each fills the disk's cache
    return row(title, [(run("ours"), run("reference")) for _ in range(repeats)], goal, unit)


PARTS: dict[str, Callable[[int], Iterator[dict[str, Any]]]] = {
    "step": lambda n: (in_turns(step(name, 1.4), n) for name in ("deit_s16_160k", "deit_s16_mln_160k")),
    "inference": lambda n: (
        in_turns(whole(name, goal), n) for name, goal in (("deit_s16_160k", 1.6), ("deit_s16_mln_160k", 1.8))
    ),
    "views": lambda n: (in_turns(twelve_views("deit_s16_160k"), n) for _ in range(1)),
    "pipeline": lambda n: (in_turns(part, n) for part in pipelines()),
    "metric": lambda n: (in_turns(metric(), n) for _ in range(1)),
    "memory": lambda n: (
        alone("step", round(1 / 0.7, 2), "MB", "peak memory of a training step, DeiT-S", 1) for _ in range(1)
    ),
    "first": lambda n: (
        alone("first", round(1 / 0.3, 2), "s", f"import and first prediction, DeiT-S{when}", 5, compiled=compiled)
        for when, compiled in (("", True), (", nothing compiled yet", False))
    ),
}


def main() -> None:
    """Measure and print one row of JSON a line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--only", nargs="*", choices=PARTS, default=list(PARTS))
    options = parser.parse_args()
    toolbox.start()
    try:
        for part in options.only:
            for found in PARTS[part](options.repeat):
                print(json.dumps(found), flush=True)
    finally:
        shutil.rmtree(WORK)


if __name__ == "__main__":
    main()
