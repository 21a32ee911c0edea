"""New values of a tensor along several dimensions at once, where entries are written and not only moved."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from netsculpt.edit.drafts import Draft, Written, drawn
from netsculpt.edit.edits import Widen
from netsculpt.errors import EditError, ShapeError
from netsculpt.graph import Gather, Graph
from netsculpt.graph.limits import within
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
    if not any(each.written or each.fresh for each in drafts):
        return None
    writes = {dim: _writes(graph, name, dim, tensor, owner, drafts) for dim in gather.index}
    if not any(writes.values()):
        return None
    value, done = tensor.detach(), Gather({})
    for dim in sorted(gather.index, key=lambda dim: not writes[dim]):
        along = Gather({dim: gather.index[dim]}, {dim: gather.scale[dim]} if dim in gather.scale else {})
        value = along.gather(value)
        for write in writes[dim]:
            _write(value, dim, write, done, along)
        done = Gather({**done.index, **along.index}, {**done.scale, **along.scale})
    return value


@torch.no_grad()
def _write(value: Tensor, dim: int, write: _Write, done: Gather, along: Gather) -> None:
    """In place: a copy of the tensor for every write would take the square of their number."""
    at = write.at.to(value.device)
    values = done.gather(write.values.to(value.device).movedim(0, dim))
    if not write.added:
        value.index_copy_(dim, at, values.to(value.dtype))
        return
    if dim in along.scale:  # what is added to a weight is shared like the weight
        shape = [-1 if d == dim else 1 for d in range(value.dim())]
        values = values * along.scale[dim][write.at].to(value.device).reshape(shape)
    value.index_add_(dim, at, values.to(value.dtype))


def _writes(
    graph: Graph, name: str, dim: int, tensor: Tensor, owner: nn.Module, drafts: Sequence[Draft]
) -> list[_Write]:
    term = graph.tensors[name][dim]
    here = [each for each in drafts if contains(term, {each.axis.term.find(): None})]
    sizes = {each.axis.term.find(): len(each.change.units) for each in here}
    rest = [size for d, size in enumerate(tensor.shape) if d != dim]
    found = []
    for each in here:
        given = [written for written in each.written.get(name, []) if written.dim == dim]
        if not given and not each.fresh:
            continue
        entries = _entries(term, each, sizes)
        count = entries.shape[1] * math.prod(rest)
        for _, units, values, added in given:
            if any(_divides(term, other, each) for other in here if other is not each):
                raise EditError(f"slices of {name} get values while another axis divides them: make it two plans")
            if values.shape[1] != count:
                raise ShapeError(f"a unit's slice of {name} has {count} entries, not {list(values.shape[1:])}")
            found.append(_Write(entries[units].flatten(), values.reshape(-1, *rest), added))
        place = next(place for place in each.axis.places if (place.tensor, place.dim) == (name, dim))
        weighed = within(term, place.silences, sizes)
        for widen, units in _without_values(each, given):
            at = entries[units].flatten()
            values = drawn(place, tensor, owner, widen, units, count).reshape(-1, *rest)
            values[weighed[at] == 1] = 0
            found.append(_Write(at, values, added=False))
    return found


def _without_values(each: Draft, given: Sequence[Written]) -> list[tuple[Widen, Tensor]]:
    """The new units whose slices no edit gives."""
    written = {int(units[0]) for _, units, _, added in given if not added}
    return [(widen, fresh) for widen, fresh in each.fresh if int(fresh[0]) not in written]


def _divides(term: Term, other: Draft, each: Draft) -> bool:
    """Whether another axis that changes lies inside the slices of this one."""
    axis, inside = each.axis.term.find(), {other.axis.term.find(): other.axis.size + 1}
    stays = torch.equal(other.change.units, torch.arange(other.axis.size))
    return not stays and int((labels(term, axis, inside) == 0).sum()) != int((labels(term, axis, {}) == 0).sum())


def _entries(term: Term, each: Draft, sizes: Mapping[Term, int]) -> Tensor:
    """int64 [new units, repetitions]: where the new units lie in the new dimension."""
    unit = labels(term, each.axis.term.find(), sizes)
    order = torch.argsort(unit, stable=True)
    return order[int((unit < 0).sum()) :].reshape(len(each.change.units), -1)
