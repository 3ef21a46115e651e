"""The conformance suite, tested: deliberately wrong implementations, each of which it must catch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import conformance.test_numbers as numbers
import isoloss as il
from conformance.kit.backends import BACKENDS
from isoloss._core import jets, library, special, states, totals
from isoloss.libraries import numpy

Check = Callable[..., None]
NUMBERS, SECOND = numbers.test_value_and_gradient, numbers.test_second_derivative


def method(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a pointwise or residual of a function of xp, prediction and target."""
    return lambda self, xp, p, y: function(xp, p, y)


def float32_sum(self: Any, x: Any) -> Any:
    return np.sum(np.asarray(x, dtype=np.float32), axis=self._axes)


# what is wrong; where: the owner, the attribute, what replaces it; the metric and check that see it
FAULTS: dict[str, tuple[Any, str, Any, str, Check]] = {
    "a dropped factor": (
        il.PseudoHuber, "pointwise",
        lambda self, xp, p, y: self.delta * xp.sqrt1pm1((p - y) / self.delta), "pseudo_huber", NUMBERS,
    ),
    "arguments swapped": (
        il.GammaDeviance, "pointwise",
        method(lambda xp, p, y: 2 * (xp.log(y / p) + p / y - 1)), "gamma_deviance", NUMBERS,
    ),
    "the other sign": (il.MeanBiasError, "pointwise", method(lambda xp, p, y: y - p), "mean_bias_error", NUMBERS),
    "the side of a quantile": (
        il.Pinball, "pointwise",
        lambda self, xp, p, y: xp.maximum(self.quantile * (p - y), (self.quantile - 1) * (p - y)),
        "pinball", NUMBERS,
    ),
    "cancellation at small errors": (
        il.LogCosh, "pointwise", method(lambda xp, p, y: xp.log(xp.cosh(p - y))), "log_cosh", NUMBERS,
    ),
    "Stirling instead of log y!": (
        special, "lgamma",
        lambda xp, x: (x - 0.5) * xp.log(x) - x + 0.9189385332046727, "poisson_nll", NUMBERS,
    ),
    "a wrong subgradient of abs": (
        il.MeanAbsoluteError, "pointwise",
        method(lambda xp, p, y: xp.where(p >= y, p - y, y - p)), "mean_absolute_error", NUMBERS,
    ),
    "one side of a pinball at 0": (
        il.Pinball, "pointwise",
        lambda self, xp, p, y: xp.where(y >= p, self.quantile * (y - p), (self.quantile - 1) * (y - p)),
        "pinball", NUMBERS,
    ),
    "a second derivative lost through abs": (
        il.Huber, "pointwise",
        lambda self, xp, p, y: (q := xp.clip(xp.abs(p - y), max=self.delta))
        * q / 2 + self.delta * (xp.abs(p - y) - q),
        "huber", SECOND,
    ),
    "the outer side of a knot": (jets, "_unclipped", lambda x, y: (x == y) & (abs(x) < 1), "huber", SECOND),
    "the root of a plain mean": (
        states.RootMeanSquare, "root", lambda self: self.medium.xp.sqrt(self.medium.sum / self.weight.sum),
        "root_mean_squared_error", NUMBERS,
    ),
    "sums in float32": (numpy._NumPyTotals, "_sum", float32_sum, "mean_squared_error", NUMBERS),
    "weights that are forgotten": (
        totals.Totals, "weighted", lambda self, terms: terms, "mean_absolute_error", NUMBERS,
    ),
    "moments that are not centred": (
        totals.Totals, "_pivot", lambda self, x, weight: 0 * weight.sum, "pearson_correlation", NUMBERS,
    ),
    "a variance by n - 1": (
        numpy._NumPyTotals, "_weight",
        (lambda right: lambda self, like: (w := right(self, like))._replace(value=w.value - 1))(
            numpy._NumPyTotals._weight
        ),
        "concordance_correlation", NUMBERS,
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_caught(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With this fault put in, the suite fails; without it, it passes."""
    owner, attribute, wrong, name, check = FAULTS[fault]
    backend = BACKENDS["numpy"]()
    check(backend, name, lambda *_: None)
    monkeypatch.setattr(owner, attribute, wrong)
    if owner is special:
        functions = tuple(wrong if f.__name__ == attribute else f for f in special.FUNCTIONS)
        monkeypatch.setattr(wrong, "__name__", attribute, raising=False)
        monkeypatch.setattr(library, "FUNCTIONS", functions)
        monkeypatch.setattr(library, "_LIBRARIES", {})
        monkeypatch.setattr(library, "_OF_TYPE", {})
    with pytest.raises(AssertionError, match=r"ULP, at most|no case"):
        check(backend, name, lambda *_: None)
