"""A loss as a module in PyTorch's training loops, and metrics of batches, against PyTorch and torchmetrics."""

from __future__ import annotations

import copy
import doctest
import importlib.util
import io
import pickle
import socket
import sys

import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torchmetrics
from torch import nn

import isoloss as il
from conformance.kit.drawing import draw
from conformance.kit.metrics import NAMED
from isoloss.adapters import torch as adapter
from isoloss.adapters.torch import Criterion, Meter
from isoloss.testing import assert_close_ulp
from tests.adapters.two_processes import METRICS, Model, data, filled, process, samples

CLASS_WEIGHTS, POS_WEIGHT = torch.tensor([1.0, 2.0, 0.5]), torch.tensor([0.5, 2.0, 3.0, 1.0])
# Criterion, the module of PyTorch that it stands for, and what the targets are
PAIRS = {
    "MSELoss": (Criterion(il.mse), nn.MSELoss(), "real"),
    "MSELoss, sum": (Criterion(il.mse, reduction="sum"), nn.MSELoss(reduction="sum"), "real"),
    "MSELoss, none": (Criterion(il.mse, reduction="none"), nn.MSELoss(reduction="none"), "real"),
    "L1Loss": (Criterion(il.mae), nn.L1Loss(), "real"),
    "SmoothL1Loss": (Criterion(il.SmoothL1, beta=0.5), nn.SmoothL1Loss(beta=0.5), "real"),
    "HuberLoss": (Criterion(il.Huber, delta=0.5), nn.HuberLoss(delta=0.5), "real"),
    "HuberLoss, sum": (
        Criterion(il.huber, reduction="sum", delta=2.0),
        nn.HuberLoss(reduction="sum", delta=2.0),
        "real",
    ),
    "PoissonNLLLoss": (Criterion(il.poisson_nll), nn.PoissonNLLLoss(), "unit"),
    "BCEWithLogitsLoss": (Criterion(il.bce_with_logits), nn.BCEWithLogitsLoss(), "unit"),
    "BCEWithLogitsLoss, pos_weight": (
        Criterion(il.bce_with_logits, pos_weight=POS_WEIGHT, reduction="none"),
        nn.BCEWithLogitsLoss(pos_weight=POS_WEIGHT, reduction="none"),
        "unit",
    ),
    "CrossEntropyLoss": (Criterion(il.cross_entropy, event_axis=1), nn.CrossEntropyLoss(), "labels"),
    "CrossEntropyLoss, options": (
        Criterion(il.cross_entropy, event_axis=1, ignore_index=1, label_smoothing=0.25),
        nn.CrossEntropyLoss(ignore_index=1, label_smoothing=0.25),
        "labels",
    ),
    "CrossEntropyLoss, weight": (
        Criterion(il.SoftmaxCrossEntropy, event_axis=1, class_weights=CLASS_WEIGHTS),
        nn.CrossEntropyLoss(CLASS_WEIGHTS),
        "labels",
    ),
    "CrossEntropyLoss, weight, sum": (
        Criterion(
            il.SoftmaxCrossEntropy, event_axis=1, class_weights=CLASS_WEIGHTS, reduction="sum"
        ),
        nn.CrossEntropyLoss(CLASS_WEIGHTS, reduction="sum"),
        "labels",
    ),
    "CrossEntropyLoss, probabilities": (
        Criterion(il.softmax_cross_entropy_with_probabilities, event_axis=1),
        nn.CrossEntropyLoss(),
        "probabilities",
    ),
}  # fmt: skip


def inputs(kind):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(6, 3, 4, generator=generator, dtype=torch.float64)
    if kind == "labels":
        return x, torch.randint(0, 3, (6, 4), generator=generator)
    y = torch.randn(x.shape, generator=generator, dtype=torch.float64)
    return x, {"real": y, "unit": y.sigmoid(), "probabilities": y.softmax(1)}[kind]


def value_and_gradient(criterion, x, y):
    leaf = x.clone().requires_grad_()
    value = criterion(leaf, y)
    value.sum().backward()
    return value.detach(), leaf.grad


@pytest.mark.parametrize("name", PAIRS)
def test_values_and_gradients_are_those_of_pytorch(name):
    """A criterion has the value and the gradient of the module of PyTorch that it stands for."""
    ours, theirs, kind = PAIRS[name]
    x, y = inputs(kind)
    found, wanted = (value_and_gradient(module, x, y) for module in (ours, theirs.double()))
    assert_close_ulp(found[0], wanted[0], 8)
    # PyTorch subtracts a label from a probability: its error is that of the larger of the two
    apart, size = (found[1] - wanted[1]).abs().max(), wanted[1].abs().max()
    assert apart <= 2 * torch.finfo(torch.float64).eps * size


def trained(criterion, classes=False):
    """Train a model with a criterion, in batches of which the last is ragged; return its weights."""
    torch.manual_seed(0)
    x = torch.randn(50, 3, dtype=torch.float64)
    y = x.sum(1).gt(0).long() if classes else x @ torch.tensor([[1.0], [2.0], [3.0]]).double()
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2 if classes else 1)).double()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(5):
        for rows in torch.arange(50).split(16):
            optimizer.zero_grad()
            criterion(model(x[rows]), y[rows]).backward()
            optimizer.step()
    return torch.cat([parameter.detach().reshape(-1) for parameter in model.parameters()])


@pytest.mark.parametrize(
    ("ours", "theirs", "classes"),
    [
        (Criterion(il.mse), nn.MSELoss(), False),
        (Criterion(il.Huber, delta=0.5), nn.HuberLoss(delta=0.5), False),
        (Criterion(il.cross_entropy, event_axis=1), nn.CrossEntropyLoss(), True),
    ],
)
def test_training_ends_where_it_does_with_pytorch(ours, theirs, classes):
    """Twenty steps with a criterion end at the weights that PyTorch's module leads to."""
    torch.testing.assert_close(
        trained(ours, classes), trained(theirs, classes), rtol=1e-12, atol=1e-13
    )


def test_weights_mask_and_denominator_are_those_of_the_metric():
    """What a call of the module takes beside targets means what it means in isoloss."""
    p, t = torch.tensor([1.0, 3.0, 5.0]), torch.tensor([0.0, 0.0, float("nan")])
    weights, where = torch.tensor([1.0, 3.0, 1.0]), torch.tensor([True, True, False])
    criterion = Criterion(il.huber)
    assert criterion(p, t, weights, where) == (0.5 + 3 * 2.5) / 4  # sum(w l) / sum(w)
    assert criterion(p, t, where=where, denominator=6) == 0.5
    with pytest.raises(TypeError, match=r"there is no option weight=; use weights="):
        criterion(p, t, weight=weights)
    assert Criterion(il.huber, empty=0.0)(p, t, where=torch.zeros(3, dtype=bool)) == 0
    assert Criterion(il.mae, axis=0)(torch.ones(2, 3), torch.zeros(2, 3)).tolist() == [1.0] * 3
    mean, variance = torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0])
    got = Criterion(il.gaussian_nll)((mean, variance), torch.tensor([0.0, 0.0]))
    want = nn.GaussianNLLLoss(full=True)(mean, torch.zeros(2), variance)
    assert_close_ulp(got, want, 2)


def learnt():
    return Criterion(il.Barron, alpha=nn.Parameter(torch.tensor(1.5)), scale=torch.tensor(2.0))


def test_a_parameter_is_learnt_with_the_model():
    """A hyper-parameter that is a Parameter has a gradient, and an optimiser moves it."""
    criterion = learnt()
    assert [name for name, _ in criterion.named_parameters()] == ["alpha"]
    p, t = torch.tensor([1.0, 9.0]), torch.zeros(2)
    criterion(p, t).backward()
    h = 1e-6  # a difference of the values in float64
    up, down = (
        Criterion(il.Barron(alpha=1.5 + s, scale=2.0))(p.double(), t.double()) for s in (h, -h)
    )
    assert_close_ulp(criterion.alpha.grad, (up - down) / (2 * h), 2, dtype="float32")
    optimizer = torch.optim.SGD(criterion.parameters(), lr=0.1)
    before = criterion(p, t).item()
    optimizer.step()
    assert criterion(p, t).item() < before
    assert criterion.loss == il.Barron(alpha=criterion.alpha, scale=criterion.scale)


@pytest.mark.parametrize(
    "criterion",
    [
        learnt(),
        Criterion(il.Root(il.Scaled(il.Barron(alpha=nn.Parameter(torch.tensor(0.5))), 2.0))),
    ],
)
def test_modules_are_saved_copied_moved_and_replicated(criterion):
    """State, copies, pickles and replicas carry the parameters, also of a metric that is wrapped."""
    p, t = torch.tensor([1.0, 9.0]), torch.zeros(2)
    want = criterion(p, t)
    file = io.BytesIO()
    torch.save(criterion.state_dict(), file)
    file.seek(0)
    other = copy.deepcopy(criterion)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter += 1
    assert other(p, t) != want
    assert criterion(p, t) == want
    other.load_state_dict(torch.load(file, weights_only=True))
    assert other(p, t) == want
    assert pickle.loads(pickle.dumps(criterion))(p, t) == want
    assert {x.dtype for x in copy.deepcopy(criterion).double().state_dict().values()} == {
        torch.float64
    }
    assert copy.deepcopy(criterion).to("meta")(p.to("meta"), t.to("meta")).is_meta
    replaced = {name: x.detach() + 1 for name, x in criterion.named_parameters()}
    assert torch.func.functional_call(criterion, replaced, (p, t)) != want
    replica = learnt()._replicate_for_data_parallel()  # what DataParallel makes for each device
    replica.alpha, replica.scale = torch.tensor(1.0), torch.tensor(1.0)
    # parameters that learn are computed with float64, numbers in the width of the data
    assert_close_ulp(replica(p, t).detach(), il.charbonnier(p, t), 2)


@pytest.mark.parametrize(
    ("criterion", "kind"),
    [
        (Criterion(il.Huber, delta=0.5), "real"),
        (learnt(), "real"),
        (Criterion(il.SoftmaxCrossEntropy, event_axis=1, class_weights=CLASS_WEIGHTS), "labels"),
    ],
)
def test_modules_are_compiled_and_exported_whole(criterion, kind):
    """torch.compile takes the module without a graph break, torch.export without a warning."""
    x, y = inputs(kind)
    want = value_and_gradient(criterion, x, y)
    compiled = torch.compile(criterion, fullgraph=True, backend="aot_eager")
    for got, expected in zip(value_and_gradient(compiled, x, y), want, strict=True):
        assert_close_ulp(got, expected, 4)
    exported = torch.export.export(criterion, (x, y)).module()
    assert_close_ulp(exported(x, y).detach(), want[0], 4)


def test_modules_print_as_their_metric():
    """The repr is the metric's, with the parameters as they are now and options that differ."""
    assert repr(Criterion(il.Huber(delta=2.0))) == "Criterion(Huber(delta=2.0))"
    assert repr(Criterion(il.mse, reduction="sum", axis=0)) == (
        "Criterion(MeanSquaredError(), reduction='sum', axis=0)"
    )
    criterion = Criterion(il.Root(il.Barron(alpha=nn.Parameter(torch.tensor(1.0)))))
    with torch.no_grad():
        criterion.metric.alpha += 1
    assert repr(criterion) == "Criterion(Root(metric=Barron(alpha=tensor(2.))))"


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((nn.MSELoss(),), {}, "Criterion takes a loss such as isoloss.huber, not MSELoss()"),
        ((nn.MSELoss,), {}, "Criterion takes a loss such as isoloss.huber, not <class"),
        ((il.Huber,), {"dleta": 1.0}, "Criterion: Huber has no hyper-parameter dleta; the hyper-parameters are delta"),
        ((il.mse,), {"delta": 1.0}, "Criterion: MeanSquaredError has no hyper-parameter delta; there are none"),
        ((il.mse,), {"weight": 1.0}, "Criterion: MeanSquaredError has no hyper-parameter weight; weights=, where= and denominator= go with each call of the criterion"),
        ((il.Huber,), {"delta": -1.0}, "Huber(delta=-1.0): delta must be finite and > 0, not -1.0"),
        ((il.mse,), {"reduction": "avg"}, "Criterion(MeanSquaredError()): reduction='avg' is unknown; use 'mean', 'sum' or 'none'"),
        ((il.r2,), {"reduction": "sum"}, "Criterion(R2Score()): reduction='sum' needs one term per sample; only 'mean' applies"),
    ],
)  # fmt: skip
def test_mistakes_are_named_when_the_module_is_made(arguments, options, message):
    """What cannot be a criterion is refused at once, with the values and the fix."""
    with pytest.raises((TypeError, ValueError)) as error:
        Criterion(*arguments, **options)
    assert str(error.value).startswith(message)


# --- Meter ----------------------------------------------------------------------------------------


def same(got, want, ulp=1):
    assert got.keys() == want.keys()
    for name in want:
        assert got[name].dtype == want[name].dtype
        assert_close_ulp(got[name], want[name], ulp)


def test_values_are_those_of_all_samples():
    """Of ragged batches with weights and masks, the values are those of evaluate on the whole."""
    p, t, w, where = samples()
    meter = filled(Meter(METRICS), (p, t, w, where))
    same(meter.compute(), il.evaluate(METRICS, p, t, weights=w, where=where))
    same(meter.compute(), il.evaluate(METRICS, p, t, weights=w, where=where))  # and once more
    more = samples(33, seed=1)
    filled(meter, more)
    p, t, w, where = (torch.cat(pair) for pair in zip((p, t, w, where), more, strict=True))
    same(meter.compute(), il.evaluate(METRICS, p, t, weights=w, where=where))
    meter.reset()
    meter.update(p, t, w, where)
    same(meter.compute(), il.evaluate(METRICS, p, t, weights=w, where=where), 0)


@pytest.mark.parametrize("name", [n for n, m in NAMED.items() if m.kind != "batch-pairwise"])
def test_every_metric_is_metered_and_its_state_saved(name):
    """Of every metric that merges exactly, two batches give the whole's value, through a checkpoint in between."""
    metric = NAMED[name]
    drawn = draw(metric, (7,)).map(torch.from_numpy)
    first, second = Meter(metric), Meter(metric)
    first.update(*drawn[:4])
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    second.load_state_dict(torch.load(file, weights_only=True))
    second.update(*drawn[4:])
    assert_close_ulp(second.compute(), metric(*drawn), 2)


def test_one_metric_gives_a_value_and_a_call_that_of_its_batch():
    """A meter of one metric computes a tensor; calling it adds a batch and gives that one's value."""
    meter = Meter(il.mae)
    assert meter(torch.tensor([1.0, 2.0]), torch.tensor([0.0, 0.0])) == 1.5
    assert meter(torch.tensor([6.0]), torch.tensor([0.0])) == 6.0
    assert meter.compute() == 3.0
    named = Meter({"error": il.mae}, axis=0)
    named.update(torch.ones(4, 2), torch.zeros(4, 2))
    assert named.compute()["error"].tolist() == [1.0, 1.0]
    assert repr(named) == "Meter(error)"
    scores = Meter(il.accuracy, event_axis=1)
    scores.update(torch.tensor([[[2.0, 0.0], [1.0, 1.0]]]), torch.tensor([[0, 0]]))
    assert scores.compute() == 0.5
    intervals = Meter(il.interval_coverage)
    intervals.update((torch.tensor([0.0, 0.0]), torch.tensor([1.0, 1.0])), torch.tensor([0.5, 2.0]))
    assert intervals.compute() == 0.5


def test_arrays_of_other_libraries_become_tensors():
    """NumPy arrays, JAX arrays and lists are added as tensors."""
    meter = Meter(il.mse)
    meter.update(jnp.array([0.0]), [0.0])
    meter.update(np.array([1.0, 2.0], np.float32), [0, 0])
    meter.update(torch.tensor([3.0]), torch.tensor([0.0]))
    assert torch.equal(meter.compute(), torch.tensor(14 / 4))


def test_no_graph_is_kept_and_the_state_does_not_grow():
    """Batches leave no graph, and a thousand of them no more than sixty did."""
    meter, sizes = Meter([il.mse, il.r2_score]), []
    x = torch.randn(8, requires_grad=True)
    one = filled(Meter(il.mse), (x, x), 8).state_dict()["mean_squared_error"]["state"]
    assert not one["total"]["value"].requires_grad
    for number in range(1000):
        meter.update(x * 2, torch.zeros(8))
        if number in (59, 999):
            sizes.append(sum(map(len, meter._held._levels)))
    assert sizes[0] == 60
    assert sizes[1] < 130  # at most 64 of one batch, and 64 of 64 batches
    assert not any(value.requires_grad for value in meter.compute().values())
    assert len(pickle.dumps(meter)) == len(
        pickle.dumps(filled(Meter([il.mse, il.r2_score]), (x.detach(), x.detach()), 8))
    )


def test_meters_merge_copy_and_move():
    """Meters of parts merge into that of the whole; copies are independent; to() moves the state."""
    p, t, w, where = samples()
    want = il.evaluate(METRICS, p, t, weights=w, where=where)
    one, two = Meter(METRICS), Meter(METRICS)
    one.update(p[:30], t[:30], w[:30], where[:30])
    two.update(p[30:], t[30:], w[30:], where[30:])
    before = copy.deepcopy(one), pickle.loads(pickle.dumps(one))
    empty = Meter(METRICS)
    empty.merge(one, two, Meter(METRICS))
    one.merge(two)
    for meter in (one, empty):
        same(meter.compute(), want)
    same(one.sync().compute(), want)  # of one process, that of all
    for meter in before:
        same(
            meter.compute(), il.evaluate(METRICS, p[:30], t[:30], weights=w[:30], where=where[:30])
        )
    assert one.to("meta").compute()["r2_score"].is_meta
    assert one.to("meta").state_dict()["r2_score"]["state"]["scale_a"].is_meta


def test_a_batch_elsewhere_moves_what_is_held():
    """The state lies where the last batch lay, as the batches of one epoch on a device do."""
    meter = Meter(il.mse, axis=0)
    meter.update(torch.ones(3, 2), torch.zeros(3, 2))
    meter.update(torch.ones(3, 2, device="meta"), torch.zeros(3, 2, device="meta"))
    assert meter.compute().is_meta
    meter.merge(filled(Meter(il.mse, axis=0), (torch.ones(3, 2), torch.zeros(3, 2)), 3))
    assert meter.compute().is_meta  # what is merged comes to what is held


def test_inference_mode_and_autocast_change_nothing():
    """Batches added in inference mode and under autocast give the same values as others."""
    p, t, w, where = samples()
    meter = Meter(METRICS)
    with torch.inference_mode():
        meter.update(p[:30], t[:30], w[:30], where[:30])
    with torch.autocast("cpu", torch.bfloat16):
        meter.update(p[30:], t[30:], w[30:], where[30:])
    same(meter.compute(), il.evaluate(METRICS, p, t, weights=w, where=where))


def test_what_torchmetrics_gets_wrong_is_right_here():
    """Metrics that agree on the first batch stay apart; counts pass 2^24; small targets are targets."""
    meter = Meter(
        {"low": il.BinaryAccuracy(threshold=0.5), "high": il.BinaryAccuracy(threshold=0.7)}
    )
    meter.update(torch.tensor([0.9, 0.1]), torch.tensor([1, 0]))
    meter.update(torch.tensor([0.6, 0.6]), torch.tensor([0, 0]))
    assert {name: value.item() for name, value in meter.compute().items()} == {
        "low": 0.5,
        "high": 1.0,
    }
    meter = Meter(il.mse)
    meter.update(torch.ones(1), torch.zeros(1), torch.tensor([2.0**24]))
    for _ in range(8):
        meter.update(torch.zeros(1), torch.zeros(1), torch.ones(1))
    assert meter.state_dict()["mean_squared_error"]["state"]["weight"]["value"] == 2**24 + 8
    meter = Meter(il.r2_score)
    meter.update(torch.tensor([3e-4, 1e-4]), torch.tensor([1e-4, 3e-4]))
    meter.update(torch.tensor([2e-4]), torch.tensor([2e-4]))
    assert_close_ulp(meter.compute(), -3.0, 1)
    meter = Meter([il.mse, il.max_error])
    meter.update(torch.tensor([30], dtype=torch.uint8), torch.tensor([10], dtype=torch.uint8))
    assert [value.item() for value in meter.compute().values()] == [400.0, 20.0]
    meter = Meter(il.mse)
    meter.update(torch.tensor([300.0, 0.0]).half(), torch.zeros(2).half())
    assert meter.compute() == 45000.0


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (il.mse, torchmetrics.MeanSquaredError()),
        (il.rmse, torchmetrics.MeanSquaredError(squared=False)),
        (il.mae, torchmetrics.MeanAbsoluteError()),
        (il.r2_score, torchmetrics.R2Score()),
        (il.pearson_correlation, torchmetrics.PearsonCorrCoef()),
        (il.F1Score(num_classes=3), torchmetrics.F1Score("multiclass", num_classes=3, average="macro")),
        (il.accuracy, torchmetrics.Accuracy("multiclass", num_classes=3, average="micro")),
        (il.ConfusionMatrix(3), torchmetrics.ConfusionMatrix("multiclass", num_classes=3)),
    ],
)  # fmt: skip
def test_values_are_those_of_torchmetrics_where_those_are_right(ours, theirs):
    """Over batches, well-conditioned values are those of torchmetrics."""
    rng = torch.Generator().manual_seed(0)
    labels = ours.core[0] or isinstance(ours.domain.of_targets[0], type(il.accuracy.domain.targets))
    p = torch.randn(50, 3, generator=rng) if labels else torch.randn(50, generator=rng)
    t = torch.randint(0, 3, (50,), generator=rng) if labels else torch.randn(50, generator=rng)
    meter = filled(Meter(ours), (p, t))
    for batch in zip(p.split(16), t.split(16), strict=True):
        theirs.update(*batch)
    assert_close_ulp(meter.compute(), theirs.compute().float(), 8)


def test_mistakes_with_a_meter_are_named():
    """What cannot be added, computed, merged or loaded is an error that names it, and changes nothing."""
    meter = Meter([il.mse, il.r2_score])

    def refused(kind, message, function, *arguments):
        with pytest.raises(kind) as error:
            function(*arguments)
        assert message in str(error.value)

    refused(
        RuntimeError,
        "Meter(mean_squared_error, r2_score) has no value yet: call update(predictions, targets) first",
        meter.compute,
    )
    meter.update(torch.ones(3), torch.zeros(3))
    refused(
        ValueError,
        "predictions have shape (3,) and targets (3, 1)",
        meter.update,
        torch.ones(3),
        torch.ones(3, 1),
    )
    refused(TypeError, "Meter takes metrics such as isoloss.huber, not <class", Meter, il.Huber)
    refused(TypeError, "Meter takes metrics such as isoloss.huber, not 1.0", Meter, [1.0])
    refused(
        ValueError,
        "Meter(mean_squared_error, r2_score) holds",
        meter.load_state_dict,
        filled(Meter(il.mse), (torch.ones(3),) * 2).state_dict(),
    )
    refused(ValueError, "the other held {'weight': 1}", meter.load_state_dict, {"weight": 1})
    refused(ValueError, "Meter needs at least one metric, and there was none", Meter, [])
    other = Meter({"mean_squared_error": il.mae, "r2_score": il.r2_score})
    refused(ValueError, "make them alike", meter.merge, filled(other, (torch.ones(3),) * 2))
    assert meter.compute()["mean_squared_error"] == 1
    columns = Meter(il.mse, axis=0)
    columns.update(torch.ones(3, 2), torch.zeros(3, 2))
    refused(
        ValueError,
        "cannot merge Mean states of shapes (2,) and (4,)",
        columns.update,
        torch.ones(3, 4),
        torch.zeros(3, 4),
    )
    assert columns.compute().tolist() == [1.0, 1.0]
    fresh = Meter([il.mse, il.r2_score])
    fresh.load_state_dict(meter.state_dict())
    fresh.load_state_dict(meter.state_dict())  # what was held is replaced
    same(fresh.compute(), meter.compute(), 0)


# --- two processes --------------------------------------------------------------------------------


def test_two_processes_train_and_measure_as_one():
    """DistributedDataParallel learns the criterion too; sync gives all processes the whole's values."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    results = torch.multiprocessing.get_context("spawn").SimpleQueue()
    torch.multiprocessing.spawn(process, (port, results), nprocs=2)
    first, second = sorted((results.get() for _ in range(2)), key=lambda result: result[0])
    model = Model()
    model(*data()).backward()
    for got, again, parameter in zip(first[1], second[1], model.parameters(), strict=True):
        assert got == again
        assert_close_ulp(np.float32(got), parameter.grad, 8)
    p, t, w, where = samples()
    want = il.evaluate(METRICS, p, t, weights=w, where=where)
    for number in (0, 1):
        assert first[2][number] == second[2][number]
        for name, value in first[2][number].items():
            assert_close_ulp(np.float32(value), want[name], 1)
    own = il.evaluate(METRICS, p[:50], t[:50], weights=w[:50], where=where[:50])
    for name, value in first[2][2].items():  # a meter keeps its own samples
        assert_close_ulp(np.float32(value), own[name], 1)
    assert first[3] == second[3] == {}


# --- what is imported -----------------------------------------------------------------------------


def test_examples_run():
    """The examples of the docstrings print what they say."""
    result = doctest.testmod(adapter)
    assert result.attempted > 0
    assert result.failed == 0


def test_a_missing_library_is_named(monkeypatch):
    """Without PyTorch, the import says how to install it."""
    monkeypatch.setitem(sys.modules, "torch", None)
    spec = importlib.util.spec_from_file_location("isoloss.adapters.fresh", adapter.__file__)
    with pytest.raises(ImportError, match=r"needs PyTorch: pip install 'isoloss\[torch\]'"):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
