"""An image cut into patches on a sheet: the patches drawn apart, some of them highlighted and numbered."""

from collections.abc import Sequence

import numpy as np

from vitseg_lib.course.figures import colours
from vitseg_lib.course.figures.layout import MARGIN, Rect
from vitseg_lib.course.figures.picture import ACCENT, DOTS, MUTED, SMALL, UNIT, Sheet, text_width

LONGEST = 60 * UNIT  # CSS pixels: the height of a patchwork
GAP = 3  # CSS pixels between two patches
LARGEST = 9 * UNIT  # the side of a patch
TINY = 9  # the type of a number that stands over a small patch


def grid_of(image: np.ndarray, patch_size: int) -> tuple[int, int]:
    """Rows and columns of patches that it takes to cover an image."""
    rows, columns = (-(-pixels // patch_size) for pixels in image.shape[:2])
    return rows, columns


def side_of(grid: tuple[int, int], width: float) -> float:
    """The side of a drawn patch, a whole number of dots, so that a grid fits into `width` CSS pixels."""
    side = min((width - 8 * UNIT) / grid[1] - GAP, LONGEST / grid[0] - GAP, LARGEST)
    return max(1, round(side * DOTS) / DOTS)


def rect_of(number: int, columns: int, side: float) -> Rect:
    """Where a patch is drawn."""
    row, column = divmod(number, columns)
    return MARGIN + column * (side + GAP), MARGIN + row * (side + GAP), side, side


def draw_patches(sheet: Sheet, image: np.ndarray, patch_size: int, highlighted: Sequence[int], side: float) -> None:
    """All patches as one image, faded but for those `highlighted` if there are any, transparent between them."""
    grid = grid_of(image, patch_size)
    dots, pitch = round(side * DOTS), round((side + GAP) * DOTS)
    (row, y, own_y), (column, x, own_x) = (
        _spread(count, dots, pitch, patch_size, length) for count, length in zip(grid, image.shape[:2], strict=True)
    )
    chosen = np.isin(row[:, None] * grid[1] + column, highlighted) | (len(highlighted) == 0)
    drawn = np.where(chosen[..., None], image[y][:, x], colours.faded(image)[y][:, x])
    seen = (own_y[:, None] & own_x)[..., None] * 255
    pixels = np.concatenate([drawn, seen], axis=2).astype(np.uint8)
    for number in range(grid[0] * grid[1]):
        bottom, right = ((n + 1) * patch_size for n in divmod(number, grid[1]))
        if bottom > image.shape[0] or right > image.shape[1]:
            sheet.box(*rect_of(number, grid[1], side), edge=MUTED, line=0.6, linestyle=(0, (3, 3)))
    sheet.image(MARGIN, MARGIN, pixels.shape[1] / DOTS, pixels.shape[0] / DOTS, pixels)


def _spread(count: int, dots: int, pitch: int, patch_size: int, length: int) -> tuple[np.ndarray, ...]:
    """For each dot along an axis: its patch, the image's pixel, and whether there is one."""
    dot = np.arange(count * pitch - (pitch - dots))
    patch, inside = dot // pitch, dot % pitch
    pixel = patch * patch_size + inside.clip(max=dots - 1) * patch_size // dots
    return patch, pixel.clip(max=length - 1), (inside < dots) & (pixel < length)


def draw_number(sheet: Sheet, number: int, rect: Rect) -> None:
    """Outline a patch, with its number in its corner, or over its upper edge where the patch is small."""
    x, y, side, _ = rect
    sheet.box(*rect, edge=ACCENT, line=2)
    size = SMALL if side > 4 * UNIT else TINY
    width, height = text_width(str(number), size=size, bold=True) + 6, size + 4
    left, top = (x, y) if width < 0.6 * side else (x + side / 2 - width / 2, y - height + 2)
    sheet.box(left, top, width, height, face=ACCENT)
    sheet.text(left + width / 2, top + height / 2, str(number), size=size, colour="#ffffff", bold=True, ha="center")
