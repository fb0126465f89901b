"""The sound originals, a stage for each case, and the count of all that were met."""

from pathlib import Path

import pytest
import tiny
import torch

from hostile.stage import Case, Stage, meet
from vitseg_lib import recipes
from vitseg_lib.data.classes import read_classes
from vitseg_lib.model import weights

MET = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session")
def sound(tmp_path_factory) -> Path:
    """A data set, weights of three kinds, and a finished run of the recipe `tiny`."""
    folder = tmp_path_factory.mktemp("sound")
    root = tiny.make_pictures(folder / "data")
    tiny.train(root, folder / "run")
    classes = read_classes(root)
    model = recipes.build_model(tiny.TINY, len(classes))
    weights.save(model, folder / "tiny.safetensors", recipe="tiny", classes=classes.as_dict())
    torch.save({"meta": {"CLASSES": list(classes.names)}, "state_dict": weights.to_mmseg(model)}, folder / "tiny.pth")
    torch.save(model.encoder.state_dict(), folder / "timm.pth")
    return folder


@pytest.fixture
def stage(sound, tmp_path, monkeypatch) -> Stage:
    """An empty folder to work in, where `tiny` is a recipe like any other."""
    folder = tmp_path / "stage"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setitem(recipes.RECIPES, "tiny", tiny.TINY)
    monkeypatch.setenv("VITSEG_CACHE", str(folder / "cache"))
    return Stage(folder, sound)


@pytest.fixture
def refused(stage, capsys, request):
    """Meet a case, hold it to the rules, and count it."""

    def run(case: Case, **options) -> str:
        sentence = meet(case, options.pop("stage", stage), capsys, **options)
        request.config.stash.setdefault(MET, []).append(f"{request.module.__name__}: {case.name}")
        return sentence

    return run


@pytest.fixture
def met(request) -> list[str]:
    """The cases that were met so far in this process."""
    return request.config.stash.setdefault(MET, [])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The count comes last."""
    items.sort(key=lambda item: item.name.startswith("test_how_many_bad_inputs"))
