"""The catalogue of metrics: find metrics by name and parse their parameters."""

from __future__ import annotations

import ast
import inspect
import math
from collections.abc import Iterable
from dataclasses import MISSING, Field, dataclass, fields
from functools import cache
from typing import Any

import isoloss

from .._core.errors import abbreviated
from .._core.metric import Metric
from .._core.parameters import declared_of
from .._core.wrappers import Exp, Root, Scaled, Wrapper
from ..metrics.catalogue import NAMES, families
from .errors import InputError, close_to

WRAPPERS: tuple[type[Metric], ...] = (Root, Scaled, Exp)


@dataclass(frozen=True)
class Entry:
    """A metric of the library, or a class whose parameters have no default."""

    name: str
    aliases: tuple[str, ...]
    cls: type[Metric]
    metric: Metric | None
    family: str

    @property
    def call(self) -> str:
        """Return the call that makes the metric."""
        if self.metric is not None:
            return repr(self.metric)
        required = ", ".join(f"{item.name}=..." for item in parameters(self.cls) if needed(item))
        return f"{self.cls.__name__}({required})"

    def declared(self, name: str) -> Any:
        """Return a declared attribute; None if it depends on the wrapped metric."""
        found = getattr(self.metric or self.cls, name)
        return None if isinstance(found, property) else found

    @property
    def title(self) -> str:
        """Return the first line of the docstring."""
        return inspect.cleandoc(self.cls.__doc__ or "").partition("\n")[0]

    def as_dict(self) -> dict[str, Any]:
        """Return the entry as a dict for JSON."""
        return {
            "name": self.name,
            "aliases": list(self.aliases),
            "class": self.cls.__name__,
            "call": self.call,
            "parameters": {
                item.name: None if needed(item) else item.default for item in parameters(self.cls)
            } if self.cls not in WRAPPERS else {},
            "kind": self.declared("kind"),
            "greater_is_better": self.declared("greater_is_better"),
            "family": self.family,
            "title": self.title,
        }  # fmt: skip


def parameters(cls: Any) -> tuple[Field[Any], ...]:
    """Return the hyper-parameters of a class."""
    return fields(cls)


def needed(item: Field[Any]) -> bool:
    """Whether a parameter has no default."""
    return item.default is MISSING and item.default_factory is MISSING


@cache
def entries() -> list[Entry]:
    """Return all metrics, family by family, in the order of their definitions."""
    public = {name: getattr(isoloss, name) for name in NAMES}
    instantiated = {type(thing) for thing in public.values()}
    found: list[Entry] = []
    for module in families():
        family = module.__name__.rpartition(".")[2]
        for name, thing in vars(module).items():
            if public.get(name) is not thing or any(entry.metric is thing for entry in found):
                continue
            if isinstance(thing, Metric):
                aliases = [k for k, v in public.items() if v is thing and k != name]
                found.append(Entry(name, tuple(aliases), type(thing), thing, family))
            elif (
                inspect.isclass(thing)
                and issubclass(thing, Metric)
                and thing.__module__ == module.__name__
                and thing not in instantiated
            ):
                metric = None if any(map(needed, parameters(thing))) else thing()
                found.append(Entry(name, (), thing, metric, family))
    return found


def find(name: str) -> Entry:
    """Return the metric of a name, an alias or a class, or of a call such as ``Huber(2.0)``."""
    if "(" in name:
        metric = inner = metric_of(name)
        while isinstance(inner, Wrapper):  # the innermost metric determines the family
            inner = inner.metric
        return Entry(name, (), type(metric), metric, type(inner).__module__.rpartition(".")[2])
    known: dict[str, Entry] = {}
    for entry in entries():
        for one in (entry.name, *entry.aliases, entry.cls.__name__):
            if not (one == entry.cls.__name__ and entry.cls in WRAPPERS):
                known.setdefault(one, entry)
    if name not in known:
        raise InputError(f"there is no metric {name!r}{close_to(name, known)} (isoloss list)")
    return known[name]


# --- parameters of the command line ---------------------------------------------------------------


def literal(text: str) -> Any:
    """Parse a text as a number, tuple, bool or None; return any other text unchanged."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        words = {"true": True, "false": False, "none": None, "inf": math.inf, "-inf": -math.inf}
        return words.get(text.lower(), text)


def described(cls: Any) -> str:
    """Return the parameters of a class with their allowed values."""
    lines = [f"{item.name} ({_needs(cls, item)})" for item in parameters(cls)]
    return f"it has {', '.join(lines)}" if lines else "it has none"


def _needs(cls: Any, item: Field[Any]) -> str:
    interval, whole, several, allowed = declared_of(cls)[item.name]
    kind = str(item.type)
    if allowed:
        kind = " or ".join(map(repr, allowed))
    elif interval is not None:
        kind = "int" if whole else "tuple of float" if several else "float"
        kind += f", {interval}" if interval.bounded else ""
        kind += " or None" if item.default is None else ""
    return kind if needed(item) else f"{kind}; {item.default!r} by default"


def made(entry: Entry, given: dict[str, Any]) -> Metric:
    """Return a metric with parameters; the metric's own messages report invalid values."""
    cls: Any = entry.cls
    known = {item.name: item for item in parameters(cls)}
    if entry.metric is not None and cls in WRAPPERS:
        if given:
            message = f"{entry.name} is {entry.metric!r} and has no parameters"
            raise InputError(f"{message}; wrap another, as in 'Root(Huber(delta=2.0))'")
        return entry.metric
    for name in given:
        if name not in known:
            message = f"{cls.__name__} has no parameter {name!r}: {described(cls)}"
            raise InputError(message + close_to(name, known))
    if not given and entry.metric is not None:
        return entry.metric
    missing = [name for name, item in known.items() if needed(item) and name not in given]
    if missing:
        raise InputError(
            f"{cls.__name__} needs {', '.join(missing)}; write "
            f"'{entry.name}:{':'.join(f'{name}=...' for name in missing)}', or --{missing[0]} "
            "with show"
        )
    values = {name: _typed(cls, known[name], value) for name, value in given.items()}
    try:
        metric: Metric = cls(**values)
    except (TypeError, ValueError) as error:
        raise InputError(str(error)) from error
    return metric


def _typed(cls: Any, item: Field[Any], value: Any) -> Any:
    """Convert a value to the type of its parameter: 2 to 2.0, a name to a metric."""
    if item.type == "Metric" and isinstance(value, str):
        return metric_of(value)
    interval, whole, several, _ = declared_of(cls)[item.name]
    real = interval is not None and not (whole or several)
    return float(value) if real and type(value) is int else value


def metric_of(text: str) -> Metric:
    """Return the metric that a text names, such as ``mse``, ``huber:delta=2`` or ``Huber(2.0)``.

    No code is executed: the arguments of a call are literals or wrapped metrics.
    """
    if "(" in text:
        return _of_call(text, _parsed(text))
    name, *given = text.split(":")
    pairs = [pair.partition("=") for pair in given]
    for key, equals, _ in pairs:
        if not (key and equals):
            raise InputError(f"{text!r}: write a parameter as '{name}:{key or 'name'}=value'")
    return made(find(name), {key.strip(): literal(value) for key, _, value in pairs})


def _parsed(text: str) -> ast.expr:
    try:
        return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        shown = abbreviated(text)
        raise InputError(f"{shown} is not a metric; write 'Huber(delta=2.0)', say") from None


def _of_call(text: str, node: ast.expr) -> Metric:
    if isinstance(node, ast.Name):
        return made(find(node.id), {})
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
        raise InputError(f"{text!r} is not a metric; write 'Huber(delta=2.0)', say")
    name = node.func.id
    wrappers = {one.__name__: one for one in WRAPPERS}
    cls = wrappers[name] if name in wrappers else find(name).cls
    names = [item.name for item in parameters(cls)]
    if len(node.args) > len(names):
        raise InputError(f"{text!r}: {len(node.args)} parameters are too many; {described(cls)}")
    pairs = [
        *zip(names, node.args, strict=False),
        *((k.arg or "**", k.value) for k in node.keywords),
    ]
    given = {key: _value(text, key, value) for key, value in pairs}
    return made(Entry(name, (), cls, None, ""), given)


def _value(text: str, key: str, node: ast.expr) -> Any:
    if key == "metric":
        return _of_call(text, node)
    try:
        return ast.literal_eval(node)
    except (RecursionError, MemoryError):
        raise InputError(f"{abbreviated(text)}: {key} is nested too deeply") from None
    except (ValueError, TypeError):
        word = ast.unparse(node)
        if word in ("inf", "-inf"):
            return float(word)
        raise InputError(f"{text!r}: {key}={word} is not a number, a word or a tuple") from None


def metrics_of(texts: Iterable[str]) -> dict[str, Metric]:
    """Return metrics by name, from comma-separated lists of names."""
    found: dict[str, Metric] = {}
    for text in texts:
        for one in split(text):
            found[one] = metric_of(one)
    if not found:
        raise InputError("--metrics is empty: name one, such as mse (isoloss list)")
    return found


def split(text: str) -> list[str]:
    """Split at commas outside parentheses."""
    parts, depth = [""], 0
    for character in text:
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(character, 0)
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts if part.strip()]


def from_options(entry: Entry, tokens: list[str]) -> Metric:
    """Return a metric with parameters from options such as ``--delta 2`` or ``--no-full``."""
    given: dict[str, Any] = {}
    rest = list(tokens)
    known = {item.name: item for item in parameters(entry.cls)}
    while rest:
        token = rest.pop(0)
        if not token.startswith("--"):
            raise InputError(f"{token!r} is left over: parameters are written --name value")
        name, equals, value = token[2:].replace("-", "_").partition("=")
        value = token.partition("=")[2]
        switch = getattr(known.get(name.removeprefix("no_")), "type", "") == "bool"
        if switch and not equals and (not rest or rest[0].startswith("--")):
            given[name.removeprefix("no_")] = not name.startswith("no_")
        elif equals:
            given[name] = literal(value)
        elif name in known and not rest:
            raise InputError(f"{token} needs a value; {described(entry.cls)}")
        else:
            given[name] = literal(rest.pop(0)) if rest else None
    return made(entry, given)
