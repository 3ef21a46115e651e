"""What the tests of every folder need: the kit; JAX's compiled programs are released in time."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from pathlib import Path

import pytest

pytest_plugins = [
    "conformance.kit.plugin",
    "pytester",  # tests/test_parity.py runs pytest in pytest
]
# Tracing makes many small objects that live on; collecting them as often as Python does takes a
# tenth of the time of JAX's tests.
gc.set_threshold(100_000, 20, 20)
# JAX keeps every compiled program, of 2 MB and up. Released, one is read from JAX's cache on disk
# where another test needs it.
MEMORY = 1200 << 20  # bytes of a process
TESTS = 10  # between two measurements
_run = 0


def pytest_runtest_teardown(nextitem: pytest.Item | None) -> None:
    global _run
    _run += 1
    measures = _run % TESTS == 0 and nextitem is not None and "jax" in sys.modules
    if measures and resident_memory() > MEMORY:
        sys.modules["jax"].clear_caches()
        gc.collect()
        return_freed_memory()


def resident_memory() -> float:
    """Return how many bytes of memory this process holds, as Linux says; infinitely many elsewhere."""
    pages = Path("/proc/self/statm")
    if not pages.exists():
        return float("inf")
    return int(pages.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def return_freed_memory() -> None:
    """Give back to the system what was freed: glibc keeps it."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
