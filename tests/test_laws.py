"""Laws that hold for every metric: what it means to mask, to weigh, to merge, to reorder.

What depends on the formula runs over every metric, what depends on the structure over one metric
of each. Both run on NumPy; `test_other_libraries` repeats the essence on every other library.
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
from conformance.kit.comparison import close
from conformance.kit.condition import cancellation, magnified
from conformance.kit.drawing import (
    draw,
    excluded,
    inputs_of,
    joined,
    of_items,
    spoiled,
    wide,
)
from conformance.kit.expected import extra_shape, one_number
from conformance.kit.laws import law
from conformance.kit.metrics import ALL, Quartic
from conformance.kit.structures import STATES, STRUCTURES
from conformance.kit.trees import leaves, tree_map
from isoloss._core.inputs import Inputs

LIBRARIES = installed()
drawn = settings(
    max_examples=8, derandomize=True, deadline=None, database=None, phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
seeds = st.integers(0, 2**16)
sizes = st.integers(3, 40)


def both(metric, p, t, **options):
    """Return value and gradient: a law holds for the two of them."""
    if extra_shape(metric):  # of several numbers, the gradient of the first
        return metric(p, t, **options), il.gradient(one_number(metric), p, t, **options)
    return il.value_and_gradient(metric, p, t, **options)


def steepest(slope):
    """Return the largest number of each array of a gradient."""
    return tree_map(lambda x: np.max(np.abs(x), initial=0.0), slope)


def take(tree, index):
    return tree_map(lambda x: x[index], tree)


def weights_that_count(metric, p, t, w, m):
    """Return the weights given, times those that targets bring along; 0 where a sample is left out."""
    xp = Inputs(metric, p, t).xp
    mask, factor = metric.included(xp, t), metric.importance(xp, t)
    return w * m * (1 if mask is None else mask) * (1 if factor is None else factor)


# --- of every metric ------------------------------------------------------------------------------

EXCLUDED = {  # how samples are left out, and what stands in their place
    "where": np.nan,
    "weights": np.inf,
    "both": -5.0,
    "where alone": 1e30,
}


@law(ALL)
def test_excluded_is_removed(metric):
    """A masked sample, or one of weight 0, counts as if it were not there, whatever it holds."""
    for seed, (by, bad) in enumerate(EXCLUDED.items()):
        n = 5 + 8 * seed
        samples = draw(metric, (n,), seed)
        w, m = excluded(metric, (n,), seed)
        w = np.ones_like(w) if by == "where alone" else w
        value, slope = both(metric, *samples[m], weights=w[m])
        p, t = spoiled(samples.predictions, ~m, bad), spoiled(samples.targets, ~m, -bad)
        options = {
            "where": {"weights": w, "where": of_items(metric, m)},
            "where alone": {"where": of_items(metric, m)},
            "weights": {"weights": np.where(m, w, 0)},
            "both": {"weights": np.where(m, w, np.nan), "where": of_items(metric, m)},
        }[by]
        masked, gradient = both(metric, p, t, **options)
        close(masked, value, 2, cancellation(metric, *samples[m], w[m]))
        close(take(gradient, m), slope, 2, steepest(slope))
        for array in leaves(gradient):
            assert np.all(array[~m] == 0)


@law(ALL)
def test_nan_is_not_lost(metric):
    """A nan, or a label that does not exist, makes the metric nan, however it is computed, and no other row."""
    for dtype, side in itertools.product(("float32", "float64"), (0, 1)):
        samples = draw(metric, (7, 2), dtype=dtype)
        if getattr(metric, "ignore_index", None) is not None:
            samples.targets[3, 1] = 0  # a label that counts
        for array in range(len(leaves(tuple(samples)[side]))):
            sides = [list(leaves(tree)) for tree in samples]
            sides[side][array] = spoiled(sides[side][array], (3, 1), np.nan)
            bad = type(samples)(*(
                tuple(arrays) if isinstance(tree, tuple) else arrays[0]
                for arrays, tree in zip(sides, samples, strict=True)
            ))  # fmt: skip
            assert np.isnan(metric(*bad)).all()
            assert np.isnan(metric(*bad, weights=np.ones((7, 2)))).all()
            columns = metric(*bad, axis=0)
            close(columns[0], metric(*samples, axis=0)[0], 0)
            assert np.isnan(columns[1]).all()
            halves = [metric.summary(*bad[half]) for half in (slice(4), slice(4, 7))]
            assert np.isnan(metric.compute(halves[0].merge(halves[1]))).all()
    rows = spoiled(samples.predictions, (slice(None), 1), np.nan)  # the whole row of one result
    columns = metric(rows, samples.targets, axis=0)
    close(columns[0], metric(*samples, axis=0)[0], 0)
    assert np.isnan(columns[1]).all()


@law(ALL)
def test_round_trips(metric):
    """A metric survives pickle, copy and its own repr; it compares and hashes by value."""
    names = {**vars(il), "Quartic": Quartic}
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


@law(ALL)
def test_batches_are_the_whole(metric):
    """States of batches of any sizes, the empty ones included, merge to the whole's, in any order."""
    for seed, (cuts, dtype) in enumerate([((3, 3, 9), "float32"), ((1, 12), "float64")]):
        check_batches(metric, seed, 13, cuts, dtype)


# --- of every structure ---------------------------------------------------------------------------


@law(STRUCTURES)
@drawn
@given(
    seed=seeds,
    n=sizes,
    cuts=st.lists(st.integers(0, 40), max_size=4),
    dtype=st.sampled_from(["float32", "float64"]),
)
def test_any_batches_are_the_whole(metric, seed, n, cuts, dtype):
    """The same for drawn sizes and places to cut."""
    check_batches(metric, seed, n, [min(cut, n) for cut in cuts], dtype)


def check_batches(metric, seed, n, cuts, dtype):
    """Compare merged states of batches with the whole."""
    samples = draw(metric, (n,), seed, dtype)
    w, m = excluded(metric, (n,), seed, dtype)
    edges = [0, *sorted(cuts), n]
    batches = [slice(a, b) for a, b in itertools.pairwise(edges)] + [slice(0)]
    states = [
        metric.summary(*samples[part], weights=w[part], where=of_items(metric, m[part]))
        for part in batches
    ]
    whole = metric(*samples, weights=w, where=of_items(metric, m))
    size = cancellation(metric, *samples[m], w[m])
    merge = functools.partial(functools.reduce, lambda a, b: a.merge(b))
    shuffled = [states[k] for k in np.random.default_rng(seed).permutation(len(states))]
    for order in (states, states[::-1], shuffled):
        close(metric.compute(merge(order)), whole, 4, size)


SORTED = {
    "ties share the gradient of repeated samples": lambda m: m.kind in ("extremum", "sorted whole")
}


@law(STRUCTURES)
@drawn
@given(seed=seeds, n=sizes)
def test_integer_weights_are_repetition(metric, seed, n):
    """A sample of weight 3 counts as three samples."""
    samples, w, repeated = with_repetition(metric, seed, n)
    want = metric(*repeated)
    close(metric(*samples, weights=w), want, 8, cancellation(metric, *samples, w))


@law(STRUCTURES, SORTED)
@drawn
@given(seed=seeds, n=sizes)
def test_gradient_of_repetition(metric, seed, n):
    """The gradient of a sample of weight 3 is the sum of those of three samples."""
    samples, w, repeated = with_repetition(metric, seed, n)
    _, slope = both(metric, *repeated)
    _, gradient = both(metric, *samples, weights=w)
    first = np.minimum(np.cumsum(w) - w, w.sum() - 1)

    def added(slope):
        counts = w.reshape(-1, *[1] * (slope.ndim - 1))
        return np.where(counts > 0, slope[first], 0) * counts

    close(gradient, tree_map(added, slope), 64, steepest(slope))


def with_repetition(metric, seed, n):
    """Return samples, integer weights, and the samples repeated as often."""
    samples = draw(metric, (n,), seed, "float64")
    w = np.random.default_rng(seed).integers(0, 4, n)
    w[:2] = 1, 2
    return samples, w, samples.map(lambda x: np.repeat(x, w, axis=0))


@law(STRUCTURES)
@drawn
@given(seed=seeds, dtype=st.sampled_from(["float32", "float64"]))
def test_merge_commutes_and_associates(metric, seed, dtype):
    """merge gives the whole's value in either order and any grouping, and keeps kind, shapes and dtypes."""
    batches = [draw(metric, (5 + k, 2), seed + k, dtype) for k in range(3)]
    a, b, c = (metric.summary(*batch, axis=0) for batch in batches)
    value = metric.compute(a.merge(b).merge(c))
    size = np.maximum(np.abs(value), 1)
    size = size * magnified(metric, joined(batches).targets, axis=0)
    close(value, metric(*joined(batches), axis=0), 4, size)
    close(metric.compute(a.merge(b.merge(c))), value, 4, size)
    other_way = metric.compute(b.merge(a))
    size = (np.abs(other_way) + 1) * magnified(metric, joined(batches[:2]).targets, axis=0)
    close(metric.compute(a.merge(b)), other_way, 2, size)
    if metric.kind != "sorted whole":
        kinds = [[(x.shape, x.dtype) for x in leaves(s)] for s in (a, a.merge(b))]
        assert kinds[0] == kinds[1]
        assert type(a.merge(b)) is type(a)


@law(STRUCTURES)
@drawn
@given(seed=seeds, n=sizes)
def test_order_of_samples(metric, seed, n):
    """Reordering the samples changes nothing, and reorders the gradient."""
    samples = draw(metric, (n,), seed)
    w, m = excluded(metric, (n,), seed)
    order = np.random.default_rng(seed).permutation(n)
    want, slope = both(metric, *samples, weights=w, where=of_items(metric, m))
    value, gradient = both(
        metric, *samples[order], weights=w[order], where=of_items(metric, m[order])
    )
    close(value, want, 2, cancellation(metric, *samples[m], w[m]))
    close(gradient, take(slope, order), 2, steepest(slope))


@law(
    STRUCTURES,
    {"it gives the weights of its bins": lambda m: isinstance(m, il.ReliabilityDiagram)},
)
def test_scale_of_weights(metric):
    """Only the proportions of the weights matter to a mean."""
    samples = draw(metric, (9,))
    w, m = excluded(metric, (9,))
    mask = of_items(metric, m)
    scaled = metric(*samples, weights=4 * w, where=mask)
    close(scaled, metric(*samples, weights=w, where=mask), 1)
    quarters = metric(*samples, weights=np.full(9, 0.25))
    close(quarters, metric(*samples), 2, cancellation(metric, *samples))


@law(STRUCTURES)
def test_state_round_trip(metric):
    """A state survives pickle and copy: it can travel between processes and merge there."""
    samples = draw(metric, (5,))
    state = metric.summary(*samples)
    for twin in (pickle.loads(pickle.dumps(state)), copy.deepcopy(state)):
        assert type(twin) is type(state)
        close(metric.compute(twin), metric.compute(state), 0)
        twice = metric.compute(twin.merge(state))
        close(twice, metric(*joined([samples, samples])), 2, cancellation(metric, *samples))


@law(STRUCTURES)
def test_reductions_agree(metric):
    """mean = sum / sum of weights; sum = sum of what "none" returns; denominator replaces the weights."""
    samples = draw(metric, (4, 3), dtype="float64")
    w, m = excluded(metric, (4, 3), dtype="float64")
    options = {"weights": w, "where": of_items(metric, m)}
    if metric.averages:
        total = np.sum(weights_that_count(metric, *samples, w, m))
        want = metric(*samples, **options)
        close(metric(*samples, **options, denominator=total), want, 4, 1)
        close(metric.compute(metric.summary(*samples, **options), denominator=total), want, 4, 1)
    if not metric.summable:
        for reduction in ("sum", "none"):
            with pytest.raises(ValueError, match="needs one term per sample"):
                metric(*samples, reduction=reduction)
        return
    terms = metric(*samples, **options, reduction="none")
    assert terms.shape == (4, 3)
    assert np.all(terms[~m] == 0)
    size = np.mean(np.abs(terms)) * 12
    counted = weights_that_count(metric, *samples, w, m)
    for axis in (None, 0, (0, 1), -1, ()):
        summed = metric(*samples, **options, reduction="sum", axis=axis)
        close(summed, np.sum(terms, axis=axis), 4, size)
        mean = metric(*samples, **options, axis=axis, empty=0.0)
        count = np.sum(counted, axis=axis)
        close(mean, np.asarray(summed / np.where(count == 0, 1, count))[()], 4, size)
        seven = np.full(np.shape(summed), 7.0)
        divided = metric(*samples, **options, axis=axis, denominator=seven)
        close(divided, np.asarray(summed / 7)[()], 4, size)
    slope, _ = il.gradient_hessian(metric, *samples, **options)
    for chosen in ({"denominator": 1.0}, {"reduction": "sum"}):
        close(il.gradient(metric, *samples, **options, **chosen), slope, 8, steepest(slope))


@law(STRUCTURES)
def test_axis_is_a_loop(metric):
    """axis reduces as a loop over the other axes does, and keepdims keeps axes of length 1."""
    samples = draw(metric, (4, 3, 2))
    w, m = excluded(metric, (4, 3, 2))
    options = {"weights": w, "where": of_items(metric, m)}
    extra = extra_shape(metric)
    for axis, kept in (
        (0, (3, 2)),
        (1, (4, 2)),
        (-1, (4, 3)),
        ((0, 2), (3,)),
        ((-1, 1), (4,)),
        (None, ()),
    ):
        values = metric(*samples, **options, axis=axis)
        assert values.shape == kept + extra
        axes = range(3) if axis is None else [a % 3 for a in np.atleast_1d(axis)]
        left = [a for a in range(3) if a not in axes]
        for index in np.ndindex(*kept):
            here = [slice(None)] * 3
            for a, i in zip(left, index, strict=True):
                here[a] = i
            part = {"weights": w[tuple(here)], "where": of_items(metric, m[tuple(here)])}
            want = metric(*samples[tuple(here)], **part)
            close(values[index], want, 4, 1 + abs(want))
        kept_dims = metric(*samples, **options, axis=axis, keepdims=True)
        ones = tuple(1 if a in axes else n for a, n in enumerate((4, 3, 2)))
        assert kept_dims.shape == ones + extra
        close(kept_dims.reshape(kept + extra), values, 0)


@law(STRUCTURES)
def test_event_axis(metric):
    """event_axis names the axis of a row; it makes no difference where that axis lies."""
    samples = draw(metric, (5, 2))
    cores = metric.parts[0] + metric.parts[1]
    if not any(cores):
        with pytest.raises(ValueError, match="event_axis"):
            metric(*samples, event_axis=0)
        return
    several = next((core for core in cores if len(core) > 1), None)
    if several:  # one axis is not enough
        names = f"event_axis=0 must be {len(several)} different axes: {', '.join(several)}"
        with pytest.raises(ValueError, match=names):
            metric(*samples, event_axis=0)
        return

    def first(tree, side):
        """Move the row of each array first."""
        if not isinstance(tree, tuple):
            return np.moveaxis(tree, -1, 0) if metric.parts[side][0] else tree
        return tuple(
            np.moveaxis(array, -1, 0) if core else array
            for array, core in zip(tree, metric.parts[side], strict=True)
        )

    moved = [first(tree, side) for side, tree in enumerate(samples)]
    close(metric(*moved, event_axis=0), metric(*samples), 0)
    _, slope = both(metric, *moved, event_axis=0)
    close(slope, first(both(metric, *samples)[1], 0), 1, 1)


@law(STRUCTURES)
def test_nothing_left(metric):
    """Where nothing is left, the value is ``empty``, nan unless set, and the gradient is 0."""
    samples = draw(metric, (6, 2))
    none = np.zeros((6, 2), dtype=bool)
    none[:, 1] = True
    mask = of_items(metric, none)
    for options in (
        {"where": mask},
        {"weights": none},
        {"weights": none.astype(float), "where": mask},
    ):
        values = metric(*samples, axis=0, **options)
        assert np.isnan(values[0]).all()
        assert np.isfinite(values[1]).all()
        filled = metric(*samples, axis=0, empty=-3.0, **options)
        assert np.all(filled[0] == -3)
        close(filled[1], values[1], 0)
    nothing = of_items(metric, np.zeros((6, 2), dtype=bool))
    value, slope = both(metric, *samples, where=nothing, empty=0.0)
    assert np.all(value == 0)
    assert all(np.all(array == 0) for array in leaves(slope))
    empty = draw(metric, (0,))
    assert np.isnan(metric(*empty)).all()
    filled = metric(*empty, empty=2.0)
    assert filled.shape == extra_shape(metric)
    assert np.all(filled == 2)
    if metric.averages:
        assert np.isnan(metric(*samples, denominator=0.0))


@law(STRUCTURES)
def test_memory_layouts(metric, tmp_path):
    """Read-only, Fortran-ordered, strided, byte-swapped and memory-mapped inputs give the same; none is written to."""
    samples = draw(metric, (6, 4))
    want, slope = both(metric, *samples)
    columns = metric(*samples, axis=0)
    files = itertools.count()

    def mapped(array):
        path = tmp_path / f"{next(files)}.npy"
        np.save(path, array)
        return np.load(path, mmap_mode="r")

    def read_only(array):
        array = array.copy()
        array.flags.writeable = False
        return array

    layouts = {
        "read-only": read_only,
        "Fortran": np.asfortranarray,
        "strided": lambda array: np.repeat(array, 2, axis=0)[::2],
        "reversed": lambda array: array[::-1].copy()[::-1],
        "swapped": lambda array: array.astype(array.dtype.newbyteorder(">")),
        "mapped": mapped,
    }
    batches = {name: samples.map(layout) for name, layout in layouts.items()}
    batches["mixed"] = type(samples)(batches["Fortran"].predictions, samples.targets)
    for batch in batches.values():
        before = batch.map(np.array)
        value, gradient = both(metric, *batch)
        close(value, want, 1, cancellation(metric, *samples))
        for array, like in zip(leaves(gradient), leaves(batch.predictions), strict=True):
            assert array.dtype == like.dtype
        close(narrow(gradient), slope, 4, steepest(slope))
        close(metric(*batch, axis=0), columns, 4, 1 + np.abs(columns))
        for old, new in zip(leaves(tuple(before)), leaves(tuple(batch)), strict=True):
            np.testing.assert_array_equal(old, new)
    value, gradient = both(metric, *samples.map(lambda array: array.tolist()))
    close(np.float32(value), np.float32(want), 4, cancellation(metric, *samples))
    close(narrow(gradient), slope, 4, steepest(slope))


def narrow(tree):
    return tree_map(np.float32, tree)


@law(STRUCTURES)
def test_long_double(metric):
    """NumPy's long double stays long double, in values, states and gradients."""
    samples = draw(metric, (7,), dtype="longdouble")
    near = samples.map(lambda array: wide(array)[0])
    (want, slope), (value, gradient) = both(metric, *near), both(metric, *samples)
    parts = [metric.summary(*samples[part]) for part in (slice(3), slice(3, None))]
    again = metric.compute(parts[0].merge(parts[1]))
    assert {x.dtype for x in (value, again, *leaves(gradient))} == {np.dtype("longdouble")}
    for result in (value, again):
        close(np.float64(result), want, 4, cancellation(metric, *near))
    # a power of a mean similarity near 0 is steep
    bound = 256 if len(metric.core[0]) > 1 else 64
    close(tree_map(np.float64, gradient), slope, bound, steepest(slope))


@pytest.mark.parametrize("options", [{}, {"axis": 0}, {"weights": True, "where": True}], ids=str)
def test_evaluate_is_each_call(options):
    """evaluate gives exactly what calling every metric gives."""
    alike = {}
    for metric in ALL.values():
        alike.setdefault(inputs_of(metric), []).append(metric)
    for metrics in alike.values():
        samples = draw(metrics[0], (6, 3))
        w, m = excluded(metrics[0], (6, 3))
        given = {"weights": w, "where": of_items(metrics[0], m)}
        chosen = {name: given.get(name, option) for name, option in options.items()}
        values = il.evaluate({repr(m): m for m in metrics}, *samples, **chosen)
        assert list(values) == [repr(m) for m in metrics]
        for metric in metrics:
            close(values[repr(metric)], metric(*samples, **chosen), 0)
        two = metrics[:2]
        assert il.evaluate(iter(two), *samples).keys() == il.evaluate(two, *samples).keys()


def test_evaluate_takes_each_as_it_is():
    """Metrics of numbers and of rows, of one domain and of another, each take the same arrays alike."""
    p, t = np.random.default_rng(3).uniform(0.5, 2.0, (2, 5, 3)).astype("float32")
    metrics = [il.mse, il.cosine_distance, il.poisson_deviance, il.Huber(delta=0.25), il.rmsle]
    values = il.evaluate(metrics, p, t)
    names = ["mean_squared_error", "cosine_distance", "poisson_deviance", "Huber(delta=0.25)"]
    assert list(values) == [*names, "root_mean_squared_log_error"]
    for metric, value in zip(metrics, values.values(), strict=True):
        close(value, metric(p, t), 0)


# --- of every library -----------------------------------------------------------------------------


# JAX compiles a program for each; test_transforms_jax has the same of every structure, jitted
@pytest.mark.parametrize("library", [name for name in LIBRARIES if name not in ("numpy", "jax")])
@pytest.mark.parametrize("metric", STATES.values(), ids=STATES)
def test_other_libraries(library, metric):
    """With all libraries in one process, masked is removed and batches are the whole on each of them."""
    backend = BACKENDS[library]()
    array = lambda tree: tree_map(lambda x: backend.xp.asarray(x.copy()), tree)  # noqa: E731
    samples = draw(metric, (8,), dtype="float32")
    w, m = excluded(metric, (8,), dtype="float32")
    exact = samples[m].map(lambda x: wide(x)[0])
    want, slope = both(metric, *exact, weights=wide(w[m])[0])
    size = cancellation(metric, *samples[m], w[m])
    p, t = spoiled(samples.predictions, ~m, np.nan), spoiled(samples.targets, ~m, np.inf)
    options = {"weights": array(w), "where": array(of_items(metric, m))}
    value, gradient = both(metric, array(p), array(t), **options)
    for result in (value, *leaves(gradient)):
        assert backend.dtype(result) == "float32"
    close(value, want, 16, size)
    gradient = tree_map(lambda x: np.asarray(backend.numbers(x), np.float32), gradient)
    close(take(gradient, m), slope, 16, steepest(slope))
    for result in leaves(gradient):
        assert np.all(result[~m] == 0)
    states = [  # of one shape; test_streaming has those of others
        metric.summary(
            *(array(take(tree, part)) for tree in (p, t)),
            weights=array(w[part]),
            where=array(of_items(metric, m[part])),
        )
        for part in (slice(4, None), slice(0, 4))
    ]
    close(metric.compute(states[0].merge(states[1])), want, 16, size)


# --- what holds for some ---------------------------------------------------------------------------

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


def test_masks_along_an_axis(backend):
    """Every library counts what a mask leaves along each axis, and keeps the axis where asked."""
    array = lambda x: backend.xp.asarray(x.copy())  # noqa: E731
    for metric in (il.huber, il.r2_score, il.max_error):
        samples = draw(metric, (5, 4), dtype="float32")
        _, m = excluded(metric, (5, 4))
        for axis, keepdims in ((0, False), (-1, True), ((0, 1), True)):
            options = {"axis": axis, "keepdims": keepdims}
            want = metric(*samples.map(np.float64), where=m, **options)
            close(metric(*samples.map(array), where=array(m), **options), want, 8, 1)


def test_options_of_a_gradient(backend):
    """On every library, a gradient is that of the weights, the mask and the denominator given."""
    p, t, w = (backend.array(x, "float32") for x in ([1.0, 2.0, 9.0], [0.0] * 3, [1.0, 3.0, 5.0]))
    options = {"weights": w, "where": backend.given(np.array([True, True, False]))}
    value, slope = il.value_and_gradient(il.mse, p, t, **options)  # (1 + 3 * 4) / (1 + 3)
    assert (float(value), backend.numbers(slope)) == (3.25, [0.5, 3.0, 0.0])
    value, slope = il.value_and_gradient(il.mse, p, t, **options, denominator=2)
    assert (float(value), backend.numbers(slope)) == (6.5, [1.0, 6.0, 0.0])
