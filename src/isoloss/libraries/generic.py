"""Array libraries without a module: standard functions and the generic evaluation."""

from __future__ import annotations

from .._core.plain import PlainLibrary


class GenericLibrary(PlainLibrary):
    """Any library that follows the array API standard."""


LIBRARY = GenericLibrary
