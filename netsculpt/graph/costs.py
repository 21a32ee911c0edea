"""Parameters and multiply-accumulates, of the whole and of one unit."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from netsculpt.graph.terms import Kind, Term, flatten, leaves


class Cost(NamedTuple):
    """``params``: trainable and frozen parameters; ``macs``: multiply-accumulates of one forward pass."""

    params: int
    macs: int


def size_with(term: Term, sizes: Mapping[Term, int]) -> int:
    """The size of ``term`` if the axes in ``sizes`` had the given numbers of units."""
    root = term.find()
    if root.kind is Kind.LEAF:
        return sizes.get(root, root.size)
    if not sizes:
        return root.size
    parts = (size_with(part, sizes) for part in flatten(root, root.kind))
    return math.prod(parts) if root.kind is Kind.PRODUCT else sum(parts)


def total(products: Iterable[Sequence[Term]], sizes: Mapping[Term, int]) -> int:
    """The sum over ``products`` of the product of their terms' sizes, if axes had the given numbers of units."""
    return sum(math.prod(size_with(term, sizes) for term in terms) for terms in products)


def falls(products: Iterable[Sequence[Term]], fixed: Mapping[Term, int], left: Callable[[int], int]) -> dict[Term, int]:
    """By how much ``total`` falls when an axis of ``size`` units has ``left(size)``, for every axis that can change.

    ``fixed`` are sizes to assume of other axes.
    """
    found: dict[Term, int] = {}
    for terms in products:
        whole = math.prod(size_with(term, fixed) for term in terms)
        for axis in {axis for term in terms for axis in leaves(term)} - fixed.keys():
            if axis.frozen is None and whole:
                fewer = {**fixed, axis: left(axis.size)}
                found[axis] = found.get(axis, 0) + whole - math.prod(size_with(term, fewer) for term in terms)
    return found
