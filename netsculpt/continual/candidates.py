"""What a task could have beside the pool's units: a private change of each, and new ones; tuned, and scored together.

While candidates are tuned and scored the network runs in eval mode and everything else in it stays. A *gate* stands
before every candidate: before the whole change of a unit's incoming weights, and before a new unit's outgoing weights.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor

from netsculpt.continual.slices import apart, slices_of, uses
from netsculpt.continual.statistics import settle_norms
from netsculpt.continual.training import fit, require_loss
from netsculpt.continual.work import Work
from netsculpt.graph import Axis
from netsculpt.measure import LossFn
from netsculpt.measure.batches import batch_of, on
from netsculpt.ops import taylor_gain_params

Move: TypeAlias = Literal["unlock", "new"]


class Gain(NamedTuple):
    """What one candidate is predicted to change the loss by."""

    axis: str
    move: Move
    unit: int
    loss: float


class Candidates:
    """The candidates of a round, attached to a task's network: new units join it, changes are made in place.

    Args:
        work: whose network gets the new units.
        share: new units for every unit of an axis.
        seed: of their incoming weights.
        loader: batches by which the statistics of their norms are set.

    Attributes:
        work: as given.
        start: parameters before tuning, by name.
        reasons: axis -> why it has no new units.
    """

    def __init__(self, work: Work, share: float, seed: int, loader: Iterable[Any]) -> None:
        self.work = work
        self._before = {axis: len(units) for axis, units in work.origin.items()}
        self.reasons: dict[str, str] = {}
        axes = apart(work)
        counts = {name: math.ceil(share * self._before[name]) for name in axes if self._admits(work.graph[name])}
        work.widen(counts, seed)
        settle_norms(work, self._before, loader)
        self._axes = {name: slices_of(work, work.graph[name]) for name in axes}
        self._parameters = {name: each for name, each in work.net.named_parameters() if each.requires_grad}
        self._mark()
        self.start = {name: each.detach().clone() for name, each in self._parameters.items()}

    def tune(self, loader: Iterable[Any], loss_fn: LossFn, batches: int, rate: float) -> None:
        """Let Adam move the candidates' values for about so many batches."""
        try:
            length = len(loader)  # type: ignore[arg-type]
        except TypeError:
            length = batches
        epochs = max(1, math.ceil(batches / max(length, 1)))
        fit(
            self.work.net,
            self.work.graph,
            {name: ~self._moving[name] for name in self._parameters},
            loader,
            loss_fn,
            lambda parameters: torch.optim.Adam(parameters, lr=rate),
            epochs=epochs,
            batches=batches,
            training=False,
        )

    def gains(self, loader: Iterable[Any], loss_fn: LossFn, nodes: int, batches: int) -> list[Gain]:
        """What every candidate changes the loss by: the gradient along its gate, integrated as all gates open together.

        The gains sum to the change of the loss from no candidate to all of them, up to the error of the midpoint rule.
        """
        end = {name: self._parameters[name].detach().clone() for name in self._gated}
        if not end:
            return []
        moved = {name: (end[name] - self.start[name]) * gate for name, gate in self._gated.items()}
        slopes = {name: torch.zeros_like(each) for name, each in end.items()}
        inputs = [
            on(self.work.net, batch_of(given, self.work.graph))
            for given, _ in zip(loader, range(batches), strict=False)
        ]
        try:
            for node in range(nodes):
                self._put({name: end[name] - moved[name] * (1 - (node + 0.5) / nodes) for name in end})
                for given, target in inputs:
                    with torch.enable_grad():
                        loss = loss_fn(self.work.net(*given.args, **given.kwargs), target)
                    require_loss(loss, "the candidates")
                    found = torch.autograd.grad(loss, [self._parameters[name] for name in end], allow_unused=True)
                    for name, slope in zip(end, found, strict=True):
                        if slope is not None:
                            slopes[name] += slope / (nodes * len(inputs))
        finally:
            self._put(end)
        return [gain for axis in self._axes for gain in self._gains_of(axis, moved, slopes)]

    def accept(self, gains: Iterable[Gain]) -> None:
        """Keep these: changed units become the task's own, all else is as it was before."""
        chosen: dict[tuple[str, Move], list[int]] = {}
        for gain in gains:
            chosen.setdefault((gain.axis, gain.move), []).append(gain.unit)
        back = {name: torch.zeros(gate.shape, dtype=torch.bool) for name, gate in self._gated.items()}
        keep = {}
        for name, slices in self._axes.items():
            before, changed = self._before[name], chosen.get((name, "unlock"), [])
            rejected = torch.tensor(sorted(set(range(before)) - set(changed)), dtype=torch.int64)
            for each in slices:
                if each.makes and each.name in back:
                    back[each.name] |= each.mark(back[each.name].shape, rejected)
            self.work.origin[name][torch.tensor(changed, dtype=torch.int64)] = -1
            keep[name] = torch.tensor([*range(before), *sorted(chosen.get((name, "new"), []))])
        with torch.no_grad():
            for name, marked in back.items():
                parameter, undone = self._parameters[name], marked & self._changed[name]
                parameter.copy_(torch.where(undone.to(parameter.device), self.start[name], parameter))
        self.work.keep(keep)

    def _gains_of(self, axis: str, moved: Mapping[str, Tensor], slopes: Mapping[str, Tensor]) -> list[Gain]:
        found: list[Gain] = []
        before, size = self._before[axis], self.work.size(axis)
        ways: tuple[tuple[Move, bool, Mapping[str, Tensor], range], ...] = (
            ("unlock", True, self._changed, range(before)),
            ("new", False, self._joined, range(before, size)),
        )
        for move, makes, marks, units in ways:
            slices = [each for each in self._axes[axis] if each.makes is makes and each.name in moved]
            if not slices or not len(units):
                continue
            values = [each.of(moved[each.name] * marks[each.name].to(moved[each.name].device)) for each in slices]
            grads = [each.of(slopes[each.name]) for each in slices]
            sums = taylor_gain_params(values, grads, [0] * len(slices)).signed.tolist()
            found += [Gain(axis, move, unit, sums[unit]) for unit in units if sums[unit]]
        return found

    def _mark(self) -> None:
        """Which entries move: changes of frozen incoming weights, and new units' own, but not between two new ones."""
        work, shapes = self.work, {name: each.shape for name, each in self._parameters.items()}
        frozen = work.frozen()
        empty = {name: torch.zeros(shape, dtype=torch.bool) for name, shape in shapes.items()}
        changed, arrived, joined, crossed = ({name: each.clone() for name, each in empty.items()} for _ in range(4))
        for axis, slices in self._axes.items():
            old, new = torch.arange(self._before[axis]), torch.arange(self._before[axis], work.size(axis))
            for each in slices:
                fresh = each.mark(shapes[each.name], new)
                crossed[each.name] |= fresh & (arrived[each.name] | joined[each.name])
                (arrived if each.makes else joined)[each.name] |= fresh
                if each.makes:
                    changed[each.name] |= each.mark(shapes[each.name], old) & frozen[each.name]
        self._changed = changed
        self._joined = {name: marked & ~crossed[name] for name, marked in joined.items()}
        self._moving = {name: (changed[name] | arrived[name] | joined[name]) & ~crossed[name] for name in shapes}
        gated = {name: changed[name] | self._joined[name] for name in shapes}
        device = {name: each.device for name, each in self._parameters.items()}
        self._gated = {name: each.to(device[name]) for name, each in gated.items() if bool(each.any())}
        with torch.no_grad():
            for name, marked in crossed.items():
                self._parameters[name].masked_fill_(marked.to(device[name]), 0)

    @torch.no_grad()
    def _put(self, values: Mapping[str, Tensor]) -> None:
        for name, value in values.items():
            self._parameters[name].copy_(value)

    def _admits(self, axis: Axis) -> bool:
        """Whether new units without outgoing weights leave the network's answers alone."""
        reason = axis.inexact
        if reason is None and not any(uses(place) for place in axis.places):
            reason = "no weight uses the units"
        if reason is not None:
            self.reasons[axis.name] = reason
        return reason is None
