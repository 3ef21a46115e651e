"""Pictures for light and for dark pages: a figure is drawn once and saved in the colours of both."""

from __future__ import annotations

import io
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

INK, PALE = "#24292f", "#d0d4d9"
BLUE, ORANGE, GREEN, RED = "#1f6fb4", "#d9660a", "#2c8a3f", "#c8323a"
# The colours of a figure on a white page, and those that take their place on a dark one.
DARK = {
    INK: "#d8dde3", PALE: "#2f343a",
    BLUE: "#5fa8e8", ORANGE: "#f5a04c", GREEN: "#6cc47f", RED: "#f0777c",
}  # fmt: skip
STYLE = {
    "text.color": INK, "axes.labelcolor": INK, "axes.titlecolor": INK, "axes.edgecolor": INK,
    "xtick.color": INK, "ytick.color": INK, "legend.labelcolor": INK, "grid.color": PALE,
    "axes.prop_cycle": mpl.cycler(color=[BLUE, ORANGE, GREEN, RED]),
    "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True,
    "legend.frameon": False, "savefig.transparent": True, "savefig.bbox": "tight",
    "svg.hashsalt": "isoloss",  # the same file on every run
}  # fmt: skip


def save(figure: Figure, path: Path) -> None:
    """Write a figure that was drawn in STYLE as NAME.svg, and in dark colours as NAME-dark.svg."""
    text = io.StringIO()
    with mpl.rc_context(STYLE):
        figure.savefig(text, format="svg", metadata={"Date": None})
    light = text.getvalue()
    path.with_suffix(".svg").write_text(light, encoding="utf-8")
    dark = light
    for colour, instead in DARK.items():
        dark = dark.replace(colour, instead)
    path.with_name(f"{path.stem}-dark.svg").write_text(dark, encoding="utf-8")


def shown(path: str, description: str, *classes: str) -> str:
    """Return Markdown that shows the picture of the mode in which a page is read."""
    pair = (("", "only-light"), ("-dark", "only-dark"))
    return "\n".join(
        f"![{description}]({path}{ending}.svg){{{' '.join(f'.{c}' for c in (mode, *classes))}}}"
        for ending, mode in pair
    )
