"""Greedy pruning as a plan: the units that their consumers miss least, and consumers fitted to do without them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias, get_args
from weakref import WeakKeyDictionary

from netsculpt.choice import Limits, Solver
from netsculpt.edit import Assign, Budget, Plan, Prune
from netsculpt.errors import ArgumentError, BudgetError, MeasureError
from netsculpt.measure import Statistics
from netsculpt.methods.pruning.allocation import Harms, Latency, Trial, allocate, between, harms_of
from netsculpt.methods.pruning.curves import Choice, Curve, Select, curve
from netsculpt.methods.pruning.globally import global_curve
from netsculpt.methods.pruning.refits import Fitted, Matching, Refit, fit
from netsculpt.methods.pruning.tolerance import Tolerance

Objective: TypeAlias = Literal["local", "global", "both"]

# Curves and harms by axis, which take long and serve every budget, as long as the statistics live.
_KNOWN: WeakKeyDictionary[Statistics, dict[Any, Any]] = WeakKeyDictionary()


def prune(
    stats: Statistics,
    budget: Budget | Limits | None = None,
    *,
    tolerance: Tolerance | None = None,
    objective: Objective = "local",
    select: Select = "least_squares",
    refit: Refit = "least_squares",
    matching: Matching = "asymmetric",
    axes: Iterable[str] | None = None,
    solver: Solver = "greedy",
    latency: Latency | None = None,
    check_baseline: bool = True,
) -> Plan:
    """Remove the units that the layers behind them miss least, and fit these layers to do without them.

    Args:
        stats: of ``measure(..., for_="prune")``, of the model as it is.
        budget: of the model afterwards; or ``Limits``: caps by axis and group, several budgets.
        tolerance: in the place of a budget, or with limits that have none: the fewest multiply-accumulates, to half a
            percent of what there are, with which the model loses no more than this on calibration data that it was
            not fitted to, where there are several batches.
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
    if tolerance is not None and not isinstance(tolerance, Tolerance):
        raise ArgumentError(f"tolerance must be a Tolerance, such as Tolerance(loss=0.1), not {tolerance!r}")
    Statistics.require(stats)
    if check_baseline:
        require_better_than_chance(stats)
    limits = budget if isinstance(budget, Limits) else Limits(budget or ())
    if (tolerance is None) == (not limits.budgets):
        raise ArgumentError("prune needs either a budget or a tolerance")
    run = _Pruning(stats, stats.consumed(axes), objective, select, refit, matching, solver, latency)
    choices = run.chosen(limits) if tolerance is None else run.tolerated(limits, tolerance)
    return planned(stats, choices, run.fitted(choices), refit)


@dataclass
class _Pruning:
    """What all budgets share: the curves of the axes, and what the network loses along them."""

    stats: Statistics
    names: list[str]
    objective: Objective
    select: Select
    refit: Refit
    matching: Matching
    solver: Solver
    latency: Latency | None

    def __post_init__(self) -> None:
        self._trial = Trial.of(self.stats, self.refit, self.matching)
        known = _KNOWN.setdefault(self.stats, {})
        self._globally: dict[str, Curve] = known.setdefault("global", {})
        if self.objective == "global":
            self._curves = {name: self._global(name) for name in self.names}
            self._harms: Mapping[str, Harms] = {name: between(each) for name, each in self._curves.items()}
            return
        locally = known.setdefault((self.select, self.refit, self.matching), {})
        for name in self.names:
            if name not in locally:
                found = curve(self.stats, name, self.select)
                locally[name] = found, harms_of(found, self._trial)
        self._curves = {name: locally[name][0] for name in self.names}
        self._harms = {name: locally[name][1] for name in self.names}

    def chosen(self, limits: Limits) -> dict[str, Choice]:
        """The units that are kept."""
        choices = allocate(self.stats, self._curves, self._harms, limits, self.solver, self.latency)
        if self.objective == "both":
            choices = {name: self._better(name, each) for name, each in choices.items()}
        return choices

    def fitted(self, choices: Mapping[str, Choice], held_out: int = 0) -> Fitted:
        """What becomes of their consumers."""
        return fit(self.stats, choices, refit=self.refit, matching=self.matching, held_out=held_out)

    def tolerated(self, limits: Limits, tolerance: Tolerance) -> dict[str, Choice]:
        """The units of the smallest model that is tolerated, by bisection of its multiply-accumulates."""
        found: dict[str, Choice] = {}
        unseen = len(self.stats.data) // 2
        original = self.fitted({}, unseen)
        tolerance.allows(original, original)
        few, enough = 0.0, 100.0
        while enough - few > 0.5:
            middle = (few + enough) / 2
            try:
                tried = self.chosen(replace(limits, budget=Budget(macs=f"{middle}%")))
            except BudgetError:  # the axes' smallest widths are more than that
                few = middle
                continue
            if tolerance.allows(original, self.fitted(tried, unseen)):
                found, enough = tried, middle
            else:
                few = middle
        return found

    def _global(self, name: str) -> Curve:
        if name not in self._globally:
            self._globally[name] = global_curve(self._trial.stats, name)
        return self._globally[name]

    def _better(self, name: str, local: Choice) -> Choice:
        """Of as many units, those that local or global imitation chooses, whichever changes the answers less."""
        other = self._global(name)
        if len(local.units) > max(other.errors):
            return local
        found = other.choice(len(local.units))
        first, second = (self._trial.fitted(name, each).discrepancy for each in (local, found))
        return local if first <= second else found


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
