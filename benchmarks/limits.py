"""Reasons for missed targets. A missed row without a reason raises an error."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple


class Limit(NamedTuple):
    """A reason for some rows; the first limit that applies gives the reason of a row."""

    title: str
    group: str
    works: tuple[str, ...]  # prefixes of the work
    sizes: tuple[int, ...]  # any size if empty
    reason: str

    def applies(self, row: dict[str, Any]) -> bool:
        return (
            row["group"] == self.group
            and row["work"].startswith(self.works)
            and (not self.sizes or row["size"] in self.sizes)
        )


ANY = ("",)
FEW, MANY = (10, 1_000), (10_000_000,)
LIMITS = (
    Limit(
        "NumPy, ten samples, losses of many operations", "NumPy",
        ("log_cosh", "pseudo_huber", "mean_squared_log_error", "mean_absolute_percentage_error", "poisson", "gamma"), (10,),
        "Each call of a ufunc takes 0.4 to 1 µs, even for few numbers. The expressions are three "
        "to six such calls. They cancel near 0, overflow for large errors or ignore the domain. "
        "The definitions are 15 to 40 calls: a series near 0, a separate form for large errors, "
        "and nan outside the domain. For small arrays, all work that does not depend on the "
        "definition (options, states) is skipped already.",
    ),
    Limit(
        "NumPy, ten samples, one operation", "NumPy", ("mean_bias_error", "mean_squared_error", "mean_absolute_error"), (10,),
        "The expression is two or three calls of NumPy and takes 2.4 µs. A call of isoloss makes "
        "22 Python calls: it looks up the plan by metric, options, dtypes and shapes (2 µs), "
        "switches off warnings (1 µs), and checks the result.",
    ),
    Limit(
        "NumPy, ten samples, R2", "NumPy", ("r2_score",), (10,),
        "No wider dtype is available for the squares of float64 numbers, so five sums about a "
        "pivot are scaled by powers of two, in about 60 calls. In float32 it takes 50 µs.",
    ),
    Limit(
        "NumPy, ten million, log-cosh", "NumPy", ("log_cosh",), MANY,
        "Both branches are evaluated in float64: a series of nine terms, `exp` and two `log1p`. "
        "NumPy has vectorised forms of these functions for float64 only with AVX-512. The "
        "expression is `log` and `cosh` in float32, which gives 0 below 1e-4 and inf beyond 89. A "
        "single form, `log1p(expm1(a)^2 / (2 exp(a)))`, would count the error of `expm1` twice.",
    ),
    Limit(
        "NumPy, ten million, cross-entropy of two labels", "NumPy", ("sigmoid_cross_entropy",), MANY,
        "Four calls of `np.where` take half of the time, 9 to 20 ms each for a random mask. They "
        "choose the branch that is exact at any logit, drop terms with a label probability of 0, "
        "and check the domain of the labels. `exp` and `log1p` take 18 ms in float64, and 9 ms in "
        "float32 as in the expression. The expression is nan at an infinite logit.",
    ),
    Limit(
        "NumPy, ten million, cross-entropy of classes", "NumPy", ("softmax_cross_entropy",), MANY,
        "The loss is computed in float64, with three calls of `np.where`: for the position of the "
        "largest logit, for excluded classes and for labels out of range. The other classes of a "
        "confident prediction are summed separately, so that a loss of 1e-9 keeps its digits; the "
        "expression gives 0.",
    ),
    Limit(
        "NumPy, ten million float32", "NumPy", ("mean_squared_error", "mean_absolute_error", "huber"), MANY,
        "Every float32 number is widened to float64, so that the result is the exact one rounded "
        "once (0.50 ULP). Widening both arrays, subtracting and a dot product take 9.1 to 12 ms "
        "in NumPy itself, in blocks of any length from 4,096 to 65,536. The expression takes 10 "
        "ms. Tried without gain: `np.subtract` with `dtype=float64`, reused buffers, in-place "
        "arithmetic. Computing in float32 takes 4.0 ms, but the error reaches 1.5 ULP if all "
        "residuals round in the same direction; the promised bound is 1 ULP.",
    ),
    Limit(
        "NumPy, ten million, R2", "NumPy", ("r2_score",), MANY,
        "The reason is that of the losses of ten million float32 numbers. In addition, the "
        "deviations of two variables from the mean of each block are computed. scikit-learn "
        "subtracts in float32, where the R2 of 1e4 + noise is wrong in the first digit.",
    ),
    Limit(
        "NumPy, four metrics at once", "NumPy", ("evaluate",), MANY,
        "One pass in float64 takes 12 ms for the squared errors (shared by two metrics), 3 ms for "
        "the absolute errors and 28 ms for the moments of R2. The four passes of scikit-learn are "
        "in float32.",
    ),
    Limit(
        "NumPy, gradient of Huber", "NumPy", ("gradient",), MANY,
        "First-order numbers evaluate value and slope in float64, with seven operations per "
        "block. The hand-written gradient has two operations in float32. A constant slope of 1 "
        "needs no array, and second derivatives are not computed.",
    ),
    Limit(
        "Deviances of a million", "Same metrics",
        ("mean_poisson", "mean_gamma", "mean_tweedie", "d2_tweedie"), (1_000, 1_000_000),
        "scikit-learn computes one logarithm, two quotients and a difference, which loses the "
        "digits of a prediction near its target. isoloss computes the same, a polynomial of 14 "
        "terms where the logarithm is below 1 (2.6 ms), and a choice between both (0.8 ms). "
        "Powers 3/2 and 3 are squares, and faster than in scikit-learn. Tried without gain: "
        "rational forms, `sinh`, matrix products.",
    ),
    Limit(
        "Divergences", "Same metrics", ("entropy", "jensenshannon"), (1_000, 1_000_000),
        "SciPy's sum of `t log(t / p)` loses its digits where p is near t, as for deviances. For "
        "a thousand numbers, SciPy makes one call of a compiled loop, and isoloss 60 calls of "
        "NumPy.",
    ),
    Limit(
        "Kendall and Spearman, a thousand", "Same metrics", ("kendalltau", "spearmanr"), (1_000,),
        "isoloss makes 80 calls of NumPy of about 1 µs each; the sorts take 15 µs. SciPy counts "
        "the pairs in a compiled loop.",
    ),
    Limit(
        "Vectors and compiled functions", "Same metrics",
        ("cosine of", "sqeuclidean", "cityblock", "correlation of", "huber", "pseudo_huber", "wasserstein"), (1_000, 1_000_000),
        "The peer is a BLAS product or one compiled loop, of a few microseconds for a thousand "
        "numbers. The correlation is Pearson's; SciPy computes its sums once, without a check of "
        "their range.",
    ),
    Limit(
        "R2 of a million, log-cosh, cosine distances of rows, D2 of a thousand", "Same metrics",
        ("r2_score", "log_cosh", "cosine distances", "d2_", "mean_squared_log", "root_mean_squared_log"), (1_000, 1_000_000),
        "The ratio is within the noise of the target, or the work is two calls of the metrics "
        "above.",
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
        "Python takes 10 to 50 µs of a step, for the same reasons as for few numbers; `F` takes "
        "20 to 45 µs. Sums are in float64, over partial sums in float32: three kernels instead of "
        "one.",
    ),
    Limit(
        "PyTorch, pixels and tokens", "PyTorch", ("softmax_cross_entropy of",), (),
        "Two additional kernels read classes that are not on the last axis with strides, and "
        "replace ignored labels before the lookup. `F` has one fused kernel for both.",
    ),
    Limit(
        "PyTorch, dice", "PyTorch", ("dice_loss",), (),
        "The peer is one product and three sums, 0.3 ms. isoloss needs four passes to check that "
        "probabilities lie between 0 and 1 (0.2 ms). Another pass computes the difference of the "
        "two sets, because a nearly perfect overlap would lose its digits if computed from the "
        "sums alone (0.4 ms).",
    ),
    Limit(
        "PyTorch, triplets, pairs and cosines", "PyTorch", ("triplet_margin", "info_nce", "cosine_similarity"), (),
        "Norms are summed in float64, over partial sums in float32, in the forward and the "
        "backward pass. `F` sums in float32, and gives inf or 0 for vectors beyond 1e19.",
    ),
    Limit(
        "PyTorch, a million and more", "PyTorch", ANY, (),
        "The ratio is within the noise of the target, which is set by the memory bandwidth: each "
        "pass reads and writes 4 MB.",
    ),
    Limit(
        "Import", "Import", ("import, first loss",), (),
        "Besides NumPy, the import loads the core of 16 modules and the family of the loss, whose "
        "dataclasses generate and compile their methods: 20 ms.",
    ),
    Limit(
        "PyTorch compiled, a thousand", "PyTorch compiled", ANY, (1_000,),
        "Checking that the metric, its parameters and the dtype match the compiled program takes "
        "7 µs. The program itself is as fast as the peer.",
    ),
    Limit(
        "PyTorch compiled, Huber of ten million", "PyTorch compiled", ("huber",), MANY,
        "For the backward pass it keeps the two float32 arrays, as the squared error does, which "
        "meets its target. The time is spent in arithmetic, comparisons and selections in float64.",
    ),
    Limit(
        "PyTorch compiled, squared error of ten million", "PyTorch compiled", ("mean_squared_error",), MANY,
        "The ratio is within the noise of the target: both programs read both arrays at the speed "
        "of memory.",
    ),
    Limit(
        "Streaming", "Streaming", ANY, MANY,
        "Each batch is copied into a buffer in 4 µs, and 32 batches are evaluated together in float64; torchmetrics adds in float32 (its total "
        "stalls at 2^24). The remaining time is Python: it checks two tensors, and makes two views and two copies.",
    ),
    Limit(
        "JAX, log-cosh", "JAX", ("log_cosh",), MANY,
        "The program takes 28 ms, the same as optax's under `jit`; it consists of `exp`, `log1p` "
        "and a series. Without `jit`, optax takes 55 ms.",
    ),
    Limit(
        "JAX jitted, Huber, log-cosh and sigmoid", "JAX jitted", ("huber", "log_cosh", "sigmoid_cross_entropy", "mean_squared_error"), (),
        "Huber's loss squares no error beyond delta, which needs one more operation per term. "
        "Log-cosh uses a series near 0 to be exact, and its slope is a separate function. For "
        "small arrays, one more kernel computes the second sum, which keeps a mean finite where "
        "the first sum overflows.",
    ),
    Limit(
        "JAX jitted, cross-entropy of labels", "JAX jitted", ("softmax_cross_entropy ",), (),
        "XLA computes the whole sum over a row in one kernel, as for optax. The label is excluded "
        "from the sum by a factor instead of a later subtraction, so that a confident prediction "
        "keeps all its digits: two more operations per logit.",
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
    """Yield a paragraph per reason, with the ratios of the missed rows to their targets."""
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
