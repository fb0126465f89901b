"""The mistakes that the exercises of chapter 03 know by name: what each does, as code, and the sentence for it."""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from vitseg_lib.course.exercises.base import mistakes

Grid = tuple[int, int]


# Patches (B, N, 3·p·p) and their grid, put back together


def put_back_by(pattern: str, *, turned: bool = False) -> Callable:
    """Patches put together by another pattern, or with rows and columns of the grid swapped."""

    def wrong(patches: Tensor, grid: Grid, p: int) -> Tensor:
        h, w = reversed(grid) if turned else grid
        return rearrange(patches, pattern, h=h, w=w, p=p, q=p)

    return wrong


def put_back_square(patches: Tensor, grid: Grid, p: int) -> Tensor:
    """The grid guessed from the number of patches."""
    side = math.isqrt(patches.shape[1])
    return rearrange(patches, "b (h w) (c p q) -> b c (h p) (w q)", h=side, p=p, q=p)


def put_back_moved(opened: Callable[..., Tensor], *order: int) -> Callable:
    """Patches opened into six axes, moved into this order, and merged again."""

    def wrong(patches: Tensor, grid: Grid, p: int) -> Tensor:
        return opened(patches, grid, p).permute(*order).reshape(len(patches), 3, grid[0] * p, grid[1] * p)

    return wrong


PUT_BACK = mistakes(
    {
        "you take the grid for a square one, and it is not: N alone does not tell h and w, use `grid`": put_back_square,
        "the channels are in front, but each patch still lies in one piece: the p rows of a patch come right after h, "
        "(h p)": put_back_moved(
            lambda patches, grid, p: patches.reshape(len(patches), *grid, 3, p, p), 0, 3, 1, 2, 4, 5
        ),
        "you read the channel before the patches; each patch holds its own three channels": (
            put_back_moved(lambda patches, grid, p: patches.reshape(len(patches), 3, *grid, p, p), 0, 1, 2, 4, 3, 5)
        ),
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


# Pixels (B, 3, H, W) → tokens (B, N, C) and their grid


def zeros_around(pixels: Tensor, p: int) -> Tensor:
    """The right padding: zeros on the right and at the bottom."""
    return F.pad(pixels, (0, -pixels.shape[-1] % p, 0, -pixels.shape[-2] % p))


def whole_extra_patch(pixels: Tensor, p: int) -> Tensor:
    """A side that p divides gets p zeros, too."""
    height, width = pixels.shape[-2:]
    return F.pad(pixels, (0, p - width % p, 0, p - height % p))


def sides_swapped(pixels: Tensor, p: int) -> Tensor:
    """As many columns as rows are missing, and the other way round; what is then too little is cut off."""
    return F.pad(pixels, (0, -pixels.shape[-2] % p, 0, -pixels.shape[-1] % p))


def stretched(pixels: Tensor, p: int) -> Tensor:
    """No zeros: the image is resized."""
    size = [math.ceil(side / p) * p for side in pixels.shape[-2:]]
    return F.interpolate(pixels, size=size, mode="bilinear", align_corners=False)


def on_both_sides(pixels: Tensor, p: int) -> Tensor:
    """Zeros all around."""
    bottom, right = (-side % p for side in pixels.shape[-2:])
    return F.pad(pixels, (right // 2, right - right // 2, bottom // 2, bottom - bottom // 2))


def rows_of(maps: Tensor) -> Tensor:
    """(B, C, h, w) → (B, h·w, C)."""
    return rearrange(maps, "b c h w -> b (h w) c")


def embedding_by(
    *,
    pad: Callable[[Tensor, int], Tensor] = zeros_around,
    flatten: Callable[[Tensor], Tensor] = rows_of,
    result: Callable[..., Any] = lambda tokens, grid, size, p: (tokens, grid),
    stride: int = 0,
) -> type[nn.Module]:
    """A patch embedding with another padding, another order of the tokens, or another result."""

    class Wrong(nn.Module):
        def __init__(self, *, embed_dim: int, patch_size: int):
            super().__init__()
            self.patch_size = patch_size
            self.proj = nn.Conv2d(3, embed_dim, kernel_size=patch_size, stride=stride or patch_size)

        def forward(self, pixels: Tensor) -> Any:
            maps = self.proj(pad(pixels, self.patch_size))
            return result(flatten(maps), tuple(maps.shape[-2:]), pixels.shape[-2:], self.patch_size)

    return Wrong


PATCH_EMBEDDING = mistakes(
    {
        "nothing is padded: the convolution rounds down, and the pixels at the right and the bottom edge are never "
        "read": embedding_by(pad=lambda pixels, p: pixels),
        "you pad on the left and at the top: the patches no longer start at the image's corner. `F.pad` wants (left, "
        "right, top, bottom)": embedding_by(
            pad=lambda pixels, p: F.pad(pixels, (-pixels.shape[-1] % p, 0, -pixels.shape[-2] % p, 0))
        ),
        "you pad half on each side: the patches no longer start at the image's corner": embedding_by(pad=on_both_sides),
        "height and width are swapped in the padding: `F.pad` begins with the last axis, (left, right, top, bottom)": (
            embedding_by(pad=sides_swapped)
        ),
        "a side that is a multiple of the patch gets a whole patch of zeros more: `p - width % p` is p there, and "
        "`-width % p` is 0": embedding_by(pad=whole_extra_patch),
        "you repeat the edge's pixels; zeros are requested, which is the mean colour": embedding_by(
            pad=lambda pixels, p: F.pad(pixels, (0, -pixels.shape[-1] % p, 0, -pixels.shape[-2] % p), mode="replicate")
        ),
        "you stretch the image to a multiple of the patch; it is to keep its pixels, with zeros beside them": (
            embedding_by(pad=stretched)
        ),
        "a reshape makes the shape (B, N, C) and moves nothing: a token then holds one channel's values of many "
        "places. Move the channels last first": embedding_by(
            flatten=lambda maps: maps.reshape(len(maps), -1, maps.shape[1])
        ),
        "the channels still stand before the tokens, (B, C, N): swap the last two axes": (
            embedding_by(flatten=lambda maps: maps.flatten(2))
        ),
        "the tokens come column by column; in (h w) the column runs fastest": embedding_by(
            flatten=lambda maps: rearrange(maps, "b c h w -> b (w h) c")
        ),
        "that is still a map; tokens are one list, (B, N, C)": (
            embedding_by(flatten=lambda maps: rearrange(maps, "b c h w -> b h w c"))
        ),
        "the grid is (w, h); rows come first": embedding_by(
            result=lambda tokens, grid, size, p: (tokens, (grid[1], grid[0]))
        ),
        "the grid is missing: return the tokens and (h, w), for N alone does not tell them": (
            embedding_by(result=lambda tokens, grid, size, p: tokens)
        ),
        "the grid is rounded down: it is the grid of the padded image": embedding_by(
            result=lambda tokens, grid, size, p: (tokens, (size[0] // p, size[1] // p))
        ),
        "that is the image's size; the grid counts patches": (
            embedding_by(result=lambda tokens, grid, size, p: (tokens, tuple(size)))
        ),
        "the patches overlap: without `stride=` the convolution moves on by one pixel": embedding_by(stride=1),
        "the grid comes before the tokens; return (tokens, grid)": (
            embedding_by(result=lambda tokens, grid, size, p: (grid, tokens))
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


def down_the_columns(number: int, size: Grid, p: int) -> tuple[int, ...]:
    """Patches counted column by column."""
    column, row = divmod(number - 1, math.ceil(size[0] / p))
    return row * p, column * p, min((row + 1) * p, size[0]), min((column + 1) * p, size[1])


def first_try(number: int, size: Grid, p: int) -> tuple[int, ...]:
    """As if there were no class token, no remainder and no edge."""
    row, column = divmod(number, size[1] // p)
    return row * p, column * p, row * p + p, column * p + p


PIXELS_OF_TOKEN = mistakes(
    {
        "you are one patch too far: number 0 is the class token, so that the first patch is number 1": box_by(first=0),
        "the last patch of each row is missing: the row is padded, and the number of its patches is rounded up": (
            box_by(columns=lambda size, p: size[1] // p)
        ),
        "a row that p divides has no patch more: `width // p + 1` is one too many there. Round up, `math.ceil(width / "
        "p)`": box_by(columns=lambda size, p: size[1] // p + 1),
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
        "you give height and width; requested are bottom and right, the first row and column outside": (
            box_then(lambda top, left, bottom, right, p: (top, left, bottom - top, right - left))
        ),
        "you count column by column; the list of patches runs row by row": down_the_columns,
        "three things at once: the class token is number 0, the number of patches in a row is rounded up, and the box "
        "ends where the image ends": first_try,
        "you give x before y: requested are top, left, bottom, right, so rows come before columns": (
            box_then(lambda top, left, bottom, right, p: (left, top, right, bottom))
        ),
    }
)


# A position embedding (1, 1 + h·w, C) for another grid

Step = Callable[[Tensor, Grid], Tensor]


def rows_to_map(rows: Tensor, old: Grid) -> Tensor:
    """(1, h·w, C) → (1, C, h, w)."""
    return rearrange(rows, "b (h w) c -> b c h w", h=old[0], w=old[1])


def map_to_rows(maps: Tensor, new: Grid) -> Tensor:
    """(1, C, h, w) → (1, h·w, C)."""
    return rearrange(maps, "b c h w -> b (h w) c")


def resized_by(
    *,
    read: Step = rows_to_map,
    write: Step = map_to_rows,
    size: Callable[[Grid, Grid], dict] = lambda old, new: {"size": new},
    keep: Callable[[Grid, Grid], bool] = lambda old, new: False,
    **how: Any,
) -> Callable:
    """Another resize of the grid: other orders, another size, other options, or none at all for some grids."""
    options = {"mode": "bicubic", "align_corners": False} | how

    def wrong(embedding: Tensor, old: Grid, new: Grid) -> Tensor:
        if keep(old, new):
            return embedding
        maps = F.interpolate(read(embedding[:, 1:], old), **size(old, new), **options)
        return torch.cat([embedding[:, :1], write(maps, new)], dim=1)

    return wrong


def off_by_one(embedding: Tensor, old: Grid, new: Grid) -> Tensor:
    """The first h·w rows taken for the grid, the class row among them."""
    return resized_by()(torch.cat([embedding[:, :1], embedding[:, :-1]], dim=1), old, new)


def as_one_line(embedding: Tensor, old: Grid, new: Grid) -> Tensor:
    """The list of rows resized as a list."""
    line = F.interpolate(embedding[:, 1:].mT, size=new[0] * new[1], mode="linear", align_corners=False)
    return torch.cat([embedding[:, :1], line.mT], dim=1)


def factors(old: Grid, new: Grid, more: float = 0.0) -> dict:
    """`interpolate` told by how much instead of how large."""
    return {"scale_factor": ((new[0] + more) / old[0], (new[1] + more) / old[1])}


RESIZE_POSITION = mistakes(
    {
        "you leave the embedding as it is where the *number* of positions is the same: 16×64 has as many as 32×32. "
        "Compare grids, not counts": resized_by(keep=lambda old, new: old[0] * old[1] == new[0] * new[1]),
        "you leave the embedding as it is where the heights are the same: compare both sides": (
            resized_by(keep=lambda old, new: old[0] == new[0])
        ),
        "you leave the embedding as it is where the widths are the same: compare both sides": (
            resized_by(keep=lambda old, new: old[1] == new[1])
        ),
        "you leave the embedding as it is where one of the sides is the same: compare both": (
            resized_by(keep=lambda old, new: old[0] == new[0] or old[1] == new[1])
        ),
        "you resize by a factor, which may come out one position short: 11 · (15 / 11) is rounded down to 14. Say "
        "`size=new`": resized_by(size=factors),
        "you resize by a factor with a little added to it: the size is right, and every position is shifted. Say "
        "`size=new`": resized_by(size=lambda old, new: factors(old, new, 0.1)),
        "on the way into the map, a reshape moves nothing: a map's channel then holds values of all channels. Move "
        "the channels before the rows and columns": (resized_by(read=lambda rows, old: rows.reshape(1, -1, *old))),
        "on the way out of the map, a reshape moves nothing: a row then holds values of one channel at many "
        "positions. Move the channels last": (resized_by(write=lambda maps, new: maps.reshape(1, -1, maps.shape[1]))),
        "both ways, a reshape moves nothing: move the channels before the grid on the way in, and last on the way "
        "out": resized_by(
            read=lambda rows, old: rows.reshape(1, -1, *old),
            write=lambda maps, new: maps.reshape(1, -1, maps.shape[1]),
        ),
        "you read the old grid as (w, h): rows come first": resized_by(
            read=lambda rows, old: rows_to_map(rows, (old[1], old[0]))
        ),
        "you read the old grid column by column; its positions are written row by row": resized_by(
            read=lambda rows, old: rearrange(rows, "b (w h) c -> b c h w", h=old[0])
        ),
        "the map lies on its side: after the channels come rows, then columns": resized_by(
            read=lambda rows, old: rows_to_map(rows, old).mT
        ),
        "the map is right but you flatten it column by column; tokens come row by row": resized_by(
            write=lambda maps, new: rearrange(maps, "b c h w -> b (w h) c")
        ),
        "you resize to (w, h): rows come first, and the number of tokens cannot tell": (
            resized_by(size=lambda old, new: {"size": (new[1], new[0])})
        ),
        "you resize the list as one line: the last column of a row is no neighbour of the next row's first. Make a map "
        "of it first": as_one_line,
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
        "the class row must stay as it is; yours is replaced by zeros": (
            lambda *case: F.pad(resized_by()(*case)[:, 1:], (0, 0, 1, 0))
        ),
        "nothing is resized: the embedding is returned as it came": lambda embedding, old, new: embedding,
    }
)
