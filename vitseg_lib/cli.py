"""The command line: `vitseg recipes | data | train | evaluate | predict | convert`.

Bad input gets one sentence and exit status 2, never a traceback. Heavy imports wait until a command needs them.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from vitseg_lib import commands
from vitseg_lib.files import InputError

EXAMPLES = {
    "recipes": "vitseg recipes --runs runs",
    "data": "vitseg data toy --out my_scenes\n  vitseg data ade20k\n  vitseg data check data/toy_scenes",
    "train": "vitseg train toy --data data/toy_scenes --out runs/toy --seed 1",
    "evaluate": "vitseg evaluate toy --weights data/weights/toy.safetensors --data data/toy_scenes --json result.json\n"
    "  vitseg evaluate deit_s16_160k --weights published --data data/ADEChallengeData2016 --ms-flip",
    "predict": "vitseg predict photo.jpg --recipe toy --weights data/weights/toy.safetensors --out predictions",
    "convert": "vitseg convert toy --weights data/weights/toy.safetensors --to mmseg --out toy_mmseg.pth",
}
OUT_OF_MEMORY = "out of memory; use a smaller image or batch."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 when it worked, 2 for bad input, 130 when stopped."""
    options = build_parser().parse_args(arguments)
    try:
        return options.run(options) or 0
    except InputError as error:
        print(f"vitseg: error: {error}", file=sys.stderr)
        return 2
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and "memory" not in str(error):  # torch has no class for the CPU's
            raise
        print(f"vitseg: error: {OUT_OF_MEMORY}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        return 0
    except KeyboardInterrupt:
        print("vitseg: stopped", file=sys.stderr)
        return 130


def build_parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    parser = argparse.ArgumentParser(
        prog="vitseg",
        description="Train, evaluate and use Vision Transformers for semantic segmentation.",
        epilog="`vitseg COMMAND --help` shows a command's options and an example.",
    )
    add = _adder(parser.add_subparsers(metavar="COMMAND", required=True))

    recipes = add("recipes", commands.show_recipes, "the table: sizes, published figures, what was run here")
    recipes.add_argument("--runs", type=Path, default=Path("runs"), help="folder of run folders to read results from")

    data = add("data", commands.make_data, "make, fetch or check a data set")
    data.add_argument("what", choices=("toy", "ade20k", "check"), help="draw toy scenes, fetch ADE20K, or check ROOT")
    data.add_argument("root", nargs="?", type=Path, metavar="ROOT", help="the data set to check")
    data.add_argument("--out", type=Path, help="where to put it (default: data/toy_scenes or data)")
    data.add_argument("--check", action="store_true", help="verify what is at --out instead of making it")
    data.add_argument("--deep", action="store_true", help="while checking, also read every label")

    train = add("train", commands.train, "train a recipe on a data set")
    _recipe(train)
    _data(train)
    train.add_argument("--out", type=Path, required=True, metavar="RUN", help="the run folder to make")
    train.add_argument("--iterations", type=_positive, help="length of the whole run (default: the recipe's)")
    train.add_argument("--batch-size", type=_positive, help="images a step (default: the recipe's)")
    train.add_argument("--evaluate-every", type=_positive, help="steps between evaluations and checkpoints")
    train.add_argument("--pretrained", help="timm tag or file for the encoder, or `none` (default: the recipe's)")
    train.add_argument("--seed", type=_natural, default=0, help="what random numbers start from (default: 0)")
    train.add_argument("--resume", action="store_true", help="go on with the run in --out, exactly")
    _machine(train)

    evaluate = add("evaluate", commands.evaluate, "mIoU, mAcc and aAcc on a data set's validation split")
    _recipe(evaluate)
    _weights(evaluate)
    _data(evaluate)
    mode = evaluate.add_mutually_exclusive_group()
    mode.add_argument("--ms-flip", action="store_true", help="mean over six scales, plain and flipped")
    mode.add_argument("--slide", action="store_true", help="sliding window instead of the whole image")
    evaluate.add_argument("--split", choices=("validation", "training"), default="validation")
    evaluate.add_argument("--limit", type=_positive, metavar="N", help="only the first N images")
    evaluate.add_argument("--json", type=Path, metavar="FILE", help="write the result there")
    _machine(evaluate)

    predict = add("predict", commands.predict, "label photographs of any size and kind")
    predict.add_argument("images", nargs="+", type=Path, metavar="IMAGE")
    predict.add_argument("--recipe", required=True, metavar="RECIPE", help="a name that `vitseg recipes` lists")
    _weights(predict)
    predict.add_argument("--out", type=Path, required=True, metavar="DIR", help="gets NAME.png and NAME_overlay.png")
    predict.add_argument("--classes", type=Path, metavar="ROOT", help="data set whose classes the weights know")
    predict.add_argument("--ms-flip", action="store_true", help="mean over six scales, plain and flipped")
    predict.add_argument("--overwrite", action="store_true", help="replace files that exist in --out")
    _machine(predict)

    convert = add("convert", commands.convert, "write weights under the names other tools know, or in half the bytes")
    _recipe(convert)
    _weights(convert)
    convert.add_argument("--to", choices=("mmseg", "timm", "half"), required=True, help="whose names; half: ours")
    convert.add_argument("--out", type=Path, help="file to write (default: RECIPE_mmseg.pth and so on)")
    return parser


def _adder(subparsers: argparse._SubParsersAction) -> Callable[..., argparse.ArgumentParser]:
    """A function that adds a command with its help and its example."""

    def add(name: str, run: Callable[[argparse.Namespace], int | None], text: str) -> argparse.ArgumentParser:
        command = subparsers.add_parser(
            name,
            help=text,
            description=f"{text[0].upper() if text[1].islower() else text[0]}{text[1:]}.",
            epilog=f"example:\n  {EXAMPLES[name]}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.set_defaults(run=run)
        return command

    return add


def _recipe(command: argparse.ArgumentParser) -> None:
    command.add_argument("recipe", metavar="RECIPE", help="a name that `vitseg recipes` lists")


def _weights(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--weights",
        required=True,
        metavar="FILE|published|random",
        help="safetensors of ours, a checkpoint of mmsegmentation's, or the recipe's published one (fetched)",
    )


def _data(command: argparse.ArgumentParser) -> None:
    command.add_argument("--data", type=Path, required=True, metavar="ROOT", help="a folder in ADE20K's layout")


def _machine(command: argparse.ArgumentParser) -> None:
    command.add_argument("--device", help="cpu, cuda, cuda:1, mps … (default: the best there is)")
    command.add_argument(
        "--workers", type=_natural, help="processes that read images (default: 0 on a CPU, else up to 8)"
    )
    command.add_argument("--no-progress", action="store_true", help="no progress bars")


def _positive(text: str) -> int:
    return _at_least(1, text)


def _natural(text: str) -> int:
    return _at_least(0, text)


def _at_least(least: int, text: str) -> int:
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of {least} or more")
    return int(text)
