"""Answers to the exercises of chapter 03, as learners write them: with loops, views, transposes and slices."""

import numpy as np
import torch
from torch import nn
from trials import Trial

from vitseg_lib.course.exercises import patches as exercises


def stub(*arguments):
    raise NotImplementedError


# Put it back together


def pasted(patches, grid, p):
    image = torch.zeros(len(patches), 3, grid[0] * p, grid[1] * p)
    for number in range(patches.shape[1]):
        top, left = number // grid[1] * p, number % grid[1] * p
        image[:, :, top : top + p, left : left + p] = patches[:, number].reshape(-1, 3, p, p)
    return image


def folded(patches, grid, p):
    return nn.Fold((grid[0] * p, grid[1] * p), kernel_size=p, stride=p)(patches.transpose(1, 2))


def moved(patches, grid, p, order=(0, 3, 1, 4, 2, 5), inner=("c", "p", "q")):
    """Cut the last axes open, move them, merge them again."""
    sizes = [{"c": 3, "p": p, "q": p}[letter] for letter in inner]
    opened = patches.view(len(patches), *grid, *sizes)
    return opened.permute(*order).reshape(len(patches), 3, grid[0] * p, grid[1] * p)


def pasted_down_the_columns(patches, grid, p):
    image = torch.zeros(len(patches), 3, grid[0] * p, grid[1] * p)
    for number in range(patches.shape[1]):
        left, top = number // grid[0] * p, number % grid[0] * p
        image[:, :, top : top + p, left : left + p] = patches[:, number].reshape(-1, 3, p, p)
    return image


def each_patch_transposed(patches, grid, p):
    return moved(patches, grid, p, order=(0, 3, 1, 5, 2, 4))


def colours_last_inside(patches, grid, p):
    return moved(patches, grid, p, order=(0, 5, 1, 3, 2, 4), inner=("p", "q", "c"))


def interleaved(patches, grid, p):
    return moved(patches, grid, p, order=(0, 3, 4, 1, 5, 2))


def channels_last(patches, grid, p):
    return pasted(patches, grid, p).movedim(1, -1)


def viewed(patches, grid, p):
    return patches.contiguous().view(-1, 3, grid[0] * p, grid[1] * p)


def grid_turned(patches, grid, p):
    return pasted(patches, (grid[1], grid[0]), p)


def dimmed(patches, grid, p):
    return 0.5 * pasted(patches, grid, p)


# A kernel from elsewhere


def transposed_as_array(kernel):
    return torch.from_numpy(np.transpose(kernel.numpy(), (3, 2, 0, 1)).copy())


def filter_by_filter(kernel):
    return torch.stack([torch.stack([kernel[:, :, c, k] for c in range(3)]) for k in range(kernel.shape[3])])


def all_axes_turned(kernel):
    return torch.from_numpy(kernel.numpy().T.copy())


def viewed_as_weight(kernel):
    p, _, channels, width = kernel.shape
    return kernel.contiguous().view(width, channels, p, p)


def flipped(kernel):
    return filter_by_filter(torch.flip(kernel, (0, 1)))


def inputs_first(kernel):
    return torch.movedim(kernel, (2, 3), (0, 1))


def colours_last(kernel):
    return torch.stack([kernel[..., k] for k in range(kernel.shape[3])])


def one_row_a_filter(kernel):
    return torch.stack([kernel[..., k].permute(2, 0, 1).reshape(-1) for k in range(kernel.shape[3])])


def blue_first(kernel):
    return filter_by_filter(kernel)[:, [2, 1, 0]]


# Whose pixels are these?


def counted(number, size, p):
    boxes = [(top, left) for top in range(0, size[0], p) for left in range(0, size[1], p)]
    top, left = boxes[number - 1]
    rows, columns = range(size[0])[top : top + p], range(size[1])[left : left + p]
    return rows.start, columns.start, rows.stop, columns.stop


def masked(number, size, p):
    """Write every pixel's token into an image, and look where the number is."""
    row, column = torch.meshgrid(torch.arange(size[0]) // p, torch.arange(size[1]) // p, indexing="ij")
    where = (1 + row * (int(column.max()) + 1) + column == number).nonzero()
    return torch.cat([where.amin(0), where.amax(0) + 1])


def clipped(number, size, p, in_a_row, skip=1):
    row, column = (number - skip) // in_a_row, (number - skip) % in_a_row
    return [p * row, p * column, min(p * (row + 1), size[0]), min(p * (column + 1), size[1])]


def from_zero(number, size, p):
    return clipped(number, size, p, -(-size[1] // p), skip=0)


def rounded_down(number, size, p):
    return clipped(number, size, p, int(size[1] / p))


def rows_in_a_row(number, size, p):
    return clipped(number, size, p, -(-size[0] // p))


def grid_position(number, size, p):
    top, left, _, _ = counted(number, size, p)
    return top // p, left // p, top // p + 1, left // p + 1


def into_the_padding(number, size, p):
    top, left, _, _ = counted(number, size, p)
    return torch.tensor([top, left, top, left]) + torch.tensor([0, 0, p, p])


def last_inside(number, size, p):
    return counted(number, size, p)[:2] + tuple(end - 1 for end in counted(number, size, p)[2:])


def x_first(number, size, p):
    return torch.tensor(counted(number, size, p))[[1, 0, 3, 2]]


def sizes_for_ends(number, size, p):
    top, left, bottom, right = counted(number, size, p)
    return top, left, bottom - top, right - left


# Another grid


def in_steps(embedding, old, new, order=(0, 3, 1, 2), target=None, **options):
    """Views and transposes; `options` for torch's own module."""
    options = {"mode": "bicubic", "align_corners": False} | options
    maps = embedding[:, 1:].view(1, *old, -1).permute(*order)
    maps = nn.functional.interpolate(maps, size=target or new, **options)
    return torch.cat((embedding[:, [0]], maps.flatten(2).transpose(1, 2)), 1)


def channel_by_channel(embedding, old, new):
    up = nn.Upsample(size=new, mode="bicubic")
    columns = [up(channel.view(1, 1, *old)).flatten() for channel in embedding[0, 1:].T]
    return torch.cat([embedding[0, :1], torch.stack(columns, 1)])[None]


def by_matrices(embedding, old, new):
    """Bicubic is a matrix along rows and another along columns; the unit matrix resized shows them."""
    resize = nn.functional.interpolate
    down, across = (
        resize(torch.eye(a)[None, None], size=(b, a), mode="bicubic")[0, 0] for a, b in zip(old, new, strict=True)
    )
    maps = torch.einsum("ir,jc,rck->ijk", down, across, embedding[0, 1:].view(*old, -1))
    return torch.cat([embedding[0, :1], maps.flatten(0, 1)])[None]


def two_neighbours(embedding, old, new):
    return in_steps(embedding, old, new, mode="bilinear")


def one_neighbour(embedding, old, new):
    rows, columns = (torch.arange(b) * a // b for a, b in zip(old, new, strict=True))
    maps = embedding[:, 1:].view(1, *old, -1)[:, rows][:, :, columns]
    return torch.cat([embedding[:, :1], maps.flatten(1, 2)], 1)


def corners_aligned(embedding, old, new):
    return in_steps(embedding, old, new, align_corners=True)


def antialiased(embedding, old, new):
    return in_steps(embedding, old, new, antialias=True)


def last_row_taken_off(embedding, old, new):
    resized = in_steps(torch.cat([embedding[:, :1], embedding[:, : old[0] * old[1]]], 1), old, new)
    return torch.cat([embedding[:, :1], resized[:, 1:]], 1)


def class_row_lost(embedding, old, new):
    return torch.stack(channel_by_channel(embedding, old, new).unbind(1)[1:], 1)


def class_row_last(embedding, old, new):
    resized = in_steps(embedding, old, new)
    return torch.cat([resized[:, 1:], embedding[:, :1]], 1)


def old_grid_turned(embedding, old, new):
    maps = embedding[:, 1:].view(1, old[1], old[0], -1).permute(0, 3, 2, 1)
    maps = nn.functional.interpolate(maps, size=new, mode="bicubic")
    return torch.cat((embedding[:, :1], maps.flatten(2).mT), 1)


def flattened_down(embedding, old, new):
    maps = in_steps(embedding, old, new)[:, 1:].view(1, *new, -1)
    return torch.cat((embedding[:, :1], maps.transpose(1, 2).flatten(1, 2)), 1)


def width_first(embedding, old, new):
    return in_steps(embedding, old, new, target=(new[1], new[0]))


def class_row_added(embedding, old, new):
    resized = in_steps(embedding, old, new)
    return torch.cat([resized[:, :1], resized[:, 1:] + embedding[:, :1]], 1)


TRIALS = [
    Trial(
        exercise=exercises.put_back,
        stub=stub,
        right=[pasted, folded, moved],
        wrong={
            pasted_down_the_columns: "column by column",
            each_patch_transposed: "mirrored along its diagonal",
            colours_last_inside: "colours as if they ran fastest",
            interleaved: "wrong way round",
            channels_last: "channels come last",
            viewed: "reshape alone moves nothing",
            grid_turned: "grid is (h, w)",
        },
        unforeseen=dimmed,
    ),
    Trial(
        exercise=exercises.convolution_weight,
        stub=stub,
        right=[transposed_as_array, filter_by_filter],
        wrong={
            all_axes_turned: "one swap too many",
            viewed_as_weight: "reshape moves no axis",
            flipped: "upside down",
            inputs_first: "begins with the channels",
            colours_last: "colours still come last",
            one_row_a_filter: "linear layer's weight",
        },
        unforeseen=blue_first,
    ),
    Trial(
        exercise=exercises.pixels_of_token,
        stub=stub,
        right=[counted, masked],
        wrong={
            from_zero: "class token",
            rounded_down: "rounded up",
            rows_in_a_row: "number of rows",
            grid_position: "grid of patches",
            into_the_padding: "padding",
            last_inside: "last pixels inside",
            x_first: "x before y",
        },
        unforeseen=sizes_for_ends,
    ),
    Trial(
        exercise=exercises.resize_position,
        stub=stub,
        right=[in_steps, channel_by_channel, by_matrices],
        wrong={
            two_neighbours: "bilinear",
            one_neighbour: "nearest",
            corners_aligned: "outermost centres",
            antialiased: "antialias",
            last_row_taken_off: "off by one",
            class_row_lost: "class row is lost",
            class_row_last: "at the end",
            old_grid_turned: "old grid column by column",
            flattened_down: "flatten it column by column",
            width_first: "(w, h)",
        },
        unforeseen=class_row_added,
    ),
]
