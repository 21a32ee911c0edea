"""Candidates: what a network could grow by, a group per axis and kind, and where their values lie in grown tensors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor

from netsculpt.graph import Axis, Graph
from netsculpt.graph.axes import Place, layer_of
from netsculpt.graph.gather import Gather
from netsculpt.graph.positions import entries_by_unit, labels
from netsculpt.graph.terms import Term

Kind: TypeAlias = Literal["split", "new", "layer"]


class Write(NamedTuple):
    """Where values [candidates, entries of a unit's slice] are added to a grown tensor.

    Attributes:
        values: the values' name, that of the tensor.
        dim: the dimension along which units lie.
        at: int64 [candidates, repetitions], entries of the grown tensor.
        rest: sizes of the other dimensions before growth.
        along: for other dimensions that grow: the old entry of each new one and its factor, 0 for new units.
        factor: of each of ``at``'s entries: 1 or -1 for the two copies of a unit, less where those share a weight.
    """

    values: str
    dim: int
    at: Tensor
    rest: tuple[int, ...]
    along: Mapping[int, tuple[Tensor, Tensor]]
    factor: Tensor

    def spread(self, values: Tensor) -> Tensor:
        """The values as they are added: ``at``'s entries first, then the grown tensor's other dimensions."""
        found = values.reshape(self.at.numel(), *self.rest)
        for dim, (entries, factor) in self.along.items():
            place = dim + 1 if dim < self.dim else dim
            shape = [-1 if d == place else 1 for d in range(found.dim())]
            found = found.index_select(place, entries) * factor.to(found.dtype).reshape(shape)
        return found * self.factor.to(found.dtype).reshape(-1, *[1] * (found.dim() - 1))


@dataclass(eq=False)
class Group:
    """Candidates of one kind on one axis.

    Attributes:
        axis: name of the axis, in the overlay's graph.
        kind: "split", offsets of a unit's two copies; "new", units; "layer", hidden units of a new residual layer.
        size: how many.
        values: tensor name -> [candidates, entries of a unit's slice].
        gated: the names whose values the gate multiplies: offsets, or outgoing weights.
        writes: where the values go, by the name of a tensor of the copy.
        norms: mean norms of the incoming and the outgoing slices of the units that are there.
    """

    axis: str
    kind: Kind
    size: int
    values: dict[str, Tensor] = field(repr=False)
    gated: frozenset[str] = field(repr=False)
    writes: dict[str, list[Write]] = field(repr=False)
    norms: tuple[float, float] = (0.0, 0.0)

    @property
    def key(self) -> tuple[str, Kind]:
        """What tells groups apart."""
        return self.axis, self.kind


def incoming(axis: Axis, kind: Kind) -> list[Place]:
    """Where a unit's own weights lie: its producers and the biases of their layers, without what weighs a new unit."""
    layers = {layer_of(place.tensor) for place in axis.producers}
    biases = [place for place in axis.followers if place.tensor.endswith("bias") and layer_of(place.tensor) in layers]
    return once(each for each in (*axis.producers, *biases) if kind == "split" or not each.silences)


def outgoing(axis: Axis) -> list[Place]:
    """What weighs a new unit: it counts for nothing where these slices are zero. Not in tensors that also make it."""
    made = {place.tensor for place in incoming(axis, "new")}
    return once(place for place in axis.places if place.silences and place.tensor not in made)


def once(places: Iterable[Place]) -> list[Place]:
    """The first place in each tensor: edits give values there."""
    found: dict[str, Place] = {}
    for place in places:
        found.setdefault(place.tensor, place)
    return list(found.values())


def reason_against(axis: Axis, kind: Kind) -> str | None:
    """Why units of an axis are no candidates; None where they are."""
    if axis.frozen is not None:
        return axis.frozen
    if axis.rescales:
        return "a scale depends on the number of units"
    if kind == "split":
        return axis.uncopyable
    if not outgoing(axis) or not incoming(axis, kind):
        return "no weights of their own make and use the units"
    if any(frozenset() not in place.silences for place in outgoing(axis)):
        return "a part of a weight makes the units and another part weighs them"
    return axis.inexact


def entries_of(graph: Graph, place: Place, axis: Axis) -> int:
    """How many entries a unit's slice has in a tensor."""
    return (
        graph.tensor_size(place.tensor) // graph.tensors[place.tensor][place.dim].size * repetitions(graph, place, axis)
    )


def repetitions(graph: Graph, place: Place, axis: Axis) -> int:
    """How many entries a unit has along a dimension."""
    term = graph.tensors[place.tensor][place.dim]
    return entries_by_unit(labels(term, axis.term.find(), {})).shape[1]


def divided(graph: Graph, axis: Axis, other: Axis) -> bool:
    """Whether another axis lies inside the slices of this one: values for both at once would contradict."""
    inside = {other.term.find(): other.size + 1}
    for place in axis.places:
        term = graph.tensors[place.tensor][place.dim]
        here = labels(term, axis.term.find(), {})
        if int((labels(term, axis.term.find(), inside) == 0).sum()) != int((here == 0).sum()):
            return True
    return False


def writes_of(
    graph: Graph,
    axis: Axis,
    places: Iterable[Place],
    units: Tensor,
    gathers: Mapping[str, Gather],
    sizes: Mapping[Term, int],
    sign: float | None = None,
) -> dict[str, list[Write]]:
    """Where values of units go once axes have grown.

    Args:
        graph: of the model before it grows.
        axis: that the units are of.
        places: which tensors have values.
        units: int64 [candidates], their numbers in the grown axis.
        gathers: what growth does to every tensor.
        sizes: axis -> grown size.
        sign: for splits 1, or -1 for the second copies.
    """
    found: dict[str, list[Write]] = {}
    for place in places:
        terms = graph.tensors[place.tensor]
        at = entries_by_unit(labels(terms[place.dim], axis.term.find(), sizes))[units]
        rest = tuple(term.size for dim, term in enumerate(terms) if dim != place.dim)
        gather = gathers.get(place.tensor, Gather({}))
        factor = torch.ones(at.numel(), dtype=torch.float64)
        if sign is not None:  # what is added to a weight is shared like the weight
            factor = sign * gather.scale[place.dim][at.flatten()] if place.dim in gather.scale else sign * factor
        along = {
            dim: (index.clamp(min=0), (index >= 0) * gather.scale.get(dim, torch.ones(len(index))))
            for dim, index in gather.index.items()
            if dim != place.dim and not gather.is_identity(dim, terms[dim].size)
        }
        found.setdefault(place.tensor, []).append(Write(place.tensor, place.dim, at, rest, along, factor))
    return found
