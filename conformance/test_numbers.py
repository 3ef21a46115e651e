"""Values, gradients and second derivatives against 50-digit numbers that this code did not make."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest

import isoloss as il
from conformance.kit.backends import Backend
from conformance.kit.comparison import distance, ulp
from conformance.kit.promise import GRADIENT, HALF, ROWS, Measure
from conformance.kit.records import (
    RECORDS,
    cases,
    each_sample,
    flat,
    pointwise,
    several,
    varied,
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


@pytest.mark.parametrize("name", sorted(RECORDS))
def test_value_and_gradient(
    backend: Backend, name: str, record_property: Callable[..., None]
) -> None:
    """Every value, and gradient by each way to differentiate, is as near to the exact one as promised."""
    value_errors = Measure(backend, name, "value", record_property)
    slope_errors = Measure(backend, name, "gradient", record_property)
    stored = list(cases(backend, name))
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
            slope_errors.add(case.record, error, GRADIENT.get(dtype, HALF), what, dtype)
    value_errors.finish()
    if any(case.differentiated for case in stored):
        slope_errors.finish()


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


@pytest.mark.parametrize("name", BENT)
def test_second_derivative(
    backend: Backend, name: str, record_property: Callable[..., None]
) -> None:
    """`gradient_hessian` gives the first and second derivative of every term, kinks included."""
    measure = Measure(backend, name, "second", record_property)
    stored = [case for case in cases(backend, name) if has_second(name, case.record)]
    if backend.compiles:  # a program for every column of a row takes long
        stored = [c for c in stored if pointwise(c.metric) or not varied(c.record)]
    for case, pair in zip(stored, backend.bent(stored), strict=True):
        own = case.dtype == backend.widest
        limit = ROWS if own and not pointwise(case.metric) else GRADIENT[case.dtype]
        for key, found in zip(("first", "second"), pair, strict=True):
            exact = flat(case.record[key])
            got = each_sample(backend, found, case.count)
            error = gradient_errors(backend, case.metric, got, exact, case.dtype)
            what = f"{key}: got {got}, expected {exact}"
            measure.add(case.record, error, limit, what, case.dtype)
    measure.finish()
