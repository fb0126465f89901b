"""Options of a wrong kind, missing, unknown or at odds, for every command."""

from collections.abc import Iterator
from functools import partial

import pytest

from hostile.stage import Case, Stage, cases

pytestmark = pytest.mark.slow

SCORING = {"--limit": 1, "--workers": 0}
WHOLE_NUMBERS = {  # the smallest that each may be
    "train": {
        "--iterations": 1, "--batch-size": 1, "--evaluate-every": 1, "--accumulate": 1, "--checkpoint-every": 1,
        "--seed": 0, "--workers": 0,
    },
    "evaluate": SCORING,
    "reproduce": SCORING,
    "predict": {"--workers": 0},
}  # fmt: skip
NO_WHOLE_NUMBERS = ("-1", "1.5", "1e3", "0x10", "many", "", "½", "nan")
CHOICES = {
    "train": {"--precision": "fp8"},
    "evaluate": {"--precision": "int8", "--split": "testing"},
    "reproduce": {"--precision": "", "--split": "val"},
    "convert": {"--to": "keras"},
    "export": {"--to": "tflite"},
}
NEEDED = {
    "train": ("--data", "--out"),
    "evaluate": ("--weights", "--data"),
    "predict": ("--recipe", "--weights", "--out"),
    "convert": ("--weights", "--to"),
    "export": ("--weights", "--to"),
}
DEVICES = ("gpu", "cuda:99", "cuda:x", "meta", "cpu:-1", "xla", "42", "cuda:0:1", "mps:7", "tpu")


def command(stage: Stage, name: str) -> list:
    """A sound command line of each command."""
    return {
        "recipes": lambda: ["recipes"],
        "data": lambda: ["data", "check", stage.data()],
        "train": stage.train,
        "evaluate": stage.evaluate,
        "reproduce": lambda: ["reproduce", "deit_s16_160k", "--data", stage.data()],
        "predict": stage.predict,
        "convert": stage.convert,
        "export": stage.export,
    }[name]()


COMMANDS = ("recipes", "data", "train", "evaluate", "reproduce", "predict", "convert", "export")


def more(stage: Stage, name: str, words: tuple) -> list:
    return [*command(stage, name), *words]


def less(stage: Stage, name: str, option: str) -> list:
    whole = command(stage, name)
    at = whole.index(option)
    return whole[:at] + whole[at + 2 :]


def made() -> Iterator[Case]:
    for name, options in WHOLE_NUMBERS.items():
        for option, least in options.items():
            for text in NO_WHOLE_NUMBERS + (("0",) if least else ()):
                words = (option, f"not a whole number of {least} or more")
                yield Case(f"{name} {option} {text!r}", partial(more, name=name, words=(option, text)), words)
    for name, options in CHOICES.items():
        for option, text in options.items():
            yield Case(f"{name} {option} {text!r}", partial(more, name=name, words=(option, text)), (option, "choose"))
    for name, options in NEEDED.items():
        for option in options:
            yield Case(f"{name} without {option}", partial(less, name=name, option=option), (option, "required"))
    for name in COMMANDS:
        words = ("unrecognized arguments", "--fast")
        yield Case(f"{name} --fast", partial(more, name=name, words=("--fast",)), words)
    for name in ("train", "evaluate"):
        for device in DEVICES:
            words = ("device", device, "try --device")
            yield Case(f"{name} on {device}", partial(more, name=name, words=("--device", device)), words)


def with_recipe(stage: Stage, name: str, recipe: str) -> list:
    return [recipe if part == "tiny" or part == "deit_s16_160k" else part for part in command(stage, name)]


def unknown() -> Iterator[Case]:
    for name in COMMANDS[2:]:
        for recipe in ("deit_s16_16k", "", "Toy"):
            make = partial(with_recipe, name=name, recipe=recipe)
            yield Case(f"{name} of recipe {recipe!r}", make, ("no recipe is called", repr(recipe)))
    for name, says in (
        ("evaluate", "Nobody published"),
        ("convert", "Nobody published"),
        ("predict", "Nobody published"),
    ):
        make = partial(more, name=name, words=("--weights", "published"))
        yield Case(f"{name}: published weights that are not", make, (says, "tiny"))
    yield Case("reproduce what nobody published", partial(with_recipe, name="reproduce", recipe="toy"), ("toy",))


@pytest.mark.parametrize(
    "case",
    cases(
        made(),
        unknown(),
        Case("no command", lambda s: [], ("COMMAND",)),
        Case("an unknown command", lambda s: ["segment", "photo.jpg"], ("invalid choice", "segment")),
        Case("data without a word", lambda s: ["data"], ("what",)),
        Case("data of another kind", lambda s: ["data", "cityscapes"], ("cityscapes",)),
        Case("two ways to evaluate", lambda s: s.evaluate("--slide", "--ms-flip"), ("not allowed with", "--ms-flip")),
        Case("predict nothing", lambda s: ["predict", "--recipe", "tiny", "--weights", "random", "--out", "p"], ("IMAGE",)),
        Case("a seed beyond 64 bits", lambda s: s.train("--seed", 2**64), ("--seed",)),
        Case("a number of 5 000 digits", lambda s: s.train("--iterations", "9" * 5000), ("--iterations",)),
        Case("a million workers", lambda s: s.train("--workers", 10**6), ("--workers",)),
        Case("a million workers to evaluate", lambda s: s.evaluate("--workers", 10**6), ("--workers",)),
        Case("a batch of a billion", lambda s: s.train("--batch-size", 10**9), ("--batch-size",)),
        Case("a batch that does not come out even", lambda s: s.train("--accumulate", 3), ("cannot be split evenly",)),
        Case("micro-batches of one image", lambda s: s.train("--accumulate", 2), ("one image at a time", "--accumulate")),
        Case("a batch of one", lambda s: s.train("--batch-size", 1), ("one image at a time", "--batch-size")),
        Case("compiling for a CPU", lambda s: s.train("--compile"), ("--compile is for GPUs", "leave it out")),
        Case("an unknown timm tag", lambda s: s.train("--pretrained", "no_such_vit"), ("no_such_vit",)),
    ),
)  # fmt: skip
def test_a_bad_option(case, refused):
    refused(case)
