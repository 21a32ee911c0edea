"""Parameters and multiply-accumulates, of the whole and of one unit."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from netsculpt.graph.terms import Kind, Term, flatten


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
    known: dict[Term, int] = {}  # many tensors share a dimension

    def size(term: Term) -> int:
        root = term.find()
        if root not in known:
            known[root] = size_with(root, sizes)
        return known[root]

    return sum(math.prod(map(size, terms)) for terms in products)


def falls(products: Iterable[Sequence[Term]], fixed: Mapping[Term, int], left: Callable[[int], int]) -> dict[Term, int]:
    """By how much ``total`` falls when an axis of ``size`` units has ``left(size)``, for every axis that can change.

    ``fixed`` are sizes to assume of other axes.
    """
    found: dict[Term, int] = {}
    for terms in products:
        for axis, fall in _of_product(terms, fixed, left)[1].items():
            if axis.frozen is None:
                found[axis] = found.get(axis, 0) + fall
    return found


def _of_term(term: Term, fixed: Mapping[Term, int], left: Callable[[int], int]) -> tuple[int, dict[Term, int]]:
    """The size of ``term``, and by how much it falls for every axis in it."""
    root = term.find()
    if root.kind is Kind.LEAF:
        return (fixed[root], {}) if root in fixed else (root.size, {root: root.size - left(root.size)})
    parts = flatten(root, root.kind)
    if root.kind is Kind.PRODUCT:
        return _of_product(parts, fixed, left)
    whole, found = 0, dict[Term, int]()
    for part in parts:
        size, inside = _of_term(part, fixed, left)
        whole += size
        for axis, fall in inside.items():
            found[axis] = found.get(axis, 0) + fall
    return whole, found


def _of_product(
    parts: Sequence[Term], fixed: Mapping[Term, int], left: Callable[[int], int]
) -> tuple[int, dict[Term, int]]:
    """As ``_of_term``: each part's size is exchanged for what is left of it, in every part that has the axis."""
    each = [_of_term(part, fixed, left) for part in parts]
    whole = math.prod(size for size, _ in each)
    rest = dict.fromkeys((axis for _, inside in each for axis in inside), whole)
    for size, inside in each:
        for axis, fall in inside.items():
            rest[axis] = rest[axis] // size * (size - fall) if whole else 0
    return whole, {axis: whole - remaining for axis, remaining in rest.items()}
