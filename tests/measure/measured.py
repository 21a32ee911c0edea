"""What splitting really does, by edits of a copy, and splitting matrices by products with unit vectors."""

import copy
from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional as F

import netsculpt as ns
from netsculpt.measure import Statistics, measure
from netsculpt.methods.splitting.spectra import multiply
from tests.measure.networks import Case


def statistics(case: Case, **options: object) -> Statistics:
    """Of a case in two batches of unequal sizes."""
    batches = [(case.x[:4], case.y[:4]), (case.x[4:], case.y[4:])]
    return measure(case.model, ns.trace(case.model, case.x), batches, F.cross_entropy, **options)  # type: ignore[arg-type]


def loss(case: Case) -> float:
    with torch.no_grad():
        return float(F.cross_entropy(case.model(case.x), case.y))


class Splitting:
    """A copy of a model that is split for real, and put together again."""

    def __init__(self, case: Case) -> None:
        self._case = case._replace(model=copy.deepcopy(case.model))
        self._graph = ns.trace(self._case.model, case.x)
        self._before = loss(case)

    def change(self, splits: Iterable[ns.Split]) -> float:
        """Change of the loss."""
        ns.apply(ns.Plan(tuple(splits)), self._case.model, graph=self._graph, check=False)
        after = loss(self._case)
        assert ns.undo(self._case.model) == "exact"
        return after - self._before


def halves(stats: Statistics, axis: str, unit: int, offset: Tensor) -> ns.Split:
    """A unit into two copies at ± an offset, [d]."""
    offsets = stats.coordinates(axis).offsets(unit, torch.stack([offset, -offset]))
    return ns.Split(axis, unit, (0.5, 0.5), offsets)


def directions(stats: Statistics, axis: str, seed: int = 0) -> Tensor:
    """Random unit rows, [m, d]."""
    generator = torch.Generator().manual_seed(seed)
    v = torch.randn(stats.units[axis].size, stats.coordinates(axis).count, generator=generator, dtype=torch.float64)
    return v / v.norm(dim=1, keepdim=True)


def matrices(stats: Statistics, axis: str) -> Tensor:
    """S of every unit, [m, d, d], column by column."""
    m, d = stats.units[axis].size, stats.coordinates(axis).count
    columns = [
        multiply(stats, {axis: row.expand(m, d).contiguous()})[axis] for row in torch.eye(d, dtype=torch.float64)
    ]
    return torch.stack(columns, 2)
