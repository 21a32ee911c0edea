"""Pointwise operations: the operands broadcast, and every dimension stays what it is."""

from __future__ import annotations

import math
from collections.abc import Sequence

from netsculpt.graph.call import Call, joined, selected
from netsculpt.graph.facts import Scaler, Value
from netsculpt.graph.registry import rule
from netsculpt.graph.terms import Term, is_frozen

UNCHANGED = (
    *("clone", "contiguous", "to", "_to_copy", "type_as", "alias", "detach", "lift_fresh_copy", "positive", "real"),
    *("dropout", "native_dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout", "conj", "cpu", "cuda"),
    *("requires_grad", "_autocast_to_reduced_precision", "_autocast_to_full_precision", "float", "double", "half"),
)
SCALED = frozenset({"neg", "negative"})
SUMS = frozenset({"add", "sub", "subtract", "__add__", "__sub__"})
PRODUCTS = frozenset({"mul", "multiply", "__mul__"})
QUOTIENTS = frozenset({"div", "divide", "true_divide", "__div__"})
# Pointwise, yet no activation: masks, comparisons, bookkeeping.
PLAIN = SCALED | SUMS | PRODUCTS | QUOTIENTS | {"where", "masked_fill", "copy", "rsub", "fill", "zero", "_to_copy"}


@rule(*UNCHANGED, "fill", "zero")
def unchanged(call: Call) -> Value:
    """The same tensor, perhaps of another type or with noise."""
    return call.values()[0]


@rule("hardswish", "log_sigmoid", "copy", "rrelu", "rrelu_with_noise", "nan_to_num", "where")
def untagged(call: Call) -> Value:
    """Pointwise operations that torch does not tag as such."""
    return pointwise(call)


@rule("prelu")
def prelu(call: Call) -> Value:
    """One slope for all channels, or one for each."""
    x, slope = call["self"], call["weight"]
    channel = x.dims[1] if len(x.dims) > 1 else x.dims[0]
    if slope.dims and slope.dims[0].size == channel.size:
        call.equate(slope.dims[0], channel)
    call.activation(x.dims)
    return Value(x.dims)


def pointwise(call: Call) -> Value:
    """Any operation that works entry by entry, with broadcasting."""
    values = call.values()
    dims = broadcast(call, call.shape, values)
    if all(value.constant for value in values):
        names = frozenset().union(*(value.tensors for value in values))
        return Value(dims, constant=True, tensors=names, scalers=_scalers(call, values))
    if call.name not in PLAIN:
        call.activation(dims)
    elif len(values) == 1 and call.name in PRODUCTS | QUOTIENTS:
        _scaled_by_size(call, values[0])
    return Value(dims, scalers=_scalers(call, values), summed=values[0].summed if len(values) == 1 else None)


def broadcast(call: Call, shape: Sequence[int], values: Sequence[Value]) -> tuple[Term, ...]:
    """The dimensions of what ``values`` broadcast to."""
    dims = []
    for back in range(len(shape), 0, -1):
        terms = [value.dims[-back] for value in values if len(value.dims) >= back]
        wide = [term for term in terms if term.size == shape[-back]]
        for term in terms:
            if term.size != shape[-back]:
                call.freeze(term, "broadcast against a larger dimension")
        if not wide:  # an in-place operation whose traced shape is another: nothing is known
            wide = [call.position(shape[-back])]
        for term in wide[1:]:
            call.equate(wide[0], term)
        dims.append(wide[0])
    return tuple(dims)


def _scaled_by_size(call: Call, x: Value) -> None:
    """Attention written out divides by the root of a width, which may change with the width."""
    factor = call["other"]
    if isinstance(factor, bool) or not isinstance(factor, (int, float)) or factor <= 0:
        return
    root = 1 / factor if call.name in PRODUCTS else factor
    candidates = [x.summed] if x.summed is not None else [(term, x.scalers) for term in x.dims[-1:]]
    for term, scalers in candidates:
        if term.size > 1 and not is_frozen(term) and math.isclose(root, math.sqrt(term.size), rel_tol=1e-6):
            call.scaled_by_root(term, scalers, float(factor))


def _scalers(call: Call, values: Sequence[Value]) -> frozenset[Scaler] | None:
    """What scales the result: every term of a sum, or any one factor of a product."""
    if call.name in SCALED:
        return values[0].scalers
    if call.name in SUMS and len(values) == 2:
        return joined(*(value.scalers for value in values))
    if call.name in PRODUCTS:
        return next((value.scalers for value in values if value.scalers is not None), None)
    if call.name in QUOTIENTS or call.name == "masked_fill":
        return values[0].scalers
    return None


@rule("glu")
def glu(call: Call) -> Value:
    """One half of a dimension gates the other."""
    x = call["self"]
    at = call["dim"] % len(x.dims)
    halves, piece = call.factor(x.dims[at], x.dims[at].size // 2)
    call.freeze(halves, "one half gates the other")
    call.activation([piece])
    return Value((*x.dims[:at], piece, *x.dims[at + 1 :]), scalers=selected(x, halves, 0))
