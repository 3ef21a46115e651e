"""Sequences: losses of label sequences without known positions in time."""

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
    r"""Connectionist temporal classification: the negative log-likelihood of a label sequence.

    .. math:: -\log \sum_{\pi} \prod_t \mathrm{softmax}(z_t)_{\pi_t}

    where the sum is over all paths pi, with one class per frame, that yield the labels after equal
    neighbours are merged and then blanks are removed.

    Predictions are logits; a logit of -inf excludes its class in that frame. Targets are a tuple
    ``(labels, frames, lengths)``:

    - ``labels``: integers from 0 to classes - 1, except ``blank``;
    - ``frames``: the number of frames in use, an integer from 0 to the size of the time axis;
    - ``lengths``: the number of labels in use, an integer from 0 to the size of the label axis.

    Frames and labels after the ones in use are ignored. A sequence with any other target is nan.
    If the labels need more frames than are in use, the loss is inf with gradient 0; ``where=`` can
    exclude such sequences. The absolute error of a loss near 0 is about the rounding error of the
    loss of the best single path.

    Parameters
    ----------
    blank : int >= 0
        The class of a frame without a label.

    Notes
    -----
    Log-probabilities are logits too: torch's inputs give the same loss and the same gradient.

    Each sequence has one loss, whatever its length, and the result is the mean over sequences. For
    torch's mean of the losses per label, pass ``weights=1 / lengths, denominator=len(lengths)``;
    torch replaces a length of 0 by 1. For the mean over all labels, pass
    ``denominator=lengths.sum()``.

    Examples
    --------
    >>> import isoloss as il
    >>> logits = [[[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]]  # two frames, a blank and two labels
    >>> il.ctc(logits, ([[2, 0]], [2], [1]))  # 3 of the 9 paths: 2 2, 2 blank, blank 2
    np.float64(1.0986122886681098)

    References
    ----------
    Graves et al. (2006), *Connectionist Temporal Classification*. torch's ``ctc_loss`` has the time
    axis first and takes log-probabilities. optax's takes logits, marks padding by 1, and has a loss
    of about 1e5 for too few frames. Keras's uses every frame.
    """

    signature: ClassVar[str] = "(time,classes),((label),(),())->()"
    target_names: ClassVar[tuple[str, ...]] = ("labels", "frames", "lengths")
    domain: ClassVar[Domain] = Domain(LOGITS, (REAL, NON_NEGATIVE, NON_NEGATIVE))
    blank: Annotated[int, Interval(low=0)] = 0

    def pointwise(self, xp: Namespace, prediction: Array, target: Any) -> Array:
        classes = prediction.shape[-1]
        if self.blank >= classes:
            raise fail(
                self, f"blank={self.blank} is not a class: the classes are 0 to {classes - 1}"
            )
        limits = classes - 1, prediction.shape[-2], target[0].shape[-1]
        known, wrong = _checked(xp, target, limits, self.blank)
        return xp.where(wrong, math.nan, _losses(xp, prediction, known, self.blank))


def _checked(xp: Namespace, target: Any, limits: Any, blank: int) -> tuple[list[Array], Array]:
    """Return labels, frames and lengths as integers in range, and a mask of invalid sequences."""
    pairs = [_whole(xp, x, limit) for x, limit in zip(target, limits, strict=True)]
    (labels, named), (_, timed), (lengths, bounded) = pairs
    strange = _first(xp, labels, lengths) & ~(named & (labels != blank))
    return [x for x, _ in pairs], xp.any(strange, axis=-1) | ~(timed & bounded)


def _whole(xp: Namespace, x: Array, highest: int) -> tuple[Array, Array]:
    """Return x as integers, 0 for invalid entries, and a mask of integers from 0 to highest."""
    inside = (x >= 0) & (x <= highest) & (xp.floor(x) == x)
    return xp.astype(xp.where(inside, x, xp.zeros_like(x)), xp.counting), inside


def _first(xp: Namespace, x: Array, count: Array) -> Array:
    """Return a mask of the first ``count`` positions along the last axis."""
    return xp.places(x) < xp.expand_dims(count, axis=-1)


def _losses(xp: Namespace, logits: Array, target: list[Array], blank: int) -> Array:
    """Return the negative log-likelihood of the labels, by the forward algorithm.

    The state of the recursion has two log-probabilities for each number of labels emitted so far:
    one for the paths that end in a blank (from 0 labels on), and one for the paths that end in a
    label (from 1 label on).
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
    """Return log-probabilities from logits and the two parts of their log sum exp."""
    return xp.where(logits == math.inf, xp.zeros_like(logits), logits - highest) - rest


def _either(xp: Namespace, x: Array, y: Array) -> Array:
    """Return ``log(exp(x) + exp(y))``; if both are -inf, the result is -inf with gradient 0."""
    above = x >= y
    high, low = xp.where(above, x, y), xp.where(above, y, x)
    gone, zero = high == -math.inf, xp.zeros_like(high)
    total = xp.where(gone, zero, high) + xp.log1p(xp.exp(xp.where(gone, zero, low - high)))
    return xp.where(gone, xp.full_like(total, -math.inf), total)


ctc = CTC()
