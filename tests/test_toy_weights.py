"""The committed toy weights keep the promise beside them, and the recipe keeps its own."""

import json

import pytest
import torch
from conftest import ROOT

from vitseg_lib import cli, recipes, state_files
from vitseg_lib.data.classes import read_classes
from vitseg_lib.engine.evaluation import evaluate
from vitseg_lib.model import weights

FILE = ROOT / "data" / "weights" / "toy.safetensors"
CLAIM = json.loads(FILE.with_suffix(".json").read_text(encoding="utf-8"))


def test_the_weights_reach_the_score_they_claim(toy_root):
    classes = read_classes(toy_root)
    recipe = recipes.get("toy")
    model = recipes.build_model(recipe, len(classes))
    notes = weights.load(model, FILE)
    assert notes["recipe"] == "toy" and notes["classes"] == classes.as_dict()
    scores = evaluate(model, toy_root, recipe, progress=False).scores()
    for name in ("mIoU", "mAcc", "aAcc"):
        assert getattr(scores, name) == pytest.approx(CLAIM[name], abs=0.05)
    assert scores.mIoU >= 70
    assert (CLAIM["split"], CLAIM["mode"], CLAIM["limit"]) == ("validation", "whole", None)


def test_the_file_is_small_and_in_half_precision():
    state, _ = state_files.read_safetensors(FILE)
    assert FILE.stat().st_size < 4e6
    assert {v.dtype for v in state.values()} == {torch.float16, torch.int64}


@pytest.mark.slow
def test_the_recipe_reaches_70_from_random_weights(toy_root, tmp_path):
    """The whole run, about five minutes on two cores."""
    out = tmp_path / "run"
    assert cli.main(["train", "toy", "--data", str(toy_root), "--out", str(out), "--device", "cpu"]) == 0
    assert json.loads((out / "result.json").read_text(encoding="utf-8"))["mIoU"] >= 70
