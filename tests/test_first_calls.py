"""The first calls of a process may come from several threads at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

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
