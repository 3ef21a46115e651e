"""The shape of the source: imports point one way, definitions stay small, importing stays cheap."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import isoloss as il
from isoloss.metrics.catalogue import families
from isoloss.metrics.names import FAMILIES

SOURCE = Path(il.__file__).parent
# What each folder may import from; the functions of a metric lie at the top, beside __init__.
FUNCTIONS = ("derivatives", "distributed", "evaluation", "streaming", "validation")
ARROWS = {
    "_core": {"_core"},
    "libraries": {"_core", "libraries"},
    "metrics": {"_core", "metrics"},
    "functions": {"_core", "metrics", "functions"},
    "testing": {"_core", "metrics", "functions", "testing"},
    "__init__": {"_core", "metrics", "functions"},
    "adapters": {"_core", "metrics", "functions", "adapters", "__init__"},
    "cli": {"_core", "metrics", "functions", "testing", "cli", "__init__"},
}
METRICS = {f"metrics.{family}" for family in FAMILIES}
# Each layer may import those before it when it runs, never those after.
LAYERS = (
    {"_core.types"},
    {"_core.errors", "_core.special", "_core.domains", "_core.threads"},
    {"_core.primitives"},
    {"_core.library", "_core.parameters", "_core.docstrings"},
    {"_core.mistakes", "_core.naming"},
    {"_core.states", "_core.inputs", "_core.passes"},
    {"_core.totals", "_core.calls"},
    {"_core.checking"},
    {"_core.metric", "_core.plain"},
    {"_core.wrappers", "_core.carrier"},
    {"_core.jets", "_core.tape"},
    {"libraries.__init__", "libraries.array_api_strict", "libraries.generic", "libraries.numpy"},
    {"libraries.dask", "libraries.jax", "libraries.torch"},
    {"metrics.__init__", "metrics.linear", "metrics.names"},
    METRICS,
    {"metrics.catalogue"},
    {"metrics.names_elsewhere"},
    {"derivatives", "distributed", "evaluation", "validation"},
    {"streaming", "testing.causes", "testing.distance"},
    {"testing.libraries"},
    {"testing.parity"},
    {"testing.__init__"},
    {"__init__"},
    {"adapters.__init__"},
    {f"adapters.{name}" for name in ("boosting", "keras", "optax", "sklearn", "torch")},
    {"cli.errors", "cli.formula"},
    {"cli.output"},
    {"cli.catalogue", "cli.columns", "cli.curves"},
    {"cli.agreement", "cli.comparison"},
    {"cli.distributions", "cli.tables"},
    {"cli.description", "cli.report"},
    {"cli.commands"},
    {"cli.__init__"},
    {"cli.__main__"},
)
RANK = {module: rank for rank, layer in enumerate(LAYERS) for module in layer}
LIBRARIES = ("jax", "torch", "dask", "array_api_strict")
NAMES = {*LIBRARIES, "numpy", "jax.numpy", "dask.array", "NumPy", "JAX", "PyTorch", "Dask"}
# Who names a library beside ``libraries``: what is made for one, what compares several, and the
# table of the names in other libraries.
NAMING = {
    "adapters.torch", "adapters.keras", "adapters.optax", "testing.libraries",
    "metrics.names_elsewhere",
}  # fmt: skip
# Who imports a module by a name: the core the file of a library, the package and the catalogue the
# module of a public name, the others what they are told to.
BY_NAME = {
    "__init__",
    "_core.library",
    "_core.naming",
    "metrics.catalogue",
    "testing.libraries",
    "cli.agreement",
}


def modules() -> list[str]:
    paths = (path.relative_to(SOURCE).with_suffix("") for path in SOURCE.rglob("*.py"))
    return sorted(".".join(path.parts) for path in paths)


def parsed(module: str) -> ast.Module:
    return ast.parse((SOURCE / Path(*module.split("."))).with_suffix(".py").read_text())


def folder(module: str) -> str:
    return "functions" if module in FUNCTIONS else module.partition(".")[0]


def imports(module: str, nodes: Iterator[ast.AST] | list[ast.stmt]) -> Iterator[tuple[str, str]]:
    """Yield the module of the package and the name in it, of each import among nodes."""
    known = set(modules())
    package = module.split(".")[:-1]
    for node in nodes:
        if isinstance(node, ast.Import):
            found = [(alias.name.split("."), "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) + 1 - node.level] if node.level else []
            start = ["isoloss", *start] if node.level else start
            base = [*start, *(node.module or "").split(".")] if node.module else start
            found = [(base, alias.name) for alias in node.names]
        else:
            continue
        for path, name in found:
            if path[0] != "isoloss":
                continue
            inside = ".".join(path[1:])
            if name and f"{inside}.{name}".lstrip(".") in known:  # a module of a package
                yield f"{inside}.{name}".lstrip("."), ""
            else:
                yield inside if inside in known else f"{inside}.__init__".lstrip("."), name


def libraries_named(tree: ast.AST) -> set[str]:
    """Return how a tree names a library: in an import, or in a text that is a name."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {a.name for a in node.names if a.name.partition(".")[0] in LIBRARIES}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found |= {str(node.module)} & {*LIBRARIES, "jax.numpy", "dask.array"}
        elif isinstance(node, ast.Constant) and node.value in NAMES:
            found.add(node.value)
    return found


def looked_up(tree: ast.AST) -> list[str]:
    """Return the modules that a tree takes from sys.modules by their names."""
    return [
        ast.unparse(node.slice)
        for node in ast.walk(tree)
        if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "sys.modules"
    ]


def imports_by_name(tree: ast.AST) -> bool:
    """Whether a tree imports a module that is found by a text."""
    calls = (ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call))
    return any(name.rpartition(".")[2] in ("import_module", "__import__") for name in calls)


@pytest.mark.parametrize("module", modules())
def test_imports_point_one_way(module: str) -> None:
    """A module imports only layers below its own, from the folders that its own may know."""
    assert module in RANK, f"give {module} a layer"
    tree = parsed(module)
    run = {name for name, _ in imports(module, tree.body)}
    assert not {name for name in run if RANK[name] >= RANK[module]}
    everywhere = {folder(name) for name, _ in imports(module, ast.walk(tree))}
    assert everywhere <= ARROWS[folder(module)]


@pytest.mark.parametrize("module", modules())
def test_no_private_name_crosses_folders(module: str) -> None:
    """What another folder uses has a public name; the folder ``_core`` alone is private."""
    for other, name in imports(module, ast.walk(parsed(module))):
        if folder(other) != folder(module):
            parts = [*other.removeprefix("_core.").split("."), name]
            private = [part for part in parts if part.startswith("_") and part != "__init__"]
            assert not private, f"{module} imports {name or other} of {other}"


def test_libraries_are_named_in_their_files_alone() -> None:
    """Nothing outside of ``libraries`` names one, but what is made for it; NumPy is a dependency."""
    naming = {m for m in modules() if libraries_named(parsed(m)) and folder(m) != "libraries"}
    assert naming == NAMING
    assert not [m for m in modules() if looked_up(parsed(m))]


def test_few_modules_are_found_by_their_names() -> None:
    """Files of libraries, modules of public names; what is compared with is not ours."""
    assert {m for m in modules() if imports_by_name(parsed(m))} == BY_NAME


def test_files_of_libraries_are_called_as_the_libraries_are() -> None:
    """A file of ``libraries`` has a class, and is found by the name of the library's module."""
    found = {m.rpartition(".")[2] for m in modules() if folder(m) == "libraries"} - {"__init__"}
    assert found == {*LIBRARIES, "numpy", "generic"}
    for name in found:
        assert "\nLIBRARY = " in (SOURCE / "libraries" / f"{name}.py").read_text()


@pytest.mark.parametrize(
    ("check", "code"),
    [
        (libraries_named, "import jax.numpy"),
        (libraries_named, "from torch import nn"),
        (libraries_named, "if library.name == 'PyTorch': pass"),
        (looked_up, "sys.modules['torch'].no_grad()"),
        (imports_by_name, "importlib.import_module(name).direct"),
        (imports_by_name, "__import__('jax')"),
    ],
)
def test_checks_notice(check: Callable[[ast.AST], object], code: str) -> None:
    """The checks above find what they look for."""
    assert check(ast.parse(code))
    assert not check(ast.parse("import numpy as np; np.asarray(x)"))


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("from .._core.states import _inner", ("_core.states", "_inner")),
        ("from .. import evaluation", ("evaluation", "")),
        ("from ..libraries.numpy import rank", ("libraries.numpy", "rank")),
        ("from isoloss.libraries import torch", ("libraries.torch", "")),
        ("import isoloss", ("__init__", "")),
        ("def f():\n    from .catalogue import NAMES", ("metrics.catalogue", "NAMES")),
    ],
)
def test_imports_are_found(code: str, found: tuple[str, str]) -> None:
    """Each form of an import is read, inside of functions too."""
    assert list(imports("metrics.regression", ast.walk(ast.parse(code)))) == [found]


def test_definitions_are_small_and_know_nothing_of_the_engine() -> None:
    """No method of a definition has ten lines, or names a weight, a mask, an axis or a dtype."""
    for family in families():
        kinds = [
            n for n in ast.parse(inspect.getsource(family)).body if isinstance(n, ast.ClassDef)
        ]
        for kind, body in ((k, n) for k in kinds for n in k.body if isinstance(n, ast.FunctionDef)):
            if body.name not in ("pointwise", "residual", "statistics", "formula"):
                continue
            length = body.end_lineno - body.body[0].lineno + 1  # type: ignore[operator]
            assert length < 10, f"{kind.name}.{body.name} has {length} lines"
            used = {n.id for n in ast.walk(body) if isinstance(n, ast.Name)}
            used |= {n.attr for n in ast.walk(body) if isinstance(n, ast.Attribute)}
            assert not used & {"weights", "mask", "where_", "dtype", "device", "float64", "numpy"}


def test_every_public_name_is_documented_with_an_example() -> None:
    """Every public class and function has a docstring, and every metric an example that runs."""
    for name in il.__all__:
        thing = getattr(il, name)
        kind = thing if inspect.isclass(thing) or inspect.isfunction(thing) else type(thing)
        assert inspect.getdoc(kind), name
        if inspect.isclass(thing) and not inspect.isabstract(thing):
            assert re.search(r">>> .*\bil\.", str(thing.__doc__)), name


@pytest.mark.parametrize(
    "module",
    [
        "_core.domains",
        "_core.parameters",
        "_core.threads",
        "_core.wrappers",
        *sorted(METRICS),
        "derivatives",
        "distributed",
        "evaluation",
        "metrics.catalogue",
        "streaming",
        "testing.parity",
        "validation",
    ],
)
def test_examples_in_docstrings_run(module: str) -> None:
    """The examples print what they say."""
    result = doctest.testmod(importlib.import_module(f"isoloss.{module}"))
    assert result.attempted > 0
    assert result.failed == 0


def output_of(script: str) -> str:
    """Return what a fresh process prints."""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_import_is_cheap_and_brings_no_array_library() -> None:
    """Importing isoloss imports no module of its own; all of it no array library, nor its command."""
    loaded = "print(sorted(m for m in sys.modules if m.startswith('isoloss')))"
    names = "['isoloss', 'isoloss.metrics', 'isoloss.metrics.names']"
    assert output_of(f"import sys, isoloss; {loaded}") == names
    assert (
        output_of(
            "import sys; from isoloss import *; print(sorted({'jax', 'torch', 'scipy', 'dask',"
            " 'array_api_strict', 'array_api_compat.numpy', 'isoloss.cli', 'typer', 'rich', 'pyarrow'}"
            " & set(sys.modules)))"
        )
        == "[]"
    )


def test_families_load_when_first_used() -> None:
    """A metric imports its own family; evaluating it and naming it, no other one."""
    families = "[f for f in FAMILIES if f'isoloss.metrics.{f}' in sys.modules]"
    prepare = "import sys, isoloss as il; from isoloss.metrics.names import FAMILIES"
    assert output_of(f"{prepare}; dir(il); il.tukey; print({families})") == "['robust']"
    used = f"{prepare}; il.evaluate([il.tukey, il.Tukey(2.0)], [1.0], [2.0]); print({families})"
    assert output_of(used) == "['robust']"


def test_public_names_are_those_that_type_checkers_read() -> None:
    """The imports of type checkers and the places that names are loaded from are the same."""
    tree = parsed("__init__")
    static = next(n for n in tree.body if isinstance(n, ast.If))
    assert ast.unparse(static.test) == "TYPE_CHECKING"
    found: set[tuple[str, str]] = set()
    for node in static.body:
        assert isinstance(node, ast.ImportFrom)
        assert node.module is not None
        if [alias.name for alias in node.names] == ["*"]:
            family = importlib.import_module(f"isoloss.{node.module}")
            found |= {(node.module, name) for name in family.__all__}
        else:
            assert all(alias.name == alias.asname for alias in node.names)
            found |= {(node.module, alias.name) for alias in node.names}
    assert found == {(place, name) for name, place in il._PLACE_OF.items()}  # type: ignore[attr-defined]
    assert set(il.__all__) == {name for _, name in found}


def test_dir_shows_the_public_names() -> None:
    """`dir` lists what users use; no module that is loaded, and no name of the engine."""
    special = {name for name in dir(il) if name.startswith("__")}
    assert set(dir(il)) - special - {"adapters", "testing"} == set(il.__all__)
    assert "__version__" in special
    assert il.evaluation  # loaded, and not listed


def test_a_name_that_is_not_there() -> None:
    """A name that is not public is refused with the nearest one that is."""
    with pytest.raises(AttributeError, match=r"^isoloss has no hubber; did you mean huber\?$"):
        il.hubber  # noqa: B018
    assert not hasattr(il, "FAMILIES")
