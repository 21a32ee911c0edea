"""The same entries in another arrangement: views, permutations, repetitions, pieces, and these put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from tests.graph.operations import A, Body, Case, units


def views(x: Tensor) -> Tensor:
    n = units(x)
    y = A.view(x, [-1, n]).contiguous()
    y = A.reshape(A._unsafe_view(y, [2, 5, n]), [-1, 5, n])
    y = A.flatten(A.unflatten(y, 1, [5, 1]), 1, 2)
    return A.reshape_as(A.view_as(A.reshape(A.ravel(y), [-1, n]).unsqueeze(1), y.reshape(-1, 1, n)), x)


def permutations(x: Tensor) -> Tensor:
    y = A.movedim(A.moveaxis(A.permute(x, [1, 2, 0]), [0], [2]), [0, 1], [2, 0])
    y = A.swapdims(A.swapaxes(A.transpose(y, 0, 1), 0, 1), 1, 2)
    y = A.mT(A.adjoint(A.mT(y))).flatten(0, 1)
    return A.numpy_T(A.t(y)).unflatten(0, (-1, 5))


def sizes_of_one(x: Tensor) -> Tensor:
    y = A.squeeze(A.unsqueeze(x, 1), 1)
    y = A.squeeze(A.unsqueeze(y, -1), [-1]).unsqueeze(2)
    return A.squeeze(y).reshape(-1, 5, units(x))


def expansions(x: Tensor) -> Tensor:
    y = x.mean(1, keepdim=True)
    return A.expand(y, [-1, 5, -1]) + A.expand_as(y, x) + A.broadcast_to(y, [x.shape[0], 5, units(x)])


def at_least(x: Tensor) -> Tensor:
    y = A.atleast_3d(A.atleast_2d(A.atleast_1d(x.sum((0, 1)))))  # [1, units, 1]
    return x + y.movedim(1, 2) + A.atleast_3d(x[0])[..., 0]


def several_at_least(x: Tensor) -> Tensor:
    y = x.sum((0, 1))
    ones, twos, threes = A.atleast_1d([y, x]), A.atleast_2d([y, x]), A.atleast_3d([y, x])
    return ones[0] + ones[1] + twos[0] + threes[0].squeeze(-1)


REAL = torch.view_as_real
CUT: dict[str, Callable[[Tensor, int, int], Sequence[Tensor]]] = {
    "split": lambda x, size, dim: A.split(x, size, dim),
    "unsafe split": lambda x, size, dim: A.unsafe_split(x, size, dim),
    "split with sizes": lambda x, size, dim: A.split_with_sizes(x, [size, size], dim),
    "unsafe split with sizes": lambda x, size, dim: A.unsafe_split_with_sizes(x, [size, size], dim),
    "chunk": lambda x, size, dim: A.chunk(x, 2, dim),
    "unsafe chunk": lambda x, size, dim: A.unsafe_chunk(x, 2, dim),
    "tensor split": lambda x, size, dim: A.tensor_split(x, 2, dim),
}
JOINED: dict[str, Body] = {
    "cat": lambda x: A.cat([x, -x], -1),
    "concat": lambda x: A.concat([x, -x], -1),
    "concatenate": lambda x: A.concatenate([x, -x], -1),
    "dstack": lambda x: A.dstack([x, -x]),
    "hstack": lambda x: A.hstack([x.flatten(0, 1), -x.flatten(0, 1)]),
    "column stack": lambda x: A.column_stack([x.flatten(0, 1), -x.flatten(0, 1)]),
    "vstack of columns": lambda x: A.vstack([x.flatten(0, 1).t(), -x.flatten(0, 1).t()]).t(),
    "stack": lambda x: A.stack([x, -x], 2).flatten(2),
    "hstack of vectors": lambda x: A.hstack([x[0, 0], -x[1, 1]]),
    "repeat": lambda x: A.repeat(x, [1, 1, 2]),
    "tile": lambda x: A.tile(x, [2]),
    "interleave": lambda x: A.repeat_interleave(x, 2, -1),
}
BESIDE: dict[str, Body] = {
    "cat of places": lambda x: A.cat([x, -x], 1),
    "concat of places": lambda x: A.concat([x, -x], 1),
    "concatenate of places": lambda x: A.concatenate([x, -x], 1),
    "hstack of places": lambda x: A.hstack([x, -x]),
    "vstack of examples": lambda x: A.vstack([x, -x]),
    "column stack of places": lambda x: A.column_stack([x, -x]),
    "stack of rows": lambda x: A.stack([x, -x], 1),
    "repeat of places": lambda x: A.repeat(x, [2, 3, 1]),
    "tile of places": lambda x: A.tile(x, [3, 1]),
    "interleave of places": lambda x: A.repeat_interleave(x, 2, 1),
    "unbind of places": lambda x: torch.stack(A.unbind(x, 1)[:2], 1),
    "select of a place": lambda x: A.select(x, 1, 3),
    "slice of places": lambda x: A.slice(x, 1, 1, 4) + A.narrow(x, 1, 0, 3),
}
PADDED: dict[str, tuple[Body, str]] = {
    "reflection": (lambda x: A.reflection_pad1d(x, [1, 2]), "series"),
    "replication": (lambda x: A.replication_pad1d(x, [1, 2]), "series"),
    "reflection in 2d": (lambda x: A.reflection_pad2d(x, [1, 2, 0, 1]), "images"),
    "replication in 2d": (lambda x: A.replication_pad2d(x, [1, 2, 0, 1]), "images"),
    "reflection in 3d": (lambda x: A.reflection_pad3d(x, [1, 2, 0, 1, 1, 1]), "volumes"),
    "replication in 3d": (lambda x: A.replication_pad3d(x, [1, 2, 0, 1, 1, 1]), "volumes"),
    "constant": (lambda x: A.constant_pad_nd(x, [1, 2, 0, 1], 0.5), "images"),
    "circular": (lambda x: A.pad(x, [1, 2], "circular"), "series"),
    "padding of any kind": (lambda x: A.pad(x, [1, 2], "constant", 0.5), "series"),
}

SHAPES: dict[str, Case] = {
    "views": Case(views),
    "permutations": Case(permutations),
    "sizes of one": Case(sizes_of_one),
    "expansions": Case(expansions),
    "expansion to units": Case(lambda x: A.expand(x.sum(-1, keepdim=True), [-1, -1, 8]) + 0 * x, "frozen"),
    "at least": Case(at_least),
    "several at least": Case(several_at_least),
    "complex pairs": Case(lambda x: REAL(A.view_as_complex(torch.stack([x, -x], -1)) * 1j).sum(-1)),
    "complex pairs of units": Case(lambda x: A.view_as_complex(x.unflatten(-1, (-1, 2))).abs(), "exact", into=4),
    "real and imaginary parts": Case(lambda x: A.view_as_real(torch.complex(x, x.tanh())).flatten(2), into=16),
    "bytes": Case(lambda x: A.view(A.view(x, torch.int64), torch.float64), "frozen"),
    "pixel shuffle": Case(lambda x: A.pixel_shuffle(x, 2), into=2, on="images"),
    "pixel unshuffle": Case(lambda x: A.pixel_unshuffle(x, 2), into=32, on="images"),
    "channel shuffle": Case(torch.nn.ChannelShuffle(2), on="images"),
    "channel shuffle by a written number": Case(lambda x: A.channel_shuffle(x, 2), on="images"),
    "native channel shuffle": Case(lambda x: A.native_channel_shuffle(x, 2), on="images"),
    "unbind of units": Case(lambda x: sum(A.unbind(x, -1))[..., None], "frozen", into=1),
    "select of a unit": Case(lambda x: x + A.select(x, -1, 3)[..., None], "frozen"),
    "slices of units": Case(lambda x: A.slice(x, -1, 0, 4) * A.slice(x, -1, 4, 8), "frozen", into=4),
    "halves of units": Case(lambda x: x[..., : units(x) // 2] * x[..., units(x) // 2 :], into=4),
    "every other unit": Case(lambda x: A.slice(x, -1, 0, None, 2) * A.slice(x, -1, 1, None, 2), into=4),
    "narrow of units": Case(lambda x: A.narrow(x, -1, 1, 5), "frozen", into=5),
    "padded units": Case(lambda x: A.constant_pad_nd(x, [1, 2]), into=11),
    "padded units by a number": Case(lambda x: A.pad(x, [1, 2], "constant", 0.5), into=11),
    "circle of units": Case(lambda x: A.pad(x, [1, 2], "circular"), "frozen", into=11),
    "reflected units": Case(lambda x: A.reflection_pad1d(x, [1, 2]), "frozen", into=11),
    "replicated units": Case(lambda x: A.replication_pad1d(x, [1, 2]), "frozen", into=11),
    "cropped units": Case(lambda x: A.constant_pad_nd(x, [-1, -2]), "frozen", into=5),
    "uneven pieces": Case(lambda x: torch.cat(A.split_with_sizes(x, [3, 5], -1)[::-1], -1), "frozen"),
    "uneven chunks": Case(lambda x: torch.cat(A.chunk(x, 3, -1)[::-1], -1), "frozen"),
}
SHAPES |= {name: Case(body, into=16) for name, body in JOINED.items()}
SHAPES |= {name: Case(body) for name, body in BESIDE.items()}
SHAPES |= {f"padded by {name}": Case(body, on=on) for name, (body, on) in PADDED.items()}
for _name, _cut in CUT.items():
    SHAPES[f"{_name} of units"] = Case(lambda x, cut=_cut: torch.mul(*cut(x, units(x) // 2, -1)), into=4)
    SHAPES[f"{_name} of places"] = Case(lambda x, cut=_cut: torch.mul(*cut(x[:, :4], 2, 1)))
