"""Counts: metrics computed from a confusion matrix.

All metrics with the same number of classes share one confusion matrix, which `evaluate` computes
once. The rows of the matrix are the target classes, and the columns are the predicted classes. For
one class, TP counts the samples of the class that are predicted as the class, FP the other samples
that are predicted as the class, FN the samples of the class that are predicted as another class,
and TN all other samples.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, final

from .._core.domains import REAL, ZERO_OR_ONE, Domain, Labels
from .._core.metric import Metric
from .._core.parameters import Count, Number, Positive, Real
from .._core.states import Counts, ratio
from .._core.totals import Totals
from .._core.types import Array, Namespace

__all__ = [
    "BalancedAccuracy",
    "BinaryAccuracy",
    "BinaryF1Score",
    "BinaryFBeta",
    "BinaryJaccardScore",
    "BinaryNegativePredictiveValue",
    "BinaryPrecision",
    "BinaryRecall",
    "BinarySpecificity",
    "CohenKappa",
    "ConfusionMatrix",
    "DiceScore",
    "F1Score",
    "FBeta",
    "Informedness",
    "JaccardScore",
    "MatthewsCorrelation",
    "NegativePredictiveValue",
    "Precision",
    "Recall",
    "Specificity",
    "binary_accuracy",
    "binary_f1_score",
    "binary_fbeta",
    "binary_jaccard_score",
    "binary_negative_predictive_value",
    "binary_precision",
    "binary_recall",
    "binary_specificity",
]

Average = Literal["macro", "micro", "weighted"]


class _OfMatrix(Metric):
    """A function of the confusion matrix of ``num_classes`` classes."""

    signature: ClassVar[str] = "(classes),()->()"
    kind: ClassVar[str] = "counts"
    greater_is_better: ClassVar[bool] = True
    num_classes: int

    @property
    def domain(self) -> Domain:  # type: ignore[override]
        return Domain(Labels(self.num_classes, scores=True), Labels(self.num_classes))

    @property
    def sizes(self) -> dict[str, int]:
        return {"classes": self.num_classes}

    @property
    def source(self) -> Any:
        return "confusion matrix", self.num_classes

    @final
    def statistics(self, xp: Namespace, prediction: Array, target: Array, total: Totals) -> Counts:
        """Count the pairs of target and predicted labels."""
        return total.confusion(prediction, target, self.num_classes)

    @final
    def formula(self, xp: Namespace, state: Counts) -> Array:
        """Compute the value from the counts."""
        return self.of_matrix(xp, state.matrix(self.num_classes))

    @abstractmethod
    def of_matrix(self, xp: Namespace, matrix: Array) -> Array:
        """Compute the value from a confusion matrix."""


def _of_classes(xp: Namespace, matrix: Array) -> tuple[Array, Array, Array, Array]:
    """Return TP, FP, FN and TN of each class, without subtractions: a count of 0 is exactly 0."""
    turned = xp.moveaxis(matrix, -1, -2)
    extra, missed = _others(xp, turned), _others(xp, matrix)
    rest = _others(xp, xp.moveaxis(missed, -1, -2))
    tp, fp, fn, tn = (_diagonal(xp, x) for x in (matrix, extra, missed, rest))
    return tp, fp, fn, tn


def _diagonal(xp: Namespace, matrix: Array) -> Array:
    return xp.sum(matrix * _identity(xp, matrix), axis=-1)


def _others(xp: Namespace, matrix: Array) -> Array:
    """Return for each entry of a row the sum of all other entries."""
    none, turned = xp.zeros_like(matrix[..., :1]), xp.flip(matrix, axis=-1)
    before, after = (
        xp.concat([none, xp.cumulative_sum(x, axis=-1)[..., :-1]], axis=-1)
        for x in (matrix, turned)
    )
    return before + xp.flip(after, axis=-1)


def _identity(xp: Namespace, matrix: Array) -> Array:
    column = xp.places(matrix)
    row = xp.cumulative_sum(xp.ones_like(matrix, dtype=xp.counting), axis=-2) - 1
    return xp.astype(row == column, matrix.dtype)


class _OfClasses(_OfMatrix):
    """A ratio of the counts of each class, and its average over the classes."""

    average: Average | None

    @final
    def of_matrix(self, xp: Namespace, matrix: Array) -> Array:
        """Return the ratio of each class, or the average of the ratios."""
        counts = _of_classes(xp, matrix)
        if self.average == "micro":
            return ratio(xp, *self.ratio_of(*(xp.sum(x, axis=-1) for x in counts)), 0.0)
        scores = ratio(xp, *self.ratio_of(*counts), 0.0)
        if self.average is None:
            return scores
        right, extra, missed, _ = counts
        named = right + extra + missed
        named = ratio(xp, named, named, 0.0)  # 1, or 0 for an absent class; nan stays nan
        weights = right + missed if self.average == "weighted" else named
        return ratio(xp, xp.sum(weights * scores, axis=-1), xp.sum(weights, axis=-1), 0.0)

    @abstractmethod
    def ratio_of(self, tp: Array, fp: Array, fn: Array, tn: Array) -> tuple[Array, Array]:
        """Return the numerator and the denominator."""


@final
@dataclass(frozen=True)
class ConfusionMatrix(_OfMatrix):
    r"""Confusion matrix: the number of samples for each pair of target and predicted class.

    .. math:: C_{ij} = \sum w \, [y = i] [\hat y = j]

    Predictions are ``(...)`` integers from 0 to num_classes - 1, or ``(..., num_classes)`` scores.
    For scores, the predicted label is the first class with the largest score. Targets are ``(...)``
    integers from 0 to num_classes - 1. A label outside this range makes the whole matrix nan. The
    state is the confusion matrix: it merges exactly, in constant memory.

    The result has the shape ``(num_classes, num_classes)``, after the axes that are not reduced.
    Counts remain exact above 2^24.

    Parameters
    ----------
    num_classes : int >= 1
        The number of classes.
    normalize : {None, "true", "pred", "all"}
        "true" divides by the sum of each row, "pred" by the sum of each column, and "all" by the
        sum of all entries. Entries with a sum of 0 become 0.

    Examples
    --------
    >>> import isoloss as il
    >>> il.ConfusionMatrix(num_classes=2)([0, 1, 1, 1], [0, 1, 0, 1])
    array([[1., 1.],
           [0., 2.]])

    References
    ----------
    scikit-learn's ``confusion_matrix``.
    """

    num_classes: Count
    normalize: Literal["true", "pred", "all"] | None = None

    def of_matrix(self, xp: Namespace, matrix: Array) -> Array:
        if self.normalize is None:
            return matrix
        axes = {"true": -1, "pred": -2, "all": (-2, -1)}[self.normalize]
        return ratio(xp, matrix, xp.sum(matrix, axis=axes, keepdims=True) + 0 * matrix, 0.0)


@final
@dataclass(frozen=True)
class Precision(_OfClasses):
    r"""Precision: the share of the predictions of a class that are correct.

    .. math:: \frac{TP}{TP + FP}

    Predictions are ``(...)`` integers from 0 to num_classes - 1, or ``(..., num_classes)`` scores.
    For scores, the predicted label is the first class with the largest score. Targets are ``(...)``
    integers from 0 to num_classes - 1. A label outside this range gives nan. The state is the
    confusion matrix: it merges exactly, in constant memory.

    The ratio 0 / 0 is 0, which is also the default of scikit-learn. A class with neither targets
    nor predictions is excluded from the macro average. Gradient 0.

    Parameters
    ----------
    num_classes : int >= 1
        The number of classes.
    average : {"macro", "micro", "weighted", None}
        "macro" is the mean over the classes. "micro" is the ratio of the sums over the classes.
        "weighted" is the mean with the number of targets of each class as weight. None gives one
        value per class, along a trailing axis.

    Examples
    --------
    >>> import isoloss as il
    >>> il.Precision(num_classes=3, average=None)([0, 2, 1, 2], [0, 1, 1, 2])
    array([1. , 1. , 0.5])

    References
    ----------
    van Rijsbergen (1979), *Information Retrieval*; scikit-learn's ``precision_score``, which by
    default gives the precision of class 1 of two.
    """

    num_classes: Count
    average: Average | None = "macro"

    def ratio_of(self, tp: Array, fp: Array, fn: Array, tn: Array) -> tuple[Array, Array]:
        return tp, tp + fp


@final
@dataclass(frozen=True)
class Recall(_OfClasses):
    r"""Recall (sensitivity, true positive rate): the share of a class that is predicted correctly.

    .. math:: \frac{TP}{TP + FN}

    Predictions are ``(...)`` integers from 0 to num_classes - 1, or ``(..., num_classes)`` scores.
    For scores, the predicted label is the first class with the largest score. Targets are ``(...)``
    integers from 0 to num_classes - 1. A label outside this range gives nan. The state is the
    confusion matrix: it merges exactly, in constant memory.

    The ratio 0 / 0 is 0, which is also the default of scikit-learn. A class with neither targets
    nor predictions is excluded from the macro average. Gradient 0.

    Parameters
    ----------
    num_classes : int >= 1
        The number of classes.
    average : {"macro", "micro", "weighted", None}
        "macro" is the mean over the classes. "micro" is the ratio of the sums over the classes.
        "weighted" is the mean with the number of targets of each class as weight. None gives one
        value per class, along a trailing axis.

    Examples
    --------
    >>> import isoloss as il
    >>> il.Recall(num_classes=3, average=None)([0, 2, 1, 2], [0, 1, 1, 2])
    array([1. , 0.5, 1. ])

    References
    ----------
    van Rijsbergen (1979), *Information Retrieval*; scikit-learn's ``recall_score``.
    """

    num_classes: Count
    average: Average | None = "macro"

    def ratio_of(self, tp: Array, fp: Array, fn: Array, tn: Array) -> tuple[Array, Array]:
        return tp, tp + fn


@final
@dataclass(frozen=True)
class F1Score(_OfClasses):
    r"""F1 score: the harmonic mean of precision and recall.

    .. math:: \frac{2 TP}{2 TP + FP + FN}

    Predictions are ``(...)`` integers from 0 to num_classes - 1, or ``(..., num_classes)`` scores.
    For scores, the predicted label is the first class with the largest score. Targets are ``(...)``
    integers from 0 to num_classes - 1. A label outside this range gives nan. The state is the
    confusion matrix: it merges exactly, in constant memory.

    The ratio 0 / 0 is 0, which is also the default of scikit-learn. A class with neither targets
    nor predictions is excluded from the macro average. Gradient 0.

    Parameters
    ----------
    num_classes : int >= 1
        The number of classes.
    average : {"macro", "micro", "weighted", None}
        "macro" is the mean over the classes. "micro" is the ratio of the sums over the classes.
        "weighted" is the mean with the number of targets of each class as weight. None gives one
        value per class, along a trailing axis.

    Examples
    --------
    >>> import isoloss as il
    >>> il.F1Score(num_classes=3, average="micro")([0, 2, 1, 2], [0, 1, 1, 2])
    np.float64(0.75)

    References
    ----------
    van Rijsbergen (1979), *Information Retrieval*; scikit-learn's ``f1_score``.
    """

    num_classes: Count
    average: Average | None = "macro"

    def ratio_of(self, tp: Array, fp: Array, fn: Array, tn: Array) -> tuple[Array, Array]:
        return 2 * tp, 2 * tp + fp + fn


@final
@dataclass(frozen=True)
class FBeta(_OfClasses):
    r"""F-beta score: the weighted harmonic mean of precision and recall.

    .. math:: \frac{(1 + \beta^2) TP}{(1 + \beta^2) TP + FP + \beta^2 FN}

    Predictions are ``(...)`` integers from 0 to num_classes - 1, or ``(..., num_classes)`` scores.
    For scores, the predicted label is the first class with the largest score. Targets are ``(...)``
    integers from 0 to num_classes - 1. A label outside this range gives nan. The state is the
    confusion matrix: it merges exactly, in constant memory.

    The ratio 0 / 0 is 0, which is also the default of scikit-learn. A class with neither targets
    nor predictions is excluded from the macro average. Gradient 0.

    Parameters
    ----------
    num_classes : int >= 1
        The number of classes.
    average : {"macro", "micro", "weighted", None}
        "macro" is the mean over the classes. "micro" is the ratio of the sums over the classes.
        "weighted" is the mean with the number of targets of each class as weight. None gives one
        value per class, along a trailing axis.
    beta : float > 0
        The importance of recall, relative to precision.

    Examples
    --------
    >>> import isoloss as il
    >>> il.FBeta(num_classes=3, average=None, beta=2.0)([0, 2, 1, 2], [0, 1, 1, 2])
    array([1.        , 0.55555556, 0.83333333])

    References
    ----------
    van Rijsbergen (1979), *Information Retrieval*; scikit-learn's ``fbeta_score``.
    """

    num_classes: Count
    average: Average | None = "macro"
    beta: Positive = 1.0

    def ratio_of(self, tp: Array, fp: Array, fn: Array, tn: Array) -> tuple[Array, Array]:
        square = self.beta * self.beta
        return (1 + square) * tp, (1 + square) * tp + fp + square * fn


@final
@dataclass(frozen=True)
class Specificity(_OfClasses):
    r"""Specificity: the share of the samples outside a class that are predicted as another class.

    .. math:: \frac{TN}{TN + FP}

    Predictions are ``(...)`` integers from 0 to num_classes - 1, or ``(..., num_classes)`` scores.
    For scores, the predicted label is the first class with the largest score. Targets are ``(...)``
    integers from 0 to num_classes - 1. A label outside this range gives nan. The state is the
    confusion matrix: it merges exactly, in constant memory.

    The ratio 0 / 0 is 0, which is also the default of scikit-learn. A class with neither targets
    nor predictions is excluded from the macro average. Gradient 0.

    Parameters
    ----------
    num_classes : int >= 1
        The number of classes.
    average : {"macro", "micro", "weighted", None}
        "macro" is the mean over the classes. "micro" is the ratio of the sums over the classes.
        "weighted" is the mean with the number of targets of each class as weight. None gives one
        value per class, along a trailing axis.

    Examples
    --------
    >>> import isoloss as il
    >>> il.Specificity(num_classes=3, average=None)([0, 2, 1, 2], [0, 1, 1, 2])
    array([1.        , 1.        , 0.66666667])

    References
    ----------
    Yerushalmy (1947); torchmetrics's ``multiclass_specificity``.
    """

    num_classes: Count
    average: Average | None = "macro"

    def ratio_of(self, tp: Array, fp: Array, fn: Array, tn: Array) -> tuple[Array, Array]:
        return tn, tn + fp


@final
@dataclass(frozen=True)
class NegativePredictiveValue(_OfClasses):
    r"""Negative predictive value: the share of a class's negative predictions that are correct.

    .. math:: \frac{TN}{TN + FN}

    Predictions are ``(...)`` integers from 0 to num_classes - 1, or ``(..., num_classes)`` scores.
    For scores, the predicted label is the first class with the largest score. Targets are ``(...)``
    integers from 0 to num_classes - 1. A label outside this range gives nan. The state is the
    confusion matrix: it merges exactly, in constant memory.

    The ratio 0 / 0 is 0, which is also the default of scikit-learn. A class with neither targets
    nor predictions is excluded from the macro average. Gradient 0.

    Parameters
    ----------
    num_classes : int >= 1
        The number of classes.
    average : {"macro", "micro", "weighted", None}
        "macro" is the mean over the classes. "micro" is the ratio of the sums over the classes.
        "weighted" is the mean with the number of targets of each class as weight. None gives one
        value per class, along a trailing axis.

    Examples
    --------
    >>> import isoloss as il
    >>> il.NegativePredictiveValue(num_classes=3, average=None)([0, 2, 1, 2], [0, 1, 1, 2])
    array([1.        , 0.66666667, 1.        ])

    References
    ----------
    Vecchio (1966); torchmetrics's ``multiclass_negative_predictive_value``.
    """

    num_classes: Count
    average: Average | None = "macro"

    def ratio_of(self, tp: Array, fp: Array, fn: Array, tn: Array) -> tuple[Array, Array]:
        return tn, tn + fn


@final
@dataclass(frozen=True)
class JaccardScore(_OfClasses):
    r"""Jaccard score: intersection over union of the targets and the predictions of a class.

    .. math:: \frac{TP}{TP + FP + FN}

    Predictions are ``(...)`` integers from 0 to num_classes - 1, or ``(..., num_classes)`` scores.
    For scores, the predicted label is the first class with the largest score. Targets are ``(...)``
    integers from 0 to num_classes - 1. A label outside this range gives nan. The state is the
    confusion matrix: it merges exactly, in constant memory.

    The ratio 0 / 0 is 0, which is also the default of scikit-learn. A class with neither targets
    nor predictions is excluded from the macro average. Gradient 0.

    Parameters
    ----------
    num_classes : int >= 1
        The number of classes.
    average : {"macro", "micro", "weighted", None}
        "macro" is the mean over the classes. "micro" is the ratio of the sums over the classes.
        "weighted" is the mean with the number of targets of each class as weight. None gives one
        value per class, along a trailing axis.

    Examples
    --------
    >>> import isoloss as il
    >>> il.JaccardScore(num_classes=3, average=None)([0, 2, 1, 2], [0, 1, 1, 2])
    array([1. , 0.5, 0.5])

    References
    ----------
    Jaccard (1901); scikit-learn's ``jaccard_score``.
    """

    num_classes: Count
    average: Average | None = "macro"

    def ratio_of(self, tp: Array, fp: Array, fn: Array, tn: Array) -> tuple[Array, Array]:
        return tp, tp + fp + fn


@final
@dataclass(frozen=True)
class DiceScore(_OfClasses):
    r"""Dice score: twice the intersection over the sum of the sizes; equal to the F1 score.

    .. math:: \frac{2 TP}{2 TP + FP + FN}

    Predictions are ``(...)`` integers from 0 to num_classes - 1, or ``(..., num_classes)`` scores.
    For scores, the predicted label is the first class with the largest score. Targets are ``(...)``
    integers from 0 to num_classes - 1. A label outside this range gives nan. The state is the
    confusion matrix: it merges exactly, in constant memory.

    The ratio 0 / 0 is 0, which is also the default of scikit-learn. A class with neither targets
    nor predictions is excluded from the macro average. Gradient 0.

    Parameters
    ----------
    num_classes : int >= 1
        The number of classes.
    average : {"macro", "micro", "weighted", None}
        "macro" is the mean over the classes. "micro" is the ratio of the sums over the classes.
        "weighted" is the mean with the number of targets of each class as weight. None gives one
        value per class, along a trailing axis.

    Examples
    --------
    >>> import isoloss as il
    >>> il.DiceScore(num_classes=3, average="macro")([0, 2, 1, 2], [0, 1, 1, 2])
    np.float64(0.7777777777777777)

    References
    ----------
    Dice (1945), *Measures of the Amount of Ecologic Association Between Species*.
    """

    num_classes: Count
    average: Average | None = "macro"

    def ratio_of(self, tp: Array, fp: Array, fn: Array, tn: Array) -> tuple[Array, Array]:
        return 2 * tp, 2 * tp + fp + fn


@final
@dataclass(frozen=True)
class BalancedAccuracy(_OfMatrix):
    r"""Balanced accuracy: the mean recall of the classes that occur among the targets.

    .. math:: \frac{1}{C} \sum_c \frac{TP_c}{TP_c + FN_c}

    Predictions are ``(...)`` integers from 0 to num_classes - 1, or ``(..., num_classes)`` scores.
    For scores, the predicted label is the first class with the largest score. Targets are ``(...)``
    integers from 0 to num_classes - 1. A label outside this range gives nan. The state is the
    confusion matrix: it merges exactly, in constant memory. Gradient 0.

    C is the number of classes that occur among the targets. Classes without targets are excluded.

    Parameters
    ----------
    num_classes : int >= 1
        The number of classes.

    Examples
    --------
    >>> import isoloss as il
    >>> il.BalancedAccuracy(num_classes=3)([0, 2, 1, 2], [0, 1, 1, 2])
    np.float64(0.8333333333333334)

    References
    ----------
    Brodersen et al. (2010); scikit-learn's ``balanced_accuracy_score``.
    """

    num_classes: Count

    def of_matrix(self, xp: Namespace, matrix: Array) -> Array:
        return _mean_recall(xp, matrix)[0]


def _mean_recall(xp: Namespace, matrix: Array) -> tuple[Array, Array]:
    """Return the mean recall of the classes that occur, and the number of these classes."""
    right, _, missed, _ = _of_classes(xp, matrix)
    occurs = ratio(xp, right + missed, right + missed, 0.0)
    recall = ratio(xp, right, right + missed, 0.0)
    return ratio(xp, xp.sum(recall, axis=-1), xp.sum(occurs, axis=-1)), xp.sum(occurs, axis=-1)


@final
@dataclass(frozen=True)
class Informedness(_OfMatrix):
    r"""Informedness: balanced accuracy with guessing at 0; for two classes, Youden's J.

    .. math:: \frac{B - 1 / C}{1 - 1 / C}

    Predictions are ``(...)`` integers from 0 to num_classes - 1, or ``(..., num_classes)`` scores.
    For scores, the predicted label is the first class with the largest score. Targets are ``(...)``
    integers from 0 to num_classes - 1. A label outside this range gives nan. The state is the
    confusion matrix: it merges exactly, in constant memory. Gradient 0.

    The maximum is 1. B is the balanced accuracy, and C is the number of classes that occur among
    the targets. If only one class occurs, the result is nan.

    Parameters
    ----------
    num_classes : int >= 1
        The number of classes.

    Examples
    --------
    >>> import isoloss as il
    >>> il.Informedness(num_classes=2)([0, 1, 1, 1], [0, 1, 0, 1])
    np.float64(0.5)

    References
    ----------
    Youden (1950); Powers (2011). scikit-learn's ``balanced_accuracy_score`` with
    ``adjusted=True``.
    """

    num_classes: Count

    def of_matrix(self, xp: Namespace, matrix: Array) -> Array:
        mean, classes = _mean_recall(xp, matrix)
        return ratio(xp, mean * classes - 1, classes - 1)


@final
@dataclass(frozen=True)
class MatthewsCorrelation(_OfMatrix):
    r"""Matthews correlation coefficient: the correlation of targets and predictions.

    .. math:: \frac{n \sum_c C_{cc} - \sum_c p_c t_c}
        {\sqrt{n^2 - \sum_c p_c^2} \sqrt{n^2 - \sum_c t_c^2}}

    Predictions are ``(...)`` integers from 0 to num_classes - 1, or ``(..., num_classes)`` scores.
    For scores, the predicted label is the first class with the largest score. Targets are ``(...)``
    integers from 0 to num_classes - 1. A label outside this range gives nan. The state is the
    confusion matrix: it merges exactly, in constant memory. Gradient 0.

    t_c and p_c are the numbers of targets and predictions of a class, and n is the number of
    samples. If all targets or all predictions are of one class, the result is 0.

    Parameters
    ----------
    num_classes : int >= 1
        The number of classes.

    Examples
    --------
    >>> import isoloss as il
    >>> il.MatthewsCorrelation(num_classes=2)([0, 1, 1, 1], [0, 1, 0, 1])
    np.float64(0.5773502691896258)

    References
    ----------
    Matthews (1975); Gorodkin (2004) for many classes; scikit-learn's ``matthews_corrcoef``.
    """

    num_classes: Count

    def of_matrix(self, xp: Namespace, matrix: Array) -> Array:
        matrix = matrix / xp.sum(matrix, axis=(-2, -1), keepdims=True)
        right = xp.sum(matrix * _identity(xp, matrix), axis=(-2, -1))
        p, t = xp.sum(matrix, axis=-2), xp.sum(matrix, axis=-1)
        spread = _spread(xp, p) * _spread(xp, t)
        return ratio(xp, right - xp.sum(p * t, axis=-1), xp.sqrt(spread), 0.0)


def _spread(xp: Namespace, shares: Array) -> Array:
    """Return ``1 - sum(shares^2)``, which is exactly 0 if one share is 1."""
    return xp.sum(shares * (xp.sum(shares, axis=-1, keepdims=True) - shares), axis=-1)


@final
@dataclass(frozen=True)
class CohenKappa(_OfMatrix):
    r"""Cohen's kappa: the agreement of targets and predictions beyond chance.

    .. math:: \frac{\sum_c C_{cc} / n - \sum_c p_c t_c / n^2}{1 - \sum_c p_c t_c / n^2}

    Predictions are ``(...)`` integers from 0 to num_classes - 1, or ``(..., num_classes)`` scores.
    For scores, the predicted label is the first class with the largest score. Targets are ``(...)``
    integers from 0 to num_classes - 1. A label outside this range gives nan. The state is the
    confusion matrix: it merges exactly, in constant memory. Gradient 0.

    t_c and p_c are the numbers of targets and predictions of a class, and n is the number of
    samples. If all targets and predictions are of one class, the result is nan.

    Parameters
    ----------
    num_classes : int >= 1
        The number of classes.

    Examples
    --------
    >>> import isoloss as il
    >>> il.CohenKappa(num_classes=2)([0, 1, 1, 1], [0, 1, 0, 1])
    np.float64(0.5)

    References
    ----------
    Cohen (1960); scikit-learn's ``cohen_kappa_score``.
    """

    num_classes: Count

    def of_matrix(self, xp: Namespace, matrix: Array) -> Array:
        matrix = matrix / xp.sum(matrix, axis=(-2, -1), keepdims=True)
        wrong = xp.sum(matrix * (1 - _identity(xp, matrix)), axis=(-2, -1))
        p, t = xp.sum(matrix, axis=-2), xp.sum(matrix, axis=-1)
        by_chance = xp.sum(p * (xp.sum(t, axis=-1, keepdims=True) - t), axis=-1)
        return 1 - ratio(xp, wrong, by_chance)


# --- binary labels, by a threshold ----------------------------------------------------------------


class _Binary(Metric):
    """A ratio of counts of binary labels and scores on both sides of a threshold."""

    kind: ClassVar[str] = "counts"
    greater_is_better: ClassVar[bool] = True
    domain: ClassVar[Domain] = Domain(REAL, ZERO_OR_ONE)
    threshold: Number

    @property
    def source(self) -> Any:
        return "confusion matrix of two", self.threshold

    @final
    def statistics(self, xp: Namespace, prediction: Array, target: Array, total: Totals) -> Counts:
        """Count the pairs of label and side of the threshold."""
        side = xp.where(prediction >= self.threshold, 1.0, 0.0)
        index = xp.astype(2 * xp.where(target > 0, 1.0, 0.0) + side, xp.counting)
        known = (prediction == prediction) & ((target == 0) | (target == 1))
        return total.counts(xp.where(known, index, xp.full_like(index, -1)), 4)

    @final
    def formula(self, xp: Namespace, state: Counts) -> Array:
        """Return the ratio."""
        tn, fp, fn, tp = (state.counts.sum[..., k] for k in range(4))
        return ratio(xp, *self.ratio_of(tp, fp, fn, tn), 0.0)

    @abstractmethod
    def ratio_of(self, tp: Array, fp: Array, fn: Array, tn: Array) -> tuple[Array, Array]:
        """Return the numerator and the denominator."""


@final
@dataclass(frozen=True)
class BinaryAccuracy(_Binary):
    r"""Binary accuracy: the share of the samples with a correctly predicted label.

    .. math:: \frac{TP + TN}{TP + TN + FP + FN}

    A prediction is positive if its score is at or above the threshold. The scores are not
    transformed: for logits, the threshold 0 corresponds to the probability 1/2. Targets may have
    any dtype. A score of nan gives nan. The ratio 0 / 0 is 0. Gradient 0.

    Parameters
    ----------
    threshold : float
        The lowest score of a positive prediction.

    Examples
    --------
    >>> import isoloss as il
    >>> il.BinaryAccuracy()([0.2, 0.5, 0.9, 0.7], [0, 1, 0, 1])
    np.float64(0.75)

    References
    ----------
    torchmetrics and Keras treat a score equal to the threshold as negative.
    """

    threshold: Real = 0.5

    def ratio_of(self, tp: Array, fp: Array, fn: Array, tn: Array) -> tuple[Array, Array]:
        return tp + tn, tp + tn + fp + fn


@final
@dataclass(frozen=True)
class BinaryPrecision(_Binary):
    r"""Binary precision: the share of the positive predictions with the label 1.

    .. math:: \frac{TP}{TP + FP}

    A prediction is positive if its score is at or above the threshold. The scores are not
    transformed: for logits, the threshold 0 corresponds to the probability 1/2. Targets may have
    any dtype. A score of nan gives nan. The ratio 0 / 0 is 0. Gradient 0.

    Parameters
    ----------
    threshold : float
        The lowest score of a positive prediction.

    Examples
    --------
    >>> import isoloss as il
    >>> il.BinaryPrecision()([0.2, 0.5, 0.9, 0.7], [0, 1, 0, 1])
    np.float64(0.6666666666666666)

    References
    ----------
    van Rijsbergen (1979); `Precision`.
    torchmetrics and Keras treat a score equal to the threshold as negative.
    """

    threshold: Real = 0.5

    def ratio_of(self, tp: Array, fp: Array, fn: Array, tn: Array) -> tuple[Array, Array]:
        return tp, tp + fp


@final
@dataclass(frozen=True)
class BinaryRecall(_Binary):
    r"""Binary recall: the share of the labels 1 with a positive prediction.

    .. math:: \frac{TP}{TP + FN}

    A prediction is positive if its score is at or above the threshold. The scores are not
    transformed: for logits, the threshold 0 corresponds to the probability 1/2. Targets may have
    any dtype. A score of nan gives nan. The ratio 0 / 0 is 0. Gradient 0.

    Parameters
    ----------
    threshold : float
        The lowest score of a positive prediction.

    Examples
    --------
    >>> import isoloss as il
    >>> il.BinaryRecall()([0.2, 0.5, 0.9, 0.7], [0, 1, 0, 1])
    np.float64(1.0)

    References
    ----------
    van Rijsbergen (1979); `Recall`.
    torchmetrics and Keras treat a score equal to the threshold as negative.
    """

    threshold: Real = 0.5

    def ratio_of(self, tp: Array, fp: Array, fn: Array, tn: Array) -> tuple[Array, Array]:
        return tp, tp + fn


@final
@dataclass(frozen=True)
class BinaryF1Score(_Binary):
    r"""Binary F1 score: the harmonic mean of precision and recall.

    .. math:: \frac{2 TP}{2 TP + FP + FN}

    A prediction is positive if its score is at or above the threshold. The scores are not
    transformed: for logits, the threshold 0 corresponds to the probability 1/2. Targets may have
    any dtype. A score of nan gives nan. The ratio 0 / 0 is 0. Gradient 0.

    Parameters
    ----------
    threshold : float
        The lowest score of a positive prediction.

    Examples
    --------
    >>> import isoloss as il
    >>> il.BinaryF1Score()([0.2, 0.5, 0.9, 0.7], [0, 1, 0, 1])
    np.float64(0.8)

    References
    ----------
    van Rijsbergen (1979); `F1Score`.
    torchmetrics and Keras treat a score equal to the threshold as negative.
    """

    threshold: Real = 0.5

    def ratio_of(self, tp: Array, fp: Array, fn: Array, tn: Array) -> tuple[Array, Array]:
        return 2 * tp, 2 * tp + fp + fn


@final
@dataclass(frozen=True)
class BinaryFBeta(_Binary):
    r"""Binary F-beta score: the weighted harmonic mean of precision and recall.

    .. math:: \frac{(1 + \beta^2) TP}{(1 + \beta^2) TP + FP + \beta^2 FN}

    A prediction is positive if its score is at or above the threshold. The scores are not
    transformed: for logits, the threshold 0 corresponds to the probability 1/2. Targets may have
    any dtype. A score of nan gives nan. The ratio 0 / 0 is 0. Gradient 0.

    Parameters
    ----------
    threshold : float
        The lowest score of a positive prediction.
    beta : float > 0
        The importance of recall, relative to precision.

    Examples
    --------
    >>> import isoloss as il
    >>> il.BinaryFBeta()([0.2, 0.5, 0.9, 0.7], [0, 1, 0, 1])
    np.float64(0.8)

    References
    ----------
    van Rijsbergen (1979); `FBeta`.
    torchmetrics and Keras treat a score equal to the threshold as negative.
    """

    threshold: Real = 0.5
    beta: Positive = 1.0

    def ratio_of(self, tp: Array, fp: Array, fn: Array, tn: Array) -> tuple[Array, Array]:
        square = self.beta * self.beta
        return (1 + square) * tp, (1 + square) * tp + fp + square * fn


@final
@dataclass(frozen=True)
class BinarySpecificity(_Binary):
    r"""Binary specificity: the share of the labels 0 with a negative prediction.

    .. math:: \frac{TN}{TN + FP}

    A prediction is positive if its score is at or above the threshold. The scores are not
    transformed: for logits, the threshold 0 corresponds to the probability 1/2. Targets may have
    any dtype. A score of nan gives nan. The ratio 0 / 0 is 0. Gradient 0.

    Parameters
    ----------
    threshold : float
        The lowest score of a positive prediction.

    Examples
    --------
    >>> import isoloss as il
    >>> il.BinarySpecificity()([0.2, 0.5, 0.9, 0.7], [0, 1, 0, 1])
    np.float64(0.5)

    References
    ----------
    Yerushalmy (1947); `Specificity`.
    torchmetrics and Keras treat a score equal to the threshold as negative.
    """

    threshold: Real = 0.5

    def ratio_of(self, tp: Array, fp: Array, fn: Array, tn: Array) -> tuple[Array, Array]:
        return tn, tn + fp


@final
@dataclass(frozen=True)
class BinaryNegativePredictiveValue(_Binary):
    r"""Binary negative predictive value: the share of the negative predictions with the label 0.

    .. math:: \frac{TN}{TN + FN}

    A prediction is positive if its score is at or above the threshold. The scores are not
    transformed: for logits, the threshold 0 corresponds to the probability 1/2. Targets may have
    any dtype. A score of nan gives nan. The ratio 0 / 0 is 0. Gradient 0.

    Parameters
    ----------
    threshold : float
        The lowest score of a positive prediction.

    Examples
    --------
    >>> import isoloss as il
    >>> il.BinaryNegativePredictiveValue()([0.2, 0.5, 0.9, 0.7], [0, 1, 0, 1])
    np.float64(1.0)

    References
    ----------
    Vecchio (1966); `NegativePredictiveValue`.
    torchmetrics and Keras treat a score equal to the threshold as negative.
    """

    threshold: Real = 0.5

    def ratio_of(self, tp: Array, fp: Array, fn: Array, tn: Array) -> tuple[Array, Array]:
        return tn, tn + fn


@final
@dataclass(frozen=True)
class BinaryJaccardScore(_Binary):
    r"""Binary Jaccard score: intersection over union of positive predictions and labels 1.

    .. math:: \frac{TP}{TP + FP + FN}

    A prediction is positive if its score is at or above the threshold. The scores are not
    transformed: for logits, the threshold 0 corresponds to the probability 1/2. Targets may have
    any dtype. A score of nan gives nan. The ratio 0 / 0 is 0. Gradient 0.

    Parameters
    ----------
    threshold : float
        The lowest score of a positive prediction.

    Examples
    --------
    >>> import isoloss as il
    >>> il.BinaryJaccardScore()([0.2, 0.5, 0.9, 0.7], [0, 1, 0, 1])
    np.float64(0.6666666666666666)

    References
    ----------
    Jaccard (1901); `JaccardScore`.
    torchmetrics and Keras treat a score equal to the threshold as negative.
    """

    threshold: Real = 0.5

    def ratio_of(self, tp: Array, fp: Array, fn: Array, tn: Array) -> tuple[Array, Array]:
        return tp, tp + fp + fn


# --- default instances ----------------------------------------------------------------------------

binary_accuracy = BinaryAccuracy()
binary_precision = BinaryPrecision()
binary_recall = BinaryRecall()
binary_f1_score = BinaryF1Score()
binary_fbeta = BinaryFBeta()
binary_specificity = BinarySpecificity()
binary_negative_predictive_value = BinaryNegativePredictiveValue()
binary_jaccard_score = BinaryJaccardScore()
