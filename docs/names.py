"""Write src/isoloss/metrics/names.py from the ``__all__`` of every family. With --check, compare.

python docs/names.py [--check]
"""

from __future__ import annotations

import argparse
import ast
import sys
from pathlib import Path

METRICS = Path(__file__).parents[1] / "src" / "isoloss" / "metrics"
# The order in which pages and lists present the families.
ORDER = (
    "regression", "robust", "classification", "divergences", "counts", "curves", "calibration",
    "probabilistic", "correlation", "forecasting", "segmentation", "image", "ranking", "embedding",
    "language", "sequence",
)  # fmt: skip
HEAD = '''\
"""The public names of every family, so that a name is found before its family is imported.

Written by ``python docs/names.py`` from the ``__all__`` of every family; a test compares them.
"""

FAMILIES: dict[str, tuple[str, ...]] = {
'''


def public_names(path: Path) -> list[str]:
    """Return the ``__all__`` of a module, which is not imported; none where it has no such list."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    return []


def text() -> str:
    """Return the module."""
    names = {path.stem: public_names(path) for path in METRICS.glob("*.py")}
    families = {family for family, found in names.items() if found}
    if families != set(ORDER):
        raise SystemExit(f"ORDER and the families differ in {sorted(families ^ set(ORDER))}")
    lines = [HEAD]
    for family in ORDER:
        lines.append(f'    "{family}": (\n')
        lines += [f'        "{name}",\n' for name in names[family]]
        lines.append("    ),\n")
    return "".join([*lines, "}\n"])


def main() -> int:
    """Write the module, or compare it with a fresh one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    path = METRICS / "names.py"
    if not parser.parse_args().check:
        path.write_text(text(), encoding="utf-8", newline="\n")
    elif not path.is_file() or path.read_text(encoding="utf-8") != text():
        print(f"stale: {path.name}; run python docs/names.py")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
