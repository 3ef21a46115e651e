"""Compare a function on all array libraries: value, gradient, dtype, shape and device."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace

from .._core.metric import Metric
from ..metrics.catalogue import name_of
from . import causes
from .distance import FORMATS, in_ulp
from .libraries import LIBRARIES, ArrayLibrary, Function, Places, compared, installed

__all__ = [
    "Case",
    "Report",
    "Row",
    "aligned",
    "assert_close_ulp",
    "assert_parity",
    "compare",
    "suite",
]

TRANSFORMS = ("jit", "vmap", "compile", "export", "sharded")
ROWS = 20  # largest number of rows in a message


class Row(NamedTuple):
    """One comparison of a library with the reference.

    ``ulp`` is the largest distance and ``place`` its index. ``got`` and ``want`` are the numbers
    at this index, or dtypes, shapes or devices. ``error`` is the text of an exception.
    """

    library: str
    dtype: str
    point: str
    aspect: str
    way: str
    reference: str
    ok: bool
    ulp: float = 0.0
    place: tuple[int, ...] = ()
    got: Any = None
    want: Any = None
    cause: str = ""
    error: str = ""

    def __str__(self) -> str:
        """Return the row as a line of the message."""
        where = f"{self.library} {self.dtype}, {self.point}, {self.aspect} ({self.way})"
        if self.error:
            return f"{where}: {self.error}"
        place = f" at {list(self.place)}" if self.place else ""
        far = "" if self.ulp in (0.0, math.inf) else f", {self.ulp:.3g} ULP apart"
        text = f"{where}{place}: {self.got!r}, {self.reference}: {self.want!r}{far}"
        return f"{text}\n    {self.cause}" if self.cause else text


@dataclass
class Report:
    """All comparisons of one function."""

    name: str
    rows: list[Row] = field(default_factory=list)

    @property
    def failures(self) -> list[Row]:
        """Rows that disagree."""
        return [row for row in self.rows if not row.ok]

    def __str__(self) -> str:
        """Return the disagreements and a matrix of libraries and aspects."""
        failures = self.failures
        lines = [f"{self.name}: {len(failures)} of {len(self.rows)} comparisons disagree"]
        lines += [str(row) for row in failures[:ROWS]]
        if len(failures) > ROWS:
            lines.append(f"... and {len(failures) - ROWS} more")
        return "\n".join([*lines, "", *self.matrix()])

    def matrix(self) -> list[str]:
        """Return the lines of a table of the largest distance in ULP, by library and aspect."""
        aspects = list(dict.fromkeys(row.aspect for row in self.rows))
        libraries = list(dict.fromkeys(row.library for row in self.rows))
        table = [["", *aspects]]
        for library in libraries:
            cells = [self.cell(library, aspect) for aspect in aspects]
            table.append([library, *cells])
        return aligned(table)

    def as_dict(self) -> dict[str, Any]:
        """Return a dict for JSON, with all rows, a cell for each library and the text."""
        rows = [{name: _stored(x) for name, x in row._asdict().items()} for row in self.rows]
        cells = {row.library: self.cell(row.library) for row in self.rows}
        failures = len(self.failures)
        return {"name": self.name, "failures": failures, "cells": cells, "text": str(self),
                "rows": rows}  # fmt: skip

    def cell(self, library: str, aspect: str | None = None) -> str:
        """Return the result of a library in one aspect, or in all aspects."""
        rows = [r for r in self.rows if r.library == library and aspect in (None, r.aspect)]
        if not rows:
            return "-"
        wrong = [r for r in rows if not r.ok]
        if any(r.error for r in wrong):
            return "ERROR"
        worst = max(r.ulp for r in rows)
        text = "" if aspect in ("dtype", "shape", "device") else f" {worst:.2g}"
        return f"{'DIFFERS' if wrong else 'ok'}{text}"


def _stored(x: Any) -> Any:
    if isinstance(x, float):
        return x if math.isfinite(x) else str(x)
    return x if isinstance(x, (int, str)) else str(x)


def aligned(table: list[list[str]]) -> list[str]:
    """Return the lines of a table with aligned columns."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in table
    ]


@dataclass(frozen=True)
class Case:
    """A function with its inputs and options, for `assert_parity` and `suite`.

    Examples
    --------
    >>> from isoloss.testing import Case, assert_parity
    >>> import isoloss as il
    >>> case = Case(il.mean_squared_error, ([1.0, 2.0], [0.0, 2.5]), name="mse")
    >>> assert_parity(case, libraries=["numpy"]).failures
    []
    """

    function: Function | Mapping[str, Function]
    inputs: tuple[Any, ...]
    kinks: Sequence[Any] = ()
    contract: Sequence[Any] = ()
    name: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return the name of the case or of its function."""
        if self.name:
            return self.name
        function = self.function
        if isinstance(function, Mapping):
            function = next(iter(function.values()))
        if isinstance(function, Metric):
            return name_of(function)
        return str(getattr(function, "__name__", function))


def suite(cases: Iterable[Case], **options: Any) -> Any:
    """Return a test that checks each case, for pytest to collect: ``test_parity = suite(CASES)``.

    ``options`` are options of `assert_parity` for all cases; the options of a case override them.
    """
    import pytest

    listed = list(cases)

    @pytest.mark.parametrize("case", listed, ids=list(map(str, listed)))
    def test_parity(case: Case) -> None:
        assert_parity(case, **options)

    return test_parity


def assert_parity(
    function: Function | Mapping[str, Function] | Case, *inputs: Any, **options: Any
) -> Report:
    """Assert that a function gives the same result on every array library.

    The function is called with the same numbers as arrays of each library. Its value, gradient,
    dtype, shape and device are compared with a reference: the ``oracle`` or the first library.

    Parameters
    ----------
    function : callable, mapping of library names to callables, or Case
        A function of arrays that returns an array, or a tuple, list or dict of arrays. A mapping
        has one function per library.
    *inputs : array_like, or function of a random generator
        The arguments of the call. Floating inputs are converted to each dtype.
    libraries : sequence of str, optional
        Some of ``numpy``, ``jax``, ``torch``, ``dask`` and ``array_api_strict``; by default the
        first three. Libraries that are not installed are skipped.
    gradient : bool, int or tuple of int
        Whether to compare gradients, or the positions of the arguments to differentiate with
        respect to; True is the first floating argument. Array results are summed first. Every
        mode of each library is compared: reverse and forward, plain and compiled. Integer
        results have no gradient.
    hessian : bool
        Whether to compare the Hessian with respect to the first of these arguments.
    dtypes : sequence of str
        The dtypes of floating inputs. For float64, x64 is enabled in JAX during the comparison.
    transforms : sequence of str
        Some of ``jit``, ``vmap``, ``compile``, ``export`` and ``sharded``. Each transform that a
        library has must give the result of a plain call.
    kinks : sequence of inputs
        Further points, at which derivatives are a convention: the first argument, or a tuple of
        all arguments.
    contract : sequence of array_like, optional
        The expected gradient at each kink, instead of the gradient of the reference.
    oracle : callable, optional
        A function of float64 NumPy arrays that returns the expected value.
    ulp : float
        Largest accepted distance in units in the last place. If an entry is smaller than 1/16 of
        the largest entry, the unit is that of 1/16 of the largest entry.
    seed : int
        Seed of the random generator.

    Returns
    -------
    Report
        All comparisons.

    Raises
    ------
    TypeError, ValueError
        If inputs are not real numbers, or an option is unknown.
    AssertionError
        If a comparison disagrees. The message names the library, the entry, both numbers, their
        distance and the likely cause, and ends with a table.

    Examples
    --------
    >>> from isoloss.testing import assert_parity
    >>> import isoloss as il
    >>> print(assert_parity(il.huber, [0.5, 4.0], [0.0, 0.0], libraries=["numpy"]))
    huber: 0 of 6 comparisons disagree
    <BLANKLINE>
           value  dtype  shape  device  gradient
    numpy  ok 0   ok     ok     ok      ok 0
    """
    __tracebackhide__ = True
    plugin = sys.modules.get("pytest_isoloss")
    if plugin is not None:
        options = plugin.narrowed(options)
    if isinstance(function, Case):
        case = function
        own = {"kinks": case.kinks, "contract": case.contract, "name": str(case)}
        function, inputs, options = case.function, case.inputs, {**own, **options, **case.options}
    report = compare(function, *inputs, **options)
    if plugin is not None:
        plugin.keep(report)
    assert not report.failures, str(report)
    return report


def compare(
    function: Function | Mapping[str, Function],
    *inputs: Any,
    libraries: Sequence[str] | None = None,
    among: Sequence[str] | None = None,
    gradient: bool | int | tuple[int, ...] = True,
    hessian: bool = False,
    dtypes: Sequence[str] = ("float32",),
    transforms: Sequence[str] = TRANSFORMS,
    kinks: Sequence[Any] = (),
    contract: Sequence[Any] = (),
    oracle: Function | None = None,
    ulp: float = 16.0,
    seed: int = 0,
    name: str = "",
) -> Report:
    """Return the comparisons of `assert_parity` without an assertion.

    ``among`` restricts the comparison to some of the libraries.
    """
    if not inputs:
        raise ValueError("there are no inputs: name arrays, or functions of a random generator")
    points = drawn(inputs, kinks, seed)
    if contract and len(contract) != len(kinks):
        raise ValueError(
            f"contract has {len(contract)} gradients and kinks {len(kinks)}: give one for each"
        )
    rights = [None, *(contract or [None] * len(kinks))]
    _check("dtypes", dtypes, FORMATS)
    _check("transforms", transforms, TRANSFORMS)
    places = differentiated(gradient, points[0])
    known = functions(function, libraries)
    if among is not None:
        known = {name: f for name, f in known.items() if name in among}
    elif libraries is None and len(known) < 2 and oracle is None:
        message = f"only {', '.join(known)} is installed: there is nothing to compare it with"
        warnings.warn(f"{message}; install another library, or give oracle=", stacklevel=3)
    comparison = Comparison(known, places, hessian, transforms, oracle, ulp)
    report = Report(name or str(Case(function, ())))
    for dtype in dtypes:
        for number, (point, right) in enumerate(zip(points, rights, strict=True)):
            label = "inputs" if number == 0 else f"kink {number - 1}"
            report.rows += comparison.rows(label, point, dtype, right)
    return report


def functions(
    function: Function | Mapping[str, Function], libraries: Sequence[str] | None
) -> dict[str, Function]:
    """Return the function of each requested and installed library."""
    named = dict(function) if isinstance(function, Mapping) else None
    wanted = list(libraries if libraries is not None else named or compared())
    unknown = [name for name in (*wanted, *(named or ())) if name not in LIBRARIES]
    if unknown:
        raise ValueError(f"libraries has {unknown[0]!r}; use {', '.join(map(repr, LIBRARIES))}")
    there = [name for name in wanted if name in installed()]
    if named is None:
        return dict.fromkeys(there, function)  # type: ignore[arg-type]
    return {name: named[name] for name in there if name in named}


def _check(option: str, given: Sequence[str], known: Iterable[str]) -> None:
    """Raise an error for an unknown value of an option."""
    words = (given,) if isinstance(given, str) else given
    for word in words:
        if isinstance(given, str) or word not in known:
            allowed = ", ".join(map(repr, known))
            raise ValueError(f"{option} has {word!r}; use a sequence of {allowed}")


def differentiated(gradient: bool | int | tuple[int, ...], point: tuple[np.ndarray, ...]) -> Places:
    """Return the positions of the arguments to differentiate with respect to."""
    floating = tuple(k for k, x in enumerate(point) if x.dtype.kind == "f")
    if isinstance(gradient, bool):
        return floating[:1] if gradient else ()
    places = gradient if isinstance(gradient, tuple) else (gradient,)
    if not set(places) <= set(floating):
        there = ", ".join(map(str, floating)) or "none"
        raise ValueError(f"gradient={gradient!r}: of the arguments, floating ones are {there}")
    return places


def drawn(inputs: Sequence[Any], kinks: Sequence[Any], seed: int) -> list[tuple[np.ndarray, ...]]:
    """Return all points, the inputs and the kinks, as NumPy arrays."""
    rng = np.random.default_rng(seed)
    first = tuple(np.asarray(x(rng) if callable(x) else x) for x in inputs)
    for number, array in enumerate(first):
        if array.dtype.kind not in "fiub":
            raise TypeError(f"input {number} has dtype {array.dtype}: real numbers are compared")
    points = [first]
    for kink in kinks:
        several = kink if isinstance(kink, tuple) else (kink, *first[1:])
        if len(several) != len(first):
            raise ValueError(f"a kink has {len(several)} arguments, and the function {len(first)}")
        points.append(tuple(map(np.asarray, several)))
    return points


# --- comparing ------------------------------------------------------------------------------------


def leaves(result: Any) -> list[Any]:
    """Return the arrays of a result, in order."""
    if isinstance(result, Mapping):
        result = list(result.values())
    if isinstance(result, (tuple, list)):
        return [leaf for one in result for leaf in leaves(one)]
    return [result]


class Answer(NamedTuple):
    """The reference of a comparison."""

    name: str
    arrays: list[np.ndarray]
    dtypes: list[str] | None = None


@dataclass
class Comparison:
    """The compared functions, the aspects and the accepted distance."""

    functions: dict[str, Function]
    places: Places
    hessian: bool
    transforms: Sequence[str]
    oracle: Function | None
    ulp: float

    def __post_init__(self) -> None:
        """Make each library once, so that later points reuse JAX's compiled programs."""
        self.libraries = {name: LIBRARIES[name]() for name in self.functions}

    def rows(
        self, label: str, point: tuple[np.ndarray, ...], dtype: str, right: Any
    ) -> Iterator[Row]:
        """Yield the comparisons at one point, in one dtype."""
        answers: dict[str, Answer] = {}
        if self.oracle is not None:
            exact = leaves(self.oracle(*(rounded(x, dtype) for x in point)))
            answers["value"] = Answer("the oracle", [np.asarray(x, np.float64) for x in exact])
        if right is not None:
            several = right if isinstance(right, tuple) else (right,)
            slopes = [np.asarray(x, np.float64) for x in several]
            answers["gradient"] = Answer("the contract", slopes)
        for name, function in self.functions.items():
            library = self.libraries[name]
            if dtype not in library.dtypes:
                continue
            with library.setting(dtype):
                arrays = tuple(
                    library.array(x, dtype if x.dtype.kind == "f" else None) for x in point
                )
                head = name, dtype, label
                yield from list(self.of_library(library, function, arrays, head, answers))

    def of_library(
        self, library: ArrayLibrary, function: Function, arrays: tuple[Any, ...],
        head: tuple[str, str, str], answers: dict[str, Answer],
    ) -> Iterator[Row]:  # fmt: skip
        """Yield the comparisons of one library; its results become references where none exist."""
        check = partial(self.check, library, arrays, head, answers)
        yield from check("value", "plain", partial(function, *arrays))
        for way, transform in library.transforms().items():
            if way not in self.transforms or "value" not in answers:
                continue
            if way != "vmap":
                yield from check("transform", way, partial(transform, function, arrays), "value")
            elif all(getattr(a, "ndim", 0) and a.shape[0] for a in arrays):  # vmap over two rows
                pairs = tuple(map(stacked, arrays))
                answers.pop("vmap", None)
                yield from check("vmap", "loop", partial(by_loop, library, function, pairs))
                yield from check("transform", way, partial(transform, function, pairs), "vmap")
        value = answers.get("value")
        names = (value.dtypes if value else None) or [""]
        if not self.places or all(name.startswith(("int", "uint", "bool")) for name in names):
            return
        for way, derivative in library.gradients().items():
            yield from check("gradient", way, partial(derivative, function, arrays, self.places))
        if self.hessian:
            place = self.places[0]
            yield from check(
                "hessian", "hessian", partial(library.hessian, function, arrays, place)
            )

    def check(
        self, library: ArrayLibrary, arrays: tuple[Any, ...], head: tuple[str, str, str],
        answers: dict[str, Answer], aspect: str, way: str, compute: Callable[[], Any],
        key: str | None = None,
    ) -> list[Row]:  # fmt: skip
        """Return the rows of one result."""
        key = key or aspect
        answer = answers.get(key)
        try:
            with warnings.catch_warnings():  # a warning is not a disagreement
                warnings.simplefilter("ignore")
                result = compute()
                parts = [] if result is None else leaves(result)
                names = [library.dtype(part) for part in parts]
                numbers = [library.numbers(part) for part in parts]
                if result is None and aspect == "value":
                    raise TypeError("the function returned None")
        except Exception as error:  # any exception of a library is a disagreement
            text = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
            row = Row(
                *head, aspect, way, answer.name if answer else "", False, math.inf, error=text
            )
            return [] if aspect == "vmap" else [row]
        if result is None:
            return []
        if answer is None:
            answer = answers[key] = Answer(f"{library.name} ({way})", numbers, names)
        elif answer.dtypes is None and aspect == "value":  # an oracle has no dtype
            answer = answers[key] = answer._replace(dtypes=names)
        if aspect == "vmap":
            return []
        if len(numbers) != len(answer.arrays):
            return [Row(*head, aspect, way, answer.name, False, math.inf, (), len(numbers),
                        len(answer.arrays), "a different number of results")]  # fmt: skip
        rows = []
        for k, (array, want) in enumerate(zip(numbers, answer.arrays, strict=True)):
            coarse = coarser(names[k], (answer.dtypes or names)[k])
            rows.append(self.distance(head, aspect, way, answer.name, array, want, coarse))
            expected = (answer.dtypes or names)[k] if aspect == "value" else head[1]
            typed = aspect in ("value", "gradient") and not way.startswith("forward")
            if typed:  # a derivative in forward mode has the dtype of the value
                same = names[k] == library.default(expected)
                cause = "" if same else causes.of_dtype(names[k], expected)
                rows.append(Row(*head, "dtype", way, answer.name, same, 0.0, (), names[k],
                                expected, cause))  # fmt: skip
            if aspect == "value":
                shapes = array.shape, want.shape
                same = shapes[0] == shapes[1]
                rows.append(Row(*head, "shape", way, answer.name, same, 0.0, (), *shapes))
                devices = library.device(parts[k]), library.device(arrays[0])
                same = devices[0] in ("", devices[1])
                rows.append(Row(*head, "device", way, "its inputs", same, 0.0, (), *devices))
        return rows

    def distance(
        self, head: tuple[str, str, str], aspect: str, way: str, reference: str,
        got: np.ndarray, want: np.ndarray, dtype: str,
    ) -> Row:  # fmt: skip
        """Return the row of the entry with the largest distance."""
        if got.shape != want.shape:
            return Row(*head, aspect, way, reference, False, math.inf, (), got.shape, want.shape,
                       "results of different shapes")  # fmt: skip
        apart = in_ulp(got, want, dtype)
        worst = np.unravel_index(int(np.argmax(apart)), apart.shape) if apart.size else ()
        far = float(apart[worst]) if apart.size else 0.0
        one, other = (float(x[worst]) if x.size else 0.0 for x in (got, want))
        ok = far <= self.ulp
        cause = ""
        if not ok:
            found = (
                causes.of_value(one, other, dtype) if aspect in ("value", "transform")
                else causes.of_gradient(one, other)
            )  # fmt: skip
            cause = found or causes.of_distance(one, other, far)
        place = tuple(map(int, worst))
        return Row(*head, aspect, way, reference, ok, far, place, one, other, cause)


def coarser(*dtypes: str) -> str:
    """Return the floating dtype with the fewest digits; float64 if no dtype is floating."""
    floating = [name for name in dtypes if name in FORMATS]
    return min(floating, key=lambda name: FORMATS[name][0], default="float64")


def rounded(x: np.ndarray, dtype: str) -> np.ndarray:
    """Round numbers to a dtype and return them in float64."""
    if x.dtype.kind != "f":
        return x
    if dtype != "bfloat16":
        return x.astype(dtype).astype(np.float64)
    bits = x.astype(np.float32).view(np.uint32)
    near = bits + 0x7FFF + ((bits >> 16) & 1)  # to nearest, ties to even
    return np.where(np.isfinite(x), (near & 0xFFFF0000).view(np.float32), x).astype(np.float64)


def stacked(array: Any) -> Any:
    """Stack an array and a rotated copy of it."""
    xp = array_namespace(array)
    return xp.stack([array, xp.concat([array[-1:], array[:-1]])])


def by_loop(library: ArrayLibrary, function: Function, arrays: tuple[Any, ...]) -> list[Any]:
    """Return the expected result of vmap, computed row by row."""
    rows = [leaves(function(*(a[k] for a in arrays))) for k in range(2)]
    return [np.stack([library.numbers(x) for x in pair]) for pair in zip(*rows, strict=True)]


def assert_close_ulp(got: Any, want: Any, ulp: float = 4.0, *, dtype: str | None = None) -> None:
    """Assert that two arrays differ by at most a number of units in the last place.

    Parameters
    ----------
    got, want : array_like
        Arrays of the same shape. nan equals nan.
    ulp : float
        The bound. If an entry is smaller than 1/16 of the largest entry, the unit is that of
        1/16 of the largest entry.
    dtype : str, optional
        The dtype of the unit; by default the dtype of ``got``, or float64 if that is not
        floating.

    Examples
    --------
    >>> from isoloss.testing import assert_close_ulp
    >>> assert_close_ulp(0.1 + 0.2, 0.3)
    """
    __tracebackhide__ = True
    a, b = np.asarray(got), np.asarray(want)
    name = dtype or (a.dtype.name if a.dtype.kind == "f" else "float64")
    assert a.shape == b.shape, f"shapes {a.shape} and {b.shape}"
    apart = in_ulp(a, b, name)
    worst = np.unravel_index(int(np.argmax(apart)), apart.shape) if apart.size else ()
    assert not apart.size or apart[worst] <= ulp, (
        f"{a[worst]!r} is not {b[worst]!r} at {list(map(int, worst))}: "
        f"{apart[worst]:.3g} ULP of {name} apart, at most {ulp:g}"
    )
