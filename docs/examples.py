"""Runs the examples of every page, and compares what they give with what the pages say.

python -m pytest -p docs.examples docs README.md

Blocks of ``pycon`` are doctests. Blocks of ``python`` are run; where a statement ends in a comment
with numbers, these are among the numbers of its value, to the digits shown, in that order, or the
comment is the value's repr; where it names an exception, the statement raises it, with these words;
where it speaks of a warning, there is one. A block that begins with the name of a file,
``# losses.py``, is written to it. Blocks of ``console`` are commands, each after a ``$``, and what
they print. Every page has a folder of its own, in which it is run. The notebooks are run by the build of
the site, which shows their pictures.
"""

from __future__ import annotations

import ast
import contextlib
import doctest
import io
import math
import os
import re
import subprocess
import tempfile
import tokenize
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sybil import Document, Example, Region, Sybil
from sybil.evaluators.doctest import NUMBER, DocTestEvaluator, OutputChecker
from sybil.parsers.abstract import DocTestStringParser
from sybil.parsers.myst import CodeBlockParser, SkipParser

FLAGS = NUMBER | doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
NUMBERS = re.compile(r"(?<![\w.])[-\N{MINUS SIGN}]?(?:\d+\.?\d*(?:e[+-]?\d+)?|nan|inf)(?![\w.]*\w)")
RAISED = re.compile(r"(\w+Error): ?(.*)")


def numbers(value: Any) -> Iterator[float]:
    """Yield every number in a value: of arrays, of what is in tuples and dicts."""
    if hasattr(value, "detach"):
        value = value.detach()
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for one in value:
            yield from numbers(one)
    elif value is not None and not isinstance(value, str):
        try:
            yield from np.asarray(value, float).ravel().tolist()
        except (TypeError, ValueError):
            return


def as_said(said: str, number: float) -> bool:
    """Whether a number is what a page says, to the digits it shows."""
    said = said.replace("\N{MINUS SIGN}", "-")
    if not math.isfinite(float(said)):
        return str(float(said)) == str(number)
    digits = Decimal(said.rstrip(".")).as_tuple().exponent
    return abs(number - float(said)) <= 0.5000001 * 10.0 ** int(digits)


def compare(statement: str, comment: str, value: Any) -> None:
    """Compare the value of a statement with the comment behind it."""
    if comment == repr(value):
        return
    if isinstance(value, (bool, np.bool_)):
        assert comment.startswith(str(value)), f"{statement}\n    is {value}, not {comment!r}"
    found = numbers(value)
    for said in NUMBERS.findall(comment):
        assert any(as_said(said, number) for number in found), (
            f"{statement}\n    is said to be {comment!r}\n    and is {value!r}: no {said}, or not there"
        )


def evaluate(example: Example) -> None:
    """Run a block of Python, one statement after the other."""
    source = str(example.parsed)
    named = re.match(r"# (\w+\.py)\n", source)
    if named is not None:
        Path(named[1]).write_text(source, encoding="utf-8")
        return
    comments = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    first = example.line + example.parsed.line_offset
    for node in ast.parse(source).body:
        comment = comments.get(node.end_lineno or 0, "")
        shown = ast.unparse(node)
        ast.increment_lineno(node, first)
        raised = RAISED.match(comment)
        warns = pytest.warns() if "warning" in comment else contextlib.nullcontext()
        try:
            with warns:
                value = _run(node, example)
        except Exception as error:
            said = raised is not None and type(error).__name__ == raised[1]
            if not (said and raised and all(x in str(error) for x in raised[2].split("..."))):
                raise
            continue
        assert raised is None, f"{shown} is said to raise {comment}"
        compare(shown, comment, value)


def _run(node: ast.stmt, example: Example) -> Any:
    """Run a statement; return what an expression gives, or what is assigned."""
    space = example.namespace
    if isinstance(node, ast.Expr):
        return eval(compile(ast.Expression(node.value), example.path, "eval"), space)
    exec(compile(ast.Module([node], []), example.path, "exec"), space)
    if isinstance(node, ast.Assign):
        return eval(compile(ast.Expression(_loaded(node.targets[0])), example.path, "eval"), space)
    return None


def _loaded(target: ast.expr) -> ast.expr:
    return ast.fix_missing_locations(ast.parse(ast.unparse(target), mode="eval").body)


def run_commands(example: Example) -> str | None:
    """Run the commands of a block in a shell, and compare what they print with what the page says."""
    _, *pairs = re.split(r"^\$ (.*)\n", str(example.parsed), flags=re.MULTILINE)
    env = {**os.environ, "NO_COLOR": "1", "COLUMNS": "120", "MPLBACKEND": "agg"}
    for command, said in zip(pairs[::2], pairs[1::2], strict=True):
        done = subprocess.run(
            command,
            shell=True,
            text=True,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        checker, case = OutputChecker(), doctest.Example(command, said)
        if not checker.check_output(said, done.stdout, FLAGS):
            return f"$ {command}\n{checker.output_difference(case, done.stdout, FLAGS)}"
    return None


def enter(namespace: dict[str, Any]) -> None:
    """Give a page a folder of its own."""
    namespace["_before"] = Path.cwd()
    namespace["_folder"] = tempfile.TemporaryDirectory()
    os.chdir(namespace["_folder"].name)


def leave(namespace: dict[str, Any]) -> None:
    """Return from it."""
    os.chdir(namespace["_before"])
    namespace["_folder"].cleanup()


class Doctests:
    """The doctests in blocks of ``pycon``."""

    def __init__(self) -> None:
        self.blocks = CodeBlockParser("pycon", lambda example: None)
        self.doctests = DocTestStringParser(DocTestEvaluator(FLAGS))

    def __call__(self, document: Document) -> Iterable[Region]:
        """Yield each doctest of a page."""
        for block in self.blocks(document):
            for region in self.doctests(block.parsed, document.path):
                region.adjust(block, block.parsed)
                yield region


def pytest_configure(config: pytest.Config) -> None:
    """Let Keras on PyTorch read its tensors with NumPy 2."""
    ignored = "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
    config.addinivalue_line("filterwarnings", ignored)


PAGES = Sybil(
    parsers=[
        Doctests(),
        CodeBlockParser("python", evaluate),
        CodeBlockParser("console", run_commands),
        SkipParser(),
    ],
    setup=enter,
    teardown=leave,
    patterns=["*.md"],
    path=str(Path(__file__).resolve().parents[1]),
    # the docstrings' own doctests; and what the site runs when it is built
    excludes=["**/metrics/*.md", "**/notebooks/*.md", "**/_build/**"],
)
pytest_collect_file = PAGES.pytest()
