"""One step of training a model of JAX with an optimizer of optax."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from .._core.errors import fail
from .._core.metric import Metric
from .._core.states import leafwise
from ..evaluation import named
from ..metrics.catalogue import as_metric

try:
    import jax
    import optax
except ImportError as error:
    message = "isoloss.adapters.optax needs optax and JAX: pip install 'isoloss[optax]'"
    raise ImportError(message) from error


class Step(NamedTuple):
    """What a step of training returns.

    Parameters
    ----------
    parameters : pytree
        The parameters after it.
    optimizer_state : pytree
        The optimizer's state after it.
    value : array
        The loss before it, of the whole batch.
    states : dict of states
        Those of the metrics, by name: of several batches they ``merge``.
    """

    parameters: Any
    optimizer_state: Any
    value: Any
    states: dict[str, Any]


def training_step(
    loss: Metric,
    apply: Callable[[Any, Any], Any],
    optimizer: optax.GradientTransformation,
    *,
    metrics: Iterable[Metric] | Mapping[str, Metric] = (),
    microbatches: int = 1,
) -> Callable[..., Step]:
    """Return a jitted step of training: of parameters, an optimizer's state and a batch.

    ``step(parameters, optimizer_state, inputs, targets, weights=None, where=None)`` returns a
    `Step`. The optimizer is handed what any of optax asks for: the value, the gradient and the
    function itself (``optax.lbfgs``, ``optax.contrib.reduce_on_plateau``, ``polyak_sgd``).
    Batches that are sharded over devices stay so.

    Parameters
    ----------
    loss : metric
        What is minimised, of the predictions that ``apply`` makes.
    apply : function
        Of parameters and inputs: ``model.apply`` of Flax's Linen, or
        ``lambda state, inputs: nnx.merge(graph, state)(inputs)``.
    optimizer : optax.GradientTransformation
        Its state at the start is ``optimizer.init(parameters)``.
    metrics : iterable of metrics, or mapping from names to metrics
        Summarised in the same pass, from the predictions before the step.
    microbatches : int
        Work on so many parts of the batch, one after the other, for the memory of one. Gradient
        and value are those of the whole, whatever the weights of the parts: sums are divided once.

    Raises
    ------
    TypeError
        For anything that is not a metric.
    ValueError
        For several parts of a loss without one term per sample or of all pairs of a batch, or of a
        batch that does not divide.

    Examples
    --------
    >>> import jax.numpy as jnp, optax, isoloss as il
    >>> from isoloss.adapters.optax import training_step
    >>> optimizer = optax.sgd(0.25)
    >>> step = training_step(il.half_squared_error, lambda w, x: w * x, optimizer, metrics=[il.mae])
    >>> w, x, y = jnp.float32(0.0), jnp.array([1.0, -1.0]), jnp.array([2.0, -2.0])
    >>> w, state, value, states = step(w, optimizer.init(w), x, y)
    >>> float(w), float(value), float(il.mae.compute(states["mean_absolute_error"]))
    (0.5, 2.0, 2.0)
    """
    loss = as_metric("training_step", loss)
    followed = named("training_step", metrics)
    if type(microbatches) is not int or microbatches < 1:
        raise fail(loss, f"microbatches must be an integer above 0, not {microbatches!r}")
    if microbatches > 1 and not (loss.summable and loss.averages):
        message = (
            "microbatches= needs a loss with one term per sample, which this one does not have"
        )
        raise fail(loss, message)
    if microbatches > 1 and "batch" in loss.core[0]:
        raise fail(loss, "it is of all pairs of a batch, which microbatches= would take apart")
    update = optax.with_extra_args_support(optimizer).update

    def value_of(
        parameters: Any, inputs: Any, targets: Any, options: Any, denominator: int | None = None
    ) -> tuple[Any, Any]:
        predictions = apply(parameters, inputs)
        states = {n: m.summary(predictions, targets, **options) for n, m in followed.items()}
        own = loss.summary(predictions, targets, **options)
        return loss(predictions, targets, denominator=denominator, **options), (own, states)

    def in_parts(parameters: Any, *batch: Any) -> tuple[tuple[Any, Any], Any]:
        size = _length(loss, batch, microbatches)
        slope = jax.grad(value_of, has_aux=True)

        def add(gradient: Any, some: Any) -> tuple[Any, Any]:
            found, states = slope(parameters, *some, size)
            return jax.tree.map(jax.numpy.add, gradient, found), states

        # every so many rows: of a batch that is sharded over devices, each part has some of all
        rows = jax.tree.map(
            lambda x: x.reshape(-1, microbatches, *x.shape[1:]).swapaxes(0, 1), batch
        )
        gradient, stacked = jax.lax.scan(add, jax.tree.map(jax.numpy.zeros_like, parameters), rows)
        own, states = _merged(stacked[0]), {n: _merged(s) for n, s in stacked[1].items()}
        weight = own.weight.sum
        factor = jax.numpy.where(weight == 0, 0, size / weight)
        gradient = jax.tree.map(lambda g: (g * factor).astype(g.dtype), gradient)
        return (loss.compute(own), (own, states)), gradient

    differentiated = in_parts if microbatches > 1 else jax.value_and_grad(value_of, has_aux=True)

    @jax.jit
    def step(
        parameters: Any,
        optimizer_state: Any,
        inputs: Any,
        targets: Any,
        weights: Any = None,
        where: Any = None,
    ) -> Step:
        batch = inputs, targets, {"weights": weights, "where": where}
        (value, (_, states)), gradient = differentiated(parameters, *batch)
        updates, optimizer_state = update(
            gradient,
            optimizer_state,
            parameters,
            value=value,
            grad=gradient,
            value_fn=lambda parameters: value_of(parameters, *batch)[0],
        )
        return Step(optax.apply_updates(parameters, updates), optimizer_state, value, states)

    return step


def _length(loss: Metric, batch: Any, parts: int) -> int:
    """Return the number of samples of a batch that is to be split."""
    shapes = [tuple(leaf.shape) for leaf in jax.tree.leaves(batch)]
    if len({shape[:1] for shape in shapes}) != 1 or () in shapes:
        message = "microbatches= splits inputs, targets, weights and where along their first axis, "
        raise fail(loss, f"{message}which must be of one length: the shapes are {shapes}")
    length: int = shapes[0][0]
    if length % parts:
        raise fail(loss, f"a batch of {length} samples does not divide into {parts} microbatches")
    return length


def _merged(stacked: Any) -> Any:
    """Merge states that a scan has stacked."""
    count = stacked.weight.value.shape[0]
    states = [leafwise(lambda leaf, i=i: leaf[i], stacked) for i in range(count)]
    return states[0].weight.xp.library.fold(states)
