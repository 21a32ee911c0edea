"""Normalisations: by channel they are exact, over an axis they mix its units."""

from __future__ import annotations

from collections.abc import Sequence

from netsculpt.graph import makings
from netsculpt.graph.call import Call
from netsculpt.graph.facts import Value
from netsculpt.graph.makings import Making
from netsculpt.graph.registry import rule
from netsculpt.graph.terms import Term, product


@rule("batch_norm", "instance_norm")
def by_channel(call: Call) -> Value:
    """x [n, channels, *], weight, bias and running statistics [channels]."""
    return _by_channel(call)


@rule("native_group_norm")
def group_norm_with_statistics(call: Call) -> list[Value]:
    """As ``group_norm``; the other outputs are statistics."""
    first = _over_groups(call, call["group"])
    return [first, *(Value(tuple(map(call.position, shape))) for shape in call.shapes[1:])]


@rule("native_batch_norm", "cudnn_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training")
@rule("_native_batch_norm_legit_functional", "_batch_norm_with_update", "_batch_norm_with_update_functional")
@rule("_batch_norm_no_update")
def by_channel_with_statistics(call: Call) -> list[Value]:
    """As ``by_channel``; the other outputs are statistics of channels, or bytes."""
    first = _by_channel(call)
    channels = first.dims[1]
    return [
        first,
        *(Value((channels if size == channels.size else call.position(size),)) for (size,) in call.shapes[1:]),
    ]


@rule("layer_norm")
def layer_norm(call: Call) -> Value:
    """Over the last dimensions, which weight and bias have."""
    return _over_last(call, len(call["normalized_shape"]))


@rule("rms_norm")
def rms_norm(call: Call) -> Value:
    """As ``layer_norm`` without mean and bias."""
    return _over_last(call, len(call["normalized_shape"]))


@rule("native_layer_norm", "_fused_rms_norm")
def layer_norm_with_statistics(call: Call) -> list[Value]:
    """As ``layer_norm``; the other outputs are statistics."""
    first = _over_last(call, len(call["normalized_shape"]))
    return [first, *(Value(tuple(map(call.position, shape))) for shape in call.shapes[1:])]


@rule("group_norm")
def group_norm(call: Call) -> Value:
    """x [n, channels, *]: channels are groups × members. A group can go; members are mixed, as many in every group."""
    return _over_groups(call, call["num_groups"])


def _over_groups(call: Call, groups: int) -> Value:
    x = call["input"]
    channels: Term = x.dims[1]
    members = channels.size // groups
    if groups == 1:
        call.inexact(channels, "group_norm over it")
    elif members > 1:
        group, member = call.factor(channels, members)
        call.asks_size(group, literal=True)
        call.inexact(member, "group_norm over it")
        call.equate(channels, product((group, member)))
    else:
        call.asks_size(channels, literal=True)
    _mixes(call, x.dims[2:])
    return _affine(call, x, 1, [call["weight"], call["bias"]])


def _by_channel(call: Call) -> Value:
    x = call["input"]
    if call["running_mean"] is None or call["use_input_stats"] or call["training"]:
        _mixes(call, x.dims[2:] if call.name == "instance_norm" else (x.dims[0], *x.dims[2:]))
    return _affine(call, call["input"], 1, [call[n] for n in ("weight", "bias", "running_mean", "running_var")])


def _mixes(call: Call, terms: Sequence[Term]) -> None:
    """Statistics are taken over ``terms``, which usually are places and examples."""
    for term in terms:
        call.inexact(term, f"{call.name} takes statistics over it")


def _affine(call: Call, x: Value, channel: int, followers: list[Value | None]) -> Value:
    for follower in followers:
        if follower is not None:
            call.equate(x.dims[channel], follower.dims[0])
    weight, bias, *statistics = followers
    made = makings.opaque(x.made, *(each.made for each in statistics if each is not None))
    return _scaled(x, made, weight, bias)


def _over_last(call: Call, count: int) -> Value:
    x, weight, bias = call["input"], call["weight"], call["bias"]
    over = x.dims[-count:]
    for term in over:
        call.inexact(term, f"{call.name} over it")
        call.asks_size(term)
    for follower in (weight, bias):
        if follower is not None:
            call.equate(over, follower.dims)
    return _scaled(x, makings.opaque(x.made), weight, bias)


def _scaled(x: Value, made: Making, weight: Value | None, bias: Value | None) -> Value:
    if weight is not None:
        made = makings.times(made, weight.made)
    if bias is not None:
        made = makings.plus(made, bias.made)
    return Value(x.dims, made=made)


@rule("_weight_norm", "_weight_norm_interface")
def weight_norm(call: Call) -> Value | list[Value]:
    """Directions v and lengths g along one dimension: exact there, and no column can be silenced by itself."""
    directions, lengths, dim = call["v"], call["g"], call["dim"] or 0
    if lengths.dims and lengths.dims[dim].size > 1:
        call.equate(directions.dims[dim], lengths.dims[dim])
    for at in set(range(len(directions.dims))) - ({dim % len(directions.dims)} if lengths.dims else set()):
        call.inexact(directions.dims[at], "weight_norm over it")
    made = makings.times(makings.opaque(directions.made), lengths.made)
    weight = Value(directions.dims, constant=True, tensors=directions.tensors | lengths.tensors, made=made)
    return weight if len(call.shapes) == 1 else [weight, lengths]
