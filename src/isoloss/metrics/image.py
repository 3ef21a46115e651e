"""Images and boxes: how alike two pictures are, and how far two boxes overlap."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, final

from .._core.domains import POSITIVE
from .._core.errors import fail
from .._core.metric import Loss, Metric
from .._core.parameters import Count, Number, Numbers, Positive
from .._core.states import RootMeanSquare, ratio
from .._core.totals import Totals
from .._core.types import Array, Namespace

__all__ = [
    "PSNR",
    "SSIM",
    "CIoU",
    "DIoU",
    "GIoU",
    "IoU",
    "MultiScaleSSIM",
    "TotalVariationImage",
    "ciou",
    "diou",
    "giou",
    "iou",
    "total_variation_image",
]

# --- pixel by pixel -------------------------------------------------------------------------------


@final
@dataclass(frozen=True)
class PSNR(Metric):
    r"""Peak signal-to-noise ratio, in decibels.

    .. math:: 10 \log_{10} \frac{L^2}{E_w[(p - y)^2]}

    Kind: sums, which stream exactly; predictions and targets ``(...)`` of any real numbers, in the
    unit of the data range. Integers, as those of 8 bits, are subtracted as the numbers they are.
    One ratio for all images; ``axis=`` gives one for each. Equal images: inf, with gradient 0.

    Parameters
    ----------
    data_range : float > 0
        L, how far apart two pixels can be: 255 for 8 bits. It is never guessed from the data.

    Examples
    --------
    >>> import isoloss as il
    >>> il.PSNR(data_range=255)([0, 10, 255], [0, 20, 250])
    np.float64(31.93291602579516)

    References
    ----------
    Huynh-Thu and Ghanbari (2008), *Scope of Validity of PSNR*. torchmetrics's ``dim=`` and
    tf.image's ``psnr`` are means of the ratio of each image: call it with ``axis=`` and average.
    torcheval takes the range of the target for L.
    """

    data_range: Positive
    greater_is_better: ClassVar[bool] = True

    @property
    def source(self) -> Any:
        return "root mean square of the error"

    def statistics(
        self, xp: Namespace, prediction: Array, target: Array, total: Totals
    ) -> RootMeanSquare:
        return total.root_mean_square(prediction - target)

    def formula(self, xp: Namespace, state: RootMeanSquare) -> Array:
        error = state.root()
        none = error == 0
        error = xp.where(none, xp.ones_like(error), error)
        peak = xp.zeros_like(error) + self.data_range
        far = xp.isinf(peak / error) | (peak / error == 0)
        near = xp.log_ratio(peak, xp.where(far, peak, error))
        ratio = xp.where(far, xp.log(peak) - xp.log(error), near)
        return xp.where(none, math.inf, 20 / math.log(10) * ratio)


@final
@dataclass(frozen=True)
class TotalVariationImage(Loss):
    r"""Total variation of the error: how much it changes from pixel to pixel.

    .. math:: \sum_{i,j} |e_{i+1,j} - e_{i,j}| + |e_{i,j+1} - e_{i,j}|, \quad e = p - y

    With targets of 0 it is the total variation of the predictions themselves, which smooths them;
    with images as targets, the distance of the gradients of both. The sum over each image, the mean
    over images.

    Kind: row-wise; predictions and targets ``(..., height, width)`` of any real numbers;
    ``event_axis=(1, 2)`` for channels last. Subgradient 0 where two neighbours are equal.

    Examples
    --------
    >>> import isoloss as il
    >>> il.total_variation_image([[0.0, 1.0], [0.5, 0.5]], [[0.0, 0.0], [0.0, 0.0]])
    np.float64(2.0)

    References
    ----------
    Rudin, Osher and Fatemi (1992), here of the l1 norm, not the Euclidean one, of the gradient, as
    in torchmetrics's and Kornia's ``total_variation``, which add the images and channels up:
    ``reduction="sum"``.
    """

    signature: ClassVar[str] = "(height, width),(height, width)->()"

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        error = prediction - target
        down = xp.abs(error[..., 1:, :] - error[..., :-1, :])
        across = xp.abs(error[..., :, 1:] - error[..., :, :-1])
        return xp.sum(down, axis=(-2, -1)) + xp.sum(across, axis=(-2, -1))


# --- in windows -----------------------------------------------------------------------------------


def _part(x: Array, axis: int, part: slice) -> Array:
    """Return a part of an array along one of the last two axes."""
    return x[..., part] if axis == -1 else x[..., part, :]


def _gaussian(xp: Namespace, window: int, sigma: Any) -> list[Any]:
    """Return the weights of a window, which add up to 1."""
    exp = math.exp if isinstance(sigma, (int, float)) else xp.exp
    places = [k - (window - 1) / 2 for k in range(window)]
    middle = min(map(abs, places)) / sigma  # has the weight 1, however narrow the window is
    raw = [exp((middle * middle - (x / sigma) * (x / sigma)) / 2) for x in places]
    return [one / sum(raw) for one in raw]


Local = tuple[Array, Any, Any]  # the pixel in the middle, the mean less that, the variance


def _along(local: Local, kernel: list[Any], axis: int) -> Local:
    """Merge neighbours along an axis: the variance within them, and that between their means.

    All means are taken from the pixel in the middle: where pixels are large and differ little, no
    digit of what they differ by is lost.
    """
    size, last = len(kernel), local[0].shape[axis] - len(kernel) + 1

    def parts(x: Any) -> list[Any]:
        every = (slice(k, k + last) for k in range(size))
        return [0.0 if x is None else _part(x, axis, part) for part in every]

    pixels, shifts, variances = map(parts, local)
    pixel, shift = pixels[size // 2], shifts[size // 2]
    apart = [(a - pixel) + (b - shift) for a, b in zip(pixels, shifts, strict=True)]
    mean = _weighted(kernel, apart)
    squares = [v + (d - mean) * (d - mean) for v, d in zip(variances, apart, strict=True)]
    return pixel, shift + mean, _weighted(kernel, squares)


def _weighted(kernel: list[Any], parts: list[Array]) -> Array:
    first, *others = (share * part for share, part in zip(kernel, parts, strict=True))
    return sum(others, first)


class _OfWindows(Loss):
    """A similarity of local means and variances."""

    signature: ClassVar[str] = "(height, width),(height, width)->()"
    greater_is_better: ClassVar[bool] = True
    data_range: Number
    window: int
    sigma: Number
    k1: Number
    k2: Number

    def _images(self, xp: Namespace, prediction: Array, target: Array, halvings: int) -> Array:
        """Return predictions, targets and their difference in one array, of a range near 1."""
        height, width = prediction.shape[-2:]
        need = (self.window - 1) * 2**halvings + 1
        if height < need or width < need:
            message = f"images of {height} by {width} are too small, {need} by {need} is needed"
            raise fail(self, f"{message}: choose a smaller window")
        scale = self._scale(xp, prediction)
        return xp.stack([scale * x for x in (prediction, target, prediction - target)], axis=0)

    def _scale(self, xp: Namespace, like: Array) -> Array:
        return xp.power_of_two(xp.zeros_like(like[..., :1, :1]) + self.data_range)

    def _similarity(self, xp: Namespace, images: Array) -> tuple[Array, Array]:
        """Return the similarity of local means, and that of local contrast and structure.

        Each is written as 1 minus a distance, whose derivative is that of a square: exact where two
        images are nearly equal, and no covariance is needed.
        """
        kernel = _gaussian(xp, self.window, xp.parameter(self.sigma, images))
        pixel, shift, variance = _along(_along((images, None, None), kernel, -1), kernel, -2)
        unit = self.data_range * self._scale(xp, images[0, ...])
        square = (pixel + shift) * (pixel + shift)
        c1, c2 = self.k1 * unit * (self.k1 * unit), self.k2 * unit * (self.k2 * unit)
        luminance, structure = (
            1 - x[2, ...] / (x[0, ...] + x[1, ...] + c)
            for x, c in ((square, c1), (variance, c2))
        )  # fmt: skip
        return luminance, structure


def _mean(xp: Namespace, x: Array) -> Array:
    return xp.mean(x, axis=(-2, -1))


@final
@dataclass(frozen=True)
class SSIM(_OfWindows):
    r"""Structural similarity of two images.

    .. math:: \frac{2 \mu_p \mu_y + C_1}{\mu_p^2 + \mu_y^2 + C_1} \cdot
        \frac{2 \sigma_{py} + C_2}{\sigma_p^2 + \sigma_y^2 + C_2}, \quad C_i = (K_i L)^2

    The mean over all places of a Gaussian window that lies inside the image, under which the local
    means, variances and covariance are taken.

    Kind: row-wise; predictions and targets ``(..., height, width)`` of any real numbers, in the
    unit of the data range; ``event_axis=(1, 2)`` for channels last. Every channel is an image of
    its own. From -1 to 1, which equal images have; as a loss, ``Scaled(SSIM(...), -1.0)``. Images
    smaller than the window are an error.

    Parameters
    ----------
    data_range : float > 0
        L, how far apart two pixels can be: 255 for 8 bits. It is never guessed from the data.
    window : int >= 1
        The side of the window, in pixels.
    sigma : float > 0
        The standard deviation of the window's weights, in pixels.
    k1, k2 : float > 0
        How large means and variances must be to count, as shares of the data range.

    Examples
    --------
    >>> import isoloss as il
    >>> il.SSIM(data_range=1.0, window=2)([[0.0, 0.5], [0.5, 1.0]], [[0.0, 0.5], [1.0, 1.0]])
    np.float64(0.822034901844408)

    References
    ----------
    Wang et al. (2004), *Image Quality Assessment: From Error Visibility to Structural Similarity*.
    scikit-image's ``structural_similarity`` is this with ``gaussian_weights=True, sigma=1.5,
    use_sample_covariance=False``, and another window without. torchmetrics pads the image by
    reflection before it filters, and crops the result; Kornia's ``ssim_loss`` is (1 - SSIM) / 2.
    """

    data_range: Positive
    window: Count = 11
    sigma: Positive = 1.5
    k1: Positive = 0.01
    k2: Positive = 0.03

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        images = self._images(xp, prediction, target, 0)
        luminance, structure = self._similarity(xp, images)
        return _mean(xp, luminance * structure)


def _halved(xp: Namespace, images: Array) -> Array:
    """Average blocks of two by two pixels; the last row of an odd number stands twice."""
    for axis in (-1, -2):
        if images.shape[axis] % 2:
            images = xp.concat([images, _part(images, axis, slice(-1, None))], axis=axis)
        even, odd = (_part(images, axis, slice(k, None, 2)) for k in (0, 1))
        images = even + (odd - even) / 2
    return images


def _power(xp: Namespace, x: Array, exponent: float) -> Array:
    """Raise to a power; what is not above 0 is 0, with derivative 0."""
    none = x <= 0
    return xp.where(none, 0.0, xp.where(none, xp.ones_like(x), x) ** exponent)


@final
@dataclass(frozen=True)
class MultiScaleSSIM(_OfWindows):
    r"""Structural similarity of two images, and of both at half, a quarter, ... of the resolution.

    .. math:: \overline{l c}_M^{\,\beta_M} \prod_{j < M} \overline{c}_j^{\,\beta_j}

    with l the similarity of local means and c that of contrast and structure, the two factors of
    `SSIM`, and the bar a mean over all places of the window. From one scale to the next, blocks of
    two by two pixels are averaged; the last row of an odd number is taken twice.

    Kind: row-wise; predictions and targets ``(..., height, width)`` of any real numbers, in the
    unit of the data range; ``event_axis=(1, 2)`` for channels last. From 0 to 1: a mean below 0
    counts as 0, with derivative 0. Smaller images than ``(window - 1) 2^(scales - 1) + 1`` pixels,
    161 by default, are an error.

    Parameters
    ----------
    data_range : float > 0
        L, how far apart two pixels can be: 255 for 8 bits. It is never guessed from the data.
    exponents : tuple of float > 0
        The weight of each scale, the finest first: as many scales as there are.
    window : int >= 1
        The side of the window, in pixels, at every scale.
    sigma : float > 0
        The standard deviation of the window's weights, in pixels.
    k1, k2 : float > 0
        How large means and variances must be to count, as shares of the data range.

    Examples
    --------
    >>> import isoloss as il
    >>> two = il.MultiScaleSSIM(data_range=1.0, exponents=(0.5, 0.5), window=1)
    >>> two([[0.0, 0.5], [0.5, 1.0]], [[0.0, 0.5], [1.0, 1.0]])
    np.float64(0.9877315236241754)

    References
    ----------
    Wang, Simoncelli and Bovik (2003), *Multi-Scale Structural Similarity for Image Quality
    Assessment*, whose exponents are the default. pytorch-msssim pads odd sides by 0 where this
    repeats the last row.
    """

    data_range: Positive
    exponents: Annotated[Numbers, POSITIVE] = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
    window: Count = 11
    sigma: Positive = 1.5
    k1: Positive = 0.01
    k2: Positive = 0.03

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        images = self._images(xp, prediction, target, len(self.exponents) - 1)
        product: Any = 1.0
        for exponent in self.exponents[:-1]:
            _, structure = self._similarity(xp, images)
            product = product * _power(xp, _mean(xp, structure), exponent)
            images = _halved(xp, images)
        luminance, structure = self._similarity(xp, images)
        return product * _power(xp, _mean(xp, luminance * structure), self.exponents[-1])


# --- boxes ----------------------------------------------------------------------------------------


class _OfBoxes(Loss):
    """A score of two boxes."""

    signature: ClassVar[str] = "(corners),(corners)->()"
    greater_is_better: ClassVar[bool] = True

    @property
    def sizes(self) -> dict[str, int]:
        return {"corners": 4}


def _sides(xp: Namespace, near: Array, far: Array) -> Array:
    """Return the sides of a box; 0, with derivative 0, where it is empty."""
    side = far - near
    return xp.where(side <= 0, xp.zeros_like(side), side)


def _hull(xp: Namespace, box: Array, other: Array) -> Array:
    """Return the sides of the smallest box that has all corners in it."""
    corners = [part for one in (box, other) for part in (one[..., :2], one[..., 2:])]
    far = xp.maximum(xp.maximum(corners[1], corners[0]), xp.maximum(corners[3], corners[2]))
    near = xp.minimum(xp.minimum(corners[0], corners[1]), xp.minimum(corners[2], corners[3]))
    return far - near


def _areas(xp: Namespace, box: Array, other: Array) -> tuple[Array, Array, Array]:
    """Return the areas of intersection, union and hull, up to a factor."""
    hull = _hull(xp, box, other)
    scale = xp.power_of_two(xp.stop_gradient(hull))  # no product of sides leaves the range

    def area(near: Array, far: Array) -> Array:
        sides = scale * _sides(xp, near, far)
        return sides[..., 0] * sides[..., 1]

    (a, b), (c, d) = ((one[..., :2], one[..., 2:]) for one in (box, other))
    shared = area(xp.maximum(a, c), xp.minimum(b, d))
    hull = scale * hull
    return shared, area(a, b) + area(c, d) - shared, hull[..., 0] * hull[..., 1]


def _distance(xp: Namespace, box: Array, other: Array) -> Array:
    """Return the squared distance of the centres over the squared diagonal of the hull."""
    hull = _hull(xp, box, other)
    scale = xp.power_of_two(xp.stop_gradient(xp.max(hull, axis=-1, keepdims=True)))
    difference = box - other
    apart, hull = scale * (difference[..., :2] + difference[..., 2:]) / 2, scale * hull
    return ratio(xp, xp.sum(apart * apart, axis=-1), xp.sum(hull * hull, axis=-1), 0.0)


def _turned(xp: Namespace, box: Array, other: Array) -> Array:
    """Return the angle between the diagonals of two boxes: a difference of two arc tangents."""
    one, two = (_sides(xp, x[..., :2], x[..., 2:]) for x in (box, other))
    one, two = (
        x * xp.power_of_two(xp.stop_gradient(xp.max(x, axis=-1, keepdims=True))) for x in (one, two)
    )
    sine = two[..., 0] * one[..., 1] - one[..., 0] * two[..., 1]
    cosine = two[..., 0] * one[..., 0] + two[..., 1] * one[..., 1]
    flat = xp.abs(sine) <= cosine
    small = xp.atan(ratio(xp, xp.where(flat, sine, cosine), xp.where(flat, cosine, sine), 0.0))
    return xp.where(flat, small, xp.sign(sine) * (math.pi / 2) - small)


def _iou(xp: Namespace, box: Array, other: Array) -> Array:
    shared, union, _ = _areas(xp, box, other)
    return ratio(xp, shared, union, 0.0)


@final
@dataclass(frozen=True)
class IoU(_OfBoxes):
    r"""Intersection over union of two boxes.

    .. math:: \frac{|P \cap Y|}{|P \cup Y|}

    Kind: row-wise; predictions and targets ``(..., 4)`` with the corners x1, y1, x2, y2, any real
    numbers, x1 < x2 and y1 < y2. From 0 to 1; as a loss, ``Scaled(iou, -1.0)``, which is that of
    the literature, 1 - IoU, less 1. Boxes that are disjoint, or only touch, have 0 with gradient 0:
    `giou`, `diou` and `ciou` draw them together. A box without an inside is empty, and two of them
    have 0/0, which is 0 with gradient 0. Where edges coincide both boxes share the derivative.

    Examples
    --------
    >>> import isoloss as il
    >>> il.iou([0.0, 0.0, 2.0, 2.0], [1.0, 0.0, 3.0, 2.0])
    np.float64(0.3333333333333333)

    References
    ----------
    Jaccard (1912); Yu et al. (2016), *UnitBox*, whose loss is -log IoU. torchvision's ``box_iou``
    compares all pairs.
    """

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        return _iou(xp, prediction, target)


@final
@dataclass(frozen=True)
class GIoU(_OfBoxes):
    r"""Generalised intersection over union: less what the smallest box around both has besides.

    .. math:: \frac{|P \cap Y|}{|P \cup Y|} - \frac{|C| - |P \cup Y|}{|C|}

    with C the smallest box around both.

    Kind: row-wise; predictions and targets ``(..., 4)`` with the corners x1, y1, x2, y2, any real
    numbers, x1 < x2 and y1 < y2. From -1 to 1; as a loss, ``Scaled(giou, -1.0)``, which is that of
    the paper, 1 - GIoU, less 1. A box without an inside is empty, though C still has all its
    corners; 0/0 is 0 with gradient 0. Where edges coincide both boxes share the derivative.

    Examples
    --------
    >>> import isoloss as il
    >>> il.giou([0.0, 0.0, 1.0, 1.0], [3.0, 0.0, 4.0, 1.0])
    np.float64(-0.5)

    References
    ----------
    Rezatofighi et al. (2019), *Generalized Intersection over Union*. torchvision's
    ``generalized_box_iou_loss`` is 1 minus this, with 1e-7 added to both denominators.
    """

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        shared, union, hull = _areas(xp, prediction, target)
        return ratio(xp, shared, union, 0.0) - ratio(xp, hull - union, hull, 0.0)


@final
@dataclass(frozen=True)
class DIoU(_OfBoxes):
    r"""Intersection over union, less the distance of the centres.

    .. math:: \frac{|P \cap Y|}{|P \cup Y|} - \frac{\rho^2}{c^2}

    with rho the distance of the centres, and c the diagonal of the smallest box around both.

    Kind: row-wise; predictions and targets ``(..., 4)`` with the corners x1, y1, x2, y2, any real
    numbers, x1 < x2 and y1 < y2. From -1 to 1; as a loss, ``Scaled(diou, -1.0)``, which is that of
    the paper, 1 - DIoU, less 1. A box without an inside is empty, with a centre all the same; 0/0
    is 0 with gradient 0. Where edges coincide both boxes share the derivative.

    Examples
    --------
    >>> import isoloss as il
    >>> il.diou([0.0, 0.0, 1.0, 1.0], [3.0, 0.0, 4.0, 1.0])
    np.float64(-0.5294117647058824)

    References
    ----------
    Zheng et al. (2020), *Distance-IoU Loss*. torchvision's ``distance_box_iou_loss`` is 1 minus
    this, with 1e-7 added to both denominators.
    """

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        return _iou(xp, prediction, target) - _distance(xp, prediction, target)


@final
@dataclass(frozen=True)
class CIoU(_OfBoxes):
    r"""Complete intersection over union: less the distance of the centres and that of the shapes.

    .. math:: IoU - \frac{\rho^2}{c^2} - \frac{v^2}{1 - IoU + v}, \quad
        v = \frac{4}{\pi^2}
        \left(\arctan \frac{w_y}{h_y} - \arctan \frac{w_p}{h_p}\right)^2

    with rho the distance of the centres, c the diagonal of the smallest box around both, and w / h
    the shape of each.

    Kind: row-wise; predictions and targets ``(..., 4)`` with the corners x1, y1, x2, y2, any real
    numbers, x1 < x2 and y1 < y2. At most 1; as a loss, ``Scaled(ciou, -1.0)``, which is that of the
    paper, 1 - CIoU, less 1. A box without an inside is empty; one with no side at all has no shape,
    and v is 0. 0/0 is 0 with gradient 0. Where edges coincide both boxes share the derivative. The
    gradient is that of the value.

    Examples
    --------
    >>> import isoloss as il
    >>> il.ciou([0.0, 0.0, 2.0, 1.0], [0.0, 0.0, 1.0, 2.0])
    np.float64(0.23708166492265273)

    References
    ----------
    Zheng et al. (2020), *Distance-IoU Loss*. Their last term is alpha v with alpha = v / (1 - IoU +
    v). torchvision's ``complete_box_iou_loss`` and others hold alpha constant when differentiating,
    so that the gradient is not that of the value; it too is 1 minus this.
    """

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        iou, angle = _iou(xp, prediction, target), _turned(xp, prediction, target)
        v = 4 / math.pi**2 * angle * angle
        shape = ratio(xp, v * v, (1 - iou) + v, 0.0)
        return iou - _distance(xp, prediction, target) - shape


# --- the members most people call -----------------------------------------------------------------

total_variation_image = TotalVariationImage()
iou = IoU()
giou = GIoU()
diou = DIoU()
ciou = CIoU()
