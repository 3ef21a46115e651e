"""Loss and metric functions written once against the array API standard.

The same value, gradient and dtype on NumPy, JAX and PyTorch arrays::

    import isoloss as il

    il.mean_squared_error(predictions, targets)
    il.Huber(delta=2.0)(predictions, targets, weights=w, where=mask, axis=0)
    il.gradient(il.huber, predictions, targets)
"""

from typing import TYPE_CHECKING, Any

from ._core.domains import Domain as Domain
from ._core.domains import Interval as Interval
from ._core.metric import Loss as Loss
from ._core.metric import Metric as Metric
from ._core.metric import SquaredLoss as SquaredLoss
from ._core.parameters import parameter as parameter
from ._core.threads import threads as threads
from ._core.wrappers import Exp as Exp
from ._core.wrappers import Root as Root
from ._core.wrappers import Scaled as Scaled
from .derivatives import gradient as gradient
from .derivatives import gradient_hessian as gradient_hessian
from .derivatives import value_and_gradient as value_and_gradient
from .distributed import across as across
from .evaluation import Estimate as Estimate
from .evaluation import evaluate as evaluate
from .metrics.calibration import *
from .metrics.catalogue import NAMES as _NAMES
from .metrics.classification import *
from .metrics.correlation import *
from .metrics.counts import *
from .metrics.curves import *
from .metrics.divergences import *
from .metrics.embedding import *
from .metrics.forecasting import *
from .metrics.image import *
from .metrics.language import *
from .metrics.probabilistic import *
from .metrics.ranking import *
from .metrics.regression import *
from .metrics.robust import *
from .metrics.segmentation import *
from .metrics.sequence import *
from .streaming import Accumulator as Accumulator
from .streaming import over_batches as over_batches
from .validation import checked as checked
from .validation import validate as validate

__version__ = "0.1.0"

if not TYPE_CHECKING:  # type checkers read the lists of the families
    _OWN = (
        "Domain",
        "Estimate",
        "Exp",
        "Interval",
        "Loss",
        "Metric",
        "Root",
        "Scaled",
        "SquaredLoss",
        "across",
        "checked",
        "evaluate",
        "gradient",
        "gradient_hessian",
        "over_batches",
        "parameter",
        "threads",
        "validate",
        "value_and_gradient",
    )
    __all__ = sorted([*_OWN, *_NAMES], key=lambda name: (not name.isupper(), name))

    def __getattr__(name: str) -> Any:
        """Answer names of other libraries with the names here."""
        if name.startswith("_"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from .metrics.names_elsewhere import suggestion

        raise AttributeError(suggestion(name))
