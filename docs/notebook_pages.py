"""The notebooks, which are pages of Markdown: run when the site is built, and offered as .ipynb.

Their numbers are compared with what a run gives, as those of every page are, and the picture that they draw
stands below the code that draws it.
"""

from __future__ import annotations

import re
from pathlib import Path

import jupytext
import matplotlib as mpl
from matplotlib import pyplot
from sphinx.errors import SphinxError
from themes import STYLE, save, shown

from docs.examples import PAGES, enter, leave

FOLDER = Path(__file__).parent / "notebooks"
DRAWING = re.compile(
    r"^```python\n(?:(?!```).*\n)*?figure, .*\n(?:(?!```).*\n)*```\n", re.MULTILINE
)


def run(path: Path) -> mpl.figure.Figure:
    """Run a notebook and compare its numbers; return the figure that it draws."""
    document = PAGES.parse(path)
    enter(document.namespace)
    try:
        for example in document.examples():
            example.evaluate()
    except Exception as error:
        raise SphinxError(f"{path}: {error}") from error
    finally:
        leave(document.namespace)
    return document.namespace["figure"]


def write(pictures: Path) -> None:
    """Run every notebook; write its picture, and the notebook that Jupyter opens."""
    for path in sorted(FOLDER.glob("*.md")):
        with mpl.rc_context(STYLE):
            save(run(path), pictures / f"notebook-{path.stem}")
            pyplot.close("all")
        jupytext.write(jupytext.read(path), pictures / f"{path.stem}.ipynb")


def with_picture(name: str, text: str) -> str:
    """Show the picture of a notebook, and offer the notebook under the title of its page."""
    picture = shown(f"../_gallery/notebook-{name}", "the picture that this code draws")
    text = DRAWING.sub(lambda block: f"{block[0]}\n{picture}\n", text, count=1)
    offer = f"{{download}}`Download this page as a Jupyter notebook <../_gallery/{name}.ipynb>`.\n"
    return re.sub(r"^(# .*\n)", rf"\1\n{offer}", text, count=1, flags=re.MULTILINE)
