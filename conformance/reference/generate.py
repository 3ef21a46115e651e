"""Write (or with --check compare) conformance/expected/*.json, one record per line.

Inputs are `float.hex` strings or integers; outputs are decimal strings of 40 significant digits,
"nan" or "inf", to be rounded by the reader to the dtype under test. Where that rounding overflows
(a float16 gradient of 1e6) infinity is right; where it is subnormal, so is a device's flush to 0.
The gradient is null where it is undefined: nan values, ties at a median.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mpmath import mp

from .arithmetic import leaves
from .definition import Case, Result, evaluate
from .rounding import of_weights, representable

EXPECTED = Path(__file__).resolve().parents[1] / "expected"
FAMILIES = (
    "regression",
    "classification",
    "divergences",
    "embedding",
    "forecasting",
    "image",
    "language",
    "multiclass",
    "probabilistic",
    "ranking",
    "robust",
    "segmentation",
    "sequence",
    "calibration",
    "counts",
    "curves",
    "skill",
)  # the modules that hold DEFINITIONS


def decimal(x: Any) -> Any:
    """Nested numbers as 40-digit strings; None stays None."""
    if x is None:
        return None
    if isinstance(x, (list, tuple)):
        return [decimal(i) for i in x]
    if mp.isnan(x) or mp.isinf(x):
        return mp.nstr(x).replace("+", "")
    return mp.nstr(x, 40)


def stored(x: Any) -> Any:
    """Nested inputs: floats as exact hexadecimal, integers as they are."""
    if isinstance(x, (list, tuple)):
        return [stored(i) for i in x]
    return x.hex() if isinstance(x, float) else x


def finite(x: Any) -> Any:
    """A parameter as JSON holds it: that has no infinite numbers, which are written as text."""
    return x.hex() if isinstance(x, float) and not math.isfinite(x) else x


def record(case: Case, result: Result) -> dict[str, Any]:
    """One line of the file."""
    return {
        "metric": case.metric,
        "parameters": {name: finite(x) for name, x in case.parameters.items()},
        "case": case.name,
        "dtype": case.dtype,
        "predictions": stored(case.predictions),
        "targets": stored(case.targets),
        "weights": stored(case.weights),
        **{name: decimal(part) for name, part in result._asdict().items()},
        "condition": case.condition,
    }


def records(family: str) -> Iterator[dict[str, Any]]:
    """Every case of a family, written out."""
    for case, result in evaluate(importlib.import_module(f"{__package__}.{family}").DEFINITIONS):
        numbers = [(x, case.dtype) for x in leaves(case.predictions)]
        numbers += [(w, of_weights(case.dtype)) for w in case.weights or []]
        if not all(not math.isfinite(x) or representable(x, dtype) for x, dtype in numbers):
            raise ValueError(f"not {case.dtype} numbers: {case}")
        yield record(case, result)


def document(family: str) -> str:
    """The whole file."""
    lines = (json.dumps(r, separators=(",", ":")) for r in records(family))
    return "[\n" + ",\n".join(lines) + "\n]\n"


def main() -> int:
    """Write the files, or compare them with a fresh run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("families", nargs="*", default=FAMILIES)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    chosen = parser.parse_args()
    stale = 0
    for family in chosen.families:
        path, fresh = EXPECTED / f"{family}.json", document(family)
        if chosen.check:
            same = path.is_file() and path.read_text(encoding="utf-8") == fresh
            stale += not same
            print(f"{path.name} is {'up to date' if same else 'STALE: run generate.py'}")
        else:
            path.write_text(fresh, encoding="utf-8", newline="\n")
            print(f"{path.name}: {fresh.count(chr(10)) - 2} records, {len(fresh)} bytes")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
