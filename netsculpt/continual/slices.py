"""Where the units of a task's network lie in its parameters, and which axes' units lie apart."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from netsculpt.continual.work import Work
from netsculpt.graph import Axis, Role
from netsculpt.graph.axes import Place
from netsculpt.graph.positions import entries_by_unit, labels


@dataclass(frozen=True, eq=False)
class Slices:
    """Where the units of an axis lie in one parameter.

    Attributes:
        name: of the parameter.
        dim: along which they lie.
        entries: int64 [units, repetitions], entries of every unit along it.
        makes: whether the slices make the units or go along with them, and do not use them.
    """

    name: str
    dim: int
    entries: Tensor
    makes: bool

    def of(self, tensor: Tensor) -> Tensor:
        """[units, entries of a slice]."""
        rows = tensor.index_select(self.dim, self.entries.flatten().to(tensor.device)).movedim(self.dim, 0)
        return rows.reshape(len(self.entries), -1)

    def mark(self, shape: torch.Size, units: Tensor) -> Tensor:
        """Bool, of the parameter's shape: the entries of these units."""
        found = torch.zeros(shape[self.dim], dtype=torch.bool)
        found[self.entries[units].flatten()] = True
        return found.reshape([-1 if dim == self.dim else 1 for dim in range(len(shape))]).expand(shape)


def slices_of(work: Work, axis: Axis) -> list[Slices]:
    """All slices of an axis that are shared, or that use its units."""
    parameters = {name for name, each in work.net.named_parameters() if each.requires_grad}
    found: dict[tuple[str, int], Slices] = {}
    for place in axis.places:
        if place.tensor not in parameters or (not uses(place) and place.tensor not in work.pool.shared):
            continue
        unit = labels(work.graph.tensors[place.tensor][place.dim], axis.term.find(), {})
        key = place.tensor, place.dim
        found.setdefault(key, Slices(*key, entries_by_unit(unit), not uses(place)))
    return list(found.values())


def apart(work: Work) -> list[str]:
    """The axes whose units are made by entries of their own: of two that share some, the first."""
    found: list[str] = []
    claimed: dict[tuple[str, int], set[int]] = {}
    for name in work.origin:
        axis = work.graph[name]
        if axis.frozen is not None:  # in its present sizes the network does not tell of it: equal ones are confused
            continue
        makers = [place for place in axis.places if not uses(place) and place.tensor in work.pool.shared]
        units = torch.arange(axis.size)
        mine = {(place.tensor, place.dim): set(place.entries.entries(units).tolist()) for place in makers}
        if any(claimed.get(at, set()) & entries for at, entries in mine.items()):
            continue
        for at, entries in mine.items():
            claimed.setdefault(at, set()).update(entries)
        found.append(name)
    return found


def uses(place: Place) -> bool:
    """Whether a place holds outgoing weights."""
    return place.role is Role.CONSUMER
