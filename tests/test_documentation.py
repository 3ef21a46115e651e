"""The pages that are generated are current, and every public name stands on one."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import jupytext
import matplotlib as mpl
import pytest
from matplotlib.figure import Figure

import isoloss as il
import isoloss.testing
from docs import line_breaks, mathml, themes
from docs.examples import PAGES
from isoloss.metrics.catalogue import NAMES

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.parametrize("script", ["names.py", "catalogue.py", "capabilities.py"])
def test_generated_pages_are_current(script: str) -> None:
    """The pages of the metrics and of their capabilities say what the code does."""
    command = [sys.executable, DOCS / script, "--check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_public_name_is_documented() -> None:
    """A public name is an object of the API: on the page of its family, or in the API."""
    pages = "".join(path.read_text() for path in (DOCS / "metrics").glob("*.md"))
    api = (DOCS / "api.md").read_text()
    objects = re.findall(r"^```\{py:\w+\} isoloss\.(\w+)", pages, re.MULTILINE)
    assert len(objects) == len(set(objects)), "an object is described twice"
    named = {*objects, *re.findall(r"^\.\. auto\w+:: (?:\w+\.)*(\w+)", api, re.MULTILINE)}
    assert not set(il.__all__) - named
    assert not set(il.testing.__all__) - named
    for path in (Path(il.__file__).parent / "adapters").glob("*.py"):
        body = ast.parse(path.read_text()).body
        made = {node.name for node in body if isinstance(node, (ast.ClassDef, ast.FunctionDef))}
        assert not {name for name in made if not name.startswith("_")} - named, path.name


def test_index_has_every_name() -> None:
    """One page lists every name of a metric, and each of its links leads to a section."""
    index = (DOCS / "metrics" / "README.md").read_text()
    assert not set(NAMES) - set(re.findall(r"`(\w+)`", index))
    for family, anchor in re.findall(r"\((\w+)\.md#(\w+)\)", index):
        page = (DOCS / "metrics" / f"{family}.md").read_text()
        assert re.search(rf"^## `{anchor}`$", page, re.MULTILINE | re.IGNORECASE), anchor


def test_formulas_are_typeset_without_a_script() -> None:
    """A formula becomes MathML in which names stand apart and bars close up."""
    formula = mathml.mathml(r"E_w[|\log y|] + \exp(\Gamma)", "block")
    assert formula.startswith("<math")
    assert 'display="block"' in formula
    assert '<mo lspace="0.17em" rspace="0.17em">log</mo>' in formula
    assert '<mo lspace="0.17em" rspace="0">exp</mo><mo stretchy="false">&#x00028;</mo>' in formula
    assert formula.count('<mo lspace="0" rspace="0" stretchy="false">&#x0007C;</mo>') == 2
    assert '<mi mathvariant="normal">&#x00393;</mi>' in formula


def test_sections_show_their_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """A section shows the pair of pictures of its metric; most metrics have one."""
    monkeypatch.syspath_prepend(DOCS)
    gallery = importlib.import_module("gallery")
    drawn = {**gallery.curves(), **gallery.answers()}
    assert len(drawn) > 120
    assert {"huber", "F1Score", "softmax_cross_entropy"} <= drawn.keys()
    noisy = gallery.answers()["dice_loss"].values
    assert noisy[0] == 0 < noisy[1] < noisy[-1]
    text = gallery.with_pictures("## `huber`\n\ntext\n\n## `ConfusionMatrix`\n")
    assert text == (
        "## `huber`\n\n"
        "![value and gradient of huber](../_gallery/huber.svg){.only-light .curve}\n"
        "![value and gradient of huber](../_gallery/huber-dark.svg){.only-dark .curve}\n"
        "\ntext\n\n## `ConfusionMatrix`\n"
    )


def test_pictures_are_a_pair(tmp_path: Path) -> None:
    """A picture has no ground, and a copy with the colours of dark pages."""
    with mpl.rc_context(themes.STYLE):
        figure = Figure(figsize=(2, 2))
        figure.subplots().plot([0, 1], label="value", color=themes.BLUE)
        themes.save(figure, tmp_path / "line")
    light, dark = ((tmp_path / f"line{end}.svg").read_text() for end in ("", "-dark"))
    assert "#ffffff" not in light
    assert themes.INK in light
    assert themes.BLUE in light
    assert not any(colour in dark for colour in themes.DARK)
    assert all(themes.DARK[colour] in dark for colour in (themes.INK, themes.BLUE))


@pytest.mark.parametrize("path", sorted((DOCS / "notebooks").glob("*.md")), ids=lambda p: p.stem)
def test_notebooks_show_what_they_give(path: Path) -> None:
    """A notebook has code, numbers and a figure, which the build of the site compares and shows."""
    text = path.read_text()
    assert len(list(PAGES.parse(path).examples())) > 3
    assert len(re.findall(r"  # .*\d", text)) > 3
    assert text.count("figure, ") == 1
    notebook = jupytext.read(path)
    assert notebook.metadata.kernelspec.name == "python3"
    assert {cell.cell_type for cell in notebook.cells} == {"code", "markdown"}


def test_names_break_between_words() -> None:
    """A name goes on in the next line where a word of it ends, and only outside of code blocks."""
    shown = line_breaks.allow(
        '<span class="pre">il.mean_error(MeanError,x=1.5)</span><pre>a_b</pre>'
    )
    assert shown == (
        '<span class="pre">il.<wbr>mean_<wbr>error(<wbr>Mean<wbr>Error,<wbr>x=1.5)</span>'
        "<pre>a_b</pre>"
    )


def test_every_page_is_reached() -> None:
    """Every page is in the table of contents."""
    index = (DOCS / "index.md").read_text()
    listed = set(re.findall(r"^[\w/-]+$", index, re.MULTILINE))
    pages = {p.relative_to(DOCS).with_suffix("").as_posix() for p in DOCS.rglob("*.md")}
    assert {page for page in pages if not page.startswith(("metrics/", "_"))} - {"index"} <= listed
