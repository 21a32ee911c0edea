"""Convolutions of any dimension: plain, grouped, depthwise, transposed."""

from __future__ import annotations

from netsculpt.graph.call import Call
from netsculpt.graph.facts import Role, Value
from netsculpt.graph.registry import rule
from netsculpt.graph.rules.contraction import add_bias_at, made_by
from netsculpt.graph.terms import Term, product


@rule("conv1d", "conv2d", "conv3d")
def convolution(call: Call) -> Value:
    """x [n, in, *], weight [out, in/groups, *kernel], bias [out]."""
    return _convolution(call, call["weight"], transposed=False)


@rule("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def transposed_convolution(call: Call) -> Value:
    """x [n, in, *], weight [in, out/groups, *kernel], bias [out]."""
    return _convolution(call, call["weight"], transposed=True)


@rule("convolution", "_convolution")
def any_convolution(call: Call) -> Value:
    """The form that decompositions use."""
    return _convolution(call, call["weight"], transposed=bool(call["transposed"]))


def _convolution(call: Call, weight: Value, transposed: bool) -> Value:
    x = call["input"]
    groups = call["groups"] or 1
    channel = len(x.dims) - len(weight.dims) + 1  # 1, or 0 without a batch
    if groups > 1:
        out = _grouped(call, x.dims[channel], weight, groups, transposed)
    else:
        inside, outside = (0, 1) if transposed else (1, 0)
        call.equate(x.dims[channel], weight.dims[inside])
        call.consumes(weight, inside)
        call.role(weight, outside, Role.PRODUCER)
        out = weight.dims[outside]
    call.freeze(weight.dims[2:], "kernel positions")
    dims = (*x.dims[:channel], out, *map(call.position, call.shape[channel + 1 :]))
    call.macs((*(x.dims if transposed else dims), *weight.dims[1:]))
    return add_bias_at(call, Value(dims, scalers=made_by(x, weight)), call["bias"], channel)


def _grouped(call: Call, x: Term, weight: Value, groups: int, transposed: bool) -> Term:
    """Channels are groups × members: a group is one unit on both sides, a member is one in every group."""
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
    else:
        call.consumes(weight, 1)
    if member is not None and transposed:
        call.consumes(weight, 0, member)
    elif member is not None:
        call.role(weight, 0, Role.PRODUCER, member)
    call.equate(x, rows if transposed else across)
    return across if transposed else rows
