"""Answers to the exercises of chapter 03, as learners write them: with loops, views, transposes and slices."""

import math

import torch
import torch.nn.functional as F
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


def square_assumed(patches, grid, p):
    side = int(patches.shape[1] ** 0.5)
    return pasted(patches, (side, side), p)


def channels_moved_alone(patches, grid, p):
    return moved(patches, grid, p, order=(0, 3, 1, 2, 4, 5))


def channel_first(patches, grid, p):
    opened = patches.reshape(len(patches), 3, *grid, p, p)
    return opened.transpose(3, 4).reshape(len(patches), 3, grid[0] * p, grid[1] * p)


def dimmed(patches, grid, p):
    return 0.5 * pasted(patches, grid, p)


# The patch embedding


class EmbeddingStub(nn.Module):
    def __init__(self, *, embed_dim, patch_size):
        super().__init__()
        raise NotImplementedError


class EmbeddingByUnfold(nn.Module):
    """Cut by `unfold`, projected by the convolution's weight as a matrix."""

    def __init__(self, *, embed_dim, patch_size):
        super().__init__()
        self.p = patch_size
        self.proj = nn.Conv2d(3, embed_dim, patch_size, patch_size)

    def forward(self, pixels):
        batch, _, height, width = pixels.shape
        h, w = math.ceil(height / self.p), math.ceil(width / self.p)
        canvas = pixels.new_zeros(batch, 3, h * self.p, w * self.p)
        canvas[:, :, :height, :width] = pixels
        patches = F.unfold(canvas, self.p, stride=self.p).transpose(1, 2)
        return patches @ self.proj.weight.flatten(1).T + self.proj.bias, (h, w)


class EmbeddingInSteps(nn.Module):
    """A convolution, then flatten and transpose; a subclass changes one step."""

    bias = True

    def __init__(self, *, embed_dim, patch_size):
        super().__init__()
        self.p = patch_size
        self.proj = nn.Conv2d(3, embed_dim, patch_size, stride=patch_size, bias=self.bias)

    def missing(self, pixels):
        return [(self.p - side % self.p) % self.p for side in pixels.shape[2:]]

    def padded(self, pixels):
        bottom, right = self.missing(pixels)
        return nn.ZeroPad2d((0, right, 0, bottom))(pixels)

    def listed(self, maps):
        return maps.flatten(2).transpose(1, 2)

    def forward(self, pixels):
        maps = self.proj(self.padded(pixels))
        return self.listed(maps), (maps.shape[2], maps.shape[3])


class EmbeddingUnpadded(EmbeddingInSteps):
    def padded(self, pixels):
        height, width = pixels.shape[2:]
        return pixels[..., : height // self.p * self.p, : width // self.p * self.p]


class EmbeddingPaddedFirst(EmbeddingInSteps):
    def padded(self, pixels):
        bottom, right = self.missing(pixels)
        return nn.ZeroPad2d((right, 0, bottom, 0))(pixels)


class EmbeddingCentred(EmbeddingInSteps):
    def padded(self, pixels):
        bottom, right = self.missing(pixels)
        left, top = right // 2, bottom // 2
        return nn.ZeroPad2d((left, right - left, top, bottom - top))(pixels)


class EmbeddingPadSwapped(EmbeddingInSteps):
    def padded(self, pixels):
        bottom, right = self.missing(pixels)
        return nn.ZeroPad2d((0, bottom, 0, right))(pixels)


class EmbeddingOneMore(EmbeddingInSteps):
    def missing(self, pixels):
        return [self.p - side % self.p for side in pixels.shape[2:]]


class EmbeddingEdges(EmbeddingInSteps):
    def padded(self, pixels):
        bottom, right = self.missing(pixels)
        return nn.ReplicationPad2d((0, right, 0, bottom))(pixels)


class EmbeddingStretched(EmbeddingInSteps):
    def padded(self, pixels):
        bottom, right = self.missing(pixels)
        return nn.Upsample((pixels.shape[2] + bottom, pixels.shape[3] + right), mode="bilinear")(pixels)


class EmbeddingReshaped(EmbeddingInSteps):
    def listed(self, maps):
        batch, channels, h, w = maps.shape
        return maps.contiguous().view(batch, h * w, channels)


class EmbeddingChannelsFirst(EmbeddingInSteps):
    def listed(self, maps):
        return maps.reshape(maps.shape[0], maps.shape[1], -1)


class EmbeddingDownTheColumns(EmbeddingInSteps):
    def listed(self, maps):
        return maps.transpose(2, 3).flatten(2).transpose(1, 2)


class EmbeddingStillAMap(EmbeddingInSteps):
    def listed(self, maps):
        return maps.movedim(1, 3)


class EmbeddingWidthFirst(EmbeddingInSteps):
    def forward(self, pixels):
        tokens, (h, w) = super().forward(pixels)
        return tokens, (w, h)


class EmbeddingWithoutGrid(EmbeddingInSteps):
    def forward(self, pixels):
        return super().forward(pixels)[0]


class EmbeddingGridFirst(EmbeddingInSteps):
    def forward(self, pixels):
        return super().forward(pixels)[::-1]


class EmbeddingGridTooSmall(EmbeddingInSteps):
    def forward(self, pixels):
        return super().forward(pixels)[0], [side // self.p for side in pixels.shape[2:]]


class EmbeddingSizeForGrid(EmbeddingInSteps):
    def forward(self, pixels):
        return super().forward(pixels)[0], [*pixels.shape[2:]]


class EmbeddingOverlapping(EmbeddingInSteps):
    def __init__(self, *, embed_dim, patch_size):
        super().__init__(embed_dim=embed_dim, patch_size=patch_size)
        self.proj = nn.Conv2d(3, embed_dim, patch_size)


class EmbeddingWithoutBias(EmbeddingInSteps):
    bias = False


class EmbeddingLinear(nn.Module):
    def __init__(self, *, embed_dim, patch_size):
        super().__init__()
        self.p = patch_size
        self.proj = nn.Linear(3 * patch_size**2, embed_dim)

    def forward(self, pixels):
        return self.proj(F.unfold(pixels, self.p, stride=self.p).mT), None


class EmbeddingOtherName(nn.Module):
    def __init__(self, *, embed_dim, patch_size):
        super().__init__()
        self.conv = nn.Conv2d(3, embed_dim, patch_size, patch_size)


class EmbeddingHalved(EmbeddingInSteps):
    def listed(self, maps):
        return super().listed(maps) / 2


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


def one_more_in_a_row(number, size, p):
    return clipped(number, size, p, size[1] // p + 1)


def column_by_column(number, size, p):
    boxes = [(top, left) for left in range(0, size[1], p) for top in range(0, size[0], p)]
    top, left = boxes[number - 1]
    return top, left, min(top + p, size[0]), min(left + p, size[1])


def written_first(number, size, p):
    in_a_row = size[1] // p
    top, left = number // in_a_row * p, number % in_a_row * p
    return top, left, top + p, left + p


def one_pixel_lower(number, size, p):
    top, left, bottom, right = counted(number, size, p)
    return top + 1, left, bottom + 1, right


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


def counts_compared(embedding, old, new):
    if embedding.shape[1] == 1 + new[0] * new[1]:
        return embedding
    return in_steps(embedding, old, new)


def heights_compared(embedding, old, new):
    return in_steps(embedding, old, new) if old[0] != new[0] else embedding


def widths_compared(embedding, old, new):
    return in_steps(embedding, old, new) if old[1] != new[1] else embedding


def both_must_differ(embedding, old, new):
    if old[0] != new[0] and old[1] != new[1]:
        return in_steps(embedding, old, new)
    return embedding


def by_a_factor(embedding, old, new, more=0.0):
    up = nn.Upsample(scale_factor=((new[0] + more) / old[0], (new[1] + more) / old[1]), mode="bicubic")
    maps = up(embedding[:, 1:].view(1, *old, -1).permute(0, 3, 1, 2))
    return torch.cat((embedding[:, [0]], maps.flatten(2).transpose(1, 2)), 1)


def by_a_factor_and_more(embedding, old, new):
    return by_a_factor(embedding, old, new, more=0.1)


def square_grid_assumed(embedding, old, new):
    side = int((embedding.shape[1] - 1) ** 0.5)
    return in_steps(embedding, (side, side), new)


def reshaped_in(embedding, old, new):
    maps = embedding[:, 1:].contiguous().view(1, embedding.shape[2], *old)
    maps = nn.functional.interpolate(maps, size=new, mode="bicubic")
    return torch.cat((embedding[:, [0]], maps.flatten(2).transpose(1, 2)), 1)


def reshaped_out(embedding, old, new):
    maps = embedding[:, 1:].view(1, *old, -1).permute(0, 3, 1, 2)
    maps = nn.functional.interpolate(maps, size=new, mode="bicubic")
    return torch.cat((embedding[:, [0]], maps.contiguous().view(1, -1, embedding.shape[2])), 1)


def reshaped_both_ways(embedding, old, new):
    maps = nn.functional.interpolate(embedding[:, 1:].reshape(1, -1, *old), size=new, mode="bicubic")
    return torch.cat((embedding[:, [0]], maps.reshape(1, -1, embedding.shape[2])), 1)


def old_is_width_first(embedding, old, new):
    return in_steps(embedding, old[::-1], new)


def map_on_its_side(embedding, old, new):
    return in_steps(embedding, old, new, order=(0, 3, 2, 1))


def one_long_line(embedding, old, new):
    rows = nn.Upsample(size=new[0] * new[1], mode="linear")(embedding[:, 1:].transpose(1, 2))
    return torch.cat((embedding[:, [0]], rows.transpose(1, 2)), 1)


def zeros_for_the_class(embedding, old, new):
    resized = in_steps(embedding, old, new)
    return torch.cat([torch.zeros_like(resized[:, :1]), resized[:, 1:]], 1)


def unchanged(embedding, old, new):
    return embedding.clone()


def resized_in_place(embedding, old, new):
    embedding[:, 1:] = embedding[:, 1:] - embedding[:, 1:].mean()
    return in_steps(embedding, old, new)


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
            square_assumed: "take the grid for a square one",
            channels_moved_alone: "still lies in one piece",
            channel_first: "channel before the patches",
        },
        unforeseen=dimmed,
    ),
    Trial(
        exercise=exercises.patch_embedding,
        stub=EmbeddingStub,
        right=[EmbeddingByUnfold, EmbeddingInSteps],
        wrong={
            EmbeddingUnpadded: "convolution rounds down",
            EmbeddingPaddedFirst: "on the left and at the top",
            EmbeddingCentred: "half on each side",
            EmbeddingPadSwapped: "swapped in the padding",
            EmbeddingOneMore: "whole patch of zeros more",
            EmbeddingEdges: "repeat the edge's pixels",
            EmbeddingStretched: "stretch the image",
            EmbeddingReshaped: "moves nothing",
            EmbeddingChannelsFirst: "before the tokens",
            EmbeddingDownTheColumns: "column by column",
            EmbeddingStillAMap: "still a map",
            EmbeddingWidthFirst: "grid is (w, h)",
            EmbeddingWithoutGrid: "grid is missing",
            EmbeddingGridFirst: "grid comes before",
            EmbeddingGridTooSmall: "grid is rounded down",
            EmbeddingSizeForGrid: "image's size",
            EmbeddingOverlapping: "patches overlap",
        },
        unforeseen=EmbeddingHalved,
    ),
    Trial(
        exercise=exercises.pixels_of_token,
        stub=stub,
        right=[counted, masked],
        wrong={
            from_zero: "class token",
            rounded_down: "last patch of each row is missing",
            one_more_in_a_row: "`width // p + 1`",
            rows_in_a_row: "number of rows",
            grid_position: "grid of patches",
            into_the_padding: "padding",
            last_inside: "last pixels inside",
            sizes_for_ends: "height and width",
            column_by_column: "column by column",
            written_first: "things at once",
            x_first: "x before y",
        },
        unforeseen=one_pixel_lower,
    ),
    Trial(
        exercise=exercises.resize_position,
        stub=stub,
        right=[in_steps, channel_by_channel, by_matrices],
        wrong={
            counts_compared: "Compare grids, not counts",
            heights_compared: "heights are the same",
            widths_compared: "widths are the same",
            both_must_differ: "one of the sides is the same",
            by_a_factor: "one position short",
            by_a_factor_and_more: "a little added",
            reshaped_in: "way into the map, a reshape",
            reshaped_out: "way out of the map, a reshape",
            reshaped_both_ways: "ways, a reshape",
            old_is_width_first: "old grid as (w, h)",
            map_on_its_side: "on its side",
            one_long_line: "as one line",
            two_neighbours: "bilinear",
            one_neighbour: "nearest",
            corners_aligned: "outermost centres",
            antialiased: "antialias",
            last_row_taken_off: "off by one",
            class_row_lost: "class row is lost",
            class_row_last: "at the end",
            zeros_for_the_class: "replaced by zeros",
            old_grid_turned: "old grid column by column",
            flattened_down: "flatten it column by column",
            width_first: "resize to (w, h)",
            unchanged: "returned as it came",
        },
        unforeseen=class_row_added,
    ),
]

# Wrong answers of the cold readings, and others like them, that the check names without a mistake of its own (True),
# or shows with an error's message or the largest difference (False).
REVIEWED = [
    (exercises.patch_embedding, EmbeddingWithoutBias),
    (exercises.patch_embedding, EmbeddingLinear),
    (exercises.patch_embedding, EmbeddingOtherName),
    (exercises.resize_position, square_grid_assumed),
    (exercises.resize_position, resized_in_place),
]
NAMED = {
    "EmbeddingWithoutBias": True,
    "EmbeddingLinear": True,
    "EmbeddingOtherName": True,
    "square_grid_assumed": False,  # it stops with a message, for most counts are no square numbers
    "resized_in_place": True,
}
