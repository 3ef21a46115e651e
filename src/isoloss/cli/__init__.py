"""The command `isoloss`: list and show metrics, compare libraries, evaluate files."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from io import TextIOWrapper

NEEDED = ("typer", "rich", "pyarrow", "plotext", "matplotlib", "jinja2")


def main() -> int:
    """Run the command, or print how to install its missing requirements."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        print(
            f"isoloss: {', '.join(missing)} not installed: pip install 'isoloss[cli]'",
            file=sys.stderr,
        )
        return 1
    for stream in (sys.stdout, sys.stderr):  # the encoding of a pipe on Windows may lack arrows
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    from .commands import app

    app(prog_name="isoloss")
    return 0
