"""Optimal brain damage: what the loss says about weights at second order, one by one."""

from __future__ import annotations

from torch import Tensor

from netsculpt.measure.gradients import squared_gradients
from netsculpt.methods.criteria.reducing import Reduction
from netsculpt.methods.criteria.slices import over_places
from netsculpt.methods.criteria.subject import Subject, measured


def obd(stats: Subject, axis: str, *, reduce: Reduction = "mean") -> Tensor:
    """½ Σ θ² h over a unit's weights, h the diagonal of the Hessian in its squared-gradient form.

    h is the mean over examples of the square of the gradient of each example's own loss (the empirical Fisher's
    diagonal), which is never negative; Hutchinson's estimate of the Hessian itself is not used.

    Args:
        stats: of ``measure``; as many passes forward and back as there are examples serve all axes.
        axis: name of the axis.
        reduce: how the places where a unit has weights become one number.

    Returns:
        float64 [m], in units of the loss where it is a log-likelihood.

    Raises:
        ArgumentError: ``stats`` are none, the axis has no weights, or ``reduce`` is none.
        MeasureError: the model has changed since it was measured.

    Source: Y. LeCun et al., "Optimal Brain Damage" (1989), for single weights and the Gauss-Newton diagonal.
    """
    squares = squared_gradients(measured(stats, "obd"))
    return over_places(stats, axis, lambda w, h: 0.5 * (w.double().square() * h).sum(1), reduce, squares)
