"""Robust losses of a residual: Barron's family, the redescending ones, and LINEX.

In every formula p is the prediction, y the target, e = p - y, and x = e / c for a scale c.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from .._core.errors import fail
from .._core.metric import Loss
from .._core.parameters import Positive, Real
from .._core.special import polynomial
from .._core.types import Array, Namespace

__all__ = [
    "Andrews",
    "Barron",
    "Cauchy",
    "Charbonnier",
    "Fair",
    "GemanMcClure",
    "Hampel",
    "Linex",
    "Tukey",
    "Welsch",
    "andrews",
    "barron",
    "cauchy",
    "charbonnier",
    "fair",
    "geman_mcclure",
    "hampel",
    "linex",
    "tukey",
    "welsch",
]

# --- Barron's family ------------------------------------------------------------------------------


@final
@dataclass(frozen=True)
class Barron(Loss):
    r"""General robust loss of Barron, whose shape goes from squared to bounded.

    .. math:: \frac{|\alpha - 2|}{\alpha}
        \left(\left(\frac{x^2}{|\alpha - 2|} + 1\right)^{\alpha / 2} - 1\right)

    and its limits: ``x^2 / 2`` at 2, ``log(x^2 / 2 + 1)`` at 0, ``1 - exp(-x^2 / 2)`` at -inf. At 1
    it is `charbonnier`, at 0 `cauchy`, at -2 `geman_mcclure` and at -inf `welsch`.

    Kind: pointwise; predictions and targets ``(...)`` of any real numbers. Smooth in both, exact at
    any residual and near the limits. The derivative by alpha grows without bound towards alpha = 2;
    at 2 it is 0.

    Parameters
    ----------
    alpha : float, or -inf
        The shape: the smaller, the less an outlier counts. A number, or an array to learn it.
    scale : float > 0
        The residual c, in the unit of the target, from which the loss is no longer quadratic.

    Examples
    --------
    >>> import isoloss as il
    >>> il.Barron(alpha=-2.0)([2.0, 1e9], [0.0, 0.0], reduction="none")
    array([1., 2.])

    References
    ----------
    Barron (2019), *A General and Adaptive Robust Loss Function*, whose code replaces an alpha near
    a limit by one a little off.
    """

    alpha: Real = 1.0
    scale: Positive = 1.0

    def __post_init__(self) -> None:
        """Take -inf, the one infinite alpha that has a meaning: the rest is checked without it."""
        welsch = isinstance(self.alpha, (float, np.floating)) and self.alpha == -math.inf
        if welsch:
            object.__setattr__(self, "alpha", 0.0)
        super().__post_init__()
        if welsch:
            object.__setattr__(self, "alpha", -math.inf)

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        return _general(xp, (prediction - target) / self.scale, self.alpha)


_WELSCH = -(2.0**76)  # from here down, alpha makes no difference in float64


def _general(xp: Namespace, x: Array, alpha: Any) -> Array:
    """Return Barron's loss of a scaled residual, without cancellation, overflow or underflow.

    With b = abs(alpha - 2) and ``1 + x^2 / b = (1 + s)^2`` it is ``b ((1 + s)^alpha - 1) / alpha``,
    which tends to ``b log(1 + s)`` as alpha does to 0, and to ``x^2 / 2`` as b or x does.
    """
    alpha = xp.parameter(alpha, x)
    alpha = xp.where(alpha < _WELSCH, _WELSCH, alpha)
    b = abs(alpha - 2)
    root = xp.where(b == 0, 1.0, b) ** 0.5
    flat = xp.abs(x) <= xp.where(b == 0, math.inf, xp.eps * root / (1 + abs(alpha)) ** 0.5)
    zero, one = xp.zeros_like(x), xp.ones_like(x)
    inside = xp.where(flat, x, zero)
    s = xp.sqrt1pm1(xp.where(flat, zero, x) / root)
    log = xp.log1p(s)
    exponent = alpha * log
    small = xp.abs(exponent) < 0.5
    near = small | (alpha == 0)  # an infinite residual has no exponent there
    low = root * (root * (log * (1 + xp.relative_expm1(xp.where(small, exponent, zero)))))
    # 1 + s has lost digits of a small s, exp(alpha log(1 + s)) those of a large exponent; where
    # alpha is so low that its square may be out of range, there is nothing left of either
    far = ~near & (s >= 0.5) & (alpha > -(2.0**12))
    unit = xp.where((alpha > 1) & (b < 1), 2.0**-12, 1.0)  # in it, 1 / b is in range
    whole = unit**alpha
    grown = whole * xp.exp(xp.where(near | far, zero, exponent))
    grown = xp.where(far, xp.where(far, unit * (1 + s), one) ** alpha, grown)
    divisor = whole * xp.where(abs(alpha) < 2.0**-100, 1.0, alpha)
    high = (grown - whole) * (root * root / divisor)
    return xp.where(flat, inside * inside / 2, xp.where(near, low, high))


@final
@dataclass(frozen=True)
class Charbonnier(Loss):
    r"""Charbonnier loss: squared near zero, absolute far out.

    .. math:: \sqrt{x^2 + 1} - 1

    Kind: pointwise; predictions and targets ``(...)`` of any real numbers. Smooth; no cancellation
    at small residuals, no overflow at large ones.

    Parameters
    ----------
    scale : float > 0
        The residual c, in the unit of the target, around which the loss turns linear.

    Examples
    --------
    >>> import isoloss as il
    >>> il.charbonnier([0.75, 1e30], [0.0, 0.0], reduction="none")
    array([2.5e-01, 1.0e+30])

    References
    ----------
    Charbonnier et al. (1994), *Two Deterministic Half-Quadratic Regularization Algorithms for
    Computed Imaging*. `pseudo_huber` is this times the square of its parameter.
    """

    scale: Positive = 1.0

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        return xp.sqrt1pm1((prediction - target) / self.scale)


@final
@dataclass(frozen=True)
class Cauchy(Loss):
    r"""Cauchy loss, also called Lorentzian: squared near zero, logarithmic far out.

    .. math:: \log(x^2 / 2 + 1)

    Kind: pointwise; predictions and targets ``(...)`` of any real numbers. Smooth; exact at any
    residual.

    Parameters
    ----------
    scale : float > 0
        The residual c, in the unit of the target, around which outliers begin to count less.

    Examples
    --------
    >>> import isoloss as il
    >>> il.cauchy([2.0, 1e30], [0.0, 0.0], reduction="none")
    array([  1.09861229, 137.4619584 ])

    References
    ----------
    Black and Anandan (1996), *The Robust Estimation of Multiple Motions*. In statistics the scale
    of ``c^2 / 2 log(1 + (e / c)^2)`` is sqrt(2) of this one.
    """

    scale: Positive = 1.0

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        x = (prediction - target) / self.scale
        far = xp.abs(x) > 2.0**30  # the 1 is lost, and the square may be out of range
        inside, outside = xp.where(far, 0.0, x), xp.where(far, x, 1.0)
        tail = 2 * xp.log(xp.abs(outside)) - math.log(2)
        return xp.where(far, tail, xp.log1p(inside * inside / 2))


@final
@dataclass(frozen=True)
class GemanMcClure(Loss):
    r"""Geman-McClure loss: squared near zero, bounded by 2 far out.

    .. math:: 2 x^2 / (x^2 + 4)

    Kind: pointwise; predictions and targets ``(...)`` of any real numbers. Smooth; the derivative
    falls like ``16 / x^3``.

    Parameters
    ----------
    scale : float > 0
        The residual c, in the unit of the target, around which outliers begin to count less.

    Examples
    --------
    >>> import isoloss as il
    >>> il.geman_mcclure([2.0, 1e30], [0.0, 0.0], reduction="none")
    array([1., 2.])

    References
    ----------
    Geman and McClure (1985), *Bayesian Image Analysis*, whose ``x^2 / (x^2 + 1)`` is half of this
    at twice the scale.
    """

    scale: Positive = 1.0

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        x = (prediction - target) / self.scale
        far = xp.abs(x) > 2
        half = xp.where(far, 2 / xp.where(far, x, 2.0), xp.where(far, 0.0, x) / 2)
        square = half * half
        return xp.where(far, 2.0, 2 * square) / (1 + square)


@final
@dataclass(frozen=True)
class Welsch(Loss):
    r"""Welsch loss, also called Leclerc: squared near zero, bounded by 1 far out.

    .. math:: 1 - \exp(-x^2 / 2)

    Kind: pointwise; predictions and targets ``(...)`` of any real numbers. Smooth; the derivative
    vanishes faster than any power.

    Parameters
    ----------
    scale : float > 0
        The residual c, in the unit of the target, around which outliers begin to count less.

    Examples
    --------
    >>> import isoloss as il
    >>> il.welsch([1.0, 1e30], [0.0, 0.0], reduction="none")
    array([0.39346934, 1.        ])

    References
    ----------
    Dennis and Welsch (1978), *Techniques for Nonlinear Least Squares and Robust Regression*, with
    ``exp(-x^2)`` and a factor ``c^2 / 2``: the scale there is sqrt(2) of this one.
    """

    scale: Positive = 1.0

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        x = xp.clip((prediction - target) / self.scale, -256.0, 256.0)  # nothing is left beyond
        drop = x * x / 2
        near = drop < 1
        inside, outside = xp.where(near, drop, 0.0), xp.where(near, 1.0, drop)
        return xp.where(near, 0.0 - xp.expm1(-inside), 1 - xp.exp(-outside))


# --- estimators of location -----------------------------------------------------------------------


@final
@dataclass(frozen=True)
class Tukey(Loss):
    r"""Tukey's biweight loss: squared near zero, constant far out.

    .. math:: \frac{c^2}{6} \left(1 - (1 - x^2)^3\right) \text{ for } |e| \le c, \quad
        \frac{c^2}{6} \text{ beyond}

    Kind: pointwise; predictions and targets ``(...)`` of any real numbers. At ``|e| = c``, where
    the sides meet, both derivatives are 0.

    Parameters
    ----------
    c : float > 0
        The residual, in the unit of the target, from which the loss is constant. With residuals of
        variance 1, the default has 95 % of the efficiency of the squared error.

    Examples
    --------
    >>> import isoloss as il
    >>> il.Tukey(c=2.0)([1.0, 1e30], [0.0, 0.0], reduction="none")
    array([0.38541667, 0.66666667])

    References
    ----------
    Beaton and Tukey (1974), *The Fitting of Power Series*. Some leave out the factor ``c^2 / 6``.
    """

    c: Positive = 4.6851

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        error = xp.clip(prediction - target, -self.c, self.c)
        near = xp.abs(error) < self.c / 2
        inside, outside = xp.where(near, error, 0.0), xp.where(near, self.c, error)
        square = (inside / self.c) * (inside / self.c)
        # not 1 - x^2, where x is rounded: what is left of c is exact, and this is its share
        left = (self.c - xp.abs(outside)) / self.c
        rest = left * (2 - left)
        low = inside * inside * ((3 - square * (3 - square)) / 6)
        return xp.where(near, low, self.c * (self.c * ((1 - rest * rest * rest) / 6)))


@final
@dataclass(frozen=True)
class Andrews(Loss):
    r"""Andrews's wave loss: squared near zero, constant far out.

    .. math:: c^2 (1 - \cos x) \text{ for } |x| \le \pi, \quad 2 c^2 \text{ beyond}

    Kind: pointwise; predictions and targets ``(...)`` of any real numbers. At ``|x| = pi``, where
    the sides meet, the derivatives are those of the wave: 0, and the second -1.

    Parameters
    ----------
    c : float > 0
        The length of the wave over 2 pi, in the unit of the target. With residuals of variance 1,
        the default has 95 % of the efficiency of the squared error.

    Examples
    --------
    >>> import isoloss as il
    >>> il.Andrews(c=1.0)([1.0, 1e30], [0.0, 0.0], reduction="none")
    array([0.45969769, 2.        ])

    References
    ----------
    Andrews (1974), *A Robust Method for Multiple Linear Regression*. Some have the factor c in
    place of ``c^2``.
    """

    c: Positive = 1.339

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        x = xp.clip((prediction - target) / self.c, -math.pi, math.pi)
        root = self.c * xp.sin(x / 2)
        return 2 * root * root


@final
@dataclass(frozen=True)
class Hampel(Loss):
    r"""Hampel's three-part loss: squared, then linear, then levelling off to a constant.

    .. math:: \rho' = e, \quad a \operatorname{sign} e, \quad
        a \frac{c - |e|}{c - b} \operatorname{sign} e, \quad 0

    for ``|e|`` up to a, up to b, up to c, and beyond.

    Kind: pointwise; predictions and targets ``(...)`` of any real numbers. At ``|e|`` of a, b and
    c the derivatives are those of the inner side.

    Parameters
    ----------
    a : float > 0
        The residual, in the unit of the target, from which the loss is linear.
    b : float >= a
        The residual from which it levels off.
    c : float > b
        The residual from which it is constant.

    Raises
    ------
    ValueError
        Where a, b and c do not rise.

    Examples
    --------
    >>> import isoloss as il
    >>> il.Hampel(a=1.0, b=2.0, c=4.0)([1.0, 2.0, 3.0, 9.0], [0.0] * 4, reduction="none")
    array([0.5 , 1.5 , 2.25, 2.5 ])

    References
    ----------
    Andrews et al. (1972), *Robust Estimates of Location*, where Hampel's 17A is the default.
    """

    a: Positive = 1.7
    b: Positive = 3.4
    c: Positive = 8.5

    def __post_init__(self) -> None:
        """Check that the three rise, where all of them are numbers."""
        super().__post_init__()
        numbers = all(isinstance(one, (int, float)) for one in (self.a, self.b, self.c))
        if numbers and not self.a <= self.b < self.c:
            raise fail(self, f"a <= b < c must hold, not of {self.a}, {self.b}, {self.c}")

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        error = prediction - target
        size, width = xp.abs(error), self.c - self.b
        low, high = xp.clip(error, -self.a, self.a), xp.clip(error, -self.b, self.b)
        # not clipped at b, where the slope would be counted on both sides
        rest = xp.where(size > self.b, (self.c - xp.clip(size, max=self.c)) / width, 1.0)
        return low * (high - low / 2) + self.a * (width * ((1 - rest * rest) / 2))


_ARTANH = tuple(1 / (2 * k + 3) for k in range(17))  # (artanh(z) - z) / z^3 in z^2, to 1 / 3


@final
@dataclass(frozen=True)
class Fair(Loss):
    r"""Fair's loss: squared near zero, absolute far out.

    .. math:: c^2 \left(|x| - \log(1 + |x|)\right)

    Kind: pointwise; predictions and targets ``(...)`` of any real numbers. At e = 0 the derivatives
    are 0 and 1. No cancellation at small residuals.

    Parameters
    ----------
    c : float > 0
        The residual, in the unit of the target, around which the loss turns linear. With residuals
        of variance 1, the default has 95 % of the efficiency of the squared error.

    Examples
    --------
    >>> import isoloss as il
    >>> il.Fair(c=1.0)([1e-9, 1.0], [0.0, 0.0], reduction="none")
    array([5.00000000e-19, 3.06852819e-01])

    References
    ----------
    Fair (1974), *On the Robust Estimation of Econometric Models*.
    """

    c: Positive = 1.3998

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        error = prediction - target
        size = xp.where(error < 0, -error, error)  # |e|, smooth at 0
        near = size < self.c
        inside, outside = xp.where(near, size, 0.0), xp.where(near, self.c, size)
        # log(1 + x) = 2 artanh(x / (2 + x)), whose first term is subtracted exactly
        part = inside / (2 * self.c + inside)
        square = part * part
        low = self.c * part * (inside - 2 * self.c * square * polynomial(_ARTANH, square))
        return xp.where(near, low, self.c * (outside - self.c * xp.log1p(outside / self.c)))


# --- asymmetric -----------------------------------------------------------------------------------


@final
@dataclass(frozen=True)
class Linex(Loss):
    r"""LINEX loss: exponential on one side of zero, about linear on the other.

    .. math:: \exp(a e) - a e - 1

    Kind: pointwise; predictions and targets ``(...)`` of any real numbers. Smooth; about
    ``(a e)^2 / 2`` near zero, without cancellation.

    Parameters
    ----------
    a : float, not 0
        How steep the loss is, in one over the unit of the target: above 0, predictions that are too
        high cost more, below 0 those that are too low.

    Raises
    ------
    ValueError
        Where a is 0, which would make the loss 0 everywhere.

    Examples
    --------
    >>> import isoloss as il
    >>> il.linex([2.0, -2.0], [0.0, 0.0], reduction="none")
    array([4.3890561 , 1.13533528])

    References
    ----------
    Zellner (1986), *Bayesian Estimation and Prediction Using Asymmetric Loss Functions*, with his
    factor b of 1; Varian (1975), who wrote ``b exp(a e) - c e - b``, has the same at c = a b.
    """

    a: Real = 1.0

    def __post_init__(self) -> None:
        """Check the one number that makes no loss."""
        super().__post_init__()
        if isinstance(self.a, (int, float)) and self.a == 0:
            raise fail(self, "a must not be 0, where the loss is 0 everywhere")

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        y = self.a * (prediction - target)
        near = xp.abs(y) < 1
        inside, outside = xp.where(near, y, 0.0), xp.where(near, 1.0, y)
        return xp.where(near, inside * xp.relative_expm1(inside), xp.exp(outside) - 1 - outside)


# --- the members most people call -----------------------------------------------------------------

barron = Barron()
charbonnier = Charbonnier()
cauchy = Cauchy()
geman_mcclure = GemanMcClure()
welsch = Welsch()
tukey = Tukey()
andrews = Andrews()
hampel = Hampel()
fair = Fair()
linex = Linex()
