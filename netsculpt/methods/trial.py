"""What a plan would do, found out by doing it and taking it back."""

from __future__ import annotations

from netsculpt.edit import Plan, apply, undo
from netsculpt.measure import Statistics


def tried(stats: Statistics, plan: Plan) -> float:
    """The change of the loss on the calibration data if ``plan`` were applied; afterwards the model is as it was.

    Args:
        stats: of the model that the plan is for.
        plan: what to try.

    Raises:
        MeasureError: the model has changed since it was measured.
    """
    stats.require_current()
    if not len(plan):
        return 0.0
    apply(plan, stats.model, graph=stats.graph, check=False)
    try:
        return stats.loss_of(stats.model) - stats.loss
    finally:
        undo(stats.model)
