"""Look-ups: what is indexed has an order that matters, everything else stays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import torch
from torch import fx

from netsculpt.graph import makings
from netsculpt.graph.call import Call
from netsculpt.graph.facts import Role, Value
from netsculpt.graph.registry import rule
from netsculpt.graph.rules.elementwise import broadcast
from netsculpt.graph.terms import Term


@rule("embedding")
def embedding(call: Call) -> Value:
    """weight [entries, width], indices [*] -> [*, width]."""
    weight, indices = call["weight"], call["indices"]
    call.freeze(weight.dims[0], "entries are looked up by index")
    call.role(weight, 1, Role.PRODUCER)
    return Value((*indices.dims, weight.dims[1]), made=weight.made)


@rule("embedding_bag", "_embedding_bag", "_embedding_bag_forward_only")
def embedding_bag(call: Call) -> list[Value]:
    """Embeddings reduced over bags; the last output has the places of the largest."""
    weight, shares, largest = call["weight"], call["per_sample_weights"], 2
    call.freeze(weight.dims[0], "entries are looked up by index")
    call.role(weight, 1, Role.PRODUCER)
    made = weight.made if shares is None else makings.times(makings.opaque(shares.made), weight.made)
    bags = Value((call.position(call.shape[0]), weight.dims[1]), made=makings.opaque(made))
    if call["mode"] != largest:
        bags = replace(bags, made=made)
    *others, last = (tuple(map(call.position, shape)) for shape in call.shapes[1:])
    return [bags, *map(Value, others), bags if call.shapes[-1] == call.shape else Value(last)]


@rule("index", "_unsafe_index")
def index(call: Call) -> Value:
    """x[i, :, j]: indexed dimensions give way to those of the indices, which broadcast together."""
    x = call["self"]
    masked = _mask(call)
    if masked is not None:
        mask, at, end = masked
        call.equate(x.dims[at:end], mask.dims)
        call.freeze(mask.dims, "chosen by a mask")
        made = makings.times(makings.opaque(mask.made), x.made)
        return Value((*x.dims[:at], call.position(call.shape[at]), *x.dims[end:]), x.constant, x.tensors, made=made)
    indices = [item if isinstance(item, Value) else None for item in call["indices"]]
    indices += [None] * (len(x.dims) - len(indices))
    used = [dim for dim, item in enumerate(indices) if item is not None]
    call.freeze((x.dims[dim] for dim in used), "indexed by position")
    given = [item for item in indices if item is not None]
    count = len(call.shape) - (len(x.dims) - len(used))
    together = used == list(range(used[0], used[0] + len(used)))
    at = used[0] if together else 0
    middle = broadcast(call, call.shape[at : at + count], given)
    rest = [term for dim, term in enumerate(x.dims) if dim not in used]
    made = makings.times(makings.opaque(*(item.made for item in given)), x.made)
    return Value((*rest[:at], *middle, *rest[at:]), constant=x.constant, tensors=x.tensors, made=made)


@rule("index_select", "gather", "take_along_dim")
def along_one(call: Call) -> Value:
    """Entries of one dimension by index."""
    x, indices = call["self"], call["index"] if call["index"] is not None else call["indices"]
    at = call["dim"] % len(x.dims)
    call.freeze(x.dims[at], f"{call.name} along it")
    dims = [call.position(size) if dim == at else x.dims[dim] for dim, size in enumerate(call.shape)]
    if call.name != "index_select":  # an index for every entry of the result
        for dim, (term, other) in enumerate(zip(x.dims, indices.dims, strict=True)):
            if dim != at and term.size != other.size:
                call.freeze((term, other), f"{call.name} takes some of its entries")
                dims[dim] = call.position(call.shape[dim])
            elif dim != at:
                call.equate(term, other)
    made = makings.times(makings.opaque(indices.made), x.made)
    return Value(tuple(dims), constant=x.constant, tensors=x.tensors, made=made)


@rule("index_add", "index_copy", "index_fill", "scatter", "scatter_add", "scatter_reduce", "slice_scatter")
@rule("select_scatter", "index_reduce")
def written_along(call: Call) -> Value:
    """Entries of one dimension written by index: the others are the same in all that takes part."""
    x, *others = call.values()
    at = (call["dim"] or 0) % len(x.dims)
    call.freeze(x.dims[at], f"{call.name} along it")
    for other in others:
        if len(other.dims) == len(x.dims):
            _equate_but(call, x, other, at)
        elif call.name == "select_scatter":
            call.equate(other.dims, (*x.dims[:at], *x.dims[at + 1 :]))
        else:
            call.freeze(other.dims, f"{call.name} takes indices")
    return Value(x.dims, made=_written(call, x, others))


@rule("index_put", "masked_scatter", "put")
def written(call: Call) -> Value:
    """Entries written by position: indexed dimensions stay, the others are those of what is written."""
    x, values = call["self"], call["values"] if call["values"] is not None else call["source"]
    masked = _mask(call)
    if masked is not None:
        return _written_by_mask(call, x, values, *masked)
    indices = [item if isinstance(item, Value) else None for item in call["indices"] or ()]
    used = [dim for dim, item in enumerate(indices) if item is not None]
    rest = x.dims[len(indices) :]
    if call.name != "index_put" or used != list(range(len(used))) or len(used) != len(indices):
        call.freeze((*x.dims, *values.dims), f"{call.name} writes into it by position")
        return Value(x.dims, made=makings.opaque(x.made, values.made))
    call.freeze(x.dims[: len(used)], "written by position")
    tail = values.dims[max(len(values.dims) - len(rest), 0) :]
    call.freeze(values.dims[: len(values.dims) - len(tail)], "written by position")
    broadcast(call, [term.size for term in rest], [Value(rest), Value(tail)])
    return Value(x.dims, made=makings.plus(x.made, values.made))


@rule("tril", "triu", "diag")
def triangular(call: Call) -> Value:
    """Order matters in the last two dimensions."""
    x = call["self"]
    call.freeze(x.dims[-2:], f"{call.name} of it")
    same: tuple[Term, ...] = x.dims if call.name != "diag" else ()
    return Value(same or tuple(map(call.position, call.shape)), constant=x.constant, tensors=x.tensors)


@rule("diagonal")
def diagonal(call: Call) -> Value:
    """Two dimensions become one, which comes last."""
    x = call["self"]
    taken = {call["dim1"] % len(x.dims), call["dim2"] % len(x.dims)}
    call.freeze((x.dims[dim] for dim in taken), "diagonal of it")
    rest = (term for dim, term in enumerate(x.dims) if dim not in taken)
    return Value((*rest, call.position(call.shape[-1])), constant=x.constant, tensors=x.tensors)


@rule("diag_embed")
def diag_embed(call: Call) -> Value:
    """The last dimension becomes two."""
    x = call["self"]
    call.freeze(x.dims[-1], "diag_embed of it")
    new = {call["dim1"] % len(call.shape), call["dim2"] % len(call.shape)}
    rest = iter(x.dims)
    dims = (call.position(size) if dim in new else next(rest) for dim, size in enumerate(call.shape))
    return Value(tuple(dims), constant=x.constant, tensors=x.tensors)


def _mask(call: Call) -> tuple[Value, int, int] | None:
    """The only index where it is a mask, with the first dimension that it covers and the one after the last."""
    indices = call["indices"] or ()
    given = [at for at, item in enumerate(indices) if isinstance(item, Value)]
    if len(given) != 1:
        return None
    node, (at,) = cast(Sequence[fx.Node], call.node.args[1])[given[0]], given
    if node.meta["val"].dtype not in (torch.bool, torch.uint8):
        return None
    return indices[at], at, at + len(indices[at].dims)


def _written_by_mask(call: Call, x: Value, values: Value, mask: Value, at: int, end: int) -> Value:
    """A number wherever the mask says, or as many entries as it has."""
    call.equate(x.dims[at:end], mask.dims)
    if values.dims:
        call.freeze((*x.dims, *values.dims), "written by a mask")
    gate = makings.opaque(mask.made)
    return Value(x.dims, made=makings.plus(*(makings.times(gate, each.made) for each in (x, values))))


def _equate_but(call: Call, x: Value, other: Value, at: int) -> None:
    for dim, (ours, theirs) in enumerate(zip(x.dims, other.dims, strict=True)):
        if dim == at:
            call.freeze(theirs, f"{call.name} along it")
        elif ours.size == theirs.size:
            call.equate(ours, theirs)
        else:
            call.freeze((ours, theirs), f"{call.name} writes some of its entries")


def _written(call: Call, x: Value, others: Sequence[Value]) -> makings.Making:
    """Sums of old and new entries; a number that is written weighs nothing."""
    sources = [other.made for other in others if other.made != makings.CONSTANT]
    linear = call.name not in {"scatter_reduce", "index_reduce"}
    number = call["value"] if isinstance(call["value"], (int, float)) else 0
    made = makings.plus(x.made, *sources, *([makings.CONSTANT] if number else []))
    return made if linear else makings.opaque(made)
