"""A training step for JAX models with an optax optimizer."""

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
    """The result of a training step.

    Parameters
    ----------
    parameters : pytree
        The parameters after the step.
    optimizer_state : pytree
        The state of the optimizer after the step.
    value : array
        The loss of the whole batch before the step.
    states : dict of states
        The states of the metrics by name. States of several batches merge with ``merge``.
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
    """Return a jitted training step: a function of parameters, optimizer state and batch.

    ``step(parameters, optimizer_state, inputs, targets, weights=None, where=None)`` returns a
    `Step`. The step passes the value, the gradient and the function to the optimizer, as
    required by ``optax.lbfgs``, ``optax.contrib.reduce_on_plateau`` and ``polyak_sgd``. Batches
    sharded over devices stay sharded.

    Parameters
    ----------
    loss : metric
        The loss of the predictions to minimise.
    apply : function
        A function of parameters and inputs that returns predictions, such as ``model.apply`` of
        Flax Linen or ``lambda state, inputs: nnx.merge(graph, state)(inputs)``.
    optimizer : optax.GradientTransformation
        The optimizer. Its initial state is ``optimizer.init(parameters)``.
    metrics : iterable of metrics, or mapping from names to metrics
        Metrics of the predictions before the step, summarised in the same pass.
    microbatches : int
        The number of parts of the batch, which are processed one after the other to save memory.
        The gradient and the value are those of the whole batch for any distribution of weights,
        because the sums are divided once.

    Raises
    ------
    TypeError
        If ``loss`` or one of ``metrics`` is not a metric.
    ValueError
        If ``microbatches`` is above 1 and the loss does not have one term per sample, the loss
        depends on all pairs of a batch, or the batch does not divide evenly.

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

        # strided parts: each part then has rows of every device of a sharded batch
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
    """Return the number of samples of a batch after checking that it can be split."""
    shapes = [tuple(leaf.shape) for leaf in jax.tree.leaves(batch)]
    if len({shape[:1] for shape in shapes}) != 1 or () in shapes:
        message = "microbatches= splits inputs, targets, weights and where along their first axis, "
        raise fail(loss, f"{message}which must be of one length: the shapes are {shapes}")
    length: int = shapes[0][0]
    if length % parts:
        raise fail(loss, f"a batch of {length} samples does not divide into {parts} microbatches")
    return length


def _merged(stacked: Any) -> Any:
    """Merge the states that a scan has stacked."""
    count = stacked.weight.value.shape[0]
    states = [leafwise(lambda leaf, i=i: leaf[i], stacked) for i in range(count)]
    return states[0].weight.xp.library.fold(states)
