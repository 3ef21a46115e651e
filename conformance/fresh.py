"""Forget, before every test, what isoloss remembers of array libraries: for mutation testing only.

What is built once would be built by the first test that needs it, and the tests after it would run
what was built, not the code as it was changed.
"""

from __future__ import annotations

import numpy as np
import pytest

from isoloss import derivatives
from isoloss._core import library, types


@pytest.fixture(autouse=True)
def fresh() -> None:
    """Empty every cache; then know NumPy again, for a first call to take the short way."""
    derivatives._CARRIERS.clear()
    types._NAMES.clear()
    library._LIBRARIES.clear()
    library._OF_TYPE.clear()
    library.library_of(np.ones(1))
