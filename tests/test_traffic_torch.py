"""What an eager step of PyTorch reads and writes, beside that of torch.nn.functional.

The bytes of all operations on the meta device, which stands for any accelerator, are exact: a loss
is bound by memory, so that they are its time there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

import isoloss as il
from conformance.kit.drawing import draw
from conformance.kit.structures import STRUCTURES
from conformance.kit.trees import tree_map

VIEWS = ("view", "expand", "alias", "detach", "squeeze", "slice", "select", "transpose", "permute",
         "aten.t.", "split", "unbind", "as_strided", "lift")  # fmt: skip


def tensors(tree: Any) -> list[Any]:
    """Return the tensors in nested lists."""
    if isinstance(tree, (tuple, list)):
        return [one for branch in tree for one in tensors(branch)]
    return [tree] if isinstance(tree, torch.Tensor) else []


class Traffic(TorchDispatchMode):
    """Adds up the bytes that operations read and write; views move none."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes, self.dtypes, self.largest = 0, set(), dict[Any, int]()

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        if not any(view in str(function) for view in VIEWS):
            for x in tensors([*args, *(kwargs or {}).values(), result]):
                self.bytes += x.numel() * x.element_size()
                self.largest[x.dtype] = max(x.numel(), self.largest.get(x.dtype, 0))
                if x.numel() > 1 << 16:
                    self.dtypes.add(x.dtype)
        return result


def traffic(loss: Callable[..., Any], predictions: Any, *rest: Any) -> Traffic:
    """Return what a step of training moves."""
    leaves = tuple(x.clone().requires_grad_() for x in tensors([predictions]))
    with Traffic() as moved:
        loss(leaves if isinstance(predictions, tuple) else leaves[0], *rest).backward()
    return moved


def reals(*shape: int) -> Any:
    return torch.zeros(shape, device="meta")


x, y, weights = reals(1 << 20), reals(1 << 20), reals(1 << 20)
rows, shares = reals(1024, 1024), reals(1024, 1024)
labels = torch.zeros(1024, dtype=torch.int64, device="meta")
tokens, words = reals(4, 256, 1024), torch.zeros(4, 256, dtype=torch.int64, device="meta")
images, pixels = reals(4, 64, 64, 64), torch.zeros(4, 64, 64, dtype=torch.int64, device="meta")
pairs, alike = (reals(4096, 256), reals(4096, 256)), reals(4096)


def weighted(loss: Callable[..., Any]) -> Callable[..., Any]:
    return lambda p, t: loss(p, t, reduction="none").mul(weights).sum() / weights.sum()


def dice(p: Any, t: Any) -> Any:
    return (1 - 2 * (p * t).sum(-1) / (p.sum(-1) + t.sum(-1))).mean()


def focal(z: Any, t: Any) -> Any:
    loss = functional.binary_cross_entropy_with_logits(z, t, reduction="none")
    q = torch.sigmoid(z)
    return (loss * (1 - (q * t + (1 - q) * (1 - t))) ** 2).mean()


def log_cosh(p: Any, t: Any) -> Any:
    return (p - t + functional.softplus(-2 * (p - t)) - 0.6931).mean()


def kl_div(z: Any, t: Any) -> Any:
    return functional.kl_div(functional.log_softmax(z, -1), t, reduction="batchmean")


def divergence(p: Any, t: Any) -> Any:
    return functional.kl_div(p.log(), t, reduction="batchmean")


def distillation(z: Any, t: Any) -> Any:
    student, teacher = functional.log_softmax(z / 2, -1), torch.softmax(t / 2, -1)
    return functional.kl_div(student, teacher, reduction="batchmean") * 4


def ignoring(z: Any, t: Any) -> Any:
    return functional.cross_entropy(z.flatten(0, -2), t.flatten(), ignore_index=-100)


def smoothed(z: Any, t: Any) -> Any:
    return functional.cross_entropy(z, t, label_smoothing=0.1)


def by_class(z: Any, t: Any) -> Any:
    return functional.cross_entropy(z, t, weight=torch.ones(1024, device="meta"))


def softmax_focal(z: Any, t: Any) -> Any:
    loss = functional.cross_entropy(z, t, reduction="none")
    return ((1 - torch.exp(-loss)) ** 2 * loss).mean()


def tversky(p: Any, t: Any) -> Any:
    both, more, less = (p * t).sum(-1), (p * (1 - t)).sum(-1), ((1 - p) * t).sum(-1)
    return (1 - both / (both + 0.5 * more + 0.5 * less)).mean()


def cosine_distance(p: Any, t: Any) -> Any:
    return (1 - functional.cosine_similarity(p, t)).mean()


def pseudo_huber(p: Any, t: Any) -> Any:
    return (torch.sqrt((p - t) ** 2 + 1) - 1).mean()


def poisson(p: Any, t: Any) -> Any:
    return functional.poisson_nll_loss(p, t, log_input=False)


def hinge(p: Any, t: Any) -> Any:
    return (1 - p * t).clamp(min=0).mean()


def squared_hinge(p: Any, t: Any) -> Any:
    return ((1 - p * t).clamp(min=0) ** 2).mean()


def gaussian(p: Any, t: Any) -> Any:
    return (0.5 * (torch.log(p[1]) + (p[0] - t) ** 2 / p[1])).mean()


def margin_ranking(p: Any, t: Any) -> Any:
    return functional.margin_ranking_loss(*p, t, margin=1.0)


STEPS = {
    "mse": (il.mse, functional.mse_loss, x, y, 1.5),
    "mae": (il.mae, functional.l1_loss, x, y, 1.5),
    "rmse": (il.rmse, lambda p, t: functional.mse_loss(p, t).sqrt(), x, y, 1.5),
    "huber": (il.huber, functional.huber_loss, x, y, 1.5),
    "smooth_l1": (il.smooth_l1, functional.smooth_l1_loss, x, y, 1.5),
    "weighted huber": (lambda p, t: il.huber(p, t, weights=weights), weighted(functional.huber_loss), x, y, 1.5),
    "log_cosh": (il.log_cosh, log_cosh, x, y, 1.5),
    "sigmoid": (il.sigmoid_cross_entropy, functional.binary_cross_entropy_with_logits, x, y, 2.5),
    "focal": (il.sigmoid_focal, focal, x, y, 1.5),
    "softmax": (il.softmax_cross_entropy, functional.cross_entropy, rows, labels, 2.5),
    "probabilities": (il.softmax_cross_entropy_with_probabilities, functional.cross_entropy, rows, shares, 2.5),
    "kl": (il.kl_divergence_with_logits, kl_div, rows, shares, 2.5),
    "divergence": (il.kl_divergence, divergence, rows, shares, 2.5),
    "distillation": (il.DistillationKL(temperature=2.0), distillation, rows, shares, 4.3),
    "ignore_index": (il.SoftmaxCrossEntropy(ignore_index=-100), ignoring, tokens, words, 2.5),
    "smoothing": (il.SoftmaxCrossEntropy(label_smoothing=0.1), smoothed, rows, labels, 2.5),
    "class weights": (il.SoftmaxCrossEntropy(class_weights=(1.0,) * 1024), by_class, rows, labels, 2.5),
    "bfloat16": (il.softmax_cross_entropy, functional.cross_entropy, rows.bfloat16(), labels, 4.1),
    "axis 1": (lambda z, t: il.softmax_cross_entropy(z, t, event_axis=1), functional.cross_entropy, images, pixels, 2.5),
    "softmax focal": (il.softmax_focal, softmax_focal, rows, labels, 2.5),
    "tversky": (il.tversky, tversky, rows, shares, 1.5),
    "cosine distance": (il.cosine_distance, cosine_distance, rows, shares, 2.5),
    "triplet": (il.triplet_margin, lambda a, t: functional.triplet_margin_loss(a, *t), pairs[0], pairs, 1.5),
    "pseudo_huber": (il.pseudo_huber, pseudo_huber, x, y, 1.5),
    "poisson": (il.poisson_nll, poisson, x, y, 1.5),
    "hinge": (il.hinge, hinge, x, y, 1.5),
    "squared hinge": (il.squared_hinge, squared_hinge, x, y, 1.5),
    "gaussian": (il.gaussian_nll, gaussian, (x, y), y, 1.5),
    "margin_ranking": (il.margin_ranking, margin_ranking, (x, y), y, 1.5),
    "cosine_embedding": (il.cosine_embedding, lambda p, t: functional.cosine_embedding_loss(*p, t), pairs, alike, 2.5),
    "binary": (il.binary_cross_entropy, functional.binary_cross_entropy, x, y, 6.5),
    "cosine": (il.cosine_similarity, lambda a, b: functional.cosine_similarity(a, b).mean(), rows, shares, 1.5),
    "dice": (il.dice_loss, dice, rows, shares, 1.5),
}  # fmt: skip


@pytest.mark.parametrize("name", STEPS)
def test_traffic_of_a_step(name: str) -> None:
    """A step moves at most so much more than its peer's, and nothing wider than the data."""
    ours, theirs, predictions, targets, bound = STEPS[name]
    moved = traffic(ours, predictions, targets)
    assert moved.bytes <= bound * traffic(theirs, predictions, targets).bytes
    assert moved.dtypes <= {torch.float32, torch.bool, tensors([predictions])[0].dtype}


@pytest.mark.parametrize("metric", STRUCTURES.values(), ids=STRUCTURES)
def test_only_sums_are_wider_than_the_data(metric: il.Metric) -> None:
    """Away from a CPU, arrays of the size of the data have its width; sums of rows are float64."""

    def placed(array: Any) -> Any:
        return torch.as_tensor(array).to("meta")

    size = 128 if metric.kind == "batch-pairwise" else 6000
    inputs = draw(metric, (size,), dtype="float32")
    predictions, targets = (tree_map(placed, side) for side in inputs)
    leaves = tuple(x.requires_grad_(x.is_floating_point()) for x in tensors([predictions]))
    with Traffic() as moved:
        value = metric(leaves if isinstance(predictions, tuple) else leaves[0], targets)
        if value.requires_grad:
            value.sum().backward()
    wide = moved.largest.pop(torch.float64, 0)
    sums_of_rows = size if any(sum(metric.parts, ())) else 0
    assert wide <= sums_of_rows or wide < max(moved.largest.values())


def test_integers_keep_their_digits() -> None:
    """Away from a CPU too, integer data is computed in float64: float32 does not hold all of it."""
    counts = torch.zeros(6000, dtype=torch.int64, device="meta")
    with Traffic() as moved:
        il.r2_score(counts, counts)
    assert moved.largest[torch.float64] == 6000
