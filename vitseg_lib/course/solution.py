"""A Vision Transformer segmenter in one file: the course's own `mine.py`, in the order of the pipeline.

B images, N tokens, C channels, d of them a head's, H×W pixels, h×w grid, K classes.
"""

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn

from vitseg_lib.data.transforms import MEAN, STD, fit_size, random_scale, resize_image, resize_labels


def labels_from_file(raw):
    """A mask as ADE20K stores it (0 is "other") → labels 0…K-1, uint8; 255 is ignored."""
    labels = raw.astype(np.uint8) - np.uint8(1)  # a byte wraps around: 0 - 1 = 255
    labels[raw == 255] = 255
    return labels


def class_fractions(masks, num_classes):
    """Each class's fraction of all labelled pixels of all masks, (K,)."""
    counts = np.zeros(num_classes, dtype=np.int64)
    for labels in masks:
        counts += np.bincount(labels[labels != 255], minlength=num_classes)
    return counts / counts.sum()


def flip_both(image, labels, probability, rng):
    """Mirror image and labels, left to right, if one draw is below `probability`."""
    if rng.random() < probability:
        return image[:, ::-1], labels[:, ::-1]
    return image, labels


def choose_window(labels, crop, rng):
    """(top, left, bottom, right) of the first of ten windows that no class fills to ¾."""
    height, width = labels.shape
    for draw in range(11):
        top = int(rng.integers(max(height - crop, 0) + 1))
        left = int(rng.integers(max(width - crop, 0) + 1))
        window = labels[top : top + crop, left : left + crop]
        counts = np.bincount(window[window != 255])
        varied = counts.any() and counts.max() < 0.75 * counts.sum()
        if varied or draw == 10:  # the eleventh is taken as it is
            return top, left, min(top + crop, height), min(left + crop, width)


def normalise_and_pad(image, labels, crop):
    """(H, W, 3) and (H, W) → pixels (3, crop, crop), filled with 0; labels, with 255."""
    pixels = (image - np.float32(MEAN)) / np.float32(STD)
    pixels = rearrange(torch.from_numpy(pixels), "h w c -> c h w")
    bottom, right = crop - labels.shape[0], crop - labels.shape[1]
    labels = np.pad(labels, ((0, bottom), (0, right)), constant_values=255)
    return F.pad(pixels, (0, right, 0, bottom)), labels


def train_transform(image, labels, rng, *, crop, scale, ratio_range):
    """An image and its labels, changed at random → pixels (3, crop, crop), labels."""
    size = fit_size(*labels.shape, random_scale(rng, scale, ratio_range))
    image, labels = resize_image(image, size), resize_labels(labels, size)
    top, left, bottom, right = choose_window(labels, crop, rng)
    image, labels = image[top:bottom, left:right], labels[top:bottom, left:right]
    image, labels = flip_both(image, labels, 0.5, rng)
    return normalise_and_pad(image, labels, crop)


class PatchEmbedding(nn.Module):
    """Pixels (B, 3, H, W) → tokens (B, N, C), row by row, and their grid (h, w)."""

    def __init__(self, *, embed_dim, patch_size):
        super().__init__()
        self.patch_size = patch_size
        self.proj = nn.Conv2d(3, embed_dim, kernel_size=patch_size, stride=patch_size)

    def forward(self, pixels):
        height, width = pixels.shape[-2:]
        pixels = F.pad(pixels, (0, -width % self.patch_size, 0, -height % self.patch_size))
        maps = self.proj(pixels)
        return rearrange(maps, "b c h w -> b (h w) c"), tuple(maps.shape[-2:])


def resize_pos_embed(pos_embed, old, new):
    """(1, 1 + h·w, C) for the old grid → for the new one; the class token's row stays."""
    class_row, rows = pos_embed[:, :1], pos_embed[:, 1:]
    maps = rearrange(rows, "b (h w) c -> b c h w", h=old[0], w=old[1])
    maps = F.interpolate(maps, size=new, mode="bicubic", align_corners=False)
    return torch.cat([class_row, rearrange(maps, "b c h w -> b (h w) c")], dim=1)


class SelfAttention(nn.Module):
    """(B, N, C) → (B, N, C) and the attention weights (B, heads, N, N)."""

    def __init__(self, *, embed_dim, num_heads):
        super().__init__()
        if embed_dim % num_heads:
            raise ValueError(f"{num_heads} heads do not divide an embed_dim of {embed_dim}")
        self.num_heads = num_heads
        self.qkv = nn.Linear(embed_dim, 3 * embed_dim)
        self.proj = nn.Linear(embed_dim, embed_dim)

    def forward(self, tokens):
        pattern = "b n (three heads d) -> three b heads n d"
        queries, keys, values = rearrange(self.qkv(tokens), pattern, three=3, heads=self.num_heads)
        scores = queries @ rearrange(keys, "b heads n d -> b heads d n")
        weights = (scores / queries.shape[-1] ** 0.5).softmax(dim=-1)
        mixed = rearrange(weights @ values, "b heads n d -> b n (heads d)")
        return self.proj(mixed), weights


class LayerNorm(nn.Module):
    """Every token (…, C) with mean 0 and variance 1, times weight, plus bias."""

    def __init__(self, embed_dim, eps=1e-6):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(embed_dim))
        self.bias = nn.Parameter(torch.zeros(embed_dim))
        self.eps = eps

    def forward(self, tokens):
        centred = tokens - tokens.mean(dim=-1, keepdim=True)
        variance = (centred**2).mean(dim=-1, keepdim=True)
        return centred / torch.sqrt(variance + self.eps) * self.weight + self.bias


class MLP(nn.Module):
    """Two linear layers with a GELU between them, on every token alone."""

    def __init__(self, *, embed_dim, hidden_dim):
        super().__init__()
        self.fc1 = nn.Linear(embed_dim, hidden_dim)
        self.fc2 = nn.Linear(hidden_dim, embed_dim)

    def forward(self, tokens):
        return self.fc2(F.gelu(self.fc1(tokens)))


class DropPath(nn.Module):
    """In training, each sample's branch (B, …) is 0 with probability `rate`, else scaled."""

    def __init__(self, rate):
        super().__init__()
        self.rate = rate

    def forward(self, branch):
        if not self.training or self.rate == 0:
            return branch
        keep = 1 - self.rate
        one_each = branch.new_empty(len(branch), *[1] * (branch.dim() - 1))
        return branch * one_each.bernoulli_(keep) / keep


class Block(nn.Module):
    """Attention between tokens, then an MLP on each; normed before, added after."""

    def __init__(self, *, embed_dim, num_heads, drop_path=0.0):
        super().__init__()
        self.norm1 = LayerNorm(embed_dim)
        self.attn = SelfAttention(embed_dim=embed_dim, num_heads=num_heads)
        self.norm2 = LayerNorm(embed_dim)
        self.mlp = MLP(embed_dim=embed_dim, hidden_dim=4 * embed_dim)
        self.drop_path = DropPath(drop_path)

    def forward(self, tokens):
        mixed, weights = self.attn(self.norm1(tokens))
        tokens = tokens + self.drop_path(mixed)
        tokens = tokens + self.drop_path(self.mlp(self.norm2(tokens)))
        return tokens, weights


class Encoder(nn.Module):
    """Pixels (B, 3, H, W) → "encoder": the maps (B, C, h, w) after the layers `out_indices`."""

    def __init__(
        self, *, embed_dim, depth, num_heads, patch_size, image_size, out_indices, final_norm=False, drop_path=0.0
    ):
        super().__init__()
        self.out_indices = out_indices
        self.grid_size = (image_size // patch_size, image_size // patch_size)
        count = self.grid_size[0] * self.grid_size[1]
        self.patch_embed = PatchEmbedding(embed_dim=embed_dim, patch_size=patch_size)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + count, embed_dim))
        self.blocks = nn.ModuleList()
        for rate in torch.linspace(0, drop_path, depth).tolist():
            self.blocks.append(Block(embed_dim=embed_dim, num_heads=num_heads, drop_path=rate))
        self.norm = LayerNorm(embed_dim) if final_norm else nn.Identity()
        self.reset_parameters()

    def forward(self, pixels, *, return_attention=False):
        tokens, grid = self.patch_embed(pixels)
        tokens = torch.cat([self.cls_token.expand(len(tokens), -1, -1), tokens], dim=1)
        tokens = tokens + resize_pos_embed(self.pos_embed, self.grid_size, grid)
        stages = {"tokens": [], "attention": []}
        for block in self.blocks:
            tokens, weights = block(tokens)
            stages["tokens"].append(tokens)
            stages["attention"].append(weights if return_attention else None)
        stages["tokens"][-1] = self.norm(tokens)
        stages["encoder"] = []
        for index in self.out_indices:
            patches = stages["tokens"][index][:, 1:]
            stages["encoder"].append(rearrange(patches, "b (h w) c -> b c h w", h=grid[0]))
        return stages

    def reset_parameters(self):
        for name, parameter in self.named_parameters():
            if name in ("cls_token", "pos_embed") or (".weight" in name and parameter.dim() == 2):
                nn.init.trunc_normal_(parameter, std=0.02)
            elif name == "patch_embed.proj.weight":
                nn.init.kaiming_normal_(parameter, nonlinearity="relu")
            elif ".mlp." in name:
                nn.init.normal_(parameter, std=1e-6)
            elif ".bias" in name:
                nn.init.zeros_(parameter)


class NeckBranch(nn.Module):
    """(B, C, h, w) → (B, C, ⌊h·scale⌋, ⌊w·scale⌋), at least 1×1."""

    def __init__(self, *, embed_dim, scale):
        super().__init__()
        self.scale = scale
        self.lateral_conv = nn.Conv2d(embed_dim, embed_dim, kernel_size=1)
        self.conv = nn.Conv2d(embed_dim, embed_dim, kernel_size=3, padding=1)
        for conv in (self.lateral_conv, self.conv):
            nn.init.xavier_uniform_(conv.weight)
            nn.init.zeros_(conv.bias)

    def forward(self, x):
        x = self.lateral_conv(x)
        if self.scale < 1:  # a side of one is doubled first, so that half of it is one
            x = F.pad(x, (0, int(x.shape[-1] == 1), 0, int(x.shape[-2] == 1)), mode="replicate")
        x = F.interpolate(x, scale_factor=self.scale, mode="bilinear", align_corners=False)
        return self.conv(x)


class MultiLevelNeck(nn.Module):
    """Four maps (B, C, h, w) → a pyramid: 4, 2, 1 and ½ times their size."""

    def __init__(self, *, embed_dim):
        super().__init__()
        self.branches = nn.ModuleList(NeckBranch(embed_dim=embed_dim, scale=s) for s in (4, 2, 1, 0.5))

    def forward(self, maps):
        return [branch(x) for branch, x in zip(self.branches, maps, strict=True)]


class ConvBlock(nn.Module):
    """Convolution without bias, BatchNorm, ReLU."""

    def __init__(self, in_channels, out_channels, kernel_size):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x):
        return F.relu(self.bn(self.conv(x)))


class PyramidPooling(nn.Module):
    """(B, C, h, w) → (B, channels, h, w): means over 1, 2², 3² and 6² windows, mixed in."""

    def __init__(self, in_channels, channels, bins=(1, 2, 3, 6)):
        super().__init__()
        self.bins = bins
        self.psp_modules = nn.ModuleList(ConvBlock(in_channels, channels, 1) for _ in bins)
        self.bottleneck = ConvBlock(in_channels + len(bins) * channels, channels, 3)

    def forward(self, x):
        joined = [x]
        for k, conv in zip(self.bins, self.psp_modules, strict=True):
            joined.append(resize(conv(F.adaptive_avg_pool2d(x, k)), x.shape[-2:]))
        return self.bottleneck(torch.cat(joined, dim=1))


def resize(x, size):
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


def top_down(levels):
    """Add to each map, finest first, the upsampled sum of all coarser ones."""
    sums = list(levels)
    for i in range(len(sums) - 1, 0, -1):
        sums[i - 1] = sums[i - 1] + resize(sums[i], sums[i - 1].shape[-2:])
    return sums


def classifier(channels, num_classes):
    conv = nn.Conv2d(channels, num_classes, kernel_size=1)
    nn.init.normal_(conv.weight, std=0.01)
    nn.init.zeros_(conv.bias)
    return conv


class UPerHead(nn.Module):
    """Four maps (B, C, h, w), finest first → logits (B, K, h, w) at the finest one's size."""

    def __init__(self, *, in_channels, channels, num_classes):
        super().__init__()
        self.ppm = PyramidPooling(in_channels, channels)
        self.lateral_convs = nn.ModuleList(ConvBlock(in_channels, channels, 1) for _ in range(3))
        self.fpn_convs = nn.ModuleList(ConvBlock(channels, channels, 3) for _ in range(3))
        self.fpn_bottleneck = ConvBlock(4 * channels, channels, 3)
        self.dropout = nn.Dropout2d(0.1)
        self.conv_seg = classifier(channels, num_classes)

    def forward(self, maps):
        levels = [conv(x) for conv, x in zip(self.lateral_convs, maps[:3], strict=True)]
        levels = top_down([*levels, self.ppm(maps[3])])
        outputs = [conv(x) for conv, x in zip(self.fpn_convs, levels[:3], strict=True)]
        outputs = [resize(x, maps[0].shape[-2:]) for x in [*outputs, levels[3]]]
        fused = self.fpn_bottleneck(torch.cat(outputs, dim=1))
        return self.conv_seg(self.dropout(fused))


class FCNHead(nn.Module):
    """One map (B, C, h, w) → logits (B, K, h, w), for an auxiliary loss in training."""

    def __init__(self, *, in_channels, channels, num_classes):
        super().__init__()
        self.convs = nn.Sequential(ConvBlock(in_channels, channels, 3))
        self.dropout = nn.Dropout2d(0.1)
        self.conv_seg = classifier(channels, num_classes)

    def forward(self, x):
        return self.conv_seg(self.dropout(self.convs(x)))


class Segmenter(nn.Module):
    """Pixels (B, 3, H, W) → logits (B, K, h, w), and every stage by name on request."""

    def __init__(self, *, encoder, neck, decode_head, auxiliary_head):
        super().__init__()
        self.encoder = encoder
        self.neck = neck if neck is not None else nn.Identity()
        self.decode_head = decode_head
        self.auxiliary_head = auxiliary_head

    def forward(self, pixels, *, return_stages=False, return_attention=False):
        stages = self.encoder(pixels, return_attention=return_attention)
        stages["neck"] = self.neck(stages["encoder"])
        stages["logits"] = self.decode_head(stages["neck"])
        if not return_stages:
            return stages["logits"]
        stages["aux_logits"] = self.auxiliary_head(stages["neck"][-1])
        return stages["logits"], stages


def segmentation_loss(logits, labels):
    """Cross-entropy of logits (B, K, h, w) and labels (B, H, W); 255 counts as 0 loss."""
    logits = F.interpolate(logits, size=labels.shape[-2:], mode="bilinear", align_corners=False)
    return F.cross_entropy(logits, labels, ignore_index=255, reduction="none").mean()


def confusion_matrix(labels, prediction, num_classes):
    """Pixels counted by (true class, predicted class), (K, K)."""
    counted = labels != 255
    pairs = labels[counted].astype(int) * num_classes + prediction[counted]
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def iou_and_mean(counts):
    """IoU of each class and mIoU, in percent; a class that occurs nowhere is left out."""
    both = np.diag(counts)
    either = counts.sum(axis=0) + counts.sum(axis=1) - both
    iou = np.full(len(counts), np.nan)
    iou[either > 0] = 100 * both[either > 0] / either[either > 0]
    return iou, float(np.nanmean(iou))


def parameter_groups(model, weight_decay):
    """Two groups for AdamW: class token and position embedding do not decay."""
    decayed, spared = [], []
    for name, parameter in model.named_parameters():
        is_spared = name.endswith(("cls_token", "pos_embed"))
        (spared if is_spared else decayed).append(parameter)
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": spared, "weight_decay": 0.0}]


def learning_rate(step, total, base, warmup):
    """Falls in a line from `base` to 0; over the first `warmup` steps times 1e-6 … 1."""
    rate = base * (1 - step / total)
    if step < warmup:
        rate *= 1 - (1 - step / warmup) * (1 - 1e-6)
    return rate
