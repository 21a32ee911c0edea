"""Look-ups: what is indexed has an order that matters, everything else stays."""

from __future__ import annotations

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
    return Value((*indices.dims, weight.dims[1]), scalers=weight.scalers)


@rule("embedding_bag", "_embedding_bag", "_embedding_bag_forward_only")
def embedding_bag(call: Call) -> list[Value]:
    """Embeddings reduced over bags."""
    weight = call["weight"]
    call.freeze(weight.dims[0], "entries are looked up by index")
    call.role(weight, 1, Role.PRODUCER)
    first = Value((call.position(call.shape[0]), weight.dims[1]), scalers=weight.scalers)
    return [first, *(Value(tuple(map(call.position, shape))) for shape in call.shapes[1:])]


@rule("index")
def index(call: Call) -> Value:
    """x[i, :, j]: indexed dimensions give way to those of the indices, which broadcast together."""
    x = call["self"]
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
    return Value((*rest[:at], *middle, *rest[at:]), constant=x.constant, tensors=x.tensors, scalers=x.scalers)


@rule("index_select", "gather", "take_along_dim")
def along_one(call: Call) -> Value:
    """Entries of one dimension by index."""
    x = call["self"]
    at = call["dim"] % len(x.dims)
    call.freeze(x.dims[at], f"{call.name} along it")
    dims = tuple(call.position(size) if dim == at else x.dims[dim] for dim, size in enumerate(call.shape))
    return Value(dims, constant=x.constant, tensors=x.tensors, scalers=x.scalers)


@rule("index_put", "scatter", "scatter_add", "index_add", "index_copy", "masked_scatter", "slice_scatter")
@rule("select_scatter", "index_fill", "scatter_reduce")
def written(call: Call) -> Value:
    """Entries written by position: nothing that takes part may change."""
    values = call.values()
    call.freeze((term for value in values for term in value.dims), f"{call.name} writes into it by position")
    return Value(values[0].dims)


@rule("tril", "triu", "diagonal", "diag_embed", "diag")
def triangular(call: Call) -> Value:
    """Order matters in the last two dimensions."""
    x = call["self"]
    call.freeze(x.dims[-2:], f"{call.name} of it")
    same: tuple[Term, ...] = x.dims if call.shape == tuple(t.size for t in x.dims) else ()
    return Value(same or tuple(map(call.position, call.shape)), constant=x.constant, tensors=x.tensors)
