"""Divergences: differences between a predicted and a true distribution over classes.

In the formulas, p is the prediction, t is the target, and sums run over the classes, along the last
axis. Rows need not sum to exactly 1, because rounded numbers rarely do: the formulas are applied to
the numbers without normalisation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, ClassVar, final

from .._core.domains import LOGITS, NON_NEGATIVE, POSITIVE, REAL, UNIT, Domain
from .._core.errors import fail
from .._core.metric import Loss
from .._core.parameters import Level, NonNegative, Numbers, Real
from .._core.types import Array, Namespace

__all__ = [
    "AlphaDivergence",
    "BetaDivergence",
    "Bhattacharyya",
    "ChiSquared",
    "Hellinger",
    "ItakuraSaito",
    "JensenShannonDivergence",
    "KLDivergence",
    "KLDivergenceWithLogits",
    "RenyiDivergence",
    "TotalVariation",
    "Wasserstein1D",
    "alpha_divergence",
    "beta_divergence",
    "bhattacharyya",
    "chi_squared",
    "hellinger",
    "itakura_saito",
    "jensen_shannon_divergence",
    "kl_divergence",
    "kl_divergence_with_logits",
    "renyi_divergence",
    "total_variation",
    "wasserstein_1d",
]

# --- Kullback-Leibler and related divergences -----------------------------------------------------


@final
@dataclass(frozen=True)
class KLDivergence(Loss):
    r"""Kullback-Leibler divergence of the target from the prediction, in nats.

    .. math:: \sum t \log(t / p), \quad 0 \log 0 = 0

    p = 0 where t > 0 gives inf, with derivative 0; probabilities are not clipped. A class with
    t = 0 adds 0, with derivative 0. The value is accurate for nearly equal rows.

    Examples
    --------
    >>> import isoloss as il
    >>> il.kl_divergence([[0.25, 0.75], [0.0, 1.0]], [[0.5, 0.5]] * 2, reduction="none")
    array([0.14384104,        inf])

    References
    ----------
    Kullback and Leibler (1951), *On Information and Sufficiency*. The prediction is the first
    argument, and the value is always KL(target || prediction). torch's ``kl_div`` and optax's
    ``kl_divergence`` take the logarithm of the prediction; torch's "mean" also divides by the
    number of classes. torchmetrics takes the target first, and divides rows by their sums. Keras
    clips at 1e-7.
    """

    signature: ClassVar[str] = "(classes),(classes)->()"
    domain: ClassVar[Domain] = Domain(UNIT, UNIT)

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        return xp.divergence(prediction, target)


@final
@dataclass(frozen=True)
class KLDivergenceWithLogits(Loss):
    r"""Kullback-Leibler divergence of the target from the softmax of logits, in nats.

    .. math:: \sum t \log(t / \mathrm{softmax}(z)), \quad 0 \log 0 = 0

    Predictions are logits; a logit of -inf excludes a class. A class with t = 0 adds 0. An excluded
    class with t > 0 gives inf. The value is accurate for logits far from the target. Near the
    target, the accuracy is that of the softmax. The gradient equals that of the softmax
    cross-entropy, which exceeds the divergence by the entropy of the target.

    Examples
    --------
    >>> import isoloss as il
    >>> il.kl_divergence_with_logits([[0.0, 0.0]], [[0.0, 1.0]])
    np.float64(0.6931471805599453)

    References
    ----------
    Kullback and Leibler (1951). torch's ``kl_div`` takes ``log_softmax`` of the logits, and its
    "mean" also divides by the number of classes. `DistillationKL` takes logits for both arguments.
    """

    signature: ClassVar[str] = "(classes),(classes)->()"
    domain: ClassVar[Domain] = Domain(LOGITS, UNIT)

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        return xp.softmax_divergence(prediction, target)


@final
@dataclass(frozen=True)
class JensenShannonDivergence(Loss):
    r"""Jensen-Shannon divergence, in nats: the mean divergence from the mixture of p and t.

    .. math:: \beta \sum t \log(t / m) + (1 - \beta) \sum p \log(p / m),
        \quad m = \beta t + (1 - \beta) p

    The value is always finite, and at most log 2 for beta = 1/2. A class with p = 0 has derivative
    0, although the limit is infinite. The value is accurate for nearly equal rows.

    Parameters
    ----------
    beta : 0 < float < 1
        The share of the target in the mixture.

    Examples
    --------
    >>> import isoloss as il
    >>> il.jensen_shannon_divergence([[1.0, 0.0], [0.5, 0.5]], [[0.0, 1.0]] * 2, reduction="none")
    array([0.69314718, 0.21576155])

    References
    ----------
    Lin (1991), *Divergence Measures Based on the Shannon Entropy*. Liger's ``beta`` also weights
    the target. Liger's values 0 and 1 select KL(target || prediction) and KL(prediction || target),
    which are the limits of this divergence divided by beta and by 1 - beta.
    ``scipy.spatial.distance.jensenshannon`` is the square root for beta = 1/2.
    """

    signature: ClassVar[str] = "(classes),(classes)->()"
    domain: ClassVar[Domain] = Domain(UNIT, UNIT)
    beta: Level = 0.5

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        p, t, rest = _without_slope_at_0(xp, prediction), target, 1 - self.beta
        to_t, to_p = self.beta * (t - p), rest * (p - t)  # from p and from t to the mixture
        mixture = xp.where(self.beta < 0.5, p + to_t, t + to_p)
        of_t, of_p = _log_of_share(xp, t, -to_p, mixture), _log_of_share(xp, p, -to_t, mixture)
        near = (xp.abs(of_t) < 0.5) & (xp.abs(of_p) < 0.5) & (p > 0) & (t > 0)
        of_t, of_p = _second_order(xp, of_t, near), _second_order(xp, of_p, near)
        return xp.sum(self.beta * t * of_t + rest * p * of_p, axis=-1)


@final
@dataclass(frozen=True)
class AlphaDivergence(Loss):
    r"""Alpha divergence.

    .. math:: \sum \frac{t^\alpha p^{1 - \alpha} - \alpha t + (\alpha - 1) p}{\alpha (\alpha - 1)}

    The divergence is smooth in alpha. For rows that sum to 1, the limits are KL(t || p) at
    alpha = 1 and KL(p || t) at alpha = 0. For alpha = 1/2, the divergence is four times the squared
    `hellinger` distance; for alpha = 2, it is half of `chi_squared`.

    p = 0 < t gives inf for alpha >= 1, and t = 0 < p gives inf for alpha <= 0. A class with p = 0
    has derivative 0 if t = 0 or if the limit is infinite.

    Parameters
    ----------
    alpha : float
        The order. Large values penalise p < t; small values penalise p > t.

    Examples
    --------
    >>> import isoloss as il
    >>> il.AlphaDivergence(alpha=2.0)([[0.25, 0.75]], [[0.5, 0.5]], reduction="none")
    array([0.16666667])

    References
    ----------
    Cichocki and Amari (2010), *Families of Alpha-, Beta- and Gamma-Divergences*; Minka (2005).
    Amari's own order is ``2 alpha - 1``, or its negative.
    """

    signature: ClassVar[str] = "(classes),(classes)->()"
    domain: ClassVar[Domain] = Domain(UNIT, UNIT)
    alpha: Real = 0.5

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        return xp.sum(_alpha_terms(xp, prediction, target, self.alpha), axis=-1)


@final
@dataclass(frozen=True)
class BetaDivergence(Loss):
    r"""Beta divergence of probabilities or of other positive quantities.

    .. math:: \sum \frac{t^\beta}{\beta (\beta - 1)} + \frac{p^\beta}{\beta}
        - \frac{t p^{\beta - 1}}{\beta - 1}

    The divergence is smooth in beta. The limits are KL(t || p) at beta = 1, for rows of equal sums,
    and `itakura_saito` at beta = 0. For beta = 2, the divergence is half the squared error.

    Predictions and targets are ``(..., classes)`` from 0 on for beta > 0, and above 0 otherwise. A
    sample outside is nan. p = 0 < t gives inf for beta <= 1. A class with p = 0 has derivative 0 if
    t = 0 or if the limit is infinite.

    Parameters
    ----------
    beta : float
        The order. A factor c of p and t multiplies the divergence by c^beta: for beta = 0, the
        divergence is independent of scale.

    Examples
    --------
    >>> import isoloss as il
    >>> il.BetaDivergence(beta=2.0)([[1.0, 4.0]], [[2.0, 2.0]])
    np.float64(2.5)

    References
    ----------
    Eguchi and Kano (2001); Cichocki and Amari (2010); scikit-learn's ``beta_loss``. Basu et al.
    (1998) use the order beta - 1, and multiply the divergence by beta. The divergence is half of
    `TweedieDeviance` with the power 2 - beta.
    """

    signature: ClassVar[str] = "(classes),(classes)->()"
    beta: Real = 0.5

    @property
    def domain(self) -> Domain:  # type: ignore[override]
        positive = isinstance(self.beta, (int, float)) and self.beta <= 0
        return Domain(POSITIVE, POSITIVE) if positive else Domain(NON_NEGATIVE, NON_NEGATIVE)

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        return xp.sum(_beta_terms(xp, prediction, target, self.beta), axis=-1)


@final
@dataclass(frozen=True)
class ItakuraSaito(Loss):
    r"""Itakura-Saito divergence of spectra, which is independent of their scale.

    .. math:: \sum t / p - \log(t / p) - 1

    The value is accurate for nearly equal rows.

    Examples
    --------
    >>> import isoloss as il
    >>> il.itakura_saito([[2.0, 2.0]], [[2.0, 4.0]], reduction="none")
    array([0.30685282])

    References
    ----------
    Itakura and Saito (1968), *Analysis Synthesis Telephony Based on the Maximum Likelihood Method*.
    Half of `gamma_deviance`; `BetaDivergence` with beta = 0; scikit-learn's
    ``beta_loss="itakura-saito"``.
    """

    signature: ClassVar[str] = "(classes),(classes)->()"
    domain: ClassVar[Domain] = Domain(POSITIVE, POSITIVE)

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        return xp.sum(_beta_terms(xp, prediction, target, 0.0), axis=-1)


@final
@dataclass(frozen=True)
class RenyiDivergence(Loss):
    r"""Renyi divergence of the target from the prediction, in nats.

    .. math:: \frac{1}{\alpha - 1} \log \frac{\sum t^\alpha p^{1 - \alpha}}{\sum t}

    The divergence is smooth in alpha. The limit at alpha = 1 is the Kullback-Leibler divergence
    divided by the sum of t.

    For alpha >= 1, p = 0 where t > 0 gives inf. Rows without overlap (p = 0 or t = 0 in every
    class) give inf for every alpha. An infinite value has derivative 0. A class with p = 0 has
    derivative 0.

    Parameters
    ----------
    alpha : float >= 0
        The order. The divergence increases with the order. For alpha = 0, the divergence depends on
        t only through the sum of t and the classes with t > 0.

    Examples
    --------
    >>> import isoloss as il
    >>> il.RenyiDivergence(alpha=2.0)([[0.25, 0.75]], [[0.5, 0.5]], reduction="none")
    array([0.28768207])

    References
    ----------
    Renyi (1961), *On Measures of Entropy and Information*, equation 3.3. The division by the sum of
    t keeps the value finite as alpha tends to 1, if rows sum to 1 except for rounding.
    """

    signature: ClassVar[str] = "(classes),(classes)->()"
    domain: ClassVar[Domain] = Domain(UNIT, UNIT)
    alpha: NonNegative = 0.5

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        low, lone = prediction == 0, target == 0
        lost = xp.any(low & ~lone, axis=-1) & (self.alpha >= 1)
        lost = lost | xp.all(low | lone, axis=-1)
        return xp.where(lost, math.inf, _renyi(xp, prediction, target, self.alpha))


# --- distances of square roots, and other distances -----------------------------------------------


@final
@dataclass(frozen=True)
class Hellinger(Loss):
    r"""Hellinger distance, from 0 to 1.

    .. math:: \sqrt{\textstyle\frac{1}{2} \sum (\sqrt{p} - \sqrt{t})^2}

    Equal rows have gradient 0. A class with p = 0 has derivative 0, although the limit is infinite.
    The value is accurate for nearly equal rows.

    Examples
    --------
    >>> import isoloss as il
    >>> il.hellinger([[0.25, 0.75], [1.0, 0.0]], [[0.25, 0.75], [0.0, 1.0]], reduction="none")
    array([0., 1.])

    References
    ----------
    Hellinger (1909). Some authors omit the factor 1/2: ``Scaled(hellinger, 2**0.5)``.
    """

    signature: ClassVar[str] = "(classes),(classes)->()"
    domain: ClassVar[Domain] = Domain(UNIT, UNIT)

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        difference = _difference_of_roots(xp, _without_slope_at_0(xp, prediction), target)
        size = xp.max(xp.abs(xp.stop_gradient(difference)), axis=-1, keepdims=True)
        factor = xp.power_of_two(size)
        scaled = difference * factor
        return xp.sqrt(xp.sum(scaled * scaled, axis=-1) / 2) / factor[..., 0]


@final
@dataclass(frozen=True)
class Bhattacharyya(Loss):
    r"""Bhattacharyya distance.

    .. math:: -\log \sum \sqrt{p t}

    Rows without overlap (p = 0 or t = 0 in every class) give inf, with derivative 0. A class with
    p = 0 has derivative 0, although the limit is infinite. The value is accurate for nearly equal
    rows.

    Examples
    --------
    >>> import isoloss as il
    >>> il.bhattacharyya([[1.0, 0.0]], [[0.25, 0.75]], reduction="none")
    array([0.69314718])

    References
    ----------
    Bhattacharyya (1943). For targets that sum to 1, half of `RenyiDivergence` with alpha = 1/2.
    """

    signature: ClassVar[str] = "(classes),(classes)->()"
    domain: ClassVar[Domain] = Domain(UNIT, UNIT)

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        p, t = _without_slope_at_0(xp, prediction), target
        product = xp.sqrt(p) * xp.sqrt(t)
        overlap = xp.sum(product, axis=-1)
        missing = _missing_overlap(xp, p, t, product)
        near, none = missing < 0.5, overlap == 0
        close = xp.log1p(xp.where(near, -missing, 0.0))
        far = xp.log(xp.where(near | none, 1.0, overlap))
        return 0.0 - xp.where(none, -math.inf, xp.where(near, close, far))  # never -0.0


@final
@dataclass(frozen=True)
class TotalVariation(Loss):
    r"""Total variation distance, from 0 to 1: the largest difference of an event's probability.

    .. math:: \textstyle\frac{1}{2} \sum |p - t|

    Subgradient 0 where p = t.

    Examples
    --------
    >>> import isoloss as il
    >>> il.total_variation([[0.5, 0.5]], [[0.25, 0.75]])
    np.float64(0.25)

    References
    ----------
    Levin, Peres and Wilmer (2009), *Markov Chains and Mixing Times*, chapter 4; Liger's
    ``liger_tvd``. `total_variation` is not the total variation of an image.
    """

    signature: ClassVar[str] = "(classes),(classes)->()"
    domain: ClassVar[Domain] = Domain(UNIT, UNIT)

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        return xp.sum(xp.abs(prediction - target), axis=-1) / 2


@final
@dataclass(frozen=True)
class ChiSquared(Loss):
    r"""Pearson's chi-squared divergence of the target from the prediction.

    .. math:: \sum (t - p)^2 / p

    p = 0 where t > 0 gives inf, with derivative 0. A class with p = t = 0 adds 0, with derivative
    0.

    Examples
    --------
    >>> import isoloss as il
    >>> il.chi_squared([[0.25, 0.75]], [[0.5, 0.5]], reduction="none")
    array([0.33333333])

    References
    ----------
    Pearson (1900), whose statistic is n times the divergence, for observed frequencies t and
    expected frequencies p. Neyman's divergence divides by t: exchange the arguments.
    """

    signature: ClassVar[str] = "(classes),(classes)->()"
    domain: ClassVar[Domain] = Domain(UNIT, UNIT)

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        low = prediction == 0
        p = xp.where(low, 1.0, prediction)
        difference = p - xp.where(low, 1.0, target)
        divergence = xp.sum(difference * xp.quotient(difference, p), axis=-1)
        return divergence + _lost(xp, prediction, target)


@final
@dataclass(frozen=True)
class Wasserstein1D(Loss):
    r"""Wasserstein distance of order 1 between distributions over points on a line.

    .. math:: \sum_{k=1}^{n-1} \left|\sum_{j \le k} (p_j - t_j)\right| (x_{k+1} - x_k)

    The value is the moved mass times the distance moved, in the unit of the positions x.

    Classes are in the order of their positions. Subgradient 0 where the cumulative sums of p and t
    are equal.

    Parameters
    ----------
    positions : tuple of float, optional
        The positions of the classes, in increasing order; by default 0, 1, 2, ...

    Examples
    --------
    >>> import isoloss as il
    >>> il.Wasserstein1D(positions=(0.0, 1.0, 10.0))([[0.5, 0.5, 0.0]], [[0.5, 0.0, 0.5]])
    np.float64(4.5)

    References
    ----------
    Vallender (1974); Rubner et al. (2000), *The Earth Mover's Distance*;
    ``scipy.stats.wasserstein_distance``, which takes the weights of each distribution last and
    divides them by their sum.
    """

    signature: ClassVar[str] = "(classes),(classes)->()"
    domain: ClassVar[Domain] = Domain(UNIT, UNIT)
    positions: Annotated[Numbers, REAL] | None = None

    def __post_init__(self) -> None:
        given: Any = self.positions
        if hasattr(given, "tolist"):  # store an array as a tuple
            object.__setattr__(self, "positions", given.tolist())
        super().__post_init__()
        if self.positions is not None:
            _check_positions(self)

    @property
    def sizes(self) -> dict[str, int]:
        return {} if self.positions is None else {"classes": len(self.positions)}

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        difference = prediction - target
        fixed = xp.stop_gradient(difference)
        ahead = xp.cumulative_sum(fixed, axis=-1)
        gaps = _gaps(xp, fixed, self.positions)
        signs = xp.sign(ahead) * gaps
        slope = signs - xp.cumulative_sum(signs, axis=-1) + xp.sum(signs, axis=-1, keepdims=True)
        # value plus slope times step: exact for a piecewise linear function
        return xp.sum(xp.abs(ahead) * gaps + slope * (difference - fixed), axis=-1)


# --- helper functions -----------------------------------------------------------------------------


def _both_positive(xp: Namespace, p: Array, t: Array) -> tuple[Array, Array]:
    """Return p and t where both are positive, else 1 and 1: equal and constant."""
    both = (p > 0) & (t > 0)
    return xp.where(both, p, 1.0), xp.where(both, t, 1.0)


def _without_slope_at_0(xp: Namespace, p: Array) -> Array:
    """Replace zeros by a constant, so that an infinite derivative becomes 0."""
    return xp.where(p == 0, 0.0, p)


def _lost(xp: Namespace, p: Array, t: Array) -> Array:
    """Return inf for rows with p = 0 < t in any class, else 0."""
    return xp.where(xp.any((p == 0) & (t > 0), axis=-1), math.inf, 0.0)


def _is(c: Any, number: float) -> bool:
    """Tell whether a hyper-parameter is a Python number equal to ``number``; False for a tracer."""
    return isinstance(c, (int, float)) and c == number


def _divisor(xp: Namespace, c: Any) -> Any:
    return xp.where(c == 0, 1.0, c)


def _power(x: Array, n: Any) -> Any:
    return 1.0 if _is(n, 0) else x**n


def _first_difference(xp: Namespace, c: Any, log_ratio: Array, start: Array, end: Array) -> Array:
    """Return ``(end - start) / c`` for ``end = start exp(c log_ratio)``, smooth in c at 0."""
    if _is(c, 0):
        return start * log_ratio
    small = xp.abs(c * log_ratio) < 0.5
    tail = xp.relative_expm1(xp.where(small, c * log_ratio, 0.0))
    return xp.where(small, start * log_ratio * (1 + tail), (end - start) / _divisor(xp, c))


def _near_0(xp: Namespace, order: Any, log_ratio: Array) -> Array:
    """Tell where `_near_second_difference` is more accurate."""
    return xp.abs(log_ratio) * (abs(order - 1) + abs(order)) < 1.5


def _near_second_difference(
    xp: Namespace, order: Any, log_ratio: Array, start: Array, near: Array
) -> Array:
    """Return `_second_difference` without the subtraction of first-order terms."""
    inside = xp.where(near, log_ratio, 0.0)
    upper, lower = (0.0 if _is(c, 0) else xp.relative_expm1(c * inside) for c in (order, order - 1))
    return start * inside * (upper - lower)


def _second_difference(
    xp: Namespace, order: Any, log_ratio: Array, start: Array, low: Array, high: Array
) -> Array:
    """Return the increase of `_first_difference` from c = order - 1 to c = order, at least 0.

    ``low`` and ``high`` are ``start exp(c log_ratio)`` at the two values of c.
    """
    near = _near_0(xp, order, log_ratio)
    upper = _first_difference(xp, order, log_ratio, start, high)
    lower = _first_difference(xp, order - 1, log_ratio, start, low)
    close = _near_second_difference(xp, order, log_ratio, start, near)
    return xp.where(near, close, upper - lower)


def _blend(xp: Namespace, p: Array, t: Array, alpha: Any) -> Array:
    """Return ``t^alpha p^(1 - alpha)``, without intermediate overflow or underflow."""
    if _is(alpha, 1):
        return t
    less, ratio = p < t, xp.quotient(p, t)
    return xp.where(less, t, p) * ratio ** xp.where(less, 1 - alpha, -alpha)


def _excess(xp: Namespace, p: Array, t: Array, alpha: Any) -> Array:
    """Return ``sum (t^alpha p^(1 - alpha) - t) / (alpha - 1)`` for positive p and t.

    Where p is near t, a term is t - p plus a remainder of second order. The sum of t - p nearly
    cancels, and is therefore computed exactly.
    """
    log_ratio, start = xp.log_ratio(p, t), _blend(xp, p, t, alpha)
    near = _near_0(xp, alpha, log_ratio)
    rest = alpha * _near_second_difference(xp, alpha, log_ratio, start, near)
    terms = xp.where(near, rest, 0.0 - _first_difference(xp, alpha - 1, log_ratio, start, t))
    high, low = xp.sum_in_two(xp.where(near, t - p, 0.0))
    return xp.sum(terms, axis=-1) + (high + low)


def _renyi(xp: Namespace, prediction: Array, target: Array, alpha: Any) -> Array:
    """Return the Renyi divergence of the rows where it is finite."""
    a, both = alpha - 1, (prediction > 0) & (target > 0)
    p, t = _both_positive(xp, prediction, target)
    # sum(t^alpha p^(1 - alpha)) / sum(t) = 1 + a excess
    size = xp.stop_gradient(xp.log(t) + a * xp.log_ratio(t, p))  # log(t^alpha p^(1 - alpha))
    large = size > 1
    excess = _excess(xp, xp.where(large, 1.0, p), xp.where(large, 1.0, t), alpha)
    only_t = xp.where(prediction == 0, target, 0.0) / -_divisor(xp, a)
    whole = xp.sum(target, axis=-1)
    whole = xp.where(whole == 0, 1.0, whole)
    excess = (excess + xp.sum(only_t, axis=-1)) / whole
    near = (xp.abs(a * excess) < 0.5) & ~xp.any(large, axis=-1)
    close = xp.where(near, excess, 0.0)
    close = close / (1 + xp.relative_expm1(xp.log1p(a * close)))  # log(1 + a excess) / a
    # elsewhere, take the logarithm of the sum; the largest t / p is a factor, against overflow
    largest = xp.where((size > 40) & (size == xp.max(size, axis=-1, keepdims=True)), t / p, 0.0)
    ratio = xp.stop_gradient(xp.max(largest, axis=-1, keepdims=True))
    ratio = xp.where(ratio == 0, 1.0, ratio)
    share = xp.sum(xp.where(both, _blend(xp, p * ratio, t, alpha), 0.0), axis=-1) / whole
    share = xp.where(near | (share == 0), 1.0, share)
    far = xp.log(ratio[..., 0]) + xp.log(share) / _divisor(xp, a)
    return xp.where(near, close, far)


def _alpha_terms(xp: Namespace, prediction: Array, target: Array, alpha: Any) -> Array:
    a, b = alpha - 1, alpha
    low, lone = prediction == 0, target == 0
    p, t = _both_positive(xp, prediction, target)
    terms = _second_difference(xp, b, xp.log_ratio(p, t), _blend(xp, p, t, b), t, p)
    at_0 = xp.where(a < 0, target / -_divisor(xp, a), math.inf)
    at_0 = at_0 + xp.where(b < 0, prediction / _divisor(xp, b), 0.0)  # keeps a finite slope
    alone = xp.where(b > 0, prediction / _divisor(xp, b), math.inf)
    return xp.where(low & lone, 0.0, xp.where(low, at_0, xp.where(lone, alone, terms)))


def _beta_terms(xp: Namespace, prediction: Array, target: Array, beta: Any) -> Array:
    a, b = beta - 1, beta
    if _is(b, 2):  # the only order with a slope at p = 0 that depends on t
        return (prediction - target) * (prediction - target) / 2
    low, lone = prediction == 0, target == 0
    p, t = _both_positive(xp, prediction, target)
    small = b < 1  # beta - 1 may be rounded, and the derivative of the power beta - 1 may overflow
    power = xp.ones_like(p) * _power(p, xp.where(small, b, a))
    upper, lower = xp.where(small, power, p * power), t * power
    lower = xp.where(small, xp.quotient(lower, p), lower)
    terms = _second_difference(xp, b, xp.log_ratio(p, t), _power(t, b), lower, upper)
    at_0 = xp.where(low & ~lone, target, 1.0) ** b / (_divisor(xp, a) * _divisor(xp, b))
    at_0 = xp.where(a > 0, at_0, math.inf)
    alone = xp.where(lone & ~low, prediction, 1.0) ** b / _divisor(xp, b)
    return xp.where(low & lone, 0.0, xp.where(low, at_0, xp.where(lone, alone, terms)))


def _log_of_share(xp: Namespace, x: Array, difference: Array, mixture: Array) -> Array:
    """Return ``log(x / mixture)``, 0 at x = 0; ``difference`` is x - mixture without rounding."""
    mixture = xp.where(mixture == 0, 1.0, mixture)
    near = xp.abs(difference) < 0.5 * mixture
    far = xp.log_ratio(xp.where(near | (x == 0), mixture, x), mixture)
    return xp.where(near, xp.log1p(xp.quotient(xp.where(near, difference, 0.0), mixture)), far)


def _second_order(xp: Namespace, log_ratio: Array, near: Array) -> Array:
    """Return ``log_ratio + exp(-log_ratio) - 1`` where ``near`` holds, else ``log_ratio``."""
    tail = xp.relative_expm1(xp.where(near, -log_ratio, 0.0))
    return xp.where(near, -log_ratio * tail, log_ratio)


def _difference_of_roots(xp: Namespace, p: Array, t: Array) -> Array:
    """Return ``sqrt(p) - sqrt(t)`` without cancellation."""
    roots = xp.sqrt(p) + xp.sqrt(t)
    return xp.quotient(p - t, xp.where(roots == 0, 1.0, roots))


def _missing_overlap(xp: Namespace, p: Array, t: Array, product: Array) -> Array:
    """Return ``1 - sum sqrt(p t)`` without cancellation.

    Where p is near t, ``sqrt(p t)`` is ``(p + t) / 2 - (sqrt(p) - sqrt(t))^2 / 2``.
    """
    near = (p < 16 * t) & (t < 16 * p)
    difference = _difference_of_roots(xp, p, t)
    terms = xp.where(near, difference * difference / 2, 0.0 - product)
    (high_p, low_p), (high_t, low_t) = (xp.sum_in_two(xp.where(near, x, 0.0)) for x in (p, t))
    nearly_0 = (high_p - 1) + (high_t - 1) + (low_p + low_t)
    return xp.sum(terms, axis=-1) - nearly_0 / 2


def _gaps(xp: Namespace, like: Array, positions: Numbers | None) -> Array:
    """Return the distance from each position to the next, and 0 for the last position."""
    if positions is None:
        place = xp.cumulative_sum(xp.ones_like(like), axis=-1)
        return xp.where(place < xp.max(place, axis=-1, keepdims=True), 1.0, xp.zeros_like(like))
    lengths = [after - before for before, after in pairwise(positions)]
    return xp.stack([xp.full_like(like[..., 0], length) for length in (*lengths, 0.0)], axis=-1)


def _check_positions(metric: Wasserstein1D) -> None:
    positions = metric.positions
    if not isinstance(positions, tuple) or not all(type(x) in (int, float) for x in positions):
        message = f"positions must be a tuple of numbers, not {positions!r}"
        raise fail(metric, message, TypeError)
    rising = all(before < after for before, after in pairwise(positions))
    if not (rising and positions and all(map(math.isfinite, positions))):
        raise fail(metric, f"positions must be finite and increase, not {positions!r}")


# --- default instances ----------------------------------------------------------------------------

kl_divergence = KLDivergence()
kl_divergence_with_logits = KLDivergenceWithLogits()
jensen_shannon_divergence = JensenShannonDivergence()
alpha_divergence = AlphaDivergence()
beta_divergence = BetaDivergence()
itakura_saito = ItakuraSaito()
renyi_divergence = RenyiDivergence()
hellinger = Hellinger()
bhattacharyya = Bhattacharyya()
total_variation = TotalVariation()
chi_squared = ChiSquared()
wasserstein_1d = Wasserstein1D()
