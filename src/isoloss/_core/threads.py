"""How many threads large NumPy arrays are evaluated on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

THREADS: ContextVar[int] = ContextVar("threads", default=1)


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Evaluate large NumPy arrays on several threads, within a ``with`` statement.

    By default it is one: programs that use all cores for many calls at once would gain nothing.
    The result has the same bits on any number of threads.

    Raises
    ------
    ValueError
        For a number below 1.

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
