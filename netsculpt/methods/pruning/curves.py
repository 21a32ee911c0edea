"""Which units of an axis its consumers can do with, and what they lose, for every number of units at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor

from netsculpt import ops
from netsculpt.errors import ArgumentError
from netsculpt.measure import Statistics
from netsculpt.measure.consumers import Consumption
from netsculpt.measure.grams import Gram

Select: TypeAlias = Literal["uniform", "line_search", "least_squares"]

RIDGE = 1e-6  # of the mean energy of a unit
ITERATIONS = 8  # per unit at most, of methods that may choose one again
LOOKS = 96  # numbers of iterations at which what such a method has chosen is looked at


@dataclass(frozen=True, eq=False)
class Choice:
    """Some units of an axis.

    Attributes:
        units: int64 [k] the kept ones, in ascending order.
        scales: float64 [k] factors of what they add that imitate all units best, as the method gives weights.
        error: what is lost, as the curve that this is of measures it.
        iterations: how often a unit was chosen; more than k where some were chosen again.
    """

    units: Tensor = field(repr=False)
    scales: Tensor = field(repr=False)
    error: float
    iterations: int


@dataclass(frozen=True, eq=False)
class Curve:
    """What is lost with fewer units of an axis.

    Attributes:
        axis: name.
        size: number of units now, m.
        errors: number of kept units, below m -> what is lost. Every number with local imitation; with global
            imitation, which may take several units at once, those that it passes through.
        iterations: that number -> iterations that take the method there.
        choice: which units are kept where as many are, up to the largest of ``errors``.
    """

    axis: str
    size: int
    errors: Mapping[int, float]
    iterations: Mapping[int, int]
    choice: Callable[[int], Choice] = field(repr=False)


def curve(stats: Statistics, axis: str, select: Select = "least_squares") -> Curve:
    """What greedy local imitation makes of an axis: the whole trade-off in one sweep.

    Errors are ‖Y - Y'‖² relative to ‖Y‖², Y what the units add to their consumers: the mean over these.

    Args:
        stats: of ``measure``.
        axis: name.
        select: how weights are given to chosen units: ``"uniform"``, the fixed step 1/k; ``"line_search"``, the best
            step towards one unit, or away from it; ``"least_squares"``, the best weights of all of them at every step.

    Raises:
        ArgumentError: the consumers of the axis cannot be imitated.

    Source: M. Ye, L. Wu, Q. Liu, "Greedy Optimization Provably Wins the Lottery" (2020), local imitation.
    """
    if select not in get_args(Select):
        raise ArgumentError(f"select must be one of {', '.join(map(repr, get_args(Select)))}, not {select!r}")
    grams = stats.grams([axis])[axis]
    gram = combined(stats.consumers[axis], grams)
    size = len(gram)
    if select == "least_squares":
        errors = _selected(gram, size - 1, select).errors / _energy(gram)
        found = {count: (error, count) for count, error in enumerate(errors.clamp(max=1.0).tolist(), 1)}
    else:
        found = _with_repeats(gram, select)
    return Curve(
        axis,
        size,
        {count: error for count, (error, _) in found.items()},
        {count: iterations for count, (_, iterations) in found.items()},
        lambda count: _choice(gram, select, count, *found[count]),
    )


def _with_repeats(gram: Tensor, select: Select) -> dict[int, tuple[float, int]]:
    """Number of units -> (error, iterations), from runs of several lengths: a run cut off is one that stops there.

    A number that no run ends with is had by leaving out the smallest weights of the next one that has more.
    """
    size = len(gram)
    runs = {length: _selected(gram, length, select) for length in _lengths(ITERATIONS * size)}
    ends: dict[int, int] = {}  # units that a run ends with -> its length
    for length, run in runs.items():
        kept = int(run.weights.count_nonzero())
        if kept not in ends or float(run.errors[-1]) < float(runs[ends[kept]].errors[-1]):
            ends[kept] = length
    found = {}
    for count in range(1, size):
        length = ends[min((each for each in ends if each >= count), default=max(ends))]
        missing = 1 - _thinned(runs[length].weights, count).double()
        found[count] = max(0.0, float(missing @ gram @ missing) / _energy(gram)), length
    return found


def _thinned(weights: Tensor, count: int) -> Tensor:
    """[m] the ``count`` largest weights, their sum kept; all where there are no more."""
    if int(weights.count_nonzero()) <= count:
        return weights
    largest = weights.argsort(descending=True, stable=True)[:count]
    kept = torch.zeros_like(weights).index_copy_(0, largest, weights[largest])
    return kept * (weights.sum() / kept.sum())


def _choice(gram: Tensor, select: Select, count: int, error: float, iterations: int) -> Choice:
    weights = _thinned(_selected(gram, iterations, select).weights, count)
    units = weights.nonzero()[:, 0]
    if len(units) < count:  # those that are left depend on these: the largest of them keep them company
        others = gram.diagonal().argsort(descending=True, stable=True)
        units = torch.cat([units, others[~torch.isin(others, units)][: count - len(units)]])
    units = units.sort().values
    return Choice(units, weights[units].double(), error, iterations)


def _energy(gram: Tensor) -> float:
    return max(float(gram.sum()), 1e-300)


def combined(consumption: Consumption, grams: Mapping[str, Gram]) -> Tensor:
    """[m, m]: the consumers' Gram matrices, each relative to what all units together add to its results.

    Consumers differ in scale, which norms behind them take away again, so errors are added up as shares. Where a
    constant can be added to a consumer's results, what units add is taken without its mean.
    """
    total = torch.zeros(consumption.size, consumption.size, dtype=torch.float64)
    for read in consumption.reads:
        gram = grams[read.weight]
        inner = (gram.inner if read.constant is None else gram.centred).to(total)
        energy = float(inner.sum())
        if energy > 1e-12 * float(inner.diagonal().sum()):  # else its units add nothing but a constant
            total += inner / (energy * len(consumption.reads))
    return total


def _selected(gram: Tensor, iterations: int, select: Select) -> ops.Selection:
    ridge = RIDGE * float(gram.diagonal().mean()) if select == "least_squares" else 0.0
    return ops.greedy_select(gram, iterations, mode=select, ridge=ridge)


def _lengths(longest: int) -> list[int]:
    """Numbers of iterations from 1 to ``longest``, ever further apart."""
    return sorted({round(longest ** (k / (LOOKS - 1))) for k in range(LOOKS)})
