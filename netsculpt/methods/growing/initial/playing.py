"""Calibration batches through the traced program, with the gradients at what some operations give."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram

from netsculpt.errors import ArgumentError, MeasureError
from netsculpt.graph.untouched import tracing_mode
from netsculpt.measure import Statistics
from netsculpt.measure.batches import Batch, on
from netsculpt.measure.playback import Playback


class Played(NamedTuple):
    """What one batch came to.

    Attributes:
        values: name of a value -> what it was, before anything wrote over it.
        gradients: name of an operation -> dL/d(its result), L the batch's share of the mean loss.
    """

    values: dict[str, Tensor]
    gradients: dict[str, Tensor]

    @property
    def bytes(self) -> int:
        """What it holds."""
        return sum(each.nbytes for each in (*self.values.values(), *self.gradients.values()))


def played(stats: Statistics, values: Collection[str], gradients: Collection[str], start: int = 0) -> Iterator[Played]:
    """The batches of this rank, one after the other.

    Args:
        stats: of the model as it is.
        values: names of the values to keep.
        gradients: names of the operations at whose results gradients are wanted.
        start: number of the first batch.

    Raises:
        MeasureError: the model has changed since it was measured, or a gradient is not finite.
    """
    stats.require_current()
    for batch in stats.data[start:]:
        yield _one(stats, batch, values, gradients)


def _one(stats: Statistics, batch: Batch, values: Collection[str], gradients: Collection[str]) -> Played:
    playback = _Tapped(stats.graph.program.exported, values, gradients)
    inputs, target = on(stats.model, batch)
    with tracing_mode(stats.model), torch.enable_grad():
        loss = stats.loss_fn(playback.outputs(inputs), target) * (batch.size / stats.examples)
        if not loss.requires_grad:
            raise ArgumentError("loss_fn must return a function of the model's answer that can be differentiated")
        found = torch.autograd.grad(loss, list(playback.results.values()), allow_unused=True)
    known: dict[str, Tensor] = {}
    for (name, result), gradient in zip(playback.results.items(), found, strict=True):
        known[name] = torch.zeros_like(result) if gradient is None else gradient
        if not bool(known[name].isfinite().all()):
            raise MeasureError(f"the gradient at the result of {name} is not finite")
    return Played(playback.kept, known)


class _Tapped(Playback):
    """A playback that keeps what some operations give, as something to ask gradients for."""

    def __init__(self, exported: ExportedProgram, values: Collection[str], results: Collection[str]) -> None:
        super().__init__(exported, values)
        self._wanted = frozenset(results)
        self.results: dict[str, Tensor] = {}

    def run_node(self, n: fx.Node) -> Any:
        """One operation; what takes its result may write over it."""
        result = super().run_node(n)
        if n.name not in self._wanted:
            return result
        self.results[n.name] = result if result.requires_grad else result.detach().requires_grad_()
        return self.results[n.name].clone()


def working(x: Tensor) -> Tensor:
    """In a dtype that sums can be made in: half precision as float32."""
    return x.detach().float() if x.dtype in (torch.float16, torch.bfloat16) else x.detach()
