"""The command `isoloss`: the catalogue, pictures, parity and evaluation, from a terminal."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from io import TextIOWrapper

NEEDED = ("typer", "rich", "pyarrow", "plotext", "matplotlib", "jinja2")


def main() -> int:
    """Run the command; without what it needs, say how to install that."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        print(
            f"isoloss: {', '.join(missing)} not installed: pip install 'isoloss[cli]'",
            file=sys.stderr,
        )
        return 1
    for stream in (sys.stdout, sys.stderr):  # a pipe of Windows may have no arrows, say
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    from .commands import app

    app(prog_name="isoloss")
    return 0
