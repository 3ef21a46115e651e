"""Regression: the seed of the library, and everything that answers it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, final

from ._arrays import Totals
from ._domains import (
    ABOVE_MINUS_ONE,
    BETWEEN_0_AND_1,
    NON_NEGATIVE,
    POSITIVE,
    REAL,
    Domain,
)
from ._metric import Loss, Metric, Root, Scaled, SquaredLoss, parameter
from ._namespaces import Array, Namespace
from ._states import Extremum, Mean, Moments, Ratio, Samples, ratio

@final
@dataclass(frozen=True)
class MeanSquaredError(SquaredLoss):
    def residual(self, xp, prediction, target):
        return prediction - target

@final
@dataclass(frozen=True)
class Huber(Loss):
    delta: float = parameter(1.0, POSITIVE)

    def pointwise(self, xp, prediction, target):
        error = prediction - target
        clipped = xp.clip(error, -self.delta, self.delta)
        return clipped * (error - clipped / 2)

@final
@dataclass(frozen=True)
class R2Score(Metric):
    greater_is_better: ClassVar[bool] = True

    def statistics(self, xp, prediction, target, total):
        return total.moments(prediction - target, target)

    def formula(self, xp, state):
        squares = state.aa.sum + state.weight.sum * state.mean_a.sum * state.mean_a.sum
        return 1 - ratio(xp, squares, state.bb.sum)

mean_squared_error = MeanSquaredError()
huber = Huber()
root_mean_squared_error = Root(mean_squared_error)
r2_score = R2Score()
