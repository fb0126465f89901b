"""The command line: `vitseg recipes | data | train | evaluate | reproduce | predict | convert | export`.

Bad input gets one sentence and exit status 2, never a traceback. Heavy imports wait until a command needs them.
"""

import argparse
import errno
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from vitseg_lib.commands import data, listing, running, using
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
}
WORKER_DIED = (
    "a process that reads images {}: free some memory or use fewer --workers; a run goes on where its last "
    "checkpoint was by --resume."
)
OUT_OF_MEMORY = "out of memory; use a smaller image or batch."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 when it worked, 2 for bad input, 130 when stopped."""
    options = build_parser().parse_args(arguments)
    try:
        return options.run(options) or 0
    except (InputError, MemoryError, OSError, EOFError, RuntimeError) as error:
        if isinstance(error, BrokenPipeError) and not met_talking_to_a_worker(error):  # `vitseg … | head`
            return 0
        sentence = explained(error)
        if sentence is None:
            raise
        print(f"vitseg: error: {on_one_line(sentence)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("vitseg: stopped", file=sys.stderr)
        return 130


def explained(error: Exception) -> str | None:
    """The sentence for a fault that is none of ours, or None."""
    if isinstance(error, InputError):
        return str(error)
    if met_talking_to_a_worker(error):
        return WORKER_DIED.format("died")
    if isinstance(error, OSError) and error.filename and error.strerror:  # met where nobody expected it
        return f"{error.filename} cannot be used ({error.strerror}): check the path and its permissions."
    if isinstance(error, OSError):
        fault = WRITE_FAULTS.get(errno.errorcode.get(error.errno, ""))
        return fault and f"A file could not be written: {fault}."
    if found := re.search(r"DataLoader worker.*?(is killed by signal: [\w ]+|exited unexpectedly)", str(error)):
        return WORKER_DIED.format(found[1])
    if isinstance(error, MemoryError) or "memory" in str(error):  # torch has no class for the CPU's
        return OUT_OF_MEMORY
    return None


def met_talking_to_a_worker(error: Exception) -> bool:
    """Whether a connection broke inside multiprocessing, which tells of a dead worker sooner than PyTorch does."""
    rooms = (frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__))
    broken = isinstance(error, (ConnectionError, EOFError))
    return broken and any(room.startswith("multiprocessing") for room in rooms)


def on_one_line(text: str) -> str:
    """The text without line breaks and other control characters, which names of files may hold."""
    return "".join(sign if sign.isprintable() else "?" for sign in text.replace("\n", " "))


def build_parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    parser = argparse.ArgumentParser(
        prog="vitseg",
        description="Train, evaluate and use Vision Transformers for semantic segmentation.",
        epilog="`vitseg COMMAND --help` shows a command's options and an example.",
    )
    add = _adder(parser.add_subparsers(metavar="COMMAND", required=True))

    table = add("recipes", listing.show_recipes, "the table: sizes, published figures, what was run here")
    table.add_argument("--runs", type=Path, default=Path("runs"), help="folder of run folders to read results from")

    fetch = add("data", data.make_data, "make, fetch or check a data set")
    fetch.add_argument("what", choices=("toy", "ade20k", "check"), help="draw toy scenes, fetch ADE20K, or check ROOT")
    fetch.add_argument("root", nargs="?", type=Path, metavar="ROOT", help="the data set to check")
    fetch.add_argument("--out", type=Path, help="where to put it (default: data/toy_scenes or data)")
    fetch.add_argument("--check", action="store_true", help="verify what is at --out instead of making it")
    fetch.add_argument("--deep", action="store_true", help="while checking, also read every label")

    train = add("train", running.train, "train a recipe on a data set")
    _recipe(train)
    _data(train)
    train.add_argument("--out", type=Path, required=True, metavar="RUN", help="the run folder to make")
    train.add_argument("--iterations", type=_positive, help="length of the whole run (default: the recipe's)")
    train.add_argument("--batch-size", type=_batch, help="images a step (default: the recipe's)")
    train.add_argument("--evaluate-every", type=_positive, help="steps between evaluations and checkpoints")
    train.add_argument("--pretrained", help="timm tag or file for the encoder, or `none` (default: the recipe's)")
    train.add_argument("--seed", type=_seed, default=0, help="what random numbers start from (default: 0)")
    train.add_argument("--resume", action="store_true", help="go on with the run in --out, exactly")
    train.add_argument("--accumulate", type=_positive, default=1, metavar="N", help="pass a batch in N pieces")
    train.add_argument("--checkpoint-every", type=_positive, default=1000, metavar="N", help="steps (default: 1000)")
    train.add_argument("--compile", action="store_true", help="let torch.compile make the step faster")
    train.add_argument("--deterministic", action="store_true", help="repeat to the bit on a GPU too, more slowly")
    train.add_argument(
        "--cache",
        type=Path,
        metavar="FOLDER",
        help="keep the decoded training images there (ADE20K's take 27 GB) and read them instead from then on",
    )
    train.add_argument("--tensorboard", action="store_true", help="write the log for TensorBoard as well")
    _precision(train)
    _machine(train)

    evaluate = add("evaluate", running.evaluate, "mIoU, mAcc and aAcc on a data set's validation split")
    _recipe(evaluate)
    _weights(evaluate)
    mode = evaluate.add_mutually_exclusive_group()
    mode.add_argument("--ms-flip", action="store_true", help="mean over six scales, plain and flipped")
    mode.add_argument("--slide", action="store_true", help="sliding window instead of the whole image")
    evaluate.add_argument("--json", type=Path, metavar="FILE", help="write the result there")
    _scoring(evaluate)

    reproduce = add("reproduce", running.reproduce, "fetch published weights, evaluate them, print ours beside theirs")
    reproduce.add_argument("recipes", nargs="*", metavar="RECIPE", help="published recipes (default: all of them)")
    reproduce.add_argument("--ms-flip", action="store_true", help="also the mean over six scales, plain and flipped")
    reproduce.add_argument("--out", type=Path, default=Path("benchmarks/results/reproduced"), metavar="DIR")
    _scoring(reproduce, Path("data/ADEChallengeData2016"))

    predict = add("predict", using.predict, "label photographs of any size and kind")
    predict.add_argument("images", nargs="+", type=Path, metavar="IMAGE")
    predict.add_argument("--recipe", required=True, metavar="RECIPE", help="a name that `vitseg recipes` lists")
    _weights(predict)
    predict.add_argument("--out", type=Path, required=True, metavar="DIR", help="gets NAME.png and NAME_overlay.png")
    predict.add_argument("--classes", type=Path, metavar="ROOT", help="data set whose classes the weights know")
    predict.add_argument("--ms-flip", action="store_true", help="mean over six scales, plain and flipped")
    predict.add_argument("--overwrite", action="store_true", help="replace files that exist in --out")
    _machine(predict)

    convert = add("convert", using.convert, "write weights under the names other tools know, or in half the bytes")
    _recipe(convert)
    _weights(convert)
    convert.add_argument("--to", choices=("mmseg", "timm", "half"), required=True, help="whose names; half: ours")
    convert.add_argument("--out", type=Path, help="file to write (default: RECIPE_mmseg.pth and so on)")

    export = add("export", using.export, "write the model for other programs: ONNX or torch.export")
    _recipe(export)
    _weights(export)
    export.add_argument("--to", choices=("onnx", "torch"), required=True, help="ONNX, or PyTorch's own .pt2")
    export.add_argument("--out", type=Path, help="file to write (default: RECIPE.onnx or RECIPE.pt2)")
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


def _data(command: argparse.ArgumentParser, default: Path | None = None) -> None:
    text = f"a folder in ADE20K's layout{f' (default: {default})' if default else ''}"
    command.add_argument("--data", type=Path, required=default is None, default=default, metavar="ROOT", help=text)


def _scoring(command: argparse.ArgumentParser, data: Path | None = None) -> None:
    """What evaluating takes, whatever is evaluated."""
    _data(command, data)
    command.add_argument("--split", choices=("validation", "training"), default="validation")
    command.add_argument("--limit", type=_positive, metavar="N", help="only the first N images")
    command.add_argument(
        "--save-predictions", type=Path, metavar="DIR", help="keep each image's labels as DIR/NAME.png"
    )
    command.add_argument("--overwrite", action="store_true", help="replace results and predictions that exist")
    _precision(command)
    _machine(command)


def _precision(command: argparse.ArgumentParser) -> None:
    names = ("fp32", "bf16", "fp16")  # engine.precision's; importing it would import torch
    command.add_argument("--precision", choices=names, default="fp32", help="what products compute in (default: fp32)")


def _machine(command: argparse.ArgumentParser) -> None:
    command.add_argument("--device", help="cpu, cuda, cuda:1, mps … (default: the best there is)")
    command.add_argument(
        "--workers", type=_workers, help="processes that read images (default: 0 on a CPU, else up to 8)"
    )
    command.add_argument("--no-progress", action="store_true", help="no progress bars")


def _whole(least: int, most: int) -> Callable[[str], int]:
    """A reader of whole numbers that turns away what no machine could mean."""

    def read(text: str) -> int:
        if not text.isdecimal() or (len(text) <= 20 and int(text) < least):
            raise argparse.ArgumentTypeError(f"{text} is not a whole number of {least} or more")
        if len(text) > 20 or int(text) > most:
            raise argparse.ArgumentTypeError(f"{text[:30]} is more than {most:,}")
        return int(text)

    return read


_positive, _batch = _whole(1, 10**12), _whole(1, 2**16)
_workers, _seed = _whole(0, 256), _whole(0, 2**64 - 1)  # PyTorch's own limit
