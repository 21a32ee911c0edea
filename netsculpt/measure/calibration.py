"""One calibration pass over a traced model."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias, TypeVar, get_args

import torch
from torch import nn

from netsculpt.errors import ArgumentError, MeasureError
from netsculpt.graph import Graph
from netsculpt.measure.batches import batch_of
from netsculpt.measure.consumers import find_consumers
from netsculpt.measure.grams import GramSums
from netsculpt.measure.labels import Accuracy
from netsculpt.measure.passes import held, played, sampled
from netsculpt.measure.ranks import summed
from netsculpt.measure.statistics import LossFn, Statistics, versions
from netsculpt.measure.units import find_units

Purpose: TypeAlias = Literal["split", "prune", "grow"]
T = TypeVar("T")
BYTES = 2 << 30


def measure(
    model: nn.Module,
    graph: Graph,
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
    """Run calibration batches through a model in eval mode and keep what they say about its units.

    Args:
        model: the graph's; not changed. Nothing of it gets a gradient.
        graph: as ``trace`` made it, or as edits have kept it.
        loader: batches: a tuple or list of the model's inputs and then the target, or a dict of keyword arguments of
            the model, which then is the target, too.
        loss_fn: ``loss_fn(model's answer, target)``, a scalar: the mean over a batch.
        for_: what the pass is for, one or several: ``"split"`` keeps how the loss bends with the units, ``"prune"``
            what units add to the operations that use them, which needs no gradients; ``"grow"`` keeps the loss and
            the batches alone. What is asked for later and was not kept is measured then, by another pass over the same
            batches.
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
    purposes = _purposes(for_)
    if not step > 0 or not math.isfinite(step):
        raise ArgumentError(f"step must be a length above 0, not {step!r}")
    if kink != "triangle" and (isinstance(kink, str) or not kink > 0):
        raise ArgumentError(f"kink must be 'triangle' or the β of a softplus, not {kink!r}")
    if max_batches is not None and max_batches < 1:
        raise ArgumentError(f"max_batches must be above 0, or None for all, not {max_batches!r}")
    names = None if axes is None else graph.names(axes)
    (units, reasons), (consumers, unread) = find_units(graph), find_consumers(graph)
    if "split" in purposes:
        units = _wanted(units, reasons, names)
    if "prune" in purposes:
        consumers = _wanted(consumers, unread, names)
    batches = [batch_of(each, graph) for _, each in zip(range(max_batches or 1 << 60), loader, strict=False)]
    if not batches:
        raise ArgumentError("the loader has no batch")
    examples, count = summed(torch.tensor([sum(batch.size for batch in batches), len(batches)])).tolist()
    stats = Statistics(
        model, graph, units, reasons, 0.0, examples, count, step, consumers, unread, batches, loss_fn, kink
    )
    _pass(stats, purposes, max_bytes)
    stats.made_for = versions(model)
    return stats


def _pass(stats: Statistics, purposes: Sequence[Purpose], room: int) -> None:
    sums = GramSums(stats, stats.consumers) if "prune" in purposes else None
    watched = None if sums is None else sums.watched
    loss, right, chance = torch.zeros((), dtype=torch.float64), torch.zeros(()), None
    for batch in stats.data:
        if "split" in purposes:
            outcome, samples = sampled(stats, stats.units, batch, watched)
            room -= held(samples.values())  # once below zero it stays there
            if room >= 0:
                stats.kept.append(samples)
        else:
            outcome = played(stats, batch, watched)
        loss += outcome.loss.double().cpu()
        if outcome.right is not None:
            right += outcome.right[0]
            chance = 1 / outcome.right[1]
    stats.loss, right = float(summed(loss)), summed(right)
    stats.accuracy = None if chance is None else Accuracy(float(right) / stats.examples, chance)
    if sums is not None:
        stats.products.update(sums.grams())


def _purposes(given: Sequence[Purpose] | Purpose) -> Sequence[Purpose]:
    purposes = [given] if isinstance(given, str) else list(given)
    if not purposes or any(each not in get_args(Purpose) for each in purposes):
        raise ArgumentError(f"for_ must be one or several of {', '.join(map(repr, get_args(Purpose)))}, not {given!r}")
    return purposes


def _wanted(found: Mapping[str, T], reasons: Mapping[str, str], names: Sequence[str] | None) -> dict[str, T]:
    for name in names or ():
        if name not in found:
            raise ArgumentError(f"axis {name!r} cannot be measured: {reasons[name]}")
    if not found:
        raise MeasureError(f"no axis can be measured: {next(iter(reasons.values()), 'the model has none')}")
    return {name: each for name, each in found.items() if names is None or name in names}
