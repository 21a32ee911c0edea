"""What new units would be, one for every incoming weight that is 1 while the others are 0."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from netsculpt.errors import MeasureError
from netsculpt.measure.producers import PRODUCTS, Producer
from netsculpt.methods.growing.initial.bodies import pooled
from netsculpt.methods.growing.initial.places import Use, Way

CHUNK = 64 << 20  # bytes of patches at a time


def maps(use: Use, width: int, values: Mapping[str, Tensor], gradient: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """What a use would take of new units with one incoming weight each, some examples at a time.

    Args:
        use: the operation.
        width: number of incoming weights of a unit.
        values: the producers' inputs.
        gradient: at the use's result.

    Yields:
        The units [examples, width, …] as the consumer takes them, and the gradient at its results for the same
        examples.
    """
    if (
        not any(way.pools for way in use.ways)
        and {use.operation.kind, *(w.producer.kind for w in use.ways)} <= PRODUCTS
    ):
        values = {name: x.reshape(-1, x.shape[-1]) for name, x in values.items()}  # rows, wherever examples end
        gradient = gradient.reshape(-1, gradient.shape[-1])
    examples = len(gradient)
    entries = max(values[way.producer.source].numel() * math.prod(way.producer.kernel) for way in use.ways)
    most = max(1, CHUNK * examples // max(1, entries * gradient.element_size()))
    for start in range(0, examples, most):
        part = slice(start, start + most)
        found: Tensor | None = None
        for way in use.ways:
            own = _map(way, values[way.producer.source][part], gradient.dtype)
            if found is None:
                found = own.new_zeros(len(own), width, *own.shape[2:])
            if own.shape[2:] != found.shape[2:] or len(own) != len(found):
                raise MeasureError(f"{use.operation.node} takes new units that are made at different positions")
            found[:, way.rows] += way.factor * own
        assert found is not None
        yield _as_taken(found, use, gradient[part]), gradient[part]


def _map(way: Way, x: Tensor, dtype: torch.dtype) -> Tensor:
    """The patches as units, pooled: [examples, d, …]."""
    producer, x = way.producer, x.to(dtype)
    if producer.kind in PRODUCTS:
        biased = F.pad(x, (0, 1), value=1.0) if producer.bias is not None else x
        for node in way.pools:
            biased = pooled(node, biased, -1)
        return biased.movedim(-1, 1)
    patches = producer.patches(x, producer.bias is not None)
    found = patches.unflatten(0, (len(x), *_positions(producer, x))).movedim(-1, 1)
    for node in way.pools:
        found = pooled(node, found, 1)
    return found


def _positions(producer: Producer, x: Tensor) -> torch.Size:
    weight = x.new_zeros(1, 1, *producer.kernel)
    return producer.respond(x[:1, :1], weight, None).shape[2:]


def _as_taken(units: Tensor, use: Use, gradient: Tensor) -> Tensor:
    """Units as the consumer takes them: with channels where it has them, or in rows."""
    operation, entries = use.operation, use.read.columns.shape[1] // math.prod(use.operation.kernel)
    if operation.kind not in PRODUCTS:
        if entries != 1 or units.dim() != gradient.dim():
            raise MeasureError(f"{operation.node} takes new units in an unknown way")
        return units
    positions = math.prod(units.shape[2:])
    rows = gradient.numel() // gradient.shape[-1]
    if entries == positions and rows == len(units):
        return units.flatten(1)
    if entries == 1 and rows == len(units) * positions:
        return units.flatten(2).movedim(1, -1)
    raise MeasureError(f"{operation.node} takes new units in an unknown way")


def moment(use: Use, units: Tensor, gradient: Tensor) -> Tensor:
    """Σ units ⊗ gradient over all that outgoing weights read: [width, entries of a unit's outgoing weights].

    It is the gradient of the consumer's weight, if these were its units.
    """
    operation = use.operation
    if operation.kind in PRODUCTS:
        found = gradient.reshape(-1, gradient.shape[-1]).T @ units.reshape(-1, units.shape[-1])
    else:
        found, _ = operation.gather(units, gradient, _weight_for(use, units, gradient), False)
        found = found.movedim(operation.dim, 0)
    width = found.shape[1] // (use.read.columns.shape[1] // math.prod(operation.kernel))
    apart = found.unflatten(1, (width, -1))
    return apart.movedim(0, 2).flatten(1)


def second_moment(use: Use, units: Tensor) -> Tensor:
    """Σ units ⊗ units over all that outgoing weights read, the same entry as often as it is read: [width, width]."""
    operation = use.operation
    if operation.kind in PRODUCTS:
        entries = use.read.columns.shape[1]
        rows = units.reshape(-1, units.shape[-1] // entries, entries).movedim(1, -1).flatten(0, 1)
        return rows.T @ rows
    often = _often(use, units)
    rows = units.movedim(1, -1).flatten(0, -2)
    weights = often.flatten().repeat(len(units))
    return rows.T @ (rows * weights[:, None])


def _often(use: Use, units: Tensor) -> Tensor:
    """How many outgoing weights read each position: the gradient of a sum of what ones give."""
    with torch.enable_grad():
        one = units.new_ones(1, 1, *units.shape[2:]).requires_grad_()
        weight = units.new_ones(1, 1, *use.operation.kernel)
        (found,) = torch.autograd.grad(use.operation.respond(one, weight, None).sum(), one)
    return found


def _weight_for(use: Use, units: Tensor, gradient: Tensor) -> Tensor:
    sizes = [gradient.shape[1], units.shape[1]]
    return units.new_empty(*(sizes if use.operation.dim == 0 else sizes[::-1]), *use.operation.kernel)
