"""Multi-head self-attention, in the readable maths.

Built step by step in chapter 04. `model.fast` has the fused call, which gives the same tokens and keeps no weights.
"""

from einops import rearrange
from torch import Tensor, nn


def attention_weights(queries: Tensor, keys: Tensor) -> Tensor:
    """Softmax(q kᵀ / √d): the attention weight of each key for each query.

    Two (B, heads, N, d) → (B, heads, N, N); each row is ≥ 0 and sums to 1.
    Source: Vaswani et al. 2017, section 3.2.1, equation 1.
    """
    scores = queries @ rearrange(keys, "b heads n d -> b heads d n")
    return (scores / queries.shape[-1] ** 0.5).softmax(dim=-1)


class SelfAttention(nn.Module):
    """Every token attends to all tokens, in several heads side by side (Vaswani et al. 2017, section 3.2.2)."""

    def __init__(self, *, embed_dim: int, num_heads: int):
        super().__init__()
        if embed_dim % num_heads:
            raise ValueError(f"{num_heads} heads do not divide an embed_dim of {embed_dim}")
        self.num_heads = num_heads
        self.qkv = nn.Linear(embed_dim, 3 * embed_dim)
        self.proj = nn.Linear(embed_dim, embed_dim)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """(B, N, C) → (B, N, C) and the attention weights (B, heads, N, N)."""
        queries, keys, values = rearrange(
            self.qkv(tokens), "b n (three heads d) -> three b heads n d", three=3, heads=self.num_heads
        )
        weights = attention_weights(queries, keys)
        mixed = rearrange(weights @ values, "b heads n d -> b n (heads d)")
        return self.proj(mixed), weights
