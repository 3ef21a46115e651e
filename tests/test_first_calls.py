"""The first calls of a process may come from several threads at once, and take little time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import isoloss as il
from isoloss import derivatives
from isoloss._core import library as libraries
from isoloss._core.tape import TapeLibrary
from isoloss.libraries.numpy import NumPyLibrary


def meanwhile(monkeypatch: pytest.MonkeyPatch, kind: Any, call: Callable[[], Any]) -> list[Any]:
    """While a thread makes the first object of a kind, let another thread make a whole call."""
    found: list[Any] = []
    make = kind.__init__

    def interrupted(self: Any, *arguments: Any) -> None:
        make(self, *arguments)
        if threading.current_thread() is threading.main_thread():
            other = threading.Thread(target=lambda: found.append(call()))
            other.start()
            other.join()

    monkeypatch.setattr(kind, "__init__", interrupted)
    return found


@pytest.fixture(params=["numpy", "torch"])
def array(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An array of a library that isoloss has not met yet."""
    made = pytest.importorskip(request.param).ones(3)
    for remembered in ("_LIBRARIES", "_OF_TYPE", "_TRACED"):
        monkeypatch.setattr(libraries, remembered, {})
    monkeypatch.setattr(derivatives, "_CARRIERS", {})
    return made


def test_one_library(array: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """All threads find the same library: to another one, its arrays would be foreign."""
    call = lambda: libraries.library_of(array)  # noqa: E731
    found = meanwhile(monkeypatch, libraries.Library, call)
    assert call() is call() is found[0]


def test_one_namespace(array: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """All threads compute in the same namespace."""
    library = NumPyLibrary(np)
    build = type(library)._build
    found: list[Any] = []

    def interrupted(self: Any, result: str, wide: bool) -> Any:
        if not found:
            found.append(None)
            other = threading.Thread(target=lambda: found.append(self.namespace(result, wide)))
            other.start()
            other.join()
        return build(self, result, wide)

    monkeypatch.setattr(type(library), "_build", interrupted)
    assert library.namespace("float32", True) is found[1]


def test_one_tape(array: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """All threads differentiate with the same tape."""
    library = libraries.library_of(array)
    call = lambda: derivatives._carrier(TapeLibrary, library, True)  # noqa: E731
    found = meanwhile(monkeypatch, TapeLibrary, call)
    assert call() is call() is found[0]


# --- the time of a first call on JAX --------------------------------------------------------------


@pytest.fixture
def compilations() -> Any:
    """The seconds that each program of XLA took to be made, as they are made."""
    jax = pytest.importorskip("jax")
    found: list[float] = []

    def heard(event: str, seconds: float, **_: Any) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            found.append(seconds)

    jax.monitoring.register_event_duration_secs_listener(heard)
    yield found
    jax.monitoring.unregister_event_duration_listener(heard)


@pytest.mark.parametrize(
    "metric",
    [il.roc_auc_score, il.average_precision_score, il.spearman, il.median_absolute_error,
     il.F1Score(num_classes=2)],
    ids=repr,
)  # fmt: skip
def test_one_program_of_a_shape(metric: il.Metric, compilations: list[float]) -> None:
    """The first call of a shape makes a program, and constants, not a program for each operation."""
    jax = pytest.importorskip("jax")
    rng = np.random.default_rng(0)
    p, t = jax.numpy.asarray(rng.integers(0, 2, (2, 37)).astype("int32"))
    p = p if isinstance(metric, il.F1Score) else p.astype("float32")
    jax.block_until_ready((p, t))
    compilations.clear()
    metric(p, t)
    assert len(compilations) <= 3


@pytest.mark.parametrize("metric", [il.ndcg, il.F1Score(num_classes=5)], ids=repr)
def test_few_numbers_are_compiled_in_little_time(
    metric: il.Metric, compilations: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program for few numbers is made in less than two thirds of the time of that for many."""
    jax = pytest.importorskip("jax")
    rng, seconds = np.random.default_rng(0), []
    for n, tiny in ((2, 256), (3, 256), (4, 0), (5, 0)):  # each length is a program
        monkeypatch.setattr("isoloss.libraries.jax.TINY", tiny)
        p, t = rng.integers(0, 5, (2, n, 6)).astype("int32")
        p, t = (p.ravel(), t.ravel()) if isinstance(metric, il.F1Score) else (p.astype("f4"), t)
        p, t = jax.block_until_ready(tuple(map(jax.numpy.asarray, (p, t))))
        compilations.clear()
        metric(p, t)
        seconds.append(compilations[-1])
    assert min(seconds[:2]) < 2 / 3 * min(seconds[2:])
