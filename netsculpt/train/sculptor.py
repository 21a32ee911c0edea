"""A model with its graph and what trains it: measured, changed by plans, and told whether predictions came true."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from torch import nn
from torch.optim import Optimizer

from netsculpt.edit import Plan, apply, undo
from netsculpt.edit.averages import Average
from netsculpt.edit.wrappers import unwrapped
from netsculpt.graph import Axis, Cost, trace
from netsculpt.graph.tracing import retrace
from netsculpt.measure import LossFn, Purpose, Statistics, measure
from netsculpt.measure.calibration import BYTES


class Applied(NamedTuple):
    """What a plan did.

    Attributes:
        before: parameters and multiply-accumulates before.
        after: the same afterwards.
        predicted: change of the loss that the plan predicted; None where it did not.
        measured: change of the loss on the calibration data; None where nothing had been measured.
    """

    before: Cost
    after: Cost
    predicted: float | None
    measured: float | None

    def __str__(self) -> str:
        params, macs = (f"{a:,} → {b:,}" for a, b in zip(self.before, self.after, strict=True))
        sizes = f"{params} parameters, {macs} MACs"
        told = [
            f"{name} {value:+.3e}"
            for name, value in (("predicted", self.predicted), ("measured", self.measured))
            if value is not None
        ]
        return f"{sizes}; change of the loss: {', '.join(told)}" if told else sizes


class Sculptor:
    """A model that is pruned, split and grown while it trains.

    Args:
        model: changed in place by ``apply``. A DistributedDataParallel is seen through and cannot be edited: rewrap it.
        example_inputs: a tensor, a tuple of arguments or a dict of keyword arguments, as for ``trace``.
        optimizer: what trains the model, one or several; its state follows every edit.
        ema: averages of the model to be edited alike.
        ignored_layers: as for ``trace``.

    Attributes:
        model: the model.
        graph: its graph, which follows the edits.

    Raises:
        GraphError: the model cannot be traced.
    """

    def __init__(
        self,
        model: nn.Module,
        example_inputs: Any,
        optimizer: Optimizer | Sequence[Optimizer] | None = None,
        *,
        ema: Average | Sequence[Average] | None = None,
        ignored_layers: Iterable[nn.Module | str | tuple[nn.Module | str, str]] = (),
    ) -> None:
        self.model = model
        self.graph = trace(unwrapped(model), example_inputs, ignored_layers=ignored_layers)
        self._optimizer = optimizer
        self._ema = ema
        self._stats: Statistics | None = None
        self._traced = True

    @property
    def axes(self) -> tuple[Axis, ...]:
        """The axes that can change."""
        return self.graph.sculptable

    def measure(
        self,
        loader: Iterable[Any],
        loss_fn: LossFn,
        *,
        for_: Sequence[Purpose] | Purpose = "split",
        step: float = 1e-2,
        kink: str | float = "triangle",
        max_batches: int | None = None,
        max_bytes: int = BYTES,
        axes: Iterable[str] | None = None,
    ) -> Statistics:
        """One calibration pass, as ``netsculpt.measure.measure`` describes it; methods make plans of it."""
        self._retrace()
        self._stats = measure(
            unwrapped(self.model),
            self.graph,
            loader,
            loss_fn,
            for_=for_,
            step=step,
            kink=kink,
            max_batches=max_batches,
            max_bytes=max_bytes,
            axes=axes,
        )
        return self._stats

    def apply(self, plan: Plan, *, check: bool = True) -> Applied:
        """Do what a plan says, in place, and measure what it does to the loss that was measured last.

        Args:
            plan: made for the model as it is.
            check: run the example inputs before and after, as ``netsculpt.apply`` does.

        Raises:
            EditError: as ``netsculpt.apply``; nothing is changed then.
        """
        stats = self._stats if self._stats is not None and self._stats.is_current else None
        cost = self.graph.cost()
        if len(plan):
            apply(plan, self.model, self._optimizer, self._ema, graph=self.graph, check=check)
            self._traced, self._stats = False, None
        measured = None
        if stats is not None:
            measured = stats.loss_of(unwrapped(self.model)) - stats.loss
        return Applied(cost, self.graph.cost(), plan.predicted, measured)

    def undo(self) -> None:
        """Take the last plan back, optimizer slots included."""
        undo(self.model)
        self._traced, self._stats = False, None

    def _retrace(self) -> None:
        """The traced program is that of the model before the last edit."""
        if not self._traced:
            retrace(self.graph, unwrapped(self.model))
            self._traced = True
