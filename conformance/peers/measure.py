"""Run one library over the cases: ``python -m conformance.peers.measure PEER [FILE.json]``.

Every answer gets one of the words that docs/scoreboard.md defines; several calls in one situation
are one check, which is as good as the worst of them.
"""

from __future__ import annotations

import importlib
import inspect
import json
import math
import sys
import warnings
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import isoloss as il
from conformance.kit.comparison import distance, ulp
from conformance.kit.records import each_sample, flat, given

from .cases import UNDEFINED, Case, cases
from .peer import Function, NotOffered, Peer

PEERS = {
    "isoloss_numpy": "isoloss_itself", "isoloss_jax": "isoloss_itself", "isoloss_torch": "isoloss_itself",
    "torch_functional": "torch_functional", "torchmetrics": "torchmetrics_functional",
    "optax": "optax_losses", "keras_jax": "keras_losses", "keras_torch": "keras_losses",
    "scikit_learn": "scikit_learn",
}  # fmt: skip
"""The adapter of each row; one of several rows is told which by the part behind the underscore."""

LIMITS = {"float16": 8.0, "bfloat16": 8.0}  # 0.4 to 0.8 % of float16, 3 to 6 % of bfloat16
LIMIT = 64.0  # of float32, 4e-6 to 8e-6

RIGHT, REFUSES, WRONG, SILENT = "right", "refuses", "wrong", "silent"
SEVERITY = (RIGHT, REFUSES, WRONG, SILENT)


class Answer(NamedTuple):
    """What a call gave: numbers, or the name of an error, and whether it warned."""

    numbers: list[float] | None
    error: str | None = None
    warned: bool = False


class Verdict(NamedTuple):
    word: str
    got: str
    right: str
    ulps: float = 0.0


def answer(call: Callable[[], Any]) -> Answer | None:
    """Return what a call gives; None where the library has no such thing."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found = call()
        except NotOffered:
            return None
        except Exception as error:
            return Answer(None, type(error).__name__)
    loud = [w for w in caught if issubclass(w.category, (UserWarning, RuntimeWarning))]
    return None if found is None else Answer([float(x) for x in found], None, bool(loud))


def judge(found: Answer, case: Case) -> Verdict:
    """Compare an answer with what is right."""
    undefined, got = case.right == UNDEFINED, found.numbers
    accepted = "an error or nan" if undefined else "an error, or " * (case.family == "shapes")
    if got is None:
        right = accepted if undefined else accepted + shown(case.right)
        return Verdict(RIGHT if accepted else REFUSES, str(found.error), right)
    if undefined:
        nothing = not got or not all(map(math.isfinite, got))
        return Verdict(RIGHT if nothing else SILENT, shown(got), accepted)
    loud = found.warned or not all(map(math.isfinite, got))
    word = WRONG if loud else SILENT
    if len(got) != len(case.right):
        return Verdict(word, f"{len(got)} numbers", f"{len(case.right)}")
    dtype = case.dtype if "float" in case.dtype else "float32"
    errors = errors_of(got, case, dtype)
    worst = max(range(len(got)), key=errors.__getitem__)
    limit = LIMITS.get(dtype, LIMIT) * case.condition
    if errors[worst] <= limit:
        word = RIGHT
    pair = [got[worst]], [case.right[worst]]
    alike = word != RIGHT and shown(pair[0]) == shown(pair[1])
    texts = [shown(one, 6 if alike else 3) for one in pair]
    return Verdict(word, texts[0], accepted + texts[1], errors[worst] / limit)


def errors_of(got: list[float], case: Case, dtype: str) -> list[float]:
    """Return the errors in ULP: of the number, the largest of its gradient, or of the inputs up to 1."""
    numbers = [abs(float(text)) for text in case.right if math.isfinite(float(text))]
    inputs = [abs(x) for x in (*flat(case.predictions), *flat(case.targets)) if math.isfinite(x)]
    largest = max([*numbers, min(1.0, max(inputs, default=1.0))])
    unit = ulp(Fraction(largest), dtype)
    errors = []
    for one, text in zip(got, case.right, strict=True):
        error, exact = distance(one, text, dtype, flushes=True), float(text)
        if math.isfinite(one) and math.isfinite(exact):
            error = min(error, float(min(abs(Fraction(one) - Fraction(exact)) / unit, 10**300)))
        errors.append(error)
    return errors


def shown(numbers: Any, digits: int = 3) -> str:
    """Return a few numbers in a few digits, which every machine prints alike."""
    texts = [f"{float(x):.{digits}g}".replace("e-0", "e-").replace("e+0", "e") for x in numbers[:3]]
    return ", ".join(texts) + ", ..." * (len(numbers) > 3)


def takes(function: Function, case: Case) -> bool:
    """Whether the function has the options of a case."""
    options = dict.fromkeys(case.parameters)
    if case.weights is not None and case.family != "streaming":
        options["weights"] = None
    try:
        inspect.signature(function).bind(None, None, **options)
    except TypeError:
        return False
    return True


class Asked:
    """A case as a library's own arrays."""

    def __init__(self, peer: Peer, case: Case, function: Function, names: Any) -> None:
        self.peer, self.case, self.function, self.names = peer, case, function, names
        self.options = dict(case.parameters)
        if case.weights is not None and case.family != "streaming":
            dtype = case.dtype if "float" in case.dtype else "float32"
            self.options["weights"] = peer.backend.array(case.weights, dtype)

    def arrays(self, predictions: Any, targets: Any) -> tuple[Any, Any]:
        array, dtype = self.peer.backend.array, self.case.dtype
        return given(array, predictions, dtype, self.names[0]), given(
            array, targets, dtype, self.names[1]
        )

    def call(self, p: Any, t: Any) -> Any:
        return self.function(p, t, **self.options)

    def numbers(self, value: Any) -> list[float]:
        if isinstance(value, (list, tuple)):
            return [x for one in value for x in self.numbers(one)]
        if isinstance(value, (int, float)):
            return [float(value)]
        return flat([self.peer.backend.numbers(value)])

    def run(self, way: str) -> Any:
        fixed = [(name, hashable(x)) for name, x in self.case.parameters.items()]
        arrays = [*self.arrays(self.case.predictions, self.case.targets)]
        if "weights" in self.options:
            arrays.append(self.options["weights"])
        return self.peer.program(way, self.function, *fixed)(*arrays)

    def value(self) -> Any:
        return self.numbers(self.run("value"))

    def slopes(self) -> Any:
        found = self.run("slopes")
        return (
            None if found is None else each_sample(self.peer.backend, found, len(self.case.targets))
        )

    def bends(self) -> Any:
        found = self.run("bends")
        return None if found is None else self.numbers(found)

    def shapes(self) -> Any:
        p, t = self.arrays(self.case.predictions, [[one] for one in self.case.targets])
        return self.numbers(self.call(p, t))

    def empty(self) -> Any:
        if self.case.name != "no samples":
            return self.value()
        p, t = self.arrays(self.case.predictions, self.case.targets)
        none = lambda x: tuple(one[:0] for one in x) if isinstance(x, tuple) else x[:0]  # noqa: E731
        return self.numbers(self.call(none(p), none(t)))

    def streamed(self) -> Any:
        case = self.case
        p, t, w = case.predictions, case.targets, case.weights
        if case.name == "two batches":
            cut = 2 * len(p) // 3
            p, t = ([x[:cut], x[cut:]] for x in (p, t))
        batches = [self.arrays(*pair) for pair in zip(p, t, strict=True)]
        if w is not None:
            weights = (self.peer.backend.array(one, "float32") for one in w)
            batches = [(*pair, one) for pair, one in zip(batches, weights, strict=True)]
        return self.numbers(self.function(batches, **self.options))

    def compiled(self) -> Any:
        p, t = self.arrays(self.case.predictions, self.case.targets)
        if self.case.metric == "compiled_by_jax":
            return self.numbers(self.call(p, t))
        if self.peer.array_library == "numpy":
            return None
        members = p if isinstance(p, tuple) else (p,)
        others = t if isinstance(t, tuple) else (t,)

        def call(*arrays: Any) -> Any:
            parts = arrays[: len(members)], arrays[len(members) :]
            given = [
                x if isinstance(whole, tuple) else x[0]
                for x, whole in zip(parts, (p, t), strict=True)
            ]
            return self.call(*given)

        way = self.peer.mapped if self.case.name == "vmap" else self.peer.compiled
        return self.numbers(way(call, *members, *others))


def hashable(x: Any) -> Any:
    return tuple(x) if isinstance(x, list) else x


def names_of(metric: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    default = getattr(il, metric, None)
    return (default.prediction_names, default.target_names) if default is not None else ((), ())


WAYS = {
    "gradients": Asked.slopes, "kinks": Asked.slopes, "second derivatives": Asked.bends,
    "shapes": Asked.shapes, "empty": Asked.empty, "streaming": Asked.streamed,
    "compiled": Asked.compiled,
}  # fmt: skip


def checks(peer: Peer) -> dict[str, dict[str, Any]]:
    """Return the verdict of every check that applies, by "family / metric / situation"."""
    found: dict[str, Verdict] = {}
    for key in dict.fromkeys([*peer.metrics, *peer.streamed]):
        for case in cases(key.partition(":")[0]):
            functions = peer.streamed if case.family == "streaming" else peer.metrics
            if case.family == "shapes":
                functions = {**peer.metrics, **peer.unshaped}
            if key not in functions or not takes(functions[key], case):
                continue
            if case.family in (
                "gradients",
                "kinks",
                "second derivatives",
            ) and not can_differentiate(peer):
                continue
            asked = Asked(peer, case, functions[key], names_of(case.metric))
            if (
                case.family == "half precision"
                and peer.array_library == "jax"
                and case.dtype != "float16"
            ):
                continue  # a program for each dtype takes long
            if (
                case.dtype in ("int8", "int32")
                and peer.array_library == "jax"
                and case.family == "integers"
            ):
                continue
            if case.dtype not in (*peer.backend.dtypes, *INTEGERS):
                continue
            got = answer(lambda: WAYS.get(case.family, Asked.value)(asked))  # noqa: B023
            if got is None:
                continue
            verdict = judge(got, case)
            if (
                case.family in ("gradients", "kinks")
                and verdict.word == SILENT
                and between(asked, got.numbers)
            ):
                verdict = verdict._replace(word=RIGHT, ulps=0.0)
            name = f"{case.family} / {key} / {case.name}"
            found[name] = max(
                (found.get(name, verdict), verdict), key=lambda v: (SEVERITY.index(v.word), v.ulps)
            )
    return {name: verdict._asdict() for name, verdict in found.items()}


def can_differentiate(peer: Peer) -> bool:
    return peer.array_library != "numpy" or peer.differentiate is not None


INTEGERS = ("uint8", "int8", "int32")
STEP, SLACK = 2.0**-6, 0.05


def between(asked: Asked, got: Any) -> bool:
    """Whether a gradient lies between the slopes on both sides of a kink, by the library's own values.

    Any such number is a subgradient, and which one is a convention.
    """
    case, ends = asked.case, []
    for place in range(len(flat(case.predictions))):
        moved = [shifted(case.predictions, place, step) for step in (-STEP, 0.0, STEP)]
        values = [answer(case_value(asked, p)) for p in moved]
        if not all(one and one.numbers for one in values):
            return False
        low, mid, high = (one.numbers[0] for one in values)
        ends.append(((mid - low) / STEP, (high - mid) / STEP))
    slack = SLACK * max(abs(x) for pair in ends for x in pair)
    return all(min(e) - slack <= g <= max(e) + slack for e, g in zip(ends, got, strict=True))


def case_value(asked: Asked, predictions: Any) -> Callable[[], Any]:
    targets = asked.case.targets
    return lambda: asked.numbers(asked.call(*asked.arrays(predictions, targets)))


def shifted(nested: Any, place: int, step: float) -> Any:
    """Return nested lists with one of their leaves moved."""
    leaves = iter(range(len(flat(nested))))

    def copy(one: Any) -> Any:
        if isinstance(one, list):
            return [copy(inner) for inner in one]
        return one + step if next(leaves) == place else one

    return copy(nested)


def main(name: str, path: str | None = None) -> None:
    peer: Peer = importlib.import_module(f"{__package__}.{PEERS[name]}").peer(
        *name.split("_")[1:][: "isoloss" in name or "keras" in name]
    )
    result = {"title": peer.title, "versions": peer.versions, "checks": checks(peer)}
    text = json.dumps(result, indent=1, default=str)
    print(text) if path is None else Path(path).write_text(text + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
