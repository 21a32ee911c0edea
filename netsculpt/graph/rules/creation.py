"""New tensors: the same everywhere, or a sequence."""

from __future__ import annotations

from netsculpt.graph.call import Call
from netsculpt.graph.facts import Value
from netsculpt.graph.makings import CONSTANT, ZERO, Making
from netsculpt.graph.registry import rule
from netsculpt.graph.terms import leaf


@rule("ones", "full", "new_ones", "new_full", "scalar_tensor")
def uniform(call: Call) -> Value:
    """The same entry everywhere: any dimension may turn out to be an axis, whose size the code asked for."""
    return _asked(call, CONSTANT)


@rule("zeros", "new_zeros", "empty", "new_empty", "empty_strided", "empty_permuted", "new_empty_strided")
def zeros(call: Call) -> Value:
    """As ``uniform``; zeros add nothing to a sum."""
    return _asked(call, ZERO)


@rule("zeros_like", "ones_like", "full_like", "empty_like", "rand_like", "randn_like", "bernoulli", "randint_like")
@rule("normal", "uniform", "random", "exponential", "log_normal", "cauchy", "geometric", "poisson")
def alike(call: Call) -> Value:
    """The dimensions of the operand, if there is one."""
    values = call.values()
    if not values:
        return Value(tuple(map(call.position, call.shape)), constant=True, made=CONSTANT)
    return Value(values[0].dims, constant=True, made=ZERO if call.name == "zeros_like" else CONSTANT)


@rule("arange", "linspace", "eye", "rand", "randn", "randint", "randperm", "tril_indices", "triu_indices")
@rule("one_hot", "_tensor_constant", "logspace", "hann_window", "nonzero", "affine_grid_generator", "multinomial")
def sequence(call: Call) -> Value:
    """Entries that differ by position."""
    return Value(tuple(map(call.position, call.shape)), constant=True, made=CONSTANT)


def _asked(call: Call, made: Making) -> Value:
    dims = tuple(map(leaf, call.shape))
    for term in dims:
        call.asks_size(term)
    return Value(dims, constant=True, made=made)
