"""Arrays that hold derivatives beside their value, and the library of functions for them."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any, ClassVar, cast

import numpy as np

from . import special
from .library import Library, library_of
from .plain import PlainLibrary
from .primitives import PRIMITIVES
from .special import Slopes
from .types import FLOATS, Array, Functions, Namespace, dtype_name

_LOG2, _LOG10 = 1 / math.log(2), 1 / math.log(10)
# a float 0.0 means that the derivative is 0 everywhere
DERIVATIVES: dict[str, Slopes] = {
    "abs": Slopes(lambda xp, x, y: xp.sign(x), lambda xp, x, y: 0.0),
    "exp": Slopes(lambda xp, x, y: y, lambda xp, x, y: y, by_value=True),
    "expm1": Slopes(lambda xp, x, y: y + 1, lambda xp, x, y: y + 1, by_value=True),
    "log": Slopes(lambda xp, x, y: 1 / x, None),  # second derivative: minus the square of the first
    "log1p": Slopes(lambda xp, x, y: 1 / (1 + x), None),
    "log2": Slopes(lambda xp, x, y: _LOG2 / x, lambda xp, x, y: -_LOG2 / (x * x)),
    "log10": Slopes(lambda xp, x, y: _LOG10 / x, lambda xp, x, y: -_LOG10 / (x * x)),
    "reciprocal": Slopes(lambda xp, x, y: -y * y, lambda xp, x, y: 2 * y * y * y, by_value=True),
    "sqrt": Slopes(lambda xp, x, y: 0.5 / y, lambda xp, x, y: -0.25 / (x * y), by_value=True),
    "square": Slopes(lambda xp, x, y: 2 * x, lambda xp, x, y: 2.0),
    "sin": Slopes(lambda xp, x, y: xp.cos(x), lambda xp, x, y: -y),
    "cos": Slopes(lambda xp, x, y: -xp.sin(x), lambda xp, x, y: -y),
    "sinh": Slopes(lambda xp, x, y: xp.cosh(x), lambda xp, x, y: y),
    "cosh": Slopes(lambda xp, x, y: xp.sinh(x), lambda xp, x, y: y),
    "tanh": Slopes(
        lambda xp, x, y: 1 - y * y, lambda xp, x, y: -2 * y * (1 - y * y), by_value=True
    ),
    "atan": Slopes(
        lambda xp, x, y: 1 / (1 + x * x), lambda xp, x, y: -2 * x / ((1 + x * x) * (1 + x * x))
    ),
    "sqrt1pm1": Slopes(
        lambda xp, x, y: special.slope(xp, x), lambda xp, x, y: special.curvature(xp, x)
    ),
    "log_cosh": Slopes(lambda xp, x, y: xp.tanh(x), lambda xp, x, y: special.sech2(xp, x)),
    "sign": Slopes(lambda xp, x, y: 0.0, lambda xp, x, y: 0.0),
    "floor": Slopes(lambda xp, x, y: 0.0, lambda xp, x, y: 0.0),
    "ceil": Slopes(lambda xp, x, y: 0.0, lambda xp, x, y: 0.0),
    "round": Slopes(lambda xp, x, y: 0.0, lambda xp, x, y: 0.0),
    "trunc": Slopes(lambda xp, x, y: 0.0, lambda xp, x, y: 0.0),
    **special.DERIVATIVES,
}
# Functions without derivatives: predicates, which return plain arrays, and those that return
# constants.
QUESTIONS = ("isfinite", "isnan", "isinf", "any", "all", "logical_and", "logical_or", "logical_not")
CONSTANTS = (
    "argmax", "argmin", "argsort", "bin_of", "chosen", "count_nonzero", "full_like", "ones_like",
    "places", "rank", "zeros_like",
)  # fmt: skip


_DTYPES = ("float", "int", "uint", "bool", "bfloat")


class Carrier(special.Differentiable):
    """An array with derivatives: the base class of `Jet` and of the tape's `Node`."""

    __array_ufunc__ = None  # makes NumPy arrays defer arithmetic to the carrier
    reductions: ClassVar[dict[str, str]] = {}  # methods that call a function of another name
    value: Array
    varies: bool
    isoloss_library: CarrierLibrary

    @property
    def dtype(self) -> Any:
        return self.value.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.value.shape)

    @property
    def ndim(self) -> int:
        return int(self.value.ndim)

    @property
    def xp(self) -> Functions:
        return self.isoloss_library.raw

    # methods that users call on NumPy arrays; np.mean(x) etc. call them too, with out=None

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def T(self) -> Any:  # noqa: N802 - NumPy's name
        return self.transpose()

    def __getitem__(self, key: Any) -> Any:
        raise NotImplementedError

    def __len__(self) -> int:
        return len(self.value)

    def __iter__(self) -> Any:
        return (self[k] for k in range(len(self)))

    def sum(self, axis: Any = None, *, keepdims: bool = False, **named: None) -> Any:
        return self._reduced("sum", axis, keepdims, named)

    def mean(self, axis: Any = None, *, keepdims: bool = False, **named: None) -> Any:
        return self._reduced("mean", axis, keepdims, named)

    def max(self, axis: Any = None, *, keepdims: bool = False, **named: None) -> Any:
        return self._reduced("max", axis, keepdims, named)

    def min(self, axis: Any = None, *, keepdims: bool = False, **named: None) -> Any:
        return self._reduced("min", axis, keepdims, named)

    def _reduced(self, name: str, axis: Any, keepdims: bool, named: dict[str, Any]) -> Any:
        if any(value is not None for value in named.values()):
            raise TypeError(f"{name} takes axis= and keepdims= here, not {', '.join(named)}=")
        return getattr(self.xp, self.reductions.get(name, name))(self, axis=axis, keepdims=keepdims)

    def var(self, axis: Any = None, *, keepdims: bool = False, **named: None) -> Any:
        deviation = self - self.mean(axis, keepdims=True, **named)
        return (deviation * deviation).mean(axis, keepdims=keepdims)

    def std(self, axis: Any = None, *, keepdims: bool = False, **named: None) -> Any:
        return self.xp.sqrt(self.var(axis, keepdims=keepdims, **named))

    def reshape(self, *shape: Any, **named: Any) -> Any:
        return self.xp.reshape(self, _one_tuple(shape or tuple(named.values())[:1]))

    def ravel(self) -> Any:
        return self.reshape(-1)

    flatten = ravel

    def squeeze(self, axis: Any = None) -> Any:
        ones = tuple(k for k, n in enumerate(self.shape) if n == 1)
        return self.xp.squeeze(self, axis=ones if axis is None else axis)

    def transpose(self, *axes: Any) -> Any:
        axes = _one_tuple(axes) or tuple(range(self.ndim))[::-1]
        return self.xp.permute_dims(self, tuple(axis % self.ndim for axis in axes))

    def swapaxes(self, one: int, two: int) -> Any:
        axes = list(range(self.ndim))
        axes[one], axes[two] = axes[two], axes[one]
        return self.transpose(*axes)

    def astype(self, dtype: Any, **named: Any) -> Any:
        return self.xp.astype(self, np.dtype(dtype) if isinstance(dtype, (str, type)) else dtype)

    def clip(self, min: Any = None, max: Any = None) -> Any:  # noqa: A002 - NumPy's names
        return special.clip(self.xp, self, min, max)

    def cumsum(self, axis: int | None = None) -> Any:
        if axis is None:
            return self.ravel().cumsum(0)
        return self.xp.cumulative_sum(self, axis=axis)

    def copy(self) -> Any:
        return self

    def item(self) -> Any:
        """Return the number; raise if its derivative would be lost."""
        if self.varies:
            raise TypeError(
                "item() and float() return a number without its derivative: leave it an array"
            )
        return self.value.item()

    __float__ = item

    def __matmul__(self, other: Any) -> Any:
        return self.xp.matmul(self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return self.xp.matmul(other, self)

    def __array_namespace__(self, api_version: str | None = None) -> Functions:
        return self.isoloss_library.raw

    def __lt__(self, other: Any) -> Array:
        return self.value < plain(other)

    def __le__(self, other: Any) -> Array:
        return self.value <= plain(other)

    def __gt__(self, other: Any) -> Array:
        return self.value > plain(other)

    def __ge__(self, other: Any) -> Array:
        return self.value >= plain(other)

    def __eq__(self, other: object) -> Array:
        return self.value == plain(other)

    def __ne__(self, other: object) -> Array:
        return self.value != plain(other)

    def __and__(self, other: Any) -> Array:
        return self.value & plain(other)

    def __or__(self, other: Any) -> Array:
        return self.value | plain(other)

    def __invert__(self) -> Array:
        return ~self.value

    __hash__ = None  # type: ignore[assignment]

    def __add__(self, other: Any) -> Any:
        return self.xp.add(self, other)

    def __sub__(self, other: Any) -> Any:
        return self.xp.subtract(self, other)

    def __rsub__(self, other: Any) -> Any:
        return self.xp.subtract(other, self)

    def __mul__(self, other: Any) -> Any:
        return self.xp.multiply(self, other)

    def __truediv__(self, other: Any) -> Any:
        return self.xp.divide(self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return self.xp.divide(other, self)

    def __pow__(self, other: Any) -> Any:
        return self.xp.pow(self, other)

    def __neg__(self) -> Any:
        return self.xp.multiply(self, -1)

    def __abs__(self) -> Any:
        return self.xp.abs(self)

    def polynomial(self, coefficients: tuple[float, ...]) -> Any:
        return self.xp.polynomial(self, coefficients)

    def __rpow__(self, base: Any) -> Any:
        return self.xp.exp(self.xp.multiply(self, math.log(base)))

    __radd__ = __add__
    __rmul__ = __mul__
    __rand__ = __and__
    __ror__ = __or__


def _one_tuple(arguments: tuple[Any, ...]) -> tuple[int, ...]:
    """Return the integers of a call ``f(1, 2)`` or ``f((1, 2))`` as a tuple."""
    first = arguments[0] if len(arguments) == 1 else arguments
    return (first,) if isinstance(first, int) else tuple(first or ())


def plain(x: Any) -> Any:
    """Return the value without derivatives."""
    return x.value if isinstance(x, Carrier) else x


def varies(x: Any) -> bool:
    """Whether an argument, or an element of a list, has a derivative."""
    if isinstance(x, (list, tuple)):
        return any(map(varies, x))
    return isinstance(x, Carrier) and x.varies


class CarrierLibrary(PlainLibrary):
    """The library of a carrier: functions of another library, with rules for derivatives."""

    def __init__(self, under: Library) -> None:
        super().__init__(ModuleType(f"isoloss.{type(self).__name__}"))
        self.under = under
        self.name = under.name
        self.quiet = under.quiet
        self.sorts = under.sorts

        def first_use(name: str) -> Any:
            """Make the rules for the methods of arrays; they serve every dtype."""
            functions = self._functions(self.under.namespace("float64", False))
            self.raw.__dict__.update(vars(functions))
            return getattr(self.raw, name)

        self.raw.__dict__["__getattr__"] = first_use

    def has_float64(self, array: Any) -> bool:
        return self.under.has_float64(plain(array))

    def widens(self, array: Any) -> bool:
        return self.under.widens(plain(array))

    def default_float(self) -> str:
        return self.under.default_float()

    def is_concrete(self, array: Any) -> bool:
        return False

    def absorbs(self, other: Library) -> bool:
        return other is self.under or self.under.absorbs(other)

    def convert(self, array: Any, dtype: str, like: Any) -> Any:
        if library_of(array) is not self.under:
            array = self.under.convert(array, dtype, plain(like))
        return self.constant(array)

    def constant(self, value: Array) -> Any:
        """Wrap an array in a carrier without derivative, so that mixed arithmetic works.

        Integers and booleans are returned unchanged: they have no derivatives.
        """
        real = dtype_name(value.dtype) in FLOATS if hasattr(value, "dtype") else True
        return self.carrier(value) if real else value

    def carrier(self, value: Array) -> Any:
        """Wrap an array in a carrier without derivative."""
        raise NotImplementedError

    def rules(self, xp: Namespace) -> dict[str, Any]:
        """Return the functions with derivatives, over the namespace ``xp``."""
        raise NotImplementedError

    def _functions(self, xp: Namespace) -> Functions:
        """Return the rules and the constants over the namespace ``xp``."""

        def question(name: str) -> Any:
            function = getattr(xp, name)
            return lambda x, *rest, **named: function(plain(x), *map(plain, rest), **named)

        def constant(name: str) -> Any:
            function = question(name)
            return lambda x, *rest, **named: self.constant(function(x, *rest, **named))

        functions = {name: question(name) for name in QUESTIONS}
        functions |= {name: constant(name) for name in CONSTANTS}
        for name, value in vars(xp).items():  # dtypes and numbers
            if name.rstrip("0123456789") in _DTYPES or isinstance(value, float):
                functions[name] = value

        def unknown(name: str) -> Any:
            """Apply a function without a rule; raise if an argument has a derivative."""
            function = getattr(xp, name)

            def call(*arguments: Any, **named: Any) -> Any:
                if any(varies(x) for x in arguments):
                    message = f"the derivative of xp.{name} is not known on {self.name}"
                    fix = "write it with others, or differentiate with JAX or PyTorch"
                    raise TypeError(f"{message}: {fix}")
                return self.constant(function(*map(plain, arguments), **named))

            return call

        module: Any = ModuleType(f"isoloss.{type(self).__name__}")
        module.__dict__.update(functions | self.rules(xp), __getattr__=unknown)
        return cast("Functions", module)

    def _build(self, result: str, wide: bool) -> Namespace:
        xp = self.under.namespace(result, wide)
        functions: Any = self._functions(xp)
        built = self._over(functions, result, wide)
        namespace: Any = built
        namespace.__dict__["__getattr__"] = vars(functions)["__getattr__"]
        namespace.stop_gradient = lambda x: self.constant(plain(x))
        for name in (
            "overlap", "xlogy", "xlog1py", "sigmoid_power", "unit_vector", "cosine", "huber",
            "sigmoid_cross_entropy", "binary_cross_entropy", "softplus", "total", "maximum",
            "minimum", "where",
            "sqrt1pm1", "log_cosh", "log_ratio", "clip", "bins", "bin_of", "chosen",
            "places", "rank", "euclidean_norm", "logsumexp", "shares",
            *PRIMITIVES, *special.DERIVATIVES,
        ):  # fmt: skip
            if name in vars(functions):
                setattr(namespace, name, vars(functions)[name])
        if hasattr(xp, "sqrt_back"):  # a kernel that handles the slope at 0
            namespace.sqrt = functions.sqrt
        composed = namespace.tweedie_deviance

        def tweedie_deviance(p: Any, y: Any, power: Any, /) -> Any:
            """Use the closed form of the slopes where it applies; else compose the functions."""
            number = isinstance(power, (int, float)) and power != 0
            if not (number and varies(p)) or varies(y) or p.shape != y.shape:
                return composed(p, y, power)
            a, b = plain(p), plain(y)
            slopes = special.tweedie_slopes(xp, a, b, power)
            return functions.chain(p, xp.tweedie_deviance(a, b, power), *slopes)

        namespace.tweedie_deviance = tweedie_deviance
        return built
