"""What the tests of every folder need: the kit; JAX's compiled programs are released regularly."""

from __future__ import annotations

import sys

import pytest

pytest_plugins = [
    "conformance.kit.plugin",
    "pytester",  # tests/test_parity.py runs pytest in pytest
]
TESTS = 20  # a large program holds 80 memory maps, and a process may have 65,530
_run = 0


def pytest_runtest_teardown(nextitem: pytest.Item | None) -> None:
    global _run
    _run += 1
    if _run % TESTS == 0 and nextitem is not None and "jax" in sys.modules:
        sys.modules["jax"].clear_caches()
