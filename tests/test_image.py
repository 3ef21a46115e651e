"""Images and boxes: brute force at 50 digits, every small box, and what is empty, equal or far out."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from mpmath import mp, mpf

import isoloss as il
from conformance.kit.backends import Backend
from conformance.kit.comparison import as_numpy, close, distance
from conformance.reference.image import moments, multi_scale, ssim


def ulps(got: Any, want: mpf, dtype: str = "float32") -> float:
    """Return how many ULP lie between a number and the exact one."""
    return distance(float(got), mp.nstr(want, 40), dtype)


# --- signal and noise -----------------------------------------------------------------------------


def exact_psnr(p: Any, t: Any, data_range: float) -> mpf:
    """10 log10(L^2 / MSE), by its definition."""
    with mp.workdps(50):
        errors = [(mpf(float(a)) - mpf(float(b))) ** 2 for a, b in zip(p.flat, t.flat, strict=True)]
        return +(10 * mp.log10(mpf(data_range) ** 2 * len(errors) / mp.fsum(errors)))


def noisy(data_range: float) -> tuple[np.ndarray, np.ndarray]:
    """Draw four pictures, and the same with noise."""
    rng = np.random.default_rng(0)
    t = (data_range * rng.uniform(size=(4, 6, 5))).astype("float32")
    return (t + 0.01 * data_range * rng.normal(size=t.shape)).astype("float32"), t


@pytest.mark.parametrize("data_range", [1.0, 255.0, 2.0**-20])
def test_psnr(backend: Backend, data_range: float) -> None:
    """The ratio of one range and one mean square, to 4 ULP."""
    p, t = noisy(data_range)
    a, b = backend.array(p, "float32"), backend.array(t, "float32")
    assert ulps(il.PSNR(data_range=data_range)(a, b), exact_psnr(p, t, data_range)) <= 4


def test_psnr_of_each(backend: Backend) -> None:
    """Each picture has a ratio of its own where the axes of pictures are reduced."""
    p, t = noisy(1.0)
    a, b = backend.array(p, "float32"), backend.array(t, "float32")
    each = as_numpy(il.PSNR(data_range=1.0)(a, b, axis=(1, 2)))
    for one, x, y in zip(each, p, t, strict=True):
        assert ulps(one, exact_psnr(x, y, 1.0)) <= 4


def test_psnr_of_bytes(backend: Backend) -> None:
    """Bytes do not wrap: an error of 20 is 22.1 dB, where 12 + 256 - 32 would be 0.7 dB."""
    p, t = (backend.array([[one, one + 10]] * 2, "uint8") for one in (12, 32))
    want = exact_psnr(np.full((2, 2), 20.0), np.zeros((2, 2)), 255)
    for pair in ((p, t), (t, p)):
        assert ulps(il.PSNR(data_range=255)(*pair), want) <= 4


def test_psnr_far_out(backend: Backend) -> None:
    """Squares and ratios that leave the range of float32 do not matter; no error is inf, slope 0."""
    for size, data_range in ((1e-30, 1e-30), (1e30, 255.0), (1e-30, 1e20), (1e-36, 1e36)):
        p, t = np.float32([size, -3 * size]), np.float32([0.0, 0.0])
        a, b = backend.array(p, "float32"), backend.array(t, "float32")
        value = il.PSNR(data_range=data_range)(a, b)
        assert ulps(value, exact_psnr(p, t, data_range)) <= 4
    value, slope = il.value_and_gradient(il.PSNR(data_range=1.0), b, b)
    assert float(value) == math.inf
    assert not np.any(as_numpy(slope))
    near = backend.array([0.25, 0.5], "float32")
    slope = il.gradient(il.PSNR(data_range=1.0), near, b)
    close(slope, [-20 / math.log(10) * e / 0.3125 for e in (0.25, 0.5)], 2)


def test_a_range_is_needed() -> None:
    """The range of the data is never guessed from the data."""
    for kind in (il.PSNR, il.SSIM, il.MultiScaleSSIM):
        with pytest.raises(TypeError, match="data_range"):
            kind()
        with pytest.raises(ValueError, match="data_range must be finite and > 0, not 0"):
            kind(data_range=0)


# --- structural similarity ------------------------------------------------------------------------

Image = list[list[mpf]]


def exact(image: Any) -> Image:
    return [[mpf(float(x)) for x in row] for row in image]


def slopes(function: Callable[[Image], mpf], p: Image) -> list[list[mpf]]:
    """The gradient, by central differences."""
    step, gradient = mpf(10) ** -20, []
    for i, row in enumerate(p):
        gradient.append([])
        for j in range(len(row)):
            high, low = ([list(r) for r in p] for _ in range(2))
            high[i][j] += step
            low[i][j] -= step
            gradient[i].append((function(high) - function(low)) / (2 * step))
    return gradient


def pictures(
    shape: tuple[int, int], noise: float, data_range: float = 1.0, base: float = 0.0
) -> Any:
    """A smooth picture, and one that differs from it by noise."""
    rng = np.random.default_rng(1)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    t = base + data_range * (
        0.5 + 0.3 * np.sin(rows / 2) * np.cos(columns / 3) + 0.1 * rng.random(shape)
    )
    p = t.astype("float32") + (noise * data_range * rng.normal(size=shape)).astype("float32")
    return p, t.astype("float32")


SIMILAR = [
    (il.SSIM(data_range=1.0), (12, 13), 0.1, 1.0, 0.0),
    (il.SSIM(data_range=255.0), (11, 11), 0.05, 255.0, 0.0),
    (il.SSIM(data_range=255.0, window=7, sigma=1.0, k1=0.02, k2=0.1), (8, 9), 0.3, 255.0, 0.0),
    # the variances are 1e-8 of the squares, which a difference of squares would lose
    (il.SSIM(data_range=1.0, window=5), (6, 6), 0.1, 1.0, 4096.0),
    (il.SSIM(data_range=1.0, window=4), (5, 6), 0.1, 1.0, 0.0),
    (il.SSIM(data_range=1.0, window=1), (2, 2), 0.1, 1.0, 0.0),
    (il.MultiScaleSSIM(data_range=1.0, exponents=(0.25, 0.75), window=3), (7, 6), 0.1, 1.0, 0.0),
    (il.MultiScaleSSIM(data_range=1.0, exponents=(0.2, 0.3, 0.5), window=3), (9, 11), 0.1, 1.0, 0.0),
]  # fmt: skip


@functools.cache
def reference(case: int) -> tuple[mpf, list[list[mpf]] | None]:
    """Return the value, and for small pictures the gradient, of sums over whole windows."""
    metric, shape, *rest = SIMILAR[case]
    chosen = {name: getattr(metric, name) for name in vars(metric)}
    of = (multi_scale if isinstance(metric, il.MultiScaleSSIM) else ssim)(moments)
    p, t = map(exact, pictures(shape, *rest))
    with mp.workdps(60):
        value = of(p, t, **chosen)
        steep = slopes(lambda q: of(q, t, **chosen), p) if math.prod(shape) < 70 else None
    return value, steep


@pytest.mark.parametrize("case", range(len(SIMILAR)), ids=[repr(s[0])[:60] for s in SIMILAR])
def test_similarity(backend: Backend, case: int) -> None:
    """Values and gradients are those of sums over whole windows at 50 digits, to 4 ULP."""
    metric = SIMILAR[case][0]
    p, t = (backend.array(x, "float32") for x in pictures(*SIMILAR[case][1:]))
    want, steep = reference(case)
    if steep is None:
        assert ulps(metric(p, t), want) <= 4
        return
    value, slope = il.value_and_gradient(metric, p, t)
    assert ulps(value, want) <= 4
    largest = max(abs(x) for row in steep for x in row)
    unit = float(np.spacing(np.float32(largest)))
    for got, exactly in zip(as_numpy(slope).flat, itertools.chain(*steep), strict=True):
        assert abs(float(got) - float(exactly)) <= 4 * unit


def test_nearly_equal_pictures(backend: Backend) -> None:
    """The slope of pictures that differ in the sixth digit is small, and has its digits."""
    p, t = pictures((6, 7), 1e-6)
    metric = il.SSIM(data_range=1.0, window=5)
    with mp.workdps(60):
        steep = slopes(lambda q: ssim(moments)(q, exact(t), data_range=1.0, window=5), exact(p))
    largest = float(max(abs(x) for row in steep for x in row))
    assert 0 < largest < 1e-3
    a, b = backend.array(p, "float32"), backend.array(t, "float32")
    slope = as_numpy(il.gradient(metric, a, b))
    assert np.max(np.abs(slope - np.array(steep, dtype="float64"))) <= 4 * np.spacing(
        np.float32(largest)
    )
    value, slope = il.value_and_gradient(metric, b, b)
    assert float(value) == 1.0
    assert not np.any(as_numpy(slope))


def test_units_of_pictures(backend: Backend) -> None:
    """Pictures in another unit are as similar, far out too, and so are bytes and their numbers."""
    p, t = pictures((12, 12), 0.1)
    for metric in (
        il.SSIM(data_range=1.0, window=3),
        il.MultiScaleSSIM(data_range=1.0, exponents=(0.5, 0.5), window=3),
    ):
        want = float(metric(backend.array(p, "float32"), backend.array(t, "float32")))
        for unit in (2.0**100, 2.0**-100):
            a, b = (backend.array(np.float32(unit) * x, "float32") for x in (p, t))
            scaled = type(metric)(**{**vars(metric), "data_range": unit})
            close(scaled(a, b), want, 4)
    bytes_ = [np.clip(255 * x, 0, 255).astype("uint8") for x in (p, t)]
    metric = il.SSIM(data_range=255, window=3)
    want = metric(*(x.astype("float64") for x in bytes_))
    close(metric(*(backend.array(x, "uint8") for x in bytes_)), want, 2, 1.0)


def test_channels_and_batches(backend: Backend) -> None:
    """event_axis names height and width; every channel of every image is a picture of its own."""
    rng = np.random.default_rng(0)
    p, t = rng.uniform(size=(2, 2, 12, 11, 3)).astype("float32")
    metric = il.SSIM(data_range=1.0)
    every = [
        metric(*np.float64([p[n, :, :, c], t[n, :, :, c]])) for n in range(2) for c in range(3)
    ]
    a, b = backend.array(p, "float32"), backend.array(t, "float32")
    for option, want in (({}, np.mean(every)), ({"axis": 1}, np.reshape(every, (2, 3)).mean(1))):
        close(metric(a, b, event_axis=(1, 2), **option), want, 8, 1.0)
    first = (np.moveaxis(np.float64(x), 3, 1) for x in (p, t))
    want = il.total_variation_image(*first, reduction="none")
    turned = il.total_variation_image(a, b, event_axis=(1, 2), reduction="none")
    close(turned, want, 4)


def test_opposite_pictures(backend: Backend) -> None:
    """A picture and its negative: a structure below 0 counts as 0, with gradient 0."""
    p, _ = pictures((8, 8), 0.0)
    a, b = backend.array(p, "float32"), backend.array(1 - p, "float32")
    assert float(il.SSIM(data_range=1.0, window=3)(a, b)) < 0
    metric = il.MultiScaleSSIM(data_range=1.0, exponents=(0.5, 0.5), window=3)
    value, slope = il.value_and_gradient(metric, a, b)
    assert float(value) == 0.0
    assert not np.any(as_numpy(slope))


def test_pictures_that_are_too_small() -> None:
    """A picture smaller than the window is an error that says how large it must be."""
    small = np.zeros((12, 10))
    message = r"^SSIM\(.*\): images of 12 by 10 are too small, 11 by 11 is needed: choose a smaller"
    with pytest.raises(ValueError, match=message):
        il.SSIM(data_range=1.0)(small, small)
    with pytest.raises(
        ValueError, match=r"images of 160 by 200 are too small, 161 by 161 is needed"
    ):
        il.MultiScaleSSIM(data_range=1.0)(np.zeros((160, 200)), np.zeros((160, 200)))
    large = np.random.default_rng(0).uniform(size=(161, 163))
    assert abs(il.MultiScaleSSIM(data_range=1.0)(large, large) - 1) < 1e-15
    with pytest.raises(ValueError, match="event_axis=1 must be 2 different axes: height, width"):
        il.SSIM(data_range=1.0)(np.zeros((1, 20, 20)), np.zeros((1, 20, 20)), event_axis=1)


def test_total_variation_of_an_image() -> None:
    """With targets of 0 it is that of the image; a constant added to either changes nothing."""
    image = np.random.default_rng(0).integers(0, 256, (3, 5, 4)).astype("uint8")
    wide = image.astype("int64")
    want = np.abs(np.diff(wide, axis=1)).sum((1, 2)) + np.abs(np.diff(wide, axis=2)).sum((1, 2))
    none = np.zeros_like(image)
    np.testing.assert_array_equal(il.total_variation_image(image, none, reduction="none"), want)
    assert il.total_variation_image(image, none, reduction="sum") == want.sum()
    assert il.total_variation_image(image / 256 + 1.0, image / 256) == 0.0


# --- boxes ----------------------------------------------------------------------------------------

SCORES = [il.iou, il.giou, il.diou, il.ciou]


def test_every_box(backend: Backend) -> None:
    """Of all pairs of boxes on a grid of four, IoU and GIoU are the ratios of the cells they cover."""
    sides = list(itertools.combinations(range(4), 2))
    every = [(a, c, b, d) for (a, b), (c, d) in itertools.product(sides, repeat=2)]
    covered = [{(i, j) for i in range(x1, x2) for j in range(y1, y2)} for x1, y1, x2, y2 in every]
    pairs = list(itertools.product(range(len(every)), repeat=2))
    p, t = (backend.array([every[pair[k]] for pair in pairs], "float32") for k in (0, 1))
    exact_iou, exact_giou = [], []
    for i, j in pairs:
        one, two = every[i], every[j]
        both, either = len(covered[i] & covered[j]), len(covered[i] | covered[j])
        hull = (max(one[2], two[2]) - min(one[0], two[0])) * (
            max(one[3], two[3]) - min(one[1], two[1])
        )
        exact_iou.append(Fraction(both, either))
        exact_giou.append(Fraction(both, either) - Fraction(hull - either, hull))
    for metric, want in ((il.iou, exact_iou), (il.giou, exact_giou)):
        close(metric(p, t, reduction="none"), [float(x) for x in want], 1, 1.0)


BOXES = np.float32(list(itertools.product(range(2), repeat=8)))  # of any corners
APART = np.float32([[0, 0, 1, 1, 3, 0, 4, 1]])


@functools.cache
def scored(backend: Backend, metric: il.Loss) -> tuple[np.ndarray, ...]:
    """Return scores, scores of exchanged boxes, slopes and curvatures: of the last pair, apart."""
    every = np.concatenate([BOXES, APART])
    p, t = (backend.array(half, "float32") for half in (every[:, :4], every[:, 4:]))
    scores, turned = metric(p, t, reduction="none"), metric(t, p, reduction="none")
    return tuple(map(as_numpy, (scores, turned, *il.gradient_hessian(metric, p, t))))


@pytest.mark.parametrize("metric", SCORES, ids=repr)
def test_boxes_of_any_corners(backend: Backend, metric: il.Loss) -> None:
    """Boxes without an inside, and boxes that are points, have finite scores, slopes and curvatures."""
    scores, turned, slopes, curvatures = scored(backend, metric)
    assert np.all(np.abs(scores) <= 3)
    for part in (slopes, curvatures):
        assert np.isfinite(part).all()
    close(scores, turned, 1)


@pytest.mark.parametrize("metric", SCORES, ids=repr)
def test_boxes_that_are_apart(backend: Backend, metric: il.Loss) -> None:
    """IoU has no slope there; the others draw the boxes together, the farther the better."""
    scores, _, slopes, _ = scored(backend, metric)
    score, slope = scores[-1], slopes[-1]
    if metric is il.iou:
        assert score == 0.0
        assert not np.any(slope)
    else:
        assert slope[0] + slope[2] > 0.1  # to the right
        assert slope[1] + slope[3] == 0
    if metric is il.giou:
        assert score == -0.5


def test_boxes_of_any_unit(backend: Backend) -> None:
    """A score does not depend on the unit, nor on the place of the origin; areas do not overflow."""
    rng = np.random.default_rng(0)
    corners = np.round(rng.uniform(0, 64, (2, 50, 2, 2)))
    boxes = np.concatenate([corners.min(2), corners.max(2) + 1], axis=-1)
    for metric in SCORES:
        want = metric(*boxes, reduction="none")
        for unit, origin in ((1.0, 1024.0), (2.0**100, 0.0), (2.0**-100, 0.0), (2.0**60, 2.0**70)):
            p, t = (backend.array(np.float32(unit * x + origin), "float32") for x in boxes)
            close(metric(p, t, reduction="none"), want, 8, 0.5)


def test_slope_of_the_shape() -> None:
    """The gradient of CIoU is that of its value: nothing is held constant, as torchvision does."""
    p, t = np.array([0.0, 0.0, 2.0, 1.0]), np.array([0.25, 0.25, 1.25, 2.25])
    steps = 2.0**-20 * np.eye(4)
    want = [(il.ciou(p + step, t) - il.ciou(p - step, t)) * 2.0**19 for step in steps]
    np.testing.assert_allclose(il.gradient(il.ciou, p, t), want, rtol=1e-9)


def test_four_corners() -> None:
    """A box has four corners."""
    with pytest.raises(ValueError, match="the axis of corners has length 3; the metric has 4"):
        il.iou([[0.0, 0.0, 1.0]], [[0.0, 0.0, 1.0]])
