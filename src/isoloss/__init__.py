"""Loss and metric functions written once against the array API standard.

The same value, gradient and dtype on NumPy, JAX and PyTorch arrays::

    import isoloss as il

    il.mean_squared_error(predictions, targets)
    il.Huber(delta=2.0)(predictions, targets, weights=w, where=mask, axis=0)
    il.gradient(il.huber, predictions, targets)
"""

import importlib as _importlib
from typing import TYPE_CHECKING

from .metrics.names import FAMILIES as _FAMILIES

__version__ = "0.1.0"

if TYPE_CHECKING:  # type checkers and editors read these imports
    from ._core.domains import Domain as Domain
    from ._core.domains import Interval as Interval
    from ._core.metric import Loss as Loss
    from ._core.metric import Metric as Metric
    from ._core.metric import SquaredLoss as SquaredLoss
    from ._core.parameters import NonNegative as NonNegative
    from ._core.parameters import Positive as Positive
    from ._core.threads import threads as threads
    from ._core.wrappers import Exp as Exp
    from ._core.wrappers import Root as Root
    from ._core.wrappers import Scaled as Scaled
    from ._core.wrappers import Sum as Sum
    from .derivatives import gradient as gradient
    from .derivatives import gradient_hessian as gradient_hessian
    from .derivatives import value_and_gradient as value_and_gradient
    from .distributed import across as across
    from .evaluation import Estimate as Estimate
    from .evaluation import as_numbers as as_numbers
    from .evaluation import evaluate as evaluate
    from .metrics.calibration import *
    from .metrics.catalogue import get as get
    from .metrics.catalogue import list_metrics as list_metrics
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

else:  # at run time a module is imported when one of its names is first used
    _PLACES = {
        "_core.domains": ("Domain", "Interval"),
        "_core.metric": ("Loss", "Metric", "SquaredLoss"),
        "_core.parameters": ("NonNegative", "Positive"),
        "_core.threads": ("threads",),
        "_core.wrappers": ("Exp", "Root", "Scaled", "Sum"),
        "derivatives": ("gradient", "gradient_hessian", "value_and_gradient"),
        "distributed": ("across",),
        "evaluation": ("Estimate", "as_numbers", "evaluate"),
        "metrics.catalogue": ("get", "list_metrics"),
        "streaming": ("Accumulator", "over_batches"),
        "validation": ("checked", "validate"),
        **{f"metrics.{family}": names for family, names in _FAMILIES.items()},
    }
    _PLACE_OF = {name: place for place, names in _PLACES.items() for name in names}
    __all__ = sorted(_PLACE_OF, key=lambda name: (not name.isupper(), name))

    def __getattr__(name):
        """Return a public name: its module is imported now."""
        place = _PLACE_OF.get(name)
        if place is None:
            message = f"module {__name__!r} has no attribute {name!r}"
            if not name.startswith("_"):
                from .metrics.names_elsewhere import suggestion

                message = suggestion(name)
            raise AttributeError(message, name=name)
        thing = globals()[name] = getattr(_importlib.import_module(f"{__name__}.{place}"), name)
        return thing

    def __dir__():
        """Return the public names, loaded or not, and the public packages that are imported."""
        special = [name for name in globals() if name.startswith("__")]
        return sorted({*__all__, *special, *({"adapters", "testing"} & globals().keys())})
