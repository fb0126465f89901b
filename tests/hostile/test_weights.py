"""Checkpoints with extra, missing, misshapen, mistyped or pickled content, from three sources; and no file at all."""

import io
import json
import os
import pickle
import struct
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load as from_bytes
from safetensors.torch import save as to_bytes

from hostile.stage import Case, Stage, cases

pytestmark = pytest.mark.slow

SOURCES = {  # the file, the key that is spoilt, and how a command meets it
    "ours": ("tiny.safetensors", "decode_head.conv_seg.weight"),
    "mmseg": ("tiny.pth", "decode_head.conv_seg.weight"),
    "timm": ("timm.pth", "blocks.0.attn.proj.weight"),
}


def command(stage: Stage, source: str) -> list:
    path = stage.folder / SOURCES[source][0]
    return stage.train("--pretrained", path) if source == "timm" else stage.evaluate(weights=path)


def with_nan(tensor: torch.Tensor, value: float = float("nan")) -> torch.Tensor:
    tensor = tensor.clone()
    tensor.view(-1)[3] = value
    return tensor


TENSORS: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], str]] = {
    "transposed": (lambda t: t.transpose(0, 1).reshape(t.shape[1], -1)[:, :1].contiguous(), "of another shape"),
    "one row short": (lambda t: t[:-1].contiguous(), "of another shape"),
    "one row more": (lambda t: torch.cat([t, t[:1]]), "of another shape"),
    "a dimension more": (lambda t: t[None].contiguous(), "of another shape"),
    "flat": (lambda t: t.flatten(), "of another shape"),
    "a scalar": (lambda t: t.sum(), "of another shape"),
    "empty": (lambda t: t[:0].contiguous(), "of another shape"),
    "whole numbers": (lambda t: t.to(torch.int64), "of another kind"),
    "booleans": (lambda t: t > 0, "of another kind"),
    "not a number": (with_nan, "not finite"),
    "infinite": (partial(with_nan, value=float("inf")), "not finite"),
}
PICKLED_ONLY = {
    "complex": (lambda t: t.to(torch.complex64), "of another kind"),
    "sparse": (lambda t: t.to_sparse(), "more than tensors"),
    "without numbers": (lambda t: t.to("meta"), "of another kind"),
}


def edited(stage: Stage, source: str, change: Callable[[dict, str], dict]) -> list:
    """Spoil the tensors of a sound file, which stays a sound file of its kind."""
    name, key = SOURCES[source]
    path = stage.weights(name)
    if source == "ours":
        with path.open("rb") as file:
            notes = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))["__metadata__"]
        path.write_bytes(to_bytes(change(from_bytes(path.read_bytes()), key), metadata=notes))
    else:
        content = torch.load(path, weights_only=True)
        state = content.get("state_dict", content)
        changed = change(dict(state), key)
        torch.save({"state_dict": changed} if source == "mmseg" else changed, path)
    return command(stage, source)


def tensor_faults() -> Iterator[Case]:
    for source, (name, key) in SOURCES.items():
        for what, (spoil, says) in (TENSORS | (PICKLED_ONLY if source != "ours" else {})).items():

            def change(state: dict, key: str, spoil=spoil) -> dict:
                return state | {key: spoil(state[key])}

            yield Case(f"{source}: a tensor {what}", partial(edited, source=source, change=change), (name, says))
        faults = {
            "a tensor missing": (lambda s, k: {n: v for n, v in s.items() if n != k}, "missing"),
            "a tensor left over": (lambda s, k: s | {"dist_token": torch.zeros(3)}, "1 left over (dist_token)"),
            "a tensor of another name": (
                lambda s, k: {(f"{n}_" if n == k else n): v for n, v in s.items()},
                "left over",
            ),
            "all names with module.": (lambda s, k: {f"module.{n}": v for n, v in s.items()}, "module."),
            "nothing in it": (lambda s, k: {}, "missing"),
            "half of it": (lambda s, k: dict(list(s.items())[: len(s) // 2]), "missing"),
        }
        for what, (change, says) in faults.items():
            yield Case(f"{source}: {what}", partial(edited, source=source, change=change), (name, says))
    for what, spoil in {
        "flat": lambda t: t.flatten(), "of two dimensions": lambda t: t[0], "of no rows": lambda t: t[:, :0],
        "of a distilled model": lambda t: torch.cat([t, t[:, :1]], 1),
    }.items():  # fmt: skip
        change = lambda s, k, spoil=spoil: s | {"pos_embed": spoil(s["pos_embed"])}  # noqa: E731
        says = ("timm.pth", "position embedding")
        yield Case(f"timm: positions {what}", partial(edited, source="timm", change=change), says)


class Code:
    """Pickled, it runs a command when it is unpickled."""

    def __init__(self, call: Callable, *arguments: object):
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


def runs(kind: str) -> Code:
    return {
        "open": Code(open, "exploded", "w"),
        "os.mkdir": Code(os.mkdir, "exploded"),
        "exec": Code(exec, "open('exploded', 'w').close()"),
        "Path.touch": Code(Path.touch, Path("exploded")),
    }[kind]


CONTENTS = {
    "a tensor alone": torch.zeros(3),
    "a list": [torch.zeros(3)],
    "a number": 5,
    "nothing": None,
    "a text": "weights",
    "numbered tensors": {1: torch.zeros(3), 2: torch.zeros(3)},
    "tensors in tables": {"model": {"deeper": {"weight": torch.zeros(3)}}},
    "numbers by name": {"lr": 0.1},
    "a state_dict of nothing": {"state_dict": None},
    "a state_dict of text": {"state_dict": {"head": "big"}},
    "a list as state_dict": {"state_dict": [torch.zeros(3)]},
    "a whole module": torch.nn.Linear(2, 2),
    "an optimiser's state": torch.optim.AdamW([torch.zeros(2, requires_grad=True)]).state_dict(),
    "a NumPy array": {"w": np.zeros(3)},
    **{f"code in {kind}": runs(kind) for kind in ("open", "os.mkdir", "exec", "Path.touch")},
    "code beside the weights": {"state_dict": {}, "meta": runs("exec")},
    "code as a tensor": {"state_dict": {"w": runs("open")}},
}


def saved(stage: Stage, content: object, legacy: bool = False) -> list:
    torch.save(content, stage.folder / "w.pth", _use_new_zipfile_serialization=not legacy)
    return stage.evaluate(weights=stage.folder / "w.pth")


def raw(stage: Stage, name: str, content: Callable[[Stage], bytes]) -> list:
    return stage.evaluate(weights=stage.write(name, content(stage)))


def pickled(protocol: int) -> bytes:
    return pickle.dumps(runs("open"), protocol=protocol)


def header(text: str, data: bytes = b"") -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode() + data


def noted(stage: Stage, notes: object) -> list:
    text = notes if isinstance(notes, str) else json.dumps(notes)
    tensors = from_bytes(stage.weights().read_bytes())
    path = stage.write("w.safetensors", to_bytes(tensors, metadata={"notes": text}))
    return stage.predict(weights=path)


def archive() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, w=np.zeros(3))
    return buffer.getvalue()


ENTRY = '{{"w": {{"dtype": "{}", "shape": {}, "data_offsets": {}}}}}'
FILES = {
    "empty": b"",
    "text": b"these are weights",
    "a picture": b"\x89PNG\r\n\x1a\n" + bytes(50),
    "an HTML page": b"<!doctype html><title>403</title>",
    "zeros": bytes(5000),
    "an empty zip": b"PK\x05\x06" + bytes(18),
    "half a zip": b"PK\x03\x04 half a zip",
    "NumPy's npz": archive(),
    **{f"a raw pickle of protocol {protocol}": pickled(protocol) for protocol in (0, 2, 4)},
    "a header of 2 to the 63": struct.pack("<Q", 2**63) + b"{}",
    "a header longer than the file": struct.pack("<Q", 10_000) + b"{}",
    "a header that is no JSON": header("{tensors}"),
    "a header that is a list": header("[]"),
    "an unknown type": header(ENTRY.format("F7", [1], [0, 4]), bytes(4)),
    "offsets beyond the end": header(ENTRY.format("F32", [1], [0, 4])),
    "offsets that run backwards": header(ENTRY.format("F32", [1], [4, 0]), bytes(4)),
    "a shape that is too large": header(ENTRY.format("F32", [2**40, 2**40], [0, 4]), bytes(4)),
    "a negative shape": header(ENTRY.format("F32", [-1], [0, 4]), bytes(4)),
}
NOTES = {
    "no JSON": ("{classes", "w.safetensors"),
    "brackets": ("[" * 100_000, "w.safetensors"),
    "a number": (5, "w.safetensors"),
    "a list": (["classes"], "w.safetensors"),
    "classes as text": ({"classes": "sky"}, 'needs a list "classes"'),
    "no classes in the classes": ({"classes": {"classes": []}}, "lists 0 classes"),
    "three classes for two": (
        {"classes": {"classes": [{"name": n, "colour": [0] * 3} for n in "abc"]}},
        "another shape",
    ),
}


def cut(source: str, fraction: float) -> Case:
    def make(stage: Stage) -> list:
        path = stage.weights(SOURCES[source][0])
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * fraction)])
        return command(stage, source)

    return Case(f"{source}: cut at {fraction:.0%}", make, (SOURCES[source][0],))


def of_other_classes(stage: Stage, command: str) -> list:
    path = stage.data() / "classes.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(content | {"classes": content["classes"][::-1]}), encoding="utf-8")
    weights = stage.weights()
    return stage.evaluate(weights=weights) if command == "evaluate" else stage.predict("--classes", path.parent)


def at(stage: Stage, name: str, prepare: Callable[[Path], object]) -> list:
    prepare(stage.folder / name)
    return stage.evaluate(weights=stage.folder / name)


@pytest.mark.parametrize(
    "case",
    cases(
        tensor_faults(),
        (Case(f"a checkpoint of {what}", partial(saved, content=c), ("w.pth",)) for what, c in CONTENTS.items()),
        (Case(f"an old checkpoint of {w}", partial(saved, content=c, legacy=True), ("w.pth",)) for w, c in CONTENTS.items()),
        (
            Case(f"{name} that is {what}", partial(raw, name=name, content=lambda _, c=content: c), (name,))
            for what, content in FILES.items()
            for name in ("w.safetensors", "w.pth")
        ),
        (Case(f"notes: {what}", partial(noted, notes=n), (says,)) for what, (n, says) in NOTES.items()),
        (cut(source, fraction) for source in SOURCES for fraction in (0.01, 0.1, 0.5, 0.9, 0.999)),
        (
            Case(f"{name}: {what}", partial(at, name=name, prepare=prepare), (name, "no such weights file"))
            for name in ("w.safetensors", "w.pth")
            for what, prepare in (("not there", lambda p: None), ("a folder", Path.mkdir))
        ),
        (
            Case(f"{command} with weights of other classes", partial(of_other_classes, command=command), ("tiny.safetensors", "dark", "bright"))
            for command in ("evaluate", "predict")
        ),
        Case("another recipe's", lambda s: s.evaluate(weights=s.weights(), recipe="toy"), ("tiny.safetensors", "missing")),
    ),
)  # fmt: skip
def test_bad_weights(case, refused, stage):
    refused(case)
    assert not (stage.folder / "exploded").exists()
