"""Greedy pruning as a plan: the units that their consumers miss least, and consumers fitted to do without them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Literal, TypeAlias, get_args

from netsculpt.choice import Limits, Solver
from netsculpt.edit import Assign, Budget, Plan, Prune
from netsculpt.errors import ArgumentError, MeasureError
from netsculpt.measure import Statistics
from netsculpt.methods.pruning.allocation import Trial, allocate
from netsculpt.methods.pruning.curves import Choice, Select, curve
from netsculpt.methods.pruning.globally import global_curve
from netsculpt.methods.pruning.refits import Fitted, Matching, Refit, fit

Objective: TypeAlias = Literal["local", "global", "both"]


def prune(
    stats: Statistics,
    budget: Budget | Limits,
    *,
    objective: Objective = "local",
    select: Select = "least_squares",
    refit: Refit = "least_squares",
    matching: Matching = "asymmetric",
    axes: Iterable[str] | None = None,
    solver: Solver = "greedy",
    latency: Callable[[Mapping[str, int]], float] | None = None,
    check_baseline: bool = True,
) -> Plan:
    """Remove the units that the layers behind them miss least, and fit these layers to do without them.

    Args:
        stats: of ``measure(..., for_="prune")``, of the model as it is.
        budget: of the model afterwards; or ``Limits``: caps by axis and group, several budgets.
        objective: by what units are chosen: ``"local"``, what the operations get that use them, as ``curve`` describes
            it; ``"global"``, what the network answers, as ``global_curve`` does; ``"both"``, axis by axis the better.
        select: of local imitation, how the units chosen so far are weighed, as ``curve`` describes it.
        refit: what becomes of the consumers' weights, as ``fit`` describes it: ``"none"``, ``"scale"``,
            ``"least_squares"``.
        matching: what refitted consumers imitate, ``"asymmetric"`` or ``"symmetric"``.
        axes: names of the axes to prune; by default all whose consumers can be imitated.
        solver: ``"greedy"`` or ``"exact"``, as in ``netsculpt.choice.choose``.
        latency: seconds by sizes, for budgets with a latency.
        check_baseline: whether to stop where the model is no better than chance on the calibration data.

    Returns:
        A plan of ``Prune`` and ``Assign`` edits. ``predicted`` is the change of the mean loss on the calibration data,
        from running the network so changed.

    Raises:
        ArgumentError: an option is not known, or the consumers of an axis cannot be imitated.
        BudgetError: the budget makes no sense, or cannot be kept.
        MeasureError: the model has changed since it was measured, is no better than chance, or its loss not finite.

    Source: M. Ye, L. Wu, Q. Liu, "Greedy Optimization Provably Wins the Lottery" (2020), local imitation.
    """
    for name, value, known in (
        ("objective", objective, Objective),
        ("select", select, Select),
        ("refit", refit, Refit),
        ("matching", matching, Matching),
    ):
        if value not in get_args(known):
            raise ArgumentError(f"{name} must be one of {', '.join(map(repr, get_args(known)))}, not {value!r}")
    stats.require_current()
    if check_baseline:
        require_better_than_chance(stats)
    names = stats.consumed(axes)
    limits = budget if isinstance(budget, Limits) else Limits(budget)
    trial = Trial.of(stats, refit, matching)
    whole = {name: global_curve(stats, name) for name in names} if objective == "global" else {}
    curves = whole or {name: curve(stats, name, select) for name in names}
    choices = allocate(stats, curves, limits, None if whole else trial, solver, latency)
    if objective == "both":
        choices = {name: _better(trial, name, each) for name, each in choices.items()}
    return planned(stats, choices, fit(stats, choices, refit=refit, matching=matching), refit)


def _better(trial: Trial, axis: str, local: Choice) -> Choice:
    """Of as many units, those that local or global imitation chooses, whichever changes the answers less."""
    other = global_curve(trial.stats, axis).choice(len(local.units))
    first, second = (trial.fitted(axis, each).discrepancy for each in (local, other))
    return local if first <= second else other


def planned(stats: Statistics, choices: Mapping[str, Choice], fitted: Fitted, refit: Refit) -> Plan:
    """The edits that keep the chosen units and give consumers their fitted values."""
    scaled = refit == "scale"
    prunes = [Prune(axis, each.units, each.scales if scaled else None) for axis, each in choices.items()]
    weights = {read.weight for axis in choices for read in stats.consumers[axis].reads}
    kept = {name for name in fitted.values if refit == "least_squares" or (scaled and name not in weights)}
    assigns = [Assign(name, value) for name, value in fitted.values.items() if name in kept]
    return Plan.of(stats.graph, [*prunes, *assigns], predicted=fitted.loss - stats.loss if choices else 0.0)


def require_better_than_chance(stats: Statistics) -> None:
    """Refuse to prune what does not work.

    Raises:
        MeasureError: there are labels, and the model is no more often right than by guessing.
    """
    accuracy = stats.accuracy
    if accuracy is not None and accuracy.right <= accuracy.chance:
        raise MeasureError(
            f"the model is right on {100 * accuracy.right:.3g} % of the calibration data, no better than chance; train "
            "it first, or give check_baseline=False"
        )
