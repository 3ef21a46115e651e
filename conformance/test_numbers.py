"""Values, gradients and second derivatives against 50-digit numbers that this code did not make."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import pytest

import isoloss as il
from conformance.kit.backends import Backend
from conformance.kit.comparison import distance, ulp
from conformance.kit.promise import GRADIENT, ROWS, Measure, gradient_limit
from conformance.kit.records import (
    RECORDS,
    Case,
    cases,
    each_sample,
    flat,
    pointwise,
    several,
)


def gradient_errors(
    backend: Backend, metric: il.Metric, got: list[float], expected: list[str], dtype: str
) -> float:
    """Return the largest error; where samples depend on each other, in ULP of the largest entry."""
    finite = [abs(float(text)) for text in expected if math.isfinite(float(text))]
    largest = max(finite, default=0.0)
    errors = [
        distance(g, text, dtype, flushes=backend.flushes)
        for g, text in zip(got, expected, strict=True)
    ]
    if (
        not pointwise(metric)
        and largest > 0
        and all(map(math.isfinite, got))
        and len(finite) == len(expected)
    ):
        unit = ulp(Fraction(largest), dtype)
        errors = [
            min(error, float(abs(Fraction(g) - Fraction(text)) / unit))
            for error, g, text in zip(errors, got, expected, strict=True)
        ]
    return max(errors)


def check_value_and_gradient(
    backend: Backend, name: str, stored: list[Case], record_property: Callable[..., None]
) -> None:
    """Compare the value of every case, and its gradient by each way to differentiate."""
    value_errors = Measure(backend, name, "value", record_property)
    slope_errors = Measure(backend, name, "gradient", record_property)
    for case, (value, slopes) in zip(stored, backend.evaluated(stored), strict=True):
        value_errors.value(case.record, value)
        for mode, slope in slopes.items():
            # forward mode has the tangent's dtype, which is the value's
            dtype = backend.dtype(several(slope)[0])
            assert mode == "forward" or dtype == case.dtype, case.record["case"]
            exact = flat(case.record["gradient"])
            got = each_sample(backend, slope, case.count)
            error = gradient_errors(backend, case.metric, got, exact, dtype)
            what = f"{mode}: got {got}, expected {exact}"
            slope_errors.add(case.record, error, gradient_limit(backend, dtype), what, dtype)
    value_errors.finish()
    if any(case.differentiated for case in stored):
        slope_errors.finish()


def check_second_derivative(
    backend: Backend, name: str, stored: list[Case], record_property: Callable[..., None]
) -> None:
    """Compare the first and second derivative of every term of every case."""
    measure = Measure(backend, name, "second", record_property)
    for case, pair in zip(stored, backend.bent(stored), strict=True):
        own = case.dtype == backend.widest
        limit = ROWS if own and not pointwise(case.metric) else gradient_limit(backend, case.dtype)
        for key, found in zip(("first", "second"), pair, strict=True):
            exact = flat(case.record[key])
            got = each_sample(backend, found, case.count)
            error = gradient_errors(backend, case.metric, got, exact, case.dtype)
            what = f"{key}: got {got}, expected {exact}"
            measure.add(case.record, error, limit, what, case.dtype)
    measure.finish()


def has_second(name: str, record: dict[str, Any]) -> bool:
    """Whether the second derivative is known: of rows, by differences, away from all extremes."""
    known = record["first"] is not None and record["second"] is not None
    random = record["case"].rstrip("_0123456789") in (
        "typical", "weighted", "integer_weights", "single"
    )  # fmt: skip
    default = getattr(il, name)
    terms = issubclass(default, il.Loss) if isinstance(default, type) else default.summable
    return record["dtype"] in GRADIENT and known and terms and (random or pointwise(default))


BENT = sorted(
    name for name, records in RECORDS.items() if any(has_second(name, r) for r in records)
)


def chosen(backend: Backend, stored: Sequence[Case], rare: bool = False) -> list[Case]:
    """Return the cases that every run has, or those that it has not."""
    return [c for c, left in zip(stored, backend.rare(stored), strict=True) if left == rare]


def bent(backend: Backend, name: str) -> list[Case]:
    """Return the cases with a second derivative."""
    return [case for case in cases(backend, name) if has_second(name, case.record)]


@pytest.mark.parametrize("name", sorted(RECORDS))
def test_value_and_gradient(
    backend: Backend, name: str, record_property: Callable[..., None]
) -> None:
    """Every value, and gradient by each way to differentiate, is as near to the exact one as promised."""
    stored = chosen(backend, list(cases(backend, name)))
    check_value_and_gradient(backend, name, stored, record_property)


@pytest.mark.parametrize("name", BENT)
def test_second_derivative(
    backend: Backend, name: str, record_property: Callable[..., None]
) -> None:
    """`gradient_hessian` gives the first and second derivative of every term, kinks included."""
    check_second_derivative(backend, name, chosen(backend, bent(backend, name)), record_property)


@pytest.mark.exhaustive
@pytest.mark.library("jax")
@pytest.mark.parametrize("name", sorted(RECORDS))
def test_rare_parameters(backend: Backend, name: str, record_property: Callable[..., None]) -> None:
    """Where JAX compiles a program for one or two cases, they are as near as the others."""
    if stored := chosen(backend, list(cases(backend, name)), rare=True):
        check_value_and_gradient(backend, name, stored, record_property)
    if name in BENT and (stored := chosen(backend, bent(backend, name), rare=True)):
        check_second_derivative(backend, name, stored, record_property)
