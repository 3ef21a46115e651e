"""The table of measured errors, from the tests that measure to the page that shows it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from conformance import table

TESTS = """
    import pytest

    @pytest.fixture
    def closed():
        yield

    @pytest.mark.parametrize("worst", [0.25, 1.5, 0.5])
    def test_measures(record_property, closed, worst):
        record_property("ulp", ("numpy", "huber", "value float32", worst, 2))
        record_property("ulp", ("numpy", "huber", "gradient float32", 0.0, 1))

    def test_measures_nothing(record_property):
        record_property("seconds", 3)
"""
PLUGIN = ("-p", "conformance.kit.plugin")
ENTRY = {"metric": "huber", "library": "numpy", "value float32": 1.5, "gradient float32": 0.0,
         "cases": 9}  # fmt: skip


@pytest.fixture(autouse=True)
def kit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let another Python find `conformance`."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]), prepend=os.pathsep)


@pytest.mark.parametrize("processes", [(), ("-n2",)], ids=["one", "two"])
def test_errors_of_a_session(pytester: pytest.Pytester, processes: tuple[str, ...]) -> None:
    """A session writes the largest error of each aspect, and counts each case once."""
    pytester.makepyfile(TESTS)
    path = pytester.path / "build" / "ulp" / "numpy.json"
    result = pytester.runpytest_subprocess(*PLUGIN, f"--ulp-table={path}", *processes)
    result.assert_outcomes(passed=4)
    assert json.loads(path.read_text()) == [ENTRY]
    result.stdout.re_match_lines([r"huber +numpy .* 1\.50 .* 9$"])


def test_tests_of_one_library(pytester: pytest.Pytester) -> None:
    """What is about one library is left out where others are tested; the nearest marker decides."""
    pytester.makeini("[pytest]\nmarkers =\n    library(name): about one library")
    pytester.makepyfile("""
        import pytest

        pytestmark = pytest.mark.library("numpy")

        def test_of_the_module(): pass

        @pytest.mark.library("torch")
        def test_of_its_own(): pass
    """)
    for backend, name in (("numpy", "test_of_the_module"), ("torch", "test_of_its_own")):
        result = pytester.runpytest_subprocess("-v", *PLUGIN, f"--backend={backend}")
        result.assert_outcomes(passed=1, deselected=1)
        result.stdout.fnmatch_lines([f"*::{name} PASSED*"])


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A page with a table, which the command writes anew."""
    path = tmp_path / "accuracy.md"
    path.write_text(f"before\n{table.START}old\n{table.END}\nafter\n")
    monkeypatch.setattr(table, "PAGE", path)
    return path


def test_page(page: Path, tmp_path: Path) -> None:
    """The page has a row for each metric: the largest errors of all sessions, and all cases."""
    other = {"metric": "huber", "library": "numpy", "value float32": 0.5, "value float64": 2.0,
             "cases": 1}  # fmt: skip
    files = [tmp_path / "one.json", tmp_path / "two.json"]
    for file, rows in zip(files, ([ENTRY, ENTRY | {"library": "jax"}], [other]), strict=True):
        file.write_text(json.dumps(rows))
    table.main(list(map(str, files)))
    before, _, _, _, row, _, after = page.read_text().splitlines()
    assert (before, after) == ("before", "after")
    cells = "1.5 2.0 0.0 -", "- - - -", "- - - -", "- - - -", "1.5 - 0.0 -", "- - - -", "19"
    assert row == f"| `huber` | {' | '.join(cells)} |"


def test_a_library_without_a_column(page: Path, tmp_path: Path) -> None:
    """What the table has no column for is an error, and leaves the page as it was."""
    file, text = tmp_path / "one.json", page.read_text()
    file.write_text(json.dumps([ENTRY | {"library": "a new setting"}]))
    with pytest.raises(KeyError, match="a new setting"):
        table.main([str(file)])
    assert page.read_text() == text
