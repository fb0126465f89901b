"""What a recipe costs before anybody pays: operations and bytes, counted on a model that has shapes and no values.

Built in chapter 11.
"""

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from vitseg_lib.engine.loss import segmentation_loss
from vitseg_lib.recipes import Recipe, build_model, count_parameters, meta_init

PARTS = ("encoder", "neck", "decode_head", "auxiliary_head")
STATES = 4  # values kept for each parameter: itself, its gradient, AdamW's two running means
BYTES = 4  # of a value in float32


def operations(recipe: Recipe, num_classes: int = 150) -> dict[str, int]:
    """Floating-point operations of one forward of one image at the recipe's crop, by part.

    Convolutions and matrix products are counted, a multiplication and an addition as two operations; norms,
    activations and resizes, about a hundredth, are not. Nothing is allocated or computed. This is the plain model;
    its `fast` twin saves some of these operations.
    """
    with meta_init():
        model = build_model(recipe, num_classes).eval()
        pixels = torch.empty(1, 3, recipe.crop, recipe.crop)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(pixels, return_stages=True)
    counts = counter.get_flop_counts()
    return {part: sum(counts.get(f"{type(model).__name__}.{part}", {}).values()) for part in PARTS}


def state_bytes(recipe: Recipe, num_classes: int = 150) -> int:
    """Bytes that stay from step to step: parameters, gradients and AdamW's two running means, in float32."""
    return STATES * BYTES * count_parameters(recipe, num_classes)


def activation_bytes(recipe: Recipe, num_classes: int = 150, *, batch: int = 2) -> int:
    """Bytes that a forward and its loss keep for the backward, parameters left out, for `batch` crops in float32.

    This is what the plain model and the plain loss keep: full-size logits, concatenated maps, and the attention
    weights, which are 4 · depth · batch · heads · (1 + N)² bytes; the `fast` twin saves most of these. What a backward
    needs for itself is not in it, so a real peak is higher. Nothing is allocated or computed.
    """
    with meta_init():
        model = build_model(recipe, num_classes).train()
        pixels = torch.empty(batch, 3, recipe.crop, recipe.crop)
        labels = torch.empty(batch, recipe.crop, recipe.crop, dtype=torch.long)
    storages = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        storages[storage._cdata] = storage  # held, so that no other can take its address
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        logits, stages = model(pixels, return_stages=True, return_attention=True)
        loss = segmentation_loss(logits, labels) + recipe.aux_weight * segmentation_loss(stages["aux_logits"], labels)
    own = {parameter.untyped_storage()._cdata for parameter in model.parameters()}
    del loss
    return sum(storage.nbytes() for address, storage in storages.items() if address not in own)
