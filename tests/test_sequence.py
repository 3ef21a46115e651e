"""Sequences: every path of a small problem, one by one, and what holds of long ones."""

from __future__ import annotations

import itertools
import math
from functools import cache
from typing import Any

import numpy as np
import pytest
from mpmath import mp, mpf

import isoloss as il
from conformance.kit.backends import Backend
from conformance.kit.comparison import close, distance
from conformance.kit.promise import value_limit

TIME, CLASSES, ROOM = 4, 3, 4
INF = math.inf


# --- by definition --------------------------------------------------------------------------------


def collapsed(path: tuple[int, ...], blank: int) -> tuple[int, ...]:
    """Merge equal neighbours, then leave out blanks (Graves et al., 2006, section 3.1)."""
    return tuple(label for label, _ in itertools.groupby(path) if label != blank)


def by_definition(logits: Any, labels: Any, blank: int = 0) -> tuple[mpf, list[list[mpf]]]:
    """The loss and its gradient by the logits, of all paths, one by one."""
    with mp.workdps(50):
        shares = [[mp.exp(mpf(float(z))) if z > -INF else mpf(0) for z in row] for row in logits]
        shares = [[one / mp.fsum(row) for one in row] for row in shares]
        time, classes = len(logits), len(logits[0])
        total, through = mpf(0), [[mpf(0)] * classes for _ in range(time)]
        for path in itertools.product(range(classes), repeat=time):
            if collapsed(path, blank) != tuple(labels):
                continue
            chance = mp.fprod(shares[t][c] for t, c in enumerate(path))
            total += chance
            for t, c in enumerate(path):
                through[t][c] += chance
        if total == 0:
            return mp.inf, [[mpf(0)] * classes for _ in range(time)]
        slopes = [
            [share - part / total for share, part in zip(*rows, strict=True)]
            for rows in zip(shares, through, strict=True)
        ]
        return -mp.log(total), slopes


Problem = tuple[np.ndarray, list[int], mpf, list[list[mpf]]]


@cache
def problems(blank: int) -> list[Problem]:
    """Every sequence of up to four labels, for up to four frames, each with logits of its own."""
    rng = np.random.default_rng(blank)
    known = [c for c in range(CLASSES) if c != blank]
    found = []
    for time in range(1, TIME + 1):
        for count in range(ROOM + 1):
            for labels in itertools.product(known, repeat=count):
                logits = rng.normal(0, 1.5, (time, CLASSES)).astype(np.float32)
                found.append((logits, list(labels), *by_definition(logits, labels, blank)))
    return found


def padded(some: list[Problem], dtype: str = "float32") -> tuple[np.ndarray, Any]:
    """A batch, in which everything behind a sequence is no number, and no label."""
    logits = np.full((len(some), TIME, CLASSES), np.nan, dtype)
    labels = np.full((len(some), ROOM), -100)
    for k, (z, names, *_) in enumerate(some):
        logits[k, : len(z)] = z
        labels[k, : len(names)] = names
    frames = np.array([len(z) for z, *_ in some])
    return logits, (labels, frames, np.array([len(names) for _, names, *_ in some]))


def given(backend: Backend, logits: np.ndarray, targets: Any) -> tuple[Any, Any]:
    return backend.xp.asarray(logits), tuple(
        backend.xp.asarray(x.astype(np.int32)) for x in targets
    )


def values_and_slopes(backend: Backend, metric: il.Metric, logits: Any, targets: Any) -> Any:
    """Return every value and the gradient of their sum, without a mask, as NumPy arrays."""

    def both(logits: Any, targets: Any) -> Any:
        values = metric(logits, targets, reduction="none")
        return values, il.gradient(metric, logits, targets, denominator=1.0)

    pair = backend.compiled(both)(*given(backend, logits, targets))
    return tuple(np.asarray(backend.numbers(x), np.float32) for x in pair)


def limits(backend: Backend) -> tuple[float, float]:
    """Return what is promised of values and gradients in float32, in ULP."""
    return (value_limit(backend, "float32"), 4) if backend.float64 else (16.0, 32)


def test_value_and_gradient_are_those_of_all_paths(backend: Backend) -> None:
    """Repeated labels, no labels, too many for the frames: the value is that of the definition.

    Too many are inf (optax has 99999.7) with a gradient of 0, and leave that of others as it is.
    """
    limit, limit_of_slopes = limits(backend)
    results = []
    for blank in (0, 2) if backend.name == "numpy" else (0,):  # a place among classes, anywhere
        some = problems(blank)
        values, slopes = values_and_slopes(backend, il.CTC(blank=blank), *padded(some))
        results += zip(some, values, slopes, strict=True)
    for (z, labels, loss, exact), value, rows in results:
        exact_loss = mp.nstr(loss, 40).replace("+", "")
        assert distance(float(value), exact_loss, "float32") <= limit, labels
        assert (rows[len(z) :] == 0).all(), labels  # behind the last frame
        if mp.isfinite(loss):
            want = np.array([[float(x) for x in row] for row in exact])
        else:
            want = np.zeros_like(rows[: len(z)], np.float64)
        unit = 2.0**-24 * np.abs(want).max(initial=1e-30)
        assert np.abs(rows[: len(z)] - want).max() <= limit_of_slopes * unit, labels


def test_by_hand() -> None:
    """Two equal labels need a blank between them, so that three frames leave one path."""
    even = np.zeros((3, 3))  # 27 paths
    assert il.ctc(even, (np.array([1, 1]), 3, 2)) == pytest.approx(math.log(27), rel=4 * 2.0**-52)
    assert il.ctc(even, (np.array([1, 2]), 3, 2)) == pytest.approx(
        math.log(27 / 5), rel=4 * 2.0**-52
    )
    assert il.ctc(even, (np.array([1, 2]), 3, 0)) == pytest.approx(math.log(27), rel=4 * 2.0**-52)
    assert il.ctc(even, (np.array([1, 2]), 0, 0)) == 0.0


# --- edges ----------------------------------------------------------------------------------------


STRANGE = [
    ("the blank", [1, 0], 4, 2),
    ("no class", [1, 3], 4, 2),
    ("below 0", [1, -1], 4, 2),
    ("no integer", [1.5, 2], 4, 2),
    ("more labels than there is room for", [1, 2], 4, 3),
    ("more frames than there are", [1, 2], 5, 2),
    ("frames below 0", [1, 2], -1, 2),
    ("labels below 0", [1, 2], 4, -1),
    ("half a frame", [1, 2], 3.5, 2),
    ("not a number", [math.nan, 2], 4, 2),
]


@pytest.mark.parametrize(
    ("labels", "frames", "lengths"), [x[1:] for x in STRANGE], ids=[x[0] for x in STRANGE]
)
def test_what_is_no_target_is_nan(labels: Any, frames: Any, lengths: Any) -> None:
    """A strange target makes its own sequence nan, and no other."""
    logits = np.random.default_rng(0).normal(size=(2, 4, 3))
    pair = (np.array([labels, [1, 2]], float), np.array([frames, 4.0]), np.array([lengths, 2.0]))
    values = il.ctc(logits, pair, reduction="none")
    assert np.isnan(values[0])
    assert values[1] == il.ctc(logits[1], (np.array([1, 2]), 4, 2))
    slopes = il.gradient(il.ctc, logits, pair, where=[False, True])
    assert (slopes[0] == 0).all()
    assert np.isfinite(slopes).all()


def test_logits_that_are_infinite() -> None:
    """A class of -inf is ruled out, and one of inf is certain."""
    logits = np.array([[0.0, 1.0, -INF], [0.5, 2.0, 1.0]])
    loss, slopes = by_definition(logits, [1])
    targets = (np.array([1]), 2, 1)
    assert il.ctc(logits, targets) == pytest.approx(float(loss), rel=32 * 2.0**-52)
    np.testing.assert_allclose(
        il.gradient(il.ctc, logits, targets), np.array(slopes, float), atol=4 * 2.0**-52
    )
    certain = np.array([[0.0, INF, 0.0], [INF, 0.0, 0.0]])
    assert il.ctc(certain, targets) == 0.0
    assert il.ctc(certain, (np.array([2]), 2, 1)) == INF


def test_a_blank_that_is_no_class_is_refused() -> None:
    """JAX would take the last class instead."""
    with pytest.raises(
        ValueError, match=r"^CTC\(blank=3\): blank=3 is not a class: the classes are 0 to 2"
    ):
        il.CTC(blank=3)(np.zeros((2, 3)), (np.array([1]), 2, 1))


# --- batches, and long ones -----------------------------------------------------------------------


def drawn(count: int, time: int, classes: int, room: int) -> tuple[np.ndarray, Any]:
    rng = np.random.default_rng(time)
    logits = rng.normal(0, 2, (count, time, classes)).astype(np.float32)
    labels = rng.integers(1, classes, (count, room))
    lengths = rng.integers(room // 2, room + 1, count)
    return logits, (labels, rng.integers(time // 2, time + 1, count), lengths)


def test_long_sequences(backend: Backend) -> None:
    """The logits of each frame have slopes that add up to 0; float32 is as good as float64."""
    logits, targets = drawn(4, 120, 12, 20)
    wide = logits.astype(np.float64)
    exact = il.ctc(wide, targets, reduction="none")
    steps = il.gradient(il.ctc, wide, targets, denominator=1.0)
    values, slopes = values_and_slopes(backend, il.ctc, logits, targets)
    close(values, exact, limits(backend)[0])
    # a slope is the exponential of a difference of losses: it has their spacing, as a relative error
    ulps = 1 if backend.widens else np.abs(exact).max() / 2
    largest = np.abs(steps).max()
    close(slopes, steps, ulps, largest)
    close(slopes.sum(axis=-1), np.zeros((4, 120)), 16 * ulps, largest)


def test_means() -> None:
    """The mean is of sequences; weights give torch's, and a denominator that of all labels."""
    logits, targets = drawn(5, 30, 7, 8)
    lengths = targets[2]
    each = il.ctc(logits, targets, reduction="none").astype(np.float64)
    close(il.ctc(logits, targets), each.mean(), 8)
    as_torch = il.ctc(logits, targets, weights=1 / lengths, denominator=len(lengths))
    close(as_torch, (each / lengths).mean(), 8)
    per_label = il.ctc(logits, targets, denominator=int(lengths.sum()))
    close(per_label, each.sum() / lengths.sum(), 8)


def test_logarithms_of_probabilities_are_logits() -> None:
    """What torch takes gives the same value and the same gradient."""
    logits, targets = drawn(3, 20, 5, 6)
    z = logits.astype(np.float64)
    logs = z - np.log(np.exp(z).sum(axis=-1, keepdims=True))
    assert il.ctc(logs, targets) == pytest.approx(il.ctc(z, targets), rel=32 * 2.0**-52)
    np.testing.assert_allclose(
        il.gradient(il.ctc, logs, targets), il.gradient(il.ctc, z, targets), atol=32 * 2.0**-52
    )


# --- derivatives ----------------------------------------------------------------------------------


def test_one_loop_in_jax() -> None:
    """The frames are a loop of the program, so that their number costs no compilation."""
    jax = pytest.importorskip("jax")
    sizes = []
    for time in (9, 90):
        logits, targets = drawn(3, time, 4, 3)
        sizes.append(jax.jit(il.ctc).lower(logits, targets).as_text().count("\n"))
    assert sizes[0] == sizes[1]


def test_equal_logits_have_the_right_second_derivative() -> None:
    """Where two ways to a place are equally likely, nothing is lost through a maximum."""
    logits, targets = np.zeros((3, 3)), (np.array([1]), 3, 1)
    _, second = il.gradient_hessian(il.ctc, logits, targets)
    step = 2.0**-13
    for place in np.ndindex(3, 3):
        moved = [logits.copy() for _ in range(2)]
        moved[0][place] += step
        moved[1][place] -= step
        high, low = (il.gradient(il.ctc, z, targets)[place] for z in moved)
        assert second[place] == pytest.approx((high - low) / (2 * step), abs=1e-7)
