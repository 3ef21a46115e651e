"""JAX: a compiled program per metric and options; tracers use the generic evaluation.

Programs are cached by value, so that equal metrics share a program. The cache is bounded, so that a
search over thousands of hyper-parameters does not fill the memory. A metric with an array or a
tracer as hyper-parameter is not cached, and uses the generic evaluation.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import lru_cache, partial, reduce
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from .._core import special
from .._core.calls import Call, Options, evaluate, several
from .._core.inputs import Batch, Inputs
from .._core.library import Library
from .._core.metric import Metric
from .._core.passes import NOTHING, Arrays, Needed, PassPlan, Slopes, Tokens, gone_through, of_chunk
from .._core.plain import PlainLibrary
from .._core.primitives import (
    PRIMITIVES,
    Primitive,
    cosine_distance,
    cosine_slope,
    direction,
    direction_turn,
    distance_slope,
    euclidean_norm,
    inverse_norm,
    inverse_turn,
    norm_turn,
    shares,
    shares_turn,
    unit_vector,
)
from .._core.states import SPARE, Rooted, State, Total, leafwise, ratio
from .._core.totals import Totals
from .._core.types import Array, Namespace

PROGRAMS = 256  # the number of cached programs of each kind
TINY = 256  # up to this many numbers, an unoptimised program is as fast
# Compilation without optimisation, without MLIR and in one part takes a quarter of the time. Older
# versions of JAX are excluded, because such programs crashed jaxlib 0.7.0.
QUICK = {
    "xla_backend_optimization_level": 0,
    "xla_cpu_use_fusion_emitters": False,
    "xla_cpu_parallel_codegen_split_count": 1,
}
SINCE = (0, 10)
SMALL = 4096  # below this, summing twice is cheaper than compiling a second program
ROWS = 4  # from this many numbers per term on, summing the terms is cheap
PASSES = 64  # the number of cached passes over the tokens of a linear layer


class JaxLibrary(PlainLibrary):
    """JAX, including its tracers."""

    name = "JAX"
    quiet = staticmethod(nullcontext)

    def absorbs(self, other: Library) -> bool:
        """Whether arrays of another library are accepted as constants: only NumPy's."""
        return other.name == "NumPy"

    def has_float64(self, array: Array) -> bool:
        """Whether 64-bit dtypes are enabled."""
        return bool(jax.config.jax_enable_x64)  # type: ignore[attr-defined]

    def widens(self, array: Array) -> bool:
        """Whether 64-bit dtypes are enabled and programs run on a CPU."""
        return self.has_float64(array) and jax.default_backend() == "cpu"

    def default_float(self) -> str:
        """Return the name of the dtype that integers become."""
        return "float64" if self.has_float64(None) else "float32"

    def convert(self, array: np.ndarray, dtype: str, like: Array) -> Array:
        """Convert a NumPy array to JAX."""
        return self.raw.asarray(array.astype(dtype))

    def is_concrete(self, array: Array) -> bool:
        """Whether the values of an array are known: those of a tracer are not."""
        return not isinstance(array, Tracer)

    def conversion(self, name: str) -> str:
        """Return the code that converts an array to JAX."""
        return f"jax.numpy.asarray({name})"

    def columns(self, function: Callable[[Any], tuple[Array, Array]], like: Array) -> Any:
        """Call a function for each index of the last axis; traced calls use a loop of XLA."""
        if not isinstance(like, Tracer):  # outside jit, a loop is compiled at every call
            return super().columns(function, like)
        pairs = jax.lax.map(function, jnp.arange(like.shape[-1]))
        return tuple(jnp.moveaxis(parts, 0, -1) for parts in pairs)

    def overrides(self, result: str) -> dict[str, Any]:
        """Return the functions with special rules for derivatives or for meshes."""
        raw = self.raw
        return {
            # jnp.abs has derivative 1 at 0; here the tie averages +1 and -1, which gives 0
            "abs": lambda x, /: raw.maximum(x, -x),
            "maximum": raw.maximum,
            "minimum": raw.minimum,
            "stop_gradient": jax.lax.stop_gradient,
            # XLA would merge barriers with equal arguments: `use` makes them differ
            "alone": lambda use, *arrays: jax.lax.optimization_barrier((*arrays, use))[:-1],
            # XLA writes a constant to memory in the shape of the data, but not a number per row
            "of_each": lambda finite, number, /: finite * 0 + number,
            "bins": _bins,
            "bin_max": _bin_max,
            "chosen": _chosen,
            "bin_of": _bin_of,
            "rows": _rows,
            "places": lambda x: jnp.zeros_like(x, dtype=int) + jnp.arange(x.shape[-1]),
            "sums_by": _sums_by,
            "scan": _scan,
            **_rules(result),
            "total": self._total,
        }

    def _total(self, x: Array, axes: tuple[int, ...]) -> Array:
        """Sum in float64 if it is enabled."""
        if x.dtype == jnp.float32 and self.has_float64(x):
            return jnp.sum(x, axis=axes, keepdims=True, dtype=jnp.float64).astype(x.dtype)
        return special.sum_directly(self.raw, x, axes)

    def primitives(self, xp: Namespace) -> dict[str, Any]:
        """Return the primitives with their derivative rules."""
        ruled = {name: _of_row(xp, entry) for name, entry in PRIMITIVES.items()}
        turns = (
            ("shares", shares, shares_turn),
            ("unit_vector", unit_vector, direction_turn),
            ("direction", direction, direction_turn),
            ("euclidean_norm", euclidean_norm, norm_turn),
            ("inverse_norm", inverse_norm, inverse_turn),
        )
        ruled |= {name: _turned(xp, function, turn) for name, function, turn in turns}
        ruled["cosine"] = _angle(xp, special.cosine, cosine_slope)
        ruled["cosine_distance"] = _angle(xp, cosine_distance, distance_slope)
        return super().primitives(xp) | ruled

    def value(self, metric: Metric, call: Call) -> Any:
        """Return the value of a call, from a compiled program or as part of a traced one."""
        if metric.prediction_names or metric.target_names:
            return evaluate(metric, call)
        arrays, denominator = call[:4], call.denominator
        concrete = _concrete(*arrays)
        if not _compiles(self, metric) or not (concrete or _large(*arrays)):
            return evaluate(metric, call)
        number = type(denominator) in (int, float) and denominator >= 0
        if not (number or (_concrete if concrete else _arrays)(denominator)):
            return evaluate(metric, call)
        empty = None if call.empty != call.empty else call.empty  # all nan share a program
        try:
            program = _program(metric, call.options, empty)
        except TypeError:  # a hyper-parameter or an option has no hash
            return evaluate(metric, call)
        run = program.traced
        if concrete:
            few = call.predictions.size <= TINY
            run = program.compiled.few if few else program.compiled.many
        return run(*arrays, denominator)

    def statistics(self, metrics: Sequence[Metric], inputs: Inputs) -> tuple[Any, ...]:
        """Return the states of several metrics of the same inputs, from one program."""
        if not (
            _concrete(*inputs.arrays.values())
            and all(_compiles(self, metric) for metric in metrics)
        ):
            return super().statistics(metrics, inputs)
        try:
            program = _statistics(
                self,
                tuple(metrics),
                inputs.xp.result_name,
                inputs.xp.wide,
                inputs.axes,
                inputs.number,
            )
        except TypeError:
            return super().statistics(metrics, inputs)
        few = max(array.size for array in inputs.arrays.values()) <= TINY
        evaluate = program.few if few else program.many
        return evaluate(inputs.arrays)  # type: ignore[no-any-return]

    def fold(self, states: Sequence[Any]) -> Any:
        """Merge the states of one metric sequentially: one program serves any number of states."""
        return reduce(_merge_program(), states)

    def differentiated(
        self,
        function: Callable[..., Array],
        metric: Any,
        predictions: Array,
        targets: Any,
        options: dict[str, Any],
    ) -> tuple[Array, Array]:
        """Return value and gradient of ``function(metric, predictions, targets, **options)``."""
        arrays = {k: v for k, v in options.items() if isinstance(v, jax.Array)}
        others = {k: v for k, v in options.items() if k not in arrays}
        # functions of the user are not compiled: they may read values, and a lambda is never cached
        inputs = (*several(predictions), *several(targets), *arrays.values())
        if isinstance(metric, Metric) and _concrete(*inputs):
            try:
                program = _gradient(function, metric, tuple(sorted(others.items())))
            except TypeError:
                pass
            else:
                few = max(array.size for array in several(predictions)) <= TINY
                evaluate = program.few if few else program.many
                return evaluate(predictions, targets, arrays)  # type: ignore[no-any-return]
        return jax.value_and_grad(lambda p: function(metric, p, targets, **options))(predictions)

    def across(self, state: Any, axis_name: Any, group: Any) -> Any:
        """Merge the states along an axis of a mesh."""
        if axis_name is None:
            raise TypeError("across needs the name of the axis that samples are spread along")
        return _over_axis(state, axis_name)

    def chunk_arrays(self, plan: PassPlan) -> Arrays:
        """Return the operations on the arrays of a chunk."""
        return _ChunkArrays(plan)

    def gone_through(
        self, plan: PassPlan, needed: Needed, tokens: Tokens
    ) -> tuple[Array, Array, Slopes]:
        """Return the total of the losses, the losses and the slopes, from a compiled pass."""
        return _linear_pass(plan)(needed, tokens)  # type: ignore[no-any-return]

    def total_of_tokens(self, plan: PassPlan, tokens: Tokens, rows: Any) -> Array:
        """Return the total of the losses; its derivative is computed in the same pass."""
        return _linear_total(plan)(*tokens)


LIBRARY = JaxLibrary


# --- functions ------------------------------------------------------------------------------------


def _bins(index: Array, weights: Array | None, size: int, /) -> Array:
    """Sum by index."""
    ones = jnp.ones_like(index) if weights is None else weights

    def bins(index: Array, ones: Array) -> Array:
        row = jnp.arange(index.shape[0])[:, None]
        return jnp.zeros((index.shape[0], size), ones.dtype).at[row, index].add(ones)

    return _spread(bins, lambda rows, _: (rows, None), index, ones)


def _sums_by(index: Array, weights: Array, size: int, /) -> Array:
    xp: Any = ModuleType("isoloss.jax")
    known = lambda size: type(size) is int  # noqa: E731 - not a symbol of an exported program
    parts = {"bins": _bins, "total": partial(special.sum_directly, jnp), "is_known": known}
    xp.__dict__.update(vars(jnp), **parts)
    return _spread(
        lambda index, weights: special.sums_by(xp, index, weights, size),
        lambda rows, _: (rows, None), index, weights,
    )  # fmt: skip


def _bin_of(x: Array, edges: tuple[float, ...], /) -> Array:
    """Return the number of ascending edges that are at most x; -1 for nan."""

    def bin_of(x: Array) -> Array:
        count = jnp.searchsorted(jnp.asarray(edges, x.dtype), x, side="right")
        return jnp.where(jnp.isnan(x), -1, count)

    return _spread(bin_of, lambda *axes: axes, x)


def _rows(x: Array, axes: tuple[int, ...], /) -> Array:
    """Move the reduced axes last and flatten them; the result keeps their sharding."""
    kept_axes = tuple(i for i in range(x.ndim) if i not in axes)

    def spec(*names: Any) -> tuple[Any, ...]:
        reduced_names = (
            name if isinstance(name, tuple) else (name,) for name in (names[i] for i in axes)
        )
        merged = tuple(name for group in reduced_names for name in group if name is not None)
        return (*(names[i] for i in kept_axes), merged or None)

    return _spread(lambda x: special.rows(jnp, x, axes), spec, x)


def _spread(
    function: Callable[..., Array], spec: Callable[..., tuple[Any, ...]], *arrays: Array
) -> Array:
    """Call a function for which JAX has no sharding rule on explicit mesh axes.

    ``spec`` maps the mesh axes of the first array to those of the result.
    """
    sharding = jax.typeof(arrays[0]).sharding
    if all(axis is None for axis in sharding.spec):
        return function(*arrays)
    out = jax.sharding.NamedSharding(
        sharding.mesh, jax.sharding.PartitionSpec(*spec(*sharding.spec))
    )
    return jax.sharding.auto_axes(function, axes=sharding.mesh.axis_names, out_sharding=out)(
        *arrays
    )


def _chosen(numbers: Any, labels: Array, /) -> Array:
    """Return ``numbers[label]`` by comparison: a gather does not support explicit mesh axes."""
    table = jnp.asarray(numbers)
    return jnp.sum(jnp.where(labels[..., None] == jnp.arange(len(table)), table, 0), axis=-1)


def _bin_max(index: Array, x: Array, size: int, /) -> Array:
    row = jnp.arange(index.shape[0])[:, None]
    return jnp.zeros((index.shape[0], size), x.dtype).at[row, index].max(x)


def _scan(step: Callable[..., Any], state: Any, /, *sequences: Array) -> Any:
    """Apply a step to a state for each item of sequences, in a loop of XLA."""
    along = tuple(jax.numpy.moveaxis(x, -2, 0) for x in sequences)
    return jax.lax.scan(lambda state, x: (step(state, *x), None), state, along)[0]


def _rules(result: str) -> dict[str, Any]:
    """Return functions whose derivative, as JAX composes it, overflows or underflows in float32.

    JAX computes in float32 by default, so that float64 does not absorb this.
    """

    def with_slope(function: Callable[..., Array], slope: Callable[..., Array]) -> Any:
        ruled = jax.custom_jvp(function)
        ruled.defjvp(lambda x, dx: (ruled(*x), slope(*x) * dx[0]))
        return ruled

    quotient = jax.custom_jvp(operator.truediv)

    def quotient_jvp(primals: Any, tangents: Any) -> Any:
        (x, y), (dx, dy) = primals, tangents
        result = quotient(x, y)
        if not isinstance(dy, jax.custom_derivatives.SymbolicZero):  # result may be inf
            from_divisor = result * dy
            dx = (
                -from_divisor
                if isinstance(dx, jax.custom_derivatives.SymbolicZero)
                else dx - from_divisor
            )
        return result, quotient(dx, y)  # JAX's own rule squares y

    quotient.defjvp(quotient_jvp, symbolic_zeros=True)
    xp: Any = ModuleType("isoloss.jax")
    xp.__dict__.update(vars(jax.numpy), abs=lambda x: jax.numpy.maximum(x, -x))

    def log1p(x: Array) -> Array:
        """Correct log(1 + x) for the rounding of 1 + x (Kahan): JAX's log1p is 117 ULP off."""
        u = jax.lax.optimization_barrier(1 + x)  # otherwise XLA replaces u - 1 by x
        divisor = xp.where((u == 1) | xp.isinf(u), 1.0, u - 1)
        return xp.where(u == 1, x, xp.where(xp.isinf(u), u, xp.log(u) * (x / divisor)))

    def bounded(x: Array, bound: float) -> Array:
        return xp.sign(x) * xp.minimum(xp.abs(x), bound)

    def bounded_jvp(bound: float, primals: Any, tangents: Any) -> Any:
        (x,), (dx,) = primals, tangents
        return symmetric(x, bound), xp.where(xp.abs(x) <= bound, dx, xp.zeros_like(dx))

    symmetric = jax.custom_jvp(bounded, nondiff_argnums=(1,))
    symmetric.defjvp(bounded_jvp)

    def clip(x: Array, /, min: Any = None, max: Any = None) -> Array:  # noqa: A002
        """Clip; on a CPU, XLA sums selections ten times slower than products."""
        if isinstance(max, (int, float)) and isinstance(min, (int, float)) and min == -max:
            return symmetric(x, max)
        return special.clip(jax.numpy, x, min, max)

    exact: Any = ModuleType("isoloss.jax")
    exact.__dict__.update(vars(xp), log1p=log1p, quotient=quotient)
    exact.__dict__.update(wide=not result, result_name=result)
    log_ratio = jax.custom_jvp(partial(special.log_ratio, exact))

    def log_ratio_jvp(primals: Any, tangents: Any) -> Any:
        (x, y), (dx, dy) = primals, tangents
        # XLA turns 1 / (x / y) / y of the chain rule into 1 / (x y), which may overflow
        return log_ratio(x, y), quotient(dx, x) - quotient(dy, y)

    log_ratio.defjvp(log_ratio_jvp)
    rules = {
        "clip": clip,
        "log_ratio": log_ratio,
        "quotient": quotient,
        "log1p": with_slope(log1p, lambda x: quotient(xp.ones_like(x), 1 + x)),
    }
    for function, slope, curvature in (
        (special.sqrt1pm1, special.slope, special.curvature),
        (special.log_cosh, special.tanh, special.sech2),
    ):
        ruled = with_slope(partial(slope, xp), partial(curvature, xp))
        rules[function.__name__] = with_slope(partial(function, xp), ruled)
    xp.__dict__["log1p"] = rules["log1p"]
    for name, slope in special.SLOPES.items():
        rules[name] = with_slope(partial(getattr(special, name), xp), partial(slope, xp))
        setattr(xp, name, rules[name])
    return rules


def _moves(change: Any) -> bool:
    """Whether a tangent exists and is not the symbolic zero of a constant."""
    return change is not None and not isinstance(change, jax.custom_derivatives.SymbolicZero)


def _of_row(xp: Namespace, entry: Primitive) -> Any:
    """Return a primitive with its closed-form derivatives, for every order."""
    value, slope = (jax.custom_jvp(partial(f, xp)) for f in (entry.value, entry.slope))

    def by_rest(function: Callable[..., Array], primals: Any, tangents: Any) -> Any:
        """Return the derivative along the other arguments, by JAX's autodiff."""
        (x, *rest), (_, *changes) = primals, tangents
        moving = {k: change for k, change in enumerate(changes) if _moves(change)}
        if not moving:
            return 0.0

        def of_moving(moved: dict[int, Array]) -> Array:
            return function(xp, x, *(moved.get(k, argument) for k, argument in enumerate(rest)))

        return jax.jvp(of_moving, ({k: rest[k] for k in moving},), (moving,))[1]

    def value_rule(primals: Any, tangents: Any) -> tuple[Array, Array]:
        change = by_rest(entry.value, primals, tangents)
        if _moves(tangents[0]):
            change = change + xp.sum(slope(*primals) * tangents[0], axis=-1)
        return value(*primals), change

    def slope_rule(primals: Any, tangents: Any) -> tuple[Array, Array]:
        change = by_rest(entry.slope, primals, tangents)
        if _moves(tangents[0]):
            change = change + entry.turn(xp, *primals, tangents[0])
        return slope(*primals), change

    value.defjvp(value_rule, symbolic_zeros=True)
    slope.defjvp(slope_rule, symbolic_zeros=True)
    return value


def _turned(xp: Namespace, function: Any, turn: Any) -> Any:
    """Return a function of a row with its derivative rule."""
    ruled = jax.custom_jvp(partial(function, xp))
    ruled.defjvp(lambda x, v: (ruled(*x), turn(xp, *x, *v)))
    return ruled


def _angle(xp: Namespace, function: Any, slope: Any) -> Any:
    """Return a function of the angle between two rows, with a rule that uses its value."""

    @jax.custom_jvp
    def ruled(x: Array, y: Array) -> Array:
        # a barrier: XLA would evaluate the rows again for each sum of the angles
        return xp.alone(0, function(xp, x, y))[0]

    def rule(primals: Any, tangents: Any) -> tuple[Array, Array]:
        (x, y), (dx, dy), change = primals, tangents, 0.0
        value = ruled(x, y)
        for row, other, d in ((x, y, dx), (y, x, dy)):
            if _moves(d):
                change = change + xp.sum(slope(xp, row, other, value) * d, axis=-1)
        return value, change

    ruled.defjvp(rule, symbolic_zeros=True)
    return ruled


# --- calls ----------------------------------------------------------------------------------------


def _concrete(*values: Any) -> bool:
    """Whether all values are concrete JAX arrays or None."""
    return all(
        x is None or (isinstance(x, jax.Array) and not isinstance(x, Tracer)) for x in values
    )


def _arrays(*values: Any) -> bool:
    """Whether all values are JAX arrays, tracers, NumPy arrays or None."""
    return all(x is None or isinstance(x, (jax.Array, np.ndarray)) for x in values)


def _large(predictions: Array, *others: Any) -> bool:
    """Whether the arrays are so large that avoiding a second sum pays off."""
    if not _arrays(predictions, *others):
        return False
    known = all(type(n) is int for n in predictions.shape)  # not a symbol of an exported program
    return known and predictions.size >= SMALL


def _compiles(library: JaxLibrary, metric: Metric) -> bool:
    """Whether a fused program keeps the documented accuracy.

    A score subtracts numbers that must cancel. In float64 they cancel to the last digit of float32,
    fused or not; in float32 they would not.
    """
    accurate = metric.averages or metric.kind in ("counts", "sorted whole")
    return accurate or library.widens(None)


class _Compiled(NamedTuple):
    """A function as a quickly compiled program for few numbers, and an optimised one for many.

    Every shape is compiled separately, and its first call waits for the compilation.
    """

    few: Callable[..., Any]
    many: Callable[..., Any]


def _compiled(function: Callable[..., Any]) -> _Compiled:
    program = jax.jit(function)
    if jax.default_backend() != "cpu" or jax.__version_info__ < SINCE:
        return _Compiled(program, program)
    return _Compiled(jax.jit(function, compiler_options=QUICK), program)


# (low, high, unit): a sum of squares between low and high is accurate. Otherwise the residuals are
# multiplied or divided by the unit before they are squared. All three are powers of two.
_SQUARES = {
    "float32": (2.0**-80, 2.0**120, 2.0**79),
    "float64": (2.0**-700, 2.0**900, 2.0**540),
}


class _Sums(Totals):
    """Sums that record each computed sum, and whether it is in range.

    With the sums of a first pass, ``known``, the sums are computed in another unit. With ``known``
    and ``others``, the state is assembled from both. With ``roots`` of mean squares, the roots are
    not computed again, only their derivatives.
    """

    __slots__ = ("known", "others", "results", "rooted", "roots", "serves")

    def __init__(
        self,
        inputs: Batch,
        known: Sequence[Array] = (),
        others: Sequence[Array] = (),
        roots: Sequence[Array] = (),
    ) -> None:
        super().__init__(inputs)
        self.known, self.others, self.roots = list(known), list(others), list(roots)
        self.results: list[tuple[Array, Array]] = []  # sums, and scaled sums if they are in range
        self.serves: list[Array] = []
        self.rooted: list[Array] = []

    def __call__(self, terms: Array) -> Total:
        xp = self.xp
        if self.others:
            value = self.known.pop(0)
            return Total(value, xp.zeros_like(value, dtype=xp.result), self.others.pop(0))
        unit, weighted = SPARE[xp.computing_name], self.weighted(terms)
        if self.known:
            self.known.pop(0)
            weighted = weighted * unit
        value = self._sum(weighted)
        self._keep(value, value * unit, xp.isfinite(value))
        return Total(value, xp.zeros_like(value, dtype=xp.result))

    def _keep(self, value: Array, instead: Array, serves: Array) -> None:
        self.results.append((value, instead))
        self.serves.append(serves)

    def root_mean_square(self, residual: Array) -> Any:
        """Summarise residuals by their root mean square, computed directly."""
        xp = self.xp
        weight = self._weight(self._sum(xp.zeros_like(residual)))
        if self.roots:
            return self._rooted(self._moving(residual, weight, self.roots.pop(0)), weight)
        low, high, unit = _SQUARES[xp.computing_name]
        scale = xp.ones_like(weight.value)
        if self.known:  # depends on the data, because XLA would square a constant to 0
            before = self.known.pop(0)
            other = xp.where(before > 1, scale / unit, scale * unit)
            scale = xp.where((low < before) & (before < high), scale, other)
        if self.others:
            total = self.others.pop(0)
        else:
            residual = residual * self._expand(scale)
            total = self._sum(self.weighted(residual * residual))
            self._keep(total, total, (low < total) & (total < high))
        return self._rooted(xp.sqrt(ratio(xp, total, weight.sum)) / scale, weight)

    def _rooted(self, root: Array, weight: Total) -> Rooted:
        self.rooted.append(root)
        return Rooted(root, weight, weight)

    def _moving(self, residual: Array, weight: Total, root: Array) -> Array:
        """Return the known root with its derivative by residuals and weights."""
        xp, weights = self.xp, self._inputs.weights
        if weights is None and self._inputs.mask is not None:
            weights = xp.astype(self._inputs.mask, xp.computing)

        # pass everything as an argument: a rule must not close over differentiated arrays
        @jax.custom_jvp
        def moving(residual: Array, weights: Any, number: Array, root: Array) -> Array:
            return root

        def rule(primals: Any, tangents: Any) -> tuple[Array, Array]:
            (residual, weights, number, _), (change, heavier, *_) = primals, tangents
            root = moving(*primals)
            share = residual / self._expand(xp.where(root == 0, xp.ones_like(root), root))
            terms = share * change
            added = self._sum(terms if weights is None else terms * weights)
            if weights is not None:
                added += root / 2 * self._sum((share * share - 1) * heavier)
            return root, ratio(xp, added, number, 0.0)

        moving.defjvp(rule)
        return moving(residual, weights, weight.sum, root)


class _Program(NamedTuple):
    """The evaluation of a metric with given options."""

    traced: Callable[..., Array]
    compiled: _Compiled


@lru_cache(maxsize=PROGRAMS)
def _program(metric: Metric, options: Options, empty: Any) -> _Program:
    empty = float("nan") if empty is None else empty
    axis, keepdims, reduction, event_axis, _ = options

    def whole(p: Array, t: Array, weights: Any, where: Any, denominator: Any) -> Array:
        return evaluate(metric, Call(p, t, weights, where, options, denominator, empty))

    def sums(arguments: Any, **passes: Any) -> tuple[Inputs, Any, _Sums]:
        p, t, weights, where = arguments[:4]
        inputs = Inputs(metric, p, t, weights, where, axis, event_axis)
        batch = inputs.batch()
        totals = _Sums(batch, **passes)
        state = metric.statistics(batch.xp, batch.predictions, batch.targets, totals)
        return inputs, state, totals

    def valued(arguments: Any, **passes: Any) -> tuple[Array, list[Array]]:
        inputs, state, totals = sums(arguments, **passes)
        xp = inputs.xp
        value = metric.value(xp, state, arguments[4], empty)
        for reduced_axis in inputs.axes if keepdims else ():
            value = xp.expand_dims(value, axis=reduced_axis)
        return xp.astype(value, xp.result), totals.rooted

    # A second, scaled sum for overflows would read the data twice, and XLA takes ten times as long
    # for both on a CPU. Therefore one sum is computed first; only if it is out of range, the scaled
    # sum is computed. The barrier separates value and derivative, because XLA would store their
    # common terms. The last result is 1 and depends on the sum: a derivative multiplied by it is
    # computed after the sum, and can reuse the memory of the terms.
    @jax.custom_jvp
    def guarded(*arguments: Any) -> tuple[Array, list[Array], Array]:
        arguments = jax.lax.optimization_barrier(arguments)
        inputs, _, totals = sums(arguments)
        found, instead = (list(part) for part in zip(*totals.results, strict=True))
        serves = reduce(operator.and_, map(jnp.all, totals.serves))
        again = partial(_in_parts, inputs, of_part)
        others = jax.lax.cond(serves, lambda *_: instead, again, found, *arguments[:4])
        served = serves.astype(found[0].dtype)
        one = jnp.maximum(served, 1 - served)
        return *valued(arguments, known=found, others=others), one

    def of_part(known: Any, *part: Any) -> list[Array]:
        return [value for value, _ in sums(part, known=known)[2].results]

    def moved(primals: Any, tangents: Any) -> tuple[Any, Any]:
        results = guarded(*primals)
        leaves, tree = jax.tree.flatten(primals)  # some are None
        changes = {
            k: change for k, change in enumerate(jax.tree.leaves(tangents)) if _moves(change)
        }

        def of_moving(moving: dict[int, Array]) -> tuple[Array, list[Array]]:
            arguments = [moving.get(k, leaf) for k, leaf in enumerate(leaves)]
            return valued(jax.tree.unflatten(tree, arguments), roots=results[1])

        moving = {k: leaves[k] for k in changes}
        _, (change, roots) = jax.jvp(of_moving, (moving,), (changes,))
        return results, (change * results[2], roots, jnp.zeros_like(results[2]))

    guarded.defjvp(moved, symbolic_zeros=True)

    def call(*arguments: Any) -> Array:
        p, t, weights, where, _ = arguments
        large = p.size >= SMALL and jax.default_backend() == "cpu"
        if not (large and metric.averages and reduction == "mean"):
            return whole(*arguments)
        inputs = Inputs(metric, p, t, weights, where, axis, event_axis)
        few = math.prod(inputs.shape) * ROWS <= p.size  # then a second sum is cheap
        return whole(*arguments) if inputs.xp.wide or few else guarded(*arguments)[0]

    return _Program(call, _compiled(call))


PART = 4096  # the least number of samples of a part when a sum is recomputed
PARTS = 64  # the largest number of parts, which bounds the rounding error of adding their sums


def _in_parts(
    inputs: Inputs,
    function: Callable[..., list[Array]],
    known: Any,
    predictions: Array,
    targets: Array,
    weights: Any,
    where: Any,
) -> list[Array]:
    """Return sums of all samples, in a loop over parts of a reduced axis to save memory."""
    shape, arrays = inputs.shape, (predictions, targets, weights, where)
    axis = max(inputs.axes, key=shape.__getitem__, default=None)
    parts = min(PARTS, math.prod(shape) // PART)
    plain = inputs.metric.padding is None and predictions.shape[: len(shape)] == shape
    spread = (name for x in arrays if x is not None for name in jax.typeof(x).sharding.spec)
    if axis is None or parts < 2 or not plain or any(name is not None for name in spread):
        return function(known, *arrays)
    length = -(-shape[axis] // parts)

    def part(k: Any) -> list[Array]:
        start = jnp.minimum(k * length, shape[axis] - length)  # the last part overlaps
        counted = jnp.arange(length) + start >= k * length
        counted = jnp.reshape(counted, (length, *(1,) * (len(shape) - axis - 1)))

        def cut(x: Any, back: int) -> Any:
            """Slice an array along an axis, counted from the end, unless its length is 1."""
            if x is None or x.ndim < -back or x.shape[back] == 1:
                return x
            return jax.lax.dynamic_slice_in_dim(x, start, length, back)

        p, t = (cut(x, axis - x.ndim) if x.ndim else x for x in (predictions, targets))
        w, mask = (cut(x, axis - len(shape)) for x in (weights, where))
        return function(known, p, t, w, counted if mask is None else mask & counted)

    def step(k: Any, sums: list[Array]) -> list[Array]:
        return [a + b for a, b in zip(sums, part(k), strict=True)]

    sums: list[Array] = jax.lax.fori_loop(1, -(-shape[axis] // length), step, part(0))
    return sums


# --- states ---------------------------------------------------------------------------------------


@lru_cache(maxsize=PROGRAMS)
def _statistics(
    library: JaxLibrary,
    metrics: tuple[Metric, ...],
    result: str,
    wide: bool,
    axes: tuple[int, ...],
    number: int | None,
) -> _Compiled:
    def call(arrays: dict[str, Array]) -> tuple[Any, ...]:
        inputs = Inputs.checked(metrics[0], arrays, result, wide, axes, number)
        return super(JaxLibrary, library).statistics(metrics, inputs)

    return _compiled(call)


@lru_cache(maxsize=1)
def _merge_program() -> Callable[[Any, Any], Any]:
    return jax.jit(lambda state, other: state.merge(other))


def _over_axis(state: State, axis_name: Any) -> Any:
    """Sum arrays in which each device fills a separate row, so that the result is replicated."""
    count, here = jax.lax.axis_size(axis_name), jax.lax.axis_index(axis_name)

    def row(leaf: Array) -> Array:
        return jax.numpy.zeros((count, *leaf.shape), leaf.dtype).at[here].set(leaf)

    rows = jax.lax.psum(leafwise(row, state), axis_name)
    states = [leafwise(lambda leaf, i=i: leaf[i], rows) for i in range(count)]
    return state.weight.xp.library.fold(states)


# --- gradients ------------------------------------------------------------------------------------


@lru_cache(maxsize=PROGRAMS)
def _gradient(function: Any, metric: Any, others: tuple[tuple[str, Any], ...]) -> _Compiled:
    def call(p: Array, t: Array, arrays: dict[str, Array]) -> Array:
        return function(metric, p, t, **arrays, **dict(others))

    return _compiled(jax.value_and_grad(call))


# --- a linear layer under a cross-entropy ---------------------------------------------------------


class _ChunkArrays(Arrays):
    """Operations that make new arrays: JAX arrays are immutable."""

    def multiply(self, x: Array, y: Array) -> Array:
        return self.xp.matmul(x, y, preferred_element_type=self.dtype)


@lru_cache(maxsize=PASSES)
def _linear_pass(plan: PassPlan) -> Any:
    """Return the compiled pass, a function of the needed gradients and the tokens."""
    return jax.jit(partial(_scanned, plan), static_argnums=0)


@lru_cache(maxsize=PASSES)
def _linear_total(plan: PassPlan) -> Callable[..., Array]:
    """Return the total of the losses as a function with a derivative from the same pass."""
    through = _linear_pass(plan)

    @jax.custom_jvp
    def total(*tokens: Any) -> Array:
        return through(NOTHING, Tokens(*tokens))[0]

    def with_slopes(primals: Any, tangents: Any) -> tuple[Array, Array]:
        moves = tuple(map(_moves, tangents[:4]))
        value, losses, slopes = through(moves[:3], Tokens(*primals))
        change = jax.numpy.zeros_like(value)
        for slope, dx, move in zip((*slopes, losses), tangents[:4], moves, strict=True):
            if move:
                change += jax.numpy.sum(slope * dx.astype(slope.dtype)).astype(change.dtype)
        return value, change

    total.defjvp(with_slopes, symbolic_zeros=True)
    return total


def _scanned(plan: PassPlan, needed: Needed, tokens: Tokens) -> tuple[Array, Array, Slopes]:
    """Run the chunks in a loop of XLA, padded to one length; padding is excluded."""
    arrays = _ChunkArrays(plan)
    count = tokens.hidden.shape[0]
    if count <= plan.chunk:
        return gone_through(plan, needed, tokens)
    chunks = -(-count // plan.chunk)
    length = -(-count // chunks)

    def cut(x: Array) -> Array:
        added = [(0, chunks * length - count)] + [(0, 0)] * (x.ndim - 1)
        return jnp.reshape(jnp.pad(x, added), (chunks, length, *x.shape[1:]))

    factor = tokens.factor
    if factor is None and chunks * length > count:
        factor = jnp.ones(count, arrays.xp.computing)
    weight = tokens.weight.astype(arrays.product)
    bias = None if tokens.bias is None else tokens.bias.astype(arrays.dtype)
    along = (cut(tokens.hidden), None if factor is None else cut(factor), cut(tokens.labels))

    def step(sums: Any, chunk: Any) -> Any:
        chunk_tokens = Tokens(chunk[0], weight, bias, chunk[1], chunk[2])
        losses, by_hidden, sums = of_chunk(arrays, chunk_tokens, needed, sums)
        return sums, (losses, by_hidden)

    start = (
        jnp.zeros(weight.shape, arrays.dtype) if needed[1] else None,
        jnp.zeros(weight.shape[0], arrays.dtype) if needed[2] else None,
    )
    sums, (losses, by_hidden) = jax.lax.scan(step, start, along)
    losses = jnp.reshape(losses, (-1,))[:count]
    if needed[0]:
        by_hidden = jnp.reshape(by_hidden, (-1, weight.shape[1]))[:count]
    total = jnp.sum(losses if tokens.factor is None else losses * tokens.factor)
    return total, losses, (by_hidden, *sums)
