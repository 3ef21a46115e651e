"""Metrics by name: `get`, `list_metrics`, names wherever metrics are taken; what instances show."""

from __future__ import annotations

import io
import json
import pydoc
from contextlib import redirect_stdout
from typing import Any

import numpy as np
import pytest

jnp = pytest.importorskip("jax.numpy")
torch = pytest.importorskip("torch")

import isoloss as il
from isoloss.metrics.catalogue import RENAMED, as_metric, families
from isoloss.metrics.names import FAMILIES

METRICS = [m for family in families() for m in vars(family).values() if isinstance(m, il.Metric)]
P, T = np.array([1.0, 3.0]), np.array([0.0, 1.0])


def test_get() -> None:
    """A name, an alias or a class; with parameters, one that has these."""
    assert il.get("huber") is il.huber
    assert il.get("mse") is il.get("mean_squared_error") is il.mse
    assert il.get("huber", delta=2.0) == il.get("Huber", delta=2.0) == il.Huber(delta=2.0)
    assert il.get("Huber") == il.huber
    assert il.get("F1Score", num_classes=3) == il.F1Score(num_classes=3)
    with pytest.raises(ValueError, match="there is no metric 'f1'; did you mean 'F1Score'"):
        il.get("f1")


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: il.get("hubre"), ValueError, r"^get: there is no metric 'hubre'; did you mean 'huber'\?"),
        (lambda: il.get("evaluate"), ValueError, "^get: there is no metric 'evaluate'"),
        (lambda: il.get("huber", dleta=1.0), TypeError, r"^get: Huber has no parameter 'dleta'; did you mean 'delta'\?; it has delta"),
        (lambda: il.get("mse", delta=1.0), TypeError, "it has none"),
        (lambda: il.get("rmse", delta=1.0), TypeError, "^get: rmse is Root.* has no parameters"),
        (lambda: il.get("F1Score"), TypeError, r"^get: F1Score needs num_classes: get\('F1Score', num_classes=...\)"),
        (lambda: il.get(il.mse), TypeError, "^get takes the name of a metric"),  # type: ignore[arg-type]
        (lambda: il.get("huber", delta=-1.0), ValueError, "delta must be finite and > 0"),
        (lambda: il.evaluate(["msee"], P, T), ValueError, r"^evaluate: there is no metric 'msee'; did you mean"),
        (lambda: il.evaluate("mse", P, T), TypeError, r"^evaluate takes several metrics: pass \['mse'\]"),
        (lambda: il.list_metrics(family="robus"), ValueError, r"there is no family 'robus'; did you mean 'robust'\?"),
        (lambda: as_metric("evaluate", 1), TypeError, "^evaluate takes metrics such as isoloss.huber, not 1"),
    ],
)  # fmt: skip
def test_refused(make: Any, error: type[Exception], message: str) -> None:
    """Names and parameters that there are not are refused, with the nearest that there is."""
    with pytest.raises(error, match=message):
        make()


def test_an_old_name_tells_the_new_one() -> None:
    """A name that was public before is refused with the one that it has now."""
    message = "it is called clip_loss"
    with pytest.raises(AttributeError, match=f"^isoloss has no clip: {message}$"):
        il.clip  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(ValueError, match=f"^get: there is no metric 'clip': {message}"):
        il.get("clip")
    assert not set(RENAMED) & set(il.__all__)
    assert set(RENAMED.values()) <= set(il.__all__)


def test_list_metrics() -> None:
    """Each metric is listed once, by its first name, and `get` finds it; the filters agree."""
    names = il.list_metrics()
    assert len(names) == len(set(names))
    listed = {id(getattr(il, name)) for name in names}
    assert listed >= {id(m) for m in METRICS if any(m is getattr(il, n) for n in il.__all__)}
    scores, others = (il.list_metrics(greater_is_better=better) for better in (True, False))
    undecided = {"SkillScore"}  # its reference decides
    assert {*scores} | {*others} | undecided == {*names}
    assert not {*scores} & {*others}
    assert {"r2_score", "accuracy"} <= set(scores)
    assert [n for family in FAMILIES for n in il.list_metrics(family=family)] == names
    assert il.list_metrics("MSE") == il.list_metrics("mse")
    assert "mean_squared_error" in il.list_metrics("mse")
    assert il.list_metrics("no such word") == []


def test_names_in_place_of_metrics() -> None:
    """A name stands for the metric, and is the key it was typed with."""
    assert il.evaluate(["mse", il.mae], P, T) == {"mse": 2.5, "mean_absolute_error": 1.5}
    assert il.evaluate({"a": "mse"}, P, T) == {"a": 2.5}
    assert il.over_batches(["mse"], [(P, T)]) == {"mse": 2.5}
    accumulator = il.Accumulator("mse")
    accumulator.update(P, T)
    assert accumulator.compute() == 2.5
    assert il.gradient("mse", P, T).tolist() == [1.0, 2.0]
    assert il.gradient_hessian("mse", P, T)[1].tolist() == [2.0, 2.0]
    with pytest.raises(ValueError, match=r"targets\[1\] is -1"):
        il.validate("poisson_deviance", [1.0, 2.0], [3.0, -1.0])


def test_names_in_adapters() -> None:
    """Adapters take a name as they take the metric."""
    torch = pytest.importorskip("torch")
    from isoloss.adapters.torch import Criterion, Meter

    p, t = torch.from_numpy(P), torch.from_numpy(T)
    assert float(Criterion("huber", delta=2.0)(p, t)) == float(il.Huber(delta=2.0)(p, t))
    meter = Meter("mse")
    meter.update(p, t)
    assert float(meter.compute()) == 2.5
    pytest.importorskip("sklearn")
    from isoloss.adapters.sklearn import scorer

    assert scorer("mse").metrics is il.mse
    assert list(scorer(["mse", il.mae]).named()) == ["neg_mse", "neg_mean_absolute_error"]


def test_scikit_learn_makes_a_scorer() -> None:
    """`make_scorer` asks a function for its name."""
    metrics = pytest.importorskip("sklearn.metrics")
    assert "mean_absolute_percentage_error" in repr(metrics.make_scorer(il.mape))


def test_instances_have_a_name() -> None:
    """`__name__` is the public name, as of a function; the repr where there is none."""
    assert il.huber.__name__ == "huber"
    assert il.rmse.__name__ == "root_mean_squared_error"
    assert il.Huber(delta=2.0).__name__ == "Huber(delta=2.0)"
    assert il.Huber.__name__ == "Huber"
    assert il.Barron(alpha=np.ones(2)).__name__.startswith("Barron(")  # type: ignore[arg-type]


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.__name__)
def test_few_public_attributes(metric: il.Metric) -> None:
    """A metric lists what a user needs: at most 14 names, and all of them are there."""
    shown = [name for name in dir(metric) if not name.startswith("_")]
    assert len(shown) == len(set(shown)) <= 14
    assert {"summary", "compute", "domain", "greater_is_better"} <= set(shown)
    assert all(hasattr(metric, name) for name in shown)


def test_help_begins_with_the_call() -> None:
    """`help` of a metric is short, and the call stands first; that of a class is as written."""
    out = io.StringIO()
    with redirect_stdout(out):
        pydoc.Helper(output=out)(il.huber)
    lines = out.getvalue().splitlines()
    assert len(lines) <= 90
    assert any("huber(predictions, targets, *, weights=None" in line for line in lines[:5])
    assert str(il.Huber.__doc__).startswith("Huber")
    assert str(il.Huber.__doc__) in str(il.huber.__doc__)


def test_keys_of_results() -> None:
    """Members without a name have that of their class and words; else their repr, which is short."""
    for metric, key in (
        (il.huber, "huber"),
        (il.Huber(delta=2.0), "Huber(delta=2.0)"),
        (il.F1Score(num_classes=3), "f1_macro"),
        (il.F1Score(num_classes=3, average=None), "f1_per_class"),
        (il.ConfusionMatrix(num_classes=3), "confusion_matrix"),
        (il.NDCG(gain="linear"), "ndcg_linear"),
        (il.FBeta(num_classes=3, beta=2.0), "FBeta(num_classes=3, beta=2.0)"),
        (il.Scaled(il.mape, 100.0), "Scaled(metric=MeanAbsolutePercentageError(), factor=100.0)"),
    ):
        assert metric.__name__ == key
    two = [il.F1Score(num_classes=2), il.F1Score(num_classes=3)]
    values = il.evaluate(two, [0, 1, 1], [0, 1, 0])
    assert list(values) == ["f1_macro", "F1Score(num_classes=3)"]


def test_results_as_numbers() -> None:
    """Results of every library, of groups and with errors, go through JSON and are the same."""
    p, t, groups = np.asarray([1.0, 3.0, 5.0]), np.asarray([1.0, 1.0, 1.0]), np.asarray([0, 0, 1])
    want = {"mean_absolute_error": {"value": 2.0, "standard_error": pytest.approx(1.1547005)}}
    for convert in (np.asarray, torch.as_tensor, jnp.asarray):
        arrays = convert(p.astype("float32")), convert(t.astype("float32"))
        values = il.as_numbers(il.evaluate([il.mae], *arrays, standard_error=True))
        assert json.loads(json.dumps(values)) == want
    values = il.as_numbers(
        il.evaluate([il.mae, il.BinaryReliabilityDiagram(bins=2)], t, t, groups=groups)
    )
    assert values["mean_absolute_error"] == {0: 0.0, 1: 0.0}
    assert json.loads(json.dumps(values))["mean_absolute_error"] == {"0": 0.0, "1": 0.0}
    learnt = torch.ones(3, requires_grad=True)
    assert il.as_numbers({"loss": il.mse(learnt, torch.zeros(3)), "all": [np.float32(1.0)]}) == {
        "loss": 1.0, "all": [1.0],
    }  # fmt: skip
