"""Many batches, summarised and merged: the value is that of all samples at once, in little memory."""

from __future__ import annotations

import copy
import io
import itertools
import math
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import isoloss as il
from conformance.kit.backends import BACKENDS, Backend, installed
from conformance.kit.comparison import close
from conformance.kit.condition import cancellation
from conformance.kit.drawing import draw, excluded, inputs_of, of_items, wide
from conformance.kit.expected import value
from conformance.kit.laws import law
from conformance.kit.metrics import ALL
from conformance.kit.structures import STATES, STRUCTURES
from conformance.kit.trees import leaves, tree_map
from isoloss import streaming

NAMES = ("predictions", "targets", "weights", "where", "groups")
EAGER = [name for name in installed()[1:] if not BACKENDS[name].compiles]
SIZES = (0, 7, 1, 2, 20, *[1] * 7, 8)  # thirteen batches fill three levels of three


def cut(sizes, tree):
    """Yield the arrays of a tree in batches of these sizes."""
    ends = [0, *np.cumsum(sizes)]
    for first, last in itertools.pairwise(ends):
        yield tree_map(lambda x: x[first:last, ...], tree)  # noqa: B023


def same(values, want, ulps):
    """Compare values by name, in ULP of float32: of the value, and of 1 for a score."""
    assert values.keys() == want.keys()
    for name, right in want.items():
        score = "score" in name.lower() or "correlation" in name
        close(values[name], right, ulps, 1.0 if score else 0.0)


def arrays_of(metric, size):
    """Return predictions, targets, weights and a mask."""
    weights, where = excluded(metric, (size,), dtype="float32")
    return (*draw(metric, (size,), dtype="float32"), weights, of_items(metric, where))


def stream(backend, metrics, arrays):
    """Return the values of uneven batches, an empty one among them."""
    batches = [backend.given(batch) for batch in cut(SIZES, arrays)]
    return il.over_batches(metrics, (dict(zip(NAMES, x, strict=False)) for x in batches))


@pytest.fixture
def little_room(monkeypatch):
    """Merge three states at a time, so that few batches fill several levels."""
    monkeypatch.setattr(streaming, "ROOM", 3)


def check(backend, metric, ulps, weighed=True):
    """Compare a stream with what NumPy computes of all samples at once."""
    arrays = arrays_of(metric, sum(SIZES))[: 4 if weighed else 2]
    p, t, *options = arrays
    want = value(metric, p, t, **dict(zip(NAMES[2:], options, strict=False)))
    weights = wide(arrays[2])[0] if weighed else None
    size = cancellation(metric, *wide(p, t), weights)
    (result,) = stream(backend, {"": metric}, arrays).values()
    close(result, want, ulps, size)


@pytest.mark.parametrize("weighed", [False, True], ids=["alike", "weighed"])
@law(ALL)
def test_batches_are_the_whole(metric, weighed, little_room):
    """Uneven batches, an empty one among them, weighed and masked, give what one call gives."""
    check(Backend(), metric, 2, weighed=weighed)


@pytest.mark.parametrize("library", EAGER)
@law(STRUCTURES)
def test_batches_of_each_library(library, metric, little_room):
    """Batches are the whole on every library."""
    check(BACKENDS[library](), metric, 2)


@pytest.mark.skipif("jax" not in installed(), reason="needs JAX")
@law(STATES)
def test_groups_on_jax(metric, little_room):
    """Batches of groups are the groups, each alone, in compiled programs that merge in another."""
    size, backend = 52, BACKENDS["jax"]()  # each shape is compiled: that of an empty batch, and 4
    p, t, weights, where = arrays_of(metric, size)
    groups = np.random.default_rng(5).integers(0, 3, size)
    arrays = backend.given((p, t, weights, where, groups))
    batches = [dict(zip(NAMES, batch, strict=True)) for batch in cut([0, *[4] * 13], arrays)]
    (values,) = il.over_batches({"": metric}, batches, num_groups=4).values()
    for group in range(4):
        p_k, t_k, w, m = tree_map(lambda x: x[groups == group], (p, t, weights, where))  # noqa: B023
        want = value(metric, p_k, t_k, weights=w, where=m)
        close(values[group], want, 16, 4.0)


def test_metrics_of_the_same_batches(little_room):
    """Metrics that take the same inputs share passes and states, and keep their values."""
    groups = {}
    for name, metric in ALL.items():
        groups.setdefault(inputs_of(metric), {})[name] = metric
    for alike in groups.values():
        arrays = arrays_of(next(iter(alike.values())), sum(SIZES))
        for given in (arrays[:2], arrays):
            values = stream(Backend(), alike, given)
            for name, metric in alike.items():
                (alone,) = stream(Backend(), {name: metric}, given).values()
                close(values[name], alone, 0)


every_library = pytest.mark.parametrize("library", installed())


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
    arrays = tree_map(np.abs, tuple(draw(il.huber, (90_000,), dtype="float32")))
    store = [backend.xp.asarray(np.empty(40_000, "float32")) for _ in arrays]

    def batches():
        for part in cut([3, 40_000, 10_000, *[9_000] * 4, 3_997], arrays):
            views = [kept[: len(x)] for kept, x in zip(store, part, strict=True)]
            for view, x in zip(views, part, strict=True):
                view[:] = backend.xp.asarray(x.copy())
            yield tuple(views)

    metrics = [il.huber, il.median_absolute_error, il.r2_score, il.max_error]
    same(il.over_batches(metrics, batches()), il.evaluate(metrics, *arrays), 1)
    mixed = [*batches(), (np.ones((2, 3)), np.zeros((2, 3))), (np.ones(4, "int8"), np.zeros(4))]
    if library == "numpy":
        bias = il.over_batches([il.mean_bias_error], mixed)["mean_bias_error"]
        assert bias.dtype == np.float64


@pytest.mark.parametrize("size", [10, 50_000])
@pytest.mark.parametrize(
    "metrics",
    [[il.huber, il.max_error], [il.gaussian_nll, il.crps_laplace], [il.SkillScore(il.mse)]],
    ids=repr,
)
def test_no_graph_is_kept(metrics, size):
    """Predictions that require a gradient are taken as numbers, small batches and large ones."""
    pytest.importorskip("torch")
    p, t, weights, _ = BACKENDS["torch"]().given(arrays_of(metrics[0], size))
    following = lambda tree: tree_map(lambda x: x.clone().requires_grad_(), tree)  # noqa: E731
    for batch in ((following(p), t), (following(p), following(t), following(weights))):
        values = il.over_batches(metrics, [batch, batch])
        assert not any(value.requires_grad for value in values.values())
        want = il.evaluate(metrics, p, t, **({"weights": weights} if len(batch) == 3 else {}))
        same(values, want, 2)


@pytest.mark.parametrize(
    "metrics",
    [[il.huber, il.r2_score], [il.gaussian_nll], [il.SkillScore(il.mse), il.SkillScore(il.rmse)]],
    ids=repr,
)
def test_axis(metrics):
    """Axes that are kept are kept over all batches."""
    arrays = tuple(draw(metrics[0], (9, 4), dtype="float32"))
    values = il.over_batches(metrics, cut([5, 3, 1], arrays), axis=0)
    want = il.evaluate(metrics, *arrays, axis=0)
    assert values.keys() == want.keys()
    for name, right in want.items():
        close(values[name], right, 2, 1.0)  # from which a score subtracts


SUMS = [il.rmse, il.Scaled(il.mae, -2.0), il.Exp(il.mae)]
DENSITIES = [il.gaussian_nll, il.Scaled(il.gaussian_nll, -2.0)]


ESTIMATES = [
    pytest.param(
        library, metrics, grouped, id=f"{library}-{kind}-{'groups' if grouped else 'whole'}"
    )
    for library in installed()
    for kind, metrics in {"numbers": SUMS, "tuples": DENSITIES}.items()
    for grouped in (False, True)
    # one program of JAX has all: the others differ in what it does not compile
    if not BACKENDS[library].compiles or (kind == "tuples" and grouped)
]


@pytest.mark.parametrize(("library", "metrics", "grouped"), ESTIMATES)
def test_groups_and_standard_errors_over_batches(library, metrics, grouped):
    """Weighed and masked batches give the estimates of every group that one call gives."""
    backend = BACKENDS[library]()
    sizes = [0, 20, 20, 20] if backend.compiles else [0, 7, 1, 20, 32]
    groups = np.random.default_rng(5).integers(-1, 3, 60).astype("int32")  # -1: left out
    arrays = backend.given((*arrays_of(metrics[0], 60), groups))[: 5 if grouped else 4]
    number = {"num_groups": 4} if grouped else {}  # one of them has no sample
    batches = [dict(zip(NAMES, x, strict=False)) for x in cut(sizes, arrays)]
    p, t, *others = arrays
    options = dict(zip(NAMES[2:], others, strict=False))
    want = il.evaluate(metrics, p, t, **options, **number, standard_error=True)
    estimates = il.over_batches(metrics, batches, **number, standard_error=True)
    assert estimates.keys() == want.keys()
    for name, estimate in estimates.items():
        close(tuple(estimate), tuple(want[name]), 16)
        assert not grouped or math.isnan(backend.numbers(estimate.value)[3])


def test_accumulators_share_batches():
    """Several take what one loop reads; values may be asked for along the way."""
    plain, grouped = il.Accumulator(il.mse), il.Accumulator([il.mse], num_groups=2)
    for p, t in (([1.0, 2.0], [0.0, 0.0]), ([3.0, 4.0], [0.0, 0.0])):
        plain.update(p, t)
        grouped.update(p, t, groups=[0, 1])
        assert plain.compute() == (2.5 if p[0] == 1 else 7.5)
    assert grouped.compute()["mean_squared_error"].tolist() == [5.0, 10.0]


@pytest.mark.parametrize(
    ("metrics", "options"),
    [
        ([il.mse, il.huber], {}),
        ([il.mse, il.r2_score, il.median_absolute_error], {}),
        ([il.mse, il.mae], {"standard_error": True}),
    ],
)
def test_accumulators_merge_and_are_pickled(backend, metrics, options):
    """Pickled accumulators of two workers merge to the states of a single one."""
    p, t = (backend.given(x) for x in draw(il.mse, (9,)))
    parts = []
    for cut in (slice(0, 4), slice(4, 9)):
        part = il.Accumulator(metrics, **options)
        part.update(p[cut], t[cut])
        parts.append(part)
    if backend.name == "numpy":  # arrays of the others are pickled by themselves, or not at all
        parts = [pickle.loads(pickle.dumps(part)) for part in parts]
    whole = il.Accumulator(metrics, **options)
    whole.merge(*parts, il.Accumulator(metrics, **options))  # the last of nothing
    want = il.evaluate(metrics, p, t, **options)
    for name, got in whole.compute().items():
        pair = (x if isinstance(x, tuple) else (x,) for x in (got, want[name]))
        close(*map(tuple, pair), 16)
    assert parts[0].compute() != whole.compute()  # they keep their own
    whole.reset()
    with pytest.raises(RuntimeError, match=r"Accumulator\(mean_squared_error, .* has no value yet"):
        whole.compute()


def test_accumulators_refuse():
    """What does not go together is refused, and leaves what is held as it was."""
    held = il.Accumulator({"a": il.mse}, axis=0)
    held.update(np.ones((2, 3)), np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"shapes \(3,\) and \(4,\)"):
        held.update(np.ones((2, 4)), np.zeros((2, 4)))
    with pytest.raises(ValueError, match="make them alike"):
        held.merge(il.Accumulator({"a": il.mse}), _filled(il.Accumulator({"a": il.mae}, axis=0)))
    with pytest.raises(ValueError, match=r"holds \['a'\], and the states are of \['b'\]"):
        held.merge({"b": il.mse.summary([1.0], [2.0])})
    assert held.compute()["a"].tolist() == [1.0, 1.0, 1.0]
    with pytest.raises(TypeError, match=r"Accumulator takes metrics such as isoloss\.huber, not"):
        il.Accumulator(il.Huber)
    with pytest.raises(ValueError, match="Accumulator needs at least one metric"):
        il.Accumulator([])


def _filled(accumulator):
    accumulator.update(np.ones((2, 3)), np.zeros((2, 3)))
    return accumulator


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
    assert message(TypeError, [il.gaussian_nll], [(([1.0], [2.0]), [1.0]), good]) == (
        "GaussianNLL(): predictions must be a tuple (mean, variance), not list\n"
        "in batch 1 of over_batches"
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


@law(ALL)
def test_states_in_files(metric):
    """`torch.save` carries states."""
    torch = pytest.importorskip("torch")
    state = metric.summary(*BACKENDS["torch"]().given(tuple(draw(metric, (5,)))))
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    twin = metric.compute(torch.load(file, weights_only=False))
    assert torch.equal(twin.nan_to_num(), metric.compute(state).nan_to_num())


@law(STATES)
def test_states_are_trees(metric):
    """To `jax.tree` states are trees of arrays, with nothing beside them."""
    tree = pytest.importorskip("jax").tree
    state = metric.summary(*draw(metric, (5,)))
    arrays, form = tree.flatten(state)
    assert list(map(id, arrays)) == list(map(id, leaves(state)))
    assert all(isinstance(array, (np.ndarray, np.generic)) for array in arrays)
    assert type(tree.unflatten(form, arrays)) is type(state)


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


# --- which metric a state is of -------------------------------------------------------------------


@dataclass(frozen=True)
class Cubed(il.Loss):
    """A user's own loss, of a module."""

    def pointwise(self, xp: Any, prediction: Any, target: Any) -> Any:
        return xp.abs(prediction - target) ** 3


def test_states_know_their_metric(backend: Backend) -> None:
    """A state of another metric is refused, after a pickle too; its fields are those of any state."""
    p, t = backend.array([1.0, 2.0, 4.0], "float32"), backend.array([0.0] * 3, "float32")
    for metric in (il.mse, il.Huber(2.0), Cubed(), il.r2, il.max_error, il.median_absolute_error):
        state = metric.summary(p, t)
        for one in (state, pickle.loads(pickle.dumps(state)), copy.deepcopy(state)):
            for other in (one.merge(state), state.merge(one)):
                assert type(other) is type(one) is type(state), metric
                assert one._fields == state._fields
                with pytest.raises(
                    TypeError, match=r"^cannot merge a state of .* with one of Huber"
                ):
                    other.merge(il.huber.summary(p, t))
                with pytest.raises(TypeError, match=r"^Huber\(\): the state is one of"):
                    il.huber.compute(other)


def test_states_that_metrics_share(backend: Backend) -> None:
    """Metrics that declare the same statistics take each other's states."""
    p, t = backend.array([1.0, 2.0, 4.0], "float32"), backend.array([0.0, 1.0, 5.0], "float32")
    state = il.r2.summary(p, t)
    both = state.merge(il.explained_variance_score.summary(p, t))
    for found, want in (
        (il.explained_variance_score.compute(both), il.explained_variance_score(p, t)),
        (il.Scaled(il.r2, 2.0).compute(state), 2 * il.r2(p, t)),
    ):
        close(found, want, 4)
    with pytest.raises(TypeError, match=r"^Root\(metric=MeanSquaredError\(\)\): the state is one"):
        il.rmse.compute(il.mae.summary(p, t))


def test_states_of_metrics_that_are_not_known() -> None:
    """A metric that cannot be pickled leaves the pickle of its state; a learnt one has none."""

    @dataclass(frozen=True)
    class Local(il.Loss):
        def pointwise(self, xp: Any, prediction: Any, target: Any) -> Any:
            return prediction - target

    state = Local().summary([1.0], [0.0])
    twin = pickle.loads(pickle.dumps(state))
    assert twin == state
    assert Local().compute(twin.merge(state)) == 1.0
    learnt = il.MultiQuantile(np.array([[0.25], [0.75]]))
    state = learnt.summary(np.zeros((3, 2)), np.ones(3))
    assert learnt.compute(state.merge(state)) == learnt(np.zeros((3, 2)), np.ones(3))
