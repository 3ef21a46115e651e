"""The implementations of the library interface: one module per array library, with its name.

A module is imported with the first array of its library; `generic` serves libraries without a
module. Each module defines the class ``LIBRARY``. Definitions do not depend on these modules.
"""

# Libraries with a compiler that may trace the first call. They are prepared as soon as they are
# imported. Their modules define ``namespace``, a function that returns the raw functions.
TRACED = ("torch",)
