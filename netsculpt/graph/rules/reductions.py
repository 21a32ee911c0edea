"""Sums, means, maxima, softmax: what is reduced over leaves the shape, or stays as one entry."""

from __future__ import annotations

from netsculpt.graph.call import Call
from netsculpt.graph.facts import Value
from netsculpt.graph.registry import rule
from netsculpt.graph.terms import Term, leaf

MEANS = frozenset({"mean"})
SUMS = frozenset({"sum"})


@rule("sum", "mean")
def linear_reduction(call: Call) -> Value:
    """Linear: a unit can be silenced by what made it; a mean also depends on how many there are."""
    x = call["self"]
    for term in _over(call, x):
        call.contracted(term, x)
        if call.name in MEANS:
            call.depends_on_size(term, x.scalers, 1.0, "a mean over it")
    return Value(_kept(call, x), scalers=x.scalers)


@rule("amax", "amin", "prod", "var", "std", "norm", "linalg_vector_norm", "logsumexp", "any", "all", "median", "nansum")
@rule("max", "min", "argmax", "argmin", "var_mean", "std_mean", "aminmax", "nanmean", "count_nonzero", "frobenius_norm")
def other_reduction(call: Call) -> Value | list[Value]:
    """Not linear: all units of what is reduced over are mixed. max and min of two tensors are pointwise."""
    values = call.values()
    if len(values) == 2:
        from netsculpt.graph.rules.elementwise import pointwise

        return pointwise(call)
    x = values[0]
    ordered = call.name.startswith("arg") or (call.name in {"max", "min", "median"} and len(call.shapes) == 2)
    for term in _over(call, x):
        if ordered and not isinstance(call["dim"], (list, tuple)) and call.name.startswith("arg"):
            call.freeze(term, f"{call.name} answers with positions in it")
        call.inexact(term, f"{call.name} over it")
    kept = _kept(call, x)
    return Value(kept) if len(call.shapes) == 1 else [Value(kept) for _ in call.shapes]


@rule("softmax", "log_softmax", "_softmax", "_log_softmax", "_safe_softmax", "softmin", "normalize")
def normalised(call: Call) -> Value:
    """Over one dimension, whose entries then add up to one."""
    x = call.values()[0]
    dim = call["dim"]
    call.inexact(x.dims[dim], f"{call.name} over it")
    return Value(x.dims)


@rule("cumsum", "cumprod", "cummax", "cummin", "logcumsumexp", "sort", "argsort", "topk", "flip", "roll", "kthvalue")
@rule("diff", "msort", "rot90", "renorm")
def ordered(call: Call) -> Value | list[Value]:
    """The order of the entries along a dimension counts."""
    x = call.values()[0]
    named = call["dims"] if call["dims"] is not None else call["dim"]
    dims = range(len(x.dims)) if named is None else (named if isinstance(named, (list, tuple)) else [named])
    touched = {dim % len(x.dims) for dim in dims}
    for dim in touched:
        call.freeze(x.dims[dim], f"{call.name} along it")
    outputs = []
    for shape in call.shapes:
        same = len(shape) == len(x.dims)
        terms: list[Term] = [
            x.dims[dim] if same and dim not in touched else call.position(size) for dim, size in enumerate(shape)
        ]
        outputs.append(Value(tuple(terms)))
    return outputs[0] if len(outputs) == 1 else outputs


def _reduced(call: Call, x: Value) -> set[int]:
    named = call["dim"]
    if named is None or named == []:
        return set(range(len(x.dims)))
    return {dim % max(len(x.dims), 1) for dim in (named if isinstance(named, (list, tuple)) else [named])}


def _over(call: Call, x: Value) -> list[Term]:
    reduced = _reduced(call, x)
    return [term for dim, term in enumerate(x.dims) if dim in reduced]


def _kept(call: Call, x: Value) -> tuple[Term, ...]:
    reduced = _reduced(call, x)
    keeps = bool(call["keepdim"])
    return tuple(
        leaf(1, frozen="reduced to one entry") if dim in reduced else term
        for dim, term in enumerate(x.dims)
        if keeps or dim not in reduced
    )
