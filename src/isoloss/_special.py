"""Special functions that losses need and the array API standard lacks, with their derivatives.

Each is one formula for every library, in float32 as in float64: the libraries' own differ in how
far they reach, and most lose their digits in a tail (``ndtr(-10)`` of torch is 0 in float32, JAX's
``erfc(25)`` is 325 ULP off). `NATIVE` names those that are as good, `SLOPES` holds exact first
derivatives for JAX, and `DERIVATIVES` first and second ones for second-order numbers.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

Array = Any
Namespace = Any

_ROOT_2 = math.sqrt(2.0)
_ROOT_PI = math.sqrt(math.pi)
_ROOT_2PI = math.sqrt(2.0 * math.pi)
_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)


class Differentiable:
    """An array that carries derivatives: it has one rule for the whole of a polynomial."""

    def polynomial(self, coefficients: tuple[float, ...]) -> Any:
        raise NotImplementedError


def _polynomial(coefficients: tuple[float, ...], x: Array) -> Array:
    """Evaluate ``c0 + c1 x + c2 x^2 + ...`` by Horner's rule."""
    if isinstance(x, Differentiable):
        return x.polynomial(coefficients)
    result = 0.0 * x + coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        result = result * x + coefficient
    return result


def horner(coefficients: tuple[float, ...], x: Array) -> tuple[Array, Array, Array]:
    """Return a polynomial and its first and second derivative."""
    value, first, second = 0.0 * x + coefficients[-1], 0.0 * x, 0.0 * x
    for coefficient in reversed(coefficients[:-1]):
        second = second * x + first
        first = first * x + value
        value = value * x + coefficient
    return value, first, 2.0 * second


# --- the error function and the normal distribution -----------------------------------------------

# erf(x) = 2 / sqrt(pi) x (sum over k of (-1)^k x^2k / (k! (2k + 1))), Abramowitz and Stegun 7.1.5.
_ERF_AT_0 = tuple((-1) ** k * 2.0 / (_ROOT_PI * math.factorial(k) * (2 * k + 1)) for k in range(20))
# (m(y) - y) (1 + y / 4) / 4 in powers of (4 - y) / (4 + y), where m is the density of the normal
# distribution over its upper tail: interpolated at 60 Chebyshev points in 60 digits.
_MILLS = (
    0.45121428897894217, 0.2955511253798199, 0.1004891759515572,
    -0.01687948198071023, -0.034556122869683355, -0.008425916912605828,
    0.007914131869764295, 0.005200113562880667, -0.0011221474370033215,
    -0.0019903526223409742, -9.33967761255306e-05, 0.0006214469190987625,
    0.00014871545914509665, -0.00016636867794980094, -7.232804887044163e-05,
    3.756596429412794e-05, 2.623425141500738e-05, -6.361423513905624e-06,
    -7.948192361163694e-06, 3.0250718270462195e-07, 2.053524906590904e-06,
    3.521125202215536e-07, -4.4279097571909116e-07, -1.9582047671358907e-07,
    7.431793650949761e-08, 6.27732395396334e-08, -8.148325388153719e-09,
    -1.2608640608609e-08, 2.718406874804387e-10, 1.2286347728231882e-09,
    3.92700641138163e-11,
)  # fmt: skip


def _tail_excess(xp: Namespace, y: Array) -> Array:
    """``m(y) - y`` for y >= 0, where m(y) is the normal density over the tail beyond y."""
    share = 4 / (4 + y)
    return share * _polynomial(_MILLS, 2 * share - 1)


def _exp_of_square(xp: Namespace, x: Array, factor: float) -> Array:
    """``exp(factor x^2)`` of a negative factor, without the rounding of a large square."""
    x = xp.clip(x, min=-64.0, max=64.0)
    near = xp.round(16 * x) / 16  # few digits: its square is exact
    whole = xp.exp(factor * near * near)
    # not the product of two exponentials, of which XLA makes one
    return whole + whole * xp.expm1(factor * (x - near) * (x + near))


def _density(xp: Namespace, x: Array) -> Array:
    """``exp(-x^2 / 2) / sqrt(2 pi)``, the density of the normal distribution."""
    return _exp_of_square(xp, x, -0.5) / _ROOT_2PI


def _far_erfc(xp: Namespace, x: Array) -> Array:
    """``erfc(x)`` for x >= 0.5."""
    scaled = x + _tail_excess(xp, _ROOT_2 * x) / _ROOT_2
    return _exp_of_square(xp, x, -1.0) / (_ROOT_PI * scaled)


def _erf(xp: Namespace, x: Array, /) -> Array:
    """Error function: 2 / sqrt(pi) times the integral of ``exp(-t^2)`` from 0 to x."""
    size = xp.abs(x)
    small = size < 1
    inside = xp.where(small, x, xp.zeros_like(x))
    outside = xp.where(small, xp.ones_like(x), xp.clip(size, max=64.0))
    near = inside * _polynomial(_ERF_AT_0, inside * inside)
    return xp.where(small, near, xp.sign(x) * (1 - _far_erfc(xp, outside)))


def _erfc(xp: Namespace, x: Array, /) -> Array:
    """``1 - erf(x)``, exact in the tail."""
    far = x > 0.5
    half = xp.full_like(x, 0.5)
    outside = xp.where(far, xp.clip(x, max=64.0), half)
    return xp.where(far, _far_erfc(xp, outside), 1 - xp.erf(xp.where(far, half, x)))


def _ndtr(xp: Namespace, x: Array, /) -> Array:
    """Distribution function of the normal distribution, exact in the lower tail."""
    low = x < -1
    depth = xp.where(low, -xp.clip(x, min=-64.0), xp.ones_like(x))
    tail = _density(xp, depth) / (depth + _tail_excess(xp, depth))
    return xp.where(low, tail, 0.5 + 0.5 * xp.erf(xp.where(low, xp.zeros_like(x), x) / _ROOT_2))


def _log_ndtr(xp: Namespace, x: Array, /) -> Array:
    """Logarithm of the distribution function of the normal distribution, exact in both tails."""
    low = x < 0
    depth = xp.where(low, -x, xp.zeros_like(x))
    tail = -_HALF_LOG_2PI - xp.log(depth + _tail_excess(xp, depth)) - depth * (0.5 * depth)
    return xp.where(low, tail, xp.log1p(-xp.ndtr(xp.where(low, xp.zeros_like(x), -x))))


def _reversed_hazard(xp: Namespace, x: Array) -> Array:
    """Density of the normal distribution over its lower tail, the slope of `_log_ndtr`."""
    low = x < 0
    depth, height = xp.where(low, -x, xp.zeros_like(x)), xp.where(low, xp.zeros_like(x), x)
    return xp.where(low, depth + _tail_excess(xp, depth), _density(xp, height) / xp.ndtr(height))


def _hazard_slope(xp: Namespace, x: Array, hazard: Array) -> Array:
    """The derivative of `_reversed_hazard`, from its value."""
    low = x < 0
    excess = _tail_excess(xp, xp.where(low, -x, xp.zeros_like(x)))
    return -hazard * xp.where(low, excess, hazard + xp.where(low, xp.zeros_like(x), x))


# --- gamma functions without their cancellation ---------------------------------------------------

# log(1 + x) = 2 (s + s^3 / 3 + s^5 / 5 + ...), s = x / (2 + x) (Abramowitz and Stegun 4.1.27).
_ATANH_TAIL = tuple(1 / (2 * k + 3) for k in range(27))
# The error of Stirling's formula at 1 / t over t, in powers of 2 t - 1 for 0 <= t <= 1:
# interpolated at 60 Chebyshev points in 60 digits.
_STIRLING_ERROR = (
    0.0826813919108186, -0.0012300100649059083, -0.0004851043881010359,
    0.00010076829937174882, -1.2621643029088812e-06, -6.404042343899916e-06,
    2.5473662094685148e-06, -4.2740730508409587e-07, -1.1717279238507018e-07,
    1.2998244537709444e-07, -5.988629480797232e-08, 1.5396043590785008e-08,
    1.2324535883203946e-09, -4.21719230572717e-09, 2.945097360284988e-09,
    -1.3641896013648105e-09, 4.748312546082518e-10, -1.347105296688458e-11,
    -2.6499743739860614e-10, 1.7910125295270675e-10, 8.832685827118941e-11,
    -4.888886151492002e-11, -1.2886906954306407e-10, 6.233742083375551e-11,
    6.114792362495952e-11, -3.659852280539227e-11, -9.197101301246291e-12,
    6.592808527254165e-12,
)  # fmt: skip


def _near_0(x: Array) -> Array:
    """Whether log(1 + x) is the sum of its series: abs(s) < 1/2."""
    return (x > -2 / 3) & (x < 2)


def _relative_log1p(xp: Namespace, x: Array, /) -> Array:
    """``1 - log(1 + x) / x``, smooth and exact through its zero at x = 0."""
    near = _near_0(x)
    inside = xp.where(near, x, xp.zeros_like(x))
    outside = xp.where(near, xp.ones_like(x), x)
    s = inside / (2 + inside)
    series = s - 2 * s * s * _polynomial(_ATANH_TAIL, s * s) / (2 + inside)
    return xp.where(near, series, 1 - xp.quotient(xp.log1p(outside), outside))


# (exp(x) - 1 - x) / x^2
_EXP_REMAINDER = tuple(1 / math.factorial(k + 2) for k in range(18))


def _exp_remainder(xp: Namespace, x: Array, /) -> Array:
    """``(exp(x) - 1 - x) / x^2``, smooth and exact through 1/2 at x = 0."""
    near = xp.abs(x) < 1
    inside = xp.where(near, x, xp.zeros_like(x))
    outside = xp.where(near, xp.ones_like(x), x)
    far = xp.quotient(xp.quotient(xp.exp(outside) - 1, outside) - 1, outside)
    return xp.where(near, _polynomial(_EXP_REMAINDER, inside), far)


def _stirling_error(xp: Namespace, t: Array, /) -> Array:
    """``log(gamma(x + 1)) - (x + 1/2) log(x) + x - log(2 pi) / 2`` at x = 1 / t, for t >= 0.

    A difference of log(gamma) is one of these errors, and of terms that cancel by hand.
    """
    above = t <= 1  # 1 in terms of x
    x = xp.quotient(xp.ones_like(t), xp.where(above, xp.ones_like(t), t))
    share = xp.where(above, t, 1 / (1 + x))  # gamma(x + 1) = gamma(x + 2) / (x + 1)
    series = share * _polynomial(_STIRLING_ERROR, 2 * share - 1)
    step = (x + 0.5) * (xp.log1p(x) - xp.log(x)) - 1
    return series + xp.where(above, xp.zeros_like(t), step)


def _student_t(xp: Namespace, freedom: Array, error: Array, scale: Array, /) -> Array:
    """Negative log density of Student's t distribution; the normal one at infinite freedom."""
    one, zero = xp.ones_like(freedom), xp.zeros_like(error)
    h = xp.quotient(one, freedom)
    constant = _HALF_LOG_2PI + xp.log(scale) + 0.5 * xp.relative_log1p(h)
    constant = constant + xp.stirling_error(2 * h) - xp.stirling_error(2 * h / (1 + h))
    root = xp.sqrt(xp.where(h == 0, one, freedom))
    size = xp.abs(error)
    lost = (h > 0) & (size > 2.0**30 * root * scale)  # the square of what is left would overflow
    z = xp.quotient(xp.where(lost, zero, error), scale)
    ratio = xp.where(h == 0, zero, xp.quotient(z, root))
    small = xp.abs(ratio) < 1
    near = xp.where(small, ratio, zero)
    relative = 1 - xp.relative_log1p(near * near)  # log(1 + z^2 / freedom) over z^2 / freedom
    z = xp.where(small, z, zero)
    far = xp.where(small, zero, ratio)
    logarithm = xp.log1p(far * far)
    beyond = xp.log(xp.where(lost, size, one)) - xp.log(xp.where(lost, root * scale, one))
    logarithm = xp.where(lost, 2 * beyond, logarithm)
    finite = xp.where(small & ~lost, one, freedom)
    return constant + 0.5 * (1 + h) * z * z * relative + 0.5 * (1 + finite) * logarithm


def _saturated(xp: Namespace, y: Array) -> Array:
    """``log(y!) - y log(y) + y``: the Poisson loss of the count y where that is the rate."""
    above, zero, one = y >= 1, xp.zeros_like(y), xp.ones_like(y)
    large, small = xp.where(above, y, one), xp.where(above, zero, y)
    error = xp.stirling_error(xp.quotient(one, large + small))
    low = (small + 0.5) * xp.log1p(small) - xp.xlogy(small, small) - 1
    rest = xp.where(above, 0.5 * xp.log(large), low)
    return xp.where(y == 0, zero, _HALF_LOG_2PI + rest + error)


def _poisson_excess(xp: Namespace, y: Array, rate: Array, error: Array) -> Array:
    """``y log(y / rate) - error`` for error = y - rate, which is known better than to rounding."""
    one, zero = xp.ones_like(y), xp.zeros_like(y)
    count = xp.where(y == 0, one, y)
    relative = -xp.quotient(error, count)
    near = (y > 0) & _near_0(relative)
    plain = near | (y == 0)
    logarithm = xp.log_ratio(xp.where(plain, one, rate), xp.where(plain, one, count))
    inside = -error * xp.relative_log1p(xp.where(near, relative, zero))
    return xp.where(near, inside, -error - y * logarithm)


def _negative_binomial(xp: Namespace, mean: Array, dispersion: Array, y: Array, /) -> Array:
    """Negative log probability of a count, by saddle points: a sum of terms that are positive.

    With r = 1 / dispersion, it is the loss of the saturated model, what the prediction adds to it,
    and what is left of three log(gamma) (Loader 2000, *Fast and Accurate Computation of Binomial
    Probabilities*), all without r, so that the Poisson distribution is the dispersion 0.
    """
    one, zero = xp.ones_like(mean), xp.zeros_like(mean)
    large = dispersion > 1  # 1 + dispersion * mean, over the dispersion where that is large
    unit = xp.quotient(one, xp.where(large, dispersion, one))
    factor = xp.where(large, one, dispersion)
    at_mean, at_y = unit + factor * mean, unit + factor * y
    error = xp.quotient(y - mean, at_mean)
    gap, relative = unit * error, factor * error  # relative = dispersion * gap
    rate = mean * xp.quotient(at_y, at_mean)  # y - gap
    near = _near_0(relative)
    logarithm = xp.log_ratio(xp.where(near, one, at_y), xp.where(near, one, at_mean))
    outside = gap - logarithm * xp.quotient(unit, xp.where(near, one, factor))
    inside = gap * xp.relative_log1p(xp.where(near, relative, zero))
    added = xp.where(near, inside, outside) + _poisson_excess(xp, y, rate, gap)
    some = y > 0  # without counts all of the following is 0, and so are its derivatives
    wide = xp.where(large & some, xp.log(at_y) - xp.log(unit), xp.log1p(factor * y))
    of_one, of_sum = (xp.where(some, t, zero) for t in (dispersion, xp.quotient(factor, at_y)))
    gammas = xp.stirling_error(of_one) - xp.stirling_error(of_sum)
    return _saturated(xp, y) + (added + (0.5 * wide + gammas))


# --- ensembles ------------------------------------------------------------------------------------


def _rank(xp: Namespace, x: Array, /) -> Array:
    """Rank along the last axis, from 1; equal numbers share the mean of theirs. No derivative."""
    x = xp.stop_gradient(x)
    first, last = (xp.argsort(xp.argsort(one, axis=-1, stable=True), axis=-1) for one in (x, -x))
    return xp.astype(first - last + (x.shape[-1] + 1), xp.computing) / 2


def _numpy_rank(x: Array, /) -> Array:
    """Rank on NumPy: one sort where no numbers are equal."""
    order = np.argsort(x, axis=-1)
    ordered = np.take_along_axis(x, order, axis=-1)
    if np.any(ordered[..., 1:] == ordered[..., :-1]):
        first, last = (np.argsort(np.argsort(one, stable=True)) for one in (x, -x))
        return (first - last + (x.shape[-1] + 1)).astype(x.dtype) / 2
    ranks = np.empty_like(x)
    places = np.arange(1, x.shape[-1] + 1, dtype=x.dtype)
    np.put_along_axis(ranks, order, np.broadcast_to(places, x.shape), axis=-1)
    return ranks


def _dask_rank(x: Array, /) -> Array:
    """Rank on Dask, whose arrays are sorted by nothing but NumPy, in one chunk of the last axis."""
    return x.rechunk({x.ndim - 1: -1}).map_blocks(_numpy_rank, dtype=x.dtype)


def _absolute_power(xp: Namespace, x: Array, power: Any, /) -> Array:
    """``|x|^power``, with derivative 0 at 0."""
    zero = x == 0
    return xp.where(zero, xp.zeros_like(x), xp.abs(xp.where(zero, xp.ones_like(x), x)) ** power)


def _euclidean_norm(xp: Namespace, x: Array, /) -> Array:
    """Root of the sum of the squares along the last axis, with derivative 0 at 0."""
    size = xp.max(xp.abs(xp.stop_gradient(x)), axis=-1, keepdims=True)
    factor = xp.power_of_two(size)  # none where float32 is computed in float64
    x = x * factor
    return xp.sqrt(xp.sum(x * x, axis=-1)) / xp.squeeze(factor, axis=-1)


# --- what the namespaces and the rules of differentiation take from here --------------------------

FUNCTIONS: tuple[Callable[..., Array], ...] = (
    _erf, _erfc, _ndtr, _log_ndtr, _relative_log1p, _exp_remainder, _stirling_error,
    _student_t, _negative_binomial, _rank, _absolute_power, _euclidean_norm,
)  # fmt: skip

# (library, function) -> a form of its own. Of torch's functions these are as accurate, derivatives
# included; its ndtr is 0 below -10 in float32, and its log_ndtr loses every digit above 4.
NATIVE: dict[tuple[str, str], Callable[[], Callable[..., Array]]] = {
    ("PyTorch", "erf"): lambda: sys.modules["torch"].special.erf,
    ("PyTorch", "erfc"): lambda: sys.modules["torch"].special.erfc,
    ("NumPy", "rank"): lambda: _numpy_rank,
    ("Dask", "rank"): lambda: _dask_rank,
}


def native(library: str) -> dict[str, Callable[..., Array]]:
    """Return a library's own functions that serve."""
    return {name: make() for (owner, name), make in NATIVE.items() if owner == library}


_2_OVER_ROOT_PI = 2 / _ROOT_PI
# name -> (xp, x) -> its derivative, in a form that is itself differentiated exactly
SLOPES: dict[str, Callable[..., Array]] = {
    "erf": lambda xp, x: _2_OVER_ROOT_PI * _exp_of_square(xp, x, -1.0),
    "erfc": lambda xp, x: -_2_OVER_ROOT_PI * _exp_of_square(xp, x, -1.0),
    "ndtr": _density,
    "log_ndtr": _reversed_hazard,
}


def _with_second(name: str, factor: float) -> Callable[..., tuple[Array, Array]]:
    """The derivatives of an integral of ``exp(factor x^2 / 2)``."""

    def both(xp: Namespace, x: Array, y: Array) -> tuple[Array, Array]:
        slope = SLOPES[name](xp, x)
        return slope, factor * xp.clip(x, min=-64.0, max=64.0) * slope

    return both


def _log_ndtr_derivatives(xp: Namespace, x: Array, y: Array) -> tuple[Array, Array]:
    hazard = _reversed_hazard(xp, x)
    return hazard, _hazard_slope(xp, x, hazard)


# name -> (xp, x, f(x)) -> f'(x), f''(x), as in `_jets.DERIVATIVES`
DERIVATIVES: dict[str, Any] = {
    "erf": _with_second("erf", -2.0),
    "erfc": _with_second("erfc", -2.0),
    "ndtr": _with_second("ndtr", -1.0),
    "log_ndtr": _log_ndtr_derivatives,
}
