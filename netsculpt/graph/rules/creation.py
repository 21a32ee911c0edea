"""New tensors: the same everywhere, or a sequence."""

from __future__ import annotations

from netsculpt.graph.call import Call
from netsculpt.graph.facts import Value
from netsculpt.graph.registry import rule
from netsculpt.graph.terms import leaf


@rule(
    "zeros", "ones", "full", "empty", "new_zeros", "new_ones", "new_full", "new_empty", "scalar_tensor", "empty_strided"
)
def uniform(call: Call) -> Value:
    """The same entry everywhere: any dimension may turn out to be an axis, whose size the code asked for."""
    dims = tuple(map(leaf, call.shape))
    for term in dims:
        call.asks_size(term)
    return Value(dims, constant=True)


@rule("zeros_like", "ones_like", "full_like", "empty_like", "rand_like", "randn_like", "bernoulli", "randint_like")
def alike(call: Call) -> Value:
    """The dimensions of the operand."""
    return Value(call.values()[0].dims, constant=True)


@rule("arange", "linspace", "eye", "rand", "randn", "randint", "randperm", "tril_indices", "triu_indices", "normal")
@rule("one_hot", "_tensor_constant", "logspace", "hann_window", "nonzero")
def sequence(call: Call) -> Value:
    """Entries that differ by position."""
    return Value(tuple(map(call.position, call.shape)), constant=True)
