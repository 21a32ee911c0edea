"""What the loss says about units at first order: activations times their gradients, where they are read."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from netsculpt import ops
from netsculpt.errors import MeasureError
from netsculpt.graph.untouched import tracing_mode
from netsculpt.measure.batches import Batch, on
from netsculpt.measure.once import once
from netsculpt.measure.playback import Playback
from netsculpt.measure.ranks import summed
from netsculpt.measure.readings import Reading, readings
from netsculpt.measure.statistics import Statistics


class Gains(NamedTuple):
    """First-order changes of the mean loss when units are scaled, with a the units and g its gradient; float64 [m].

    Attributes:
        signed: Σ a·g over everything.
        examples: Σ over examples of |Σ a·g over the example's positions and readings|.
        absolute: Σ |a·g| over everything.
        squared: Σ over examples of (Σ a·g over the example's positions and readings)².
    """

    signed: Tensor
    examples: Tensor
    absolute: Tensor
    squared: Tensor


@once
def gains(stats: Statistics) -> dict[str, Gains]:
    """Axis -> gains, of all axes that can change and are read somewhere, over the calibration data of all ranks.

    Args:
        stats: of the model as it is. One pass forward and back over its batches, which is kept as long as ``stats``.

    Raises:
        MeasureError: the model has changed since it was measured, or a gradient is not finite.
    """
    places = readings(stats.graph)
    sums = {name: torch.zeros(4, stats.graph[name].size, dtype=torch.float64) for name in places}
    for batch in stats.data:
        values, gradients = _values(stats, places, batch)
        for name, total in sums.items():
            total += _gains(places[name], values, gradients, batch.size).cpu()
    for name, total in sums.items():
        if not bool(summed(total).isfinite().all()):
            raise MeasureError(f"the gradient at the units of {name!r} is not finite on the calibration data")
    return {name: Gains(*total.unbind()) for name, total in sums.items()}


def _values(
    stats: Statistics, places: dict[str, list[Reading]], batch: Batch
) -> tuple[dict[str, Tensor], dict[tuple[str, str], Tensor]]:
    """What is read of a batch, and the gradient of the batch's share of the loss there."""
    uses = {(each.value, each.operation): None for found in places.values() for each in found}
    playback = Playback(stats.graph.program.exported, {value for value, _ in uses}, uses)
    inputs, target = on(stats.model, batch)
    with tracing_mode(stats.model), torch.enable_grad():
        loss = stats.loss_fn(playback.outputs(inputs), target) * (batch.size / stats.examples)
        found = torch.autograd.grad(loss, list(playback.taps.values()), allow_unused=True)
    gradients = {use: gradient for use, gradient in zip(playback.taps, found, strict=True) if gradient is not None}
    return playback.kept, gradients


def _gains(
    places: list[Reading], values: dict[str, Tensor], gradients: dict[tuple[str, str], Tensor], examples: int
) -> Tensor:
    """[4, m] of one batch: a unit's readings side by side, as positions."""
    pairs = [
        (each.laid_out(values[each.value], examples), each.laid_out(gradients[each.value, each.operation], examples))
        for each in places
        if (each.value, each.operation) in gradients
    ]
    if not pairs:  # the loss does not depend on them
        return torch.zeros(4, len(places[0].entries), dtype=torch.float64)
    a, g = (torch.cat(each, 2) if len(pairs) > 1 else each[0] for each in zip(*pairs, strict=True))
    whole = ops.taylor_gain(a, g)
    # The same values with examples as channels: an example's own sums.
    single = ops.taylor_gain(a.flatten(0, 1)[None], g.flatten(0, 1)[None]).signed.reshape(examples, -1)
    return torch.stack([whole.signed, single.abs().sum(0), whole.absolute, whole.squared])
