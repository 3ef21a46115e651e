"""Counts of labels at high precision: by a confusion matrix, and by adding samples up."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from mpmath import mp, mpf

from .definition import Samples, Whole, of_samples
from .drawing import normal

Labels, Numbers = list[Any], list[mpf]
Ratio = Callable[..., tuple[mpf, mpf]]
CLASSES = 3
INTEGERS = ("int32", "int64")

# --- what is divided by what, of true and false positives and negatives -----------------------------

RATIOS: dict[str, Ratio] = {
    "Precision": lambda tp, fp, fn, tn: (tp, tp + fp),
    "Recall": lambda tp, fp, fn, tn: (tp, tp + fn),
    "F1Score": lambda tp, fp, fn, tn: (2 * tp, 2 * tp + fp + fn),
    "FBeta": lambda tp, fp, fn, tn, beta=1.0: (
        (1 + mpf(beta) ** 2) * tp,
        (1 + mpf(beta) ** 2) * tp + fp + mpf(beta) ** 2 * fn,
    ),
    "Specificity": lambda tp, fp, fn, tn: (tn, tn + fp),
    "NegativePredictiveValue": lambda tp, fp, fn, tn: (tn, tn + fn),
    "JaccardScore": lambda tp, fp, fn, tn: (tp, tp + fp + fn),
    "DiceScore": lambda tp, fp, fn, tn: (2 * tp, 2 * tp + fp + fn),
    "Accuracy": lambda tp, fp, fn, tn: (tp + tn, tp + fp + fn + tn),
}


def matrix(p: Labels, y: Labels, w: Numbers, size: int) -> list[Numbers]:
    """The weight of each pair of a target, the row, and a prediction."""
    found = [[mpf(0)] * size for _ in range(size)]
    for a, b, weight in zip(p, y, w, strict=True):
        found[int(b)][int(a)] += weight
    return found


def of_class(m: list[Numbers], c: int) -> tuple[mpf, mpf, mpf, mpf]:
    """True positives, false positives, false negatives, true negatives of a class."""
    tp, row, column = m[c][c], mp.fsum(m[c]), mp.fsum(line[c] for line in m)
    others = range(len(m))
    tn = mp.fsum(m[i][j] for i in others for j in others if c not in (i, j))
    return tp, column - tp, row - tp, tn


def divided(above: mpf, below: mpf) -> mpf:
    """A ratio, 0 / 0 being 0."""
    return above / below if below else mpf(0)


def averaged(ratio: Ratio) -> Callable[..., mpf]:
    """The metric, from the matrix."""

    def value(
        p: Labels, y: Labels, w: Numbers, *, num_classes: int, average: str = "macro", **named: Any
    ) -> mpf:
        m = matrix(p, y, w, num_classes)
        each = [of_class(m, c) for c in range(num_classes)]
        if average == "micro":
            return divided(*ratio(*map(mp.fsum, zip(*each, strict=True)), **named))
        found = [divided(*ratio(*one, **named)) for one in each]
        if average == "weighted":
            support = [mp.fsum(row) for row in m]
            return mp.fdot(support, found) / mp.fsum(support)
        named_ones = [f for f, (tp, fp, fn, _) in zip(found, each, strict=True) if tp + fp + fn]
        return mp.fsum(named_ones) / len(named_ones)

    return value


def by_samples(ratio: Ratio) -> Callable[..., mpf]:
    """The metric, from sums over samples of what each is to each class."""

    def value(
        p: Labels, y: Labels, w: Numbers, *, num_classes: int, average: str = "macro", **named: Any
    ) -> mpf:
        def total(c: int, predicted: bool, true: bool) -> mpf:
            samples = zip(p, y, w, strict=True)
            return mp.fsum(v for a, b, v in samples if (a == c) == predicted and (b == c) == true)

        kinds = ((True, True), (True, False), (False, True), (False, False))
        each = [[total(c, *kind) for kind in kinds] for c in range(num_classes)]
        if average == "micro":
            return divided(*ratio(*(mp.fsum(one[k] for one in each) for k in range(4)), **named))
        classes = [c for c in range(num_classes) if c in p or c in y]
        if average == "weighted":
            shares = [mp.fsum(v for b, v in zip(y, w, strict=True) if b == c) for c in classes]
        else:
            shares = [mpf(1)] * len(classes)
        found = (divided(*ratio(*each[c], **named)) for c in classes)
        return mp.fsum(s * x for s, x in zip(shares, found, strict=True)) / mp.fsum(shares)

    return value


# --- of the whole matrix ------------------------------------------------------------------------------


def balanced_accuracy(p: Labels, y: Labels, w: Numbers, *, num_classes: int) -> mpf:
    """Brodersen et al. (2010): the mean recall of the classes there are."""
    rows = [(row[c], mp.fsum(row)) for c, row in enumerate(matrix(p, y, w, num_classes))]
    recalls = [right / whole for right, whole in rows if whole]
    return mp.fsum(recalls) / len(recalls)


def balanced_by_weights(p: Labels, y: Labels, w: Numbers, *, num_classes: int) -> mpf:
    """The accuracy of samples that weigh the less, the more their class does."""
    whole = {c: mp.fsum(v for b, v in zip(y, w, strict=True) if b == c) for c in set(y)}
    samples = list(zip(p, y, w, strict=True))
    right = mp.fsum(v / whole[b] for a, b, v in samples if a == b)
    return right / mp.fsum(v / whole[b] for _, b, v in samples)


def informedness(p: Labels, y: Labels, w: Numbers, *, num_classes: int) -> mpf:
    """Balanced accuracy, less that of chance."""
    chance = mpf(1) / num_classes
    return (balanced_accuracy(p, y, w, num_classes=num_classes) - chance) / (1 - chance)


def informedness_odds(p: Labels, y: Labels, w: Numbers, *, num_classes: int) -> mpf:
    """The same, written as (C B - 1) / (C - 1)."""
    found = balanced_by_weights(p, y, w, num_classes=num_classes)
    return (num_classes * found - 1) / (num_classes - 1)


def kappa(p: Labels, y: Labels, w: Numbers, *, num_classes: int) -> mpf:
    """Cohen (1960): agreement beyond that of chance."""
    m = matrix(p, y, w, num_classes)
    n = mp.fsum(map(mp.fsum, m))
    rows, columns = [mp.fsum(r) for r in m], [mp.fsum(c) for c in zip(*m, strict=True)]
    seen, chance = mp.fsum(m[c][c] for c in range(num_classes)) / n, mp.fdot(rows, columns) / n**2
    return (seen - chance) / (1 - chance)


def kappa_pairs(p: Labels, y: Labels, w: Numbers, *, num_classes: int) -> mpf:
    """One less disagreement, over that of predictions and targets drawn apart."""
    samples = list(zip(p, y, w, strict=True))
    seen = mp.fsum(v for a, b, v in samples if a != b) * mp.fsum(w)
    chance = mp.fsum(u * v for a, _, u in samples for _, b, v in samples if a != b)
    return 1 - seen / chance


def matthews(p: Labels, y: Labels, w: Numbers, *, num_classes: int) -> mpf:
    """Gorodkin (2004), R_K of the matrix."""
    m = matrix(p, y, w, num_classes)
    n, right = mp.fsum(map(mp.fsum, m)), mp.fsum(m[c][c] for c in range(num_classes))
    t, q = [mp.fsum(r) for r in m], [mp.fsum(c) for c in zip(*m, strict=True)]
    below = mp.sqrt(n**2 - mp.fdot(t, t)) * mp.sqrt(n**2 - mp.fdot(q, q))
    return (n * right - mp.fdot(t, q)) / below


def matthews_covariances(p: Labels, y: Labels, w: Numbers, *, num_classes: int) -> mpf:
    """The correlation of indicators: covariances, added up over the classes."""
    n = mp.fsum(w)

    def covariance(a: Labels, b: Labels) -> mpf:
        parts = []
        for c in range(num_classes):
            u, v = ([mpf(x == c) for x in side] for side in (a, b))
            mu, mv = (mp.fdot(w, x) / n for x in (u, v))
            parts += [k * (i - mu) * (j - mv) for k, i, j in zip(w, u, v, strict=True)]
        return mp.fsum(parts)

    return covariance(p, y) / mp.sqrt(covariance(p, p) * covariance(y, y))


def confusion(
    p: Labels, y: Labels, w: Numbers, *, num_classes: int, normalize: str | None = None
) -> list[Numbers]:
    """Shares of each row, of each column, or of all."""
    m = matrix(p, y, w, num_classes)
    if normalize is None:
        return m
    whole = mp.fsum(map(mp.fsum, m))
    columns = [mp.fsum(c) for c in zip(*m, strict=True)]
    below = {
        "true": lambda i, _: mp.fsum(m[i]), "pred": lambda _, j: columns[j], "all": lambda *_: whole
    }[normalize]  # fmt: skip
    return [[divided(x, below(i, j)) for j, x in enumerate(row)] for i, row in enumerate(m)]


def confusion_by_samples(
    p: Labels, y: Labels, w: Numbers, *, num_classes: int, normalize: str | None = None
) -> list[Numbers]:
    """How much of the weight of what a cell is a share of lies in the cell."""

    def cell(i: int, j: int) -> mpf:
        samples = list(zip(p, y, w, strict=True))
        mine = mp.fsum(v for a, b, v in samples if (a, b) == (j, i))
        counted = {
            None: [], "all": samples, "true": [s for s in samples if s[1] == i],
            "pred": [s for s in samples if s[0] == j],
        }[normalize]  # fmt: skip
        return divided(mine, mp.fsum(v for _, _, v in counted)) if normalize else mine

    return [[cell(i, j) for j in range(num_classes)] for i in range(num_classes)]


# --- of scores of one label ---------------------------------------------------------------------------


def binary(of: Callable[[Ratio], Callable[..., mpf]], ratio: Ratio) -> Callable[..., mpf]:
    """The ratio of label 1, predicted where a score reaches the threshold."""

    def one(*counts: mpf, **named: Any) -> tuple[mpf, mpf]:
        return ratio(*counts, **named)

    def value(p: Labels, y: Labels, w: Numbers, *, threshold: float = 0.5, **named: Any) -> mpf:
        found = [int(x >= threshold) for x in p]
        if of is averaged:
            m = matrix(found, [int(t) for t in y], w, 2)
            return divided(*one(*of_class(m, 1), **named))
        kinds = ((1, 1), (1, 0), (0, 1), (0, 0))
        samples = list(zip(found, y, w, strict=True))
        totals = (mp.fsum(v for a, b, v in samples if (a, b) == kind) for kind in kinds)
        return divided(*one(*totals, **named))

    return value


def pairs_of_labels(rng: random.Random, n: int, parameters: dict[str, Any]) -> Samples:
    size = parameters["num_classes"]
    y = [int(size * rng.random()) for _ in range(n)]
    return [b if rng.random() < 0.5 else int(size * rng.random()) for b in y], y


def scores(rng: random.Random, n: int, _: dict[str, Any]) -> Samples:
    y = [int(rng.random() < 0.5) for _ in range(n)]
    return [0.5 + b - 0.5 + 0.7 * normal(rng) for b in y], y


def every_class(p: Labels, y: Labels, *, num_classes: int, **_: Any) -> bool:
    return len(set(y)) == len(set(p)) == num_classes


AVERAGES = ({"average": "micro"}, {"average": "weighted"})
OF_LABELS = of_samples(17, 11, INTEGERS)


def of_matrix(value: Callable[..., Any], other: Callable[..., Any], *variants: Any) -> Whole:
    return Whole(value, other, pairs_of_labels, variants, required={"num_classes": CLASSES},
                 schedule=OF_LABELS, labels=True, steps=True, fits=every_class)  # fmt: skip


def of_scores(name: str, *variants: Any) -> Whole:
    ratio = RATIOS[name]
    return Whole(binary(averaged, ratio), binary(by_samples, ratio), scores,
                 ({"threshold": 0.0}, *variants),
                 schedule=of_samples(17, 11), labels=True, steps=True)  # fmt: skip


DEFINITIONS = {
    **{
        name: of_matrix(
            averaged(r), by_samples(r), *AVERAGES, *({"beta": 2.0},) * (name == "FBeta")
        )
        for name, r in RATIOS.items()
        if name != "Accuracy"
    },
    "ConfusionMatrix": replace(
        of_matrix(
            confusion, confusion_by_samples, *({"normalize": of} for of in ("true", "pred", "all"))
        ),
        schedule=of_samples(30, 24, INTEGERS),  # no cell is empty
    ),
    "BalancedAccuracy": of_matrix(balanced_accuracy, balanced_by_weights),
    "Informedness": of_matrix(informedness, informedness_odds),
    "CohenKappa": of_matrix(kappa, kappa_pairs),
    "MatthewsCorrelation": of_matrix(matthews, matthews_covariances),
    "binary_accuracy": of_scores("Accuracy"),
    "binary_precision": of_scores("Precision"),
    "binary_recall": of_scores("Recall"),
    "binary_f1_score": of_scores("F1Score"),
    "binary_fbeta": of_scores("FBeta", {"beta": 2.0}),
    "binary_specificity": of_scores("Specificity"),
    "binary_negative_predictive_value": of_scores("NegativePredictiveValue"),
    "binary_jaccard_score": of_scores("JaccardScore"),
}
