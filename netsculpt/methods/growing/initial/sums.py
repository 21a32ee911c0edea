"""Sums over the calibration data that say which new units the loss asks for.

A unit of incoming weights α and outgoing weights ω changes the loss by αᵀ N ω at first order, N = Σ x ⊗ γ with x what
the unit is made of and γ the gradient at what one of its outgoing weights adds to, summed over all pairs of a result
and a place of the kernel there. αᵀ S α is the second moment of what these weights read.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from netsculpt.errors import MeasureError
from netsculpt.measure.producers import PRODUCTS, Producer
from netsculpt.measure.ranks import summed
from netsculpt.methods.growing.initial.maps import maps, moment, second_moment
from netsculpt.methods.growing.initial.places import Use
from netsculpt.methods.growing.initial.playing import Played, working
from netsculpt.methods.growing.initial.projection import Update
from netsculpt.methods.growing.initial.shifted import Moment, SecondMoment, read_often, results, shiftable


class Cross(NamedTuple):
    """Of d incoming and e outgoing weights of a unit.

    Attributes:
        cross: float64 [d, e], N for the gradient of the mean loss.
        left: [d, e], N for what is left of the gradient after the best update of the consumers; None if not asked for.
        second: [d, d], S, the mean over examples; None if not asked for.
    """

    cross: Tensor
    left: Tensor | None
    second: Tensor | None


class UseSums:
    """Sums up a ``Cross`` of one use, batch by batch: pairs of convolutions by shifts, all else by patches themselves.

    Products are summed in the model's dtype, at least float32; the sums of batches are added in float64.

    Args:
        use: the operation.
        shape: (d, e).
        update: the best update of its weight; None for no projection.
        second: whether to sum up S.
        device: where the model is.
    """

    def __init__(
        self, use: Use, shape: tuple[int, int], update: Update | None, second: bool, device: torch.device
    ) -> None:
        self._use, self._update = use, update
        self._both = torch.zeros(1 if update is None else 2, *shape, dtype=torch.float64, device=device)
        self._second = self._both.new_zeros(shape[0], shape[0]) if second else None
        self._moments: dict[str, Moment] = {}
        self._squares: SecondMoment | None = None

    def add(self, batch: Played) -> None:
        """One batch."""
        gradients = self._gradients(batch)
        shifted = self._add_shifted(batch, gradients)
        squared = self._second is None or self._add_squared(batch, gradients[0])
        if not shifted or not squared:
            self._add_patches(batch, gradients, not shifted, not squared)

    def found(self, examples: int) -> Cross:
        """The sums of all ranks, complete.

        Args:
            examples: of all ranks.

        Raises:
            MeasureError: one is not finite.
        """
        for way in self._use.ways:
            if way.producer.node in self._moments:
                self._moments[way.producer.node].add_to([each[way.rows] for each in self._both], way.factor)
        if self._second is not None and self._squares is not None:
            (way,) = self._use.ways
            self._squares.add_to(self._second[way.rows, way.rows], way.factor**2)
        for total in (self._both, self._second):
            if total is not None and not bool(summed(total).isfinite().all()):
                raise MeasureError(f"what {self._use.operation.node} would get of new units is not finite")
        left = None if self._update is None else self._both[1]
        return Cross(self._both[0], left, None if self._second is None else self._second.div_(examples))

    def _gradients(self, batch: Played) -> list[Tensor]:
        """At the use's results, and what is left of it."""
        gradient = working(batch.gradients[self._use.operation.node])
        if self._update is None:
            return [gradient]
        x = working(batch.values[self._use.operation.source])
        return [gradient, gradient - self._update.response(self._use.operation, x)]

    def _add_shifted(self, batch: Played, gradients: Sequence[Tensor]) -> bool:
        """N, if all ways are pairs of convolutions."""
        use = self._use
        if not all(_direct(use, way.producer, batch) and not way.pools for way in use.ways):
            return False
        both = torch.cat(list(gradients), 1)
        for way in use.ways:
            if way.producer.node not in self._moments:
                self._moments[way.producer.node] = Moment(way.producer, use.operation)
            self._moments[way.producer.node].add(working(batch.values[way.producer.source]), both)
        return True

    def _add_squared(self, batch: Played, gradient: Tensor) -> bool:
        """S, if there is one way, from a convolution whose results are read as they are."""
        (way, *others), operation = self._use.ways, self._use.operation
        if others or way.pools or not shiftable(way.producer):
            return False
        x = working(batch.values[way.producer.source])
        sizes = results(way.producer, x)
        flat = operation.kind in PRODUCTS and self._use.read.columns.shape[1] == math.prod(sizes)
        if not flat and not _direct(self._use, way.producer, batch):
            return False
        if self._squares is None:
            self._squares = SecondMoment(way.producer)
        self._squares.add(x, None if flat else read_often(operation, sizes, gradient.shape[2:]))
        return True

    def _add_patches(self, batch: Played, gradients: Sequence[Tensor], moments: bool, squares: bool) -> None:
        use, channel = self._use, self._use.operation.channel
        values = {way.producer.source: working(batch.values[way.producer.source]) for way in use.ways}
        for units, part in maps(use, self._both.shape[1], values, torch.cat(list(gradients), channel)):
            if moments:
                for each, gradient in zip(self._both, part.chunk(len(gradients), channel), strict=True):
                    each += moment(use, units, gradient.contiguous())
            if squares:
                assert self._second is not None
                self._second += second_moment(use, units)


def _direct(use: Use, producer: Producer, batch: Played) -> bool:
    """Whether the use takes a convolution's results where they were made."""
    if not shiftable(producer, use.operation):
        return False
    return list(batch.values[use.operation.source].shape[2:]) == results(producer, batch.values[producer.source])
