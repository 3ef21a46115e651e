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


@pytest.mark.parametrize("name", sorted(RECORDS))
def test_value(backend: Backend, name: str, record_property: Callable[..., None]) -> None:
    """Every value is within the promised ULP of the exact one, in the promised dtype."""
    measure = Measure(backend, name, "value", record_property)
    for record, metric, predictions, targets, options in cases(backend, name):
        if backend.compiles and "where" in options and differentiated(record):
            continue  # compiled once, with its gradient
        value = metric(predictions, targets, **options)
        measure.value(record, value)
    measure.finish()


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


def differentiated(record: dict[str, Any]) -> bool:
    """Whether there is a gradient: labels have none to differentiate by, nor do several values."""
    return record["gradient"] is not None and "float" in record["dtype"]


DIFFERENTIATED = sorted(n for n, records in RECORDS.items() if any(map(differentiated, records)))


@pytest.mark.parametrize("name", DIFFERENTIATED)
def test_gradient(backend: Backend, name: str, record_property: Callable[..., None]) -> None:
    """Every gradient is that of the derivative contract, by every way the library differentiates."""
    measure = Measure(backend, name, "gradient", record_property)
    beside = Measure(backend, name, "value", record_property)
    for record, metric, predictions, targets, options in cases(backend, name):
        if not differentiated(record):
            continue
        exact = flat(record["gradient"])
        # the other ways once, in this dtype
        once = record["dtype"] == backend.widest and not (backend.compiles and varied(record))
        modes = backend.modes if once else backend.modes[:1]
        value, slopes = backend.every_way(modes, metric, predictions, targets, **options)
        if value is not None:
            beside.value(record, value)
        for mode in modes:
            # forward mode has the tangent's dtype, which is the value's
            dtype = backend.dtype(several(slopes[mode])[0])
            assert mode == "forward" or dtype == record["dtype"], record["case"]
            got = each_sample(backend, slopes[mode], len(record["targets"]))
            error = gradient_errors(backend, metric, got, exact, dtype)
            what = f"{mode}: got {got}, expected {exact}"
            measure.add(record, error, GRADIENT.get(dtype, HALF), what, dtype)
    if backend.compiles:
        beside.finish()
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


@pytest.mark.parametrize("name", BENT)
def test_second_derivative(
    backend: Backend, name: str, record_property: Callable[..., None]
) -> None:
    """`gradient_hessian` gives the first and second derivative of every term, kinks included."""
    measure = Measure(backend, name, "second", record_property)
    for record, metric, predictions, targets, _ in cases(backend, name):
        if not has_second(name, record):
            continue
        if backend.compiles and varied(record) and not pointwise(metric):
            continue  # a program for every column takes long
        own = record["dtype"] == backend.widest
        limit = ROWS if own and not pointwise(metric) else GRADIENT[record["dtype"]]
        pair = backend.gradient_hessian(metric, predictions, targets)
        for key, found in zip(("first", "second"), pair, strict=True):
            exact = flat(record[key])
            got = each_sample(backend, found, len(record["targets"]))
            error = gradient_errors(backend, metric, got, exact, record["dtype"])
            what = f"{key}: got {got}, expected {exact}"
            measure.add(record, error, limit, what, record["dtype"])
    measure.finish()
