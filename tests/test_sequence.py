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
from conformance.kit.backends import BACKENDS, installed
from conformance.kit.comparison import distance

every_library = pytest.mark.parametrize("library", installed())
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


def given(library: str, logits: np.ndarray, targets: Any) -> tuple[Any, Any, Any]:
    backend = BACKENDS[library]()
    made = [backend.xp.asarray(x.astype(np.int32)) for x in targets]
    return backend, backend.xp.asarray(logits), tuple(made)


@every_library
@pytest.mark.parametrize("blank", [0, 2])
def test_value_and_gradient_are_those_of_all_paths(library: str, blank: int) -> None:
    """Repeated labels, no labels, too many for the frames: the value is that of the definition."""
    some = problems(blank)
    backend, logits, targets = given(library, *padded(some))
    metric = il.CTC(blank=blank)
    values = backend.numbers(metric(logits, targets, reduction="none"))
    limit = 1.0 if backend.float64 else 16.0
    for (_, labels, loss, _), value in zip(some, values, strict=True):
        assert distance(value, mp.nstr(loss, 40).replace("+", ""), "float32") <= limit, labels
    possible = np.array([bool(mp.isfinite(loss)) for *_, loss, _ in some])
    for mode in backend.modes[: 1 if library == "jax" else None]:
        found = backend.gradient(
            mode, metric, logits, targets, where=backend.xp.asarray(possible), denominator=1.0
        )
        rows = np.asarray(backend.numbers(found))
        for (z, labels, loss, slopes), row in zip(some, rows, strict=True):
            assert (row[len(z) :] == 0).all(), labels  # behind the last frame
            exact = np.array([[float(x) for x in one] for one in slopes])
            exact = exact if mp.isfinite(loss) else np.zeros_like(exact)
            limit = (4 if backend.float64 else 32) * 2.0**-24
            assert np.abs(row[: len(z)] - exact).max() <= limit * np.abs(exact).max(initial=1e-30)


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


@every_library
def test_too_few_frames_are_inf_and_have_no_gradient(library: str) -> None:
    """An alignment that there is none of is no large number, as it is in optax (99999.7)."""
    logits = np.zeros((2, 2, 3), np.float32)
    targets = (np.array([[1, 1], [1, 2]]), np.array([2, 2]), np.array([2, 2]))
    backend, logits, targets = given(library, logits, targets)
    values = backend.numbers(il.ctc(logits, targets, reduction="none"))
    assert values[0] == INF
    assert values[1] == pytest.approx(math.log(9), rel=8 * 2.0**-23)
    for mode in backend.modes[: 1 if library == "jax" else None]:
        slopes = np.asarray(backend.numbers(backend.gradient(mode, il.ctc, logits, targets)))
        assert (slopes[0] == 0).all()
        assert np.isfinite(slopes).all()
    kept = backend.xp.asarray(np.array([False, True]))
    assert float(il.ctc(logits, targets, where=kept)) == pytest.approx(
        math.log(9), rel=8 * 2.0**-23
    )


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
    with pytest.raises(ValueError, match=r"^CTC\(blank=3\): there are 3 classes, and no 3 of them"):
        il.CTC(blank=3)(np.zeros((2, 3)), (np.array([1]), 2, 1))


# --- batches, and long ones -----------------------------------------------------------------------


def drawn(count: int, time: int, classes: int, room: int) -> tuple[np.ndarray, Any]:
    rng = np.random.default_rng(time)
    logits = rng.normal(0, 2, (count, time, classes)).astype(np.float32)
    labels = rng.integers(1, classes, (count, room))
    lengths = rng.integers(room // 2, room + 1, count)
    return logits, (labels, rng.integers(time // 2, time + 1, count), lengths)


@every_library
def test_long_sequences(library: str) -> None:
    """The logits of each frame have slopes that add up to 0; float32 is as good as float64."""
    logits, targets = drawn(4, 120, 12, 20)
    exact = il.ctc(logits.astype(np.float64), targets, reduction="none")
    steps = il.gradient(il.ctc, logits.astype(np.float64), targets)
    backend, logits, targets = given(library, logits, targets)
    values = np.asarray(backend.numbers(il.ctc(logits, targets, reduction="none")))
    spacing = 2.0**-23 if backend.float64 else 2.0**-19
    np.testing.assert_allclose(values, exact, rtol=spacing)
    slopes = np.asarray(backend.numbers(il.gradient(il.ctc, logits, targets)))
    # a slope is the exponential of a difference of losses: it has their spacing, as a relative error
    relative = 2.0**-23 if backend.float64 else 2.0**-23 * np.abs(exact).max() / 2
    np.testing.assert_allclose(slopes, steps, atol=relative * np.abs(steps).max())
    np.testing.assert_allclose(slopes.sum(axis=-1), 0.0, atol=16 * relative * np.abs(steps).max())


def test_means() -> None:
    """The mean is of sequences; weights give torch's, and a denominator that of all labels."""
    logits, targets = drawn(5, 30, 7, 8)
    lengths = targets[2]
    each = il.ctc(logits, targets, reduction="none").astype(np.float64)
    assert il.ctc(logits, targets) == pytest.approx(each.mean(), rel=8 * 2.0**-23)
    as_torch = il.ctc(logits, targets, weights=1 / lengths, denominator=len(lengths))
    assert as_torch == pytest.approx((each / lengths).mean(), rel=8 * 2.0**-23)
    per_label = il.ctc(logits, targets, denominator=int(lengths.sum()))
    assert per_label == pytest.approx(each.sum() / lengths.sum(), rel=8 * 2.0**-23)
    one, two = (
        il.ctc.summary(logits[s], tuple(x[s] for x in targets)) for s in (slice(2), slice(2, 5))
    )
    assert il.ctc.compute(one.merge(two)) == pytest.approx(each.mean(), rel=8 * 2.0**-23)


def test_logarithms_of_probabilities_are_logits() -> None:
    """What torch takes gives the same value and the same gradient."""
    logits, targets = drawn(3, 20, 5, 6)
    z = logits.astype(np.float64)
    logs = z - np.log(np.exp(z).sum(axis=-1, keepdims=True))
    assert il.ctc(logs, targets) == pytest.approx(il.ctc(z, targets), rel=32 * 2.0**-52)
    np.testing.assert_allclose(
        il.gradient(il.ctc, logs, targets), il.gradient(il.ctc, z, targets), atol=32 * 2.0**-52
    )


# --- transforms -----------------------------------------------------------------------------------


def test_jax() -> None:
    """Compiled, over batches, in forward mode, twice: one loop whose length costs no compilation."""
    jax = pytest.importorskip("jax")
    logits, targets = drawn(3, 9, 4, 3)
    logits, targets = jax.numpy.asarray(logits), tuple(map(jax.numpy.asarray, targets))
    value, slopes = il.ctc(logits, targets), il.gradient(il.ctc, logits, targets)
    size = float(abs(slopes).max())

    def close(x: Any, y: Any) -> None:
        np.testing.assert_allclose(x, y, rtol=16 * 2.0**-23, atol=16 * 2.0**-23 * size)

    close(jax.jit(il.ctc)(logits, targets), value)
    close(jax.jit(jax.grad(il.ctc))(logits, targets), slopes)
    close(jax.jacfwd(il.ctc)(logits, targets), slopes)
    each = jax.vmap(jax.grad(il.ctc))(logits, targets) / 3
    close(each, slopes)
    small = logits[0, :3], (targets[0][0, :1], 3, 1)
    bent = jax.jacfwd(jax.jacrev(il.ctc))(*small)
    close(bent, np.swapaxes(np.reshape(bent, (12, 12)), 0, 1).reshape(bent.shape))
    diagonal = il.gradient_hessian(
        il.ctc, np.asarray(small[0], np.float64), (np.asarray(small[1][0]), 3, 1)
    )[1]
    close(np.diagonal(np.reshape(bent, (12, 12))), diagonal.ravel())
    text = str(jax.make_jaxpr(il.ctc)(logits, targets))
    assert "scan" in text or "while" in text


def test_torch() -> None:
    """Under torch.func, in forward mode, twice, and compiled as one graph."""
    torch = pytest.importorskip("torch")
    logits, targets = drawn(3, 9, 4, 3)
    logits, targets = torch.tensor(logits), tuple(map(torch.tensor, targets))
    value, slopes = il.ctc(logits, targets), il.gradient(il.ctc, logits, targets)
    close = torch.testing.assert_close
    close(torch.func.jacfwd(il.ctc)(logits, targets), slopes)
    close(torch.func.vmap(torch.func.grad(il.ctc))(logits, targets) / 3, slopes)
    small = logits[0, :3].double()

    def loss(z: Any) -> Any:
        return il.ctc(z, (targets[0][0, :1], torch.tensor(3), torch.tensor(1)))

    assert torch.autograd.gradcheck(loss, small.clone().requires_grad_())
    assert torch.autograd.gradgradcheck(loss, small.clone().requires_grad_())
    compiled = torch.compile(il.ctc, fullgraph=True, backend="aot_eager")
    close(compiled(logits[:, :4], (targets[0], targets[1].clamp(max=4), targets[2].clamp(max=1))),
          il.ctc(logits[:, :4], (targets[0], targets[1].clamp(max=4), targets[2].clamp(max=1))))  # fmt: skip
    assert value.dtype == torch.float32


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
