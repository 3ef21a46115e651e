"""Losses of sequences at high precision: by all paths, and by the forward algorithm."""

from __future__ import annotations

import itertools
import random
from typing import Any

from mpmath import mp, mpf

from .definition import Mean, Special
from .drawing import normal

Frames = list[list[mpf]]
Target = tuple[list[int], int, int]


def probabilities(logits: Frames, frames: int) -> Frames:
    found = []
    for row in logits[:frames]:
        terms = [mp.exp(z) for z in row]
        found.append([t / mp.fsum(terms) for t in terms])
    return found


def collapsed(path: tuple[int, ...], blank: int) -> list[int]:
    """Equal neighbours merged, and blanks left out."""
    return [c for c, _ in itertools.groupby(path) if c != blank]


def ctc_paths(z: Frames, y: Target, *, blank: int = 0) -> mpf:
    """Graves et al. (2006), equation 3: the sum over all paths that become the labels."""
    labels, frames, length = y
    p = probabilities(z, frames)
    total = mpf(0)
    for path in itertools.product(range(len(z[0])), repeat=frames):
        if collapsed(path, blank) == list(labels[:length]):
            total += mp.fprod(row[c] for row, c in zip(p, path, strict=True))
    return -mp.log(total) if total else mp.inf


def ctc_forward(z: Frames, y: Target, *, blank: int = 0) -> mpf:
    """Graves et al. (2006), equations 5 to 8, of labels with blanks around them."""
    labels, frames, length = y
    p, states = probabilities(z, frames), [blank]
    for label in labels[:length]:
        states += [label, blank]
    here = [mpf(1)] + [mpf(0)] * (len(states) - 1)
    for t, row in enumerate(p):
        before, here = here, []
        for s, state in enumerate(states):
            reached = before[s] + (before[s - 1] if s and (t or s == 1) else 0)
            if t and s > 1 and state not in (blank, states[s - 2]):
                reached += before[s - 2]
            here.append(reached * row[state])
    total = here[-1] + (here[-2] if len(here) > 1 else 0)
    return -mp.log(total) if total else mp.inf


def draw(rng: random.Random, parameters: dict[str, Any]) -> tuple[Any, Any]:
    """Four frames of three classes, and up to two labels, possible in the frames that count."""
    named = [c for c in range(3) if c != parameters.get("blank", 0)]
    while True:
        labels = [rng.choice(named) for _ in range(2)]
        frames, length = rng.randrange(2, 5), rng.randrange(3)
        repeats = length == 2 and labels[0] == labels[1]
        if frames >= length + repeats:
            return [[normal(rng) for _ in range(3)] for _ in range(4)], (labels, frames, length)


TWO = [[0.5, -1.0, 2.0], [1.5, 0.0, -0.5]]
NOTHING = [[0.0] * 3] * 2

DEFINITIONS = {
    "ctc": Mean(
        ctc_paths,
        ctc_forward,
        draw,
        ({"blank": 2},),
        (
            Special("too_few_frames", [TWO], [([1, 1], 2, 2)], first=[NOTHING], second=[NOTHING]),
            Special("no_frames", [TWO], [([1, 1], 0, 0)], first=[NOTHING], second=[NOTHING]),
            Special("one_frame", [[TWO[0]]], [([1], 1, 1)], smooth=True),
            Special("no_labels", [TWO], [([1], 2, 0)], smooth=True),
            Special("sure", [[[0.0, 80.0, 0.0], [0.0, 0.0, 90.0]]], [([1, 2], 2, 2)]),
            Special("wrong", [[[0.0, 80.0, 0.0], [0.0, 0.0, 90.0]]], [([2, 1], 2, 2)], smooth=True),
        ),
        labels=True,
    ),
}
