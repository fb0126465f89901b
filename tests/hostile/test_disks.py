"""Places that cannot be written or read: something in the way, no right, no room."""

import os
import resource
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from hostile.stage import Case, Stage, cases
from vitseg_lib.data.fetch import unpack

pytestmark = pytest.mark.slow
NOBODY = 65534
LEAVES = ("new_run/run.json", "new_run/log.jsonl", "new_run/*.safetensors", "*/images/*/*", "*/annotations/*/*")


def archive(stage: Stage) -> Path:
    """A sound data set, zipped as ade.zip."""
    return Path(shutil.make_archive(str(stage.folder / "ade"), "zip", stage.data()))


WRITERS: dict[str, Callable[[Stage, Path], list]] = {
    "train": lambda s, p: s.train(out=p),
    "predict": lambda s, p: s.predict(out=p),
    "evaluate --json": lambda s, p: s.evaluate("--json", p / "r.json"),
    "evaluate --save-predictions": lambda s, p: s.evaluate("--save-predictions", p),
    "convert to mmseg": lambda s, p: s.convert("--out", p / "w.pth"),
    "convert to timm": lambda s, p: s.convert("--out", p / "w.safetensors", to="timm"),
    "convert to half": lambda s, p: s.convert("--out", p / "w.safetensors", to="half"),
    "export to torch": lambda s, p: s.export("--out", p / "w.pt2"),
    "export to ONNX": lambda s, p: s.export("--out", p / "w.onnx", to="onnx"),
    "data toy": lambda s, p: ["data", "toy", "--out", p],
    "unpack": lambda s, p: partial(unpack, archive(s), p / "set", progress=False),
}
EXISTING = {
    "predict: the labels": lambda s: s.write("predicted/photo.png", "mine") and s.predict(),
    "predict: the overlay": lambda s: s.write("predicted/photo_overlay.png", "mine") and s.predict(),
    "evaluate --json": lambda s: s.evaluate("--json", s.write("r.json", "mine")),
    "evaluate --save-predictions": lambda s: s.write("p/0.png", "mine") and s.evaluate("--save-predictions", "p"),
    "convert to mmseg": lambda s: s.convert("--out", s.write("w.pth", "mine")),
    "convert to half, its own file": lambda s: s.convert("--out", s.weights(), to="half"),
    "convert, by default": lambda s: s.write("tiny_mmseg.pth", "mine") and s.convert(),
    "export to torch": lambda s: s.export("--out", s.write("w.pt2", "mine")),
    "export to ONNX": lambda s: s.export("--out", s.write("w.onnx", "mine"), to="onnx"),
    "reproduce": lambda s: (
        s.write("out/deit_s16_160k.json", "mine") and ["reproduce", "deit_s16_160k", "--data", s.data(), "--out", "out"]
    ),
    "data toy": lambda s: ["data", "toy", "--out", s.data()],
}
FOLDERS_IN_THE_WAY = {
    "predict: the labels": lambda s: (s.folder / "predicted/photo.png").mkdir(parents=True) or s.predict(),
    "evaluate --json": lambda s: s.evaluate("--json", s.data()),
    "convert": lambda s: s.convert("--out", s.data()),
    "export": lambda s: s.export("--out", s.data()),
}


def in_the_way() -> Iterator[Case]:
    for what, write in WRITERS.items():
        inside = lambda s, write=write: write(s, s.write("file", "mine") / "deeper")  # noqa: E731
        yield Case(f"{what} inside a file", inside, ("file", "is a file"))
        too_long = lambda s, write=write: write(s, s.folder / ("n" * 300))  # noqa: E731
        yield Case(f"{what} under too long a name", too_long, ("nnn", "name"))
    for what, make in EXISTING.items():
        yield Case(f"{what} over what exists", make, () if "toy" in what else ("overwrite",))
    for what, make in FOLDERS_IN_THE_WAY.items():
        yield Case(f"{what} over a folder", make, ("is a folder",))


@pytest.mark.parametrize("case", cases(in_the_way()))
def test_something_in_the_way(case, refused):
    refused(case)


@contextmanager
def room_for(count: int) -> Iterator[None]:
    """A disk on which no file grows beyond `count` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


ROOM = dict.fromkeys(WRITERS, (100,)) | {"train": (100, 5_000), "data toy": (20, 5_000), "predict": (20, 400)}


@pytest.mark.parametrize(("what", "room"), [(what, room) for what in WRITERS for room in ROOM[what]])
def test_a_full_disk(what, room, refused):
    case = Case(f"{what} with room for {room}", lambda s: WRITERS[what](s, s.folder / "new_run"), ("grew",), LEAVES)
    refused(case, within=room_for(room))


def test_a_disk_that_is_full_for_the_last_file_of_a_checkpoint(stage, refused):
    room = (stage.sound / "run" / "last.safetensors").stat().st_size + 2_000
    assert room < (stage.sound / "run" / "resume.pt").stat().st_size
    refused(
        Case("train with no room for resume.pt", lambda s: s.train(), ("resume.pt", "grew"), LEAVES),
        within=room_for(room),
    )


@contextmanager
def as_nobody() -> Iterator[None]:
    """An ordinary user, who may not read or write everything, where the tests are run by root."""
    if root := os.geteuid() == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.fixture
def public(stage, monkeypatch) -> Iterator[Stage]:
    """The stage at a place where everybody may go."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "stage"
        place.mkdir()
        Path(folder).chmod(0o755)
        monkeypatch.chdir(place)
        yield Stage(place, stage.sound)
        monkeypatch.undo()
        for path in [place, *place.rglob("*")]:
            if not path.is_symlink():
                path.chmod(0o755)


def closed(path: Path, mode: int = 0) -> Path:
    path.chmod(mode)
    return path


READERS = {
    "a photograph": lambda s: s.predict(images=[closed(s.photo())]),
    "weights of ours": lambda s: s.evaluate(weights=closed(s.weights())),
    "weights of mmseg": lambda s: s.evaluate(weights=closed(s.weights("tiny.pth"))),
    "weights of timm": lambda s: s.train("--pretrained", closed(s.weights("timm.pth")), out=s.folder / "w"),
    "weights in a closed folder": lambda s: (
        (s.write("f/w.pth", "x"), closed(s.folder / "f")) and s.evaluate(weights=s.folder / "f/w.pth")
    ),
    "classes.json": lambda s: closed(s.data() / "classes.json") and s.evaluate(),
    "a data set": lambda s: s.evaluate(data=closed(s.data())),
    "its images": lambda s: closed(s.data() / "images") and s.evaluate(),
    "its validation images": lambda s: closed(s.data() / "images/validation") and s.evaluate(),
    "a mask": lambda s: closed(s.data() / "annotations/validation/0.png") and s.evaluate(),
    "run.json": lambda s: closed(s.run() / "run.json") and s.train("--resume", out=s.run()),
    "resume.pt": lambda s: opened_run(s) and closed(s.run() / "resume.pt") and s.train("--resume", out=s.run()),
    "log.jsonl": lambda s: opened_run(s) and closed(s.run() / "log.jsonl") and s.train("--resume", out=s.run()),
    "a run": lambda s: s.train("--resume", out=closed(s.run())),
    "an archive": lambda s: closed(archive(s)) and ["data", "ade20k", "--out", s.folder / "ade"],
}


def opened_run(stage: Stage) -> bool:
    """A run that everybody may write."""
    for path in [stage.run(), *stage.run().iterdir()]:
        path.chmod(0o777)
    return True


@pytest.mark.parametrize("what", READERS)
def test_what_may_not_be_read(what, public, refused):
    case = Case(f"no right to read {what}", READERS[what], (str(public.folder),))
    refused(case, stage=public, within=as_nobody())


@pytest.mark.parametrize("what", WRITERS)
def test_where_nobody_may_write(what, public, refused):
    def make(stage: Stage) -> list:
        (stage.folder / "shut").mkdir(mode=0o555)
        return WRITERS[what](stage, stage.folder / "shut" / "new")

    case = Case(f"no right to write: {what}", make, ("shut", "no right to write"))
    refused(case, stage=public, within=as_nobody())
