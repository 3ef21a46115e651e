"""Every metric on Dask arrays: nothing is computed before it is asked for, and then it is NumPy's."""

from __future__ import annotations

import sys

import numpy as np
import pytest

dask = pytest.importorskip("dask")

import dask.array as da

import isoloss as il
from conformance.kit.drawing import draw, excluded, integers, of_items
from conformance.kit.expected import one_number
from conformance.kit.metrics import ALL, NAMED
from conformance.kit.structures import STRUCTURES

STREAMING = {name: m for name, m in ALL.items() if m.kind != "sorted whole"}
every_metric = pytest.mark.parametrize("metric", STREAMING.values(), ids=STREAMING)
named_metric = pytest.mark.parametrize(
    "metric", [m for m in (NAMED | STRUCTURES).values() if m.kind != "sorted whole"], ids=repr
)


def refuse(*_, **__):
    raise AssertionError("this was computed before anyone asked for it")


@pytest.fixture(autouse=True)
def nothing_computes():
    """While a test builds, a computation is an error; `close` asks for one."""
    with dask.config.set(scheduler=refuse):
        yield


def chunked(*arrays):
    """Return Dask arrays in uneven chunks along the first axis and, where there is one, the second."""
    return tuple(da.from_array(x, chunks=(6, 2, *x.shape[2:])[: x.ndim]) for x in arrays)


def close(pairs, ulps=2):
    """Assert that Dask arrays have NumPy's dtypes and shapes, and its values to some ULP."""
    got, want = zip(*pairs, strict=True)
    assert all(isinstance(one, da.Array) for one in got)
    for one, right in zip(dask.compute(*got, scheduler="synchronous"), want, strict=True):
        assert one.dtype == right.dtype
        assert one.shape == right.shape
        np.testing.assert_array_equal(np.isnan(one), np.isnan(right))  # labels of one kind alone
        infinite = np.isinf(right)  # sure of what did not happen
        np.testing.assert_array_equal(one[infinite], right[infinite])
        one, right = one[~infinite], right[~infinite]
        size = np.nanmax(np.abs(right), initial=0.125)
        assert np.nanmax(np.abs(one - right), initial=0) <= ulps * np.finfo(right.dtype).eps * size


@every_metric
def test_values(metric):
    """Values are NumPy's, with weights, masks, axes and reductions, over chunks of both axes."""
    p, t = draw(metric, (10, 3))
    w, m = excluded(metric, (10, 3))
    a, b, weights, mask = chunked(p, t, w, m)
    given = [
        (
            {"weights": weights, "where": of_items(metric, mask)},
            {"weights": w, "where": of_items(metric, m)},
        )
    ]
    given += [(o, o) for o in ({}, {"axis": 0}, {"axis": 1, "keepdims": True})]
    if metric.summable:
        given += [({"reduction": r, "weights": weights}, {"reduction": r, "weights": w})
                  for r in ("sum", "none")]  # fmt: skip
    close([(metric(a, b, **one), metric(p, t, **other)) for one, other in given])


@named_metric
def test_tree(metric, monkeypatch):
    """States of ten chunks merge through four levels, two at a time."""
    monkeypatch.setattr("isoloss.strategies.dask.FEW", 2)
    p, t = draw(metric, (10,))
    rows = [da.from_array(x, chunks=(1, *x.shape[1:])) for x in (p, t)]
    close([(metric(*rows), metric(p, t))], 4)


@named_metric
def test_dtypes(metric):
    """Half precision and integers are computed as NumPy's are, in no narrower dtype than float32."""
    pairs = [draw(metric, (10, 3), dtype=dtype) for dtype in ("float16", "float64")]
    pairs += [integers(metric, (10, 3), dtype=dtype) for dtype in ("uint8", "int64")]
    close([(metric(*chunked(*pair)), metric(*pair)) for pair in pairs], 8)


@named_metric
def test_derivatives(metric):
    """Gradients and second derivatives are lazy arrays in the chunks of the predictions."""
    p, t = draw(metric, (10, 3))
    w, m = excluded(metric, (10, 3))
    a, b, weights, mask = chunked(p, t, w, m)
    options, lazy = (
        {"weights": w, "where": of_items(metric, m)},
        {"weights": weights, "where": of_items(metric, mask)},
    )
    found = [il.gradient(one_number(metric), a, b, **lazy)]
    want = [il.gradient(one_number(metric), p, t, **options)]
    if metric.summable:
        found += il.gradient_hessian(metric, a, b, **lazy)
        want += il.gradient_hessian(metric, p, t, **options)
    assert found[0].chunks == a.chunks
    if not metric.core[0]:
        assert {one.chunks for one in found} == {a.chunks}
    close(zip(found, want, strict=True), 16)


@named_metric
def test_states(metric):
    """States are lazy; those of batches, weighted or not, merge to the state of the whole."""
    p, t = draw(metric, (10, 3))
    w, _ = excluded(metric, (10, 3))
    w[7:] = 1
    a, b, weights = chunked(p, t, w)
    state = metric.summary(a[:7], b[:7], weights=weights[:7]).merge(metric.summary(a[7:], b[7:]))
    close([(metric.compute(state), metric(p, t, weights=w))], 4)


@named_metric
def test_unknown_sizes(metric):
    """Rows chosen by a mask have a number that only the computation finds out: all works on them."""
    p, t = draw(metric, (10, 3))
    w, m = excluded(metric, (10, 3))
    rows = np.arange(10) % 3 > 0
    a, b, weights, mask = (x[da.from_array(rows, chunks=6)] for x in chunked(p, t, w, m))
    assert np.isnan(a.shape[0])
    p, t, w, m = (x[rows] for x in (p, t, w, m))
    lazy, options = (
        {"weights": weights, "where": of_items(metric, mask)},
        {"weights": w, "where": of_items(metric, m)},
    )
    close(
        [
            (metric(a, b), metric(p, t)),
            (metric(a, b, **lazy), metric(p, t, **options)),
            (metric(a, b, axis=0), metric(p, t, axis=0)),
        ]
    )
    # nothing wider stands by for float64: merging the chunks of a row rounds, as in `test_states`
    wide = metric(a.astype("float64"), b, axis=1), metric(p.astype("float64"), t, axis=1)
    close([wide], 4)


def test_gradient_of_unknown_sizes():
    """The gradient of a mean needs the number of samples before it is computed."""
    a = da.from_array(np.ones(10))[da.from_array(np.arange(10) % 3 > 0)]
    with pytest.raises(ValueError, match=r"^MeanSquaredError\(\): predictions have shape \(nan,\), "
                       r"which Dask does not know yet: call predictions.compute_chunk_sizes\(\) "):  # fmt: skip
        il.gradient(il.mse, a, a)


def test_evaluate_and_validate():
    """evaluate is lazy as well; validate, which looks at the values, computes."""
    p, t = draw(il.mse, (10, 3))
    metrics = [il.mse, il.Huber(2.0), il.r2_score]
    found, want = il.evaluate(metrics, *chunked(p, t)), il.evaluate(metrics, p, t)
    assert list(found) == list(want)
    close(zip(found.values(), want.values(), strict=True))
    t[7, 1] = np.nan
    with dask.config.set(scheduler="synchronous"):
        il.validate(il.mse, *chunked(p, p))
        with pytest.raises(ValueError, match=r"^MeanSquaredError\(\): targets\[7, 1\] is nan; "):
            il.validate(il.mse, *chunked(p, t))


def test_lists_and_other_arrays():
    """Lists beside a Dask array are taken in; a NumPy array is an error that says how to convert it."""
    p, t = draw(il.mse, (10, 3))
    (a,) = chunked(p)
    close([(il.mse(a, t.tolist()), il.mse(p, t)), (il.mse(a, 1), il.mse(p, 1))])
    with pytest.raises(TypeError) as caught:
        il.mse(a, t)
    assert str(caught.value) == (
        "MeanSquaredError(): predictions: a Dask array, targets: a NumPy array; "
        "convert one, e.g. targets = dask.array.asarray(targets)"
    )


def test_sorted_whole():
    """A median needs all samples in order, which Dask, made of chunks, does not do: it says so."""
    a, b = chunked(*draw(il.mse, (10,)))
    for call in (il.median_absolute_error, il.median_absolute_error.summary):
        with pytest.raises(TypeError) as caught:
            call(a, b)
        assert str(caught.value) == (
            "MedianAbsoluteError(): it sorts all samples, which Dask does not; "
            "compute them first: predictions.compute(), targets.compute()"
        )


@pytest.mark.parametrize("chunks", [(1_000_000, 2), (999, 1)], ids=str)
def test_long_columns(chunks):
    """A million float64 samples per column are summed within 4 ULP, whatever the chunks."""
    p, _ = draw(il.mse, (1000, 2), dtype="float64")
    many = np.tile(p, (1000, 1))
    found = il.mean_bias_error(da.from_array(many, chunks=chunks), 0.0, axis=0)
    close([(found, il.mean_bias_error(p, 0.0, axis=0))], 4)


CHUNK, CHUNKS = 1 << 21, 24  # 8 MiB of float32, 192 MiB in all


def numbers(block_info=None, seed=0):
    """Make one chunk, where it is evaluated."""
    start = block_info[None]["array-location"][0][0]
    rng = np.random.default_rng((start, seed))
    return rng.normal(size=CHUNK).astype("float32")


def peak():
    """Return the most memory that this process ever held, in bytes."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="the unit of ru_maxrss is Linux's")
def test_cluster():
    """On a cluster, chunks are summarised where they lie: a worker holds few of them at once."""
    import distributed

    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, memory_limit=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        p, t = (
            da.map_blocks(numbers, chunks=((CHUNK,) * CHUNKS,), dtype="float32", seed=seed)
            for seed in (0, 1)
        )
        metrics = [il.mse, il.huber, il.r2_score, il.pearson_correlation]
        few = il.evaluate(metrics, p[:CHUNK], t[:CHUNK])
        client.gather(client.compute(list(few.values())))  # all is imported and warm
        before = client.run(peak)
        found = client.gather(client.compute(list(il.evaluate(metrics, p, t).values())))
        grown = [after - before[worker] for worker, after in client.run(peak).items()]
    assert max(grown) < 12 * 4 * CHUNK, grown
    whole = [np.concatenate([numbers({None: {"array-location": [(CHUNK * k, 0)]}}, seed)
                             for k in range(CHUNKS)]) for seed in (0, 1)]  # fmt: skip
    for one, metric in zip(found, metrics, strict=True):
        assert abs(float(one) - float(metric(*whole))) <= 2 * np.finfo("float32").eps
