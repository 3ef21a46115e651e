"""Segmentation losses at high precision, from the literature.

A sample is a list of pixels, or of lists of the classes of each pixel.
"""

from __future__ import annotations

import itertools
import random
from typing import Any

from mpmath import mp, mpf

from .definition import Mean, Special, integers
from .drawing import uniform
from .rounding import WIDE

PIXELS, CLASSES = 5, 3
DOUBLE = ("float64",)
Row = list[mpf]
Table = list[Row]


def masks(rng: random.Random, parameters: dict[str, Any]) -> tuple[list[float], list[float]]:
    """Probabilities, and soft targets."""
    return [uniform(rng, 0.02, 0.98) for _ in range(PIXELS)], [rng.random() for _ in range(PIXELS)]


def maps(
    rng: random.Random, parameters: dict[str, Any]
) -> tuple[list[list[float]], list[list[float]]]:
    """Probabilities of classes, and soft targets, of which one class may have little."""
    p = [[uniform(rng, 0.02, 0.98) for _ in range(CLASSES)] for _ in range(PIXELS - 1)]
    return p, [[uniform(rng, 0.02, 1), rng.random() / 4, rng.random() ** 2] for _ in p]


def scores(rng: random.Random, parameters: dict[str, Any]) -> tuple[list[float], list[float]]:
    """Scores, and labels of 0 and 1."""
    z = [uniform(rng, -3, 3) for _ in range(PIXELS)]
    return z, [float(int(2 * rng.random())) for _ in z]


def labelled(rng: random.Random, parameters: dict[str, Any]) -> tuple[list[list[float]], list[int]]:
    """Probabilities of classes, and labels."""
    p = [[uniform(rng, 0.02, 0.98) for _ in range(CLASSES)] for _ in range(PIXELS - 1)]
    return p, [int(CLASSES * rng.random()) for _ in p]


# --- ratios ---------------------------------------------------------------------------------------


def products(p: Row, y: Row) -> mpf:
    """What both have."""
    return mp.fdot(p, y)


def over(above: mpf, below: mpf) -> mpf:
    """A quotient whose 0/0 is a perfect score."""
    return mpf(1) if above == 0 and below == 0 else above / below


def dice(p: Row, y: Row, *, smoothing: float = 0.0) -> mpf:
    """Drozdzal et al. (2016), with a constant above and below."""
    s = mpf(smoothing)
    return 1 - over(2 * products(p, y) + s, mp.fsum(p) + mp.fsum(y) + s)


def dice_harmonic(p: Row, y: Row, *, smoothing: float = 0.0) -> mpf:
    """1 minus the harmonic mean of precision and recall, half of the constant in each count."""
    half = mpf(smoothing) / 2
    both, predicted, true = (x + half for x in (products(p, y), mp.fsum(p), mp.fsum(y)))
    if both == 0:
        return mpf(0) if predicted + true == 0 else mpf(1)
    return 1 - 2 / (predicted / both + true / both)


def jaccard(p: Row, y: Row, *, smoothing: float = 0.0) -> mpf:
    """Rahman and Wang (2016), equation 3, with a constant above and below."""
    s, both = mpf(smoothing), products(p, y)
    return 1 - over(both + s, mp.fsum(p) + mp.fsum(y) - both + s)


def jaccard_of_dice(p: Row, y: Row, *, smoothing: float = 0.0) -> mpf:
    """J = D / (2 - D), of counts that each have the constant."""
    score = 1 - dice_harmonic(p, y, smoothing=2 * smoothing)
    return 1 - score / (2 - score)


def tversky(
    p: Row, y: Row, *, alpha_fp: float = 0.5, beta_fn: float = 0.5, smoothing: float = 0.0
) -> mpf:
    """Salehi et al. (2017), equation 2, with a constant above and below."""
    s = mpf(smoothing)
    both = mp.fsum(a * b for a, b in zip(p, y, strict=True))
    extra = mp.fsum(a * (1 - b) for a, b in zip(p, y, strict=True))
    missed = mp.fsum((1 - a) * b for a, b in zip(p, y, strict=True))
    return 1 - over(both + s, both + mpf(alpha_fp) * extra + mpf(beta_fn) * missed + s)


def tversky_odds(
    p: Row, y: Row, *, alpha_fp: float = 0.5, beta_fn: float = 0.5, smoothing: float = 0.0
) -> mpf:
    """x / (1 + x), with the odds x of being wrong."""
    both = products(p, y)
    wrong = mpf(alpha_fp) * (mp.fsum(p) - both) + mpf(beta_fn) * (mp.fsum(y) - both)
    if both + mpf(smoothing) == 0:
        return mpf(0) if wrong == 0 else mpf(1)
    x = wrong / (both + mpf(smoothing))
    return x / (1 + x)


def focal_tversky(
    p: Row,
    y: Row,
    *,
    alpha_fp: float = 0.3,
    beta_fn: float = 0.7,
    gamma: float = 4 / 3,
    smoothing: float = 0.0,
) -> mpf:
    """Abraham and Khan (2019), equation 4."""
    loss = tversky(p, y, alpha_fp=alpha_fp, beta_fn=beta_fn, smoothing=smoothing)
    return loss ** (1 / mpf(gamma))


def focal_tversky_logarithm(
    p: Row,
    y: Row,
    *,
    alpha_fp: float = 0.3,
    beta_fn: float = 0.7,
    gamma: float = 4 / 3,
    smoothing: float = 0.0,
) -> mpf:
    """By the logarithm of the odds."""
    loss = tversky_odds(p, y, alpha_fp=alpha_fp, beta_fn=beta_fn, smoothing=smoothing)
    return mp.exp(mp.log(loss) / mpf(gamma)) if loss else mpf(0)


def columns(table: Table) -> Table:
    """The pixels of each class."""
    return [list(column) for column in zip(*table, strict=True)]


def generalised_dice(p: Table, y: Table) -> mpf:
    """Sudre et al. (2017), equation 2, without the classes whose weight is infinite."""
    pairs = [(a, b) for a, b in zip(columns(p), columns(y), strict=True) if mp.fsum(b)]
    weights = [1 / mp.fsum(b) ** 2 for _, b in pairs]
    both = mp.fsum(w * products(a, b) for w, (a, b) in zip(weights, pairs, strict=True))
    whole = mp.fsum(w * (mp.fsum(a) + mp.fsum(b)) for w, (a, b) in zip(weights, pairs, strict=True))
    return 1 - over(2 * both, whole)


def generalised_dice_mean(p: Table, y: Table) -> mpf:
    """The mean of the Dice losses of the classes, each with its share of the denominator."""
    pairs = [(a, b) for a, b in zip(columns(p), columns(y), strict=True) if any(b)]
    if not pairs:
        return mpf(0)
    sizes = [(mp.fsum(a) / mp.fsum(b) + 1) / mp.fsum(b) for a, b in pairs]
    losses = [dice_harmonic(a, b) for a, b in pairs]
    return mp.fdot(sizes, losses) / mp.fsum(sizes)


# --- the Lovász extension -------------------------------------------------------------------------


def set_loss(wrong: set[int], region: set[int]) -> mpf:
    """The Jaccard loss if these pixels are wrong: Berman et al. (2018), equation 5."""
    return mpf(len(wrong)) / len(wrong | region) if wrong else mpf(0)


def extension(errors: Row, region: set[int]) -> mpf:
    """Berman et al. (2018), definition 1: errors in falling order, and what each adds."""
    order = sorted(range(len(errors)), key=lambda i: -errors[i])
    steps = (
        set_loss(set(order[: k + 1]), region) - set_loss(set(order[:k]), region)
        for k in range(len(order))
    )
    return mp.fsum(errors[i] * step for i, step in zip(order, steps, strict=True))


def choquet(errors: Row, region: set[int]) -> mpf:
    """The integral over thresholds of the loss of the pixels whose error is above."""
    levels = sorted({mpf(0), *errors})
    return mp.fsum(
        (high - low) * set_loss({i for i, e in enumerate(errors) if e >= high}, region)
        for low, high in itertools.pairwise(levels)
    )


def hinges(z: Row, y: Row) -> tuple[Row, set[int]]:
    """The hinge losses of the pixels, and the region."""
    signs = [1 if t > mpf(1) / 2 else -1 for t in y]
    errors = [max(mpf(0), 1 - x * s) for x, s in zip(z, signs, strict=True)]
    return errors, {i for i, s in enumerate(signs) if s > 0}


def lovasz_hinge(z: Row, y: Row) -> mpf:
    """Berman et al. (2018), equation 12."""
    return extension(*hinges(z, y))


def lovasz_hinge_integral(z: Row, y: Row) -> mpf:
    """As an integral."""
    return choquet(*hinges(z, y))


def errors_of(p: Table, y: list[int], c: int) -> tuple[Row, set[int]]:
    """The errors of a class's probabilities, and its region."""
    return [abs((t == c) - row[c]) for row, t in zip(p, y, strict=True)], {
        i for i, t in enumerate(y) if t == c
    }


def lovasz_softmax(p: Table, y: list[int]) -> mpf:
    """Berman et al. (2018), equation 11, over the classes that there are."""
    present = sorted(set(y))
    return mp.fsum(extension(*errors_of(p, y, c)) for c in present) / len(present)


def lovasz_softmax_integral(p: Table, y: list[int]) -> mpf:
    """As an integral."""
    present = sorted(set(y))
    return mp.fsum(choquet(*errors_of(p, y, c)) for c in present) / len(present)


# --- declared -------------------------------------------------------------------------------------

HALF = [0.5, 0.25, 0.0]


def stated(
    name: str, p: Any, y: Any, first: Any, dtypes: tuple[str, ...] = WIDE, **chosen: Any
) -> Special:
    """One sample whose derivatives are stated, not the second ones."""
    return Special(name, [p], [y], chosen, [first], dtypes=dtypes)


def smooth(name: str, p: Any, y: Any, dtypes: tuple[str, ...] = WIDE, **chosen: Any) -> Special:
    """One sample whose derivatives are found by differences."""
    return Special(name, [p], [y], chosen, smooth=True, dtypes=dtypes)


def of_masks(*more: Special) -> tuple[Special, ...]:
    """Masks without a region, with one that is found, with one that is not."""
    return (
        stated("nothing", [0.0] * 3, [0.0] * 3, [0.0] * 3),
        stated("no_target", HALF, [0.0] * 3, [0.0] * 3),
        smooth("no_prediction", [0.0] * 3, [1.0, 1.0, 0.0]),
        smooth("disjoint", [1.0, 0.0, 0.0], [0.0, 1.0, 1.0]),
        smooth("faint", [1e-30, 3e-30, 2e-30], [1.0, 1.0, 0.0]),
        smooth("faintest", [1e-300, 3e-300, 2e-300], [1.0, 1.0, 0.0], DOUBLE),
        smooth("nearly", [1.0, 1.0, 1e-8], [1.0, 1.0, 0.0]),
        smooth("one_pixel", [0.75], [1.0]),
        smooth("smoothed", HALF, [0.0] * 3, smoothing=1.0),
        *more,
        integers([[1, 0, 1, 0], [1, 1, 0, 1]], [[1, 0, 0, 1], [0, 1, 0, 1]]),
    )


PERFECT = of_masks(
    smooth("perfect", [1.0, 0.0, 1.0], [1.0, 0.0, 1.0]),
    smooth("smoothed_nothing", [0.0] * 3, [0.0] * 3, smoothing=1.0),
)
THREE = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 1.0, 0.0]]
TIED = [[0.5, 0.5], [0.5, 0.5]]

DEFINITIONS = {
    "dice_loss": Mean(
        dice, dice_harmonic, masks, ({"smoothing": 1.0}, {"smoothing": 1e-5}), PERFECT,
    ),
    "jaccard_loss": Mean(
        jaccard, jaccard_of_dice, masks, ({"smoothing": 1.0}, {"smoothing": 1e-5}), PERFECT,
    ),
    "tversky": Mean(
        tversky, tversky_odds, masks,
        ({"alpha_fp": 0.3, "beta_fn": 0.7, "smoothing": 1.0}, {"alpha_fp": 2.0, "beta_fn": 0.25}),
        PERFECT,
    ),
    "focal_tversky": Mean(
        focal_tversky, focal_tversky_logarithm, masks,
        (
            {"gamma": 2.0, "alpha_fp": 0.5, "beta_fn": 0.5}, {"gamma": 1.0, "smoothing": 1.0},
            {"gamma": 0.5, "smoothing": 0.5},
        ),
        of_masks(
            stated("perfect", [1.0, 0.0], [1.0, 0.0], [0.0, 0.0]),
            stated("smoothed_nothing", [0.0] * 3, [0.0] * 3, [0.0] * 3, smoothing=1.0),
            smooth("perfect", [1.0, 0.0], [1.0, 0.0], gamma=1.0),
            stated("perfect", [1.0, 0.0], [1.0, 0.0], [0.0, 0.0], gamma=0.5),
        ),
    ),
    "generalised_dice": Mean(
        generalised_dice, generalised_dice_mean, maps, (),
        (
            smooth("perfect", [row[:2] for row in THREE], [row[:2] for row in THREE]),
            smooth("absent", [[0.75, 0.125, 0.125]] * 3, THREE),
            stated("nothing", [[0.25, 0.5]] * 2, [[0.0, 0.0]] * 2, [[0.0, 0.0]] * 2),
            smooth("rare", [[0.5, 0.5]] * 2, [[1.0, 1e-12], [1.0, 0.0]]),
            smooth("faint", [[1e-30, 3e-30]] * 2, [[1.0, 0.0], [1.0, 1.0]]),
            integers([[[1, 0], [1, 0], [0, 1]]], [[[1, 0], [0, 1], [0, 1]]]),
        ),
    ),
    "lovasz_hinge": Mean(
        lovasz_hinge, lovasz_hinge_integral, scores, (),
        (
            smooth("nothing", [0.5, -0.25, -3.0], [0.0] * 3),
            smooth("everything", [0.5, -0.25, 3.0], [1.0] * 3),
            stated("right", [1.0, -1.0, 5.0], [1.0, 0.0, 1.0], [0.0] * 3),
            stated("tied", [0.0, 0.0, 0.0], [0.0, 1.0, 1.0], [1 / 3, -1 / 3, -1 / 3]),
            smooth("huge", [1e30, -3e30, 2e30], [0.0, 1.0, 1.0]),
            smooth("one_pixel", [0.75], [1.0]),
            integers([[3, -2, 1, 0], [1, 0, -1, 2]], [[1, 0, 0, 1], [0, 0, 0, 0]]),
        ),
    ),
    "lovasz_softmax": Mean(
        lovasz_softmax, lovasz_softmax_integral, labelled, (),
        (
            smooth("absent", [[0.75, 0.125, 0.125], [0.5, 0.25, 0.25]], [0, 0]),
            smooth("certain", [[0.0, 1.0], [0.25, 0.75]], [0, 1]),
            stated("right", [[1.0, 0.0], [0.0, 1.0]], [0, 1], [[-1 / 2, 1 / 4], [0.0, -1 / 4]]),
            stated("tied", TIED, [0, 1], [[-1 / 2, 1 / 4], [0.0, -1 / 4]]),
            smooth("faint", [[1e-30, 0.5], [3e-30, 0.25]], [1, 0]),
            smooth("one_pixel", [[0.75, 0.25]], [1]),
            integers([[[1, 0], [0, 1], [0, 1]]], [[0, 0, 1]]),
        ),
        labels=True,
    ),
}  # fmt: skip
