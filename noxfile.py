"""Every check of this repository. `nox` runs all of them, `nox -s lint` one, `nox -l` lists them.

Two sessions run side by side, and a table of sessions, tests and seconds ends the run. Most sessions
share one environment, `everything`; those that must not see other libraries have their own. pip
installs the versions in constraints.txt. `nox -R` reuses the environments of the last run.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import re
import resource
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import nox

nox.needs_version = ">=2026.10"
nox.options.default_venv_backend = "virtualenv"
nox.options.allow_parallel = True
nox.options.parallel = 2

BACKENDS = ["numpy", "array_api_strict", "jax", "torch"]
# What array-api-strict refuses if it is told to: everything that the standard leaves optional.
NOTHING_OPTIONAL = {
    "ARRAY_API_STRICT_API_VERSION": "2024.12",
    "ARRAY_API_STRICT_BOOLEAN_INDEXING": "False",
    "ARRAY_API_STRICT_DATA_DEPENDENT_SHAPES": "False",
    "ARRAY_API_STRICT_ENABLED_EXTENSIONS": "",
}
# The settings a backend is run under, one after the other: environment variables, by a name.
SETTINGS: dict[str, dict[str, dict[str, str]]] = {
    "numpy": {"default": {}},
    "array_api_strict": {
        "float64": {"ISOLOSS_STRICT_DEVICE": "device1", **NOTHING_OPTIONAL},
        "float32": {"ISOLOSS_STRICT_DEVICE": "no_float64", **NOTHING_OPTIONAL},
    },
    "jax": {
        "float32": {"JAX_ENABLE_X64": "0"},
        "x64": {"JAX_ENABLE_X64": "1", "ISOLOSS_DTYPE": "float64"},
    },
    "torch": {dtype: {"ISOLOSS_DTYPE": dtype} for dtype in ("float32", "float64")},
}
ULP_TABLES = Path("build/ulp")
CHECKS = Path("build/checks")  # what each session ran, for the table
PEERS = "--ignore=conformance/peers"  # other libraries, which are not in those environments
ADAPTERS = ("sklearn", "xgboost", "lightgbm", "keras", "optax")
EXTRAS = ("test", "example", "cli", "progress", "documentation", "dask", "jax", "torch",
          "array-api-strict", *ADAPTERS)  # fmt: skip
# pip compiles every module of a library, of which the tests import a few.
os.environ["PIP_NO_COMPILE"] = "1"
# Each test process has one thread: there are as many processes as cores.
TEST_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "JAX_COMPILATION_CACHE_DIR": str(Path(".nox/.cache/jax").resolve()),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}


# --- the table ------------------------------------------------------------------------------------

STARTED = time.time()


def session(**keywords: Any) -> Callable[..., Any]:
    """Declare a session as nox does, and note how long it took and how many tests it ran."""

    def decorate(function: Callable[..., None]) -> Any:
        @functools.wraps(function)
        def timed(current: nox.Session, *a: Any, **k: Any) -> None:
            start = time.monotonic()
            try:
                function(current, *a, **k)
            finally:
                largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
                row = {"seconds": time.monotonic() - start, "MiB": largest}
                CHECKS.mkdir(parents=True, exist_ok=True)
                _report(current.name, "json").write_text(
                    json.dumps({"session": current.name, **row})
                )

        return nox.session(**keywords)(timed)

    return decorate


def _report(name: str, kind: str) -> Path:
    return CHECKS / f"{re.sub(r'[^a-z0-9_]+', '-', name).strip('-')}.{kind}"


def _tests(name: str) -> int:
    """Return how many tests the runs of pytest in a session had."""
    paths = CHECKS.glob(_report(name, "*.xml").name)
    suites = (
        s
        for p in paths
        if p.stat().st_mtime > STARTED
        for s in ElementTree.parse(p).iter("testsuite")
    )
    return sum(int(suite.get("tests", 0)) for suite in suites)


def print_table() -> None:
    """Print the sessions of this run, the longest first."""
    paths = [path for path in CHECKS.glob("*.json") if path.stat().st_mtime > STARTED]
    rows = sorted((json.loads(p.read_text()) for p in paths), key=lambda row: -row["seconds"])
    if not rows:
        return
    print(f"\n{'session':42}{'tests':>8}{'seconds':>9}{'largest process, MiB':>22}")
    for row in rows:
        tests = _tests(row["session"]) or ""
        print(f"{row['session']:42}{tests:>8}{row['seconds']:9.0f}{row['MiB']:22}")
    print(f"{'all, two at a time':42}{'':8}{time.time() - STARTED:9.0f}", flush=True)


if "--parallel-worker" not in sys.argv:  # the process that starts the others
    atexit.register(print_table)


# --- what sessions do -----------------------------------------------------------------------------


def install(session: nox.Session, *requirements: str) -> None:
    """Install requirements in the versions that constraints.txt names."""
    session.install("-c", "constraints.txt", *requirements)


def install_isoloss(session: nox.Session, *extras: str) -> None:
    """Install this checkout, editable, with some of the extras of pyproject.toml."""
    install(session, "-e", f".[{','.join(extras)}]")


def run(session: nox.Session, command: str, *args: str, **keywords: Any) -> None:
    """Run a command of the session's environment, or of `everything` where it has none."""
    shared = session.venv_backend == "none"
    folder = str(Path(".nox/everything/bin").resolve()) if shared else session.bin
    path = os.pathsep.join([folder, os.environ["PATH"]])
    env = {"PATH": path, **keywords.pop("env", {})}
    session.run(f"{folder}/{command}", *args, env=env, external=True, **keywords)


def run_pytest(
    session: nox.Session,
    *args: str,
    env: dict[str, str] | None = None,
    part: str = "tests",
    covered: bool = False,
    processes: int = 2,
) -> None:
    """Run pytest in some processes; branches covered go to .coverage.PART, for `coverage`.

    A short session is faster in one (0 for xdist): each process imports everything that is tested.
    """
    env = TEST_ENVIRONMENT | (env or {})
    if covered:
        args = ("--cov", "--cov-report=", *args)
        env["COVERAGE_FILE"] = f".coverage.{session.name}-{part}"
    report = _report(session.name, f"{part}.xml")
    args = ("-q", f"--numprocesses={processes}", "--dist=worksteal", f"--junitxml={report}", *args)
    run(session, "python", "-m", "pytest", *args, *session.posargs, env=env)


# --- what every change must pass, the longest first -----------------------------------------------


@session(reuse_venv=True)
def everything(session: nox.Session) -> None:
    """Make the environment of the sessions that need several libraries."""
    install_isoloss(session, *EXTRAS)
    install(session, "flax", "torchmetrics", "mypy", "pyright[nodejs]")


def run_conformance(session: nox.Session, backend: str, *args: str) -> None:
    """Run the conformance suite beside one library only, under each of its settings."""
    install_isoloss(session, *(["test"] if backend == "numpy" else ["test", backend]))
    ULP_TABLES.mkdir(parents=True, exist_ok=True)
    for number, (setting, env) in enumerate(SETTINGS[backend].items()):
        table = ULP_TABLES / f"conformance-{backend}-{setting}.json"
        options = (f"--backend={backend}", f"--ulp-table={table}", *args)
        chosen = ("-m", "not exhaustive and not once") if number and "-m" not in args else ()
        # other settings cover few other branches, and watching takes a fifth of the time: of JAX,
        # whose tracing is Python's, that is minutes, and `tests` covers its strategy as well
        covered = number == 0 and backend != "jax" and "-m" not in args
        options = ("conformance", PEERS, *chosen, *options)
        processes = 2 if backend in ("jax", "torch") else 0
        run_pytest(session, *options, env=env, part=setting, covered=covered, processes=processes)


@session()
@nox.parametrize("backend", ["jax", "torch", "array_api_strict", "numpy"])
def conformance(session: nox.Session, backend: str) -> None:
    """Compare one library with the reference values: results, gradients, dtypes."""
    run_conformance(session, backend)


@session(venv_backend="none", requires=["everything"])
def tests(session: nox.Session) -> None:
    """Run the tests, with every library installed at once."""
    run_pytest(session, "tests", "--ignore=tests/adapters", covered=True)


@session(venv_backend="none", requires=["everything"])
def docs(session: nox.Session) -> None:
    """Run every example of the documentation, then build the site into build/docs."""
    run(session, "torchrun", "--nproc-per-node=2", "examples/data_parallel_torch.py", silent=True)
    env = {"XLA_FLAGS": "--xla_force_host_platform_device_count=8"}  # devices to shard over
    run_pytest(
        session, "-p", "docs.examples", "docs", "README.md",
        env=env, part="examples", processes=0,
    )  # fmt: skip
    run(session, "sphinx-build", "-W", "--keep-going", "-n", "-q", "docs", "build/docs")


@session(venv_backend="none", requires=["everything"])
def adapters(session: nox.Session) -> None:
    """Run the tests of the adapters, beside all the libraries that they are for."""
    # programs of a few numbers run once: XLA need not optimise them
    env = {"XLA_FLAGS": "--xla_backend_optimization_level=0"}
    for backend, *args in (
        ("torch", "tests/adapters"),
        ("jax", "tests/adapters/test_keras.py", "-m", "not exhaustive and not once"),
    ):
        env["KERAS_BACKEND"] = backend
        run_pytest(session, *args, env=env, part=backend, covered=True, processes=0)


@session(venv_backend="none", requires=["everything"])
def types(session: nox.Session) -> None:
    """Check the types of the library, and those its users see, with mypy and Pyright."""
    run(session, "mypy")
    run(session, "pyright", "--pythonpath", str(Path(".nox/everything/bin/python").absolute()))


@session()
def wheel(session: nox.Session) -> None:
    """Build the wheel; use it with the hard dependencies, then all of it, away from the checkout."""
    install(session, "build")
    dist = Path(session.create_tmp()).resolve()
    session.run("python", "-m", "build", "--outdir", str(dist), silent=True)
    install(session, *map(str, dist.glob("*.whl")))
    script = "import isoloss; assert isoloss.mean_squared_error([2.0, 4.0], [1.0, 1.0]) == 5.0"
    with session.chdir(dist):
        session.run("python", "-I", "-c", script)
        session.run("isoloss", success_codes=[1])  # says what to install
    wheel = next(dist.glob("*.whl"))
    install(session, f"{wheel}[testing,cli]")
    script = (
        "from importlib.metadata import entry_points as e; e(group='pytest11')['pytest_isoloss'].load();"
        "from isoloss import mse, testing; testing.assert_parity(mse, [2.0], [1.0])"
    )
    with session.chdir(dist):
        session.run("python", "-I", "-c", script)
        Path("table.csv").write_text("y,a\n1,2\n3,3\n")
        session.run("isoloss", "evaluate", "table.csv", "-t", "y", "-p", "a", "--report=page.html")


@session(venv_backend="none", requires=["everything"])
def example(session: nox.Session) -> None:
    """Run the example of the README."""
    run(session, "python", "examples/one_loss_everywhere.py", *session.posargs)


@session()
def lint(session: nox.Session) -> None:
    """Check style and formatting with Ruff."""
    install(session, "ruff")
    session.run("ruff", "check", *session.posargs)
    session.run("ruff", "format", "--check")


COVERED = [*(f"conformance(backend='{backend}')" for backend in BACKENDS), "tests", "adapters"]


@session(venv_backend="none", requires=COVERED)
def coverage(session: nox.Session) -> None:
    """Combine the branches covered by `conformance`, `tests` and `adapters`: at least 95 %."""
    run(session, "coverage", "combine")
    run(session, "coverage", "report", "--fail-under=95")


# --- on request -----------------------------------------------------------------------------------


@session(default=False, venv_backend="none", requires=["everything"])
def one(session: nox.Session) -> None:
    """Run the checks of one metric on every library: `nox -s one -- huber`."""
    if not session.posargs:
        session.error("name a metric or a class: nox -s one -- huber")
    ignored = (PEERS, "--ignore=tests/adapters")
    run_pytest(session, "conformance", "tests", *ignored, "-k", env={"JAX_ENABLE_X64": "0"})


@session(default=False)
@nox.parametrize("backend", BACKENDS)
def exhaustive(session: nox.Session, backend: str) -> None:
    """Run the part of the conformance suite that is too long for every change."""
    run_conformance(session, backend, "-m", "exhaustive")


@session(default=False, venv_backend="none", requires=["everything"])
def exhaustive_tests(session: nox.Session) -> None:
    """Run the tests of several libraries that are too long for every change."""
    run_pytest(session, "tests", "-m", "exhaustive")


@session(default=False, venv_backend="none", requires=["everything"])
def mutants(session: nox.Session) -> None:
    """Plant each fault of conformance/mutants.toml, and list those that no test notices."""
    run(session, "python", "-m", "conformance.mutants", *session.posargs, env=TEST_ENVIRONMENT)


@session(default=False)
def mutation(session: nox.Session) -> None:
    """Change every line of the source in small ways, and list the changes that no test notices."""
    install_isoloss(session, "test", "array-api-strict")
    install(session, "mutmut")
    session.run("mutmut", "run", *session.posargs)
    session.run("mutmut", "results")


@session(default=False)
def minimum(session: nox.Session) -> None:
    """Run the tests of NumPy and JAX with the lowest versions that pyproject.toml allows."""
    lowest = Path(session.create_tmp()) / "lowest.txt"
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [
        *project["dependencies"],
        *(r for e in ("jax", "array-api-strict", "dask", "cli") for r in extras[e]),
    ]
    # a constraint names no extras
    versions = (re.sub(r"\[.*?\]", "", r).replace(">=", "==") for r in wanted)
    lowest.write_text("\n".join(versions) + "\n")
    session.install("-c", str(lowest), "-e", ".[jax,array-api-strict,dask,cli]")
    session.install("-c", str(lowest), "-e", ".[test]")
    for backend in ("numpy", "array_api_strict", "jax"):
        files = ("conformance/test_numbers.py", "tests/test_laws.py")
        run_pytest(session, *files, f"--backend={backend}", part=backend)


@session(default=False, venv_backend="none", requires=["everything"])
def scoreboard(session: nox.Session) -> None:
    """Ask other libraries what the conformance suite asks; every difference is a known one."""
    # default=False: it compares to three digits, which depend on the processor
    # the test starts a process for each library, on all cores, and waits for them
    run(session, "python", "-m", "pytest", "conformance/peers", *session.posargs)


@session(default=False)
def bench(session: nox.Session) -> None:
    """Time isoloss against its peers; the table and the pictures go to build/benchmarks."""
    install_isoloss(session, "benchmark", "jax", "torch")
    session.run("python", "benchmarks/run.py", *session.posargs)
