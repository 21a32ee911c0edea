"""How much units have to say, whatever the loss makes of it."""

from __future__ import annotations

from torch import Tensor

from netsculpt.measure import Statistics
from netsculpt.measure.readings import Size, sizes
from netsculpt.methods.criteria.reducing import Reduction, reduced
from netsculpt.methods.criteria.subject import Inapplicable, Subject, measured


def activation_mean(stats: Subject, axis: str, *, reduce: Reduction = "mean") -> Tensor:
    """The mean absolute value of each unit where it is read: behind its activation, norms, pooling and sums.

    Args:
        stats: of ``measure``; one pass forward serves all axes.
        axis: name of the axis.
        reduce: how several readers become one number.

    Returns:
        float64 [m], in units of the activation.

    Raises:
        ArgumentError: ``stats`` are none, others than linear layers and convolutions read the units, or ``reduce``
            is none.
        MeasureError: the model has changed since it was measured.

    Source: P. Molchanov et al., "Pruning Convolutional Neural Networks for Resource Efficient Inference" (2017), of
    activations behind ReLUs, which are their own absolute values.
    """
    return reduced([size.mean for size in _sizes(measured(stats, "activation_mean"), axis)], reduce)


def apoz(stats: Subject, axis: str, *, reduce: Reduction = "mean") -> Tensor:
    """The share of positions at which a unit is not zero, one less the average percentage of zeros.

    It says something of units behind a ReLU or its like, and that all are alike behind a smooth activation.

    Args:
        stats: of ``measure``; one pass forward, that of ``activation_mean``, serves all axes.
        axis: name of the axis.
        reduce: how several readers become one number.

    Returns:
        float64 [m], from 0 to 1.

    Raises:
        ArgumentError: ``stats`` are none, others than linear layers and convolutions read the units, or ``reduce``
            is none.
        MeasureError: the model has changed since it was measured.

    Source: H. Hu et al., "Network Trimming" (2016).
    """
    return reduced([size.nonzero for size in _sizes(measured(stats, "apoz"), axis)], reduce)


def _sizes(stats: Statistics, axis: str) -> list[Size]:
    found = sizes(stats).get(axis)
    if found is None:
        raise Inapplicable(f"the units of axis {axis!r} are not read by linear layers and convolutions alone")
    return found
