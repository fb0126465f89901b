"""What every hostile case stands on: a sound set-up to spoil, and the rules that its refusal must keep.

A case makes one bad input and names the command line, or the call, that meets it. The rules are the same for all: exit
status 2 (or an `InputError` from a call), one sentence that names what is at fault, and nothing lost: every file that
was there before is there after, byte for byte, and no half file stands under a name that somebody trusts.
"""

import hashlib
import re
import shutil
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from vitseg_lib import cli
from vitseg_lib.files import TEMPORARY, InputError

LONGEST = 600  # characters of a sentence, the folder's own name aside
BAR = re.compile(r"(checking|unpacking|toy scenes|[\w.]+\.(zip|pth)): .*(it|\?|%|B/s)")  # what progress bars leave


@dataclass(frozen=True)
class Case:
    """One bad input. `make` spoils a stage and returns the command line, or a function to call; `says` lists what the
    sentence must contain, and `leaves` the new files (patterns) that it may leave, all of them whole."""

    name: str
    make: "Callable[[Stage], list | Callable[[], Any]]"
    says: tuple[str, ...]
    leaves: tuple[str, ...] = ()


def cases(*made: "Case | Iterable[Case]") -> list[Any]:
    """Cases for `pytest.mark.parametrize`, each under its own name; a name that occurs twice is a mistake."""
    flat = [case for item in made for case in ([item] if isinstance(item, Case) else item)]
    assert len({case.name for case in flat}) == len(flat), "two cases have one name"
    return [pytest.param(case, id=case.name) for case in flat]


@dataclass
class Stage:
    """A folder of its own for each case, with whatever it needs, copied from the sound originals."""

    folder: Path
    sound: Path  # data, tiny.safetensors, tiny.pth, timm.pth, run

    def data(self) -> Path:
        """Six small images, the validation ones named 0 and 1, to spoil."""
        return self._copied("data")

    def weights(self, name: str = "tiny.safetensors") -> Path:
        """Weights that fit the recipe `tiny` and those images: ours, mmsegmentation's (tiny.pth) or timm's."""
        return self._copied(name)

    def run(self) -> Path:
        """A finished run of `tiny`."""
        return self._copied("run")

    def photo(self) -> Path:
        """A sound photograph."""
        return Path(shutil.copy(self.sound / "data" / "images" / "validation" / "0.png", self.folder / "photo.png"))

    def write(self, name: str, content: bytes | str) -> Path:
        """A file of that content, and the folders above it."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def _copied(self, name: str) -> Path:
        source, target = self.sound / name, self.folder / name
        if not target.exists():
            (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
        return target

    # Commands, with everything sound unless a case says otherwise.

    def train(self, *more: Any, data: Any = None, out: Any = "new_run", recipe: str = "tiny") -> list:
        """`vitseg train`."""
        return [
            "train", recipe, "--data", data or self.data(), "--out", out, "--device", "cpu", "--no-progress", *more
        ]  # fmt: skip

    def evaluate(self, *more: Any, data: Any = None, weights: Any = "random", recipe: str = "tiny") -> list:
        """`vitseg evaluate`."""
        where = ["--data", data or self.data(), "--device", "cpu", "--no-progress"]
        return ["evaluate", recipe, "--weights", weights, *where, *more]

    def predict(self, *more: Any, images: Any = None, weights: Any = None, out: Any = "predicted") -> list:
        """`vitseg predict`."""
        images, weights = images or [self.photo()], weights or self.weights()
        return [
            "predict", *images, "--recipe", "tiny", "--weights", weights, "--out", out, "--no-progress", *more
        ]  # fmt: skip

    def convert(self, *more: Any, weights: Any = None, to: str = "mmseg") -> list:
        """`vitseg convert`."""
        return ["convert", "tiny", "--weights", weights or self.weights(), "--to", to, *more]

    def export(self, *more: Any, to: str = "torch") -> list:
        """`vitseg export`."""
        return ["export", "tiny", "--weights", self.weights(), "--to", to, *more]


def snapshot(*folders: Path) -> dict[Path, str]:
    """What lies in folders: the hash of every file, the target of every link, and what is no file by its kind."""
    found = {}
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_symlink():
                found[path] = f"link to {path.readlink()}"
            elif path.is_file():
                found[path] = hashlib.sha256(path.read_bytes()).hexdigest()
            else:
                found[path] = "folder" if path.is_dir() else "something else"
    return found


def sentence_of(made: "list | Callable[[], Any]", capsys: pytest.CaptureFixture, within: AbstractContextManager) -> str:
    """Meet the bad input; the one line that it ended with."""
    capsys.readouterr()
    if callable(made):
        with pytest.raises(InputError) as caught, within:
            made()
        return f"vitseg: error: {caught.value}"
    try:
        with within:
            status = cli.main([str(part) for part in made])
    except SystemExit as stop:  # argparse's own way
        status, own = stop.code, True
    else:
        own = False
    error = capsys.readouterr().err
    assert status == 2, f"exit status {status}; {error}"
    assert "Traceback" not in error
    lines = [line for line in error.replace("\r", "\n").split("\n") if line.strip() and not BAR.match(line)]
    if own:
        assert lines[0].startswith("usage: vitseg")
        return lines[-1] + "."
    assert len(lines) == 1, f"more than one line: {lines}"
    return lines[0]


def meet(case: Case, stage: Stage, capsys: pytest.CaptureFixture, within: AbstractContextManager | None = None) -> str:
    """Run a case, within a limit that holds for the command alone, and hold it to the rules; the sentence."""
    made = case.make(stage)
    before = snapshot(stage.folder, stage.sound)
    sentence = sentence_of(made, capsys, within or nullcontext())
    after = snapshot(stage.folder, stage.sound)
    assert re.match(r"vitseg( \w+)?: error: \S", sentence) and sentence.endswith("."), sentence
    assert "\n" not in sentence and sentence.isprintable(), sentence
    assert len(sentence.replace(str(stage.folder), "")) < LONGEST, sentence
    for word in case.says:
        assert word in sentence, f"it does not say {word!r}: {sentence}"
    lost = [path for path in before if path not in after]
    changed = [path for path in before if path in after and before[path] != after[path]]
    assert not lost and not changed, f"lost {lost}, changed {changed}; {sentence}"
    new = [path for path in after.keys() - before.keys() if not path.is_dir()]
    strange = [path for path in new if not any(path.match(pattern) for pattern in case.leaves)]
    assert not strange, f"new: {strange}; {sentence}"
    temporary = [p for p in after if TEMPORARY.fullmatch(p.name) or p.name.endswith(".unpacking")]
    assert [path for path in temporary if path not in before and path in strange + new] == [], temporary
    return sentence
