"""Calibration: whether probabilities are as often right as they say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, final

from ._arrays import Totals
from ._domains import UNIT, Domain, Interval, Labels
from ._metric import Metric, choice, parameter
from ._namespaces import Array, Namespace
from ._states import Counts, ratio


@final
@dataclass(frozen=True)
class ExpectedCalibrationError(Metric):
    r"""Expected calibration error: how far confidence is from accuracy, over bins of confidence.

    .. math:: \left(\sum_b \frac{n_b}{n} |acc_b - conf_b|^k\right)^{1/k}

    with the share of right answers and the mean confidence of the n_b samples in bin b.

    Kind: counts, which stream exactly; predictions ``(..., classes)`` probabilities, of which the
    first of the largest is the answer and its value the confidence, nan outside 0 to 1; targets
    ``(...)`` integers from 0 to classes - 1, nan outside. Bins have equal widths; a confidence at
    an edge is in the bin below it. Where a bin's difference is 0 its subgradient is 0.

    Parameters
    ----------
    bins : int >= 1
        The number of bins.
    norm : {"l1", "l2", "max"}
        k = 1; k = 2; or the largest difference of a bin that is not empty.

    Examples
    --------
    >>> import isoloss as il
    >>> il.ExpectedCalibrationError(bins=2)([[0.75, 0.25], [0.25, 0.75]], [0, 0])
    np.float64(0.25)

    References
    ----------
    Naeini et al. (2015); Guo et al. (2017), *On Calibration of Modern Neural Networks*;
    torchmetrics's ``multiclass_calibration_error``.
    """

    signature: ClassVar[str] = "(classes),()->()"
    kind: ClassVar[str] = "counts"
    bins: int = parameter(15, Interval(low=1))
    norm: str = choice("l1", "l2", "max")

    @property
    def domain(self) -> Domain:
        return Domain(UNIT, Labels())

    @property
    def source(self) -> Any:
        return "confidence in bins", self.bins

    def statistics(self, xp: Namespace, prediction: Array, target: Array, total: Totals) -> Counts:
        answer = xp.argmax(prediction, axis=-1)
        sure = self._inside(xp, prediction, target, xp.pick(prediction, answer))
        right = xp.astype(answer == target, xp.computing)
        edges = tuple(-k / self.bins for k in range(self.bins - 1, 0, -1))
        index = xp.bin_of(-sure, edges)  # from the top, so that an edge belongs below
        return total.counts(index, self.bins, sure, right)

    def formula(self, xp: Namespace, state: Counts) -> Array:
        number, sure, right = (state.matrix(3)[..., k, :] for k in range(3))
        share = ratio(xp, number, xp.sum(number, axis=-1, keepdims=True) + 0 * number)
        gap = xp.abs(ratio(xp, right - sure, number, 0.0))
        if self.norm == "max":
            return xp.max(gap, axis=-1)
        if self.norm == "l2":
            return xp.sqrt(xp.sum(share * gap * gap, axis=-1))
        return xp.sum(share * gap, axis=-1)


# --- the members most people call -----------------------------------------------------------------

expected_calibration_error = ExpectedCalibrationError()
