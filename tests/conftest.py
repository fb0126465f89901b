"""What all tests share: the reference values, and where the data are."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

TESTS = Path(__file__).parent
ROOT = TESTS.parent
sys.path[:0] = [str(TESTS), str(TESTS / "reference"), str(TESTS / "course" / "exercises"), str(TESTS / "engine")]


@pytest.fixture(scope="session")
def reference_models() -> dict:
    """Keys, shapes, parameter counts and some outputs of every published architecture."""
    return json.loads((TESTS / "reference" / "models.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def rules() -> dict:
    """Reference values of loss, metric, schedule, resize and parameter groups."""
    return json.loads((TESTS / "reference" / "rules.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def mmseg_configs() -> dict:
    """mmsegmentation's own configuration of the published rows, field by field."""
    return json.loads((TESTS / "reference" / "mmseg_configs.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def toy_root() -> Path:
    """The committed toy scenes."""
    return ROOT / "data" / "toy_scenes"


@pytest.fixture(scope="session")
def ade20k_root(tmp_path_factory) -> Path:
    """ADE20K where VITSEG_DATA names it, else one picture of noise in its layout and with its classes."""
    if os.environ.get("VITSEG_DATA"):
        return Path(os.environ["VITSEG_DATA"])
    root = tmp_path_factory.mktemp("ade20k_shaped")
    rng = np.random.default_rng(0)
    for split in ("training", "validation"):
        for kind, shape, suffix in (("images", (150, 200, 3), "jpg"), ("annotations", (150, 200), "png")):
            path = root / kind / split / f"noise.{suffix}"
            path.parent.mkdir(parents=True)
            Image.fromarray(rng.integers(0, 151, shape, dtype=np.uint8)).save(path)
    return root


@pytest.fixture(autouse=True)
def same_start():
    """Every test starts from the same random state."""
    torch.manual_seed(0)


def pytest_terminal_summary(terminalreporter) -> None:
    """Show what the exercises' checks said to each wrong answer, after the tests that made them say it."""
    reports = terminalreporter.getreports("passed")
    told = [
        json.loads(value) for r in reports for name, value in getattr(r, "user_properties", ()) if name == "exercise"
    ]
    if told:
        terminalreporter.section("exercises: the diagnosis of each wrong answer")
    for title, said in sorted(told, key=lambda entry: entry[0]):
        for answer, sentence in said.items():
            terminalreporter.write_line(f"{title} | {answer} | {sentence}")
