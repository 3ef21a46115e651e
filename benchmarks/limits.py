"""Why a target is missed: what was tried, and what the limit is. A missed row without a reason is an error."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple


class Limit(NamedTuple):
    """The reason for the rows that it names: the first that applies is a row's."""

    title: str
    group: str
    works: tuple[str, ...]  # how the work begins
    sizes: tuple[int, ...]  # of any, if there is none
    reason: str

    def applies(self, row: dict[str, Any]) -> bool:
        return (
            row["group"] == self.group
            and row["work"].startswith(self.works)
            and (not self.sizes or row["size"] in self.sizes)
        )


ANY = ("",)
FEW, MANY = (10, 1_000), (10_000_000,)
WIDE = (
    "Every float32 is widened to float64, so that the result is the exact one rounded once (0.50 ULP). Widening both arrays, subtracting "
    "and a dot product take 9.1 to 12 ms of NumPy alone, in blocks of any length from 4,096 to 65,536; the expression takes 10. Tried: "
    "`np.subtract` with `dtype=float64`, kept buffers, arithmetic in place; none was faster. The same in float32 takes 4.0 ms, and is up to "
    "1.5 ULP off where all residuals round alike, more than the promised 1."
)
LIMITS = (
    Limit(
        "NumPy, ten samples, losses of many operations", "NumPy",
        ("log_cosh", "pseudo_huber", "mean_squared_log_error", "mean_absolute_percentage_error", "poisson", "gamma"), (10,),
        "A call of a ufunc takes 0.4 to 1 µs however few numbers it has. The expressions are three to six of them, and cancel near 0, overflow "
        "far out or ignore the domain; the definitions are 15 to 40: a series near 0, a form for far out, nan outside the domain. What "
        "does not depend on the definition (options, states) is left out for small arrays already.",
    ),
    Limit(
        "NumPy, ten samples, one operation", "NumPy", ("mean_bias_error", "mean_squared_error", "mean_absolute_error"), (10,),
        "The expression is two or three calls of NumPy, 2.4 µs. A call of ours is 22 Python calls: the plan is looked up by metric, options, dtypes "
        "and shapes (2 µs), warnings are switched off (1 µs), and what was found is looked at.",
    ),
    Limit(
        "NumPy, ten samples, R2", "NumPy", ("r2_score",), (10,),
        "In float64 there is nothing wider to absorb squares: five sums about a pivot, scaled by powers of two, some 60 calls. "
        "In float32 it takes 50 µs.",
    ),
    Limit(
        "NumPy, ten million, log-cosh", "NumPy", ("log_cosh",), MANY,
        "Both branches are evaluated in float64: nine terms of a series, `exp` and two `log1p`, of which NumPy has vectorised forms "
        "for float64 only with AVX-512. The expression is `log` and `cosh` in float32, which is 0 below 1e-4 and inf beyond 89. "
        "A single form, `log1p(expm1(a)^2 / (2 exp(a)))`, would add up the errors of `expm1` twice.",
    ),
    Limit(
        "NumPy, ten million, cross-entropy of two labels", "NumPy", ("sigmoid_cross_entropy",), MANY,
        "Half of the time are four `np.where`, 9 to 20 ms each where the mask is random: they choose the side that is exact at any logit, drop "
        "what has no share of the label, and check the labels' domain. `exp` and `log1p` of float64 take 18 ms, of float32, as in the "
        "expression, 9. The expression is nan at an infinite logit.",
    ),
    Limit(
        "NumPy, ten million, cross-entropy of classes", "NumPy", ("softmax_cross_entropy",), MANY,
        "In float64, and with one `np.where` for each of: the largest logit's place, ruled-out classes, labels out of range. The tail of a sure "
        "answer is summed apart, so that a loss of 1e-9 has its digits; the expression's is 0.",
    ),
    Limit("NumPy, ten million float32", "NumPy", ("mean_squared_error", "mean_absolute_error", "huber"), MANY, WIDE),
    Limit(
        "NumPy, ten million, R2", "NumPy", ("r2_score",), MANY,
        "As above; and deviations from the mean of each block, for two variables, where scikit-learn subtracts in float32 (R2 of 1e4 + noise "
        "is then wrong in the first digit).",
    ),
    Limit(
        "NumPy, four metrics at once", "NumPy", ("evaluate",), MANY,
        "One pass, as above: 12 ms for the squared errors (shared by two metrics), 3 ms for the absolute ones, 28 ms for the moments of R2. "
        "scikit-learn's four passes are in float32.",
    ),
    Limit(
        "NumPy, gradient of Huber", "NumPy", ("gradient",), MANY,
        "First-order numbers evaluate value and slope in float64, seven operations a block, where the hand-written gradient is two in float32. "
        "A slope of 1 is no array, and the second order is not there.",
    ),
    Limit(
        "Deviances of a million", "Same metrics",
        ("mean_poisson", "mean_gamma", "mean_tweedie", "d2_tweedie"), (1_000, 1_000_000),
        "scikit-learn's is one logarithm, two quotients and a difference, in which a prediction near its target loses its digits. Ours is "
        "that and, where the logarithm is below 1, 14 terms of a polynomial (2.6 ms), and a choice between both (0.8 ms). Powers 3/2 and 3 "
        "are squares, and faster than theirs. Tried: rational forms, `sinh`, matrix products; none was faster.",
    ),
    Limit(
        "Divergences", "Same metrics", ("entropy", "jensenshannon"), (1_000, 1_000_000),
        "As above: SciPy's sum of `t log(t / p)` loses its digits where p is near t. Of a thousand, SciPy's is one call of a compiled "
        "loop, ours 60 calls of NumPy.",
    ),
    Limit(
        "Kendall and Spearman, a thousand", "Same metrics", ("kendalltau", "spearmanr"), (1_000,),
        "80 calls of NumPy at about 1 µs; the sorts take 15. SciPy counts the pairs in a compiled loop.",
    ),
    Limit(
        "Vectors and compiled functions", "Same metrics",
        ("cosine of", "sqeuclidean", "cityblock", "correlation of", "huber", "pseudo_huber", "wasserstein"), (1_000, 1_000_000),
        "A product of BLAS or one compiled loop, of a few microseconds at a thousand; the correlation is that of Pearson, whose sums SciPy "
        "takes once, without a check of their range.",
    ),
    Limit(
        "R2 of a million, log-cosh, cosine distances of rows, D2 of a thousand", "Same metrics",
        ("r2_score", "log_cosh", "cosine distances", "d2_", "mean_squared_log", "root_mean_squared_log"), (1_000, 1_000_000),
        "Within the noise of the target, or two calls of what is above.",
    ),
    Limit(
        "PyTorch, few numbers", "PyTorch", ANY, (10, 320, 1_000),
        "`F` is one call into C++ (5 µs; a step takes 16 µs). A call of isoloss is 25 Python calls (7 µs). A loss with its own node of the graph "
        "also calls a forward and a backward function in Python (25 µs if they are empty). Means of up to 1,024 samples are torch's own functions "
        "in float64, which adds two conversions: a sum of 30 numbers in float32 is 3 ULP off, and of 1,000 numbers 6. The labels of the binary "
        "cross-entropy are checked to lie between 0 and 1. With weights or a mask, Huber is 10 kernels. Tried: NumPy on the tensor's memory (equal); "
        "the slope in the forward pass (saves 5 µs of a step).",
    ),
    Limit(
        "PyTorch, a hundred thousand", "PyTorch", ANY, (100_000,),
        "Python is 10 to 50 µs of a step beside 20 to 45 µs of `F`, as above. Sums are in float64, of parts that are summed in float32: three kernels, "
        "where `F` has one.",
    ),
    Limit(
        "PyTorch, pixels and tokens", "PyTorch", ("softmax_cross_entropy of",), (),
        "Classes that are not last are read by strides, and labels of ignored tokens are replaced before they are looked up: two kernels more. "
        "`F` has one fused kernel for both.",
    ),
    Limit(
        "PyTorch, dice", "PyTorch", ("dice_loss",), (),
        "The peer is one product and three sums, 0.3 ms. Ours has four passes to see that shares lie between 0 and 1 (0.2 ms), and one "
        "for what the two sets do not share: from the sums alone, a nearly perfect overlap has no digits left (0.4 ms).",
    ),
    Limit(
        "PyTorch, triplets, pairs and cosines", "PyTorch", ("triplet_margin", "info_nce", "cosine_similarity"), (),
        "Norms are summed in float64, of parts that are summed in float32, in the forward and in the backward pass; `F` keeps them in float32, and "
        "is inf or 0 for vectors beyond 1e19.",
    ),
    Limit(
        "PyTorch, a million and more", "PyTorch", ANY, (),
        "Within the noise of the target, which is that of memory: each pass reads and writes 4 MB.",
    ),
    Limit(
        "Import", "Import", ("import, first loss",), (),
        "Beside NumPy, the core of 16 modules and the family of the loss, whose dataclasses write and compile their methods: 20 ms.",
    ),
    Limit(
        "PyTorch compiled, a thousand", "PyTorch compiled", ANY, (1_000,),
        "7 µs to check that the metric, its parameters and the dtype are those that were compiled; the program itself is as fast.",
    ),
    Limit(
        "PyTorch compiled, Huber of ten million", "PyTorch compiled", ("huber",), MANY,
        "For the backward pass it keeps the two float32 arrays, as the squared error does, which meets its target: what takes long "
        "is the arithmetic, comparisons and choices in float64.",
    ),
    Limit(
        "PyTorch compiled, squared error of ten million", "PyTorch compiled", ("mean_squared_error",), MANY,
        "Within the noise of the target: both read both arrays at the speed of memory.",
    ),
    Limit(
        "Streaming", "Streaming", ANY, MANY,
        "Each batch is copied into a buffer in 4 µs, and 32 batches are evaluated together in float64; torchmetrics adds in float32 (its total "
        "stalls at 2^24). The remaining time is Python: it checks two tensors, and makes two views and two copies.",
    ),
    Limit(
        "JAX, log-cosh", "JAX", ("log_cosh",), MANY,
        "The program takes 28 ms, as optax's does when jitted: it is `exp`, `log1p` and a series. Not jitted, optax takes 55.",
    ),
    Limit(
        "JAX jitted, Huber, log-cosh and sigmoid", "JAX jitted", ("huber", "log_cosh", "sigmoid_cross_entropy", "mean_squared_error"), (),
        "No square is taken of what is beyond delta, so there is one operation more to a term; log-cosh is exact near 0 by a series, and its "
        "slope is a function of its own. Small ones start one kernel more, for the second sum that keeps a mean finite where the first overflows.",
    ),
    Limit(
        "JAX jitted, cross-entropy of labels", "JAX jitted", ("softmax_cross_entropy ",), (),
        "XLA takes the whole sum over a row into one kernel, as it does optax's; the label is left out of it by a factor, and not "
        "subtracted afterwards, so that a sure answer has all its digits: two operations more for each logit.",
    ),
    Limit(
        "JAX jitted, rows of shares", "JAX jitted", ("softmax_cross_entropy_with", "kl_divergence"), (),
        "Seven sums over each row, where optax has three: the largest logits are excluded from the sum of exponentials and counted, the shares at "
        "excluded classes are looked for, and the shares are checked not to be negative. XLA's kernels for CPUs compute each sum separately, and an "
        "elementwise operation in one takes as long as the sum: of 8192 x 1000 numbers, a maximum takes 0.35 ms, the sum of exponentials 1.2, "
        "the same without the largest 1.9. The divergence is a polynomial near equal shares, 14 operations. A branch for the usual case would "
        "evaluate most batches twice, because a single sure answer needs the exact form.",
    ),
    Limit(
        "JAX jitted, cosines, dice, pairs", "JAX jitted", ("cosine_similarity", "dice_loss", "info_nce"), (),
        "A vector is scaled before its squares are summed, so that no square over- or underflows: two more passes. Shares are checked to lie "
        "between 0 and 1, and the part that the two sets do not share is summed directly: in XLA's kernels for CPUs each operation of "
        "those takes as long as a sum (0.05 ms of a million numbers), and the peer has a product and three sums.",
    ),
)  # fmt: skip


def explained(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Yield a paragraph for each reason that rows were missed for, with how far they missed."""
    reasons: dict[Limit, list[float]] = {}
    for row in rows:
        if not row["met"]:
            limit = next((limit for limit in LIMITS if limit.applies(row)), None)
            if limit is None:
                raise LookupError(f"no reason is given why this row is missed: {row}")
            reasons.setdefault(limit, []).append(row["ratio"] / row["target"])
    for limit in LIMITS:
        if limit in reasons:
            low, high = min(reasons[limit]), max(reasons[limit])
            over = f"{low:.2g}" if len(reasons[limit]) == 1 else f"{low:.2g} to {high:.2g}"
            yield f"**{limit.title}** ({over} times the target). {limit.reason}"
