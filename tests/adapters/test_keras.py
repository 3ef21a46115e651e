"""Losses and metrics in Keras's compile, fit, evaluate and save, against Keras's own.

KERAS_BACKEND is torch unless it says jax. On PyTorch, where nothing is compiled, every test runs; on
JAX those that are not marked `once`: the adapter has one code for both, so that of the calls of a loss
a few stand for all, but a compiled step, variables and dtypes differ.
"""

from __future__ import annotations

import doctest
import functools
import importlib.util
import itertools
import json
import os
import subprocess
import sys
from dataclasses import dataclass

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
import pytest
from keras import ops

import isoloss as il
from conformance.kit.metrics import ALL
from isoloss.adapters import keras as adapter
from isoloss.adapters.keras import Loss, Metric
from isoloss.testing import assert_close_ulp

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning",  # Keras, NumPy 2
    "ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning",  # torch.compile's own
)
BACKEND = keras.backend.backend()
if BACKEND == "torch":
    import torch
MODES = {"compiled": {"jit_compile": BACKEND == "jax"}, "eager": {"run_eagerly": True}}
once = pytest.mark.once
# torch.compile traces Keras's whole step in pieces
slow_on_torch = pytest.mark.exhaustive if BACKEND == "torch" else lambda test: test


def of_which_jax_runs(*names, among):
    """Mark all parameters but these as `once`."""

    def marked(name):
        values = name if isinstance(name, tuple) else (name,)
        return pytest.param(*values, marks=() if name in names else once)

    return list(map(marked, among))


def numbers(x):
    return ops.convert_to_numpy(x)


def near(got, want):
    """Whether float32 numbers are two units apart at most, in those of 1 if they are smaller."""
    return abs(float(got) - float(want)) <= 2 * np.spacing(np.float32(max(1, abs(want))))


def random(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype("float32")


def labels(*shape, classes=3):
    return np.random.default_rng(shape).integers(0, classes, shape)


def masked(x, mask):
    x = ops.convert_to_tensor(x)
    keras.src.backend.set_keras_mask(x, ops.convert_to_tensor(mask))
    return x


# --- losses ---------------------------------------------------------------------------------------

X, Y, MASK = random(5, 4, 3), random(5, 4, 3, seed=1), labels(5, 4, classes=2) > 0
LOSSES = {
    "MeanSquaredError": (il.mse, keras.losses.MeanSquaredError, {}, Y),
    "MeanAbsoluteError": (il.mae, keras.losses.MeanAbsoluteError, {}, Y),
    "Huber": (il.Huber(delta=0.5), keras.losses.Huber, {"delta": 0.5}, Y),
    "BinaryCrossentropy": (
        il.SigmoidCrossEntropy(label_smoothing=0.25),
        keras.losses.BinaryCrossentropy,
        {"from_logits": True, "label_smoothing": 0.25},
        labels(5, 4, 3, classes=2),
    ),
    "CategoricalCrossentropy": (
        il.softmax_cross_entropy_with_probabilities,
        keras.losses.CategoricalCrossentropy,
        {"from_logits": True},
        np.eye(3, dtype="float32")[labels(5, 4)],
    ),
    "SparseCategoricalCrossentropy": (
        il.softmax_cross_entropy,
        keras.losses.SparseCategoricalCrossentropy,
        {"from_logits": True},
        labels(5, 4),
    ),
    "SparseCategoricalCrossentropy, a column, ignored": (
        il.SoftmaxCrossEntropy(ignore_index=0),
        keras.losses.SparseCategoricalCrossentropy,
        {"from_logits": True, "ignore_class": 0},
        labels(5, 4, 1),
    ),
}


@pytest.mark.parametrize(
    "name",
    of_which_jax_runs("SparseCategoricalCrossentropy, a column, ignored", among=LOSSES),
)
def test_losses_are_those_of_keras(name):
    """A loss has the value of Keras's own."""
    metric, theirs, options, y = LOSSES[name]
    want = theirs(**options)(y, X)
    assert_close_ulp(numbers(Loss(metric)(y, X)), numbers(want), 4)


WEIGHTS = {"alike": None, "rows": random(5) ** 2, "steps": random(5, 4) ** 2}


@pytest.mark.parametrize(
    ("name", "which", "weighted"),
    of_which_jax_runs(
        ("Huber", "masked", "rows"),
        among=itertools.product(
            ["Huber", "SparseCategoricalCrossentropy"], ["all", "masked"], WEIGHTS
        ),
    ),
)
def test_reductions_weights_and_masks_are_those_of_keras(name, which, weighted):
    """Every reduction of weighted and masked samples is Keras's: its shape too."""
    metric, theirs, options, y = LOSSES[name]
    x, weights = masked(X, MASK) if which == "masked" else X, WEIGHTS[weighted]
    every = weights  # for Keras, which takes weights of the shape of its losses alone
    if weights is not None and weights.ndim == 1:
        every = np.broadcast_to(weights[:, None], (5, 4))
    for reduction in (
        "sum_over_batch_size",
        "mean",
        "sum",
        "none",
        None,
        "mean_with_sample_weight",
    ):
        want = theirs(reduction=reduction, **options)(y, x, sample_weight=every)
        got = Loss(metric, reduction=reduction)(y, x, sample_weight=weights)
        assert_close_ulp(numbers(got), numbers(want), 8)


@once
def test_shapes_are_those_that_keras_users_have():
    """(n,) stands for (n, 1), labels may be a column or floats; nothing else is broadcast."""
    x, y = random(6, 1), random(6, seed=1)
    want = float(il.mse(x[:, 0], y))
    for a, b in ((y, x), (y[:, None], x), (y[:, None], x[:, 0]), (y, x[:, 0])):
        assert_close_ulp(np.float32(Loss(il.mse)(a, b)), want, 2)
        assert_close_ulp(np.float32(Metric(il.mse)(a, b)), want, 2)
    z, classes = random(6, 3), labels(6)
    want = float(il.cross_entropy(z, classes))
    for one in (classes, classes[:, None], classes.astype("float32"), classes[:, None] * 1.0):
        assert_close_ulp(np.float32(Loss(il.cross_entropy)(one, z)), want, 2)
    assert np.isnan(float(Loss(il.cross_entropy)(classes + 0.5, z)))
    image, label = random(2, 3, 4, 4), labels(2, 4, 4)  # channels first
    got = Loss(il.cross_entropy, event_axis=1)(label, image, sample_weight=np.array([1.0, 0.0]))
    assert_close_ulp(np.float32(got), il.cross_entropy(image[:1], label[:1], event_axis=1) / 2, 2)
    image, label = random(2, 4, 4, 1), labels(2, 4, 4, classes=2).astype("float32")
    want = il.dice_loss(image, label[..., None], event_axis=(1, 2, 3))
    assert_close_ulp(
        np.float32(Loss(il.dice_loss, event_axis=(1, 2, 3))(label[..., None], image)), want, 4
    )
    dice = Loss(il.dice_loss, event_axis=(1, 2, 3))  # with weights of images
    got = dice(label[..., None], image, sample_weight=np.array([2.0, 0.0]))
    assert_close_ulp(
        np.float32(got), il.dice_loss(image[0, ..., 0], label[0], event_axis=(0, 1)), 4
    )
    with pytest.raises(ValueError, match=r"predictions have shape \(6, 3\) and targets \(6, 1\)"):
        Loss(il.mse)(y[:, None], random(6, 3))
    with pytest.raises(ValueError, match=r"predictions have shape \(6, 3\) and targets \(6,\)"):
        Metric(il.mse).update_state(y, random(6, 3))


@once
def test_several_predictions_are_the_last_axis():
    """A metric of a mean and a variance takes them from Dense(2), or as a tuple."""
    x, y = np.abs(random(6, 2)), random(6, 1)
    want = il.gaussian_nll((x[:, 0], x[:, 1]), y[:, 0])
    for prediction in (x, (x[:, 0], x[:, 1])):
        assert_close_ulp(np.float32(Loss(il.gaussian_nll)(y, prediction)), want, 2)
    with pytest.raises(
        ValueError,
        match=r"y_pred has shape \(6, 3\); its last axis must hold mean, variance, as that of Dense\(2\) does",
    ):
        Loss(il.gaussian_nll)(y, random(6, 3))


def test_what_is_left_out_reaches_nothing():
    """nan under a mask or a weight of 0 reaches neither loss nor metric; nothing left is a loss of 0."""
    y = np.array([[0.0], [np.nan]], "float32")
    x, w = np.ones((2, 1), "float32"), np.array([1.0, 0.0], "float32")
    assert np.isnan(float(keras.losses.MeanSquaredError()(y, x, sample_weight=w)))
    assert float(Loss(il.mse)(y, x, sample_weight=w)) == 0.5  # over 2 samples, as Keras divides
    assert float(Loss(il.mse, reduction="mean_with_sample_weight")(y, x, sample_weight=w)) == 1.0
    assert float(Metric(il.mse)(y, x, sample_weight=w)) == 1.0
    x = masked(x, np.array([True, False]))
    assert float(Loss(il.mse)(y, x)) == 1.0
    assert float(Metric(il.mse)(y, x)) == 1.0
    x = masked(x, np.array([False, False]))
    assert float(Loss(il.mse)(y, x)) == float(Loss(il.mse)(y, x, sample_weight=w)) == 0.0
    assert np.isnan(float(Metric(il.mse)(y, x)))


@once
def test_masked_items_are_left_out_of_their_list():
    """Of a ranking, Keras's mask leaves items out, and weights are of lists."""
    x, y = random(3, 4), labels(3, 4).astype("float32")
    mask, w = np.arange(4) < [[4], [2], [3]], np.array([1.0, 2.0, 0.5], "float32")
    want = il.listnet(x, y, where=mask, weights=w)
    got = Loss(il.listnet, reduction="mean_with_sample_weight")(y, masked(x, mask), sample_weight=w)
    assert_close_ulp(np.float32(got), want, 4)
    lists = np.array([True, True, False])  # or whole lists
    got = Loss(il.listnet)(y, masked(x, lists))
    assert_close_ulp(np.float32(got), il.listnet(x[:2], y[:2]), 4)


@once
def test_losses_without_terms_are_their_value():
    """A root is taken of the mean that Keras's reduction makes; a ratio has its own weights."""
    x, y, w = random(6, 1), random(6, 1, seed=1), np.array([1, 0, 2, 3, 1, 1.0], "float32")
    error = (x - y)[:, 0].astype(float) ** 2
    got = Loss(il.rmse)(y, x, sample_weight=w)
    assert_close_ulp(np.float32(got), np.sqrt((w * error).sum() / 6), 1)
    got = Loss(il.r2_score)(y, x, sample_weight=w)
    assert_close_ulp(np.float32(got), il.r2_score(x[:, 0], y[:, 0], weights=w), 4)


# --- fit ------------------------------------------------------------------------------------------


def model(loss, metrics=(), layers=(), weighted=(), inputs=(3,), dtype=None, **options):
    keras.utils.set_random_seed(0)
    layers = [kind(*arguments) for kind, *arguments in layers]
    made = keras.Sequential([keras.layers.Input(inputs, dtype=dtype), *layers])
    optimizer = keras.optimizers.SGD(0.05)
    made.compile(optimizer, loss, metrics=[*metrics], weighted_metrics=[*weighted], **options)
    return made


def data(classes=0, rows=32):
    x = random(rows, 3)
    if classes:
        return x, np.argmax(x, axis=1)
    return x, (x @ [1.0, 2.0, 3.0] + random(rows)).astype("float32")  # (n,), as Keras users have it


@pytest.mark.parametrize(
    ("weights", "mode"),
    [
        ("sample_weight", "compiled"),
        pytest.param("sample_weight", "eager", marks=once),
        pytest.param("class_weight", "compiled", marks=once),
        ("mask", "compiled"),
    ],
)
def test_training_ends_where_it_does_with_keras(weights, mode):
    """Fit with weights of samples or classes, or with a mask, leads to the weights Keras's loss does."""
    x, y = data(3 if weights == "class_weight" else 0)
    pair, layers, options, inputs = (
        (Loss(il.Huber(delta=0.5)), keras.losses.Huber(delta=0.5)), [(keras.layers.Dense, 1)], {}, {},
    )  # fmt: skip
    if weights == "sample_weight":
        options = {"sample_weight": labels(32).astype("float32")}
    if weights == "class_weight":
        pair = Loss(il.cross_entropy), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        layers, options = [(keras.layers.Dense, 3)], {"class_weight": {0: 1.0, 1: 3.0, 2: 0.5}}
    if weights == "mask":
        x, y = labels(32, 5, classes=4), random(32, 5, 1)
        embed = functools.partial(keras.layers.Embedding, mask_zero=True)
        layers, inputs = (
            [(embed, 4, 2), (keras.layers.Dense, 1)],
            {"inputs": (5,), "dtype": "int32"},
        )
    found = []
    for loss in pair:
        made = model(loss, layers=layers, **inputs, **MODES[mode])
        history = made.fit(x, y, batch_size=16, epochs=2, shuffle=False, verbose=0, **options)
        found.append([history.history["loss"][-1], *made.get_weights()])
    for ours, theirs in zip(*found, strict=True):
        assert_close_ulp(np.float32(ours), np.float32(theirs), 128)  # after four steps in float32


METRICS = [il.r2_score, il.rmse, il.max_error]


@pytest.mark.parametrize("mode", of_which_jax_runs("compiled", among=MODES))
def test_metrics_of_an_epoch_are_those_of_all_samples(mode):
    """Evaluate gives isoloss's values of all predictions at once, weighted where that is asked for."""
    x, y = data(rows=41)  # the last batch has 9
    w = labels(41).astype("float32")
    made = model(
        Loss(il.huber),
        [Metric(one) for one in METRICS] + [keras.metrics.MeanAbsoluteError(name="theirs")],
        [(keras.layers.Dense, 1)],
        [Metric(il.mae, name="weighted")],
        **MODES[mode],
    )
    made.fit(x[:16], y[:16], batch_size=16, verbose=0, sample_weight=w[:16])  # to be forgotten
    got = made.evaluate(x, y, batch_size=16, verbose=0, sample_weight=w, return_dict=True)
    p = made.predict(x, batch_size=41, verbose=0)[:, 0]
    want = {name: float(v) for name, v in il.evaluate(METRICS, p, y).items()}
    want |= {"theirs": il.mae(p, y), "weighted": il.mae(p, y, weights=w)}
    assert got.keys() == want.keys() | {"loss"}
    for name, value in want.items():
        assert near(got[name], value), name


if BACKEND == "torch":

    def test_losses_and_metrics_are_compiled_whole():
        """Under torch.compile, without a graph break, values and gradients are those of eager calls."""
        x, y = torch.from_numpy(random(8, 1)), torch.from_numpy(random(8, seed=1))
        scale = torch.ones((), requires_grad=True)
        loss, metric = Loss(il.huber), Metric(il.r2_score)

        def call(scale):
            return loss(y, x * scale)

        def updated():
            metric.update_state(y, x)
            return metric.result()

        metric.update_state(y, x)  # makes the variables, as Keras does before it compiles
        whole = functools.partial(torch.compile, fullgraph=True, backend="eager")
        values = [function(scale) for function in (call, whole(call))]
        gradients = [torch.autograd.grad(value, scale)[0] for value in values]
        for eager, compiled in ([v.detach() for v in values], gradients):
            assert_close_ulp(compiled, eager, 2)
        assert_close_ulp(whole(updated)(), il.r2_score(x[:, 0], y), 4)


@slow_on_torch
def test_a_compiled_step_is_the_eager_step(monkeypatch):
    """With jit_compile, on PyTorch too, a step has the loss, the metric and the gradient of an eager one."""
    if BACKEND == "torch":  # traced, without machine code
        monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))
    x, y = data()
    found = []
    for options in ({"jit_compile": True}, {"run_eagerly": True}):
        made = model(Loss(il.huber), [Metric(il.r2_score)], [(keras.layers.Dense, 1)], **options)
        history = made.fit(x, y, batch_size=32, verbose=0).history
        found.append([*history["loss"], *history["r2_score"], *made.get_weights()])
    for compiled, eager in zip(*found, strict=True):
        assert_close_ulp(np.float32(compiled), np.float32(eager), 8)


def test_counts_of_labels_stream_in_fit():
    """A confusion matrix is held in variables; its ratios are those of all labels."""
    x, y = data(3)
    metrics = [Metric(il.F1Score(3), name="f1"), Metric(il.ConfusionMatrix(3), name="matrix")]
    made = model(Loss(il.cross_entropy), metrics, [(keras.layers.Dense, 3)])
    history = made.fit(x, y[:, None], batch_size=16, verbose=0).history
    assert history.keys() == {"loss", "f1", "matrix"}
    got = made.evaluate(x, y[:, None], batch_size=16, verbose=0, return_dict=True)
    p = made.predict(x, verbose=0)
    assert_close_ulp(np.float32(got["f1"]), il.F1Score(3)(p, y), 2)
    assert np.array_equal(numbers(got["matrix"]), il.ConfusionMatrix(3)(p, y))


@once
def test_saved_models_are_loaded_with_their_losses_and_metrics(tmp_path):
    """A model that was saved evaluates to the same, and trains on."""
    x, y = data()
    made = model(
        Loss(il.Scaled(il.Huber(delta=2.0), 0.5), reduction="mean_with_sample_weight"),
        [Metric(il.MultiQuantile((0.5,))), Metric(il.Root(il.mse), name="root")],
        [(keras.layers.Dense, 1)],
    )
    made.fit(x, y, verbose=0)
    made.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    want = made.evaluate(x, y, verbose=0, return_dict=True)
    assert want.keys() == {"loss", "MultiQuantile(quantiles=(0.5,))", "root"}
    assert loaded.evaluate(x, y, verbose=0, return_dict=True) == want
    assert loaded.loss.get_config() == made.loss.get_config()
    before = want["loss"]
    loaded.fit(x, y, verbose=0, epochs=2)
    assert loaded.evaluate(x, y, verbose=0, return_dict=True)["loss"] < before


def test_half_precision_is_computed_in_single():
    """Under mixed_float16 a loss is float32, though squares of the predictions would be infinite."""
    x, y = ops.convert_to_tensor(np.float16([[300.0], [0.0]])), np.zeros(2, "float32")
    for got in (Loss(il.mse)(y, x), Metric(il.mse)(y, x)):
        assert keras.backend.standardize_dtype(got.dtype) == "float32"
        assert float(got) == 45000.0
    x, y = data()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        made = model(Loss(il.huber), [Metric(il.r2_score)], [(keras.layers.Dense, 1)])
        history = made.fit(x, y, batch_size=16, epochs=4, verbose=0).history
    finally:
        keras.config.set_dtype_policy("float32")
    assert history["loss"][-1] < history["loss"][0]


# --- metrics --------------------------------------------------------------------------------------


def test_batches_far_apart_are_one_whole():
    """Correlation and R2 are of all samples, where Keras averages batches or cancels digits."""
    rise = np.array([1.0, 2.0, 3.0], "float32")
    metric = Metric(il.pearson_correlation)
    metric.update_state(rise, 4 - rise)
    metric.update_state(100 + rise, 104 - rise)
    both = np.concatenate([rise, 100 + rise]), np.concatenate([4 - rise, 104 - rise])
    assert_close_ulp(np.float32(metric.result()), np.corrcoef(*both)[0, 1], 2)  # 0.9995
    y = np.float32([99999, 100000, 100001, 100000])
    p = np.float32([99999.5, 100000.5, 100000.5, 100000])
    metric = Metric(il.r2_score)
    for half in (slice(0, 2), slice(2, 4)):
        metric.update_state(y[half, None], p[half, None])
    assert float(metric.result()) == 0.625  # 1 - 0.75 / 2


def test_counts_pass_the_end_of_single_precision():
    """Beyond 2^24 a weight of 1 still counts, as it does not in a float32."""
    metric = Metric(il.mse)
    metric.update_state([[0.0]], [[0.0]], sample_weight=[2.0**24])
    for _ in range(9):
        metric.update_state([[0.0]], [[1.0]], sample_weight=[1.0])
    assert_close_ulp(np.float32(metric.result()), 9 / (2**24 + 9), 2)
    weight = metric._state().weight
    assert float(weight.value) + float(weight.error) == 2**24 + 9


if BACKEND == "torch":

    def test_metrics_keep_no_graph():
        """What a metric holds does not hold on to the graph of the predictions."""
        metric = Metric(il.r2_score)
        for _ in range(2):
            metric.update_state(random(4), torch.randn(4, requires_grad=True) * 2)
        assert not any(variable.value.requires_grad for variable in metric.variables)
        assert metric.result().grad_fn is None


def test_metrics_reset_and_merge():
    """Nothing is nan; reset forgets; merging adds the samples of others, which keep theirs."""
    for one in (il.r2_score, il.max_error, il.rmse):
        whole, parts = Metric(one), [Metric(one), Metric(one), Metric(one)]
        assert np.isnan(float(whole.result()))
        y, p = random(9), random(9, seed=1)
        whole.update_state(y, p)
        want = float(whole.result())
        whole.reset_state()
        assert np.isnan(float(whole.result()))
        parts[0].update_state(y[:4], p[:4])
        parts[1].update_state(y[4:], p[4:])
        whole.merge_state(parts)
        assert near(whole.result(), want)
        assert near(parts[0].result(), one(p[:4], y[:4]))
        with pytest.raises(ValueError, match=r"cannot merge MeanAbsoluteError\(\) into"):
            whole.merge_state([Metric(il.mae)])


# --- configs and mistakes -------------------------------------------------------------------------


@once
def test_configs_hold_every_metric():
    """Of every metric of isoloss, the config is JSON, and makes an equal one."""
    for name, metric in ALL.items():
        if not hasattr(il, type(metric).__name__):
            continue
        config = json.loads(json.dumps(Loss(metric, event_axis=(1, 2)).get_config()))
        made = Loss.from_config(config)
        assert made.metric == metric, name
        assert (made.name, made.event_axis) == (Loss(metric).name, (1, 2))
        if metric.kind != "sorted whole":
            config = json.loads(json.dumps(Metric(metric).get_config()))
            assert Metric.from_config(config).metric == metric, name


@dataclass(frozen=True)
class Own(il.Loss):
    """A user's own loss."""

    scale: float = 1.0

    def pointwise(self, xp, prediction, target):
        return self.scale * (prediction - target) ** 2


@once
def test_losses_of_ones_own_are_found_by_keras():
    """A loss of the user's is loaded with custom_objects; one that has the name of ours is refused."""
    config = keras.saving.serialize_keras_object(Loss(Own(scale=2.0)))
    with pytest.raises(
        ValueError, match=r"there is no metric 'Own': load with custom_objects=\{'Own': Own\}"
    ):
        keras.saving.deserialize_keras_object(config)
    loaded = keras.saving.deserialize_keras_object(config, custom_objects={"Own": Own})
    assert loaded.metric == Own(scale=2.0)
    twin = dataclass(frozen=True)(type("Huber", (il.Loss,), {"pointwise": Own.pointwise}))
    with pytest.raises(
        TypeError, match=r"Huber\(\) has the name of one of isoloss: rename its class"
    ):
        Loss(twin()).get_config()


@once
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Loss(1.0), "Loss takes metrics such as isoloss.huber, not 1.0"),
        (lambda: Loss(il.Huber), "Loss takes metrics such as isoloss.huber, not <class"),
        (lambda: Metric(keras.losses.Huber()), "Metric takes metrics such as isoloss.huber, not <"),
        (lambda: Loss(il.r2_score, reduction="sum"), "Loss(R2Score()): reduction='sum' needs one term per sample; only"),
        (lambda: Loss(il.mse, reduction="average"), "Invalid value for argument `reduction`"),
        (lambda: Metric(il.roc_auc_score), "Metric(ROCAUC()): its state is the data, and Keras's variables cannot grow; use isoloss.BinnedROCAUC, or call it on model.predict(x)"),
        (lambda: Metric(il.median_absolute_error), "Metric(MedianAbsoluteError()): its state is the data, and Keras's variables cannot grow; call it on model.predict(x), after an epoch"),
        (lambda: Loss(il.Barron(alpha=ops.ones(()))).get_config(), "a saved model holds numbers, not"),
    ],
)  # fmt: skip
def test_mistakes_are_named(make, message):
    """What cannot be is refused, with the values and the fix."""
    with pytest.raises((TypeError, ValueError)) as error:
        make()
    assert str(error.value).startswith(message)


def executed(monkeypatch):
    spec = importlib.util.spec_from_file_location("isoloss.adapters.fresh", adapter.__file__)
    spec.loader.exec_module(importlib.util.module_from_spec(spec))


@once
def test_a_missing_library_is_named(monkeypatch):
    """Without Keras, the import says how to install it."""
    monkeypatch.setitem(sys.modules, "keras", None)
    with pytest.raises(ImportError, match=r"needs Keras 3: pip install 'isoloss\[keras\]'"):
        executed(monkeypatch)


@once
def test_a_backend_that_is_missing_is_named():
    """Where Keras asks for TensorFlow, and it is not there, the import says what to choose."""
    done = subprocess.run(
        [sys.executable, "-c", "import isoloss.adapters.keras"],
        env={**os.environ, "KERAS_BACKEND": "tensorflow"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stderr.splitlines()[-1] == (
        "ImportError: Keras does not start (No module named 'tensorflow'): set the environment "
        "variable KERAS_BACKEND to jax or torch before keras is imported"
    )


@once
def test_a_backend_that_is_not_ours_is_named(monkeypatch):
    """With TensorFlow under Keras, the import says which backends there are."""
    monkeypatch.setattr(keras.backend, "backend", lambda: "tensorflow")
    with pytest.raises(
        ImportError,
        match="Keras computes with tensorflow, isoloss with JAX, PyTorch and NumPy: set the environment variable KERAS_BACKEND to jax or torch",
    ):
        executed(monkeypatch)


@once
def test_examples_run():
    """The examples of the docstrings print what they say."""
    result = doctest.testmod(adapter)
    assert result.attempted > 0
    assert result.failed == 0
