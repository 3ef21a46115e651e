"""The shape of the source: imports point one way, definitions stay small, importing stays cheap."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import isoloss as il
from isoloss.metrics.catalogue import FAMILIES

SOURCE = Path(il.__file__).parent
NAMES = {f"metrics.{family.__name__.rpartition('.')[2]}" for family in FAMILIES}
# Each layer may import those before it, never those after.
LAYERS = (
    {"_special"},
    {"_namespaces"},
    {"_states", "_domains"},
    {"_arrays"},
    {"_metric", "_jets"},
    {"metrics.linear"},
    {"_tape", "strategies.plain", *NAMES},
    {"metrics.catalogue"},
    {"strategies.numpy"},
    {"strategies.dask", "strategies.jax", "strategies.torch"},
    {"derivatives", "distributed", "evaluation", "validation"},
    {"streaming", "testing.causes", "testing.distance"},
    {"testing.libraries"},
    {"testing.parity"},
    {"testing.__init__"},
    {f"adapters.{name}" for name in ("boosting", "keras", "optax", "sklearn", "torch")},
    {"__init__"},
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


def modules() -> list[str]:
    paths = (path.relative_to(SOURCE).with_suffix("") for path in SOURCE.rglob("*.py"))
    return sorted(".".join(path.parts) for path in paths)


def imported(module: str) -> set[str]:
    """Return the modules of the package that a module imports when it runs."""
    tree = ast.parse((SOURCE / Path(*module.split("."))).with_suffix(".py").read_text())
    nodes = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.level]
    package = module.split(".")[:-1]
    return {
        ".".join([*package[: len(package) + 1 - node.level], name])
        for node in nodes
        for name in ([node.module] if node.module else [a.name for a in node.names])
    }


@pytest.mark.parametrize(
    "module",
    [
        m
        for m in modules()
        if m not in ("adapters.__init__", "strategies.__init__", "metrics.__init__")
    ],
)
def test_imports_point_one_way(module: str) -> None:
    """A module imports only layers below its own."""
    assert module in RANK, f"give {module} a layer"
    above = {name for name in imported(module) if RANK[name] >= RANK[module]}
    assert not above


def test_definitions_are_small_and_know_nothing_of_the_engine() -> None:
    """No method of a definition has ten lines, or names a weight, a mask, an axis or a dtype."""
    for family in FAMILIES:
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
        "_domains",
        *sorted(NAMES),
        "_metric",
        "derivatives",
        "distributed",
        "evaluation",
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


def test_import_is_cheap_and_brings_no_array_library() -> None:
    """Importing isoloss imports NumPy and no other array library, nor SciPy, nor its command."""
    script = (
        "import sys, isoloss; print(sorted({'jax', 'torch', 'scipy', 'dask', 'array_api_strict',"
        " 'array_api_compat.numpy', 'isoloss.cli', 'typer', 'rich', 'pyarrow'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
