"""Calibration at high precision: by means of each bin, and by the intervals that samples take up."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from typing import Any

from mpmath import mp, mpf

from .arithmetic import xlogy
from .definition import Samples, Special, Whole, of_samples
from .rounding import FLOATS, WIDE

Numbers = list[mpf]
Events = list[tuple[mpf, mpf, mpf]]  # a probability, 1 if it came true, the weight
MARGIN = mpf(1) / 500


# --- what a probability is of ---------------------------------------------------------------------------


def answers(p: list[Numbers], y: list[int], w: Numbers) -> list[Events]:
    """The largest probability of each sample: whether its class is right."""
    chosen = [(max(row), row.index(max(row))) for row in p]
    return [[(a, mpf(k == t), v) for (a, k), t, v in zip(chosen, y, w, strict=True)]]


def classes(p: list[Numbers], y: list[int], w: Numbers) -> list[Events]:
    """Every probability of each sample, class by class."""
    size = range(len(p[0]))
    return [[(row[k], mpf(k == t), v) for row, t, v in zip(p, y, w, strict=True)] for k in size]


def ones(p: Numbers, y: list[int], w: Numbers) -> list[Events]:
    """The probability of the label 1."""
    return [[(a, mpf(t), v) for a, t, v in zip(p, y, w, strict=True)]]


# --- bins of equal widths ---------------------------------------------------------------------------------


def in_bins(events: Events, bins: int) -> list[Events]:
    """The events of each bin that has any: the one below, of an edge."""
    found: dict[int, Events] = {}
    for event in events:
        found.setdefault(max(int(mp.ceil(event[0] * bins)), 1), []).append(event)
    return [found[k] for k in sorted(found)]


def means(events: Events) -> tuple[mpf, mpf, mpf]:
    """The weight, the mean probability and the share that came true."""
    n = mp.fsum(v for _, _, v in events)
    return n, mp.fsum(a * v for a, _, v in events) / n, mp.fsum(t * v for _, t, v in events) / n


def error_of_means(events: Events, bins: int, norm: str) -> mpf:
    """Naeini et al. (2015)."""
    found = [means(part) for part in in_bins(events, bins)]
    n = mp.fsum(m for m, _, _ in found)
    if norm == "max":
        return max(abs(acc - conf) for _, conf, acc in found)
    power = 2 if norm == "l2" else 1
    return mp.fsum(m / n * abs(acc - conf) ** power for m, conf, acc in found) ** (mpf(1) / power)


def error_of_sums(events: Events, bins: int, norm: str) -> mpf:
    """The same from sums of what is left of each event, signs and all."""
    parts = in_bins(events, bins)
    sums = [abs(mp.fsum(v * (t - a) for a, t, v in part)) for part in parts]
    weights = [mp.fsum(v for _, _, v in part) for part in parts]
    if norm == "max":
        return max(s / n for s, n in zip(sums, weights, strict=True))
    if norm == "l2":
        return mp.norm([s / mp.sqrt(n) for s, n in zip(sums, weights, strict=True)]) / mp.sqrt(
            mp.fsum(weights)
        )
    return mp.fsum(sums) / mp.fsum(weights)


def error(of: Callable[..., list[Events]], function: Callable[..., mpf]) -> Callable[..., mpf]:
    """The mean error over what probabilities are of."""

    def value(p: Any, y: Any, w: Numbers, *, bins: int = 15, norm: str = "l1") -> mpf:
        found = [function(events, bins, norm) for events in of(p, y, w)]
        return mp.fsum(found) / len(found)

    return value


def diagram(of: Callable[..., list[Events]], running: bool) -> Callable[..., list[Numbers]]:
    """The weight, the mean probability and the share that came true, of every bin."""

    def value(p: Any, y: Any, w: Numbers, *, bins: int = 15) -> list[Numbers]:
        (events,) = of(p, y, w)
        found = []
        for k in range(bins):
            low, high = mpf(k) / bins, mpf(k + 1) / bins
            inside = [e for e in events if low < e[0] <= high or (k == 0 and e[0] == 0)]
            none = mpf(0), mp.nan, mp.nan
            found.append((running_means if running else means)(inside) if inside else none)
        return [list(row) for row in zip(*found, strict=True)]

    return value


def running_means(events: Events) -> tuple[mpf, mpf, mpf]:
    """The same, event by event (Welford, 1962)."""
    n, conf, acc = mpf(0), mpf(0), mpf(0)
    for a, t, v in events:
        n += v
        conf, acc = conf + v / n * (a - conf), acc + v / n * (t - acc)
    return n, conf, acc


def filled(of: Callable[..., list[Events]]) -> Callable[..., bool]:
    """Whether every bin has an event, one that came true among them."""

    def fits(p: Any, y: Any, *, bins: int = 15) -> bool:
        _, confs, accs = diagram(of, False)(p, y, [mpf(1)] * len(y), bins=bins)
        return clear(of)(p, y, bins=bins) and all(mp.isfinite(c) for c in confs) and min(accs) > 0

    return fits


def drawn_diagram(of: Any, draw: Any, *special: Special, bins: int) -> Whole:
    return Whole(diagram(of, False), diagram(of, True), draw, special=special,
                 required={"bins": bins}, labels=True, steps=True, fits=filled(of))  # fmt: skip


# --- bins of equal weights --------------------------------------------------------------------------------


def adaptive_overlaps(events: Events, bins: int, _: str) -> mpf:
    """Each event has an interval of its weight, in order, and each bin what it covers of it."""
    whole, start, parts = mp.fsum(v for _, _, v in events), mpf(0), [mpf(0)] * bins
    for a, t, v in sorted(events):
        for k in range(bins):
            low, high = k * whole / bins, (k + 1) * whole / bins
            parts[k] += max(mpf(0), min(start + v, high) - max(start, low)) * (t - a)
        start += v
    return mp.fsum(map(abs, parts)) / whole


def adaptive_cuts(events: Events, bins: int, _: str) -> mpf:
    """Events are handed out in order, and cut where a bin is full."""
    waiting = sorted(events, reverse=True)
    room = mp.fsum(v for _, _, v in events) / bins
    found = []
    for _bin in range(bins):
        left, total = room, mpf(0)
        while waiting and left > mpf(10) ** -60 * room:
            a, t, v = waiting.pop()
            part = min(v, left)
            total, left = total + part * (t - a), left - part
            if v > part:
                waiting.append((a, t, v - part))
        found.append(abs(total))
    return mp.fsum(found) / (room * bins)


# --- scores taken apart -----------------------------------------------------------------------------------


def divergence(a: mpf, b: mpf) -> mpf:
    """Kullback and Leibler's, of two probabilities of 1."""
    return mpf(0) if a == b else xlogy(a, a / b) + xlogy(1 - a, (1 - a) / (1 - b))


def apart(distance: Callable[[mpf, mpf], mpf], spread: Callable[[mpf], mpf]) -> Callable[..., Any]:
    """Reliability, resolution and uncertainty."""

    def value(p: Numbers, y: list[int], w: Numbers, *, bins: int = 10) -> list[mpf]:
        (events,) = ones(p, y, w)
        n, _, base = means(events)
        found = [means(part) for part in in_bins(events, bins)]
        reliability = mp.fsum(m / n * distance(acc, conf) for m, conf, acc in found)
        return [
            reliability,
            mp.fsum(m / n * distance(acc, base) for m, _, acc in found),
            spread(base),
        ]

    return value


def brier_apart(p: Numbers, y: list[int], w: Numbers, *, bins: int = 10) -> list[mpf]:
    """Resolution is what uncertainty within bins lacks of all of it (Murphy, 1973)."""
    (events,) = ones(p, y, w)
    n, _, base = means(events)
    found = [means(part) for part in in_bins(events, bins)]
    within = mp.fsum(m / n * acc * (1 - acc) for m, _, acc in found)
    gaps = mp.fsum(m * (conf - acc) ** 2 for m, conf, acc in found) / n
    return [gaps, base * (1 - base) - within, base * (1 - base)]


def log_loss_apart(p: Numbers, y: list[int], w: Numbers, *, bins: int = 10) -> list[mpf]:
    """The same of entropies; reliability is a cross-entropy less an entropy."""
    (events,) = ones(p, y, w)
    n, _, base = means(events)
    found = [means(part) for part in in_bins(events, bins)]

    def entropy(a: mpf, b: mpf) -> mpf:
        return -xlogy(a, b) - xlogy(1 - a, 1 - b)

    within = mp.fsum(m / n * entropy(acc, acc) for m, _, acc in found)
    crossed = mp.fsum(m / n * entropy(acc, conf) for m, conf, acc in found)
    return [crossed - within, entropy(base, base) - within, entropy(base, base)]


# --- where to draw ----------------------------------------------------------------------------------------


def rows(rng: random.Random, n: int, _: dict[str, Any]) -> Samples:
    """Rows of three probabilities, and labels that follow them."""
    p, y = [], []
    for _row in range(n):
        parts = [0.05 + rng.random() for _ in range(3)]
        p.append([x / sum(parts) for x in parts])
        y.append(rng.choices(range(3), p[-1])[0])
    return p, y


def single(rng: random.Random, n: int, _: dict[str, Any]) -> Samples:
    p = [rng.uniform(0.02, 0.98) for _ in range(n)]
    return p, [int(rng.random() < x) for x in p]


def clear(of: Callable[..., list[Events]]) -> Callable[..., bool]:
    """Whether no probability is at an edge, and no two that are compared are equal."""

    def fits(p: Any, y: Any, *, bins: int = 15, norm: str = "l1", **_: Any) -> bool:
        chances = [sorted(a for a, _, _ in events) for events in of(p, y, [mpf(1)] * len(y))]
        if of is answers:
            ordered = [sorted(row) for row in p]
            chances += [[row[-2], row[-1]] for row in ordered]
        pairs = [b - a for one in chances for a, b in itertools.pairwise(one)]
        edges = [abs(a * bins - mp.nint(a * bins)) for one in chances for a in one]
        return min(*pairs, *edges) > MARGIN

    return fits


def declared(
    of: Any, draw: Any, one: Any, two: Any, *variants: Any, dtypes: tuple[str, ...] = FLOATS
) -> Whole:
    return Whole(error(of, one), error(of, two), draw, variants, schedule=of_samples(9, 6, dtypes),
                 labels=True, fits=clear(of), limit=12.0)  # fmt: skip


EQUAL = error_of_means, error_of_sums
ADAPTIVE = adaptive_overlaps, adaptive_cuts
NORMS = {"bins": 4, "norm": "l2"}, {"bins": 3, "norm": "max"}
APART = {
    "brier_decomposition": (apart(lambda a, b: (a - b) ** 2, lambda a: a * (1 - a)), brier_apart),
    "log_loss_decomposition": (
        apart(divergence, lambda a: -xlogy(a, a) - xlogy(1 - a, 1 - a)), log_loss_apart
    ),
}  # fmt: skip

DEFINITIONS = {
    "expected_calibration_error": declared(answers, rows, *EQUAL, *NORMS),
    "binary_expected_calibration_error": declared(ones, single, *EQUAL, *NORMS),
    "classwise_calibration_error": declared(classes, rows, *EQUAL, {"bins": 4}),
    "adaptive_calibration_error": declared(
        classes, rows, *ADAPTIVE, {"bins": 4}, {"bins": 1}, dtypes=WIDE
    ),
    "binary_adaptive_calibration_error": declared(ones, single, *ADAPTIVE, {"bins": 4}, {"bins": 1}),
    "ReliabilityDiagram": drawn_diagram(
        answers, rows,
        Special("empty_bin", [[0.75, 0.25, 0.0], [0.125, 0.0, 0.875], [0.5, 0.5, 0.0]], [0, 0, 1]),
        bins=2,
    ),
    "BinaryReliabilityDiagram": drawn_diagram(
        ones, single, Special("empty_bin", [0.0, 0.25, 0.75, 1.0], [0, 1, 1, 1]), bins=3,
    ),
    **{
        name: Whole(*forms, single, variants=({"bins": 3},), labels=True, fits=clear(ones), limit=limit)
        for (name, forms), limit in zip(APART.items(), (0.25, 1.0), strict=True)
    },
}  # fmt: skip
