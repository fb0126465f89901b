"""What every figure of the course shares: one palette, one typeface, one unit, one card to draw on.

A figure is drawn on a `Sheet`, a light card measured in CSS pixels from its top left corner, so that it reads
the same in a light notebook, in a dark one, on a web page and on paper. What a cell shows is a `Picture`.
"""

import io
import logging
from base64 import b64encode
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vitseg_lib.files import atomic_path

# A fresh installation's first figure may otherwise print a note about fonts under a notebook's cell.
logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)

from matplotlib.axes import Axes  # noqa: E402
from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from matplotlib.font_manager import FontProperties  # noqa: E402
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle  # noqa: E402
from matplotlib.textpath import text_to_path  # noqa: E402

INK = "#22272e"
MUTED = "#646b76"
RULE = "#d5d7d3"
PAPER = "#faf9f5"
ACCENT = "#c2410c"

UNIT = 8  # CSS pixels: gaps and margins are multiples of it
BODY = 12.5  # text height in CSS pixels
SMALL = 11

DOTS = 2  # to the CSS pixel
LARGEST_PNG = 220_000  # bytes; a third more once a notebook holds it as text
LIGHTER = ((DOTS, 8), (DOTS, 6), (DOTS, 5), (1, 5))  # dots and bits a colour: the first that is light enough
FLAT = 0.01  # a colour on this fraction of a picture is meant to be that colour
PIXELS_PER_INCH = 100

# JupyterLab gives the image of an output no alt text. So its words follow as an output of their own: read out by
# screen readers, out of sight, a caption where styles are stripped. A trusted page moves them to the image itself.
UNSEEN = "position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)"
TO_THE_IMAGE = (
    "const words = this.parentElement, output = words.closest('.jp-OutputArea-child'),"
    " image = output?.previousElementSibling?.querySelector('img');"
    " if (image) { image.alt = words.textContent; words.setAttribute('aria-hidden', 'true'); }"
)


class Picture:
    """A figure with words for those who cannot see it; the last value of a cell shows itself.

    `name` is short and stable, for it is what strict notebook tests compare; `alt` says what there is to see.
    """

    def __init__(self, figure: Figure, *, name: str, alt: str):
        self.figure = figure
        self.name = name
        self.alt = alt
        self._drawn: dict[float, np.ndarray] = {}

    def __repr__(self) -> str:
        return f"<Picture: {self.name}>"

    @property
    def width(self) -> int:
        """Width in CSS pixels."""
        return round(self.figure.get_figwidth() * PIXELS_PER_INCH)

    @cached_property
    def png(self) -> bytes:
        """The picture as a PNG file: two dots to the CSS pixel, and coarser where it would weigh a notebook down."""
        for dots, bits in LIGHTER:
            encoded = _encode(coarsen(self.pixels(dots), bits), effort=6 if bits == 8 else 9)
            if len(encoded) <= LARGEST_PNG:
                break
        return encoded

    def pixels(self, dots: float = DOTS) -> np.ndarray:
        """The picture as RGBA, uint8 (H, W, 4), with so many dots to the CSS pixel."""
        if dots not in self._drawn:
            buffer = io.BytesIO()
            self.figure.savefig(buffer, format="raw", dpi=PIXELS_PER_INCH * dots)
            size = [round(inches * PIXELS_PER_INCH * dots) for inches in self.figure.get_size_inches()]
            self._drawn[dots] = np.frombuffer(buffer.getvalue(), np.uint8).reshape(size[1], size[0], 4)
        return self._drawn[dots]

    def bundles(self) -> list[tuple[dict[str, str], dict[str, Any]]]:
        """What a notebook shows, each with its metadata: the image, and after it its words."""
        sized = {"image/png": {"width": self.width, "alt": self.alt}}
        image = b64encode(self.png).decode("ascii")
        words = f'<p style="{UNSEEN}">{escape(self.alt)}<style onload="{TO_THE_IMAGE}"></style></p>'
        return [
            ({"image/png": image, "text/plain": repr(self)}, sized),
            ({"text/html": words, "text/plain": self.alt}, {}),
        ]

    def _ipython_display_(self) -> None:
        from IPython.display import display

        for data, metadata in self.bundles():
            display(data, metadata=metadata, raw=True)

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the picture; the suffix decides: .png, or .svg and .pdf, whose lines stay sharp at any size.

        Raises `InputError` if the file exists and `overwrite` is false, or cannot be written.
        """
        with atomic_path(path, overwrite=overwrite) as temporary:
            self.figure.savefig(temporary, dpi=PIXELS_PER_INCH * DOTS)


def _encode(pixels: np.ndarray, effort: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", compress_level=effort)
    return buffer.getvalue()


def coarsen(pixels: np.ndarray, bits: int) -> np.ndarray:
    """Round RGBA pixels, uint8 (H, W, 4), to `bits` (4..8) a channel, but leave flat colours as they are."""
    if bits == 8:
        return pixels
    packed = np.ascontiguousarray(pixels).view(np.uint32)[..., 0]
    _, inverse, counts = np.unique(packed, return_inverse=True, return_counts=True)
    flat = (counts >= FLAT * packed.size)[inverse].reshape(packed.shape)
    high = pixels >> (8 - bits)
    return np.where(flat[..., None], pixels, (high << (8 - bits)) | (high >> (2 * bits - 8)))


class Sheet:
    """A light card of `width` × `height` CSS pixels, rounded; x runs right and y runs down from the top left corner."""

    def __init__(self, width: float, height: float):
        self.width, self.height = width, height = round(width), round(height)
        self.figure = Figure(figsize=(width / PIXELS_PER_INCH, height / PIXELS_PER_INCH), dpi=PIXELS_PER_INCH)
        FigureCanvasAgg(self.figure)
        self.figure.patch.set_alpha(0)
        self.axes: Axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set(xlim=(0, width), ylim=(height, 0))
        self.axes.set_axis_off()
        self.axes.set_autoscale_on(False)
        self._layer = 0
        self.rounded(0.5, 0.5, width - 1, height - 1, radius=UNIT, face=PAPER, edge=RULE)

    def text(self, x: float, y: float, words: str, *, size: float = BODY, colour: str = INK, **options: Any) -> None:
        """Write `words` at (x, y), a `$` as it is: `ha` left, center or right of x, `va` center on y by default."""
        font = _font(size, options.pop("mono", False), options.pop("bold", False))
        options = {"ha": "left", "va": "center_baseline"} | options
        style = {"color": colour, "fontproperties": font, "zorder": self._over(), "parse_math": False}
        self.axes.text(x, y, words, **style, **options)

    def image(self, x: float, y: float, width: float, height: float, pixels: np.ndarray, **options: Any) -> None:
        """Put (H, W, 3) or (H, W, 4) pixels, uint8 or 0..1, into a box; its pixels stay squares when magnified."""
        extent = (x, x + width, y + height, y)
        options = {"interpolation": "antialiased" if pixels.shape[1] > width * DOTS else "nearest"} | options
        self.axes.imshow(pixels, extent=extent, aspect="auto", origin="upper", zorder=self._over(), **options)
        self.axes.set(xlim=(0, self.width), ylim=(self.height, 0))

    def box(self, x: float, y: float, width: float, height: float, **options: Any) -> None:
        """Draw a rectangle: `face`, `edge` and `line` (its width) if given, else neither."""
        self.axes.add_patch(Rectangle((x, y), width, height, zorder=self._over(), **_paint(options)))

    def rounded(self, x: float, y: float, width: float, height: float, *, radius: float = 4, **options: Any) -> None:
        """Draw a rectangle with round corners."""
        style = f"round,pad=0,rounding_size={radius}"
        paint = _paint(options) | {"boxstyle": style, "zorder": self._over()}
        self.axes.add_patch(FancyBboxPatch((x, y), width, height, **paint))

    def line(self, xs: list[float], ys: list[float], *, colour: str = MUTED, line: float = 1.0, **options: Any) -> None:
        """Draw a line through the points."""
        options = {"solid_capstyle": "round", "solid_joinstyle": "round"} | options
        self.axes.plot(xs, ys, color=colour, linewidth=_points(line), zorder=self._over(), **options)

    def arrow(self, start: tuple[float, float], end: tuple[float, float], *, colour: str = MUTED, line: float = 1.0):
        """Draw an arrow with a small head."""
        head = "-|>,head_width=2,head_length=4"
        options = {"arrowstyle": head, "mutation_scale": 1, "shrinkA": 0, "shrinkB": 0, "color": colour}
        self.axes.add_patch(FancyArrowPatch(start, end, linewidth=_points(line), zorder=self._over(), **options))

    def _over(self) -> float:
        """The next layer up: what is drawn later covers what was drawn before, images too."""
        self._layer += 1
        return self._layer

    def picture(self, *, name: str, alt: str) -> Picture:
        """The finished picture."""
        return Picture(self.figure, name=name, alt=alt)


def text_width(words: str, *, size: float = BODY, mono: bool = False, bold: bool = False) -> float:
    """How wide `words` will be on a sheet, in CSS pixels."""
    width, _, _ = text_to_path.get_text_width_height_descent(words, _font(size, mono, bold), ismath=False)
    return width * PIXELS_PER_INCH / 72


def _points(pixels: float) -> float:
    return pixels * 72 / PIXELS_PER_INCH


def _font(size: float, mono: bool, bold: bool) -> FontProperties:
    """DejaVu, which comes with matplotlib, so that a picture is the same on every machine."""
    family = "DejaVu Sans Mono" if mono else "DejaVu Sans"
    return FontProperties(family=family, size=_points(size), weight="bold" if bold else "normal")


def _paint(options: dict[str, Any]) -> dict[str, Any]:
    face, edge, line = options.pop("face", "none"), options.pop("edge", "none"), options.pop("line", 1.0)
    return {"facecolor": face, "edgecolor": edge, "linewidth": _points(line)} | options
