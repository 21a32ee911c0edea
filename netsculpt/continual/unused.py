"""Units that a task has but does not need are left out of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from netsculpt.continual.work import Work
from netsculpt.edit import Prune
from netsculpt.measure import LossFn, measure
from netsculpt.methods import Tolerance, prune


def drop_unused(work: Work, loader: Iterable[Any], loss_fn: LossFn, tolerance: Tolerance) -> bool:
    """Leave units out of a task's network as long as it loses no more than a tolerance, in place.

    The other units keep their weights, since earlier tasks use them; private ones can be trained anew afterwards.

    Args:
        work: the task's network.
        loader: batches, as for ``measure``.
        loss_fn: likewise.
        tolerance: what may be lost.

    Returns:
        Whether any unit was left out.
    """
    work.retrace()
    stats = measure(work.net, work.graph, loader, loss_fn, for_="prune")
    axes = [name for name in work.origin if name in stats.consumed(None)]
    if not axes:
        return False
    plan = prune(stats, tolerance=tolerance, refit="none", axes=axes, check_baseline=False)
    keep = {edit.axis: torch.as_tensor(edit.keep) for edit in plan.edits if isinstance(edit, Prune)}
    work.keep(keep)
    return bool(keep)
