"""What the loss says about units at second order, by the squares of first-order changes."""

from __future__ import annotations

from torch import Tensor

from netsculpt.measure.gains import gains
from netsculpt.methods.criteria.subject import Inapplicable, Subject, measured


def fisher(stats: Subject, axis: str) -> Tensor:
    """½ E[(Σ a·g)²] over examples: the second-order change of a log-likelihood if a unit were silenced.

    The Hessian by the unit's scale is taken for the empirical Fisher information of it, as it is where the model has
    learnt the data's distribution and the loss is a mean of log-likelihoods.

    Args:
        stats: of ``measure``; one pass forward and back, that of ``taylor``, serves all axes.
        axis: name of the axis.

    Returns:
        float64 [m], in units of the loss where it is a log-likelihood.

    Raises:
        ArgumentError: ``stats`` are none, or others than linear layers and convolutions read the units.
        MeasureError: the model has changed since it was measured.

    Source: L. Theis et al., "Faster gaze prediction with dense networks and Fisher pruning" (2018).
    """
    own = measured(stats, "fisher")
    found = gains(own).get(axis)
    if found is None:
        raise Inapplicable(f"the units of axis {axis!r} are not read by linear layers and convolutions alone")
    # a·g belongs to the mean loss: of an example's own it is as many times as much as there are examples.
    return 0.5 * own.examples * found.squared
