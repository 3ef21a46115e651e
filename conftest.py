"""What the tests of every folder need: the kit; JAX's compiled programs are released in time."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest_plugins = [
    "conformance.kit.plugin",
    "pytester",  # tests/test_parity.py runs pytest in pytest
]
# A large program holds 80 memory maps, and a process may have 65,530. Released, it is compiled
# again where another test needs it.
MAPS = 10_000
TESTS = 20  # between two counts
_run = 0


def pytest_runtest_teardown(nextitem: pytest.Item | None) -> None:
    global _run
    _run += 1
    counts = _run % TESTS == 0 and nextitem is not None and "jax" in sys.modules
    if counts and memory_maps() > MAPS:
        sys.modules["jax"].clear_caches()


def memory_maps() -> float:
    """Return how many memory maps this process has, as Linux says; infinitely many elsewhere."""
    maps = Path("/proc/self/maps")
    return maps.read_bytes().count(b"\n") if maps.exists() else float("inf")
