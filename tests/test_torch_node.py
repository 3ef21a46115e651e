"""The node of PyTorch's graph that a loss is: definitions of users, parameters that learn, widths."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import isoloss as il
from conformance.kit.comparison import close
from conformance.kit.drawing import draw
from conformance.kit.metrics import ALL
from conformance.kit.structures import STATES
from conformance.kit.trees import leaves, tree_map
from isoloss._core.library import library_of
from tests.test_traffic_torch import traffic


@dataclass(frozen=True)
class WithMethods(il.Loss):
    """Sums by a method and by the namespace."""

    signature = "(k),(k)->()"

    def pointwise(self, xp: Any, prediction: Any, target: Any) -> Any:
        error = prediction - target
        return (error * error).sum(-1) + xp.sum(2 * xp.abs(error), axis=-1)


@dataclass(frozen=True)
class Sorted(il.Loss):
    """Calls a function that no tape has a rule for."""

    signature = "(k),(k)->()"

    def pointwise(self, xp: Any, prediction: Any, target: Any) -> Any:
        return xp.sum(xp.sort(prediction, axis=-1) * xp.sort(target, axis=-1), axis=-1)


@dataclass(frozen=True)
class OfTorch(il.Loss):
    """Calls PyTorch itself, which takes nothing but tensors."""

    def pointwise(self, xp: Any, prediction: Any, target: Any) -> Any:
        return torch.nn.functional.softplus(prediction - target)


FORMULAS: dict[il.Metric, Callable[[Any, Any], Any]] = {
    WithMethods(): lambda p, t: ((p - t) ** 2 + 2 * (p - t).abs()).sum(-1).mean(),
    Sorted(): lambda p, t: (p.sort(-1).values * t.sort(-1).values).sum(-1).mean(),
    OfTorch(): lambda p, t: torch.log1p(torch.exp(p - t)).mean(),
}


@pytest.mark.parametrize("metric", FORMULAS, ids=repr)
def test_definitions_of_users(metric: il.Metric) -> None:
    """Whatever a definition calls, value and gradient are those of autograd, at every step."""
    rng = np.random.default_rng(0)
    p, t = (torch.tensor(rng.normal(size=(3, 16)), dtype=torch.float32) for _ in range(2))
    exact = p.double().requires_grad_()
    want = FORMULAS[metric](exact, t.double())
    want.backward()
    for _ in range(2):  # the second time with the plan of the first
        own = p.clone().requires_grad_()
        value = metric(own, t)
        value.backward()
        close(value.detach(), want.detach().numpy(), 4)
        close(own.grad, exact.grad.numpy(), 4, "largest")


def test_parameters_in_a_tuple_learn() -> None:
    """A tensor among several hyper-parameters has its gradient."""
    q = torch.tensor(0.25, dtype=torch.float64, requires_grad=True)
    predictions = torch.zeros((1, 2), dtype=torch.float64, requires_grad=True)
    targets = torch.tensor([2.0], dtype=torch.float64)
    il.MultiQuantile((q, 0.5))(predictions, targets).backward()
    assert q.grad == 1.0  # the mean of two pinball losses, of which 2 q is the first
    assert predictions.grad.tolist() == [[-0.125, -0.25]]


def test_the_tape_goes_through_every_loss() -> None:
    """No loss of this library is left to autograd, which keeps every array on the way."""
    library: Any = library_of(torch.ones(1))
    for metric in ALL.values():
        p, t = tree_map(lambda x: x.astype("int64" if x.dtype.kind in "iu" else "float32"),
                        tuple(draw(metric, (6,))))  # fmt: skip
        p, t = tree_map(torch.as_tensor, (p, t))
        real = [x.requires_grad_() for x in leaves(p) if x.is_floating_point()]
        value = metric(p, t) if real else None
        if value is not None and value.requires_grad and value.ndim == 0:
            value.backward()
    plans = [plan for plan in library.plans.latest.values() if hasattr(plan, "recorded")]
    plans = [plan for plan in plans if type(plan.loss).__module__.startswith("isoloss.")]
    assert len(plans) > 100
    assert not [plan.metric for plan in plans if not plan.recorded]


@pytest.mark.parametrize("count", [4, 5000])
def test_second_derivatives_at_a_kink(count: int) -> None:
    """They are those of `gradient_hessian`, however few numbers there are."""
    p = torch.zeros(count)
    p[:4] = torch.tensor([1.0, -1.0, 0.0, 2.0])
    p.requires_grad_()
    for metric in (il.huber, il.mse, il.smooth_l1):
        value = count * metric(p, torch.zeros(count))
        (slope,) = torch.autograd.grad(value, p, create_graph=True)
        (bend,) = torch.autograd.grad(slope.sum(), p)
        want = il.gradient_hessian(metric, p.detach(), torch.zeros(count))
        torch.testing.assert_close(slope.detach(), want[0])
        torch.testing.assert_close(bend, want[1])


@pytest.mark.parametrize("label", [-1, 3, 4])
@pytest.mark.parametrize("weights", [None, (1.0, 2.0, 3.0)])
def test_labels_that_are_none(label: int, weights: Any) -> None:
    """A label below 0 or past the last is nan, in the first call and in later ones."""
    metric = il.SoftmaxCrossEntropy(class_weights=weights)
    for _ in range(2):
        z = torch.zeros((2, 3), requires_grad=True)
        for k in (0, 1):
            labels = torch.tensor([1, 2])
            labels[k] = label
            assert torch.isnan(metric(z, labels))
            assert torch.isnan(metric(z.detach(), labels))


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
@pytest.mark.parametrize("metric", [il.mae, il.huber, il.mse, il.log_cosh])
def test_what_is_left_out_may_be_anything(metric: Any, wrong: float) -> None:
    """Neither a mask nor a weight of 0 lets through what is nan or infinite."""
    target = torch.tensor([0.0, 0.0, 2.0])
    want = metric(torch.tensor([1.0, 3.0]), target[1:])
    for options in ({"where": torch.tensor([False, True, True])},
                    {"weights": torch.tensor([0.0, 2.0, 2.0])}):  # fmt: skip
        p = torch.tensor([wrong, 1.0, 3.0], requires_grad=True)
        value = metric(p, target, **options)
        value.backward()
        assert value.item() == pytest.approx(want.item(), rel=1e-6)
        assert p.grad is not None
        assert p.grad[0] == 0
        assert torch.isfinite(p.grad).all()


@pytest.mark.parametrize("metric", [il.hinge, il.sigmoid_focal])
def test_targets_in_the_gap_of_an_interval(metric: Any) -> None:
    """A label between the two that there are gives nan, and so does a batch with both beside it."""
    low = metric.domain.targets.low
    for y in ([low, 0.5, 1.0], [0.5]):
        p = torch.zeros(len(y), requires_grad=True)
        assert torch.isnan(metric(p, torch.tensor(y)))
        assert torch.isnan(metric(p.detach(), torch.tensor(y)))


BOUNDED = {
    f"{name}-{k}": (loss, k)
    for name, loss in ALL.items()
    if isinstance(loss, il.Loss)
    for k, values in enumerate((*loss.domain.of_predictions, *loss.domain.of_targets))
    if isinstance(values, il.Interval) and values.bounded
}


@pytest.mark.parametrize(("loss", "place"), BOUNDED.values(), ids=BOUNDED)
def test_one_number_outside_the_domain(loss: il.Loss, place: int) -> None:
    """The mean is nan if one number lies outside, however many there are, whatever else is asked."""
    for size in (6, 1200):
        p, t = draw(loss, (size,), dtype="float32")
        predictions, targets = (tree_map(torch.as_tensor, side) for side in (p, t))
        arrays = [*leaves(predictions), *leaves(targets)]
        values = (*loss.domain.of_predictions, *loss.domain.of_targets)[place]
        low, high = values.gap if values.gap and values.gap[0] < values.gap[1] else (None, None)
        beyond = values.low - 0.5 if values.low > -math.inf else values.high + 0.5
        wrong = arrays[place].clone()
        beyond = beyond if wrong.is_floating_point() else values.low - 1  # a length
        wrong.view(-1)[-1] = beyond if low is None else (low + high) / 2
        arrays[place] = wrong
        count = len(leaves(predictions))
        sides = [
            tuple(part) if isinstance(whole, tuple) else part[0]
            for part, whole in ((arrays[:count], predictions), (arrays[count:], targets))
        ]
        for options in ({}, {"weights": torch.ones(size)}):
            assert torch.isnan(loss(*sides, **options))
            leaf = tree_map(lambda x: x.clone().requires_grad_(x.is_floating_point()), sides[0])
            assert torch.isnan(loss(leaf, sides[1], **options))


def test_nothing_is_wider_than_the_data() -> None:
    """Off a CPU, no option makes an array of the data's size that is wider than the data."""
    x, y = (torch.zeros((512, 512), device="meta") for _ in range(2))
    mask, weights = y > 0, y + 1
    for options in ({"reduction": "none"}, {"axis": 0}, {"where": mask}, {"weights": weights},
                    {"reduction": "none", "where": mask}, {"weights": weights, "axis": 1}):  # fmt: skip
        for loss in (il.huber, il.sigmoid_cross_entropy, il.mse):
            moved = traffic(lambda p, t, f=loss, o=options: f(p, t, **o).sum(), x, y)
            assert moved.dtypes <= {torch.float32, torch.bool}, options


@pytest.mark.parametrize("name", ["mse", "mae", "huber", "smooth_l1"])
def test_means_of_few_numbers_have_all_digits(name: str) -> None:
    """The mean of equal or random terms is right to the last digit: a sum in float32 would not be."""
    generator = np.random.default_rng(5)
    for size in (28, 220, 1000):
        equal = np.full(size, generator.uniform(0.5, 1), "float32")
        for residuals in (equal, generator.standard_normal(size).astype("float32")):
            sizes = np.abs(residuals.astype("float64"))
            near = sizes * sizes / 2
            terms = {"mse": 2 * near, "mae": sizes}.get(
                name, np.where(sizes < 1, near, sizes - 0.5)
            )
            exact = math.fsum(terms) / size
            leaf = torch.from_numpy(residuals).requires_grad_()
            value = getattr(il, name)(leaf, torch.zeros(size))
            value.backward()
            assert abs(value.item() - exact) <= 0.51 * np.spacing(np.float32(exact))
            slopes = {"mse": 2 * residuals, "mae": np.sign(residuals)}.get(
                name, np.clip(residuals, -1, 1)
            )
            np.testing.assert_array_max_ulp(leaf.grad.numpy(), slopes / np.float32(size), 1)


@pytest.mark.parametrize("layout", ["rows", "columns"])
@pytest.mark.parametrize("case", ["random", "sure", "far", "ruled out", "label ruled out",
                                  "certain", "against", "nan"])  # fmt: skip
def test_cross_entropy_of_many_classes(case: str, layout: str) -> None:
    """Rows of 16 classes and more, computed by torch's softmax: accurate, infinite logits too."""
    logits = np.random.default_rng(3).normal(size=(6, 20)).astype("float32")
    labels = np.arange(6)
    special = {"sure": (2, 2, 40.0), "far": (2, 2, -200.0), "ruled out": (2, 5, -np.inf),
               "label ruled out": (2, 2, -np.inf), "certain": (2, 2, np.inf),
               "against": (2, 5, np.inf), "nan": (2, 5, np.nan)}  # fmt: skip
    if case in special:
        row, column, value = special[case]
        logits[row, column] = value
    exact = []
    for row, label in zip(logits.astype("float64"), labels, strict=True):
        others = np.delete(row, label) - row[label]
        highest = others.max()
        if row[label] == np.inf:
            exact.append(0.0)
        elif np.isinf(highest):
            exact.append(np.inf)
        elif highest > 100:  # exp(-highest) is lost beside the sum
            exact.append(highest + math.log(math.fsum(np.exp(others - highest))))
        else:
            exact.append(math.log1p(math.fsum(np.exp(others))))
    given = torch.from_numpy(logits if layout == "rows" else np.asfortranarray(logits))
    terms = il.softmax_cross_entropy(given, torch.from_numpy(labels), reduction="none").numpy()
    np.testing.assert_array_max_ulp(terms, np.asarray(exact, "float32"), 2)


@pytest.mark.parametrize("metric", STATES.values(), ids=STATES)
def test_states_of_both_widths_merge(metric: il.Metric, monkeypatch: pytest.MonkeyPatch) -> None:
    """A state computed in float32, as on other devices, merges with one computed in float64."""
    batches = [tree_map(torch.as_tensor, tuple(draw(metric, (n,), n, "float32"))) for n in (7, 9)]
    one, two = (metric.summary(*batch) for batch in batches)
    exact = metric.compute(one.merge(two)).numpy()
    monkeypatch.setattr(type(library_of(leaves(batches)[0])), "widens", lambda self, array: False)
    narrow = metric.summary(*batches[1])
    for state in (one.merge(narrow), narrow.merge(one)):
        close(metric.compute(state), exact, 16, np.abs(exact) + 1)
