"""Scaled dot-product attention, however torch fuses it."""

from __future__ import annotations

from netsculpt.graph.call import Call
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
    call.contracted(width, query, key)
    if call["scale"] is None:
        call.depends_on_size(width, query.scalers or key.scalers, 0.5, "attention divides by the root of its size")
    scores = (*query.dims[:-1], key.dims[-2])
    if mask is not None:
        broadcast(call, [term.size for term in scores], [Value(scores), mask])
    call.macs((*scores, width))
    call.macs((*scores, value.dims[-1]))
    return Value((*query.dims[:-1], value.dims[-1]), scalers=value.scalers)


def _equate_heads(call: Call, query: Value, key: Value, at: int) -> None:
    ours, theirs = query.dims[at], key.dims[at]
    if ours.size == theirs.size:
        call.equate(ours, theirs)
    else:  # grouped queries: each key head serves the same number of query heads
        call.equate(ours, product((theirs, leaf(ours.size // theirs.size))))
