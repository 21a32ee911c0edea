"""One batch through the traced program: its loss, and what is kept of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from netsculpt.errors import ArgumentError, MeasureError
from netsculpt.graph.program import Inputs
from netsculpt.graph.untouched import tracing_mode
from netsculpt.measure.batches import Batch, on
from netsculpt.measure.kinks import Kernel
from netsculpt.measure.labels import right_of
from netsculpt.measure.playback import Playback, Watched
from netsculpt.measure.samples import Sample
from netsculpt.measure.units import Unit

if TYPE_CHECKING:
    from netsculpt.measure.statistics import Statistics


class Outcome(NamedTuple):
    """What a batch came to: its share of the loss, and where targets are classes (examples that are right, classes)."""

    loss: Tensor
    right: tuple[int, int] | None


def played(stats: Statistics, batch: Batch, watched: Watched | None = None) -> Outcome:
    """Without gradients."""
    inputs, target = on(stats.model, batch)
    with tracing_mode(stats.model), torch.no_grad():
        answer = _answer(Playback(stats.graph.program.exported, watched=watched), inputs)
        return Outcome(_share(stats, batch, answer, target), right_of(answer, target))


def sampled(
    stats: Statistics, units: Mapping[str, Unit], batch: Batch, watched: Watched | None = None
) -> tuple[Outcome, dict[str, Sample]]:
    """With the samples of units."""
    keep = {name for u in units.values() for name in (*u.sides, *(n for p in u.producers for n in (p.source, p.node)))}
    playback = Playback(
        stats.graph.program.exported, keep, [use for unit in units.values() for use in unit.uses], watched
    )
    inputs, target = on(stats.model, batch)
    with tracing_mode(stats.model), torch.enable_grad():
        answer = _answer(playback, inputs)
        share = _share(stats, batch, answer, target)
        if not share.requires_grad:
            raise ArgumentError("loss_fn must return a function of the model's answer that can be differentiated")
        found = torch.autograd.grad(share, list(playback.taps.values()), allow_unused=True)
    gradients = {
        use: torch.zeros_like(tap) if gradient is None else gradient
        for (use, tap), gradient in zip(playback.taps.items(), found, strict=True)
    }
    kept = _laid_out(playback.kept, units)
    samples = {name: _sample(unit, kept, gradients, stats) for name, unit in units.items()}
    return Outcome(share.detach(), right_of(answer, target)), samples


def _share(stats: Statistics, batch: Batch, answer: Any, target: Any) -> Tensor:
    loss = stats.loss_fn(answer, target)
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        raise ArgumentError("loss_fn must return a scalar tensor, the mean over the batch")
    if not bool(loss.isfinite()):
        raise MeasureError(f"the loss on the calibration data is {float(loss.detach())}, not a finite number")
    return loss * (batch.size / stats.examples)


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
    kind = stats.kernel
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


def held(samples: Iterable[Sample]) -> int:
    """What samples hold, shared memory once."""
    found: dict[int, int] = {}
    for sample in samples:
        for leaf in pytree.tree_leaves((sample.inputs, sample.results, dict(sample.sides), dict(sample.gradients))):
            if isinstance(leaf, Tensor):
                found[leaf.untyped_storage().data_ptr()] = leaf.untyped_storage().nbytes()
    return sum(found.values())
