"""What all tests share: the reference values, and where the data are."""

import json
import sys
from pathlib import Path

import pytest
import torch

TESTS = Path(__file__).parent
ROOT = TESTS.parent
sys.path.insert(0, str(TESTS / "reference"))


@pytest.fixture(scope="session")
def reference_models() -> dict:
    """Keys, shapes, parameter counts and some outputs of every published architecture."""
    return json.loads((TESTS / "reference" / "models.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def rules() -> dict:
    """Reference values of loss, metric, schedule, resize and parameter groups."""
    return json.loads((TESTS / "reference" / "rules.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def toy_root() -> Path:
    """The committed toy scenes."""
    return ROOT / "data" / "toy_scenes"


@pytest.fixture(autouse=True)
def same_start():
    """Every test starts from the same random state."""
    torch.manual_seed(0)
