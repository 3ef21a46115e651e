"""Every metric on every device that array-api-strict simulates: what comes in from one stays there.

``device1`` is any device that is not the default one; ``no_float64`` and ``no_x64`` refuse float64,
and integers of 64 bits, as MPS and TPU do. Each operation on arrays of two devices is an error, so
is every array in a dtype that the device lacks: a call that returns has made none.
"""

from __future__ import annotations

import numpy as np
import pytest

xp = pytest.importorskip("array_api_strict")

from instances import ALL, close, draw, excluded, gradient, value

import isoloss as il

DEVICES = ["CPU_DEVICE", "device1", "no_float64", "no_x64"]
every_metric = pytest.mark.parametrize("metric", ALL.values(), ids=ALL)


@pytest.fixture(params=DEVICES)
def device(request, metric):
    if request.param == "no_x64" and metric.kind == "sorted whole":
        reason = "array-api-strict: the indices that argsort returns are int64 on no_x64 too"
        request.applymarker(pytest.mark.xfail(raises=ValueError, strict=True, reason=reason))
    return xp.Device(request.param)


def placed(device, *arrays):
    return tuple(xp.asarray(array, device=device) for array in arrays)


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
    both = {"weights": weights, "where": mask}
    want = {"weights": w, "where": m}
    holds(device, metric(a, b, **both), value(metric, p, t, **want))
    holds(device, metric(a, b, axis=0, keepdims=True), value(metric, p, t, axis=0, keepdims=True))
    holds(device, il.gradient(metric, a, b, **both), gradient(metric, p, t, **want))
    holds(device, il.evaluate([metric], a, b), value(metric, p, t))
    if metric.summable:
        double = (x.astype("float64") for x in (p, t))
        terms = il.gradient_hessian(metric, *double, **want)
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
    lists = {"weights": w.tolist(), "where": m.tolist()}
    want = {"weights": w, "where": m}
    for pair in ((a, t.tolist()), (p.tolist(), b), (a, b)):
        holds(device, metric(*pair, **lists), value(metric, p, t, **want))
        holds(device, il.gradient(metric, *pair, **lists), gradient(metric, p, t, **want))


@every_metric
def test_integers(metric, device):
    """Integers become the widest float of their device, and so does their gradient."""
    p, t = (np.abs(x).astype("int32") + 1 for x in draw(metric, (5,)))
    a, b = placed(device, p, t)
    dtype = "float32" if "no_" in str(device) else "float64"
    holds(device, metric(a, b), value(metric, p, t), dtype)
    holds(device, il.gradient(metric, a, b), gradient(metric, p, t), dtype)


@every_metric
def test_states(metric, device):
    """States stay on the device of their batch and merge there, weighted beside unweighted ones."""
    p, t = draw(metric, (7,))
    w, m = excluded(metric, (7,))
    a, b, weights, mask = placed(device, p, t, w, m)
    parts = [
        metric.summary(a[:3, ...], b[:3, ...], weights=weights[:3], where=mask[:3]),
        metric.summary(a[3:5, ...], b[3:5, ...], where=mask[3:5]),
        metric.summary(a[5:, ...], b[5:, ...]),
    ]
    merged = parts[0].merge(parts[1]).merge(parts[2])
    assert {leaf.device for leaf in leaves((*parts, merged))} == {device}
    w[3:], m[5:] = 1, True
    holds(device, metric.compute(merged), value(metric, p, t, weights=w, where=m))
    assert metric.compute(merged).device == device
