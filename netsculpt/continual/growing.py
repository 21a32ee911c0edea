"""A round of growth: candidates are attached, tuned and scored, the best are kept, the rest forgotten."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from netsculpt.arguments import is_number, require_count
from netsculpt.choice import Limits, Option, choose
from netsculpt.continual.candidates import Candidates, Gain
from netsculpt.continual.work import Work
from netsculpt.edit import Budget
from netsculpt.errors import ArgumentError, BudgetError
from netsculpt.graph import Cost
from netsculpt.measure import LossFn


@dataclass(frozen=True)
class Growth:
    """How a task looks for what the pool lacks.

    Attributes:
        rounds: of growth, at most; a budget of parameters is spent in as many equal parts.
        share: by which share of its parameters a round lets the pool grow where no budget bounds them.
        new: candidates for new units, for every unit of an axis.
        batches: for which candidates are tuned.
        rate: learning rate of that, Adam's.
        nodes: of the integrated gradients.
        scored: batches by which candidates are scored.
    """

    rounds: int = 3
    share: float = 0.1
    new: float = 0.5
    batches: int = 100
    rate: float = 1e-2
    nodes: int = 3
    scored: int = 16

    def __post_init__(self) -> None:
        for name in ("rounds", "batches", "nodes", "scored"):
            require_count(f"{name} of a growth", getattr(self, name))
        for name in ("share", "rate"):
            if not is_number(getattr(self, name)) or getattr(self, name) <= 0:
                raise ArgumentError(f"{name} of a growth must be above 0, not {getattr(self, name)!r}")
        if not is_number(self.new) or self.new < 0:
            raise ArgumentError(f"new of a growth must be at least 0, not {self.new!r}")


class Round(NamedTuple):
    """What a round of growth did.

    Attributes:
        unlocked: units of the pool of which the task got a private copy, changed.
        new: units that joined.
        predicted: change of the loss, the sum of what was kept, before training.
        params: parameters of the pool's network with them.
        accuracy: on the validation data after training; None without such data.
    """

    unlocked: int
    new: int
    predicted: float
    params: int
    accuracy: float | None = None

    def __str__(self) -> str:
        return f"{self.unlocked} unlocked, {self.new} new, predicted {self.predicted:+.3g}"


class Bounds(NamedTuple):
    """The most parameters and multiply-accumulates that the pool's network may have; None for any number."""

    params: int | None
    macs: int | None


def bounds(budget: Budget | None, present: Cost) -> Bounds:
    """A budget as numbers, for a pool that costs ``present``.

    Raises:
        BudgetError: it bounds the latency, which a pool does not have, or is exceeded already.
    """
    if budget is None:
        return Bounds(None, None)
    if not isinstance(budget, Budget):
        raise BudgetError(f"budget must be a Budget, such as Budget(params='+10%'), or None, not {budget!r}")
    if budget.latency is not None:
        raise BudgetError("latency of the budget must be None: a pool is never run as a whole")
    limits = budget.limits(present)
    if not budget.allows(present, present):
        raise BudgetError(
            f"budget must allow the pool as it is, {present.params:,} parameters and {present.macs:,} MACs"
        )
    return Bounds(
        *(getattr(limits, each) if getattr(budget, each) is not None else None for each in ("params", "macs"))
    )


def grow(
    work: Work, loader: Iterable[Any], loss_fn: LossFn, growth: Growth, bound: Bounds, seed: int, rounds: int = 1
) -> Round | None:
    """One round, in place.

    Args:
        work: the task's network.
        loader: as for ``Learner.learn``.
        loss_fn: likewise.
        growth: what to try.
        bound: of the pool.
        seed: of the new candidates.
        rounds: that are left, this one included, among which room is shared.

    Returns:
        What was kept; None where nothing fits or helps, and the network is as it was.
    """
    pending = work.own()
    candidates = Candidates(work, growth.new, seed, loader)
    candidates.tune(loader, loss_fn, growth.batches, growth.rate)
    gains = candidates.gains(loader, loss_fn, growth.nodes, growth.scored)
    chosen, params = _chosen(work, gains, growth, bound, pending, rounds)
    candidates.accept(chosen)
    if not chosen:
        return None
    unlocked = sum(gain.move == "unlock" for gain in chosen)
    return Round(unlocked, len(chosen) - unlocked, sum(gain.loss for gain in chosen), params)


def _chosen(
    work: Work, gains: list[Gain], growth: Growth, bound: Bounds, pending: dict[str, int], rounds: int
) -> tuple[list[Gain], int]:
    """The best candidates, by what they cost the pool as it will be with all that the task has had so far."""
    graph = work.pool.graph
    sizes = {axis.name: axis.size for axis in work.pool.axes}
    options = [Option(gain.axis, (gain.move, gain.unit), 1, gain.loss) for gain in gains]
    graph.resize({axis: size + pending[axis] for axis, size in sizes.items()})
    try:
        now = graph.cost()
        limit = int(now.params * (1 + growth.share)) if bound.params is None else max(bound.params, now.params)
        macs = None if bound.macs is None else max(bound.macs, now.macs)
        part = limit if bound.params is None else now.params + (limit - now.params) // rounds
        choice = choose(options, graph, Limits(Budget(params=part, macs=macs)))
        if not choice.options and part < limit:  # no candidate is as small as a part
            choice = choose(options, graph, Limits(Budget(params=limit, macs=macs)))
    finally:
        graph.resize(sizes)
    kept = {(option.axis, option.item) for option in choice.options}
    return [gain for gain in gains if (gain.axis, (gain.move, gain.unit)) in kept], choice.after.params
