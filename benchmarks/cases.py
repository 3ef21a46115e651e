"""What is compared with what. Each group runs in a process of its own, on the same two cores."""

from __future__ import annotations

import resource
import subprocess
import sys
import tracemalloc
import warnings
from collections.abc import Iterator
from functools import partial
from statistics import median
from typing import Any

import jax_losses
import numpy as np
import torch_losses
from ratios import Case, Result
from same_metrics import groups, same_metrics

import isoloss as il


def _data(size: int, dtype: str = "float32") -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    t = rng.normal(size=size).astype(dtype)
    return t + rng.normal(scale=2.0, size=size).astype(dtype), t


# --- NumPy ----------------------------------------------------------------------------------------


def _huber(p: Any, t: Any) -> Any:
    e = p - t
    a = np.abs(e)
    return np.where(a <= 1, 0.5 * e * e, a - 0.5).mean()


def _huber_gradient(p: Any, t: Any) -> Any:
    return np.clip(p - t, -1, 1) / p.size


EXPRESSIONS = {
    "mean_squared_error": lambda p, t: ((p - t) ** 2).mean(),
    "mean_absolute_error": lambda p, t: np.abs(p - t).mean(),
    "huber": _huber,
    "log_cosh": lambda p, t: np.log(np.cosh(p - t)).mean(),
    "pseudo_huber": lambda p, t: (np.sqrt(1 + (p - t) ** 2) - 1).mean(),
    "pinball": lambda p, t: np.where(t >= p, 0.5 * (t - p), -0.5 * (t - p)).mean(),
    "mean_bias_error": lambda p, t: (p - t).mean(),
}
POSITIVE = {
    "mean_squared_log_error": lambda p, t: ((np.log1p(p) - np.log1p(t)) ** 2).mean(),
    "mean_absolute_percentage_error": lambda p, t: (np.abs(p - t) / np.abs(t)).mean(),
    "poisson_deviance": lambda p, t: (2 * (t * np.log(t / p) - t + p)).mean(),
    "gamma_deviance": lambda p, t: (2 * (np.log(p / t) + t / p - 1)).mean(),
}


def numpy() -> Iterator[Case | Result]:
    from sklearn import metrics as sklearn

    group = "NumPy"
    small, large = _data(10, "float64"), _data(10_000_000)
    positive = tuple(1 + np.abs(x) for x in small)
    for data, expressions in ((small, EXPRESSIONS), (positive, POSITIVE)):
        for name, expression in expressions.items():
            ours, theirs = _calls(getattr(il, name), expression, *data)
            yield Case(group, name, 10, "the expression", 3, ours, theirs)
    peers = {
        "mean_squared_error": (sklearn.mean_squared_error, 0.33),
        "mean_absolute_error": (sklearn.mean_absolute_error, 0.33),
        "r2_score": (sklearn.r2_score, 0.5),
    }
    for name, (peer, target) in peers.items():
        for data, wanted in ((small, 1 / 15), (large, target)):
            ours, theirs = _calls(getattr(il, name), lambda p, t, f=peer: f(t, p), *data)
            yield Case(group, name, data[0].size, "scikit-learn", wanted, ours, theirs)
    targets = {
        "mean_squared_error": 0.65,
        "mean_absolute_error": 0.65,
        "huber": 0.4,
        "log_cosh": 0.5,
    }
    for dtype in ("float32", "float64"):
        data = large if dtype == "float32" else _data(10_000_000, dtype)
        for name, target in targets.items():
            ours, theirs = _calls(getattr(il, name), EXPRESSIONS[name], *data)
            yield Case(
                group, f"{name}, {dtype}", 10_000_000, "the expression", target, ours, theirs
            )
    ours, theirs = _calls(il.mean_squared_error, np.vdot, *large)
    yield Case(
        group, "mean_squared_error", 10_000_000, "reading both arrays (vdot)", 3, ours, theirs
    )
    four = [il.mse, il.mae, il.rmse, il.r2]
    each = [sklearn.mean_squared_error, sklearn.mean_absolute_error,
            sklearn.root_mean_squared_error, sklearn.r2_score]  # fmt: skip
    p, t = large
    yield Case(
        group, "evaluate of mse, mae, rmse, r2", p.size, "scikit-learn one by one", 0.25,
        lambda: il.evaluate(four, p, t), lambda: [f(t, p) for f in each],
    )  # fmt: skip
    yield Case(
        group, "gradient of huber", p.size, "the hand-written gradient", 1.5,
        lambda: il.gradient(il.huber, p, t), lambda: _huber_gradient(p, t),
    )  # fmt: skip


def classification() -> Iterator[Case | Result]:
    """Labels and their counts, on NumPy."""
    from sklearn import metrics as sklearn

    rng = np.random.default_rng(0)
    logits, _ = _data(10_000_000)
    labels = (rng.random(logits.size) < 0.5).astype("float32")
    ours, theirs = _calls(il.sigmoid_cross_entropy, _sigmoid_cross_entropy, logits, labels)
    row = ("NumPy", "sigmoid_cross_entropy, float32", logits.size)
    yield Case(*row, "the expression", 0.6, ours, theirs)
    scores = logits.reshape(-1, 10)
    classes = rng.integers(0, 10, len(scores))
    ours, theirs = _calls(il.softmax_cross_entropy, _softmax_cross_entropy, scores, classes)
    row = ("NumPy", "softmax_cross_entropy of 10 classes, float32", logits.size)
    yield Case(*row, "the expression", 1, ours, theirs)

    t = rng.integers(0, 10, 10_000_000)
    p = np.where(rng.random(t.size) < 0.7, t, rng.integers(0, 10, t.size))
    kinds = (il.Precision, il.Recall, il.F1Score, il.Specificity, il.JaccardScore, il.DiceScore,
             il.BalancedAccuracy, il.MatthewsCorrelation, il.CohenKappa, il.ConfusionMatrix)  # fmt: skip
    metrics = {kind.__name__: kind(num_classes=10) for kind in kinds}
    averaged = (sklearn.precision_score, sklearn.recall_score, sklearn.f1_score,
                sklearn.jaccard_score)  # fmt: skip
    others = (sklearn.balanced_accuracy_score, sklearn.matthews_corrcoef,
              sklearn.cohen_kappa_score, sklearn.confusion_matrix)  # fmt: skip

    def one_by_one() -> None:  # of what it has: eight
        for f in averaged:
            f(t, p, average="macro")
        for f in others:
            f(t, p)

    yield Case(
        "NumPy", "evaluate of ten metrics of counts", t.size, "scikit-learn, eight one by one", 0.1,
        lambda: il.evaluate(metrics, p, t), one_by_one,
    )  # fmt: skip


def _sigmoid_cross_entropy(p: Any, t: Any) -> Any:
    return (np.maximum(p, 0) - p * t + np.log1p(np.exp(-np.abs(p)))).mean()


def _softmax_cross_entropy(p: Any, t: Any) -> Any:
    highest = p.max(axis=-1)
    whole = highest + np.log(np.exp(p - highest[:, None]).sum(axis=-1))
    return (whole - p[np.arange(len(t)), t]).mean()


def memory() -> Iterator[Case | Result]:
    """The most that a call takes beyond its inputs, over 16 MiB."""
    for size in (10_000_000, 100_000_000):
        p, t = np.ones(size, np.float32), np.zeros(size, np.float32)
        for name in ("mean_squared_error", "huber", "r2_score"):
            tracemalloc.start()
            getattr(il, name)(p, t)
            peak = tracemalloc.get_traced_memory()[1] / 2**20
            tracemalloc.stop()
            row = ("Memory", f"MiB of {name}", size, "16 MiB", 1.0)
            yield Result(*row, peak / 16, peak / 16, peak / 16, peak, 16.0)


def scale() -> Iterator[Case | Result]:
    """Ten times the samples, against ten times the time."""
    p, t = _data(100_000_000)
    few = p[:10_000_000], t[:10_000_000]
    for name in ("mean_squared_error", "huber"):
        metric = getattr(il, name)
        yield Case(
            "NumPy", name, p.size, "a tenth of the samples", 11,
            partial(metric, p, t), partial(metric, *few),
        )  # fmt: skip


def imports() -> Iterator[Case | Result]:
    """Importing isoloss in a new process, alone and with a first loss, over what it stands on."""
    base = "import numpy, array_api_compat"
    for name, code in (
        ("import isoloss", "import isoloss"),
        ("import, first loss", "import isoloss; isoloss.huber"),
    ):
        pairs = [(_user_time(code), _user_time(base)) for _ in range(15)]
        ours, theirs = (median(times) for times in zip(*pairs, strict=True))
        ratio = ours / theirs
        yield Result("Import", name, 1, base, 1.35, ratio, ratio, ratio, ours, theirs)


def _user_time(code: str) -> float:
    """Return the user time of a new process that runs code."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    subprocess.run([sys.executable, "-c", code], check=True)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before


def _calls(ours: Any, theirs: Any, *arrays: Any) -> tuple[Any, Any]:
    return partial(ours, *arrays), partial(theirs, *arrays)


# --- PyTorch --------------------------------------------------------------------------------------


def _step(loss: Any, p: Any, t: Any) -> None:
    p.grad = None
    loss(p, t).backward()


def torch_compiled() -> Iterator[Case | Result]:
    import torch
    from torch.nn import functional

    torch.set_num_threads(2)
    peers = {"mean_squared_error": functional.mse_loss, "huber": functional.huber_loss}

    for size in (1_000, 10_000_000):
        p, t = map(torch.from_numpy, _data(size))
        leaf = p.clone().requires_grad_()
        for name, peer in peers.items():
            torch.compiler.reset()  # metrics share a code object, and with it a limit of programs
            mine, other = (torch.compile(f, fullgraph=True) for f in (getattr(il, name), peer))
            ours, theirs = _calls(mine, other, p, t)
            yield Case(
                "PyTorch compiled", f"{name}, forward", size, "compiled F", 1.05, ours, theirs
            )
            yield Case(
                "PyTorch compiled", f"{name}, step", size, "compiled F", 1.05,
                partial(_step, mine, leaf, t), partial(_step, other, leaf, t),
            )  # fmt: skip


def streaming() -> Iterator[Case | Result]:
    import torch
    import torchmetrics

    p, t = map(torch.from_numpy, _data(1_000))
    batches = [(p, t)] * 10_000

    def theirs() -> Any:
        metric = torchmetrics.MeanSquaredError()
        for one, other in batches:
            metric.update(one, other)
        return metric.compute()

    yield Case(
        "Streaming", "mse of 10,000 batches of 1,000 (PyTorch)", 10_000_000, "torchmetrics", 0.5,
        lambda: il.over_batches([il.mse], batches), theirs,
    )  # fmt: skip


# --- JAX ------------------------------------------------------------------------------------------


def jax() -> Iterator[Case | Result]:
    import jax
    import optax

    peers = {
        "mean_squared_error": lambda p, t: optax.squared_error(p, t).mean(),
        "huber": lambda p, t: optax.huber_loss(p, t).mean(),
        "log_cosh": lambda p, t: optax.log_cosh(p, t).mean(),
    }

    def waits(function: Any, *arrays: Any) -> Any:
        return lambda: jax.block_until_ready(function(*arrays))

    for size, target in ((10, 0.33), (10_000_000, 0.15)):
        p, t = map(jax.numpy.asarray, _data(size))
        for name, peer in peers.items():
            metric = getattr(il, name)
            row = ("JAX", name, size, "optax")
            yield Case(*row, target, waits(metric, p, t), waits(peer, p, t))


GROUPS = {
    "numpy": numpy, "same-metrics": same_metrics, "groups": groups, "classification": classification, "scale": scale, "memory": memory, "import": imports, "torch": torch_losses.losses,
    "torch-compiled": torch_compiled, "streaming": streaming, "jax": jax, "jax-jitted": jax_losses.losses,
}  # fmt: skip
warnings.simplefilter("ignore", FutureWarning)
