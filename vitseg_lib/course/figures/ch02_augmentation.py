"""Chapter 02's data flow: an image and its labels in two lanes, and the draws between them that both obey."""

from collections.abc import Iterable

from torch import Tensor

from vitseg_lib.course.figures.colours import flat
from vitseg_lib.course.figures.layout import MARGIN, TEXT_LINE, wrapped
from vitseg_lib.course.figures.picture import ACCENT, INK, MUTED, RULE, SMALL, UNIT, Picture, Sheet, text_width
from vitseg_lib.data.classes import Classes
from vitseg_lib.data.transforms import MEAN, STD, Step, denormalise

TILE = 13 * UNIT  # CSS pixels: the widest image
PITCH = TILE + 3 * UNIT
LANE = 11 * UNIT  # the height of a lane
BAND = 11 * UNIT  # between the lanes
NAME = 10 * UNIT  # the lanes' names, on the left

TITLES = {
    "read": "pair",
    "resize": "resize",
    "crop": "crop",
    "flip": "flip",
    "colour": "recolour",
    "pad": "normalise, pad",
}

BESIDE = {"resize": ("blend", "copy"), "pad": ("0", "255")}  # what a step does to the image, and to the labels


def two_lanes(
    steps: Iterable[Step],
    classes: Classes,
    *,
    mean: tuple[float, ...] = MEAN,
    std: tuple[float, ...] = STD,
) -> Picture:
    """Draw what `TrainPipeline.steps` yields: images above, labels below, all to one scale, and between them the draws.

    An arrow from a draw says which lane it moves; the one that comes up from the labels is the crop's, which looks at
    them. Raises ValueError if a step of the pipeline is missing.
    """
    found = {step.name: step for step in steps}
    if missing := [name for name in TITLES if name not in found]:
        raise ValueError(f"the pipeline's step {missing[0]!r} is missing")
    shown = [found[name] for name in TITLES]
    scale = min(TILE / max(s.labels.shape[1] for s in shown), LANE / max(s.labels.shape[0] for s in shown))
    images, band = MARGIN + 4 * UNIT, MARGIN + 4 * UNIT + LANE + UNIT
    masks = band + BAND + UNIT
    sheet = Sheet(2 * MARGIN + NAME + len(shown) * PITCH - 3 * UNIT, masks + LANE + 3 * UNIT + MARGIN)
    for words, middle in (("image", images + LANE / 2), ("labels", masks + LANE / 2)):
        sheet.text(MARGIN, middle, words, colour=MUTED)
    sheet.text(MARGIN, band + BAND / 2, "chosen once", colour=MUTED)
    end = 0.0  # of the tile before
    for number, step in enumerate(shown):
        x = MARGIN + NAME + number * PITCH
        pixels = denormalise(step.image, mean, std) if isinstance(step.image, Tensor) else step.image
        height, width = step.labels.shape
        rects = [_rect(x, lane, width * scale, height * scale) for lane in (images, masks)]
        sheet.text(x + TILE / 2, MARGIN + UNIT, TITLES[step.name], bold=True, ha="center")
        for rect, array in zip(rects, (pixels, flat(step.labels, classes)), strict=True):
            sheet.image(*rect, array)
            sheet.box(*rect, edge=RULE)
            if number:
                middle = rect[1] + rect[3] / 2
                sheet.arrow((end + 3, middle), (rect[0] - 3, middle), colour=INK)
        end = rects[0][0] + rects[0][2]
        size = f"{height}×{width}"
        sheet.text(x + TILE / 2, masks + LANE + 2 * UNIT, size, size=SMALL, colour=MUTED, mono=True, ha="center")
        _draw_band(sheet, step, (x, band), rects, looked_at=MARGIN + NAME + (number - 1) * PITCH + TILE / 2)
    drawn = "; ".join(f"{TITLES[s.name]}: {', '.join(_drawn(s))}" for s in shown[1:])
    words = (
        "Two lanes, an image above its labels, through resize, crop, flip, recolour, normalise and pad. What is drawn "
        f"stands between them, with arrows to both lanes, for recolour to the image only: {drawn}. The resize blends "
        "the image and copies the labels; the image is filled up with 0, the labels with 255. An arrow from the "
        "resized labels leads to the crop's draw, which looks at them."
    )
    return sheet.picture(name="an image and its labels through the pipeline", alt=words)


def _rect(x: float, top: float, width: float, height: float) -> tuple[float, float, float, float]:
    """A tile in the middle of its place."""
    return x + (TILE - width) / 2, top + (LANE - height) / 2, width, height


def _drawn(step: Step) -> list[str]:
    """What a step drew or was given, in a line or two."""
    found = step.parameters
    if step.name == "resize":
        return ["one size"]
    if step.name == "crop":
        return [f"top {found['box'][0]}, left {found['box'][1]}"]
    if step.name == "flip":
        return ["yes" if found["flipped"] else "no"]
    if step.name == "colour":
        return [_change(*change) for change in found["adjustments"]] or ["nothing"]
    return ["fill up"]


def _change(name: str, amount: float) -> str:
    form = "{:+.0f}" if name in ("brightness", "hue") else "× {:.2f}"
    return f"{name} {form.format(amount)}".replace("-", "−")


def _draw_band(sheet: Sheet, step: Step, at: tuple[float, float], rects: list, *, looked_at: float) -> None:
    """The draw in the middle of its column, and the arrows from it to the lanes that it moves."""
    if step.name == "read":
        return
    x, top = at[0] + TILE / 2, at[1]
    lines = [line for words in _drawn(step) for line in wrapped(words, PITCH - UNIT)]
    middle = top + BAND / 2
    reach = TEXT_LINE * len(lines) / 2 + 3
    for number, words in enumerate(lines):
        height = middle + TEXT_LINE * (number - (len(lines) - 1) / 2)
        sheet.text(x, height, words, size=SMALL, colour=INK, ha="center")
    sheet.arrow((x, middle - reach), (x, rects[0][1] + rects[0][3] + 3), colour=ACCENT)
    if step.name != "colour":
        sheet.arrow((x, middle + reach), (x, rects[1][1] - 3), colour=ACCENT)
    else:
        sheet.text(x, rects[1][1] - 1.5 * UNIT, "unchanged", size=SMALL, colour=MUTED, ha="center")
    if step.name == "crop":
        end = x - text_width(lines[0], size=SMALL) / 2 - 4
        sheet.arrow((looked_at + 3 * UNIT, rects[1][1] - 4), (end, middle + 4), colour=ACCENT)
        sheet.text(looked_at + 10.5 * UNIT, middle + 4.6 * UNIT, "looks", size=SMALL, colour=MUTED, ha="center")
    for words, side in zip(BESIDE.get(step.name, ()), (-1, 1), strict=False):
        height = middle + side * (reach + 2 * UNIT)
        sheet.text(x - UNIT, height, words, size=SMALL, colour=MUTED, ha="right")
