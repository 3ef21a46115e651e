"""Measure every case against its peer; write the results as JSON, Markdown and a picture.

python benchmarks/run.py [--output DIRECTORY] [GROUP ...]
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import cases
import pictures
from limits import explained
from ratios import Result, measure
from rich.console import Console

PACKAGES = ("isoloss", "numpy", "scikit-learn", "torch", "torchmetrics", "jax", "optax")
out = Console(stderr=True)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    cpus = Path("/proc/cpuinfo")
    if cpus.exists():
        for line in cpus.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def environment() -> dict[str, Any]:
    """Return the environment of the measurement."""
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
    }


def run_group(name: str) -> list[dict[str, Any]]:
    """Measure the cases of one group, in this process."""
    rows = []
    for case in cases.GROUPS[name]():
        result = case if isinstance(case, Result) else measure(case)
        rows.append(result.as_dict())
        mark = "[green]met[/]" if result.met else "[red]missed[/]"
        out.print(f"{result.group:18}{result.work:45}{result.size:>12,} {result.ratio:8.3f} "
                  f"(at most {result.target:.3g}) {mark}", highlight=False)  # fmt: skip
    return rows


def _time(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def markdown(report: dict[str, Any]) -> str:
    """Return the table as Markdown."""
    about = report["environment"]
    packages = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    lines = [
        "# Measured ratios of time and memory",
        "",
        f"{about['date']}, {about['processor']}, {about['cores']} cores, "
        f"Python {about['python']}; {packages}.",
        "",
        "The ratio is the time of isoloss divided by the time of the peer, measured in turns in "
        "one process: the median, with the quartiles in brackets. Lower is better.",
        "",
        "![Ratios of each group, with the number of targets met](ratios.png)",
        "",
        "![Time of the mean squared error on NumPy, from ten to a hundred million samples](lengths.png)",
        "",
        "| group | work | samples | peer | isoloss | peer | ratio | at most | |",
        "|---|---|--:|---|--:|--:|--:|--:|---|",
    ]
    for row in report["results"]:
        unit = (lambda x: f"{x:.2f} MiB") if row["group"] == "Memory" else _time
        lines.append(
            f"| {row['group']} | {row['work']} | {row['size']:,} | {row['peer']} "
            f"| {unit(row['ours'])} | {unit(row['theirs'])} "
            f"| {row['ratio']:.3g} ({row['low']:.3g}-{row['high']:.3g}) | {row['target']:.3g} "
            f"| {'met' if row['met'] else '**missed**'} |"
        )
    met = sum(row["met"] for row in report["results"])
    lines += ["", f"{met} of {len(report['results'])} targets are met.", ""]
    lines += ["## Reasons for missed targets", ""]
    for paragraph in explained(report["results"]):
        lines += [paragraph, ""]
    return "\n".join(lines)


def main() -> None:
    """Run each group in a separate process, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=", ".join(cases.GROUPS))
    parser.add_argument("--output", type=Path, default=Path("build/benchmarks"))
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    unknown = set(chosen.groups) - set(cases.GROUPS)
    if unknown:
        parser.error(f"no group {', '.join(sorted(unknown))}; there are {', '.join(cases.GROUPS)}")
    if chosen.here:
        json.dump([row for name in chosen.groups for row in run_group(name)], sys.stdout)
        return
    results = []
    for name in chosen.groups or cases.GROUPS:
        command = [sys.executable, __file__, "--here", name]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        results += json.loads(done.stdout)
    report = {"environment": environment(), "results": results}
    chosen.output.mkdir(parents=True, exist_ok=True)
    (chosen.output / "results.json").write_text(json.dumps(report, indent=1) + "\n")
    (chosen.output / "results.md").write_text(markdown(report))
    pictures.ratios(report, chosen.output / "ratios.png")
    pictures.lengths(pictures.measured(), chosen.output / "lengths.png")
    out.print(f"written to {chosen.output}")


if __name__ == "__main__":
    main()
