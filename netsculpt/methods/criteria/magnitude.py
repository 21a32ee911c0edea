"""How large the weights of a unit are."""

from __future__ import annotations

from torch import Tensor

from netsculpt.methods.criteria.normalising import lamp_scores
from netsculpt.methods.criteria.reducing import Reduction
from netsculpt.methods.criteria.slices import over_places
from netsculpt.methods.criteria.subject import Subject


def l1(subject: Subject, axis: str, *, reduce: Reduction = "mean") -> Tensor:
    """The sum of the absolute weights of each unit; as published with ``reduce="first"``, of its filter alone.

    Args:
        subject: ``Statistics``, or anything else with a model and its graph.
        axis: name of the axis.
        reduce: how the places where a unit has weights (what makes it, scales it, uses it) become one number.

    Returns:
        float64 [m], larger for units that matter more.

    Raises:
        ArgumentError: the axis has no weights, or ``reduce`` is none.

    Source: H. Li et al., "Pruning Filters for Efficient ConvNets" (2017).
    """
    return over_places(subject, axis, lambda w: w.double().abs().sum(1), reduce)


def l2(subject: Subject, axis: str, *, reduce: Reduction = "mean") -> Tensor:
    """The Euclidean norm of the weights of each unit: the root of the reduced squares; otherwise as ``l1``."""
    return _squares(subject, axis, reduce).sqrt()


def lamp(subject: Subject, axis: str, *, reduce: Reduction = "mean") -> Tensor:
    """The squared norm of each unit as its share of those that are not smaller; otherwise as ``l1``.

    In units of nothing and with 1 for the best unit of every axis, so axes can be compared as they are.

    Source: J. Lee et al., "Layer-Adaptive Sparsity for the Magnitude-Based Pruning" (2021), for single weights.
    """
    return lamp_scores(_squares(subject, axis, reduce))


def _squares(subject: Subject, axis: str, reduce: Reduction) -> Tensor:
    return over_places(subject, axis, lambda w: w.double().square().sum(1), reduce)
