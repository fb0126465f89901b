"""The Vision Transformer encoder: pre-norm blocks, drop path, and four feature maps.

Built step by step in chapter 05.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vitseg_lib.model.attention import SelfAttention
from vitseg_lib.model.patches import PatchEmbedding, resize_pos_embed, tokens_to_map


class DropPath(nn.Module):
    """Stochastic depth (Huang et al. 2016, section 3): drop a branch for some samples in training, scale the rest."""

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

    def __init__(self, *, embed_dim: int, hidden_dim: int):
        super().__init__()
        self.fc1 = nn.Linear(embed_dim, hidden_dim)
        self.fc2 = nn.Linear(hidden_dim, embed_dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, N, C) → (B, N, C)."""
        return self.fc2(nn.functional.gelu(self.fc1(tokens)))


class Block(nn.Module):
    """Attention between tokens, then an MLP on each; both normalised before and added after.

    Drop path acts on both branches, as in mmsegmentation 0.17 (0.24 and later drop the MLP's only).
    Source: Dosovitskiy et al. 2021, section 3.1, equations 2 and 3.
    """

    def __init__(self, *, embed_dim: int, num_heads: int, mlp_ratio: float = 4.0, drop_path: float = 0.0):
        super().__init__()
        self.norm1 = nn.LayerNorm(embed_dim, eps=1e-6)
        self.attn = SelfAttention(embed_dim=embed_dim, num_heads=num_heads)
        self.norm2 = nn.LayerNorm(embed_dim, eps=1e-6)
        self.mlp = MLP(embed_dim=embed_dim, hidden_dim=int(embed_dim * mlp_ratio))
        self.drop_path = DropPath(drop_path)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """(B, N, C) → (B, N, C) and the attention weights (B, heads, N, N)."""
        mixed, weights = self.attn(self.norm1(tokens))
        tokens = tokens + self.drop_path(mixed)
        tokens = tokens + self.drop_path(self.mlp(self.norm2(tokens)))
        return tokens, weights


def drop_path_rates(rate: float, depth: int) -> list[float]:
    """Drop-path rate of each layer: from 0 at the first to `rate` at the last, in equal steps."""
    return torch.linspace(0, rate, depth, device="cpu").tolist()


class Encoder(nn.Module):
    """A Vision Transformer that returns the feature maps of the layers in `out_indices`.

    Source: Dosovitskiy et al. 2021, section 3.1; maps after layers 2, 5, 8, 11 as in mmsegmentation 0.17.
    """

    def __init__(
        self,
        *,
        embed_dim: int,
        depth: int,
        num_heads: int,
        patch_size: int,
        image_size: int,
        out_indices: Sequence[int],
        final_norm: bool = False,
        drop_path: float = 0.0,
    ):
        super().__init__()
        if not all(0 <= index < depth for index in out_indices):
            raise ValueError(f"out_indices {tuple(out_indices)} reach outside layers 0 to {depth - 1}")
        self.out_indices = tuple(out_indices)
        self.grid_size = (image_size // patch_size, image_size // patch_size)
        self.patch_embed = PatchEmbedding(embed_dim=embed_dim, patch_size=patch_size)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + self.grid_size[0] * self.grid_size[1], embed_dim))
        rates = drop_path_rates(drop_path, depth)
        self.blocks = nn.ModuleList(Block(embed_dim=embed_dim, num_heads=num_heads, drop_path=rate) for rate in rates)
        self.norm = nn.LayerNorm(embed_dim, eps=1e-6) if final_norm else nn.Identity()
        self.reset_parameters()

    def forward(self, pixels: Tensor, *, return_attention: bool = False) -> dict[str, list[Tensor]]:
        """Normalised pixels (B, 3, H, W) of any size → every intermediate by name.

        "encoder": a map (B, C, h, w) for each of `out_indices`; "tokens": (B, 1 + N, C) after each layer, class token
        first; "attention", on request: (B, heads, 1 + N, 1 + N) for each. A final LayerNorm acts on the last alone.
        """
        tokens, grid = self.patch_embed(pixels)
        tokens = self.add_cls_token_and_pos_embed(tokens, grid)
        stages = {"tokens": [], "attention": []} if return_attention else {"tokens": []}
        for block in self.blocks:
            tokens, weights = block(tokens)
            stages["tokens"].append(tokens)
            if return_attention:
                stages["attention"].append(weights)
        stages["tokens"][-1] = self.norm(tokens)
        stages["encoder"] = [tokens_to_map(stages["tokens"][index], grid) for index in self.out_indices]
        return stages

    def add_cls_token_and_pos_embed(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        """(B, N, C) → (B, 1 + N, C); the position embedding is resized when the grid is not its own."""
        cls_token = self.cls_token.expand(len(tokens), -1, -1)
        pos_embed = resize_pos_embed(self.pos_embed, self.grid_size, grid)
        return torch.cat([cls_token, tokens], dim=1) + pos_embed

    def reset_parameters(self) -> None:
        """Initialise as mmsegmentation 0.17 does when there are no pretrained weights."""
        nn.init.trunc_normal_(self.cls_token, std=0.02)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        nn.init.kaiming_normal_(self.patch_embed.proj.weight, mode="fan_in", nonlinearity="relu")
        nn.init.zeros_(self.patch_embed.proj.bias)
        for block in self.blocks:
            attn, mlp = block.attn, block.mlp
            for linear, bias_std in ((attn.qkv, 0), (attn.proj, 0), (mlp.fc1, 1e-6), (mlp.fc2, 1e-6)):
                nn.init.trunc_normal_(linear.weight, std=0.02)
                nn.init.normal_(linear.bias, std=bias_std)
