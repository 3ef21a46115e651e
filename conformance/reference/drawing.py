"""Random numbers, from `random.Random.random` alone, of which Python guarantees the sequence."""

from __future__ import annotations

import random


def normal(rng: random.Random) -> float:
    """About N(0, 1), from sums alone, so the same on every platform (Irwin-Hall of twelve)."""
    return sum(rng.random() for _ in range(12)) - 6


def uniform(rng: random.Random, low: float, high: float) -> float:
    """Uniform in [low, high)."""
    return low + (high - low) * rng.random()
