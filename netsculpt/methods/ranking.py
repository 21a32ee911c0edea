"""Pruning by one number per unit: the plans that importance criteria lead to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from inspect import signature
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor

from netsculpt.choice import Limits, Option, Solver, choose
from netsculpt.edit import Budget, Plan, Prune
from netsculpt.errors import ArgumentError, GraphError, MeasureError
from netsculpt.graph import Axis, Graph
from netsculpt.methods.criteria import (
    COMPARABLE,
    CRITERIA,
    LOSSES,
    Inapplicable,
    Normaliser,
    Reduction,
    Subject,
    normalised,
)
from netsculpt.methods.levels import needs_choice, shares, sizes_within

Criterion: TypeAlias = str | Callable[..., Tensor]
Scope: TypeAlias = Literal["global", "threshold", "isomorphic", "local"]


def prune_by(
    stats: Subject,
    budget: Budget | Limits,
    criterion: Criterion = "l2",
    *,
    scope: Scope | None = None,
    reduce: Reduction | None = None,
    normalise: Normaliser | Callable[[Tensor], Tensor] | None = None,
    axes: Iterable[str] | None = None,
    solver: Solver = "greedy",
    latency: Callable[[Mapping[str, int]], float] | None = None,
) -> Plan:
    """Remove the least important units until the model is within a budget. What is left keeps its weights.

    Args:
        stats: of the model as it is. For criteria that look at nothing but weights a ``Sculptor`` will do, or a
            ``Pair`` of a model and its graph.
        budget: of the model afterwards, or ``Limits``.
        criterion: a name in ``CRITERIA``, or a function of ``stats`` and an axis's name that returns one finite number
            per unit, the higher the more it is worth; ``functools.partial(l1, reduce="first")`` is one.
        scope: what is compared with what. ``"global"``: all units, by importance per cost, the shared choice of all
            methods. ``"threshold"``: all units, by importance alone, as published for most criteria.
            ``"isomorphic"``: units of axes that are built alike, the same fraction of every such set. ``"local"``:
            units of one axis, the same fraction of every axis. By default ``"global"`` for names whose scores are
            changes of the loss, which can be weighed against costs, and where latency, a solver or limits ask for it;
            ``"threshold"`` for all else.
        reduce: how the scores of a unit's several places become one, where the criterion has such a choice.
        normalise: how scores of different axes become comparable, as in ``normalised``; by default ``"none"`` for
            names whose scores are comparable as they are, such as changes of the loss, and ``"mean"`` for all else.
        axes: names of the axes to prune; by default all that lose units exactly and that the criterion applies to.
        solver: for ``"global"``, as in ``netsculpt.choice.choose``.
        latency: for ``"global"``, seconds by sizes, for budgets with a latency, as in ``netsculpt.choice.choose``.

    Returns:
        A plan of one ``Prune`` per axis that loses units, without any where the model is small enough already. It
        predicts no loss: scores are not changes of the loss, or only to first order.

    Raises:
        ArgumentError: an argument makes no sense, or the criterion needs statistics and there are none.
        BudgetError: the budget or the limits make no sense, or cannot be kept; no axis is left without a unit.
        GraphError: an axis is not there or frozen.
        MeasureError: the model has changed since it was measured, or a score is not finite.

    Source: of ``"isomorphic"``, G. Fang et al., "Isomorphic Pruning for Vision Models" (2024).
    """
    function = _function(criterion, reduce)
    name = criterion if isinstance(criterion, str) else ""
    scores = _scores(stats, function, axes)
    how = normalise or ("none" if name in COMPARABLE else "mean")
    worth = {axis: _checked(normalised(each, how), stats.graph[axis]) for axis, each in scores.items()}
    limits = budget if isinstance(budget, Limits) else Limits(budget)
    shared = latency is not None or solver != "greedy" or needs_choice(limits)
    scope = _scope(scope, name, shared)
    if scope == "global":
        removed = _least_per_cost(stats.graph, worth, limits, solver, latency)
    else:
        sizes = sizes_within(stats.graph, limits, shares(stats.graph, worth, scope), list(worth))
        removed = {axis: _lowest(each, len(each) - sizes[axis]) for axis, each in worth.items()}
    return Plan.of(stats.graph, [Prune(axis, _kept(worth[axis], units)) for axis, units in removed.items() if units])


def _scope(given: Scope | None, criterion: str, shared: bool) -> Scope:
    """``shared``: whether something is asked that only the shared choice of all methods can do."""
    if given is None:
        return "global" if shared or criterion in LOSSES else "threshold"
    if given not in get_args(Scope):
        raise ArgumentError(f"scope must be one of {', '.join(get_args(Scope))}, not {given!r}")
    if given != "global" and shared:
        raise ArgumentError(f"solver, latency, groups and units are for scope 'global', not {given!r}")
    return given


def _least_per_cost(
    graph: Graph,
    worth: Mapping[str, Tensor],
    limits: Limits,
    solver: Solver,
    latency: Callable[[Mapping[str, int]], float] | None,
) -> dict[str, list[int]]:
    """Axis -> the units that the shared choice removes."""
    floor = min(0.0, *(float(each.min()) for each in worth.values()))  # harm is at least 0
    options = [
        Option(name, unit, -1, score - floor)
        for name, each in worth.items()
        for unit, score in enumerate(each.tolist())
    ]
    chosen = choose(options, graph, limits, solver=solver, latency=latency).options
    removed: dict[str, list[int]] = {}
    for name, unit, *_ in chosen:
        assert isinstance(unit, int)
        removed.setdefault(name, []).append(unit)
    return {name: removed[name] for name in worth if name in removed}


def _scores(stats: Subject, function: Callable[..., Tensor], axes: Iterable[str] | None) -> dict[str, Tensor]:
    """Axis -> float64 [m]; without ``axes``, of all that the criterion applies to."""
    graph, found = stats.graph, dict[str, Tensor]()
    refusal = "no axis of the model loses units exactly"
    for axis in [each for each in graph.sculptable if each.exact] if axes is None else [graph[name] for name in axes]:
        if axis.frozen is not None:
            raise GraphError(f"the units of {axis.name!r} cannot be changed: {axis.frozen}")
        try:
            found[axis.name] = _checked(function(stats, axis.name), axis)
        except Inapplicable as error:
            if axes is not None:
                raise
            refusal = str(error)
    if not found:
        raise ArgumentError(f"criterion must apply to an axis, and this one applies to none: {refusal}")
    return found


def _function(criterion: Criterion, reduce: Reduction | None) -> Callable[..., Tensor]:
    if not callable(criterion) and criterion not in CRITERIA:
        raise ArgumentError(f"criterion must be one of {', '.join(CRITERIA)} or a function, not {criterion!r}")
    function = criterion if callable(criterion) else CRITERIA[criterion]
    if reduce is None:
        return function
    if "reduce" not in signature(function).parameters:
        raise ArgumentError(f"reduce must be None: criterion {criterion!r} has no choice of it")
    return partial(function, reduce=reduce)


def _checked(scores: object, axis: Axis) -> Tensor:
    what = f"the scores of {axis.name!r} must be {axis.size} finite numbers"
    if not isinstance(scores, Tensor) or scores.shape != (axis.size,):
        raise ArgumentError(f"{what} in a tensor, not {list(scores.shape) if isinstance(scores, Tensor) else scores!r}")
    if not bool(scores.isfinite().all()):
        raise MeasureError(f"{what}, but {int((~scores.isfinite()).sum())} of them are not")
    return scores.detach().double().cpu()


def _lowest(scores: Tensor, count: int) -> list[int]:
    """The units to remove; of equals the last ones go."""
    order = scores.argsort(descending=True, stable=True)
    return order[len(order) - count :].tolist()


def _kept(scores: Tensor, removed: Iterable[int]) -> Tensor:
    keep = torch.ones(len(scores), dtype=torch.bool)
    keep[list(removed)] = False
    return keep.nonzero().flatten()
