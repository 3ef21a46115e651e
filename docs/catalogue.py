"""Write docs/metrics: a page per family, from the docstrings. With --check, compare instead.

python docs/catalogue.py [--check]
"""

from __future__ import annotations

import argparse
import inspect
import re
import sys
import textwrap
import typing
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from types import ModuleType
from typing import Any

import isoloss as il
from isoloss.cli.description import sections
from isoloss.metrics.catalogue import families

PAGES = Path(__file__).parent / "metrics"
WRAPPERS = (il.Root, il.Scaled, il.Exp)
INDEX = """\
# Find a metric by its name

Every loss and metric, with its other names: aliases, and the class that takes the hyper-parameters. Each name leads to the formula,
the domain, an example and the source.

Families: {families}.

| name | what it is | other names | family |
|---|---|---|---|
{rows}
"""


@dataclass(frozen=True)
class Entry:
    """A section of a page: one class and its instances, or one instance of a wrapper."""

    family: str
    kind: Any
    name: str  # by which it is called: an instance, or the class where there is none
    aliases: tuple[str, ...] = ()

    @property
    def wrapped(self) -> bool:
        """Whether it is a public metric made of another."""
        return self.kind in WRAPPERS

    @property
    def instance(self) -> Any:
        """The metric that is called, where there is one."""
        return None if getattr(il, self.name) is self.kind else getattr(il, self.name)

    @property
    def text(self) -> dict[str, str]:
        """The sections of the docstring."""
        return sections(self.kind.__doc__ or "")

    @property
    def summary(self) -> str:
        """What it is, in one sentence."""
        if self.wrapped:
            return f"`{named(self.instance)}`."
        return markdown(" ".join(self.text[""].partition("\n\n")[0].split()))


def title(family: ModuleType) -> tuple[str, str]:
    """Return the name of a family, and the sentence that describes it."""
    name, _, sentence = inspect.cleandoc(family.__doc__ or "").partition("\n")[0].partition(": ")
    return name, f"{sentence[:1].upper()}{sentence[1:]}"


def entries(family: ModuleType) -> list[Entry]:
    """Return the sections of a family's page, in the order of its definitions."""
    home = family.__name__.rpartition(".")[2]
    public = {n: thing for n in family.__all__ if (thing := getattr(il, n, None)) is not None}
    defined = {n: t for n, t in public.items() if inspect.isclass(t) or inspect.isfunction(t)}
    members = {n: thing for n, thing in public.items() if n not in defined}
    sectioned = []
    for kind in vars(family).values():
        if inspect.isfunction(kind) and kind in defined.values():
            sectioned.append(Entry(home, kind, kind.__name__))
        elif inspect.isclass(kind) and kind in defined.values():
            names = [n for n, thing in members.items() if type(thing) is kind]
            sectioned.append(Entry(home, kind, *by_use(kind.__name__, names)))
    composed: dict[str, list[str]] = {}
    for name, thing in members.items():
        if isinstance(thing, WRAPPERS):
            composed.setdefault(repr(thing), []).append(name)
    return sectioned + [
        Entry(home, type(members[names[0]]), *by_use(max(names, key=len), names))
        for names in composed.values()
    ]


def by_use(kind: str, names: list[str]) -> tuple[str, tuple[str, ...]]:
    """Return the full name of an instance and its aliases; the class where there is no instance."""
    letters = kind.replace("_", "").lower()
    full = sorted(names, key=lambda n: (not n.replace("_", "").startswith(letters), -len(n)))
    return (full[0], tuple(full[1:])) if full else (kind, ())


def named(metric: Any) -> str:
    """Return how a metric made of another is written: Root(mean_squared_error)."""
    inner = metric.metric
    default = next((n for n in by_length(inner) if getattr(il, n) == inner), repr(inner))
    others = [repr(getattr(metric, f.name)) for f in fields(metric) if f.name != "metric"]
    return f"{type(metric).__name__}({', '.join([default, *others])})"


def by_length(metric: Any) -> list[str]:
    """Return the public names of the instances of a class, the longest first."""
    names = [n for n in il.__all__ if type(getattr(il, n)) is type(metric)]
    return sorted(names, key=len, reverse=True)


# --- text -----------------------------------------------------------------------------------------


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
    described = re.findall(r"^(\w[\w, ]*) : (.*)\n((?:    .*\n?|\n)*)", text + "\n", re.MULTILINE)
    return "\n".join(
        f"- `{name}`: {markdown(kind)}. {markdown(' '.join(body.split()))}"
        for name, kind, body in described
    )


def signature(kind: Any) -> str:
    """Return the parameters of a class or function with their types and defaults."""
    if inspect.isfunction(kind):
        return str(inspect.signature(kind))
    hints = typing.get_type_hints(kind.__init__)
    defaults = {f.name: f.default for f in fields(kind)}
    shown = []
    for name in inspect.signature(kind).parameters:
        text = f"{name}: {written(hints[name])}" if name in hints else name
        missing = defaults.get(name, MISSING) is MISSING
        shown.append(text if missing else f"{text} = {defaults[name]!r}")
    return f"({', '.join(shown)})"


def written(hint: Any) -> str:
    """Return a type as a reader writes it."""
    if isinstance(hint, type) and not typing.get_args(hint):
        return f"isoloss.{hint.__name__}" if hint.__name__ in il.__all__ else hint.__name__
    text = str(hint).replace("typing.", "").replace("NoneType", "None")
    return re.sub(r"\bisoloss\.[\w.]*Array\b", "Array", text)  # a protocol of the engine


def objects(entry: Entry) -> str:
    """Return the signature of each name of an entry: objects of the Python domain of Sphinx."""
    if inspect.isfunction(entry.kind):
        return f"```{{py:function}} isoloss.{entry.name}{signature(entry.kind)}\n```"
    parts = []
    if not entry.wrapped:
        call = f"isoloss.{entry.kind.__name__}{signature(entry.kind)}"
        parts.append(f"```{{py:class}} {call}\n```")
    if entry.instance is not None:
        value = named(entry.instance) if entry.wrapped else f"{entry.kind.__name__}()"
        parts.append(f"```{{py:data}} isoloss.{entry.name}\n:value: {value}\n```")
    parts += [f"```{{py:data}} isoloss.{n}\n:value: {entry.name}\n```" for n in entry.aliases]
    return "\n".join(parts)


def section(entry: Entry) -> str:
    """Return the section of an entry."""
    body = [f"## `{entry.name}`", objects(entry)]
    if entry.wrapped:
        return "\n\n".join([*body, *composition(entry.instance)])
    text = entry.text
    sentence, _, rest = text[""].partition("\n\n")
    body += [markdown(sentence), markdown(rest)]
    if "Parameters" in text:
        body.append(parameters(text["Parameters"]))
    if "Examples" in text:
        body.append(f"```pycon\n{text['Examples'].strip()}\n```")
    if "References" in text:
        body.append(markdown(text["References"]))
    return "\n\n".join(part for part in body if part)


def composition(metric: Any) -> list[str]:
    """Return what a metric made of another computes: a sentence, and its formula."""
    inner = next(iter(by_length(metric.metric)))
    link = f"[`{inner}`](#{inner.lower()})"
    formula = re.search(r"^\.\. math:: (.*)", inspect.getdoc(metric.metric) or "", re.MULTILINE)
    f = formula[1] if formula else r"\mathrm{" + inner.replace("_", r"\_") + "}"
    match type(metric):
        case il.Root:
            return [f"The square root of {link}.", f"```math\n\\sqrt{{{f}}}\n```"]
        case il.Exp:
            return [f"The exponential of {link}.", f"```math\n\\exp\\left({f}\\right)\n```"]
        case _:
            return [
                f"{link}, multiplied by {metric.factor:g}.",
                f"```math\n{metric.factor:g}\\,{f}\n```",
            ]


# --- pages ----------------------------------------------------------------------------------------


def page(family: ModuleType) -> str:
    """Return the page of a family."""
    _, _, rest = inspect.cleandoc(family.__doc__ or "").partition("\n\n")
    name, sentence = title(family)
    parts = [f"# {name}", sentence, markdown(rest), *map(section, entries(family))]
    return "\n\n".join(part for part in parts if part) + "\n"


def index() -> str:
    """Return the page that lists every name."""
    every = sorted((e for f in families() for e in entries(f)), key=lambda e: e.name.lower())
    titles = {family.__name__.rpartition(".")[2]: title(family)[0] for family in families()}
    links = ", ".join(f"[{text}]({name}.md)" for name, text in titles.items())
    rows = []
    for entry in every:
        kind = [] if entry.wrapped or entry.kind.__name__ == entry.name else [entry.kind.__name__]
        others = ", ".join(f"`{n}`" for n in [*entry.aliases, *kind])
        place = f"[{titles[entry.family]}]({entry.family}.md)"
        link = f"[`{entry.name}`]({entry.family}.md#{entry.name.lower()})"
        summary = entry.summary.replace("|", "\\|")
        rows.append(f"| {link} | {summary} | {others} | {place} |")
    return INDEX.format(families=links, rows="\n".join(rows))


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
