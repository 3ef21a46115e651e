"""Probabilistic forecasts: scores of densities, ensembles and intervals.

In every formula y is the target. A forecast with several parameters is a tuple of arrays, in the
order of the metric's ``prediction_names``: ``gaussian_nll((mean, variance), targets)``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, final

from .._core.domains import BETWEEN_0_AND_1, NON_NEGATIVE, POSITIVE, REAL, Domain, Interval
from .._core.errors import fail
from .._core.metric import Loss
from .._core.parameters import Level, Numbers, Positive
from .._core.types import Array, Namespace

__all__ = [
    "CRPSEnsemble",
    "CRPSGaussian",
    "CRPSLaplace",
    "CRPSLogistic",
    "EnergyScore",
    "GaussianNLL",
    "IntervalCoverage",
    "IntervalScore",
    "IntervalWidth",
    "LaplaceNLL",
    "LognormalNLL",
    "NegativeBinomialNLL",
    "StudentTNLL",
    "VariogramScore",
    "WeightedIntervalScore",
    "crps_ensemble",
    "crps_gaussian",
    "crps_laplace",
    "crps_logistic",
    "energy_score",
    "gaussian_nll",
    "interval_coverage",
    "interval_score",
    "interval_width",
    "laplace_nll",
    "lognormal_nll",
    "negative_binomial_nll",
    "student_t_nll",
    "variogram_score",
    "weighted_interval_score",
]

_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
_FREEDOM = Interval(low=0.0, low_open=True, infinite=True)

# --- negative log densities -----------------------------------------------------------------------


@final
@dataclass(frozen=True)
class GaussianNLL(Loss):
    r"""Negative log density of a normal distribution.

    .. math:: \tfrac12 \left(\log v + \frac{(y - \mu)^2}{v}\right)
        \qquad \left[\; + \tfrac12 \log 2 \pi \;\right]

    Predictions are a tuple ``(mean, variance)`` and are not clipped. The loss is smooth everywhere.

    Parameters
    ----------
    full : bool
        Whether to add the constant, which makes losses of different distributions comparable.

    Examples
    --------
    >>> import isoloss as il
    >>> il.GaussianNLL(full=False)(([1.0, 0.0], [1.0, 4.0]), [1.0, 2.0], reduction="none")
    array([0.        , 1.19314718])

    References
    ----------
    Nix and Weigend (1994), *Estimating the Mean and Variance of the Target Probability
    Distribution*. torch's ``gaussian_nll_loss`` omits the constant by default (``full=False``),
    takes the targets between the mean and the variance, and replaces variances below 1e-6 by 1e-6.
    scoringrules takes the standard deviation.
    """

    signature: ClassVar[str] = "((),()),()->()"
    prediction_names: ClassVar[tuple[str, ...]] = ("mean", "variance")
    domain: ClassVar[Domain] = Domain(predictions=(REAL, POSITIVE), targets=REAL)
    full: bool = True

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        mean, variance = prediction
        # divided before it is squared, as the square of the error may be out of range
        z = xp.quotient(mean - target, xp.sqrt(variance))
        terms = 0.5 * (xp.log(variance) + z * z)
        return terms + _HALF_LOG_2PI if self.full else terms


@final
@dataclass(frozen=True)
class LaplaceNLL(Loss):
    r"""Negative log density of a Laplace distribution.

    .. math:: \log b + \frac{|y - \mu|}{b} \qquad [\; + \log 2 \;]

    Predictions are a tuple ``(location, scale)``. The subgradient at y = location is 0.

    Parameters
    ----------
    full : bool
        Whether to add the constant, which makes losses of different distributions comparable.

    Examples
    --------
    >>> import isoloss as il
    >>> il.LaplaceNLL(full=False)(([1.0, 0.0], [1.0, 2.0]), [1.0, 3.0], reduction="none")
    array([0.        , 2.19314718])

    References
    ----------
    Laplace (1774). The scale is the mean absolute error, which is the standard deviation divided by
    sqrt(2), as in the distributions of torch and SciPy.
    """

    signature: ClassVar[str] = "((),()),()->()"
    prediction_names: ClassVar[tuple[str, ...]] = ("location", "scale")
    domain: ClassVar[Domain] = Domain(predictions=(REAL, POSITIVE), targets=REAL)
    full: bool = True

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        location, scale = prediction
        terms = xp.log(scale) + xp.quotient(xp.abs(location - target), scale)
        return terms + math.log(2) if self.full else terms


@final
@dataclass(frozen=True)
class StudentTNLL(Loss):
    r"""Negative log density of Student's t distribution.

    .. math:: \log \frac{\Gamma(\nu / 2) \sqrt{\pi \nu} \, s}{\Gamma((\nu + 1) / 2)}
        + \frac{\nu + 1}{2} \log\left(1 + \frac{z^2}{\nu}\right), \quad z = \frac{y - \mu}{s}

    Predictions are a tuple ``(freedom, location, scale)``. The loss is smooth everywhere. The value
    and the derivatives are accurate for any number of degrees of freedom, because the two gamma
    functions are never subtracted. For infinite degrees of freedom, the loss is that of the normal
    distribution.

    Examples
    --------
    >>> import isoloss as il
    >>> il.student_t_nll(([1.0, 1e12], [0.0, 0.0], [1.0, 1.0]), [0.0, 0.0], reduction="none")
    array([1.14472989, 0.91893853])

    References
    ----------
    Student (1908), *The Probable Error of a Mean*; Lange, Little and Taylor (1989), *Robust
    Statistical Modeling Using the t Distribution*. The order of the parameters is that of torch's
    ``StudentT`` and of scoringrules. The scale is smaller than the standard deviation.
    """

    signature: ClassVar[str] = "((),(),()),()->()"
    prediction_names: ClassVar[tuple[str, ...]] = ("freedom", "location", "scale")
    domain: ClassVar[Domain] = Domain(predictions=(_FREEDOM, REAL, POSITIVE), targets=REAL)

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        freedom, location, scale = prediction
        return xp.student_t(freedom, location - target, scale)


@final
@dataclass(frozen=True)
class NegativeBinomialNLL(Loss):
    r"""Negative log likelihood of counts under a negative binomial distribution.

    .. math:: -\log \frac{\Gamma(y + r)}{y! \, \Gamma(r)}
        - r \log \frac{r}{r + \mu} - y \log \frac{\mu}{r + \mu}, \quad r = \frac1\alpha

    where mu is the mean and alpha the dispersion. The variance is ``mean + dispersion * mean^2``.
    Dispersion 0 gives the Poisson distribution.

    Predictions are a tuple ``(mean, dispersion)``. The loss is smooth everywhere. The value and the
    derivatives are accurate for any dispersion and count, because the gamma functions are never
    subtracted.

    Examples
    --------
    >>> import isoloss as il
    >>> il.negative_binomial_nll(([2.0, 2.0], [0.0, 0.5]), [3.0, 3.0], reduction="none")
    array([1.71231793, 2.07944154])

    References
    ----------
    Cameron and Trivedi (1986), *Econometric Models Based on Count Data*, second kind; statsmodels,
    R's ``glm.nb`` (theta is 1 / dispersion) and GluonTS. For the parameters of torch's
    ``NegativeBinomial(total_count, probs)``, use ``mean = total_count * probs / (1 - probs)`` and
    ``dispersion = 1 / total_count``. For those of SciPy's ``nbinom(n, p)``, use
    ``mean = n * (1 - p) / p`` and ``dispersion = 1 / n``.
    """

    signature: ClassVar[str] = "((),()),()->()"
    prediction_names: ClassVar[tuple[str, ...]] = ("mean", "dispersion")
    domain: ClassVar[Domain] = Domain(predictions=(POSITIVE, NON_NEGATIVE), targets=NON_NEGATIVE)

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        mean, dispersion = prediction
        return xp.negative_binomial(mean, dispersion, target)


@final
@dataclass(frozen=True)
class LognormalNLL(Loss):
    r"""Negative log density of a log-normal distribution.

    .. math:: \log y + \log \sigma + \tfrac12 \log 2 \pi
        + \tfrac12 \left(\frac{\log y - \mu}{\sigma}\right)^2

    Predictions are a tuple ``(mu, sigma)`` of the mean and the standard deviation of the logarithm.
    The loss is smooth everywhere.

    Examples
    --------
    >>> import isoloss as il
    >>> il.lognormal_nll(([0.0, 0.0], [1.0, 2.0]), [1.0, 1.0], reduction="none")
    array([0.91893853, 1.61208571])

    References
    ----------
    Galton (1879), McAlister (1879). torch's ``LogNormal`` calls the parameters loc and scale.
    SciPy's ``lognorm`` takes s = sigma and scale = exp(mu).
    """

    signature: ClassVar[str] = "((),()),()->()"
    prediction_names: ClassVar[tuple[str, ...]] = ("mu", "sigma")
    domain: ClassVar[Domain] = Domain(predictions=(REAL, POSITIVE), targets=POSITIVE)

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        mu, sigma = prediction
        logarithm = xp.log(target)
        z = xp.quotient(mu - logarithm, sigma)
        return logarithm + xp.log(sigma) + _HALF_LOG_2PI + 0.5 * z * z


# --- continuous ranked probability scores ---------------------------------------------------------


@final
@dataclass(frozen=True)
class CRPSGaussian(Loss):
    r"""Continuous ranked probability score of a normal distribution.

    .. math:: \sigma \left(z (2 \Phi(z) - 1) + 2 \varphi(z) - \frac{1}{\sqrt\pi}\right),
        \quad z = \frac{y - \mu}{\sigma}

    The score is the integral of the squared difference between the distribution functions of the
    forecast and of the target. As the scale tends to 0, the score tends to the absolute error. The
    value is in the unit of the target.

    Predictions are a tuple ``(location, scale)`` of the mean and the standard deviation. The score
    is smooth everywhere, and accurate at any distance of the target.

    Examples
    --------
    >>> import isoloss as il
    >>> il.crps_gaussian(([0.0, 0.0], [1.0, 1.0]), [0.0, 1e9], reduction="none")
    array([2.33694977e-01, 9.99999999e+08])

    References
    ----------
    Gneiting et al. (2005), *Calibrated Probabilistic Forecasting Using Ensemble Model Output
    Statistics*; scoringrules' ``crps_normal``.
    """

    signature: ClassVar[str] = "((),()),()->()"
    prediction_names: ClassVar[tuple[str, ...]] = ("location", "scale")
    domain: ClassVar[Domain] = Domain(predictions=(REAL, POSITIVE), targets=REAL)

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        location, scale = prediction
        error = location - target
        reached = xp.abs(error) <= 40 * scale  # beyond, the density is 0
        z = _ratio(xp, error, scale, reached)
        near, power = xp.abs(z) < 1, -0.5 * z * z
        bell = xp.where(near, xp.expm1(xp.where(near, power, 0.0)), xp.exp(power) - 1)
        bell = math.sqrt(2 / math.pi) * xp.where(reached, bell, -1.0) + _CRPS_AT_0
        # with the error as a factor, the derivative by the scale does not cancel
        return error * xp.where(reached, xp.erf(z / math.sqrt(2)), xp.sign(error)) + scale * bell


_CRPS_AT_0 = (math.sqrt(2) - 1) / math.sqrt(math.pi)


def _ratio(xp: Namespace, x: Array, y: Array, where: Array) -> Array:
    """Return x / y where the mask is true, and 0 with derivative 0 elsewhere, for any x and y."""
    x, y = xp.where(where, x, xp.zeros_like(x)), xp.where(where, y, xp.ones_like(y))
    return xp.quotient(x, y)


@final
@dataclass(frozen=True)
class CRPSLaplace(Loss):
    r"""Continuous ranked probability score of a Laplace distribution.

    .. math:: b \left(|z| + e^{-|z|} - \tfrac34\right), \quad z = \frac{y - \mu}{b}

    The value is in the unit of the target.

    Predictions are a tuple ``(location, scale)``. The score is twice differentiable everywhere, and
    accurate at any distance of the target.

    Examples
    --------
    >>> import isoloss as il
    >>> il.crps_laplace(([0.0, 0.0], [1.0, 1.0]), [0.0, 1e9], reduction="none")
    array([2.50000000e-01, 9.99999999e+08])

    References
    ----------
    Jordan, Krüger and Lerch (2019), *Evaluating Probabilistic Forecasts with scoringRules*;
    scoringrules' ``crps_laplace``.
    """

    signature: ClassVar[str] = "((),()),()->()"
    prediction_names: ClassVar[tuple[str, ...]] = ("location", "scale")
    domain: ClassVar[Domain] = Domain(predictions=(REAL, POSITIVE), targets=REAL)

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        location, scale = prediction
        error = location - target
        size = xp.abs(error)
        near, reached = size < scale, size <= 750 * scale  # beyond, the density is 0
        z = _ratio(xp, error, scale, near)
        inside = scale * (z * z * xp.exp_remainder(-xp.abs(z)) + 0.25)
        tail = xp.where(reached, xp.exp(-_ratio(xp, size, scale, reached)), 0.0)
        return xp.where(near, inside, size + scale * (tail - 0.75))


@final
@dataclass(frozen=True)
class CRPSLogistic(Loss):
    r"""Continuous ranked probability score of a logistic distribution.

    .. math:: s \left(z - 2 \log F(z) - 1\right), \quad F(z) = \frac{1}{1 + e^{-z}},
        \quad z = \frac{y - \mu}{s}

    The value is in the unit of the target.

    Predictions are a tuple ``(location, scale)``. The score is smooth everywhere, and accurate at
    any distance of the target.

    Examples
    --------
    >>> import isoloss as il
    >>> il.crps_logistic(([0.0, 0.0], [1.0, 1.0]), [0.0, 1e9], reduction="none")
    array([3.86294361e-01, 9.99999999e+08])

    References
    ----------
    Taillardat et al. (2016), *Calibrated Ensemble Forecasts Using Quantile Regression Forests and
    Ensemble Model Output Statistics*; scoringrules' ``crps_logistic``. The standard deviation is
    ``pi / sqrt(3)`` times the scale.
    """

    signature: ClassVar[str] = "((),()),()->()"
    prediction_names: ClassVar[tuple[str, ...]] = ("location", "scale")
    domain: ClassVar[Domain] = Domain(predictions=(REAL, POSITIVE), targets=REAL)

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        location, scale = prediction
        error = location - target
        size = xp.abs(error)
        near, reached = size < scale, size <= 750 * scale  # beyond, the density is 0
        z = _ratio(xp, error, scale, near)
        inside = scale * (2 * xp.log_cosh(z / 2) + (2 * math.log(2) - 1))
        tail = xp.where(reached, xp.exp(-_ratio(xp, size, scale, reached)), 0.0)
        return xp.where(near, inside, size + scale * (2 * xp.log1p(tail) - 1))


# --- ensembles ------------------------------------------------------------------------------------


def _partners(metric: Any, members: int) -> int:
    """Return the divisor of the sum of distances from one member to the others."""
    if metric.estimator == "ecdf":
        return members
    if members < 2:
        message = "a fair estimate needs 2 members at least, and there is 1"
        raise fail(metric, f"{message}; use {type(metric).__name__}(estimator='ecdf')")
    return members - 1


@final
@dataclass(frozen=True)
class CRPSEnsemble(Loss):
    r"""Continuous ranked probability score of an ensemble of equally likely members.

    .. math:: \frac1m \sum_i |x_i - y| - \frac{1}{2 m (m - 1)} \sum_{i,j} |x_i - x_j|
        \qquad [\; m^2 \text{ for } m (m - 1) \;]

    The estimator "ecdf" divides by m^2 in place of m (m - 1). The score is computed from the ranks
    of the members, in O(m log m) time and O(m) memory. No term of the sum is negative, so there is
    no cancellation. The value is in the unit of the target.

    Equal members share their derivatives. The derivative of ``|x - y|`` at x = y is 0.

    Parameters
    ----------
    estimator : {"fair", "ecdf"}
        "fair" treats the members as a sample of the forecast distribution and estimates its score
        without bias. "ecdf" treats the members as the forecast distribution itself.

    Raises
    ------
    ValueError
        For an unknown estimator, and for a fair estimate from a single member.

    Examples
    --------
    >>> import isoloss as il
    >>> il.crps_ensemble([[1.0, 2.0, 3.0]], [2.5])
    np.float64(0.16666666666666666)
    >>> il.CRPSEnsemble(estimator="ecdf")([[1.0, 2.0, 3.0]], [2.5])
    np.float64(0.3888888888888889)

    References
    ----------
    Matheson and Winkler (1976), *Scoring Rules for Continuous Probability Distributions*; Ferro
    (2014), *Fair Scores for Ensemble Forecasts*. The default of torchmetrics and of scoringrules
    ("qd") is the "ecdf" estimate.
    """

    signature: ClassVar[str] = "(members),()->()"
    estimator: Literal["fair", "ecdf"] = "fair"

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        error = prediction - xp.expand_dims(target, axis=-1)
        members = error.shape[-1]
        partners = _partners(self, members)
        # slope has the sign of error; members are ranked, as rounding could make errors equal
        slope = partners * xp.sign(error) - (2 * xp.rank(prediction) - (members + 1))
        return xp.sum(error * slope, axis=-1) / (members * partners)


@final
@dataclass(frozen=True)
class EnergyScore(Loss):
    r"""Energy score: the generalisation of `CRPSEnsemble` to ensembles of vectors.

    .. math:: \frac1m \sum_i \lVert x_i - y \rVert
        - \frac{1}{2 m (m - 1)} \sum_{i,j} \lVert x_i - x_j \rVert
        \qquad [\; m^2 \text{ for } m (m - 1) \;]

    The value is in the unit of the target. All distances between the vectors of a sample are in
    memory at once.

    The derivative of the distance between equal vectors is 0.

    Parameters
    ----------
    estimator : {"fair", "ecdf"}
        As in `CRPSEnsemble`. With one feature, both scores are equal.

    Raises
    ------
    ValueError
        For an unknown estimator, and for a fair estimate from a single member.

    Examples
    --------
    >>> import isoloss as il
    >>> il.EnergyScore(estimator="ecdf")([[[0.0, 0.0], [6.0, 8.0]]], [[3.0, 4.0]])
    np.float64(2.5)

    References
    ----------
    Gneiting and Raftery (2007), *Strictly Proper Scoring Rules, Prediction, and Estimation*;
    scoringrules' ``es_ensemble`` is the "ecdf" estimate.
    """

    signature: ClassVar[str] = "(members, features),(features)->()"
    estimator: Literal["fair", "ecdf"] = "fair"

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        members = prediction.shape[-2]
        pairs = members * _partners(self, members)
        others = xp.expand_dims(prediction, axis=-3)
        between = xp.euclidean_norm(xp.expand_dims(prediction, axis=-2) - others)
        from_target = xp.euclidean_norm(prediction - xp.expand_dims(target, axis=-2))
        return xp.mean(from_target, axis=-1) - xp.sum(between, axis=(-2, -1)) / (2 * pairs)


@final
@dataclass(frozen=True)
class VariogramScore(Loss):
    r"""Variogram score: the squared error of the expected differences between features.

    .. math:: \sum_{i,j} \left(|y_i - y_j|^p - \frac1m \sum_k |x_{ki} - x_{kj}|^p\right)^2

    The score is sensitive to wrong correlations, which have little effect on the energy score. It
    does not change with a bias that all features share. All differences between the features of a
    sample are in memory at once.

    Where a difference is 0, the derivative of its power is 0.

    Parameters
    ----------
    power : float > 0
        The exponent p of the differences.

    Examples
    --------
    >>> import isoloss as il
    >>> il.VariogramScore(power=1.0)([[[0.0, 1.0], [2.0, 5.0]]], [[0.0, 3.0]])
    np.float64(2.0)

    References
    ----------
    Scheuerer and Hamill (2015), *Variogram-Based Proper Scoring Rules for Probabilistic Forecasts
    of Multivariate Quantities*, with all weights 1. The sum counts each pair of features twice, as
    in the paper and in scoringrules' ``vs_ensemble``.
    """

    signature: ClassVar[str] = "(members, features),(features)->()"
    power: Positive = 0.5

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        def differences(x: Array) -> Array:
            pairs = xp.expand_dims(x, axis=-1) - xp.expand_dims(x, axis=-2)
            return xp.absolute_power(pairs, self.power)

        gap = differences(target) - xp.mean(differences(prediction), axis=-3)
        return xp.sum(gap * gap, axis=(-2, -1))


# --- intervals ------------------------------------------------------------------------------------


_END = Interval(infinite=True)  # an end of an interval may be infinite


def _outside(xp: Namespace, lower: Array, upper: Array, target: Array) -> Array:
    """Return the distance of the target from the interval."""
    return xp.maximum(lower - target, 0.0) + xp.maximum(target - upper, 0.0)


def _nothing(xp: Namespace, x: Array) -> Array:
    """Return 0, or nan where x is nan, to keep a nan that a comparison would lose."""
    return 0.0 * xp.clip(x, -1.0, 1.0)


@final
@dataclass(frozen=True)
class IntervalScore(Loss):
    r"""Interval score, or Winkler score: the width of an interval, plus a penalty for misses.

    .. math:: (u - l) + \frac2\alpha \left(\max(l - y, 0) + \max(y - u, 0)\right)

    The score is 2 / alpha times the sum of the pinball losses of both ends, as quantiles alpha / 2
    and 1 - alpha / 2. The value is in the unit of the target.

    Predictions are a tuple ``(lower, upper)``. The order of the ends is not checked. Where the
    target equals an end, the derivative is the average of the one-sided derivatives, as in
    `pinball`.

    Parameters
    ----------
    alpha : 0 < float < 1
        The nominal share of targets outside the interval.

    Examples
    --------
    >>> import isoloss as il
    >>> il.IntervalScore(alpha=0.5)(([0.0, 0.0], [2.0, 2.0]), [1.0, 5.0], reduction="none")
    array([ 2., 14.])

    References
    ----------
    Winkler (1972), *A Decision-Theoretic Approach to Interval Estimation*. scoringrules uses the
    same alpha. Other libraries take the level in percent, 100 (1 - alpha).
    """

    signature: ClassVar[str] = "((),()),()->()"
    prediction_names: ClassVar[tuple[str, ...]] = ("lower", "upper")
    domain: ClassVar[Domain] = Domain(predictions=(REAL, REAL), targets=REAL)
    alpha: Level = 0.1

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        lower, upper = prediction
        return (upper - lower) + 2 / self.alpha * _outside(xp, lower, upper, target)


@final
@dataclass(frozen=True)
class WeightedIntervalScore(Loss):
    r"""Weighted interval score of a median and several intervals around it.

    .. math:: \frac{1}{K + 1/2} \left(\tfrac12 |y - m|
        + \sum_k \tfrac{\alpha_k}{2} \, \mathrm{IS}_{\alpha_k}(l_k, u_k, y)\right)

    The score approximates the continuous ranked probability score. It is twice the mean pinball
    loss of all its quantiles. The value is in the unit of the target.

    Predictions are a tuple ``(median, lower, upper)``. Where the target equals an end, the
    derivative is the average of the one-sided derivatives. Where the target equals the median, the
    derivative by the median is 0.

    Parameters
    ----------
    alphas : tuple of 0 < float < 1
        The nominal share of targets outside each interval, in the order of the last axis.

    Examples
    --------
    >>> import isoloss as il
    >>> il.WeightedIntervalScore(alphas=(0.5,))(([1.0], [[0.0]], [[2.0]]), [4.0])
    np.float64(2.6666666666666665)

    References
    ----------
    Bracher et al. (2021), *Evaluating Epidemic Forecasts in an Interval Format*. The default is the
    eleven intervals of the COVID-19 Forecast Hub.
    """

    signature: ClassVar[str] = "((),(levels),(levels)),()->()"
    prediction_names: ClassVar[tuple[str, ...]] = ("median", "lower", "upper")
    domain: ClassVar[Domain] = Domain(predictions=(REAL, REAL, REAL), targets=REAL)
    alphas: Annotated[Numbers, BETWEEN_0_AND_1] = (
        0.02,
        0.05,
        0.1,
        0.2,
        0.3,
        0.4,
        0.5,
        0.6,
        0.7,
        0.8,
        0.9,
    )

    @property
    def sizes(self) -> dict[str, int]:
        return {"levels": len(self.alphas)}

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        median, lower, upper = prediction
        terms = [0.5 * xp.abs(target - median)]
        for k, alpha in enumerate(self.alphas):
            low, high = lower[..., k], upper[..., k]
            terms.append(alpha / 2 * (high - low) + _outside(xp, low, high, target))
        return xp.sum(xp.stack(terms, axis=-1), axis=-1) / (len(self.alphas) + 0.5)


@final
@dataclass(frozen=True)
class IntervalCoverage(Loss):
    r"""Share of the targets inside their interval, both ends included.

    .. math:: [l \le y \le u]

    The best value is the nominal level of the intervals, so neither higher nor lower is better.

    Predictions are a tuple ``(lower, upper)``. The derivative is 0.

    Examples
    --------
    >>> import isoloss as il
    >>> il.interval_coverage(([0.0, 0.0], [1.0, 1.0]), [1.0, 3.0])
    np.float64(0.5)

    References
    ----------
    Christoffersen (1998), *Evaluating Interval Forecasts*.
    """

    signature: ClassVar[str] = "((),()),()->()"
    prediction_names: ClassVar[tuple[str, ...]] = ("lower", "upper")
    domain: ClassVar[Domain] = Domain(predictions=(_END, _END), targets=REAL)

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        lower, upper = prediction
        covered = xp.where((lower <= target) & (target <= upper), 1.0, 0.0)
        return covered + _nothing(xp, lower) + _nothing(xp, upper) + _nothing(xp, target)


@final
@dataclass(frozen=True)
class IntervalWidth(Loss):
    r"""Mean width of prediction intervals, a measure of sharpness.

    .. math:: u - l

    The value is in the unit of the target. The targets do not affect it, except that a target of
    nan gives nan.

    Predictions are a tuple ``(lower, upper)``. The width is negative if the ends are in the wrong
    order.

    Examples
    --------
    >>> import isoloss as il
    >>> il.interval_width(([0.0, 0.0], [1.0, 3.0]), [1.0, 1.0])
    np.float64(2.0)

    References
    ----------
    Gneiting, Balabdaoui and Raftery (2007), *Probabilistic Forecasts, Calibration and Sharpness*.
    """

    signature: ClassVar[str] = "((),()),()->()"
    prediction_names: ClassVar[tuple[str, ...]] = ("lower", "upper")
    domain: ClassVar[Domain] = Domain(predictions=(REAL, REAL), targets=REAL)

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        lower, upper = prediction
        return upper - lower + _nothing(xp, target)


# --- default instances ----------------------------------------------------------------------------

gaussian_nll = GaussianNLL()
laplace_nll = LaplaceNLL()
student_t_nll = StudentTNLL()
negative_binomial_nll = NegativeBinomialNLL()
lognormal_nll = LognormalNLL()
crps_gaussian = CRPSGaussian()
crps_laplace = CRPSLaplace()
crps_logistic = CRPSLogistic()
crps_ensemble = CRPSEnsemble()
energy_score = EnergyScore()
variogram_score = VariogramScore()
interval_score = IntervalScore()
weighted_interval_score = WeightedIntervalScore()
interval_coverage = IntervalCoverage()
interval_width = IntervalWidth()
