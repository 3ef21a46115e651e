"""Groups and standard errors: one pass for all groups, the same as each group alone."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import isoloss as il
from conformance.kit.backends import Backend
from conformance.kit.drawing import draw, excluded, of_items
from conformance.kit.laws import law
from conformance.kit.structures import STRUCTURES

GROUPS = 4


def close(found: Any, want: Any, size: Any = 1.0) -> None:
    """Assert equality to 16 ULP of float32, of the larger of the number and a size."""
    found, want = np.asarray(found, dtype=float), np.asarray(want, dtype=float)
    assert found.shape == want.shape
    near = np.abs(found - want) <= 16 * 2.0**-23 * np.maximum(np.abs(want), size)
    assert np.all(near | (np.isnan(found) & np.isnan(want))), (found, want)


def given(backend: Backend, array: np.ndarray) -> Any:
    """Return an array of NumPy as one of the library."""
    return backend.array(array.tolist(), str(array.dtype) if array.dtype != "int64" else "int32")


@law(STRUCTURES)
def test_each_group_is_as_if_alone(backend: Backend, metric: il.Metric) -> None:
    """The value of every group is that of its samples alone; an empty group is nan."""
    p, t = draw(metric, (40,), dtype="float32")
    w, m = excluded(metric, (40,), dtype="float32")
    groups = np.random.default_rng(2).integers(0, GROUPS, 40)
    arrays = [given(backend, x) for x in (p, t, w, m, groups)]
    for options in ({}, {"weights": arrays[2], "where": of_items(metric, arrays[3])}):
        state = metric.summary(
            arrays[0], arrays[1], **options, groups=arrays[4], num_groups=GROUPS + 1
        )
        found = np.asarray(backend.numbers(metric.compute(state)))
        for group in range(GROUPS + 1):
            chosen = groups == group
            of_group = {"weights": w[chosen], "where": of_items(metric, m[chosen])}
            of_group = of_group if options else {}
            wide = [
                x[chosen].astype("float64") if x.dtype.kind == "f" else x[chosen] for x in (p, t)
            ]
            want = metric(*wide, **of_group)
            close(found[group], want, 4)


def test_batches_of_groups_merge(backend: Backend) -> None:
    """States of groups merge group by group."""
    p, t = draw(il.r2_score, (40,), dtype="float32")
    groups = np.random.default_rng(2).integers(0, GROUPS, 40)
    whole = il.evaluate({"": il.r2_score}, p, t, groups=groups)[""]
    parts = [
        il.r2_score.summary(
            given(backend, p[s]),
            given(backend, t[s]),
            groups=given(backend, groups[s]),
            num_groups=GROUPS,
        )
        for s in (slice(0, 3), slice(3, 30), slice(30, 40))
    ]
    merged = il.r2_score.compute(parts[0].merge(parts[1]).merge(parts[2]))
    close(backend.numbers(merged), [whole[g] for g in range(GROUPS)])


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


def test_groups_under_jit() -> None:
    """With their number, groups are arrays like any other; a number outside is left out."""
    jax = pytest.importorskip("jax")
    p, t, groups = np.float32([1, 2, 5, 9]), np.zeros(4, np.float32), np.array([1, 0, 1, -1])
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
    "metric", [il.mse, il.mae, il.cosine_distance, il.cross_entropy, il.accuracy], ids=repr
)
def test_standard_errors(backend: Backend, metric: il.Loss) -> None:
    """They are those of the terms' deviations from their weighted mean."""
    p, t = draw(metric, (50,), dtype="float32")
    w, m = excluded(metric, (50,), dtype="float32")
    wide = [x.astype("float64") if x.dtype.kind == "f" else x for x in (p, t)]
    terms = np.asarray(metric(*wide, reduction="none"), dtype="float64")
    a, b, weights, mask = (given(backend, x) for x in (p, t, w, m))
    plain = il.evaluate({"": metric}, a, b, standard_error=True)[""]
    close(float(plain.value), metric(*wide))
    close(float(plain.standard_error), np.std(terms, ddof=1) / math.sqrt(50), 1 / 8)
    heavy = il.evaluate(
        {"": metric}, a, b, weights=weights, where=of_items(metric, mask), standard_error=True
    )[""]
    close(float(heavy.standard_error), by_hand(terms[m], w[m].astype("float64")), 1 / 8)


def test_standard_errors_of_metrics_of_metrics(backend: Backend) -> None:
    """Through a root, a factor or an exponential, by the slope of it (the delta method)."""
    p, t = draw(il.mse, (50,), dtype="float32")
    arrays = [given(backend, x) for x in (p, t)]
    metrics = {
        "mse": il.mse,
        "root": il.rmse,
        "scaled": il.Scaled(il.mse, -3.0),
        "exp": il.Exp(il.mae),
        "mae": il.mae,
    }
    found = il.evaluate(metrics, *arrays, standard_error=True)
    value, error = ({k: float(x[i]) for k, x in found.items()} for i in range(2))
    close(error["root"], error["mse"] / (2 * value["root"]))
    close(error["scaled"], 3 * error["mse"])
    close(error["exp"], value["exp"] * error["mae"])


def test_standard_errors_of_groups_and_axes() -> None:
    """There is one for each group, and for each number that is left along an axis."""
    p, t = np.random.default_rng(0).normal(size=(2, 30, 3))
    columns = il.evaluate({"": il.mae}, p, t, axis=0, standard_error=True)[""]
    groups = np.broadcast_to(np.arange(3), (30, 3))
    by_group = il.evaluate({"": il.mae}, p, t, groups=groups, standard_error=True)[""]
    for k in range(3):
        one = il.evaluate({"": il.mae}, p[:, k], t[:, k], standard_error=True)[""]
        close(columns.standard_error[k], one.standard_error)
        close(by_group[k].standard_error, one.standard_error)
        assert type(by_group[k]) is il.Estimate


def test_clusters(backend: Backend) -> None:
    """Samples of one cluster vary together: copies of a sample tell no more than one."""
    p, t = draw(il.mse, (20,), dtype="float32")
    wide = [x.astype("float64") for x in (p, t)]
    one = il.evaluate({"": il.mse}, *wide, standard_error=True)[""]
    copies = [given(backend, np.repeat(x, 5)) for x in (p, t)]
    found = il.evaluate(
        {"": il.mse}, *copies, standard_error=True, clusters=np.repeat(np.arange(20), 5)
    )[""]
    close(float(found.standard_error), one.standard_error)
    alone = il.evaluate({"": il.mse}, *copies, standard_error=True)[""]
    assert float(alone.standard_error) < 0.6 * float(one.standard_error)


def test_dask_groups() -> None:
    """Dask arrays are summed up by group where they lie."""
    dask = pytest.importorskip("dask.array")
    p, t = np.random.default_rng(0).normal(size=(2, 40))
    groups = np.arange(40) % 3
    want = il.evaluate([il.mse, il.r2], p, t, groups=groups)
    lazy = [dask.from_array(x, chunks=7) for x in (p, t, groups)]
    found = il.evaluate([il.mse, il.r2], *lazy[:2], groups=lazy[2], num_groups=3)
    for name, values in found.items():
        close(values.compute(), list(want[name].values()))


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
