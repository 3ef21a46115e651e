"""Plant each fault of mutants.toml in a copy of the checkout, and see whether the tests notice.

``python -m conformance.mutants [WORD ...]``: all faults, or those whose name or file has a word. A
fault is a text that stands once in a file, what replaces it, and the tests of the default suite that
are expected to fail. One that is known to survive says why. Every list of tests first has to pass
without a fault. ``--jobs`` says how many run at a time.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
LIST = Path(__file__).with_suffix(".toml")
COPIED = ("src", "conformance", "tests", "docs", "examples", "conftest.py", "pyproject.toml", "README.md",
          "noxfile.py")  # fmt: skip
SECONDS = 600  # a fault that makes the tests run longer is noticed
LEAST = 0.95  # the share of faults that must be caught


@dataclass(frozen=True)
class Mutant:
    """A change of one place in the source."""

    name: str
    file: str
    before: str
    after: str
    tests: list[str]
    survives: str | None = None
    """Why no test can, or need, notice it."""
    environment: dict[str, str] = field(default_factory=dict)
    """The setting of a library that the tests run under."""

    def plant(self, checkout: Path) -> None:
        """Change the file."""
        path = checkout / self.file
        source = path.read_text()
        if source.count(self.before) != 1:
            places = source.count(self.before)
            raise ValueError(f"{self.name}: {self.before!r} stands {places} times in {self.file}")
        path.write_text(source.replace(self.before, self.after))


def mutants() -> list[Mutant]:
    """Read the list."""
    return [Mutant(**entry) for entry in tomllib.loads(LIST.read_text())["mutant"]]


@contextmanager
def copy_of_checkout() -> Iterator[Path]:
    """Copy what the tests need into a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        for name in COPIED:
            source, target = ROOT / name, Path(folder) / name
            if source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__", "_gallery")
                shutil.copytree(source, target, ignore=ignored)
            else:
                shutil.copy(source, target)
        yield Path(folder)


def run(checkout: Path, mutant: Mutant) -> tuple[str, str]:
    """Run its tests until one fails; return "passed", "failed" or "not run", and what failed first."""
    paths = os.pathsep.join([str(checkout / "src"), str(checkout)])
    env = {**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
    env |= mutant.environment
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *mutant.tests]
    try:
        done = subprocess.run(
            command, cwd=checkout, env=env, capture_output=True, text=True, timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        return "failed", f"not done after {SECONDS} seconds"
    if done.returncode == 0:
        return "passed", ""
    if done.returncode in (2, 4, 5):  # not collected, wrong arguments, no tests
        return "not run", f"{done.stdout[-2000:]}{done.stderr[-2000:]}"
    failed = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", done.stdout, re.MULTILINE)
    return "failed", failed[1] if failed else f"exit code {done.returncode}"


def passes(mutant: Mutant) -> bool:
    """Return whether its tests pass without the fault, and print it."""
    start = time.monotonic()
    with copy_of_checkout() as checkout:
        outcome, what = run(checkout, mutant)
    seconds = time.monotonic() - start
    print(f"no fault: {shlex.join(mutant.tests)}: {outcome} {what} ({seconds:.1f} s)", flush=True)
    return outcome == "passed"


def outcome_of(mutant: Mutant) -> str:
    """Return what the tests do with the fault, and print it."""
    start = time.monotonic()
    with copy_of_checkout() as checkout:
        mutant.plant(checkout)
        outcome, what = run(checkout, mutant)
    seconds = time.monotonic() - start
    print(f"{mutant.file}: {mutant.name}: {outcome} {what} ({seconds:.1f} s)", flush=True)
    return outcome


def main() -> int:
    """Run the faults, and print those that survive."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="*", metavar="WORD", help="part of a name or file")
    parser.add_argument("--jobs", type=int, default=2, help="how many run at a time")
    arguments = parser.parse_args()
    words = arguments.words
    chosen = [m for m in mutants() if not words or any(w in m.name or w in m.file for w in words)]
    with ThreadPoolExecutor(arguments.jobs) as pool:
        of_tests = {(*m.environment.items(), *m.tests): m for m in chosen}
        if not all(list(pool.map(passes, of_tests.values()))):
            return 1
        results = list(zip(chosen, pool.map(outcome_of, chosen), strict=True))
    unexplained = 0
    for mutant, outcome in results:
        if outcome == "passed":
            unexplained += mutant.survives is None
            print(f"survived: {mutant.name} ({mutant.file}): {mutant.survives or 'NOT EXPLAINED'}")
        elif outcome == "not run" or mutant.survives is not None:
            unexplained += 1
            print(f"{outcome}, although expected to run or to survive: {mutant.name}")
    caught = sum(outcome == "failed" for _, outcome in results)
    print(f"{caught} of {len(results)} faults caught")
    return int(unexplained > 0 or caught < LEAST * len(results))


if __name__ == "__main__":
    sys.exit(main())
