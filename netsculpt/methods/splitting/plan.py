"""Splitting steepest descent as a plan: the splits that are predicted to lower the loss most within a budget."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from netsculpt.choice import Choice, Limits, Option, Solver, choose
from netsculpt.edit import Budget, Plan, Split
from netsculpt.errors import ArgumentError
from netsculpt.measure import Statistics
from netsculpt.methods.splitting.patterns import Pattern, patterns
from netsculpt.methods.splitting.spectra import Spectrum, spectra
from netsculpt.methods.trial import tried

ROUNDING = torch.finfo(torch.float64).eps  # of the loss: what is less than that is no gain
SEARCHED = (0.25, 0.5, 1, 2, 4, 8, 16, 32)  # multiples of the measured step


class _Proposal(NamedTuple):
    """One way to split one unit: offsets [copies, d]."""

    axis: str
    unit: int
    weights: tuple[float, ...]
    offsets: Tensor
    gain: float

    @property
    def option(self) -> Option:
        return Option(self.axis, self.unit, len(self.weights) - 1, self.gain)


def split(
    stats: Statistics,
    budget: Budget | Limits,
    *,
    copies: int = 2,
    signed: float | None = None,
    step: float | Literal["search"] | None = None,
    axes: Iterable[str] | None = None,
    solver: Solver = "greedy",
    latency: Callable[[Mapping[str, int]], float] | None = None,
    spectrum: Mapping[str, Spectrum] | None = None,
) -> Plan:
    """Split the units whose off-springs lower the loss most: two at θ ± ε v_min with half of its outgoing weights each.

    The plan predicts the change of the loss; for axes with kinks (ReLU and its like) by running the units' bodies at
    the offsets, for the others by ½ ε² λ_min, to O(ε⁴). Units whose copies would not lower the loss are left alone.

    Args:
        stats: of ``measure``, of the model as it is.
        budget: of the model afterwards; or ``Limits``: caps by axis and group, several budgets, a count.
        copies: a unit becomes this many at most, 2 to 4; more than 2 only with negative weights.
        signed: bound c of Σ |w| of the copies' weights, above 1, which may then be negative; None for positive ones.
        step: length ε of the offsets; by default that which was measured for. ``"search"`` tries multiples of it, from
            1/4 to 32, on the calibration data, and takes the length whose plan lowers the loss most.
        axes: names of the axes to split; all measured ones by default.
        solver: ``"greedy"`` or ``"exact"``, as in ``netsculpt.choice.choose``.
        latency: seconds by sizes, for budgets with a latency, as in ``netsculpt.choice.choose``.
        spectrum: of ``spectra`` or ``rayleigh``, where it is known already.

    Returns:
        A plan of one ``Split`` per unit, without any where no split helps or fits. ``predicted`` is the change of the
        mean loss on the calibration data.

    Raises:
        ArgumentError: ``copies``, ``signed`` or ``step`` makes no sense.
        BudgetError: the budget or the limits make no sense, or are exceeded already.
        MeasureError: the model has changed since it was measured.

    Source: Q. Liu, L. Wu, D. Wang, "Splitting Steepest Descent for Growing Neural Architectures" (2019).
    """
    Statistics.require(stats)
    c = _trust(copies, signed)
    steps = [stats.step * factor for factor in SEARCHED] if step == "search" else [stats.step if step is None else step]
    if not all(isinstance(each, (int, float)) and 0 < each < math.inf for each in steps):
        raise ArgumentError(f"step must be a length above 0, not {step!r}, or 'search'")
    axes = None if axes is None else stats.graph.names(axes)
    found = spectra(stats, axes, ends="lowest" if c == 1 else "both") if spectrum is None else spectrum
    for name in axes or () if spectrum is not None else ():
        if name not in found:
            raise ArgumentError(f"axis {name!r} has no spectrum among those given")
    names = list(found if axes is None else axes)
    limits = budget if isinstance(budget, Limits) else Limits(budget)
    plans = []
    for length in map(float, steps):
        proposals = [each for name in names for each in _proposals(stats, name, found[name], copies, c, length)]
        choice = choose([each.option for each in proposals], stats.graph, limits, solver=solver, latency=latency)
        plans.append(_plan(stats, proposals, choice))
    return plans[0] if len(plans) == 1 else min(plans, key=lambda plan: tried(stats, plan))


def _plan(stats: Statistics, proposals: Iterable[_Proposal], choice: Choice) -> Plan:
    chosen = {(option.axis, option.item, option.units) for option in choice.options}
    edits = [
        Split(each.axis, each.unit, each.weights, stats.coordinates(each.axis).offsets(each.unit, each.offsets))
        for each in proposals
        if (each.axis, each.unit, len(each.weights) - 1) in chosen
    ]
    return Plan.of(stats.graph, edits, predicted=choice.gain if edits else 0.0)


def _trust(copies: int, signed: float | None) -> float:
    if copies not in (2, 3, 4):
        raise ArgumentError(f"copies must be 2, 3 or 4, not {copies!r}")
    if signed is None:
        if copies > 2:
            raise ArgumentError("more than 2 copies help only with negative weights: give signed, such as 3.0")
        return 1.0
    if isinstance(signed, bool) or not 1 < signed < math.inf:
        raise ArgumentError(f"signed must be the bound of the sum of |weights|, above 1, or None, not {signed!r}")
    return float(signed)


def _proposals(stats: Statistics, axis: str, spectrum: Spectrum, copies: int, c: float, step: float) -> list[_Proposal]:
    """Every way to split every unit of an axis that is predicted to lower the loss."""
    ways = [
        [pattern for pattern in patterns(lowest, highest, c) if pattern.copies <= copies]
        for lowest, highest in spectrum.values.double().tolist()
    ]
    found: list[_Proposal] = []
    for count in range(2, copies + 1):
        by_unit = {unit: each for unit, way in enumerate(ways) for each in way if each.copies == count}
        offsets = _offsets(by_unit, spectrum.vectors, step)
        gains = {unit: step**2 * pattern.gain for unit, pattern in by_unit.items()}
        if stats.units[axis].kinked and by_unit:
            gains = _finite(stats, axis, by_unit, offsets, count)
        found.extend(
            _Proposal(axis, unit, by_unit[unit].weights, offsets[unit], gain)
            for unit, gain in gains.items()
            if gain < -ROUNDING * abs(stats.loss)
        )
    return found


def _offsets(by_unit: Mapping[int, Pattern], vectors: Tensor, step: float) -> dict[int, Tensor]:
    return {
        unit: step * torch.tensor(pattern.offsets, dtype=vectors.dtype, device=vectors.device) @ vectors[unit]
        for unit, pattern in by_unit.items()
    }


def _finite(
    stats: Statistics, axis: str, by_unit: Mapping[int, Pattern], offsets: Mapping[int, Tensor], count: int
) -> dict[int, float]:
    """Gains by running the units at their offsets: Σ w (φ(θ + δ) - φ(θ))."""
    like = next(iter(offsets.values()))
    total = torch.zeros(stats.units[axis].size, dtype=torch.float64, device=like.device)
    for number in range(count):
        directions = torch.zeros(len(total), like.shape[1], dtype=like.dtype, device=like.device)
        weights = torch.zeros_like(total)
        for unit, pattern in by_unit.items():
            directions[unit] = offsets[unit][number]
            weights[unit] = pattern.weights[number]
        total += weights * stats.changes({axis: directions})[axis]
    return {unit: float(total[unit]) for unit in by_unit}
