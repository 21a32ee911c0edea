"""What a calibration pass found, and what can still be asked of its data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from netsculpt.errors import ArgumentError, MeasureError
from netsculpt.graph import Graph
from netsculpt.graph.graph import listed
from netsculpt.graph.untouched import tracing_mode
from netsculpt.measure.batches import Batch, on
from netsculpt.measure.consumers import Consumption
from netsculpt.measure.coordinates import Coordinates
from netsculpt.measure.grams import Gram, GramSums
from netsculpt.measure.labels import Accuracy
from netsculpt.measure.passes import played, sampled
from netsculpt.measure.playback import state_of
from netsculpt.measure.ranks import summed
from netsculpt.measure.samples import Sample
from netsculpt.measure.units import Unit

LossFn: TypeAlias = Callable[[Any, Any], Tensor]


@dataclass(eq=False)
class Statistics:
    """What a calibration pass found. Belongs to the model as it was then.

    Attributes:
        model: the model.
        graph: of the model.
        units: what was measured, by axis.
        reasons: axis -> why it was not.
        loss: mean loss on the calibration data.
        examples: number of calibration examples, of all ranks.
        batches: number of their batches.
        step: length of the offsets for which kinks were smeared.
        consumers: what uses the units, of every axis whose consumers can be imitated with fewer units.
        unread: axis -> why they cannot be.
        data: the batches of this rank.
        loss_fn: what was measured.
        kernel: what bends at a kink.
        accuracy: where targets are classes, how often the model is right.
        kept: the samples of the first batches, as far as there was room.
        products: inner products of what units add, as far as they were summed up.
        made_for: the versions of the parameters and buffers that were measured.
    """

    model: nn.Module = field(repr=False)
    graph: Graph
    units: Mapping[str, Unit]
    reasons: Mapping[str, str]
    loss: float
    examples: int
    batches: int
    step: float
    consumers: Mapping[str, Consumption]
    unread: Mapping[str, str]
    data: list[Batch] = field(repr=False)
    loss_fn: LossFn = field(repr=False)
    kernel: str | float = field(repr=False)
    accuracy: Accuracy | None = None
    kept: list[dict[str, Sample]] = field(default_factory=list, repr=False)
    products: dict[str, dict[str, Gram]] = field(default_factory=dict, repr=False)
    _coordinates: dict[str, Coordinates] = field(default_factory=dict, repr=False)
    made_for: tuple[tuple[int, int], ...] = field(default=(), repr=False)

    def samples(self, axes: Iterable[str] | None = None) -> Iterator[dict[str, Sample]]:
        """The samples of every batch, by axis: those that were kept, and the others measured anew.

        Raises:
            MeasureError: the model has changed since.
        """
        self.require_current()
        wanted = set(self.units if axes is None else axes)
        for number, batch in enumerate(self.data):
            if number < len(self.kept):
                yield {name: sample for name, sample in self.kept[number].items() if name in wanted}
            else:
                units = {name: unit for name, unit in self.units.items() if name in wanted}
                yield sampled(self, units, batch)[1]

    def consumed(self, axes: Iterable[str] | None = None) -> list[str]:
        """The named axes, or all whose consumers can be imitated.

        Raises:
            ArgumentError: one of them cannot be.
        """
        names = list(self.consumers) if axes is None else self.graph.names(axes)
        for name in names:
            if name not in self.consumers:
                why = self.unread.get(name, "it was not measured")
                raise ArgumentError(f"the consumers of axis {name!r} cannot be imitated: {why}")
        return names

    def grams(self, axes: Iterable[str] | None = None) -> dict[str, dict[str, Gram]]:
        """Axis -> consumer's weight -> inner products of what units add to it; summed up when first asked for.

        Raises:
            ArgumentError: the consumers of an axis cannot be imitated.
            MeasureError: the model has changed since, or a sum is not finite.
        """
        names = self.consumed(axes)
        missing = [name for name in names if name not in self.products]
        if missing:
            self.require_current()
            sums = GramSums(self, missing)
            for batch in self.data:
                played(self, batch, sums.watched)
            self.products |= sums.grams()
        return {name: self.products[name] for name in names}

    def measured(self, axes: Iterable[str] | None = None) -> list[str]:
        """The named axes, or all that were measured.

        Raises:
            ArgumentError: one of them was not measured.
        """
        names = list(self.units) if axes is None else listed(axes)
        for name in names:
            if name not in self.units:
                raise ArgumentError(f"axis {name!r} was not measured: {self.reasons.get(name, 'it is not there')}")
        return names

    def coordinates(self, axis: str) -> Coordinates:
        """How directions of the units of an axis lie in its parameters."""
        if axis not in self._coordinates:
            self._coordinates[axis] = Coordinates(self.units[axis], state_of(self.graph.program.exported))
        return self._coordinates[axis]

    def positions(self, axis: str) -> int:
        """Number of positions (examples, times pixels or tokens) of the calibration data at an axis: mean of ranks."""
        batch = next(iter(self.samples([axis])))[axis]
        y = batch.results[0]
        here = y.numel() // y.shape[batch.unit.producers[0].channel]
        mine = here * sum(each.size for each in self.data) / self.data[0].size
        total = summed(torch.tensor([mine, 1.0], dtype=torch.float64))  # all ranks must decide alike by it
        return round(float(total[0] / total[1]))

    def changes(self, directions: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What moving every unit by [m, d] does to the loss, the rest of the network at first order: axis -> [m]."""
        found = {name: torch.zeros(len(v), dtype=torch.float64, device=v.device) for name, v in directions.items()}
        for batch in self.samples(directions):
            for name, sample in batch.items():
                found[name] += sample.change(self.coordinates(name), directions[name])
        return {name: summed(each) for name, each in found.items()}

    def loss_of(self, model: nn.Module) -> float:
        """The mean loss of a model on the calibration data, in eval mode, such as of the one measured after an edit."""
        total = torch.zeros((), dtype=torch.float64)
        with tracing_mode(model), torch.no_grad():
            for batch in self.data:
                inputs, target = on(model, batch)
                loss = self.loss_fn(model(*inputs.args, **inputs.kwargs), target)
                total += float(loss) * batch.size / self.examples
        return float(summed(total))

    @property
    def is_current(self) -> bool:
        """Whether the model still has the parameters and buffers that were measured."""
        return self.made_for == versions(self.model)

    @classmethod
    def require(cls, stats: object) -> None:
        """Refuse what is no statistics, or of a model that has changed since.

        Raises:
            ArgumentError: it is something else.
            MeasureError: the model has changed.
        """
        if not isinstance(stats, cls):
            raise ArgumentError(f"stats must be Statistics, what measure returns, not {type(stats).__name__}")
        stats.require_current()

    def require_current(self) -> None:
        """Refuse to go on with a model that has changed since."""
        if not self.is_current:
            raise MeasureError("the model has changed since it was measured; measure it again")


def versions(model: nn.Module) -> tuple[tuple[int, int], ...]:
    """What tells that a parameter or buffer was replaced or written."""
    return tuple((id(tensor), tensor._version) for tensor in (*model.parameters(), *model.buffers()))
