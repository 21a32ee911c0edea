"""Convolutions of any dimension: plain, grouped, depthwise, transposed."""

from __future__ import annotations

from netsculpt.graph import makings
from netsculpt.graph.call import Call, summed
from netsculpt.graph.facts import Role, Value
from netsculpt.graph.makings import Making
from netsculpt.graph.registry import rule
from netsculpt.graph.rules.contraction import add_bias_at, product_of
from netsculpt.graph.terms import Term, product


@rule("conv1d", "conv2d", "conv3d", "_convolution_mode")
def convolution(call: Call) -> Value:
    """x [n, in, *], weight [out, in/groups, *kernel], bias [out]."""
    return _convolution(call, transposed=False)


@rule("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def transposed_convolution(call: Call) -> Value:
    """x [n, in, *], weight [in, out/groups, *kernel], bias [out]."""
    return _convolution(call, transposed=True)


@rule("convolution", "_convolution")
def any_convolution(call: Call) -> Value:
    """The form that decompositions use."""
    return _convolution(call, transposed=bool(call["transposed"]))


def _convolution(call: Call, transposed: bool) -> Value:
    x, weight = call["input"], call["weight"]
    groups = call["groups"] or 1
    channel = len(x.dims) - len(weight.dims) + 1  # 1, or 0 without a batch
    call.freeze(weight.dims[2:], "kernel positions")
    call.freeze(x.dims[channel + 1 :], "a convolution runs along it")
    if groups > 1:
        out, made = _grouped(call, x, channel, groups, transposed)
    else:
        inside, outside = (0, 1) if transposed else (1, 0)
        call.equate(x.dims[channel], weight.dims[inside])
        call.consumes(weight, inside, x, channel)
        call.role(weight, outside, Role.PRODUCER)
        out, made = weight.dims[outside], product_of(x, weight, [channel], [inside])
    dims = (*x.dims[:channel], out, *map(call.position, call.shape[channel + 1 :]))
    call.macs((*(x.dims if transposed else dims), *weight.dims[1:]))
    return add_bias_at(call, Value(dims, made=made), call["bias"], channel)


def _grouped(call: Call, x: Value, channel: int, groups: int, transposed: bool) -> tuple[Term, Making]:
    """Channels are groups × members: a group is one unit on both sides, a member is one in every group."""
    weight = call["weight"]
    rows, columns = weight.dims[:2]
    group, member = rows, None
    if rows.size > groups:
        group, member = call.factor(rows, rows.size // groups)
    call.asks_size(group)
    across = group if columns.size == 1 else product((group, columns))
    if columns.size == 1:
        call.freeze(columns, "one channel per group")
    elif transposed:
        call.role(weight, 1, Role.PRODUCER)
    call.equate(x.dims[channel], rows if transposed else across)
    inputs, weights = x.made, weight.made
    if transposed and member is not None:
        call.consumes(weight, 0, x, channel, member)
        inputs, weights = (makings.summed(made, [member], [group]) for made in (inputs, weights))
    elif not transposed and columns.size > 1:
        call.consumes(weight, 1, x, channel)
        inputs, weights = makings.summed(inputs, [columns], [group]), summed(weight, 1)
    if not transposed and member is not None:
        call.role(weight, 0, Role.PRODUCER, member)
    return (across if transposed else rows), makings.times(inputs, weights)
