"""Laws that hold for every metric: what it means to mask, to weigh, to merge, to reorder.

Run on NumPy over drawn examples, and once on every other array library that is installed.
"""

from __future__ import annotations

import copy
import functools
import itertools
import pickle

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings

import isoloss as il
from conformance.kit.backends import BACKENDS, installed
from conformance.kit.drawing import draw, excluded, inputs_of, of_items, spoil, wide
from conformance.kit.expected import extra_shape, one_number
from conformance.kit.metrics import ALL, Quartic
from conformance.kit.structures import CENTRAL
from isoloss._arrays import Inputs

LIBRARIES = installed()
drawn = settings(
    max_examples=8, derandomize=True, deadline=None, database=None, phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
every_metric = pytest.mark.parametrize("metric", ALL.values(), ids=ALL)
seeds = st.integers(0, 2**16)
sizes = st.integers(3, 40)
spoilers = st.sampled_from([np.nan, np.inf, -np.inf, 1e30, -5.0])


def close(got, want, ulps=2, size=None):
    """Assert equality to some ULP, in the dtype of the result, of the number expected.

    ``size`` is the size of what is subtracted on the way to the result, if it is larger.
    """
    got, want = np.asarray(got), np.asarray(want)
    assert got.shape == want.shape
    assert got.dtype == want.dtype
    scale = np.abs(want) if size is None else np.maximum(np.abs(want), size)
    eps = np.finfo(got.dtype).eps
    with np.errstate(invalid="ignore"):
        right = (
            (got == want)
            | (np.abs(got - want) <= ulps * eps * scale)
            | (np.isnan(got) & np.isnan(want))
        )
    assert np.all(right), (
        f"{got!r} is not {want!r}: {np.max(np.abs(got - want) / (eps * scale))} ULP apart"
    )


def condition(metric, p, t, w=None):
    """Return the size of what cancels in the value: sums of terms of both signs, one minus a ratio."""
    if len(metric.core[0]) > 1 and metric.greater_is_better:  # a mean of similarities, -1 to 1
        return 1.0
    if "oments" in type(metric.summary(p, t)).__name__:
        size = 1 + abs(metric(p, t, weights=w) * getattr(metric, "factor", 1))
        return size * magnified(metric, t)
    if metric.kind == "counts" or (metric.kind == "sorted whole" and metric.greater_is_better):
        return 1.0  # shares of a whole are subtracted from it
    if not metric.summable:
        inner = getattr(metric, "metric", None)
        return 0.0 if inner is None else max(1.0, float(np.abs(metric(p, t, weights=w)))) * 4
    return np.mean(np.abs(metric(p, t, weights=w, reduction="none")))


def both(metric, p, t, **options):
    """Return value and gradient: a law holds for the two of them."""
    if extra_shape(metric):  # of several numbers, the gradient of the first
        return metric(p, t, **options), il.gradient(one_number(metric), p, t, **options)
    return il.value_and_gradient(metric, p, t, **options)


def weights_that_count(metric, p, t, w, m):
    """Return the weights given, times those that targets bring along; 0 where a sample is left out."""
    xp = Inputs(metric, p, t).xp
    own, factor = metric.included(xp, t), metric.importance(xp, t)
    return w * m * (1 if own is None else own) * (1 if factor is None else factor)


@every_metric
@drawn
@given(
    seed=seeds,
    n=sizes,
    bad=spoilers,
    by=st.sampled_from(["where", "weights", "both", "where alone"]),
)
def test_excluded_is_removed(metric, seed, n, bad, by):
    """A masked sample, or one of weight 0, counts as if it were not there, whatever it holds."""
    p, t = draw(metric, (n,), seed)
    w, m = excluded(metric, (n,), seed)
    w = np.ones_like(w) if by == "where alone" else w
    one, slope = both(metric, p[m], t[m], weights=w[m])
    spoil(p, ~m, bad)
    spoil(t, ~m, -bad)
    options = {"weights": w, "where": of_items(metric, m)}
    if by == "where alone":
        options = {"where": of_items(metric, m)}
    elif by == "weights":
        options = {"weights": np.where(m, w, 0)}
    elif by == "both":
        options = {"weights": np.where(m, w, np.nan), "where": of_items(metric, m)}
    value, gradient = both(metric, p, t, **options)
    size = condition(metric, p[m], t[m], w[m])
    close(value, one, 2, size)
    close(gradient[m], slope, 2, np.max(np.abs(slope)))
    assert np.all(gradient[~m] == 0)


@every_metric
@drawn
@given(seed=seeds, n=sizes)
def test_integer_weights_are_repetition(metric, seed, n):
    """A sample of weight 3 counts as three samples, in the value and in the gradient."""
    p, t = draw(metric, (n,), seed, "float64")
    w = np.random.default_rng(seed).integers(0, 4, n)
    w[:2] = 1, 2
    one, slope = both(metric, np.repeat(p, w, axis=0), np.repeat(t, w, axis=0))
    value, gradient = both(metric, p, t, weights=w)
    close(value, one, 8, condition(metric, p, t, w))
    if metric.kind not in ("extremum", "sorted whole"):  # there, repetition makes ties that share
        start = np.cumsum(w) - w
        once = np.where(
            (w > 0)[(..., *[None] * (p.ndim - 1))], slope[np.minimum(start, len(slope) - 1)], 0
        )
        close(gradient, once * w[(..., *[None] * (p.ndim - 1))], 64, np.max(np.abs(slope)))


@every_metric
@drawn
@given(
    seed=seeds,
    n=sizes,
    cuts=st.lists(st.integers(0, 40), max_size=4),
    dtype=st.sampled_from(["float32", "float64"]),
)
def test_batches_are_the_whole(metric, seed, n, cuts, dtype):
    """States of batches of any sizes, the empty ones included, merge to the whole's, in any order."""
    p, t = draw(metric, (n,), seed, dtype)
    w, m = excluded(metric, (n,), seed, dtype)
    edges = [0, *sorted(min(c, n) for c in cuts), n]
    states = [
        metric.summary(p[a:b], t[a:b], weights=w[a:b], where=of_items(metric, m[a:b]))
        for a, b in itertools.pairwise(edges)
    ]
    states.append(metric.summary(p[:0], t[:0], weights=w[:0], where=of_items(metric, m[:0])))
    whole = metric(p, t, weights=w, where=of_items(metric, m))
    size = condition(metric, p[m], t[m], w[m])
    merge = functools.partial(functools.reduce, lambda a, b: a.merge(b))
    shuffled = [states[k] for k in np.random.default_rng(seed).permutation(len(states))]
    close(metric.compute(merge(states)), whole, 4, size)
    close(metric.compute(merge(states[::-1])), whole, 4, size)
    close(metric.compute(merge(shuffled)), whole, 4, size)


@every_metric
@drawn
@given(seed=seeds, dtype=st.sampled_from(["float32", "float64"]))
def test_merge_commutes_and_associates(metric, seed, dtype):
    """merge gives the whole's value in either order and any grouping, and keeps kind, shapes and dtypes."""
    batches = [draw(metric, (5 + k, 2), seed + k, dtype) for k in range(3)]
    a, b, c = (metric.summary(*batch, axis=0) for batch in batches)
    value = metric.compute(a.merge(b).merge(c))
    size = np.maximum(np.abs(value), 1)
    size = size * magnified(metric, np.concatenate([t for _, t in batches]), axis=0)
    close(value, metric(*map(np.concatenate, zip(*batches, strict=True)), axis=0), 4, size)
    close(metric.compute(a.merge(b.merge(c))), value, 4, size)
    other_way = metric.compute(b.merge(a))
    size = (np.abs(other_way) + 1) * magnified(
        metric, np.concatenate([t for _, t in batches[:2]]), axis=0
    )
    close(metric.compute(a.merge(b)), other_way, 2, size)
    if metric.kind != "sorted whole":
        kinds = [[(x.shape, x.dtype) for x in _leaves(s)] for s in (a, a.merge(b))]
        assert kinds[0] == kinds[1]
        assert type(a.merge(b)) is type(a)


def _leaves(state):
    return (
        [x for field in state for x in _leaves(field)]
        if isinstance(state, tuple)
        else [state] * (state is not None)
    )


@every_metric
@drawn
@given(seed=seeds, n=sizes)
def test_order_of_samples(metric, seed, n):
    """Reordering the samples changes nothing, and reorders the gradient."""
    p, t = draw(metric, (n,), seed)
    w, m = excluded(metric, (n,), seed)
    order = np.random.default_rng(seed).permutation(n)
    one, slope = both(metric, p, t, weights=w, where=of_items(metric, m))
    value, gradient = both(
        metric, p[order], t[order], weights=w[order], where=of_items(metric, m[order])
    )
    close(value, one, 2, condition(metric, p[m], t[m], w[m]))
    close(gradient, slope[order], 2, np.max(np.abs(slope)))


@every_metric
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nan_is_not_lost(metric, dtype):
    """A nan, or a label that is none, makes the metric nan, however it is computed."""
    for place in (0, 1):
        arrays = draw(metric, (7, 2), dtype=dtype)
        if arrays[1].dtype.kind == "i":
            arrays[1][3, 1] = 0  # no label that is ignored
        spoil(arrays[place], (3, 1), np.nan)
        assert np.isnan(metric(*arrays)).all()
        assert np.isnan(metric(*arrays, weights=np.ones((7, 2)))).all()
        columns = metric(*arrays, axis=0)
        assert np.isfinite(columns[0]).all()
        assert np.isnan(columns[1]).all()
        halves = [metric.summary(*(a[half] for a in arrays)) for half in (slice(4), slice(4, 7))]
        assert np.isnan(metric.compute(halves[0].merge(halves[1]))).all()


@every_metric
def test_scale_of_weights(metric):
    """Only the proportions of the weights matter to a mean."""
    p, t = draw(metric, (9,))
    w, m = excluded(metric, (9,))
    close(
        metric(p, t, weights=4 * w, where=of_items(metric, m)),
        metric(p, t, weights=w, where=of_items(metric, m)),
        1,
    )
    close(metric(p, t, weights=np.full(9, 0.25)), metric(p, t), 2, condition(metric, p, t))


@every_metric
def test_round_trips(metric):
    """A metric survives pickle, copy and its own repr; it compares and hashes by value."""
    names = {**vars(il), "Quartic": Quartic, "Together": Together}
    for twin in (
        pickle.loads(pickle.dumps(metric)),
        copy.deepcopy(metric),
        eval(repr(metric), names),
    ):
        assert twin == metric
        assert hash(twin) == hash(metric)
        assert repr(twin) == repr(metric)
        assert type(twin) is type(metric)
    assert [other for other in ALL.values() if other == metric] == [metric]
    with pytest.raises(AttributeError):
        metric.anything = 1
    with pytest.raises(AttributeError):
        metric.delta = 1


@every_metric
def test_state_round_trip(metric):
    """A state survives pickle and copy: it can travel between processes and merge there."""
    p, t = draw(metric, (5,))
    state = metric.summary(p, t)
    for twin in (pickle.loads(pickle.dumps(state)), copy.deepcopy(state)):
        assert type(twin) is type(state)
        close(metric.compute(twin), metric.compute(state), 0)
        close(metric.compute(twin.merge(state)), metric(np.concatenate([p, p]), np.concatenate([t, t])), 2,
              condition(metric, p, t))  # fmt: skip


SCALING = {  # the metric of scaled data is scale ** degree times the metric
    "mean_squared_error": 2, "half_squared_error": 2, "root_mean_squared_error": 1, "mean_absolute_error": 1,
    "mean_bias_error": 1, "pinball": 1, "expectile": 2, "multi_quantile": 1, "max_error": 1,
    "median_absolute_error": 1, "r2_score": 0, "explained_variance_score": 0, "pearson_correlation": 0,
    "concordance_correlation": 0, "cosine_similarity": 0, "cosine_distance": 0, "gamma_deviance": 0,
    "poisson_deviance": 1, "tweedie_deviance": 0.5, "weighted_absolute_percentage_error": 0,
    "symmetric_mean_absolute_percentage_error": 0, "mean_absolute_percentage_error": 0,
}  # fmt: skip


@pytest.mark.parametrize(("name", "degree"), SCALING.items())
@pytest.mark.parametrize("factor", [4.0, 2.0**-6, 2.0**40, 2.0**-40])
def test_scaling(name, degree, factor):
    """Multiplying both inputs by a number multiplies the metric by a power of it, far out too."""
    metric = getattr(il, name)
    p, t = draw(metric, (11,), ends=False)
    factor = 1 / 1024 if name == "mean_absolute_percentage_error" and factor < 2**-10 else factor
    scaled = metric(np.float32(factor) * p, np.float32(factor) * t)
    close(scaled, np.float32(metric(p, t) * factor**degree), 4)


@pytest.mark.parametrize("name", ["pearson_correlation", "explained_variance_score", "r2_score"])
def test_shift(name):
    """A score about a mean does not change when both inputs are shifted."""
    metric = getattr(il, name)
    p, t = (np.round(x * 16) / 16 for x in draw(metric, (11,)))
    close(metric(p + np.float32(4096), t + np.float32(4096)), metric(p, t), 2, 1)


@pytest.mark.parametrize("name", ["pearson_correlation", "explained_variance_score", "r2_score",
                                  "concordance_correlation"])  # fmt: skip
@pytest.mark.parametrize("sizes", [(1e200, 1.0), (1e-200, 1.0), (1e-200, 1e200), (1e200, 1e190)])
def test_batches_of_different_sizes(name, sizes):
    """Batches whose squares are out of each other's range merge to the whole."""
    metric = getattr(il, name)
    parts = [
        [size * x for x in draw(metric, (7,), seed=seed, dtype="float64")]
        for seed, size in enumerate(sizes)
    ]
    whole = metric(*(np.concatenate(both) for both in zip(*parts, strict=True)))
    states = [metric.summary(*part) for part in parts]
    for one, two in (states, states[::-1]):
        close(metric.compute(one.merge(two)), whole, 8, 1)


def test_rounding_errors_merge():
    """What two merges lost adds up: 2 to the 53, and 1, twice."""
    large, one = ([2.0**53], [0.0]), ([1.0], [0.0])
    states = [il.mae.summary(*large).merge(il.mae.summary(*one)) for _ in range(2)]
    assert il.mae.compute(states[0].merge(states[1])) == 2.0**52 + 0.5


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("library", LIBRARIES)
def test_sums_that_overflow_have_a_mean(library, dtype):
    """Sums of batches may be finite and that of all not: the mean is, and a single batch's too."""
    backend = BACKENDS[library]()
    if dtype not in backend.dtypes:
        pytest.skip(f"{library} has no {dtype}")
    huge = float(np.finfo(dtype).max) * 0.75
    p, t = (backend.array(x, dtype) for x in ([huge, huge / 2], [0.0, 0.0]))
    one, two = il.mae.summary(p, t), il.mae.summary(t, p)
    for found in (il.mae(p, t), il.mae.compute(one), il.mae.compute(one.merge(two).merge(one))):
        close(np.asarray(backend.numbers(found), dtype), np.asarray(0.75 * huge, dtype), 4)
    small = il.mae.summary(p[1:], t[1:])
    found = il.mae.compute(small.merge(small).merge(small))
    close(np.asarray(backend.numbers(found), dtype), np.asarray(huge / 2, dtype), 4)


def test_tweedie_is_its_members():
    """The Tweedie deviance of power 0, 1, 2 is the squared error, the Poisson and the gamma deviance."""
    for power, other in ((0, il.mse), (1, il.poisson_deviance), (2, il.gamma_deviance)):
        p, t = draw(other, (40,))
        for pair in ((p, t), (p.astype(np.float64), t.astype(np.float64))):
            close(il.TweedieDeviance(power)(*pair), other(*pair), 4)


@pytest.mark.parametrize("options", [{}, {"axis": 0}, {"weights": True, "where": True}], ids=str)
def test_evaluate_is_each_call(options):
    """evaluate gives exactly what calling every metric gives."""
    for some in {inputs_of(m): m for m in ALL.values()}.values():
        metrics = [m for m in ALL.values() if inputs_of(m) == inputs_of(some)]
        p, t = draw(some, (6, 3))
        w, m = excluded(metrics[0], (6, 3))
        chosen = {
            k: {"weights": w, "where": of_items(some, m)}.get(k, v) for k, v in options.items()
        }
        found = il.evaluate({repr(m): m for m in metrics}, p, t, **chosen)
        assert list(found) == [repr(m) for m in metrics]
        for metric in metrics:
            close(found[repr(metric)], metric(p, t, **chosen), 0)
        assert il.evaluate(iter(metrics[:2]), p, t).keys() == il.evaluate(metrics[:2], p, t).keys()


def test_evaluate_takes_each_as_it_is():
    """Metrics of numbers and of rows, of one domain and of another, each take the same arrays alike."""
    p, t = np.random.default_rng(3).uniform(0.5, 2.0, (2, 5, 3)).astype("float32")
    metrics = [il.mse, il.cosine_distance, il.poisson_deviance, il.Huber(delta=0.25), il.rmsle]
    found = il.evaluate(metrics, p, t)
    names = ["mean_squared_error", "cosine_distance", "poisson_deviance", "Huber(delta=0.25)"]
    assert list(found) == [*names, "root_mean_squared_log_error"]
    for metric, one in zip(metrics, found.values(), strict=True):
        close(one, metric(p, t), 0)


@every_metric
def test_reductions_agree(metric):
    """mean = sum / sum of weights; sum = sum of what "none" returns; denominator replaces the weights."""
    p, t = draw(metric, (4, 3), dtype="float64")
    w, m = excluded(metric, (4, 3), dtype="float64")
    if metric.averages:
        total = np.sum(weights_that_count(metric, p, t, w, m))
        close(
            metric(p, t, weights=w, where=of_items(metric, m), denominator=total),
            metric(p, t, weights=w, where=of_items(metric, m)),
            4,
            1,
        )
        close(metric.compute(metric.summary(p, t, weights=w, where=of_items(metric, m)), denominator=total),
              metric(p, t, weights=w, where=of_items(metric, m)), 4, 1)  # fmt: skip
    if not metric.summable:
        for reduction in ("sum", "none"):
            with pytest.raises(ValueError, match="needs one term per sample"):
                metric(p, t, reduction=reduction)
        return
    terms = metric(p, t, weights=w, where=of_items(metric, m), reduction="none")
    assert terms.shape == (4, 3)
    assert np.all(terms[~m] == 0)
    size = np.mean(np.abs(terms)) * 12
    counted = weights_that_count(metric, p, t, w, m)
    for axis in (None, 0, (0, 1), -1, ()):
        summed = metric(p, t, weights=w, where=of_items(metric, m), reduction="sum", axis=axis)
        close(summed, np.sum(terms, axis=axis), 4, size)
        mean = metric(p, t, weights=w, where=of_items(metric, m), axis=axis, empty=0.0)
        count = np.sum(counted, axis=axis)
        close(mean, np.asarray(summed / np.where(count == 0, 1, count))[()], 4, size)
        divided = metric(
            p,
            t,
            weights=w,
            where=of_items(metric, m),
            axis=axis,
            denominator=np.full(np.shape(summed), 7.0),
        )
        close(divided, np.asarray(summed / 7)[()], 4, size)
    slope, _ = il.gradient_hessian(metric, p, t, weights=w, where=of_items(metric, m))
    size = np.max(np.abs(slope))
    close(
        il.gradient(metric, p, t, weights=w, where=of_items(metric, m), denominator=1.0),
        slope,
        8,
        size,
    )
    close(
        il.gradient(metric, p, t, weights=w, where=of_items(metric, m), reduction="sum"),
        slope,
        8,
        size,
    )


@every_metric
def test_axis_is_a_loop(metric):
    """axis reduces as a loop over the other axes does, and keepdims keeps axes of length 1."""
    p, t = draw(metric, (4, 3, 2))
    w, m = excluded(metric, (4, 3, 2))
    extra = extra_shape(metric)
    for axis, kept in (
        (0, (3, 2)),
        (1, (4, 2)),
        (-1, (4, 3)),
        ((0, 2), (3,)),
        ((-1, 1), (4,)),
        (None, ()),
    ):
        found = metric(p, t, weights=w, where=of_items(metric, m), axis=axis)
        assert found.shape == kept + extra
        axes = range(3) if axis is None else [a % 3 for a in np.atleast_1d(axis)]
        left = [a for a in range(3) if a not in axes]
        for index in np.ndindex(*kept):
            here = [slice(None)] * 3
            for a, i in zip(left, index, strict=True):
                here[a] = i
            here = tuple(here)
            one = metric(p[here], t[here], weights=w[here], where=of_items(metric, m[here]))
            close(found[index], one, 4, 1 + abs(one))
        kept_dims = metric(p, t, weights=w, where=of_items(metric, m), axis=axis, keepdims=True)
        ones = tuple(1 if a in axes else n for a, n in enumerate((4, 3, 2)))
        assert kept_dims.shape == ones + extra
        close(kept_dims.reshape(kept + extra), found, 0)


@every_metric
def test_event_axis(metric):
    """event_axis names the axis of a row; it makes no difference where that axis lies."""
    p, t = draw(metric, (5, 2))
    core_p, core_t = metric.core
    if not core_p + core_t:
        with pytest.raises(ValueError, match="event_axis"):
            metric(p, t, event_axis=0)
        return
    if len(core_p) > 1:  # one axis is not enough
        names = f"event_axis=0 must be 2 different axes: {', '.join(core_p)}"
        with pytest.raises(ValueError, match=names):
            metric(p, t, event_axis=0)
        return
    moved = np.moveaxis(p, -1, 0) if core_p else p, np.moveaxis(t, -1, 0) if core_t else t
    close(metric(*moved, event_axis=0), metric(p, t), 0)
    _, slope = both(metric, *moved, event_axis=0)
    close(np.moveaxis(slope, 0, -1) if core_p else slope, both(metric, p, t)[1], 1, 1)


@every_metric
def test_nothing_left(metric):
    """Where nothing is left, the value is ``empty``, nan unless set, and the gradient is 0."""
    p, t = draw(metric, (6, 2))
    none = np.zeros((6, 2), dtype=bool)
    none[:, 1] = True
    mask = of_items(metric, none)
    for options in (
        {"where": mask},
        {"weights": none},
        {"weights": none.astype(float), "where": mask},
    ):
        found = metric(p, t, axis=0, **options)
        assert np.isnan(found[0]).all()
        assert np.isfinite(found[1]).all()
        filled = metric(p, t, axis=0, empty=-3.0, **options)
        assert np.all(filled[0] == -3)
        close(filled[1], found[1], 0)
    value, slope = both(
        metric, p, t, where=of_items(metric, np.zeros((6, 2), dtype=bool)), empty=0.0
    )
    assert np.all(value == 0)
    assert np.all(slope == 0)
    empty_p, empty_t = draw(metric, (0,))
    assert np.isnan(metric(empty_p, empty_t)).all()
    filled = metric(empty_p, empty_t, empty=2.0)
    assert filled.shape == extra_shape(metric)
    assert np.all(filled == 2)
    if metric.averages:
        assert np.isnan(metric(p, t, denominator=0.0))


@every_metric
def test_memory_layouts(metric, tmp_path):
    """Read-only, Fortran-ordered, strided, byte-swapped and memory-mapped inputs give the same; none is written to."""
    p, t = draw(metric, (6, 4))
    want, slope = both(metric, p, t)
    columns = metric(p, t, axis=0)

    def mapped(name, array):
        np.save(tmp_path / f"{name}.npy", array)
        return np.load(tmp_path / f"{name}.npy", mmap_mode="r")

    def strided(array):
        return np.repeat(array, 2, axis=0)[::2]

    def read_only(array):
        array = array.copy()
        array.flags.writeable = False
        return array

    layouts = {
        "read-only": (read_only(p), read_only(t)),
        "Fortran": (np.asfortranarray(p), np.asfortranarray(t)),
        "mixed": (np.asfortranarray(p), t),
        "strided": (strided(p), strided(t)),
        "reversed": (p[::-1].copy()[::-1], t[::-1].copy()[::-1]),
        "swapped": tuple(x.astype(x.dtype.newbyteorder(">")) for x in (p, t)),
        "mapped": (mapped("p", p), mapped("t", t)),
        "lists": (p.tolist(), t.tolist()),
    }
    for a, b in layouts.values():
        before = np.array(a), np.array(b)
        value, gradient = both(metric, a, b)
        if not isinstance(a, list):
            assert gradient.dtype == a.dtype
            close(value, want, 1, condition(metric, p, t))
        close(np.float32(gradient), slope, 4, np.max(np.abs(slope)))
        close(np.float32(metric(a, b, axis=0)), columns, 4, 1 + np.abs(columns))
        for old, new in zip(before, (a, b), strict=True):
            np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("library", [name for name in LIBRARIES if name != "array_api_strict"])
def test_counts_beyond_float32(library):
    """Merged states and masks count on beyond 2**24, where a float32 would stop counting."""
    backend = BACKENDS[library]()
    batch = 2**22 + 1
    p, t = (backend.xp.asarray(make(batch, dtype="float32")) for make in (np.ones, np.zeros))
    mask = np.ones(batch, dtype=bool)
    mask[0] = False
    for options, count in (({}, batch), ({"where": backend.xp.asarray(mask)}, batch - 1)):
        state = il.mean_bias_error.summary(p, t, **options)
        total, merged = count, state
        for _ in range(2):  # to about 2**24, and three more one by one, which a float32 would lose
            merged, total = merged.merge(merged), 2 * total
        for _ in range(3):
            merged, total = merged.merge(il.mean_bias_error.summary(p[:1], t[:1])), total + 1
        for part in (merged.weight, merged.total):
            assert int(part.value) + int(part.error) == total
        assert float(il.mean_bias_error.compute(merged)) == 1


@pytest.mark.parametrize("library", LIBRARIES)
def test_narrow_inputs(library):
    """Half precision is squared in float32; unsigned, signed and boolean inputs are subtracted as numbers."""
    backend = BACKENDS[library]()
    array = lambda numbers, dtype: backend.xp.asarray(numbers, dtype=getattr(backend.xp, dtype))  # noqa: E731
    if "float16" in backend.dtypes:
        p, t = array([300.0] + [0.0] * 9, "float16"), array([0.0] * 10, "float16")
        found = il.mse(p, t)
        assert backend.dtype(found) == "float32"
        assert float(found) == 9000
        slope = il.gradient(il.mse, p, t)
        assert backend.dtype(slope) == "float16"
        assert float(slope[0]) == 60
    default = backend.dtype(backend.xp.asarray([0.5]))
    for dtype in ("uint8", "int8", "int32", "int64")[: 4 if backend.float64 else 3]:
        found = il.mean_bias_error(array([[0, 100]], dtype), array([[100, 101]], dtype))
        assert float(found) == -50.5
        assert backend.dtype(found) == default
    assert float(il.mse(array([0, 255], "uint8"), array([255, 0], "uint8"))) == 65025
    assert float(il.mae(array([-128, 127], "int8"), array([127, -128], "int8"))) == 255
    assert float(il.mae(array([True, False], "bool"), array([False, False], "bool"))) == 0.5
    if backend.float64:
        big = 2**53
        assert float(il.mae(array([big], "int64"), array([big - 1], "int64"))) == 1


def test_input_that_is_no_array():
    """Numbers, lists, NumPy's scalars, longdouble and anything with ``__array__`` are NumPy input."""

    class Column:
        def __array__(self, dtype=None, copy=None):
            return np.asarray([1.0, 3.0], dtype=dtype or np.float32)

    for p, t, dtype in (
        (Column(), Column(), "float32"),
        (Column(), [0, 0], "float32"),
        ([1, 3], [0, 0], "float64"),
        (np.float32(2), np.float32(0), "float32"),
        ([np.float32(1), np.float32(3)], [np.float32(0)] * 2, "float32"),
        (2, 0, "float64"),
        (np.longdouble([1, 3]), [0, 0], np.longdouble),
    ):
        found = il.mean_bias_error(p, t, axis=np.int64(0) if np.ndim(p) else None)
        assert found.dtype == dtype
        assert found == (2 if t is not p and not isinstance(t, Column) else 0)
    tenth = np.longdouble(1) / 10
    close(il.rmse([tenth, tenth], np.zeros(2, np.longdouble)), tenth, 2)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_number_beside_an_array(library):
    """Numbers and 0-d arrays are held against every sample, on either side; other shapes are not."""
    backend = BACKENDS[library]()
    array = backend.array([1.0, 3.0, 5.0], "float32")
    for number in (2.0, 2, backend.array(2.0, "float32")):
        for pair, bias in (((array, number), 1.0), ((number, array), -1.0)):
            assert float(il.mbe(*pair)) == bias
            assert tuple(il.mbe(*pair, reduction="none").shape) == (3,)
            assert tuple(il.mbe(*pair, axis=0, keepdims=True).shape) == (1,)
    zero = backend.array(2.0, "float32")
    assert tuple(il.mbe(zero, zero, reduction="none").shape) == ()
    for reduction in ("none", "sum", "mean"):
        assert type(il.mbe(2.0, np.array(1.0), reduction=reduction)) is np.float64


def test_hyper_parameters_of_numpy():
    """NumPy's scalars and arrays of quantiles become Python numbers, which compare and hash."""
    assert il.Huber(np.float32(0.5)) == il.Huber(np.array(0.5)) == il.Huber(0.5)
    assert type(il.Huber(np.float32(0.5)).delta) is type(il.Huber(np.array(0.5)).delta) is float
    assert il.MultiQuantile(np.array([0.25, 0.75])) == il.MultiQuantile([0.25, 0.75])
    assert hash(il.MultiQuantile(np.array([0.25, 0.75]))) == hash(il.MultiQuantile((0.25, 0.75)))


@every_metric
def test_long_double(metric):
    """NumPy's long double stays long double, in values, states and gradients."""
    p, t = draw(metric, (7,), dtype="longdouble")
    near = wide(p, t)
    (one, slope), (value, gradient) = both(metric, *near), both(metric, p, t)
    again = metric.compute(metric.summary(p[:3], t[:3]).merge(metric.summary(p[3:], t[3:])))
    assert value.dtype == again.dtype == gradient.dtype == "longdouble"
    for found in (value, again):
        close(np.float64(found), one, 4, condition(metric, *near))
    # a power of a mean similarity near 0 is steep
    bound = 256 if len(metric.core[0]) > 1 else 64
    close(np.float64(gradient), slope, bound, np.max(np.abs(slope)))


@pytest.mark.parametrize("library", LIBRARIES)
def test_masks_along_an_axis(library):
    """Every library counts what a mask leaves along each axis, and along none."""
    backend = BACKENDS[library]()
    for metric in (il.huber, il.r2_score, il.cosine_similarity, il.max_error):
        p, t = draw(metric, (5, 4))
        _, m = excluded(metric, (5, 4))
        a, b, mask = (backend.xp.asarray(x.copy()) for x in (p, t, m))
        for axis in (0, 1, -1, (0, 1)):
            for keepdims in (False, True):
                found = metric(a, b, where=of_items(metric, mask), axis=axis, keepdims=keepdims)
                want = metric(
                    *(x.astype("float64") for x in (p, t)), where=of_items(metric, m), axis=axis
                )
                want = np.expand_dims(want, axis) if keepdims else want
                close(np.asarray(backend.numbers(found), "float32"), np.float32(want), 8, 1)


# JAX compiles each anew; the other hyper-parameters are compared in the conformance suite
ELSEWHERE = [
    pytest.param(library, metric, id=f"{library}-{name}")
    for library in LIBRARIES
    if library != "numpy"
    for name, metric in (CENTRAL if library == "jax" else ALL).items()
]


@pytest.mark.parametrize(("library", "metric"), ELSEWHERE)
def test_other_libraries(library, metric):
    """On every library: masked is removed, batches are the whole, weights repeat, order does not matter."""
    backend = BACKENDS[library]()
    xp = backend.xp
    array = lambda x: xp.asarray(x.copy())  # noqa: E731
    p, t = draw(metric, (8,))
    w, m = excluded(metric, (8,))
    numbers = lambda x: np.asarray(backend.numbers(x), dtype=np.float32)  # noqa: E731
    p64, t64, w64 = wide(p, t, w)
    want, slope = map(np.float32, both(metric, p64[m], t64[m], weights=w64[m]))
    size = condition(metric, p[m], t[m], w[m])
    spoil(p, ~m, np.nan)
    spoil(t, ~m, np.inf)
    options = {"weights": array(w), "where": array(of_items(metric, m))}
    value, gradient = both(metric, array(p), array(t), **options)
    assert backend.dtype(value) == backend.dtype(gradient) == "float32"
    close(numbers(value), want, 16, size)
    close(numbers(gradient)[m], slope, 16, np.max(np.abs(slope)))
    assert np.all(numbers(gradient)[~m] == 0)
    parts = [slice(4, None), slice(0, 4)]  # of one shape; test_streaming has those of others
    states = [
        metric.summary(
            array(p[s]), array(t[s]), weights=array(w[s]), where=array(of_items(metric, m[s]))
        )
        for s in parts
    ]
    merged = functools.reduce(lambda a, b: a.merge(b), states)
    close(numbers(metric.compute(merged)), want, 16, size)
