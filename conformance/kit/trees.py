"""Arrays, and tuples of arrays: predictions, targets and gradients are either."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Tree = Any
"""An array or a tuple of trees."""


def tree_map(function: Callable[..., Any], *trees: Tree) -> Tree:
    """Apply a function to corresponding arrays of trees of the same form."""
    if isinstance(trees[0], tuple):
        return tuple(tree_map(function, *members) for members in zip(*trees, strict=True))
    return function(*trees)


def leaves(tree: Tree) -> list[Any]:
    """Return the arrays of a tree, of a state or of a dict, in order; None holds no array."""
    if isinstance(tree, dict):
        tree = tuple(tree.values())
    if isinstance(tree, (tuple, list)):
        return [leaf for member in tree for leaf in leaves(member)]
    return [] if tree is None else [tree]
