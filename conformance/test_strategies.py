"""Every strategy against the plain way: the same values and gradients, however the data lie.

The thresholds are made small, so that small data fill several blocks and end in a part of one.
"""

from __future__ import annotations

import concurrent.futures
from dataclasses import dataclass

import numpy as np
import pytest

import isoloss as il
from conformance.kit.backends import BACKENDS
from conformance.kit.comparison import close
from conformance.kit.condition import magnified
from conformance.kit.drawing import draw, excluded, inputs_of, integers, of_items, spoil
from conformance.kit.expected import one_number
from conformance.kit.laws import law
from conformance.kit.metrics import ALL
from conformance.kit.promise import SUMMED
from conformance.kit.structures import STRUCTURES
from conformance.kit.trees import leaves, tree_map
from isoloss._core.calls import Call, Options, Plans, evaluate
from isoloss._core.inputs import Inputs
from isoloss._core.library import library_of
from isoloss._core.plain import PlainLibrary
from isoloss.libraries import numpy as blocks

# strategies against each other, in the dtypes that the tests name
pytestmark = [pytest.mark.once, pytest.mark.library("numpy")]
every_structure = law(STRUCTURES)
BLOCK = 16
MANY = 20 * BLOCK + 3  # more blocks than are merged at once
SIZES = (1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, MANY)


every_pointwise = law(ALL, {  # what gradients in blocks and PyTorch's node take
    "its terms are not of one number against another": lambda m: not (m.summable and m.elementwise)
})  # fmt: skip


@pytest.fixture
def small(monkeypatch):
    """Blocks of a few samples, merged a few at a time."""
    monkeypatch.setattr(blocks, "block_size", lambda inputs: BLOCK)
    monkeypatch.setattr(blocks, "PENDING", 16)
    monkeypatch.setattr(blocks, "DIRECT", 0)
    monkeypatch.setattr(library_of(np.zeros(1)), "plans", Plans())


PLAIN = PlainLibrary(np)


def plainly(metric, p, t, denominator=None, empty=np.nan, **options):
    """Evaluate in one piece, as a compiler or an unknown library would."""
    inputs = Inputs(metric, p, t, **options)
    with np.errstate(all="ignore"):
        value = metric.value(inputs.xp, PLAIN.statistics((metric,), inputs)[0], denominator, empty)
        return np.asarray(value).astype(inputs.xp.result)


def plain_terms(metric, p, t, **options):
    """Return what each sample adds, in one piece."""
    inputs = Inputs(metric, p, t, **options)
    with np.errstate(all="ignore"):
        return PLAIN.terms(metric, inputs).astype(inputs.xp.result)


def same(got, want, ulps, size=0.0):
    """Assert that another way gives the same dtypes and, to some ULP, the same numbers."""
    dtypes = [[np.asarray(array).dtype for array in leaves(tree)] for tree in (got, want)]
    assert dtypes[0] == dtypes[1]
    close(got, want, ulps, size)


def choices(metric, loop, dtype):
    """Return the options that leave samples out, or weigh them: none, each alone, both."""
    weights, mask = np.ones(loop, dtype), np.ones(loop, bool)
    if mask.size > 3:  # so many that some stay
        weights, mask = excluded(metric, loop, dtype=dtype)
    both = {"weights": weights, "where": of_items(metric, mask)}
    return [{}, both, *({name: array} for name, array in both.items())]


@every_structure
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_sizes(metric, dtype, small):
    """Samples that fill a block, or one more, or one less, give the value of the whole."""
    for n in SIZES:
        p, t = draw(metric, (n,), dtype=dtype)
        size = magnified(metric, t)
        for options in choices(metric, (n,), dtype):
            want = plainly(metric, p, t, **options)
            same(metric(p, t, **options), want, 1 if dtype != "float64" else 8, size)


@law(ALL)
def test_blocks(metric, small):
    """The blocks of every metric give the value of the whole, weighed and masked too."""
    p, t = draw(metric, (MANY,), dtype="float32")
    size = magnified(metric, t)
    for options in choices(metric, (MANY,), "float32")[:2]:
        same(metric(p, t, **options), plainly(metric, p, t, **options), 1, size)


LAYOUTS = {
    "F": np.asfortranarray,
    "strided": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    "reversed": lambda x: x[::-1].copy()[::-1],
    "read-only": lambda x: np.broadcast_to(np.ascontiguousarray(x), x.shape),
}


@every_structure
def test_layouts_and_axes(metric, small):
    """Every axis of every layout gives the value of the whole, and no input is written to."""
    loop = (6, 4, 5)
    p, t = draw(metric, loop)
    w, m = excluded(metric, loop)
    laid = {name: (tree_map(lay, p), tree_map(lay, t)) for name, lay in LAYOUTS.items()}
    laid["mixed"] = laid["F"][0], t
    given = [array.copy() for array in leaves((p, t))]
    mask = {"where": of_items(metric, m[0])}
    for options in ({}, mask, {"weights": w[:, :1], **mask}):
        for axis in (None, 0, 1, -1, (0, 1), (0, 2), (1, 2), ()):
            want = plainly(metric, p, t, axis=axis, **options)
            for a, b in laid.values():
                same(metric(a, b, axis=axis, **options), want, 2, 1 + np.abs(want))
        if metric.summable:
            want = plain_terms(metric, p, t, **options)
            for a, b in laid.values():
                same(metric(a, b, reduction="none", **options), want, 1)
    for array, before in zip(leaves((p, t)), given, strict=True):
        np.testing.assert_array_equal(array, before)


@every_pointwise
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
            value, gradient = il.value_and_gradient(metric, p, t, **options)
            same(gradient, slope / total, 4, np.max(np.abs(slope)) / total)
            same(value, plainly(metric, p, t, **options), 8, 1)


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


@every_pointwise
def test_direct(metric):
    """Small arrays take a short way to the same number."""
    for loop in ((1,), (10,), (4, 3)):
        pairs = [draw(metric, loop, dtype=dtype) for dtype in ("float16", "float32", "float64")]
        pairs += [integers(metric, loop, dtype=dtype) for dtype in ("int32", "bool")]
        w = np.linspace(0.5, 2.0, np.prod(loop)).reshape(loop)
        m = np.arange(w.size).reshape(loop) % 3 != 1
        for p, t in pairs:
            for options in ({}, {"weights": w}, {"where": m}, {"axis": 0}, {"weights": w * m}):
                for _ in range(2):  # the second call has a plan
                    same(metric(p, t, **options), plainly(metric, p, t, **options), 4, 1)


def test_evaluate_is_each_call(small):
    """One pass over blocks gives what each metric gives, whatever it shares with the others."""
    groups = {}
    for metric in ALL.values():
        groups.setdefault(inputs_of(metric), []).append(metric)
    for alike in (*groups.values(), [il.rmse, il.mse]):
        p, t = draw(alike[0], (100,))
        for metrics in (alike, alike[::-1]):
            values = il.evaluate(metrics, p, t).values()
            for value, metric in zip(values, metrics, strict=True):
                same(value, metric(p, t), 0)


@every_structure
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
                results = metric(p, t, **options), il.gradient(slope, p, t, **options)
            same(results, want, 0)


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


@pytest.mark.library("torch")
@every_pointwise
def test_torch(metric, monkeypatch):
    """The node for training steps gives value, gradient and second derivative of the plain way."""
    torch = pytest.importorskip("torch")
    from isoloss.libraries import torch as node

    monkeypatch.setattr(node, "BLOCK", BLOCK)
    backend = BACKENDS["torch"]()
    for n in SIZES if metric in STRUCTURES.values() else (BLOCK + 1,):
        p, t = backend.given(tuple(draw(metric, (n,), dtype="float32")))
        leaf, twin = p.clone().requires_grad_(), p.clone().requires_grad_()
        value = metric(leaf, t)
        want = evaluate(metric, Call(twin, t, None, None, Options(), None, np.nan))
        assert value.dtype == want.dtype
        close(value, want, SUMMED)
        close(metric(p, t), want, SUMMED)
        value.backward(retain_graph=True)
        want.backward()
        close(leaf.grad, twin.grad, 2, "largest")
        halves = [x.bfloat16() for x in (p, t)]  # which NumPy has not
        leaf_16 = halves[0].clone().requires_grad_()
        value_16, want_16 = metric(leaf_16, halves[1]), metric(*(x.float() for x in halves))
        close(value_16, want_16, SUMMED)
        close(metric(*halves), want_16, SUMMED)
        value_16.backward()
        want_16 = il.gradient(metric, halves[0].float(), halves[1].float()).bfloat16()
        assert torch.equal(leaf_16.grad, want_16)
        value.backward()  # again: what the first pass kept is used up
        close(leaf.grad, 2 * twin.grad, 2, "largest")
        seconds = []
        for dtype in (torch.float32, torch.float64):
            x = p.clone().requires_grad_()
            value = metric(x.to(dtype), t.to(dtype))
            (slope,) = torch.autograd.grad(value, x, create_graph=True)
            if slope.requires_grad:
                seconds.append(torch.autograd.grad(slope.sum(), x)[0])
        if seconds:
            close(*seconds, 64, "largest")


@pytest.mark.library("torch")
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_torch_scaled_losses(dtype):
    """A scaled loss has the slopes times the scale, of half precision those too that it holds no more."""
    torch = pytest.importorskip("torch")
    error, scale = (1 + 2.0**-10) * 2.0**-10, 2.0**16
    for n in (2**12, 2**18):  # in one block, and in several
        p = torch.full((n,), error, dtype=getattr(torch, dtype), requires_grad=True)
        (scale * il.mse(p, torch.zeros_like(p))).backward()
        assert torch.equal(p.grad, torch.full_like(p, 2 * error / n * scale))  # exact in each dtype
