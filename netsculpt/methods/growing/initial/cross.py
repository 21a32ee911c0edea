"""Sums over the calibration data that say which new units the loss asks for.

A unit of incoming weights α and outgoing weights ω changes the loss by αᵀ N ω at first order, N = Σ x ⊗ γ with x what
the unit is made of and γ the gradient at what one of its outgoing weights adds to, summed over all pairs of a result
and a place of the kernel there. αᵀ S α is the second moment of what these weights read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from netsculpt.errors import MeasureError
from netsculpt.graph.positions import entries_by_unit
from netsculpt.measure import Statistics
from netsculpt.measure.playback import state_of
from netsculpt.measure.ranks import summed
from netsculpt.methods.growing.initial.maps import maps, moment, second_moment
from netsculpt.methods.growing.initial.places import Place, Use
from netsculpt.methods.growing.initial.playing import Played, played, working
from netsculpt.methods.growing.initial.projection import Update, updates


class Cross(NamedTuple):
    """Of one axis, d incoming and e outgoing weights of a unit.

    Attributes:
        cross: float64 [d, e], N for the gradient of the mean loss.
        left: [d, e], N for what is left of the gradient after the best update of the consumers; None if not asked for.
        second: [d, d], S, the mean over examples; None if not asked for.
    """

    cross: Tensor
    left: Tensor | None
    second: Tensor | None


class Sums:
    """Sums up a ``Cross``, batch by batch.

    Args:
        place: of the units.
        uses: all of them.
        widths: entries of a unit's outgoing weights, by consumer.
        projected: consumer's weight -> its best update; None for no projection.
        second: whether to sum up S.
    """

    def __init__(
        self,
        place: Place,
        uses: Sequence[Use],
        widths: Sequence[int],
        projected: Mapping[str, Update] | None,
        second: bool,
        device: torch.device,
    ) -> None:
        self._uses, self._widths, self._projected = uses, widths, projected
        zeros = torch.zeros(place.width, sum(widths), dtype=torch.float64, device=device)
        self._width = place.width
        self._cross = zeros
        self._left = None if projected is None else torch.zeros_like(zeros)
        self._second = zeros.new_zeros(place.width, place.width) if second else None

    def add(self, batch: Played) -> None:
        """One batch."""
        for use in self._uses:
            gradient = working(batch.gradients[use.operation.node])
            wanted = gradient
            if self._projected is not None:
                known = self._projected[use.read.weight].response(use.operation, batch.values[use.operation.source])
                wanted = gradient - known
            columns = slice(sum(self._widths[: use.number]), sum(self._widths[: use.number + 1]))
            both = torch.cat([gradient, wanted], dim=use.operation.channel)
            for units, part in maps(use, self._width, batch.values, both):
                plain, left = part.chunk(2, dim=use.operation.channel)
                self._cross[:, columns] += moment(use, units, plain.contiguous())
                if self._left is not None:
                    self._left[:, columns] += moment(use, units, left.contiguous())
                if self._second is not None:
                    self._second += second_moment(use, units).double() * batch.examples

    def found(self) -> Cross:
        """The sums of all ranks.

        Raises:
            MeasureError: one is not finite.
        """
        for each in (self._cross, self._left, self._second):
            if each is not None and not bool(summed(each).isfinite().all()):
                raise MeasureError("what new units would get is not finite on the calibration data")
        return Cross(self._cross, self._left, self._second)


_KNOWN: WeakKeyDictionary[Statistics, dict[tuple[object, ...], Cross]] = WeakKeyDictionary()


def cross(
    stats: Statistics, place: Place, uses: Sequence[Use], *, second: bool = False, projected: bool = False
) -> Cross:
    """What the calibration data say about new units of an axis; kept as long as ``stats``.

    Args:
        stats: of the model as it is. One pass forward and back over its batches, two with ``projected``.
        place: of the units.
        uses: all of them.
        second: whether S is wanted.
        projected: whether the gradient without the best update of the consumers is wanted.

    Raises:
        MeasureError: the model has changed since it was measured, or a sum is not finite.
    """
    stats.require_current()
    known = _KNOWN.setdefault(stats, {})
    factors = tuple((use.operation.node, way.producer.node, way.factor) for use in uses for way in use.ways)
    key = (place.unit.axis, factors, second, projected)
    if key not in known:
        known[key] = _computed(stats, place, uses, second, projected)
    return known[key]


def _computed(stats: Statistics, place: Place, uses: Sequence[Use], second: bool, projected: bool) -> Cross:
    state = state_of(stats.graph.program.exported)
    best = updates(stats, place.reads, state) if projected else None
    widths = [outgoing(place, read.weight, state[read.weight]).shape[1] for read in place.reads]
    device = state[place.reads[0].weight].device
    sums = Sums(place, uses, widths, best, second, device)
    values = {each for use in uses for each in (use.operation.source, *(way.producer.source for way in use.ways))}
    for batch in played(stats, values, {use.operation.node for use in uses}):
        sums.add(batch)
    return sums.found()


def outgoing(place: Place, name: str, weight: Tensor) -> Tensor:
    """The outgoing weights of the units that are there, in one consumer: float64 [m, entries], as edits take them."""
    (read,) = (each for each in place.reads if each.weight == name)
    inputs = weight.detach().double().movedim(1 - read.dim, 0)
    return inputs[entries_by_unit(read.unit).to(weight.device)].flatten(1)
