"""Options and the table: one suite, run once per array library."""

from __future__ import annotations

import gc
import json
import os
from collections import defaultdict
from itertools import compress
from operator import not_
from pathlib import Path
from typing import Any

import pytest

from .backends import BACKENDS, Backend, installed

# PyTorch's second setting is its other default dtype, which is nothing to tests that name a dtype.
OF_SETTING = ("test_numbers", "test_transforms_torch")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--backend", choices=sorted(BACKENDS), action="append", help="the libraries to test"
    )
    parser.addoption("--ulp-table", type=Path, help="write the measured errors to this JSON file")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "backend" in metafunc.fixturenames:
        names = metafunc.config.getoption("--backend") or installed()
        metafunc.parametrize("backend", names, indirect=True, scope="session")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the tests of one library where only others are tested, and what does not depend on the setting."""
    chosen = config.getoption("--backend") or installed()
    libraries = [item.get_closest_marker("library") for item in items]
    tested = [marker is None or marker.args[0] in chosen for marker in libraries]
    if chosen == ["torch"] and os.environ.get("ISOLOSS_DTYPE") == "float64":
        tested = [x and item.path.stem in OF_SETTING for x, item in zip(tested, items, strict=True)]
    config.hook.pytest_deselected(items=list(compress(items, map(not_, tested))))
    items[:] = compress(items, tested)


def pytest_collection_finish() -> None:
    """Keep the garbage collector from going through all modules and tests again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def backend(request: pytest.FixtureRequest) -> Backend:
    """The library under test."""
    return BACKENDS[request.param]()


ASPECTS = ("value float16", "value bfloat16", "value float32", "value float64",
           "gradient float16", "gradient bfloat16", "gradient float32", "gradient float64",
           "second float32", "second float64")  # fmt: skip


class Table:
    """The largest error of each metric, library and aspect, and how many cases there were."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], dict[str, tuple[float, int]]] = defaultdict(dict)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add what a test measured; the report of its teardown repeats its properties."""
        if report.when != "call":
            return
        for key, measured in report.user_properties:
            if key == "ulp":
                library, metric, aspect, worst, count = measured
                row = self.rows[metric, library]
                before, number = row.get(aspect, (0.0, 0))
                row[aspect] = max(worst, before), count + number

    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter, config: pytest.Config
    ) -> None:
        """Print the table, and write it to the file that was asked for."""
        if not self.rows:
            return
        terminalreporter.write_line("\n" + self.text())
        path = config.getoption("--ulp-table")
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(self.entries(), indent=1) + "\n")

    def entries(self) -> list[dict[str, Any]]:
        """Return the rows as `conformance.table` reads them."""
        return [
            {"metric": metric, "library": library, **{a: worst for a, (worst, _) in row.items()},
             "cases": sum(count for _, count in row.values())}
            for (metric, library), row in sorted(self.rows.items())
        ]  # fmt: skip

    def text(self) -> str:
        """Return the rows as a table to read."""
        short = (f"{aspect.replace('float', 'f'):>15}" for aspect in ASPECTS)
        lines = [
            "Largest error in ULP of the result (well-conditioned cases), and the number of cases",
            f"{'metric':42}{'library':>25}{''.join(short)}  cases",
        ]
        for entry in self.entries():
            cells = (f"{entry[a]:15.2f}" if a in entry else f"{'-':>15}" for a in ASPECTS)
            lines.append(
                f"{entry['metric']:42}{entry['library']:>25}{''.join(cells)}{entry['cases']:7d}"
            )
        return "\n".join(lines)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Table())
