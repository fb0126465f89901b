"""The learner's own file, `notebooks/mine.py`: right answers are kept there, and used by later chapters.

A part is a top-level function or class of a fixed name. What a part needs beside it (a helper, an import) is kept
with it; a part that is not there yet is the course's, from `solution.py`. Nothing that the learner wrote is lost:
only a right answer replaces a part, and the version before the last change is in `mine_before.py`.
"""

import ast
import os
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from vitseg_lib.files import InputError

HEADER = '''"""My segmenter, part by part, in the order of the pipeline; a part comes here when its check says "right".

Edit it as you like; `vitseg grade` checks all of it. The version before the last change is mine_before.py.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn
'''
PLAIN = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign)


@dataclass(frozen=True)
class Part:
    """One part of the pipeline: its name in `mine.py`, the box of the strip it belongs to, and its exercise."""

    name: str
    chapter: str
    exercise: str

    @property
    def check(self) -> Callable:
        """The check of the part's exercise."""
        return resolve_name(f"vitseg_lib.course.exercises.{self.exercise}").check


PARTS = {
    name: Part(name, chapter, exercise)
    for chapter, name, exercise in (
        ("01_ade20k", "labels_from_file", "ade20k:shift"),
        ("01_ade20k", "class_fractions", "ade20k:fractions"),
        ("02_augmentation", "flip_both", "augmentation:flip_both"),
        ("02_augmentation", "choose_window", "augmentation:choose_window"),
        ("02_augmentation", "normalise_and_pad", "augmentation:normalise_and_pad"),
        ("02_augmentation", "train_transform", "augmentation:pipeline"),
        ("03_patches", "PatchEmbedding", "patches:patch_embedding"),
        ("03_patches", "resize_pos_embed", "patches:resize_position"),
        ("04_attention", "SelfAttention", "attention:self_attention"),
        ("05_encoder", "LayerNorm", "encoder:norm"),
        ("05_encoder", "MLP", "encoder:mlp"),
        ("05_encoder", "DropPath", "encoder:stochastic_depth"),
        ("05_encoder", "Block", "encoder:block"),
        ("05_encoder", "Encoder", "encoder:encoder"),
        ("06_neck", "NeckBranch", "neck:neck_branch"),
        ("06_neck", "MultiLevelNeck", "neck:multi_level_neck"),
        ("07_upernet", "ConvBlock", "upernet:conv_block"),
        ("07_upernet", "PyramidPooling", "upernet:pyramid_pooling"),
        ("07_upernet", "top_down", "upernet:top_down"),
        ("07_upernet", "UPerHead", "upernet:uper_head"),
        ("07_upernet", "FCNHead", "upernet:fcn_head"),
        ("07_upernet", "Segmenter", "upernet:segmenter"),
        ("08_loss_and_metrics", "segmentation_loss", "loss_and_metrics:whole_loss"),
        ("08_loss_and_metrics", "confusion_matrix", "loss_and_metrics:confusion"),
        ("08_loss_and_metrics", "iou_and_mean", "loss_and_metrics:iou"),
        ("09_training", "parameter_groups", "training:groups"),
        ("09_training", "learning_rate", "training:rate"),
    )
}


BOXES = {  # of the strip, by chapter
    "01_ade20k": "ade20k",
    "02_augmentation": "transforms",
    "03_patches": "patches",
    "04_attention": "attention",
    "05_encoder": "encoder",
    "06_neck": "neck",
    "07_upernet": "upernet",
    "08_loss_and_metrics": "loss",
    "09_training": "training",
}


def boxes(right: Sequence[str]) -> dict[str, str]:
    """Each box of the strip, and how much of it is the learner's: "all", "some" or "none" of its parts."""
    found = {}
    for chapter, box in BOXES.items():
        own = [name for name, part in PARTS.items() if part.chapter == chapter]
        count = sum(name in right for name in own)
        found[box] = "all" if count == len(own) else "some" if count else "none"
    return found


def strip_text(right: Sequence[str]) -> str:
    """The strip as a line of text, the learner's boxes filled."""
    marks = {"all": "■", "some": "◧", "none": "□"}
    return " → ".join(f"{marks[much]} {box}" for box, much in boxes(right).items())


def path() -> Path:
    """Where the learner's file is: `$VITSEG_MINE`, or `notebooks/mine.py`; it need not exist."""
    return Path(os.environ.get("VITSEG_MINE") or Path(__file__).parents[2] / "notebooks" / "mine.py")


# Reading it


def read(file: Path) -> str:
    """The file's text, "" if there is none. InputError if it is not text, or not Python that defines things only."""
    if not file.exists():
        return ""
    try:
        text = file.read_text(encoding="utf-8")
        tree = ast.parse(text)
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise InputError(f"{file} cannot be read as text ({error}): repair it, or move it away.") from error
    except SyntaxError as error:
        fault = f"{file}, line {error.lineno}: this is not Python ({error.msg})"
        raise InputError(f"{fault}. Repair it, or go back to {before(file).name}.") from error
    for node in tree.body:
        documents = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if not (isinstance(node, PLAIN) or documents):
            raise InputError(
                f"{file}, line {node.lineno}: only imports, functions, classes and constants belong at the top level "
                "of this file; move the line into a function, or into a notebook."
            )
    return text


def before(file: Path) -> Path:
    """The file that holds the version before the last change."""
    return file.with_name(f"{file.stem}_before{file.suffix}")


def run(text: str, file: Path) -> dict[str, Any]:
    """Execute the text; its names, and the course's parts under names that it does not define. InputError."""
    from vitseg_lib.course import solution

    module = types.ModuleType("mine")
    module.__dict__.update({name: getattr(solution, name) for name in PARTS}, __file__=str(file))
    try:
        exec(compile(text, str(file), "exec"), module.__dict__)
    except Exception as error:
        raise InputError(f"{file} does not import ({type(error).__name__}: {error}): repair it.") from error
    return module.__dict__


def defined(text: str) -> list[str]:
    """The names of the parts that the text defines, in the pipeline's order."""
    there = {node.name for node in ast.parse(text).body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    return [name for name in PARTS if name in there]


def right() -> list[str]:
    """The parts that are in the learner's file and right; none where the file cannot be used."""
    try:
        text = read(path())
        space = run(text, path()) if text else {}
    except InputError:
        return []
    return [name for name in defined(text) if PARTS[name].check(space[name]).verdict == "right"]


def parts(*names: str) -> Any:
    """The parts of these names, one or a tuple: the learner's where there is a right one, else the course's.

    A line says which are whose; what is in the file and wrong is named there, with its mistake.
    """
    from vitseg_lib.course import solution

    theirs, faults, yours = {}, [], []
    try:
        text = read(path())
        names_there = defined(text)
        theirs = run(text, path()) if names_there else {}
    except InputError as error:
        faults, names_there = [str(error)], []
    found = []
    for name in names:
        found.append(getattr(solution, name))
        if name in names_there:
            feedback = PARTS[name].check(theirs[name])
            if feedback.verdict == "right":
                found[-1] = theirs[name]
                yours.append(name)
            else:
                faults.append(f"your {name} in {path().name} is not right: {feedback.message}")
    rest = [name for name in names if name not in yours]
    said = [f"{whose}: {', '.join(few)}" for whose, few in (("yours", yours), ("the course's", rest)) if few]
    print("\n".join([" · ".join(said), *faults]))
    return found[0] if len(found) == 1 else tuple(found)
