"""The reference values of `conformance/expected`, as arrays of a library."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import isoloss as il

from .backends import Backend
from .drawing import of_items

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


def cases(
    backend: Backend, name: str
) -> Iterator[tuple[dict[str, Any], il.Metric, Any, Any, dict[str, Any]]]:
    """Yield every stored case that the library can hold, as its arrays."""
    for record in RECORDS[name]:
        dtype = record["dtype"]
        floating = "float" in dtype
        if (floating and dtype not in backend.dtypes) or (dtype == "int64" and not backend.float64):
            continue
        if backend.compiles and varied(record) and floating and dtype != backend.widest:
            continue  # computed in the widest, as that is; each costs two compilations
        default = getattr(il, name)
        kind = default if isinstance(default, type) else type(default)
        parameters = number_parameters(record)
        metric = kind(**parameters) if parameters else default
        options = {}
        if record["weights"] is not None:
            options["weights"] = backend.array(number(record["weights"]), backend.widest)
        p = given(backend, record["predictions"], dtype, metric.prediction_names)
        t = given(backend, record["targets"], dtype, metric.target_names)
        # one alone is called as it is on every library
        if record["case"] != "typical" or varied(record):
            p, t, options = backend.padded(p, t, options)
            if "where" in options:
                options["where"] = of_items(metric, options["where"])
        yield record, metric, p, t, options


def given(backend: Backend, samples: Any, dtype: str, names: tuple[str, ...]) -> Any:
    """Return stored samples as an array, or a tuple of arrays; labels are integers."""
    if names:
        return tuple(given(backend, member, dtype, ()) for member in zip(*samples, strict=True))
    samples = list(samples)
    labels = "float" in dtype and all(isinstance(leaf, int) for leaf in flat(samples))
    return backend.array(number(samples), "int32" if labels else dtype)


def each_sample(backend: Backend, found: Any, count: int) -> list[float]:
    """Return the numbers of an array, or of a tuple of arrays, sample by sample."""
    if isinstance(found, tuple):
        rows = zip(*(backend.numbers(one)[:count] for one in found), strict=True)
        return flat([list(row) for row in rows])
    return flat(backend.numbers(found)[:count])
