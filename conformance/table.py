"""Write the measured errors into docs/accuracy.md: ``python -m conformance.table build/ulp/*.json``."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "accuracy.md"
START, END = "<!-- ulp-table -->\n", "<!-- /ulp-table -->"
LIBRARIES = ("numpy", "array_api_strict", "torch", "jax x64", "jax", "array_api_strict float32")
KINDS = ("value float32", "value float64", "gradient float32", "gradient float64")


def main(paths: list[str]) -> None:
    """Merge the tables of all sessions: the largest error of each kind, by metric and library."""
    worst: dict[str, dict[str, dict[str, float]]] = {}
    cases: dict[str, int] = defaultdict(int)
    for path in paths:
        for row in json.loads(Path(path).read_text()):
            cells = worst.setdefault(row["metric"], {library: {} for library in LIBRARIES})
            cell = cells[row["library"]]  # fails for a library without a column
            for kind in KINDS:
                if kind in row:
                    cell[kind] = max(cell.get(kind, 0.0), row[kind])
            cases[row["metric"]] += row["cases"]
    lines = [
        f"| metric | {' | '.join(LIBRARIES)} | cases |",
        "|---" * (len(LIBRARIES) + 2) + "|",
    ]
    for metric in sorted(cases):
        texts = [
            " ".join(f"{cell[kind]:.1f}" if kind in cell else "-" for kind in KINDS)
            for cell in worst[metric].values()
        ]
        lines.append(f"| `{metric}` | {' | '.join(texts)} | {cases[metric]} |")
    before, rest = PAGE.read_text().split(START)
    PAGE.write_text(before + START + "\n".join(lines) + "\n" + END + rest.split(END)[1])


if __name__ == "__main__":
    main(sys.argv[1:])
