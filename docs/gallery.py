"""The pictures of the site, drawn when it is built: of the metrics, of the ideas, of the notebooks."""

from __future__ import annotations

import re
import runpy
from functools import cache
from pathlib import Path

import matplotlib as mpl
import notebook_pages
import numpy as np
from catalogue import Entry, entries, title
from matplotlib import pyplot
from matplotlib.figure import Figure
from noise import SHARES, Answer, answer
from themes import BLUE, INK, ORANGE, STYLE, save, shown

from isoloss import Metric
from isoloss.cli.curves import Curve, NoPictureError, curve
from isoloss.metrics.catalogue import families

HERE = Path(__file__).parent
FOLDER = HERE / "_gallery"
HEAD = """\
# Compare the shapes of losses

Every loss that has a curve: its value and its gradient by the prediction, with the default parameters. The curve is
drawn over the residual where the loss depends on nothing else, over the prediction for one target otherwise, and over the logit or
probability of the label where there are several classes. `isoloss show NAME --png FILE` draws the same curves, for parameters of your choice.
"""


@cache
def curves() -> dict[str, Curve]:
    """Return the curve of every metric that has one, by its full name."""
    drawn = {}
    for entry in (e for family in families() for e in entries(family)):
        if isinstance(entry.instance, Metric):
            try:
                drawn[entry.name] = curve(entry.instance)
            except NoPictureError:
                continue
    return drawn


def figure_of(line: Curve) -> Figure:
    """Draw a value and its gradient in one small picture."""
    figure = Figure(figsize=(3.4, 2.5), layout="constrained")
    axis = figure.subplots()
    value, gradient, _ = line.rows
    axis.plot(line.x, value, color=BLUE, linewidth=2, label="value")
    axis.plot(line.x, gradient, color=ORANGE, linewidth=1.5, label="gradient")
    finite = np.concatenate([value, gradient])
    low, high = np.percentile(finite[np.isfinite(finite)], [3, 97])  # ends may be far out
    room = 0.15 * (high - low) + 0.05
    axis.set(xlabel=line.label, ylim=(low - room, high + room))
    axis.axhline(0, color=INK, linewidth=0.6, zorder=0)
    axis.grid(linewidth=0.5)
    figure.legend(loc="outside upper left", ncols=2)
    return figure


@cache
def answers() -> dict[str, Answer]:
    """Return, for the other metrics, the values for predictions that get worse."""
    others = (e for family in families() for e in entries(family) if e.name not in curves())
    return {e.name: drawn for e in others if (drawn := answer(e)) is not None}


def figure_of_noise(drawn: Answer) -> Figure:
    """Draw the values of a metric against the share of noise."""
    figure = Figure(figsize=(3.4, 2.5), layout="constrained")
    axis = figure.subplots()
    axis.plot(SHARES, drawn.values, color=BLUE, linewidth=2, label="value")
    axis.set(xlabel="noise in the predictions (0: the targets)")
    axis.grid(linewidth=0.5)
    figure.legend(loc="outside upper left")
    return figure


def picture(name: str, root: str, *classes: str) -> str:
    """Return Markdown that shows the curve of a metric."""
    drawn = "value and gradient" if name in curves() else "value for noisy predictions"
    return shown(f"{root}_gallery/{name}", f"{drawn} of {name}", *classes)


def card(entry: Entry) -> str:
    """Return the card of a metric."""
    link = f"[`{entry.name}`](metrics/{entry.family}.md#{entry.name.lower()})"
    return f":::{{grid-item-card}} {link}\n{picture(entry.name, '')}\n:::\n"


def page() -> str:
    """Return the page of the gallery."""
    parts = [HEAD]
    for family in families():
        cards = [card(entry) for entry in entries(family) if entry.name in curves()]
        if cards:
            name, grid = title(family)[0], "\n".join(cards)
            parts.append(f"## {name}\n\n::::{{grid}} 1 2 2 3\n:gutter: 2\n\n{grid}\n::::\n")
    return "\n".join(parts)


def with_pictures(text: str) -> str:
    """Put the curve of each metric under the heading of its section."""

    def headed(match: re.Match[str]) -> str:
        known = match[1] in curves() or match[1] in answers()
        return f"{match[0]}\n{picture(match[1], '../', 'curve')}\n" if known else match[0]

    return re.sub(r"^## `(\w+)`\n", headed, text, flags=re.MULTILINE)


def write() -> None:
    """Draw all pictures, and write the page."""
    FOLDER.mkdir(exist_ok=True)
    with mpl.rc_context(STYLE):
        for name, line in curves().items():
            save(figure_of(line), FOLDER / name)
        for name, drawn in answers().items():
            save(figure_of_noise(drawn), FOLDER / name)
        for script in sorted((HERE / "pictures").glob("*.py")):
            save(runpy.run_path(str(script))["figure"], FOLDER / script.stem)
            pyplot.close("all")
    notebook_pages.write(FOLDER)
    (HERE / "gallery.md").write_text(page(), encoding="utf-8")
