"""cat, stack, split, chunk, unbind, pad: dimensions put together and cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from netsculpt.graph import makings
from netsculpt.graph.call import Call
from netsculpt.graph.facts import Value
from netsculpt.graph.registry import rule
from netsculpt.graph.terms import Term, concat, is_frozen, leaf


@rule("cat", "concat", "concatenate")
def cat(call: Call) -> Value:
    """One dimension is the operands' one after the other; the others are the same."""
    return _concatenated(call, call["tensors"], call["dim"] or 0)


@rule("stack")
def stack(call: Call) -> Value:
    """The operands along a new dimension, in which each has its place."""
    parts = call["tensors"]
    at = (call["dim"] or 0) % (len(parts[0].dims) + 1)
    for part in parts[1:]:
        call.equate(parts[0].dims, part.dims)
    dims = (*parts[0].dims[:at], leaf(len(parts), frozen="stacked operands"), *parts[0].dims[at:])
    return Value.of(dims, parts, makings.plus(*(part.made for part in parts)))


@rule("hstack", "vstack", "dstack", "column_stack")
def stack_along(call: Call) -> Value:
    """cat along the second, first or third dimension, with dimensions of size 1 put in where there are too few."""
    parts = call["tensors"]
    least, at = {"hstack": (1, 1), "vstack": (2, 0), "dstack": (3, 2), "column_stack": (2, 1)}[call.name]
    if call.name == "column_stack":
        parts = [_reshaped(x, (*x.dims, _one())) if len(x.dims) == 1 else x for x in parts]
    parts = [_at_least(x, least) for x in parts]
    return _concatenated(call, parts, 0 if len(parts[0].dims) == 1 else at)


@rule("atleast_1d", "atleast_2d", "atleast_3d")
def at_least(call: Call) -> Value | list[Value]:
    """With dimensions of size 1 put in."""
    found = [_at_least(x, int(call.name[-2])) for x in call.values()]
    return found[0] if not isinstance(call.node.meta["val"], (list, tuple)) else found


@rule("split", "chunk", "split_with_sizes", "tensor_split", "unsafe_split", "unsafe_chunk", "unsafe_split_with_sizes")
def split(call: Call) -> list[Value]:
    """One dimension in pieces. Pieces of equal size are tied: chunk makes them equal again whatever the size."""
    x = call.values()[0]
    at = (call["dim"] or 0) % len(x.dims)
    sizes = [shape[at] for shape in call.shapes]
    if len(set(sizes)) == 1 and sizes[0]:
        return [_equal_piece(call, x, at, number, len(sizes)) for number in range(len(sizes))]
    return [_with(x, at, piece) for piece in pieces(call, x.dims[at], sizes)]


@rule("unbind")
def unbind(call: Call) -> list[Value]:
    """Every entry of one dimension on its own."""
    x = call["self"]
    at = (call["dim"] or 0) % len(x.dims)
    call.freeze(x.dims[at], "its entries are taken apart one by one")
    return [_entry(x, at, number) for number in range(len(call.shapes))]


@rule("slice", "narrow")
def sliced(call: Call) -> Value:
    """A range of one dimension: one of two halves, every n-th entry, or a piece whose ends the code has somewhere."""
    x = call["self"]
    at = (call["dim"] or 0) % len(x.dims)
    term, size = x.dims[at], call.shape[at]
    if size == term.size:
        return x
    if is_frozen(term):
        return _with(x, at, call.position(size))
    step = call["step"] or 1
    start = (call["start"] or 0) % term.size
    if step > 1 and term.size % step == 0 and start < step:
        outer, inner = call.factor(term, step)
        call.freeze(inner, "taken apart by a strided slice")
        return _with(x, at, outer)
    if step == 1 and 2 * size == term.size and start in (0, size):
        return _equal_piece(call, x, at, start // size, 2)
    if step > 1:
        call.freeze(term, "sliced with steps that do not divide it")
        return _with(x, at, call.position(size))
    sizes = [start, size, term.size - start - size]
    found = pieces(call, term, [part for part in sizes if part])
    return _with(x, at, found[1 if start else 0])


@rule("select")
def select(call: Call) -> Value:
    """One entry of one dimension."""
    x = call["self"]
    at = call["dim"] % len(x.dims)
    call.freeze(x.dims[at], "selected by its position")
    return _entry(x, at, call["index"] % x.dims[at].size)


@rule("pad", "constant_pad_nd", "reflection_pad1d", "reflection_pad2d", "reflection_pad3d")
@rule("replication_pad1d", "replication_pad2d", "replication_pad3d")
def pad(call: Call) -> Value:
    """More entries before and after, from the last dimension on."""
    x, amounts = call.values()[0], call["pad"] if call["pad"] is not None else call["padding"]
    dims = list(x.dims)
    for back in range(1, len(amounts) // 2 + 1):
        before, after = amounts[2 * back - 2 : 2 * back]
        if (before, after) != (0, 0):
            dims[-back] = _padded(call, dims[-back], call.shape[-back], before, after)
    mirrored = call["mode"] not in (None, "constant") or call.name not in {"pad", "constant_pad_nd"}
    made = x.made if mirrored or not call["value"] else makings.plus(x.made, makings.CONSTANT)
    return Value(tuple(dims), x.constant, x.tensors, made=made)


def _concatenated(call: Call, tensors: Sequence[Value], dim: int) -> Value:
    parts = [value for value in tensors if value.dims and all(term.size for term in value.dims)]
    if not parts:
        return Value(tuple(map(call.position, call.shape)))
    at = dim % len(parts[0].dims)
    for part in parts[1:]:
        for k, (a, b) in enumerate(zip(parts[0].dims, part.dims, strict=True)):
            if k != at:
                call.equate(a, b)
    chain = concat(part.dims[at] for part in parts)
    dims = (*parts[0].dims[:at], chain, *parts[0].dims[at + 1 :])
    made = makings.plus(*(makings.piece(part.made, part.dims[at], chain) for part in parts))
    return Value.of(dims, parts, made)


def _at_least(x: Value, ndim: int) -> Value:
    """With dimensions of size 1 as torch.atleast_1d, 2d and 3d put them in."""
    if len(x.dims) >= ndim:
        return x
    if ndim == 3 and len(x.dims) == 2:
        return _reshaped(x, (*x.dims, _one()))
    if ndim == 3 and len(x.dims) == 1:
        return _reshaped(x, (_one(), *x.dims, _one()))
    return _reshaped(x, (*(_one() for _ in range(ndim - len(x.dims))), *x.dims))


def _one() -> Term:
    return leaf(1, frozen="a dimension of size 1")


def _reshaped(x: Value, dims: tuple[Term, ...]) -> Value:
    return replace(x, dims=dims, origin=None)


def pieces(call: Call, term: Term, sizes: Sequence[int]) -> list[Term]:
    """``term`` cut into pieces of unlike ``sizes``, which the code must have from somewhere."""
    if is_frozen(term):
        return [call.position(size) for size in sizes]
    found = []
    for size in sizes[:-1]:
        piece, term = call.cut(term, size)
        found.append(piece)
    for piece in (*found, term):
        call.asks_size(piece, literal=True)
    return [*found, term]


def _equal_piece(call: Call, x: Value, at: int, number: int, count: int) -> Value:
    """One of ``count`` equal pieces. They are tied: cut again after a change, they will be equal again."""
    which, piece = call.factor(x.dims[at], x.dims[at].size // count)
    call.freeze(which, "cut into equal pieces")
    call.asks_size(piece)
    return replace(_with(x, at, piece), made=makings.at(x.made, which, number))


def _entry(x: Value, at: int, index: int) -> Value:
    """The entry ``index`` of dimension ``at``."""
    origin = None if x.origin is None else (*x.origin[:at], *x.origin[at + 1 :])
    return replace(x, dims=(*x.dims[:at], *x.dims[at + 1 :]), origin=origin, made=makings.at(x.made, x.dims[at], index))


def _padded(call: Call, term: Term, size: int, before: int, after: int) -> Term:
    zeros = call.name in {"pad", "constant_pad_nd"} and call["mode"] in (None, "constant")
    if is_frozen(term) or min(before, after) < 0 or not zeros:
        call.freeze(term, "padded or cropped")
        return call.position(size)
    margins = [leaf(margin, frozen="padding") for margin in (before, after)]
    return concat(part for part in (margins[0], term, margins[1]) if part.size)


def _with(x: Value, at: int, term: Term) -> Value:
    return replace(x, dims=(*x.dims[:at], term, *x.dims[at + 1 :]))
