"""Write docs/metrics: a page per family, from the docstrings. With --check, compare instead.

python docs/catalogue.py [--check]
"""

from __future__ import annotations

import argparse
import inspect
import re
import sys
import textwrap
from pathlib import Path
from types import ModuleType
from typing import Any

import isoloss as il
from isoloss.cli.description import sections
from isoloss.metrics.catalogue import families

PAGES = Path(__file__).parent / "metrics"


def markdown(text: str) -> str:
    """Turn formulas and literals of reStructuredText into Markdown."""
    return re.sub(
        r"^\.\. math:: (.*(?:\n    .*)*)",
        lambda m: "```math\n" + textwrap.dedent("    " + m[1]).strip() + "\n```",
        text.replace("``", "`"),
        flags=re.MULTILINE,
    )


def parameters(text: str) -> str:
    """Turn the list of parameters into one of Markdown."""
    found = re.findall(r"^(\w[\w, ]*) : (.*)\n((?:    .*\n?|\n)*)", text + "\n", re.MULTILINE)
    return "\n".join(
        f"- `{name}`: {markdown(kind)}. {markdown(' '.join(body.split()))}"
        for name, kind, body in found
    )


def entry(kind: Any, names: list[str]) -> str:
    """Return the section of one class, and of the instances of it."""
    text = sections(kind.__doc__ or "")
    title, _, rest = text[""].partition("\n\n")
    heading = ", ".join(f"`{name}`" for name in names) or f"`{kind.__name__}`"
    call = re.sub(r""": ('[^']*'|"[^"]*")| -> .*""", "", str(inspect.signature(kind)))
    body = [f"## {heading}", f"`{kind.__name__}{call}`", title, markdown(rest)]
    if "Parameters" in text:
        body.append(parameters(text["Parameters"]))
    if "Examples" in text:
        body.append(f"```pycon\n{text['Examples'].strip()}\n```")
    if "References" in text:
        body.append(markdown(text["References"]))
    return "\n\n".join(body)


def functions(family: ModuleType) -> list[Any]:
    """Return the public functions of a family, which some metrics are."""
    members = [f for f in vars(family).values() if inspect.isfunction(f)]
    own = (f for f in members if f.__module__ == family.__name__)
    return [f for f in own if getattr(il, f.__name__, None) is f]


def page(family: ModuleType) -> str:
    """Return the page of a family."""
    title, _, rest = inspect.cleandoc(family.__doc__ or "").partition("\n\n")
    name, _, subtitle = title.partition(": ")
    parts = [f"# {name}", f"{subtitle[:1].upper()}{subtitle[1:]}", markdown(rest)]
    public = {n: getattr(il, n) for n in il.__all__}
    for kind in vars(family).values():
        if inspect.isclass(kind) and kind in public.values() and kind.__module__ == family.__name__:
            names = [n for n, thing in public.items() if type(thing) is kind]
            parts.append(entry(kind, names))
    wrapped = [
        f"- `{n}` is `{thing!r}`" for n, thing in public.items()
        if vars(family).get(n) is thing and isinstance(thing, (il.Root, il.Scaled, il.Exp))
    ]  # fmt: skip
    parts += [entry(function, [function.__name__]) for function in functions(family)]
    if wrapped:
        parts += ["## Made of others", "\n".join(wrapped)]
    return "\n\n".join(part for part in parts if part) + "\n"


def index() -> str:
    """Return the page that lists the families."""
    lines = []
    for family in families():
        name = family.__name__.rpartition(".")[2]
        title = inspect.cleandoc(family.__doc__ or "").partition("\n")[0]
        lines.append(f"- [{name}]({name}.md): {title.partition(': ')[2]}")
    return (
        "# Metrics\n\nEvery family on a page, written from the docstrings.\n\n"
        + "\n".join(lines)
        + "\n"
    )


def main() -> int:
    """Write the pages, or compare them with fresh ones."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    check = parser.parse_args().check
    pages = {family.__name__.rpartition(".")[2]: page(family) for family in families()}
    pages["README"] = index()
    PAGES.mkdir(exist_ok=True)
    stale = []
    for name, text in pages.items():
        path = PAGES / f"{name}.md"
        if check and not (path.is_file() and path.read_text(encoding="utf-8") == text):
            stale.append(path.name)
        elif not check:
            path.write_text(text, encoding="utf-8", newline="\n")
    if stale:
        print(f"stale: {', '.join(stale)}; run python docs/catalogue.py")
    return bool(stale)


if __name__ == "__main__":
    sys.exit(main())
