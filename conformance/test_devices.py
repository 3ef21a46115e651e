"""Every structure on the devices that array-api-strict simulates: what comes in from one stays there.

``device1`` is any device that is not the default one; ``no_float64`` and ``no_x64`` refuse float64,
and ``no_x64`` integers of 64 bits too, as MPS and TPU do. An operation on arrays of two devices is
an error, and so is an array in a dtype that the device lacks: a call that returns has made neither.
The laws in `tests` run on the default device, the reference values on the devices of the settings.
"""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("array_api_strict")

import isoloss as il
from conformance.kit.backends import Strict
from conformance.kit.comparison import close
from conformance.kit.drawing import draw, excluded, integers, of_items, wide
from conformance.kit.expected import gradient, one_number, value
from conformance.kit.laws import law
from conformance.kit.structures import STRUCTURES, features
from conformance.kit.trees import leaves, tree_map

# the tests name the devices and the dtypes themselves
pytestmark = [pytest.mark.once, pytest.mark.library("array_api_strict")]
DEVICES = ["device1", "no_float64", "no_x64"]
every_structure = law(STRUCTURES)

# the functions that ask where numbers are: which is the largest, in which order, in which bin
INDICES = {("calls", name) for name in ("argmax", "argsort", "bin_of", "rank")}


@pytest.fixture(params=DEVICES)
def strict(request, metric):
    # given integers, metrics of scores take them for labels
    floating = request.node.originalname != "test_integers"
    scores = floating and any(getattr(x, "scores", False) for x in metric.domain.of_predictions)
    sorts = metric.kind == "sorted whole" or INDICES & features(metric)
    if request.param == "no_x64" and (scores or sorts):
        reason = "array-api-strict: indices that it returns are int64 on no_x64 too"
        request.applymarker(pytest.mark.xfail(raises=ValueError, strict=True, reason=reason))
    return Strict(request.param)


def lists(tree):
    """Return arrays of NumPy as nested lists."""
    return tree_map(np.ndarray.tolist, tree)


def holds(strict, results, want, dtype="float32"):
    """Assert that results are on the device, in the dtype, and near what NumPy computed."""
    for array in leaves(results):
        assert array.device == strict.device
        assert strict.dtype(array) == dtype
    close(results, want, ulps=64, size="largest")


@every_structure
def test_values_and_derivatives(metric, strict):
    """Values and derivatives are on the device of the inputs, in float32, and right."""
    p, t = draw(metric, (6, 2))
    w, m = excluded(metric, (6, 2))
    options = {"weights": w, "where": of_items(metric, m)}
    a, b, weights, mask = strict.given((p, t, w, options["where"]))
    placed = {"weights": weights, "where": mask}
    holds(strict, metric(a, b, **placed), value(metric, p, t, **options))
    holds(strict, metric(a, b, axis=0, keepdims=True), value(metric, p, t, axis=0, keepdims=True))
    slope = il.gradient(one_number(metric), a, b, **placed)
    holds(strict, slope, gradient(metric, p, t, **options))
    holds(strict, il.evaluate([metric], a, b), value(metric, p, t))
    if metric.summable:
        terms = il.gradient_hessian(metric, a, b, **placed)
        holds(strict, terms, il.gradient_hessian(metric, *wide(p, t), **options))
        for reduction in ("sum", "none"):
            result = metric(a, b, reduction=reduction, **placed)
            holds(strict, result, value(metric, p, t, reduction=reduction, **options))
    if metric.averages:
        for seven in (7, 7.0, strict.array(7, "float32")):
            holds(strict, metric(a, b, denominator=seven), value(metric, p, t, denominator=7))
    il.validate(metric, a, b, **placed)


@every_structure
def test_what_stands_beside_an_array(metric, strict):
    """Lists beside an array on a device go to it, and take its dtype."""
    p, t = draw(metric, (5,))
    w, m = excluded(metric, (5,))
    options = {"weights": w, "where": of_items(metric, m)}
    a, b = strict.given((p, t))
    pairs = [(a, lists(t)), (a, b)]
    if isinstance(p, tuple):
        pairs.append(((lists(p)[0], *a[1:]), lists(t)))
    if any(array.dtype == np.float32 for array in leaves(t)):
        pairs.append((lists(p), b))  # labels alone do not say what becomes of numbers
    for pair in pairs:
        placed = lists((options["weights"], options["where"]))
        beside = dict(zip(options, placed, strict=True))
        holds(strict, metric(*pair, **beside), value(metric, p, t, **options))
        slope = il.gradient(one_number(metric), *pair, **beside)
        holds(strict, slope, gradient(metric, p, t, **options))


@every_structure
def test_integers(metric, strict):
    """Integers, and lists of them, become the widest float of their device; so does the gradient."""
    p, t = integers(metric, (5,))
    a, b = strict.given((p, t))
    for pair in ((a, b), (a, lists(t)), (lists(p), b)):
        holds(strict, metric(*pair), value(metric, p, t), strict.widest)
    labels = [x.shape for x in leaves(p)] != [
        x.shape for x in leaves(draw(metric, (5,)).predictions)
    ]
    if not labels:  # labels in the place of scores have no gradient
        slope = il.gradient(one_number(metric), a, b)
        holds(strict, slope, gradient(metric, p, t), strict.widest)


@every_structure
def test_states(metric, strict):
    """States stay on the device of their batch and merge there, weighted beside unweighted ones."""
    samples = draw(metric, (7,))
    w, m = excluded(metric, (7,))
    weights, mask = strict.given((w, of_items(metric, m)))
    a, b = strict.given(tuple(samples))

    def summary(first, last, **options):
        batch = tree_map(lambda x: x[first:last, ...], (a, b))
        return metric.summary(*batch, **options)

    parts = (
        summary(0, 3, weights=weights[:3], where=mask[:3, ...]),
        summary(3, 5, where=mask[3:5, ...]),
        summary(5, 7),
    )
    merged = parts[0].merge(parts[1]).merge(parts[2])
    assert {leaf.device for leaf in leaves((*parts, merged))} == {strict.device}
    w[3:], m[5:] = 1, True
    want = value(metric, *samples, weights=w, where=of_items(metric, m))
    holds(strict, metric.compute(merged), want)
