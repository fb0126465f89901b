"""Multi-head self-attention: the readable maths and the fused call, which agree.

Built step by step in chapter 04.
"""

import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from vitseg_lib.model.linear import Linear


def attention_weights(queries: Tensor, keys: Tensor) -> Tensor:
    """Softmax(q kᵀ / √d): how much each query draws from each key.

    Two (B, heads, N, d) → (B, heads, N, N); each row is ≥ 0 and sums to 1.
    Source: Vaswani et al. 2017, section 3.2.1, equation 1.
    """
    scores = queries @ rearrange(keys, "b heads n d -> b heads d n")
    return (scores / queries.shape[-1] ** 0.5).softmax(dim=-1)


class SelfAttention(nn.Module):
    """Every token asks all tokens, in several heads side by side.

    Source: Vaswani et al. 2017, section 3.2.2; as in Dosovitskiy et al. 2021, appendix A.
    """

    def __init__(self, *, width: int, heads: int):
        super().__init__()
        if width % heads:
            raise ValueError(f"{heads} heads do not divide a width of {width}")
        self.heads = heads
        self.qkv = Linear(width, 3 * width)
        self.projection = Linear(width, width)

    def forward(self, tokens: Tensor, *, return_weights: bool = False) -> tuple[Tensor, Tensor | None]:
        """(B, N, C) → (B, N, C) and, when asked for, the attention weights (B, heads, N, N), else None.

        Without weights the fused kernel runs, which never stores them; with weights, the readable maths.
        """
        queries, keys, values = rearrange(
            self.qkv(tokens), "b n (three heads d) -> three b heads n d", three=3, heads=self.heads
        )
        weights = attention_weights(queries, keys) if return_weights else None
        mixed = F.scaled_dot_product_attention(queries, keys, values) if weights is None else weights @ values
        return self.projection(rearrange(mixed, "b heads n d -> b n (heads d)")), weights
