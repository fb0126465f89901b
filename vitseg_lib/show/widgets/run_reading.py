"""What the training watch reads of a run: its settings, what is new in its log, and what its model predicts."""

import io
import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import nn

from vitseg_lib.data.ade20k import read_classes
from vitseg_lib.engine import training
from vitseg_lib.engine.inference import predict
from vitseg_lib.files import InputError, atomic_path
from vitseg_lib.recipes import Recipe
from vitseg_lib.show.colours import overlay

POINT = ("step", "loss", "lr")  # what is sent of a line of the log, as float32
POINT_BYTES = 4 * len(POINT)
WIDEST = 320  # pixels of a prediction that is kept


class LogTail:
    """The lines that were added to a log.jsonl since the last look."""

    def __init__(self, path: Path):
        self.path, self._offset, self._lines = path, 0, 0
        self._file: tuple[int, int] | None = None  # which file it was: a resumed run writes a new one

    def read(self) -> tuple[bool, list[dict[str, Any]]]:
        """Whether the log began again, and its new lines; a last one that is not whole yet is left for later.

        Raises `InputError` for a line that is no step's.
        """
        try:
            with self.path.open("rb") as file:
                found = os.fstat(file.fileno())
                again = (found.st_dev, found.st_ino) != self._file or found.st_size < self._offset
                if again:
                    self._file, self._offset, self._lines = (found.st_dev, found.st_ino), 0, 0
                file.seek(self._offset)
                new = file.read()
        except FileNotFoundError:
            again, self._file = self._file is not None, None
            return again, []
        whole = new[: new.rfind(b"\n") + 1]
        lines = [self._parse(number, line) for number, line in enumerate(whole.splitlines(), self._lines + 1)]
        self._offset += len(whole)
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
    """What a model in training makes of one image, every so many steps and at the end."""

    def __init__(
        self, recipe: Recipe, root: str | Path, image: np.ndarray, every: int, build: Callable[..., nn.Module] | None
    ):
        self.recipe, self.image, self.every, self.classes = recipe, image, every, read_classes(root)
        self._build, self._model = build or training.starting_model, None

    def build(self, *arguments: Any, **options: Any) -> nn.Module:
        """Build the model as it would be built, and remember it."""
        self._model = self._build(*arguments, **options)
        return self._model

    def take(self, folder: Path, line: dict[str, Any]) -> None:
        """After a step: write the prediction to `folder`, if its turn has come; the model stays as it was."""
        step = line["step"]
        if step % self.every and step != self.recipe.iterations:
            return
        was_training = self._model.training
        self._model.eval()
        try:
            labels = predict(self._model, self.image, self.recipe)
        finally:
            self._model.train(was_training)
        with atomic_path(folder / f"{step:06d}.png", overwrite=True) as temporary:
            temporary.write_bytes(png(overlay(self.image, labels, self.classes, alpha=0.75)))


def png(image: np.ndarray) -> bytes:
    """A PNG file of an image, uint8 (H, W, 3), that is no wider than it has to be."""
    picture = Image.fromarray(image)
    picture.thumbnail((WIDEST, WIDEST))
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def words_of(name: str, points: bytes, scores: list[list[float]]) -> str:
    """What there is to see in a run's plots and how they are used; `points` as they are sent."""
    values = np.frombuffer(points, np.float32).reshape(-1, len(POINT))
    if not len(values):
        return f"Loss, learning rate and mIoU of {name} by step. No step yet."
    score = f" Mean IoU {scores[-1][1]:.0f} percent at step {scores[-1][0]}." if scores else ""
    return (
        f"Loss, learning rate and mIoU of {name} by step, up to step {values[-1, 0]:.0f}: the loss went from "
        f"{values[0, 1]:.2f} to {values[-1, 1]:.2f}.{score} A slider below moves through the steps by the arrow keys, "
        "and the values of its step are read out; the button before it plays the run."
    )
