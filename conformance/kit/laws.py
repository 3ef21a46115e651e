"""Laws: tests that hold for every metric, or for one metric of every structure.

``@law(ALL)`` runs a test once a metric, ``@law(STRUCTURES)`` once a structure. A law that does not
apply to a metric says why: ``@law(ALL, {"it has no term per sample": lambda m: not m.summable})``.
Where a law of structures excuses every metric with some feature, it runs over others that have it.
`LAWS` remembers who runs where; tests/test_laws_are_complete.py compares it with the public names.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

import isoloss as il

from .metrics import ALL, NAMED
from .structures import STRUCTURES, cover, features

Excuses = Mapping[str, Callable[[il.Metric], bool]]


@dataclass(frozen=True)
class Law:
    """A test, the metrics it runs over, and why it does not run over the others."""

    promise: str
    metrics: Mapping[str, il.Metric]
    excuses: Excuses

    def excuse(self, metric: il.Metric) -> str | None:
        """Return why the law does not apply to a metric; None if it does."""
        return next((why for why, applies in self.excuses.items() if applies(metric)), None)

    @functools.cached_property
    def members(self) -> dict[str, il.Metric]:
        """The metrics that the law runs over."""
        members = self._applies_to(self.metrics)
        if self.metrics is STRUCTURES and self.excuses:
            known = set().union(*map(features, members.values()))
            members |= cover(self._applies_to(NAMED | ALL), lambda metric: features(metric) - known)
        return members

    @functools.cached_property
    def features(self) -> set[Any]:
        """The features that the members have together."""
        return set().union(*map(features, self.members.values()))

    def _applies_to(self, metrics: Mapping[str, il.Metric]) -> dict[str, il.Metric]:
        return {name: m for name, m in metrics.items() if self.excuse(m) is None}


LAWS: dict[str, Law] = {}


def law(metrics: Mapping[str, il.Metric], excuses: Excuses | None = None) -> Any:
    """Run a test over metrics, but for those that an excuse applies to."""

    def decorate(test: Any) -> Any:
        promise = (test.__doc__ or "").strip()
        declared = LAWS[f"{test.__module__}.{test.__name__}"] = Law(promise, metrics, excuses or {})
        members = declared.members
        return pytest.mark.parametrize("metric", members.values(), ids=members)(test)

    return decorate
