"""A recipe and a data set that train in seconds; run as a program, a run of it in a process of its own.

python tests/engine/tiny.py ROOT OUT '{"accumulate": 2}'      fields of `RunSettings`; torchrun works too
"""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import nn

from vitseg_lib import recipes
from vitseg_lib.data.ade20k import write_labels
from vitseg_lib.data.classes import read_classes
from vitseg_lib.engine import training
from vitseg_lib.engine.checkpoints import RunSettings
from vitseg_lib.engine.distributed import launched_processes, leave, process_group
from vitseg_lib.recipes import Recipe

TINY = replace(
    recipes.get("toy"),
    name="tiny",
    embed_dim=32,
    num_heads=2,
    depth=2,
    out_indices=(0, 0, 1, 1),
    drop_path=0.3,
    head_channels=8,
    aux_channels=8,
    crop=32,
    test_scale=(128, 32),
    iterations=6,
    batch_size=2,
    warmup=2,
    evaluate_every=2,
)


def make_pictures(root: Path) -> Path:
    """Six little pictures: a bright and a dark half, which are the two classes."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "classes.json").write_text(
        json.dumps({"classes": [{"name": "dark", "colour": [0, 0, 90]}, {"name": "bright", "colour": [250, 250, 0]}]})
    )
    rng = np.random.default_rng(0)
    for split, count in (("training", 4), ("validation", 2)):
        for folder in ("images", "annotations"):
            (root / folder / split).mkdir(parents=True)
        for i in range(count):
            labels = (np.arange(40) >= rng.integers(10, 30)).astype(np.uint8) * np.ones((36, 1), np.uint8)
            image = np.clip(60 + 130 * labels[..., None] + rng.normal(0, 20, (36, 40, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(image).save(root / "images" / split / f"{i}.png")
            write_labels(root / "annotations" / split / f"{i}.png", labels, read_classes(root))
    return root


def train(root: Path, out: Path, recipe: Recipe = TINY, **options: Any) -> dict[str, Any] | None:
    """A run with these settings; options that are not settings go to `training.train`."""
    fields = RunSettings.__dataclass_fields__.keys() & options.keys()
    settings = RunSettings(recipe=recipe, data=root, out=out, **{name: options.pop(name) for name in fields})
    return training.train(settings, progress=False, **options)


def without_chance(recipe: Recipe, num_classes: int = 2, seed: int = 0) -> nn.Module:
    """A starting model whose step depends on no random number and on no batch: no dropout, BatchNorm frozen."""
    model = training.starting_model(recipe, num_classes, seed=seed, pretrained=None)
    for module in model.modules():
        if isinstance(module, nn.Dropout2d):
            module.p = 0.0
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
            module.train = lambda mode=True, module=module: module
    return model


if __name__ == "__main__":
    root, out, options = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
    recipe = replace(recipes.get("toy") if options.pop("toy", False) else TINY, **options.pop("recipe", {}))
    model = without_chance(recipe) if options.pop("without_chance", False) else None
    with process_group("cpu"):
        train(root, out, recipe, model=model, **options)
    if launched_processes() > 1:
        leave(0)
