"""Every model of the course on one page: sizes, schedule, and what was published about it.

    recipe = recipes.get("deit_s16_mln_160k")
    model = recipes.build_model(recipe, num_classes=150)

Source of the published rows: mmsegmentation 0.17, UPerNet with ViT backbones on ADE20K at 512×512, June 2021.
"""

import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from vitseg_lib.model.encoder import Encoder
from vitseg_lib.model.neck import MultiLevelNeck
from vitseg_lib.model.segmenter import Segmenter
from vitseg_lib.model.upernet import FCNHead, UPerHead


@dataclass(frozen=True)
class Published:
    """One row of the published table: percent on ADE20K's validation set; theirs, on eight V100s in fp32."""

    mIoU: float
    mIoU_ms_flip: float
    params_M: float
    memory_GB: float
    images_per_s: float
    url: str
    sha256_prefix: str


@dataclass(frozen=True)
class Recipe:
    """All that makes one row of the table. Sizes in pixels, channels or layers; layers count from 0."""

    name: str
    # encoder
    embed_dim: int
    num_heads: int
    depth: int = 12
    patch_size: int = 16
    out_indices: tuple[int, ...] = (2, 5, 8, 11)
    final_norm: bool = False
    drop_path: float = 0.1
    pretrained: str | None = None  # the timm tag whose weights training starts from
    # neck and heads
    neck: bool = False
    head_channels: int = 512
    aux_channels: int = 256
    aux_weight: float = 0.4
    # data
    crop: int = 512
    test_scale: tuple[int, int] = (2048, 512)
    ratio_range: tuple[float, float] = (0.5, 2.0)
    photometric: bool = True
    # schedule
    iterations: int = 160_000
    batch_size: int = 16
    learning_rate: float = 6e-5
    weight_decay: float = 0.01
    warmup: int = 1500
    evaluate_every: int = 16_000
    published: Published | None = None


ENCODER_SIZES = ("embed_dim", "depth", "num_heads", "patch_size", "out_indices", "final_norm", "drop_path")


def get(name: str) -> Recipe:
    """The recipe of that name. KeyError lists the known names and the nearest one."""
    if name in RECIPES:
        return RECIPES[name]
    near = difflib.get_close_matches(name, RECIPES, n=1, cutoff=0.0)[0]
    raise KeyError(f"no recipe is called {name!r}; the nearest is {near!r}, and all are: {', '.join(RECIPES)}")


def names() -> list[str]:
    """All recipe names, in the table's order, the small ones last."""
    return list(RECIPES)


def build_model(recipe: Recipe, num_classes: int = 150, *, parts: Any = None) -> Segmenter:
    """The recipe's model with random weights; `torch.manual_seed` before it makes them repeatable.

    `parts` brings other classes than the library's: `Segmenter`, `Encoder`, `MultiLevelNeck`, `UPerHead`, `FCNHead`.
    """
    parts = parts or LIBRARY
    sizes = {name: getattr(recipe, name) for name in ENCODER_SIZES}
    maps = {"in_channels": recipe.embed_dim, "num_classes": num_classes}
    return parts.Segmenter(
        encoder=parts.Encoder(image_size=recipe.crop, **sizes),
        neck=parts.MultiLevelNeck(embed_dim=recipe.embed_dim) if recipe.neck else None,
        decode_head=parts.UPerHead(channels=recipe.head_channels, **maps),
        auxiliary_head=parts.FCNHead(channels=recipe.aux_channels, **maps),
    )


def count_parameters(recipe: Recipe, num_classes: int = 150) -> int:
    """The number of the recipe's parameters, the auxiliary head's included; nothing is allocated."""
    with meta_init():
        return sum(p.numel() for p in build_model(recipe, num_classes).parameters())


@contextmanager
def meta_init() -> Iterator[None]:
    """Models built inside are on the meta device: shapes that take no memory, until `weights.load` brings values.

    Nothing is drawn, either: drawing there is the first thing for which PyTorch would import a thousand modules more.
    """
    with torch.device("meta"), _SkipRandomInit():
        yield


class _SkipRandomInit(TorchFunctionMode):
    SKIPPED = ("normal_", "uniform_", "kaiming_normal_", "kaiming_uniform_", "xavier_uniform_")

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if getattr(function, "__name__", "") in self.SKIPPED:
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return function(*args, **kwargs)


VIT_B = Recipe("vit_b16", 768, num_heads=12, drop_path=0.0, pretrained="vit_base_patch16_224.orig_in21k_ft_in1k")
DEIT_S = Recipe("deit_s16", 384, num_heads=6, pretrained="deit_small_patch16_224.fb_in1k")
DEIT_B = Recipe("deit_b16", 768, num_heads=12, pretrained="deit_base_patch16_224.fb_in1k")


def _row(base: Recipe, suffix: str, figures: str = "", stamp: str = "", **changes) -> Recipe:
    """One row of the table; `figures`: mIoU, ms+flip, parameters, memory, images/s, sha8 as they were published."""
    name, parts = f"{base.name}_{suffix}", suffix.split("_")
    steps = 80_000 if "80k" in parts else 160_000
    switches = {"neck": "mln" in parts, "final_norm": "ln" in parts}
    recipe = replace(base, name=name, iterations=steps, evaluate_every=steps // 10, **switches, **changes)
    if not figures:
        return recipe
    *numbers, sha8 = figures.split()
    backbone, schedule = "-".join(name.split("_")[:2]), parts[-1]
    old = "_".join(["upernet", backbone, *parts[:-1], "512x512", schedule, "ade20k"])
    url = f"https://download.openmmlab.com/mmsegmentation/v0.5/vit/{old}/{old}_{stamp}-{sha8}.pth"
    return replace(recipe, published=Published(*map(float, numbers), url=url, sha256_prefix=sha8))


PUBLISHED = (
    #                        mIoU  ms+fl params mem   img/s sha8
    _row(VIT_B, "mln_80k", "47.71 49.51 144.17 9.20 6.94 0403cee1", "20210624_130547"),
    _row(VIT_B, "mln_160k", "46.75 48.46 144.17 9.20 7.58 852fa768", "20210624_130547"),
    _row(VIT_B, "ln_mln_160k", "47.73 49.95 144.18 9.21 6.82 f444c077", "20210621_172828", drop_path=0.1),
    _row(DEIT_S, "80k", "42.96 43.79 52.09 4.68 29.85 afc93ec2", "20210624_095228"),
    _row(DEIT_S, "160k", "42.87 43.79 52.09 4.68 29.19 5110d916", "20210621_160903"),
    _row(DEIT_S, "mln_160k", "43.82 45.07 58.00 5.69 11.18 fb9a5dfb", "20210621_161021"),
    _row(DEIT_S, "ln_mln_160k", "43.52 45.01 58.00 5.69 12.39 c0cd652f", "20210621_161021"),
    _row(DEIT_B, "80k", "45.24 46.73 120.57 7.75 9.69 1e090789", "20210624_130529"),
    _row(DEIT_B, "160k", "45.36 47.16 120.57 7.75 10.39 828705d7", "20210621_180100"),
    _row(DEIT_B, "mln_160k", "45.46 47.16 144.17 9.21 7.78 4e1450f3", "20210621_191949"),
    _row(DEIT_B, "ln_mln_160k", "45.37 47.23 144.18 9.21 7.75 8a959c14", "20210623_153535"),
)

# Listed by an early version of the table, without figures; nobody has published any since.
UNPUBLISHED = (
    _row(VIT_B, "80k"),
    _row(VIT_B, "160k"),
    _row(DEIT_S, "ln_160k"),
    _row(DEIT_B, "ln_160k"),
)

# The same code for a laptop's CPU and data/toy_scenes: minutes, from random weights. So short a run learns more when
# the colours stay as they are and images only grow.
TOY = Recipe(
    "toy",
    embed_dim=96,
    num_heads=3,
    depth=6,
    patch_size=8,
    out_indices=(1, 2, 4, 5),
    drop_path=0.0,
    head_channels=64,
    aux_channels=32,
    crop=128,
    test_scale=(512, 128),
    ratio_range=(1.0, 1.5),
    photometric=False,
    iterations=1400,
    batch_size=8,
    learning_rate=3e-3,
    weight_decay=0.05,
    warmup=40,
    evaluate_every=350,
)
SMALL = (TOY, replace(TOY, name="toy_mln", neck=True))

LIBRARY = SimpleNamespace(
    Segmenter=Segmenter, Encoder=Encoder, MultiLevelNeck=MultiLevelNeck, UPerHead=UPerHead, FCNHead=FCNHead
)
RECIPES = {recipe.name: recipe for recipe in (*PUBLISHED, *UNPUBLISHED, *SMALL)}
