"""The whole model: encoder, neck, decode head, auxiliary head.

Assembled in chapter 07; which sizes go together is written in `vitseg_lib.recipes`.
"""

from torch import Tensor, nn


class Segmenter(nn.Module):
    """Pixels in, logits out, every intermediate on request; `neck=None` leaves the encoder's four maps as they are."""

    def __init__(
        self, *, encoder: nn.Module, neck: nn.Module | None, decode_head: nn.Module, auxiliary_head: nn.Module
    ):
        super().__init__()
        self.encoder = encoder
        self.neck = neck if neck is not None else nn.Identity()
        self.decode_head = decode_head
        self.auxiliary_head = auxiliary_head

    def forward(
        self, pixels: Tensor, *, return_stages: bool = False, return_attention: bool = False
    ) -> Tensor | tuple[Tensor, dict[str, Tensor | list[Tensor]]]:
        """Normalised pixels (B, 3, H, W) → logits (B, K, h, w) at the decode head's resolution.

        With `return_stages`, (logits, stages): "encoder" and "neck", four maps (B, C, h, w) each; "logits";
        "aux_logits", the auxiliary head's; "tokens", (B, 1 + N, C) after each layer; and, with
        `return_attention` too, "attention", (B, heads, 1 + N, 1 + N) for each layer.
        """
        stages = self.encoder(pixels, return_attention=return_attention)
        stages["neck"] = self.neck(stages["encoder"])
        stages["logits"] = self.decode_head(stages["neck"])
        if not return_stages:
            return stages["logits"]
        stages["aux_logits"] = self.auxiliary_head(stages["neck"][-1])
        return stages["logits"], stages
