"""`vitseg grade`: every part of the learner's file checked, and the whole file beside the library where it is whole.

All of it runs in a process of its own, so that a part that never comes to an end is named and the rest goes on.
"""

import argparse
import multiprocessing
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from vitseg_lib import files, recipes
from vitseg_lib.course import mine
from vitseg_lib.data.classes import read_classes
from vitseg_lib.engine.evaluation import evaluate
from vitseg_lib.engine.loss import segmentation_loss
from vitseg_lib.files import InputError
from vitseg_lib.model import weights

SECONDS = 60.0  # that one part, or the whole, may take before it counts as endless
PARITY = 1e-6  # largest difference from the library, in double precision, that counts as equal
WHOLE = ("Encoder", "MultiLevelNeck", "UPerHead", "FCNHead", "Segmenter", "segmentation_loss")
MARKS = {"right": "✓", "missing": "·"}


def grade(options: argparse.Namespace) -> int:
    """Print the table of parts and what the whole file does; 0 if all is right, 1 if not."""
    file = options.file or mine.path()
    if options.file and not file.exists():
        raise InputError(f"There is no {file}: name the file that your chapters write, notebooks/mine.py.")
    there = mine.defined(mine.read(file))  # says what is wrong with the file as a whole
    report: dict[str, Any] = {"file": str(file), "parts": {}}
    todo = [name for name in mine.PARTS if name in there]
    found = answers(file, todo, SECONDS)
    for name, part in mine.PARTS.items():
        verdict, message = found.get(name, ("missing", "") if name not in there else ("not yet", "It did not run."))
        report["parts"][name] = {"verdict": verdict, "message": message}
        print(f"{MARKS.get(verdict, '✗')} {part.chapter[:2]} {name:20} {'' if verdict == 'right' else verdict}")
        if message and verdict != "right":
            print(f"     {message}")
    right = [name for name, row in report["parts"].items() if row["verdict"] == "right"]
    print(f"\n{mine.strip_text(right)}\n{len(right)} of {len(mine.PARTS)} parts are yours and right.")
    if set(WHOLE) <= set(right) and len(right) == len(there):
        report["whole"] = whole(file, options)
        for line in report["whole"]["lines"]:
            print(line)
    elif there:
        missing = [name for name in WHOLE if name not in right] or sorted(set(there) - set(right))
        print(f"The whole model is compared once these are right, too: {', '.join(missing)}.")
    if options.json:
        files.write_json(options.json, report)
    complete = len(right) == len(mine.PARTS) and report["whole"]["equal"]
    return 0 if complete else 1


def answers(file: Path, names: list[str], seconds: float) -> dict[str, tuple[str, str]]:
    """Verdict and message of each part; the process is begun anew after one that never ends or ends the process."""
    found: dict[str, tuple[str, str]] = {}
    context = multiprocessing.get_context("spawn")
    while names:
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=check_parts, args=(file, names, theirs), daemon=True)
        process.start()
        theirs.close()
        try:
            if fault := ours.recv():  # nothing, when it has imported what it needs
                raise InputError(fault)
            while names:
                if not ours.poll(seconds):
                    fault = f"It has not come to an end after {seconds:.0f} seconds: is there an endless loop?"
                    found[names.pop(0)] = ("not yet", fault)
                    break
                found[names.pop(0)] = ours.recv()
        except EOFError:
            found[names.pop(0)] = ("not yet", "It ended the whole process.")
        finally:
            process.kill()
            process.join()
    return found


def check_parts(file: Path, names: list[str], connection: Connection) -> None:
    """In a process of its own: send (verdict, message) of each part."""
    try:
        space = mine.run(mine.read(file), file)
    except InputError as error:
        return connection.send(str(error))
    connection.send("")
    for name in names:
        feedback = mine.PARTS[name].check(space[name])
        connection.send((feedback.verdict, feedback.message))


def whole(file: Path, options: argparse.Namespace) -> dict[str, Any]:
    """The file's segmenter beside the library's, in double precision: outputs, gradients, a training step; mIoU."""
    parts = SimpleNamespace(**mine.run(mine.read(file), file))
    recipe = recipes.get(options.recipe)
    differences = parity(parts, recipe)
    equal = max(differences.values()) < PARITY
    lines = [f"{recipe.name}, largest difference from the library, of the largest value:"]
    lines += [f"  {name:12} {value:.0e}" for name, value in differences.items()]
    report = {"differences": differences, "equal": equal, "lines": lines}
    if options.weights:
        classes = read_classes(options.data)
        model = recipes.build_model(recipe, len(classes), parts=parts)
        weights.load(model, options.weights)
        scores = evaluate(model, options.data, recipe, progress=False).scores()
        report["mIoU"] = scores.mIoU
        lines.append(f"mIoU with {options.weights.name}: {scores.mIoU:.2f}")
    return report


def parity(parts: Any, recipe: recipes.Recipe, *, num_classes: int = 12) -> dict[str, float]:
    """Largest difference of logits, loss, gradients, and parameters after a step, each of the largest value there."""
    results = []
    for source in (None, parts):
        torch.manual_seed(0)
        model = recipes.build_model(recipe, num_classes, parts=source).double()
        if results:
            model.load_state_dict(results[0]["start"])
        loss = parts.segmentation_loss if source else segmentation_loss
        results.append(one_step(model, loss, recipe.crop, num_classes))
    ours, theirs = results
    return {name: furthest(ours[name], theirs[name]) for name in ("logits", "loss", "gradients", "step")}


def one_step(model: torch.nn.Module, loss: Any, crop: int, num_classes: int) -> dict[str, dict[str, torch.Tensor]]:
    """A training step on noise: what goes in, comes out, and is left."""
    start = {name: value.clone() for name, value in model.state_dict().items()}
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randn(2, 3, crop, crop, generator=generator, dtype=torch.double)
    labels = torch.randint(num_classes, (2, crop, crop), generator=generator)
    torch.manual_seed(2)
    logits, stages = model.train()(pixels, return_stages=True)
    total = loss(logits, labels) + 0.4 * loss(stages["aux_logits"], labels)
    total.backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters()}
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    left = dict(model.state_dict())
    return {"start": start, "logits": {"": logits}, "loss": {"": total}, "gradients": gradients, "step": left}


def furthest(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> float:
    """The largest difference of two sets of tensors, as a fraction of the largest value."""
    largest = max(float(value.detach().abs().max()) for value in ours.values())
    return max(float((theirs[name] - value).detach().abs().max()) for name, value in ours.items()) / largest
