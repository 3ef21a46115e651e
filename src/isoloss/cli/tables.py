"""Tables for a terminal, or plain columns of fixed width for a pipe."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .._core.metric import Metric
from ..testing.parity import Report
from .catalogue import Entry
from .comparison import Cell, Result, signed
from .errors import printable

WIDE = 240  # characters per line in a pipe, so that no cell is wrapped or cut


def console(*, stderr: bool = False) -> Console:
    """Return the console to print to, respecting NO_COLOR."""
    found = Console(stderr=stderr, highlight=False)
    return found if found.is_terminal else Console(stderr=stderr, highlight=False, width=WIDE)


def _table(out: Console, *columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD if out.is_terminal else None, pad_edge=False)
    for name in columns:
        table.add_column(_named(name), overflow="fold")
    return table


def _named(text: str, style: str = "") -> Text:
    """Return a text with the control characters of names from files escaped."""
    return Text(printable(text), style=style)


def note(out: Console, text: str) -> None:
    """Print a line without wrapping it."""
    out.print(_named(text), soft_wrap=True)


def write(out: Console, table: Table) -> None:
    """Print a table; in a pipe, without trailing spaces."""
    if out.is_terminal:
        out.print(table)
        return
    with out.capture() as captured:
        out.print(table)
    for line in captured.get().splitlines():
        out.print(Text(line.rstrip()), soft_wrap=True)


def number(x: Any, digits: int = 6) -> str:
    """Format a number or several numbers with a number of digits."""
    if np.ndim(x):
        return "[" + ", ".join(number(one, 4) for one in x) + "]"
    return f"{float(x):.{digits}g}"


def arrow(metric: Metric) -> str:
    """Return the direction of better values: up, down or towards 0."""
    return "0" if signed(metric) else "↑" if metric.greater_is_better else "↓"


def catalogue(out: Console, entries: Iterable[Entry]) -> None:
    """Print the metrics."""
    table = _table(out, "name", "aliases", "made by", "kind", "better", "family")
    for entry in entries:
        better = {True: "greater", False: "lower", None: "-"}[entry.declared("greater_is_better")]
        kind = entry.declared("kind") or "-"
        cells = (entry.name, ", ".join(entry.aliases), entry.call, kind, better, entry.family)
        table.add_row(*map(Text, cells))
    write(out, table)


def comparison(out: Console, result: Result) -> None:
    """Print the values of all models and groups."""
    models, metrics = list(result.comparison.predictions), result.comparison.metrics
    table = _table(out, "metric", "", *models)
    for name, metric in metrics.items():
        _row(table, [name, arrow(metric)], result, name, result.whole)
    _right(table, 2)
    write(out, table)
    for name, metric in metrics.items() if result.labels else ():
        out.print()
        out.print(_named(f"{name} {arrow(metric)} by {result.comparison.group}", "bold"))
        table = _table(out, str(result.comparison.group), *models)
        for label, cells in zip(result.labels, result.groups, strict=True):
            _row(table, [str(label)], result, name, cells)
        _right(table, 1)
        write(out, table)


def _row(table: Table, head: list[str], result: Result, name: str, rows: dict[str, Any]) -> None:
    best = result.best(name, rows)
    cells = [_named(text) for text in head]
    for model, row in rows.items():
        style = "bold green" if model in best else ""
        cells.append(Text(("* " if model in best else "") + _text(row[name]), style=style))
    table.add_row(*cells)


def _text(cell: Cell) -> str:
    text = number(cell.value)
    return text if cell.error is None else f"{text} ± {number(cell.error, 2)}"


def _right(table: Table, first: int) -> None:
    for column in table.columns[first:]:
        column.justify = "right"


def parity(out: Console, reports: list[Report]) -> None:
    """Print a table of functions and libraries, and the disagreements."""
    libraries = list(dict.fromkeys(row.library for one in reports for row in one.rows))
    table = _table(out, "function", *libraries)
    for report in reports:
        cells = [report.cell(library) for library in libraries]
        styles = ["green" if cell.startswith("ok") else "bold red" for cell in cells]
        table.add_row(_named(report.name), *map(Text, cells, styles))
    write(out, table)
    for report in reports:
        if report.failures:
            out.print()
            for line in str(report).split("\n"):
                note(out, line)
