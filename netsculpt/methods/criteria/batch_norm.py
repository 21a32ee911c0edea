"""How much of a unit its batch norms let through."""

from __future__ import annotations

from torch import Tensor

from netsculpt.methods.criteria.reducing import Reduction
from netsculpt.methods.criteria.slices import over_places
from netsculpt.methods.criteria.subject import Inapplicable, Subject
from netsculpt.methods.criteria.uses import uses


def batch_norm_scale(subject: Subject, axis: str, *, reduce: Reduction = "mean") -> Tensor:
    """|γ| of each unit in the batch norms that it goes through. It says most after training with a penalty on γ.

    Args:
        subject: ``Statistics``, or anything else with a model and its graph.
        axis: name of the axis.
        reduce: how several batch norms become one number.

    Returns:
        float64 [m]; the mean over a unit's channels where it has several.

    Raises:
        ArgumentError: no batch norm scales the units, or ``reduce`` is none.

    Source: Z. Liu et al., "Learning Efficient Convolutional Networks through Network Slimming" (2017).
    """
    known = uses(subject.graph)
    places = [
        place
        for place in subject.graph[axis].places
        if any(use.scales_a_batch_norm for use in known.get(place.tensor, ()))
    ]
    if not places:
        raise Inapplicable(f"axis {axis!r} has no batch norm with a scale")
    return over_places(subject, axis, lambda gamma: gamma.double().abs().mean(1), reduce, places=places)
