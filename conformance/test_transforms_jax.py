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
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import isoloss as il
from conformance.kit.comparison import close
from conformance.kit.drawing import DTYPE, draw, excluded, integers, of_items, spoil, wide
from conformance.kit.expected import (
    DIFFERENCE,
    difference,
    extra_shape,
    gradient,
    one_number,
    value,
)
from conformance.kit.metrics import parameters
from conformance.kit.structures import CENTRAL, STRUCTURES
from isoloss.strategies.jax import SMALL

# Machine code is not optimised, which halves the time to compile it; XLA's own rewriting of the
# program, which is what can change a result, stays on. What users compile is in test_numbers.
jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})

# the values and gradients of other hyper-parameters are compared, jitted too, in test_numbers; what a
# transform does to a structure, or to a function, it does to each metric that has it
central_metric = pytest.mark.parametrize("metric", CENTRAL.values(), ids=CENTRAL)
structure = pytest.mark.parametrize("metric", STRUCTURES.values(), ids=STRUCTURES)
constant_memory = {k: m for k, m in STRUCTURES.items() if m.kind != "sorted whole"}
summable = {k: m for k, m in STRUCTURES.items() if m.summable}
one_of_each_state = {
    type(m.summary(*draw(m, (3,)))).__name__ + str(len(m.core[0])): m for m in STRUCTURES.values()
}
streaming_metric = pytest.mark.parametrize("metric", constant_memory.values(), ids=constant_memory)


def test_eight_devices():
    """The sharding tests below have eight devices to shard over."""
    assert jax.device_count() == 8


@central_metric
def test_jit(metric):
    """A jitted call gives the value of a plain call, with weights, mask, axis and every reduction."""
    p, t = draw(metric, (6, 3))
    w, m = excluded(metric, (6, 3))
    options = [{}, {"weights": w, "where": of_items(metric, m)}, {"axis": 0, "keepdims": True}]
    options += [{"reduction": r, "weights": w} for r in ("sum", "none") if metric.summable]
    options += [{"denominator": 7.0}] if metric.averages else []
    calls = lambda p, t: [metric(p, t, **o) for o in options]  # noqa: E731
    want = [value(metric, p, t, **o) for o in options]
    for one, expected in zip(jit(calls)(p, t), want, strict=True):
        assert one.dtype == DTYPE
        close(one, expected)


@central_metric
def test_gradients(metric):
    """Reverse mode, forward mode, linearize and the jitted gradient agree with NumPy's gradient."""
    p, t = draw(metric, (6,))
    w, _ = excluded(metric, (6,))
    function = one_number(metric)
    f = lambda p: function(p, t, weights=w)  # noqa: E731
    want = gradient(metric, p, t, weights=w)
    if metric in STRUCTURES.values():  # operation by operation, each of which is compiled
        reverse = jax.grad(f)(p)
        assert reverse.dtype == p.dtype
        close(reverse, want)

    @jit
    def others(p):
        linear = jax.linearize(f, p)
        basis = jnp.eye(p.size, dtype=p.dtype).reshape(p.size, *p.shape)
        slopes = jax.vmap(linear[1])(basis).reshape(p.shape)
        return jax.grad(f)(p), jax.jacfwd(f)(p), *jax.value_and_grad(f)(p)[::-1], linear[0], slopes

    jitted, forward, beside, one, two, slopes = others(p)
    assert jitted.dtype == p.dtype
    for found in (jitted, forward, beside, slopes):
        close(found, want)
    for found in (one, two):
        close(found, value(function, p, t, weights=w))


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
    p, t = draw(metric, (3, 5))
    w, m = excluded(metric, (5,))
    number = one_number(metric)
    f = lambda p, t: metric(p, t, weights=w, where=of_items(metric, m))  # noqa: E731
    both = jit(
        lambda p, t: (
            jax.vmap(f)(p, t),
            jax.vmap(jax.grad(lambda p, t: number(p, t, weights=w, where=of_items(metric, m))))(
                p, t
            ),
            jax.vmap(f, (0, None))(p, t[0]),
        )
    )
    values, slopes, one_target = both(p, t)
    rows = [(p[k], t[k]) for k in range(3)]
    close(values, [value(metric, *row, weights=w, where=of_items(metric, m)) for row in rows])
    close(slopes, [gradient(metric, *row, weights=w, where=of_items(metric, m)) for row in rows])
    close(
        one_target,
        [value(metric, row[0], t[0], weights=w, where=of_items(metric, m)) for row in rows],
    )


@central_metric
def test_hessian(metric):
    """The Hessian is finite and symmetric; of a sum of terms it is the terms' second derivatives."""
    p, t = draw(metric, (4,))
    w, _ = excluded(metric, (4,))
    if metric.summable:
        f = lambda p: metric(p, t, weights=w, reduction="sum")  # noqa: E731
    else:
        f = lambda p: one_number(metric)(p, t, weights=w)  # noqa: E731
    hessian = np.asarray(jit(jax.hessian(f))(p)).reshape(p.size, p.size)
    assert np.isfinite(hessian).all()
    close(hessian, hessian.T)
    if metric.summable:
        close(
            np.diag(hessian).reshape(p.shape),
            il.gradient_hessian(metric, *wide(p, t), weights=w)[1],
        )
    if metric.summable and not metric.core[0]:
        close(hessian, np.diag(np.diag(hessian)), ulps=0)


@pytest.mark.parametrize("metric", summable.values(), ids=summable)
def test_gradient_hessian(metric):
    """gradient_hessian gives under jit what it gives NumPy."""
    p, t = draw(metric, (4,))
    w, m = excluded(metric, (4,))
    f = functools.partial(il.gradient_hessian, metric, weights=w, where=of_items(metric, m))
    want = f(*wide(p, t))
    for one, expected in zip(jit(f)(p, t), want, strict=True):
        assert one.dtype == p.dtype
        close(one, expected)


def _kinds(state):
    return jax.tree.map(lambda a: (a.shape, a.dtype, a.weak_type), state)


@streaming_metric
def test_scan(metric):
    """A state is carried through scan: its tree, shapes and dtypes stay, and the result is the whole's."""
    p, t = draw(metric, (4, 5, 2))
    w, m = excluded(metric, (4, 5, 2))

    @jit
    def stream(p, t, w, m):
        def step(state, batch):
            p, t, w, m = batch
            return state.merge(
                metric.summary(p, t, weights=w, where=of_items(metric, m), axis=0)
            ), None

        first = metric.summary(p[0], t[0], weights=w[0], where=of_items(metric, m[0]), axis=0)
        none = metric.summary(p[0, :0], t[0, :0], axis=0)
        assert _kinds(first.merge(first)) == _kinds(none.merge(first)) == _kinds(first)
        after_first, _ = jax.lax.scan(step, first, (p[1:], t[1:], w[1:], m[1:]))
        after_none, _ = jax.lax.scan(step, none, (p, t, w, m))
        return metric.compute(after_first), metric.compute(after_none)

    whole = value(
        metric, p.reshape(20, *p.shape[2:]), t.reshape(20, *t.shape[2:]), weights=w.reshape(20, 2),
        where=of_items(metric, m.reshape(20, 2)), axis=0,
    )  # fmt: skip
    for found in stream(p, t, w, m):
        close(found, whole)


@pytest.mark.once
@streaming_metric
def test_gradient_through_scan(metric):
    """The gradient through a scan over batches, with checkpointed steps, is that of the whole."""
    p, t = draw(metric, (3, 4))

    def stream(p):
        none = metric.summary(p[0, :0], t[0, :0])
        step = jax.checkpoint(lambda state, batch: (state.merge(metric.summary(*batch)), None))
        found = metric.compute(jax.lax.scan(step, none, (p, jnp.asarray(t)))[0])
        return found.reshape(-1)[0]

    want = gradient(metric, p.reshape(12, *p.shape[2:]), t.reshape(12, *t.shape[2:]))
    close(jit(jax.grad(stream))(p), want.reshape(p.shape))


@structure
def test_checkpoint_and_eval_shape(metric):
    """checkpoint changes no gradient; eval_shape knows shape and dtype without computing."""
    p, t = map(jnp.asarray, draw(metric, (4, 3)))
    found = jit(jax.grad(jax.checkpoint(one_number(metric))))(p, t)
    close(found, gradient(metric, p, t))
    extra = extra_shape(metric)
    for dtype in ("float16", "bfloat16", "float32", "int8", "bool"):
        whole = dtype in ("int8", "bool")
        pair = integers(metric, (4, 3), dtype="int8") if whole else (p, t)
        like = [
            jax.ShapeDtypeStruct(x.shape, dtype if whole or x.dtype == DTYPE else x.dtype)
            for x in pair  # labels stay integers
        ]
        found = jax.eval_shape(lambda p, t: (metric(p, t), metric(p, t, axis=0)), *like)
        single = jax.dtypes.canonicalize_dtype("float64" if whole else "float32")
        assert [(x.shape, x.dtype) for x in found] == [(extra, single), ((3, *extra), single)]


@pytest.mark.once
@structure
def test_export(metric):
    """An exported program with a symbolic batch size, serialised and read back, runs at any size."""
    p, t = draw(metric, (5,))
    scope = jax.export.SymbolicScope()
    like = [
        jax.ShapeDtypeStruct(
            jax.export.symbolic_shape(", ".join(["b", *map(str, a.shape[1:])]), scope=scope),
            a.dtype,
        )
        for a in (p, t)
    ]
    function = one_number(metric)
    exported = jax.export.export(jit(jax.value_and_grad(function)))(*like)
    again = jax.export.deserialize(exported.serialize())
    for size in (5, 3):
        one, slope = jit(again.call)(p[:size], t[:size])
        close(one, value(function, p[:size], t[:size]))
        close(slope, gradient(metric, p[:size], t[:size]))


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
    placed = [jax.device_put(a, NamedSharding(mesh, P("batch"))) for a in (p, t, w)]
    with jax.set_mesh(mesh):
        function = one_number(metric)
        both = jit(jax.value_and_grad(lambda p, t, w: function(p, t, weights=w)))
        found, slope = both(*placed)
    want = gradient(metric, p, t, weights=w)
    close(found, value(function, p, t, weights=w))
    close(slope, want)
    if want.any():  # zeros that depend on nothing lie nowhere in particular
        assert slope.sharding.is_equivalent_to(placed[0].sharding, slope.ndim)


@pytest.mark.once
@structure
def test_shard_map(metric):
    """The states of eight devices, merged across them, give the value of the whole."""
    p, t = draw(metric, (16,))
    w, m = excluded(metric, (16,))
    mesh = _mesh(AxisType.Auto)

    def one_device(p, t, w, m):
        return metric.compute(
            il.across(metric.summary(p, t, weights=w, where=of_items(metric, m)), "batch")
        )

    every = jax.shard_map(one_device, mesh=mesh, in_specs=P("batch"), out_specs=P())
    compiled = jit(every)
    close(compiled(p, t, w, m), value(metric, p, t, weights=w, where=of_items(metric, m)))
    program = compiled.lower(p, t, w, m).compile().as_text()
    assert program.count(" all-reduce(") == 1  # one sum across devices, of all numbers at once
    if metric.kind != "sorted whole":
        first = lambda *arrays: every(*arrays).reshape(-1)[0]  # noqa: E731
        slope = jit(jax.grad(first))(p, t, w, m)
        close(slope, gradient(metric, p, t, weights=w, where=of_items(metric, m)))


@pytest.mark.once
@pytest.mark.parametrize("metric", one_of_each_state.values(), ids=one_of_each_state)
def test_no_leaks(metric):
    """No tracer outlives its trace: nothing in the engine remembers an array."""
    p, t = draw(metric, (3, 2))
    f = lambda p, t: metric(p, t, weights=jnp.abs(p[(..., *[0] * len(metric.core[0]))]), axis=0)  # noqa: E731
    with jax.checking_leaks():
        jax.eval_shape(jax.vmap(jax.jacrev(f)), p[None], t[None])
        jax.eval_shape(jax.jacfwd(f), p, t)


@pytest.mark.parametrize(("metric", "field"), list(parameters(every=False)))
def test_parameter_as_tracer(metric, field):
    """A hyper-parameter may be traced: jitted over, mapped over, differentiated with respect to."""
    p, t = map(np.abs, draw(metric, (6,))) if field == "power" else draw(metric, (6,))
    at = float(getattr(metric, field))

    def f(x, p=p, t=t):
        return dataclasses.replace(metric, **{field: x})(p, t)

    points = np.asarray([at, at + 0.005, at - 0.005], dtype=DTYPE)
    values, slope, forward, slopes_p = jit(
        lambda x, p: (jax.vmap(f, (0, None))(x, p), jax.grad(f)(x[0], p), jax.jacfwd(f)(x[0], p),
                      jax.grad(f, argnums=1)(x[0], p))
    )(points, p)  # fmt: skip
    close(values, [f(float(x), *wide(p, t)) for x in points])
    want = difference(lambda x: f(x, *wide(p, t)), float(points[0]))
    close(slope, want, DIFFERENCE[DTYPE])
    close(forward, want, DIFFERENCE[DTYPE])
    close(slope, forward)
    close(slopes_p, gradient(lambda p, t: f(float(points[0]), p, t), p, t))
    close(jax.grad(f)(jnp.asarray(points[0]), jnp.asarray(p), jnp.asarray(t)), forward)


def test_parameter_per_sample():
    """A hyper-parameter may be an array of one value per sample."""
    p, t = draw(il.huber, (6,))
    delta = np.linspace(0.5, 2, 6, dtype=DTYPE)
    want = [il.Huber(float(d))(*wide(p[k], t[k])) for k, d in enumerate(delta)]
    found = jit(lambda d: il.Huber(d)(p, jnp.asarray(t), reduction="none"))(delta)
    close(found, want)
    close(jit(lambda q: il.MultiQuantile((q, 1 - q))(jnp.ones((3, 2)), jnp.zeros(3)))(0.25),
          il.MultiQuantile((0.25, 0.75))(np.ones((3, 2)), np.zeros(3)))  # fmt: skip


@pytest.mark.once
@structure
def test_masked_is_removed(metric):
    """Under jit, what stands in an excluded place reaches neither value nor gradient."""
    p, t = draw(metric, (8,))
    w, m = excluded(metric, (8,))
    function = one_number(metric)
    by_mask = lambda p, t, w: function(p, t, weights=w, where=of_items(metric, m))  # noqa: E731
    by_weight = lambda p, t, w: function(p, t, weights=jnp.where(m, w, 0))  # noqa: E731
    both = jit(lambda *a: (*jax.value_and_grad(by_mask)(*a), jax.jacfwd(by_weight)(*a)))
    want, slope = (
        value(function, p[m], t[m], weights=w[m]),
        gradient(metric, p[m], t[m], weights=w[m]),
    )
    for bad in (np.nan, np.inf):
        spoil(p, ~m, bad)
        spoil(t, ~m, -bad)
        found, *slopes = both(p, t, w)
        close(found, want)
        for one in slopes:
            close(one[m], slope)
            close(one[~m], np.zeros_like(p[~m]), ulps=0)


@pytest.mark.once
@structure
def test_all_masked(metric):
    """Nothing left to average is ``empty``, nan unless set, with a gradient of zero."""
    p, t = draw(metric, (3,))
    m = np.zeros(3, dtype=bool)
    both = jax.value_and_grad(one_number(metric))
    f = jit(lambda p, t: [both(p, t, where=of_items(metric, m), **o) for o in ({}, {"empty": 0.5})])
    (one, slope), (filled, slope_filled) = f(p, t)
    assert np.isnan(one)
    assert filled == 0.5
    close(slope, np.zeros_like(p), ulps=0)
    close(slope_filled, np.zeros_like(p), ulps=0)


@pytest.mark.once
@structure
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


@structure
def test_numpy_beside_jax(metric):
    """NumPy arrays beside JAX arrays are taken in, and the result is JAX's."""
    p, t = draw(metric, (4,))
    for found in (metric(jnp.asarray(p), t), metric(p, jnp.asarray(t))):
        assert isinstance(found, jax.Array)
        close(found, value(metric, p, t))
