"""Every public name of a metric, once, as the families list them."""

from __future__ import annotations

from .._core.metric import Metric
from . import (
    calibration,
    classification,
    correlation,
    counts,
    curves,
    divergences,
    embedding,
    forecasting,
    image,
    language,
    probabilistic,
    ranking,
    regression,
    robust,
    segmentation,
    sequence,
)

FAMILIES = (
    regression, robust, classification, divergences, counts, curves, calibration, probabilistic,
    correlation, forecasting, segmentation, image, ranking, embedding, language, sequence,
)  # fmt: skip
NAMES: tuple[str, ...] = tuple(name for family in FAMILIES for name in family.__all__)


def name_of(metric: Metric) -> str:
    """Return the public name of a metric, or its repr where its parameters are not the default."""
    for family in FAMILIES:
        for name, member in vars(family).items():
            if isinstance(member, Metric) and member == metric:
                return name
    return repr(metric)
