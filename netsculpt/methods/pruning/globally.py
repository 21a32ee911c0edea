"""Greedy forward selection by what the whole network answers, instead of what the next layers get."""

from __future__ import annotations

import torch
from torch import Tensor

from netsculpt.measure import Statistics
from netsculpt.measure.batches import few
from netsculpt.methods.pruning.allocation import EXAMPLES, NUMBERS
from netsculpt.methods.pruning.curves import Choice, Curve
from netsculpt.methods.pruning.discrepancy import distance_of
from netsculpt.methods.pruning.suffixes import Suffix

CANDIDATES = 8  # that are tried for real in every step
STEPS = 64  # in which an axis is built up at most: wide ones by several units at once


def global_curve(stats: Statistics, axis: str) -> Curve:
    """What greedy global imitation makes of an axis.

    Units are added one after the other, all with the same weight 1/k of the whole, to none: each time one backward pass
    scores all that are left, the best few are tried by running the rest of the network, and the best of these is taken;
    of an axis with more than 64 units, the best few.

    Errors are the discrepancy of the network's answers from the original ones, as ``discrepancy`` measures it for the
    model's answers, on the first calibration batches.

    Args:
        stats: of ``measure``, of the model as it is.
        axis: name.

    Raises:
        ArgumentError: the consumers of the axis cannot be imitated.

    Source: M. Ye et al., "Good Subnetworks Provably Exist" (2020); M. Ye, L. Wu, Q. Liu, "Greedy Optimization Provably
    Wins the Lottery" (2020), global imitation with a Taylor approximation.
    """
    stats.consumed([axis])
    suffix = Suffix(stats, axis, few(stats.data, EXAMPLES, NUMBERS), distance_of(stats))
    size = stats.consumers[axis].size
    block = -(-size // STEPS)
    kept, errors = torch.zeros(size, dtype=torch.bool), {}
    order: list[int] = []
    while len(order) + block < size:
        left = (~kept).nonzero()[:, 0]
        slopes = suffix.slopes(_gates(kept))
        tried = left[slopes[left].argsort(stable=True)[: max(CANDIDATES, 2 * block)]]
        losses = suffix.losses(torch.stack([_gates(kept, int(each)) for each in tried]))
        taken = tried[losses.argsort(stable=True)[:block]]
        order.extend(taken.tolist())
        kept[taken] = True
        errors[len(order)] = float(suffix.losses(_gates(kept)[None]))
    steps = {count: number for number, count in enumerate(errors, 1)}

    def choice(count: int) -> Choice:
        at = min(each for each in errors if each >= count)
        units = torch.tensor(order[:count]).sort().values
        return Choice(units, torch.full((count,), size / count, dtype=torch.float64), errors[at], steps[at])

    return Curve(axis, size, errors, steps, choice)


def _gates(kept: Tensor, candidate: int | None = None) -> Tensor:
    """N times the weights of the units: the same for all that are kept, with one more."""
    gates = kept.double()
    if candidate is not None:
        gates[candidate] = 1.0
    return gates * (len(gates) / gates.sum().clamp(min=1.0))
