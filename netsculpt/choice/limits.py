"""Within which limits options are chosen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from netsculpt.arguments import is_count, require_count
from netsculpt.edit.budget import Budget
from netsculpt.errors import BudgetError
from netsculpt.graph import Graph


@dataclass(frozen=True)
class Limits:
    """What a choice must keep, all of it at once. Names of axes may be patterns such as ``"layer1.*"``.

    Attributes:
        budget: of the whole model afterwards, one or several.
        groups: name -> (names of axes, budget): bounds on the parameters and multiply-accumulates that these axes alone
            add to the model as it is, or, where units are removed, take from it. Percentages are of what lies on them.
        units: how many units are added or removed in all, at most.
        widths: name of an axis -> (minimum, maximum) of its size, None for none. They stop a choice and do not ask for
            one: an axis that is outside already is left where it is, or moved towards them. The tightest of several
            counts.
        round_to: an axis that changes ends on a multiple of this; one number, or by name, where the last that names an
            axis counts. For the greedy solver only.
    """

    budget: Budget | Sequence[Budget] = ()
    groups: Mapping[str, tuple[Sequence[str], Budget]] = field(default_factory=dict)
    units: int | None = None
    widths: Mapping[str, tuple[int | None, int | None]] = field(default_factory=dict)
    round_to: int | Mapping[str, int] = 1

    def __post_init__(self) -> None:
        for budget in self.budgets:
            if not isinstance(budget, Budget):
                raise BudgetError(f"budget of limits must be a Budget or several, not {budget!r}")
        for name, (axes, budget) in self.groups.items():
            _check_group(name, axes, budget)
        if self.units is not None and not is_count(self.units, 0):
            raise BudgetError(f"units of limits must be a whole number, at least 0, or None, not {self.units!r}")
        for name, (low, high) in self.widths.items():
            for bound in (low, high):
                if bound is not None and not is_count(bound):
                    raise BudgetError(f"a width of {name!r} must be a whole number above 0 or None, not {bound!r}")
            if low is not None and high is not None and low > high:
                raise BudgetError(f"the minimum width of {name!r}, {low}, is above its maximum, {high}")
        multiples = self.round_to.values() if isinstance(self.round_to, Mapping) else [self.round_to]
        for multiple in multiples:
            require_count("round_to", multiple)

    @property
    def budgets(self) -> tuple[Budget, ...]:
        """Of the whole model."""
        several = isinstance(self.budget, Sequence) and not isinstance(self.budget, str)
        return tuple(self.budget) if several else (self.budget,)  # type: ignore[arg-type, return-value]

    def widths_of(self, graph: Graph, names: Iterable[str]) -> list[tuple[int, int | None]]:
        """(minimum, maximum) of every axis in ``names``; no axis is left without a unit.

        Raises:
            BudgetError: a name matches no axis, or bounds contradict each other.
        """
        found: dict[str, tuple[int, int | None]] = {name: (1, None) for name in names}
        for pattern, (low, high) in self.widths.items():
            for name in matching(graph, pattern, "widths"):
                if name in found:
                    least, most = found[name]
                    least = max(least, low or 1)
                    most = min((each for each in (most, high) if each is not None), default=None)
                    if most is not None and least > most:
                        raise BudgetError(f"the minimum width of {name!r}, {least}, is above its maximum, {most}")
                    found[name] = least, most
        return list(found.values())

    def multiples_of(self, graph: Graph, names: Iterable[str]) -> list[int]:
        """What the size of every axis in ``names`` is rounded to.

        Raises:
            BudgetError: a name matches no axis.
        """
        if not isinstance(self.round_to, Mapping):
            return [self.round_to for _ in names]
        found = dict.fromkeys(names, 1)
        for pattern, multiple in self.round_to.items():
            found |= {name: multiple for name in matching(graph, pattern, "round_to") if name in found}
        return list(found.values())


def matching(graph: Graph, pattern: str, argument: str) -> list[str]:
    """The axes that a name or a pattern means.

    Raises:
        BudgetError: there are none.
    """
    names = [axis.name for axis in graph]
    found = [pattern] if pattern in names else [name for name in names if fnmatchcase(name, pattern)]
    if not found:
        raise BudgetError(f"{pattern!r} in {argument} of limits matches no axis of the graph")
    return found


def _check_group(name: str, axes: Sequence[str], budget: Budget) -> None:
    if isinstance(axes, str) or not axes:
        raise BudgetError(f"group {name!r} of limits must be a sequence of axis names and a budget, not {axes!r}")
    if not isinstance(budget, Budget) or budget.latency is not None:
        raise BudgetError(f"group {name!r} of limits must have a Budget of params or macs, not {budget!r}")
    for amount in (budget.params, budget.macs):
        if isinstance(amount, str) and amount.strip()[0] in "+-":
            raise BudgetError(f"group {name!r} of limits bounds a change: say '10%', without a sign, not {amount!r}")
