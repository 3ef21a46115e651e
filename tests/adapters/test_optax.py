"""A step of training with optax: the same as one written by hand, in parts and on many devices."""

from __future__ import annotations

import doctest
import os
import subprocess
import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen, nnx
from jax.flatten_util import ravel_pytree

import isoloss as il
from isoloss.adapters import optax as adapter
from isoloss.adapters.optax import training_step
from isoloss.testing import assert_close_ulp

INPUTS = jax.random.normal(jax.random.key(0), (64, 3))
TARGETS = INPUTS @ jnp.array([1.0, -2.0, 3.0]) + 0.5
WEIGHTS = jax.random.randint(jax.random.key(1), (64,), 0, 4).astype(jnp.float32)
WHERE = jax.random.bernoulli(jax.random.key(2), 0.7, (64,))
START = {"w": jnp.zeros(3), "b": jnp.zeros(())}


def linear(parameters: dict, inputs: jax.Array) -> jax.Array:
    return inputs @ parameters["w"] + parameters["b"]


def assert_trees_close(found: object, expected: object, ulp: float) -> None:
    """Compare numbers in ULP of the largest: a sum is as exact as its terms, not as what is left."""
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    one, two = (np.asarray(ravel_pytree(tree)[0]) for tree in (found, expected))
    assert one.dtype == two.dtype == np.float32
    np.testing.assert_allclose(one, two, rtol=0, atol=ulp * np.spacing(np.max(np.abs(two))))


@pytest.mark.parametrize(
    ("loss", "theirs"),
    [
        (il.mean_squared_error, optax.losses.squared_error),
        (il.Huber(delta=0.5), partial(optax.losses.huber_loss, delta=0.5)),
    ],
)
def test_training_equals_a_step_of_optax_written_by_hand(loss: il.Metric, theirs: object) -> None:
    """Ten steps of Adam end where ten steps with the loss of optax end."""
    optimizer = optax.adam(0.1)
    step = training_step(loss, linear, optimizer)
    parameters, state = START, optimizer.init(START)
    other, other_state = START, optimizer.init(START)

    @jax.jit
    def by_hand(parameters: dict, state: object) -> tuple:
        def mean(parameters: dict) -> jax.Array:
            return jnp.mean(theirs(linear(parameters, INPUTS), TARGETS))

        value, gradient = jax.value_and_grad(mean)(parameters)
        updates, state = optimizer.update(gradient, state, parameters)
        return optax.apply_updates(parameters, updates), state, value

    for _ in range(10):
        parameters, state, value, states = step(parameters, state, INPUTS, TARGETS)
        other, other_state, expected = by_hand(other, other_state)
        assert states == {}
        assert_close_ulp(np.asarray(value), np.asarray(expected), 8)
    assert_trees_close(parameters, other, 4)
    assert float(value) < float(loss(linear(START, INPUTS), TARGETS))


WEIGHTED = {"weights": WEIGHTS, "where": WHERE}


@pytest.mark.parametrize(
    ("loss", "options", "parts"),
    [
        (il.huber, {}, (8,)),
        (il.huber, WEIGHTED, (1, 8)),
        (il.Scaled(il.mse, 3.0), WEIGHTED, (8,)),
    ],
    ids=["plain", "weighted", "scaled"],
)
def test_microbatches_give_the_gradient_of_the_whole(
    loss: il.Metric, options: dict, parts: tuple[int, ...]
) -> None:
    """Parts of different weights give the value and the gradient of the whole batch."""

    def whole(parameters: dict) -> jax.Array:
        return loss(linear(parameters, INPUTS), TARGETS, **options)

    value, gradient = jax.jit(jax.value_and_grad(whole))(START)
    optimizer = optax.sgd(1.0)
    for k in parts:
        step = training_step(loss, linear, optimizer, microbatches=k)
        found = step(START, optimizer.init(START), INPUTS, TARGETS, **options)
        assert_trees_close(found.parameters, jax.tree.map(jnp.negative, gradient), 2)
        assert_close_ulp(np.asarray(found.value), np.asarray(value), 2)


def test_metrics_are_those_of_the_whole_batch() -> None:
    """The states of metrics are of the predictions before the step, in parts as well."""
    metrics = {"mae": il.mae, "r2": il.r2_score, "median": il.median_absolute_error}
    optimizer = optax.sgd(1.0)
    options = {"weights": WEIGHTS, "where": WHERE}
    start = {"w": jnp.array([1.0, -1.0, 1.0]), "b": jnp.zeros(())}
    # NumPy, which compiles nothing, says what the values are
    arrays = [np.asarray(array) for array in (linear(start, INPUTS), TARGETS, WEIGHTS, WHERE)]
    expected = il.evaluate(metrics, *arrays[:2], weights=arrays[2], where=arrays[3])
    for k in (1, 4):
        step = training_step(il.mse, linear, optimizer, metrics=metrics, microbatches=k)
        states = step(start, optimizer.init(start), INPUTS, TARGETS, **options).states
        for name, metric in metrics.items():
            value = metric.compute(jax.tree.map(np.asarray, states[name]))
            assert_close_ulp(np.asarray(value), np.asarray(expected[name]), 4)


def test_microbatches_weigh_by_the_labels_that_count() -> None:
    """Where labels decide what counts, parts with few of them do not weigh more."""
    labels = jnp.where(WHERE, jnp.arange(64) % 3, -100)
    loss = il.SoftmaxCrossEntropy(ignore_index=-100)
    model = {"w": jnp.ones((3, 3)) * jnp.arange(3.0)}
    optimizer = optax.sgd(1.0)
    results = [
        training_step(loss, lambda p, x: x @ p["w"], optimizer, microbatches=k)(
            model, optimizer.init(model), INPUTS, labels
        )
        for k in (1, 4)
    ]
    assert_trees_close(results[1].parameters, results[0].parameters, 2)
    assert_close_ulp(np.asarray(results[1].value), np.asarray(results[0].value), 2)


@pytest.mark.parametrize("microbatches", [1, 4])
def test_a_batch_of_which_nothing_counts_changes_nothing(microbatches: int) -> None:
    """Without a sample that counts the value is nan, the gradient 0, in parts as well."""
    optimizer = optax.sgd(1.0)
    step = training_step(il.mse, linear, optimizer, microbatches=microbatches)
    found = step(START, optimizer.init(START), INPUTS, TARGETS, where=WHERE & False)
    assert np.isnan(found.value)
    assert_trees_close(found.parameters, START, 0)


# backtracking compiles in half of the time that the default, zoom, needs
LINE_SEARCH = optax.scale_by_backtracking_linesearch(max_backtracking_steps=15)


@pytest.mark.parametrize(
    ("optimizer", "steps", "microbatches"),
    [(optax.lbfgs(linesearch=LINE_SEARCH), 10, 2), (optax.polyak_sgd(), 60, 1)],
    ids=["lbfgs", "polyak"],
)
def test_optimizers_that_ask_for_the_value_get_it(
    optimizer: optax.GradientTransformation, steps: int, microbatches: int
) -> None:
    """L-BFGS searches along the function; Polyak's step size is of the value: both converge."""
    step = training_step(il.mse, linear, optimizer, microbatches=microbatches)
    parameters, state = START, optimizer.init(START)
    for _ in range(steps):
        parameters, state, value, _ = step(parameters, state, INPUTS, TARGETS)
    assert float(value) < 1e-6
    np.testing.assert_allclose(parameters["w"], [1.0, -2.0, 3.0], atol=1e-3)


def test_an_optimizer_that_takes_no_value_gets_none() -> None:
    """A transformation that takes a gradient and nothing else is an optimizer too."""
    step = training_step(il.half_squared_error, linear, optax.scale(-1.0))
    found = step(START, optax.scale(-1.0).init(START), INPUTS, TARGETS)
    assert_trees_close(found.parameters["b"], jnp.mean(TARGETS), 2)


class Dense(linen.Module):
    """A network of two layers, in Linen."""

    @linen.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return linen.Dense(1)(linen.tanh(linen.Dense(16)(x)))[..., 0]


def test_a_model_of_linen_learns() -> None:
    """`model.apply` is an apply; states of metrics merge over the batches of an epoch."""
    model, optimizer = Dense(), optax.adam(0.03)
    parameters = jax.jit(model.init)(jax.random.key(0), INPUTS)
    state = optimizer.init(parameters)
    step = training_step(
        il.huber, model.apply, optimizer, metrics={"error": il.mae}, microbatches=2
    )
    merge, errors = jax.jit(lambda first, second: first.merge(second)), []
    for _ in range(100):
        total = None
        for k in range(0, 64, 16):
            batch = INPUTS[k : k + 16], TARGETS[k : k + 16]
            parameters, state, _, states = step(parameters, state, *batch)
            total = states["error"] if total is None else merge(total, states["error"])
        errors.append(float(il.mae.compute(total)))
    assert errors[-1] < 0.1 * errors[0]


def test_a_model_of_nnx_learns() -> None:
    """A module of NNX trains as its graph and its state."""
    graph, parameters = nnx.split(nnx.Linear(3, 1, rngs=nnx.Rngs(0)))
    optimizer = optax.sgd(0.1)
    step = training_step(
        il.half_squared_error, lambda state, x: nnx.merge(graph, state)(x)[..., 0], optimizer
    )
    state = optimizer.init(parameters)
    for _ in range(200):
        parameters, state, value, _ = step(parameters, state, INPUTS, TARGETS)
    assert float(value) < 1e-6
    kernel = nnx.merge(graph, parameters).kernel[...]
    np.testing.assert_allclose(kernel[:, 0], [1.0, -2.0, 3.0], atol=1e-3)


def test_an_ensemble_is_a_vmap_of_the_step() -> None:
    """Under vmap, each member takes the step that it takes alone."""
    optimizer = optax.adam(0.1)
    step = training_step(il.huber, linear, optimizer)
    members = {"w": jax.random.normal(jax.random.key(3), (4, 3)), "b": jnp.zeros(4)}
    state = jax.vmap(optimizer.init)(members)
    together = jax.vmap(step, (0, 0, None, None))(members, state, INPUTS, TARGETS)
    for k in range(4):
        member = jax.tree.map(lambda x, k=k: x[k], members)
        alone = step(member, optimizer.init(member), INPUTS, TARGETS)
        assert_trees_close(
            jax.tree.map(lambda x, k=k: x[k], together.parameters), alone.parameters, 4
        )
        assert_close_ulp(np.asarray(together.value[k]), np.asarray(alone.value), 4)


def test_the_terms_of_a_loss_drop_in_where_a_loss_of_optax_goes() -> None:
    """`partial(loss, reduction="none")` is a function like those in optax.losses."""
    predictions = linear({"w": jnp.ones(3), "b": jnp.ones(())}, INPUTS)
    for loss, theirs in (
        (il.mse, optax.losses.squared_error),
        (il.half_squared_error, optax.losses.l2_loss),
        (il.huber, optax.losses.huber_loss),
    ):
        terms = partial(loss, reduction="none")
        found, expected = jax.jit(terms)(predictions, TARGETS), theirs(predictions, TARGETS)
        assert_close_ulp(np.asarray(found), np.asarray(expected), 4)


SHARDED = """
import jax, jax.numpy as jnp, numpy as np, optax, isoloss as il
from isoloss.adapters.optax import training_step
from jax.sharding import NamedSharding, PartitionSpec
assert jax.device_count() == 4
mesh = jax.make_mesh((4,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
rows = NamedSharding(mesh, PartitionSpec("data"))
x = jax.random.normal(jax.random.key(0), (64, 3))
y, w = x @ jnp.array([1.0, -2.0, 3.0]), jnp.arange(64.0) % 5
start, optimizer = jnp.zeros(3), optax.sgd(0.5)
state, spread = optimizer.init(start), [jax.device_put(array, rows) for array in (x, y, w)]
steps = [
    training_step(il.huber, lambda p, x: x @ p, optimizer, metrics=[il.r2_score], microbatches=k)
    for k in (1, 4)
]
alone = steps[0](start, state, x, y, w)
score = il.r2_score.compute(jax.tree.map(np.asarray, alone.states["r2_score"]))
for step in steps:
    program = step.lower(start, state, *spread).compile()
    many = program(start, state, *spread)
    assert "all-reduce" in program.as_text()
    assert "all-gather" not in program.as_text()
    np.testing.assert_allclose(many.parameters, alone.parameters, rtol=1e-6)
    np.testing.assert_allclose(many.value, alone.value, rtol=1e-6)
    states = jax.tree.map(np.asarray, many.states["r2_score"])  # NumPy compiles nothing
    np.testing.assert_allclose(il.r2_score.compute(states), score, rtol=1e-6)
print("the same")
"""


def test_a_batch_on_four_devices_is_not_gathered() -> None:
    """A sharded batch gives the same step, in parts too, and no device collects the others' rows."""
    flags = "--xla_force_host_platform_device_count=4 --xla_backend_optimization_level=0"
    env = {**os.environ, "XLA_FLAGS": flags}
    done = subprocess.run(
        [sys.executable, "-c", SHARDED], capture_output=True, text=True, env=env, check=False
    )
    assert done.stdout.strip() == "the same", done.stderr


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (
            lambda: training_step(1.0, linear, optax.sgd(1.0)),
            TypeError,
            "training_step takes metrics such as isoloss.huber, not 1.0",
        ),
        (
            lambda: training_step(il.mse, linear, optax.sgd(1.0), metrics=il.mae),
            TypeError,
            r"training_step takes several metrics: pass \[MeanAbsoluteError\(\)\]",
        ),
        (
            lambda: training_step(il.mse, linear, optax.sgd(1.0), microbatches=0),
            ValueError,
            r"MeanSquaredError\(\): microbatches must be an integer above 0, not 0",
        ),
        (
            lambda: training_step(il.rmse, linear, optax.sgd(1.0), microbatches=2),
            ValueError,
            r"microbatches= needs a loss with one term per sample, which this one does not have",
        ),
        (
            lambda: training_step(il.info_nce, linear, optax.sgd(1.0), microbatches=2),
            ValueError,
            "it is of all pairs of a batch, which microbatches= would take apart",
        ),
    ],
)
def test_errors_when_a_step_is_made(make: object, kind: type, message: str) -> None:
    """What cannot be trained is refused before the first batch."""
    with pytest.raises(kind, match=message):
        make()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"MeanSquaredError\(\): a batch of 64 samples does not divide into 5 microbatches"),
        (
            {"weights": jnp.ones(1)},
            r"must be of one length: the shapes are \[\(64, 3\), \(64,\), \(1,\)\]",
        ),
    ],
)
def test_a_batch_that_cannot_be_split_is_an_error(options: dict, message: str) -> None:
    """A batch that does not divide into its parts is an error with the numbers."""
    optimizer = optax.sgd(1.0)
    step = training_step(il.mse, linear, optimizer, microbatches=5)
    with pytest.raises(ValueError, match=message):
        step(START, optimizer.init(START), INPUTS, TARGETS, **options)


def test_examples_in_docstrings_run() -> None:
    """The examples print what they say."""
    result = doctest.testmod(adapter)
    assert result.attempted > 0
    assert result.failed == 0
