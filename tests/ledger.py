"""Every tensor of the pipeline, measured: what the shape ledger in notebooks/glossary.md is compared with.

The library's own code runs from the photo to mIoU, and what passes is noted under the ledger's names: `toy` for real
on a toy scene, the large models on torch's meta device, where tensors have shapes and no values.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import numpy as np
import torch
from conftest import ROOT
from einops import rearrange
from torch import Tensor, nn

from vitseg_lib import recipes
from vitseg_lib.data import ade20k, transforms
from vitseg_lib.data.classes import read_classes
from vitseg_lib.data.image_io import image_size
from vitseg_lib.data.loading import train_loader
from vitseg_lib.engine import inference
from vitseg_lib.engine.loss import segmentation_loss
from vitseg_lib.engine.metrics import ConfusionMatrix
from vitseg_lib.model import attention, encoder, weights
from vitseg_lib.model.segmenter import Segmenter
from vitseg_lib.model.upernet import resize
from vitseg_lib.recipes import Recipe

TOY = ROOT / "data" / "toy_scenes"
CLASSES = 150  # ADE20K's
PHOTO = (512, 683)  # height and width of many of ADE20K's photos
RATIO = 1.5  # what the random resize draws, in the path that trains

Notes = dict[str, Any]  # by name: a tensor, an array, a number, or a list of tensors of one shape


def tested_toy() -> Notes:
    """A validation scene of 128 × 160 through the committed `toy` weights, to its score."""
    recipe, classes = recipes.get("toy"), read_classes(TOY)
    pair = next(pair for pair in ade20k.list_pairs(TOY, "validation") if image_size(pair[0]) == (128, 160))
    model = recipes.build_model(recipe, len(classes)).eval()
    weights.load(model, TOY.parent / "weights" / "toy.safetensors")
    image, labels = ade20k.read_pair(*pair, classes)
    notes = tested(model, image, labels, recipe)
    prediction = inference.predict(model, image, recipe)
    assert np.array_equal(prediction, notes["predict(…)"].numpy())
    return notes | scored(labels, prediction, len(classes))


def tested_vit() -> Notes:
    """A photo of 512 × 683 through `vit_b16_mln_160k`; the score of a made-up prediction, as there are no values."""
    recipe, (image, labels) = recipes.get("vit_b16_mln_160k"), photo()
    model = on_meta(recipe).eval()
    with mock.patch.object(inference, "MS_FLIP_RATIOS", (0.5, 1.75)):  # two scales have the mean's shape too
        notes = tested(model, image, labels, recipe)
    return notes | scored(labels, labels, CLASSES)


def trained_deit() -> Notes:
    """A batch of 16 through `deit_s16_160k`, as in a step of its training."""
    recipe, (image, labels) = recipes.get("deit_s16_160k"), photo()
    notes = {"image": image, "labels": labels, "raw": labels + np.uint8(1)}
    pipeline = transforms.TrainPipeline(recipe.crop, recipe.test_scale, (RATIO, RATIO))
    steps = {step.name: step for step in pipeline.steps(image, labels, np.random.default_rng(0))}
    for name, step in (("resized", steps["resize"]), ("cropped", steps["crop"])):
        notes |= {f"image, {name}": step.image, f"labels, {name}": step.labels}
    notes |= {"pixels of one image": steps["pad"].image, "labels, padded": steps["pad"].labels}
    plain = transforms.TrainPipeline(recipe.crop, ratio_range=(0.5, 0.5), photometric=False)
    pixels, notes["labels of the batch"] = next(iter(train_loader(TOY, plain, batch_size=recipe.batch_size, seed=0)))
    model = on_meta(recipe).train()
    notes |= modelled(model, pixels)
    with ExitStack() as spies:
        for function, name in (("interpolate", "logits, upsampled"), ("cross_entropy", "cross_entropy(…)")):
            spies.enter_context(noting(notes, nn.functional, function, name))
        notes["loss"] = segmentation_loss(notes["logits"], notes["labels of the batch"].to("meta"))
    return notes


def on_meta(recipe: Recipe) -> Segmenter:
    """The recipe's model on torch's meta device."""
    with recipes.meta_init():
        return recipes.build_model(recipe, CLASSES)


def photo() -> tuple[np.ndarray, np.ndarray]:
    """Noise of a photo's size and labels for it: shapes do not depend on the content."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (*PHOTO, 3), dtype=np.uint8), rng.integers(0, CLASSES, PHOTO, dtype=np.uint8)


def tested(model: Segmenter, image: np.ndarray, labels: np.ndarray, recipe: Recipe) -> Notes:
    """One image as `inference.predict` treats it, whole and by multi-scale and flip."""
    size = transforms.fit_size(*image.shape[:2], recipe.test_scale)
    notes = {"image": image, "labels": labels, "raw": labels + np.uint8(1)}
    notes |= {"image, resized": transforms.resize_image(image, size)}
    notes |= {"pixels of one image": transforms.EvalPipeline(recipe.test_scale)(image)}
    pixels = inference.to_pixels(model, image, recipe.test_scale)
    with torch.inference_mode():
        notes |= modelled(model, pixels)
        notes["whole_image(…)"] = inference.whole_image(model, pixels)
        notes["resize(…)"] = resize(notes["whole_image(…)"], image.shape[:2])
        notes["predict(…)"] = notes["resize(…)"][0].argmax(dim=0).byte()
        notes["tta_probabilities(…)"] = inference.tta_probabilities(model, image, recipe)
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
    body, head = model.encoder, model.decode_head
    block, ppm = body.blocks[0], head.ppm
    pixels = pixels.to(body.cls_token.device)
    notes["proj.weight"] = body.patch_embed.proj.weight
    notes |= {name: getattr(body, name) for name in ("cls_token", "pos_embed")}
    entering = {"pixels, padded": body.patch_embed.proj, "tokens": block, "mixed, heads joined": block.attn.proj}
    entering |= {"x and pooled, side by side": ppm.bottleneck, "outputs, side by side": head.fpn_bottleneck}
    entering |= {f"levels[{i}]": fpn_conv for i, fpn_conv in enumerate(head.fpn_convs)}
    entering |= {f"pooled, k = {k}": branch for k, branch in zip(ppm.bins, ppm.psp_modules, strict=True)}
    leaving = {"maps": body.patch_embed.proj, "tokens of the patches": body.patch_embed}
    leaving |= {"qkv(tokens)": block.attn.qkv, "fc1(tokens)": block.mlp.fc1}
    leaving |= {"levels[3]": ppm, "outputs[3]": ppm, "fused": head.fpn_bottleneck}
    leaving |= {f"outputs[{i}]": fpn_conv for i, fpn_conv in enumerate(head.fpn_convs)}
    hooks = [module.register_forward_pre_hook(_entering(notes, name)) for name, module in entering.items()]
    hooks += [module.register_forward_hook(_leaving(notes, name)) for name, module in leaving.items()]
    with ExitStack() as spies:
        spies.enter_context(noting(notes, encoder, "resize_pos_embed", "position"))
        spies.enter_context(noting(notes, attention, "attention_weights", "weights", "queries", "keys"))
        spies.enter_context(mock.patch.object(attention, "rearrange", _rearranging(notes)))
        notes["logits"], seen = model(pixels, return_stages=True, return_attention=True)
    for hook in hooks:
        hook.remove()
    notes |= {f'stages["{name}"]': seen[name] for name in ("attention", "tokens", "encoder")}
    notes |= {f'stages["neck"][{i}]': seen["neck"][i] for i in range(4)}
    return notes | {"aux_logits": seen["aux_logits"]}


def _entering(notes: Notes, name: str):
    return lambda module, arguments: notes.__setitem__(name, arguments[0])


def _leaving(notes: Notes, name: str):
    return lambda module, arguments, result: notes.__setitem__(name, result[0] if type(result) is tuple else result)


def _rearranging(notes: Notes) -> Callable:
    """`rearrange`, which notes the values and the mixed values on their way through it."""

    def spy(tensor: Tensor, pattern: str, **sizes: int) -> Tensor:
        result = rearrange(tensor, pattern, **sizes)
        if pattern.endswith("three b heads n d"):
            notes.setdefault("values", result[2])
        elif pattern.endswith("b n (heads d)"):
            notes.setdefault("mixed", tensor)
        return result

    return spy


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
