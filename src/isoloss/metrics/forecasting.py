"""Forecasting: scaled errors of time series, and skill scores.

In every formula f is the forecast, y the observation and z the training series before it. In scaled
errors, a series is one sample.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, final

from .._core.domains import (
    NON_NEGATIVE,
    POSITIVE,
    REAL,
    UNIT,
    Domain,
    Labels,
)
from .._core.errors import fail
from .._core.metric import Core, Loss, Metric, Parts
from .._core.parameters import Count, Level, Number, is_zero
from .._core.states import (
    Counts,
    Mean,
    Moments,
    Samples,
    State,
    Total,
    merge_fields,
    ratio,
    same_kind,
)
from .._core.totals import Totals
from .._core.types import Array, Namespace
from .._core.wrappers import Wrapper

__all__ = [
    "D2Brier",
    "D2LogLoss",
    "D2Pinball",
    "D2Tweedie",
    "KlingGupta",
    "MeanAbsoluteScaledError",
    "NashSutcliffe",
    "OverallWeightedAverage",
    "RootMeanSquaredScaledError",
    "SkillScore",
    "d2_absolute_error_score",
    "d2_brier_score",
    "d2_log_loss_score",
    "d2_pinball_score",
    "d2_tweedie_score",
    "kling_gupta",
    "mase",
    "mean_absolute_scaled_error",
    "nash_sutcliffe",
    "overall_weighted_average",
    "owa",
    "rmsse",
    "root_mean_squared_scaled_error",
]


class Pair(NamedTuple):
    """Two states of the same samples."""

    one: Any
    two: Any

    @property
    def weight(self) -> Total:
        weight: Total = self.one.weight
        return weight

    def merge(self, other: Any) -> Any:
        """Merge each state with the other's state of the same field."""
        return merge_fields(self, other)


# --- errors on the scale of the training series ---------------------------------------------------


def _changes(metric: Any, xp: Namespace, training: Array) -> Array:
    """Return the errors of the seasonal naive forecast within the training series."""
    length, season = training.shape[-1], metric.season
    if length <= season:
        have = f"training has {length} value{'s' * (length != 1)}"
        raise fail(metric, f"{have}; a season of {season} needs at least {season + 1}")
    return training[..., season:] - training[..., :-season]


class _Scaled(Loss):
    """The size of forecast errors, divided by that of the naive forecast in training."""

    signature: ClassVar[str] = "(horizon),((horizon),(history))->()"
    target_names: ClassVar[tuple[str, ...]] = ("future", "training")
    domain: ClassVar[Domain] = Domain(REAL, (REAL, REAL))
    season: int

    @abstractmethod
    def size(self, xp: Namespace, error: Array) -> Array:
        """Return the size of errors along the last axis."""

    def pointwise(self, xp: Namespace, prediction: Array, target: Any) -> Array:
        future, training = target
        below = self.size(xp, _changes(self, xp, training))
        return ratio(xp, self.size(xp, prediction - future), below)


@final
@dataclass(frozen=True)
class MeanAbsoluteScaledError(_Scaled):
    r"""Mean absolute scaled error (MASE): relative to the naive forecast in training.

    .. math:: \frac{\frac{1}{h} \sum_t |y_t - f_t|}
        {\frac{1}{n - m} \sum_{t = m + 1}^{n} |z_t - z_{t - m}|}

    for a horizon of h steps, n training values and a season of m steps. The value is the mean over
    the series. Below 1, the error is smaller than that of the one-step seasonal naive forecast
    within the training series.

    Targets are a tuple ``(future, training)``. Series of different lengths go into separate states,
    which merge. A training series that repeats its season exactly has scale 0: its value is nan and
    its gradient 0. Exclude such series with ``where=``. At y = f the subgradient is 0.

    Parameters
    ----------
    season : int >= 1
        The length m of a season, in steps: 12 for monthly data, 1 for series without seasons.

    Raises
    ------
    ValueError
        If a training series is not longer than a season.

    Examples
    --------
    >>> import isoloss as il
    >>> il.mase([[7.0, 8.0]], ([[6.0, 6.0]], [[1.0, 2.0, 4.0, 4.0]]))
    np.float64(1.5)

    References
    ----------
    Hyndman and Koehler (2006), *Another look at measures of forecast accuracy*. permetrics scales
    by the future series. Other libraries scale by the training series and differ at scale 0: they
    raise an error, give 0, or divide by a tiny number.
    """

    season: Count = 1

    def size(self, xp: Namespace, error: Array) -> Array:
        return xp.mean(xp.abs(error), axis=-1)


@final
@dataclass(frozen=True)
class RootMeanSquaredScaledError(_Scaled):
    r"""Root mean squared scaled error (RMSSE): relative to the naive forecast in training.

    .. math:: \sqrt{\frac{\frac{1}{h} \sum_t (y_t - f_t)^2}
        {\frac{1}{n - m} \sum_{t = m + 1}^{n} (z_t - z_{t - m})^2}}

    for a horizon of h steps, n training values and a season of m steps. The value is the mean over
    the series. M5 weights each series by its sales; pass them as ``weights=``.

    Targets are a tuple ``(future, training)``. Series of different lengths go into separate states,
    which merge. A training series that repeats its season exactly has scale 0: its value is nan and
    its gradient 0. Exclude such series with ``where=``. The value is accurate even if squares of
    the inputs are out of range. If all forecasts of a series are exact, its gradient is 0.

    Parameters
    ----------
    season : int >= 1
        The length m of a season, in steps; 1 in M5.

    Raises
    ------
    ValueError
        If a training series is not longer than a season.

    Examples
    --------
    >>> import isoloss as il
    >>> il.rmsse([[9.0]], ([[6.0]], [[0.0, 2.0, 3.0, 1.0, 5.0]]))
    np.float64(1.2)

    References
    ----------
    Makridakis, Spiliotis and Assimakopoulos (2022), *M5 accuracy competition*, where the training
    series starts with the first sale. MSSE is the same without the root.
    """

    season: Count = 1

    def size(self, xp: Namespace, error: Array) -> Array:
        return xp.euclidean_norm(error) / error.shape[-1] ** 0.5


@final
@dataclass(frozen=True)
class OverallWeightedAverage(Metric):
    r"""Overall weighted average (OWA) of sMAPE and MASE, relative to a reference forecast.

    .. math:: \frac{1}{2} \left(\frac{E_w[\mathrm{sMAPE}(f)]}{E_w[\mathrm{sMAPE}(r)]}
        + \frac{E_w[\mathrm{MASE}(f)]}{E_w[\mathrm{MASE}(r)]}\right)

    Each error is averaged over all series before the division. A value of 1 is as good as the
    reference r. In M4 the reference is the forecast Naive 2: the last value of the seasonally
    adjusted series.

    Targets are a tuple ``(future, training, reference)``. Series of different lengths go into
    separate states, which merge. A training series of scale 0 (see `MeanAbsoluteScaledError`) gives
    nan, and so does a reference without error. At y = f the subgradient is 0.

    Parameters
    ----------
    season : int >= 1
        The length of a season in the scale of MASE, in steps.

    Raises
    ------
    ValueError
        If a training series is not longer than a season.

    Examples
    --------
    >>> import isoloss as il
    >>> future, training, naive = [[3.0, 1.0]], [[1.0, 2.0, 2.0]], [[1.0, 1.0]]
    >>> il.owa([[3.0, 3.0]], (future, training, naive))
    np.float64(1.0)
    >>> il.owa([[3.0, 1.0]], (future, training, naive))
    np.float64(0.0)

    References
    ----------
    Makridakis, Spiliotis and Assimakopoulos (2020), *The M4 Competition*.
    """

    signature: ClassVar[str] = "(horizon),((horizon),(history),(horizon))->()"
    target_names: ClassVar[tuple[str, ...]] = ("future", "training", "reference")
    domain: ClassVar[Domain] = Domain(REAL, (REAL, REAL, REAL))
    season: Count = 1

    def statistics(self, xp: Namespace, prediction: Array, target: Any, total: Totals) -> Pair:
        future, training, reference = target
        of_each = (xp.symmetric_percentage(f, future) for f in (prediction, reference))
        percentages = (xp.mean(x, axis=-1) for x in of_each)
        scaled = MeanAbsoluteScaledError(self.season)
        errors = (scaled.terms(xp, f, (future, training)) for f in (prediction, reference))
        return Pair(total.ratio(*percentages), total.ratio(*errors))

    def formula(self, xp: Namespace, state: Pair) -> Array:
        return (state.one.ratio() + state.two.ratio()) / 2


# --- skill over another forecast ------------------------------------------------------------------


@final
@dataclass(frozen=True)
class SkillScore(Wrapper):
    r"""Skill score: the relative reduction of the error of a reference forecast.

    .. math:: 1 - m(f) / m(r)

    for any error m that is 0 for a perfect forecast. A perfect forecast has skill 1, a forecast as
    good as the reference r has skill 0, and a worse forecast has negative skill. Each error is
    computed over all samples before the division.

    Predictions have the form that the metric takes. Targets are a flat tuple: the metric's targets,
    then the reference's predictions. The state consists of two states of the metric and merges as
    they do. The gradient is with respect to the forecast only. If the reference has no error, the
    value is nan.

    Parameters
    ----------
    metric : Metric
        The error metric. Lower values must be better.

    Raises
    ------
    ValueError
        For a metric whose greater values are better.

    Examples
    --------
    >>> import isoloss as il
    >>> observed, climatology = [1.0, 0.0, 1.0], [0.5, 0.5, 0.5]
    >>> il.SkillScore(il.brier_score)([1.0, 0.0, 0.5], (observed, climatology))
    np.float64(0.6666666666666667)

    References
    ----------
    Murphy (1988), *Skill scores based on the mean square error*; Wilks (2011), *Statistical
    Methods in the Atmospheric Sciences*, section 8.1.4.
    """

    metric: Metric

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.metric.greater_is_better:
            raise fail(self, "metric must be an error, which is 0 for a perfect forecast")

    @property
    def signature(self) -> str:  # type: ignore[override]
        sides = [["(" + ",".join(core) + ")" for core in side] for side in self.parts]
        predictions, targets = (s[0] if len(s) == 1 else f"({','.join(s)})" for s in sides)
        return f"{predictions},{targets}->()"

    @property
    def parts(self) -> Parts:  # type: ignore[override]
        predictions, targets = self.metric.parts
        return predictions, targets + predictions

    @property
    def core(self) -> Core:  # type: ignore[override]
        return self.metric.core

    @property
    def target_names(self) -> tuple[str, ...]:  # type: ignore[override]
        names = self.metric.prediction_names
        references = tuple(f"reference_{name}" for name in names) or ("reference",)
        return (self.metric.target_names or ("targets",)) + references

    @property
    def domain(self) -> Domain:  # type: ignore[override]
        domain = self.metric.domain
        return Domain(domain.predictions, domain.of_targets + domain.of_predictions)

    @property
    def padding(self) -> Any:  # type: ignore[override]
        fills = self.metric.padding
        return None if fills is None else (*fills, *fills[: len(self.metric.parts[0])])

    @property
    def elementwise(self) -> bool:  # type: ignore[override]
        return False

    @property
    def averages(self) -> bool:  # type: ignore[override]
        return False

    @property
    def greater_is_better(self) -> bool:  # type: ignore[override]
        return True

    @property
    def kind(self) -> str:  # type: ignore[override]
        return "sums" if self.metric.kind == "mean" else self.metric.kind

    @property
    def source(self) -> Any:
        return "beside a reference", self.metric.source

    def source_in(self, xp: Namespace) -> Any:
        return "beside a reference", self.metric.source_in(xp)

    def included(self, xp: Namespace, target: Any) -> Array | None:
        return self.metric.included(xp, self._apart(target)[0])

    def importance(self, xp: Namespace, target: Any) -> Array | None:
        return self.metric.importance(xp, self._apart(target)[0])

    def _apart(self, target: tuple[Array, ...]) -> tuple[Any, Any]:
        """Return the targets of the metric and the predictions of the reference."""
        number = len(self.metric.parts[1])
        own, reference = target[:number], target[number:]
        return (
            own if self.metric.target_names else own[0],
            reference if self.metric.prediction_names else reference[0],
        )

    def statistics(self, xp: Namespace, prediction: Any, target: Any, total: Totals) -> State:
        own, reference = self._apart(target)
        forecasts = (prediction, reference)
        return Pair(*(self.metric.statistics(xp, f, own, total) for f in forecasts))

    def formula(self, xp: Namespace, state: Any) -> Array:
        one, two = (self.metric.formula(xp, part) for part in state)
        return 1 - ratio(xp, one, two)


@final
@dataclass(frozen=True)
class NashSutcliffe(Metric):
    r"""Nash-Sutcliffe efficiency of a simulation: the coefficient of determination, `R2Score`.

    .. math:: 1 - \frac{\sum w (f - y)^2}{\sum w (y - E_w[y])^2}

    Predictions are simulated values, and targets are observed values. Use ``axis`` for one value
    per gauge. Perfect predictions have value 1, and the mean of the targets has value 0. For
    constant targets the value is nan.

    Examples
    --------
    >>> import isoloss as il
    >>> il.nash_sutcliffe([2.5, 0.0, 2.0, 8.0], [3.0, -0.5, 2.0, 7.0])
    np.float64(0.9486081370449679)

    References
    ----------
    Nash and Sutcliffe (1970), *River flow forecasting through conceptual models*.
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
class KlingGupta(Metric):
    r"""Kling-Gupta efficiency of a simulation, from correlation, variability and bias.

    .. math:: 1 - \sqrt{(r - 1)^2 + (a - 1)^2 + (\mu_f / \mu_y - 1)^2}

    with Pearson's correlation r. In the version of 2009, a is the ratio of the standard deviations,
    ``s_f / s_y``. In the version of 2012, a is the ratio of the coefficients of variation,
    ``(s_f / mu_f) / (s_y / mu_y)``.

    Predictions are simulated values, and targets are observed values. Use ``axis`` for one value
    per gauge. Perfect predictions have value 1. A constant input, such as the mean of the targets,
    has no correlation and gives nan. A mean of 0 in a denominator also gives nan. At value 1 the
    gradient is 0.

    Parameters
    ----------
    version : {2009, 2012}
        The year of the definition.

    Examples
    --------
    >>> import isoloss as il
    >>> il.kling_gupta([1.0, 2.0, 3.0], [2.0, 3.0, 4.0])
    np.float64(0.6666666666666667)

    References
    ----------
    Gupta, Kling, Yilmaz and Martinez (2009), *Decomposition of the mean squared error and NSE
    performance criteria*; Kling, Fuchs and Paulin (2012), *Runoff conditions in the upper Danube
    basin under an ensemble of climate change scenarios*, where a separates variability from bias.
    Libraries differ in the default version.
    """

    kind: ClassVar[str] = "moments"
    greater_is_better: ClassVar[bool] = True
    version: Literal[2009, 2012] = 2009

    @property
    def source(self) -> str:
        return "moments of prediction and target"

    def statistics(self, xp: Namespace, prediction: Array, target: Array, total: Totals) -> Moments:
        return total.moments(prediction, target, one_unit=False)

    def formula(self, xp: Namespace, state: Moments) -> Array:
        linear = state.correlation(xp) - 1
        unit = state.scale_b / state.scale_a
        spread = xp.sqrt(ratio(xp, state.aa.sum, state.bb.sum))
        bias = ratio(xp, state.mean_a.sum, state.mean_b.sum)
        varied = (spread * unit if self.version == 2009 else ratio(xp, spread, bias)) - 1
        apart = ratio(xp, state.mean_a.times(unit).minus(state.mean_b), state.mean_b.sum)
        return 1 - xp.sqrt(linear * linear + varied * varied + apart * apart)


# --- skill over the best constant -----------------------------------------------------------------


class DevianceMoments(NamedTuple):
    """The mean of targets, and the sums of their deviances from the mean and the predictions.

    A Tweedie deviance is a Bregman divergence. For a set of samples, the sum of the deviances from
    any number c is the sum of the deviances from their mean, plus the sum of the weights times the
    deviance of the mean from c (Banerjee et al., 2005). So two sets merge without subtracting large
    sums, as moments do.
    """

    mean: Total
    spread: Total
    unexplained: Total
    power: Array
    weight: Total

    @property
    def elementwise(self) -> bool:
        """Whether many states can merge in one operation."""
        return True

    def merge(self, other: DevianceMoments) -> DevianceMoments:
        """Merge about the common mean. The result is exact up to rounding, in any order."""
        same_kind(self, other)
        xp = self.weight.merge(other.weight).xp
        with xp.quiet():
            return self._about_the_common_mean(other, xp)

    def _about_the_common_mean(self, other: DevianceMoments, xp: Namespace) -> DevianceMoments:
        weight = self.weight.merge(other.weight)
        share = ratio(xp, other.weight.sum, weight.sum, 0.0)
        nothing = self.weight.sum == 0
        pairs = zip(other.mean[:2], self.mean[:2], strict=True)
        start = Total(*(xp.where(nothing, *pair) for pair in pairs))
        mean = _plus(start, other.mean.minus(start) * share)
        spread = self.spread.merge(other.spread)
        for part in (self, other):
            own, step = part.weight.sum, part.mean.minus(mean)
            step = xp.where(own == 0, xp.zeros_like(step), step)
            spread = _plus(spread, own * _of_a_step(xp, mean.sum, step, self.power))
        return type(self)(
            mean, spread, self.unexplained.merge(other.unexplained), self.power, weight
        )


def _plus(total: Total, extra: Array) -> Total:
    return total.merge(Total(extra, 0 * total.error))


def _deviance(xp: Namespace, mean: Array, y: Array, power: Any) -> Array:
    """Return the Tweedie deviance of numbers from a mean that need not be positive.

    For a mean that is not positive, the result is the generating function of the Bregman
    divergence at y, which is 0 for y <= 0. Only negative powers can have a negative mean.
    """
    inside, high = mean > 0, y > 0
    one = xp.ones_like(mean)
    near = xp.tweedie_deviance(xp.where(inside, mean, one), y, power)
    divisor = xp.where(power < 0, (1 - power) * (2 - power), 1.0)
    far = 2 * xp.where(high & ~inside, y, one) ** (2 - power) / divisor
    return xp.where(inside, near, xp.where(high, far, 0 * one))


def _of_a_step(xp: Namespace, mean: Array, step: Array, power: Any) -> Array:
    """Return the deviance of mean + step from the mean, even if rounding loses the step.

    For a small step the deviance is proportional to the square of the step, which corrects the
    rounding of the sum. A large step needs no correction.
    """
    inside = mean > 0
    one = xp.ones_like(mean)
    known = xp.where(inside, mean, one)
    number = mean + step
    taken = xp.where(inside, number - mean, one)
    lost = taken == 0
    factor = xp.where(inside & ~lost, step / xp.where(lost, one, taken), one)
    near = (step / known) ** 2 * known ** (2 - power)
    return xp.where(lost, near, _deviance(xp, mean, number, power) * factor * factor)


@final
@dataclass(frozen=True)
class D2Tweedie(Metric):
    r"""D2 score of the Tweedie deviance: the share of the deviance that is explained.

    .. math:: 1 - \frac{\sum w \, d(y, f)}{\sum w \, d(y, E_w[y])}

    with the unit deviance d of `TweedieDeviance`. The mean of the targets is the best constant
    prediction. Power 0 is `R2Score`.

    Predictions ``(...)`` are numbers above 0, or any numbers for power 0. Targets ``(...)`` are any
    numbers for powers <= 0, numbers from 0 on for powers from 1 to below 2, and numbers above 0 for
    powers >= 2. A sample outside is nan. The state is the mean of the targets and sums of
    deviances: it merges exactly, in constant memory. Perfect predictions have score 1, and the mean
    of the targets has score 0. The score has no lower bound. For constant targets the score is nan.
    With powers other than 0, it is also nan if the mean of the targets is not positive.

    Parameters
    ----------
    power : float, not between 0 and 1
        The variance is proportional to this power of the mean: 0 normal, 1 Poisson, 2 gamma, 3
        inverse Gaussian.

    Examples
    --------
    >>> import isoloss as il
    >>> il.D2Tweedie(power=1)([1.0, 3.0], [1.0, 3.0])
    np.float64(1.0)
    >>> il.d2_tweedie_score([2.5, 0.0, 2.0, 8.0], [3.0, -0.5, 2.0, 7.0])
    np.float64(0.9486081370449679)

    References
    ----------
    Cameron and Windmeijer (1997), *An R-squared measure of goodness of fit for some common
    nonlinear regression models*; scikit-learn's ``d2_tweedie_score``.
    """

    kind: ClassVar[str] = "moments"
    greater_is_better: ClassVar[bool] = True
    power: Annotated[Number, REAL.without(0.0, 1.0)] = 0.0

    @property
    def domain(self) -> Domain:  # type: ignore[override]
        if is_zero(self.power):
            return Domain()
        if not isinstance(self.power, (int, float)):  # a traced power is at least 1
            return Domain(POSITIVE, NON_NEGATIVE)
        targets = REAL if self.power < 0 else NON_NEGATIVE if self.power < 2 else POSITIVE
        return Domain(POSITIVE, targets)

    @property
    def source(self) -> Any:
        return "moments of error and target" if is_zero(self.power) else self

    def statistics(self, xp: Namespace, prediction: Array, target: Array, total: Totals) -> State:
        if is_zero(self.power):
            return total.moments(prediction - target, target)
        terms = xp.tweedie_deviance(prediction, target, self.power)
        unexplained = total.mean(self._inside(xp, prediction, target, terms))
        return _deviances(xp, target, unexplained, self.power, total)

    def formula(self, xp: Namespace, state: Any) -> Array:
        if isinstance(state, Moments):
            return state.explained(xp)
        spread = state.spread.sum
        spread = xp.where(state.mean.sum > 0, spread, xp.zeros_like(spread))
        return 1 - ratio(xp, state.unexplained.sum, spread)


def _deviances(
    xp: Namespace, target: Array, unexplained: Mean, power: Any, total: Totals
) -> DevianceMoments:
    """Return the state of targets: their mean and their deviances from the mean."""
    weight = unexplained.weight

    def mean(x: Array) -> Array:
        return ratio(xp, total.mean(x).total.sum, weight.sum, 0.0)

    first = mean(target)
    rest = mean(target - total._expand(first))  # makes the mean of equal numbers exact
    value = first + rest
    error = rest - (value - first)
    spread = total(_deviance(xp, total._expand(value), target, power)).value
    spread = spread - weight.sum * _of_a_step(xp, value, error, power)
    return DevianceMoments(
        Total(value, xp.astype(error, xp.result)),
        Total(spread, xp.zeros_like(unexplained.total.error)),
        unexplained.total._replace(spare=None),
        power + xp.zeros_like(value),
        weight,
    )


@final
@dataclass(frozen=True)
class D2Pinball(Metric):
    r"""D2 score of the pinball loss: the share of the loss that is explained.

    .. math:: 1 - \frac{\sum w \, \rho_q(y - f)}{\min_c \sum w \, \rho_q(y - c)}

    with the loss rho_q of `Pinball`. The best constant c is the quantile of the targets. Quantile
    0.5 gives the score of the absolute error, whose best constant is the median:
    `d2_absolute_error_score`.

    Perfect predictions have score 1, and the best constant has score 0. For constant targets the
    score is nan. At y = f the derivative is the average of the one-sided derivatives.

    Parameters
    ----------
    quantile : 0 < float < 1
        The quantile to predict.

    Examples
    --------
    >>> import isoloss as il
    >>> il.d2_absolute_error_score([2.5, 0.0, 2.0, 8.0], [3.0, -0.5, 2.0, 7.0])
    np.float64(0.7647058823529411)

    References
    ----------
    Koenker and Machado (1999), *Goodness of fit and related inference processes for quantile
    regression*; scikit-learn's ``d2_pinball_score`` and ``d2_absolute_error_score``.
    """

    kind: ClassVar[str] = "sorted whole"
    greater_is_better: ClassVar[bool] = True
    quantile: Level = 0.5

    def statistics(self, xp: Namespace, prediction: Array, target: Array, total: Totals) -> Samples:
        return total.samples(_pinball(xp, target - prediction, self.quantile), target)

    def formula(self, xp: Namespace, state: Samples) -> Array:
        return 1 - _over_the_best(xp, state, self.quantile)


def _over_the_best(xp: Namespace, state: Samples, quantile: Any) -> Array:
    """Return the pinball loss divided by that of the quantile of the targets."""
    if state.values.shape[-1] == 0:
        return state.weight.value  # no samples to sort; `empty` replaces this value
    weights = xp.astype(state.weights, xp.computing)
    counted = xp.expand_dims(weights > 0, axis=-2)  # excludes samples of other groups, even nan
    values = xp.where(counted, state.values, xp.zeros_like(state.values))
    losses, targets = values[..., 0, :], values[..., 1, :]
    best = _pinball(xp, targets - _quantile(xp, targets, weights, quantile), quantile)
    sums = (xp.sum_in_two(weights * x) for x in (losses, best))  # the same in any order of samples
    return ratio(xp, *(high + low for high, low in sums))


def _pinball(xp: Namespace, short: Array, quantile: Any) -> Array:
    return xp.maximum(quantile * short, (quantile - 1) * short)


def _quantile(xp: Namespace, x: Array, weights: Array, quantile: Any) -> Array:
    """Return the weighted quantile; between two samples, return their average."""
    order = xp.argsort(x, axis=-1)
    upto = xp.cumulative_sum(xp.take_along_axis(weights, order, axis=-1), axis=-1)
    share = quantile * upto[..., -1:]

    def at(passed: Array) -> Array:
        index = xp.sum(xp.astype(passed, xp.counting), axis=-1, keepdims=True)
        index = xp.clip(index, max=x.shape[-1] - 1)
        return xp.take_along_axis(x, xp.take_along_axis(order, index, axis=-1), axis=-1)

    return at(upto < share) / 2 + at(upto <= share) / 2


class _OfClasses(Metric):
    """One minus the ratio of a score to that of the best constant probabilities."""

    signature: ClassVar[str] = "(classes),()->()"
    kind: ClassVar[str] = "counts"
    greater_is_better: ClassVar[bool] = True
    domain: ClassVar[Domain] = Domain(UNIT, Labels())

    def _summed(
        self, xp: Namespace, prediction: Array, target: Array, terms: Array, total: Totals
    ) -> Counts:
        """Return, for each class, the weight and the sum of the terms of its samples."""
        terms = self._inside(xp, prediction, target, terms)
        return total.counts(target, prediction.shape[-1], terms)


@final
@dataclass(frozen=True)
class D2LogLoss(_OfClasses):
    r"""D2 score of the log loss: the share of the loss that is explained.

    .. math:: 1 - \frac{-\sum_i w_i \log p_{i, y_i}}{-\sum_c n_c \log(n_c / n)}

    where n_c is the weight of class c among the targets and n is the sum of all weights. The best
    constant prediction is the share n_c / n of each class.

    Predictions are probabilities and are not clipped: a probability of 0 for the observed class
    gives -inf. If all targets have the same class, the score is nan.

    Examples
    --------
    >>> import isoloss as il
    >>> il.d2_log_loss_score([[0.5, 0.5], [0.5, 0.5]], [0, 1])
    np.float64(0.0)

    References
    ----------
    McFadden (1974), *Conditional logit analysis of qualitative choice behavior*; scikit-learn's
    ``d2_log_loss_score``, which clips probabilities.
    """

    def statistics(self, xp: Namespace, prediction: Array, target: Array, total: Totals) -> Counts:
        chosen = xp.pick(prediction, target)
        return self._summed(xp, prediction, target, -xp.log(chosen), total)

    def formula(self, xp: Namespace, state: Counts) -> Array:
        number, losses = (state.matrix(2)[..., k, :] for k in range(2))
        some = xp.where(number == 0, xp.ones_like(number), number)
        whole = xp.sum(number, axis=-1, keepdims=True) + 0 * number
        rare = xp.where(number == 0, some, whole)  # log(1) for a class without samples
        best = xp.sum(number * xp.log_ratio(rare, some), axis=-1)
        return 1 - ratio(xp, xp.sum(losses, axis=-1), best)


@final
@dataclass(frozen=True)
class D2Brier(_OfClasses):
    r"""D2 score of the Brier score: the share of the Brier score that is explained.

    .. math:: 1 - \frac{\sum_i w_i \sum_c (p_{ic} - [y_i = c])^2}{\sum_c n_c (1 - n_c / n)}

    where n_c is the weight of class c among the targets and n is the sum of all weights. The best
    constant prediction is the share n_c / n of each class.

    Predictions are probabilities. If all targets have the same class, the score is nan.

    Examples
    --------
    >>> import isoloss as il
    >>> il.d2_brier_score([[0.5, 0.5], [0.5, 0.5]], [0, 1])
    np.float64(0.0)

    References
    ----------
    Brier (1950); scikit-learn's ``d2_brier_score``.
    """

    def statistics(self, xp: Namespace, prediction: Array, target: Array, total: Totals) -> Counts:
        apart = prediction - xp.astype(xp.at(prediction, target), xp.computing)
        return self._summed(xp, prediction, target, xp.sum(apart * apart, axis=-1), total)

    def formula(self, xp: Namespace, state: Counts) -> Array:
        number, squares = (state.matrix(2)[..., k, :] for k in range(2))
        before = xp.cumulative_sum(number, axis=-1) - number
        whole = xp.sum(number, axis=-1)
        best = 2 * ratio(xp, xp.sum(number * before, axis=-1), whole)  # pairs of different labels
        return 1 - ratio(xp, xp.sum(squares, axis=-1), best)


# --- default instances ----------------------------------------------------------------------------

mean_absolute_scaled_error = mase = MeanAbsoluteScaledError()
root_mean_squared_scaled_error = rmsse = RootMeanSquaredScaledError()
overall_weighted_average = owa = OverallWeightedAverage()
nash_sutcliffe = NashSutcliffe()
kling_gupta = KlingGupta()
d2_tweedie_score = D2Tweedie()
d2_pinball_score = d2_absolute_error_score = D2Pinball()
d2_log_loss_score = D2LogLoss()
d2_brier_score = D2Brier()
