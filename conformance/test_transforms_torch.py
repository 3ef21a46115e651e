"""Every metric under every transform of PyTorch: the value and gradient are those of a plain call.

What a transform must give is computed by NumPy in float64, from the same numbers.
"""

from __future__ import annotations

import copy
import dataclasses
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
from conformance.kit.drawing import DTYPE, draw, excluded, of_items, spoil, wide
from conformance.kit.expected import (
    DIFFERENCE,
    difference,
    extra_shape,
    gradient,
    one_number,
    value,
)
from conformance.kit.metrics import NAMED, parameters
from conformance.kit.structures import CENTRAL, STRUCTURES, features
from isoloss._domains import Labels

torch.set_default_dtype(getattr(torch, DTYPE))

# on first use torch's own forward mode and compiler script some functions, which torch itself deprecates
pytestmark = pytest.mark.filterwarnings(
    "ignore:`torch.jit.script(_method)?` is deprecated:DeprecationWarning"
)

# the values and gradients of other hyper-parameters are compared in test_numbers; what a transform does to
# a structure, or to a function, it does to each metric that has it
central_metric = pytest.mark.parametrize("metric", CENTRAL.values(), ids=CENTRAL)
structure = pytest.mark.parametrize("metric", STRUCTURES.values(), ids=STRUCTURES)
# counts and orders are constant but for steps: their gradient is 0, and that of a step is no number
smooth = {k: m for k, m in STRUCTURES.items() if gradient(m, *draw(m, (6,))).any()}


def close(got, want, ulps=16):
    """Assert equality to some ULP of the largest number expected."""
    got = got.detach().numpy() if isinstance(got, torch.Tensor) else got
    comparison.close(got, want, ulps)


def slope(found, leaf):
    """Return the gradient that backward fills; 0 where nothing leads back to the leaf."""
    if not found.requires_grad:
        return torch.zeros_like(leaf)
    found.backward()
    return leaf.grad


def tensors(*arrays, **options):
    return tuple(torch.as_tensor(a.copy(), **options) for a in arrays)


@central_metric
def test_backward(metric):
    """backward fills the gradient of the predictions, of the targets too where asked, with weights and mask."""
    p, t = draw(metric, (6,))
    w, m = excluded(metric, (6,))
    a, b, weights, mask = tensors(p, t, w, m)
    a.requires_grad_()
    number = one_number(metric)
    found = number(a, b, weights=weights, where=of_items(metric, mask))
    assert found.dtype == a.dtype
    close(found, value(number, p, t, weights=w, where=of_items(metric, m)))
    close(slope(found, a), gradient(metric, p, t, weights=w, where=of_items(metric, m)))
    assert not metric(a.detach(), b).requires_grad
    with torch.no_grad():
        assert not metric(a, b).requires_grad
    with torch.inference_mode():
        close(metric(a, b), value(metric, p, t))
    targets = metric.domain.targets
    steps = isinstance(targets, Labels) or targets.gap is not None or metric.padding is not None
    if not steps:  # labels are told apart only, and grades of relevance put in order
        b.requires_grad_()
        assert metric(a.detach(), b).requires_grad


@central_metric
def test_gradients(metric):
    """func.grad, vjp, jvp, jacrev, jacfwd and the forward mode of autograd agree with NumPy's gradient."""
    p, t = draw(metric, (6,))
    w, m = excluded(metric, (6,))
    a, b, weights, mask = tensors(p, t, w, m)
    number = one_number(metric)
    f = lambda a: number(a, b, weights=weights, where=of_items(metric, mask))  # noqa: E731
    want = gradient(metric, p, t, weights=w, where=of_items(metric, m))
    for mode in (torch.func.grad, torch.func.jacrev, torch.func.jacfwd):
        found = mode(f)(a)
        assert found.dtype == a.dtype
        close(found, want)
    direction = torch.linspace(-1, 1, a.numel()).reshape(a.shape)
    along = np.sum(want * direction.numpy())
    one, tangent = torch.func.jvp(f, (a,), (direction,))
    close(one, value(number, p, t, weights=w, where=of_items(metric, m)))
    close(tangent, along, ulps=64)  # a sum in which terms cancel
    with torch.autograd.forward_ad.dual_level():
        dual = f(torch.autograd.forward_ad.make_dual(a, direction))
        tangent = torch.autograd.forward_ad.unpack_dual(dual).tangent
        close(torch.zeros(()) if tangent is None else tangent, along, ulps=64)


@structure
def test_vmap(metric):
    """vmap over rows, and vmap of the gradient, give what a loop over the rows gives."""
    p, t = draw(metric, (3, 5))
    w, m = excluded(metric, (5,))
    a, b, weights, mask = tensors(p, t, w, m)
    f = lambda p, t: metric(p, t, weights=weights, where=of_items(metric, mask))  # noqa: E731
    close(
        torch.func.vmap(f)(a, b),
        [value(metric, p[k], t[k], weights=w, where=of_items(metric, m)) for k in range(3)],
    )
    slopes = [gradient(metric, p[k], t[k], weights=w, where=of_items(metric, m)) for k in range(3)]
    number = one_number(metric)
    one = torch.func.grad(lambda p, t: number(p, t, weights=weights, where=of_items(metric, mask)))
    close(torch.func.vmap(one)(a, b), slopes)
    close(
        torch.func.vmap(f, (0, None))(a, b[0]),
        [value(metric, p[k], t[0], weights=w, where=of_items(metric, m)) for k in range(3)],
    )


@central_metric
def test_hessian(metric):
    """The Hessian is finite and symmetric; of a sum of terms it is the terms' second derivatives."""
    p, t = draw(metric, (4,))
    w, _ = excluded(metric, (4,))
    a, b, weights = tensors(p, t, w)
    options = {"weights": weights, **({"reduction": "sum"} if metric.summable else {})}
    f = lambda a: one_number(metric)(a, b, **options)  # noqa: E731
    forward_reverse = torch.func.hessian(f)(a).reshape(p.size, p.size)
    reverse_reverse = torch.autograd.functional.hessian(f, a).reshape(p.size, p.size)
    for found in (forward_reverse, reverse_reverse):
        assert torch.isfinite(found).all()
        close(found, found.T, ulps=32)  # the root of one square is straight: terms cancel
        close(found, forward_reverse, ulps=32)
        if metric.summable:
            close(
                found.diagonal().reshape(p.shape),
                il.gradient_hessian(metric, *wide(p, t), weights=w)[1],
            )
        if metric.summable and not metric.core[0]:
            close(found, torch.diag(found.diagonal()), ulps=0)


@pytest.mark.parametrize("metric", smooth.values(), ids=smooth)
def test_gradcheck(metric):
    """First and second derivatives are those of finite differences, in reverse and in forward mode."""
    p, t = draw(metric, (4,), seed=3, dtype="float64")
    a, b = tensors(p, t)
    a.requires_grad_()
    f = lambda a: one_number(metric)(a, b)  # noqa: E731
    assert torch.autograd.gradcheck(f, a, check_forward_ad=True, check_batched_grad=True)
    assert torch.autograd.gradgradcheck(f, a, check_fwd_over_rev=True)


@structure
def test_compile(metric):
    """torch.compile(fullgraph=True) takes the metric whole, with weights, mask and backward pass."""
    torch._dynamo.reset()
    p, t = draw(metric, (6,))
    w, m = excluded(metric, (6,))
    a, b, weights, mask = tensors(p, t, w, m)
    a.requires_grad_()
    f = lambda a, b, w, m: metric(a, b, weights=w, where=of_items(metric, m))  # noqa: E731
    backends = ["eager", "aot_eager"] if DTYPE == "float32" else ["aot_eager"]
    for backend in backends:
        found = torch.compile(f, fullgraph=True, backend=backend)(a, b, weights, mask)
        assert found.dtype == a.dtype
        close(found, value(metric, p, t, weights=w, where=of_items(metric, m)))
        a.grad = None
        close(
            slope(found.reshape(-1)[0], a),
            gradient(metric, p, t, weights=w, where=of_items(metric, m)),
        )


@pytest.mark.once
@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler")
def test_inductor():
    """The default compiler gives the same values and gradients, compiled at once for several metrics."""
    torch._dynamo.reset()
    metrics = [
        il.mse,
        il.rmse,
        il.huber,
        il.log_cosh,
        il.tweedie_deviance,
        il.r2_score,
        il.max_error,
    ]
    p, t = (np.abs(x) + np.float32(0.5) for x in draw(il.mse, (100,)))
    a, b = tensors(p, t)
    a.requires_grad_()
    compiled = torch.compile(lambda a, b: [metric(a, b) for metric in metrics], fullgraph=True)
    found = compiled(a, b)
    for metric, one in zip(metrics, found, strict=True):
        close(one, value(metric, p, t))
    (found,) = torch.autograd.grad(sum(found), a)
    close(found, sum(gradient(metric, p, t) for metric in metrics))


def test_compile_what_is_made_inside():
    """A compiled function may make its metrics itself, their parameters checked as everywhere."""
    torch._dynamo.reset()
    p, t = draw(il.mse, (6,))

    def function(a, b):
        metrics = (
            il.Huber(delta=2.0),
            il.Root(il.SmoothL1(beta=0.5)),
            il.Scaled(il.Pinball(0.9), 2.0),
        )
        return sum(metric(a, b) for metric in metrics)

    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
    close(compiled(*tensors(p, t)), function(*wide(p, t)))


COLD = """
    import warnings
    warnings.simplefilter("error")
    import torch
    import isoloss as il
    a = torch.tensor([1.0, 2.0, 4.0], requires_grad=True)
    b = torch.tensor([2.0, 2.0, 2.5])
    compiled = torch.compile(il.{name}, fullgraph=True, backend="aot_eager")
    value = compiled(a, b)
    value.backward()
    print(value.item(), *a.grad.tolist())
"""


@pytest.mark.once
@pytest.mark.parametrize("name", ["mean_squared_error", "r2_score"])
def test_compile_cold(name):
    """The first call ever may be the compiled one: nothing needs an eager call before it."""
    code = textwrap.dedent(COLD.format(name=name))
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    found, *slope = map(np.float32, ran.stdout.split())
    p, t = np.array([1.0, 2.0, 4.0]), np.array([2.0, 2.0, 2.5])
    close(found, value(getattr(il, name), p, t))
    close(slope, gradient(getattr(il, name), p, t))


class Module(torch.nn.Module):
    def __init__(self, metric):
        super().__init__()
        self.metric = metric

    def forward(self, predictions, targets):
        return self.metric(predictions, targets)


@pytest.mark.once
@structure
@pytest.mark.parametrize("strict", [True, False], ids=["strict", "non-strict"])
def test_export(metric, strict):
    """An exported program with a dynamic batch runs at other sizes."""
    torch._dynamo.reset()
    p, t = draw(metric, (7,))
    batch = {0: torch.export.Dim("batch", min=2)}
    program = torch.export.export(
        Module(metric), tensors(p, t), dynamic_shapes=(batch, batch), strict=strict
    )
    for size in (7, 3):
        close(program.module()(*tensors(p[:size], t[:size])), value(metric, p[:size], t[:size]))


@structure
def test_meta_and_fake(metric):
    """Meta and fake tensors give shape, dtype and device without computing."""
    p, t = draw(metric, (4, 3))
    a, b = tensors(p, t, device="meta")
    extra = extra_shape(metric)
    for options, shape in (({}, ()), ({"axis": 0}, (3,)), ({"axis": 1, "keepdims": True}, (4, 1))):
        found = metric(a, b, **options)
        assert (tuple(found.shape), found.dtype) == (shape + extra, a.dtype)
        assert found.device.type == "meta"
    with FakeTensorMode() as mode:
        a, b = (mode.from_tensor(x) for x in tensors(p, t))
        found = metric(
            a, b, where=of_items(metric, mode.from_tensor(torch.ones(4, 3, dtype=torch.bool)))
        )
        assert (tuple(found.shape), found.dtype, found.device.type) == (extra, a.dtype, "cpu")


@pytest.mark.parametrize(("metric", "field"), list(parameters()))
def test_parameter_as_tensor(metric, field):
    """A hyper-parameter may be a tensor: differentiated, mapped over, compiled."""
    p, t = map(np.abs, draw(metric, (6,))) if field == "power" else draw(metric, (6,))
    a, b = tensors(p, t)
    at = float(np.float32(getattr(metric, field)))  # a number that both dtypes hold
    f = lambda x, a=a, b=b: dataclasses.replace(metric, **{field: x})(a, b)  # noqa: E731
    want = difference(lambda x: f(x, *wide(p, t)), at)
    for dtype in ("float32", "float64"):
        x = torch.tensor(at, dtype=getattr(torch, dtype), requires_grad=True)
        found = f(x)
        assert found.dtype == a.dtype
        found.backward()
        close(found, f(at, *wide(p, t)))
        close(x.grad, want, DIFFERENCE[dtype])
    close(
        torch.func.grad(f, argnums=1)(torch.tensor(at), a, b),
        gradient(lambda p, t: f(at, p, t), p, t),
    )
    points = torch.tensor([at, at + 0.005, at - 0.005])
    close(torch.func.vmap(f)(points), [f(float(x), *wide(p, t)) for x in points])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_default_dtype(dtype):
    """torch's default dtype decides about integers alone: float32 inputs stay float32."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        for metric in NAMED.values():
            p, t = draw(metric, (4,), dtype="float32")
            a, b = tensors(p, t)
            found = metric(a, b)
            assert found.dtype == torch.float32
            close(found, value(metric, p, t))
            close(torch.func.grad(one_number(metric))(a, b), gradient(metric, p, t))
        whole = il.mse(torch.tensor([1, 2]), torch.tensor([3, 2]))
        assert whole.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
        assert whole == 2
    finally:
        torch.set_default_dtype(before)


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
    p, t = draw(metric, (8,))
    a, b = tensors(p, t)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = metric(a, b)
        halves = [x.bfloat16() if x.is_floating_point() else x for x in (a, b)]
        half = metric(*halves)
    assert found.dtype == half.dtype == torch.float32
    close(found, value(metric, p, t))
    close(
        half,
        value(metric, *(x.float().numpy() if x.is_floating_point() else x.numpy() for x in halves)),
    )


@structure
def test_copy_and_pickle(metric):
    """A module that holds a metric can be copied and pickled, and the metric is the same."""
    module = Module(metric)
    for twin in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert twin.metric == metric
        assert hash(twin.metric) == hash(metric)


@structure
def test_state_moves_and_merges(metric):
    """States of tensors merge under autograd: the gradient through a merge is that of the whole."""
    p, t = draw(metric, (6,))
    a, b = tensors(p, t)
    a.requires_grad_()
    state = metric.summary(a[:2], b[:2]).merge(metric.summary(a[2:], b[2:]))
    close(slope(metric.compute(state).reshape(-1)[0], a), gradient(metric, p, t))


@structure
def test_masked_is_removed(metric):
    """What stands in an excluded place reaches neither value nor gradient, in both modes."""
    p, t = draw(metric, (8,))
    w, m = excluded(metric, (8,))
    number = one_number(metric)
    want = value(metric, p[m], t[m], weights=w[m])
    expected = gradient(metric, p[m], t[m], weights=w[m])
    for bad in (np.nan, np.inf):
        spoil(p, ~m, bad)
        spoil(t, ~m, -bad)
        a, b, weights, mask = tensors(p, t, w, m)
        close(metric(a, b, weights=weights, where=of_items(metric, mask)), want)
        items = of_items(metric, mask)
        reverse = torch.func.grad(lambda a: number(a, b, weights=weights, where=items))(a)  # noqa: B023
        forward = torch.func.jacfwd(lambda a: number(a, b, weights=weights * mask))(a)  # noqa: B023
        for found in (reverse, forward):
            close(found[mask], expected)
            close(found[~mask], np.zeros_like(p[~m]), ulps=0)


def _across(metric, rank, size):
    """Merge states of uneven, empty and wholly masked shares; each process gets its own gradient."""
    p, t = draw(metric, (size, 2))
    w, m = excluded(metric, (size, 2))
    for cut in (4, 0):
        mine = slice(0, cut) if rank == 0 else slice(cut, None)
        for mask in (
            m,
            m & (np.arange(size) >= cut)[:, None],
        ):  # the second: nothing is left of rank 0
            options = {"weights": w, "where": of_items(metric, mask)}
            leaf, rest = tensors(p[mine], t[mine])
            shares = dict(zip(options, tensors(*(x[mine] for x in options.values())), strict=True))
            state = il.across(metric.summary(leaf.requires_grad_(), rest, **shares))
            found = metric.compute(state)
            close(found, value(metric, p, t, **options))
            close(slope(found.reshape(-1)[0], leaf), gradient(metric, p, t, **options)[mine])
    whole = metric.summary(*tensors(p[mine], t[mine]), axis=0)
    close(metric.compute(il.across(whole)), value(metric, p, t, axis=0))


def _distributed(rank, port, failures):
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
            counts = metric.kind in ("counts", "sorted whole", "batch-pairwise")
            for size in (6, 7):
                p, t = draw(metric, (size, 2))
                for placement in (Shard(0), Shard(1), Replicate()):
                    if tables or (counts and size % 2 and placement == Shard(0)):
                        continue  # the user redistributes, or gathers, first
                    try:
                        a, b = (distribute_tensor(x, mesh, [placement]) for x in tensors(p, t))
                        a.requires_grad_()
                        found = metric(a, b).full_tensor()
                        close(found, value(metric, p, t))
                        found = slope(found.reshape(-1)[0], a)
                        close(found.full_tensor(), gradient(metric, p, t))
                        close(metric(a, b, axis=0).full_tensor(), value(metric, p, t, axis=0))
                    except Exception as error:  # all failures are reported at once
                        failures.put(
                            f"{name} {size} {placement}: {type(error).__name__}: {str(error)[:300]}"
                        )
                try:
                    _across(metric, rank, size)
                except Exception as error:
                    failures.put(f"{name} {size} across: {type(error).__name__}: {error}")
        dist.barrier()  # a process that leaves early takes the connections of the other with it
    finally:
        dist.destroy_process_group()


@pytest.mark.once
def test_distributed():
    """Distributed tensors, sharded evenly or not, give the value of the whole; so do gathered states."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    failures = torch.multiprocessing.get_context("spawn").SimpleQueue()
    torch.multiprocessing.spawn(_distributed, (port, failures), nprocs=2)
    found = []
    while not failures.empty():
        found.append(failures.get())
    assert not found, "\n".join(sorted(set(found)))
