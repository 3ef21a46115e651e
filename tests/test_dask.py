"""Every metric on Dask arrays: nothing is computed before it is asked for, and then it is NumPy's."""

from __future__ import annotations

import itertools
import sys
from contextlib import nullcontext

import numpy as np
import pytest

dask = pytest.importorskip("dask")

import dask.array as da

import isoloss as il
from conformance.kit.comparison import close
from conformance.kit.drawing import Samples, draw, excluded, integers, of_items
from conformance.kit.expected import one_number
from conformance.kit.laws import law
from conformance.kit.structures import ENGINE, STATES, STRUCTURES
from conformance.kit.trees import leaves, tree_map

SORTED = {"it sorts all samples at once, which Dask does not": lambda m: m.kind == "sorted whole"}
# each kind of state, and each kind of arrays: numbers, scores, labels, several together
NAMES = ("Balanced", "Softmax", "SkillScore", "ctc", "crps_gaussian")
KINDS = {name: m for name, m in STRUCTURES.items() if name.startswith(NAMES) or name in STATES}
every_kind = pytest.mark.parametrize(
    "metric", [m for m in KINDS.values() if m.kind != "sorted whole"], ids=repr
)


def refuse(*_, **__):
    raise AssertionError("this was computed before anyone asked for it")


@pytest.fixture(autouse=True)
def nothing_computes():
    """While a test builds, a computation is an error; `matches` asks for one."""
    with dask.config.set(scheduler=refuse):
        yield


def chunked(tree):
    """Return Dask arrays in uneven chunks along the first axis and, where there is one, the second."""
    return tree_map(lambda x: da.from_array(x, chunks=(6, 2, *x.shape[2:])[: x.ndim]), tree)


def matches(results, want, ulps=2):
    """Assert that Dask arrays have NumPy's dtypes and shapes, and its values to some ULP."""
    lazy, right = leaves(results), leaves(want)
    assert all(isinstance(array, da.Array) for array in lazy)
    computed = dask.compute(*lazy, scheduler="synchronous")
    assert [array.dtype for array in computed] == [array.dtype for array in right]
    close(computed, tuple(right), ulps, "largest")


def quiet_for(metric):
    """Turn NumPy's warnings off: of what is masked, where Dask computes it one by one, later."""
    return np.errstate(invalid="ignore") if isinstance(metric, il.CTC) else nullcontext()


def weighed(metric, loop):
    """Return weights and a mask as options of a call."""
    weights, mask = excluded(metric, loop)
    return {"weights": weights, "where": of_items(metric, mask)}


def widened(array):
    """Return an array of numbers in float64, and labels as they are."""
    return array.astype("float64") if array.dtype.kind == "f" else array


def lazy_options(options):
    return dict(zip(options, chunked(tuple(options.values())), strict=True))


@law(STRUCTURES, SORTED)
def test_values(metric):
    """Values are NumPy's, with weights, masks, axes and reductions, over chunks of both axes."""
    p, t = draw(metric, (10, 3))
    a, b = chunked((p, t))
    given = [{}, weighed(metric, (10, 3)), {"axis": 0}, {"axis": 1, "keepdims": True}]
    lazy = [given[0], lazy_options(given[1]), *given[2:]]
    if metric.summable:
        given += [{"reduction": "sum"}, {"reduction": "none", **given[1]}]
        lazy += [{"reduction": "sum"}, {"reduction": "none", **lazy[1]}]
    matches([metric(a, b, **o) for o in lazy], [metric(p, t, **o) for o in given])


@law(STATES, SORTED)
def test_tree(metric, monkeypatch):
    """States of ten chunks merge through four levels, two at a time."""
    monkeypatch.setattr("isoloss.libraries.dask.FEW", 2)
    p, t = draw(metric, (10,))
    rows = tree_map(lambda x: da.from_array(x, chunks=(1, *x.shape[1:])), (p, t))
    matches(metric(*rows), metric(p, t), 4)


@pytest.mark.parametrize(
    "metric",
    [il.mse, il.r2_score, il.cross_entropy, il.gaussian_nll, il.SkillScore(il.mse)],
    ids=repr,
)
def test_chunks_that_differ(metric):
    """Each array may have chunks of its own, and its rows of features may be cut too."""
    samples, options = draw(metric, (10, 3)), weighed(metric, (10, 3))
    steps = itertools.count(3)

    def cut(array):
        step = next(steps)  # 3, 4, 5, ...: of ten samples, of three columns, of four classes
        return da.from_array(array, chunks=tuple(max(1, step % (n + 1)) for n in array.shape))

    a, b, weights, mask = tree_map(cut, (*samples, *options.values()))
    assert len({x.chunks[0] for x in leaves((a, b, weights, mask))}) > 1
    given, lazy = [options], [{"weights": weights, "where": mask}]
    if metric.summable:
        given.append({"reduction": "none", **given[0]})
        lazy.append({"reduction": "none", **lazy[0]})
    matches([metric(a, b, **o) for o in lazy], [metric(*samples, **o) for o in given])
    slope = il.gradient(metric, a, b, **lazy[0])
    assert [x.chunks for x in leaves(slope)] == [x.chunks for x in leaves(a)]
    matches(slope, il.gradient(metric, *samples, **options), 16)


@every_kind
def test_dtypes(metric):
    """Half precision and integers are computed as NumPy's are, in no narrower dtype than float32."""
    pairs = [draw(metric, (10, 3), dtype=dtype) for dtype in ("float16", "float64")]
    pairs += [integers(metric, (10, 3), dtype=dtype) for dtype in ("uint8", "int64")]
    lazy = [metric(*chunked(tuple(pair))) for pair in pairs]
    matches(lazy, [metric(*pair) for pair in pairs], 8)


def of_few_frames(metric, samples):
    """Cut sequences short: each frame is a hundred operations, which Dask strings together slowly."""
    if not isinstance(metric, il.CTC):
        return samples
    logits, (labels, frames, lengths) = samples
    cut = labels[..., :1], np.minimum(frames, 3), np.minimum(lengths, 1)
    return Samples(logits[..., :3, :], cut)


@law(ENGINE, SORTED)
def test_derivatives(metric):
    """Gradients and second derivatives are lazy arrays in the chunks of the predictions."""
    p, t = of_few_frames(metric, draw(metric, (7, 2)))
    a, b = chunked((p, t))
    options = weighed(metric, (7, 2))
    lazy = lazy_options(options)
    slope = il.gradient(one_number(metric), a, b, **lazy)
    want = [il.gradient(one_number(metric), p, t, **options)]
    assert [x.chunks for x in leaves(slope)] == [x.chunks for x in leaves(a)]
    results = [slope]
    rows = any(metric.parts[0])  # each number of them takes a pass, which is Python's work
    if metric.summable and not rows:
        results += il.gradient_hessian(metric, a, b, **lazy)
        want += il.gradient_hessian(metric, p, t, **options)
    if not rows:
        assert {x.chunks for x in leaves(results)} == {leaves(a)[0].chunks}
    with quiet_for(metric):
        matches(results, want, 16)


@law(STRUCTURES, SORTED)
def test_states(metric):
    """States are lazy; those of batches, weighted or not, merge to the state of the whole."""
    samples = draw(metric, (10, 3))
    w, _ = excluded(metric, (10, 3))
    w[7:] = 1
    weights = chunked(w)
    first, last = (tree_map(lambda x, s=s: x[s], chunked(tuple(samples)))
                   for s in (slice(0, 7), slice(7, 10)))  # fmt: skip
    state = metric.summary(*first, weights=weights[:7]).merge(metric.summary(*last))
    matches(metric.compute(state), metric(*samples, weights=w), 4)


@every_kind
def test_unknown_sizes(metric):
    """Rows chosen by a mask have a number that only the computation finds out: all works on them."""
    rows = np.arange(10) % 3 > 0
    samples, options = draw(metric, (10, 3)), weighed(metric, (10, 3))
    kept = da.from_array(rows, chunks=6)
    a, b = tree_map(lambda x: x[kept], chunked(tuple(samples)))
    lazy = {name: x[kept] for name, x in lazy_options(options).items()}
    assert np.isnan(leaves(a)[0].shape[0])
    p, t = samples[rows]
    options = {name: x[rows] for name, x in options.items()}
    matches(
        [metric(a, b), metric(a, b, **lazy), metric(a, b, axis=0)],
        [metric(p, t), metric(p, t, **options), metric(p, t, axis=0)],
    )
    # nothing wider stands by for float64: merging the chunks of a row rounds, as in `test_states`
    wide = tree_map(widened, (a, b))
    matches(metric(*wide, axis=1), metric(*samples[rows].map(widened), axis=1), 4)


NUMBERS = [np.array(x) for x in ([1.0, -2.0, -3.0], [1.0, 2.0, -3.0], [1.0, 2.0, 3.0])]
UNEQUAL = {  # of one number, two and three
    "mean": lambda a, _, c: il.mse(a, c),
    "none": lambda a, _, c: il.mse(a, c, reduction="none"),
    "weights": lambda _, b, c: il.mse(c, c, weights=b),
    "evaluate": lambda a, _, c: il.evaluate([il.mae, il.r2], a, c)["r2_score"],
    "rows": lambda a, _, c: il.cosine_distance(a[:, None] + [0.0, 1.0], c[:, None] + [0.0, 1.0]),
}


@pytest.mark.parametrize("call", UNEQUAL.values(), ids=UNEQUAL)
def test_unknown_sizes_that_differ(call):
    """Rows of different masks are refused where they meet, in NumPy's words, never repeated."""
    with pytest.raises(ValueError, match="have shape") as eager:
        call(*(x[x > 0] for x in NUMBERS))
    lazy = call(*(x[x > 0] for x in map(da.from_array, NUMBERS)))
    with pytest.raises(ValueError, match="have shape") as later:
        lazy.compute(scheduler="synchronous")
    assert str(later.value) == str(eager.value)


def test_gradient_of_unknown_sizes():
    """The gradient of a mean needs the number of samples before it is computed."""
    a = da.from_array(np.ones(10))[da.from_array(np.arange(10) % 3 > 0)]
    with pytest.raises(ValueError, match=r"^MeanSquaredError\(\): predictions have shape \(nan,\), "
                       r"which Dask does not know yet: call predictions.compute_chunk_sizes\(\) "):  # fmt: skip
        il.gradient(il.mse, a, a)


@pytest.mark.parametrize(
    "metrics",
    [
        [il.mse, il.Huber(2.0), il.r2_score],
        [il.SkillScore(il.mse), il.SkillScore(il.mae), il.SkillScore(il.rmse)],
        [il.gaussian_nll, il.crps_gaussian, il.Exp(il.gaussian_nll)],
    ],
    ids=repr,
)
def test_evaluate(metrics):
    """One pass gives the values of several metrics, lazily too, of tuples of arrays as well."""
    p, t = draw(metrics[0], (10, 3))
    results, want = il.evaluate(metrics, *chunked((p, t))), il.evaluate(metrics, p, t)
    assert list(results) == list(want)
    matches(results, want)


def test_validate():
    """`validate` looks at the values, and so it computes."""
    p, t = draw(il.mse, (10, 3))
    t[7, 1] = np.nan
    location, scale = draw(il.gaussian_nll, (10, 3)).predictions
    scale[3, 2] = -1
    with dask.config.set(scheduler="synchronous"):
        il.validate(il.mse, *chunked((p, p)))
        with pytest.raises(ValueError, match=r"^MeanSquaredError\(\): targets\[7, 1\] is nan; "):
            il.validate(il.mse, *chunked((p, t)))
        with pytest.raises(ValueError, match=r"^GaussianNLL\(\): variance\[3, 2\] is -1.0; "):
            il.validate(il.gaussian_nll, *chunked(((location, scale), p)))


def test_lists_and_other_arrays():
    """Lists beside a Dask array are taken in; a NumPy array is an error that says how to convert it."""
    p, t = draw(il.mse, (10, 3))
    a = chunked(p)
    matches([il.mse(a, t.tolist()), il.mse(a, 1)], [il.mse(p, t), il.mse(p, 1)])
    with pytest.raises(TypeError) as caught:
        il.mse(a, t)
    assert str(caught.value) == (
        "MeanSquaredError(): predictions: a Dask array, targets: a NumPy array; "
        "convert one, e.g. targets = dask.array.asarray(targets)"
    )
    one, ones = 1 + 0 * p, (1 + 0 * p).tolist()
    matches(il.gaussian_nll((a, ones), a), il.gaussian_nll((p, one), p))
    with pytest.raises(TypeError) as caught:
        il.gaussian_nll((a, one), a)
    assert str(caught.value) == (
        "GaussianNLL(): mean: a Dask array, variance: a NumPy array; "
        "convert one, e.g. variance = dask.array.asarray(variance)"
    )


def test_sorted_whole():
    """A median needs all samples in order, which Dask, made of chunks, does not do: it says so."""
    a, b = chunked(tuple(draw(il.mse, (10,))))
    for call in (il.median_absolute_error, il.median_absolute_error.summary):
        with pytest.raises(TypeError) as caught:
            call(a, b)
        assert str(caught.value) == (
            "MedianAbsoluteError(): it sorts all samples, which Dask does not; "
            "compute them first: predictions.compute(), targets.compute()"
        )


@pytest.mark.parametrize("chunks", [(1_000_000, 2), (9_999, 1)], ids=str)
def test_long_columns(chunks):
    """A million float64 samples per column are summed within 4 ULP, whatever the chunks."""
    p, _ = draw(il.mse, (1000, 2), dtype="float64")
    many = np.tile(p, (1000, 1))
    bias = il.mean_bias_error(da.from_array(many, chunks=chunks), 0.0, axis=0)
    matches(bias, il.mean_bias_error(p, 0.0, axis=0), 4)


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
@pytest.mark.filterwarnings("ignore:Creating scratch directories")  # on a busy disk
def test_cluster():
    """On a cluster, chunks are summarised where they lie: a worker holds few of them at once."""
    import distributed

    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0", memory_limit=None
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
