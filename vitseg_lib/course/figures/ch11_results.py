"""What chapter 11 shows of results: the table of recipes, score against cost, differences beside the noise."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import mean
from typing import Any

import numpy as np

from vitseg_lib import recipes
from vitseg_lib.course.figures import axes, layout
from vitseg_lib.course.figures.layout import MARGIN, WIDTH
from vitseg_lib.course.figures.picture import ACCENT, INK, MUTED, PAPER, RULE, SMALL, UNIT, Picture, Sheet, text_width
from vitseg_lib.recipes import Recipe

ROW = 26  # CSS pixels: a row of dots
NOISE = "#e9e7df"  # the band in which a difference says nothing
COLOURS = (ACCENT, INK, "#1d6fa5")  # by family, and each name is written as well


def table(results: Iterable[Mapping[str, Any]] = ()) -> str:
    """All recipes as a Markdown table: sizes, what was published, and the best of `results` with its number of classes.

    `results` are contents of result files: `recipe`, `mIoU` in percent and `classes`, or the two under `whole`, as
    `vitseg reproduce` writes them. A row without one was not run.
    """
    best: dict[str, Mapping[str, Any]] = {}
    for result in results:
        scores = result.get("whole", result)
        if result["recipe"] not in best or scores["mIoU"] > best[result["recipe"]]["mIoU"]:
            best[result["recipe"]] = {**scores, "images": result.get("images")}
    lines = [
        "| recipe | encoder | neck | final norm | steps | params (M) | published mIoU | ms + flip | run here |",
        "|---|---|:-:|:-:|--:|--:|--:|--:|---|",
    ]
    for name in recipes.names():
        recipe, row = recipes.get(name), recipes.get(name).published
        cells = [f"`{name}`", f"{recipe.depth} × {recipe.embed_dim}"]
        cells += ["yes" if on else "–" for on in (recipe.neck, recipe.final_norm)]
        cells += [f"{recipe.iterations:,}".replace(",", " "), f"{recipes.count_parameters(recipe) / 1e6:.2f}"]
        cells += [f"{row.mIoU:.2f}", f"{row.mIoU_ms_flip:.2f}"] if row else ["–", "–"]
        run = best.get(name)
        cells.append(f"{run['mIoU']:.2f}, {_on(run)}" if run else "not run")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _on(run: Mapping[str, Any]) -> str:
    images = f"{run['images']} images, " if run["images"] else ""
    return f"{images}{len(run['classes'])} classes"


def score_against_cost(costs: Mapping[str, float], *, noise: float = 0.5) -> Picture:
    """Draw the published mIoU of each recipe against `costs`, its whole training in EFLOP, on a logarithmic scale.

    A circle is a recipe without neck, a square one with; a filled mark has the final LayerNorm. A bar of `noise`
    points shows what two runs of one recipe may differ by.
    Raises ValueError for a recipe of which nothing was published, and for none.
    """
    if not costs or any(recipes.get(name).published is None for name in costs):
        raise ValueError("only recipes with published figures can be shown, and at least one")
    rows = [recipes.get(name) for name in costs]
    scores = [row.published.mIoU for row in rows]
    sheet = Sheet(WIDTH, 52 * UNIT)
    across = axes.scale_of(np.array([*costs.values()]), log=True)
    box = (MARGIN + 5 * UNIT, MARGIN + 3 * UNIT, WIDTH - 2 * MARGIN - 19 * UNIT, sheet.height - 2 * MARGIN - 10 * UNIT)
    x_of, y_of = axes.draw_scales(sheet, box, across, axes.scale_of(np.array(scores)))
    sheet.text(MARGIN, MARGIN, "published mIoU", size=SMALL, colour=MUTED)
    foot = box[1] + box[3]
    sheet.text(
        box[0] + box[2], foot + 32, "operations of the whole training, 10¹⁸", size=SMALL, colour=MUTED, ha="right"
    )
    heights = _apart([(x_of(cost), y_of(score)) for cost, score in zip(costs.values(), scores, strict=True)])
    families = list(dict.fromkeys(row.name.split("_")[0] + str(row.embed_dim) for row in rows))
    for row, cost, score, height in zip(rows, costs.values(), scores, heights, strict=True):
        colour = COLOURS[families.index(row.name.split("_")[0] + str(row.embed_dim)) % len(COLOURS)]
        _mark(sheet, x_of(cost), y_of(score), row, colour)
        sheet.text(x_of(cost) + 10, height, short(row), size=SMALL, colour=colour)
    x, y = box[0] + 2 * UNIT, box[1] + 2 * UNIT
    sheet.line([x, x], [y, y + y_of(0) - y_of(noise)], colour=MUTED, line=3)
    sheet.text(x + UNIT, y + (y_of(0) - y_of(noise)) / 2, f"{noise:g} points", size=SMALL, colour=MUTED)
    _key(sheet, foot + 52)
    each = zip(rows, scores, costs.values(), strict=True)
    listed = ", ".join(f"{row.name} {score:.2f} for {cost:.2g}" for row, score, cost in each)
    words = f"Published mIoU against training operations in units of 10 to the 18: {listed}."
    return sheet.picture(name=f"score against cost of {len(rows)} recipes", alt=words)


def short(recipe: Recipe) -> str:
    """A recipe's encoder and schedule: "DeiT-S 80k"."""
    kind, size = recipe.name.split("_")[:2]
    return f"{kind.replace('deit', 'DeiT').replace('vit', 'ViT')}-{size[0].upper()} {recipe.iterations // 1000}k"


def _apart(points: Sequence[tuple[float, float]], least: float = 14) -> list[float]:
    """Heights for labels beside marks: those of one column moved until they can be read."""
    heights = [0.0] * len(points)
    for column in {round(x) for x, _ in points}:
        members = [n for n, (x, _) in enumerate(points) if round(x) == column]
        for n, y in zip(members, layout.spread([points[n][1] for n in members], least), strict=True):
            heights[n] = y
    return heights


def _mark(sheet: Sheet, x: float, y: float, recipe: Recipe, colour: str) -> None:
    face = colour if recipe.final_norm else PAPER
    shape = {"marker": "s" if recipe.neck else "o", "markersize": 7.5, "markeredgewidth": 1.4}
    sheet.line([x], [y], colour=colour, markerfacecolor=face, **shape)


def _key(sheet: Sheet, y: float) -> None:
    base, x = recipes.DEIT_S, float(MARGIN + 5 * UNIT)
    for words, neck, norm in (("no neck", False, False), ("neck", True, False), ("neck and LayerNorm", True, True)):
        _mark(sheet, x, y, replace(base, neck=neck, final_norm=norm), MUTED)
        sheet.text(x + 10, y, words, size=SMALL, colour=MUTED)
        x += 10 + text_width(words, size=SMALL) + 3 * UNIT


def differences(values: Mapping[str, Sequence[float]], *, noise: float, x_name: str = "points of mIoU") -> Picture:
    """Draw a row of dots for each name: its differences, a stroke at their mean, and a band of ± `noise`.

    A name without a value is written as not run. Raises ValueError without a name, and for a value that is not finite.
    """
    every = [value for row in values.values() for value in row]
    if not values or not np.isfinite(every).all():
        raise ValueError("at least one name must be there, and all differences finite")
    left = MARGIN + max(map(text_width, values)) + 2 * UNIT
    sheet = Sheet(WIDTH, 2 * MARGIN + 4 * UNIT + ROW * len(values))
    scale = axes.scale_of(np.array([*every, -noise, noise, 0.0]))
    top, foot = MARGIN, MARGIN + ROW * len(values)

    def x_of(value: float) -> float:
        return left + (WIDTH - MARGIN - 7 * UNIT - left) * scale.part(value)

    sheet.box(x_of(-noise), top, x_of(noise) - x_of(-noise), foot - top, face=NOISE)
    for tick in scale.ticks:
        sheet.line([x_of(tick)] * 2, [top, foot], colour=MUTED if tick == 0 else RULE)
        sheet.text(x_of(tick), foot + 14, axes.tick_name(tick), size=SMALL, colour=MUTED, ha="center")
    sheet.text(WIDTH - MARGIN, foot + 34, f"{x_name}; shaded: ± {noise:.2g}", size=SMALL, colour=MUTED, ha="right")
    listed = []
    for number, (name, row) in enumerate(values.items()):
        y, says = top + ROW * (number + 0.5), f"{mean(row):+.2f}".replace("-", "−") if row else "not run"
        sheet.text(left - 2 * UNIT, y, name, ha="right")
        for value in row:
            sheet.line([x_of(value)], [y], colour=ACCENT, marker="o", markersize=6, markeredgecolor=PAPER)
        if len(row) > 1:
            sheet.line([x_of(mean(row))] * 2, [y - 9, y + 9], colour=INK, line=2)
        sheet.text(WIDTH - MARGIN, y, says, size=SMALL, ha="right", colour=INK if row else MUTED)
        listed.append(f"{name} {says}")
    words = f"Differences as dots, the band of ± {noise:.2g} shaded: {', '.join(listed)}."
    return sheet.picture(name=f"{len(values)} differences", alt=words)
