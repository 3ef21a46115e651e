"""Language models: distillation, preferences, policies, and the cross-entropy of a linear layer.

In every formula l is the log-probability of a whole answer, or of an action, under the trained
model; r is the log-probability under the reference model; and s(h) = 1 / (1 + exp(-h)).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, final

from .._core.calls import answer
from .._core.domains import (
    LOGITS,
    REAL,
    ZERO_OR_ONE,
    Domain,
    Interval,
    Labels,
)
from .._core.errors import fail
from .._core.metric import Loss, check_fields
from .._core.parameters import (
    Count,
    Integer,
    NonNegative,
    Number,
    Parametrised,
    Positive,
    Share,
    is_zero,
)
from .._core.states import Mean
from .._core.types import Array, Namespace
from .linear import Layer, multiplied, state_of, value_and_gradients

__all__ = [
    "DPO",
    "KTO",
    "DistillationKL",
    "LinearCrossEntropy",
    "PPOClip",
    "distillation_kl",
    "dpo",
    "kto",
    "linear_cross_entropy",
    "ppo_clip",
]

UP_TO_HALF = Interval(0.0, 0.5)

# --- distillation ---------------------------------------------------------------------------------


@final
@dataclass(frozen=True)
class DistillationKL(Loss):
    r"""Distillation loss: the KL divergence of a student's probabilities from a teacher's.

    .. math:: T^2 \sum_c q_c \log \frac{q_c}{p_c}, \quad p = \mathrm{softmax}(z / T), \;
        q = \mathrm{softmax}(t / T)

    where z are the student's logits, t are the teacher's logits, and T is the temperature. The
    factor T^2 keeps the scale of the gradient independent of the temperature. For large T, the loss
    tends to half the variance of z - t.

    Predictions are the student's logits, and targets are the teacher's logits. A logit of -inf
    excludes its class. The loss is inf if the student excludes a class that the teacher does not.
    The value and the first two derivatives are accurate for nearly equal logits: the loss is
    computed as a sum of non-negative terms ``q (exp(d) - 1 - d)`` with ``d = log(p / q)``.

    Parameters
    ----------
    temperature : float > 0
        The divisor T of both logits.

    Examples
    --------
    >>> import isoloss as il
    >>> il.DistillationKL(temperature=2.0)([[0.0, 1.0]], [[0.0, 3.0]])
    np.float64(0.3609527295639917)

    References
    ----------
    Hinton, Vinyals and Dean (2015), *Distilling the Knowledge in a Neural Network*. torch's
    ``kl_div`` leaves the temperature and the factor T^2 to the caller, and its ``reduction="mean"``
    also divides by the number of classes.
    """

    signature: ClassVar[str] = "(classes),(classes)->()"
    domain: ClassVar[Domain] = Domain(LOGITS, LOGITS)
    temperature: Positive = 1.0

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        return xp.logits_divergence(prediction, target, self.temperature)


# --- preferences ----------------------------------------------------------------------------------


@final
@dataclass(frozen=True)
class DPO(Loss):
    r"""Direct preference optimisation: raise a chosen answer's likelihood over a rejected one's.

    .. math:: -(1 - \epsilon) \log s(h) - \epsilon \log s(-h), \quad
        h = \beta ((l_c - r_c) - (l_r - r_r))

    where the index c denotes the chosen answer, the index r denotes the rejected answer, and
    epsilon is ``label_smoothing``.

    Predictions are a tuple ``(chosen, rejected)`` of the trained model's log-probabilities of the
    answers, summed over their tokens. Targets are a tuple ``(reference_chosen,
    reference_rejected)`` of the reference model's log-probabilities. The value and the first two
    derivatives are accurate for every h.

    Parameters
    ----------
    beta : float > 0
        The strength of the penalty for deviating from the reference model.
    label_smoothing : 0 <= float <= 1/2
        The assumed fraction of pairs in which the chosen and the rejected answer are swapped.

    Examples
    --------
    >>> import isoloss as il
    >>> il.dpo(([-10.0], [-14.0]), ([-11.0], [-12.0]))
    np.float64(0.5543552444685271)

    References
    ----------
    Rafailov et al. (2023), *Direct Preference Optimization*; with smoothing, Mitchell (2023),
    *A Note on DPO with Noisy Preferences*. TRL's ``DPOTrainer`` has the same defaults.
    """

    signature: ClassVar[str] = "((),()),((),())->()"
    prediction_names: ClassVar[tuple[str, ...]] = ("chosen", "rejected")
    target_names: ClassVar[tuple[str, ...]] = ("reference_chosen", "reference_rejected")
    domain: ClassVar[Domain] = Domain((REAL, REAL), (REAL, REAL))
    beta: Positive = 0.1
    label_smoothing: Annotated[Number, UP_TO_HALF] = 0.0

    def pointwise(self, xp: Namespace, prediction: Any, target: Any) -> Array:
        chosen, rejected = (own - other for own, other in zip(prediction, target, strict=True))
        gain = self.beta * (chosen - rejected)
        right, smoothing = xp.softplus(-gain), self.label_smoothing
        if is_zero(smoothing):  # avoids 0 * inf: an answer of probability 0 has an infinite gain
            return right
        return (1 - smoothing) * right + smoothing * xp.softplus(gain)


@final
@dataclass(frozen=True)
class KTO(Loss):
    r"""Kahneman-Tversky optimisation: a loss of single answers, each desirable or undesirable.

    .. math:: \lambda_+ \, s(z - h) \text{ for y = 1}, \quad
        \lambda_- \, s(h - z) \text{ for y = 0}, \quad h = \beta (l - r), \;
        z = \beta \max(0, k)

    Predictions are the trained model's log-probabilities of the answers. Targets are a tuple
    ``(reference, desirable, divergence)``:

    - ``reference``: the reference model's log-probabilities of the answers;
    - ``desirable``: the label y, 1 for desirable and 0 for undesirable answers;
    - ``divergence``: k, an estimate of the divergence of the trained model from the reference
      model, one number per batch or per answer. The gradient with respect to it is 0.

    Parameters
    ----------
    beta : float > 0
        The strength of the penalty for deviating from the reference model.
    desirable_weight, undesirable_weight : float >= 0
        The factors of the losses of desirable and of undesirable answers. Unlike ``weights``, they
        are not part of the divisor of the mean.

    Notes
    -----
    The paper estimates the divergence as follows: pair each prompt with an answer to another prompt
    of the batch, and take the mean of ``l - r`` over these pairs.

    Examples
    --------
    >>> import isoloss as il
    >>> il.kto([-10.0, -12.0], ([-12.0, -11.0], [1.0, 0.0], 0.5))
    np.float64(0.46257015465625045)

    References
    ----------
    Ethayarajh et al. (2024), *KTO: Model Alignment as Prospect Theoretic Optimization*. TRL's
    ``KTOTrainer`` has the same defaults.
    """

    signature: ClassVar[str] = "(),((),(),())->()"
    target_names: ClassVar[tuple[str, ...]] = ("reference", "desirable", "divergence")
    domain: ClassVar[Domain] = Domain(REAL, (REAL, ZERO_OR_ONE, REAL))
    beta: Positive = 0.1
    desirable_weight: NonNegative = 1.0
    undesirable_weight: NonNegative = 1.0

    def pointwise(self, xp: Namespace, prediction: Array, target: Any) -> Array:
        reference, desirable, divergence = target
        divergence = xp.where(divergence < 0, xp.zeros_like(divergence), divergence)
        above = self.beta * ((prediction - reference) - xp.stop_gradient(divergence))
        yes = desirable > 0
        factor = xp.where(yes, self.desirable_weight, self.undesirable_weight)
        return factor * xp.sigmoid(xp.where(yes, -above, above))


# --- policies -------------------------------------------------------------------------------------


@final
@dataclass(frozen=True)
class PPOClip(Loss):
    r"""Negative clipped surrogate objective of proximal policy optimisation.

    .. math:: -\min(\rho A, \; \mathrm{clip}(\rho, 1 - \epsilon, 1 + \epsilon) A), \quad
        \rho = \exp(l - r)

    Predictions are the trained policy's log-probabilities l of the actions taken. Targets are a
    tuple ``(old, advantages)``: the log-probabilities r under the policy that took the actions, and
    the advantages A. The derivative with respect to l is ``-rho A`` inside the clipping range. The
    derivative is 0 if A > 0 and rho > 1 + epsilon, and if A < 0 and rho < 1 - epsilon. At the bound
    the derivative is ``-rho A``. A clipped ratio may overflow without effect on the loss.

    Parameters
    ----------
    epsilon : float > 0
        The distance of the probability ratio from 1 at which the ratio is clipped.

    Examples
    --------
    >>> import isoloss as il
    >>> il.ppo_clip([-1.0, -1.0], ([-2.0, -1.0], [1.0, 0.5]))
    np.float64(-0.85)

    References
    ----------
    Schulman et al. (2017), *Proximal Policy Optimization Algorithms*, equation 7, an objective to
    maximise; the loss is its negative. rlax's ``clipped_surrogate_pg_loss`` takes the ratios.
    """

    signature: ClassVar[str] = "(),((),())->()"
    target_names: ClassVar[tuple[str, ...]] = ("old", "advantages")
    domain: ClassVar[Domain] = Domain(REAL, (REAL, REAL))
    epsilon: Positive = 0.2

    def pointwise(self, xp: Namespace, prediction: Array, target: Any) -> Array:
        old, advantage = target
        change, gains = prediction - old, advantage > 0
        ratio, bound = xp.exp(change), xp.where(gains, 1 + self.epsilon, 1 - self.epsilon)
        clipped = xp.where(gains, ratio > bound, (ratio < bound) | (advantage == 0))
        change = xp.where(clipped, xp.zeros_like(change), change)
        # two factors, so that a large ratio overflows only if its product with the advantage does
        part = xp.stop_gradient(xp.where(xp.abs(change) > 64, change / 2, xp.zeros_like(change)))
        product = advantage * xp.exp(change - part) * xp.exp(part)
        return 0.0 - xp.where(clipped, advantage * bound, product)  # never -0.0


# --- the cross-entropy of a linear layer ----------------------------------------------------------


@final
@dataclass(frozen=True)
class LinearCrossEntropy(Parametrised):
    r"""Cross-entropy of integer labels and a linear layer's logits, computed in chunks of tokens.

    .. math:: \log \sum_c \exp z_c - z_y, \quad z = W h + b

    The value and the gradients equal those of ``softmax_cross_entropy(hidden @ weight.T + bias,
    targets)``, with the same weights, masks and label smoothing. The tokens are processed in
    chunks, so that the full logit matrix is never materialised; for a large vocabulary, this matrix
    dominates the memory of a training step. Value and gradients are computed in the same pass, so
    that the logits of a chunk are computed once.

    Inputs: hidden ``(..., features)`` and weight ``(classes, features)`` of any numbers; targets
    ``(...)`` integers from 0 to classes - 1. A sample outside is nan.

    The loss is differentiable with respect to hidden, weight, bias and weights: on JAX and PyTorch
    by their automatic differentiation, on NumPy by `value_and_gradient`. On JAX, forward mode takes
    as long as reverse mode. On PyTorch, the full logit matrix is computed for higher derivatives,
    forward mode, `torch.func`, compilation and tensor subclasses.

    Products have the dtype of hidden and weight, or the wider of the two. Products of half
    precision are accumulated in float32 by the library: JAX keeps these logits in float32, PyTorch
    rounds them as `torch.nn.Linear` does, and NumPy computes in float32. All later steps use at
    least float32. Sums over the classes of a token and over tokens use float64 if available. The
    gradient of weight is accumulated in at least float32 and rounded to its dtype once.

    Parameters
    ----------
    ignore_index : int, optional
        The label of excluded tokens; ``where`` excludes tokens by a mask.
    label_smoothing : 0 <= float <= 1
        The fraction of the label's probability that is spread uniformly over all classes.
    z_loss : float >= 0
        The factor of an added penalty, the square of ``log sum exp z``.
    chunk : int >= 1, optional
        The number of tokens per chunk; by default, a chunk has at most 2^24 logits.

    Examples
    --------
    >>> import isoloss as il
    >>> hidden, weight = [[1.0, 0.0], [0.0, 2.0]], [[0.5, 0.0], [0.0, 0.5], [1.0, 1.0]]
    >>> il.linear_cross_entropy(hidden, weight, [2, 1])
    np.float64(1.0439378175430574)

    The state of a batch, which can be merged with the states of other batches:

    >>> state = il.linear_cross_entropy.summary(hidden, weight, [2, 1])
    >>> state.total.sum, state.weight.sum
    (np.float64(2.0878756350861147), np.float64(2.0))
    >>> il.linear_cross_entropy.compute(state.merge(state))
    np.float64(1.0439378175430574)

    References
    ----------
    Wijmans et al. (2025), *Cut Your Losses in Large-Vocabulary Language Models*; Hsu et al. (2024),
    *Liger Kernel*. torch's ``linear_cross_entropy`` and Liger's ignore the label -100 by default.
    """

    ignore_index: Integer | None = None
    label_smoothing: Share = 0.0
    z_loss: NonNegative = 0.0
    chunk: Count | None = None

    def __post_init__(self) -> None:
        check_fields(self)

    def __call__(
        self,
        hidden: Any,
        weight: Any,
        targets: Any,
        *,
        bias: Any = None,
        weights: Any = None,
        where: Any = None,
        reduction: Literal["mean", "sum"] = "mean",
        denominator: Any = None,
        empty: float = math.nan,
    ) -> Any:
        """Return the loss of a batch.

        Parameters
        ----------
        hidden, weight, targets : array
            The input of the layer, the matrix of the layer, and the labels.
        bias : array, optional
            The bias of the layer, of shape ``(classes,)``.
        weights, where, denominator, empty
            As in a call of any metric; ``weights`` and ``where`` broadcast to the shape of the
            targets.
        reduction : {"mean", "sum"}
            ``sum(w * loss) / sum(w)`` or ``sum(w * loss)``.
        """
        if reduction not in ("mean", "sum"):
            raise fail(self, f"reduction={reduction!r} is unknown; use 'mean' or 'sum'")
        if reduction == "sum" and denominator is not None:
            raise fail(self, "denominator= divides a mean; it has no meaning with reduction='sum'")
        state = self.summary(hidden, weight, targets, bias=bias, weights=weights, where=where)
        if reduction == "mean":
            return self.compute(state, denominator=denominator, empty=empty)
        xp = state.weight.xp
        return answer(xp.astype(state.total.sum, xp.result))

    def summary(
        self,
        hidden: Any,
        weight: Any,
        targets: Any,
        *,
        bias: Any = None,
        weights: Any = None,
        where: Any = None,
    ) -> Mean:
        """Return the state of a batch: a ``total`` and a ``weight``, each with a ``sum``.

        The states of several batches merge: ``state.merge(other)``.
        """
        return state_of(self._layer(hidden, weight, targets, bias, weights, where))

    def compute(self, state: Any, *, denominator: Any = None, empty: float = math.nan) -> Any:
        """Return the loss of a state: the weighted mean over its tokens."""
        return _LayerOfRows(self).compute(state, denominator=denominator, empty=empty)

    def value_and_gradient(
        self,
        hidden: Any,
        weight: Any,
        targets: Any,
        *,
        bias: Any = None,
        weights: Any = None,
        where: Any = None,
        denominator: Any = None,
        empty: float = math.nan,
    ) -> tuple[Any, tuple[Any, ...]]:
        """Return the loss and its gradients with respect to hidden, weight and, if given, bias.

        The computation takes one pass, also on NumPy. Each gradient has the shape and the floating
        dtype of its array.

        Examples
        --------
        >>> import isoloss as il
        >>> _, (by_hidden, by_weight) = il.linear_cross_entropy.value_and_gradient(
        ...     [[1.0]], [[2.0], [2.0]], [0]
        ... )
        >>> by_weight
        array([[-0.5],
               [ 0.5]])
        """
        layer = self._layer(hidden, weight, targets, bias, weights, where)

        def mean(state: Mean) -> Any:
            return self.compute(state, denominator=denominator, empty=empty)

        return value_and_gradients(layer, denominator, mean)

    def _layer(
        self, hidden: Any, weight: Any, targets: Any, bias: Any, weights: Any, where: Any
    ) -> Layer:
        layer = {"hidden": hidden, "weight": weight, "bias": bias}
        return Layer(self, partial(_LayerOfRows, self), layer, targets, weights, where)


@final
@dataclass(frozen=True, repr=False, eq=False)
class _LayerOfRows(Loss):
    """The same loss with the full logit matrix; weight and bias are its parameters."""

    signature: ClassVar[str] = "((features)),()->()"
    prediction_names: ClassVar[tuple[str, ...]] = ("hidden",)
    loss: LinearCrossEntropy
    weight: Any = None
    bias: Any = None

    def __repr__(self) -> str:
        return repr(self.loss)

    @property
    def domain(self) -> Domain:  # type: ignore[override]
        return Domain((REAL,), Labels(0 if self.weight is None else self.weight.shape[0]))

    def included(self, xp: Namespace, target: Array) -> Array | None:
        return None if self.loss.ignore_index is None else target != self.loss.ignore_index

    def pointwise(self, xp: Namespace, prediction: Any, target: Array) -> Array:
        logits, loss = multiplied(xp, prediction[0], self.weight, self.bias), self.loss
        found = xp.softplus(xp.margin(logits, target))
        if not is_zero(loss.label_smoothing):
            apart = xp.pick(logits, target) - xp.mean(logits, axis=-1)
            found = found + loss.label_smoothing * apart
        if is_zero(loss.z_loss):
            return found
        highest, rest = xp.logsumexp(logits)
        return found + loss.z_loss * (highest + rest) * (highest + rest)


# --- default instances ----------------------------------------------------------------------------

distillation_kl = DistillationKL()
dpo = DPO()
kto = KTO()
ppo_clip = PPOClip()
linear_cross_entropy = LinearCrossEntropy()
