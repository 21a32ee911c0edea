"""Sums over the calibration data that say which new units the loss asks for.

A unit of incoming weights α and outgoing weights ω changes the loss by αᵀ N ω at first order, N = Σ x ⊗ γ with x what
the unit is made of and γ the gradient at what one of its outgoing weights adds to, summed over all pairs of a result
and a place of the kernel there. αᵀ S α is the second moment of what these weights read.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from netsculpt.errors import MeasureError
from netsculpt.measure.producers import PRODUCTS, Producer
from netsculpt.measure.ranks import summed
from netsculpt.methods.growing.initial.maps import maps, moment, second_moment
from netsculpt.methods.growing.initial.places import Place, Use
from netsculpt.methods.growing.initial.playing import Played, working
from netsculpt.methods.growing.initial.projection import Update
from netsculpt.methods.growing.initial.shifted import Moment, SecondMoment, read_often, results, shiftable


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
    """Sums up a ``Cross``, batch by batch: pairs of convolutions by shifts, all else by the patches themselves.

    Products are summed in the model's dtype, at least float32; the sums of batches are added in float64.

    Args:
        place: of the units.
        uses: all of them.
        widths: entries of a unit's outgoing weights, by consumer.
        projected: consumer's weight -> its best update; None for no projection.
        second: whether to sum up S.
        device: where the model is.
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
        self._uses, self._projected, self._width = uses, projected, place.width
        ends = list(itertools.accumulate(widths))
        self._columns = [slice(end - width, end) for end, width in zip(ends, widths, strict=True)]
        self._both = torch.zeros(
            1 if projected is None else 2, place.width, ends[-1], dtype=torch.float64, device=device
        )
        self._second = self._both.new_zeros(place.width, place.width) if second else None
        self._moments: dict[tuple[str, str], Moment] = {}
        self._seconds: dict[tuple[str, str], SecondMoment] = {}

    def add(self, batch: Played) -> None:
        """One batch."""
        for use in self._uses:
            gradients = self._gradients(use, batch)
            shifted = self._add_shifted(use, batch, torch.cat(gradients, use.operation.channel))
            squared = self._second is None or self._add_squared(use, batch, gradients[0])
            if not shifted or not squared:
                self._add_patches(use, batch, gradients, not shifted, not squared)

    def found(self, examples: int) -> Cross:
        """The sums of all ranks, complete.

        Args:
            examples: of all ranks.

        Raises:
            MeasureError: one is not finite.
        """
        for use in self._uses:
            for way in use.ways:
                key = (use.operation.node, way.producer.node)
                if key in self._moments:
                    sums = self._moments[key].total().chunk(len(self._both), 1)
                    for each, found in zip(self._both, sums, strict=True):
                        each[way.rows, self._columns[use.number]] += way.factor * found
                if key in self._seconds:
                    assert self._second is not None
                    self._second[way.rows, way.rows] += way.factor**2 * self._seconds[key].total()
        for sums in (self._both, self._second):
            if sums is not None and not bool(summed(sums).isfinite().all()):
                raise MeasureError("what new units would get is not finite on the calibration data")
        second = None if self._second is None else self._second / examples
        return Cross(self._both[0], self._both[1] if len(self._both) > 1 else None, second)

    def _gradients(self, use: Use, batch: Played) -> list[Tensor]:
        """At the use's results, and what is left of it."""
        gradient = working(batch.gradients[use.operation.node])
        if self._projected is None:
            return [gradient]
        x = working(batch.values[use.operation.source])
        return [gradient, gradient - self._projected[use.read.weight].response(use.operation, x)]

    def _add_shifted(self, use: Use, batch: Played, gradients: Tensor) -> bool:
        """N, if all ways are pairs of convolutions."""
        if not all(_direct(use, way.producer, batch) and not way.pools for way in use.ways):
            return False
        for way in use.ways:
            key = (use.operation.node, way.producer.node)
            if key not in self._moments:
                self._moments[key] = Moment(way.producer, use.operation)
            self._moments[key].add(working(batch.values[way.producer.source]), gradients)
        return True

    def _add_squared(self, use: Use, batch: Played, gradient: Tensor) -> bool:
        """S, if there is one way, from a convolution whose results are read as they are."""
        way = use.ways[0]
        if len(use.ways) > 1 or way.pools or not shiftable(way.producer):
            return False
        x = working(batch.values[way.producer.source])
        sizes = results(way.producer, x)
        flat = use.operation.kind in PRODUCTS and use.read.columns.shape[1] == math.prod(sizes)
        if not flat and not _direct(use, way.producer, batch):
            return False
        key = (use.operation.node, way.producer.node)
        if key not in self._seconds:
            self._seconds[key] = SecondMoment(way.producer)
        often = None if flat else read_often(use.operation, sizes, gradient.shape[2:])
        self._seconds[key].add(x, often)
        return True

    def _add_patches(self, use: Use, batch: Played, gradients: Sequence[Tensor], moments: bool, squares: bool) -> None:
        values = {way.producer.source: working(batch.values[way.producer.source]) for way in use.ways}
        channel = use.operation.channel
        for units, part in maps(use, self._width, values, torch.cat(list(gradients), channel)):
            if moments:
                for each, gradient in zip(self._both, part.chunk(len(gradients), channel), strict=True):
                    each[:, self._columns[use.number]] += moment(use, units, gradient.contiguous())
            if squares:
                assert self._second is not None
                self._second += second_moment(use, units)


def _direct(use: Use, producer: Producer, batch: Played) -> bool:
    """Whether the use takes a convolution's results where they were made."""
    if not shiftable(producer, use.operation):
        return False
    return list(batch.values[use.operation.source].shape[2:]) == results(producer, batch.values[producer.source])
