"""Test that a function gives the same value, gradient and dtype on every array library."""

from .parity import Case, Report, Row, assert_close_ulp, assert_parity, compare, suite

__all__ = [
    "Case",
    "Report",
    "Row",
    "assert_close_ulp",
    "assert_parity",
    "compare",
    "suite",
]
