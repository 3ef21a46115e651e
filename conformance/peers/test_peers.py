"""Other libraries on the cases of the suite: every difference is known, and every known one is there."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import isoloss as il
from conformance.peers import measure, table
from conformance.peers.peer import Peer

HERE = Path(__file__).parent


def run(row: str) -> str:
    """Measure one library in a process of its own: Keras has one backend, JAX and PyTorch are large."""
    file = table.MEASURED / f"{row}.json"
    environment = {**os.environ, "JAX_ENABLE_X64": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "conformance.peers.measure", row, file],
        capture_output=True,
        text=True,
        env=environment,
        cwd=table.ROOT,
    )
    return done.stderr if done.returncode else ""


@pytest.fixture(scope="session")
def results() -> dict[str, dict[str, Any]]:
    """What every library answered, from build/scoreboard."""
    table.MEASURED.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        failures = "".join(pool.map(run, reversed(table.ROWS)))
    assert not failures, failures
    return table.measured()


def unexpected(row: str, checks: table.Checks, known: dict[str, str]) -> list[str]:
    """Return differences that are new, and known ones that are gone."""
    found = table.bad(checks)
    new = {name: found[name] for name in found.keys() - known.keys()}
    gone = sorted(known.keys() - found.keys())
    other = sorted(name for name in found.keys() & known.keys() if found[name] != known[name])
    return [
        *(f"{row}: new: {name}: {word}, got {checks[name]['got']}, right {checks[name]['right']}" for name, word in sorted(new.items())),
        *(f"{row}: gone, remove it from known.json: {name}" for name in gone),
        *(f"{row}: {name} was {known[name]} and is {found[name]}" for name in other),
    ]  # fmt: skip


@pytest.mark.parametrize("row", table.ROWS)
def test_differences_are_the_known_ones(row: str, results: dict[str, dict[str, Any]]) -> None:
    """A difference that is not in known.json fails, and so does a known one that has disappeared."""
    problems = unexpected(row, results[row]["checks"], table.known()[row])
    assert not problems, "\n".join(problems)


def test_every_difference_has_a_reason_and_every_reason_a_difference() -> None:
    """No difference is without a word on why, and no word is left over."""
    every, used = table.reasons(), []
    for row, checks in table.known().items():
        for check in checks:
            reason = table.reason_of(row, check, every)
            assert reason is not None, f"{row}: {check}"
            used.append(reason)
    assert [reason for reason in every if reason not in used] == []


def test_isoloss_has_no_difference() -> None:
    """isoloss goes through the same machinery, and nothing of it is excused."""
    known = table.known()
    assert not any(known[row] for row in table.ROWS if row.startswith("isoloss"))


def test_isoloss_is_asked_all_that_others_are(results: dict[str, dict[str, Any]]) -> None:
    """Every check of another library is a check of isoloss on some library of arrays."""
    own = {name for row in table.ROWS if "isoloss" in row for name in results[row]["checks"]}
    for row in table.ROWS:
        plain = {name for name in results[row]["checks"] if ":" not in name}
        assert plain <= own, sorted(plain - own)


def test_the_page_is_current(results: dict[str, dict[str, Any]]) -> None:
    """docs/scoreboard.md says what was measured: `python -m conformance.peers.table` writes it."""
    assert table.PAGE.read_text() == table.page(results)


# --- the scoreboard, tested -----------------------------------------------------------------------


def planted(**metrics: Any) -> dict[str, dict[str, Any]]:
    return measure.checks(Peer("planted", ("isoloss",), "numpy", metrics))


def words(checks: dict[str, dict[str, Any]], family: str) -> set[str]:
    return {check["word"] for name, check in checks.items() if name.startswith(family + " /")}


def test_a_dropped_factor_is_silent() -> None:
    """A library that forgets a factor of two is caught in every family that compares numbers."""
    right = planted(
        half_squared_error=lambda p, t, /, weights=None: il.half_squared_error(
            p, t, weights=weights
        )
    )
    wrong = planted(half_squared_error=lambda p, t, /, weights=None: il.mse(p, t, weights=weights))
    for family in ("typical", "half precision", "integers", "weights"):
        assert words(right, family) == {"right"}
        assert "silent" in words(wrong, family)
    assert any("new" in line for line in unexpected("planted", wrong, {}))


def test_a_known_difference_that_is_gone_is_reported() -> None:
    """What was repaired does not stay in the list."""
    checks = planted(mean_squared_error=lambda p, t, /: il.mse(p, t))
    (line,) = unexpected("planted", checks, {"typical / mean_squared_error / typical": "silent"})
    assert (
        line == "planted: gone, remove it from known.json: typical / mean_squared_error / typical"
    )


def test_a_broadcast_is_silent_and_an_error_is_right() -> None:
    """(n,) against (n, 1): a mean over n times n numbers is silent, an error is not."""
    plain = planted(mean_squared_error=lambda p, t, /: ((p - t) ** 2).mean())
    assert words(plain, "shapes") == {"silent"}
    assert words(planted(mean_squared_error=lambda p, t, /: il.mse(p, t)), "shapes") == {"right"}


def test_words_of_a_warning_an_error_and_nan() -> None:
    """A wrong number with a warning is wrong, not silent; so is nan; an error refuses."""
    import warnings

    def warns(p: Any, t: Any, /) -> Any:
        warnings.warn("careful", UserWarning, stacklevel=2)
        return 1e6

    def fails(p: Any, t: Any, /) -> Any:
        raise TypeError("no")

    for function, word in ((warns, "wrong"), (lambda p, t, /: float("nan"), "wrong"), (fails, "refuses"),
                           (lambda p, t, /: 1e6, "silent")):  # fmt: skip
        assert words(planted(mean_absolute_error=function), "typical") == {word}


@pytest.mark.parametrize(("error", "word"), [(60, "right"), (70, "silent")])
def test_the_limit_is_64_ulp(error: int, word: str) -> None:
    """60 units in the last place of float32 are forgiven, 70 are not."""
    function = lambda p, t, /: il.mse(p, t) * (1 + error * 2.0**-23)  # noqa: E731
    case = measure.cases("mean_squared_error")[0]._replace(
        predictions=[1.0], targets=[0.0], right=["1"], dtype="float32"
    )
    peer = Peer("planted", ("isoloss",), "numpy", {})
    asked = measure.Asked(peer, case, function, ((), ()))
    assert measure.judge(measure.answer(asked.value), case).word == word
