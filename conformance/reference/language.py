"""Losses of language models at high precision, from the literature.

Each term is written as in the paper, and again by another formula.
"""

from __future__ import annotations

import math
import random
from typing import Any

from mpmath import mp, mpf

from .definition import Mean, Special, integers
from .drawing import normal

Row = list[mpf]


# --- distillation ---------------------------------------------------------------------------------


def softmax(z: Row, temperature: float) -> Row:
    """The softened probabilities; a logit of -inf has none."""
    shares = [mpf(0) if x == -mp.inf else mp.exp(x / mpf(temperature)) for x in z]
    return [share / mp.fsum(shares) for share in shares]


def precisely(*rows: Row) -> int:
    """So many digits that probabilities which nearly agree, or nearly vanish, still differ."""
    logits = [abs(x) for row in rows for x in row if mp.isfinite(x)]
    return 3 * mp.dps + int(2 * min(max(logits, default=0), 100))


def distillation(z: Row, t: Row, *, temperature: float = 1.0) -> mpf:
    """Hinton, Vinyals and Dean (2015), section 2.1: the relative entropy, times T^2."""
    with mp.workdps(precisely(z, t)):
        p, q = softmax(z, temperature), softmax(t, temperature)
        if any(a == 0 and b > 0 for a, b in zip(p, q, strict=True)):
            return mp.inf
        terms = [b * mp.log(b / a) for a, b in zip(p, q, strict=True) if b > 0]
        return mpf(temperature) ** 2 * mp.fsum(terms)


def distillation_bregman(z: Row, t: Row, *, temperature: float = 1.0) -> mpf:
    """The Bregman divergence of the logarithm of the sum of exponentials, from t to z."""
    with mp.workdps(precisely(z, t)):
        tau = mpf(temperature)
        if any(a == -mp.inf and b > -mp.inf for a, b in zip(z, t, strict=True)):
            return mp.inf
        known = [(a / tau, b / tau) for a, b in zip(z, t, strict=True) if b > -mp.inf]
        of_z = mp.fsum(mp.exp(a / tau) for a in z if a > -mp.inf)
        of_t = mp.fsum(mp.exp(b) for _, b in known)
        tangent = mp.fsum(mp.exp(b) * (a - b) for a, b in known) / of_t
        return tau**2 * (mp.log(of_z) - mp.log(of_t) - tangent)


def logits(rng: random.Random, _: Any) -> tuple[list[float], list[float]]:
    """Two rows of logits of four classes."""
    return [2 * normal(rng) for _ in range(4)], [2 * normal(rng) for _ in range(4)]


# --- preferences ----------------------------------------------------------------------------------


def sigmoid(h: mpf) -> mpf:
    """The logistic function."""
    return 1 / (1 + mp.exp(-h))


def dpo(l: tuple[mpf, mpf], r: tuple[mpf, mpf], *, beta: float = 0.1, label_smoothing: float = 0.0) -> mpf:  # fmt: skip  # noqa: E741
    """Rafailov et al. (2023), equation 7; Mitchell (2023), equation 3."""
    e = mpf(label_smoothing)
    h = mpf(beta) * (l[0] - r[0]) - mpf(beta) * (l[1] - r[1])
    with mp.workdps(mp.dps + int(abs(h) if abs(h) < 1e6 else 0)):
        if abs(h) > 1e6:  # nothing but the linear part is left
            return (1 - e) * max(-h, 0) + e * max(h, 0)
        return -(1 - e) * mp.log(sigmoid(h)) - (e * mp.log(sigmoid(-h)) if e else 0)


def dpo_cosh(l: tuple[mpf, mpf], r: tuple[mpf, mpf], *, beta: float = 0.1, label_smoothing: float = 0.0) -> mpf:  # fmt: skip  # noqa: E741
    """By the logarithm of the hyperbolic cosine of half the logit, of the answers' own odds."""
    h = mpf(beta) * (l[0] - l[1]) - mpf(beta) * (r[0] - r[1])
    if abs(h) > 1e6:
        return abs(h) / 2 - (mpf(1) / 2 - mpf(label_smoothing)) * h
    with mp.workdps(mp.dps + int(abs(h))):
        return mp.log(2 * mp.cosh(h / 2)) - (mpf(1) / 2 - mpf(label_smoothing)) * h


def kto(
    l: mpf, target: tuple[mpf, mpf, mpf], *, beta: float = 0.1,  # noqa: E741
    desirable_weight: float = 1.0, undesirable_weight: float = 1.0,
) -> mpf:  # fmt: skip
    """Ethayarajh et al. (2024), equation 8: lambda - v."""
    reference, desirable, divergence = target
    reward, point = mpf(beta) * (l - reference), mpf(beta) * max(divergence, mpf(0))
    with mp.workdps(mp.dps + int(abs(reward - point))):
        if desirable > 0.5:
            return desirable_weight * (1 - sigmoid(reward - point))
        return undesirable_weight * (1 - sigmoid(point - reward))


def kto_tanh(
    l: mpf, target: tuple[mpf, mpf, mpf], *, beta: float = 0.1,  # noqa: E741
    desirable_weight: float = 1.0, undesirable_weight: float = 1.0,
) -> mpf:  # fmt: skip
    """By the hyperbolic tangent of half the logit."""
    reference, desirable, divergence = target
    h = mpf(beta) * (l - reference - (divergence if divergence > 0 else 0)) / 2
    with mp.workdps(mp.dps + int(2 * abs(h))):
        sign, factor = (-1, desirable_weight) if desirable > 0.5 else (1, undesirable_weight)
        return factor * (1 + mp.tanh(sign * h)) / 2


# --- policies -------------------------------------------------------------------------------------


def ppo_clip(l: mpf, target: tuple[mpf, mpf], *, epsilon: float = 0.2) -> mpf:  # noqa: E741
    """Schulman et al. (2017), equation 7, negative."""
    old, advantage = target
    ratio, e = mp.exp(l - old), mpf(epsilon)
    return -min(ratio * advantage, min(max(ratio, 1 - e), 1 + e) * advantage)


def ppo_clip_cases(l: mpf, target: tuple[mpf, mpf], *, epsilon: float = 0.2) -> mpf:  # noqa: E741
    """By the logarithm of the ratio, which stops at that of the bound on the advantage's side."""
    old, advantage = target
    e, change = mpf(epsilon), l - old
    if advantage > 0:
        return -advantage * mp.exp(min(change, mp.log(1 + e)))
    lowest = mp.log(1 - e) if e < 1 else -mp.inf
    return abs(advantage) * mp.exp(max(change, lowest))


# --- declared -------------------------------------------------------------------------------------


def number(rng: random.Random) -> float:
    """The logarithm of a probability of an answer: in eighths, so that differences are exact."""
    return -1 - int(160 * rng.random()) / 8


def answers(rng: random.Random, parameters: dict[str, Any]) -> tuple[Any, Any]:
    return (number(rng), number(rng)), (number(rng), number(rng))


def answer(rng: random.Random, parameters: dict[str, Any]) -> tuple[Any, Any]:
    """Not where the reward is that of the reference point: there the second derivative is 0."""
    while True:
        l, r, k = number(rng), number(rng), int(24 * rng.random()) / 8  # noqa: E741
        if abs(l - r - k) > 1 / parameters.get("beta", 0.1):
            return l, (r, float(rng.random() < 0.5), k)


def action(rng: random.Random, parameters: dict[str, Any]) -> tuple[Any, Any]:
    old = -2 * rng.random()
    return old + 1.2 * (rng.random() - 0.5), (old, 2 * normal(rng))


def apart(row: list[float], by: list[float]) -> list[float]:
    return [x + y for x, y in zip(row, by, strict=True)]


DOUBLE = ("float64",)
TEACHER = [0.5, -1.25, 2.0, 0.0]
INF = math.inf

DEFINITIONS = {
    "distillation_kl": Mean(
        distillation,
        distillation_bregman,
        logits,
        ({"temperature": 2.0}, {"temperature": 0.5}, {"temperature": 20.0}),
        (
            Special("equal", [TEACHER], [TEACHER], first=[[0.0] * 4]),
            Special("equal", [TEACHER], [TEACHER], {"temperature": 4.0}, first=[[0.0] * 4]),
            # the differences are exact in the dtype, and lost in the logarithms of the probabilities
            Special("near", [apart(TEACHER, [0, 2.0**-20, 0, -(2.0**-21)])], [TEACHER], smooth=True),
            Special("near", [apart(TEACHER, [3 * 2.0**-21, 0, 0, 2.0**-20])], [TEACHER], {"temperature": 3.0}, smooth=True),
            Special("nearest", [apart(TEACHER, [0, 2.0**-45, 0, -(2.0**-46)])], [TEACHER], smooth=True, dtypes=DOUBLE),
            Special("shifted", [apart(TEACHER, [8, 8 + 2.0**-18, 8, 8])], [TEACHER], smooth=True),
            Special("small", [[1e-8, -2e-8, 3e-8]], [[0.0, 0.0, 0.0]], smooth=True),
            Special("small", [[1e-3, -2e-3, 3e-3]], [[0.0, 0.0, 0.0]], {"temperature": 100.0}, smooth=True),
            Special("one_class", [[3.0], [-2.0]], [[1.0], [1.0]], smooth=True),
            Special("sure", [[30.0, 0.0, 0.0]], [[40.0, 0.0, 0.0]], smooth=True),
            Special("wrong", [[0.0, 40.0, 0.0]], [[40.0, 0.0, 0.0]], smooth=True),
            Special("large", [[0.0, 1e4, 0.0]], [[1e4, 0.0, 0.0]], first=[[-1.0, 1.0, 0.0]], second=[[0.0, 0.0, 0.0]]),
            Special("ruled_out", [[0.5, -INF, 1.5]], [[1.0, -INF, 0.25]]),
            Special("ruled_out_by_the_teacher", [[0.5, -1.0, 1.5]], [[1.0, -INF, 0.25]], smooth=True),
            Special("ruled_out_by_the_student", [[0.5, -INF, 1.5]], [[1.0, 3.0, 0.25]]),
            integers([[1, 0, 3], [2, 2, 0]], [[0, 1, 0], [3, 1, 0]]),
        ),
    ),
    "dpo": Mean(
        dpo,
        dpo_cosh,
        answers,
        ({"beta": 0.5, "label_smoothing": 0.25}, {"beta": 2.0}, {"label_smoothing": 0.5}),
        (
            Special("equal", [(-3.0, -5.0)], [(-3.0, -5.0)], smooth=True),
            Special("near", [(-3.0 + 2.0**-20, -5.0)], [(-3.0, -5.0)], smooth=True),
            Special("sure", [(-3.0, -259.0)], [(-3.0, -3.0)], {"beta": 0.125}, smooth=True),
            Special("wrong", [(-259.0, -3.0)], [(-3.0, -3.0)], {"beta": 0.125}, smooth=True),
            Special("wrong", [(-259.0, -3.0)], [(-3.0, -3.0)], {"beta": 0.125, "label_smoothing": 0.25}, smooth=True),
            Special("huge", [(-1e30, -3.0)], [(-3.0, -3.0)], {"beta": 1.0}, first=[(-1.0, 1.0)], second=[(0.0, 0.0)]),
            Special("huge", [(-3.0, -1e30)], [(-3.0, -3.0)], {"beta": 1.0}, first=[(0.0, 0.0)], second=[(0.0, 0.0)]),
            integers([(-3, -5), (-7, -2)], [(-4, -4), (-5, -3)]),
        ),
    ),
    "kto": Mean(
        kto,
        kto_tanh,
        answer,
        ({"beta": 0.5, "desirable_weight": 2.0, "undesirable_weight": 0.75}, {"beta": 2.0}),
        (
            Special("equal", [-3.0, -3.0], [(-3.0, 1.0, 0.0), (-3.0, 0.0, 0.0)], {"beta": 0.5}, first=[-0.125, 0.125], second=[0.0, 0.0]),
            Special("below_0", [-3.0, -4.0], [(-13.5, 1.0, -1.0), (-19.0, 0.0, -0.25)], smooth=True),
            Special("sure", [-3.0, -259.0], [(-259.0, 1.0, 0.0), (-3.0, 0.0, 1.0)], {"beta": 0.125}, smooth=True),
            Special("wrong", [-3.0, -259.0], [(-259.0, 0.0, 0.0), (-3.0, 1.0, 1.0)], {"beta": 0.125}, smooth=True),
        ),
    ),
    "ppo_clip": Mean(
        ppo_clip,
        ppo_clip_cases,
        action,
        ({"epsilon": 0.05}, {"epsilon": 1.5}),
        (
            Special("equal", [-1.0, -1.0], [(-1.0, 2.0), (-1.0, -2.0)], smooth=True),
            Special("near", [-1.0 + 2.0**-20], [(-1.0, 2.0)], smooth=True),
            Special("clipped", [-1.0, -3.0], [(-3.0, 2.0), (-1.0, -2.0)], first=[0.0, 0.0], second=[0.0, 0.0]),
            Special("not_clipped", [-1.0, -3.0], [(-3.0, -2.0), (-1.0, 2.0)], smooth=True),
            Special("no_advantage", [-1.0, 1000.0, -1000.0], [(-3.0, 0.0), (-1.0, 0.0), (-1.0, 0.0)], first=[0.0] * 3, second=[0.0] * 3),
            Special("far_clipped", [1000.0, -1000.0], [(-1.0, 2.0), (-1.0, -2.0)], first=[0.0, 0.0], second=[0.0, 0.0]),
            Special("out_of_range", [95.0], [(0.0, -(2.0**-40))], smooth=True),  # the ratio alone is beyond float32
            Special("out_of_range", [-95.0], [(0.0, 2.0**40)], smooth=True),
        ),
    ),
}  # fmt: skip
