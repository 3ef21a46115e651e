"""Formulas as MathML, written when the site is built: browsers typeset it without a script or a network.

The font, STIX Two Math, comes from ziamath and becomes a part of the site: few devices have a font with
the sizes of brackets and roots that formulas need.
"""

from __future__ import annotations

import re
import shutil
from importlib.metadata import files

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

FONT = "STIXTwoMath-Regular.ttf"
BRACKET = r'(?=<mo stretchy="false">&#x00028;)'
# Where the converter leaves the spaces to the browser, which takes names and bars for operators.
SPACES = (
    (rf"<m[io]>([a-z]{{2,}})</m[io]>{BRACKET}", r'<mo lspace="0.17em" rspace="0">\1</mo>'),
    (r"<m[io]>([a-z]{2,})</m[io]>", r'<mo lspace="0.17em" rspace="0.17em">\1</mo>'),
    (r"<mo( [^>]*)?>(&#x0007C;|&#x02016;)</mo>", r'<mo lspace="0" rspace="0"\1>\2</mo>'),
    (r"<mi>(&#x003[9A][0-9A-F];)</mi>", r'<mi mathvariant="normal">\1</mi>'),  # Greek capitals
)


def mathml(formula: str, display: str) -> str:
    """Return a formula of LaTeX as MathML."""
    text = convert(formula, display=display)
    for pattern, instead in SPACES:
        text = re.sub(pattern, instead, text)
    return text


def inline(translator: HTML5Translator, node: nodes.math) -> None:
    """Write a formula within a line."""
    translator.body.append(mathml(node.astext(), "inline"))
    raise nodes.SkipNode


def block(translator: HTML5Translator, node: nodes.math_block) -> None:
    """Write a formula on a line of its own."""
    translator.body.append(f"{mathml(node.astext(), 'block')}\n")
    raise nodes.SkipNode


def add_font(app: Sphinx, error: Exception | None) -> None:
    """Copy the font into the site."""
    if error is None and app.builder.format == "html":
        font = next(file for file in files("ziamath") or () if file.name == FONT)
        shutil.copy(font.locate(), app.outdir / "_static" / FONT)


def setup(app: Sphinx) -> None:
    """Offer it as a renderer of formulas: `html_math_renderer = "mathml"`."""
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    app.connect("build-finished", add_font)
