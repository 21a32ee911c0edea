"""Views, permutations, repetitions: the same entries in another arrangement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from netsculpt.graph.call import Call
from netsculpt.graph.facts import Value
from netsculpt.graph.registry import rule
from netsculpt.graph.terms import Term, leaf, product

ONE = "a dimension of size 1"


@rule("view", "reshape", "_unsafe_view", "flatten", "unflatten", "view_as", "reshape_as", "ravel")
def view(call: Call) -> Value:
    """Dimensions are merged and divided in row-major order."""
    x = call["self"]
    if x.origin is not None and tuple(term.size for term in x.dims) == call.shape:
        return x
    if 0 in call.shape:
        call.freeze(x.dims, "a view of nothing")
        return replace(x, dims=tuple(map(call.position, call.shape)), origin=None)
    dims, places, sources = arranged(call, x.dims, call.shape)
    stated = call["size"] if call["size"] is not None else call["shape"]
    for number, (term, place) in enumerate(zip(dims, places, strict=True)):
        given = isinstance(stated, (list, tuple)) and len(stated) == len(dims) and stated[number] != -1
        last = place is not None and places[number + 1 : number + 2] != [place + 1]
        call.asks_size(term, place=place, last=last, given=given or call.name == "unflatten")
    origin = None if x.origin is None else tuple(None if each is None else x.origin[each] for each in sources)
    return replace(x, dims=dims, origin=origin)


@rule("view.dtype", "view_as_real", "view_as_complex")
def reinterpreted(call: Call) -> Value:
    """Pairs of numbers as complex ones and back: the pairs are a dimension of their own."""
    x = call["self"]
    if call.name == "view_as_complex":
        call.freeze(x.dims[-1], "real and imaginary part")
        return replace(x, dims=x.dims[:-1], origin=None)
    if call.name == "view_as_real":
        return replace(x, dims=(*x.dims, call.position(2)), origin=None)
    call.freeze(x.dims, "its bytes are read as another type")
    return Value(tuple(map(call.position, call.shape)), constant=x.constant)


@rule("permute", "transpose", "t", "swapaxes", "swapdims", "movedim", "numpy_T", "mT", "adjoint", "moveaxis")
def permuted(call: Call) -> Value:
    """The dimensions in another order."""
    x = call["self"]
    return _picked(x, _order(call, len(x.dims)))


@rule("squeeze")
def squeezed(call: Call) -> Value:
    """Without dimensions of size 1."""
    x = call["self"]
    named = call["dim"]
    asked = range(len(x.dims)) if named is None else (named if isinstance(named, (list, tuple)) else [named])
    dropped = {dim % len(x.dims) for dim in asked if x.dims and x.dims[dim].size == 1}
    call.freeze((x.dims[dim] for dim in dropped), "squeezed away")
    return _picked(x, [dim for dim in range(len(x.dims)) if dim not in dropped])


@rule("unsqueeze")
def unsqueezed(call: Call) -> Value:
    """With one more dimension of size 1."""
    x = call["self"]
    at = call["dim"] % (len(x.dims) + 1)
    dims = (*x.dims[:at], leaf(1, frozen=ONE), *x.dims[at:])
    origin = None if x.origin is None else (*x.origin[:at], None, *x.origin[at:])
    return replace(x, dims=dims, origin=origin)


@rule("expand", "expand_as", "broadcast_to")
def expanded(call: Call) -> Value:
    """Dimensions of size 1 repeated, without a copy."""
    x = call.values()[0]
    new = len(call.shape) - len(x.dims)
    dims = list(map(leaf, call.shape[:new]))
    for term, size in zip(x.dims, call.shape[new:], strict=True):
        if term.size == size:
            dims.append(term)
            continue
        call.freeze(term, "expanded from one entry")
        dims.append(leaf(size))
        call.asks_size(dims[-1], place=0)
    return replace(x, dims=tuple(dims), origin=None)


@rule("repeat", "tile")
def repeated(call: Call) -> Value:
    """The whole of a dimension several times over: repetitions × dimension."""
    x = call["self"]
    new = len(call.shape) - len(x.dims)
    dims = list(map(leaf, call.shape[:new]))
    for term, size in zip(x.dims, call.shape[new:], strict=True):
        dims.append(_times(call, size // term.size, term, outside=True))
    return replace(x, dims=tuple(dims), origin=None)


@rule("repeat_interleave.self_int")
def interleaved(call: Call) -> Value:
    """Every entry several times over: dimension × repetitions."""
    x = call["self"]
    if call["dim"] is None:
        return replace(x, dims=(_times(call, call["repeats"], product(x.dims), outside=False),), origin=None)
    at = call["dim"] % len(x.dims)
    dims = (*x.dims[:at], _times(call, call["repeats"], x.dims[at], outside=False), *x.dims[at + 1 :])
    return replace(x, dims=dims, origin=None)


@rule("pixel_shuffle")
def pixel_shuffle(call: Call) -> Value:
    """[.., c·r², h, w] -> [.., c, h·r, w·r]: the r² neighbours of a channel are one unit."""
    x, ratio = call["self"], call["upscale_factor"]
    channel, neighbours = call.factor(x.dims[-3], ratio**2)
    call.freeze(neighbours, "pixels of one block")
    return Value((*x.dims[:-3], channel, *map(call.position, call.shape[-2:])), made=x.made)


@rule("pixel_unshuffle")
def pixel_unshuffle(call: Call) -> Value:
    """[.., c, h·r, w·r] -> [.., c·r², h, w]."""
    x, ratio = call["self"], call["downscale_factor"]
    channel = product((x.dims[-3], call.position(ratio**2)))
    return Value((*x.dims[:-3], channel, *map(call.position, call.shape[-2:])), made=x.made)


@rule("channel_shuffle", "native_channel_shuffle")
def channel_shuffle(call: Call) -> Value:
    """groups × members become members × groups."""
    x, groups = call["self"], call["groups"]
    group, member = call.factor(x.dims[1], x.dims[1].size // groups)
    call.asks_size(group, literal=True)
    return Value((x.dims[0], product((member, group)), *x.dims[2:]), made=x.made)


def arranged(
    call: Call, dims: Sequence[Term], shape: Sequence[int]
) -> tuple[tuple[Term, ...], list[int | None], list[int | None]]:
    """The entries of ``dims`` in row-major order as ``shape``.

    Returns:
        A term for each size; which factor of a whole it is; which dimension it was, or is a part of, if only one.
    """
    source = [dim for dim, term in enumerate(dims) if term.size != 1]
    call.freeze((term for term in dims if term.size == 1), "a dimension of size 1 in a view")
    wanted = [size for size in shape if size != 1]
    found: list[tuple[Term, int | None, int | None]] = []
    while source and wanted:
        taken, asked = [source.pop(0)], [wanted.pop(0)]
        have, want = dims[taken[0]].size, asked[0]
        while have != want:
            if have < want:
                taken.append(source.pop(0))
                have *= dims[taken[-1]].size
            else:
                asked.append(wanted.pop(0))
                want *= asked[-1]
        was = taken[0] if len(taken) == 1 else None
        found.extend((*each, was) for each in _divided(call, product(dims[dim] for dim in taken), asked))
    rest = iter(found)
    placed = [(leaf(1, frozen=ONE), None, None) if size == 1 else next(rest) for size in shape]
    terms, places, sources = zip(*placed, strict=True) if placed else ((), (), ())
    return terms, list(places), list(sources)


def _divided(call: Call, whole: Term, asked: Sequence[int]) -> list[tuple[Term, int | None]]:
    """``whole`` as factors of the sizes ``asked``."""
    if len(asked) == 1:
        return [(whole, None)]
    factors = [leaf(size) for size in asked]
    call.equate(whole, product(factors))
    return [(factor, place) for place, factor in enumerate(factors)]


def _picked(x: Value, order: Sequence[int]) -> Value:
    origin = None if x.origin is None else tuple(x.origin[dim] for dim in order)
    return replace(x, dims=tuple(x.dims[dim] for dim in order), origin=origin)


def _order(call: Call, ndim: int) -> list[int]:
    order = list(range(ndim))
    if call["dims"] is not None:
        return [dim % ndim for dim in call["dims"]]
    if call.name in {"t", "numpy_T"}:
        return order[::-1]
    if call.name in {"mT", "adjoint"}:
        return [*order[:-2], ndim - 1, ndim - 2]
    if call["source"] is not None:
        return _moved(call["source"], call["destination"], ndim)
    first, second = (call[a] if call[a] is not None else call[b] for a, b in (("dim0", "axis0"), ("dim1", "axis1")))
    order[first], order[second] = order[second], order[first]
    return order


def _moved(source: int | Sequence[int], destination: int | Sequence[int], ndim: int) -> list[int]:
    sources = [dim % ndim for dim in ([source] if isinstance(source, int) else source)]
    targets = [dim % ndim for dim in ([destination] if isinstance(destination, int) else destination)]
    order: list[int | None] = [None] * ndim
    for origin, target in zip(sources, targets, strict=True):
        order[target] = origin
    rest = iter(dim for dim in range(ndim) if dim not in sources)
    return [next(rest) if dim is None else dim for dim in order]


def _times(call: Call, count: int, term: Term, outside: bool) -> Term:
    if count == 1:
        return term
    if term.size == 1:
        call.freeze(term, "repeated from one entry")
    copies = leaf(count)
    call.asks_size(copies, place=0)
    return product((copies, term) if outside else (term, copies))
