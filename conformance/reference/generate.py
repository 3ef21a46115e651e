"""Write (or with --check compare) conformance/expected/*.json, one record per line.

Inputs are `float.hex` strings or integers; outputs are decimal strings of 40 significant digits,
"nan" or "inf", to be rounded by the reader to the dtype under test. Where that rounding overflows
(a float16 gradient of 1e6) infinity is right; where it is subnormal, so is a device's flush to 0.
The gradient is null where it is undefined: nan values, ties at a median.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import crosscheck
from cases import Case, every_case, flat, representable
from definitions import CLASSIFICATION, Result, evaluate
from mpmath import mp

EXPECTED = Path(__file__).resolve().parents[1] / "expected"


def decimal(x: Any) -> Any:
    """Nested numbers as 40-digit strings; None stays None."""
    if x is None:
        return None
    if isinstance(x, list):
        return [decimal(i) for i in x]
    if mp.isnan(x) or mp.isinf(x):
        return mp.nstr(x).replace("+", "")
    return mp.nstr(x, 40)


def stored(x: Any) -> Any:
    """Nested inputs: floats as exact hexadecimal, integers as they are."""
    if isinstance(x, list):
        return [stored(i) for i in x]
    return x.hex() if isinstance(x, float) else x


def record(case: Case, result: Result) -> dict[str, Any]:
    """One line of the file."""
    return {
        "metric": case.metric,
        "parameters": case.parameters,
        "case": case.name,
        "dtype": case.dtype,
        "predictions": stored(case.predictions),
        "targets": stored(case.targets),
        "weights": stored(case.weights),
        **{name: decimal(part) for name, part in result._asdict().items()},
        "condition": case.condition,
    }


def records(family: str) -> Iterator[dict[str, Any]]:
    """Every case of a family, computed, cross-checked by the second oracle, and written out."""
    for case in every_case():
        if (case.metric in CLASSIFICATION) != (family == "classification"):
            continue
        numbers = [*flat(case.predictions), *flat(case.targets), *(case.weights or [])]
        if not all(representable(x, case.dtype) for x in numbers):
            raise ValueError(f"not {case.dtype} numbers: {case}")
        result = evaluate(
            case.metric, case.predictions, case.targets, case.weights, case.parameters, case.dtype
        )
        crosscheck.check(case, result)
        yield record(case, result)


def document(family: str) -> str:
    """The whole file."""
    lines = (json.dumps(r, separators=(",", ":")) for r in records(family))
    return "[\n" + ",\n".join(lines) + "\n]\n"


def main() -> int:
    """Write the files, or compare them with a fresh run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("families", nargs="*", default=["regression", "classification"])
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
