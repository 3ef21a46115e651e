"""Compare models over the rows of a file, with standard errors and groups, in constant memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .._core.domains import Labels
from .._core.metric import Metric
from .._core.wrappers import Scaled
from ..evaluation import Estimate, unwrapped
from ..metrics.regression import mean_bias_error
from ..streaming import Accumulator
from .columns import Column, Columns, Table
from .errors import InputError

GROUPS = 1000  # a column with more distinct labels is taken for row names
Shown = Callable[[str, float], None]
Labelled = tuple[bool, bool]


@dataclass
class Comparison:
    """The columns to compare and the metrics to compute."""

    table: Table
    target: str
    predictions: Sequence[str]
    metrics: dict[str, Metric]
    weights: str | None = None
    group: str | None = None
    drop_nulls: bool = False
    rows: int = 1 << 16
    dropped: int = 0
    kept: int = 0

    def __post_init__(self) -> None:
        """Check the column names and the metrics before reading the file."""
        if len(set(self.predictions)) < len(self.predictions):
            raise InputError("a model is named twice: --prediction takes each column once")
        for name, metric in self.metrics.items():
            if not takes_columns(metric):
                raise InputError(
                    f"{name} does not take a column of numbers: its inputs are "
                    f"{metric.signature.partition('->')[0]} (isoloss show {name.partition(':')[0]})"
                )
        others = [name for name in (self.weights, self.group) if name]
        self.table.check([self.target, *self.predictions, *others])

    def batches(self, shown: Callable[[float], None] = lambda share: None) -> Iterator[Rows]:
        """Yield batches of the rows that are not dropped."""
        self.dropped = self.kept = 0
        for batch in self._read(shown):
            lost = np.zeros(len(batch[self.target].values), dtype=bool)
            for column in batch.values():
                lost |= _lost(column)
            if lost.any():
                if not self.drop_nulls:
                    raise self._missing()
                self.dropped += int(lost.sum())
                batch = {name: x._replace(values=x.values[~lost]) for name, x in batch.items()}
            self.kept += len(batch[self.target].values)
            if self.weights and np.any(batch[self.weights].values < 0):
                raise InputError(f"{self.table.path}: column {self.weights!r} has weights below 0")
            if len(batch[self.target].values):
                yield Rows(batch, self)
        if not self.kept:
            what = f"{self.dropped} rows, all of them with nulls" if self.dropped else "no rows"
            raise InputError(f"{self.table.path} has {what}: there is nothing to evaluate")

    def _read(self, shown: Callable[[float], None]) -> Iterator[Columns]:
        numbers = dict.fromkeys([self.target, *self.predictions])
        if self.weights:
            numbers[self.weights] = None
        return self.table.batches(list(numbers), self.group, self.rows, shown)

    def _missing(self) -> InputError:
        """Return an error with the counts of missing values in the whole file."""
        found: dict[str | None, dict[str, int]] = {}
        first: dict[str | None, int] = {}
        start = 0
        for batch in self._read(lambda share: None):
            for name, column in batch.items():
                for what, lost in _kinds(column).items():
                    if lost.any():
                        counts = found.setdefault(name, {})
                        counts[what] = counts.get(what, 0) + int(lost.sum())
                        here = start + int(np.argmax(lost))
                        first[name] = min(first.get(name, here), here)
            start += len(batch[self.target].values)
        texts = [
            f"column {(self.group if name is None else name)!r} has "
            + " and ".join(_counted(count, what) for what, count in found[name].items())
            + f", the first in row {first[name]} (from 0)"
            for name in dict.fromkeys([self.target, *self.predictions, self.weights or "", None])
            if name in found
        ]
        return InputError(
            f"{self.table.path}: {'; '.join(texts)}: fill them in, or leave out their rows with "
            "--drop-nulls"
        )


class Rows:
    """A batch of rows: targets, weights, groups and the predictions of each model."""

    def __init__(self, columns: Columns, comparison: Comparison) -> None:
        self.columns, self.target = columns, comparison.target
        self.targets = columns[comparison.target].values
        self.weights = columns[comparison.weights].values if comparison.weights else None
        self.group = columns.get(None)
        self._path = comparison.table.path
        self._integers: dict[str, np.ndarray] = {}

    def residuals(self, model: str) -> np.ndarray:
        """Return predictions minus targets in float64."""
        found: np.ndarray = np.subtract(
            self.columns[model].values, self.targets, dtype=np.float64, casting="unsafe"
        )
        return found

    def integers(self, name: str) -> np.ndarray:
        """Return a column of labels as integers; the file may hold them as floats."""
        values = self.columns[name].values
        if values.dtype.kind in "iu":
            return values
        if name not in self._integers:
            with np.errstate(invalid="ignore"):
                whole = values.astype(np.int64)
            wrong = whole != values
            if wrong.any():
                raise InputError(
                    f"{self._path}: column {name!r} holds {values[np.argmax(wrong)]:g}, and a "
                    "metric of labels needs integers; name other metrics, or a column of labels"
                )
            self._integers[name] = whole
        return self._integers[name]


def takes_columns(metric: Metric) -> bool:
    """Return whether a metric takes one number, or one label, per row."""
    if metric.prediction_names or metric.target_names:
        return False
    intervals = (metric.domain.predictions, metric.domain.targets)
    cores = (metric.parts[0][0], metric.parts[1][0])
    return all(
        not core or getattr(interval, "scores", False)
        for core, interval in zip(cores, intervals, strict=True)
    )


def has_error(metric: Metric) -> bool:
    """Return whether a metric has a standard error: a mean of terms or a function of one."""
    return unwrapped(metric).summable


def labelled(metric: Metric) -> Labelled:
    """Return whether the predictions and the targets of a metric are integer labels."""
    return isinstance(metric.domain.predictions, Labels), isinstance(metric.domain.targets, Labels)


def signed(metric: Metric) -> bool:
    """Return whether 0 is the best value, as for a bias or a multiple of a bias."""
    return (
        metric.metric is mean_bias_error
        if isinstance(metric, Scaled)
        else (metric == mean_bias_error)
    )


def _kinds(column: Column) -> dict[str, np.ndarray]:
    nulls = np.zeros(len(column.values), bool) if column.nulls is None else column.nulls
    found = {"null": nulls}
    if column.labels:
        strange = [code for code, label in enumerate(column.labels) if label != label]
        found["nan"] = np.isin(column.values, strange) & ~nulls
    elif column.values.dtype.kind == "f":
        found["nan"] = np.isnan(column.values) & ~nulls
        found["infinite number"] = np.isinf(column.values)
    return found


def _lost(column: Column) -> np.ndarray:
    lost: np.ndarray = np.any(list(_kinds(column).values()), axis=0)
    return lost


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 or what == 'nan' else 's'}"


# --- values ---------------------------------------------------------------------------------------


@dataclass
class Cell:
    """A value with its standard error, if it has one."""

    value: Any
    error: Any = None


@dataclass
class Result:
    """The values of each model and metric, for all rows and for each group."""

    comparison: Comparison
    whole: dict[str, dict[str, Cell]]
    labels: list[Any] = field(default_factory=list)
    groups: list[dict[str, dict[str, Cell]]] = field(default_factory=list)

    def best(self, metric: str, cells: dict[str, dict[str, Cell]] | None = None) -> list[str]:
        """Return the best models; none if fewer than two models are compared."""
        found = self.comparison.metrics[metric]
        rows = cells or self.whole
        values = {model: row[metric].value for model, row in rows.items()}
        numbers = {m: float(v) for m, v in values.items() if np.ndim(v) == 0 and v == v}
        if len(values) < 2 or not numbers:
            return []
        if signed(found):
            numbers = {model: abs(value) for model, value in numbers.items()}
        top = (max if found.greater_is_better else min)(numbers.values())
        return [model for model, value in numbers.items() if value == top]

    def notes(self) -> Iterator[str]:
        """Yield notes about nan values and memory."""
        for name, metric in self.comparison.metrics.items():
            for model, row in self.whole.items():
                value = row[name].value
                if not np.ndim(value) and value != value:
                    domain = metric.domain
                    where = ""
                    if domain.bounded:
                        where = (
                            f": predictions must be {domain.predictions}, targets {domain.targets}"
                        )
                    yield f"{name} of {model} is nan{where} (isoloss show {name.partition(':')[0]})"
            if metric.kind == "sorted whole":
                yield f"{name} sorts all rows, so it held them in memory"

    def as_dict(self) -> dict[str, Any]:
        """Return a dict for JSON; numbers that are not finite are None."""
        comparison = self.comparison
        metrics = comparison.metrics
        found: dict[str, Any] = {
            "file": str(comparison.table.path),
            "rows": comparison.kept,
            "dropped": comparison.dropped,
            "metrics": {
                name: {"call": repr(metric), "greater_is_better": metric.greater_is_better}
                for name, metric in metrics.items()
            },
            "models": _stored(self.whole),
            "best": {name: self.best(name) for name in metrics},
        }
        if comparison.group:
            found["group"] = comparison.group
            found["groups"] = {
                str(label): _stored(cells)
                for label, cells in zip(self.labels, self.groups, strict=True)
            }
        return found


def _stored(cells: dict[str, dict[str, Cell]]) -> dict[str, Any]:
    return {
        model: {
            name: {"value": _finite(cell.value)}
            | ({} if cell.error is None else {"standard_error": _finite(cell.error)})
            for name, cell in row.items()
        }
        for model, row in cells.items()
    }


def _finite(x: Any) -> Any:
    if np.ndim(x):
        return [_finite(one) for one in x]
    return float(x) if math.isfinite(x) else None


def labels_in(comparison: Comparison, shown: Shown, also: Any = None) -> list[Any]:
    """Return the labels of the groups from a first pass; ``also`` receives its rows."""
    found: set[Any] = set()
    for rows in comparison.batches(lambda share: shown("looking", share)):
        if rows.group is not None:
            found |= {rows.group.labels[code] for code in np.unique(rows.group.values)}
        if len(found) > GROUPS:
            raise InputError(
                f"{comparison.table.path}: column {comparison.group!r} has more than {GROUPS} "
                "different labels: --group is for a column of a few"
            )
        if also is not None:
            also.add(rows)
    try:
        return sorted(found, key=float)
    except (TypeError, ValueError):
        return sorted(found, key=str)


def compared(comparison: Comparison, shown: Shown, labels: list[Any], also: Any = None) -> Result:
    """Return the values of all models from one pass; ``also`` receives its rows."""
    streams = {m: _Streams(comparison.metrics, len(labels)) for m in comparison.predictions}
    codes = {label: code for code, label in enumerate(labels)}
    for rows in comparison.batches(lambda share: shown("evaluating", share)):
        numbers = None
        if rows.group is not None:
            lookup = np.array([codes.get(label, -1) for label in rows.group.labels])
            numbers = lookup[rows.group.values]
        for model, stream in streams.items():
            stream.add(rows, model, numbers)
        if also is not None:
            also.add(rows)
    result = Result(comparison, {}, labels, [{} for _ in labels])
    for model, stream in streams.items():
        result.whole[model], parts = stream.cells()
        for cells, part in zip(result.groups, parts, strict=True):
            cells[model] = part
    return result


class _Streams:
    """The accumulators of one model, one for each kind of input and output."""

    def __init__(self, metrics: dict[str, Metric], groups: int) -> None:
        self._metrics, self._groups = metrics, groups
        alike: dict[tuple[bool, Labelled], dict[str, Metric]] = {}
        for name, metric in metrics.items():
            alike.setdefault((has_error(metric), labelled(metric)), {})[name] = metric
        self._streams = [
            (integers, number, Accumulator(some, standard_error=error, num_groups=number))
            for (error, integers), some in alike.items()
            for number in ((None, groups) if groups else (None,))
        ]

    def add(self, rows: Rows, model: str, numbers: np.ndarray | None) -> None:
        """Add rows with their group numbers."""
        for (p, t), groups, stream in self._streams:
            predictions = rows.integers(model) if p else rows.columns[model].values
            targets = rows.integers(rows.target) if t else rows.targets
            number = None if groups is None else numbers
            try:
                stream.update(predictions, targets, weights=rows.weights, groups=number)
            except (TypeError, ValueError) as error:
                raise InputError(f"column {model!r}: {error}") from error

    def cells(self) -> tuple[dict[str, Cell], list[dict[str, Cell]]]:
        """Return the values of all rows and of each group."""
        whole: dict[str, Cell] = {}
        parts: list[dict[str, Cell]] = [{} for _ in range(self._groups)]
        for _, groups, stream in self._streams:
            for name, value in stream.compute().items():
                pair = value if isinstance(value, Estimate) else (value, None)
                if groups is None:
                    whole[name] = Cell(*pair)
                for code in range(groups or 0):
                    parts[code][name] = Cell(*(None if x is None else x[code] for x in pair))
        order = list(self._metrics)
        return _ordered(whole, order), [_ordered(part, order) for part in parts]


def _ordered(cells: dict[str, Cell], names: list[str]) -> dict[str, Cell]:
    return {name: cells[name] for name in names}
