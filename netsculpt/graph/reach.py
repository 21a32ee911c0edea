"""How far scaling slices of a tensor reaches: through sums to the units of an axis, limited to parts of a dimension."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from netsculpt.graph.limits import NOWHERE, Limit
from netsculpt.graph.makings import Opaque, Scaler
from netsculpt.graph.terms import Kind, Term, leaves


class Tensors:
    """In which dimensions of a tensor an axis lies."""

    def __init__(self, tensors: Mapping[str, Sequence[Term]]) -> None:
        self._tensors = tensors
        self._axes: dict[Term, frozenset[Term]] = {}

    def axes(self, term: Term) -> frozenset[Term]:
        """The axes in a dimension."""
        root = term.find()
        if root not in self._axes:
            self._axes[root] = frozenset(leaves(root))
        return self._axes[root]

    def reach(self, factor: Scaler | Opaque, axis: Term) -> bool | None:
        """Whether what happens to a factor's units happens to those of the value; None where that cannot be told."""
        for over, kept in factor.sums:
            if not any(axis in self.axes(term) for term in kept):
                return False
            if any(axis in self.axes(term) for term in over):
                return None
        return True

    def dims(self, scaler: Scaler, axis: Term) -> list[int]:
        """The dimensions along which scaling slices of ``axis`` may scale its units."""
        if self.reach(scaler, axis) is False:
            return []
        terms = self._tensors[scaler.tensor]
        dims = range(len(terms)) if scaler.dim is None else (scaler.dim,)
        return [dim for dim in dims if dim not in scaler.spent and axis in self.axes(terms[dim])]

    def limit(self, scaler: Scaler, dim: int) -> Limit | None:
        """The indices to which the scaler is limited along a dimension; None where axes do not tell them."""
        pinned: set[tuple[Term, int]] = set()
        inside = list(leaves(self._tensors[scaler.tensor][dim]))
        for term, index in scaler.where:
            found = [pair for pair in _pinned(term, index) if pair[0] in inside]
            if any(inside.count(axis) > 1 for axis, _ in found):
                return None
            pinned.update(found)
        return frozenset(pinned)


def _pinned(term: Term, index: int) -> list[tuple[Term, int]]:
    """The index of every axis in ``term`` at its entry ``index``; NOWHERE for those that the entry is not of."""
    root = term.find()
    if root.kind is Kind.LEAF:
        return [(root, index)]
    found: list[tuple[Term, int]] = []
    if root.kind is Kind.PRODUCT:
        for part in reversed(root.parts):
            found.extend(_pinned(part, index % part.size))
            index //= part.size
        return found
    for part in root.parts:
        here = 0 <= index < part.size
        found.extend(_pinned(part, index) if here else ((axis, NOWHERE) for axis in leaves(part)))
        index -= part.size
    return found
