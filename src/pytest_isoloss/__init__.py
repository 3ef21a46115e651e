"""The pytest plugin of `isoloss.testing`: options, fixtures, and a matrix at the end of the run.

It imports nothing of isoloss, nor any array library, before a test asks for it.
"""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Generator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest

__all__ = ["keep", "narrowed"]

_KEPT: ContextVar[list[Any] | None] = ContextVar("reports of the running test", default=None)
_CHOSEN: ContextVar[tuple[Any, Any]] = ContextVar("what was chosen", default=(None, None))
_REPORTS = pytest.StashKey[list[dict[str, Any]]]()
_ASPECTS = ("value", "gradient", "transform", "hessian")


def keep(report: Any) -> None:
    """Keep a report of `assert_parity` for the matrix, where a test is running.

    Where none of the libraries is installed, or none has the dtype, the test is skipped.
    """
    kept = _KEPT.get()
    if kept is None:
        return
    if not report.rows:
        pytest.skip(f"{report.name}: none of the libraries that it names is here to be compared")
    kept.append(report)


def narrowed(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of `assert_parity`, less what the command line leaves out."""
    libraries, aspects = _CHOSEN.get()
    left = dict(options)
    if libraries is not None:
        left["among"] = libraries
    if aspects is not None:
        off = {"gradient": False, "transform": (), "hessian": False}
        names = {"transform": "transforms"}
        left |= {names.get(k, k): v for k, v in off.items() if k not in aspects}
    return left


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("parity", "array libraries that agree (isoloss)")
    group.addoption(
        "--parity-library", action="append", metavar="NAME",
        help="compare this library (numpy, jax, torch, dask, array_api_strict); again for more",
    )  # fmt: skip
    group.addoption(
        "--parity-aspect", action="append", choices=_ASPECTS,
        help="compare this aspect beside the value; again for more",
    )  # fmt: skip
    group.addoption(
        "--parity-report", type=Path, metavar="FILE",
        help="write all comparisons to a .json file, or a page to a .html file",
    )  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    """Begin with no reports; refuse a library that there is not."""
    config.stash[_REPORTS] = []
    chosen = config.getoption("--parity-library")
    if chosen:
        from isoloss.testing.libraries import LIBRARIES

        for name in chosen:
            if name not in LIBRARIES:
                raise pytest.UsageError(f"--parity-library={name}: use {', '.join(LIBRARIES)}")


# --- fixtures -------------------------------------------------------------------------------------


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for a library once with each."""
    if "parity_library" in metafunc.fixturenames:
        from isoloss.testing.libraries import compared

        names = compared(metafunc.config.getoption("--parity-library"))
        metafunc.parametrize("parity_library", names, indirect=True)


@pytest.fixture
def parity_library(request: pytest.FixtureRequest) -> Any:
    """Return the array library that a test is run with, as `isoloss.testing` sees it."""
    from isoloss.testing.libraries import LIBRARIES

    return LIBRARIES[request.param]()


@pytest.fixture
def xp(parity_library: Any) -> Any:
    """Return the namespace of each installed array library, one after the other."""
    return parity_library.namespace()


@pytest.fixture
def to_library(parity_library: Any) -> Callable[..., Any]:
    """Return a function that makes an array of ``xp``'s library: ``to_library(x, "float32")``."""
    import numpy as np

    return lambda x, dtype=None: parity_library.array(np.asarray(x), dtype)


@pytest.fixture
def assert_close_ulp() -> Callable[..., None]:
    """Return `isoloss.testing.assert_close_ulp`."""
    from isoloss.testing import assert_close_ulp

    return assert_close_ulp


# --- reports --------------------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Collect the reports of a test, and hand them over with its outcome."""
    option = item.config.getoption
    chosen = _CHOSEN.set((option("--parity-library"), option("--parity-aspect")))
    kept = _KEPT.set([])
    try:
        return (yield)
    finally:
        for report in _KEPT.get() or ():
            item.user_properties.append(
                ("isoloss_parity", {"test": item.nodeid, **report.as_dict()})
            )
        _KEPT.reset(kept)
        _CHOSEN.reset(chosen)


class _Listener:
    """Collects what tests handed over; of several processes, in the one that reports."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            found: list[Any] = [v for key, v in report.user_properties if key == "isoloss_parity"]
            self.config.stash[_REPORTS] += found


def pytest_sessionstart(session: pytest.Session) -> None:
    """Listen to the reports of tests."""
    session.config.pluginmanager.register(_Listener(session.config))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the matrix of functions and libraries; write the file."""
    reports = config.stash[_REPORTS]
    path = config.getoption("--parity-report")
    if path is not None:
        page = _page(reports) if path.suffix == ".html" else json.dumps(reports, indent=1) + "\n"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8")
    if reports:
        from isoloss.testing.parity import aligned

        terminalreporter.section("parity of array libraries, and the largest distance in ULP")
        for line in aligned(_table(reports)):
            terminalreporter.write_line(line)


def _table(reports: list[dict[str, Any]]) -> list[list[str]]:
    """Return a row for each function, and a column for each library."""
    libraries = list(dict.fromkeys(name for one in reports for name in one["cells"]))
    rows = [[one["name"], *(one["cells"].get(k, "-") for k in libraries)] for one in reports]
    return [["function", *libraries], *rows]


_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:60em;color:#222}"
    "table{border-collapse:collapse}td,th{padding:.3em .9em;text-align:left}"
    "tr{border-bottom:1px solid #ddd}"
    ".ok{color:#176b36}.wrong{color:#a31515;font-weight:600}pre{background:#f6f6f6;padding:1em;"
    "white-space:pre-wrap}"
)


def _page(reports: list[dict[str, Any]]) -> str:
    """Return a page that needs no other file: the matrix, then what each function disagrees in."""
    head, *rows = _table(reports)

    def cell(text: str) -> str:
        kind = "ok" if text.startswith("ok") else "wrong" if text != "-" else ""
        return f'<td class="{kind}">{html.escape(text)}</td>'

    lines = "".join(
        f"<tr><th>{html.escape(name)}</th>{''.join(map(cell, cells))}</tr>" for name, *cells in rows
    )
    details = "".join(
        f"<h2>{html.escape(one['name'])}</h2><p><code>{html.escape(one['test'])}</code></p>"
        f"<pre>{html.escape(one['text'])}</pre>"
        for one in reports
        if one["failures"]
    )
    title = "Parity of array libraries"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}'
        f"</title><style>{_STYLE}</style></head><body><h1>{title}</h1><table><tr>"
        f"{''.join(f'<th>{html.escape(name)}</th>' for name in head)}</tr>{lines}</table>{details}"
        "</body></html>\n"
    )
