"""The commands: their arguments and their output."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from . import output, tables
from .catalogue import entries, find, from_options, metrics_of
from .columns import BATCH, opened
from .errors import InputError, close_to, printable


class Commands(TyperGroup):
    """The command group, which prints errors as messages."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except InputError as error:
            typer.echo(f"isoloss: {printable(str(error))}", err=True)
            raise typer.Exit(2) from error
        except BrokenPipeError:
            raise  # the reader of the pipe has closed it
        except OSError as error:
            reason = error.strerror or str(error)
            typer.echo(f"isoloss: the output cannot be written: {printable(reason)}", err=True)
            raise typer.Exit(2) from error
        except MemoryError as error:
            reason = printable(str(error)) or "there is not enough memory"
            typer.echo(f"isoloss: {reason}: ask for less at once", err=True)
            raise typer.Exit(2) from error


app = typer.Typer(
    cls=Commands,
    name="isoloss",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Losses and metrics: what there is, how they look, whether libraries agree on them, and "
    "how models compare by them.",
)
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"isoloss {version('isoloss')}")
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    pass


# --- list, show -----------------------------------------------------------------------------------


@app.command("list")
def list_(
    word: Annotated[
        str,
        typer.Argument(help="Only metrics that have this in their name, alias, title or family."),
    ] = "",
    family: Annotated[
        str, typer.Option("--family", "-f", help="Only this family, such as regression.")
    ] = "",
    as_json: Json = False,
) -> None:
    """List the metrics: names, aliases, parameters and which way is better."""
    every = entries()
    families = list(dict.fromkeys(entry.family for entry in every))
    if family and family not in families:
        raise InputError(
            f"there is no family {family!r}: there are {', '.join(families)}"
            f"{close_to(family, families)}"
        )
    found = [
        entry for entry in every
        if family in ("", entry.family)
        and word.lower() in " ".join(
            [entry.name, *entry.aliases, entry.cls.__name__, entry.title, entry.family]
        ).lower()
    ]  # fmt: skip
    if as_json:
        typer.echo(json.dumps([entry.as_dict() for entry in found], indent=1))
        return
    if not found:
        names = [name for entry in every for name in (entry.name, *entry.aliases)]
        raise InputError(
            f"no metric has {word!r} in its name, title or family{close_to(word, names)}"
        )
    tables.catalogue(tables.console(), found)


@app.command(context_settings={"ignore_unknown_options": True})
def show(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME",
            help="The metric, and any of its parameters: huber --delta 2.",
            show_default=False,
        ),
    ],
    png: Annotated[
        Path | None,
        typer.Option("--png", metavar="FILE", help="Write the picture to a .png, .svg or .pdf."),
    ] = None,
    target: Annotated[
        float | None, typer.Option(help="The target that the curve is drawn for.")
    ] = None,
    ends: Annotated[
        str, typer.Option("--range", metavar="LOW,HIGH", help="The predictions it is drawn over.")
    ] = "",
) -> None:
    """Show a metric: formula, domain, properties, and its value, gradient and curvature.

    ```isoloss show huber --delta 2```
    """
    from . import curves, description

    name, given = _name_and_rest(words)
    entry = find(name)
    required = entry.metric is None and not given
    metric = None if required else from_options(entry, given)
    out = tables.console()
    why = ""
    drawn = None
    if metric is None:
        why = f"no picture: {entry.cls.__name__} has parameters without a default; name them"
    else:
        try:
            drawn = curves.curve(metric, target, _ends(ends) if ends else None)
        except curves.NoPictureError as reason:
            why = str(reason)
    if png is not None:
        if drawn is None:
            raise InputError(why)
        curves.in_file(drawn, png)
        tables.note(tables.console(stderr=True), f"wrote {png}")
        return
    description.write(out, entry, metric)
    out.print()
    width = out.width if out.is_terminal else 80
    out.print(curves.in_terminal(drawn, width) if drawn else why, markup=False, soft_wrap=True)


def _name_and_rest(words: list[str]) -> tuple[str, list[str]]:
    """Split words into the metric name, also after parameters or with colons, and the rest."""
    place = next(
        (k for k, one in enumerate(words)
         if not one.startswith("-") and (k == 0 or not words[k - 1].startswith("--")
                                         or "=" in words[k - 1])),
        None,
    )  # fmt: skip
    if place is None:
        raise InputError("name a metric: isoloss show huber --delta 2 (isoloss list)")
    name, *pairs = words[place].split(":")
    return name, [*(f"--{pair}" for pair in pairs), *words[:place], *words[place + 1 :]]


def _ends(text: str) -> tuple[float, float]:
    try:
        low, high = map(float, text.split(","))
    except ValueError:
        raise InputError(f"--range {text}: write two numbers, as in --range=-5,5") from None
    if not high - low < math.inf:  # also rejects nan
        raise InputError(f"--range {text}: write finite numbers of which the difference is finite")
    if not low < high:
        raise InputError(f"--range {text}: the first number must be less than the second")
    return low, high


# --- parity ---------------------------------------------------------------------------------------


@app.command()
def parity(
    function: Annotated[
        str,
        typer.Argument(
            metavar="[MODULE:NAME]",
            help="Your function, a metric, a Case of isoloss.testing or a list of them; without "
            "it, ten of our own metrics.",
            show_default=False,
        ),
    ] = "",
    every: Annotated[
        bool, typer.Option("--all", help="All of our own metrics of one number each.")
    ] = False,
    shape: Annotated[
        str, typer.Option(metavar="N[,N]...", help="The shape of each input, drawn at random.")
    ] = "100",
    arguments: Annotated[int, typer.Option(min=1, help="How many arrays your function takes.")] = 2,
    library: Annotated[
        list[str] | None,
        typer.Option(
            help="numpy, jax, torch, dask, array_api_strict; again for more. [default: installed]"
        ),
    ] = None,
    dtype: Annotated[
        list[str] | None,
        typer.Option(
            help="float16, bfloat16, float32, float64; again for more. [default: float32]"
        ),
    ] = None,
    ulp: Annotated[
        float, typer.Option(min=0, help="How many units in the last place numbers may lie apart.")
    ] = 16,
    as_json: Json = False,
) -> None:
    """Compare value, gradient and dtype of functions on NumPy, JAX and PyTorch.

    The exit status is 1 where they disagree.
    """
    from . import agreement

    sizes = _shape(shape)
    if function:
        cases = agreement.cases_of(function, arguments, sizes)
    else:
        cases = agreement.own_cases(every, sizes)
    found = []
    with _progress() as shown:
        for report in agreement.reports(cases, library or (), dtype or ("float32",), ulp):
            found.append(report)
            shown("comparing", len(found) / len(cases))
    if as_json:
        typer.echo(json.dumps([report.as_dict() for report in found], indent=1))
    else:
        tables.parity(tables.console(), found)
    if any(report.failures for report in found):
        raise typer.Exit(1)


def _shape(text: str) -> tuple[int, ...]:
    try:
        sizes = tuple(int(size) for size in text.split(","))
    except ValueError:
        sizes = (0,)
    if min(sizes) < 1:
        raise InputError(f"--shape {text}: write sizes above 0, as in --shape 100 or --shape 8,3")
    return sizes


# --- evaluate -------------------------------------------------------------------------------------


@app.command()
def evaluate(
    file: Annotated[
        Path,
        typer.Argument(
            help="A table: .parquet, .csv, .tsv (also .gz), .arrow, .feather or .npz.",
            show_default=False,
        ),
    ],
    target: Annotated[
        str, typer.Option("--target", "-t", help="The column of targets.", show_default=False)
    ],
    prediction: Annotated[
        list[str],
        typer.Option(
            "--prediction",
            "-p",
            help="A column of predictions; again for each model.",
            show_default=False,
        ),
    ],
    weights: Annotated[str, typer.Option("--weights", "-w", help="A column of weights.")] = "",
    group: Annotated[
        list[str] | None,
        typer.Option("--group", "-g", help="A column of labels: values for each of them too."),
    ] = None,
    metrics: Annotated[
        list[str] | None,
        typer.Option(
            "--metrics",
            "-m",
            help="Names, with parameters as in huber:delta=2 or 'Huber(delta=2.0)'. "
            "[default: mse,rmse,mae,r2]",
        ),
    ] = None,
    drop_nulls: Annotated[
        bool,
        typer.Option("--drop-nulls", help="Leave out rows with a null, nan or infinite number."),
    ] = False,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page with tables and pictures.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Rows read at a time.")] = BATCH,
    as_json: Json = False,
) -> None:
    """Compare models over the rows of a file, in constant memory.

    ```isoloss evaluate file.parquet -t y -p model_a -p model_b -m mse,huber:delta=2```
    """
    from .comparison import Comparison, compared, labels_in
    from .distributions import Distributions, Ranges

    _check_report(report)
    if group and len(group) > 1:
        message = f"--group takes one column, not {' and '.join(group)}: make one column of both"
        raise InputError(message)
    grouped = group[0] if group else None
    chosen = metrics_of(metrics if metrics is not None else ["mse,rmse,mae,r2"])
    comparison = Comparison(
        opened(file), target, prediction, chosen, weights or None, grouped or None, drop_nulls,
        batch_size,
    )  # fmt: skip
    labels: list[Any] = []
    ranges = Ranges(prediction) if report is not None else None
    with _progress() as shown:
        if grouped or ranges is not None:
            labels = labels_in(comparison, shown, ranges)
        distributions = Distributions(ranges) if ranges is not None else None
        result = compared(comparison, shown, labels, distributions)
    if as_json:
        typer.echo(json.dumps(result.as_dict(), indent=1))
    else:
        tables.comparison(tables.console(), result)
    errors = tables.console(stderr=True)
    if comparison.dropped and not as_json:
        errors.print(f"{comparison.dropped:,} of {comparison.dropped + comparison.kept:,} rows "
                     "were left out for nulls")  # fmt: skip
    for note in result.notes():
        tables.note(errors, f"isoloss: {note}")
    if report is not None and distributions is not None:
        from .report import write

        write(report, result, distributions)
        tables.note(errors, f"wrote {report}")


def _check_report(path: Path | None) -> None:
    if path is None:
        return
    if path.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"--report {path}: it is a page: name it .html")
    output.check(path)


@contextmanager
def _progress() -> Iterator[Callable[[str, float], None]]:
    """Show a progress bar on stderr if it is a terminal."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    out = tables.console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=out, transient=True, disable=not out.is_terminal) as progress:
        tasks: dict[str, Any] = {}

        def shown(what: str, share: float) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=1.0)
            progress.update(tasks[what], completed=share)

        yield shown
