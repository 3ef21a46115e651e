"""The pages that are generated are current, and every public name stands on one."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import isoloss as il
import isoloss.testing

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.parametrize("script", ["names.py", "catalogue.py", "capabilities.py"])
def test_generated_pages_are_current(script: str) -> None:
    """The pages of the metrics and of their capabilities say what the code does."""
    command = [sys.executable, DOCS / script, "--check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_public_name_is_documented() -> None:
    """A public name stands on the page of its family or in the API."""
    pages = "".join(path.read_text() for path in (DOCS / "metrics").glob("*.md"))
    api = (DOCS / "api.md").read_text()
    named = set(re.findall(r"`(\w+)", pages))
    named |= set(re.findall(r"^\.\. auto\w+:: (?:\w+\.)*(\w+)", api, re.MULTILINE))
    assert not set(il.__all__) - named
    assert not set(il.testing.__all__) - named
    for path in (Path(il.__file__).parent / "adapters").glob("*.py"):
        body = ast.parse(path.read_text()).body
        made = {node.name for node in body if isinstance(node, (ast.ClassDef, ast.FunctionDef))}
        assert not {name for name in made if not name.startswith("_")} - named, path.name


def test_every_page_is_reached() -> None:
    """Every page is in the table of contents."""
    index = (DOCS / "index.md").read_text()
    listed = set(re.findall(r"^[\w/-]+$", index, re.MULTILINE))
    pages = {p.relative_to(DOCS).with_suffix("").as_posix() for p in DOCS.rglob("*.md")}
    assert {page for page in pages if not page.startswith(("metrics/", "_"))} - {"index"} <= listed
