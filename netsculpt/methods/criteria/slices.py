"""The weights of a unit: its slices of every parameter that multiplies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from netsculpt.errors import ArgumentError
from netsculpt.graph import Graph
from netsculpt.graph.axes import Place
from netsculpt.graph.facts import Role
from netsculpt.methods.criteria.reducing import Reduction, reduced
from netsculpt.methods.criteria.subject import Inapplicable, Subject, parameters_of
from netsculpt.methods.criteria.uses import Use, uses

ORDER = (Role.PRODUCER, Role.FOLLOWER, Role.CONSUMER)


def weight_places(graph: Graph, axis: str, roles: Sequence[Role] = ORDER) -> list[Place]:
    """Where units have weights: producers first, then what follows them, then consumers.

    Biases, which a unit without weights may have, too, and buffers, which nobody learns, are left out.

    Raises:
        ArgumentError: there are none.
    """
    known = uses(graph)
    found = [
        place
        for role in roles
        for place in graph[axis].places
        if place.role is role and place.tensor in graph.parameters and not _added(known.get(place.tensor, ()))
    ]
    if not found:
        raise Inapplicable(f"axis {axis!r} has no weights that are {' or '.join(role.name.lower() for role in roles)}")
    return found


def rows(tensor: Tensor, place: Place, units: int) -> Tensor:
    """What each unit has of a tensor, [units, entries × the other dimensions], in the tensor's dtype."""
    entries = place.entries.entries(torch.arange(units)).to(tensor.device)
    return tensor.movedim(place.dim, 0)[entries].reshape(units, -1)


def over_places(
    subject: Subject,
    axis: str,
    score: Callable[..., Tensor],
    reduce: Reduction,
    *others: Mapping[str, Tensor],
    places: Sequence[Place] | None = None,
) -> Tensor:
    """``score`` of the units' weights at every place, put together.

    Args:
        subject: model and graph.
        axis: name of the axis.
        score: ``score(weights [m, k], ...)`` -> float64 [m].
        reduce: how the scores of several places become one.
        others: tensors shaped like the parameters, by their names; ``score`` gets their rows, too.
        places: where to look; by default ``weight_places``.

    Raises:
        ArgumentError: there is no such place, or ``reduce`` is none.
    """
    parameters, units = parameters_of(subject), subject.graph[axis].size
    found = weight_places(subject.graph, axis) if places is None else places
    for place in found:
        if place.tensor not in parameters:
            raise ArgumentError(f"the model must be the graph's: it has no parameter {place.tensor!r}")
    scores = [
        score(*(rows(tensors[place.tensor], place, units) for tensors in (parameters, *others))).cpu()
        for place in found
    ]
    return reduced(scores, reduce)


def _added(found: Sequence[Use]) -> bool:
    return bool(found) and all(use.adds for use in found)
