"""Matrix products and everything that is one: linear, addmm, bmm, einsum, bilinear."""

from __future__ import annotations

from collections.abc import Sequence

from netsculpt.graph import makings
from netsculpt.graph.call import Call, summed
from netsculpt.graph.facts import Contraction, Role, Value
from netsculpt.graph.makings import Making
from netsculpt.graph.registry import rule
from netsculpt.graph.rules.elementwise import broadcast


@rule("linear")
def linear(call: Call) -> Value:
    """x [.., in], weight [out, in] or [in], bias [out]."""
    x, weight, bias = call["input"], call["weight"], call["bias"]
    i, k = len(x.dims) - 1, len(weight.dims) - 1
    over = contract(call, x, weight, [(i, k)])
    dims = (*x.dims[:-1], *weight.dims[:-1])
    call.macs((*dims, x.dims[-1]))
    return add_bias(call, Value.of(dims, (x, weight), product_of(x, weight, [i], [k]), over), bias)


@rule("addmm")
def addmm(call: Call) -> Value:
    """bias + a [n, k] @ b [k, m]."""
    return add_bias(call, _times_alpha(call, call["mat1"], call["mat2"]), call["self"])


@rule("baddbmm")
def baddbmm(call: Call) -> Value:
    """bias + a [b, n, k] @ b [b, k, m]."""
    return add_bias(call, _times_alpha(call, call["batch1"], call["batch2"]), call["self"])


@rule("addmv")
def addmv(call: Call) -> Value:
    """bias + matrix [n, k] @ vector [k]."""
    return add_bias(call, _times_alpha(call, call["mat"], call["vec"]), call["self"])


@rule("mm", "bmm", "matmul", "mv", "dot", "vdot")
def matmul(call: Call) -> Value:
    """a [.., n, k] @ b [.., k, m]; vectors as torch.matmul has them."""
    a, b = call.values()
    return matrix_product(call, a, b)


@rule("addbmm")
def addbmm(call: Call) -> Value:
    """bias + the sum over b of a [b, n, k] @ b [b, k, m]."""
    a, b = call["batch1"], call["batch2"]
    call.equate(a.dims[0], b.dims[0])
    found = along_dims(call, a, b, [0, 2], [0, 1])
    return add_bias(call, found, call["self"])


@rule("outer", "ger")
def outer(call: Call) -> Value:
    """a [n], b [m] -> [n, m]."""
    a, b = call.values()
    return along_dims(call, a, b, [], [])


@rule("addr")
def addr(call: Call) -> Value:
    """bias + a [n] times b [m]."""
    return add_bias(call, along_dims(call, call["vec1"], call["vec2"], [], []), call["self"])


@rule("inner")
def inner(call: Call) -> Value:
    """a [.., k], b [.., k] -> [.., ..]."""
    a, b = call.values()
    return along_dims(call, a, b, [len(a.dims) - 1], [len(b.dims) - 1])


@rule("tensordot")
def tensordot(call: Call) -> Value:
    """The dimensions ``dims_self`` of a are summed against ``dims_other`` of b."""
    a, b = call.values()
    ours = [dim % len(a.dims) for dim in call["dims_self"]]
    return along_dims(call, a, b, ours, [dim % len(b.dims) for dim in call["dims_other"]])


@rule("bilinear")
def bilinear(call: Call) -> Value:
    """a [.., in1], b [.., in2], weight [out, in1, in2], bias [out] -> [.., out]."""
    a, b, weight = call["input1"], call["input2"], call["weight"]
    call.equate(a.dims[:-1], b.dims[:-1])
    for x, dim in ((a, 1), (b, 2)):
        call.equate(x.dims[-1], weight.dims[dim])
    pair = Value((), made=makings.times(a.made, b.made))
    for dim in (1, 2):
        call.consumes(weight, dim, pair)
    call.role(weight, 0, Role.PRODUCER)
    dims = (*a.dims[:-1], weight.dims[0])
    call.macs((*a.dims, b.dims[-1], weight.dims[0]))
    last = len(a.dims) - 1
    inputs = makings.times(summed(a, last), summed(b, last))
    return add_bias(call, Value(dims, made=makings.times(inputs, summed(weight, 1, 2))), call["bias"])


def matrix_product(call: Call, a: Value, b: Value) -> Value:
    """torch.matmul's shapes, vectors and broadcast batches included."""
    row, column = len(a.dims) - 1, max(len(b.dims) - 2, 0)
    batch_a, batch_b = a.dims[:-2], b.dims[:-2]
    ndim = max(len(batch_a), len(batch_b))
    shape = [
        max(batch[-back].size for batch in (batch_a, batch_b) if len(batch) >= back) for back in range(ndim, 0, -1)
    ]
    batch = broadcast(call, shape, [Value(batch_a), Value(batch_b)])
    shared = range(1, min(len(batch_a), len(batch_b)) + 1)
    along = [
        (len(batch_a) - back, len(batch_b) - back)
        for back in shared
        if batch_a[-back].size == batch_b[-back].size  # else one of them makes the dimension
    ]
    over = contract(call, a, b, [(row, column)], along)
    dims = (*batch, *a.dims[-2:-1], *(b.dims[-1:] if len(b.dims) > 1 else ()))
    call.macs((*dims, a.dims[row]))
    return Value.of(dims, (a, b), product_of(a, b, [row], [column]), over)


def _times_alpha(call: Call, a: Value, b: Value) -> Value:
    """The product times ``alpha``, which some attention divides by the root of its width with."""
    result, alpha = matrix_product(call, a, b), call["alpha"]
    if result.summed is not None and isinstance(alpha, float) and alpha > 0:
        result.summed.roots.extend(call.divided([result.summed.term], 1 / alpha))
    return result


def along_dims(call: Call, a: Value, b: Value, ours: Sequence[int], theirs: Sequence[int]) -> Value:
    """A sum over pairs of dimensions; the others of a, then those of b."""
    over = contract(call, a, b, list(zip(ours, theirs, strict=True)))
    rest = [term for dim, term in enumerate(a.dims) if dim not in ours]
    dims = (*rest, *(term for dim, term in enumerate(b.dims) if dim not in theirs))
    call.macs((*dims, *(a.dims[dim] for dim in ours)))
    return Value.of(dims, (a, b), product_of(a, b, ours, theirs), over)


def contract(
    call: Call, a: Value, b: Value, pairs: Sequence[tuple[int, int]], along: Sequence[tuple[int, int]] = ()
) -> Contraction | None:
    """Equate the dimension pairs of a contraction and give each operand's dimensions their roles.

    Args:
        call: the operation.
        a: left operand.
        b: right operand.
        pairs: dimensions (of a, of b) that are summed over.
        along: dimensions that both have and the result keeps.

    Returns:
        The contraction over the only summed dimension; None where there are none or several.
    """
    for i, j in (*pairs, *along):
        if a.dims[i].size == b.dims[j].size:
            call.equate(a.dims[i], b.dims[j])
    found = []
    for i, j in pairs:
        if a.constant and b.constant:  # a product of weights, as in low-rank adapters: the left one consumes
            found.append(call.consumes(a, i, b, j))
            call.role(b, j, Role.PRODUCER)
        elif a.constant or b.constant:
            found.append(call.consumes(a, i, b, j) if a.constant else call.consumes(b, j, a, i))
        else:
            found.append(call.contracted(a.dims[i], (a, i), (b, j)))
    if a.constant is not b.constant:
        weight, side = (a, 0) if a.constant else (b, 1)
        used = {pair[side] for pair in (*pairs, *along)}
        for dim in (dim for dim in range(len(weight.dims)) if dim not in used):
            call.role(weight, dim, Role.PRODUCER)
    return found[0] if len(found) == 1 else None


def product_of(a: Value, b: Value, ours: Sequence[int], theirs: Sequence[int]) -> Making:
    """What a contraction over dimensions of a and b is made of; a weight counts as the later factor."""
    first, second = summed(a, *ours), summed(b, *theirs)
    return makings.times(second, first) if a.constant and not b.constant else makings.times(first, second)


def add_bias(call: Call, result: Value, bias: Value | None) -> Value:
    """``result`` plus a bias that broadcasts against it."""
    if bias is None:
        return result
    shape = [term.size for term in result.dims]
    dims = broadcast(call, shape, [result, bias])
    return Value.of(dims, (result, bias), makings.plus(result.made, bias.made))


def add_bias_at(call: Call, result: Value, bias: Value | None, dim: int) -> Value:
    """``result`` plus a bias [channels] along dimension ``dim``."""
    if bias is None:
        return result
    call.equate(result.dims[dim], bias.dims[0])
    return Value(result.dims, made=makings.plus(result.made, bias.made))
