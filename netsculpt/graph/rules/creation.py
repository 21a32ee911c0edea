"""New tensors: the same everywhere, or a sequence."""

from __future__ import annotations

from netsculpt.graph import makings
from netsculpt.graph.call import Call
from netsculpt.graph.facts import Value
from netsculpt.graph.makings import CONSTANT, ZERO, Making
from netsculpt.graph.registry import rule
from netsculpt.graph.rules.elementwise import broadcast
from netsculpt.graph.terms import leaf


@rule("ones", "full", "new_ones", "new_full", "scalar_tensor")
def uniform(call: Call) -> Value:
    """The same entry everywhere: any dimension may turn out to be an axis, whose size the code asked for."""
    return _asked(call, CONSTANT)


@rule("zeros", "new_zeros", "empty", "new_empty", "empty_strided", "empty_permuted", "new_empty_strided")
def zeros(call: Call) -> Value:
    """As ``uniform``; zeros add nothing to a sum."""
    return _asked(call, ZERO)


@rule("zeros_like", "ones_like", "full_like", "empty_like", "rand_like", "randn_like", "randint_like")
@rule("uniform", "random", "exponential", "log_normal", "cauchy", "geometric")
def alike(call: Call) -> Value:
    """The dimensions of the operand, whose entries do not count."""
    dims = call["self"].dims
    return Value(dims, constant=True, made=ZERO if call.name == "zeros_like" else CONSTANT)


@rule("bernoulli", "poisson", "normal")
def drawn(call: Call) -> Value:
    """Drawn from a distribution for every entry of the operands, if there are any."""
    values = call.values()
    dims = broadcast(call, call.shape, values) if values else tuple(map(call.position, call.shape))
    return Value(dims, made=makings.opaque(*(value.made for value in values)))


@rule("arange", "linspace", "eye", "rand", "randn", "randint", "randperm", "tril_indices", "triu_indices")
@rule("logspace", "hann_window")
def sequence(call: Call) -> Value:
    """Entries that differ by position."""
    return Value(tuple(map(call.position, call.shape)), constant=True, made=CONSTANT)


@rule("one_hot")
def one_hot(call: Call) -> Value:
    """A new dimension, of classes, for every entry."""
    x = call["self"]
    return Value((*x.dims, call.position(call.shape[-1])), made=makings.opaque(x.made))


@rule("nonzero", "multinomial", "affine_grid_generator")
def positions(call: Call) -> Value:
    """Positions in the operand, or made of entries of a written number."""
    (x,) = call.values()
    call.freeze(x.dims, f"{call.name} of it")
    return Value(tuple(map(call.position, call.shape)), made=makings.opaque(x.made))


def _asked(call: Call, made: Making) -> Value:
    dims = tuple(map(leaf, call.shape))
    for term in dims:
        call.asks_size(term)
    return Value(dims, constant=True, made=made)
