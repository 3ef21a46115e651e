"""The cases: those of conformance/expected, and the few that are written here, by families."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import isoloss as il
from conformance.kit.records import RECORDS, flat, number, number_parameters, pointwise

FAMILIES = {
    "typical": "values of ordinary numbers",
    "extremes": "values of tiny and huge numbers, near cancellation, of perfect and constant data",
    "gradients": "the gradient by the library's own reverse mode, of all of these",
    "kinks": "the same where a loss is not smooth, or its formula divides 0 by 0",
    "second derivatives": "of the terms, by differentiating twice",
    "half precision": "values of float16 and bfloat16",
    "integers": "values of integers, of 8 bits among them",
    "weights": "weighted means; a nan of weight 0",
    "shapes": "(n,) against (n, 1)",
    "outside": "where the metric is not defined",
    "empty": "no samples, or none that counts",
    "streaming": "batches, one after the other",
    "compiled": "inside jit or torch.compile without a graph break, and under vmap",
}

UNDEFINED = "undefined"  # anything but a number is right: nan, an infinity, an error

ORDINARY = {"typical", "single", "weighted", "integer_weights"}
KINKS = ("kink", "zero_residual", "ties", "zero_vectors", "constant_", "at_the_", "at_both",
         "on_an_axis", "equal", "margin", "no_", "nothing", "perfect", "parallel", "at_an_end",
         "one_pixel", "zero_", "alike_", "tied", "all_")  # fmt: skip


SMALLEST, LARGEST = 1e-30, 1e30


class Case(NamedTuple):
    """One call. ``right`` are decimals, or `UNDEFINED`; ``source`` says whose."""

    family: str
    metric: str
    name: str
    predictions: Any
    targets: Any
    right: Any
    weights: Any = None
    dtype: str = "float32"
    parameters: dict[str, Any] = {}  # noqa: RUF012
    condition: float = 1.0
    source: str = "conformance/expected"


RANKINGS = ("mean_average_precision", "mean_reciprocal_rank", "precision_at_k", "recall_at_k",
            "hit_rate", "dcg", "ndcg", "listnet")  # fmt: skip
# ties, grades where labels are binary, and -inf for what is no item, are read in more than one way
CONVENTIONS = (
    "tied_scores",
    "tied_groups",
    "all_tied",
    "graded",
    "negative",
    "not_ranked",
    "left_out",
)


def kind_of(record: dict[str, Any]) -> str:
    return record["case"].rstrip("_0123456789")


def is_kink(name: str) -> bool:
    return any(name.startswith(start) for start in KINKS)


def in_range(numbers: list[str]) -> bool:
    """Whether the largest is far from the ends of float32: what is lost there is no mistake."""
    sizes = [abs(float(x)) for x in numbers if math.isfinite(float(x))]
    return not sizes or max(sizes) == 0 or SMALLEST < max(sizes) < LARGEST


def stored(metric: str) -> Iterator[Case]:
    """Yield the cases of a metric that conformance/expected holds: single and half precision, integers."""
    records, default = RECORDS.get(metric, []), getattr(il, metric, None)
    floats = any("float" in record["dtype"] for record in records)
    for record in records:
        name, dtype = kind_of(record), record["dtype"]
        if dtype == "float64" or (metric in RANKINGS and name in CONVENTIONS):
            continue
        if record["weights"] is not None:
            family = "weights" if dtype in ("float32", "int32") else None
        elif dtype == "float32" or not floats:
            family = "typical" if name in ORDINARY else "extremes"
        else:
            family = "half precision" if "float" in dtype else "integers"
            name = f"{name} {dtype}" if family == "half precision" else dtype
        if family is None:
            continue
        case = Case(
            family, metric, name, number(record["predictions"]), number(record["targets"]),
            flat([record["value"]]), number(record["weights"]) if record["weights"] else None,
            dtype, number_parameters(record), record["condition"],
        )  # fmt: skip
        if any(x == math.inf for x in flat(case.predictions)) or not in_range(case.right):
            continue
        yield case
        if (
            dtype != "float32"
            or record["weights"] is not None
            or not math.isfinite(float(case.right[0]))
        ):
            continue
        if (
            record["gradient"] is not None
            and in_range(flat(record["gradient"]))
            and name != "offset"
        ):
            family = "kinks" if is_kink(name) else "gradients"
            yield case._replace(family=family, right=flat(record["gradient"]))
        if (
            record["second"] is not None
            and pointwise(default)
            and not is_kink(name)
            and not isinstance(record["second"][0], list)
            and in_range(record["second"])
        ):
            yield case._replace(family="second derivatives", right=flat(record["second"]))


def derived(metric: str) -> Iterator[Case]:
    """Yield what follows from a metric's first case, by a law: weights, shapes, none, batches, compiled."""
    cases = list(stored(metric))
    first = next((case for case in cases if case.family == "typical"), None)
    if first is None:
        return
    yield first._replace(family="compiled", name="jit", source="the same, not compiled")
    yield first._replace(family="compiled", name="vmap", source="the same, not mapped")
    yield first._replace(family="streaming", name="two batches", source="the whole")
    pairwise = not any(isinstance(part[0], list) for part in (first.predictions, first.targets))
    if pairwise and "float" in first.dtype:
        yield first._replace(family="shapes", name="(n,) and (n, 1)")
    if metric != "ConfusionMatrix":  # of which a count of nothing is 0
        yield first._replace(
            family="empty", name="no samples", right=UNDEFINED, source="a mean of nothing"
        )
    weighted = next((case for case in cases if case.name == "weighted"), None)
    default = getattr(il, metric)
    several = default.prediction_names or default.target_names
    if (
        weighted is not None
        and not weighted.parameters
        and "float" in weighted.dtype
        and not several
    ):
        spoilt, missing = list(weighted.predictions), float("nan")
        spoilt.append([missing] * len(spoilt[0]) if isinstance(spoilt[0], list) else missing)
        more = {"targets": [*weighted.targets, weighted.targets[0]],
                "weights": [*weighted.weights, 0.0]}  # fmt: skip
        yield weighted._replace(name="a nan of weight 0", predictions=spoilt, **more,
                                source="the same without it")  # fmt: skip


RAMP, HILL = [3.0, 2.0, 1.0], [1.0, 2.0, 3.0]
SCORES = [[0.5, 0.25, -0.5], [1.0, 0.0, 0.25]]
BATCHES = "two batches, far apart"
BYTES, SAME = ([30, 10], [10, 30]), "both differences are 20"
BY_HAND = [
    # small numbers are no worse than large ones: RSS 8e-8, TSS 2e-8
    Case("extremes", "r2_score", "small targets", [3e-4, 1e-4, 2e-4], [1e-4, 3e-4, 2e-4], ["-3"],
         condition=4, source="1 - 8 / 2"),
    Case("extremes", "r2_score", "targets near 1e5", [99999.5, 100000.5, 100000.5, 100000.0],
         [99999.0, 100000.0, 100001.0, 100000.0], ["0.625"], source="1 - 0.75 / 2"),
    Case("extremes", "explained_variance_score", "targets near 1e5",
         [99999.5, 100000.5, 100000.5, 100000.0], [99999.0, 100000.0, 100001.0, 100000.0],
         ["0.65625"], source="1 - 0.171875 / 0.5"),
    Case("extremes", "roc_auc_score", "large logits", [20.0, 30.0, 40.0, 50.0], [0, 0, 1, 1], ["1"],
         source="every positive is above every negative"),
    Case("extremes", "roc_auc_score", "scores of 1e-4 to 1e-3", [1e-4, 3e-4, 6e-4, 1e-3], [0, 0, 1, 1],
         ["1"], source="every positive is above every negative"),
    Case("extremes", "log_cosh", "an error of 2^-13", [2.0**-13], [0.0], ["7.450580578420111e-09"],
         source="log cosh 2^-13, mpmath"),
    Case("extremes", "log_cosh", "an error of 100", [100.0], [0.0], ["99.306852819440054690582767878541823432"],
         source="100 - log 2"),
    Case("extremes", "perplexity", "one improbable token", [[110.0, 0.0]] * 50, [0] * 49 + [1],
         ["9.02501349943412092647"], source="exp(110 / 50)"),
    Case("extremes", "accuracy_of_logits", "a batch inside [0, 1]", [0.25, 0.5], [1, 1], ["1"],
         source="a logit above 0 is a probability above 1/2"),
    Case("extremes", "triplet_margin", "an odd norm", [[0.0, 0.0]], [[[1.0, 1.0], [6.0, 0.0]]], ["0"],
         parameters={"p": 1.0}, source="max(0, 2 - 6 + 1)"),
    Case("extremes", "triplet_margin", "the norm of order 3", [[0.0, 0.0]], [[[2.0, 0.0], [0.0, 1.0]]],
         ["2"], parameters={"p": 3.0}, source="2 - 1 + 1"),
    Case("extremes", "negation", "-m and +m of R2", RAMP[:1] + HILL[:2], [1.0, 3.0, 2.0], ["3", "-3"],
         source="R2 is 1 - 8 / 2"),
    Case("gradients", "gaussian_nll", "a variance of 2^-27", [[0.0, 2.0**-27]], [1.0],
         ["-134217728", "-9007199187632128"], source="-e / v, 1 / (2 v) - e^2 / (2 v^2)"),
    Case("kinks", "root_mean_squared_error", "no error", [1.0, 2.0], [1.0, 2.0], ["0", "0"],
         source="the minimum"),
    Case("half precision", "mean_squared_error", "errors 300 and 0, float16", [300.0, 0.0], [0.0, 0.0],
         ["45000"], dtype="float16", source="300^2 / 2"),
    *(Case("integers", metric, "uint8, 30 and 10", *BYTES, [right], dtype="uint8", source=SAME,
           parameters=parameters)
      for metric, right, parameters in (
          ("mean_squared_error", "400", {}), ("mean_absolute_error", "20", {}), ("huber", "19.5", {}),
          ("max_error", "20", {}), ("median_absolute_error", "20", {}),
          ("root_mean_squared_error", "20", {}), ("PSNR", "22.11020369539949", {"data_range": 255.0}),
      )),
    Case("weights", "default_weighting", "weights (1, 0) of errors (1, 1)", [1.0, 1.0], [0.0, 0.0],
         ["1"], weights=[1.0, 0.0], source="the mean of what counts"),
    Case("weights", "huber", "errors (1, 3), weights (1, 3)", [1.0, 3.0], [0.0, 0.0], ["2"],
         weights=[1.0, 3.0], source="(1 * 0.5 + 3 * 2.5) / 4"),
    # outside the domain there is no right number
    *(Case("outside", metric, name, p, t, UNDEFINED, parameters=parameters, source="the domain")
      for metric, name, p, t, parameters in (
          ("poisson_deviance", "a negative mean", [-1.0, 2.0], [1.0, 2.0], {}),
          ("gamma_deviance", "a target of 0", [1.0, 2.0], [0.0, 2.0], {}),
          ("tweedie_deviance", "a negative mean", [-1.0, 2.0], [1.0, 2.0], {}),
          ("mean_squared_log_error", "below -1", [-2.0, 2.0], [1.0, 2.0], {}),
          ("root_mean_squared_log_error", "below -1", [-2.0, 2.0], [1.0, 2.0], {}),
          ("poisson_nll", "a negative rate", [-1.0, 2.0], [1.0, 2.0], {"log_input": False}),
          ("binary_cross_entropy", "a probability of 1.5", [1.5, 0.5], [1.0, 0.0], {}),
          ("kl_divergence", "a probability of -0.5", [[-0.5, 1.5]], [[0.5, 0.5]], {}),
          ("gaussian_nll", "a negative variance", [[0.0, -1.0], [0.0, 1.0]], [0.0, 1.0], {}),
          ("brier_score", "a probability of 1.5", [1.5, 0.5], [1.0, 0.0], {}),
          *((metric, f"label {label} of 3", SCORES, [0, label], {})
            for metric in ("softmax_cross_entropy", "negative_log_likelihood", "perplexity",
                           "multiclass_hinge", "softmax_focal")
            for label in (5, -1)),
          ("log_loss", "label 5 of 3", [[0.5, 0.25, 0.25]] * 2, [0, 5], {}),
      )),
    Case("empty", "softmax_cross_entropy", "every label ignored", SCORES, [9, 9], UNDEFINED,
         parameters={"ignore_index": 9}, source="a mean of nothing"),
    Case("empty", "mean_absolute_error", "every weight 0", [1.0, 2.0], [0.0, 0.0], UNDEFINED,
         weights=[0.0, 0.0], source="a mean of nothing"),
    *(Case("streaming", metric, BATCHES, [RAMP, [103.0, 102.0, 101.0]], [HILL, [101.0, 102.0, 103.0]],
           [str(14996 / 15004)], source="sums of products 14996, of squares 15004")
      for metric in ("pearson_correlation", "concordance_correlation")),
    Case(
        "streaming", "many_samples", "4096 zeros behind 2^24 ones", [[1.0], *[[0.0]] * 4096],
        [[0.0]] * 4097, [str(4096 / 4097)], weights=[[2.0**24], *[[1.0]] * 4096], source="1 - 1 / 4097",
    ),
    Case("streaming", "two_thresholds", "0.5 and 0.7 in one pass", [[0.9, 0.1], [0.6, 0.6]],
         [[1, 0], [0, 0]], ["0.5", "1"], source="of four answers, two are wrong and none is"),
    Case("compiled", "compiled_by_jax", "mean_squared_error under jax.jit", [1.0, 1.0], [0.0, 0.0],
         ["1"], source="the mean of 1 and 1"),
]  # fmt: skip


def cases(metric: str) -> list[Case]:
    """Return all cases of a metric."""
    return [*stored(metric), *derived(metric), *(case for case in BY_HAND if case.metric == metric)]
