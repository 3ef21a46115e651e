"""Robust losses: Barron's family, estimators of location, and LINEX.

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
    r"""Barron's general robust loss, with a shape from squared to bounded.

    .. math:: \frac{|\alpha - 2|}{\alpha}
        \left(\left(\frac{x^2}{|\alpha - 2|} + 1\right)^{\alpha / 2} - 1\right)

    and its limits: ``x^2 / 2`` at alpha = 2, ``log(x^2 / 2 + 1)`` at 0 and ``1 - exp(-x^2 / 2)`` at
    -inf. The loss is `charbonnier` at alpha = 1, `cauchy` at 0, `geman_mcclure` at -2 and `welsch`
    at -inf.

    The loss is smooth in predictions and targets. It is accurate for any residual and near the
    limits. The derivative by alpha grows without bound as alpha approaches 2; at 2 it is 0.

    Parameters
    ----------
    alpha : float, or -inf
        The shape. A smaller alpha gives outliers less influence. Pass an array to learn alpha.
    scale : float > 0
        The residual c, in the unit of the target, above which the loss is no longer quadratic.

    Examples
    --------
    >>> import isoloss as il
    >>> il.Barron(alpha=-2.0)([2.0, 1e9], [0.0, 0.0], reduction="none")
    array([1., 2.])

    References
    ----------
    Barron (2019), *A General and Adaptive Robust Loss Function*. Its code replaces an alpha near a
    limit by a nearby value.
    """

    alpha: Real = 1.0
    scale: Positive = 1.0

    def __post_init__(self) -> None:
        """Accept alpha = -inf, which the check of the parameters would reject."""
        welsch = isinstance(self.alpha, (float, np.floating)) and self.alpha == -math.inf
        if welsch:
            object.__setattr__(self, "alpha", 0.0)
        super().__post_init__()
        if welsch:
            object.__setattr__(self, "alpha", -math.inf)

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        return _general(xp, (prediction - target) / self.scale, self.alpha)


_WELSCH = -(2.0**76)  # below this value, alpha has no effect in float64


def _general(xp: Namespace, x: Array, alpha: Any) -> Array:
    """Return Barron's loss of a scaled residual, without cancellation, overflow or underflow.

    With b = abs(alpha - 2) and ``1 + x^2 / b = (1 + s)^2``, the loss is
    ``b ((1 + s)^alpha - 1) / alpha``. It tends to ``b log(1 + s)`` as alpha tends to 0, and to
    ``x^2 / 2`` as b or x tends to 0.
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
    near = small | (alpha == 0)  # for alpha = 0, an infinite residual has exponent nan
    low = root * (root * (log * (1 + xp.relative_expm1(xp.where(small, exponent, zero)))))
    # (1 + s)^alpha loses digits for small s, exp(alpha log(1 + s)) for large exponents. For very
    # low alpha, whose square may overflow, both are 0
    far = ~near & (s >= 0.5) & (alpha > -(2.0**12))
    unit = xp.where((alpha > 1) & (b < 1), 2.0**-12, 1.0)  # in this unit, 1 / b does not overflow
    whole = unit**alpha
    grown = whole * xp.exp(xp.where(near | far, zero, exponent))
    grown = xp.where(far, xp.where(far, unit * (1 + s), one) ** alpha, grown)
    divisor = whole * xp.where(abs(alpha) < 2.0**-100, 1.0, alpha)
    high = (grown - whole) * (root * root / divisor)
    return xp.where(flat, inside * inside / 2, xp.where(near, low, high))


@final
@dataclass(frozen=True)
class Charbonnier(Loss):
    r"""Charbonnier loss: squared near zero, absolute for large residuals.

    .. math:: \sqrt{x^2 + 1} - 1

    The loss is smooth. The computation neither cancels at small residuals nor overflows at large
    residuals.

    Parameters
    ----------
    scale : float > 0
        The residual c, in the unit of the target, around which the loss becomes linear.

    Examples
    --------
    >>> import isoloss as il
    >>> il.charbonnier([0.75, 1e30], [0.0, 0.0], reduction="none")
    array([2.5e-01, 1.0e+30])

    References
    ----------
    Charbonnier et al. (1994), *Two Deterministic Half-Quadratic Regularization Algorithms for
    Computed Imaging*. `pseudo_huber` is this loss times the square of its parameter.
    """

    scale: Positive = 1.0

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        return xp.sqrt1pm1((prediction - target) / self.scale)


@final
@dataclass(frozen=True)
class Cauchy(Loss):
    r"""Cauchy loss, also called Lorentzian: squared near zero, logarithmic for large residuals.

    .. math:: \log(x^2 / 2 + 1)

    The loss is smooth, and accurate for any residual.

    Parameters
    ----------
    scale : float > 0
        The residual c, in the unit of the target, around which the influence of a sample begins to
        decrease.

    Examples
    --------
    >>> import isoloss as il
    >>> il.cauchy([2.0, 1e30], [0.0, 0.0], reduction="none")
    array([  1.09861229, 137.4619584 ])

    References
    ----------
    Black and Anandan (1996), *The Robust Estimation of Multiple Motions*. Texts on statistics write
    ``c^2 / 2 log(1 + (e / c)^2)``; their scale is sqrt(2) times this scale.
    """

    scale: Positive = 1.0

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        x = (prediction - target) / self.scale
        far = xp.abs(x) > 2.0**30  # the 1 is rounded away, and the square may overflow
        inside, outside = xp.where(far, 0.0, x), xp.where(far, x, 1.0)
        tail = 2 * xp.log(xp.abs(outside)) - math.log(2)
        return xp.where(far, tail, xp.log1p(inside * inside / 2))


@final
@dataclass(frozen=True)
class GemanMcClure(Loss):
    r"""Geman-McClure loss: squared near zero, bounded by 2.

    .. math:: 2 x^2 / (x^2 + 4)

    The loss is smooth. Its derivative decreases like ``16 / x^3``.

    Parameters
    ----------
    scale : float > 0
        The residual c, in the unit of the target, around which the influence of a sample begins to
        decrease.

    Examples
    --------
    >>> import isoloss as il
    >>> il.geman_mcclure([2.0, 1e30], [0.0, 0.0], reduction="none")
    array([1., 2.])

    References
    ----------
    Geman and McClure (1985), *Bayesian Image Analysis*. Their ``x^2 / (x^2 + 1)`` at scale 2 c is
    half of this loss at scale c.
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
    r"""Welsch loss, also called Leclerc: squared near zero, bounded by 1.

    .. math:: 1 - \exp(-x^2 / 2)

    The loss is smooth. Its derivative decreases faster than any power of ``1 / x``.

    Parameters
    ----------
    scale : float > 0
        The residual c, in the unit of the target, around which the influence of a sample begins to
        decrease.

    Examples
    --------
    >>> import isoloss as il
    >>> il.welsch([1.0, 1e30], [0.0, 0.0], reduction="none")
    array([0.39346934, 1.        ])

    References
    ----------
    Dennis and Welsch (1978), *Techniques for Nonlinear Least Squares and Robust Regression*. They
    use ``exp(-x^2)`` and a factor ``c^2 / 2``; their scale is sqrt(2) times this scale.
    """

    scale: Positive = 1.0

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        x = xp.clip((prediction - target) / self.scale, -256.0, 256.0)  # beyond, the loss is 1
        drop = x * x / 2
        near = drop < 1
        inside, outside = xp.where(near, drop, 0.0), xp.where(near, 1.0, drop)
        return xp.where(near, 0.0 - xp.expm1(-inside), 1 - xp.exp(-outside))


# --- estimators of location -----------------------------------------------------------------------


@final
@dataclass(frozen=True)
class Tukey(Loss):
    r"""Tukey's biweight loss: squared near zero, constant for large residuals.

    .. math:: \frac{c^2}{6} \left(1 - (1 - x^2)^3\right) \text{ for } |e| \le c, \quad
        \frac{c^2}{6} \text{ beyond}

    At ``|e| = c`` the first and the second derivative are 0.

    Parameters
    ----------
    c : float > 0
        The absolute residual, in the unit of the target, above which the loss is constant. With
        residuals of variance 1, the default has 95 % of the efficiency of the squared error.

    Examples
    --------
    >>> import isoloss as il
    >>> il.Tukey(c=2.0)([1.0, 1e30], [0.0, 0.0], reduction="none")
    array([0.38541667, 0.66666667])

    References
    ----------
    Beaton and Tukey (1974), *The Fitting of Power Series*. Some authors omit the factor
    ``c^2 / 6``.
    """

    c: Positive = 4.6851

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        error = xp.clip(prediction - target, -self.c, self.c)
        near = xp.abs(error) < self.c / 2
        inside, outside = xp.where(near, error, 0.0), xp.where(near, self.c, error)
        square = (inside / self.c) * (inside / self.c)
        # 1 - x^2 without the rounding error of x: the difference c - |e| is exact
        left = (self.c - xp.abs(outside)) / self.c
        rest = left * (2 - left)
        low = inside * inside * ((3 - square * (3 - square)) / 6)
        return xp.where(near, low, self.c * (self.c * ((1 - rest * rest * rest) / 6)))


@final
@dataclass(frozen=True)
class Andrews(Loss):
    r"""Andrews's wave loss: squared near zero, constant for large residuals.

    .. math:: c^2 (1 - \cos x) \text{ for } |x| \le \pi, \quad 2 c^2 \text{ beyond}

    At ``|x| = pi`` the derivatives are those of the cosine: the first is 0 and the second is -1.

    Parameters
    ----------
    c : float > 0
        The wavelength divided by 2 pi, in the unit of the target. With residuals of variance 1, the
        default has 95 % of the efficiency of the squared error.

    Examples
    --------
    >>> import isoloss as il
    >>> il.Andrews(c=1.0)([1.0, 1e30], [0.0, 0.0], reduction="none")
    array([0.45969769, 2.        ])

    References
    ----------
    Andrews (1974), *A Robust Method for Multiple Linear Regression*. Some authors use the factor c
    instead of ``c^2``.
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

    for ``|e|`` up to a, from a to b, from b to c, and above c.

    At ``|e|`` equal to a, b or c the derivatives are those of the inner part.

    Parameters
    ----------
    a : float > 0
        The absolute residual, in the unit of the target, above which the loss is linear.
    b : float >= a
        The absolute residual above which the slope decreases.
    c : float > b
        The absolute residual above which the loss is constant.

    Raises
    ------
    ValueError
        If ``a <= b < c`` does not hold.

    Examples
    --------
    >>> import isoloss as il
    >>> il.Hampel(a=1.0, b=2.0, c=4.0)([1.0, 2.0, 3.0, 9.0], [0.0] * 4, reduction="none")
    array([0.5 , 1.5 , 2.25, 2.5 ])

    References
    ----------
    Andrews et al. (1972), *Robust Estimates of Location*. The default is Hampel's 17A.
    """

    a: Positive = 1.7
    b: Positive = 3.4
    c: Positive = 8.5

    def __post_init__(self) -> None:
        """Check that a <= b < c, if all three are numbers."""
        super().__post_init__()
        numbers = all(isinstance(one, (int, float)) for one in (self.a, self.b, self.c))
        if numbers and not self.a <= self.b < self.c:
            raise fail(self, f"a <= b < c must hold, not of {self.a}, {self.b}, {self.c}")

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        error = prediction - target
        size, width = xp.abs(error), self.c - self.b
        low, high = xp.clip(error, -self.a, self.a), xp.clip(error, -self.b, self.b)
        # a clip at b would count the slope at |e| = b twice
        rest = xp.where(size > self.b, (self.c - xp.clip(size, max=self.c)) / width, 1.0)
        return low * (high - low / 2) + self.a * (width * ((1 - rest * rest) / 2))


# series of (artanh(z) - z) / z^3 in z^2, for z <= 1 / 3
_ARTANH = tuple(1 / (2 * k + 3) for k in range(17))


@final
@dataclass(frozen=True)
class Fair(Loss):
    r"""Fair's loss: squared near zero, absolute for large residuals.

    .. math:: c^2 \left(|x| - \log(1 + |x|)\right)

    At e = 0 the first derivative is 0 and the second derivative is 1. The computation does not
    cancel at small residuals.

    Parameters
    ----------
    c : float > 0
        The absolute residual, in the unit of the target, around which the loss becomes linear. With
        residuals of variance 1, the default has 95 % of the efficiency of the squared error.

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
        # log(1 + x) = 2 artanh(x / (2 + x)); the first term of its series is subtracted exactly
        part = inside / (2 * self.c + inside)
        square = part * part
        low = self.c * part * (inside - 2 * self.c * square * polynomial(_ARTANH, square))
        return xp.where(near, low, self.c * (outside - self.c * xp.log1p(outside / self.c)))


# --- asymmetric -----------------------------------------------------------------------------------


@final
@dataclass(frozen=True)
class Linex(Loss):
    r"""LINEX loss: exponential for errors of one sign, about linear for errors of the other sign.

    .. math:: \exp(a e) - a e - 1

    The loss is smooth. Near zero it is about ``(a e)^2 / 2`` and is computed without cancellation.

    Parameters
    ----------
    a : float, not 0
        The steepness, in the inverse unit of the target. If a is positive, predictions that are too
        high cost more. If a is negative, predictions that are too low cost more.

    Raises
    ------
    ValueError
        If a is 0, because the loss would be 0 everywhere.

    Examples
    --------
    >>> import isoloss as il
    >>> il.linex([2.0, -2.0], [0.0, 0.0], reduction="none")
    array([4.3890561 , 1.13533528])

    References
    ----------
    Zellner (1986), *Bayesian Estimation and Prediction Using Asymmetric Loss Functions*, with his
    factor b = 1. Varian (1975) writes ``b exp(a e) - c e - b``, which is the same for c = a b.
    """

    a: Real = 1.0

    def __post_init__(self) -> None:
        """Check that a is not 0."""
        super().__post_init__()
        if isinstance(self.a, (int, float)) and self.a == 0:
            raise fail(self, "a must not be 0, where the loss is 0 everywhere")

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        y = self.a * (prediction - target)
        near = xp.abs(y) < 1
        inside, outside = xp.where(near, y, 0.0), xp.where(near, 1.0, y)
        return xp.where(near, inside * xp.relative_expm1(inside), xp.exp(outside) - 1 - outside)


# --- default instances ----------------------------------------------------------------------------

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
