"""Sequences: losses of labels whose places in time are not known."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, final

from .._core.domains import LOGITS, NON_NEGATIVE, REAL, Domain, Interval
from .._core.errors import fail
from .._core.metric import Loss
from .._core.types import Array, Namespace

__all__ = ["CTC", "ctc"]


@final
@dataclass(frozen=True)
class CTC(Loss):
    r"""Connectionist temporal classification: of labels in order, whenever each is emitted.

    .. math:: -\log \sum_{\pi} \prod_t \mathrm{softmax}(z_t)_{\pi_t}

    where pi are all the paths, of one class a frame, that become the labels once equal neighbours
    are merged and blanks are left out.

    Kind: row-wise; predictions ``(..., time, classes)`` any logits, of which -inf rules a class
    out; targets ``(labels, frames, lengths)``: labels ``(..., label)`` integers from 0 to
    classes - 1 other than the blank; how many frames count, ``(...)`` from 0 to time; and how many
    labels, ``(...)`` from 0 to label. What is behind them is not looked at. Anything else is nan.
    Labels for which there are too few frames are inf, with a gradient of 0 (``where=`` leaves them
    out). A loss near 0 is exact to the spacing of numbers near the loss of its best single path.

    Parameters
    ----------
    blank : int >= 0
        The class that stands for no label.

    Notes
    -----
    Logarithms of probabilities are logits too: what torch takes gives the same number, and the
    same gradient.

    One loss for each sequence, of any length; their mean is over sequences. For torch's mean of
    losses per label, ``weights=1 / lengths, denominator=len(lengths)`` (it takes a length of 0 for
    1); for the mean over all labels, ``denominator=lengths.sum()``.

    Examples
    --------
    >>> import isoloss as il
    >>> logits = [[[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]]  # two frames, a blank and two labels
    >>> il.ctc(logits, ([[2, 0]], [2], [1]))  # 3 of the 9 paths: 2 2, 2 blank, blank 2
    np.float64(1.0986122886681098)

    References
    ----------
    Graves et al. (2006), *Connectionist Temporal Classification*. torch's ``ctc_loss`` has the time
    first and takes logarithms of probabilities; optax's takes logits and marks padding by 1, and
    has a loss of about 1e5 for too few frames. Keras's takes every frame.
    """

    signature: ClassVar[str] = "(time,classes),((label),(),())->()"
    target_names: ClassVar[tuple[str, ...]] = ("labels", "frames", "lengths")
    domain: ClassVar[Domain] = Domain(LOGITS, (REAL, NON_NEGATIVE, NON_NEGATIVE))
    blank: Annotated[int, Interval(low=0)] = 0

    def pointwise(self, xp: Namespace, prediction: Array, target: Any) -> Array:
        classes = prediction.shape[-1]
        if self.blank >= classes:
            raise fail(self, f"there are {classes} classes, and no {self.blank} of them")
        limits = classes - 1, prediction.shape[-2], target[0].shape[-1]
        known, wrong = _checked(xp, target, limits, self.blank)
        return xp.where(wrong, math.nan, _losses(xp, prediction, known, self.blank))


def _checked(xp: Namespace, target: Any, limits: Any, blank: int) -> tuple[list[Array], Array]:
    """Return labels, frames and lengths as integers in range, and where they were not."""
    pairs = [_whole(xp, x, limit) for x, limit in zip(target, limits, strict=True)]
    (labels, named), (_, timed), (lengths, bounded) = pairs
    strange = _first(xp, labels, lengths) & ~(named & (labels != blank))
    return [x for x, _ in pairs], xp.any(strange, axis=-1) | ~(timed & bounded)


def _whole(xp: Namespace, x: Array, highest: int) -> tuple[Array, Array]:
    """Return integers, and where they are from 0 to the highest; 0 where they are not."""
    inside = (x >= 0) & (x <= highest) & (xp.floor(x) == x)
    return xp.astype(xp.where(inside, x, xp.zeros_like(x)), xp.counting), inside


def _first(xp: Namespace, x: Array, count: Array) -> Array:
    """Tell which places along the last axis are among the first so many."""
    return xp.places(x) < xp.expand_dims(count, axis=-1)


def _losses(xp: Namespace, logits: Array, target: list[Array], blank: int) -> Array:
    """Return minus the logarithm of the probability of the labels, by the forward algorithm.

    Before each frame, there are two numbers for each count of labels that have been emitted: one
    for paths whose last class is a blank, from no label on, and one for those whose last is a
    label.
    """
    labels, frames, lengths = target
    active = xp.expand_dims(_first(xp, logits[..., 0], frames), axis=-1)
    logits = xp.where(active, logits, xp.zeros_like(logits))
    index = xp.broadcast_to(xp.expand_dims(labels, axis=-2), (*logits.shape[:-1], labels.shape[-1]))
    whole = [xp.expand_dims(part, axis=-1) for part in xp.logsumexp(logits)]
    of_labels = _less(xp, xp.take_along_axis(logits, index, axis=-1), *whole)
    of_blank = _less(xp, xp.expand_dims(logits[..., blank], axis=-1), *whole)
    repeated = labels == xp.concat([labels[..., :1], labels[..., :-1]], axis=-1)
    never = xp.full_like(of_blank[..., 0, :], -math.inf)

    def step(state: Any, blank: Array, label: Array, active: Array) -> Any:
        after_blank, after_label = state
        last = xp.concat([never, after_label], axis=-1)
        stay = _either(xp, after_blank, last) + blank
        other = xp.where(repeated, -math.inf, last[..., :-1])
        move = _either(xp, _either(xp, after_label, after_blank[..., :-1]), other) + label
        return xp.where(active, stay, after_blank), xp.where(active, move, after_label)

    none = xp.full_like(of_labels[..., 0, :], -math.inf)
    start = xp.concat([xp.zeros_like(never), none], axis=-1), none
    after_blank, after_label = xp.scan(step, start, of_blank, of_labels, active)
    last = xp.concat([never, after_label], axis=-1)
    return 0.0 - _either(xp, xp.pick(after_blank, lengths), xp.pick(last, lengths))


def _less(xp: Namespace, logits: Array, highest: Array, rest: Array) -> Array:
    """Return logarithms of probabilities, of logits and the two parts of their log sum exp."""
    return xp.where(logits == math.inf, xp.zeros_like(logits), logits - highest) - rest


def _either(xp: Namespace, x: Array, y: Array) -> Array:
    """``log(exp(x) + exp(y))``, -inf with gradient 0 where both are -inf."""
    above = x >= y
    high, low = xp.where(above, x, y), xp.where(above, y, x)
    gone, zero = high == -math.inf, xp.zeros_like(high)
    total = xp.where(gone, zero, high) + xp.log1p(xp.exp(xp.where(gone, zero, low - high)))
    return xp.where(gone, xp.full_like(total, -math.inf), total)


ctc = CTC()
