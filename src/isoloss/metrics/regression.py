"""Regression: errors, quantile losses, deviances and correlations.

In every formula p is the prediction, y the target, e = p - y, and E_w[f] = sum(w f) / sum(w).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, final

from .._core.domains import (
    ABOVE_MINUS_ONE,
    BETWEEN_0_AND_1,
    NON_NEGATIVE,
    NON_ZERO,
    POSITIVE,
    REAL,
    Domain,
)
from .._core.metric import Loss, Metric, SquaredLoss
from .._core.parameters import Level, NonNegative, Number, Numbers, Positive, is_zero
from .._core.states import Extremum, Moments, Ratio, Samples, ratio
from .._core.totals import Totals
from .._core.types import Array, Namespace
from .._core.wrappers import Root, Scaled

__all__ = [
    "ConcordanceCorrelation",
    "CosineDistance",
    "CosineSimilarity",
    "Expectile",
    "ExplainedVarianceScore",
    "GammaDeviance",
    "Huber",
    "LogCosh",
    "MaxError",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanBiasError",
    "MeanSquaredError",
    "MeanSquaredLogError",
    "MedianAbsoluteError",
    "MultiQuantile",
    "PearsonCorrelation",
    "Pinball",
    "PoissonDeviance",
    "PoissonNLL",
    "PseudoHuber",
    "R2Score",
    "SmoothL1",
    "SymmetricMeanAbsolutePercentageError",
    "TweedieDeviance",
    "WeightedAbsolutePercentageError",
    "concordance_correlation",
    "cosine_distance",
    "cosine_similarity",
    "expectile",
    "explained_variance_score",
    "gamma_deviance",
    "half_squared_error",
    "huber",
    "log_cosh",
    "mae",
    "mape",
    "max_error",
    "mbe",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_bias_error",
    "mean_squared_error",
    "mean_squared_log_error",
    "median_absolute_error",
    "mse",
    "msle",
    "multi_quantile",
    "pearson_correlation",
    "pinball",
    "poisson_deviance",
    "poisson_nll",
    "pseudo_huber",
    "quantile_loss",
    "r2",
    "r2_score",
    "rmse",
    "rmsle",
    "root_mean_squared_error",
    "root_mean_squared_log_error",
    "smape",
    "smooth_l1",
    "symmetric_mean_absolute_percentage_error",
    "tweedie_deviance",
    "wape",
    "weighted_absolute_percentage_error",
]

# --- errors and their robust relatives ------------------------------------------------------------


@final
@dataclass(frozen=True)
class MeanSquaredError(SquaredLoss):
    r"""Mean squared error.

    .. math:: E_w[e^2]

    The value is in the squared unit of the target. The loss is differentiable everywhere and convex
    for linear models. Its second derivative is 2. One outlier can dominate the mean, because a term
    grows with the square of the error.

    Examples
    --------
    >>> import isoloss as il
    >>> il.mean_squared_error([2.0, 4.0], [1.0, 1.0])
    np.float64(5.0)

    References
    ----------
    Gauss (1809), *Theoria motus corporum coelestium*. optax's ``l2_loss`` is half of this loss
    (`half_squared_error`). With weights, Keras's loss divides by n instead of sum(w).
    """

    def residual(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        return prediction - target


@final
@dataclass(frozen=True)
class MeanAbsoluteError(Loss):
    r"""Mean absolute error.

    .. math:: E_w[|e|]

    The median of the targets minimises this loss, so an outlier has no more influence than any
    other sample. The value is in the unit of the target. The subgradient at e = 0 is 0
    (``jax.numpy.abs`` alone has 1).

    Examples
    --------
    >>> import isoloss as il
    >>> il.mean_absolute_error([2.0, 4.0], [1.0, 1.0])
    np.float64(2.0)

    References
    ----------
    Laplace (1774); ``torch.nn.functional.l1_loss``.
    """

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        return xp.abs(prediction - target)


@final
@dataclass(frozen=True)
class MeanBiasError(Loss):
    r"""Mean bias error, positive if the predictions are too high on average.

    .. math:: E_w[e]

    Examples
    --------
    >>> import isoloss as il
    >>> il.mean_bias_error([2.0, 4.0], [1.0, 6.0])
    np.float64(-0.5)

    References
    ----------
    WMO (2008), *Guide to Meteorological Instruments*: prediction minus observation.
    """

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        return prediction - target


@final
@dataclass(frozen=True)
class Huber(Loss):
    r"""Huber loss: squared near zero, absolute far out.

    .. math:: q^2 / 2 + \delta (|e| - q), \quad q = \min(|e|, \delta)

    At ``|e| = delta`` the derivatives are those of the quadratic part. The slope is ±delta at
    infinite predictions.

    Parameters
    ----------
    delta : float > 0
        The absolute error, in the unit of the target, above which the loss is linear.

    Examples
    --------
    >>> import isoloss as il
    >>> il.Huber(delta=2.0)([1.0, 5.0], [0.0, 0.0])
    np.float64(4.25)

    References
    ----------
    Huber (1964), *Robust Estimation of a Location Parameter*. `smooth_l1` is this loss divided by
    its parameter. With weights, ``torch.nn.functional.huber_loss`` divides by n instead of sum(w).
    """

    delta: Positive = 1.0

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        return xp.huber(prediction, target, self.delta)


@final
@dataclass(frozen=True)
class SmoothL1(Loss):
    r"""Smooth L1 loss: the Huber loss divided by its parameter, with slope ±1 for large errors.

    .. math:: \mathrm{Huber}_\beta(e) / \beta

    At ``|e| = beta`` the derivatives are those of the quadratic part. The slope is ±1 at infinite
    predictions.

    Parameters
    ----------
    beta : float >= 0
        The absolute error, in the unit of the target, above which the loss is linear. With beta = 0
        the loss is the absolute error.

    Examples
    --------
    >>> import isoloss as il
    >>> il.SmoothL1(beta=0.5)([3.0], [0.0])
    np.float64(2.75)

    References
    ----------
    Girshick (2015), *Fast R-CNN*; ``torch.nn.functional.smooth_l1_loss``.
    """

    beta: NonNegative = 1.0

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        if is_zero(self.beta):
            return xp.abs(prediction - target)
        return xp.huber(prediction, target, self.beta, 1 / self.beta)


@final
@dataclass(frozen=True)
class PseudoHuber(Loss):
    r"""Pseudo-Huber loss: a smooth transition from squared to absolute error.

    .. math:: \delta^2 \left(\sqrt{1 + (e / \delta)^2} - 1\right)

    The computation neither cancels at small errors nor overflows at large errors.

    Parameters
    ----------
    delta : float > 0
        The absolute error, in the unit of the target, around which the loss becomes linear.

    Examples
    --------
    >>> import isoloss as il
    >>> il.pseudo_huber([1e-9], [0.0])
    np.float64(5e-19)

    References
    ----------
    Charbonnier et al. (1994); Hartley and Zisserman (2003), *Multiple View Geometry*, A6.8.
    """

    delta: Positive = 1.0

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        return self.delta * self.delta * xp.sqrt1pm1((prediction - target) / self.delta)


@final
@dataclass(frozen=True)
class LogCosh(Loss):
    r"""Logarithm of the hyperbolic cosine of the error.

    .. math:: \log \cosh e

    The loss is about ``e^2 / 2`` near zero and ``|e| - log 2`` for large errors. Its derivative is
    tanh(e). The value is accurate to a few ULP for errors from 1e-30 to 1e30, where other libraries
    give 0 or inf.

    Examples
    --------
    >>> import isoloss as il
    >>> il.log_cosh([1e-5, 100.0], [0.0, 0.0], reduction="none")
    array([5.00000000e-11, 9.93068528e+01])

    References
    ----------
    Green (1990), *Bayesian reconstructions from emission tomography data*.
    """

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        return xp.log_cosh(prediction - target)


# --- quantiles and expectiles ---------------------------------------------------------------------


@final
@dataclass(frozen=True)
class Pinball(Loss):
    r"""Pinball loss, minimised by a quantile of the targets.

    .. math:: \max(q (y - p), (q - 1) (y - p))

    At e = 0 the derivative is 1/2 - quantile, the average of the one-sided derivatives.

    Parameters
    ----------
    quantile : 0 < float < 1
        The quantile to predict.

    Examples
    --------
    >>> import isoloss as il
    >>> il.Pinball(quantile=0.9)([1.0], [3.0])  # too low by 2
    np.float64(1.8)

    References
    ----------
    Koenker and Bassett (1978), *Regression Quantiles*; scikit-learn's ``mean_pinball_loss``. darts
    multiplies by 2, so that quantile 0.5 gives the absolute error: ``Scaled(pinball, 2)``.
    """

    quantile: Level = 0.5

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        short = target - prediction
        return xp.maximum(self.quantile * short, (self.quantile - 1) * short)


@final
@dataclass(frozen=True)
class MultiQuantile(Loss):
    r"""Mean pinball loss of several predicted quantiles.

    .. math:: \frac{1}{K} \sum_k \mathrm{pinball}_{q_k}(p_k, y)

    At ``p_k = y`` the derivative by ``p_k`` is the average of the one-sided derivatives.

    Parameters
    ----------
    quantiles : tuple of 0 < float < 1
        The predicted quantiles, in the order of the last axis of the predictions.

    Examples
    --------
    >>> import isoloss as il
    >>> il.MultiQuantile(quantiles=(0.25, 0.75))([[1.0, 3.0]], [2.0])
    np.float64(0.25)

    References
    ----------
    Wen et al. (2017), *A Multi-Horizon Quantile Recurrent Forecaster*.
    """

    signature: ClassVar[str] = "(quantiles),()->()"
    quantiles: Annotated[Numbers, BETWEEN_0_AND_1] = (0.1, 0.5, 0.9)

    @property
    def sizes(self) -> dict[str, int]:
        return {"quantiles": len(self.quantiles)}

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        pinballs = [Pinball(quantile) for quantile in self.quantiles]
        terms = [one.pointwise(xp, prediction[..., k], target) for k, one in enumerate(pinballs)]
        return xp.mean(xp.stack(terms, axis=-1), axis=-1)


@final
@dataclass(frozen=True)
class Expectile(Loss):
    r"""Asymmetric squared error, minimised by an expectile.

    .. math:: |\tau - [y < p]| \, e^2

    At e = 0 the second derivative is that for y >= p.

    Parameters
    ----------
    level : 0 < float < 1
        The level of the expectile. Level 0.5 gives half the squared error.

    Examples
    --------
    >>> import isoloss as il
    >>> il.Expectile(level=0.75)([1.0], [3.0])  # too low by 2
    np.float64(3.0)

    References
    ----------
    Newey and Powell (1987), *Asymmetric Least Squares Estimation and Testing*.
    """

    level: Level = 0.5

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        error = prediction - target
        return xp.where(error > 0, 1 - self.level, self.level) * error * error


# --- relative errors ------------------------------------------------------------------------------


@final
@dataclass(frozen=True)
class MeanAbsolutePercentageError(Loss):
    r"""Mean absolute percentage error, as a fraction.

    .. math:: |e| / |y|, \quad\text{or}\quad |e| / \max(|y|, \varepsilon)

    Predictions and targets ``(...)`` are any numbers. Without ``epsilon``, a target of 0 gives nan,
    and the value does not depend on the unit of the target. The subgradient at e = 0 is 0.

    Parameters
    ----------
    epsilon : float > 0, optional
        A lower bound of the divisor. If it is given, targets may be 0.

    Examples
    --------
    >>> import isoloss as il
    >>> il.mean_absolute_percentage_error([90.0, 110.0], [100.0, 100.0])
    np.float64(0.1)

    References
    ----------
    de Myttenaere et al. (2016), *Mean Absolute Percentage Error for Regression Models*. The lower
    bound of the divisor is 2.2e-16 in scikit-learn, 1.17e-6 in torchmetrics and 1e-7 in Keras.
    Keras also multiplies by 100: ``Scaled(mape, 100)``.
    """

    epsilon: Positive | None = None

    @property
    def domain(self) -> Domain:  # type: ignore[override]
        return Domain(targets=NON_ZERO if self.epsilon is None else REAL)

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        size = xp.abs(target)
        divisor = size if self.epsilon is None else xp.clip(size, min=self.epsilon)
        return xp.quotient(xp.abs(prediction - target), divisor)


@final
@dataclass(frozen=True)
class SymmetricMeanAbsolutePercentageError(Loss):
    r"""Symmetric mean absolute percentage error, from 0 to 2.

    .. math:: 2 |e| / (|y| + |p|), \quad 0 / 0 = 0

    The subgradients of ``|e|`` at e = 0 and of ``|p|`` at p = 0 are 0.

    Examples
    --------
    >>> import isoloss as il
    >>> il.symmetric_mean_absolute_percentage_error([1.0, 0.0], [3.0, 0.0], reduction="none")
    array([1., 0.])

    References
    ----------
    Makridakis and Hibon (2000), *The M3-Competition*, here as a fraction. Other libraries scale the
    range to 0..1 (``Scaled(smape, 0.5)``) or 0..200.
    """

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        return xp.symmetric_percentage(prediction, target)


@final
@dataclass(frozen=True)
class WeightedAbsolutePercentageError(Metric):
    r"""Weighted absolute percentage error: total absolute error over total absolute target.

    .. math:: \sum w |e| \, / \sum w |y|

    If all targets are 0, the value is nan. The subgradient at e = 0 is 0.

    Examples
    --------
    >>> import isoloss as il
    >>> il.weighted_absolute_percentage_error([1.0, 4.0], [2.0, 2.0])
    np.float64(0.75)

    References
    ----------
    Kolassa and Schuetz (2007), *Advantages of the MAD/Mean Ratio over the MAPE*.
    """

    kind: ClassVar[str] = "sums"

    def statistics(self, xp: Namespace, prediction: Array, target: Array, total: Totals) -> Ratio:
        return total.ratio(xp.abs(prediction - target), xp.abs(target))

    def formula(self, xp: Namespace, state: Ratio) -> Array:
        return state.ratio()


@final
@dataclass(frozen=True)
class MeanSquaredLogError(SquaredLoss):
    r"""Mean squared logarithmic error.

    .. math:: E_w[(\log(1 + p) - \log(1 + y))^2]

    Predictions and targets are not clipped (Keras clips them at 0).

    Examples
    --------
    >>> import isoloss as il
    >>> il.mean_squared_log_error([0.0], [1.718281828459045])
    np.float64(1.0)

    References
    ----------
    scikit-learn's function of this name.
    """

    domain: ClassVar[Domain] = Domain(ABOVE_MINUS_ONE, ABOVE_MINUS_ONE)

    def residual(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        # |log1p(p) - log1p(y)|, without cancellation for p near y
        error, low = prediction - target, prediction < target
        ratio = xp.quotient(xp.where(low, -error, error), 1 + xp.where(low, prediction, target))
        return xp.log1p(ratio)


# --- counts and positive quantities ---------------------------------------------------------------


@final
@dataclass(frozen=True)
class PoissonNLL(Loss):
    r"""Negative log likelihood of counts under a Poisson distribution.

    .. math:: e^p - y p \quad\text{or}\quad p - y \log p, \qquad [\; + \log y! \;]

    Predictions ``(...)`` are any numbers, or numbers from 0 on if ``log_input`` is False. Targets
    ``(...)`` are numbers from 0 on. A sample outside is nan. If ``log_input`` is False, the
    derivative at p = y = 0 is 1.

    Parameters
    ----------
    log_input : bool
        Whether predictions are logarithms of the rate.
    full : bool
        Whether to add the exact log(y!). torch uses Stirling's approximation.

    Examples
    --------
    >>> import isoloss as il
    >>> il.PoissonNLL(log_input=False, full=True)([1.0], [0.0])
    np.float64(1.0)

    References
    ----------
    McCullagh and Nelder (1989), *Generalized Linear Models*, chapter 6.
    """

    log_input: bool = True
    full: bool = False

    @property
    def domain(self) -> Domain:  # type: ignore[override]
        return Domain(REAL if self.log_input else NON_NEGATIVE, NON_NEGATIVE)

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        if self.log_input:
            terms = xp.exp(prediction) - target * prediction
        else:
            terms = prediction - xp.xlogy(target, prediction)
        return terms + xp.lgamma(target + 1) if self.full else terms


@final
@dataclass(frozen=True)
class PoissonDeviance(Loss):
    r"""Poisson deviance.

    .. math:: 2 \left(y \log(y / p) - y + p\right), \quad 0 \log 0 = 0

    Examples
    --------
    >>> import isoloss as il
    >>> il.poisson_deviance([1.0], [0.0])
    np.float64(2.0)

    References
    ----------
    McCullagh and Nelder (1989), section 2.3; scikit-learn's ``mean_poisson_deviance``.
    """

    domain: ClassVar[Domain] = Domain(POSITIVE, NON_NEGATIVE)

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        y = xp.where(target == 0, prediction, target)
        log_ratio = xp.log_ratio(y, prediction)
        near = xp.abs(log_ratio) < 1
        tail = xp.relative_expm1(xp.where(near, -log_ratio, xp.zeros_like(y)))
        terms = xp.where(near, -y * log_ratio * tail, y * log_ratio - y + prediction)
        return 2 * xp.where(target == 0, prediction, terms)


@final
@dataclass(frozen=True)
class GammaDeviance(Loss):
    r"""Gamma deviance.

    .. math:: 2 \left(\log(p / y) + y / p - 1\right)

    Examples
    --------
    >>> import isoloss as il
    >>> il.gamma_deviance([2.0, 2.0], [2.0, 4.0], reduction="none")
    array([0.        , 0.61370564])

    References
    ----------
    McCullagh and Nelder (1989), section 2.3; scikit-learn's ``mean_gamma_deviance``.
    """

    domain: ClassVar[Domain] = Domain(POSITIVE, POSITIVE)

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        log_ratio = xp.log_ratio(target, prediction)
        near = xp.abs(log_ratio) < 1
        tail = xp.relative_expm1(xp.where(near, log_ratio, xp.zeros_like(target)))
        return 2 * xp.where(near, log_ratio * tail, xp.quotient(target, prediction) - 1 - log_ratio)


@final
@dataclass(frozen=True)
class TweedieDeviance(Loss):
    r"""Tweedie deviance: power 0 is normal, 1 Poisson, 2 gamma, 3 inverse Gaussian.

    .. math:: 2 \left(\frac{\max(y, 0)^{2-P}}{(1-P)(2-P)} - \frac{y p^{1-P}}{1-P}
        + \frac{p^{2-P}}{2-P}\right)

    and its limits at P = 1 and P = 2. The deviance is smooth in P at both limits.

    Predictions ``(...)`` are numbers above 0, or any numbers for power 0. Targets ``(...)`` are any
    numbers for powers <= 0, numbers from 0 on for powers from 1 to below 2, and numbers above 0 for
    powers >= 2. A sample outside is nan.

    Parameters
    ----------
    power : float, not between 0 and 1
        The variance is proportional to this power of the mean.

    Examples
    --------
    >>> import isoloss as il
    >>> il.TweedieDeviance(power=3)([2.0], [4.0])
    np.float64(0.25)

    References
    ----------
    Jorgensen (1987), *Exponential Dispersion Models*; scikit-learn's ``mean_tweedie_deviance``,
    whose default power is 0.
    """

    power: Annotated[Number, REAL.without(0.0, 1.0)] = 1.5

    @property
    def domain(self) -> Domain:  # type: ignore[override]
        if not isinstance(self.power, (int, float)):  # a traced power is at least 1
            return Domain(POSITIVE, NON_NEGATIVE)
        if self.power == 0:
            return Domain()
        targets = REAL if self.power < 0 else NON_NEGATIVE if self.power < 2 else POSITIVE
        return Domain(POSITIVE, targets)

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        return xp.tweedie_deviance(prediction, target, self.power)


# --- directions -----------------------------------------------------------------------------------


@final
@dataclass(frozen=True)
class CosineSimilarity(Loss):
    r"""Cosine of the angle between two vectors.

    .. math:: \langle a, b \rangle / (\|a\| \, \|b\|)

    A zero vector has similarity 0 and gradient 0. Vectors of length 1e30 or 1e-30 neither overflow
    nor underflow.

    Examples
    --------
    >>> import isoloss as il
    >>> il.cosine_similarity([[3.0, 4.0], [0.0, 0.0]], [[4.0, 3.0], [1.0, 0.0]], reduction="none")
    array([0.96, 0.  ])

    References
    ----------
    Salton (1975). Keras's loss of this name is the negative similarity. torchmetrics sums by
    default.
    """

    signature: ClassVar[str] = "(features),(features)->()"
    greater_is_better: ClassVar[bool] = True

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        return xp.cosine(prediction, target)


@final
@dataclass(frozen=True)
class CosineDistance(Loss):
    r"""One minus the cosine of the angle between two vectors.

    .. math:: 1 - \langle a, b \rangle / (\|a\| \, \|b\|)

    The distance of nearly parallel vectors is computed without cancellation. A zero vector has
    distance 1 and gradient 0.

    Examples
    --------
    >>> import isoloss as il
    >>> il.cosine_distance([[3.0, 0.0]], [[0.0, 2.0]])
    np.float64(1.0)

    References
    ----------
    ``optax.losses.cosine_distance``.
    """

    signature: ClassVar[str] = "(features),(features)->()"

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        return xp.cosine_distance(prediction, target)


# --- scores of all samples ------------------------------------------------------------------------


@final
@dataclass(frozen=True)
class R2Score(Metric):
    r"""Coefficient of determination: the share of target variance that the predictions explain.

    .. math:: 1 - \frac{\sum w e^2}{\sum w (y - E_w[y])^2}

    Perfect predictions have score 1, and the mean of the targets has score 0. The score has no
    lower bound. For constant targets the score is nan; scikit-learn gives 0 or 1 by default.

    Examples
    --------
    >>> import isoloss as il
    >>> il.r2_score([2.5, 0.0, 2.0, 8.0], [3.0, -0.5, 2.0, 7.0])
    np.float64(0.9486081370449679)

    References
    ----------
    Wright (1921), *Correlation and Causation*. Use ``axis=0`` for one score per column.
    """

    kind: ClassVar[str] = "moments"
    greater_is_better: ClassVar[bool] = True

    @property
    def source(self) -> str:
        return "moments of error and target"

    def statistics(self, xp: Namespace, prediction: Array, target: Array, total: Totals) -> Moments:
        return total.moments(prediction - target, target)

    def formula(self, xp: Namespace, state: Moments) -> Array:
        return state.explained(xp)


@final
@dataclass(frozen=True)
class ExplainedVarianceScore(Metric):
    r"""Explained variance: like R2, except that a constant bias does not lower the score.

    .. math:: 1 - \mathrm{var}_w(e) / \mathrm{var}_w(y)

    For constant targets the score is nan.

    Examples
    --------
    >>> import isoloss as il
    >>> il.explained_variance_score([2.0, 3.0, 4.0], [1.0, 2.0, 3.0])
    np.float64(1.0)

    References
    ----------
    scikit-learn's function of this name, with ``force_finite=False``.
    """

    kind: ClassVar[str] = "moments"
    greater_is_better: ClassVar[bool] = True

    @property
    def source(self) -> str:
        return "moments of error and target"

    def statistics(self, xp: Namespace, prediction: Array, target: Array, total: Totals) -> Moments:
        return total.moments(prediction - target, target)

    def formula(self, xp: Namespace, state: Moments) -> Array:
        return 1 - ratio(xp, state.aa.sum, state.bb.sum)


@final
@dataclass(frozen=True)
class PearsonCorrelation(Metric):
    r"""Pearson's correlation coefficient.

    .. math:: \mathrm{cov}_w(p, y) / (s_p s_y)

    For a constant input the value is nan.

    Examples
    --------
    >>> import isoloss as il
    >>> il.pearson_correlation([1.0, 2.0, 3.0], [2.0, 4.0, 6.0])
    np.float64(1.0)

    References
    ----------
    Pearson (1895). The value over several batches is exact; Keras averages the correlations of the
    batches.
    """

    kind: ClassVar[str] = "moments"
    greater_is_better: ClassVar[bool] = True

    @property
    def source(self) -> str:
        return "moments of prediction and target"

    def statistics(self, xp: Namespace, prediction: Array, target: Array, total: Totals) -> Moments:
        return total.moments(prediction, target, one_unit=False)

    def formula(self, xp: Namespace, state: Moments) -> Array:
        return state.correlation(xp)


@final
@dataclass(frozen=True)
class ConcordanceCorrelation(Metric):
    r"""Lin's concordance correlation: agreement with the line p = y.

    .. math:: \frac{2 \, \mathrm{cov}_w(p, y)}{s_p^2 + s_y^2 + (E_w[p] - E_w[y])^2}

    Variances divide by sum(w) (ddof 0; torchmetrics uses ddof 1). For two equal constants the value
    is nan.

    Examples
    --------
    >>> import isoloss as il
    >>> il.concordance_correlation([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
    np.float64(1.0)

    References
    ----------
    Lin (1989), *A Concordance Correlation Coefficient to Evaluate Reproducibility*.
    """

    kind: ClassVar[str] = "moments"
    greater_is_better: ClassVar[bool] = True

    @property
    def source(self) -> str:
        return "moments of prediction and target in one unit"

    def source_in(self, xp: Namespace) -> str:
        # float64 holds squares of float32 without scaling, so a common unit is not needed
        return "moments of prediction and target" if xp.wide else self.source

    def statistics(self, xp: Namespace, prediction: Array, target: Array, total: Totals) -> Moments:
        return total.moments(prediction, target)

    def formula(self, xp: Namespace, state: Moments) -> Array:
        apart = state.mean_a.minus(state.mean_b)
        spread = state.aa.sum + state.bb.sum + state.weight.sum * apart * apart
        return ratio(xp, 2 * state.ab.sum, spread)


@final
@dataclass(frozen=True)
class MaxError(Metric):
    r"""Largest absolute error.

    .. math:: \max |e|

    Weights only exclude samples: a sample of weight 0 is excluded, and other weights have no
    effect. Ties share the gradient equally. At e = 0 the gradient is 0.

    Examples
    --------
    >>> import isoloss as il
    >>> il.max_error([1.0, 4.0], [1.5, 2.0])
    np.float64(2.0)

    References
    ----------
    Chebyshev (1854); scikit-learn's function of this name.
    """

    kind: ClassVar[str] = "extremum"

    def statistics(
        self, xp: Namespace, prediction: Array, target: Array, total: Totals
    ) -> Extremum:
        return total.largest(xp.abs(prediction - target))

    def formula(self, xp: Namespace, state: Extremum) -> Array:
        return state.value


@final
@dataclass(frozen=True)
class MedianAbsoluteError(Metric):
    r"""Weighted median of the absolute errors.

    .. math:: \mathrm{median}_w(|e|)

    The median has half of the weight on either side. Between two samples, it is their average.

    The subgradient at e = 0 is 0. Errors equal to the median share its derivative in proportion to
    their weights.

    Examples
    --------
    >>> import isoloss as il
    >>> il.median_absolute_error([1.0, 2.0, 9.0, 4.0], [0.0, 0.0, 0.0, 0.0])
    np.float64(3.0)

    References
    ----------
    scikit-learn's function of this name.
    """

    kind: ClassVar[str] = "sorted whole"

    def statistics(self, xp: Namespace, prediction: Array, target: Array, total: Totals) -> Samples:
        return total.samples(xp.abs(prediction - target))

    def formula(self, xp: Namespace, state: Samples) -> Array:
        return state.median()


# --- default instances ----------------------------------------------------------------------------

mean_squared_error = MeanSquaredError()
root_mean_squared_error = Root(mean_squared_error)
half_squared_error = Scaled(mean_squared_error, 0.5)
mean_absolute_error = MeanAbsoluteError()
mean_bias_error = MeanBiasError()
huber = Huber()
smooth_l1 = SmoothL1()
pseudo_huber = PseudoHuber()
log_cosh = LogCosh()
pinball = Pinball()
multi_quantile = MultiQuantile()
expectile = Expectile()
mean_absolute_percentage_error = MeanAbsolutePercentageError()
symmetric_mean_absolute_percentage_error = SymmetricMeanAbsolutePercentageError()
weighted_absolute_percentage_error = WeightedAbsolutePercentageError()
mean_squared_log_error = MeanSquaredLogError()
root_mean_squared_log_error = Root(mean_squared_log_error)
poisson_nll = PoissonNLL()
poisson_deviance = PoissonDeviance()
gamma_deviance = GammaDeviance()
tweedie_deviance = TweedieDeviance()
cosine_similarity = CosineSimilarity()
cosine_distance = CosineDistance()
r2_score = R2Score()
explained_variance_score = ExplainedVarianceScore()
pearson_correlation = PearsonCorrelation()
concordance_correlation = ConcordanceCorrelation()
max_error = MaxError()
median_absolute_error = MedianAbsoluteError()

mse, rmse, mae, mbe = (
    mean_squared_error,
    root_mean_squared_error,
    mean_absolute_error,
    mean_bias_error,
)
quantile_loss = pinball
mape, smape, wape = (
    mean_absolute_percentage_error,
    symmetric_mean_absolute_percentage_error,
    weighted_absolute_percentage_error,
)
msle, rmsle = mean_squared_log_error, root_mean_squared_log_error
r2 = r2_score
