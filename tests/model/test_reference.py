"""Every published architecture against the reference: names, shapes, counts, and outputs at fixed points."""

import formula_weights
import numpy as np
import pytest
import torch

from vitseg_lib import recipes
from vitseg_lib.model import weights

ARCHITECTURES = {
    "vit_b16_mln": ["vit_b16_mln_80k", "vit_b16_mln_160k"],
    "vit_b16_ln_mln": ["vit_b16_ln_mln_160k"],
    "deit_s16": ["deit_s16_80k", "deit_s16_160k"],
    "deit_s16_mln": ["deit_s16_mln_160k"],
    "deit_s16_ln_mln": ["deit_s16_ln_mln_160k"],
    "deit_b16": ["deit_b16_80k", "deit_b16_160k"],
    "deit_b16_mln": ["deit_b16_mln_160k"],
    "deit_b16_ln_mln": ["deit_b16_ln_mln_160k"],
}
CASES = [(architecture, name) for architecture, names in ARCHITECTURES.items() for name in names]


def test_every_published_recipe_has_a_case():
    published = [name for name in recipes.names() if recipes.get(name).published]
    assert sorted(published) == sorted(name for _, name in CASES)


def build_on_meta(name: str) -> torch.nn.Module:
    """Shapes without numbers: instant, even for the large ones."""
    with torch.device("meta"):
        return recipes.build_model(recipes.get(name))


@pytest.mark.parametrize(("architecture", "name"), CASES)
def test_counts_keys_and_shapes(architecture, name, reference_models):
    reference = reference_models[architecture]
    model = build_on_meta(name)
    count = sum(p.numel() for p in model.parameters())
    assert count == reference["parameters"]
    assert abs(count / 1e6 - recipes.get(name).published.params_M) < 0.01
    ours = {key: list(value.shape) for key, value in weights.to_mmseg(model).items()}
    assert ours == dict(map(tuple, reference["state_dict"]))


@pytest.mark.parametrize("architecture", ["deit_s16", "deit_s16_mln", "vit_b16_ln_mln"])
def test_the_way_there_and_back_changes_nothing(architecture, reference_models):
    state = formula_weights.fill(reference_models[architecture]["state_dict"])
    model = recipes.build_model(recipes.get(ARCHITECTURES[architecture][0]))
    weights.load_mmseg(model, state)
    back = weights.to_mmseg(model)
    assert back.keys() == state.keys()
    assert all(torch.equal(back[key], state[key]) for key in state)


PARTS = {"backbone": "encoder", "neck": "neck", "decode": "logits", "aux": "aux_logits"}


@pytest.mark.parametrize("architecture", ["deit_s16", "deit_s16_ln_mln"])
@pytest.mark.parametrize("size", ["512x512", "512x683"])
def test_outputs_agree_with_the_reference(architecture, size, reference_models):
    reference = reference_models[architecture]
    model = recipes.build_model(recipes.get(ARCHITECTURES[architecture][0])).eval()
    weights.load_mmseg(model, formula_weights.fill(reference["state_dict"]))
    height, width = map(int, size.split("x"))
    with torch.inference_mode():
        _, stages = model(formula_weights.image_for(2026, height, width), return_stages=True)
    for part, expected in reference["forward"][size].items():
        if expected is None:  # no neck
            continue
        ours = stages[PARTS[part]]
        for got, want in zip(*(x if isinstance(x, list) else [x] for x in (ours, expected)), strict=True):
            probe = formula_weights.probes(got)
            assert probe["shape"] == want["shape"]
            worst = np.abs(np.subtract(probe["values"], want["values"])).max() / want["std"]
            assert worst < 1e-4, f"{part}: {worst:.1e} of the standard deviation"
            assert abs(probe["mean"] - want["mean"]) < 1e-4 * want["std"]
            assert abs(probe["std"] / want["std"] - 1) < 1e-4
