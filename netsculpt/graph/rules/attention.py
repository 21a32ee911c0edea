"""Scaled dot-product attention, however torch fuses it."""

from __future__ import annotations

from netsculpt.graph import makings
from netsculpt.graph.call import Call, summed
from netsculpt.graph.facts import Value
from netsculpt.graph.registry import rule
from netsculpt.graph.rules.elementwise import broadcast
from netsculpt.graph.terms import leaf, product


@rule("scaled_dot_product_attention")
def attention(call: Call) -> Value:
    """query [.., h, l, e], key [.., g, s, e], value [.., g, s, v] -> [.., h, l, v]; g divides h."""
    query, key, value, mask = call["query"], call["key"], call["value"], call["attn_mask"]
    heads = max(len(query.dims) - 3, 0)
    for ours, theirs in ((query, key), (key, value)):
        call.equate(ours.dims[:heads], theirs.dims[:heads])
    call.equate(key.dims[heads:-1], value.dims[heads:-1])
    if len(query.dims) > 2:
        _equate_heads(call, query, key, heads)
    width = query.dims[-1]
    call.equate(width, key.dims[-1])
    scale = call["scale"]
    products = call.contracted(
        width, (query, len(query.dims) - 1), (key, len(key.dims) - 1), power=0.5 if scale is None else 0.0
    )
    if scale is not None and scale > 0:
        products.roots.extend(call.divided([width], 1 / scale))
    weights = [summed(query, len(query.dims) - 1), summed(key, len(key.dims) - 1)]
    scores = (*query.dims[:-1], key.dims[-2])
    if mask is not None:
        broadcast(call, [term.size for term in scores], [Value(scores), mask])
        weights.append(mask.made)
    if call["is_causal"]:
        call.freeze((query.dims[-2], key.dims[-2]), "attention looks back along it")
    call.inexact(key.dims[-2], "attention adds up to one over it")
    call.macs((*scores, width))
    call.macs((*scores, value.dims[-1]))
    dims = (*query.dims[:-1], value.dims[-1])
    return Value(dims, made=makings.times(makings.opaque(*weights), summed(value, len(value.dims) - 2)))


def _equate_heads(call: Call, query: Value, key: Value, at: int) -> None:
    ours, theirs = query.dims[at], key.dims[at]
    if ours.size == theirs.size:
        call.equate(ours, theirs)
    else:  # grouped queries: each key head serves the same number of query heads
        call.equate(ours, product((theirs, leaf(ours.size // theirs.size))))
