"""How far the weights of a unit are from those of all others."""

from __future__ import annotations

import torch
from torch import Tensor

from netsculpt.graph.facts import Role
from netsculpt.methods.criteria.reducing import Reduction
from netsculpt.methods.criteria.slices import over_places, weight_places
from netsculpt.methods.criteria.subject import Subject


def geometric_median(subject: Subject, axis: str, *, reduce: Reduction = "mean") -> Tensor:
    """The sum of the distances of each unit's weights to those of all units of its axis (FPGM).

    A unit near the geometric median of all is the easiest to replace by others. Scales of norms do not count, since a
    distance between two numbers says little.

    Args:
        subject: ``Statistics``, or anything else with a model and its graph.
        axis: name of the axis.
        reduce: how the weights that make and use a unit become one number; ``"first"`` for its filter alone, as
            published.

    Returns:
        float64 [m], in units of weights.

    Raises:
        ArgumentError: the axis has no weights, or ``reduce`` is none.

    Source: Y. He et al., "Filter Pruning via Geometric Median for Deep Convolutional Neural Networks Acceleration"
    (2019).
    """
    places = weight_places(subject.graph, axis, (Role.PRODUCER, Role.CONSUMER))
    return over_places(subject, axis, _distances, reduce, places=places)


def _distances(weights: Tensor) -> Tensor:
    exact = weights.double()
    return torch.cdist(exact, exact).sum(1)
