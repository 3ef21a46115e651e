"""How calls are evaluated is found once for arrays of a kind, and serves those that come later."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import isoloss as il
from conformance.kit.backends import Backend
from conformance.kit.comparison import close
from conformance.mutants import ROOT, mutants
from isoloss._core.library import library_of

RNG = np.random.default_rng(0)
P, T = RNG.normal(size=(2, 6, 4)), RNG.normal(size=(2, 6, 4))
LABELS = RNG.integers(0, 4, (2, 6))
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "axis": {"axis": 0},
    "keepdims": {"axis": 1, "keepdims": True},
    "sum": {"reduction": "sum"},
    "none": {"reduction": "none"},
    "denominator": {"denominator": 3.0},
    "weights that broadcast": {"weights": np.array([1.0, 2.0, 0.5, 0.0, 1.0, 3.0])},
    "a mask that broadcasts": {"where": np.array([True, False, True, True, False, True])},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("metric", [il.mae, il.softmax_cross_entropy, il.log_cosh])
def test_later_calls_are_as_the_first(
    backend: Backend, metric: Any, options: dict[str, Any]
) -> None:
    """A second batch of the same kind has its own value, as on NumPy without anything remembered."""
    rows = metric is il.softmax_cross_entropy
    given = {
        name: backend.array(x.tolist(), "bool" if x.dtype == bool else "float32")
        if isinstance(x, np.ndarray)
        else x
        for name, x in options.items()
    }
    for k in range(2):
        p, t = (P + k, LABELS) if rows else (P[..., 0] + k, T[..., 0])
        arrays = (
            backend.array(p.tolist(), "float32"),
            backend.array(t.tolist(), "int32" if rows else "float32"),
        )
        library_of(np.zeros(1)).plans.latest.clear()  # type: ignore[union-attr, attr-defined]
        want = metric(np.float32(p), np.int32(t) if rows else np.float32(t), **options)
        close(metric(*arrays, **given), want, 8, "largest")


def test_axes_are_moved_at_every_call(backend: Backend) -> None:
    """Classes that are not last are so in the second call too."""
    for k in range(2):
        z = np.float32(P + k)
        moved = backend.array(np.moveaxis(z, -1, 1).tolist(), "float32")
        labels = backend.array(LABELS.tolist(), "int32")
        value = il.softmax_cross_entropy(moved, labels, event_axis=1)
        close(value, il.softmax_cross_entropy(z, LABELS), 8)


def test_errors_are_those_of_a_first_call() -> None:
    """A call with a remembered plan refuses the same arguments as the first call."""
    p, t = P[..., 0], T[..., 0]
    il.mae(p, t)
    for wrong in ({"empty": "a"}, {"denominator": -1.0}, {"reduction": "sum", "denominator": 2.0}):
        with pytest.raises((TypeError, ValueError), match="MeanAbsoluteError"):
            il.mae(p, t, **wrong)  # type: ignore[arg-type]


def test_a_plan_is_made_of_labels_that_do_not_exist() -> None:
    """The first batch of its kind may hold a label that has no weight of its class."""
    metric = il.SoftmaxCrossEntropy(class_weights=(1.0, 2.0, 3.0))
    for _ in range(2):
        assert np.isnan(metric(np.zeros((2, 3)), np.array([7, 1])))


def test_every_fault_can_be_planted() -> None:
    """The text of each fault of conformance/mutants.toml stands once in the file it names."""
    counts = {m.name: (ROOT / m.file).read_text().count(m.before) for m in mutants()}
    assert [name for name, count in counts.items() if count != 1] == []
