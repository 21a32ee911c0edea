"""Distances and similarities of vectors along one dimension."""

from __future__ import annotations

from collections.abc import Sequence

from netsculpt.graph.call import Call
from netsculpt.graph.facts import Value
from netsculpt.graph.registry import rule
from netsculpt.graph.rules.elementwise import broadcast, broadcast_shape
from netsculpt.graph.terms import Term, leaf


@rule("cosine_similarity", "pairwise_distance")
def along_a_dimension(call: Call) -> Value:
    """Two tensors that broadcast, reduced over one dimension."""
    a, b = call.values()
    ndim = max(len(a.dims), len(b.dims))
    at = (call["dim"] if call["dim"] is not None else -1) % ndim
    dims = list(broadcast(call, broadcast_shape([a, b]), [a, b]))
    call.inexact(dims[at], f"{call.name} over it")
    dims[at : at + 1] = [leaf(1, frozen="reduced to one entry")] if call["keepdim"] else []
    return Value(tuple(dims))


@rule("cdist")
def distances(call: Call) -> Sequence[Term]:
    """[.., p, m] and [.., r, m] -> [.., p, r]."""
    a, b = call["x1"], call["x2"]
    call.equate((*a.dims[:-2], a.dims[-1]), (*b.dims[:-2], b.dims[-1]))
    call.inexact(a.dims[-1], "a distance over it")
    return (*a.dims[:-1], b.dims[-2])
