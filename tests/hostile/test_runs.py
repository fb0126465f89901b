"""Run folders that were damaged, and runs that cannot be gone on with."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import torch

from hostile.stage import Case, Stage, cases
from hostile.test_weights import CONTENTS
from vitseg_lib.data.classes import read_classes

pytestmark = pytest.mark.slow

SETTINGS = {
    "another seed": (("--seed", 5), "seed = 0, not 5"),
    "more iterations": (("--iterations", 8), "recipe.iterations = 6, not 8"),
    "another batch": (("--batch-size", 4), "recipe.batch_size = 2, not 4"),
    "other evaluations": (("--evaluate-every", 3), "recipe.evaluate_every = 2, not 3"),
    "another precision": (("--precision", "bf16"), "precision = fp32, not bf16"),
    "other micro-batches": (("--accumulate", 2), "accumulate = 1, not 2"),
    "another encoder": (("--pretrained", "timm.pth"), "recipe.pretrained"),
}
SCALARS = {"step": ("six", None, 1.5, -1, 10**9, True), "best": ("good", None, [1.0])}


def resumed(stage: Stage, spoil: Callable[[Path], object], *more: object) -> list:
    run = stage.run()
    spoil(run)
    return stage.train("--resume", *more, out=run)


def text(name: str, content: str | bytes) -> Callable[[Path], object]:
    return lambda run: (run / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def cut(name: str, fraction: float) -> Callable[[Path], object]:
    def spoil(run: Path) -> None:
        whole = (run / name).read_bytes()
        (run / name).write_bytes(whole[: int(len(whole) * fraction)])

    return spoil


def folder(name: str) -> Callable[[Path], object]:
    return lambda run: ((run / name).unlink(), (run / name).mkdir())


def state(change: Callable[[dict], object]) -> Callable[[Path], object]:
    """Spoil the content of resume.pt, which stays a sound file."""

    def spoil(run: Path) -> None:
        content = torch.load(run / "resume.pt", weights_only=True)
        change(content)
        torch.save(content, run / "resume.pt")

    return spoil


def optimizer(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Path], object]:
    def spoil(content: dict) -> None:
        moments = content["optimizer"]["state"][0]
        moments["exp_avg"] = change(moments["exp_avg"])

    return state(spoil)


def replaced(content: object) -> Callable[[Path], object]:
    return lambda run: torch.save(content, run / "resume.pt")


def run_json() -> Iterator[tuple[str, Callable[[Path], object], str]]:
    name = "run.json"
    yield "missing", lambda run: (run / name).unlink(), "holds no run to resume"
    yield "a folder", folder(name), name
    for what, content in {
        "empty": "", "text": "seed: 0", "a list": "[]", "a number": "5", "null": "null", "zeros": bytes(99),
        "Latin-1": b'{"seed": "\xe4"}', "brackets": "[" * 100_000,
    }.items():  # fmt: skip
        yield what, text(name, content), name
    yield "half", cut(name, 0.5), name


def resume_pt() -> Iterator[tuple[str, Callable[[Path], object], str]]:
    name = "resume.pt"
    yield "a folder", folder(name), name
    for what, content in {"empty": b"", "text": b"step 6", "a zip": b"PK\x05\x06" + bytes(18)}.items():
        yield what, text(name, content), name
    for fraction in (0.01, 0.3, 0.6, 0.9, 0.999):
        yield f"cut at {fraction:.0%}", cut(name, fraction), name
    for what, content in CONTENTS.items():
        yield what, replaced(content), name
    for key in ("model", "optimizer", "step", "best", "scaler"):
        yield f"without {key}", state(lambda c, key=key: c.pop(key)), name
        yield f"{key} as text", state(lambda c, key=key: c.update({key: "text"})), name
    for key, values in SCALARS.items():
        for value in values:
            yield f"{key} {value!r}", state(lambda c, key=key, value=value: c.update({key: value})), name
    yield "a tensor missing", state(lambda c: c["model"].pop("decode_head.conv_seg.bias")), name
    yield (
        "a tensor of another shape",
        state(lambda c: c["model"].update({"decode_head.conv_seg.bias": torch.ones(9)})),
        name,
    )
    yield "a weight that is no number", state(lambda c: c["model"]["decode_head.conv_seg.bias"].fill_(torch.nan)), name
    yield "an optimiser of other shapes", optimizer(lambda t: t.flatten()[:3].clone()), name
    yield "an optimiser of texts", optimizer(lambda t: "moments"), name
    yield "an optimiser without groups", state(lambda c: c["optimizer"].update(param_groups=[])), name


def log_jsonl() -> Iterator[tuple[str, Callable[[Path], object], str]]:
    name = "log.jsonl"
    yield "a folder", folder(name), name
    for what, content in {
        "text": "step 1\n", "a list": "[1]\n", "a number": "5\n", "no step": '{"loss": 1}\n', "zeros": bytes(9) + b"\n",
        "a step that is text": '{"step": "one"}\n', "Latin-1": b'{"step": 1, "a": "\xe4"}\n', "null": "null\n",
        "half a line amid": '{"step": 1}\n{"st\n{"step": 2}\n', "brackets": "[" * 100_000 + "\n",
    }.items():  # fmt: skip
        yield what, text(name, content), name


def spoilt() -> Iterator[Case]:
    for name, table in (("run.json", run_json()), ("resume.pt", resume_pt()), ("log.jsonl", log_jsonl())):
        for what, spoil, says in table:
            yield Case(f"{name}: {what}", partial(resumed_by, spoil=spoil), (says,), ("run/tensorboard",))


def resumed_by(stage: Stage, spoil: Callable[[Path], object]) -> list:
    return resumed(stage, spoil)


def with_settings(stage: Stage, options: tuple) -> list:
    stage.weights("timm.pth")
    return resumed(stage, lambda run: None, *options)


def other_classes(stage: Stage) -> list:
    path = stage.data() / "classes.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["classes"][0]["name"] = "night"
    path.write_text(json.dumps(content), encoding="utf-8")
    assert read_classes(stage.data()).names[0] == "night"
    return resumed(stage, lambda run: None)


def again(stage: Stage, spoil: Callable[[Path], object]) -> list:
    """A new run where there is one."""
    run = stage.run()
    spoil(run)
    return stage.train(out=run)


@pytest.mark.parametrize(
    "case",
    cases(
        spoilt(),
        (Case(f"resumed with {w}", partial(with_settings, options=o), ("run.json", s)) for w, (o, s) in SETTINGS.items()),
        Case("resumed with other classes", other_classes, ("run.json", "classes")),
        Case("resumed with another recipe", lambda s: s.train("--resume", out=s.run(), recipe="toy"), ("run.json",)),
        Case("a run to resume that is not there", lambda s: s.train("--resume"), ("new_run", "holds no run to resume")),
        Case("a run to resume in a file", lambda s: s.train("--resume", out=s.write("f", "")), ("/f ", "holds no run to resume")),
        Case("a run where there is one", partial(again, spoil=lambda run: None), ("run", "--resume")),
        Case("a run where there was one", partial(again, spoil=lambda run: (run / "run.json").unlink()), ("run", "--out")),
    ),
)  # fmt: skip
def test_a_bad_run(case, refused, stage):
    refused(case)
    assert not (stage.folder / "exploded").exists()
