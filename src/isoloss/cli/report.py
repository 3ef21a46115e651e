"""The report of a comparison, as one self-contained HTML page."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from . import output
from .comparison import Cell, Result
from .distributions import Distributions
from .tables import arrow, number

MOST = 40  # largest number of groups in a picture; the tables have all groups
# keep text as text, and do not parse dollar signs in names as formulas
SETTINGS: Any = {"svg.fonttype": "none", "font.family": "sans-serif", "text.parse_math": False}


def write(path: Path, result: Result, distributions: Distributions) -> None:
    """Write the page."""
    template = files("isoloss.cli").joinpath("report.html").read_text(encoding="utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals.update(number=number, arrow=arrow, cell_text=_cell)
    with rc_context(SETTINGS):
        page = environment.from_string(template).render(
            result=result,
            comparison=result.comparison,
            residuals=_residuals(distributions),
            pairs=_pairs(distributions),
            beyond=distributions.beyond,
            groups=list(_groups(result)),
        )
    output.write(path, page.encode())


def _cell(cell: Cell) -> str:
    text = number(cell.value)
    return text if cell.error is None else f"{text} ± {number(cell.error, 2)}"


def _svg(figure: Figure, title: str) -> Markup:
    """Return a figure as an SVG element without references to other files."""
    file = io.StringIO()
    with rc_context({"svg.hashsalt": title}):  # unique and reproducible ids
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Type": None,
                                                     "Format": None})  # fmt: skip
    text = file.getvalue()
    element = text[text.index("<svg") :]
    label = f'<svg role="img" aria-label="{Markup.escape(title)}"'
    return Markup(re.sub(r"<metadata>.*?</metadata>", "", element, flags=re.DOTALL).replace(
        "<svg", label, 1
    ))  # fmt: skip


def _residuals(distributions: Distributions) -> Markup:
    figure = Figure(figsize=(8.5, 3.2), layout="constrained")
    axis = figure.subplots()
    for model, counts in distributions.residuals.items():
        axis.stairs(counts, distributions.edges, label=_plain(model), linewidth=1.6)
    axis.axvline(0, color="0.6", linewidth=0.8, zorder=0)
    axis.set(xlabel="residual (prediction - target)", ylabel="rows")
    axis.legend(frameon=False)
    _bare(axis)
    return _svg(figure, "histogram of residuals")


def _pairs(distributions: Distributions) -> Markup:
    models = list(distributions.pairs)
    columns = min(len(models), 3)
    lines = math.ceil(len(models) / columns)
    figure = Figure(figsize=(3.4 * columns + 0.6, 3.3 * lines), layout="constrained")
    every = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True).ravel()
    low, high = distributions.axis[0], distributions.axis[-1]
    for axis, model in zip(every, models, strict=False):
        counts = distributions.pairs[model].T.astype(float)
        counts[counts == 0] = np.nan
        axis.imshow(
            np.log10(counts), origin="lower", extent=(low, high, low, high), cmap="viridis_r",
            vmin=0, aspect="equal", interpolation="none",
        )  # fmt: skip
        axis.plot([low, high], [low, high], color="0.5", linewidth=0.8)
        axis.set(title=_plain(model), xlabel="target", ylabel="prediction")
        _bare(axis)
    for axis in every[len(models) :]:
        axis.remove()
    return _svg(figure, "predictions against targets")


def _groups(result: Result) -> Iterator[tuple[str, Markup]]:
    labels = result.labels[:MOST]
    for name in result.comparison.metrics:
        rows = [{m: cells[name] for m, cells in group.items()} for group in result.groups[:MOST]]
        if not labels or any(np.ndim(cell.value) for row in rows for cell in row.values()):
            continue
        figure = Figure(figsize=(8.5, 1.1 + 0.28 * len(labels)), layout="constrained")
        axis = figure.subplots()
        models = list(result.comparison.predictions)
        for k, model in enumerate(models):
            cells = [row[model] for row in rows]
            values = [float(cell.value) for cell in cells]
            errors: Any = [math.nan if c.error is None else 1.96 * float(c.error) for c in cells]
            places = np.arange(len(labels)) + (k - (len(models) - 1) / 2) * 0.7 / len(models)
            axis.errorbar(values, places, xerr=errors, fmt="o", markersize=4, label=_plain(model))
        axis.set_yticks(range(len(labels)), [_plain(str(label)) for label in labels])
        axis.set_ylim(len(labels) - 0.5, -0.5)
        axis.set(xlabel=_plain(name))
        axis.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
        axis.grid(axis="x", alpha=0.25)
        _bare(axis)
        yield name, _svg(figure, f"{name} by group")


def _plain(text: str) -> str:
    """Return a label that matplotlib does not hide."""
    return f"\u200b{text}" if text.startswith("_") else text


def _bare(axis: Axes) -> None:
    axis.spines[["top", "right"]].set_visible(False)
