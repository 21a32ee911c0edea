"""Pointwise operations: the operands broadcast, and every dimension stays what it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from netsculpt.graph import makings
from netsculpt.graph.call import Call
from netsculpt.graph.facts import Value
from netsculpt.graph.makings import CONSTANT, Making, Root
from netsculpt.graph.registry import rule
from netsculpt.graph.terms import Term

UNCHANGED = (
    *("clone", "contiguous", "to", "_to_copy", "type_as", "alias", "detach", "data", "requires_grad", "positive"),
    *("real", "conj", "_conj", "resolve_conj", "_neg_view", "resolve_neg", "lift", "lift_fresh_copy"),
    *("dropout", "native_dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout"),
    *("_autocast_to_reduced_precision", "_autocast_to_full_precision"),
)
NEGATIVES = frozenset({"neg", "negative"})
SUMS = frozenset({"add", "sub", "subtract", "rsub", "__add__", "__sub__"})
PRODUCTS = frozenset({"mul", "multiply", "__mul__"})
QUOTIENTS = frozenset({"div", "divide", "true_divide", "__div__"})
CHOICES = frozenset({"where", "masked_fill"})
# Pointwise, yet no activation: arithmetic, masks, bookkeeping.
PLAIN = NEGATIVES | SUMS | PRODUCTS | QUOTIENTS | CHOICES | {"copy", "fill", "zero", "_to_copy"}


@rule(*UNCHANGED)
def unchanged(call: Call) -> Value | list[Value]:
    """The same tensor, perhaps of another type or with noise."""
    x = call.values()[0]
    return x if len(call.shapes) == 1 else [x] * len(call.shapes)


@rule("fill", "zero")
def overwritten(call: Call) -> Value:
    """The same entry everywhere."""
    x, *entry = call.values()
    if entry:
        return Value(x.dims, made=entry[0].made)
    return replace(x, origin=None, made=CONSTANT, summed=None)


@rule(
    "absolute", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "complex", "copy", "copysign"
)
@rule("fix", "floor_divide", "greater", "greater_equal", "hardswish", "imag", "isclose", "less", "less_equal", "mish")
@rule("divide", "log_sigmoid", "multiply", "nan_to_num", "negative", "not_equal", "polar", "relu6", "rrelu", "rsub")
@rule("rrelu_with_noise", "subtract", "threshold", "true_divide", "where", "masked_fill", "float_power")
@rule("__and__", "__or__", "__xor__", "__lshift__", "__rshift__", "__iand__", "__ior__", "__ixor__", "__ilshift__")
@rule("__irshift__", "leaky_relu")  # the latter before torch 2.11
def untagged(call: Call) -> Value:
    """Pointwise operations that torch does not tag as such."""
    return pointwise(call)


@rule("bucketize")
def bucketize(call: Call) -> Value:
    """The place of every entry among boundaries, which have an order."""
    x, boundaries = call["self"], call["boundaries"]
    call.freeze(boundaries.dims, "boundaries of buckets")
    return Value(x.dims, made=makings.opaque(x.made, boundaries.made))


@rule("prelu")
def prelu(call: Call) -> Value:
    """One slope for all channels, or one for each."""
    x, slope = call["self"], call["weight"]
    channel = x.dims[1] if len(x.dims) > 1 else x.dims[0]
    if slope.dims and slope.dims[0].size == channel.size:
        call.equate(slope.dims[0], channel)
    else:
        call.freeze(slope.dims, "one slope for all channels")
    call.activation(x.dims)
    return Value(x.dims, made=makings.opaque(x.made, slope.made))


@rule("glu")
def glu(call: Call) -> Value:
    """One half of a dimension gates the other."""
    x = call["self"]
    at = call["dim"] % len(x.dims)
    halves, part = call.factor(x.dims[at], x.dims[at].size // 2)
    call.freeze(halves, "one half gates the other")
    call.asks_size(part)
    call.activation([part])
    gated, gate = (makings.at(x.made, halves, half) for half in (0, 1))
    return Value((*x.dims[:at], part, *x.dims[at + 1 :]), made=makings.times(makings.opaque(gate), gated))


@rule("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits")
@rule("kl_div", "soft_margin_loss", "poisson_nll_loss")
def loss(call: Call) -> Value:
    """Entries against those of a target, and their mean or sum."""
    shape = broadcast_shape(call.values())
    dims = broadcast(call, shape, call.values())
    if call.shape == shape and call.shape:
        return Value(dims)
    for term in dims:
        call.inexact(term, f"{call.name} over it")
    return Value(())


@rule("broadcast_tensors")
def broadcast_tensors(call: Call) -> list[Value]:
    """Each operand as large as all together."""
    values = call.values()
    dims = broadcast(call, call.shape, values)
    return [Value(dims, value.constant, value.tensors, made=value.made) for value in values]


def pointwise(call: Call) -> Value:
    """Any operation that works entry by entry, with broadcasting."""
    values = call.values()
    dims = broadcast(call, call.shape, values)
    made = _made(call, values)
    if all(value.constant for value in values):
        names = frozenset().union(*(value.tensors for value in values))
        return Value(dims, constant=True, tensors=names, made=made)
    if call.name not in PLAIN:
        call.activation(dims)
    elif len(values) == 1 and call.name in PRODUCTS | QUOTIENTS:
        return _times_number(call, values[0], dims, made)
    return Value(dims, made=made)


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


def broadcast_shape(values: Sequence[Value]) -> tuple[int, ...]:
    """The shape of what ``values`` broadcast to."""
    ndim = max(len(value.dims) for value in values)
    sizes = [[value.dims[-back].size for value in values if len(value.dims) >= back] for back in range(ndim, 0, -1)]
    return tuple(next((size for size in each if size != 1), 1) for each in sizes)


def _times_number(call: Call, x: Value, dims: tuple[Term, ...], made: Making) -> Value:
    """Attention written out divides by the root of a width, which may change with the width."""
    number = call["other"]
    if isinstance(number, bool) or not isinstance(number, (int, float)) or number <= 0:
        return Value(dims, made=made)
    divisor = 1 / number if call.name in PRODUCTS else float(number)
    if x.summed is not None and call.only_use_of_operand:
        x.summed.roots.extend(call.divided([x.summed.term], divisor))
        return Value(dims, made=made, summed=x.summed)
    for root in call.divided(dims, divisor):
        made = makings.times(made, ((Root(root),),))
    return Value(dims, made=made)


def _made(call: Call, values: Sequence[Value]) -> Making:
    """Sums and products of what the operands are made of; opaque for everything else."""
    first, *others = (value.made for value in values)
    if call.name in NEGATIVES or (call.name in PRODUCTS and not others):
        return first
    if call.name in SUMS:
        return makings.plus(first, *(others or [CONSTANT]))
    if call.name in PRODUCTS:
        return makings.times(first, others[0])
    if call.name in QUOTIENTS and call["rounding_mode"] is None:
        return makings.times(makings.opaque(*others), first) if others else first
    if call.name == "copy":
        return others[0]
    if call.name in CHOICES:
        return _chosen(call)
    return makings.opaque(first, *others)


def _chosen(call: Call) -> Making:
    """Entries of one tensor or the other, or of a number."""
    masked = call.name == "masked_fill"
    condition = call["mask"] if masked else call["condition"]
    options = (call["self"], call["value"] if masked else call["other"])
    parts = [option.made if isinstance(option, Value) else CONSTANT for option in options if option != 0]
    gate = makings.opaque(condition.made)
    return makings.plus(*(makings.times(gate, part) for part in parts))
