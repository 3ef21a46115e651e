"""Images and boxes: the similarity of two images, and the overlap of two boxes."""

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

    Predictions and targets are in the unit of the data range. Integer images are subtracted without
    wrap-around. The result is one ratio over all images; ``axis=`` gives one ratio per image. Equal
    images have the value inf with gradient 0.

    Parameters
    ----------
    data_range : float > 0
        L, the difference of the largest and the smallest possible pixel value: 255 for 8 bits. It
        is never inferred from the data.

    Examples
    --------
    >>> import isoloss as il
    >>> il.PSNR(data_range=255)([0, 10, 255], [0, 20, 250])
    np.float64(31.93291602579516)

    References
    ----------
    Huynh-Thu and Ghanbari (2008), *Scope of Validity of PSNR*. torchmetrics with ``dim=`` and
    tf.image's ``psnr`` average the ratios of the images: call this metric with ``axis=`` and take
    the mean. torcheval uses the range of the target as L.
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
    r"""Total variation of the error: the sum of its absolute differences between adjacent pixels.

    .. math:: \sum_{i,j} |e_{i+1,j} - e_{i,j}| + |e_{i,j+1} - e_{i,j}|, \quad e = p - y

    With targets of 0, this is the total variation of the predictions, a smoothness penalty. With
    images as targets, it is the distance between the image gradients. The differences are summed
    over each image and averaged over the images.

    For channels-last images, pass ``event_axis=(1, 2)``. Subgradient 0 where the errors of two
    adjacent pixels are equal.

    Examples
    --------
    >>> import isoloss as il
    >>> il.total_variation_image([[0.0, 1.0], [0.5, 0.5]], [[0.0, 0.0], [0.0, 0.0]])
    np.float64(2.0)

    References
    ----------
    Rudin, Osher and Fatemi (1992), here with the l1 norm of the gradient instead of the Euclidean
    norm. torchmetrics's and Kornia's ``total_variation`` also use the l1 norm; they sum over images
    and channels, as ``reduction="sum"`` does.
    """

    signature: ClassVar[str] = "(height, width),(height, width)->()"

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        error = prediction - target
        down = xp.abs(error[..., 1:, :] - error[..., :-1, :])
        across = xp.abs(error[..., :, 1:] - error[..., :, :-1])
        return xp.sum(down, axis=(-2, -1)) + xp.sum(across, axis=(-2, -1))


# --- similarities in local windows ----------------------------------------------------------------


def _part(x: Array, axis: int, part: slice) -> Array:
    """Return a part of an array along one of the last two axes."""
    return x[..., part] if axis == -1 else x[..., part, :]


def _gaussian(xp: Namespace, window: int, sigma: Any) -> list[Any]:
    """Return the Gaussian weights of a window, which sum to 1."""
    exp = math.exp if isinstance(sigma, (int, float)) else xp.exp
    places = [k - (window - 1) / 2 for k in range(window)]
    middle = min(map(abs, places)) / sigma  # its raw weight is 1, so the sum is never 0
    raw = [exp((middle * middle - (x / sigma) * (x / sigma)) / 2) for x in places]
    return [one / sum(raw) for one in raw]


Local = tuple[Array, Any, Any]  # central pixel, mean minus central pixel, variance


def _along(local: Local, kernel: list[Any], axis: int) -> Local:
    """Merge the local statistics of neighbours along an axis.

    The merged variance is the variance within the neighbours plus the variance between their means.
    All means are relative to the central pixel: small differences of large pixels keep their
    accuracy.
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
    """Base class of similarities of local means and variances."""

    signature: ClassVar[str] = "(height, width),(height, width)->()"
    greater_is_better: ClassVar[bool] = True
    data_range: Number
    window: int
    sigma: Number
    k1: Number
    k2: Number

    def _images(self, xp: Namespace, prediction: Array, target: Array, halvings: int) -> Array:
        """Return predictions, targets and their difference in one array, scaled to be near 1."""
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
        """Return the similarity of local means, and the similarity of local contrast and structure.

        Each similarity is computed as 1 minus a squared distance over a scale. Value and derivative
        are accurate for nearly equal images, and no covariance is needed.
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

    The local means, variances and covariance are weighted by a Gaussian window. The score is the
    mean over all positions at which the window lies inside the image.

    Predictions and targets are in the unit of the data range. For channels-last images, pass
    ``event_axis=(1, 2)``. Each channel is a separate image. Values range from -1 to 1; equal images
    have the value 1. As a loss, use ``Scaled(SSIM(...), -1.0)``. Images smaller than the window
    raise an error.

    Parameters
    ----------
    data_range : float > 0
        L, the difference of the largest and the smallest possible pixel value: 255 for 8 bits. It
        is never inferred from the data.
    window : int >= 1
        The side length of the window, in pixels.
    sigma : float > 0
        The standard deviation of the Gaussian window, in pixels.
    k1, k2 : float > 0
        The stabilising constants of the means and of the variances, relative to the data range.

    Examples
    --------
    >>> import isoloss as il
    >>> il.SSIM(data_range=1.0, window=2)([[0.0, 0.5], [0.5, 1.0]], [[0.0, 0.5], [1.0, 1.0]])
    np.float64(0.822034901844408)

    References
    ----------
    Wang et al. (2004), *Image Quality Assessment: From Error Visibility to Structural Similarity*.
    scikit-image's ``structural_similarity`` is the same with ``gaussian_weights=True, sigma=1.5,
    use_sample_covariance=False``; by default it uses another window. torchmetrics pads the image by
    reflection before filtering and crops the result. Kornia's ``ssim_loss`` is (1 - SSIM) / 2.
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
    """Average blocks of two by two pixels; the last row or column of an odd number is repeated."""
    for axis in (-1, -2):
        if images.shape[axis] % 2:
            images = xp.concat([images, _part(images, axis, slice(-1, None))], axis=axis)
        even, odd = (_part(images, axis, slice(k, None, 2)) for k in (0, 1))
        images = even + (odd - even) / 2
    return images


def _power(xp: Namespace, x: Array, exponent: float) -> Array:
    """Return a power of x; numbers up to 0 give 0, with derivative 0."""
    none = x <= 0
    return xp.where(none, 0.0, xp.where(none, xp.ones_like(x), x) ** exponent)


@final
@dataclass(frozen=True)
class MultiScaleSSIM(_OfWindows):
    r"""Structural similarity of two images at several resolutions, each half of the previous one.

    .. math:: \overline{l c}_M^{\,\beta_M} \prod_{j < M} \overline{c}_j^{\,\beta_j}

    where l is the similarity of local means and c the similarity of contrast and structure, the two
    factors of `SSIM`. The bar denotes the mean over all positions of the window. From one scale to
    the next, blocks of two by two pixels are averaged; the last row or column of an odd number is
    repeated.

    Predictions and targets are in the unit of the data range. For channels-last images, pass
    ``event_axis=(1, 2)``. Values range from 0 to 1: a mean below 0 counts as 0, with derivative 0.
    Images with fewer than ``(window - 1) 2^(scales - 1) + 1`` pixels per side, by default 161,
    raise an error.

    Parameters
    ----------
    data_range : float > 0
        L, the difference of the largest and the smallest possible pixel value: 255 for 8 bits. It
        is never inferred from the data.
    exponents : tuple of float > 0
        The exponent of each scale, the finest first. The number of exponents is the number of
        scales.
    window : int >= 1
        The side length of the window, in pixels, at every scale.
    sigma : float > 0
        The standard deviation of the Gaussian window, in pixels.
    k1, k2 : float > 0
        The stabilising constants of the means and of the variances, relative to the data range.

    Examples
    --------
    >>> import isoloss as il
    >>> two = il.MultiScaleSSIM(data_range=1.0, exponents=(0.5, 0.5), window=1)
    >>> two([[0.0, 0.5], [0.5, 1.0]], [[0.0, 0.5], [1.0, 1.0]])
    np.float64(0.9877315236241754)

    References
    ----------
    Wang, Simoncelli and Bovik (2003), *Multi-Scale Structural Similarity for Image Quality
    Assessment*, with the default exponents. pytorch-msssim pads odd sides with 0 instead of
    repeating the last row or column.
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
    """Base class of scores of two boxes."""

    signature: ClassVar[str] = "(corners),(corners)->()"
    greater_is_better: ClassVar[bool] = True

    @property
    def sizes(self) -> dict[str, int]:
        return {"corners": 4}


def _sides(xp: Namespace, near: Array, far: Array) -> Array:
    """Return the side lengths of a box; empty boxes have sides 0 with derivative 0."""
    side = far - near
    return xp.where(side <= 0, xp.zeros_like(side), side)


def _hull(xp: Namespace, box: Array, other: Array) -> Array:
    """Return the side lengths of the smallest box that contains both boxes."""
    corners = [part for one in (box, other) for part in (one[..., :2], one[..., 2:])]
    far = xp.maximum(xp.maximum(corners[1], corners[0]), xp.maximum(corners[3], corners[2]))
    near = xp.minimum(xp.minimum(corners[0], corners[1]), xp.minimum(corners[2], corners[3]))
    return far - near


def _areas(xp: Namespace, box: Array, other: Array) -> tuple[Array, Array, Array]:
    """Return the areas of intersection, union and hull, up to a common factor."""
    hull = _hull(xp, box, other)
    scale = xp.power_of_two(xp.stop_gradient(hull))  # keeps the products of sides in range

    def area(near: Array, far: Array) -> Array:
        sides = scale * _sides(xp, near, far)
        return sides[..., 0] * sides[..., 1]

    (a, b), (c, d) = ((one[..., :2], one[..., 2:]) for one in (box, other))
    shared = area(xp.maximum(a, c), xp.minimum(b, d))
    hull = scale * hull
    return shared, area(a, b) + area(c, d) - shared, hull[..., 0] * hull[..., 1]


def _distance(xp: Namespace, box: Array, other: Array) -> Array:
    """Return the squared distance of the centres divided by the squared diagonal of the hull."""
    hull = _hull(xp, box, other)
    scale = xp.power_of_two(xp.stop_gradient(xp.max(hull, axis=-1, keepdims=True)))
    difference = box - other
    apart, hull = scale * (difference[..., :2] + difference[..., 2:]) / 2, scale * hull
    return ratio(xp, xp.sum(apart * apart, axis=-1), xp.sum(hull * hull, axis=-1), 0.0)


def _turned(xp: Namespace, box: Array, other: Array) -> Array:
    """Return the angle between the diagonals of two boxes, a difference of two arctangents."""
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

    A box is given by its corners x1, y1, x2, y2, with x1 < x2 and y1 < y2; otherwise it is empty.
    Values range from 0 to 1. As a loss, use ``Scaled(iou, -1.0)``, the usual loss 1 - IoU minus 1.
    Disjoint or touching boxes have the value 0 with gradient 0; `giou`, `diou` and `ciou` have a
    gradient there. The ratio 0/0 of two empty boxes counts as 0 with gradient 0. Where edges
    coincide, the derivative is divided equally between the boxes.

    Examples
    --------
    >>> import isoloss as il
    >>> il.iou([0.0, 0.0, 2.0, 2.0], [1.0, 0.0, 3.0, 2.0])
    np.float64(0.3333333333333333)

    References
    ----------
    Jaccard (1912); Yu et al. (2016), *UnitBox*, whose loss is -log IoU. torchvision's ``box_iou``
    compares all pairs of boxes.
    """

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        return _iou(xp, prediction, target)


@final
@dataclass(frozen=True)
class GIoU(_OfBoxes):
    r"""Generalised intersection over union, with a penalty for the empty part of the enclosing box.

    .. math:: \frac{|P \cap Y|}{|P \cup Y|} - \frac{|C| - |P \cup Y|}{|C|}

    where C is the smallest box that contains both.

    A box is given by its corners x1, y1, x2, y2, with x1 < x2 and y1 < y2; otherwise it is empty.
    C contains the corners of empty boxes too. Values range from -1 to 1. As a loss, use
    ``Scaled(giou, -1.0)``, the paper's loss 1 - GIoU minus 1. A ratio 0/0 counts as 0 with gradient
    0. Where edges coincide, the derivative is divided equally between the boxes.

    Examples
    --------
    >>> import isoloss as il
    >>> il.giou([0.0, 0.0, 1.0, 1.0], [3.0, 0.0, 4.0, 1.0])
    np.float64(-0.5)

    References
    ----------
    Rezatofighi et al. (2019), *Generalized Intersection over Union*. torchvision's
    ``generalized_box_iou_loss`` is 1 minus this score, with 1e-7 added to both denominators.
    """

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        shared, union, hull = _areas(xp, prediction, target)
        return ratio(xp, shared, union, 0.0) - ratio(xp, hull - union, hull, 0.0)


@final
@dataclass(frozen=True)
class DIoU(_OfBoxes):
    r"""Distance intersection over union, with a penalty for the distance of the centres.

    .. math:: \frac{|P \cap Y|}{|P \cup Y|} - \frac{\rho^2}{c^2}

    where rho is the distance of the centres, and c is the diagonal of the smallest box that
    contains both.

    A box is given by its corners x1, y1, x2, y2, with x1 < x2 and y1 < y2; otherwise it is empty.
    An empty box still has a centre. Values range from -1 to 1. As a loss, use
    ``Scaled(diou, -1.0)``, the paper's loss 1 - DIoU minus 1. A ratio 0/0 counts as 0 with gradient
    0. Where edges coincide, the derivative is divided equally between the boxes.

    Examples
    --------
    >>> import isoloss as il
    >>> il.diou([0.0, 0.0, 1.0, 1.0], [3.0, 0.0, 4.0, 1.0])
    np.float64(-0.5294117647058824)

    References
    ----------
    Zheng et al. (2020), *Distance-IoU Loss*. torchvision's ``distance_box_iou_loss`` is 1 minus
    this score, with 1e-7 added to both denominators.
    """

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        return _iou(xp, prediction, target) - _distance(xp, prediction, target)


@final
@dataclass(frozen=True)
class CIoU(_OfBoxes):
    r"""Complete intersection over union, with penalties for the distances of centres and shapes.

    .. math:: IoU - \frac{\rho^2}{c^2} - \frac{v^2}{1 - IoU + v}, \quad
        v = \frac{4}{\pi^2}
        \left(\arctan \frac{w_y}{h_y} - \arctan \frac{w_p}{h_p}\right)^2

    where rho is the distance of the centres, c is the diagonal of the smallest box that contains
    both, and w / h is the aspect ratio of a box.

    A box is given by its corners x1, y1, x2, y2, with x1 < x2 and y1 < y2; otherwise it is empty.
    If both sides of a box are 0, v is 0. Values are at most 1. As a loss, use
    ``Scaled(ciou, -1.0)``, the paper's loss 1 - CIoU minus 1. A ratio 0/0 counts as 0 with gradient
    0. Where edges coincide, the derivative is divided equally between the boxes. The gradient
    includes the derivative of every term.

    Examples
    --------
    >>> import isoloss as il
    >>> il.ciou([0.0, 0.0, 2.0, 1.0], [0.0, 0.0, 1.0, 2.0])
    np.float64(0.23708166492265273)

    References
    ----------
    Zheng et al. (2020), *Distance-IoU Loss*. Their last term is alpha v with alpha = v / (1 - IoU +
    v). torchvision's ``complete_box_iou_loss`` is 1 minus this score. It and others treat alpha as
    a constant when differentiating, so that their gradient is not the gradient of the value.
    """

    def pointwise(self, xp: Namespace, prediction: Array, target: Array) -> Array:
        iou, angle = _iou(xp, prediction, target), _turned(xp, prediction, target)
        v = 4 / math.pi**2 * angle * angle
        shape = ratio(xp, v * v, (1 - iou) + v, 0.0)
        return iou - _distance(xp, prediction, target) - shape


# --- default instances ----------------------------------------------------------------------------

total_variation_image = TotalVariationImage()
iou = IoU()
giou = GIoU()
diou = DIoU()
ciou = CIoU()
