"""How a hyper-parameter is declared, and checked when a metric is made."""

from __future__ import annotations

import math
from dataclasses import field
from typing import Any

import numpy as np

from .domains import Interval
from .errors import abbreviated, fail


def parameter(
    default: Any, interval: Interval, *, whole: bool = False, several: bool = False
) -> Any:
    """Declare a hyper-parameter by its default and the interval it must lie in.

    A metric made with a number outside raises ValueError. Arrays and tracers are not looked at.

    Parameters
    ----------
    default : number, tuple of numbers or None
        None where the parameter may be left out.
    interval : Interval
        Where the number, or each of several, must lie.
    whole : bool
        Whether it must be an integer, as it must where the default is one.
    several : bool
        Whether it is a tuple of numbers, as it is where the default is one.

    Examples
    --------
    >>> import isoloss as il
    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Cauchy(il.Loss):
    ...     scale: float = il.parameter(1.0, il.Interval(low=0.0, low_open=True))
    ...     def pointwise(self, xp, prediction, target):
    ...         return xp.log1p(((prediction - target) / self.scale) ** 2)
    >>> Cauchy(scale=-1.0)
    Traceback (most recent call last):
        ...
    ValueError: Cauchy(scale=-1.0): scale must be finite and > 0, not -1.0
    """
    if not interval.low < interval.high:
        raise ValueError(f"{interval!r} holds no number: low must be less than high")
    whole = whole or type(default) is int
    several = several or isinstance(default, tuple)
    metadata = {"interval": interval, "whole": whole, "several": several}
    return field(default=default, metadata=metadata)


def choice(default: Any, *allowed: Any) -> Any:
    """Declare a hyper-parameter that is one of some words."""
    return field(default=default, metadata={"allowed": (default, *allowed)})


def is_zero(x: Any) -> bool:
    """Whether a hyper-parameter is the number 0; an array or a tracer is not looked at."""
    return isinstance(x, (int, float)) and x == 0


def as_parameter(value: Any, several: bool) -> Any:
    """Return NumPy's scalars as Python numbers, which never promote, and sequences as tuples."""
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        return value.item()
    if several and isinstance(value, np.ndarray) and value.ndim == 1:
        return tuple(value.tolist())
    return tuple(value) if isinstance(value, list) else value


def check_parameters(metric: Any, item: Any, value: Any, several: bool) -> None:
    """Check what a hyper-parameter was declared to be; arrays of the user's are not looked at."""
    allowed = item.metadata.get("allowed")
    if allowed is not None and value not in allowed:
        words = ", ".join(map(repr, allowed))
        raise fail(metric, f"{item.name} must be one of {words}, not {value!r}")
    if several and hasattr(value, "shape"):
        return
    if several and not (isinstance(value, tuple) and value):
        message = f"{item.name} must be a tuple of numbers, not {value!r}"
        raise fail(metric, message, TypeError)
    if item.metadata.get("whole") and type(value) is not int:
        message = f"{item.name} must be an integer, not {value!r}"
        raise fail(metric, message, TypeError)
    if "interval" in item.metadata:
        for one in value if several and isinstance(value, tuple) else (value,):
            _check_parameter(metric, item.name, one, item.metadata["interval"])


def _check_parameter(metric: Any, name: str, value: Any, interval: Interval) -> None:
    """Check a number; arrays and tracers cannot be looked at without breaking transforms."""
    if isinstance(value, (str, bytes, type(None), bool, complex, tuple)):
        raise fail(metric, f"{name} must be a number, not {value!r}", TypeError)
    if type(value) not in (int, float):
        text = isinstance(value, np.ndarray) and value.dtype.kind not in "biuf"
        if text or not hasattr(value, "shape"):
            message = f"{name} must be a number or an array of them, not {abbreviated(value)}"
            raise fail(metric, message, TypeError)
        return
    finite = abs(value) < math.inf or (interval.infinite and value == value)
    if not (finite and interval.contains(value)):
        need = str(interval) if interval.infinite else f"finite and {interval}"
        raise fail(metric, f"{name} must be {need}, not {value}")
