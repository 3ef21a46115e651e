"""The parity kit: functions that agree pass, and every known disagreement is caught and explained."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from array_api_compat import array_namespace

import isoloss as il
from isoloss.testing import Case, assert_close_ulp, assert_parity, compare, suite

jax = pytest.importorskip("jax")
pytest.importorskip("torch")
INF, NAN = np.inf, np.nan
# The summary of its plugin imports hypothesis, which costs more than most runs within a test.
WITHIN = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest")


def own(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of arrays that is given their library first."""
    return lambda *arrays: function(array_namespace(*arrays), *arrays)


# Where JAX's and PyTorch's derivatives differ, each at one number, and a word of the likely cause.
KNOWN: dict[str, tuple[Callable[..., Any], list[float], str]] = {
    "abs at 0": (lambda xp, x: xp.abs(x), [0.0, 1.0], "maximum(x, -x)"),
    "clip at its low end": (lambda xp, x: xp.clip(x, 0.0, 1.0), [0.0, 0.5], "bound"),
    "clip at its high end": (lambda xp, x: xp.clip(x, 0.0, 1.0), [1.0, 0.5], "bound"),
    "clip at its only end": (lambda xp, x: xp.clip(x, min=0.0), [0.0, 0.5], "bound"),
    "a hinge by clip": (lambda xp, x: xp.clip(1 - x, min=0.0), [1.0, 0.5], "bound"),
    "abs of nan": (lambda xp, x: xp.abs(x), [NAN, 1.0], "maximum(x, -x)"),
    "a norm at 0": (lambda xp, x: xp.linalg.vector_norm(x), [0.0, 0.0], "root"),
    "an absolute norm at 0": (lambda xp, x: xp.linalg.vector_norm(x, ord=1), [0.0, 0.0], "max"),
    "a cubic norm at 0": (lambda xp, x: xp.linalg.vector_norm(x, ord=3), [0.0, 0.0], "root"),
    "a spread of equal numbers": (lambda xp, x: xp.std(x), [1.0, 1.0], "root"),
    "the power 0.0 of 0": (lambda xp, x: x**0.0, [0.0, 1.0], "power"),
    "a root under a mask": (lambda xp, x: xp.where(x > 0, xp.sqrt(x), 0.0), [0.0, 1.0], "where()"),
    "a logarithm under a mask": (lambda xp, x: xp.where(x > 0, xp.log(x), 0.0), [0.0, 1.0], "where()"),
    "softplus by maximum": (
        lambda xp, x: xp.clip(x, min=0.0) + xp.log1p(xp.exp(-xp.abs(x))), [0.0, 1.0], "",
    ),
    "logaddexp of infinite numbers": (lambda xp, x: xp.logaddexp(x, x), [INF, 1.0], "logarithm"),
    "hypot at 0": (lambda xp, x: xp.hypot(x, x), [0.0, 1.0], "root"),
}  # fmt: skip


@pytest.mark.parametrize("name", KNOWN)
def test_known_disagreements_are_caught(name: str) -> None:
    """The gradient differs at the kink alone, and the message says where, by how much, and why."""
    function, kink, cause = KNOWN[name]
    options: dict[str, Any] = {"libraries": ("jax", "torch"), "transforms": ()}
    report = compare(own(function), [0.25, 0.75], kinks=[kink], **options)
    wrong = report.failures
    assert wrong
    assert {row.point for row in wrong} == {"kink 0"}
    assert {row.aspect for row in wrong} == {"gradient"}
    assert any(cause in row.cause for row in wrong)
    assert "comparisons disagree" in str(report)
    assert str(wrong[0].got) in str(report)
    assert "DIFFERS" in str(report)


def test_a_failed_assertion_is_the_report() -> None:
    """The message of `assert_parity` is the report of `compare`, and the report returns where all agree."""
    options: dict[str, Any] = {"libraries": ("jax", "torch"), "transforms": ()}
    function, kink, _ = KNOWN["abs at 0"]
    report = compare(own(function), [0.25, 0.75], kinks=[kink], name="absolute", **options)
    with pytest.raises(AssertionError) as caught:
        assert_parity(own(function), [0.25, 0.75], kinks=[kink], name="absolute", **options)
    assert str(caught.value) == str(report)
    report = compare(own(function), [0.25, 0.75], **options)
    assert assert_parity(own(function), [0.25, 0.75], **options).rows == report.rows


INPUTS = [0.5, 4.0, -2.0], [0.0, 0.0, 1.0]
KINKS = [([0.0, 1.0, -1.0], [0.0, 0.0, 0.0])]
WAYS = {
    "plain", "isoloss", "reverse", "forward", "reverse, jit", "torch.func", "hessian", "jit",
    "vmap", "compile", "export", "sharded",
}  # fmt: skip


def test_losses_of_this_library_agree() -> None:
    """Values, gradients by every way, Hessians and transforms agree."""
    report = assert_parity(il.mean_absolute_error, *INPUTS, hessian=True)
    assert {row.library for row in report.rows} == {"numpy", "jax", "torch"}
    assert {row.way for row in report.rows} >= WAYS


def test_losses_of_this_library_agree_at_kinks_in_every_dtype() -> None:
    """Values and gradients agree at kinks, in single and in both half precisions."""
    dtypes = ("float16", "bfloat16", "float32")
    report = assert_parity(
        il.mean_absolute_error, *INPUTS, kinks=KINKS, dtypes=dtypes, transforms=()
    )
    assert {(row.library, row.dtype) for row in report.rows if row.point == "kink 0"} == {
        ("numpy", "float16"), ("jax", "float16"), ("torch", "float16"), ("jax", "bfloat16"),
        ("torch", "bfloat16"), ("numpy", "float32"), ("jax", "float32"), ("torch", "float32"),
    }  # fmt: skip


@pytest.mark.exhaustive
@pytest.mark.parametrize("metric", [il.mean_absolute_error, il.huber], ids=str)
def test_losses_agree_in_every_dtype_by_every_way(metric: il.Metric) -> None:
    """Everything that is compared agrees in every dtype."""
    dtypes = ("float16", "bfloat16", "float32")
    report = assert_parity(metric, *INPUTS, kinks=KINKS, hessian=True, dtypes=dtypes)
    assert {row.way for row in report.rows} >= WAYS


def test_values_dtypes_shapes_and_errors() -> None:
    """Other things than a gradient that may differ, each with what it is."""
    both = ("jax", "torch")

    def first(function: Any, *inputs: Any, **options: Any) -> Any:
        options = {"libraries": both, "gradient": False, "transforms": (), **options}
        return compare(function, *inputs, **options).failures[0]

    row = first({"jax": lambda x: x.sum(), "torch": lambda x: x.mean()}, [3.0, 1.0, 2.0, 2.0])
    assert (row.aspect, row.got, row.want) == ("value", 2.0, 8.0)
    assert "0.25 times the other" in row.cause
    row = first(lambda x: (x * np.float64(2.0)).sum(), [3.0, 1.0], libraries=("numpy", "torch"))
    assert (row.aspect, row.got, row.want) == ("dtype", "float32", "float64")
    assert "promotion" in row.cause
    ends = {"jax": lambda x: x, "torch": lambda x: x[:1]}
    rows = compare(ends, [3.0, 1.0], libraries=both, gradient=False, transforms=()).failures
    assert [(row.aspect, row.got, row.want) for row in rows] == [
        (aspect, (1,), (2,)) for aspect in ("value", "shape")
    ]
    row = first({"jax": lambda x: x, "torch": lambda x: (x, x)}, [3.0, 1.0])
    assert (row.got, row.want) == (2, 1)
    row = first(lambda x: x.sum() if x.sum() > 0 else -x.sum(), [3.0, 1.0], transforms=("jit",))
    assert (row.library, row.aspect, row.way) == ("jax", "transform", "jit")
    assert row.error.startswith("TracerBoolConversionError: ")
    squares = {
        "jax": lambda x: (x * x).sum(),
        "torch": lambda x: ((x.float() * x.float()).sum() / 2).to(x.dtype),
    }
    row = first(squares, [250.0, 250.0], dtypes=("float16",))
    assert row.got == 62496.0
    assert "float16 ends at 65504" in row.cause


def test_transforms_that_change_the_value_are_caught() -> None:
    """A function that does something else where it is traced: each transform says so."""
    import jax
    import torch

    doubled = {
        "jax": lambda x: x.sum() * (2 if isinstance(x, jax.core.Tracer) else 1),
        "torch": lambda x: x.sum() * (2 if torch.compiler.is_compiling() else 1),
    }
    wrong = compare(doubled, [1.0, 2.0, 4.0], gradient=False).failures
    assert {(row.library, row.way, row.got / row.want) for row in wrong} == {
        ("jax", "jit", 2.0), ("jax", "vmap", 2.0), ("jax", "export", 2.0), ("jax", "sharded", 2.0),
        ("torch", "compile", 2.0), ("torch", "export", 2.0),
    }  # fmt: skip


def test_an_oracle_and_a_contract() -> None:
    """The right value and the right gradient at a kink, where they are known."""
    absolute = own(lambda xp, x: xp.sum(xp.abs(x)))
    options: dict[str, Any] = {"libraries": ("numpy", "jax", "torch"), "transforms": ()}
    found = compare(absolute, [1.0, -2.0], kinks=[[0.0, 1.0]], contract=[[0.0, 1.0]], **options)
    assert {row.library for row in found.failures} == {"jax"}
    assert all(row.want == 0.0 for row in found.failures)
    right = compare(absolute, [1.0, -2.0], oracle=lambda x: np.abs(x).sum(), **options)
    assert not right.failures
    wrong = compare(absolute, [1.0, -2.0], oracle=lambda x: x.sum(), **options).failures
    assert {row.library for row in wrong} == {"numpy", "jax", "torch"}
    # an oracle is asked about the numbers that the dtype holds
    report = compare(own(lambda xp, x: x), [0.1], oracle=lambda x: x, ulp=0.0, gradient=False,
                     dtypes=("float16", "bfloat16", "float32"), **options)  # fmt: skip
    assert not report.failures
    with pytest.raises(ValueError, match="contract has 2 gradients and kinks 1: give one for each"):
        compare(absolute, [1.0], kinks=[[0.0]], contract=[[0.0], [0.0]])


def test_gradients_by_several_arguments() -> None:
    """By a number, or several, of the arguments; integers stay integers."""
    picked = own(lambda xp, x, y, k: xp.sum(xp.take(x * y * y, k)))
    report = assert_parity(
        picked, [1.0, 2.0], [3.0, 4.0], [1, 0, 1], gradient=(0, 1), transforms=(),
        libraries=("jax", "torch"),
    )  # fmt: skip
    assert sum(row.way == "reverse" and row.aspect == "gradient" for row in report.rows) == 4
    product = own(lambda xp, x, y: xp.sum(x * y * y))
    report = assert_parity(product, [1.0], [3.0], gradient=1, transforms=(), libraries=("torch",))
    assert {row.got for row in report.rows if row.aspect == "gradient"} == {6.0}


def test_inputs_are_drawn_once() -> None:
    """A function of a random generator draws an input, the same for every library."""
    seen = []

    def draw(rng: np.random.Generator) -> np.ndarray:
        seen.append(rng.normal(size=3))
        return seen[-1]

    report = assert_parity(il.mse, draw, [0.0, 0.0, 0.0], transforms=(), gradient=False, seed=3)
    assert {row.library for row in report.rows} == {"numpy", "jax", "torch"}
    assert len(seen) == 1
    np.testing.assert_array_equal(seen[0], np.random.default_rng(3).normal(size=3))


def test_libraries() -> None:
    """One that is misspelt is an error; the checker of the standard is compared where it is named."""
    with pytest.raises(ValueError, match="libraries has 'jaxx'; use 'numpy', 'array_api_strict', "):
        assert_parity(il.mse, [1.0], [0.0], libraries=("jaxx",))
    with pytest.raises(TypeError, match="input 1 has dtype <U1: real numbers are compared"):
        assert_parity(il.mse, [1.0], ["a"])
    with pytest.warns(UserWarning, match="only numpy is installed: there is nothing to compare it"):
        assert_parity({"numpy": il.mse}, [1.0], [0.0])
    with pytest.raises(ValueError, match="there are no inputs"):
        assert_parity(il.mse)
    with pytest.raises(ValueError, match="a kink has 1 arguments, and the function 2"):
        assert_parity(il.mse, [1.0], [0.0], kinks=[([0.0],)])
    row = compare(lambda x: x.sum(), [1.0], libraries=("numpy", "array_api_strict")).failures[0]
    assert row.error == "AttributeError: 'Array' object has no attribute 'sum'"


def test_float64_of_jax_needs_no_setting() -> None:
    """JAX is compared in float64 as well, and its setting is what it was."""
    before = jax.config.jax_enable_x64
    square = own(lambda xp, x: xp.sum(x * x))
    report = assert_parity(square, [0.5, 1 / 3], dtypes=("float64",), transforms=())
    found = [row for row in report.rows if (row.library, row.aspect) == ("jax", "dtype")]
    assert found
    assert {row.got for row in found} == {"float64"}
    assert jax.config.jax_enable_x64 is before


def test_a_further_point_compiles_nothing() -> None:
    """JAX compiles the gradients of a function once for all points of a shape."""

    def calls(kinks: int) -> int:
        seen = []

        def square(x: Any) -> Any:
            seen.append(x)
            return (x * x).sum()

        compare(square, [1.0, 2.0], kinks=[[0.0, 1.0]] * kinks, libraries=("jax",), transforms=())
        return len(seen)

    assert calls(2) - calls(1) == 3  # plain, reverse and forward


def test_dask_is_compared_where_it_is_named() -> None:
    """Arrays of two chunks give the same; a function that fails on them is told."""
    report = compare(il.r2_score, [0.5, 1.0, 3.0], [0.0, 1.0, 2.5], libraries=("numpy", "dask"))
    assert {row.library for row in report.rows} == {"numpy", "dask"}
    assert not report.failures
    wrong = compare(own(lambda xp, x: x[::-1].cumulative()), [1.0, 2.0], libraries=("dask",))
    assert "AttributeError" in str(wrong)


def test_the_log_of_torch_stays_out_of_the_report(pytester: pytest.Pytester) -> None:
    """A failed test says what disagrees, and nothing of what the compiler traced."""
    pytester.makepyfile("""
        from isoloss.testing import assert_parity

        def test_absolute():
            functions = {"numpy": lambda x: x, "torch": lambda x: 2 * x}
            assert_parity(functions, [1.0, 2.0], transforms=("compile",))
    """)
    result = pytester.runpytest_inprocess(*WITHIN)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*2 times the other: another formula*"])
    result.stdout.no_fnmatch_line("*torch.__trace*")


def test_results_of_any_form() -> None:
    """Dicts, tuples in lists and integers are compared; text, complex numbers and None are told."""
    options: dict[str, Any] = {"libraries": ("numpy", "jax", "torch"), "transforms": ("jit",)}
    report = compare(lambda x: {"loss": x.sum(), "parts": [x, (2 * x,)]}, [1.0, 2.0], **options)
    assert not report.failures
    assert {row.aspect for row in report.rows} >= {"gradient", "transform"}
    for numbers in ([1, 2, 3], [True, False]):
        assert_parity(lambda x: x, numbers, **options)
    assert_parity(lambda x: x > 1, [1.0, 2.0], **options)
    assert "the function returned None" in str(compare(lambda x: None, [1.0], **options))
    assert "a result has dtype complex64" in str(compare(lambda x: x + 1j, [1.0], **options))
    cut = compare(lambda x: float(x.sum()), [1.0], **options)  # leaves no gradient
    assert {row.library for row in cut.failures} >= {"jax"}


def test_the_first_floating_argument_is_differentiated_by() -> None:
    """Labels may come first; integers, and words that an option does not have, are refused."""
    report = assert_parity(lambda t, p: (p * t).sum(), [1, 2], [0.5, 2.0], libraries=("jax",))
    assert "gradient" in {row.aspect for row in report.rows}
    for wrong, text in (
        ({"gradient": 0}, "gradient=0: of the arguments, floating ones are 1"),
        ({"gradient": (1, 2)}, r"gradient=\(1, 2\): of the arguments, floating ones are 1"),
        ({"dtypes": ("float8",)}, "dtypes has 'float8'; use a sequence of 'float16', 'bfloat16'"),
        ({"dtypes": "float32"}, "dtypes has 'float32'; use a sequence of"),
        ({"transforms": ("jitt",)}, "transforms has 'jitt'; use a sequence of 'jit', 'vmap'"),
    ):
        with pytest.raises(ValueError, match=text):
            compare(lambda t, p: p * t, [1, 2], [0.5, 2.0], libraries=("jax",), **wrong)


def test_distances() -> None:
    """Distances are in ULP of the dtype; of what is small beside the rest, of a sixteenth of that."""
    one = np.float32(1.0)
    assert_close_ulp(one + np.spacing(one), one, 1)
    with pytest.raises(AssertionError, match=r"2 ULP of float32 apart, at most 1"):
        assert_close_ulp(one + 2 * np.spacing(one), one, 1)
    assert_close_ulp([1.0, 1e-20], [1.0, 0.0])
    apart = 2.5 * np.spacing(1.0)
    assert_close_ulp([16.0, 0.5 + apart], [16.0, 0.5], 2.5)
    with pytest.raises(AssertionError, match=r"5 ULP of float64 apart, at most 4"):
        assert_close_ulp([8.0, 0.5 + apart], [8.0, 0.5], 4)
    with pytest.raises(AssertionError, match=r"at \[0\]: inf ULP"):
        assert_close_ulp([NAN], [1.0])
    assert_close_ulp([NAN, INF, -INF, 0.0], [NAN, INF, -INF, -0.0], 0)
    with pytest.raises(AssertionError, match="shapes"):
        assert_close_ulp([1.0], 1.0)
    assert_close_ulp(np.float32(5e-324), 0.0, dtype="float64")


# --- the plugin -----------------------------------------------------------------------------------

TESTS = """
from array_api_compat import array_namespace
import isoloss as il
from isoloss.testing import Case, suite

def absolute(x):
    xp = array_namespace(x)
    return xp.sum(xp.abs(x))

CASES = [
    Case(il.mse, ([0.5, 4.0], [0.0, 1.0]), name="mse"),
    Case(absolute, ([1.0, 2.0],), kinks=[[0.0, 1.0]], name="<abs>"),
]
test_parity = suite(CASES, transforms=("jit",))

def test_fixtures(xp, to_library, assert_close_ulp):
    assert_close_ulp(xp.sum(to_library([1.0, 2.0], "float32")), 3.0)
"""


def test_suite_and_report(pytester: pytest.Pytester) -> None:
    """Cases are tests; a matrix ends the run; the page and the file hold all of it."""
    pytester.makepyfile(TESTS)
    page, data = pytester.path / "out" / "parity.html", pytester.path / "parity.json"
    result = pytester.runpytest_inprocess(*WITHIN, f"--parity-report={page}")
    result.assert_outcomes(passed=4, failed=1)
    result.stdout.fnmatch_lines(["*parity of array libraries*", "function  numpy  jax   torch",
                                 "mse       ok 0   ok*  ok*", "<abs> *DIFFERS*"])  # fmt: skip
    text = page.read_text()
    assert "&lt;abs&gt;" in text
    assert "<abs>" not in text
    assert "maximum(x, -x)" in text
    result = pytester.runpytest_inprocess(
        *WITHIN, f"--parity-report={data}", "--parity-library=numpy", "--parity-library=torch",
        "--parity-aspect=transform",
    )  # fmt: skip
    result.assert_outcomes(passed=4)  # without gradients they agree; two fixtures of three are left
    reports = json.loads(data.read_text())
    assert [one["name"] for one in reports] == ["mse", "<abs>"]
    assert set(reports[0]["cells"]) == {"numpy", "torch"}
    assert {row["aspect"] for row in reports[0]["rows"]} == {"value", "dtype", "shape", "device"}


def test_reports_of_several_processes(pytester: pytest.Pytester) -> None:
    """What workers compare comes together in the process that reports."""
    pytester.makepyfile(TESTS)
    light = ("--parity-library=numpy", "--parity-library=array_api_strict")  # quick to import
    result = pytester.runpytest_subprocess(*WITHIN, *light, "-n2", "-k", "parity")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*parity of array libraries*"])
    result.stdout.re_match_lines_random([r"mse\s+ok", r"<abs>\s+ok"])


def test_plugin_is_inert(pytester: pytest.Pytester) -> None:
    """A run that asks for nothing imports neither isoloss nor an array library, and prints nothing."""
    pytester.makepyfile("""
        import sys
        def test_nothing():
            assert not {"isoloss", "numpy", "jax", "torch"} & set(sys.modules)
    """)
    result = pytester.runpytest_subprocess(*WITHIN)
    result.assert_outcomes(passed=1)
    assert "parity" not in result.stdout.str()


def test_a_library_that_is_not_there(pytester: pytest.Pytester) -> None:
    """What is not installed is skipped, and what there is not is an error: neither passes."""
    pytester.makepyfile("""
        from isoloss.testing import assert_parity

        def test_mse():
            assert_parity(abs, [1.0], libraries=["numpy"])
    """)
    result = pytester.runpytest_inprocess(*WITHIN, "--parity-library=jax", "-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*abs: none of the libraries that it names is here*"])
    result = pytester.runpytest_inprocess(*WITHIN, "--parity-library=nmpy")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--parity-library=nmpy: use numpy, array_api_strict, dask, jax*"])


def test_case_names() -> None:
    """A case is named as it says, or as its function is."""
    assert str(Case(np.sum, ())) == "sum"
    assert str(Case({"jax": np.mean}, ())) == "mean"
    assert str(Case(il.Huber(2.0), ())) == "Huber(delta=2.0)"
    assert suite([Case(np.sum, ())]).pytestmark[0].kwargs["ids"] == ["sum"]
