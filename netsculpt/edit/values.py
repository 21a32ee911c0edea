"""New values of a tensor along several dimensions at once, where entries are written and not only moved."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from netsculpt.edit.drafts import Draft, drawn
from netsculpt.edit.edits import Widen
from netsculpt.errors import EditError, ShapeError
from netsculpt.graph import Gather, Graph
from netsculpt.graph.positions import contains, labels
from netsculpt.graph.terms import Term


class _Write(NamedTuple):
    """``values`` [entries, the tensor's other dims as they were] for the entries ``at`` of a new dimension."""

    at: Tensor
    values: Tensor
    added: bool


def new_value(
    graph: Graph, name: str, tensor: Tensor, owner: nn.Module, gather: Gather, drafts: Sequence[Draft]
) -> Tensor | None:
    """The tensor after all drafts, where ``gather`` alone does not make it; None where it does.

    One dimension is done after the other. What is written along a dimension is in the coordinates of the tensor as it
    was, so it is gathered along the dimensions done before; those done after gather it with everything else.

    Raises:
        ShapeError: given values do not fit the tensor.
        EditError: values are given for units whose slices another axis of the plan divides.
    """
    writes = {dim: _writes(graph, name, dim, tensor, owner, drafts) for dim in gather.index}
    if not any(writes.values()):
        return None
    value, done = tensor.detach(), Gather({})
    for dim in sorted(gather.index, key=lambda dim: not writes[dim]):
        along = Gather({dim: gather.index[dim]}, {dim: gather.scale[dim]} if dim in gather.scale else {})
        value = along.gather(value)
        for write in writes[dim]:
            value = _written(value, dim, write, done.gather(write.values.movedim(0, dim)), along)
        done = Gather({**done.index, **along.index}, {**done.scale, **along.scale})
    return value


def _written(value: Tensor, dim: int, write: _Write, values: Tensor, along: Gather) -> Tensor:
    if write.added and dim in along.scale:  # what is added to a weight is shared like the weight
        shape = [-1 if d == dim else 1 for d in range(value.dim())]
        values = values * along.scale[dim][write.at].reshape(shape)
    at, values = write.at.to(value.device), values.to(value)
    return value.index_add(dim, at, values) if write.added else value.index_copy(dim, at, values)


def _writes(
    graph: Graph, name: str, dim: int, tensor: Tensor, owner: nn.Module, drafts: Sequence[Draft]
) -> list[_Write]:
    term = graph.tensors[name][dim]
    here = [each for each in drafts if contains(term, {each.axis.term.find(): None})]
    sizes = {each.axis.term.find(): len(each.change.units) for each in here}
    rest = [size for d, size in enumerate(tensor.shape) if d != dim]
    found = []
    for each in here:
        given, fresh = each.written.get(name, []), _without_values(each, name)
        if not given and not fresh:
            continue
        entries = _entries(term, each, sizes)
        count = entries.shape[1] * math.prod(rest)
        for units, values, added in given:
            if len(here) > 1 and entries.shape[1] != _repetitions(each, name, dim):
                raise EditError(f"slices of {name} get values while another axis divides them: make it two plans")
            if values.dim() != 2 or values.shape[1] != count:
                raise ShapeError(f"a unit's slice of {name} has {count} entries, not {list(values.shape[1:])}")
            found.append(_Write(entries[units].flatten(), values.reshape(-1, *rest), added))
        place = next(place for place in each.axis.places if (place.tensor, place.dim) == (name, dim))
        for widen, units in fresh:
            values = drawn(place, tensor, owner, widen, len(units), count)
            found.append(_Write(entries[units].flatten(), values.reshape(-1, *rest), added=False))
    return found


def _without_values(each: Draft, name: str) -> list[tuple[Widen, Tensor]]:
    """The new units whose slices of a tensor no edit gives."""
    written = [units for units, _, added in each.written.get(name, []) if not added]
    return [(widen, fresh) for widen, fresh in each.fresh if not any(torch.equal(fresh, units) for units in written)]


def _repetitions(each: Draft, name: str, dim: int) -> int:
    """Entries of a unit along a dimension, before the plan."""
    return sum(place.entries.count for place in each.axis.places if (place.tensor, place.dim) == (name, dim))


def _entries(term: Term, each: Draft, sizes: Mapping[Term, int]) -> Tensor:
    """int64 [new units, repetitions]: where the new units lie in the new dimension."""
    unit = labels(term, each.axis.term.find(), sizes)
    order = torch.argsort(unit, stable=True)
    return order[int((unit < 0).sum()) :].reshape(len(each.change.units), -1)
