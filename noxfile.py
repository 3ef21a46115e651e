"""Every check of this repository. `nox` runs all of them, `nox -s lint` one, `nox -l` lists them.

Each session has an environment of its own, made by pip with the versions in constraints.txt.
`nox -R` reuses the environments of the last run.
"""

from pathlib import Path

import nox

nox.needs_version = ">=2025.2"
nox.options.default_venv_backend = "virtualenv"

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
PEERS = "--ignore=conformance/peers"  # other libraries, which are not in those environments


def install(session: nox.Session, *requirements: str) -> None:
    """Install requirements in the versions that constraints.txt names."""
    session.install("-c", "constraints.txt", *requirements)


def install_isoloss(session: nox.Session, *extras: str) -> None:
    """Install this checkout, editable, with some of the extras of pyproject.toml."""
    install(session, "-e", f".[{','.join(extras)}]")


def run_pytest(
    session: nox.Session, *args: str, env: dict[str, str] | None = None, part: str | None = None
) -> None:
    """Run pytest on all cores; branches covered go to .coverage.PART, for the session `coverage`."""
    env = env or {}
    if part is not None:
        args = ("--cov", "--cov-report=", *args)
        env = {"COVERAGE_FILE": f".coverage.{part}", **env}
    args = ("--numprocesses=auto", "--dist=worksteal", *args)
    session.run("pytest", *args, *session.posargs, env=env)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and formatting with Ruff."""
    install(session, "ruff")
    session.run("ruff", "check", *session.posargs)
    session.run("ruff", "format", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """Check the types of the library, and those its users see, with mypy and Pyright."""
    install(session, "mypy", "pyright[nodejs]")
    install_isoloss(session, "jax", "torch", "testing", "cli", "sklearn", "optax", "keras")
    session.run("mypy")
    session.run("pyright")


@nox.session
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


@nox.session
def example(session: nox.Session) -> None:
    """Run the example, in the environment that the README makes for it."""
    install(session, ".[example,jax,torch]")
    session.run("python", "examples/one_loss_everywhere.py", *session.posargs)


def run_conformance(session: nox.Session, backend: str, *args: str) -> None:
    """Run the conformance suite beside one library only, under each of its settings."""
    install_isoloss(session, *(["test"] if backend == "numpy" else ["test", backend]))
    first = True
    for setting, env in SETTINGS[backend].items():
        part = f"conformance-{backend}-{setting}"
        table = ULP_TABLES / f"{part}.json"
        table.parent.mkdir(parents=True, exist_ok=True)
        options = (f"--backend={backend}", f"--ulp-table={table}", *args)
        chosen = () if first else ("-m", "not exhaustive and not once")
        # other settings cover few other branches, and watching takes a fifth of the time: of JAX,
        # whose tracing is Python's, that is minutes, and `tests` covers its strategy as well
        covered = part if first and backend != "jax" else None
        run_pytest(session, "conformance", PEERS, *chosen, *options, env=env, part=covered)
        first = False


@nox.session
@nox.parametrize("backend", BACKENDS)
def conformance(session: nox.Session, backend: str) -> None:
    """Compare one library with the reference values: results, gradients, dtypes."""
    run_conformance(session, backend)


@nox.session(default=False)  # it compares to three digits, which depend on the processor
def scoreboard(session: nox.Session) -> None:
    """Ask other libraries what the conformance suite asks; every difference is a known one."""
    install_isoloss(session, "test", "jax", "torch", "optax", "keras", "sklearn")
    install(session, "torchmetrics")
    # the test starts a process for each library, on all cores, and waits for them
    session.run("pytest", "conformance/peers", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests, with every library installed at once."""
    install_isoloss(session, "test", "example", "cli", "dask", "jax", "torch", "array-api-strict")
    run_pytest(session, "tests", "--ignore=tests/adapters", part="tests")


@nox.session
def adapters(session: nox.Session) -> None:
    """Run the tests of the adapters, beside all the libraries that they are for."""
    libraries = ("sklearn", "xgboost", "lightgbm", "keras", "optax", "jax", "torch")
    install_isoloss(session, "test", *libraries)
    install(session, "flax", "torchmetrics")
    for backend, path in (("jax", "tests/adapters"), ("torch", "tests/adapters/test_keras.py")):
        run_pytest(session, path, env={"KERAS_BACKEND": backend}, part=f"adapters-{backend}")


@nox.session
def docs(session: nox.Session) -> None:
    """Run every example of the documentation, then build the site into build/docs."""
    extras = ("documentation", "cli", "progress", "dask", "jax", "torch", "keras", "optax")
    install_isoloss(session, *extras, "sklearn", "xgboost", "lightgbm")
    session.run("torchrun", "--nproc-per-node=2", "examples/data_parallel_torch.py", silent=True)
    env = {"XLA_FLAGS": "--xla_force_host_platform_device_count=8"}  # devices to shard over
    session.run("python", "-m", "pytest", "-p", "docs.examples", "docs", "README.md", env=env)
    session.run("sphinx-build", "-W", "--keep-going", "-n", "-q", "docs", "build/docs")


@nox.session
def coverage(session: nox.Session) -> None:
    """Combine the branches covered by `conformance` and `tests`: at least 95 %."""
    install(session, "coverage")
    session.run("coverage", "combine")
    session.run("coverage", "report", "--fail-under=95")


@nox.session(default=False)
@nox.parametrize("backend", ["numpy", "jax", "torch"])  # those that have half precision
def exhaustive(session: nox.Session, backend: str) -> None:
    """Run the part of the conformance suite that is too long for every change."""
    run_conformance(session, backend, "-m", "exhaustive", "--no-cov")


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Time isoloss against its peers; the table and the pictures go to build/benchmarks."""
    install_isoloss(session, "benchmark", "jax", "torch")
    session.run("python", "benchmarks/run.py", *session.posargs)


@nox.session(default=False)
def mutation(session: nox.Session) -> None:
    """Change the source in small ways, and list the changes that no test notices."""
    install_isoloss(session, "test", "array-api-strict")
    install(session, "mutmut")
    session.run("mutmut", "run", *session.posargs)
    session.run("mutmut", "results")
