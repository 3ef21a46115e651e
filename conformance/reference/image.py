"""Scores of boxes, and the total variation of images, at high precision, from the literature."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from functools import cache
from typing import Any

from mpmath import mp, mpf

from .definition import Mean, Special, integers
from .drawing import normal, uniform
from .rounding import WIDE

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


# --- signal and noise -----------------------------------------------------------------------------


def decibels(mean: mpf, *, data_range: float) -> mpf:
    """ITU-T J.340: the squared range over the mean squared error."""
    return 10 * mp.log10(mpf(data_range) ** 2 / mean) if mean else mp.inf


def square(p: mpf, y: mpf, **_: Any) -> mpf:
    """The squared error."""
    return (p - y) ** 2


def square_expanded(p: mpf, y: mpf, **_: Any) -> mpf:
    """The same, multiplied out."""
    return p * p - 2 * p * y + y * y


# --- similarity in windows --------------------------------------------------------------------------

Moments = tuple[mpf, mpf, mpf, mpf, mpf]  # two means, two variances, the covariance


@cache
def gaussian(window: int, sigma: float) -> list[mpf]:
    """The weights of a square window, row by row."""
    places = [mpf(k) - mpf(window - 1) / 2 for k in range(window)]
    raw = [mp.exp(-(i * i + j * j) / (2 * mpf(sigma) ** 2)) for i in places for j in places]
    return [w / mp.fsum(raw) for w in raw]


def windows(image: Image, window: int) -> list[list[mpf]]:
    """The pixels under the window, at every place where it fits."""
    tops, lefts = range(len(image) - window + 1), range(len(image[0]) - window + 1)
    return [
        [x for row in image[top : top + window] for x in row[left : left + window]]
        for top in tops
        for left in lefts
    ]


def moments(w: list[mpf], x: list[mpf], z: list[mpf]) -> Moments:
    """Wang et al. (2004), equations 14 to 16."""
    mx, mz = mp.fdot(w, x), mp.fdot(w, z)

    def about(a: list[mpf], m: mpf, b: list[mpf], n: mpf) -> mpf:
        return mp.fsum(v * (i - m) * (j - n) for v, i, j in zip(w, a, b, strict=True))

    return mx, mz, about(x, mx, x, mx), about(z, mz, z, mz), about(x, mx, z, mz)


def moments_of_pairs(w: list[mpf], x: list[mpf], z: list[mpf]) -> Moments:
    """The same from differences of pixels, pair by pair."""
    pairs = list(itertools.combinations(zip(w, x, z, strict=True), 2))
    mx, mz = (mp.fsum(v * i for v, i in zip(w, one, strict=True)) for one in (x, z))

    def spread(one: int, two: int) -> mpf:
        return mp.fsum(a[0] * b[0] * (a[one] - b[one]) * (a[two] - b[two]) for a, b in pairs)

    return mx, mz, spread(1, 1), spread(2, 2), spread(1, 2)


def similarities(
    of: Callable[..., Moments], p: Image, y: Image, data_range: float, window: int = 11,
    sigma: float = 1.5, k1: float = 0.01, k2: float = 0.03,
) -> list[tuple[mpf, mpf]]:  # fmt: skip
    """Equations 6 and 9 of Wang et al.: of luminance, and of contrast and structure, place by place."""
    c1, c2 = ((mpf(k) * mpf(data_range)) ** 2 for k in (k1, k2))
    found = []
    for x, z in zip(windows(p, window), windows(y, window), strict=True):
        mx, mz, vx, vz, cov = of(gaussian(window, sigma), x, z)
        found.append(((2 * mx * mz + c1) / (mx**2 + mz**2 + c1), (2 * cov + c2) / (vx + vz + c2)))
    return found


def ssim(of: Callable[..., Moments]) -> Callable[..., mpf]:
    """Equation 17: the mean over all places."""

    def term(p: Image, y: Image, **named: Any) -> mpf:
        found = similarities(of, p, y, **named)
        return mp.fsum(one * two for one, two in found) / len(found)

    return term


def halved(image: Image) -> Image:
    """Means of two by two pixels; beyond an odd end, the last pixel again."""
    n, m = len(image), len(image[0])
    return [
        [mp.fsum(image[min(i + a, n - 1)][min(j + b, m - 1)] for a in (0, 1) for b in (0, 1)) / 4
         for j in range(0, m, 2)]
        for i in range(0, n, 2)
    ]  # fmt: skip


def multi_scale(of: Callable[..., Moments]) -> Callable[..., mpf]:
    """Wang, Simoncelli and Bovik (2003), equation 7."""

    def term(p: Image, y: Image, *, exponents: list[float], **named: Any) -> mpf:
        product = mpf(1)
        for exponent in exponents[:-1]:
            found = similarities(of, p, y, **named)
            product *= (mp.fsum(two for _, two in found) / len(found)) ** mpf(exponent)
            p, y = halved(p), halved(y)
        return product * ssim(of)(p, y, **named) ** mpf(exponents[-1])

    return term


def alike(rng: random.Random, parameters: dict[str, Any]) -> tuple[list[Any], list[Any]]:
    """A small image of the data's range, and one like it."""
    unit = parameters["data_range"]
    y = [[unit * uniform(rng, 0.1, 0.9) for _ in range(4)] for _ in range(3)]
    return [[x + unit * uniform(rng, -0.3, 0.3) for x in row] for row in y], y


def picture(name: str, p: Image, y: Image, first: Any = None, condition: float = 1.0) -> Special:
    """Two images of one size, with the derivatives stated; where none are, differences give them."""
    stated = None if first is None else [first]
    return Special(name, [p], [y], {}, stated, smooth=first is None, condition=condition)


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
WHOLE = integers([[0, 0, 2, 2], [1, 1, 4, 3]], [[1, 0, 3, 2], [0, 0, 2, 5]])
Score = Callable[[Box, Box], mpf]


def score(term: Score, other: Score, *special: Special) -> Mean:
    """A score of boxes."""
    return Mean(term, other, overlapping, (), (*ANYWHERE, *special, WHOLE))


TOUCHING = [0.0, 0.0, 1.0, 1.0], [1.0, 0.0, 2.0, 1.0]
FLAT = [0.5, 0.25, 0.5, 0.75], ONE  # a box without a width

STRIPES = [[0.0, 1.0, 0.0], [0.25, 0.75, 0.25], [0.0, 1.0, 0.5]]

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
    "PSNR": Mean(
        square, square_expanded, lambda rng, _: (normal(rng), normal(rng)),
        ({"data_range": 255.0}, {"data_range": 0.125}),
        (
            Special("bytes", [12.0, 250.0], [32.0, 251.0], {"data_range": 255.0}, smooth=True),
            Special("no_error", [0.5, 2.0], [0.5, 2.0]),
            Special("huge", [3e30, 1e30], [0.0, -1e30], {"data_range": 1e30}, smooth=True),
            Special("tiny", [3e-30, 1e-30], [0.0, -1e-30], {"data_range": 1e-25}, smooth=True),
            integers([12, 100, 3], [32, 90, 4]),
        ),
        required={"data_range": 8.0}, link=decibels,
    ),
    "SSIM": Mean(
        ssim(moments), ssim(moments_of_pairs), alike,
        ({"data_range": 255.0, "sigma": 0.75}, {"window": 2, "k1": 0.125, "k2": 0.25}),
        (
            picture("equal", STRIPES, STRIPES, [[0.0] * 3] * 3),
            # the slopes of mean, contrast and structure cancel
            picture("negative", STRIPES, [[1 - x for x in row] for row in STRIPES], condition=8.0),
            picture("flat", [[0.5] * 3] * 3, [[0.25] * 3] * 3),
            picture("black", [[0.0] * 3] * 3, [[0.0] * 3] * 3, [[0.0] * 3] * 3),
        ),
        required={"data_range": 1.0, "window": 3},
    ),
    "MultiScaleSSIM": Mean(
        multi_scale(moments), multi_scale(moments_of_pairs), alike,
        ({"data_range": 255.0, "sigma": 0.75}, {"exponents": [0.5, 0.25, 0.25], "window": 1}),
        (picture("equal", STRIPES, STRIPES, [[0.0] * 3] * 3),),
        required={"data_range": 1.0, "window": 2, "exponents": [0.25, 0.75]},
    ),
    "total_variation_image": Mean(
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
            integers([[[3, -2], [1, 0]]], [[[1, 0], [0, 1]]]),
        ),
    ),
}  # fmt: skip
