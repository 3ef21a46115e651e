"""Plant each fault of mutants.toml in a copy of the checkout, and see whether the tests notice.

``python -m conformance.mutants [WORD ...]``: all faults, or those whose name or file has a word. A
fault is a text that stands once in a file, what replaces it, and the tests of the default suite that
are expected to fail. One that is known to survive says why.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
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


def outcome(mutant: Mutant) -> str:
    """Return "caught" or "survived"; raise an error where the tests do not pass without the fault."""
    with copy_of_checkout() as checkout:
        mutant.plant(checkout)
        paths = os.pathsep.join([str(checkout / "src"), str(checkout)])
        env = {**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-x",
            "-q",
            "-p",
            "no:cacheprovider",
            *mutant.tests,
        ]
        try:
            done = subprocess.run(
                command, cwd=checkout, env=env, capture_output=True, text=True, timeout=SECONDS
            )
        except subprocess.TimeoutExpired:
            return "caught"
    if done.returncode in (4, 5):  # wrong arguments, no tests
        raise ValueError(
            f"{mutant.name}: no tests run:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        )
    return "caught" if done.returncode else "survived"


def main(words: list[str]) -> int:
    """Run the faults, two at a time, and print those that survive."""
    chosen = [m for m in mutants() if not words or any(w in m.name or w in m.file for w in words)]
    with ThreadPoolExecutor(2) as pool:
        outcomes = list(zip(chosen, pool.map(outcome, chosen), strict=True))
    unexplained = 0
    for mutant, result in outcomes:
        if result == "survived":
            unexplained += mutant.survives is None
            print(f"survived: {mutant.name} ({mutant.file}): {mutant.survives or 'NOT EXPLAINED'}")
        elif mutant.survives is not None:
            unexplained += 1
            print(f"caught, although said to survive: {mutant.name}")
    caught = sum(result == "caught" for _, result in outcomes)
    print(f"{caught} of {len(outcomes)} faults caught")
    return int(unexplained > 0 or caught < LEAST * len(outcomes))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
