"""The network of a task while it is learnt."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from netsculpt.continual.pool import Masks, Pool, picked
from netsculpt.continual.private import renew
from netsculpt.edit import Plan, Prune, Widen, apply
from netsculpt.edit.history import forget
from netsculpt.graph import trace
from netsculpt.graph.tracing import retrace


class Work:
    """A network that starts as all units of a pool with a head of its own, and what has become of the units since.

    Args:
        pool: not changed.
        classes: outputs of the head; None for as many as the pool's network has.
        fresh: whether head weights are drawn anew.

    Attributes:
        net: the network.
        graph: of ``net``.
        origin: axis -> int64 [units], the pool's unit that each one is, -1 where it is the task's own.
    """

    def __init__(self, pool: Pool, classes: int | None, fresh: bool) -> None:
        self.pool = pool
        self.net = pool.cut({})
        if fresh or classes not in (None, pool.classes):
            renew(self.net, pool.heads, pool.outlet, classes)
        self.graph = trace(self.net, pool.example_inputs)
        self.origin: Masks = pool.all_units()

    def own(self) -> dict[str, int]:
        """How many units of every axis are the task's own: by so much the pool would grow."""
        return {axis: int((units < 0).sum()) for axis, units in self.origin.items()}

    def frozen(self) -> dict[str, Tensor]:
        """Tensor name -> bool, of the network's shape: the shared entries that an earlier task uses."""
        taken = self.pool.taken()
        return {
            name: found
            for name, found in picked(self.pool.graph, self.origin, taken).items()
            if name in self.pool.shared
        }

    def widen(self, counts: Mapping[str, int], seed: int) -> None:
        """Add units of the task's own, with random incoming weights and no outgoing ones."""
        edits = [Widen(axis, count, seed=seed) for axis, count in counts.items() if count]
        if not edits:
            return
        self._apply(edits)
        for axis, count in counts.items():
            self.origin[axis] = torch.cat([self.origin[axis], torch.full((count,), -1)])

    def keep(self, units: Mapping[str, Tensor]) -> None:
        """Leave these units of the named axes, in this order."""
        changed = {axis: keep for axis, keep in units.items() if not torch.equal(keep, torch.arange(self.size(axis)))}
        if not changed:
            return
        self._apply([Prune(axis, keep) for axis, keep in changed.items()])
        for axis, keep in changed.items():
            self.origin[axis] = self.origin[axis][keep]

    def settle(self) -> None:
        """Hand the network over to the pool: its units in the pool's order, new ones last."""
        order = {}
        for axis, units in self.origin.items():
            order[axis] = torch.where(units < 0, units.max() + 1, units).argsort(stable=True)
        self.keep(order)

    def retrace(self) -> None:
        """Let the graph's program be that of the network as it is."""
        retrace(self.graph, self.net)

    def size(self, axis: str) -> int:
        """Units of an axis."""
        return len(self.origin[axis])

    def _apply(self, edits: list[Widen] | list[Prune]) -> None:
        apply(Plan(tuple(edits)), self.net, graph=self.graph, check=False)
        forget(self.net)
