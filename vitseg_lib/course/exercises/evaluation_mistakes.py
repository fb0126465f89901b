"""The mistakes that the exercises of chapter 10 know by name: what each does, as code, and the sentence for it."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from vitseg_lib.course.exercises.base import mistakes

# Windows along one side: side, crop, stride → [(start, stop), …]

Spans = list[tuple[int, int]]


def unshifted(
    steps: Callable[[int, int, int], int], stop: Callable = lambda start, side, crop: start + crop
) -> Callable:
    """`steps(…)` windows, one per stride, none shifted back; `stop(start, side, crop)` says where one ends."""
    return lambda side, crop, stride: [
        (i * stride, stop(i * stride, side, crop)) for i in range(max(steps(side, crop, stride), 1))
    ]


def needed(side: int, crop: int, stride: int) -> int:
    """How many windows reach the end."""
    return max(-(-(side - crop) // stride), 0) + 1


def cut(start: int, side: int, crop: int) -> int:
    """Where a window ends that is cut off at the end of the side."""
    return min(start + crop, side)


def shifted(count: Callable[[int, int, int], int], *, cut_short: bool = True) -> Callable:
    """`count(…)` windows, the last ones shifted back inside."""

    def wrong(side: int, crop: int, stride: int) -> Spans:
        starts = [max(min(i * stride, side - crop), 0) for i in range(count(side, crop, stride))]
        return [(start, min(start + crop, side) if cut_short else start + crop) for start in starts]

    return wrong


def stretched(side: int, crop: int, stride: int) -> Spans:
    """The last window begins one stride on, and all are moved so that they spread evenly."""
    count = needed(side, crop, stride)
    span = max(side - crop, 0)
    return [(start, min(start + crop, side)) for start in (i * span // max(count - 1, 1) for i in range(count))]


def negative(side: int, crop: int, stride: int) -> Spans:
    """Shifted back even where the side is shorter than the window."""
    starts = [min(i * stride, side - crop) for i in range(needed(side, crop, stride))]
    return [(start, start + crop) for start in starts]


WINDOWS = mistakes(
    {
        "the last window runs over the end: shift its start back, so that it ends with the side": unshifted(needed),
        "the last window is cut short at the end; shift its start back instead, so that it keeps its full size": (
            unshifted(needed, cut)
        ),
        "the end of the side is not covered: count the steps rounded up, not down": (
            shifted(lambda side, crop, stride: max((side - crop) // stride, 0) + 1)
        ),
        "the last window is left out altogether, and the end of the side is not covered": (
            shifted(lambda side, crop, stride: max(needed(side, crop, stride) - 1, 1))
        ),
        "there is one window too many where the last one fits exactly: it covers the one before": (
            shifted(lambda side, crop, stride: max((side - crop) // stride + 1, 0) + 1)
        ),
        "you let windows begin anywhere in the side, so the last ones cover each other: stop when one has reached "
        "the end": shifted(lambda side, crop, stride: -(-side // stride)),
        "the windows are side by side, a crop apart; each begins a stride after the one before": (
            lambda side, crop, stride: shifted(needed)(side, crop, crop)
        ),
        "the windows are spread evenly; all begin a whole stride after the one before, only the last is shifted back": (
            stretched
        ),
        "a side shorter than the window gets a window that ends outside; cut its end there": (
            shifted(needed, cut_short=False)
        ),
        "a side shorter than the window gets a negative start, which Python counts from the far end": negative,
        "these are (start, length); (start, stop) was requested": (
            lambda side, crop, stride: [(a, b - a) for a, b in shifted(needed)(side, crop, stride)]
        ),
        "these are the starts alone; (start, stop) was requested": (
            lambda side, crop, stride: [a for a, _ in shifted(needed)(side, crop, stride)]
        ),
    }
)


# One prediction from many views: views (V, K, H, W) and a list of bools → (K, H, W)


def turned(views: Tensor, flipped: Sequence[bool], axis: int = -1) -> Tensor:
    """The views, those that are `flipped` mirrored along an axis."""
    return torch.stack([view.flip(axis) if mirrored else view for view, mirrored in zip(views, flipped, strict=True)])


def fused(axis: int = 1, along: int = -1) -> Callable:
    """The right way, with the softmax over another axis, or mirrored along another one."""
    return lambda views, flipped: turned(views.softmax(dim=axis), flipped, along).mean(dim=0)


def votes(views: Tensor, flipped: Sequence[bool]) -> Tensor:
    """The fraction of views whose best class it is."""
    classes = turned(views, flipped).argmax(dim=1)
    return torch.nn.functional.one_hot(classes, views.shape[1]).float().mean(dim=0).movedim(-1, 0)


FUSE = mistakes(
    {
        "this is the mean of the logits, then the softmax: a very confident view overrules the others; softmax comes "
        "before the mean": lambda views, flipped: turned(views, flipped).mean(dim=0).softmax(dim=0),
        "this is the mean of the logits, and they never became probabilities": (
            lambda views, flipped: turned(views, flipped).mean(dim=0)
        ),
        "the mirrored views are not mirrored back, so left and right are mixed": (
            lambda views, flipped: views.softmax(dim=1).mean(dim=0)
        ),
        "all views are mirrored back, the plain ones too": (
            lambda views, flipped: views.softmax(dim=1).flip(-1).mean(dim=0)
        ),
        "the plain views are mirrored and the mirrored ones are not: the other way round": (
            lambda views, flipped: fused()(views, [not mirrored for mirrored in flipped])
        ),
        "the views are turned upside down: a mirror swaps left and right, which is the last axis": fused(along=-2),
        "the mirroring runs over the classes; it swaps left and right, which is the last axis": fused(along=0),
        "the softmax runs over the views; at each pixel the K classes compete": fused(axis=0),
        "the softmax runs over the rows; at each pixel the K classes compete": fused(axis=2),
        "the softmax runs over the columns; at each pixel the K classes compete": fused(axis=3),
        "this counts votes for the best class; the mean of probabilities keeps how confident each view was": votes,
        "this is the sum over the views; the mean was requested": (
            lambda views, flipped: fused()(views, flipped) * len(views)
        ),
        "this is the highest probability of any view; the mean was requested": (
            lambda views, flipped: turned(views.softmax(dim=1), flipped).amax(dim=0)
        ),
        "the mean is right, and then comes the best class; the probabilities themselves were requested": (
            lambda views, flipped: fused()(views, flipped).argmax(dim=0)
        ),
    }
)


# Pixels near an edge: labels (H, W), distance → (H, W) of bool


def differs_at(labels: Tensor, offsets: Sequence[tuple[int, int]]) -> Tensor:
    """Whether any of the pixels at these offsets, inside the map, has another label."""
    height, width = labels.shape
    near = torch.zeros(labels.shape, dtype=torch.bool)
    for down, right in offsets:
        rows, columns = torch.arange(height) + down, torch.arange(width) + right
        inside = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))
        other = labels[rows.clamp(0, height - 1)][:, columns.clamp(0, width - 1)]
        near |= inside & (other != labels)
    return near


def square(distance: int) -> list[tuple[int, int]]:
    """All offsets of at most `distance` rows and columns."""
    span = range(-distance, distance + 1)
    return [(down, right) for down in span for right in span]


def border_as_edge(labels: Tensor, distance: int) -> Tensor:
    """The map's border counts as an edge."""
    near = differs_at(labels, square(distance))
    near[:distance], near[-distance:], near[:, :distance], near[:, -distance:] = True, True, True, True
    return near


EDGES = mistakes(
    {
        "the answer is inverted: True belongs where another label is near": (
            lambda labels, d: ~differs_at(labels, square(d))
        ),
        "the squares are one pixel too small on each side: a pixel `distance` away counts as well": (
            lambda labels, d: differs_at(labels, square(d - 1))
        ),
        "the squares are one pixel too large on each side": lambda labels, d: differs_at(labels, square(d + 1)),
        "you look to the right and down only, so one side of each edge is missing: look all four ways": (
            lambda labels, d: differs_at(labels, [(y, x) for y, x in square(d) if y >= 0 and x >= 0])
        ),
        "you look to the left and up only: a slice leaves out its end, so add 1 to it": (
            lambda labels, d: differs_at(labels, [(y, x) for y, x in square(d) if y <= 0 and x <= 0])
        ),
        "the square lacks its last row and column: a slice leaves out its end, so add 1 to it": (
            lambda labels, d: differs_at(labels, [(y, x) for y, x in square(d) if y < d and x < d])
        ),
        "you look along rows and columns only: the square's corners count as well": (
            lambda labels, d: differs_at(labels, [(y, x) for y, x in square(d) if y == 0 or x == 0])
        ),
        "this is a diamond: rows and columns together are at most `distance`; each alone was requested": (
            lambda labels, d: differs_at(labels, [(y, x) for y, x in square(d) if abs(y) + abs(x) <= d])
        ),
        "only one side of each edge is marked, that of the smaller label: a smaller one nearby counts as well": (
            lambda labels, d: near_another(labels, d, lambda low, high, own: high != own)
        ),
        "only one side of each edge is marked, that of the larger label: a larger one nearby counts as well": (
            lambda labels, d: near_another(labels, d, lambda low, high, own: low != own)
        ),
        "the border of the map counts as an edge; beyond it there is no label at all": border_as_edge,
    }
)


def near_another(labels: Tensor, distance: int, differs: Callable) -> Tensor:
    """What `differs(lowest, highest, own)` says of the labels in each square."""
    own, size = labels.float()[None], 2 * distance + 1
    pool = torch.nn.functional.max_pool2d
    low, high = (sign * pool(sign * own, size, stride=1, padding=distance) for sign in (-1, 1))
    return differs(low, high, own)[0]
