"""Language models: distillation, preferences, policies, and the cross-entropy of a linear layer.

In every formula l is the logarithm of the probability that the trained model gives to a whole
answer, or to an action, r is that of the model it is compared with, and s(h) = 1 / (1 + exp(-h)).
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
    r"""Divergence of a student's softened probabilities from a teacher's.

    .. math:: T^2 \sum_c q_c \log \frac{q_c}{p_c}, \quad p = \mathrm{softmax}(z / T), \;
        q = \mathrm{softmax}(t / T)

    where z are the student's logits and t the teacher's. The factor T^2 keeps the size of the
    gradient where the temperature changes; for large T, the loss is half the variance of z - t.

    Kind: row-wise; predictions (the student's) and targets (the teacher's) ``(..., classes)`` any
    logits, of which -inf rules a class out; inf where the student rules out what the teacher does
    not. Exact to second order however near the two are: a sum of terms none of which is negative,
    ``q (exp(d) - 1 - d)`` with ``d = log(p / q)``.

    Parameters
    ----------
    temperature : float > 0
        What both logits are divided by.

    Examples
    --------
    >>> import isoloss as il
    >>> il.DistillationKL(temperature=2.0)([[0.0, 1.0]], [[0.0, 3.0]])
    np.float64(0.3609527295639917)

    References
    ----------
    Hinton, Vinyals and Dean (2015), *Distilling the Knowledge in a Neural Network*. torch's
    ``kl_div`` leaves the temperature and its square to the caller, and its ``reduction="mean"``
    divides by the number of classes too.
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
    r"""Direct preference optimisation: of two answers, the chosen one shall gain on the rejected.

    .. math:: -(1 - \epsilon) \log s(h) - \epsilon \log s(-h), \quad
        h = \beta ((l_c - r_c) - (l_r - r_r))

    where c is the chosen and r the rejected answer, and epsilon is ``label_smoothing``.

    Kind: pointwise; predictions ``(chosen, rejected)``, the logarithms of the probabilities that
    the trained model gives to the answers (the sums over their tokens), targets
    ``(reference_chosen, reference_rejected)``, those of the reference model: each ``(...)``. Exact
    at any h, to second order.

    Parameters
    ----------
    beta : float > 0
        How dear it is to leave the reference model.
    label_smoothing : 0 <= float <= 1/2
        The share of the pairs whose answers are taken to be the wrong way round.

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
        if is_zero(smoothing):  # an answer without any probability has an infinite gain
            return right
        return (1 - smoothing) * right + smoothing * xp.softplus(gain)


@final
@dataclass(frozen=True)
class KTO(Loss):
    r"""Kahneman-Tversky optimisation: single answers, each known to be desirable or not.

    .. math:: \lambda_+ \, s(z - h) \text{ for y = 1}, \quad
        \lambda_- \, s(h - z) \text{ for y = 0}, \quad h = \beta (l - r), \;
        z = \beta \max(0, k)

    Kind: pointwise; predictions ``(...)`` the logarithms of the probabilities that the trained
    model gives to the answers; targets ``(reference, desirable, divergence)``: those of the
    reference model; 1 or 0, nan otherwise; and k, an estimate of the divergence of the trained
    model from the reference, the same number for a whole batch, or one for each answer. It is a
    target: no gradient goes through it.

    Parameters
    ----------
    beta : float > 0
        How dear it is to leave the reference model.
    desirable_weight, undesirable_weight : float >= 0
        Factors of the loss of desirable and of undesirable answers; unlike ``weights``, they are no
        part of the divisor.

    Notes
    -----
    The estimate of the paper: pair each prompt with an answer to another prompt of the batch, and
    take the mean of ``l - r`` over these pairs.

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
    r"""Clipped surrogate objective of proximal policy optimisation, as a loss.

    .. math:: -\min(\rho A, \; \mathrm{clip}(\rho, 1 - \epsilon, 1 + \epsilon) A), \quad
        \rho = \exp(l - r)

    Kind: pointwise; predictions ``(...)`` the logarithms of the probabilities of the actions taken;
    targets ``(old, advantages)``: those of the policy that took them, r, and A. The derivative by l
    is ``-rho A``, and 0 where the ratio has gone further than the clip in the direction of the
    advantage: above 1 + epsilon for A > 0, below 1 - epsilon for A < 0. At the bound itself it is
    that of the inside. A ratio out of range does no harm where it is clipped.

    Parameters
    ----------
    epsilon : float > 0
        How far the ratio of the probabilities may leave 1 before there is nothing more to gain.

    Examples
    --------
    >>> import isoloss as il
    >>> il.ppo_clip([-1.0, -1.0], ([-2.0, -1.0], [1.0, 0.5]))
    np.float64(-0.85)

    References
    ----------
    Schulman et al. (2017), *Proximal Policy Optimization Algorithms*, equation 7, which is to be
    maximised: its negative. rlax's ``clipped_surrogate_pg_loss`` takes the ratios.
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
        # far out, in two steps: in range wherever the product with the advantage is
        part = xp.stop_gradient(xp.where(xp.abs(change) > 64, change / 2, xp.zeros_like(change)))
        product = advantage * xp.exp(change - part) * xp.exp(part)
        return 0.0 - xp.where(clipped, advantage * bound, product)  # never -0.0


# --- the cross-entropy of a linear layer ----------------------------------------------------------


@final
@dataclass(frozen=True)
class LinearCrossEntropy(Parametrised):
    r"""Cross-entropy of integer labels and a linear layer's logits, which are never all there.

    .. math:: \log \sum_c \exp z_c - z_y, \quad z = W h + b

    The value and the gradients of ``softmax_cross_entropy(hidden @ weight.T + bias, targets)``,
    with the same weights, masks and label smoothing, in a few chunks of tokens one after the other:
    where the vocabulary is large, all logits at once are what takes the memory of a training step.
    The gradients are found in the same pass, so that a chunk's logits are computed once.

    Kind: row-wise; hidden ``(..., features)`` and weight ``(classes, features)`` any numbers,
    targets ``(...)`` integers from 0 to classes - 1, nan outside. It differentiates by hidden,
    weight, bias and weights, on JAX and PyTorch in the ways of their own, on NumPy with
    `value_and_gradient`. A step of JAX in forward mode takes the time of one in reverse. On
    PyTorch, derivatives of derivatives, forward mode, `torch.func`, compilation and tensors of a
    subclass get the plain form, all logits at once.

    Products are of the dtype of hidden and weight, or of the wider one. Those of half precision
    are added up in float32 as the library does it: JAX keeps such logits in float32, PyTorch rounds
    them as `torch.nn.Linear` does, NumPy computes in float32. Everything after them is in float32
    at least, sums of one token's classes and of all tokens in float64 where there is one; the
    gradient of weight is added up in float32 at least, and rounded to its dtype once.

    Parameters
    ----------
    ignore_index : int, optional
        The label of tokens that do not count, as with ``where``.
    label_smoothing : 0 <= float <= 1
        The share of the label that is spread over all classes.
    z_loss : float >= 0
        Adds so much times the square of ``log sum exp z``.
    chunk : int >= 1, optional
        How many tokens a chunk has; by default, as many as have 2^24 logits.

    Examples
    --------
    >>> import isoloss as il
    >>> hidden, weight = [[1.0, 0.0], [0.0, 2.0]], [[0.5, 0.0], [0.0, 0.5], [1.0, 1.0]]
    >>> il.linear_cross_entropy(hidden, weight, [2, 1])
    np.float64(1.0439378175430574)

    The total and the weight of a batch, to be added up over several:

    >>> state = il.linear_cross_entropy.summary(hidden, weight, [2, 1])
    >>> state.total.sum, state.weight.sum
    (np.float64(2.0878756350861147), np.float64(2.0))
    >>> il.linear_cross_entropy.compute(state.merge(state))
    np.float64(1.0439378175430574)

    References
    ----------
    Wijmans et al. (2025), *Cut Your Losses in Large-Vocabulary Language Models*; Hsu et al. (2024),
    *Liger Kernel*. torch's ``linear_cross_entropy`` and Liger's ignore -100 unless told otherwise.
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
            What goes into the layer, its matrix, and the labels.
        bias : array, optional
            What the layer adds to the logits, of shape ``(classes,)``.
        weights, where, denominator, empty
            As in a call of any metric; ``weights`` and ``where`` broadcast to the targets' shape.
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
        """Return the state of a batch: a ``total`` and a ``weight``, each of which has a ``sum``.

        States of several batches ``merge``.
        """
        return state_of(self._layer(hidden, weight, targets, bias, weights, where))

    def compute(self, state: Any, *, denominator: Any = None, empty: float = math.nan) -> Any:
        """Return the mean that a state stands for."""
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
        """Return the loss and its gradients by hidden, weight and, if there is one, bias.

        In one pass, on NumPy too. Each gradient has the shape and the floating dtype of its array.

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
    """The same loss of rows, whose parameters are the layer: all logits at once."""

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


# --- the members most people call -----------------------------------------------------------------

distillation_kl = DistillationKL()
dpo = DPO()
kto = KTO()
ppo_clip = PPOClip()
linear_cross_entropy = LinearCrossEntropy()
