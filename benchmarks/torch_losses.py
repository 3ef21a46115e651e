"""Losses of eager PyTorch beside torch.nn.functional: calls, steps, training, peak memory."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from ratios import Case, Result

import isoloss as il

FEW, SIZES = (10, 1_000), (100_000, 1_000_000, 10_000_000)
OF_FEW, OF_MANY = 2.0, 1.3  # the ratio to reach


def _step(loss: Callable[..., Any], p: Any, t: Any) -> None:
    p.grad = None
    loss(p, t).backward()


def _cases(
    work: str, size: int, target: float, ours: Any, theirs: Any, p: Any, t: Any
) -> Iterator[Case]:
    """Yield the forward pass, and a step with its gradient."""
    leaf = p.clone().requires_grad_()
    calls = partial(ours, p, t), partial(theirs, p, t)
    yield Case("PyTorch", f"{work}, forward", size, "F", target, *calls)
    steps = partial(_step, ours, leaf, t), partial(_step, theirs, leaf, t)
    yield Case("PyTorch", f"{work}, step", size, "F", target, *steps)


def _weighted(loss: Callable[..., Any]) -> Callable[..., Any]:
    """Return a mean with weights or a mask, which stand beside the targets."""
    return lambda p, t: (loss(p, t[0], reduction="none") * t[1]).sum() / t[1].sum()


def pointwise() -> Iterator[Case | Result]:
    """Losses of one number against another, with weights and masks too."""
    import torch
    from torch.nn import functional

    torch.set_num_threads(1)
    huber = functional.huber_loss
    rows: dict[str, tuple[Any, Any, Any]] = {
        "mean_squared_error": (il.mse, functional.mse_loss, None),
        "mean_absolute_error": (il.mae, functional.l1_loss, None),
        "huber": (il.huber, huber, None),
        "smooth_l1": (il.smooth_l1, functional.smooth_l1_loss, None),
        "sigmoid_cross_entropy": (
            il.sigmoid_cross_entropy, functional.binary_cross_entropy_with_logits,
            lambda t, u: (t > 0).float(),
        ),
        "huber, weighted": (
            lambda p, t: il.huber(p, t[0], weights=t[1]), _weighted(huber),
            lambda t, u: (t, u),
        ),
        "huber, masked": (
            lambda p, t: il.huber(p, t[0], where=t[1]), _weighted(huber), lambda t, u: (t, u > 0.2),
        ),
    }  # fmt: skip
    for size in (*FEW, *SIZES):
        torch.manual_seed(0)
        p, t, u = 2 * torch.randn(size), torch.randn(size), torch.rand(size)
        target = OF_FEW if size in FEW else OF_MANY
        for name, (ours, theirs, targets) in rows.items():
            yield from _cases(name, size, target, ours, theirs, p, targets(t, u) if targets else t)


def rows() -> Iterator[Case | Result]:
    """Losses of rows: classes, features, pixels."""
    import torch
    from torch.nn import functional

    torch.set_num_threads(1)
    torch.manual_seed(0)
    cross_entropy = functional.cross_entropy

    def logits(n: int, classes: int) -> tuple[Any, Any]:
        return 3 * torch.randn(n, classes), torch.randint(0, classes, (n,))

    for n, classes in ((32, 10), (100_000, 10), (8192, 1000), (1024, 32_000)):
        z, labels = logits(n, classes)
        target = 3.0 if n == 32 else OF_MANY
        work = f"softmax_cross_entropy {n} x {classes}"
        yield from _cases(
            work, z.numel(), target, il.softmax_cross_entropy, cross_entropy, z, labels
        )
    tokens, labels = 3 * torch.randn(8, 128, 8000), torch.randint(0, 8000, (8, 128))
    labels[:, 100:] = -100
    ignoring = il.SoftmaxCrossEntropy(ignore_index=-100)
    work = "softmax_cross_entropy of tokens, some ignored, 8 x 128 x 8000"
    theirs = lambda z, t: cross_entropy(z.flatten(0, 1), t.flatten())  # noqa: E731
    yield from _cases(work, tokens.numel(), OF_MANY, ignoring, theirs, tokens, labels)
    pixels, labels = 3 * torch.randn(4, 21, 128, 128), torch.randint(0, 21, (4, 128, 128))
    work = "softmax_cross_entropy of pixels, classes on axis 1, 4 x 21 x 128 x 128"
    ours = partial(il.softmax_cross_entropy, event_axis=1)
    yield from _cases(work, pixels.numel(), OF_MANY, ours, cross_entropy, pixels, labels)
    z, shares = 3 * torch.randn(8192, 1000), torch.softmax(torch.randn(8192, 1000), -1)
    work = "softmax_cross_entropy_with_probabilities 8192 x 1000"
    ours = il.softmax_cross_entropy_with_probabilities
    yield from _cases(work, z.numel(), OF_MANY, ours, cross_entropy, z, shares)
    divergence = lambda z, t: functional.kl_div(  # noqa: E731
        functional.log_softmax(z, -1), t, reduction="batchmean"
    )
    work = "kl_divergence_with_logits 8192 x 1000"
    yield from _cases(work, z.numel(), OF_MANY, il.kl_divergence_with_logits, divergence, z, shares)

    a, b, c = (torch.randn(8192, 256) for _ in range(3))
    cosine = lambda p, t: functional.cosine_similarity(p, t).mean()  # noqa: E731
    yield from _cases(
        "cosine_similarity 8192 x 256", a.numel(), OF_MANY, il.cosine_similarity, cosine, a, b
    )
    triplet = lambda p, t: functional.triplet_margin_loss(p, *t)  # noqa: E731
    yield from _cases(
        "triplet_margin 8192 x 256", a.numel(), OF_MANY, il.triplet_margin, triplet, a, (b, c)
    )
    a, b = (torch.randn(1024, 256) for _ in range(2))
    names = torch.arange(1024)

    def info_nce(p: Any, t: Any) -> Any:
        unit = partial(functional.normalize, dim=-1)
        return cross_entropy(unit(p) @ unit(t).T / 0.07, names)

    yield from _cases("info_nce 1024 x 256", a.numel(), OF_MANY, il.info_nce, info_nce, a, b)

    def dice(p: Any, t: Any) -> Any:
        return (1 - 2 * (p * t).sum(-1) / (p.sum(-1) + t.sum(-1))).mean()

    p, t = torch.rand(16, 65_536), (torch.rand(16, 65_536) < 0.5).float()
    yield from _cases("dice_loss 16 x 65536", p.numel(), OF_MANY, il.dice_loss, dice, p, t)


def training() -> Iterator[Case | Result]:
    """Whole steps of training: what a loss costs beside a model."""
    import torch
    from torch.nn import functional

    torch.set_num_threads(1)

    def step(model: Any, loss: Any, x: Any, t: Any) -> None:
        optimizer.zero_grad()
        loss(model(x), t).backward()
        optimizer.step()

    torch.manual_seed(0)
    model: Any = torch.nn.Sequential(
        torch.nn.Linear(32, 64), torch.nn.ReLU(), torch.nn.Linear(64, 1)
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)
    x, t = torch.randn(64, 32), torch.randn(64, 1)
    both = (partial(step, model, f, x, t) for f in (il.huber, functional.huber_loss))
    yield Case("PyTorch", "training of a small MLP, huber", 64, "F", 1.3, *both)
    model = torch.nn.Linear(256, 32_000)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)
    x, t = torch.randn(256, 256), torch.randint(0, 32_000, (256,))
    both = (
        partial(step, model, f, x, t) for f in (il.softmax_cross_entropy, functional.cross_entropy)
    )
    yield Case("PyTorch", "training of a head of 32,000 classes", x.numel(), "F", 1.1, *both)


PEAK = """
import sys, torch
from pathlib import Path
import isoloss as il
from torch.nn import functional
ours, dtype = sys.argv[1] == "ours", getattr(torch, sys.argv[2])
torch.set_num_threads(1)
def peak():  # of this program alone: what getrusage says begins with that of its parent
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
loss = il.softmax_cross_entropy if ours else functional.cross_entropy
def step(n):
    z = torch.zeros(n, 32_000, dtype=dtype).requires_grad_()
    before = peak()
    loss(z, torch.zeros(n, dtype=torch.int64)).backward()
    return before
step(2)
before = step(2048)
print(peak() - before)
"""


def peaks() -> Iterator[Case | Result]:
    """What a step takes beyond 250 MiB of logits (125 of bfloat16)."""
    for dtype in ("float32", "bfloat16"):
        mine, other = (
            float(subprocess.run([sys.executable, "-c", PEAK, side, dtype], check=True,
                                 capture_output=True, text=True).stdout)
            for side in ("ours", "theirs")
        )  # fmt: skip
        ratio = mine / other
        work = f"MiB of a step of 2048 x 32000 logits, {dtype}"
        yield Result("Memory", work, 65_536_000, "F", 1.0, ratio, ratio, ratio, mine, other)


def losses() -> Iterator[Case | Result]:
    """Yield all of them."""
    for group in (pointwise, rows, training, peaks):
        yield from group()
