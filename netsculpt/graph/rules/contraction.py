"""Matrix products and everything that is one: linear, addmm, bmm, einsum, bilinear."""

from __future__ import annotations

from collections.abc import Sequence

from netsculpt.graph.call import Call, joined
from netsculpt.graph.facts import Role, Scaler, Value
from netsculpt.graph.registry import rule
from netsculpt.graph.rules.elementwise import broadcast
from netsculpt.graph.terms import Term


@rule("linear")
def linear(call: Call) -> Value:
    """x [.., in], weight [out, in], bias [out]."""
    x, weight, bias = call["input"], call["weight"], call["bias"]
    k = len(weight.dims) - 1
    summed = contract(call, x, weight, [(len(x.dims) - 1, k)])
    dims = (*x.dims[:-1], *weight.dims[:-1])
    call.macs((*dims, summed))
    return add_bias(call, Value.of(dims, (x, weight), made_by(x, weight)), bias)


@rule("addmm")
def addmm(call: Call) -> Value:
    """bias + a [n, k] @ b [k, m]."""
    return add_bias(call, matrix_product(call, call["mat1"], call["mat2"]), call["self"])


@rule("baddbmm")
def baddbmm(call: Call) -> Value:
    """bias + a [b, n, k] @ b [b, k, m]."""
    return add_bias(call, matrix_product(call, call["batch1"], call["batch2"]), call["self"])


@rule("addmv")
def addmv(call: Call) -> Value:
    """bias + matrix [n, k] @ vector [k]."""
    return add_bias(call, matrix_product(call, call["mat"], call["vec"]), call["self"])


@rule("mm", "bmm", "matmul", "mv", "dot", "vdot")
def matmul(call: Call) -> Value:
    """a [.., n, k] @ b [.., k, m]; vectors as torch.matmul has them."""
    a, b = call.values()
    return matrix_product(call, a, b)


@rule("outer", "ger")
def outer(call: Call) -> Value:
    """a [n], b [m] -> [n, m]."""
    a, b = call.values()
    return Value.of((*a.dims, *b.dims), (a, b), made_by(a, b))


@rule("einsum")
def einsum(call: Call) -> Value:
    """Any contraction of two operands by letters; more operands, repeated letters or an ellipsis are not divided."""
    operands = [value for value in call["tensors"] if isinstance(value, Value)]
    inputs, _, output = call["equation"].replace(" ", "").partition("->")
    labels = inputs.split(",")
    plain = len(operands) == 2 and "..." not in inputs and all(len(set(word)) == len(word) for word in labels)
    if not plain:
        call.freeze((term for value in operands for term in value.dims), "an einsum of this form is not analysed")
        return Value(tuple(map(call.position, call.shape)))
    a, b = operands
    output = output or "".join(sorted(letter for letter in {*labels[0], *labels[1]} if inputs.count(letter) == 1))
    shared = [letter for letter in labels[0] if letter in labels[1]]
    pairs = [(labels[0].index(letter), labels[1].index(letter)) for letter in shared]
    summed = [pair for letter, pair in zip(shared, pairs, strict=True) if letter not in output]
    along = [pair for letter, pair in zip(shared, pairs, strict=True) if letter in output]
    contract(call, a, b, summed, along)
    for value, word in zip(operands, labels, strict=True):
        for letter, term in zip(word, value.dims, strict=True):
            if letter not in output and letter not in shared:
                call.contracted(term, value)
    terms = dict(zip(labels[1], b.dims, strict=True)) | dict(zip(labels[0], a.dims, strict=True))
    call.macs(terms.values())
    over = sum_of(a, b, a.dims[summed[0][0]]) if summed else None
    return Value.of((terms[letter] for letter in output), (a, b), made_by(a, b), over)


def matrix_product(call: Call, a: Value, b: Value) -> Value:
    """torch.matmul's shapes, vectors and broadcast batches included."""
    row, column = len(a.dims) - 1, max(len(b.dims) - 2, 0)
    batch_a, batch_b = a.dims[:-2], b.dims[:-2]
    ndim = max(len(batch_a), len(batch_b))
    shape = [
        max(batch[-back].size for batch in (batch_a, batch_b) if len(batch) >= back) for back in range(ndim, 0, -1)
    ]
    batch = broadcast(call, shape, [Value(batch_a), Value(batch_b)])
    along = [(len(batch_a) - back, len(batch_b) - back) for back in range(1, min(len(batch_a), len(batch_b)) + 1)]
    summed = contract(call, a, b, [(row, column)], along)
    dims = (*batch, *a.dims[-2:-1], *(b.dims[-1:] if len(b.dims) > 1 else ()))
    call.macs((*dims, summed))
    return Value.of(dims, (a, b), made_by(a, b), sum_of(a, b, summed))


def contract(
    call: Call, a: Value, b: Value, summed: Sequence[tuple[int, int]], along: Sequence[tuple[int, int]] = ()
) -> Term:
    """Equate the dimension pairs of a contraction and give each operand's dimensions their roles.

    Args:
        call: the operation.
        a: left operand.
        b: right operand.
        summed: dimensions (of a, of b) that are summed over.
        along: dimensions that both have and the result keeps.

    Returns:
        The last summed term.
    """
    for i, j in (*summed, *along):
        if a.dims[i].size == b.dims[j].size:
            call.equate(a.dims[i], b.dims[j])
    for i, j in summed:
        if a.constant and b.constant:  # a product of weights, as in low-rank adapters: the left one consumes
            call.consumes(a, i)
            call.role(b, j, Role.PRODUCER)
        elif a.constant or b.constant:
            call.consumes(*((a, i) if a.constant else (b, j)))
        else:
            call.contracted(a.dims[i], a, b)
    if a.constant is not b.constant:
        weight, side = (a, 0) if a.constant else (b, 1)
        used = {pair[side] for pair in (*summed, *along)}
        for dim in set(range(len(weight.dims))) - used:
            call.role(weight, dim, Role.PRODUCER)
    i, _ = summed[-1] if summed else (0, 0)
    return a.dims[i]


def made_by(a: Value, b: Value) -> frozenset[Scaler] | None:
    """What scales a product: the weight, or where there is none either operand."""
    if a.constant and b.constant:
        return None
    first, second = (b, a) if b.constant else (a, b)
    return first.scalers if first.scalers is not None else second.scalers


def sum_of(a: Value, b: Value, term: Term) -> tuple[Term, frozenset[Scaler] | None] | None:
    """For a product of two activations: what it sums over, and what scales an operand."""
    if a.constant or b.constant:
        return None
    return term, a.scalers if a.scalers is not None else b.scalers


def add_bias(call: Call, result: Value, bias: Value | None) -> Value:
    """``result`` plus a bias that broadcasts against it."""
    if bias is None:
        return result
    shape = [term.size for term in result.dims]
    dims = broadcast(call, shape, [result, bias])
    scalers = joined(result.scalers, bias.scalers)
    return Value(dims, result.constant and bias.constant, result.tensors, scalers=scalers)


def add_bias_at(call: Call, result: Value, bias: Value | None, dim: int) -> Value:
    """``result`` plus a bias [channels] along dimension ``dim``."""
    if bias is None:
        return result
    call.equate(result.dims[dim], bias.dims[0])
    return Value(result.dims, scalers=joined(result.scalers, bias.scalers))
