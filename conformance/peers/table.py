"""Write docs/scoreboard.md from build/scoreboard: ``python -m conformance.peers.table [--check]``.

``--accept`` takes what was measured for known, in known.json; read the difference before committing.
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections import Counter, defaultdict
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
MEASURED, PAGE = ROOT / "build" / "scoreboard", ROOT / "docs" / "scoreboard.md"
ROWS = ("isoloss_numpy", "isoloss_jax", "isoloss_torch", "torch_functional", "torchmetrics",
        "optax", "keras_jax", "keras_torch", "scikit_learn")  # fmt: skip
BAD = ("wrong", "silent")

Checks = dict[str, dict[str, Any]]


def measured() -> dict[str, dict[str, Any]]:
    return {row: json.loads((MEASURED / f"{row}.json").read_text()) for row in ROWS}


def known() -> dict[str, dict[str, str]]:
    return json.loads((HERE / "known.json").read_text())


def reasons() -> list[dict[str, Any]]:
    return tomllib.loads((HERE / "reasons.toml").read_text())["reason"]


def bad(checks: Checks) -> dict[str, str]:
    """Return the checks with a wrong answer, loud or silent."""
    return {name: check["word"] for name, check in checks.items() if check["word"] in BAD}


def reason_of(row: str, check: str, every: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the first reason whose patterns are about a check of a row."""
    for reason in every:
        about = any(fnmatchcase(row, pattern) for pattern in reason.get("peers", ["*"]))
        if about and any(fnmatchcase(check, pattern) for pattern in reason["checks"]):
            return reason
    return None


def counts(row: str, checks: Checks, every: list[dict[str, Any]]) -> dict[str, Counter[str]]:
    """Count the words of each family; what is documented otherwise is not comparable."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for name, check in checks.items():
        reason = reason_of(row, name, every) if check["word"] in BAD else None
        word = "documented" if reason and reason.get("documented") else check["word"]
        found[name.partition(" / ")[0]][word] += 1
    return found


def cell(words: Counter[str] | None) -> str:
    total = 0 if words is None else words.total() - words["documented"]
    if words is None or not total:
        return "n/a"
    more = [f"{words[word]} {word}" for word in ("refuses", "wrong") if words[word]]
    more += [f"**{words['silent']} silent**"] * bool(words["silent"])
    return f"{words['right']}/{total}" + "".join(f"<br>{text}" for text in more)


def page(results: dict[str, dict[str, Any]]) -> str:
    """Return the page."""
    from .cases import FAMILIES

    every = reasons()
    columns = {row: counts(row, results[row]["checks"], every) for row in ROWS}
    titles = [results[row]["title"] for row in ROWS]
    lines = ["|  | " + " | ".join(titles) + " |", "|---" * (len(ROWS) + 1) + "|"]
    for family in FAMILIES:
        cells = (cell(columns[row].get(family)) for row in ROWS)
        lines.append(f"| [{family}](#what-is-asked) | {' | '.join(cells)} |")
    asked = [f"| {family} | {text} |" for family, text in FAMILIES.items()]
    versions = sorted({v for row in ROWS for v in results[row]["versions"].split(", ")})
    parts = [section(row, results[row], every) for row in ROWS]
    return (HERE / "page.md").read_text().format(
        table="\n".join(lines), asked="\n".join(asked), versions=", ".join(versions),
        differences="\n".join(parts),
    )  # fmt: skip


def section(row: str, result: dict[str, Any], every: list[dict[str, Any]]) -> str:
    """Return what one library answered otherwise, and what it refused."""
    checks = result["checks"]
    parts = [f"### {result['title']}"]
    number = len(bad(checks))
    summary = f"{number} answers that differ, and why"
    parts.append(
        folded(summary, differing(row, checks, every)) if number else "No answer is wrong."
    )
    number = sum(check["word"] == "refuses" for check in checks.values())
    if number:
        parts.append(folded(f"{number} answers that are refused", refused(checks)))
    return "\n\n".join(parts) + "\n"


def folded(summary: str, text: str) -> str:
    return f"<details>\n<summary>{summary}</summary>\n\n{text}\n\n</details>"


def differing(row: str, checks: Checks, every: list[dict[str, Any]]) -> str:
    """Return tables of wrong answers and right ones, one for each reason."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name, word in bad(checks).items():
        reason = reason_of(row, name, every) or {"text": "No reason is known."}
        head = "Documented: " * reason.get("documented", False) + reason["text"]
        head += f" ([more]({reason['link']}))" if "link" in reason else ""
        family, metric, situation = name.split(" / ")
        pair = f"{checks[name]['got']} | {checks[name]['right']}"
        groups[head].append(f"| {family} | `{metric}` | {situation} | {word} | {pair} |")
    columns = "| | metric | situation | | got | right |\n|---|---|---|---|---|---|"
    return "\n\n".join("\n".join([f"{head}\n", columns, *rows]) for head, rows in groups.items())


def refused(checks: Checks) -> str:
    """Return a list of errors in place of numbers, by family and kind."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name, check in checks.items():
        if check["word"] == "refuses":
            family, metric, situation = name.split(" / ")
            groups[f"{family}, `{check['got']}`"].append(f"`{metric}` {situation}")
    return "\n".join(f"- {head}: {', '.join(names)}" for head, names in groups.items())


def main(arguments: list[str]) -> int:
    results = measured()
    if "--accept" in arguments:
        found = {row: bad(result["checks"]) for row, result in results.items()}
        (HERE / "known.json").write_text(json.dumps(found, indent=1) + "\n")
    text = page(results)
    if "--check" in arguments:
        if PAGE.read_text() == text:
            return 0
        print("docs/scoreboard.md is not current: run python -m conformance.peers.table")
        return 1
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
