"""What the training watch reads of a run: its settings, what is new in its log, and what its model predicts."""

import io
import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import nn

from vitseg_lib.course.figures.colours import overlay
from vitseg_lib.data.classes import read_classes
from vitseg_lib.engine import training
from vitseg_lib.engine.checkpoints import RunSettings
from vitseg_lib.engine.inference import predict
from vitseg_lib.files import InputError, atomic_path

POINT = ("step", "loss", "lr")  # what is sent of a line of the log, as float32
POINT_BYTES = 4 * len(POINT)
WIDEST = 320  # pixels per side of a prediction that is kept


class LogTail:
    """The lines that were added to a log.jsonl since the last look."""

    def __init__(self, path: Path):
        self.path, self._offset, self._lines = path, 0, 0
        self._file: tuple[int, int] | None = None  # which file it was: a resumed run writes a new one

    def read(self) -> tuple[bool, list[dict[str, Any]]]:
        """Whether the log began again, and its new lines; a last one that is not complete yet is left for later.

        Raises `InputError` for a line that is no step's.
        """
        try:
            with self.path.open("rb") as file:
                stat = os.fstat(file.fileno())
                again = (stat.st_dev, stat.st_ino) != self._file or stat.st_size < self._offset
                if again:
                    self._file, self._offset, self._lines = (stat.st_dev, stat.st_ino), 0, 0
                file.seek(self._offset)
                new = file.read()
        except FileNotFoundError:
            again, self._file = self._file is not None, None
            return again, []
        complete = new[: new.rfind(b"\n") + 1]
        lines = [self._parse(number, line) for number, line in enumerate(complete.splitlines(), self._lines + 1)]
        self._offset += len(complete)
        self._lines += len(lines)
        return again, lines

    def _parse(self, number: int, line: bytes) -> dict[str, Any]:
        try:
            values = json.loads(line)
            known: dict[str, Any] = {key: float(values[key]) for key in POINT} | {"step": int(values["step"])}
            score = float(values.get("mIoU", math.nan))
            return known | ({"mIoU": score} if math.isfinite(score) else {})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{self.path} is damaged in line {number}, which is no step's: remove that line, or watch another run."
            ) from error


def recipe_of(folder: Path) -> tuple[str, int]:
    """Name and number of steps of the recipe that a run folder was started with; 0 steps if it does not say."""
    try:
        recipe = json.loads((folder / "run.json").read_text(encoding="utf-8"))["recipe"]
        return str(recipe["name"]), int(recipe["iterations"])
    except (OSError, ValueError, KeyError, TypeError):
        return folder.resolve().name, 0


class Snapshots:
    """A model in training, and its prediction of one image every so many steps and at the end."""

    def __init__(self, settings: RunSettings, image: np.ndarray, every: int):
        self.settings, self.image, self.every = settings, image, every
        self.classes = read_classes(settings.data)
        self.model: nn.Module | None = None

    def build(self, resume: bool) -> nn.Module:
        """The model that the run starts from, as it would be without snapshots."""
        recipe = self.settings.recipe
        pretrained = None if resume else recipe.pretrained
        self.model = training.starting_model(recipe, len(self.classes), seed=self.settings.seed, pretrained=pretrained)
        return self.model

    def take(self, line: dict[str, Any]) -> None:
        """After a step: write the prediction to the run folder, if its turn has come; the model stays as it was."""
        step, recipe = line["step"], self.settings.recipe
        if step % self.every and step != recipe.iterations:
            return
        was_training = self.model.training
        self.model.eval()
        try:
            labels = predict(self.model, self.image, recipe)
        finally:
            self.model.train(was_training)
        path = Path(self.settings.out) / "predictions" / f"{step:06d}.png"
        with atomic_path(path, overwrite=True) as temporary:
            temporary.write_bytes(png(overlay(self.image, labels, self.classes, alpha=0.75)))


def png(image: np.ndarray) -> bytes:
    """A PNG file of an image, uint8 (H, W, 3), that is no wider than it has to be."""
    thumbnail = Image.fromarray(image)
    thumbnail.thumbnail((WIDEST, WIDEST))
    buffer = io.BytesIO()
    thumbnail.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def describe(name: str, points: bytes, scores: list[list[float]]) -> str:
    """What a run's plots show and how they are used; `points` as they are sent."""
    values = np.frombuffer(points, np.float32).reshape(-1, len(POINT))
    if not len(values):
        return f"Loss, learning rate and mIoU of {name} by step. No step yet."
    score = f" Mean IoU {scores[-1][1]:.0f} percent at step {scores[-1][0]}." if scores else ""
    return (
        f"Loss, learning rate and mIoU of {name} by step, up to step {values[-1, 0]:.0f}: the loss went from "
        f"{values[0, 1]:.2f} to {values[-1, 1]:.2f}.{score} A slider below moves through the steps by the arrow keys, "
        "and the values of its step are read out; the button before it replays the run."
    )
