"""One calibration pass: what the loss says about every unit that can be measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.utils import _pytree as pytree

from netsculpt.errors import ArgumentError, MeasureError
from netsculpt.graph import Graph
from netsculpt.graph.program import Inputs
from netsculpt.graph.untouched import tracing_mode
from netsculpt.measure.batches import Batch, batch_of, on
from netsculpt.measure.coordinates import Coordinates
from netsculpt.measure.kinks import Kernel
from netsculpt.measure.playback import Playback, state_of
from netsculpt.measure.samples import Sample
from netsculpt.measure.units import Unit, find_units

LossFn = Callable[[Any, Any], Tensor]
BYTES = 2 << 30


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
    """

    model: nn.Module = field(repr=False)
    graph: Graph
    units: Mapping[str, Unit]
    reasons: Mapping[str, str]
    loss: float
    examples: int
    batches: int
    step: float
    _batches: list[Batch] = field(repr=False)
    _loss_fn: LossFn = field(repr=False)
    _kernel: str | float = field(repr=False)
    _kept: list[dict[str, Sample]] = field(default_factory=list, repr=False)
    _coordinates: dict[str, Coordinates] = field(default_factory=dict, repr=False)
    _versions: tuple[tuple[int, int], ...] = field(default=(), repr=False)

    def samples(self, axes: Iterable[str] | None = None) -> Iterator[dict[str, Sample]]:
        """The samples of every batch, by axis: those that were kept, and the others measured anew.

        Raises:
            MeasureError: the model has changed since.
        """
        self.require_current()
        wanted = set(self.units if axes is None else axes)
        for number, batch in enumerate(self._batches):
            if number < len(self._kept):
                yield {name: sample for name, sample in self._kept[number].items() if name in wanted}
            else:
                units = {name: unit for name, unit in self.units.items() if name in wanted}
                yield _measured(self, units, batch)[1]

    def measured(self, axes: Iterable[str] | None = None) -> list[str]:
        """The named axes, or all that were measured.

        Raises:
            ArgumentError: one of them was not measured.
        """
        names = list(self.units if axes is None else axes)
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
        mine = here * sum(each.size for each in self._batches) / self._batches[0].size
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
            for batch in self._batches:
                inputs, target = on(model, batch)
                loss = self._loss_fn(model(*inputs.args, **inputs.kwargs), target)
                total += float(loss) * batch.size / self.examples
        return float(summed(total))

    @property
    def is_current(self) -> bool:
        """Whether the model still has the parameters and buffers that were measured."""
        return self._versions == _versions(self.model)

    def require_current(self) -> None:
        """Refuse to go on with a model that has changed since."""
        if not self.is_current:
            raise MeasureError("the model has changed since it was measured; measure it again")


def measure(
    model: nn.Module,
    graph: Graph,
    loader: Iterable[Any],
    loss_fn: LossFn,
    *,
    step: float = 1e-2,
    kink: str | float = "triangle",
    max_batches: int | None = None,
    max_bytes: int = BYTES,
    axes: Iterable[str] | None = None,
) -> Statistics:
    """Run calibration batches through a model in eval mode and keep what the loss says about its units.

    Args:
        model: the graph's; not changed. Nothing of it gets a gradient.
        graph: as ``trace`` made it, or as edits have kept it.
        loader: batches: a tuple or list of the model's inputs and then the target, or a dict of keyword arguments of
            the model, which then is the target, too.
        loss_fn: ``loss_fn(model's answer, target)``, a scalar: the mean over a batch.
        step: length of the offsets that are to be tried, in the units of the weights.
        kink: what bends at a kink of an activation: ``"triangle"`` of the width of the step, or the β of a softplus
            whose second derivative stands for it (3 in the published code).
        max_batches: as many batches at most; None for all.
        max_bytes: as much of the activations is kept; the rest is computed anew when it is needed.
        axes: names of the axes to measure; all that can be by default.

    Returns:
        Statistics. Under torch.distributed every rank measures its own batches, and sums go over all ranks.

    Raises:
        ArgumentError: no batch, or one that does not fit the model, or the loss is not a scalar.
        MeasureError: the loss or a gradient is not finite, or no axis can be measured.
    """
    if not step > 0 or not math.isfinite(step):
        raise ArgumentError(f"step must be a length above 0, not {step!r}")
    if kink != "triangle" and (isinstance(kink, str) or not kink > 0):
        raise ArgumentError(f"kink must be 'triangle' or the β of a softplus, not {kink!r}")
    units, reasons = find_units(graph)
    if max_batches is not None and max_batches < 1:
        raise ArgumentError(f"max_batches must be above 0, or None for all, not {max_batches!r}")
    if axes is not None:
        units = {graph[name].name: units[name] for name in axes if name in units or _refuse(name, graph, reasons)}
    if not units:
        raise MeasureError(f"no axis can be measured: {next(iter(reasons.values()), 'the model has none')}")
    batches = [batch_of(each, graph) for _, each in zip(range(max_batches or 1 << 60), loader, strict=False)]
    if not batches:
        raise ArgumentError("the loader has no batch")
    examples, count = summed(torch.tensor([sum(batch.size for batch in batches), len(batches)])).tolist()
    stats = Statistics(model, graph, units, reasons, 0.0, examples, count, step, batches, loss_fn, kink)
    loss, room = torch.zeros((), dtype=torch.float64), max_bytes
    for batch in batches:
        share, samples = _measured(stats, units, batch)
        loss += share.double().cpu()
        room -= _bytes(samples.values())  # once below zero it stays there
        if room >= 0:
            stats._kept.append(samples)
    stats.loss = float(summed(loss))
    stats._versions = _versions(model)
    return stats


def summed(tensor: Tensor) -> Tensor:
    """The sum over all ranks, in place."""
    if distributed.is_available() and distributed.is_initialized():
        distributed.all_reduce(tensor)
    return tensor


def _refuse(name: str, graph: Graph, reasons: Mapping[str, str]) -> bool:
    raise ArgumentError(f"axis {graph[name].name!r} cannot be measured: {reasons[name]}")


def _versions(model: nn.Module) -> tuple[tuple[int, int], ...]:
    return tuple((id(tensor), tensor._version) for tensor in (*model.parameters(), *model.buffers()))


def _measured(stats: Statistics, units: Mapping[str, Unit], batch: Batch) -> tuple[Tensor, dict[str, Sample]]:
    """A batch's share of the loss, and its samples."""
    keep = {name for u in units.values() for name in (*u.sides, *(n for p in u.producers for n in (p.source, p.node)))}
    playback = Playback(stats.graph.program.exported, keep, [use for unit in units.values() for use in unit.uses])
    inputs, target = on(stats.model, batch)
    with tracing_mode(stats.model), torch.enable_grad():
        loss = stats._loss_fn(_answer(playback, inputs), target)
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            raise ArgumentError("loss_fn must return a scalar tensor, the mean over the batch")
        if not bool(loss.isfinite()):
            raise MeasureError(f"the loss on the calibration data is {float(loss.detach())}, not a finite number")
        if not loss.requires_grad:
            raise ArgumentError("loss_fn must return a function of the model's answer that can be differentiated")
        share = loss * (batch.size / stats.examples)
        found = torch.autograd.grad(share, list(playback.taps.values()), allow_unused=True)
    gradients = {
        use: torch.zeros_like(tap) if gradient is None else gradient
        for (use, tap), gradient in zip(playback.taps.items(), found, strict=True)
    }
    kept = _laid_out(playback.kept, units)
    samples = {name: _sample(unit, kept, gradients, stats) for name, unit in units.items()}
    return share.detach(), samples


def _answer(playback: Playback, inputs: Inputs) -> Any:
    try:
        return playback.outputs(inputs)
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        what = "the loader has a batch on which the traced model does not run"
        raise ArgumentError(f"{what}: {str(error).splitlines()[0]}") from error


def _laid_out(kept: Mapping[str, Any], units: Mapping[str, Unit]) -> dict[str, Any]:
    """Pictures with channels last, in which the many convolutions to come are up to four times as fast on a CPU."""
    producers = [producer for unit in units.values() for producer in unit.producers if producer.kind == "conv2d"]
    pictures = {name: kept[name] for producer in producers for name in (producer.source, producer.node)}
    return {**kept, **{name: each.contiguous(memory_format=torch.channels_last) for name, each in pictures.items()}}


def _sample(
    unit: Unit, kept: Mapping[str, Any], gradients: Mapping[tuple[str, str], Tensor], stats: Statistics
) -> Sample:
    for use in unit.uses:
        if not bool(gradients[use].isfinite().all()):
            raise MeasureError(f"the gradient at the units of {unit.axis!r} is not finite")
    return Sample(
        unit,
        tuple(kept[producer.source] for producer in unit.producers),
        tuple(kept[producer.node] for producer in unit.producers),
        {name: kept[name] for name in unit.sides},
        {use: gradients[use] for use in unit.uses},
        _kernels(unit, kept, stats),
    )


def _kernels(unit: Unit, kept: Mapping[str, Any], stats: Statistics) -> Callable[[Tensor, Sequence[Tensor]], Kernel]:
    """Kernels as wide as an offset of the step, in a direction that every patch is along, moves what bends."""
    kind = stats._kernel
    if not isinstance(kind, str):
        beta = float(kind)
        return lambda z, results: Kernel("softplus", beta)
    norms = [p.patch_norm(kept[p.source], kept[p.node]) for p in unit.producers]

    def kernel(z: Tensor, results: Sequence[Tensor]) -> Kernel:
        slopes = torch.autograd.grad(z.sum(), list(results), retain_graph=True, allow_unused=True)
        pairs = zip(slopes, norms, strict=True)
        width = sum(float(slope.square().mean().sqrt()) * norm for slope, norm in pairs if slope is not None)
        return Kernel("triangle", max(stats.step * width, 1e-12))

    return kernel


def _bytes(samples: Iterable[Sample]) -> int:
    """What samples hold, shared memory once."""
    found: dict[int, int] = {}
    for sample in samples:
        for leaf in pytree.tree_leaves((sample.inputs, sample.results, dict(sample.sides), dict(sample.gradients))):
            if isinstance(leaf, Tensor):
                found[leaf.untyped_storage().data_ptr()] = leaf.untyped_storage().nbytes()
    return sum(found.values())
