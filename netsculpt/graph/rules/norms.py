"""Normalisations: by channel they are exact, over an axis they mix its units."""

from __future__ import annotations

from netsculpt.graph.call import Call, joined
from netsculpt.graph.facts import Value
from netsculpt.graph.registry import rule
from netsculpt.graph.terms import Term, product


@rule("batch_norm", "instance_norm", "_batch_norm_no_update")
def by_channel(call: Call) -> Value:
    """x [n, channels, *], weight, bias and running statistics [channels]."""
    return _by_channel(call)


@rule("native_batch_norm", "cudnn_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training")
def by_channel_with_statistics(call: Call) -> list[Value]:
    """As ``by_channel``; the second and third outputs are statistics."""
    first = _by_channel(call)
    return [first, *(Value(tuple(map(call.position, shape))) for shape in call.shapes[1:])]


@rule("layer_norm")
def layer_norm(call: Call) -> Value:
    """Over the last dimensions, which weight and bias have."""
    return _over_last(call, len(call["normalized_shape"]))


@rule("rms_norm", "_fused_rms_norm")
def rms_norm(call: Call) -> Value:
    """As ``layer_norm`` without mean and bias."""
    return _over_last(call, len(call["normalized_shape"]))


@rule("native_layer_norm")
def layer_norm_with_statistics(call: Call) -> list[Value]:
    """As ``layer_norm``; the other outputs are statistics."""
    first = _over_last(call, len(call["normalized_shape"]))
    return [first, *(Value(tuple(map(call.position, shape))) for shape in call.shapes[1:])]


@rule("group_norm")
def group_norm(call: Call) -> Value:
    """x [n, channels, *]: channels are groups × members. A group can go; members are mixed, as many in every group."""
    x, groups = call["input"], call["num_groups"]
    channels: Term = x.dims[1]
    members = channels.size // groups
    if groups == 1:
        call.inexact(channels, "group_norm over it")
    elif members > 1:
        group, member = call.factor(channels, members)
        call.asks_size(group)
        call.inexact(member, "group_norm over it")
        call.equate(channels, product((group, member)))
    else:
        call.asks_size(channels)
    return _affine(call, x, 1, [call["weight"], call["bias"]])


def _by_channel(call: Call) -> Value:
    return _affine(call, call["input"], 1, [call[n] for n in ("weight", "bias", "running_mean", "running_var")])


def _affine(call: Call, x: Value, channel: int, followers: list[Value | None]) -> Value:
    given = [follower for follower in followers if follower is not None]
    for follower in given:
        call.equate(x.dims[channel], follower.dims[0])
    weight, bias = followers[:2]
    scalers = joined(weight.scalers, bias.scalers) if weight is not None and bias is not None else None
    return Value(x.dims, scalers=scalers)


def _over_last(call: Call, count: int) -> Value:
    x, weight, bias = call["input"], call["weight"], call["bias"]
    over = x.dims[-count:]
    for term in over:
        call.inexact(term, f"{call.name} over it")
    scalers = weight.scalers if weight is not None else None
    for follower in (weight, bias):
        if follower is not None:
            call.equate(over, follower.dims)
    return Value(x.dims, scalers=scalers if bias is None else joined(scalers, bias.scalers))


@rule("_weight_norm", "_weight_norm_interface")
def weight_norm(call: Call) -> Value | list[Value]:
    """Directions v and lengths g along one dimension: exact there, and no column can be silenced by itself."""
    directions, lengths, dim = call["v"], call["g"], call["dim"] or 0
    if lengths.dims and lengths.dims[dim].size > 1:
        call.equate(directions.dims[dim], lengths.dims[dim])
    weight = Value(directions.dims, constant=True, tensors=directions.tensors | lengths.tensors)
    return weight if len(call.shapes) == 1 else [weight, lengths]
