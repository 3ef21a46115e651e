"""Divergences: how far a predicted distribution over classes is from the true one.

In every formula p is the prediction and t the target, both along the last axis, over which is
summed. Rows need not sum to 1 exactly, as those of floating-point numbers rarely do: the formulas
hold for the numbers as they are.
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

# --- relatives of the Kullback-Leibler divergence -------------------------------------------------


@final
@dataclass(frozen=True)
class KLDivergence(Loss):
    r"""Kullback-Leibler divergence of the target from the prediction, in nats.

    .. math:: \sum t \log(t / p), \quad 0 \log 0 = 0

    Kind: row-wise; predictions and targets ``(..., classes)`` between 0 and 1, a row with any
    other number is nan. Nothing is clipped: p = 0 where t > 0 gives inf, with derivative 0; a
    class of t = 0 adds 0, with derivative 0. Exact for nearly equal rows.

    Examples
    --------
    >>> import isoloss as il
    >>> il.kl_divergence([[0.25, 0.75], [0.0, 1.0]], [[0.5, 0.5]] * 2, reduction="none")
    array([0.14384104,        inf])

    References
    ----------
    Kullback and Leibler (1951), *On Information and Sufficiency*. Always KL(target || prediction),
    prediction first; torch's ``kl_div`` and optax's ``kl_divergence`` take the logarithm of the
    prediction, and torch's "mean" divides by the number of classes too. torchmetrics takes the
    target first, and divides rows by their sums. Keras clips at 1e-7.
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

    Kind: row-wise; predictions ``(..., classes)`` any logits, of which -inf rules a class out;
    targets ``(..., classes)`` between 0 and 1, a row with any other number is nan. A class of t = 0
    adds 0; one that is ruled out where t > 0 gives inf. Exact for far logits; near the
    target, as exact as the softmax is. The gradient is that of the softmax cross-entropy, which is
    larger by the entropy of the target.

    Examples
    --------
    >>> import isoloss as il
    >>> il.kl_divergence_with_logits([[0.0, 0.0]], [[0.0, 1.0]])
    np.float64(0.6931471805599453)

    References
    ----------
    Kullback and Leibler (1951). torch's ``kl_div`` takes ``log_softmax`` of the logits, and its
    "mean" divides by the number of classes too; `DistillationKL` takes logits on both sides.
    """

    signature: ClassVar[str] = "(classes),(classes)->()"
    domain: ClassVar[Domain] = Domain(LOGITS, UNIT)

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        return xp.softmax_divergence(prediction, target)


@final
@dataclass(frozen=True)
class JensenShannonDivergence(Loss):
    r"""Jensen-Shannon divergence, in nats: that of two distributions from their mixture.

    .. math:: \beta \sum t \log(t / m) + (1 - \beta) \sum p \log(p / m),
        \quad m = \beta t + (1 - \beta) p

    Kind: row-wise; predictions and targets ``(..., classes)`` between 0 and 1, a row with any
    other number is nan. Always finite; at most log 2 for beta = 1/2. A class of p = 0 has
    derivative 0, where the limit is infinite. Exact for nearly equal rows.

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
    Lin (1991), *Divergence Measures Based on the Shannon Entropy*. Liger's ``beta`` weighs the
    target too; there 0 and 1 select KL(target || prediction) and KL(prediction || target), which
    are the limits of this over beta and over 1 - beta. ``scipy.spatial.distance.jensenshannon`` is
    the root of beta = 1/2.
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

    and its limits, through which it is smooth: KL(t || p) at alpha = 1 and KL(p || t) at 0, for
    rows that sum to 1. 1/2 is four times the squared `hellinger` distance, 2 half of `chi_squared`.

    Kind: row-wise; predictions and targets ``(..., classes)`` between 0 and 1, a row with any
    other number is nan. p = 0 < t gives inf from alpha = 1 on, and t = 0 < p up to alpha = 0. A
    class of p = 0 has derivative 0 where the limit is infinite, and where t is 0 too.

    Parameters
    ----------
    alpha : float
        The order: large values punish p < t, small ones p > t.

    Examples
    --------
    >>> import isoloss as il
    >>> il.AlphaDivergence(alpha=2.0)([[0.25, 0.75]], [[0.5, 0.5]], reduction="none")
    array([0.16666667])

    References
    ----------
    Cichocki and Amari (2010), *Families of Alpha-, Beta- and Gamma-Divergences*; Minka (2005).
    Amari's own order is ``2 alpha - 1`` (or its negative).
    """

    signature: ClassVar[str] = "(classes),(classes)->()"
    domain: ClassVar[Domain] = Domain(UNIT, UNIT)
    alpha: Real = 0.5

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        return xp.sum(_alpha_terms(xp, prediction, target, self.alpha), axis=-1)


@final
@dataclass(frozen=True)
class BetaDivergence(Loss):
    r"""Beta divergence, of positive quantities as well as of probabilities.

    .. math:: \sum \frac{t^\beta}{\beta (\beta - 1)} + \frac{p^\beta}{\beta}
        - \frac{t p^{\beta - 1}}{\beta - 1}

    and its limits, through which it is smooth: KL(t || p) at beta = 1, for rows of equal sums, and
    `itakura_saito` at 0. 2 is half the squared error.

    Kind: row-wise; predictions and targets ``(..., classes)`` at least 0 for beta > 0, positive
    otherwise; a row with any other number is nan. p = 0 < t gives inf up to beta = 1. A class of
    p = 0 has derivative 0 where the limit is infinite, and where t is 0 too.

    Parameters
    ----------
    beta : float
        The order: smaller values are less sensitive to scale, of which 0 is independent.

    Examples
    --------
    >>> import isoloss as il
    >>> il.BetaDivergence(beta=2.0)([[1.0, 4.0]], [[2.0, 2.0]])
    np.float64(2.5)

    References
    ----------
    Eguchi and Kano (2001); Cichocki and Amari (2010); scikit-learn's ``beta_loss``. Basu et al.
    (1998) count from 0, which is beta = 1, and multiply by it. Half of `TweedieDeviance` of the
    power 2 - beta.
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
    r"""Itakura-Saito divergence of spectra: independent of their scale.

    .. math:: \sum t / p - \log(t / p) - 1

    Kind: row-wise; predictions and targets ``(..., classes)`` positive, a row with any other number
    is nan. Exact for nearly equal rows.

    Examples
    --------
    >>> import isoloss as il
    >>> il.itakura_saito([[2.0, 2.0]], [[2.0, 4.0]], reduction="none")
    array([0.30685282])

    References
    ----------
    Itakura and Saito (1968), *Analysis Synthesis Telephony Based on the Maximum Likelihood Method*.
    Half of `gamma_deviance`; `beta_divergence` of 0; scikit-learn's ``beta_loss="itakura-saito"``.
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

    and its limit at alpha = 1, through which it is smooth: the Kullback-Leibler divergence over
    the sum of t.

    Kind: row-wise; predictions and targets ``(..., classes)`` between 0 and 1, a row with any
    other number is nan. From alpha = 1 on, p = 0 where t > 0 gives inf, as rows that are nowhere
    both positive do for every alpha; the derivative there is 0. A class of p = 0 has derivative 0.

    Parameters
    ----------
    alpha : float >= 0
        The order; the divergence grows with it. 0 only asks where t is positive.

    Examples
    --------
    >>> import isoloss as il
    >>> il.RenyiDivergence(alpha=2.0)([[0.25, 0.75]], [[0.5, 0.5]], reduction="none")
    array([0.28768207])

    References
    ----------
    Renyi (1961), *On Measures of Entropy and Information*, equation 3.3, whose sum over t keeps it
    finite as alpha tends to 1 for rows that sum to 1 but for rounding.
    """

    signature: ClassVar[str] = "(classes),(classes)->()"
    domain: ClassVar[Domain] = Domain(UNIT, UNIT)
    alpha: NonNegative = 0.5

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        low, lone = prediction == 0, target == 0
        lost = xp.any(low & ~lone, axis=-1) & (self.alpha >= 1)
        lost = lost | xp.all(low | lone, axis=-1)
        return xp.where(lost, math.inf, _renyi(xp, prediction, target, self.alpha))


# --- distances of square roots, and others --------------------------------------------------------


@final
@dataclass(frozen=True)
class Hellinger(Loss):
    r"""Hellinger distance, from 0 to 1.

    .. math:: \sqrt{\textstyle\frac{1}{2} \sum (\sqrt{p} - \sqrt{t})^2}

    Kind: row-wise; predictions and targets ``(..., classes)`` between 0 and 1, a row with any
    other number is nan. Equal rows have gradient 0; a class of p = 0 has derivative 0, where the
    limit is infinite. Exact for nearly equal rows.

    Examples
    --------
    >>> import isoloss as il
    >>> il.hellinger([[0.25, 0.75], [1.0, 0.0]], [[0.25, 0.75], [0.0, 1.0]], reduction="none")
    array([0., 1.])

    References
    ----------
    Hellinger (1909). Some authors leave out the 1/2: ``Scaled(hellinger, 2**0.5)``.
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

    Kind: row-wise; predictions and targets ``(..., classes)`` between 0 and 1, a row with any
    other number is nan. Rows that are nowhere both positive give inf, with derivative 0; a class
    of p = 0 has derivative 0, where the limit is infinite. Exact for nearly equal rows.

    Examples
    --------
    >>> import isoloss as il
    >>> il.bhattacharyya([[1.0, 0.0]], [[0.25, 0.75]], reduction="none")
    array([0.69314718])

    References
    ----------
    Bhattacharyya (1943). Half of `renyi_divergence` of 1/2, for targets that sum to 1.
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
    r"""Total variation distance, from 0 to 1: the largest difference of an event's probabilities.

    .. math:: \textstyle\frac{1}{2} \sum |p - t|

    Kind: row-wise; predictions and targets ``(..., classes)`` between 0 and 1, a row with any
    other number is nan. Subgradient 0 where p = t.

    Examples
    --------
    >>> import isoloss as il
    >>> il.total_variation([[0.5, 0.5]], [[0.25, 0.75]])
    np.float64(0.25)

    References
    ----------
    Levin, Peres and Wilmer (2009), *Markov Chains and Mixing Times*, chapter 4; Liger's
    ``liger_tvd``. Not the total variation of an image.
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

    Kind: row-wise; predictions and targets ``(..., classes)`` between 0 and 1, a row with any
    other number is nan. p = 0 where t > 0 gives inf, with derivative 0; a class of p = t = 0 adds
    0, with derivative 0.

    Examples
    --------
    >>> import isoloss as il
    >>> il.chi_squared([[0.25, 0.75]], [[0.5, 0.5]], reduction="none")
    array([0.33333333])

    References
    ----------
    Pearson (1900), whose statistic is n times it, of the observed frequencies t and the expected
    ones p. Neyman's divides by t: with the arguments exchanged.
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
    r"""Wasserstein distance of order 1 of distributions over points of a line.

    .. math:: \sum_{k=1}^{n-1} \left|\sum_{j \le k} (p_j - t_j)\right| (x_{k+1} - x_k)

    The mass times the way it has to go, in the unit of the positions x.

    Kind: row-wise; predictions and targets ``(..., classes)`` between 0 and 1, in the order of
    their positions; a row with any other number is nan. Subgradient 0 where both distribution
    functions are equal.

    Parameters
    ----------
    positions : tuple of float, optional
        Where the classes lie, in increasing order; 0, 1, 2, ... by default.

    Examples
    --------
    >>> import isoloss as il
    >>> il.Wasserstein1D(positions=(0.0, 1.0, 10.0))([[0.5, 0.5, 0.0]], [[0.5, 0.0, 0.5]])
    np.float64(4.5)

    References
    ----------
    Vallender (1974); Rubner et al. (2000), *The Earth Mover's Distance*;
    ``scipy.stats.wasserstein_distance``, which takes the weights of each sample last and divides
    them by their sum.
    """

    signature: ClassVar[str] = "(classes),(classes)->()"
    domain: ClassVar[Domain] = Domain(UNIT, UNIT)
    positions: Annotated[Numbers, REAL] | None = None

    def __post_init__(self) -> None:
        given: Any = self.positions
        if hasattr(given, "tolist"):  # an array is as good as a tuple
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
        # a piecewise linear function is its value here and its slope
        return xp.sum(xp.abs(ahead) * gaps + slope * (difference - fixed), axis=-1)


# --- what they are made of ------------------------------------------------------------------------


def _both_positive(xp: Namespace, p: Array, t: Array) -> tuple[Array, Array]:
    """Return both where both are positive, elsewhere 1 and 1: equal, and constant."""
    both = (p > 0) & (t > 0)
    return xp.where(both, p, 1.0), xp.where(both, t, 1.0)


def _without_slope_at_0(xp: Namespace, p: Array) -> Array:
    """Make zeros constant: an infinite derivative becomes 0."""
    return xp.where(p == 0, 0.0, p)


def _lost(xp: Namespace, p: Array, t: Array) -> Array:
    """Return inf for rows of which the prediction excludes what the target does not, else 0."""
    return xp.where(xp.any((p == 0) & (t > 0), axis=-1), math.inf, 0.0)


def _is(c: Any, number: float) -> bool:
    """Tell whether a hyper-parameter is a number, and this one; of a tracer nothing is known."""
    return isinstance(c, (int, float)) and c == number


def _divisor(xp: Namespace, c: Any) -> Any:
    return xp.where(c == 0, 1.0, c)


def _power(x: Array, n: Any) -> Any:
    return 1.0 if _is(n, 0) else x**n


def _first_difference(xp: Namespace, c: Any, log_ratio: Array, start: Array, end: Array) -> Array:
    """Return ``(end - start) / c`` for ``end = start exp(c log_ratio)``, smooth in c through 0."""
    if _is(c, 0):
        return start * log_ratio
    small = xp.abs(c * log_ratio) < 0.5
    tail = xp.relative_expm1(xp.where(small, c * log_ratio, 0.0))
    return xp.where(small, start * log_ratio * (1 + tail), (end - start) / _divisor(xp, c))


def _near_0(xp: Namespace, order: Any, log_ratio: Array) -> Array:
    """Tell where `_near_second_difference` is the more exact form."""
    return xp.abs(log_ratio) * (abs(order - 1) + abs(order)) < 1.5


def _near_second_difference(
    xp: Namespace, order: Any, log_ratio: Array, start: Array, near: Array
) -> Array:
    """Return `_second_difference` without subtracting numbers of first order."""
    inside = xp.where(near, log_ratio, 0.0)
    upper, lower = (0.0 if _is(c, 0) else xp.relative_expm1(c * inside) for c in (order, order - 1))
    return start * inside * (upper - lower)


def _second_difference(
    xp: Namespace, order: Any, log_ratio: Array, start: Array, low: Array, high: Array
) -> Array:
    """Return by how much `_first_difference` grows from c = order - 1 to order: at least 0.

    ``low`` and ``high`` are ``start exp(c log_ratio)`` for the two.
    """
    near = _near_0(xp, order, log_ratio)
    upper = _first_difference(xp, order, log_ratio, start, high)
    lower = _first_difference(xp, order - 1, log_ratio, start, low)
    close = _near_second_difference(xp, order, log_ratio, start, near)
    return xp.where(near, close, upper - lower)


def _blend(xp: Namespace, p: Array, t: Array, alpha: Any) -> Array:
    """Return ``t^alpha p^(1 - alpha)``, without leaving the range of numbers on the way."""
    if _is(alpha, 1):
        return t
    less, ratio = p < t, xp.quotient(p, t)
    return xp.where(less, t, p) * ratio ** xp.where(less, 1 - alpha, -alpha)


def _excess(xp: Namespace, p: Array, t: Array, alpha: Any) -> Array:
    """Return ``sum (t^alpha p^(1 - alpha) - t) / (alpha - 1)`` of positive numbers.

    Where p is near t, a term is t - p and a rest of second order. The sum of t - p nearly
    vanishes, and has to be exact.
    """
    log_ratio, start = xp.log_ratio(p, t), _blend(xp, p, t, alpha)
    near = _near_0(xp, alpha, log_ratio)
    rest = alpha * _near_second_difference(xp, alpha, log_ratio, start, near)
    terms = xp.where(near, rest, 0.0 - _first_difference(xp, alpha - 1, log_ratio, start, t))
    high, low = xp.sum_in_two(xp.where(near, t - p, 0.0))
    return xp.sum(terms, axis=-1) + (high + low)


def _renyi(xp: Namespace, prediction: Array, target: Array, alpha: Any) -> Array:
    """Return the Renyi divergence of rows where it is finite."""
    a, both = alpha - 1, (prediction > 0) & (target > 0)
    p, t = _both_positive(xp, prediction, target)
    # the sum of t^alpha p^(1 - alpha), as a part of that of t, is 1 + a excess
    size = xp.stop_gradient(xp.log(t) + a * xp.log_ratio(t, p))  # logarithms of its terms
    large = size > 1
    excess = _excess(xp, xp.where(large, 1.0, p), xp.where(large, 1.0, t), alpha)
    only_t = xp.where(prediction == 0, target, 0.0) / -_divisor(xp, a)
    whole = xp.sum(target, axis=-1)
    whole = xp.where(whole == 0, 1.0, whole)
    excess = (excess + xp.sum(only_t, axis=-1)) / whole
    near = (xp.abs(a * excess) < 0.5) & ~xp.any(large, axis=-1)
    close = xp.where(near, excess, 0.0)
    close = close / (1 + xp.relative_expm1(xp.log1p(a * close)))  # log(1 + a excess) / a
    # elsewhere the sum itself, the ratio of its largest term taken out before it overflows
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
    at_0 = at_0 + xp.where(b < 0, prediction / _divisor(xp, b), 0.0)  # a slope that is finite
    alone = xp.where(b > 0, prediction / _divisor(xp, b), math.inf)
    return xp.where(low & lone, 0.0, xp.where(low, at_0, xp.where(lone, alone, terms)))


def _beta_terms(xp: Namespace, prediction: Array, target: Array, beta: Any) -> Array:
    a, b = beta - 1, beta
    if _is(b, 2):  # the one with a slope at p = 0 that depends on t
        return (prediction - target) * (prediction - target) / 2
    low, lone = prediction == 0, target == 0
    p, t = _both_positive(xp, prediction, target)
    small = b < 1  # then beta - 1 may be rounded, and the derivative of its power overflow
    power = xp.ones_like(p) * _power(p, xp.where(small, b, a))
    upper, lower = xp.where(small, power, p * power), t * power
    lower = xp.where(small, xp.quotient(lower, p), lower)
    terms = _second_difference(xp, b, xp.log_ratio(p, t), _power(t, b), lower, upper)
    at_0 = xp.where(low & ~lone, target, 1.0) ** b / (_divisor(xp, a) * _divisor(xp, b))
    at_0 = xp.where(a > 0, at_0, math.inf)
    alone = xp.where(lone & ~low, prediction, 1.0) ** b / _divisor(xp, b)
    return xp.where(low & lone, 0.0, xp.where(low, at_0, xp.where(lone, alone, terms)))


def _log_of_share(xp: Namespace, x: Array, difference: Array, mixture: Array) -> Array:
    """Return ``log(x / mixture)``, 0 at x = 0; ``difference`` is x - mixture, not rounded."""
    mixture = xp.where(mixture == 0, 1.0, mixture)
    near = xp.abs(difference) < 0.5 * mixture
    far = xp.log_ratio(xp.where(near | (x == 0), mixture, x), mixture)
    return xp.where(near, xp.log1p(xp.quotient(xp.where(near, difference, 0.0), mixture)), far)


def _second_order(xp: Namespace, log_ratio: Array, near: Array) -> Array:
    """Return ``log_ratio + exp(-log_ratio) - 1`` where it is near 0, itself elsewhere."""
    tail = xp.relative_expm1(xp.where(near, -log_ratio, 0.0))
    return xp.where(near, -log_ratio * tail, log_ratio)


def _difference_of_roots(xp: Namespace, p: Array, t: Array) -> Array:
    """Return ``sqrt(p) - sqrt(t)`` without cancellation."""
    roots = xp.sqrt(p) + xp.sqrt(t)
    return xp.quotient(p - t, xp.where(roots == 0, 1.0, roots))


def _missing_overlap(xp: Namespace, p: Array, t: Array, product: Array) -> Array:
    """Return ``1 - sum sqrt(p t)``, where p is near t by (p + t) / 2 less half a square."""
    near = (p < 16 * t) & (t < 16 * p)
    difference = _difference_of_roots(xp, p, t)
    terms = xp.where(near, difference * difference / 2, 0.0 - product)
    (high_p, low_p), (high_t, low_t) = (xp.sum_in_two(xp.where(near, x, 0.0)) for x in (p, t))
    nearly_0 = (high_p - 1) + (high_t - 1) + (low_p + low_t)
    return xp.sum(terms, axis=-1) - nearly_0 / 2


def _gaps(xp: Namespace, like: Array, positions: Numbers | None) -> Array:
    """Return the distance of each position to the next, and 0 for the last."""
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


# --- the members most people call -----------------------------------------------------------------

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
