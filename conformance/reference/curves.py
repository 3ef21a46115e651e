"""Areas under curves, and correlations of ranks, at high precision: by pairs, and by curves."""

from __future__ import annotations

import itertools
import random
from typing import Any

from mpmath import mp, mpf

from .definition import Samples, Whole, of_samples
from .drawing import normal

Numbers = list[mpf]


def auc_pairs(p: Numbers, y: Numbers, w: Numbers) -> mpf:
    """Hanley and McNeil (1982): how often a positive's score is above a negative's; ties half."""
    samples = list(zip(p, y, w, strict=True))
    above = below = mpf(0)
    for (a, s, u), (b, t, v) in itertools.product(samples, samples):
        if (s, t) == (1, 0):
            above += u * v * (mpf(a > b) + mpf(a == b) / 2)
            below += u * v
    return above / below if below else mp.nan


def rates(p: Numbers, y: Numbers, w: Numbers) -> list[tuple[mpf, mpf]]:
    """The weights of true and of false positives, down to each different score."""
    found = [(mpf(0), mpf(0))]
    for threshold in sorted(set(p), reverse=True):
        passed = [(t, v) for a, t, v in zip(p, y, w, strict=True) if a >= threshold]
        found.append(tuple(mp.fsum(v for t, v in passed if t == label) for label in (1, 0)))
    return found


def auc_trapezoids(p: Numbers, y: Numbers, w: Numbers) -> mpf:
    """The area under the curve of both rates."""
    points = rates(p, y, w)
    positives, negatives = points[-1]
    steps = itertools.pairwise(points)
    area = mp.fsum((d - b) * (a + c) / 2 for (a, b), (c, d) in steps)
    return area / (positives * negatives) if positives * negatives else mp.nan


def precision_steps(p: Numbers, y: Numbers, w: Numbers) -> mpf:
    """Buckley and Voorhees (2000): precision at each step of recall."""
    points = rates(p, y, w)
    steps = itertools.pairwise(points)
    found = mp.fsum((c - a) * c / (c + d) for (a, _), (c, d) in steps if c + d)
    return found / points[-1][0] if points[-1][0] else mp.nan


def precision_samples(p: Numbers, y: Numbers, w: Numbers) -> mpf:
    """The mean, over the positives, of the precision down to their score."""
    samples = list(zip(p, y, w, strict=True))
    positive = [(a, v) for a, t, v in samples if t == 1]

    def precision(score: mpf) -> mpf:
        passed = [(t, v) for a, t, v in samples if a >= score]
        return mp.fsum(v for t, v in passed if t == 1) / mp.fsum(v for _, v in passed)

    whole = mp.fsum(v for _, v in positive)
    return mp.fsum(v * precision(a) for a, v in positive) / whole if positive else mp.nan


def binned(value: Any) -> Any:
    """The same, of scores that are equal between thresholds."""

    def found(p: Numbers, y: Numbers, w: Numbers, *, thresholds: Any) -> mpf:
        return value([mpf(sum(x >= edge for edge in thresholds)) for x in p], y, w)

    return found


# --- correlations of ranks ----------------------------------------------------------------------------


def ranks(x: Numbers, w: Numbers) -> Numbers:
    """The weight of smaller numbers and half of that of equal ones."""
    pairs = list(zip(x, w, strict=True))
    return [mp.fsum(v * (mpf(b < a) + mpf(b == a) / 2) for b, v in pairs) for a in x]


def spearman(p: Numbers, y: Numbers, w: Numbers) -> mpf:
    """Pearson's correlation of the ranks."""
    n = mp.fsum(w)

    def centred(x: Numbers) -> Numbers:
        found = ranks(x, w)
        mean = mp.fdot(w, found) / n
        return [r - mean for r in found]

    a, b = centred(p), centred(y)
    aa, ab, bb = (mp.fsum(k * i * j for k, i, j in zip(w, u, v, strict=True))
                  for u, v in ((a, a), (a, b), (b, b)))  # fmt: skip
    return ab / mp.sqrt(aa * bb) if aa * bb else mp.nan


def spearman_differences(p: Numbers, y: Numbers, w: Numbers) -> mpf:
    """Covariances as sums over pairs of samples, of products of differences of ranks."""
    a, b = ranks(p, w), ranks(y, w)

    def covariance(u: Numbers, v: Numbers) -> mpf:
        pairs = itertools.product(zip(u, v, w, strict=True), repeat=2)
        return mp.fsum(k * m * (i - f) * (j - g) for (i, j, k), (f, g, m) in pairs)

    below = covariance(a, a) * covariance(b, b)
    return covariance(a, b) / mp.sqrt(below) if below else mp.nan


def kendall(p: Numbers, y: Numbers, w: Numbers) -> mpf:
    """Kendall (1945), tau-b."""
    samples = list(zip(p, y, w, strict=True))
    pairs = list(itertools.combinations(samples, 2))
    above = mp.fsum(u * v * mp.sign(a - c) * mp.sign(b - d) for (a, b, u), (c, d, v) in pairs)
    unlike = [mp.fsum(one[2] * two[2] for one, two in pairs if one[k] != two[k]) for k in (0, 1)]
    return above / mp.sqrt(unlike[0] * unlike[1]) if unlike[0] * unlike[1] else mp.nan


def kendall_counts(p: Numbers, y: Numbers, w: Numbers) -> mpf:
    """Concordant and discordant pairs; those tied are all less what is tied in one variable."""
    samples = list(zip(p, y, w, strict=True))
    pairs = list(itertools.combinations(samples, 2))
    both = [(u * v, (a - c) * (b - d)) for (a, b, u), (c, d, v) in pairs]
    concordant = mp.fsum(weight for weight, side in both if side > 0)
    discordant = mp.fsum(weight for weight, side in both if side < 0)
    whole = (mp.fsum(w) ** 2 - mp.fsum(v**2 for v in w)) / 2

    def tied(x: Numbers) -> mpf:
        groups = ([v for a, v in zip(x, w, strict=True) if a == level] for level in set(x))
        return mp.fsum((mp.fsum(g) ** 2 - mp.fsum(v**2 for v in g)) / 2 for g in groups)

    below = (whole - tied(p)) * (whole - tied(y))
    return (concordant - discordant) / mp.sqrt(below) if below else mp.nan


# --- where to draw --------------------------------------------------------------------------------------


def labelled(rng: random.Random, n: int, _: dict[str, Any]) -> Samples:
    """Scores, some of them equal, and labels."""
    y = [int(rng.random() < 0.5) for _ in range(n)]
    scores = [b + 2 * normal(rng) for b in y]
    return [round(s) if rng.random() < 0.4 else s for s in scores], y


def related(rng: random.Random, n: int, _: dict[str, Any]) -> Samples:
    y = [round(4 * normal(rng)) / 2 for _ in range(n)]
    return [b + round(2 * normal(rng)) for b in y], y


SCHEDULE = of_samples(16, 11)
EDGES = {"thresholds": (-1.0, 0.0, 0.5, 2.0)}


def of_labels(value: Any, other: Any, **named: Any) -> Whole:
    return Whole(value, other, labelled, labels=True, steps=True, schedule=SCHEDULE, **named)


DEFINITIONS = {
    "roc_auc_score": of_labels(auc_pairs, auc_trapezoids),
    "average_precision_score": of_labels(precision_steps, precision_samples),
    "BinnedROCAUC": of_labels(binned(auc_pairs), binned(auc_trapezoids), required=EDGES),
    "BinnedAveragePrecision": of_labels(
        binned(precision_steps), binned(precision_samples), required=EDGES
    ),
    "spearman": Whole(spearman, spearman_differences, related, steps=True, schedule=SCHEDULE),
    "kendall_tau_b": Whole(kendall, kendall_counts, related, steps=True, schedule=SCHEDULE),
}
