"""The accuracy that is promised, in ULP, and by name where it is not kept."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from typing import Any, NamedTuple

from .backends import Backend
from .comparison import distance
from .records import flat

# The promise, in ULP of the result. Where float64 is there to widen to, half and single precision
# are computed in it; the results of float64, and of JAX without x64, are computed in themselves.
WIDENED = {"float16": 0.51, "bfloat16": 0.51, "float32": 1.0}
SUMMED = 2.0  # where terms are computed in single precision, and sums are in float64
OWN = 4.0
GRADIENT = {"float32": 4.0, "float64": 16.0}
NARROW_GRADIENT = 8.0  # of float32 where sums cannot be in float64 either
ROWS = 32.0  # a second derivative of a row, computed in itself: differences of products
HALF = 0.51  # a gradient of half precision is rounded once, from float32 at least


# What has no float64 to compute in, by its label in the table.
JAX, STRICT = ("jax",), ("array_api_strict float32",)
TORCH = ("torch",)  # sums alone are in float64


class Excess(NamedTuple):
    """Where the promise is not kept without float64, to how far it is, why, and where."""

    metric: str
    aspect: str
    limit: float
    reason: str
    libraries: tuple[str, ...] = JAX + STRICT
    case: str | None = None  # in any


TWO = "a difference of two terms"
NEAR_0 = 1e37  # in ULP of 0, whose unit is 1e-45: an error below 1.4e-8 beside numbers near 1
FUSED = "0 is a difference of two terms; a multiplication fused with it leaves a rounding"
TINY = "1 / p^2 is 1e-40, below float32"
EXCEPTIONS = [
    Excess("r2_score", "value", 16.0, "1 - 1.07: fewer digits than its terms"),
    Excess("pearson_correlation", "gradient", 16.0, TWO),
    Excess("concordance_correlation", "gradient", 12.0, TWO),
    Excess("mean_squared_log_error", "second", 12.0, "near its zero at p", JAX),
    Excess("cosine_embedding", "value", 6.0, "a sum of terms of both signs", TORCH, "single"),
    Excess("poisson_deviance", "second", math.inf, TINY, case="large"),
    Excess("poisson_nll", "second", math.inf, TINY, case="large"),
    Excess("negative_binomial_nll", "gradient", 12.0, TWO),
    Excess("energy_score", "value", 6.0, "a mean of norms less half of another", JAX),
    Excess("brier_decomposition", "value", 5.0, "a square of a difference of means", ("jax x64",)),
    Excess("binary_cross_entropy", "gradient", NEAR_0, FUSED, JAX, "certain_2"),
    Excess("MatthewsCorrelation", "value", 8.0, "a difference of products near 0"),
    Excess("adaptive_calibration_error", "gradient", 10.0, TWO),
    Excess("binary_adaptive_calibration_error", "gradient", 14.0, TWO, JAX + STRICT),
    Excess("barlow_twins", "value", 8.0, "squares of differences from 1", JAX + TORCH),
    Excess("barlow_twins", "gradient", 10.0, TWO),
    Excess("vicreg", "value", 6.0, "squares of differences from 1", JAX),
    Excess("kling_gupta", "value", 6.0, "squares of differences from 1", JAX),
    Excess("cosine_embedding", "value", NEAR_0, FUSED, JAX, "parallel"),
    Excess("cosine_embedding", "gradient", NEAR_0, FUSED, JAX, "parallel"),
    Excess("ctc", "value", 1024.0, "the loss less that of the best path", JAX, "sure"),
    Excess("d2_brier_score", "value", 8.0, "1 - a ratio", JAX),
    Excess("d2_tweedie_score", "value", 14.0, "1 - a ratio"),
    Excess("clip_loss", "gradient", 20.0, TWO),
    Excess("giou", "value", 8.0, TWO, JAX + TORCH),
    Excess("lambda_rank", "value", 6.0, "the libraries' float32 exp", JAX, "sure"),
    Excess("siglip", "gradient", 20.0, TWO),
    Excess("supervised_contrastive", "gradient", 20.0, TWO, JAX + TORCH),
    Excess("variogram_score", "value", 6.0, "the square of a difference of powers", JAX + TORCH),
    Excess("linex", "value", 6.0, "the libraries' float32 exp", JAX + STRICT + TORCH),
    Excess("barron", "gradient", 24.0, "the exponent, rounded to float32", STRICT),
    Excess("barron", "second", 12.0, "a difference of two terms of a power", JAX),
    Excess("barron", "second", 20.0, "the exponent, rounded to float32", STRICT),
    Excess("tukey", "second", 9.0, "c, rounded to float32"),
    Excess("andrews", "second", 16.0, "a cosine near its zero"),
    Excess("tweedie_deviance", "second", 24.0, "the exponent, rounded to float32"),
    Excess("alpha_divergence", "value", 3.0, "a difference of two powers", TORCH),
    Excess("jensen_shannon_divergence", "value", 4.0, TWO, TORCH),
    Excess("itakura_saito", "value", 3.0, TWO, TORCH),
    Excess("renyi_divergence", "value", 4.0, "a difference of two powers", TORCH),
    Excess("lambda_rank", "value", 3.0, "the libraries' float32 exp", TORCH),
    Excess("poisson_nll", "value", 4.0, "the libraries' float32 exp", TORCH),
    Excess("triplet_margin", "value", 3.0, "a power, rounded to float32", TORCH),
]


class Measure:
    """Collects errors against a limit, and what to print of them."""

    def __init__(
        self, backend: Backend, name: str, aspect: str, request: Callable[..., None]
    ) -> None:
        self.backend, self.name, self.aspect, self.record_property = backend, name, aspect, request
        self.worst: dict[str, float] = defaultdict(float)
        self.counts: dict[str, int] = defaultdict(int)
        self.failures: list[str] = []
        here = (e for e in EXCEPTIONS if (e.metric, e.aspect) == (name, aspect))
        self.exceptions = [e for e in here if backend.label in e.libraries]
        self.needed: set[Excess] = set()

    def add(
        self, record: dict[str, Any], error: float, limit: float, what: str, dtype: str
    ) -> None:
        own = record["dtype"] == "float64" or not self.backend.widens  # not what is widened
        if record["condition"] != 1.0:
            limit *= record["condition"] if own else 1.0
        else:
            for exception in self.exceptions:
                # whether it is a little below the promise or above depends on the processor
                if exception.case in (None, record["case"]) and error > limit / 2:
                    limit = exception.limit
                    self.needed.add(exception)
            label = f"{self.aspect} {record['dtype'] if 'float' in record['dtype'] else dtype}"
            if limit < NEAR_0:  # the promise is about cases with digits to compare
                self.worst[label] = max(self.worst[label], error)
            self.counts[label] += 1
        if not error <= limit:
            case = f"{record['case']} {record['dtype']} {record['parameters']}"
            self.failures.append(f"{case}: {error:.3g} ULP, at most {limit}: {what}")

    def value(self, record: dict[str, Any], value: Any) -> None:
        """Compare a value, and its dtype, with what was stored."""
        backend, dtype = self.backend, self.backend.dtype(value)
        if "float" in record["dtype"]:
            single = "float64" if record["dtype"] == "float64" else "float32"
            assert dtype == single, record["case"]
        limit = OWN if dtype == "float64" else value_limit(backend, record["dtype"])
        got, exact = flat([backend.numbers(value)]), flat([record["value"]])
        pairs = zip(got, exact, strict=True)
        error = max(distance(one, text, dtype, flushes=backend.flushes) for one, text in pairs)
        self.add(record, error, limit, f"got {got}, expected {exact}", dtype)

    def finish(self) -> None:
        for label, worst in self.worst.items():
            row = (self.backend.label, self.name, label, worst, self.counts[label])
            self.record_property("ulp", row)
        assert not self.failures, "\n".join(self.failures)
        assert self.counts, "no case was run"
        # programs round otherwise from processor to processor; a setting may leave out a dtype
        if not self.backend.compiles and self.backend.widest in self.backend.dtypes:
            unneeded = set(self.exceptions) - self.needed
            assert not unneeded, "the promise is kept: remove the exception"


def value_limit(backend: Backend, dtype: str) -> float:
    if backend.widens:
        return WIDENED.get(dtype, OWN)
    return SUMMED if backend.float64 and dtype != "float64" else OWN


def gradient_limit(backend: Backend, dtype: str) -> float:
    """Return what a gradient, or a second derivative, may be off."""
    narrow = dtype == "float32" and not backend.float64
    return NARROW_GRADIENT if narrow else GRADIENT.get(dtype, HALF)
