"""The mistakes that the exercises of chapter 03 know by name: what each does, as code, and the sentence for it."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from vitseg_lib.course.exercises.base import mistakes

Grid = tuple[int, int]


# Patches (B, N, 3·p·p) and their grid, put back together


def put_back_by(pattern: str, *, turned: bool = False) -> Callable:
    """Patches put together by another pattern, or with rows and columns of the grid swapped."""

    def wrong(patches: Tensor, grid: Grid, p: int) -> Tensor:
        h, w = reversed(grid) if turned else grid
        return rearrange(patches, pattern, h=h, w=w, p=p, q=p)

    return wrong


PUT_BACK = mistakes(
    {
        "you lay the patches column by column; they come row by row, so in (h w) the column runs fastest": (
            put_back_by("b (w h) (c p q) -> b c (h p) (w q)")
        ),
        "each patch is in its position but mirrored along its diagonal: inside a patch, rows come before columns": (
            put_back_by("b (h w) (c q p) -> b c (h p) (w q)")
        ),
        "you read the colours as if they ran fastest inside a patch; here the channel comes first, (c p q)": (
            put_back_by("b (h w) (p q c) -> b c (h p) (w q)")
        ),
        "the letters in a bracket are the wrong way round, so that pixels of different patches alternate: the patch "
        "is the slow letter, the pixel inside it the fast one": put_back_by("b (h w) (c p q) -> b c (p h) (q w)"),
        "the image is right but its channels come last; here they come before rows and columns": (
            put_back_by("b (h w) (c p q) -> b (h p) (w q) c")
        ),
        "a reshape alone moves nothing: it reads the values in the order in which they lie. Axes have to be moved "
        "first": lambda patches, grid, p: patches.reshape(len(patches), 3, grid[0] * p, grid[1] * p),
        "height and width are swapped: the grid is (h, w), rows first": (
            put_back_by("b (h w) (c p q) -> b c (h p) (w q)", turned=True)
        ),
    }
)


# A kernel (p, p, 3, C) for a convolution


CONVOLUTION_WEIGHT = mistakes(
    {
        "the shape fits, but rows and columns of every filter are swapped: all axes backwards is one swap too many": (
            lambda kernel: kernel.permute(3, 2, 1, 0)
        ),
        "the shape fits, but a reshape moves no axis: the values are still in their old order": (
            lambda kernel: kernel.reshape(kernel.shape[3], 3, *kernel.shape[:2])
        ),
        "every filter is upside down: what deep learning calls a convolution does not flip its kernel": (
            lambda kernel: kernel.permute(3, 2, 0, 1).flip(-1, -2)
        ),
        "input and output are swapped: a convolution's weight begins with the channels that it makes": (
            lambda kernel: kernel.permute(2, 3, 0, 1)
        ),
        "the colours still come last: a convolution wants them right after the output channels": (
            lambda kernel: kernel.permute(3, 0, 1, 2)
        ),
        "that is the linear layer's weight, one row per filter: a convolution keeps rows and columns apart": (
            lambda kernel: kernel.permute(3, 2, 0, 1).flatten(1)
        ),
    }
)


# The pixels of a token, given its number, the image's size and the patch size


def box_by(
    *, first: int = 1, columns: Callable[[Grid, int], int] = lambda size, p: math.ceil(size[1] / p), unit: int = 0
) -> Callable:
    """The box of a token where the first patch has another number, a row other columns, a patch another side."""

    def wrong(number: int, size: Grid, p: int) -> tuple[int, ...]:
        row, column = divmod(number - first, columns(size, p))
        side = unit or p
        return row * side, column * side, min((row + 1) * side, size[0]), min((column + 1) * side, size[1])

    return wrong


def box_then(change: Callable[..., tuple[int, ...]]) -> Callable:
    """The right box, changed afterwards: change(top, left, bottom, right, p)."""
    return lambda number, size, p: change(*box_by()(number, size, p), p)


PIXELS_OF_TOKEN = mistakes(
    {
        "you are one patch too far: number 0 is the class token, so that the first patch is number 1": box_by(first=0),
        "the last patch of each row is missing: the row is padded, and the number of its patches is rounded up": (
            box_by(columns=lambda size, p: size[1] // p)
        ),
        "you divide by the number of rows; a new row begins after as many patches as there are columns": (
            box_by(columns=lambda size, p: math.ceil(size[0] / p))
        ),
        "that is the position in the grid of patches; in pixels it is p times as far": box_by(unit=1),
        "the box reaches into the padding: it must end where the image ends": (
            box_then(lambda top, left, bottom, right, p: (top, left, top + p, left + p))
        ),
        "your bottom and right are the last pixels inside; requested are the first ones outside, as in a slice": (
            box_then(lambda top, left, bottom, right, p: (top, left, bottom - 1, right - 1))
        ),
        "you give x before y: requested are top, left, bottom, right, so rows come before columns": (
            box_then(lambda top, left, bottom, right, p: (left, top, right, bottom))
        ),
    }
)


# A position embedding (1, 1 + h·w, C) for another grid


def resized_by(read: str = "(h w)", write: str = "(h w)", turn: int = 1, **how) -> Callable:
    """Another resize of the grid: other orders of its positions, another size, or other options of `interpolate`."""
    options = {"mode": "bicubic", "align_corners": False} | how

    def wrong(embedding: Tensor, old: Grid, new: Grid) -> Tensor:
        maps = rearrange(embedding[:, 1:], f"b {read} c -> b c h w", h=old[0], w=old[1])
        maps = F.interpolate(maps, size=new[::turn], **options)
        return torch.cat([embedding[:, :1], rearrange(maps, f"b c h w -> b {write} c")], dim=1)

    return wrong


def off_by_one(embedding: Tensor, old: Grid, new: Grid) -> Tensor:
    """The first h·w rows taken for the grid, the class row among them."""
    return resized_by()(torch.cat([embedding[:, :1], embedding[:, :-1]], dim=1), old, new)


RESIZE_POSITION = mistakes(
    {
        "you blend two neighbours per axis instead of four: that is bilinear, and bicubic was requested": (
            resized_by(mode="bilinear")
        ),
        "every new position copies one old one: that is nearest, the default mode; use bicubic": (
            resized_by(mode="nearest", align_corners=None)
        ),
        "you align the outermost centres; both grids have to cover the same image, so `align_corners` is False": (
            resized_by(align_corners=True)
        ),
        "you antialias: PyTorch then takes another cubic and another border rule, and a wider one where the grid "
        "shrinks": resized_by(antialias=True),
        "the class row got into the grid, and all rows are off by one: it is the first row, not the last": off_by_one,
        "the class row is lost: put it back, unchanged, before the others": (lambda *case: resized_by()(*case)[:, 1:]),
        "the class row came back at the end; it belongs in front, where the class token stands": (
            lambda *case: resized_by()(*case).roll(-1, dims=1)
        ),
        "you read the old grid column by column; its positions are written row by row": resized_by(read="(w h)"),
        "the map is right but you flatten it column by column; tokens come row by row": resized_by(write="(w h)"),
        "you resize to (w, h): rows come first, and the number of tokens cannot tell": resized_by(turn=-1),
    }
)
