"""Groups and standard errors: one pass for all groups, the same as each group alone."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import pytest

import isoloss as il
from conformance.kit.backends import BACKENDS, Backend, installed
from conformance.kit.comparison import close
from conformance.kit.drawing import draw, excluded, of_items, spoiled, wide
from conformance.kit.laws import law
from conformance.kit.metrics import ALL
from conformance.kit.structures import STRUCTURES
from conformance.kit.trees import tree_map

GROUPS = 4
SAMPLES = 40
NUMBERS = np.random.default_rng(2).integers(0, GROUPS, SAMPLES)  # the group of each sample
EAGER = [name for name in installed()[1:] if not BACKENDS[name].compiles]
near = functools.partial(close, ulps=16, size=1.0)  # of float32, as what is drawn


def example(metric: il.Metric, name: str) -> tuple[Any, ...]:
    """Return predictions, targets, weights and mask: without the last two, or with a sample spoiled."""
    p, t = draw(metric, (SAMPLES,), dtype="float32")
    if name == "weighed":
        weights, mask = excluded(metric, (SAMPLES,), dtype="float32")
        return p, t, weights, of_items(metric, mask)
    if name == "spoiled":
        p, t = spoiled(p, 7, np.nan), spoiled(t, 7, np.nan)
    return p, t, None, None


@functools.cache
def one_by_one(metric: il.Metric, name: str) -> np.ndarray:
    """Return the value of every group from its samples alone, in float64; the last has none."""
    values = []
    for group in range(GROUPS + 1):
        chosen = group == NUMBERS
        p, t, weights, mask = (
            None if x is None else tree_map(lambda array: array[chosen], x)  # noqa: B023
            for x in example(metric, name)
        )
        values.append(metric(*wide(p, t), weights=weights, where=mask))
    return np.asarray(values)


def check(backend: Backend, metric: il.Metric, name: str) -> None:
    """Compare the values of all groups, from one pass, with those of each group alone."""
    given = (None if x is None else backend.given(x) for x in example(metric, name))
    p, t, weights, mask = given
    state = metric.summary(
        p, t, weights=weights, where=mask, groups=backend.given(NUMBERS), num_groups=GROUPS + 1
    )
    close(metric.compute(state), one_by_one(metric, name), 16, 4.0)


@pytest.mark.parametrize("name", ["alike", "weighed", "spoiled"])
@law(ALL)
def test_each_group_is_as_if_alone(metric: il.Metric, name: str) -> None:
    """The value of every group is that of its samples alone, nan or not; an empty group is nan."""
    check(Backend(), metric, name)


@pytest.mark.parametrize("library", EAGER)
@law(STRUCTURES)
def test_groups_on_each_library(library: str, metric: il.Metric) -> None:
    """Groups are as if alone on every library; on JAX, test_streaming has them in batches."""
    check(BACKENDS[library](), metric, "weighed")


@pytest.mark.parametrize("metric", [il.r2_score, il.SkillScore(il.gaussian_nll)], ids=repr)
@pytest.mark.parametrize("library", ["numpy", *EAGER])
def test_batches_of_groups_merge(library: str, metric: il.Metric) -> None:
    """States of groups merge group by group."""
    backend = BACKENDS[library]()
    samples = draw(metric, (SAMPLES,), dtype="float32")
    p, t, groups = backend.given((*samples, NUMBERS))
    parts = []
    for first, last in ((0, 3), (3, 30), (30, SAMPLES)):
        batch = tree_map(lambda x: x[first:last, ...], (p, t, groups))  # noqa: B023
        parts.append(metric.summary(*batch[:2], groups=batch[2], num_groups=GROUPS + 1))
    merged = metric.compute(parts[0].merge(parts[1]).merge(parts[2]))
    close(merged, one_by_one(metric, "alike"), 16, 4.0)


def test_labels_of_any_kind(backend: Backend) -> None:
    """Groups may be words or any numbers; the values are found by them."""
    p, t = (backend.array(x, "float32") for x in ([1.0, 2.0, 5.0], [0.0, 0.0, 0.0]))
    for labels, names in (
        (["b", "a", "b"], ["a", "b"]),
        ([7, -1, 7], [-1, 7]),
        (np.array([2.5, 0.5, 2.5]), [0.5, 2.5]),
    ):
        found = il.evaluate([il.mae, il.max_error], p, t, groups=labels)
        assert list(found["mean_absolute_error"]) == names
        assert [float(x) for x in found["mean_absolute_error"].values()] == [2.0, 3.0]
        assert [float(x) for x in found["max_error"].values()] == [2.0, 5.0]


@pytest.mark.parametrize("outside", [-1, -3, 3, 7])
@pytest.mark.parametrize("library", ["numpy", *EAGER])
def test_numbers_outside_are_left_out(library: str, outside: int) -> None:
    """A sample whose group is below 0, or not below their number, is in no group."""
    backend = BACKENDS[library]()
    p, t = (backend.array(x, "float32") for x in ([1.0, 2.0, 5.0, 9.0], [0.0] * 4))
    groups = backend.given(np.array([1, 0, 1, outside]))
    for metric, want in ((il.mse, [4.0, 13.0]), (il.max_error, [2.0, 5.0])):
        found = metric.compute(metric.summary(p, t, groups=groups, num_groups=3))
        assert backend.numbers(found[:2]) == want
        assert math.isnan(float(found[2]))


def test_groups_under_jit() -> None:
    """With their number, groups are arrays like any other; a number outside is left out."""
    jax = pytest.importorskip("jax")
    p, t, groups = np.float32([1, 2, 5, 9, 7]), np.zeros(5, np.float32), np.array([1, 0, 1, -1, -3])
    call = lambda p, t, g: il.evaluate([il.mse], p, t, groups=g, num_groups=3)  # noqa: E731
    found = jax.jit(call)(p, t, groups)["mean_squared_error"]
    assert found.tolist()[:2] == [4.0, 13.0]
    assert math.isnan(found[2])
    with pytest.raises(TypeError, match="number them from 0 and pass num_groups="):
        jax.jit(lambda g: il.evaluate([il.mse], p, t, groups=g))(groups)


def by_hand(terms: np.ndarray, w: np.ndarray) -> float:
    """The standard error of a weighted mean: Cochran (1977), section 6.3, of a ratio."""
    mean, n = np.sum(w * terms) / np.sum(w), len(terms)
    return math.sqrt(n / (n - 1) * np.sum((w * (terms - mean)) ** 2)) / np.sum(w)


@pytest.mark.parametrize(
    "metric",
    [il.mae, il.cosine_distance, il.accuracy, il.gaussian_nll, il.kto],
    ids=repr,
)
def test_standard_errors(backend: Backend, metric: il.Loss) -> None:
    """They are those of the terms' deviations from their weighted mean."""
    samples = draw(metric, (50,), dtype="float32")
    w, m = excluded(metric, (50,), dtype="float32")
    terms = np.asarray(metric(*wide(*samples), reduction="none"), dtype="float64")
    a, b, weights, mask = backend.given((*samples, w, of_items(metric, m)))
    plain = il.evaluate({"": metric}, a, b, standard_error=True)[""]
    near(plain.value, metric(*wide(*samples)))
    near(plain.standard_error, np.std(terms, ddof=1) / math.sqrt(50), size=1 / 8)
    heavy = il.evaluate({"": metric}, a, b, weights=weights, where=mask, standard_error=True)[""]
    near(heavy.standard_error, np.float64(by_hand(terms[m], w[m].astype("float64"))), size=1 / 8)


def test_standard_errors_of_metrics_of_metrics(backend: Backend) -> None:
    """Through a root, a factor or an exponential, by the slope of it (the delta method)."""
    p, t = draw(il.mse, (50,), dtype="float32")
    metrics = {
        "mse": il.mse,
        "root": il.rmse,
        "scaled": il.Scaled(il.mse, -3.0),
        "exp": il.Exp(il.mae),
        "mae": il.mae,
    }
    estimates = il.evaluate(metrics, *backend.given((p, t)), standard_error=True)
    value, error = ({k: np.float64(x[i]) for k, x in estimates.items()} for i in range(2))
    root, scaled, exp = (estimates[name].standard_error for name in ("root", "scaled", "exp"))
    near(root, error["mse"] / (2 * value["root"]))
    near(scaled, 3 * error["mse"])
    near(exp, value["exp"] * error["mae"])


@pytest.mark.parametrize("metric", [il.mae, il.crps_laplace], ids=repr)
def test_standard_errors_of_groups_and_axes(metric: il.Loss) -> None:
    """There is one for each group, and for each number that is left along an axis."""
    samples = draw(metric, (30, 3), dtype="float64")
    columns = il.evaluate({"": metric}, *samples, axis=0, standard_error=True)[""]
    groups = np.broadcast_to(np.arange(3), (30, 3))
    by_group = il.evaluate({"": metric}, *samples, groups=groups, standard_error=True)[""]
    for k in range(3):
        alone = il.evaluate({"": metric}, *samples[:, k], standard_error=True)[""]
        near(columns.standard_error[k], alone.standard_error)
        near(by_group[k].standard_error, alone.standard_error)
        assert type(by_group[k]) is il.Estimate


@pytest.mark.parametrize("metric", [il.mse, il.gaussian_nll], ids=repr)
def test_clusters(backend: Backend, metric: il.Loss) -> None:
    """Samples of one cluster vary together: copies of a sample tell no more than one."""
    samples = draw(metric, (20,), dtype="float32")
    want = il.evaluate({"": metric}, *wide(*samples), standard_error=True)[""]
    copies = backend.given(tuple(samples.map(lambda x: np.repeat(x, 5))))
    clusters = np.repeat(np.arange(20), 5)
    estimate = il.evaluate({"": metric}, *copies, standard_error=True, clusters=clusters)[""]
    near(estimate.standard_error, want.standard_error)
    alone = il.evaluate({"": metric}, *copies, standard_error=True)[""]
    assert float(alone.standard_error) < 0.6 * float(want.standard_error)


@pytest.mark.parametrize("library", ["numpy", *EAGER])
def test_clusters_left_out(library: str) -> None:
    """A cluster none of whose samples counts is none: the number of clusters is that of the others."""
    backend = BACKENDS[library]()
    p, t = (backend.array(x, "float32") for x in ([1.0, 3.0, 4.0, 7.0], [0.0] * 4))
    counts = [1, 1, 1, 0]
    # by hand: the mean is 8/3; the clusters (1, 3) and (4,) lie -4/3 and 4/3 off it in all
    want = np.asarray(math.sqrt(2 / 1 * 2 * (4 / 3) ** 2) / 3)
    for options in (
        {"weights": backend.array(counts, "float32")},
        {"where": backend.given(np.asarray(counts, bool))},
    ):
        found = il.evaluate([il.mae], p, t, standard_error=True, clusters=[0, 0, 1, 2], **options)
        near(found["mean_absolute_error"].standard_error, want)


@pytest.mark.parametrize("metrics", [[il.mse, il.r2], [il.gaussian_nll, il.crps_laplace]], ids=repr)
def test_dask_groups(metrics: list[il.Metric]) -> None:
    """Dask arrays are summed up by group where they lie."""
    dask = pytest.importorskip("dask.array")
    samples, groups = draw(metrics[0], (40,), dtype="float64"), np.arange(40) % 3
    want = il.evaluate(metrics, *samples, groups=groups)
    *lazy, numbers = tree_map(lambda x: dask.from_array(x, chunks=7), (*samples, groups))
    values = il.evaluate(metrics, *lazy, groups=numbers, num_groups=3)
    for name, value in values.items():
        near(value.compute(), np.asarray(list(want[name].values())))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"num_groups": 2}, "evaluate: num_groups= says how many groups= there are, which is missing"),
        ({"clusters": [0, 1, 1]}, "evaluate: clusters= is for standard errors: pass standard_error=True"),
        ({"groups": [0, 1]}, "MeanSquaredError(): groups have shape (2,), which does not broadcast to the loss's shape (3,)"),
        ({"groups": [0, 1, 1], "num_groups": 0}, "MeanSquaredError(): num_groups must be an integer above 0, not 0"),
        ({"groups": [0.5, 1, 1], "num_groups": 2}, "MeanSquaredError(): groups have dtype float64: labels must be integers; convert them, e.g. groups.astype(int)"),
        ({"groups": [0, 1, 1], "axis": 0}, "MeanSquaredError(): groups= reduces all axes: leave out axis="),
        ({"standard_error": True, "clusters": [0, 1, 1], "axis": 0}, "evaluate: clusters= goes with neither groups= nor axis="),
    ],
)  # fmt: skip
def test_wrong_options(options: dict[str, Any], text: str) -> None:
    """What does not go together is said."""
    with pytest.raises((TypeError, ValueError)) as error:
        il.evaluate([il.mse], [1.0, 2.0, 3.0], [0.0, 0.0, 0.0], **options)
    assert str(error.value) == text


def test_metrics_without_terms() -> None:
    """A score of the whole has no standard error of this kind."""
    with pytest.raises(
        ValueError, match=r"^R2Score\(\): a standard error needs one term per sample"
    ):
        il.evaluate([il.r2], [1.0, 2.0], [0.0, 1.0], standard_error=True)
