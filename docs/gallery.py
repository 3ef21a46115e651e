"""The gallery: a picture of every loss with one term for each prediction, drawn when it is built."""

from __future__ import annotations

import inspect
from pathlib import Path
from types import ModuleType

import numpy as np
from matplotlib.figure import Figure

import isoloss as il
from isoloss.cli.curves import Curve, NoPictureError, curve
from isoloss.metrics.catalogue import families, name_of

HERE = Path(__file__).parent
HEAD = """\
# Gallery

Every loss of one prediction and one target: its value (blue) and its gradient by the prediction (orange), with the default parameters,
over the residual where the loss depends on nothing else. Drawn by the code, as `isoloss show NAME --png FILE` draws them.
"""


def draw(found: Curve, path: Path) -> None:
    """Draw a value and its gradient in one small picture."""
    figure = Figure(figsize=(3.4, 2.5), layout="constrained")
    axis = figure.subplots()
    value, gradient, _ = found.rows
    axis.plot(found.x, value, color="C0", linewidth=2)
    axis.plot(found.x, gradient, color="C1", linewidth=1.5)
    finite = np.concatenate([value, gradient])
    low, high = np.percentile(finite[np.isfinite(finite)], [3, 97])  # ends may be far out
    room = 0.15 * (high - low) + 0.05
    axis.set(xlabel=found.label, ylim=(low - room, high + room))
    axis.axhline(0, color="0.7", linewidth=0.8, zorder=0)
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)


def cards(family: ModuleType, folder: Path) -> list[str]:
    """Draw the losses of a family, and return a card for each."""
    public = {name: getattr(il, name) for name in il.__all__}
    found = []
    for kind in vars(family).values():
        if not (inspect.isclass(kind) and kind.__module__ == family.__name__):
            continue
        names = [name for name, thing in public.items() if type(thing) is kind]
        metric = public[names[0]] if names else None
        if not isinstance(metric, il.Metric) or metric.core != ((), ()):
            continue
        try:
            line = curve(metric)
        except NoPictureError:
            continue
        name = name_of(metric)
        draw(line, folder / f"{name}.svg")
        page = f"metrics/{family.__name__.rpartition('.')[2]}.md#{'-'.join(names)}"
        found.append(
            f":::{{grid-item-card}} [`{name}`]({page})\n"
            f"![value and gradient of {name}](_gallery/{name}.svg)\n:::\n"
        )
    return found


def write() -> None:
    """Draw all pictures, and write the page."""
    folder = HERE / "_gallery"
    folder.mkdir(exist_ok=True)
    parts = [HEAD]
    for family in families():
        found = cards(family, folder)
        if found:
            title = inspect.cleandoc(family.__doc__ or "").partition(":")[0]
            grid = "\n".join(found)
            parts.append(f"## {title}\n\n::::{{grid}} 1 2 2 3\n:gutter: 2\n\n{grid}\n::::\n")
    (HERE / "gallery.md").write_text("\n".join(parts), encoding="utf-8")
