"""Pooling, interpolation, patches: the last dimensions are places; what stands before them stays."""

from __future__ import annotations

import re

from netsculpt.graph import makings
from netsculpt.graph.call import Call
from netsculpt.graph.facts import Value
from netsculpt.graph.registry import rule
from netsculpt.graph.terms import product

POOLS = ("max_pool", "avg_pool", "adaptive_avg_pool", "adaptive_max_pool")
SIZES = ("1d", "2d", "3d")
LINEAR = ("avg_pool", "adaptive_avg_pool", "upsample")


@rule(*(pool + size for pool in POOLS for size in SIZES))
@rule("max_pool1d_with_indices", "max_pool2d_with_indices", "max_pool3d_with_indices")
@rule("fractional_max_pool2d", "fractional_max_pool3d", "_adaptive_avg_pool2d", "_adaptive_avg_pool3d")
@rule("upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d", "upsample_linear1d", "upsample_bilinear2d")
@rule("upsample_bicubic2d", "upsample_trilinear3d", "_upsample_nearest_exact1d", "_upsample_nearest_exact2d")
@rule("_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa", "_upsample_lanczos2d_aa", "_upsample_nearest_exact3d")
@rule("grid_sampler", "grid_sampler_2d", "grid_sampler_3d", "max_unpool2d", "max_unpool3d")
def places(call: Call) -> Value | list[Value]:
    """Channels stay; height and width are new."""
    x, *where = call.values()
    count = len(where[0].dims) - 2 if call.name.startswith("grid") else int(re.sub(r"\D", "", call.name))
    call.freeze(x.dims[-count:], "positions")
    for each in where:
        if call.name.startswith("grid"):
            call.freeze(each.dims, "coordinates")
        else:  # of the largest entries in every channel, or of the windows
            call.equate(each.dims[:2], x.dims[: len(x.dims) - count][-2:])
    made = x.made if call.name.lstrip("_").startswith(LINEAR) else makings.opaque(x.made)
    outputs = [Value((*x.dims[:-count], *map(call.position, shape[-count:])), made=made) for shape in call.shapes]
    return outputs[0] if len(outputs) == 1 else outputs


@rule("im2col")
def im2col(call: Call) -> Value:
    """[n, c, h, w] -> [n, c × kernel, patches]."""
    x = call["self"]
    kernel = call.shape[-2] // x.dims[-3].size
    dims = (*x.dims[:-3], product((x.dims[-3], call.position(kernel))), call.position(call.shape[-1]))
    return Value(dims, made=x.made)


@rule("col2im")
def col2im(call: Call) -> Value:
    """[n, c × kernel, patches] -> [n, c, h, w]."""
    x = call["self"]
    channel, kernel = call.factor(x.dims[-2], x.dims[-2].size // call.shape[-3])
    call.freeze(kernel, "kernel positions")
    return Value((*x.dims[:-2], channel, *map(call.position, call.shape[-2:])), made=x.made)


@rule("unfold")
def unfold(call: Call) -> Value:
    """Windows along one dimension: their number takes its place, their length comes last."""
    x = call["self"]
    at = call["dimension"] % len(x.dims)
    call.freeze(x.dims[at], "windows along it")
    dims = (*x.dims[:at], call.position(call.shape[at]), *x.dims[at + 1 :], call.position(call.shape[-1]))
    return Value(dims, made=x.made)
