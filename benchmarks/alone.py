"""What must be measured in a process of its own: peak memory, and the time from start to the first prediction.

python benchmarks/alone.py {step,first} {ours,reference} RECIPE FOLDER     prints one number
"""

import resource
import sys
import time

START = time.perf_counter()

from pathlib import Path  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent.parent))

MB = 1024  # of the kilobytes that Linux counts in


def first_ours(recipe_name: str, folder: Path) -> None:
    """Import, build, load, predict one file."""
    from vitseg_lib import recipes
    from vitseg_lib.data.image_io import read_image
    from vitseg_lib.engine.fast_inference import fast_predict
    from vitseg_lib.model import weights
    from vitseg_lib.model.fast import fast

    recipe = recipes.get(recipe_name)
    with recipes.meta_init():
        model = recipes.build_model(recipe).eval()
    weights.load(model, folder / "ours.safetensors")
    fast_predict(fast(model), read_image(folder / "photo.jpg"), recipe)


def first_reference(recipe_name: str, folder: Path) -> None:
    """The same by the toolbox's own two functions for it."""
    import toolbox

    toolbox.start()
    from mmseg.apis import inference_model, init_model

    model = init_model(toolbox.config(recipe_name), str(folder / "reference.pth"), device="cpu")
    inference_model(model, str(folder / "photo.jpg"))


def step_ours(recipe_name: str, folder: Path) -> None:
    """Two training steps of batch 2 at 512×512."""
    import torch

    from vitseg_lib import recipes
    from vitseg_lib.engine.schedule import build_optimizer
    from vitseg_lib.engine.training import training_step
    from vitseg_lib.model.fast import fast

    pixels, labels = torch.load(folder / "batch.pt", weights_only=True)
    recipe = recipes.get(recipe_name)
    model = fast(recipes.build_model(recipe).train())
    optimizer = build_optimizer(model, recipe)
    for _ in range(2):
        training_step(model, optimizer, pixels, labels, lr=6e-5, aux_weight=recipe.aux_weight)


def step_reference(recipe_name: str, folder: Path) -> None:
    """Two of the toolbox's."""
    import toolbox
    import torch

    toolbox.start()
    pixels, labels = torch.load(folder / "batch.pt", weights_only=True)
    found = toolbox.config(recipe_name)
    model = toolbox.build(found).train()
    wrapper, data = toolbox.optimiser(found, model), toolbox.samples(labels)
    for _ in range(2):
        toolbox.training_step(model, wrapper, pixels, data)


if __name__ == "__main__":
    what, side, recipe_name, folder = sys.argv[1:]
    globals()[f"{what}_{side}"](recipe_name, Path(folder))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MB
    print(peak if what == "step" else time.perf_counter() - START)
