"""Sums, means, maxima, softmax: what is reduced over leaves the shape, or stays as one entry."""

from __future__ import annotations

import operator

from netsculpt.graph import makings
from netsculpt.graph.call import Call, summed
from netsculpt.graph.facts import Value
from netsculpt.graph.makings import Making
from netsculpt.graph.registry import rule
from netsculpt.graph.rules.elementwise import pointwise
from netsculpt.graph.terms import Term, leaf


@rule("sum", "mean", "nansum")
def linear_reduction(call: Call) -> Value:
    """Linear: a unit can be silenced by what made it; a mean also depends on how many there are."""
    x = call["self"]
    for dim in _reduced(call, x):
        call.contracted(x.dims[dim], (x, dim), power=1.0 if call.name == "mean" else 0.0)
    return _result(call, x, summed(x, *_reduced(call, x)))


@rule("amax", "amin", "prod", "var", "std", "norm", "linalg_vector_norm", "logsumexp", "any", "all", "median", "mode")
@rule("max", "min", "argmax", "argmin", "var_mean", "std_mean", "aminmax", "nanmean", "count_nonzero", "nanmedian")
@rule("frobenius_norm", "linalg_norm", "quantile", "nanquantile", "kthvalue")
def other_reduction(call: Call) -> Value | list[Value]:
    """Not linear: all units of what is reduced over are mixed. max and min of two tensors are pointwise."""
    values = call.values()
    if call.name in {"max", "min"} and len(values) == 2:
        return pointwise(call)
    x = values[0]
    positions = _tells_positions(call)
    for dim in _reduced(call, x):
        if positions:
            call.freeze(x.dims[dim], f"{call.name} answers with positions in it")
        call.inexact(x.dims[dim], f"{call.name} over it")
    result = _result(call, x, makings.opaque(summed(x, *_reduced(call, x))))
    return result if len(call.shapes) == 1 else [result for _ in call.shapes]


@rule("softmax", "log_softmax", "_softmax", "_log_softmax", "_safe_softmax")
def normalised(call: Call) -> Value:
    """Over one dimension, whose entries then add up to one."""
    x = call.values()[0]
    call.inexact(x.dims[call["dim"]], f"{call.name} over it")
    return Value(x.dims, constant=x.constant, tensors=x.tensors, made=makings.opaque(x.made))


@rule("renorm")
def renorm(call: Call) -> Value:
    """Every slice along a dimension is divided by its own norm, over all that is in it."""
    x = call["self"]
    for dim in set(range(len(x.dims))) - {call["dim"] % len(x.dims)}:
        call.inexact(x.dims[dim], "renorm over it")
    return Value(x.dims, x.constant, x.tensors, made=makings.opaque(x.made))


@rule("cumsum", "cumprod", "cummax", "cummin", "logcumsumexp", "sort", "argsort", "topk", "flip", "roll", "fliplr")
@rule("diff", "msort", "rot90", "flipud")
def ordered(call: Call) -> Value | list[Value]:
    """The order of the entries along a dimension counts."""
    x, *ends = call.values()
    touched = _ordered(call, len(x.dims))
    for end in ends:  # diff: what comes before and after
        for dim, (ours, theirs) in enumerate(zip(x.dims, end.dims, strict=True)):
            if dim not in touched:
                call.equate(ours, theirs)
            else:
                call.freeze(theirs, f"{call.name} along it")
    for dim in touched:
        call.freeze(x.dims[dim], f"{call.name} along it")
    outputs = []
    for shape in call.shapes:
        same = len(shape) == len(x.dims)
        terms: list[Term] = [
            x.dims[dim] if same and dim not in touched else call.position(size) for dim, size in enumerate(shape)
        ]
        made = x.made if call.name in {"flip", "roll", "fliplr", "flipud"} else makings.opaque(x.made)
        outputs.append(Value(tuple(terms), made=made))
    return outputs[0] if len(outputs) == 1 else outputs


def _tells_positions(call: Call) -> bool:
    """Whether the program uses where the entries stand, not only what they are."""
    if call.name not in {"max", "min", "median", "nanmedian", "mode", "kthvalue"} or len(call.shapes) < 2:
        return call.name.startswith("arg")
    return any(user.target is not operator.getitem or (user.args[1] == 1 and user.users) for user in call.node.users)


def _ordered(call: Call, ndim: int) -> set[int]:
    fixed = {"fliplr": 1, "flipud": 0, "msort": 0}.get(call.name)
    named = fixed if fixed is not None else (call["dims"] if call["dims"] is not None else call["dim"])
    if named is None or named == []:
        return set(range(ndim))
    return {dim % ndim for dim in (named if isinstance(named, (list, tuple)) else [named])}


def _reduced(call: Call, x: Value) -> list[int]:
    named = call["dim"]
    if named is None or named == []:
        return list(range(len(x.dims)))
    ndim = max(len(x.dims), 1)
    return sorted({dim % ndim for dim in (named if isinstance(named, (list, tuple)) else [named])})


def _result(call: Call, x: Value, made: Making) -> Value:
    reduced = _reduced(call, x) if x.dims else []
    keeps = bool(call["keepdim"])
    dims = tuple(
        leaf(1, frozen="reduced to one entry") if dim in reduced else term
        for dim, term in enumerate(x.dims)
        if keeps or dim not in reduced
    )
    return Value(dims, constant=x.constant, tensors=x.tensors, made=made)
