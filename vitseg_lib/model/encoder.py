"""The Vision Transformer encoder: pre-norm blocks, drop path, and four taps.

Built step by step in chapter 05.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vitseg_lib.model.attention import SelfAttention
from vitseg_lib.model.linear import Linear
from vitseg_lib.model.patches import PatchEmbedding, resize_position_embedding, tokens_to_map


class DropPath(nn.Module):
    """Skip a branch for some samples of the batch while training; scale the kept ones so that the mean stays.

    Source: Huang et al. 2016, "Deep networks with stochastic depth", section 3.
    """

    def __init__(self, rate: float):
        super().__init__()
        self.rate = rate

    def forward(self, branch: Tensor) -> Tensor:
        """(B, …) → (B, …): each sample 0 with probability `rate`, else divided by 1 - `rate`."""
        if not self.training or self.rate == 0:
            return branch
        keep = 1 - self.rate
        per_sample = branch.new_empty(len(branch), *[1] * (branch.dim() - 1))
        return branch * per_sample.bernoulli_(keep).div_(keep)


class MLP(nn.Module):
    """Two linear layers with an exact (erf) GELU between them, on every token alone."""

    def __init__(self, *, width: int, hidden: int):
        super().__init__()
        self.expand = Linear(width, hidden)
        self.contract = Linear(hidden, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, N, C) → (B, N, C)."""
        return self.contract(nn.functional.gelu(self.expand(tokens)))


class Block(nn.Module):
    """Attention between tokens, then an MLP on each; both normalised before and added after.

    Drop path acts on both branches, as in mmsegmentation 0.17 (0.24 and later drop the MLP's only).
    Source: Dosovitskiy et al. 2021, section 3.1, equations 2 and 3.
    """

    def __init__(self, *, width: int, heads: int, mlp_ratio: float = 4.0, drop_path: float = 0.0):
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attention = SelfAttention(width=width, heads=heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = MLP(width=width, hidden=int(width * mlp_ratio))
        self.drop_path = DropPath(drop_path)

    def forward(self, tokens: Tensor, *, return_attention: bool = False) -> tuple[Tensor, Tensor | None]:
        """(B, N, C) → (B, N, C) and, when asked for, attention weights (B, heads, N, N), else None."""
        mixed, weights = self.attention(self.norm1(tokens), return_weights=return_attention)
        tokens = tokens + self.drop_path(mixed)
        tokens = tokens + self.drop_path(self.mlp(self.norm2(tokens)))
        return tokens, weights


def drop_path_rates(rate: float, depth: int) -> list[float]:
    """Drop-path rate of each layer: from 0 at the first to `rate` at the last, in equal steps."""
    return torch.linspace(0, rate, depth, device="cpu").tolist()


class Encoder(nn.Module):
    """A Vision Transformer that hands back feature maps from the layers it is tapped at.

    Source: Dosovitskiy et al. 2021, section 3.1; taps after layers 2, 5, 8, 11 as in mmsegmentation 0.17.
    """

    def __init__(
        self,
        *,
        width: int,
        depth: int,
        heads: int,
        patch_size: int,
        image_size: int,
        taps: Sequence[int],
        final_norm: bool = False,
        drop_path: float = 0.0,
    ):
        super().__init__()
        if not all(0 <= tap < depth for tap in taps):
            raise ValueError(f"taps {tuple(taps)} reach outside layers 0 to {depth - 1}")
        self.taps = tuple(taps)
        self.grid = (image_size // patch_size, image_size // patch_size)
        self.patches = PatchEmbedding(width=width, patch_size=patch_size)
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.position_embedding = nn.Parameter(torch.zeros(1, 1 + self.grid[0] * self.grid[1], width))
        rates = drop_path_rates(drop_path, depth)
        self.blocks = nn.ModuleList(Block(width=width, heads=heads, drop_path=rate) for rate in rates)
        self.final_norm = nn.LayerNorm(width, eps=1e-6) if final_norm else nn.Identity()
        self.reset_parameters()

    def forward(self, pixels: Tensor, *, return_attention: bool = False) -> dict[str, list[Tensor]]:
        """Normalised pixels (B, 3, H, W) of any size → every intermediate by name.

        "encoder": one map (B, C, h, w) a tap; "tokens": (B, 1 + N, C) after each layer, class token first;
        "attention": (B, heads, 1 + N, 1 + N) a layer, only when asked for. A final LayerNorm, where the recipe
        has one, acts on the last layer's tokens alone.
        """
        tokens, grid = self.patches(pixels)
        tokens = self.add_class_token_and_position(tokens, grid)
        outputs, attention = [], []
        for block in self.blocks:
            tokens, weights = block(tokens, return_attention=return_attention)
            outputs.append(tokens)
            attention.append(weights)
        outputs[-1] = self.final_norm(outputs[-1])
        stages = {"encoder": [tokens_to_map(outputs[tap], grid) for tap in self.taps], "tokens": outputs}
        return stages | ({"attention": attention} if return_attention else {})

    def add_class_token_and_position(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        """(B, N, C) → (B, 1 + N, C); the position embedding is resized when the grid is not its own."""
        class_token = self.class_token.expand(len(tokens), -1, -1)
        position = resize_position_embedding(self.position_embedding, self.grid, grid)
        return torch.cat([class_token, tokens], dim=1) + position

    def reset_parameters(self) -> None:
        """Initialise as mmsegmentation 0.17 does when there are no pretrained weights."""
        nn.init.trunc_normal_(self.class_token, std=0.02)
        nn.init.trunc_normal_(self.position_embedding, std=0.02)
        nn.init.kaiming_normal_(self.patches.projection.weight, mode="fan_in", nonlinearity="relu")
        nn.init.zeros_(self.patches.projection.bias)
        for name, module in self.blocks.named_modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.normal_(module.bias, std=1e-6 if ".mlp." in name else 0.0)
