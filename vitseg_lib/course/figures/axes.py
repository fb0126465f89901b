"""The axes of plots: their ticks, the coordinate of a value, how a number is written."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.ticker import MaxNLocator

from vitseg_lib.course.figures.layout import Rect
from vitseg_lib.course.figures.picture import MUTED, RULE, SMALL, UNIT, Sheet

FINE = (1, 1.5, 2, 3, 5, 7)  # times a power of ten: where a logarithmic axis may end
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Scale:
    """One axis of a plot: its ends, the values written at it, and whether it is logarithmic."""

    low: float
    high: float
    ticks: tuple[float, ...]
    log: bool = False

    def part(self, value: float) -> float:
        """How far along the axis a value stands, 0..1."""
        low, high, at = (np.log(v) if self.log else v for v in (self.low, self.high, value))
        return float((at - low) / (high - low))


def scale_of(values: np.ndarray, *, log: bool = False, ticks: Sequence[float] | None = None) -> Scale:
    """A scale that holds `values`, with a few round numbers at it, or with `ticks`, whose ends are its own.

    Raises ValueError if it is logarithmic and a value is not above 0.
    """
    low, high = float(values.min()), float(values.max())
    if log and min([low, *(() if ticks is None else ticks)]) <= 0:
        raise ValueError("a logarithmic axis shows values above 0")
    if ticks is not None and len(ticks):
        return Scale(min(low, *ticks), max(high, *ticks), tuple(ticks), log)
    whole = bool((values == values.round()).all()) and high - low >= 2
    even = MaxNLocator(5, steps=[1, 2, 2.5, 5, 10], integer=whole).tick_values(low, high)
    if not log:
        return Scale(even[0], even[-1], tuple(even))
    steps = [digit * 10.0**power for power in range(_power(low) - 1, _power(high) + 2) for digit in FINE]
    low = max(step for step in steps if step <= low * (1 + 1e-9))
    high = min(step for step in steps if step >= high * (1 - 1e-9) and step > low)
    return Scale(low, high, _log_ticks(low, high, even), log=True)


def _power(value: float) -> int:
    return int(np.floor(np.log10(value)))


def _log_ticks(low: float, high: float, even: np.ndarray) -> tuple[float, ...]:
    """Powers of ten if the axis holds three of them, else with values between; evenly spaced ones on a short axis."""
    for digits in ((1,), (1, 3), (1, 2, 5)):
        ticks = [digit * 10.0**power for power in range(_power(low), _power(high) + 1) for digit in digits]
        held = tuple(tick for tick in ticks if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9))
        if len(held) >= 3:
            return held
    return tuple(float(tick) for tick in even if low <= tick <= high)


def tick_name(value: float) -> str:
    """A tick as it is written: thousands apart, very large and very small ones as powers of ten."""
    if value and not 1e-4 < abs(value) < 1e6:
        mantissa, exponent = f"{value:.0e}".split("e")
        power = "10" + str(int(exponent)).translate(SUPERSCRIPT)
        return power if mantissa == "1" else f"{mantissa}·{power}"
    return (f"{value:,.0f}".replace(",", " ") if abs(value) >= 10_000 else f"{value:g}").replace("-", "−")


def draw_scales(sheet: Sheet, box: Rect, x_scale: Scale, y_scale: Scale) -> tuple[Callable, Callable]:
    """Rules and numbers for a plot inside `box`; returns what turns a value into a coordinate, for x and for y."""
    left, top, width, height = box
    for tick in x_scale.ticks:
        x = left + width * x_scale.part(tick)
        sheet.line([x, x], [top + height, top + height + 4], colour=RULE)
        sheet.text(x, top + height + 14, tick_name(tick), size=SMALL, colour=MUTED, ha="center")
    return lambda value: left + width * x_scale.part(value), draw_rules(sheet, box, y_scale)


def draw_rules(sheet: Sheet, box: Rect, scale: Scale) -> Callable[[float], float]:
    """The vertical axis of a plot alone: a thin rule and a number per tick; returns what turns a value into a y."""
    left, top, width, height = box

    def y_of(value: float) -> float:
        return top + height * (1 - scale.part(value))

    for tick in scale.ticks:
        sheet.line([left, left + width], [y_of(tick)] * 2, colour=RULE)
        sheet.text(left - UNIT, y_of(tick), tick_name(tick), size=SMALL, colour=MUTED, ha="right")
    return y_of
