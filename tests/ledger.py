"""Every tensor of the pipeline, measured: what the shape ledger in notebooks/glossary.md is compared with.

The library's own code runs from the photo to mIoU, and what passes is noted under the ledger's names: `toy` for real
on a toy scene, the large models on torch's meta device, where tensors have shapes and no numbers.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import numpy as np
import torch
from conftest import ROOT
from torch import Tensor, nn

from vitseg_lib import recipes
from vitseg_lib.data import ade20k, transforms
from vitseg_lib.data.loading import train_loader
from vitseg_lib.data.photos import image_size
from vitseg_lib.engine import inference
from vitseg_lib.engine.loss import segmentation_loss
from vitseg_lib.engine.metrics import ConfusionMatrix
from vitseg_lib.model import attention, encoder, weights
from vitseg_lib.model.plain import plainly
from vitseg_lib.model.resizing import resize
from vitseg_lib.model.segmenter import Segmenter
from vitseg_lib.recipes import Recipe

TOY = ROOT / "data" / "toy_scenes"
CLASSES = 150  # ADE20K's
PHOTO = (512, 683)  # height and width of many of ADE20K's photos
RATIO = 1.5  # what the random resize draws, in the path that trains

Notes = dict[str, Any]  # by name: a tensor, an array, a number, or a list of tensors of one shape


def tested_toy() -> Notes:
    """A validation scene of 128 × 160 through the committed `toy` weights, to its score."""
    recipe, classes = recipes.get("toy"), ade20k.read_classes(TOY)
    pair = next(pair for pair in ade20k.list_pairs(TOY, "validation") if image_size(pair[0]) == (128, 160))
    model = recipes.build_model(recipe, len(classes)).eval()
    weights.load(model, TOY.parent / "weights" / "toy.safetensors")
    image, labels = ade20k.read_pair(*pair, classes)
    notes = tested(model, image, labels, recipe)
    prediction = inference.predict(model, image, recipe)
    assert np.array_equal(prediction, notes["predict(…)"].numpy())
    return notes | scored(labels, prediction, len(classes))


def tested_vit() -> Notes:
    """A photo of 512 × 683 through `vit_b16_mln_160k`; the score of a prediction made up, as no numbers flow."""
    recipe, (image, labels) = recipes.get("vit_b16_mln_160k"), photo()
    model = without_numbers(recipe).eval()
    with mock.patch.object(inference, "MS_FLIP_RATIOS", (0.5, 1.75)):  # two scales have the mean's shape too
        notes = tested(model, image, labels, recipe)
    return notes | scored(labels, labels, CLASSES)


def trained_deit() -> Notes:
    """A batch of 16 through `deit_s16_160k`, as in a step of its training."""
    recipe, (image, labels) = recipes.get("deit_s16_160k"), photo()
    notes = {"image": image, "labels": labels, "raw": ade20k.unshift_labels(labels)}
    pipeline = transforms.TrainPipeline(recipe.crop, recipe.test_scale, (RATIO, RATIO))
    steps = {step.name: step for step in pipeline.steps(image, labels, np.random.default_rng(0))}
    for name, step in (("resized", steps["resize"]), ("cropped", steps["crop"])):
        notes |= {f"image, {name}": step.image, f"labels, {name}": step.labels}
    notes |= {"pixels of one image": steps["pad"].image, "labels, padded": steps["pad"].labels}
    plain = transforms.TrainPipeline(recipe.crop, ratio_range=(0.5, 0.5), photometric=False)
    pixels, notes["labels of the batch"] = next(iter(train_loader(TOY, plain, batch_size=recipe.batch_size, seed=0)))
    model = without_numbers(recipe).train()
    notes |= modelled(model, pixels)
    with ExitStack() as spies:
        for function, name in (("interpolate", "logits, enlarged"), ("cross_entropy", "cross_entropy(…)")):
            spies.enter_context(noting(notes, nn.functional, function, name))
        spies.enter_context(plainly())
        notes["loss"] = segmentation_loss(notes["logits"], notes["labels of the batch"].to("meta"))
    return notes


def without_numbers(recipe: Recipe) -> Segmenter:
    """The recipe's model on torch's meta device."""
    with torch.device("meta"):
        return recipes.build_model(recipe, CLASSES)


def photo() -> tuple[np.ndarray, np.ndarray]:
    """Noise of a photo's size and labels for it: shapes do not ask what there is to see."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (*PHOTO, 3), dtype=np.uint8), rng.integers(0, CLASSES, PHOTO, dtype=np.uint8)


def tested(model: Segmenter, image: np.ndarray, labels: np.ndarray, recipe: Recipe) -> Notes:
    """One image as `inference.predict` treats it, whole and by multi-scale and flip."""
    size = transforms.fit_size(*image.shape[:2], recipe.test_scale)
    notes = {"image": image, "labels": labels, "raw": ade20k.unshift_labels(labels)}
    notes |= {"image, resized": transforms.resize_image(image, size)}
    notes |= {"pixels of one image": transforms.EvalPipeline(recipe.test_scale)(image)}
    pixels = inference.to_pixels(model, image, recipe.test_scale)
    with torch.inference_mode():
        notes |= modelled(model, pixels)
        notes["whole_image(…)"] = inference.whole_image(model, pixels)
        notes["resize(…)"] = resize(notes["whole_image(…)"], image.shape[:2])
        notes["predict(…)"] = inference.best_class([inference.View(notes["whole_image(…)"], image.shape[:2])])
        notes["probabilities(…)"] = inference.probabilities(inference.all_views(model, image, recipe))
    return notes


def scored(labels: np.ndarray, prediction: np.ndarray, classes: int) -> Notes:
    """What the metric makes of one prediction."""
    confusion = ConfusionMatrix(classes)
    confusion.update(labels, prediction)
    scores = confusion.scores()
    return {"counts": confusion.counts, "IoU": scores.IoU, "Acc": scores.Acc, "mIoU": scores.mIoU}


def modelled(model: Segmenter, pixels: Tensor) -> Notes:
    """All that passes inside the model; each tensor as the library's code makes it."""
    notes: Notes = {"pixels": pixels}
    body, head = model.encoder, model.head
    pixels = pixels.to(body.class_token.device)
    notes["projection.weight"] = body.patches.projection.weight
    notes |= {name: getattr(body, name) for name in ("class_token", "position_embedding")}
    entering = {"pixels, padded": body.patches.projection, "tokens": body.blocks[0]}
    entering |= {"mixed, heads joined": body.blocks[0].attention.projection, "outputs, side by side": head.fuse.conv}
    entering |= {"x and pooled, side by side": head.pyramid.fuse.conv}
    entering |= {f"levels[{i}]": smooth for i, smooth in enumerate(head.smooths)}
    entering |= {f"pooled, k = {k}": branch for k, branch in zip(head.pyramid.bins, head.pyramid.branches, strict=True)}
    leaving = {"maps": body.patches.projection, "tokens of the patches": body.patches, "fused": head.fuse}
    leaving |= {"qkv(tokens)": body.blocks[0].attention.qkv, "expand(tokens)": body.blocks[0].mlp.expand}
    leaving |= {"levels[3]": head.pyramid, "outputs[3]": head.pyramid}
    leaving |= {f"outputs[{i}]": smooth for i, smooth in enumerate(head.smooths)}
    hooks = [module.register_forward_pre_hook(_entering(notes, name)) for name, module in entering.items()]
    hooks += [module.register_forward_hook(_leaving(notes, name)) for name, module in leaving.items()]
    with ExitStack() as spies:
        spies.enter_context(noting(notes, encoder, "resize_position_embedding", "position"))
        fused = noting(notes, nn.functional, "scaled_dot_product_attention", "mixed", "queries", "keys", "values")
        spies.enter_context(fused)
        spies.enter_context(noting(notes, attention, "attention_weights", "weights"))
        spies.enter_context(plainly())  # the quick way leaves out some that the chapters name
        _, stages = model(pixels, return_stages=True)
        notes["logits"], seen = model(pixels, return_stages=True, return_attention=True)
    for hook in hooks:
        hook.remove()
    notes |= {f'stages["{name}"]': seen[name] for name in ("attention", "tokens", "encoder")}
    notes |= {f'stages["neck"][{i}]': seen["neck"][i] for i in range(4)}
    return notes | {"aux_logits": stages["aux_logits"]}


def _entering(notes: Notes, name: str):
    return lambda module, arguments: notes.__setitem__(name, arguments[0])


def _leaving(notes: Notes, name: str):
    return lambda module, arguments, result: notes.__setitem__(name, result[0] if type(result) is tuple else result)


@contextmanager
def noting(notes: Notes, module: Any, function: str, name: str, *arguments: str) -> Iterator[None]:
    """While inside, note what a function returned at its first call, and its first arguments."""
    original = getattr(module, function)

    def spy(*given: Any, **options: Any) -> Any:
        result = original(*given, **options)
        for key, value in ((name, result), *zip(arguments, given, strict=False)):
            notes.setdefault(key, value)
        return result

    with mock.patch.object(module, function, spy):
        yield
