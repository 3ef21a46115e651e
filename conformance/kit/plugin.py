"""Options and the table: one suite, run once per array library."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import pytest

from .backends import BACKENDS, Backend, installed


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
    """Leave NumPy's strategy out where another library is tested: it is the same beside each."""
    chosen = config.getoption("--backend") or ["numpy"]
    if "numpy" not in chosen:
        items[:] = [i for i in items if i.path.stem != "test_strategies" or "torch" in i.name]


@pytest.fixture(scope="session")
def backend(request: pytest.FixtureRequest) -> Backend:
    """The library under test."""
    return BACKENDS[request.param]()


_MEASURED: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    for key, value in report.user_properties:
        if key == "ulp":
            library, metric, aspect, worst, count = value
            before, number = _MEASURED[metric, library].get(aspect, (0.0, 0))
            _MEASURED[metric, library][aspect] = [max(worst, before), count + number]


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if not _MEASURED:
        return
    aspects = ("value float16", "value bfloat16", "value float32", "value float64",
               "gradient float16", "gradient bfloat16", "gradient float32", "gradient float64",
               "second float32", "second float64")  # fmt: skip
    write = terminalreporter.write_line
    write("")
    write("Largest error in ULP of the result (well-conditioned cases), and the number of cases")
    write(
        f"{'metric':42}{'library':>18}"
        + "".join(f"{a.replace('float', 'f'):>15}" for a in aspects)
        + "  cases"
    )
    for (metric, library), row in sorted(_MEASURED.items()):
        cells = "".join(f"{row[a][0]:15.2f}" if a in row else f"{'-':>15}" for a in aspects)
        write(f"{metric:42}{library:>18}{cells}{sum(int(c) for _, c in row.values()):7d}")
    if config.getoption("--ulp-table"):
        rows = [
            {"metric": metric, "library": library, **{a: row[a][0] for a in row},
             "cases": sum(int(c) for _, c in row.values())}
            for (metric, library), row in sorted(_MEASURED.items())
        ]  # fmt: skip
        config.getoption("--ulp-table").write_text(json.dumps(rows, indent=1) + "\n")
