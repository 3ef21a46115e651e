"""Every strategy against the plain way: the same values and gradients, however the data lie.

The thresholds are made small, so that small data fill several blocks and end in a part of one.
"""

from __future__ import annotations

import concurrent.futures
from dataclasses import dataclass

import numpy as np
import pytest

import isoloss as il
from conformance.kit.backends import installed
from conformance.kit.condition import magnified
from conformance.kit.drawing import draw, excluded, inputs_of, integers, of_items, spoil
from conformance.kit.expected import one_number
from conformance.kit.metrics import ALL, NAMED
from conformance.kit.structures import STRUCTURES
from isoloss._arrays import Inputs
from isoloss.strategies import numpy as blocks
from isoloss.strategies import plain

pytestmark = pytest.mark.once  # strategies against each other, in the dtypes that the tests name
every_metric = pytest.mark.parametrize("metric", ALL.values(), ids=ALL)
named_metric = pytest.mark.parametrize(
    "metric", (NAMED | STRUCTURES).values(), ids=NAMED | STRUCTURES
)
BLOCK = 16
SIZES = (1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 100)


@pytest.fixture
def small(monkeypatch):
    """Blocks of a few samples, merged a few at a time."""
    monkeypatch.setattr(blocks, "block_size", lambda inputs: BLOCK)
    monkeypatch.setattr(blocks, "PENDING", 16)
    monkeypatch.setattr(blocks, "DIRECT", 0)


def plainly(metric, p, t, denominator=None, empty=np.nan, **options):
    """Evaluate in one piece, as a compiler or an unknown library would."""
    inputs = Inputs(metric, p, t, **options)
    with np.errstate(all="ignore"):
        value = metric.value(inputs.xp, plain.statistics(metric, inputs), denominator, empty)
        return np.asarray(value).astype(inputs.xp.result)


def close(got, want, ulps, size=0.0):
    got, want = np.asarray(got), np.asarray(want)
    assert got.shape == want.shape
    assert got.dtype == want.dtype
    unit = np.finfo(got.dtype).eps * np.maximum(np.abs(want), size)
    with np.errstate(invalid="ignore"):
        right = (
            (got == want) | (np.abs(got - want) <= ulps * unit) | (np.isnan(got) & np.isnan(want))
        )
    assert np.all(right), f"{got!r} is not {want!r}"


@every_metric
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_sizes(metric, dtype, small):
    """Samples that fill a block, or one more, or one less, give the value of the whole."""
    for n in SIZES:
        p, t = draw(metric, (n,), dtype=dtype)
        w, m = excluded(metric, (n,), dtype=dtype) if n > 3 else (np.ones(n), np.ones(n, bool))
        m = of_items(metric, m)
        size = magnified(metric, t)
        for options in ({}, {"weights": w}, {"where": m}, {"weights": w, "where": m}):
            want = plainly(metric, p, t, **options)
            close(metric(p, t, **options), want, 1 if dtype != "float64" else 8, size)


@every_metric
@pytest.mark.parametrize("order", ["C", "F", "strided", "reversed", "read-only", "mixed"])
def test_layouts_and_axes(metric, order, small):
    """Every axis of every layout gives the value of the whole, and no input is written to."""
    loop = (9, 5, 7)
    p, t = draw(metric, loop)
    w, m = excluded(metric, loop)
    options = {"weights": w[:, :1], "where": of_items(metric, m[0])}
    lay = {
        "C": np.ascontiguousarray,
        "F": np.asfortranarray,
        "strided": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
        "reversed": lambda x: x[::-1].copy()[::-1],
        "read-only": lambda x: np.broadcast_to(x, x.shape),
        "mixed": np.asfortranarray,
    }[order]
    a, b = lay(p), t if order == "mixed" else lay(t)
    for axis in (None, 0, 1, -1, (0, 1), (0, 2), (1, 2), ()):
        for chosen in ({}, options):
            want = plainly(metric, p, t, axis=axis, **chosen)
            close(metric(a, b, axis=axis, **chosen), want, 2, 1 + np.abs(want))
    if metric.summable:
        close(metric(a, b, reduction="none"), metric.evaluated(
            p, t, None, None, None, False, "none", None, np.nan, None), 1)  # fmt: skip


@pytest.mark.parametrize(
    "metric", [m for m in ALL.values() if m.summable and not m.core[0]], ids=str
)
def test_gradients(metric, small):
    """Gradients in blocks are those of the terms, times the weights over their sum."""
    for n in SIZES[1:]:
        p, t = draw(metric, (n,), dtype="float64")
        w, m = excluded(metric, (n,), dtype="float64")
        excluding = {"weights": w, "where": m}
        for options, total in (
            ({}, n),
            (excluding, np.sum(w[m])),
            ({**excluding, "denominator": 7.0}, 7.0),
        ):
            chosen = {k: v for k, v in options.items() if k in excluding}
            slope, _ = il.gradient_hessian(metric, p, t, **chosen)
            value, found = il.value_and_gradient(metric, p, t, **options)
            close(found, slope / total, 4, np.max(np.abs(slope)) / total)
            close(value, plainly(metric, p, t, **options), 8, 1)


@dataclass(frozen=True)
class Constant(il.Loss):
    """A loss that does not depend on its predictions."""

    mixed: bool = False

    def pointwise(self, xp, prediction, target):
        return xp.ones_like(target) + (0 * prediction if self.mixed else 0)


@pytest.mark.parametrize("mixed", [False, True])
def test_gradient_of_a_constant(mixed, small):
    """A constant has the gradient 0, whatever its terms are made of."""
    for n in (5, 200):
        p, t = draw(il.mse, (n,))
        value, slope = il.value_and_gradient(Constant(mixed), p, t)
        assert value == 1
        assert slope.shape == p.shape
        assert not np.any(slope)


@named_metric
def test_direct(metric):
    """Small arrays take a short way to the same number."""
    for loop in ((1,), (10,), (4, 3)):
        pairs = [draw(metric, loop, dtype=dtype) for dtype in ("float16", "float32", "float64")]
        pairs += [integers(metric, loop, dtype=dtype) for dtype in ("int32", "bool")]
        for p, t in pairs:
            close(metric(p, t), plainly(metric, p, t), 4, 1)


def test_evaluate_is_each_call(small):
    """One pass over blocks gives what each metric gives, whatever it shares with the others."""
    every = NAMED | STRUCTURES
    for some in {inputs_of(m): m for m in every.values()}.values():
        p, t = draw(some, (100,))
        alike = [m for m in every.values() if inputs_of(m) == inputs_of(some)]
        for metrics in (alike, alike[::-1]):
            found = il.evaluate(metrics, p, t)
            for value, metric in zip(found.values(), metrics, strict=True):
                close(value, metric(p, t), 0)
    p, t = draw(il.mse, (100,))
    for value, metric in zip(
        il.evaluate([il.rmse, il.mse], p, t).values(), [il.rmse, il.mse], strict=True
    ):
        close(value, metric(p, t), 0)


@named_metric
def test_threads(metric, small):
    """Threads change no bit of a value or a gradient, and do not warn where one thread would not."""
    p, t = draw(metric, (400,))
    spoil(p, 7, np.inf)
    spoil(t, 9, np.nan)
    w, m = excluded(metric, (400,))
    for options in ({}, {"weights": w, "where": of_items(metric, m)}):
        slope = one_number(metric)
        want = metric(p, t, **options), il.gradient(slope, p, t, **options)
        for number in (2, 5):
            with il.threads(number):
                found = metric(p, t, **options), il.gradient(slope, p, t, **options)
            for one, other in zip(found, want, strict=True):
                np.testing.assert_array_equal(one, other)


def test_threads_of_a_context(small, monkeypatch):
    """The number holds inside the statement; one that is none is refused."""
    started = []

    class Pool(concurrent.futures.ThreadPoolExecutor):
        def __init__(self, number):
            started.append(number)
            super().__init__(number)

    monkeypatch.setattr(concurrent.futures, "ThreadPoolExecutor", Pool)
    p, t = draw(il.mse, (400,))
    with il.threads(3):
        il.mse(p, t)
        il.mse(p[:50], t[:50])  # too few blocks
    il.mse(p, t)
    assert started == [3]
    for number in (0, 2.0):
        with pytest.raises(
            ValueError, match=f"^threads takes a number of at least 1, not {number}$"
        ):
            il.threads(number).__enter__()


def test_memory():
    """A loss of ten million samples needs at most 16 MiB beyond its inputs."""
    import tracemalloc

    n = 10_000_000
    p, t = np.ones(n, np.float32), np.zeros(n, np.float32)
    for metric in (il.mse, il.huber, il.r2_score, il.rmse):
        for options in ({}, {"where": np.broadcast_to(np.True_, n)}):
            tracemalloc.start()
            metric(p, t, **options)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert peak < 16 * 2**20


@pytest.mark.skipif("torch" not in installed(), reason="needs PyTorch")
@pytest.mark.parametrize(
    "metric", [m for m in NAMED.values() if m.summable and not m.core[0]], ids=str
)
def test_torch(metric, monkeypatch):
    """The node for training steps gives value, gradient and second derivative of the plain way."""
    import torch

    from isoloss.strategies import torch as node

    monkeypatch.setattr(node, "BLOCK", BLOCK)
    for n in SIZES:
        p, t = (torch.from_numpy(x) for x in draw(metric, (n,)))
        leaf, twin = p.clone().requires_grad_(), p.clone().requires_grad_()
        value = metric(leaf, t)
        want = metric.evaluated(twin, t, None, None, None, False, "mean", None, np.nan, None)
        close(value.detach().numpy(), want.detach().numpy(), 1)
        close(metric(p, t).numpy(), want.detach().numpy(), 1)
        value.backward(retain_graph=True)
        want.backward()
        size = float(twin.grad.abs().max())
        close(leaf.grad.numpy(), twin.grad.numpy(), 2, size)
        halves = [x.bfloat16() for x in (p, t)]  # which NumPy has not
        leaf_16 = halves[0].clone().requires_grad_()
        value_16, want_16 = metric(leaf_16, halves[1]), metric(*(x.float() for x in halves))
        close(value_16.detach().numpy(), want_16.numpy(), 1)
        close(metric(*halves).numpy(), want_16.numpy(), 1)
        value_16.backward()
        want_16 = il.gradient(metric, halves[0].float(), halves[1].float()).bfloat16()
        assert torch.equal(leaf_16.grad, want_16)
        value.backward()  # again: what the first pass kept is used up
        close(leaf.grad.numpy(), 2 * twin.grad.numpy(), 2, 2 * size)
        both = []
        for call in (lambda x: metric(x, t), lambda x: metric(x.double(), t.double())):  # noqa: B023
            x = p.clone().requires_grad_()
            (slope,) = torch.autograd.grad(call(x), x, create_graph=True)
            if slope.requires_grad:
                both.append(torch.autograd.grad(slope.sum(), x)[0].numpy())
        if len(both) == 2:
            close(*both, 64, float(np.max(np.abs(both[1]))))
