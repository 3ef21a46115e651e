"""Every metric on every device that array-api-strict simulates: what comes in from one stays there.

``device1`` is any device that is not the default one; ``no_float64`` and ``no_x64`` refuse float64,
and integers of 64 bits, as MPS and TPU do. Each operation on arrays of two devices is an error, so
is every array in a dtype that the device lacks: a call that returns has made none.
"""

from __future__ import annotations

import numpy as np
import pytest

xp = pytest.importorskip("array_api_strict")

import isoloss as il
from conformance.kit.comparison import close
from conformance.kit.drawing import draw, excluded, integers, of_items, wide
from conformance.kit.expected import gradient, one_number, value
from conformance.kit.metrics import ALL
from conformance.kit.structures import features

DEVICES = ["CPU_DEVICE", "device1", "no_float64", "no_x64"]
every_metric = pytest.mark.parametrize("metric", ALL.values(), ids=ALL)


@pytest.fixture(params=DEVICES)
def device(request, metric):
    # given integers, those of scores take them for labels
    floating = request.node.originalname != "test_integers"
    scores = floating and any(getattr(x, "scores", False) for x in metric.domain.of_predictions)
    sorts = metric.kind == "sorted whole" or INDICES & features(metric)
    if request.param == "no_x64" and (scores or sorts):
        reason = "array-api-strict: indices that it returns are int64 on no_x64 too"
        request.applymarker(pytest.mark.xfail(raises=ValueError, strict=True, reason=reason))
    return xp.Device(request.param)


# the functions that ask where numbers are: which is the largest, in which order, in which bin
INDICES = {("calls", name) for name in (
    "argmax", "argsort", "bin_of", "cross_entropy", "exponentials", "label_cross_entropy", "logsumexp", "margin", "rank", "softmax",
)}  # fmt: skip


def placed(device, *arrays):
    """Return arrays on a device; labels are int32, which all of them have."""
    narrow = (x.astype("int32") if x.dtype == "int64" else x for x in arrays)
    return tuple(xp.asarray(array, device=device) for array in narrow)


def leaves(found):
    """Return the arrays of states, tuples and dicts."""
    if isinstance(found, dict):
        found = tuple(found.values())
    if not isinstance(found, tuple):
        return [] if found is None else [found]
    return [leaf for one in found for leaf in leaves(one)]


def holds(device, found, want, dtype="float32"):
    """Assert that results are on the device, in the dtype, and near what NumPy computed."""
    for one, expected in zip(leaves(found), leaves(want), strict=True):
        assert one.device == device
        assert one.dtype == getattr(xp, dtype)
        close(np.asarray(one.to_device(xp.Device("CPU_DEVICE"))), expected)


@every_metric
def test_values_and_derivatives(metric, device):
    """Values and derivatives are on the device of the inputs, in float32, and right."""
    p, t = draw(metric, (6, 2))
    w, m = excluded(metric, (6, 2))
    a, b, weights, mask = placed(device, p, t, w, m)
    both = {"weights": weights, "where": of_items(metric, mask)}
    want = {"weights": w, "where": of_items(metric, m)}
    holds(device, metric(a, b, **both), value(metric, p, t, **want))
    holds(device, metric(a, b, axis=0, keepdims=True), value(metric, p, t, axis=0, keepdims=True))
    holds(device, il.gradient(one_number(metric), a, b, **both), gradient(metric, p, t, **want))
    holds(device, il.evaluate([metric], a, b), value(metric, p, t))
    if metric.summable:
        terms = il.gradient_hessian(metric, *wide(p, t), **want)
        holds(device, il.gradient_hessian(metric, a, b, **both), terms)
        for reduction in ("sum", "none"):
            found = metric(a, b, reduction=reduction, **both)
            holds(device, found, value(metric, p, t, reduction=reduction, **want))
    if metric.averages:
        (denominator,) = placed(device, np.float32(7))
        for seven in (7, 7.0, denominator):
            holds(device, metric(a, b, denominator=seven), value(metric, p, t, denominator=7))
    il.validate(metric, a, b, **both)


@every_metric
def test_what_stands_beside_an_array(metric, device):
    """Lists beside an array on a device go to it, and take its dtype."""
    p, t = draw(metric, (5,))
    w, m = excluded(metric, (5,))
    a, b = placed(device, p, t)
    lists = {"weights": w.tolist(), "where": of_items(metric, m).tolist()}
    want = {"weights": w, "where": of_items(metric, m)}
    pairs = [(a, t.tolist()), (a, b)]
    if t.dtype == p.dtype:  # labels alone do not say what becomes of numbers
        pairs.append((p.tolist(), b))
    for pair in pairs:
        holds(device, metric(*pair, **lists), value(metric, p, t, **want))
        found = il.gradient(one_number(metric), *pair, **lists)
        holds(device, found, gradient(metric, p, t, **want))


@every_metric
def test_integers(metric, device):
    """Integers become the widest float of their device, and so does their gradient."""
    p, t = integers(metric, (5,))
    a, b = placed(device, p, t)
    dtype = "float32" if "no_" in str(device) else "float64"
    holds(device, metric(a, b), value(metric, p, t), dtype)
    if p.shape == draw(metric, (5,))[0].shape:  # labels in the place of scores have no gradient
        found = il.gradient(one_number(metric), a, b)
        holds(device, found, gradient(metric, p, t), dtype)


@every_metric
def test_states(metric, device):
    """States stay on the device of their batch and merge there, weighted beside unweighted ones."""
    p, t = draw(metric, (7,))
    w, m = excluded(metric, (7,))
    a, b, weights, mask = placed(device, p, t, w, m)
    parts = [
        metric.summary(
            a[:3, ...], b[:3, ...], weights=weights[:3], where=of_items(metric, mask[:3])
        ),
        metric.summary(a[3:5, ...], b[3:5, ...], where=of_items(metric, mask[3:5])),
        metric.summary(a[5:, ...], b[5:, ...]),
    ]
    merged = parts[0].merge(parts[1]).merge(parts[2])
    assert {leaf.device for leaf in leaves((*parts, merged))} == {device}
    w[3:], m[5:] = 1, True
    holds(device, metric.compute(merged), value(metric, p, t, weights=w, where=of_items(metric, m)))
    assert metric.compute(merged).device == device
