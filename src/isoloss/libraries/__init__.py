"""What is known of each array library, in one file that is called as the library is.

A file is loaded when the first array of its library arrives; `generic` serves the others. It has
``LIBRARY``, a class. Definitions and the functions of a metric know none of these files.
"""

# Libraries with a compiler that may trace the first call: they are known as soon as they are
# imported. Their files have ``namespace``, a function that returns the raw functions.
TRACED = ("torch",)
