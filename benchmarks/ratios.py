"""Two ways to the same result, timed in turns: the ratio of their times, whatever else the machine does."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

ROUND = 0.02  # seconds that one side of a round takes at least
ROUNDS = 15
LONG = 0.3  # seconds: what takes longer is run in fewer rounds


@dataclass(frozen=True)
class Case:
    """One row of the table: our way, the peer's, and the ratio that is to be reached."""

    group: str
    work: str
    size: int
    peer: str
    target: float
    ours: Callable[[], Any]
    theirs: Callable[[], Any]


@dataclass(frozen=True)
class Result:
    """What was measured: seconds of the faster rounds, the median of the ratios, their quartiles."""

    group: str
    work: str
    size: int
    peer: str
    target: float
    ratio: float
    low: float
    high: float
    ours: float
    theirs: float

    @property
    def met(self) -> bool:
        return self.ratio <= self.target

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "met": self.met}


def _seconds(call: Callable[[], Any], loops: int) -> float:
    start = time.perf_counter()
    for _ in range(loops):
        call()
    return (time.perf_counter() - start) / loops


def _loops(call: Callable[[], Any]) -> int:
    """Return how many calls fill a round, after warming up: compilation, caches, first touches."""
    for _ in range(3):
        call()
    once = min(_seconds(call, 1) for _ in range(3))
    return max(1, round(ROUND / once))


def measure(case: Case) -> Result:
    """Run both ways in turns, first one ahead and then the other."""
    ours, theirs = _loops(case.ours), _loops(case.theirs)
    slow = max(_seconds(case.ours, 1), _seconds(case.theirs, 1)) > LONG
    pairs = []
    gc.collect()
    gc.disable()
    try:
        for number in range(5 if slow else ROUNDS):
            if number % 2:
                other = _seconds(case.theirs, theirs)
                pairs.append((_seconds(case.ours, ours), other))
            else:
                pairs.append((_seconds(case.ours, ours), _seconds(case.theirs, theirs)))
    finally:
        gc.enable()
    low, ratio, high = statistics.quantiles([a / b for a, b in pairs], n=4)
    fastest = [min(side) for side in zip(*pairs, strict=True)]
    row = (case.group, case.work, case.size, case.peer, case.target)
    return Result(*row, ratio, low, high, *fastest)
