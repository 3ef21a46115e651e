"""The structures of metrics under every transform of PyTorch: values and gradients of a plain call.

What a transform must give is computed by NumPy in float64, from the same numbers.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import itertools
import pickle
import shutil
import socket
import subprocess
import sys
import textwrap

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch._subclasses.fake_tensor import FakeTensorMode

import isoloss as il
from conformance.kit import comparison
from conformance.kit.drawing import DTYPE, Samples, draw, excluded, of_items, spoil, wide
from conformance.kit.expected import (
    DIFFERENCE,
    difference,
    extra_shape,
    gradient,
    one_number,
    value,
)
from conformance.kit.laws import law
from conformance.kit.metrics import NAMED, parameters
from conformance.kit.structures import ENGINE, STRUCTURES, features
from conformance.kit.trees import leaves, tree_map

torch.set_default_dtype(getattr(torch, DTYPE))

pytestmark = [
    pytest.mark.library("torch"),
    # on first use torch's own forward mode and compiler script some functions, which torch itself deprecates
    pytest.mark.filterwarnings(
        "ignore:`torch.jit.script(_method)?` is deprecated:DeprecationWarning"
    ),
]

# What a transform does to a structure, or to a function, it does to each metric that has it. The values
# and gradients of every metric, by every way in which torch differentiates, are compared in test_numbers.
structure = law(STRUCTURES)
close = functools.partial(comparison.close, ulps=16, size="largest")


def tensors(*trees, **options):
    """Return trees of tensors with the numbers of trees of arrays."""
    make = lambda array: torch.as_tensor(array.copy(), **options)  # noqa: E731
    return tuple(tree_map(make, tree) for tree in trees)


def watched(tree):
    """Return the tree as leaves of the graph, whose gradient backward fills."""
    return tree_map(lambda tensor: tensor.detach().clone().requires_grad_(), tree)


def filled(result, tree):
    """Return the gradient of the first number that backward fills; 0 where nothing leads to a leaf."""
    if result.requires_grad:
        result.reshape(-1)[0].backward()
    return tree_map(lambda x: torch.zeros_like(x) if x.grad is None else x.grad, tree)


def stacked(trees):
    """Return the tree of stacks of corresponding arrays."""
    return tree_map(lambda *arrays: np.stack(arrays), *trees)


def differentiable(metric, targets):
    """Return the places of targets that have a derivative: not labels, orders, or what is held constant."""
    kinds = zip(metric.domain.of_targets, leaves(targets), strict=True)
    return [
        place
        for place, (values, array) in enumerate(kinds)
        if array.is_floating_point() and values.gap != (values.low, values.high) and metric.padding is None
        and not (isinstance(metric, il.KTO) and place == 2)  # the divergence, by its definition
    ]  # fmt: skip


@structure
def test_backward(metric):
    """backward fills the gradient of the predictions, of the targets too where asked, with weights and mask."""
    p, t = draw(metric, (6,))
    w, m = excluded(metric, (6,))
    a, b, weights, mask = tensors(p, t, w, m)
    leaf, number = watched(a), one_number(metric)
    result = number(leaf, b, weights=weights, where=of_items(metric, mask))
    assert result.dtype == weights.dtype
    close(result, value(number, p, t, weights=w, where=of_items(metric, m)))
    close(filled(result, leaf), gradient(metric, p, t, weights=w, where=of_items(metric, m)))
    assert not metric(a, b).requires_grad
    with torch.no_grad():
        assert not metric(leaf, b).requires_grad
    with torch.inference_mode():
        close(metric(leaf, b), value(metric, p, t))
    for place in differentiable(metric, b):
        (targets,) = tensors(t)
        leaves(targets)[place].requires_grad_()
        assert metric(a, targets).requires_grad


@structure
def test_gradients(metric):
    """func.grad, vjp, jvp, jacrev, jacfwd and the forward mode of autograd agree with NumPy's gradient."""
    p, t = draw(metric, (6,))
    w, m = excluded(metric, (6,))
    a, b, weights, mask = tensors(p, t, w, m)
    number = one_number(metric)
    f = lambda a: number(a, b, weights=weights, where=of_items(metric, mask))  # noqa: E731
    want = gradient(metric, p, t, weights=w, where=of_items(metric, m))
    for mode in (torch.func.grad, torch.func.jacrev, torch.func.jacfwd):
        result = mode(f)(a)
        assert {x.dtype for x in leaves(result)} == {weights.dtype}
        close(result, want)
    direction = tree_map(lambda x: torch.linspace(-1, 1, x.numel()).reshape(x.shape), a)
    pairs = zip(leaves(want), leaves(direction), strict=True)
    along = sum(np.sum(slope * way.numpy()) for slope, way in pairs)
    result, tangent = torch.func.jvp(f, (a,), (direction,))
    close(result, value(number, p, t, weights=w, where=of_items(metric, m)))
    close(tangent, along, ulps=64)  # a sum in which terms cancel
    with torch.autograd.forward_ad.dual_level():
        dual = f(tree_map(torch.autograd.forward_ad.make_dual, a, direction))
        tangent = torch.autograd.forward_ad.unpack_dual(dual).tangent
        close(torch.zeros(()) if tangent is None else tangent, along, ulps=64)


@structure
def test_vmap(metric):
    """vmap over rows, and vmap of the gradient, give what a loop over the rows gives."""
    samples = draw(metric, (3, 5))
    w, m = excluded(metric, (5,))
    (a, b), (weights, mask) = tensors(*samples), tensors(w, m)
    options = {"weights": w, "where": of_items(metric, m)}
    f = lambda p, t: metric(p, t, weights=weights, where=of_items(metric, mask))  # noqa: E731
    rows = [samples[k] for k in range(3)]
    close(torch.func.vmap(f)(a, b), stacked([value(metric, *row, **options) for row in rows]))
    number = one_number(metric)
    slope = torch.func.grad(
        lambda p, t: number(p, t, weights=weights, where=of_items(metric, mask))
    )
    want = stacked([gradient(metric, *row, **options) for row in rows])
    close(torch.func.vmap(slope)(a, b), want)
    first = rows[0].targets
    (one,) = tensors(first)
    want = stacked([value(metric, row.predictions, first, **options) for row in rows])
    close(torch.func.vmap(f, (0, None))(a, one), want)


@pytest.mark.once
@structure
def test_hessian(metric):
    """The Hessian is finite and symmetric; of a sum of terms it is the terms' second derivatives."""
    p, t = draw(metric, (4,))
    w, _ = excluded(metric, (4,))
    a, b, weights = tensors(p, t, w)
    options = {"weights": weights, **({"reduction": "sum"} if metric.summable else {})}

    def f(vector):
        parts = iter(vector.split([leaf.numel() for leaf in leaves(a)]))
        return one_number(metric)(
            tree_map(lambda leaf: next(parts).reshape(leaf.shape), a), b, **options
        )

    vector = torch.cat([leaf.reshape(-1) for leaf in leaves(a)])
    forward_reverse = torch.func.hessian(f)(vector)
    reverse_reverse = torch.autograd.functional.hessian(f, vector)
    for found in (forward_reverse, reverse_reverse):
        assert torch.isfinite(found).all()
        close(found, found.T, ulps=32)  # the root of one square is straight: terms cancel
        close(found, forward_reverse, ulps=32)
        if metric.summable:
            second = leaves(il.gradient_hessian(metric, *wide(p, t), weights=w)[1])
            close(found.diagonal(), np.concatenate([x.reshape(-1) for x in second]))
            sample = np.concatenate([np.repeat(np.arange(4), leaf.size // 4) for leaf in leaves(p)])
            assert not found[sample[:, None] != sample].any()


def steps(metric):
    """Whether a metric is constant between steps, as counts and orders are."""
    return not any(x.any() for x in leaves(gradient(metric, *draw(metric, (6,)))))


@pytest.mark.once
@law(STRUCTURES, {"its gradient is 0, and that of a step is no number": steps})
def test_second_derivatives(metric):
    """Derivatives of gradients are those of finite differences, in reverse and in forward mode."""
    a, b = tensors(*draw(metric, (4,), seed=3, dtype="float64"))
    f = lambda *p: one_number(metric)(p if isinstance(a, tuple) else p[0], b)  # noqa: E731
    points = tuple(leaves(watched(a)))
    # along a random direction, in which a wrong entry of the Hessian shows as well
    assert torch.autograd.gradgradcheck(f, points, check_fwd_over_rev=True, fast_mode=True)


@pytest.mark.once
@structure
@pytest.mark.parametrize(
    "compiler", ["eager", pytest.param("aot_eager", marks=pytest.mark.exhaustive)]
)
def test_compile(metric, compiler):
    """torch.compile(fullgraph=True) takes the metric whole, with weights, mask and backward pass."""
    torch._dynamo.reset()
    p, t = draw(metric, (6,))
    w, m = excluded(metric, (6,))
    a, b, weights, mask = tensors(p, t, w, m)
    leaf = watched(a)
    f = lambda a, b, w, m: metric(a, b, weights=w, where=of_items(metric, m))  # noqa: E731
    result = torch.compile(f, fullgraph=True, backend=compiler)(leaf, b, weights, mask)
    assert result.dtype == weights.dtype
    close(result, value(metric, p, t, weights=w, where=of_items(metric, m)))
    close(filled(result, leaf), gradient(metric, p, t, weights=w, where=of_items(metric, m)))


@pytest.mark.once
@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler")
@pytest.mark.parametrize(
    "names",
    [
        ["log_cosh", "r2_score", "max_error"],
        pytest.param(["mse", "rmse", "huber", "tweedie_deviance"], marks=pytest.mark.exhaustive),
    ],
    ids=" ".join,
)
def test_inductor(names):
    """The default compiler gives the same values and gradients, compiled at once for several metrics."""
    torch._dynamo.reset()
    metrics = [getattr(il, name) for name in names]
    p, t = (np.abs(x) + np.float32(0.5) for x in draw(il.mse, (100,)))
    a, b = tensors(p, t)
    leaf = watched(a)
    compiled = torch.compile(lambda a, b: [metric(a, b) for metric in metrics], fullgraph=True)
    results = compiled(leaf, b)
    for metric, result in zip(metrics, results, strict=True):
        close(result, value(metric, p, t))
    close(filled(sum(results), leaf), sum(gradient(metric, p, t) for metric in metrics))


@pytest.mark.once
def test_compile_what_is_made_inside():
    """A compiled function may make its metrics itself, of other numbers in each call."""
    torch._dynamo.reset()
    p, t = draw(il.mse, (6,))

    def function(a, b, delta):
        metrics = (
            il.Huber(delta=delta),
            il.Root(il.SmoothL1(beta=0.5)),
            il.Scaled(il.Pinball(0.9), 2.0),
        )
        return sum(metric(a, b) for metric in metrics)

    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
    for delta in (2.0, 0.5, 0.25):  # from the second on, the compiler takes it as unknown
        close(compiled(*tensors(p, t), delta), function(*wide(p, t), delta))


COLD = """
    import warnings
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", "Guards may run slower on Python 3.13.0")
    import torch
    import isoloss as il
    a = torch.tensor([1.0, 2.0, 4.0], requires_grad=True)
    b = torch.tensor([2.0, 2.0, 2.5])
    function = lambda a, b: (il.mean_squared_error(a, b), il.r2_score(a, b))
    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
    for value in compiled(a, b):
        (slope,) = torch.autograd.grad(value, a, retain_graph=True)
        print(value.item(), *slope.tolist())
"""


@pytest.mark.once
def test_compile_cold():
    """The first call ever may be the compiled one: nothing needs an eager call before it."""
    code = textwrap.dedent(COLD)
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    p, t = np.array([1.0, 2.0, 4.0]), np.array([2.0, 2.0, 2.5])
    lines = ran.stdout.splitlines()
    for metric, line in zip((il.mean_squared_error, il.r2_score), lines, strict=True):
        result, *slope = map(np.float32, line.split())
        close(result, value(metric, p, t))
        close(np.array(slope), gradient(metric, p, t))


class Module(torch.nn.Module):
    def __init__(self, metric):
        super().__init__()
        self.metric = metric

    def forward(self, predictions, targets):
        return self.metric(predictions, targets)


def exported(metric, strict):
    """Export a metric with a dynamic batch, and run the program at other sizes."""
    torch._dynamo.reset()
    samples = draw(metric, (7,))
    batch = {0: torch.export.Dim("batch", min=2)}
    program = torch.export.export(
        Module(metric),
        tensors(*samples),
        dynamic_shapes=tuple(tree_map(lambda _: batch, side) for side in samples),
        strict=strict,
    )
    for size in (7, 3):
        some = samples[:size]
        close(program.module()(*tensors(*some)), value(metric, *some))


@pytest.mark.once
@law(ENGINE)
def test_export(metric):
    """An exported program with a dynamic batch runs at other sizes."""
    exported(metric, strict=False)


@pytest.mark.exhaustive
@structure
@pytest.mark.parametrize("strict", [True, False], ids=["strict", "non-strict"])
def test_export_everything(metric, strict):
    """Every structure is exported, traced by Dynamo or by calls."""
    exported(metric, strict)


@pytest.mark.once
@structure
def test_meta_and_fake(metric):
    """Meta and fake tensors give shape, dtype and device without computing."""
    p, t = draw(metric, (4, 3))
    a, b = tensors(p, t, device="meta")
    extra, dtype = extra_shape(metric), torch.get_default_dtype()
    for options, shape in (({}, ()), ({"axis": 0}, (3,)), ({"axis": 1, "keepdims": True}, (4, 1))):
        result = metric(a, b, **options)
        assert (tuple(result.shape), result.dtype) == (shape + extra, dtype)
        assert result.device.type == "meta"
    with FakeTensorMode() as mode:
        a, b, mask = (
            tree_map(mode.from_tensor, tree) for tree in tensors(p, t, np.ones((4, 3), bool))
        )
        result = metric(a, b, where=of_items(metric, mask))
        assert (tuple(result.shape), result.dtype) == (extra, dtype)
        assert result.device.type == "cpu"


@pytest.mark.once
@pytest.mark.parametrize(("metric", "field"), list(parameters(every=False)))
def test_parameter_as_tensor(metric, field):
    """A hyper-parameter may be a tensor: differentiated, mapped over."""
    p, t = map(np.abs, draw(metric, (6,))) if field == "power" else draw(metric, (6,))
    a, b = tensors(p, t)
    at = float(np.float32(getattr(metric, field)))  # a number that both dtypes hold
    f = lambda x, a=a, b=b: dataclasses.replace(metric, **{field: x})(a, b)  # noqa: E731
    want = difference(lambda x: f(x, *wide(p, t)), at)
    for dtype in ("float32", "float64"):
        x = torch.tensor(at, dtype=getattr(torch, dtype), requires_grad=True)
        result = f(x)
        assert result.dtype == torch.get_default_dtype()
        result.backward()
        close(result, f(at, *wide(p, t)))
        close(x.grad, want, ulps=DIFFERENCE[dtype])
    close(
        torch.func.grad(f, argnums=1)(torch.tensor(at), a, b),
        gradient(lambda p, t: f(at, p, t), p, t),
    )
    points = torch.tensor([at, at + 0.005, at - 0.005])
    want = stacked([f(float(x), *wide(p, t)) for x in points])
    close(torch.func.vmap(f)(points), want)


@pytest.fixture
def default_dtype():
    """A function that sets torch's default dtype for one test."""
    before = torch.get_default_dtype()
    yield torch.set_default_dtype
    torch.set_default_dtype(before)


@pytest.mark.once
def test_default_dtype(default_dtype):
    """torch's default dtype decides about integers alone: float32 inputs stay float32."""
    # bfloat16 would lose digits wherever a constant took it; under float64, all numbers are compared
    # in the second setting
    default_dtype(torch.bfloat16)
    for metric in NAMED.values():
        p, t = draw(metric, (4,), dtype="float32")
        a, b = tensors(p, t)
        result = metric(a, b)
        assert result.dtype == torch.float32
        close(result, value(metric, p, t))
        close(torch.func.grad(one_number(metric))(a, b), gradient(metric, p, t))


@pytest.mark.once
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_default_dtype_of_integers(dtype, default_dtype):
    """Integers give the default dtype, and float32 where that is half precision."""
    default_dtype(dtype)
    result = il.mse(torch.tensor([1, 2]), torch.tensor([3, 2]))
    assert result.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert result == 2


@pytest.mark.once
def test_default_device():
    """torch's default device does not pull a computation to it."""
    with torch.device("meta"):
        for metric in NAMED.values():
            p, t = draw(metric, (4,))
            close(metric(*tensors(p, t, device="cpu")), value(metric, p, t))


@pytest.mark.once
@structure
def test_autocast(metric):
    """Under autocast the loss is computed and returned in float32, from bfloat16 inputs too."""
    samples = draw(metric, (8,))
    single = Samples(*tensors(*samples))
    half = single.map(lambda x: x.bfloat16() if x.is_floating_point() else x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        results = metric(*single), metric(*half)
    assert {result.dtype for result in results} == {torch.float32}
    close(results[0], value(metric, *samples))
    rounded = half.map(lambda x: x.float().numpy() if x.is_floating_point() else x.numpy())
    close(results[1], value(metric, *rounded))


@pytest.mark.once
@structure
def test_copy_and_pickle(metric):
    """A module that holds a metric can be copied and pickled, and the metric is the same."""
    module = Module(metric)
    for twin in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert twin.metric == metric
        assert hash(twin.metric) == hash(metric)


@pytest.mark.once
@structure
def test_state_moves_and_merges(metric):
    """States of tensors merge under autograd: the gradient through a merge is that of the whole."""
    p, t = draw(metric, (6,))
    a, b = tensors(p, t)
    leaf = watched(a)
    whole = Samples(leaf, b)
    state = metric.summary(*whole[:2]).merge(metric.summary(*whole[2:]))
    close(filled(metric.compute(state), leaf), gradient(metric, p, t))


@pytest.mark.once
@structure
def test_masked_is_removed(metric):
    """What stands in an excluded place reaches neither value nor gradient, in both modes."""
    samples = draw(metric, (8,))
    w, m = excluded(metric, (8,))
    number = one_number(metric)
    want = value(metric, *samples[m], weights=w[m])
    slopes = gradient(metric, *samples[m], weights=w[m])
    for bad in (np.nan, np.inf):
        spoil(samples.predictions, ~m, bad)
        spoil(samples.targets, ~m, -bad)
        (a, b), (weights, mask) = tensors(*samples), tensors(w, m)
        items = of_items(metric, mask)
        close(metric(a, b, weights=weights, where=items), want)
        reverse = torch.func.grad(lambda a: number(a, b, weights=weights, where=items))(a)  # noqa: B023
        forward = torch.func.jacfwd(lambda a: number(a, b, weights=weights * mask))(a)  # noqa: B023
        for found in (reverse, forward):
            close(tree_map(lambda x: x[mask], found), slopes)  # noqa: B023
            assert not any(x[~mask].any() for x in leaves(found))


def _spread(metric, p, t, distribute):
    """Compare a metric of distributed tensors with that of the whole."""
    a, b = (tree_map(distribute, tree) for tree in tensors(p, t))
    leaf = watched(a)
    result = metric(leaf, b).full_tensor()
    close(result, value(metric, p, t))
    slopes = filled(result, leaf)
    close(tree_map(lambda x: x.full_tensor(), slopes), gradient(metric, p, t))
    close(metric(a, b, axis=0).full_tensor(), value(metric, p, t, axis=0))


def _across(metric, rank):
    """Merge states of uneven, empty and wholly masked shares; each process gets its own gradient."""
    samples = draw(metric, (7, 2))
    w, m = excluded(metric, (7, 2))
    masked = m & (np.arange(7) >= 4)[:, None]
    for cut, mask in ((4, m), (4, masked), (0, m)):  # of the last two, nothing is left of rank 0
        share = slice(0, cut) if rank == 0 else slice(cut, None)
        options = {"weights": w, "where": of_items(metric, mask)}
        a, b = tensors(*samples[share])
        some = dict(zip(options, tensors(*(x[share] for x in options.values())), strict=True))
        leaf = watched(a)
        result = metric.compute(il.across(metric.summary(leaf, b, **some)))
        close(result, value(metric, *samples, **options))
        slopes = gradient(metric, *samples, **options)
        close(filled(result, leaf), tree_map(lambda x: x[share], slopes))  # noqa: B023
    columns = metric.summary(*tensors(*samples[share]), axis=0)
    close(metric.compute(il.across(columns)), value(metric, *samples, axis=0))


def _distributed(rank, port, failures, every):
    """Compare every metric on distributed tensors with the whole's, on one of two processes."""
    import torch.distributed as dist
    from torch.distributed.tensor import Replicate, Shard, distribute_tensor, init_device_mesh

    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    try:
        mesh = init_device_mesh("cpu", (2,))
        for name, metric in STRUCTURES.items():
            # a table, of weights or of edges, is an ordinary tensor, which torch lets no distributed
            # one meet; and it cannot flatten labels that are sharded unevenly
            tables = {("calls", f) for f in ("bin_of", "chosen", "constant")} & features(metric)
            labels = metric.kind in ("counts", "sorted whole", "batch-pairwise")
            sizes = (6, 7) if every else (6,) if labels else (7,)
            placements = (Shard(0), Shard(1), Replicate()) if every else (Shard(0), Shard(1))
            for size, placement in itertools.product(sizes, placements):
                if tables or (labels and size % 2 and placement == Shard(0)):
                    continue  # the user redistributes, or gathers, first
                try:
                    distribute = functools.partial(
                        distribute_tensor, device_mesh=mesh, placements=[placement]
                    )
                    _spread(metric, *draw(metric, (size, 2)), distribute)
                except Exception as error:  # all failures are reported at once
                    what = f"{type(error).__name__}: {str(error)[:300]}"
                    failures.put(f"{name} {size} {placement}: {what}")
            try:
                _across(metric, rank)
            except Exception as error:
                failures.put(f"{name} across: {type(error).__name__}: {error}")
        dist.barrier()  # a process that leaves early takes the connections of the other with it
    finally:
        dist.destroy_process_group()


@pytest.mark.once
@pytest.mark.parametrize(
    "every", [False, pytest.param(True, marks=pytest.mark.exhaustive)], ids=["sharded", "every"]
)
def test_distributed(every):
    """Distributed tensors, sharded evenly or not, give the value of the whole; so do gathered states."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    failures = torch.multiprocessing.get_context("spawn").SimpleQueue()
    torch.multiprocessing.spawn(_distributed, (port, failures, every), nprocs=2)
    found = []
    while not failures.empty():
        found.append(failures.get())
    assert not found, "\n".join(sorted(set(found)))
