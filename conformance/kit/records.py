"""The reference values of `conformance/expected`, as arrays of a library."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import isoloss as il

from .trees import Tree

if TYPE_CHECKING:
    from .backends import Backend

RECORDS: dict[str, list[dict[str, Any]]] = defaultdict(list)
for _family in sorted((Path(__file__).parents[1] / "expected").glob("*.json")):
    for _record in json.loads(_family.read_text()):
        RECORDS[_record["metric"]].append(_record)


def number(text: Any) -> Any:
    """Read the stored numbers: hexadecimal floats, integers, nested lists of them."""
    if isinstance(text, list):
        return [number(one) for one in text]
    return float.fromhex(text) if isinstance(text, str) else text


def flat(nested: Any) -> list[Any]:
    return [leaf for one in nested for leaf in flat(one)] if isinstance(nested, list) else [nested]


def pointwise(metric: Any) -> bool:
    """Whether every sample has a term of its own, of one number."""
    if isinstance(metric, type):  # what has no default is of counts
        return False
    return metric.summable and not metric.core[0] and not metric.prediction_names


def several(arrays: Any) -> tuple[Any, ...]:
    return arrays if isinstance(arrays, tuple) else (arrays,)


def number_parameters(record: dict[str, Any]) -> dict[str, Any]:
    """Read hyper-parameters: numbers, infinite ones as text, words, and names of metrics."""

    def read(name: str, value: Any) -> Any:
        if name == "metric":
            return getattr(il, value)
        return value if isinstance(value, str) and value.strip("-") != "inf" else number(value)

    return {name: read(name, value) for name, value in record["parameters"].items()}


def varied(record: dict[str, Any]) -> bool:
    """Whether hyper-parameters are others than in the first case, the default ones."""
    return record["parameters"] != RECORDS[record["metric"]][0]["parameters"]


class Case(NamedTuple):
    """A stored case as arrays."""

    record: dict[str, Any]
    metric: il.Metric
    predictions: Tree
    targets: Tree
    options: dict[str, Any]

    @property
    def dtype(self) -> str:
        return self.record["dtype"]

    @property
    def count(self) -> int:
        return len(self.record["targets"])

    @property
    def typical(self) -> bool:
        """Whether it is what users have: ordinary numbers, default parameters."""
        return self.record["case"] == "typical" and not varied(self.record)

    @property
    def differentiated(self) -> bool:
        """Whether there is a gradient: labels have none to differentiate by, nor do several values."""
        return self.record["gradient"] is not None and "float" in self.dtype


def cases(backend: Backend, name: str) -> Iterator[Case]:
    """Yield every stored case that the library can hold."""
    for record in RECORDS[name]:
        dtype = record["dtype"]
        if ("float" in dtype and dtype not in backend.dtypes) or (
            dtype == "int64" and not backend.float64
        ):
            continue
        default = getattr(il, name)
        kind = default if isinstance(default, type) else type(default)
        parameters = number_parameters(record)
        metric = kind(**parameters) if parameters else default
        options = {}
        if record["weights"] is not None:
            options["weights"] = backend.stored(number(record["weights"]), backend.widest)
        p = given(backend.stored, record["predictions"], dtype, metric.prediction_names)
        t = given(backend.stored, record["targets"], dtype, metric.target_names)
        yield Case(record, metric, p, t, options)


def given(
    array: Callable[[Any, str], Any], samples: Any, dtype: str, names: tuple[str, ...]
) -> Tree:
    """Return stored samples as an array, or a tuple of arrays; labels are integers."""
    if names:
        return tuple(given(array, member, dtype, ()) for member in zip(*samples, strict=True))
    samples = list(samples)
    labels = "float" in dtype and all(isinstance(leaf, int) for leaf in flat(samples))
    return array(number(samples), "int32" if labels else dtype)


def each_sample(backend: Backend, found: Any, count: int) -> list[float]:
    """Return the numbers of an array, or of a tuple of arrays, sample by sample."""
    if isinstance(found, tuple):
        rows = zip(*(backend.numbers(one)[:count] for one in found), strict=True)
        return flat([list(row) for row in rows])
    return flat(backend.numbers(found)[:count])
