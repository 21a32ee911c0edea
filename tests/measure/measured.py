"""What splitting really does, by edits of a copy, and splitting matrices by products with unit vectors."""

import copy
from collections.abc import Sequence

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


def change(case: Case, splits: Sequence[ns.Split]) -> float:
    """Change of the loss when a copy of the model is split."""
    edited = case._replace(model=copy.deepcopy(case.model))
    ns.apply(ns.Plan(tuple(splits)), edited.model, graph=ns.trace(edited.model, case.x))
    return loss(edited) - loss(case)


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
    columns = [multiply(stats, {axis: row.expand(m, d).contiguous()})[axis] for row in torch.eye(d, dtype=torch.float64)]
    return torch.stack(columns, 2)
