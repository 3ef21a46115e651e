"""The cross-entropy of a linear layer against 50-digit numbers: value and all gradients.

The layer's products are the library's own, in the dtype of what is multiplied, so that a float32
value has the error of float32 logits, however it is summed.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

from mpmath import mp, mpf

import isoloss as il
from conformance.kit.backends import Backend
from conformance.kit.comparison import distance, ulp

Matrix = list[list[mpf]]
TOKENS, FEATURES, CLASSES = 9, 4, 5
LIMIT = {"float32": 8.0, "float64": 16.0}
OPTIONS: list[dict[str, Any]] = [
    {"label_smoothing": 0.0, "z_loss": 0.0, "chunk": None},
    {"label_smoothing": 0.125, "z_loss": 0.25, "chunk": None},
    {"label_smoothing": 0.125, "z_loss": 0.25, "chunk": 4},
]


class Layer(NamedTuple):
    """What goes into the loss, as numbers that float32 holds."""

    hidden: list[list[float]]
    weight: list[list[float]]
    bias: list[float]
    targets: list[int]
    weights: list[float]


def drawn() -> Layer:
    """Logits of size 1 to 3, and one token that weighs nothing."""
    rng = random.Random("a layer")
    number = lambda: rng.randrange(-(2**20), 2**20) / 2**19  # noqa: E731
    hidden, weight = (
        [[number() for _ in range(FEATURES)] for _ in range(rows)] for rows in (TOKENS, CLASSES)
    )
    weights = [0.5 + rng.randrange(2**20) / 2**20 for _ in range(TOKENS)]
    weights[3] = 0.0
    targets = [rng.randrange(CLASSES) for _ in range(TOKENS)]
    return Layer(hidden, weight, [number() for _ in range(CLASSES)], targets, weights)


def loss(hidden: Matrix, weight: Matrix, bias: list[mpf], layer: Layer, options: Any) -> mpf:
    """The weighted mean of what each token has by the definition."""
    smoothing, z_loss = mpf(options["label_smoothing"]), mpf(options["z_loss"])
    total = mpf(0)
    for row, label, factor in zip(hidden, layer.targets, layer.weights, strict=True):
        z = [mp.fdot(row, w) + b for w, b in zip(weight, bias, strict=True)]
        whole = mp.log(mp.fsum(map(mp.exp, z)))
        answer = (1 - smoothing) * z[label] + smoothing * mp.fsum(z) / CLASSES
        total += mpf(factor) * (whole - answer + z_loss * whole**2)
    return total / mp.fsum(layer.weights)


def exact(layer: Layer, options: dict[str, Any]) -> list[Any]:
    """The value and the gradients by hidden, weight and bias, by central differences."""
    with mp.workdps(90):
        parts = [[[mpf(x) for x in row] for row in m] for m in (layer.hidden, layer.weight)]
        parts.append([[mpf(x) for x in layer.bias]])
        step = mpf(10) ** -30

        def moved(place: tuple[int, int, int], by: mpf) -> mpf:
            made = [[list(row) for row in part] for part in parts]
            made[place[0]][place[1]][place[2]] += by
            return loss(made[0], made[1], made[2][0], layer, options)

        slopes = [
            [(moved((k, i, j), step) - moved((k, i, j), -step)) / (2 * step)
             for i, row in enumerate(part) for j in range(len(row))]
            for k, part in enumerate(parts)
        ]  # fmt: skip
        return [loss(parts[0], parts[1], parts[2][0], layer, options), *slopes]


def test_value_and_gradients(backend: Backend, record_property: Callable[..., None]) -> None:
    """Chunks or not, smoothed or not, by a call and by value_and_gradient, in each dtype."""
    layer, worst = drawn(), dict[str, float]()
    for options in OPTIONS:
        value, *slopes = exact(layer, options)
        metric = il.LinearCrossEntropy(**options)
        for dtype in [name for name in LIMIT if name in backend.dtypes]:
            hidden, weight, bias, weights = (
                backend.array(x, dtype)
                for x in (layer.hidden, layer.weight, layer.bias, layer.weights)
            )
            targets = backend.array(layer.targets, "int32")
            named = {"bias": bias, "weights": weights}
            alone = metric(hidden, weight, targets, **named)
            beside, found = metric.value_and_gradient(hidden, weight, targets, **named)
            errors = {
                "value": [distance(float(x), mp.nstr(value, 40), dtype) for x in (alone, beside)],
                "gradient": [],
            }
            for slope, want in zip(found, slopes, strict=True):
                assert backend.dtype(slope) == dtype
                unit = ulp(Fraction(float(max(map(abs, want)))), dtype)
                errors["gradient"] += [
                    float(abs(Fraction(x) - Fraction(mp.nstr(w, 40))) / unit)
                    for x, w in zip(flat(backend, slope), want, strict=True)
                ]
            for aspect, each in errors.items():
                key = f"{aspect} {dtype}"
                worst[key] = max(worst.get(key, 0.0), *each)
    for key, error in worst.items():
        record_property("ulp", (backend.label, "linear_cross_entropy", key, error, len(OPTIONS)))
    assert all(error <= LIMIT[key.split()[1]] for key, error in worst.items()), worst


def flat(backend: Backend, array: Any) -> list[float]:
    """The numbers of a matrix or a vector, row by row."""
    numbers = backend.numbers(array)
    return list(itertools.chain(*numbers)) if isinstance(numbers[0], list) else numbers
