"""How large a model may be: numbers, or percentages of what it is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

from netsculpt.errors import BudgetError
from netsculpt.graph.costs import Cost

Amount: TypeAlias = int | float | str  # 2_000_000, 2e6, "60%" of the present, "+10%" and "-40%" from the present
_PERCENT = re.compile(r"\s*([+-]?)\s*(\d+(?:\.\d+)?)\s*%\s*")


@dataclass(frozen=True)
class Budget:
    """Upper bounds of a model's size; None for no bound.

    Attributes:
        params: parameters, trainable or not: a number, ``"60%"`` of what there are, or ``"+10%"``, ``"-40%"`` from it.
        macs: multiply-accumulates, likewise.
        latency: seconds of a forward pass, likewise; only where they are measured, as by ``netsculpt.choice``.
    """

    params: Amount | None = None
    macs: Amount | None = None
    latency: Amount | None = None

    def __post_init__(self) -> None:
        if self.params is None and self.macs is None and self.latency is None:
            raise BudgetError("a budget must bound params or macs or latency")
        for name in ("params", "macs", "latency"):
            _amount(getattr(self, name), 1, name)

    def limits(self, present: Cost) -> Cost:
        """The bounds as numbers, for a model that costs ``present``; a missing one is what is there, or more."""
        amounts = (_amount(getattr(self, name), getattr(present, name), name) for name in ("params", "macs"))
        return Cost(*map(int, amounts))

    def seconds(self, present: float) -> float | None:
        """The bound of the latency, for a model that takes ``present`` seconds; None without one."""
        return None if self.latency is None else _amount(self.latency, present, "latency")

    def allows(self, cost: Cost, present: Cost) -> bool:
        """Whether a model of ``cost`` is within the budget of one that costs ``present``.

        Raises:
            BudgetError: the budget bounds the latency, which no cost tells.
        """
        if self.latency is not None:
            raise BudgetError("latency of a budget must be None here: params and macs do not tell seconds")
        limits = self.limits(present)
        bounded = [name for name in ("params", "macs") if getattr(self, name) is not None]
        return all(getattr(cost, name) <= getattr(limits, name) for name in bounded)


def _amount(given: Amount | None, present: float, name: str) -> float:
    if given is None:
        return present
    if isinstance(given, str):
        match = _PERCENT.fullmatch(given)
        if match is None:
            raise BudgetError(f"{name} of a budget must be a number or a percentage such as '60%', not {given!r}")
        sign, fraction = match.group(1), float(match.group(2)) / 100
        share = {"": fraction, "+": 1 + fraction, "-": 1 - fraction}[sign]
        given = share * present
    if isinstance(given, bool) or not given > 0:
        raise BudgetError(f"{name} of a budget must be above 0, not {given!r}")
    return given
