"""User code that is type-checked, never run: right calls pass, wrong calls are expected errors."""

from dataclasses import dataclass
from typing import Any

import numpy as np

import isoloss as il

predictions, targets = np.ones(3), np.zeros(3)

value: Any = il.mean_squared_error(predictions, targets)
il.huber(predictions, targets=targets, weights=[1, 2, 3], where=targets == 0, axis=0, keepdims=True)
il.Huber(delta=2.0)(predictions=predictions, targets=targets, reduction="none")
il.Scaled(il.mean_absolute_percentage_error, 100)(predictions, targets)
il.Root(il.huber)(predictions, targets, empty=0.0, denominator=5)
scores: dict[str, Any] = il.evaluate({"train": il.Huber(2.0)}, predictions, targets)
state = il.r2_score.summary(predictions, targets).merge(il.r2_score.summary(predictions, targets))
il.r2_score.compute(state)
first, second = il.gradient_hessian(il.huber, predictions, targets, weights=targets)


@dataclass(frozen=True)
class Quartic(il.Loss):
    """A loss of the user's own."""

    scale: float = 1.0

    def pointwise(self, xp: Any, prediction: Any, target: Any) -> Any:
        return ((prediction - target) / self.scale) ** 4


Quartic(scale=2.0)(predictions, targets)

il.Huber(detla=2.0)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
il.Huber("wide")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
il.huber(predictions)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
il.huber(predictions, targets, targets)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
il.huber(predictions, targets, reduction="avg")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
il.huber(predictions, targets, wieghts=1)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
il.huber.delta = 2.0  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
il.Root("mse")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
il.Loss()  # type: ignore[abstract]  # pyright: ignore[reportAbstractUsage]


class Wider(il.Huber):  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    """Concrete metrics are final."""


# parameters: required ones are required, arrays and lists are taken where they make sense
il.ConfusionMatrix()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
il.F1Score()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
il.F1Score(num_classes=3, average="micr")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
il.F1Score(num_classes=3, average=None)
il.Barron(alpha=np.ones(3))
il.SoftmaxCrossEntropy(class_weights=[1.0, 2.0])
il.SoftmaxCrossEntropy(class_weights=np.ones(2))

# a result is of the type of the predictions; of lists and tuples it is not known
as_given: np.ndarray = il.huber(predictions, targets, axis=0)
il.huber(predictions, targets).append(1)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
of_list: float = il.huber([1.0], [2.0])
