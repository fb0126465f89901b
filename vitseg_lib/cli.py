"""The command line: `vitseg recipes | data | train | evaluate | reproduce | predict | convert | export`.

Bad input gets one sentence and exit status 2, never a traceback. Heavy imports wait until a command needs them.
"""

import argparse
import errno
import re
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from vitseg_lib.files import WRITE_FAULTS, InputError

EXAMPLES = {
    "recipes": "vitseg recipes --runs runs",
    "data": "vitseg data toy --out my_scenes\n  vitseg data ade20k\n  vitseg data check data/toy_scenes",
    "train": "vitseg train toy --data data/toy_scenes --out runs/toy --seed 1\n"
    "  vitseg train deit_s16_160k --data data/ADEChallengeData2016 --out runs/deit_s16 --precision bf16 --compile\n"
    "  torchrun --nproc-per-node 8 -m vitseg_lib train deit_s16_160k --data data/ADEChallengeData2016 --out runs/d8",
    "evaluate": "vitseg evaluate toy --weights data/weights/toy.safetensors --data data/toy_scenes --json result.json\n"
    "  vitseg evaluate deit_s16_160k --weights published --data data/ADEChallengeData2016 --ms-flip",
    "reproduce": "vitseg reproduce deit_s16_160k deit_b16_160k --ms-flip\n  vitseg reproduce",
    "predict": "vitseg predict photo.jpg --recipe toy --weights data/weights/toy.safetensors --out predictions",
    "convert": "vitseg convert toy --weights data/weights/toy.safetensors --to mmseg --out toy_mmseg.pth",
    "export": "vitseg export toy --weights data/weights/toy.safetensors --to onnx --out toy.onnx",
    "grade": "vitseg grade\n  vitseg grade my_file.py --json grade.json",
}
WORKER_DIED = (
    "a process that reads images {}: free some memory or use fewer --workers; --resume continues a run from its last "
    "checkpoint."
)
OUT_OF_MEMORY = "out of memory; use a smaller image or batch."
MEMORY = re.compile("out of memory|allocate memory|enough memory|memory object")  # torch has no class for the CPU's
WORKER = re.compile(r"DataLoader worker.*?(is killed by signal: [\w ]+|exited unexpectedly)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 when it worked, 2 for bad input, 130 when stopped."""
    options = build_parser().parse_args(arguments)
    try:
        return resolve_name(f"vitseg_lib.{options.run}")(options) or 0
    except (InputError, MemoryError, OSError, EOFError, RuntimeError) as error:
        if isinstance(error, BrokenPipeError) and not is_from_multiprocessing(error):  # `vitseg … | head`
            return 0
        sentence = explained(error)
        if sentence is None:
            raise
        line = "".join(char if char.isprintable() else "?" for char in sentence.replace("\n", " "))
        print(f"vitseg: error: {line}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("vitseg: stopped", file=sys.stderr)
        return 130


def explained(error: Exception) -> str | None:
    """The sentence for an error that is no bug of ours, or None."""
    if isinstance(error, InputError):
        return str(error)
    if is_from_multiprocessing(error):
        return WORKER_DIED.format("died")
    if isinstance(error, OSError) and error.filename and error.strerror:  # met where nobody expected it
        return f"{error.filename} cannot be used ({error.strerror}): check the path and its permissions."
    if isinstance(error, OSError):
        fault = WRITE_FAULTS.get(errno.errorcode.get(error.errno, ""))
        return fault and f"A file could not be written: {fault}."
    if found := WORKER.search(str(error)):
        return WORKER_DIED.format(found[1])
    return OUT_OF_MEMORY if isinstance(error, MemoryError) or MEMORY.search(str(error)) else None


def is_from_multiprocessing(error: Exception) -> bool:
    """Whether a connection to a worker broke: that it died shows here sooner than PyTorch says so."""
    modules = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)]
    broken = isinstance(error, (ConnectionError, EOFError))
    return broken and any(module.startswith("multiprocessing") for module in modules)


def whole(least: int, most: int) -> dict[str, Any]:
    """Settings of an option that takes a whole number within bounds."""

    def read(text: str) -> int:
        if text.isdecimal() and len(text) <= 20 and least <= int(text) <= most:
            return int(text)
        raise argparse.ArgumentTypeError(f"{text[:30]} is not a whole number of {least} or more, up to {most:,}")

    return {"type": read, "metavar": "N"}


COUNT, FLAG, PATH = whole(1, 10**12), {"action": "store_true"}, {"type": Path}
RECIPE = {"metavar": "RECIPE", "help": "a name that `vitseg recipes` lists"}
ROOT = PATH | {"metavar": "ROOT", "help": "a data set in ADE20K's layout"}
MODE = {"dest": "mode", "action": "store_const", "default": "whole"}

# Every option once; "COMMAND --option" where a command means something else by it than the others.
OPTIONS: dict[str, dict[str, Any]] = {
    "recipe": RECIPE,
    "recipes": RECIPE | {"nargs": "*", "help": "published recipes (default: all of them)"},
    "images": PATH | {"nargs": "+", "metavar": "IMAGE", "help": "photographs of any size and kind"},
    "what": {"choices": ("toy", "ade20k", "check"), "help": "draw toy scenes, fetch ADE20K, or check ROOT"},
    "file": PATH | {"nargs": "?", "help": "the file to check (default: notebooks/mine.py)"},
    "root": ROOT | {"nargs": "?", "help": "the data set to check"},
    "--recipe": RECIPE | {"required": True},
    "--data": ROOT | {"required": True},
    "reproduce --data": ROOT | {"default": Path("data/ADEChallengeData2016")},
    "grade --recipe": {"default": "toy", "metavar": "RECIPE", "help": "whose sizes it is built with (default: toy)"},
    "grade --data": ROOT | {"default": Path("data/toy_scenes"), "help": "what mIoU is of (default: data/toy_scenes)"},
    "grade --weights": PATH | {"default": Path("data/weights/toy.safetensors"), "help": "default: the trained toy's"},
    "--classes": ROOT | {"help": "data set whose classes the weights know"},
    "--weights": {
        "required": True,
        "metavar": "FILE|published|random",
        "help": "safetensors of ours, a checkpoint of mmsegmentation's, or the recipe's published one (fetched)",
    },
    "--runs": PATH | {"default": Path("runs"), "help": "folder of run folders to read results from"},
    "data --out": PATH | {"help": "where to put it (default: data/toy_scenes or data/ADEChallengeData2016)"},
    "train --out": PATH | {"required": True, "metavar": "RUN", "help": "the run folder to make"},
    "reproduce --out": PATH
    | {"metavar": "DIR", "default": Path("benchmarks/results/reproduced"), "help": "gets RECIPE.json"},
    "predict --out": PATH | {"required": True, "metavar": "DIR", "help": "gets NAME.png and NAME_overlay.png"},
    "convert --out": PATH | {"help": "file to write (default: RECIPE_mmseg.pth and so on)"},
    "export --out": PATH | {"help": "file to write (default: RECIPE.onnx or RECIPE.pt2)"},
    "convert --to": {"choices": ("mmseg", "timm", "half"), "required": True, "help": "whose names; half: ours"},
    "export --to": {"choices": ("onnx", "torch"), "required": True, "help": "ONNX, or PyTorch's own .pt2"},
    "--check": FLAG | {"help": "verify what is at --out instead of making it"},
    "--deep": FLAG | {"help": "while checking, also read every label"},
    "--iterations": COUNT | {"help": "length of the whole run (default: the recipe's)"},
    "--batch-size": whole(1, 2**16) | {"help": "images per step (default: the recipe's)"},
    "--evaluate-every": COUNT | {"help": "steps between evaluations (default: the recipe's)"},
    "--pretrained": {"help": "timm tag or file for the encoder, or `none` (default: the recipe's)"},
    "--seed": whole(0, 2**64 - 1) | {"default": 0, "help": "seed of all random numbers (default: 0)"},
    "--resume": FLAG | {"help": "continue the run in --out exactly"},
    "--accumulate": COUNT | {"default": 1, "help": "micro-batches per step (gradient accumulation)"},
    "--checkpoint-every": COUNT | {"default": 1000, "help": "steps between checkpoints (default: 1000)"},
    "--compile": FLAG | {"help": "torch.compile the training step (GPUs only)"},
    "--deterministic": FLAG | {"help": "bit-identical runs on a GPU too, more slowly"},
    "--cache": PATH | {"metavar": "FOLDER", "help": "keep training images decoded there (ADE20K's take 27 GB)"},
    "--tensorboard": FLAG | {"help": "write the log for TensorBoard as well"},
    "--ms-flip": MODE | {"const": "ms_flip", "help": "mean over six scales, plain and flipped"},
    "--slide": MODE | {"const": "slide", "help": "sliding window instead of the whole image"},
    "--split": {"choices": ("validation", "training"), "default": "validation", "help": "default: validation"},
    "--limit": COUNT | {"help": "only the first N images"},
    "--json": PATH | {"metavar": "FILE", "help": "write the result there"},
    "--save-predictions": PATH | {"metavar": "DIR", "help": "keep each image's labels as DIR/NAME.png"},
    "--overwrite": FLAG | {"help": "replace output files that exist"},
    "--precision": {
        "choices": ("fp32", "bf16", "fp16"),  # engine.precision's, which would import torch
        "default": "fp32",
        "help": "autocast dtype of matmuls and convolutions (default: fp32)",
    },
    "--device": {"help": "cpu, cuda, cuda:1, mps … (default: the best there is)"},
    "--workers": whole(0, 256) | {"help": "processes that read images (default: 0 on a CPU, else up to 8)"},
    "--no-progress": FLAG | {"help": "no progress bars"},
}
MACHINE = "--device --workers --no-progress"
SCORING = f"--split --limit --save-predictions --overwrite --precision {MACHINE}"
RUN = (
    "--iterations --batch-size --evaluate-every --pretrained --seed --resume --accumulate --checkpoint-every --compile "
    "--deterministic --cache --tensorboard"
)


def build_parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    parser = argparse.ArgumentParser(
        prog="vitseg",
        description="Train, evaluate and use Vision Transformers for semantic segmentation.",
        epilog="`vitseg COMMAND --help` shows a command's options and an example.",
    )
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(name: str, run: str, text: str, options: str) -> None:
        command = subparsers.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            epilog=f"example:\n  {EXAMPLES[name]}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.set_defaults(run=run if run.startswith("course.") else f"commands.{run}")
        modes = command.add_mutually_exclusive_group() if "--ms-flip" in options else None
        for flag in options.split():
            settings = OPTIONS.get(f"{name} {flag}") or OPTIONS[flag]
            (modes if settings.get("dest") == "mode" else command).add_argument(flag, **settings)

    train = f"recipe --data --out {RUN} --precision {MACHINE}"
    evaluate = f"recipe --weights --data --ms-flip --slide --json {SCORING}"
    reproduce = f"recipes --data --ms-flip --out {SCORING}"
    predict = f"images --recipe --weights --out --classes --ms-flip --overwrite {MACHINE}"
    write = "recipe --weights --to --out"
    add("recipes", "using:show_recipes", "list the recipes: sizes, published figures, what was run here", "--runs")
    add("data", "data:make_data", "make, fetch or check a data set", "what root --out --check --deep")
    add("train", "running:train", "train a recipe on a data set", train)
    add("evaluate", "running:evaluate", "score weights on a data set: mIoU, mAcc and aAcc", evaluate)
    add("reproduce", "running:reproduce", "fetch published weights, evaluate them, print ours beside theirs", reproduce)
    add("predict", "using:predict", "label photographs of any size and kind", predict)
    add("convert", "using:convert", "write weights under the names other tools know, or in half precision", write)
    add("export", "using:export", "write the model for other programs: ONNX or torch.export", write)
    text = "check the learner's own file: its parts, the whole model beside the library's, mIoU"
    add("grade", "course.grade:grade", text, "file --recipe --weights --data --json")
    return parser
