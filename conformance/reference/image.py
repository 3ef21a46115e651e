"""Scores of boxes, and the total variation of images, at high precision, from the literature."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from typing import Any

from cases import WIDE, normal, uniform
from families import Definition, Special
from mpmath import mp, mpf

DOUBLE = ("float64",)
Box = list[mpf]
Image = list[list[mpf]]


def overlapping(rng: random.Random, parameters: dict[str, Any]) -> tuple[list[float], list[float]]:
    """Two boxes that overlap, mostly."""
    x, y, w, h = (uniform(rng, 0.5, 4) for _ in range(4))
    box = [x, y, x + w, y + h]
    return [
        one + side * uniform(rng, -0.4, 0.4) for one, side in zip(box, (w, h, w, h), strict=True)
    ], box


def images(rng: random.Random, parameters: dict[str, Any]) -> tuple[list[Any], list[Any]]:
    """Two small images."""
    one, two = ([[normal(rng) for _ in range(3)] for _ in range(3)] for _ in range(2))
    return one, two


# --- boxes ----------------------------------------------------------------------------------------


def area(box: Box) -> mpf:
    """Width times height, 0 of an empty box."""
    return max(mpf(0), box[2] - box[0]) * max(mpf(0), box[3] - box[1])


def common(p: Box, y: Box) -> Box:
    """The box that both have."""
    return [max(p[0], y[0]), max(p[1], y[1]), min(p[2], y[2]), min(p[3], y[3])]


def around(p: Box, y: Box) -> Box:
    """The smallest box that has all corners."""
    xs, ys = (sorted([p[k], p[k + 2], y[k], y[k + 2]]) for k in (0, 1))
    return [xs[0], ys[0], xs[-1], ys[-1]]


def over(above: mpf, below: mpf) -> mpf:
    """A quotient, 0 for 0/0."""
    return mpf(above) / below if below else mpf(0)


def union(p: Box, y: Box) -> mpf:
    """The area of either box."""
    return area(p) + area(y) - area(common(p, y))


def iou(p: Box, y: Box) -> mpf:
    """Everingham et al. (2010), equation 3."""
    return over(area(common(p, y)), union(p, y))


def giou(p: Box, y: Box) -> mpf:
    """Rezatofighi et al. (2019), algorithm 1."""
    whole = area(around(p, y))
    return iou(p, y) - over(whole - union(p, y), whole)


def distance(p: Box, y: Box) -> mpf:
    """Zheng et al. (2020), equation 6: squared, over the squared diagonal."""
    apart = [(p[k] + p[k + 2]) / 2 - (y[k] + y[k + 2]) / 2 for k in (0, 1)]
    hull = around(p, y)
    sides = [hull[2] - hull[0], hull[3] - hull[1]]
    return over(mp.fsum(x**2 for x in apart), mp.fsum(x**2 for x in sides))


def diou(p: Box, y: Box) -> mpf:
    """Zheng et al. (2020), equation 7, as a score."""
    return iou(p, y) - distance(p, y)


def slope(box: Box) -> mpf:
    """The arc tangent of the shape of a box."""
    w, h = box[2] - box[0], box[3] - box[1]
    return mp.atan(mpf(w) / h) if h else mp.pi / 2


def ciou(p: Box, y: Box) -> mpf:
    """Zheng et al. (2020), equations 8 to 11, as a score."""
    flat = any(one[0] == one[2] and one[1] == one[3] for one in (p, y))
    v = mpf(0) if flat else 4 / mp.pi**2 * (slope(y) - slope(p)) ** 2
    alpha = over(v, 1 - iou(p, y) + v)
    return diou(p, y) - alpha * v


def cells(p: Box, y: Box) -> tuple[mpf, mpf, mpf]:
    """The areas that both boxes have, that either has, and of all, cell by cell of a grid."""
    xs, ys = (sorted({one[k] for one in (p, y) for k in (axis, axis + 2)}) for axis in (0, 1))
    both = either = whole = mpf(0)
    for left, right in itertools.pairwise(xs):
        for low, high in itertools.pairwise(ys):
            size = (right - left) * (high - low)
            inside = [
                one[0] <= left and right <= one[2] and one[1] <= low and high <= one[3]
                for one in (p, y)
            ]
            whole += size
            both += size * all(inside)
            either += size * any(inside)
    return both, either, whole


def iou_cells(p: Box, y: Box) -> mpf:
    """By counting cells."""
    both, either, _ = cells(p, y)
    return over(both, either)


def giou_cells(p: Box, y: Box) -> mpf:
    """What either has of the whole, less what one alone has of either."""
    both, either, whole = cells(p, y)
    return over(either, whole) - over(either - both, either) if either else -mpf(bool(whole))


def distance_complex(p: Box, y: Box) -> mpf:
    """The squared ratio of two complex numbers: from centre to centre, from corner to corner."""
    apart = (mp.mpc(p[0], p[1]) + mp.mpc(p[2], p[3]) - mp.mpc(y[0], y[1]) - mp.mpc(y[2], y[3])) / 2
    xs, ys = ([one[k] for one in (p, y) for k in (axis, axis + 2)] for axis in (0, 1))
    diagonal = mp.mpc(max(xs) - min(xs), max(ys) - min(ys))
    return abs(apart / diagonal) ** 2 if diagonal else mpf(0)


def diou_complex(p: Box, y: Box) -> mpf:
    """By counting cells, and by complex numbers."""
    return iou_cells(p, y) - distance_complex(p, y)


def ciou_complex(p: Box, y: Box) -> mpf:
    """The angle is that between two complex diagonals."""
    one, two = (mp.mpc(box[2] - box[0], box[3] - box[1]) for box in (p, y))
    v = (2 * mp.arg(two / one) / mp.pi) ** 2 if one and two else mpf(0)
    both, either, _ = cells(p, y)
    lost = over(either - both, either) if either else mpf(1)
    return 1 - lost - distance_complex(p, y) - over(v**2, lost + v)


# --- images ---------------------------------------------------------------------------------------


def errors(p: Image, y: Image) -> Image:
    """The difference of two images."""
    return [[a - b for a, b in zip(one, two, strict=True)] for one, two in zip(p, y, strict=True)]


def neighbours(image: Image) -> list[tuple[mpf, mpf]]:
    """All pairs of pixels that are next to each other."""
    across = [pair for row in image for pair in itertools.pairwise(row)]
    pairs = itertools.pairwise(image)
    return across + [pair for one, two in pairs for pair in zip(one, two, strict=True)]


def variation(p: Image, y: Image) -> mpf:
    """Rudin, Osher and Fatemi (1992), of the l1 norm of the gradient."""
    return mp.fsum(abs(a - b) for a, b in neighbours(errors(p, y)))


def variation_levels(p: Image, y: Image) -> mpf:
    """The coarea formula: the perimeters of what is above each level, integrated over levels."""
    image = errors(p, y)
    levels = sorted({one for row in image for one in row})
    return mp.fsum(
        (high - low) * sum((a >= high) != (b >= high) for a, b in neighbours(image))
        for low, high in itertools.pairwise(levels)
    )


# --- declared -------------------------------------------------------------------------------------

ONE = [0.0, 0.0, 2.0, 1.0]


def boxes(name: str, p: list[float], y: list[float], dtypes: tuple[str, ...] = WIDE) -> Special:
    """Two boxes, whose derivatives are found by differences."""
    return Special(name, [p], [y], smooth=True, dtypes=dtypes)


def stated(name: str, p: list[float], y: list[float], first: list[float]) -> Special:
    """Two boxes, whose derivatives are stated."""
    return Special(name, [p], [y], {}, [first])


def scaled(name: str, factor: float, dtypes: tuple[str, ...] = WIDE) -> Special:
    """Two boxes that overlap, in a unit of its own."""
    p, y = [0.125, 0.25, 1.5, 1.0], [0.5, 0.125, 2.0, 0.75]
    return boxes(name, [factor * x for x in p], [factor * x for x in y], dtypes)


NONE = [0.0] * 4
ANYWHERE = (
    stated("equal", ONE, ONE, NONE),
    stated("points", [1.0, 2.0, 1.0, 2.0], [1.0, 2.0, 1.0, 2.0], NONE),
    boxes("inside", [0.25, 0.125, 0.5, 0.875], [0.0, 0.0, 1.0, 1.0]),
    boxes("around", [-1.0, -2.0, 4.0, 3.0], ONE),
    boxes("nearly_equal", [1e-6, 2e-6, 2.0, 1.0], [0.0, 0.0, 2.0 - 2.0**-12, 1.0 - 2.0**-10]),
    scaled("large", 1e6),
    scaled("huge", 1e30),
    scaled("tiny", 1e-30),
    scaled("largest", 1e300, DOUBLE),
    scaled("smallest", 1e-300, DOUBLE),
)
FAR = boxes("disjoint", [0.0, 0.125, 1.0, 1.5], [3.0, 0.25, 4.0, 1.75])
WHOLE = ([[0, 0, 2, 2], [1, 1, 4, 3]], [[1, 0, 3, 2], [0, 0, 2, 5]])
Score = Callable[[Box, Box], mpf]


def score(term: Score, other: Score, *special: Special) -> Definition:
    """A score of boxes."""
    return Definition(term, other, overlapping, (), (*ANYWHERE, *special), integers=WHOLE)


TOUCHING = [0.0, 0.0, 1.0, 1.0], [1.0, 0.0, 2.0, 1.0]
FLAT = [0.5, 0.25, 0.5, 0.75], ONE  # a box without a width

DEFINITIONS = {
    "iou": score(
        iou, iou_cells,
        stated("disjoint", [0.0, 0.0, 1.0, 1.0], [3.0, 0.0, 4.0, 1.0], NONE),
        stated("touching", *TOUCHING, NONE),
        stated("flat", *FLAT, NONE),
        stated("backwards", [1.5, 0.75, 0.5, 0.25], ONE, NONE),
    ),
    "giou": score(giou, giou_cells, FAR, stated("touching", *TOUCHING, [0.0, 0.0, 0.5, 0.0])),
    "diou": score(diou, diou_complex, FAR, stated("flat", *FLAT, [0.1, 0.0, 0.1, 0.0])),
    "ciou": score(ciou, ciou_complex, FAR, boxes("across", [0.0, 0.25, 4.0, 0.375], [1.0, 0.0, 1.125, 3.0])),
    "total_variation_image": Definition(
        variation, variation_levels, images, (),
        (
            Special("constant", [[[2.5] * 3] * 2], [[[0.5] * 3] * 2], {}, [[[0.0] * 3] * 2]),
            Special(
                "one_spot", [[[0.0] * 3, [0.0, 1.0, 0.0], [0.0] * 3]], [[[0.0] * 3] * 3], {},
                [[[0.0, -1.0, 0.0], [-1.0, 4.0, -1.0], [0.0, -1.0, 0.0]]],
            ),
            Special("one_pixel", [[[2.5]]], [[[0.5]]], {}, [[[0.0]]]),
            Special("huge", [[[1e30, -3e30], [2e30, 5e30]]], [[[0.0] * 2] * 2], smooth=True),
            Special("tiny", [[[1e-30, -3e-30], [2e-30, 5e-30]]], [[[0.0] * 2] * 2], smooth=True),
        ),
        integers=([[[3, -2], [1, 0]]], [[[1, 0], [0, 1]]]),
    ),
}  # fmt: skip
