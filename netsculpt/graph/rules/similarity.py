"""Distances and similarities of vectors along one dimension."""

from __future__ import annotations

from netsculpt.graph.call import Call
from netsculpt.graph.facts import Value
from netsculpt.graph.registry import rule
from netsculpt.graph.rules.elementwise import broadcast


@rule("cosine_similarity", "pairwise_distance")
def along_a_dimension(call: Call) -> Value:
    """Two tensors that broadcast, reduced over one dimension."""
    a, b = call.values()
    at = call["dim"] if call["dim"] is not None else -1
    shape = [max(x.size, y.size) for x, y in zip(a.dims, b.dims, strict=True)]
    dims = list(broadcast(call, shape, [a, b]))
    call.inexact(dims.pop(at), f"{call.name} over it")
    return Value(tuple(dims))
