"""Every metric under every transform of JAX: the value and gradient are those of a plain call.

What a transform must give is computed by NumPy in float64, from the same numbers.
"""

from __future__ import annotations

import dataclasses
import functools
import os

# eight devices to shard over
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
)

import numpy as np
import pytest

jax = pytest.importorskip("jax")

import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import isoloss as il
from conformance.kit.backends import Jax
from conformance.kit.comparison import close as within
from conformance.kit.drawing import DTYPE, draw, excluded, integers, of_items, spoiled, wide
from conformance.kit.expected import (
    DIFFERENCE,
    difference,
    extra_shape,
    gradient,
    one_number,
    value,
)
from conformance.kit.laws import law
from conformance.kit.metrics import ALL, parameters
from conformance.kit.structures import ENGINE, STATES, STRUCTURES
from conformance.kit.trees import leaves, tree_map
from isoloss._core.domains import Interval
from isoloss.libraries.jax import SMALL

pytestmark = pytest.mark.library("jax")
close = functools.partial(within, ulps=64, size="largest")
# What users compile is in test_numbers; XLA's rewriting of the program stays on here too.
jit = functools.partial(jax.jit, compiler_options=Jax.QUICK)

SORTED = {
    "it keeps all samples, which no state of one size holds": lambda m: m.kind == "sorted whole"
}
structure = law(STRUCTURES)
streaming = law(STRUCTURES, SORTED)


def arrays(tree):
    """Return arrays of JAX."""
    return tree_map(jnp.asarray, tree)


def flat(tree):
    """Return all numbers of a gradient, or of a result, in one row."""
    return np.concatenate([np.asarray(x).reshape(-1) for x in leaves(tree)])


def test_eight_devices():
    """The sharding tests below have eight devices to shard over."""
    assert jax.device_count() == 8


def test_dtype_of_integers():
    """Integers give the dtype of a number in JAX: float64 under x64, and float32 without."""
    result = il.mse(jnp.asarray([1, 2]), jnp.asarray([3, 2]))
    assert result.dtype == jnp.asarray(0.5).dtype
    assert result == 2


@structure
def test_jit(metric):
    """A jitted call gives the value of a plain call, with weights, mask, axis and every reduction."""
    p, t = draw(metric, (6, 3))
    w, m = excluded(metric, (6, 3))
    options = [{"weights": w, "where": of_items(metric, m)}, {"axis": 0, "keepdims": True}]
    options += [{"reduction": r, "weights": w} for r in ("sum", "none") if metric.summable]
    options += [{"denominator": 7.0}] if metric.averages else []
    results = jit(lambda p, t: [metric(p, t, **o) for o in options])(p, t)
    for result, chosen in zip(results, options, strict=True):
        assert result.dtype == DTYPE
        close(result, value(metric, p, t, **chosen))


@structure
def test_gradients(metric):
    """Reverse and forward mode, jitted, agree with NumPy's gradient of the samples that count.

    What stands in an excluded place, by a mask or by a weight of 0, reaches none of them.
    """
    samples = draw(metric, (8,))
    w, m = excluded(metric, (8,))
    function = one_number(metric)
    by_mask = lambda p, t, w: function(p, t, weights=w, where=of_items(metric, m))  # noqa: E731
    by_weight = lambda p, t, w: function(p, t, weights=jnp.where(m, w, 0))  # noqa: E731
    along = tree_map(
        lambda x: np.linspace(-1, 1, x.size, dtype=x.dtype).reshape(x.shape), samples.predictions
    )

    @jit
    def every_way(p, t, w):
        result, linear = jax.linearize(lambda p: by_mask(p, t, w), p)
        return (
            *jax.value_and_grad(by_mask)(p, t, w),
            jax.jacfwd(by_weight)(p, t, w),
            result,
            linear(along),
        )

    want = value(function, *samples[m], weights=w[m])
    exact = gradient(metric, *samples[m], weights=w[m])
    for bad in (None, np.nan, np.inf):
        p, t = samples
        if bad is not None:
            p, t = spoiled(p, ~m, bad), spoiled(t, ~m, -bad)
        first, reverse, forward, second, tangent = every_way(p, t, w)
        for result in (first, second):
            close(result, want)
        for slopes in (reverse, forward):
            close(tree_map(lambda x: x[m], slopes), exact)
            assert not flat(tree_map(lambda x: x[~m], slopes)).any()
            assert [x.dtype for x in leaves(slopes)] == [x.dtype for x in leaves(p)]
        close(tangent, flat(exact) @ flat(wide(tree_map(lambda x: x[m], along))))


_NAMES = {type(metric): name for name, metric in reversed(ALL.items())}
ONE_OF_EACH_CLASS = {name: ALL[name] for name in _NAMES.values()}


def special_rows(metric):
    """Return rows that are 0 or tied, on one side or both, as far as the domain goes."""
    p, t = draw(metric, (8,))
    sides = ((p, metric.domain.of_predictions, (1, 2)), (t, metric.domain.of_targets, (0, 3)))
    for side, intervals, (zero, tied) in sides:
        for x, interval in zip(leaves(side), intervals, strict=True):
            if x.dtype.kind != "f" or x.ndim < 2:
                continue
            if not isinstance(interval, Interval) or interval.contains(0.0):
                x[zero] = x[4] = 0
            x[tied] = x[5] = x[tied].mean()  # the mean: rows of shares stay shares
    return p, t


@pytest.mark.once
@law(ONE_OF_EACH_CLASS, {"its samples are numbers": lambda m: not any(sum(m.parts, ()))})
def test_compiled_gradients_of_special_rows(metric):
    """A compiled gradient is NumPy's where a row is 0, or its numbers are equal, or none is left.

    The targets are an argument, or constants that XLA folds into other operations.
    """
    p, t = special_rows(metric)
    mask = np.arange(8) != 6
    where = of_items(metric, mask)
    function = one_number(metric)
    call = lambda p, t: function(p, t, where=where)  # noqa: E731
    want = il.gradient(call, *wide(p, t))
    both = jit(lambda p, targets: (jax.grad(call)(p, targets), jax.grad(call)(p, t)))
    for found in both(p, t):
        close(found, want, ulps=128 if isinstance(metric, il.MultiScaleSSIM) else 64)


@pytest.mark.parametrize(
    "metric", [il.mse, il.mae, il.huber, il.Scaled(il.log_cosh, 0.5)], ids=repr
)
@pytest.mark.parametrize("overflows", [False, True], ids=["sums", "overflows"])
def test_large(metric, overflows):
    """The mean of many is that of few where transforms are, and where the sum of all overflows."""
    p, t = draw(metric, (2, SMALL))
    w, m = excluded(metric, (SMALL,))
    if overflows:
        largest = np.finfo(DTYPE).max / 64
        p *= np.sqrt(largest) if metric is il.mse else largest
    f = lambda p, t: metric(p, t, weights=w, where=of_items(metric, m))  # noqa: E731
    options = {"weights": w, "where": of_items(metric, m)}
    want = [value(metric, *row, **options) for row in zip(p, t, strict=True)]
    slopes = [gradient(metric, *row, **options) for row in zip(p, t, strict=True)]
    many = lambda slopes: SMALL * np.asarray(slopes)  # noqa: E731 - each is as small as one share
    assert np.isfinite(want).all()
    with np.errstate(over="ignore"):
        total = np.sum(w[m] * np.asarray(metric(p[0, m], t[0, m], reduction="none")))
    assert np.isinf(total) == overflows
    close(f(*map(jnp.asarray, (p[0], t[0]))), want[0])  # not traced
    one, slope = jit(jax.value_and_grad(f))(p[0], t[0])
    close(one, want[0])
    close(many(slope), many(slopes[0]))
    along = np.sign(p[0])
    one, slope = jit(lambda p, t: jax.jvp(lambda p: f(p, t), (p,), (along,)))(p[0], t[0])
    close(one, want[0])
    close(slope, np.sum(np.asarray(slopes[0], dtype="float64") * along))
    close(jit(jax.vmap(f))(p, t), want)
    close(many(jit(jax.vmap(jax.grad(f)))(p, t)), many(slopes))
    step = jax.checkpoint(lambda total, row: (total + f(*row), None))
    scanned = jit(jax.value_and_grad(lambda p: jax.lax.scan(step, 0 * p[0, 0], (p, t))[0]))
    if not overflows:  # of two means, their sum may
        close(scanned(p)[0], np.sum(want))
    close(many(scanned(p)[1]), many(slopes))
    curved = jit(jax.grad(lambda p: jax.grad(f)(p, t[0]) @ along))(p[0])
    bent = il.gradient_hessian(metric, *wide(p[0], t[0]), **options)[1]
    close(many(curved), many(bent * along / np.sum(w[m], dtype="float64")))


@pytest.mark.once
@structure
def test_vmap(metric):
    """vmap over rows, and vmap of the gradient, give what a loop over the rows gives."""
    samples = draw(metric, (3, 5))
    w, m = excluded(metric, (5,))
    options = {"weights": w, "where": of_items(metric, m)}
    number = one_number(metric)
    f = lambda p, t: metric(p, t, **options)  # noqa: E731
    slope = jax.grad(lambda p, t: number(p, t, **options))
    first = tree_map(lambda x: x[0], samples.targets)
    values, slopes, one_target = jit(
        lambda p, t: (jax.vmap(f)(p, t), jax.vmap(slope)(p, t), jax.vmap(f, (0, None))(p, first))
    )(*samples)
    rows = [samples[k] for k in range(3)]
    close(values, np.stack([value(metric, *row, **options) for row in rows]))
    wanted = [gradient(metric, *row, **options) for row in rows]
    close(slopes, tree_map(lambda *parts: np.stack(parts), *wanted))
    close(one_target, np.stack([value(metric, row.predictions, first, **options) for row in rows]))


@pytest.mark.once
@law(ENGINE)
def test_hessian(metric):
    """The Hessian is finite and symmetric; of a sum of terms it is the terms' second derivatives."""
    p, t = draw(metric, (3,))
    w, _ = excluded(metric, (3,))
    options = {"weights": w, **({"reduction": "sum"} if metric.summable else {})}
    number = metric if metric.summable else one_number(metric)
    row, back = ravel_pytree(arrays(p))
    hessian = np.asarray(jit(jax.hessian(lambda row: number(back(row), t, **options)))(row))
    assert np.isfinite(hessian).all()
    close(hessian, hessian.T)
    if metric.summable:
        close(np.diag(hessian), flat(il.gradient_hessian(metric, *wide(p, t), weights=w)[1]))
    if metric.summable and metric.elementwise:
        close(hessian, np.diag(np.diag(hessian)), ulps=0)


@pytest.mark.parametrize("name", ["huber", "softmax_cross_entropy", "gaussian_nll", "ctc"])
def test_gradient_hessian(name):
    """gradient_hessian gives under jit what it gives NumPy, with weights; test_numbers.py has none."""
    metric = getattr(il, name)
    p, t = draw(metric, (4,))
    w, m = excluded(metric, (4,))
    f = functools.partial(il.gradient_hessian, metric, weights=w, where=of_items(metric, m))
    for result, want in zip(jit(f)(p, t), f(*wide(p, t)), strict=True):
        close(result, want)
        assert [x.dtype for x in leaves(result)] == [x.dtype for x in leaves(p)]


def _kinds(state):
    return jax.tree.map(lambda a: (a.shape, a.dtype, a.weak_type), state)


@streaming
def test_scan(metric):
    """A state is carried through scan: its tree, shapes and dtypes stay, and the result is the whole's."""
    samples = draw(metric, (3, 5, 2))
    w, m = excluded(metric, (3, 5, 2))
    mask = of_items(metric, m)

    @jit
    def stream(p, t, w, mask):
        def step(state, batch):
            p, t, w, mask = batch
            return state.merge(metric.summary(p, t, weights=w, where=mask, axis=0)), None

        batch = tree_map(lambda x: x[0], (p, t, w, mask))
        first = metric.summary(*batch[:2], weights=batch[2], where=batch[3], axis=0)
        none = metric.summary(*tree_map(lambda x: x[0, :0], (p, t)), axis=0)
        assert _kinds(first.merge(first)) == _kinds(none.merge(first)) == _kinds(first)
        return metric.compute(jax.lax.scan(step, none, (p, t, w, mask))[0])

    options = {"weights": w.reshape(15, 2), "where": mask.reshape(15, *mask.shape[2:])}
    whole = value(metric, *samples.flat(2), **options, axis=0)
    close(stream(*samples, w, mask), whole)


@pytest.mark.once
@law(STATES, SORTED)
def test_gradient_through_scan(metric):
    """The gradient through a scan over batches, with checkpointed steps, is that of the whole."""
    samples = draw(metric, (3, 4))
    none = metric.summary(*samples.map(lambda x: jnp.asarray(x[0, :0])))

    def stream(p):
        step = jax.checkpoint(lambda state, batch: (state.merge(metric.summary(*batch)), None))
        state = jax.lax.scan(step, none, (p, arrays(samples.targets)))[0]
        return metric.compute(state).reshape(-1)[0]

    want = gradient(metric, *samples.flat(2))
    slopes = jit(jax.grad(stream))(arrays(samples.predictions))
    close(tree_map(lambda x: x.reshape(-1, *x.shape[2:]), slopes), want)


@structure
def test_eval_shape(metric):
    """eval_shape knows shape and dtype without computing, from every dtype."""
    samples, extra = draw(metric, (4, 3)), extra_shape(metric)
    for dtype in ("float16", "bfloat16", "float32", "int8", "bool"):
        whole = dtype in ("int8", "bool")
        pair = integers(metric, (4, 3), dtype="int8") if whole else samples
        like = pair.map(
            lambda x: jax.ShapeDtypeStruct(
                x.shape,
                dtype if whole or x.dtype == DTYPE else x.dtype,  # noqa: B023 - labels stay integers
            )
        )
        results = jax.eval_shape(lambda p, t: (metric(p, t), metric(p, t, axis=0)), *like)
        single = jax.dtypes.canonicalize_dtype("float64" if whole else "float32")
        shapes = [(x.shape, x.dtype) for x in results]
        assert shapes == [(extra, single), ((3, *extra), single)]


@pytest.mark.once
@structure
def test_export(metric):
    """An exported program with a symbolic batch size, serialised and read back, runs at any size."""
    samples = draw(metric, (5,))
    scope = jax.export.SymbolicScope()

    def symbolic(a):
        sizes = ", ".join(["b", *map(str, a.shape[1:])])
        return jax.ShapeDtypeStruct(jax.export.symbolic_shape(sizes, scope=scope), a.dtype)

    function = one_number(metric)
    program = jit(jax.value_and_grad(jax.checkpoint(function)))  # which changes no gradient
    exported = jax.export.export(program)(*samples.map(symbolic))
    again = jax.export.deserialize(exported.serialize())
    batch = samples[:3]
    result, slopes = jit(again.call)(*batch)
    close(result, value(function, *batch))
    close(slopes, gradient(metric, *batch))


def _mesh(kind):
    return jax.make_mesh((8,), ("batch",), axis_types=(kind,))


@pytest.mark.once
@structure
@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit], ids=["auto", "explicit"])
def test_sharded(metric, kind, request):
    """Arrays sharded over eight devices give the value of the whole, and a gradient sharded alike."""
    if kind == AxisType.Explicit and metric.kind == "sorted whole":
        error = jax._src.core.ShardingTypeError  # JAX exports no name for it
        request.applymarker(pytest.mark.xfail(raises=error, strict=True, reason="JAX: 'Arguments to sort must be "
            "unsharded over the sorting dimension' where axes are explicit; the user reshards first"))  # fmt: skip
    p, t = draw(metric, (16,))
    w, _ = excluded(metric, (16,))
    mesh = _mesh(kind)
    place = lambda a: jax.device_put(a, NamedSharding(mesh, P("batch")))  # noqa: E731
    placed = tree_map(place, (p, t, w))
    with jax.set_mesh(mesh):
        function = one_number(metric)
        both = jit(jax.value_and_grad(lambda p, t, w: function(p, t, weights=w)))
        result, slopes = both(*placed)
    want = gradient(metric, p, t, weights=w)
    close(result, value(function, p, t, weights=w))
    close(slopes, want)
    for slope, like, exact in zip(leaves(slopes), leaves(placed[0]), leaves(want), strict=True):
        if exact.any():  # zeros that depend on nothing lie nowhere in particular
            assert slope.sharding.is_equivalent_to(like.sharding, slope.ndim)


@pytest.mark.once
@law(ENGINE)
def test_shard_map(metric):
    """The states of eight devices, merged across them, give the value of the whole."""
    p, t = draw(metric, (16,))
    w, m = excluded(metric, (16,))
    mask = of_items(metric, m)

    def one_device(p, t, w, mask):
        state = metric.summary(p, t, weights=w, where=mask)
        return metric.compute(il.across(state, "batch"))

    every = jax.shard_map(one_device, mesh=_mesh(AxisType.Auto), in_specs=P("batch"), out_specs=P())
    slope = jax.grad(lambda *inputs: every(*inputs).reshape(-1)[0])
    both = lambda *inputs: (every(*inputs), slope(*inputs))  # noqa: E731
    differentiable = metric.kind != "sorted whole"
    compiled = jit(both if differentiable else every).lower(p, t, w, mask).compile()
    options = {"weights": w, "where": mask}
    results = compiled(p, t, w, mask)
    close(results[0] if differentiable else results, value(metric, p, t, **options))
    if differentiable:
        close(results[1], gradient(metric, p, t, **options))


@pytest.mark.once
@law(STATES)
def test_one_sum_across_devices(metric):
    """States of devices merge by one sum across them, of all numbers at once."""
    w, _ = excluded(metric, (16,))

    def one_device(p, t, w):
        return metric.compute(il.across(metric.summary(p, t, weights=w), "batch"))

    every = jax.shard_map(one_device, mesh=_mesh(AxisType.Auto), in_specs=P("batch"), out_specs=P())
    program = jit(every).lower(*draw(metric, (16,)), w).compile().as_text()
    assert program.count(" all-reduce(") == 1


@pytest.mark.once
@law(STATES)
def test_no_leaks(metric):
    """No tracer outlives its trace: nothing in the engine remembers an array."""
    samples = draw(metric, (3, 2))

    def f(p, t):
        first = leaves(p)[0]
        return metric(p, t, weights=jnp.abs(first[(..., *[0] * (first.ndim - 2))]), axis=0)

    with jax.checking_leaks():
        jax.eval_shape(jax.vmap(jax.jacrev(f)), *samples.map(lambda x: x[None]))
        jax.eval_shape(jax.jacfwd(f), *samples)


@pytest.mark.once  # x64: test_numbers.py traces the parameters
@pytest.mark.parametrize(("metric", "field"), list(parameters(every=False)))
def test_parameter_as_tracer(metric, field):
    """A hyper-parameter may be traced: jitted over, mapped over, differentiated with respect to."""
    p, t = map(np.abs, draw(metric, (6,))) if field == "power" else draw(metric, (6,))
    at = float(getattr(metric, field))

    def f(x, p=p, t=t):
        return dataclasses.replace(metric, **{field: x})(p, t)

    points = np.asarray([at, at + 0.005, at - 0.005], dtype=DTYPE)
    both = jax.value_and_grad(f, argnums=(0, 1))
    (values, (slopes, slopes_p)), forward = jit(
        lambda x, p: (jax.vmap(both, (0, None))(x, p), jax.jacfwd(f)(x[0], p))
    )(points, p)
    close(values, np.stack([f(float(x), *wide(p, t)) for x in points]))
    want = difference(lambda x: f(x, *wide(p, t)), float(points[0]))
    close(slopes[0], want, ulps=DIFFERENCE[DTYPE])
    close(forward, slopes[0])
    exact = gradient(lambda p, t: f(float(points[0]), p, t), p, t)
    close(tree_map(lambda x: x[0], slopes_p), exact)


def test_parameter_per_sample():
    """A hyper-parameter may be an array of one value per sample."""
    p, t = draw(il.huber, (6,))
    delta = np.linspace(0.5, 2, 6, dtype=DTYPE)
    want = [il.Huber(float(d))(*wide(p[k], t[k])) for k, d in enumerate(delta)]
    terms = jit(lambda d: il.Huber(d)(p, jnp.asarray(t), reduction="none"))(delta)
    close(terms, np.stack(want))
    close(jit(lambda q: il.MultiQuantile((q, 1 - q))(jnp.ones((3, 2)), jnp.zeros(3)))(0.25),
          il.MultiQuantile((0.25, 0.75))(np.ones((3, 2)), np.zeros(3)))  # fmt: skip


@pytest.mark.once
@structure
def test_all_masked(metric):
    """Nothing left to average is ``empty``, nan unless set, with a gradient of zero."""
    p, t = draw(metric, (3,))
    mask = of_items(metric, np.zeros(3, dtype=bool))
    both = jax.value_and_grad(one_number(metric))
    f = jit(lambda p, t, empty: both(p, t, where=mask, empty=empty), static_argnums=2)
    for empty in (np.nan, 0.5):
        result, slopes = f(p, t, empty)
        assert np.array_equal(result, empty, equal_nan=True)
        assert not flat(slopes).any()
        if metric not in STATES.values():
            break


@pytest.mark.once
@law(STATES)
def test_static_argument(metric):
    """A metric is a static argument of jit: equal metrics share one compiled program."""
    traces = []

    @functools.partial(jit, static_argnums=0)
    def call(metric, p, t):
        traces.append(metric)
        return metric(p, t)

    p, t = draw(metric, (4,))
    twin = dataclasses.replace(metric)
    assert twin is not metric
    close(call(metric, p, t), value(metric, p, t))
    close(call(twin, p, t), value(metric, p, t))
    assert traces == [metric]
    call(il.Scaled(metric, 2.0), p, t)
    assert len(traces) == 2


def test_gradient_of_a_function_that_looks():
    """il.gradient of a function of one's own is not compiled: it may choose by the data's values."""
    p, t = draw(il.mse, (4,))

    def function(p, t):
        return il.mse(p, t) if (p * p).sum() > 0 else il.mae(p, t)

    close(il.gradient(function, jnp.asarray(p), jnp.asarray(t)), gradient(il.mse, p, t))


@law(STATES)
def test_numpy_beside_jax(metric):
    """NumPy arrays beside JAX arrays are taken in, and the result is JAX's."""
    p, t = draw(metric, (4,))
    for pair in ((arrays(p), t), (p, arrays(t))):
        result = metric(*pair)
        assert isinstance(result, jax.Array)
        close(result, value(metric, p, t))
