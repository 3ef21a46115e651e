"""The number of threads for large NumPy arrays."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

THREADS: ContextVar[int] = ContextVar("threads", default=1)


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Evaluate large NumPy arrays on several threads, within a ``with`` statement.

    The default is one thread, because programs often run several calls in parallel already. The
    result has the same bits for any number of threads.

    Raises
    ------
    ValueError
        If the number is below 1.

    Examples
    --------
    >>> import isoloss as il
    >>> with il.threads(4):
    ...     il.mean_squared_error([1.0, 3.0], [1.0, 1.0])
    np.float64(2.0)
    """
    if not isinstance(number, int) or number < 1:
        raise ValueError(f"threads takes a number of at least 1, not {number!r}")
    before = THREADS.set(number)
    try:
        yield
    finally:
        THREADS.reset(before)
