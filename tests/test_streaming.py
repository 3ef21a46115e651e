"""Many batches, summarised and merged: the value is that of all samples at once, in little memory."""

from __future__ import annotations

import io
import itertools
import math
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import isoloss as il
from conformance.kit.backends import BACKENDS, installed
from conformance.kit.drawing import draw, excluded, inputs_of, of_items
from conformance.kit.metrics import ALL, NAMED
from conformance.kit.structures import STRUCTURES
from isoloss import streaming

every_library = pytest.mark.parametrize("library", installed())


def cut(sizes, *arrays):
    """Cut arrays into batches of these sizes, and one of the rest."""
    ends = [0, *np.cumsum(sizes), len(arrays[0])]
    for first, last in itertools.pairwise(ends):
        yield tuple(array[first:last] for array in arrays)


def same(found, want, ulps):
    """Compare values by name, in ULP of float32: of the value, and of 1 for a score."""
    assert found.keys() == want.keys()
    for name, value in found.items():
        got, expected = np.asarray(value, float), np.asarray(want[name], float)
        size = np.maximum(
            np.abs(expected), 1.0 if "score" in name or "correlation" in name else 0.0
        )
        assert got.shape == expected.shape, name
        assert np.all(np.abs(got - expected) <= ulps * 2.0**-23 * size), name


@every_library
def test_batches_are_the_whole(library, monkeypatch):
    """Uneven batches, an empty one among them, weighed and masked, give what one call gives."""
    backend = BACKENDS[library]()
    monkeypatch.setattr(streaming, "ROOM", 3)  # nine batches fill two levels, 13 three
    sizes = [0, 7, *[1] * 7] if backend.compiles else [0, 7, 1, 2, 20, *[1] * 7]
    for group in ({}, {"weights", "where"}):
        every = STRUCTURES if backend.compiles else NAMED | STRUCTURES  # each shape is compiled
        for some in {inputs_of(m): m for m in every.values()}.values():
            named = {k: m for k, m in every.items() if inputs_of(m) == inputs_of(some)}
            arrays = dict(
                zip(["predictions", "targets"], draw(some, (sum(sizes) + 8,)), strict=True)
            )
            weights, where = excluded(some, (sum(sizes) + 8,))
            arrays |= {
                k: v
                for k, v in (("weights", weights), ("where", of_items(some, where)))
                if k in group
            }
            make = lambda x: backend.xp.asarray(x.copy())  # noqa: E731
            batches = [
                dict(zip(arrays, map(make, parts), strict=True))
                for parts in cut(sizes, *arrays.values())
            ]
            whole = {k: make(array) for k, array in arrays.items()}
            want = il.evaluate(named, **whole)
            same(il.over_batches(named, iter(batches)), want, 16 if library == "jax" else 2)


@every_library
def test_long_streams_are_exact(library):
    """Five thousand batches of one constant: the mean is the constant, to the bit."""
    backend = BACKENDS[library]()
    one = (backend.array([0.1] * 3, "float32"), backend.array([0.0] * 3, "float32"))
    found = il.over_batches([il.mean_absolute_error], (one for _ in range(5_000)))
    assert backend.numbers(found["mean_absolute_error"]) == float(np.float32(0.1))


@pytest.mark.parametrize("library", [name for name in installed() if name in ("numpy", "torch")])
def test_arrays_that_are_filled_again(library):
    """A loader may reuse its arrays: batches of many lengths and dtypes are not mixed up."""
    backend = BACKENDS[library]()
    p, t = (np.abs(x) for x in draw(il.huber, (90_000,)))
    store = [backend.xp.asarray(np.empty(40_000, "float32")) for _ in range(2)]

    def batches():
        for part in cut([3, 40_000, 10_000, *[9_000] * 4, 1], p, t):
            views = [kept[: len(x)] for kept, x in zip(store, part, strict=True)]
            for view, x in zip(views, part, strict=True):
                view[:] = backend.xp.asarray(x.copy())
            yield tuple(views)

    metrics = [il.huber, il.median_absolute_error, il.r2_score, il.max_error]
    same(il.over_batches(metrics, batches()), il.evaluate(metrics, p, t), 1)
    mixed = [*batches(), (np.ones((2, 3)), np.zeros((2, 3))), (np.ones(4, "int8"), np.zeros(4))]
    if library == "numpy":
        found = il.over_batches([il.mean_bias_error], mixed)["mean_bias_error"]
        assert found.dtype == np.float64


def test_no_graph_is_kept():
    """Predictions that require a gradient are taken as numbers, small batches and large ones."""
    torch = pytest.importorskip("torch")
    p, t = (torch.from_numpy(x) for x in draw(il.huber, (50_000,)))
    leaf, weights = p.clone().requires_grad_(), torch.ones(50_000, requires_grad=True)
    for batch in ((leaf, t), (leaf[:10], t[:10]), (leaf, t, weights)):
        found = il.over_batches([il.huber, il.max_error], [batch, batch])
        want = il.evaluate([il.huber, il.max_error], batch[0].detach(), batch[1])
        assert not any(value.requires_grad for value in found.values())
        same(found, want, 1)


def test_axis():
    """Axes that are kept are kept over all batches."""
    p, t = draw(il.huber, (9, 4))
    found = il.over_batches([il.huber, il.r2_score], cut([5, 3], p, t), axis=0)
    for name, want in il.evaluate([il.huber, il.r2_score], p, t, axis=0).items():
        size = np.maximum(np.abs(want), 1)  # from which a score subtracts
        assert np.all(np.abs(found[name] - want) <= 2 * np.finfo("float32").eps * size)


@every_library
def test_groups_and_standard_errors_over_batches(library):
    """Weighed and masked batches give the estimates of every group that one call gives."""
    backend = BACKENDS[library]()
    p, t = draw(il.huber, (60,))
    weights, where = excluded(il.huber, (60,))
    arrays = {"predictions": p, "targets": t, "weights": weights, "where": where}
    groups = np.random.default_rng(5).integers(-1, 3, 60).astype("int32")  # -1: left out
    metrics = [il.mse, il.rmse, il.Scaled(il.mae, -2.0), il.Exp(il.huber)]
    for chosen in ({}, {"groups": groups}):
        given = {name: backend.xp.asarray(x.copy()) for name, x in (arrays | chosen).items()}
        batches = [
            {name: x[first:last] for name, x in given.items()}
            for first, last in itertools.pairwise([0, 0, 7, 8, 28, 60])
        ]
        number = {"num_groups": 4} if chosen else {}  # one of them has no sample
        want = il.evaluate(metrics, **given, **number, standard_error=True)
        found = il.over_batches(metrics, batches, **number, standard_error=True)
        assert found.keys() == want.keys()
        for name, estimate in found.items():
            for got, right in zip(estimate, want[name], strict=True):
                got, right = (np.asarray(backend.numbers(x), float) for x in (got, right))
                assert got.shape == ((4,) if chosen else ())
                near = np.abs(got - right) <= 16 * 2.0**-23 * np.abs(right)
                assert np.all(near | (np.isnan(got) & np.isnan(right))), name
            assert not chosen or math.isnan(backend.numbers(estimate.value)[3])


def test_streams_share_batches():
    """Several streams take what one loop reads; values may be asked for along the way."""
    plain, grouped = streaming.Stream([il.mse]), streaming.Stream([il.mse], num_groups=2)
    for p, t in (([1.0, 2.0], [0.0, 0.0]), ([3.0, 4.0], [0.0, 0.0])):
        plain.add((p, t))
        grouped.add({"predictions": p, "targets": t, "groups": [0, 1]})
        assert plain.values()["mean_squared_error"] == (2.5 if p[0] == 1 else 7.5)
    assert grouped.values()["mean_squared_error"].tolist() == [5.0, 10.0]


def test_batches_of_two_dtypes():
    """The result has the wider dtype, as if the batches had been one array."""
    p, t = draw(il.huber, (8,))
    batches = [(p[:4], t[:4]), (p[4:].astype("float64"), t[4:])]
    found = il.over_batches([il.huber], batches)["huber"]
    assert found.dtype == np.float64
    whole = il.huber(p.astype("float64"), t.astype("float64"))
    np.testing.assert_array_max_ulp(found, whole, 2)


def test_progress(capsys):
    """A bar on the error stream, or whatever the caller shows."""
    batches = [([1.0], [3.0]), ([2.0], [2.0])]
    assert il.over_batches([il.mse], batches, progress=True) == {"mean_squared_error": 2.0}
    assert "2/2" in capsys.readouterr().err
    seen = []

    def counted(several):
        for one in several:
            seen.append(one)
            yield one

    assert il.over_batches([il.mse], batches, progress=counted) == {"mean_squared_error": 2.0}
    assert seen == batches


def message(kind, metrics, batches, **options):
    with pytest.raises(kind) as caught:
        il.over_batches(metrics, batches, **options)
    return "\n".join([str(caught.value), *getattr(caught.value, "__notes__", [])])


def test_messages(monkeypatch):
    """Wrong batches are named by their number."""
    forms = (
        "over_batches takes (predictions, targets), (predictions, targets, weights), "
        "or a mapping of predictions, targets, weights, where, groups"
    )
    good = ([1.0], [1.0])
    assert message(ValueError, [il.mse], []) == (
        "over_batches needs at least one batch, and there was none"
    )
    assert message(TypeError, il.mse, [good]) == (
        "over_batches takes several metrics: pass [MeanSquaredError()]"
    )
    assert message(TypeError, [il.mse], [good, np.ones(2)]) == f"batch 1 is a ndarray; {forms}"
    assert message(TypeError, [il.mse], [([1.0],)]) == f"batch 0 is a tuple of length 1; {forms}"
    assert message(TypeError, [il.mse], [{"x": 1}]) == f"batch 0 is a dict with ['x']; {forms}"
    assert message(ValueError, [il.mse], [good, good, ([1.0, 2.0], [1.0])]) == (
        "MeanSquaredError(): predictions have shape (2,) and targets (1,); they must be the same\n"
        "in batch 2 of over_batches"
    )
    assert message(TypeError, [il.mse], [good], num_groups=2) == (
        "MeanSquaredError(): groups= and num_groups= go together: the group of each sample, "
        "and how many there are\nin batch 0 of over_batches"
    )
    assert message(ValueError, [il.r2], [good], standard_error=True) == (
        "R2Score(): a standard error needs one term per sample, which this metric does not have"
    )
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    assert message(ImportError, [il.mse], [good], progress=True) == (
        "progress=True shows its bar with tqdm: pip install 'isoloss[progress]'"
    )


def in_processes(monkeypatch, function, number):
    """Call a function of a rank as the processes of a group do; threads stand for them."""
    import torch.distributed as dist

    here, meeting, sent = threading.local(), threading.Barrier(number, timeout=30), {}

    def all_reduce(tensor, group=None):
        sent[here.rank] = tensor.clone()
        meeting.wait()
        total = sum(sent[rank] for rank in range(number))
        meeting.wait()
        tensor.copy_(total)

    def process(rank):
        here.rank = rank
        return function(rank)

    monkeypatch.setattr(dist, "all_reduce", all_reduce)
    monkeypatch.setattr(dist, "get_rank", lambda group: here.rank)
    monkeypatch.setattr(dist, "get_world_size", lambda group: number)
    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(process, range(number)))


def test_across_of_some_weights(monkeypatch):
    """Where one process passes weights and another none, all receive the median of all samples."""
    torch = pytest.importorskip("torch")
    shares = [([1.0, 2.0], torch.tensor([0.5, 0.5])), ([3.0, 4.0, 5.0], None)]

    def share(rank):
        errors, weights = torch.tensor(shares[rank][0]), shares[rank][1]
        state = il.median_absolute_error.summary(errors, 0 * errors, weights=weights)
        return il.median_absolute_error.compute(il.across(state)).item()

    # half of 0.5 + 0.5 + 1 + 1 + 1 lies below 3.5; without the weights of 0.5, it is at 4
    assert in_processes(monkeypatch, share, 2) == [3.5, 3.5]


def test_across_messages():
    """`across` says which states it merges."""
    with pytest.raises(
        TypeError, match=r"of JAX and PyTorch, not of NumPy: .*state.merge\(other\)"
    ):
        il.across(il.mse.summary([1.0], [2.0]))
    if "jax" in installed():
        import jax.numpy as jnp

        with pytest.raises(TypeError, match="the name of the axis"):
            il.across(il.mse.summary(jnp.ones(1), jnp.ones(1)))
    if "torch" in installed():
        import torch

        with pytest.raises(TypeError, match=r"with PyTorch, it takes group="):
            il.across(il.mse.summary(torch.ones(1), torch.ones(1)), "data")


def test_states_in_files_and_trees():
    """`torch.save` carries states; to `jax.tree` they are trees of arrays."""
    if "torch" in installed():
        import torch

        for metric in ALL.values():
            file = io.BytesIO()
            state = metric.summary(*map(torch.from_numpy, draw(metric, (5,))))
            torch.save(state, file)
            file.seek(0)
            twin = torch.load(file, weights_only=False)
            one, other = metric.compute(twin), metric.compute(state)
            assert torch.equal(one.nan_to_num(), other.nan_to_num()), metric
    if "jax" in installed():
        import jax

        state = il.huber.summary(*map(jax.numpy.asarray, draw(il.huber, (5,))))
        doubled = jax.tree.map(lambda leaf: 2 * leaf, state)
        assert il.huber.compute(doubled) == il.huber.compute(state)


LIMITED = """
import resource, sys
import numpy as np
import isoloss as il

names, mebibytes = sys.argv[1:3], 1 << 20
p, t = (np.memmap(name, "float32", "r") for name in names)
il.evaluate([il.mse, il.r2], p[:10], t[:10]), il.gradient(il.huber, p[:10], t[:10])  # all loaded
used = int(next(x for x in open("/proc/self/status") if x.startswith("VmData")).split()[1]) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (used + 24 * mebibytes,) * 2)
try:
    ((p - t) ** 2).mean()
except MemoryError:
    print("the expression runs out of memory")
print(il.mse(p, t), il.huber(p, t), il.evaluate([il.mse, il.r2, il.rmse], p, t)["r2_score"])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
def test_files_larger_than_the_memory(tmp_path):
    """Files of 64 MiB each are evaluated where 24 MiB may be taken, which one difference exceeds."""
    size, names = 1 << 24, [tmp_path / "predictions", tmp_path / "targets"]
    rng = np.random.default_rng(0)
    p, t = rng.normal(size=(2, size)).astype("float32")
    for name, array in zip(names, (p, t), strict=True):
        array.tofile(name)
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, *map(str, names)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first == "the expression runs out of memory"
    assert second == " ".join(str(metric(p, t)) for metric in (il.mse, il.huber, il.r2))
