"""Scores of probabilistic forecasts at high precision, from the literature.

Densities are written as in a textbook, and again as the logarithm of the density itself; scores of
distributions in closed form, and again as the integral they are defined by; scores of ensembles by
their pairs, and again by the steps of their distribution function.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from typing import Any

from mpmath import mp, mpf

from .definition import Mean, Special, integers
from .drawing import normal, uniform

Formula = Callable[..., mpf]
Sample = tuple[Any, Any]
FAR = ("float64",)

# --- densities ------------------------------------------------------------------------------------


def gaussian(p: Any, y: mpf, *, full: bool = True) -> mpf:
    """Nix and Weigend (1994), equation 3, with the constant."""
    mean, variance = p
    return (mp.log(variance) + (y - mean) ** 2 / variance + (mp.log(2 * mp.pi) if full else 0)) / 2


def gaussian_density(p: Any, y: mpf, *, full: bool = True) -> mpf:
    """The logarithm of mpmath's density."""
    mean, variance = p
    density = mp.npdf(y, mean, mp.sqrt(variance))
    return -mp.log(density if full else density * mp.sqrt(2 * mp.pi))


def laplace(p: Any, y: mpf, *, full: bool = True) -> mpf:
    """Laplace (1774)."""
    location, scale = p
    return mp.log(2 * scale if full else scale) + abs(y - location) / scale


def laplace_density(p: Any, y: mpf, *, full: bool = True) -> mpf:
    """The density is the derivative of the distribution function on the side of the target."""
    location, scale = p
    tail = mp.exp(-abs(y - location) / scale) / 2  # beyond the target
    return -mp.log(tail / scale * (1 if full else 2))


def student(p: Any, y: mpf) -> mpf:
    """Johnson, Kotz and Balakrishnan (1995), equation 28.2, with location and scale."""
    freedom, location, scale = p
    z = (y - location) / scale
    if freedom == mp.inf:
        return mp.log(scale) + (mp.log(2 * mp.pi) + z**2) / 2
    constant = mp.loggamma(freedom / 2) - mp.loggamma((freedom + 1) / 2)
    return (
        constant + mp.log(mp.pi * freedom) / 2 + mp.log(scale)
        + (freedom + 1) / 2 * mp.log1p(z**2 / freedom)
    )  # fmt: skip


def student_density(p: Any, y: mpf) -> mpf:
    """The density by the beta function."""
    freedom, location, scale = p
    z = (y - location) / scale
    if freedom == mp.inf:
        return -mp.log(mp.npdf(z) / scale)
    kernel = (freedom / (freedom + z**2)) ** ((freedom + 1) / 2)
    return -mp.log(kernel / (mp.sqrt(freedom) * mp.beta(mpf(1) / 2, freedom / 2) * scale))


def negative_binomial(p: Any, y: mpf) -> mpf:
    """Cameron and Trivedi (1986): for counts, the gamma functions are a product of y factors."""
    mean, dispersion = p
    if y == int(y) and y < 200:
        rising = mp.fsum(mp.log1p(k * dispersion) for k in range(int(y)))
    else:
        r = 1 / dispersion
        rising = mp.loggamma(y + r) - mp.loggamma(r) + y * mp.log(dispersion)
    none = mp.log1p(dispersion * mean) / dispersion if dispersion else mean
    rate = mp.log(mean) - mp.log1p(dispersion * mean)
    return none - y * rate - rising + mp.loggamma(y + 1)


def negative_binomial_mass(p: Any, y: mpf) -> mpf:
    """Scipy's form of the mass: a binomial coefficient and powers of two probabilities."""
    mean, dispersion = p
    if dispersion == 0:
        return -mp.log(mp.exp(-mean) * mean**y / mp.gamma(y + 1))
    n = 1 / dispersion
    success = n / (n + mean)
    with mp.workdps(mp.dps + 400):  # the powers of 1 - 1e-30 and a rising factorial from 1e30
        choices = mp.rf(n, y) / mp.gamma(y + 1)
        return -mp.log(choices * success**n * (1 - success) ** y)


def lognormal(p: Any, y: mpf) -> mpf:
    """Johnson, Kotz and Balakrishnan (1994), equation 14.2'."""
    mu, sigma = p
    z = (mp.log(y) - mu) / sigma
    return mp.log(y * sigma) + (mp.log(2 * mp.pi) + z**2) / 2


def lognormal_density(p: Any, y: mpf) -> mpf:
    """The normal density of the logarithm, over y."""
    mu, sigma = p
    return -mp.log(mp.npdf(mp.log(y), mu, sigma) / y)


# --- continuous ranked probability scores ---------------------------------------------------------


def crps_gaussian(p: Any, y: mpf) -> mpf:
    """Gneiting et al. (2005), equation 5."""
    location, scale = p
    z = (y - location) / scale
    return scale * (z * (2 * mp.ncdf(z) - 1) + 2 * mp.npdf(z) - 1 / mp.sqrt(mp.pi))


def crps_laplace(p: Any, y: mpf) -> mpf:
    """Jordan, Krüger and Lerch (2019), appendix A.2."""
    location, scale = p
    z = abs(y - location) / scale
    return scale * (z + mp.exp(-z) - mpf(3) / 4)


def crps_logistic(p: Any, y: mpf) -> mpf:
    """Jordan, Krüger and Lerch (2019), appendix A.2."""
    location, scale = p
    z = (y - location) / scale
    return scale * (z + 2 * mp.log1p(mp.exp(-z)) - 1)


def integrated(distribution: Formula, reach: int) -> Formula:
    """The integral of the squared distance of the distribution functions, beyond reach none."""

    def term(p: Any, y: mpf) -> mpf:
        location, scale = p
        z = abs(y - location) / scale  # symmetric
        with mp.workdps(60):
            inside = min(z, mpf(reach))
            points = sorted({-reach, -5, 0, 5, reach, inside})
            below = [x for x in points if x <= inside]
            above = [x for x in points if x >= inside]
            score = mp.quad(lambda x: distribution(x) ** 2, below)
            score += mp.quad(lambda x: distribution(-x) ** 2, above) if len(above) > 1 else 0
        return scale * (score + (z - inside))

    return term


def laplace_distribution(x: mpf) -> mpf:
    """The share below x."""
    return mp.exp(x) / 2 if x < 0 else 1 - mp.exp(-x) / 2


def logistic_distribution(x: mpf) -> mpf:
    """The share below x."""
    return 1 / (1 + mp.exp(-x))


def mean_distance(points: list[Any], distance: Formula) -> mpf:
    """The mean distance of all pairs of points, each with itself included."""
    return mp.fsum(distance(a, b) for a in points for b in points) / len(points) ** 2


def ensemble(p: list[mpf], y: mpf, *, estimator: str = "fair") -> mpf:
    """Ferro (2014), equations 2 and 4."""
    m = len(p)
    spread = mean_distance(p, lambda a, b: abs(a - b))
    correction = mpf(m) / (m - 1) if estimator == "fair" else 1
    return mp.fsum(abs(x - y) for x in p) / m - spread * correction / 2


def ensemble_steps(p: list[mpf], y: mpf, *, estimator: str = "fair") -> mpf:
    """The integral of a step function; what is unfair of it, from Gini's mean difference."""
    m, points = len(p), sorted([*p, y])
    score = mpf(0)
    for low, high in itertools.pairwise(points):
        share = mpf(sum(x <= low for x in p)) / m
        score += (high - low) * (share - (y <= low)) ** 2
    if estimator == "ecdf":
        return score
    gini = mp.fsum((2 * k - m + 1) * x for k, x in enumerate(sorted(p))) / m**2
    return score - gini / (m - 1)


def distance(a: list[mpf], b: list[mpf]) -> mpf:
    """Euclidean."""
    return mp.sqrt(mp.fsum((x - y) ** 2 for x, y in zip(a, b, strict=True)))


def energy(p: list[list[mpf]], y: list[mpf], *, estimator: str = "fair") -> mpf:
    """Gneiting and Raftery (2007), equation 22, and its fair version."""
    m = len(p)
    spread = mean_distance(p, distance)
    correction = mpf(m) / (m - 1) if estimator == "fair" else 1
    return mp.fsum(distance(x, y) for x in p) / m - spread * correction / 2


def energy_of_pairs(p: list[list[mpf]], y: list[mpf], *, estimator: str = "fair") -> mpf:
    """Each pair once, by the lengths of complex numbers, feature after feature."""

    def length(a: list[mpf], b: list[mpf]) -> mpf:
        found = mpf(0)
        for one, two in zip(a, b, strict=True):
            found = abs(mp.mpc(found, one - two))
        return found

    m = len(p)
    pairs = mp.fsum(length(p[i], p[j]) for i in range(m) for j in range(i))
    return mp.fsum(length(x, y) for x in p) / m - pairs / (m * (m - (estimator == "fair")))


def variogram(p: list[list[mpf]], y: list[mpf], *, power: float = 0.5) -> mpf:
    """Scheuerer and Hamill (2015), equation 5, with weights 1."""
    power, features = mpf(power), range(len(y))

    def difference(x: list[mpf], i: int, j: int) -> mpf:
        return abs(x[i] - x[j]) ** power

    return mp.fsum(
        (difference(y, i, j) - mp.fsum(difference(x, i, j) for x in p) / len(p)) ** 2
        for i in features
        for j in features
    )


def variogram_expanded(p: list[list[mpf]], y: list[mpf], *, power: float = 0.5) -> mpf:
    """Each pair of features twice, the square multiplied out."""
    score = mpf(0)
    for i in range(len(y)):
        for j in range(i):
            known = mp.exp(mpf(power) * mp.log(abs(y[i] - y[j]))) if y[i] != y[j] else mpf(0)
            moment = mp.fsum(abs(x[j] - x[i]) ** mpf(power) for x in p) / len(p)
            score += 2 * (known**2 - 2 * known * moment + moment**2)
    return score


# --- intervals ------------------------------------------------------------------------------------


def pinball(q: mpf, level: mpf, y: mpf) -> mpf:
    """Koenker and Bassett (1978)."""
    return (y - q) * (level - (y < q))


def interval(p: Any, y: mpf, *, alpha: float = 0.1) -> mpf:
    """Gneiting and Raftery (2007), equation 43."""
    lower, upper = p
    fine = (lower - y) * (y < lower) + (y - upper) * (y > upper)
    return upper - lower + 2 / mpf(alpha) * fine


def interval_pinball(p: Any, y: mpf, *, alpha: float = 0.1) -> mpf:
    """The pinball losses of both ends."""
    half = mpf(alpha) / 2
    return (pinball(p[0], half, y) + pinball(p[1], 1 - half, y)) / half


HUB = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def weighted_interval(p: Any, y: mpf, *, alphas: tuple[float, ...] = HUB) -> mpf:
    """Bracher et al. (2021), equation 1."""
    median, lower, upper = p
    scores = mp.fsum(
        mpf(alpha) / 2 * interval((low, high), y, alpha=alpha)
        for alpha, low, high in zip(alphas, lower, upper, strict=True)
    )
    return (abs(y - median) / 2 + scores) / (len(alphas) + mpf(1) / 2)


def weighted_interval_pinball(p: Any, y: mpf, *, alphas: tuple[float, ...] = HUB) -> mpf:
    """Twice the mean pinball loss of the quantiles."""
    median, lower, upper = p
    losses = [pinball(median, mpf(1) / 2, y)]
    for alpha, low, high in zip(alphas, lower, upper, strict=True):
        losses += [pinball(low, mpf(alpha) / 2, y), pinball(high, 1 - mpf(alpha) / 2, y)]
    return 2 * mp.fsum(losses) / len(losses)


def covered(p: Any, y: mpf) -> mpf:
    """Christoffersen (1998), equation 1."""
    return mpf(p[0] <= y <= p[1])


def covered_middle(p: Any, y: mpf) -> mpf:
    """The target is at most half the width from the middle."""
    return mpf(abs(2 * y - p[0] - p[1]) <= p[1] - p[0])


# --- samples --------------------------------------------------------------------------------------


def location_and_scale(rng: random.Random, parameters: dict[str, Any]) -> Sample:
    """A forecast and a target a few scales away."""
    location, scale = 2 * normal(rng), uniform(rng, 0.4, 3)
    return (location, scale), location + 1.3 * scale * normal(rng)


def freedom_too(rng: random.Random, parameters: dict[str, Any]) -> Sample:
    """The same, with degrees of freedom from few to many."""
    p, y = location_and_scale(rng, parameters)
    return (mp.mpf(10) ** uniform(rng, -0.5, 2), *p), y


def counts(rng: random.Random, parameters: dict[str, Any]) -> Sample:
    """A mean, a dispersion, and a count."""
    mean = uniform(rng, 0.4, 9)
    return (mean, uniform(rng, 0.05, 2)), float(int(2 * mean * rng.random()))


def positive(rng: random.Random, parameters: dict[str, Any]) -> Sample:
    """A normal forecast of a logarithm."""
    mu, sigma = normal(rng), uniform(rng, 0.3, 2)
    return (mu, sigma), float(mp.exp(mu + 1.2 * sigma * normal(rng)))


def members(rng: random.Random, parameters: dict[str, Any]) -> Sample:
    """Five members, and a target mostly among them."""
    return [2 * normal(rng) for _ in range(5)], 2.5 * normal(rng)


def vectors(rng: random.Random, parameters: dict[str, Any]) -> Sample:
    """Three members of three features."""
    return [[2 * normal(rng) for _ in range(3)] for _ in range(3)], [2 * normal(rng) for _ in "xyz"]


def ends(rng: random.Random, parameters: dict[str, Any]) -> Sample:
    """An interval, and a target in it or beside it."""
    middle, half = 2 * normal(rng), uniform(rng, 0.3, 3)
    return (middle - half, middle + half), middle + 1.5 * half * normal(rng)


def nested(rng: random.Random, parameters: dict[str, Any]) -> Sample:
    """A median and intervals around it."""
    median, alphas = 2 * normal(rng), parameters.get("alphas", HUB)
    halves = [(1.2 - alpha) * uniform(rng, 2, 3) for alpha in alphas]
    lower, upper = ([median + sign * half for half in halves] for sign in (-1, 1))
    return (median, lower, upper), median + 2 * normal(rng)


# --- declarations ---------------------------------------------------------------------------------


def smooth(name: str, pairs: list[Sample], **options: Any) -> Special:
    """A case whose derivatives can be found by differences."""
    predictions, targets = zip(*pairs, strict=True)
    return Special(name, predictions, targets, smooth=True, **options)


def located(*pairs: tuple[float, float]) -> list[Sample]:
    """Forecasts of location 0 and a scale, by scale and target."""
    return [((0.0, scale), y) for scale, y in pairs]


SCALES = {
    "small_error": located((1.0, 1e-8), (2.0, -1e-8), (0.5, 1e-4)),
    "far": located((1.0, 1e4), (0.5, -1e6), (2.0, 300.0)),
    "farther": located((1.0, 1e30), (4.0, -1e25)),
}

DEFINITIONS = {
    "gaussian_nll": Mean(
        gaussian,
        gaussian_density,
        location_and_scale,
        variants=({"full": False},),
        special=(
            smooth("at_the_mean", located((1.0, 0.0), (4.0, 0.0), (0.25, 0.0))),
            smooth("small_error", located((1.0, 1e-8), (2.0, -1e-8))),
            smooth("large", located((1e20, 1e20), (1e10, -1e20))),
            Special("larger", [(0.0, 1e30)], [1e30], first=[(-1.0, -0.5)]),
            smooth("small", located((1e-12, 1e-8), (1e-10, -1e-9))),
            smooth("huge", [((3e199, 1e300), 1e200), ((2e199, 1e250), -1e200)], dtypes=FAR),
            integers([(1, 2), (3, 1), (-2, 4)], [1, 5, 0]),
        ),
    ),
    "laplace_nll": Mean(
        laplace,
        laplace_density,
        location_and_scale,
        variants=({"full": False},),
        special=(
            Special(
                "at_the_location",
                [(1.0, 1.0), (-2.0, 4.0), (0.0, 0.25)],
                [1.0, -2.0, 0.0],
                first=[(0.0, 1.0), (0.0, 0.25), (0.0, 4.0)],
                second=[(0.0, -1.0), (0.0, -0.0625), (0.0, -16.0)],
            ),
            smooth("large", located((1e15, 1e30), (1e18, -1e20))),
            smooth("small", located((1e-12, 1e-8), (1e-10, -1e-12))),
            integers([(1, 2), (3, 1), (-2, 4)], [1, 5, 0]),
        ),
    ),
    "student_t_nll": Mean(
        student,
        student_density,
        freedom_too,
        special=(
            smooth("at_the_location", [((n, 0.0, 1.0), 0.0) for n in (0.5, 1.0, 3.0, 40.0)]),
            smooth("nearly_normal", [((n, 0.0, 1.0), 0.5) for n in (1e4, 1e8)]),
            Special("normal", [(float("inf"), 0.0, 2.0), (1e30, 1.0, 1.0)], [1.0, 3.0]),
            smooth("heavy", [((n, 0.0, 1.0), y) for n, y in ((0.01, 3.0), (0.1, 100.0))]),
            smooth("far", [((n, 0.0, 2.0), y) for n, y in ((4.0, 1e30), (30.0, -1e15))]),
            smooth("farther", [((3.0, 0.0, 1e-10), 1e30), ((3.0, 0.0, 1e10), 1e30)]),
        ),
    ),
    "negative_binomial_nll": Mean(
        negative_binomial,
        negative_binomial_mass,
        counts,
        special=(
            smooth("poisson", [((2.0, 0.0), 5.0), ((3.5, 0.0), 0.0), ((0.5, 0.0), 1.0)]),
            smooth("nearly_poisson", [((2.0, 1e-8), 3.0), ((7.0, 1e-20), 4.0), ((3.0, 1e-4), 1.0)]),
            smooth("none", [((2.0, 0.5), 0.0), ((1e-8, 3.0), 0.0), ((1e4, 10.0), 0.0)]),
            smooth("many", [((1000.0, 0.01), 1100.0), ((1e6, 0.1), 9e5), ((50.0, 1e-3), 64.0)]),
            smooth("spread", [((2.0, 100.0), 3.0), ((5.0, 1e4), 1.0), ((0.5, 50.0), 60.0)]),
            smooth("at_the_mean", [((4.0, 0.5), 4.0), ((1.0, 2.0), 1.0), ((100.0, 0.1), 100.0)]),
            smooth("no_counts", [((2.0, 0.5), 0.5), ((3.0, 0.25), 2.5), ((1.5, 3.0), 7.25)]),
            integers([(2, 1), (3, 1), (7, 2)], [1, 5, 0]),
        ),
    ),
    "lognormal_nll": Mean(
        lognormal,
        lognormal_density,
        positive,
        special=(
            smooth("at_one", [((0.0, 1.0), 1.0), ((0.5, 2.0), 1.0), ((-1.0, 0.5), 1.0)]),
            smooth("large", [((60.0, 2.0), 1e30), ((10.0, 5.0), 1e10)]),
            smooth("small", [((-60.0, 2.0), 1e-30), ((-10.0, 5.0), 1e-10)]),
        ),
    ),
    "crps_gaussian": Mean(
        crps_gaussian,
        integrated(mp.ncdf, 20),
        location_and_scale,
        special=(
            smooth("at_the_location", located((1.0, 0.0), (4.0, 0.0))),
            *(smooth(name, pairs) for name, pairs in SCALES.items()),
            smooth("sure", located((1e-20, 3.0), (1e-30, 1e8))),
            smooth("one_scale_off", located((1.0, 1.0), (2.0, -2.0), (1.0, 1.0000001))),
        ),
    ),
    "crps_laplace": Mean(
        crps_laplace,
        integrated(laplace_distribution, 120),
        location_and_scale,
        special=(
            Special(
                "at_the_location",
                [(1.0, 1.0), (-2.0, 4.0)],
                [1.0, -2.0],
                first=[(0.0, 0.25), (0.0, 0.25)],
                second=[(1.0, 0.0), (0.25, 0.0)],
            ),
            *(smooth(name, pairs) for name, pairs in SCALES.items()),
            smooth("sure", located((1e-20, 3.0), (1e-30, 1e8))),
            smooth("one_scale_off", located((1.0, 1.0), (2.0, -2.0), (1.0, 1.0000001))),
        ),
    ),
    "crps_logistic": Mean(
        crps_logistic,
        integrated(logistic_distribution, 120),
        location_and_scale,
        special=(
            smooth("at_the_location", located((1.0, 0.0), (4.0, 0.0))),
            *(smooth(name, pairs) for name, pairs in SCALES.items()),
            smooth("sure", located((1e-20, 3.0), (1e-30, 1e8))),
            smooth("one_scale_off", located((1.0, 1.0), (2.0, -2.0), (1.0, 1.0000001))),
        ),
    ),
    "crps_ensemble": Mean(
        ensemble,
        ensemble_steps,
        members,
        variants=({"estimator": "ecdf"},),
        special=(
            Special(
                "ties",
                [[2.0, 1.0, 2.0, 5.0], [3.0, 3.0, 3.0, 3.0]],
                [4.0, 1.0],
                {"estimator": "ecdf"},
                first=[[-0.25, -0.0625, -0.25, 0.0625], [0.25] * 4],
                second=[[0.0] * 4] * 2,
            ),
            Special(
                "ties",
                [[2.0, 1.0, 2.0, 5.0], [3.0, 3.0, 3.0, 3.0]],
                [4.0, 1.0],
                first=[[-0.25, 0.0, -0.25, 0.0], [0.25] * 4],
                second=[[0.0] * 4] * 2,
            ),
            Special(
                "at_the_target",
                [[1.0, 2.0, 4.0], [7.0, 7.0, 7.0]],
                [2.0, 7.0],
                {"estimator": "ecdf"},
                first=[[-1 / 9, 0.0, 1 / 9], [0.0] * 3],
                second=[[0.0] * 3] * 2,
                dtypes=("float32",),
            ),
            smooth(
                "offset",
                [([300.5, 301.0, 299.25], 300.125), ([1e6, 1e6 + 2.0, 1e6 - 1.0], 1e6 + 0.5)],
            ),
            smooth("far", [([1.0, 2.0, 4.0], 1e30), ([1e20, 3e20, -2e20], 5.0)]),
            smooth("one_member", [([1.5], 4.0), ([2.0], -1.0)], parameters={"estimator": "ecdf"}),
            integers([[1, 2, 4], [4, 4, 9]], [5, 7]),
        ),
    ),
    "energy_score": Mean(
        energy,
        energy_of_pairs,
        vectors,
        variants=({"estimator": "ecdf"},),
        special=(
            Special(
                "equal_members",
                [[[3.0, 4.0], [3.0, 4.0]], [[0.0, 0.0], [0.0, 0.0]]],
                [[0.0, 0.0], [0.0, 0.0]],
                first=[[[0.3, 0.4], [0.3, 0.4]], [[0.0, 0.0], [0.0, 0.0]]],
                dtypes=("float64",),
            ),
            smooth("large", [([[3e30, 4e30], [0.0, 1e30]], [0.0, 0.0])]),
            smooth("small", [([[3e-30, 4e-30], [0.0, 1e-30]], [0.0, 0.0])]),
            smooth("huge", [([[3e300, 4e300], [2e300, 1e300]], [1e300, 0.0])], dtypes=FAR),
            integers([[[1, 2], [4, 6]], [[0, 0], [3, 4]]], [[1, 2], [6, 8]]),
        ),
    ),
    "variogram_score": Mean(
        variogram,
        variogram_expanded,
        vectors,
        variants=({"power": 1.0}, {"power": 2.0}),
        special=(
            Special(
                "equal_features",
                [[[1.0, 1.0], [0.0, 4.0]]],
                [[2.0, 3.0]],
                first=[[[0.0, 0.0], [0.0, 0.0]]],
            ),
            smooth("large", [([[3e15, 4e14], [0.0, 1e16]], [0.0, 2e15])]),
            integers([[[1, 2], [4, 8]], [[0, 1], [3, 12]]], [[1, 17], [6, 7]]),
        ),
    ),
    "interval_score": Mean(
        interval,
        interval_pinball,
        ends,
        variants=({"alpha": 0.5},),
        special=(
            Special(
                "at_an_end",
                [(0.0, 2.0), (0.0, 2.0), (1.0, 1.0)],
                [0.0, 2.0, 1.0],
                {"alpha": 0.5},
                first=[(1.0, 1.0), (-1.0, -1.0), (1.0, -1.0)],
                second=[(0.0, 0.0)] * 3,
            ),
            smooth("large", [((-1e30, 1e30), 3e30), ((-1e20, 2e20), 0.0)]),
            smooth("wrong_order", [((2.0, 1.0), 1.5), ((3.0, 1.0), 4.0)]),
            integers([(0, 2), (1, 5), (-3, 3)], [1, 9, -4]),
        ),
    ),
    "weighted_interval_score": Mean(
        weighted_interval,
        weighted_interval_pinball,
        nested,
        variants=({"alphas": (0.5,)}, {"alphas": (0.1, 0.5)}),
        special=(
            Special(
                "at_an_end",
                [(1.0, [0.0], [2.0]), (1.0, [1.0], [2.0])],
                [2.0, 1.0],
                {"alphas": (0.5,)},
                first=[(-1 / 3, [-1 / 6], [-1 / 6]), (0.0, [1 / 6], [1 / 6])],
                dtypes=("float32",),
            ),
            smooth("large", [((1e20, [0.0], [3e20]), -5e20)], parameters={"alphas": (0.5,)}),
        ),
    ),
    "interval_coverage": Mean(
        covered,
        covered_middle,
        ends,
        steps=True,
        special=(
            Special(
                "at_an_end",
                [(0.0, 2.0), (0.0, 2.0), (1.0, 1.0), (2.0, 1.0)],
                [0.0, 2.0, 1.0, 1.5],
                first=[(0.0, 0.0)] * 4,
                second=[(0.0, 0.0)] * 4,
            ),
            integers([(0, 2), (1, 5), (-3, 3)], [1, 9, -3]),
        ),
    ),
    "interval_width": Mean(
        lambda p, y: p[1] - p[0],
        lambda p, y: (p[1] - y) + (y - p[0]),
        ends,
        special=(
            smooth("large", [((-1e30, 1e30), 3e30), ((-1e20, 2e20), 0.0)]),
            integers([(0, 2), (1, 5), (-3, 3)], [1, 9, -4]),
        ),
    ),
}
