"""array-api-strict: what the standard promises and nothing else, on devices made for tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .._core.plain import PlainLibrary
from .._core.types import Array


class StrictLibrary(PlainLibrary):
    """A NumPy that refuses whatever the standard does not promise."""

    name = "array_api_strict"

    def has_float64(self, array: Array) -> bool:
        """Whether the device, of which some are made for tests, has float64."""
        return "no_float64" not in str(array.device) and "no_x64" not in str(array.device)

    def device(self, array: Array) -> Any:
        """Return where the array lives."""
        return array.device

    def overrides(self, result: str) -> dict[str, Any]:
        """Return sums of integers that need no dtype which the device lacks."""
        raw = self.raw

        def kept(function: Callable[..., Array]) -> Callable[..., Array]:
            """Sum integers in their own dtype: the device no_x64 lacks the default one, int64."""
            return lambda x, /, **named: function(x, **{"dtype": x.dtype, **named})

        return {"sum": kept(raw.sum), "cumulative_sum": kept(raw.cumulative_sum)}


LIBRARY = StrictLibrary
