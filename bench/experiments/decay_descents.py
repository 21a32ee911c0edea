"""Errors of ways to choose units, step by step, and the geometry that bounds them."""

from typing import NamedTuple

import torch
from torch import Tensor

from netsculpt import ops
from netsculpt.methods.pruning.curves import Select

STEPS = 4000
LOOKS = 60  # numbers of steps at which the units in use are counted
DRAWS = 100  # of units at random
FLOOR = 1e-12  # of the energy of all units: below, errors are rounding
DIMENSIONS = 6  # up to which hulls are computed
RANK = 1e-12  # of the largest eigenvalue


class Descent(NamedTuple):
    """`errors`: after every step; `kept`: steps -> units in use then, the mean over draws where units are drawn."""

    method: str
    errors: list[float]
    kept: dict[int, float]


class Geometry(NamedTuple):
    """Of the points φ_i = N c_i: the radius of the largest ball around their mean within their hull."""

    dimension: int
    radius: float | None
    diameter: float


def descents(gram: Tensor, steps: int = STEPS) -> list[Descent]:
    """The four ways, on a Gram matrix whose entries sum to 1."""
    found = [_greedy("line search", "line_search", gram, steps), _greedy("fixed step", "uniform", gram, steps)]
    return [*found, _greedy("least squares", "least_squares", gram, len(gram)), _random(gram, steps)]


def geometry(gram: Tensor) -> Geometry:
    """The radius where the hull can be computed, or where units are affinely independent: then it is a simplex."""
    size = len(gram)
    means = gram.mean(1)
    centred = size**2 * (gram - means[:, None] - means + means.mean())
    values, vectors = torch.linalg.eigh(centred)
    rank = int((values > RANK * values[-1]).sum())
    points = vectors[:, -rank:] * values[-rank:].sqrt()
    diameter = float(torch.pdist(points).max())
    if rank == size - 1:  # the mean's distance to each of the faces is 1/N of the height above it
        squares = (vectors[:, -rank:].square() / values[-rank:]).sum(1)
        return Geometry(rank, float(squares.rsqrt().min()) / size, diameter)
    if rank > DIMENSIONS:
        return Geometry(rank, None, diameter)
    from scipy.spatial import ConvexHull  # nothing else of the experiments needs scipy

    return Geometry(rank, float((-ConvexHull(points.numpy()).equations[:, -1]).min()), diameter)


def looks(steps: int) -> list[int]:
    """Numbers of steps from 1 on, ever further apart."""
    return sorted({round(steps ** (k / (LOOKS - 1))) for k in range(LOOKS)})


def _greedy(method: str, mode: Select, gram: Tensor, steps: int) -> Descent:
    selection = ops.greedy_select(gram, steps, mode=mode)
    taken = int((selection.order >= 0).sum())
    kept = {k: float(ops.greedy_select(gram, k, mode=mode).weights.count_nonzero()) for k in looks(taken)}
    return Descent(method, selection.errors[:taken].tolist(), kept)


def _random(gram: Tensor, steps: int) -> Descent:
    """Units drawn with repeats, all draws with the same weight: the mean error of several draws."""
    size = len(gram)
    drawn = torch.randint(size, (DRAWS, steps), generator=torch.Generator().manual_seed(0))
    target, energies = gram.sum(1), gram.diagonal()
    products = torch.zeros(DRAWS, size, dtype=torch.float64)  # of what was drawn so far with every unit
    with_all, with_itself = (torch.zeros(DRAWS, dtype=torch.float64) for _ in range(2))
    errors = []
    for k, units in enumerate(drawn.T, 1):
        with_itself += 2 * products.gather(1, units[:, None])[:, 0] + energies[units]
        with_all += target[units]
        products += gram[units]
        errors.append(float((1 - 2 * size / k * with_all + (size / k) ** 2 * with_itself).mean()))
    kept = {k: sum(len(each[:k].unique()) for each in drawn) / DRAWS for k in looks(steps)}
    return Descent("random", errors, kept)
