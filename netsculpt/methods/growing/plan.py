"""Firefly descent as a plan: the best network in the neighbourhood of the one that is there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import get_args

from netsculpt.arguments import require_count, require_one_of, require_seed, require_share, require_some_of
from netsculpt.choice import Limits, Solver
from netsculpt.edit import Budget, InsertLayer, Plan
from netsculpt.errors import ArgumentError
from netsculpt.measure import Statistics
from netsculpt.measure.batches import Batch
from netsculpt.measure.ranks import least
from netsculpt.methods.growing.arguments import counts
from netsculpt.methods.growing.groups import Kind
from netsculpt.methods.growing.layers import candidates as layers_for
from netsculpt.methods.growing.materialise import plan_of
from netsculpt.methods.growing.overlay import Gates, Overlay
from netsculpt.methods.growing.scores import Path, integrated, loss_with
from netsculpt.methods.growing.selection import count, select
from netsculpt.methods.growing.tuning import Tuning, draw, tune
from netsculpt.methods.growing.widening import Init, widened

HALVINGS = 6  # of candidates that went too far


def grow(
    stats: Statistics,
    budget: Budget | Limits,
    *,
    kinds: Sequence[Kind] = ("split", "new"),
    init: Init = "firefly",
    new_units: float | Mapping[str, int] | None = None,
    layer_units: float = 1.0,
    axes: Iterable[str] | None = None,
    after: Iterable[str] | None = None,
    tuning: Tuning | None = None,
    retuning: Tuning | None = None,
    nodes: int = 3,
    path: Path = "joint",
    rounds: int = 4,
    held_out: float = 0.25,
    solver: Solver = "greedy",
    latency: Callable[[Mapping[str, int]], float] | None = None,
    seed: int = 0,
) -> Plan:
    """Make a network wider and deeper by what lowers its loss most: firefly descent.

    Candidates of all kinds are attached to a copy of the model, tuned by gradient steps while the model's own weights
    stay, scored by integrated gradients on data that did not tune them, and chosen together within the budget. The
    accepted ones are tuned once more, where that helps, and become edits; where all of them together raise the loss,
    half as much of each is tried, and half of that. The plan predicts the change of the loss on all of the
    calibration data, by running the model with the accepted candidates.

    Under torch.distributed all ranks must call it together, each with statistics of its own batches: candidates are
    tuned by the mean of their gradients and judged by all data, and every rank gets the same plan.

    Args:
        stats: of ``measure(..., for_="grow")``, or for anything else, of the model as it is.
        budget: of the model afterwards; or ``Limits``: caps by axis and group, several budgets, ``units`` for an exact
            number of candidates.
        kinds: what to grow by, one or several: "split", a unit becomes two at θ ± δ with half of its outgoing weights;
            "new", a unit with weights of its own; "layer", a residual layer, made of the hidden units that are chosen.
        init: what new units are: "firefly", all of the above; or of width alone and without tuning: "gradmax" and
            "tiny", as in ``netsculpt.methods.growing.initial``, chosen by the gains that those promise; "net2net",
            copies of random units; "random" ones that count for nothing at first. The last two grow all axes alike.
        new_units: candidates for new units, as a share of an axis's size, at least one; or by axis name. By default
            half of its size for "firefly", and as many as it has for the others.
        layer_units: hidden units of a candidate layer, as a share of the width that it reads.
        axes: names of the axes that may get wider; all that can by default.
        after: names of the layers behind which new ones may stand; by default activations and blocks.
        tuning: of all candidates.
        retuning: of the accepted ones; like ``tuning`` by default. ``Tuning(batches=0)`` for none.
        nodes: n of the integral's midpoint rule.
        path: "joint" or "coordinate", as in ``netsculpt.methods.growing.integrated``.
        rounds: accept the candidates in so many blocks, one after the other, and score the rest anew after each: what
            two candidates add together is not what they add apart.
        held_out: share of the calibration batches that scores and does not tune, where there are four at least.
        solver: ``"greedy"`` or ``"exact"``, as in ``netsculpt.choice.choose``.
        latency: seconds by sizes, for budgets with a latency, as there.
        seed: of the candidates' first values.

    Returns:
        A plan of ``Split``, ``Widen`` and ``InsertLayer``, without any where no candidate helps or fits. ``after`` has
        the cost with the layers.

    Raises:
        ArgumentError: an argument makes no sense, or nothing of these kinds can be attached to the model.
        BudgetError: the budget or the limits make no sense, or are exceeded already.
        MeasureError: the model has changed since it was measured, or the loss with the candidates is not finite.

    Source: L. Wu, B. Liu, P. Stone, Q. Liu, "Firefly Neural Architecture Descent: a General Approach for Growing
    Neural Networks" (2020).
    """
    Statistics.require(stats)
    require_some_of("kinds", kinds, get_args(Kind))
    require_one_of("init", init, get_args(Init))
    require_one_of("path", path, get_args(Path))
    require_count("nodes", nodes)
    require_count("rounds", rounds)
    require_share("held_out", held_out)
    require_seed(seed)
    tuning, retuning = _tunings(tuning, retuning)
    limits = budget if isinstance(budget, Limits) else Limits(budget)
    names = stats.graph.names(axes)
    new_units = (0.5 if init == "firefly" else 1.0) if new_units is None else new_units
    most = counts(stats.graph, names, new_units)
    if init != "firefly":
        return widened(stats, limits, init, most, solver=solver, latency=latency, seed=seed)
    layers = layers_for(stats.model, stats.graph, layer_units, after) if "layer" in kinds else []
    overlay = _attached(stats, kinds, names, most, layers)
    train, judge = parted(stats.data, held_out)
    draw(overlay, tuning, seed)
    tune(overlay, train, stats.loss_fn, tuning)
    gates = overlay.off()
    for number in range(rounds):
        scores = integrated(overlay, judge, stats.loss_fn, nodes, path, gates)
        share = 1 / (rounds - number)
        gates, _ = select(overlay, scores, limits, solver=solver, latency=latency, accepted=gates, share=share)
    if not count(gates):
        return Plan.of(stats.graph, [], predicted=0.0)
    predicted = _retuned(overlay, train, stats, retuning, gates) - stats.loss
    return plan_of(stats.model, stats.graph, overlay, gates, predicted)


def _retuned(overlay: Overlay, train: Sequence[Batch], stats: Statistics, tuning: Tuning, gates: Gates) -> float:
    """The accepted candidates tuned alone, where that helps; the loss with them."""
    values = [value for group in overlay.groups.values() for value in group.values.values()]
    before = loss_with(overlay, stats.data, stats.loss_fn, gates)
    kept = [value.clone() for value in values]
    tune(overlay, train, stats.loss_fn, tuning, gates)
    after = loss_with(overlay, stats.data, stats.loss_fn, gates)
    if after > before:  # a few steps may overshoot
        for value, each in zip(values, kept, strict=True):
            value.copy_(each)
    return _lowered(overlay, stats, gates, min(before, after))


def _lowered(overlay: Overlay, stats: Statistics, gates: Gates, loss: float) -> float:
    """Half as much of what the gates are before, a few times, where all of it raises the loss; the loss then."""
    for _ in range(HALVINGS):
        if loss < stats.loss:
            break
        for group in overlay.groups.values():
            for name in group.gated:
                group.values[name].mul_(0.5)
        loss = loss_with(overlay, stats.data, stats.loss_fn, gates)
    return loss


def parted(batches: Sequence[Batch], held_out: float) -> tuple[list[Batch], list[Batch]]:
    """Batches that tune, and batches that judge; all do both where there are fewer than four, on any rank."""
    few = least(len(batches)) < 4
    kept = max(1, round(held_out * len(batches))) if held_out and not few else 0
    return (list(batches[:-kept]), list(batches[-kept:])) if kept else (list(batches), list(batches))


def _tunings(tuning: Tuning | None, retuning: Tuning | None) -> tuple[Tuning, Tuning]:
    for name, value in (("tuning", tuning), ("retuning", retuning)):
        if value is not None and not isinstance(value, Tuning):
            raise ArgumentError(f"{name} must be a Tuning, such as Tuning(batches=50), or None, not {value!r}")
    tuning = Tuning() if tuning is None else tuning
    return tuning, tuning if retuning is None else retuning


def _attached(
    stats: Statistics,
    kinds: Sequence[Kind],
    names: Sequence[str],
    counts: Mapping[str, int],
    layers: Sequence[InsertLayer],
) -> Overlay:
    overlay = Overlay(stats.model, stats.graph, axes=names, kinds=kinds, new_units=counts, layers=layers)
    if not overlay.groups:
        none = (
            "it has no axis that can grow"
            if set(kinds) != {"layer"}
            else "there is no place for a layer; name some in after"
        )
        why = next((f"{name}: {reason}" for name, reason in overlay.reasons.items()), none)
        raise ArgumentError(f"nothing of kinds {', '.join(kinds)} can be attached to the model; {why}")
    return overlay
