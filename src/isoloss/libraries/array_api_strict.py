"""array-api-strict: exactly the functions of the standard, on devices made for tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .._core.plain import PlainLibrary
from .._core.types import Array


class StrictLibrary(PlainLibrary):
    """A NumPy that rejects everything outside the standard."""

    name = "array_api_strict"

    def has_float64(self, array: Array) -> bool:
        """Whether the device supports float64; some test devices do not."""
        return "no_float64" not in str(array.device) and "no_x64" not in str(array.device)

    def device(self, array: Array) -> Any:
        """Return the device of the array."""
        return array.device

    def overrides(self, result: str) -> dict[str, Any]:
        """Return sums of integers that use only dtypes of the device."""
        raw = self.raw

        def in_own_dtype(function: Callable[..., Array]) -> Callable[..., Array]:
            """Sum integers in their own dtype: the device no_x64 has no int64, the default."""
            return lambda x, /, **named: function(x, **{"dtype": x.dtype, **named})

        return {"sum": in_own_dtype(raw.sum), "cumulative_sum": in_own_dtype(raw.cumulative_sum)}


LIBRARY = StrictLibrary
