"""What a recipe costs before anybody pays: operations and bytes, counted on a model that has shapes and no numbers.

Built in chapter 11.
"""

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from vitseg_lib.engine.loss import segmentation_loss
from vitseg_lib.model.plain import plainly
from vitseg_lib.model.unfilled import unfilled
from vitseg_lib.recipes import Recipe, build_model, count_parameters

PARTS = ("encoder", "neck", "head", "auxiliary_head")
FORWARD_AND_BACKWARD = 3  # a product costs one more of its size for each of its two gradients
STATES = 4  # numbers kept for each parameter: itself, its gradient, AdamW's two running means
BYTES = 4  # of a number in float32


def operations(recipe: Recipe, num_classes: int = 150) -> dict[str, int]:
    """Floating-point operations of one forward of one image at the recipe's crop, by part.

    Convolutions and matrix products are counted, a multiplication and an addition as two operations; norms,
    activations and resizes, about a hundredth, are not. Nothing is allocated or computed. It is the architecture's
    work, done plainly; the library's shortcuts save some of it.
    """
    with unfilled():
        model = build_model(recipe, num_classes).eval()
        pixels = torch.empty(1, 3, recipe.crop, recipe.crop)
    with plainly(), FlopCounterMode(display=False) as counter, torch.no_grad():
        model(pixels, return_stages=True)
    counts = counter.get_flop_counts()
    return {part: sum(counts.get(f"{type(model).__name__}.{part}", {}).values()) for part in PARTS}


def training_operations(recipe: Recipe, num_classes: int = 150) -> int:
    """Operations of the recipe's whole training run: three forwards' worth for every image of every step."""
    images = recipe.iterations * recipe.batch_size
    return FORWARD_AND_BACKWARD * sum(operations(recipe, num_classes).values()) * images


def state_bytes(recipe: Recipe, num_classes: int = 150) -> int:
    """Bytes that stay from step to step: parameters, gradients and AdamW's two running means, in float32."""
    return STATES * BYTES * count_parameters(recipe, num_classes)


def kept_bytes(recipe: Recipe, num_classes: int = 150, *, batch: int = 2) -> int:
    """Bytes that a forward and its loss keep for the backward, parameters left out, for `batch` crops in float32.

    It is what the plain way keeps: full-size logits, joined maps, and the readable attention's weights, which are
    4 · depth · batch · heads · (1 + N)² bytes; the library's shortcuts save most of these. What a backward needs for
    itself is not in it, so a real peak is higher. Nothing is allocated or computed.
    """
    with unfilled():
        model = build_model(recipe, num_classes).train()
        pixels = torch.empty(batch, 3, recipe.crop, recipe.crop)
        labels = torch.empty(batch, recipe.crop, recipe.crop, dtype=torch.long)
    storages = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        storages[storage._cdata] = storage  # held, so that no other can take its number
        return tensor

    with plainly(), torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        logits, stages = model(pixels, return_stages=True, return_attention=True)
        loss = segmentation_loss(logits, labels) + recipe.aux_weight * segmentation_loss(stages["aux_logits"], labels)
    own = {parameter.untyped_storage()._cdata for parameter in model.parameters()}
    del loss
    return sum(storage.nbytes() for number, storage in storages.items() if number not in own)
