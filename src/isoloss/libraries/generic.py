"""Any array library that there is no file for: the standard's functions, the plain evaluation."""

from __future__ import annotations

from .._core.plain import PlainLibrary


class GenericLibrary(PlainLibrary):
    """A library of which nothing is known but that it follows the array API standard."""


LIBRARY = GenericLibrary
