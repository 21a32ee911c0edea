"""Second moments of what a consumer is fed and of what it should give, and the weights that follow from them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from netsculpt.measure.ranks import summed

TINY = torch.finfo(torch.float64).tiny


class Sums:
    """Sums over positions of products of inputs x [k] and wanted results y [o], of every group.

    Args:
        groups: g.
        outputs: o.
        inputs: k.
        device: of what will be added.
    """

    def __init__(self, groups: int, outputs: int, inputs: int, device: torch.device) -> None:
        zeros = partial(torch.zeros, dtype=torch.float64, device=device)
        self._sums = (
            zeros(groups, inputs, inputs),
            zeros(groups, outputs, inputs),
            zeros(groups, inputs),
            zeros(groups, outputs),
            zeros([]),
            zeros([]),
        )

    def add(self, x: Tensor, y: Tensor) -> None:
        """Positions: x float64 [g, n, k], y float64 [g, n, o]."""
        xx, yx, sum_x, sum_y, yy, count = self._sums
        xx.baddbmm_(x.mT, x)
        yx.baddbmm_(y.mT, x)
        sum_x += x.sum(1)
        sum_y += y.sum(1)
        yy += y.square().sum()
        count += x.shape[1]

    def all_ranks(self) -> Sums:
        """With those of the other ranks."""
        for each in self._sums:
            summed(each)
        return self

    def moments(self, centred: bool) -> Moments:
        """Means over the positions; ``centred``: of what differs from the mean, where constants are free."""
        return _moments(self._sums, centred)

    @staticmethod
    def joint(parts: Sequence[Sums], centred: bool) -> Moments:
        """The moments of several sums together."""
        return _moments(
            [torch.stack(each).sum(0) for each in zip(*(part._sums for part in parts), strict=True)], centred
        )

    @property
    def count(self) -> float:
        """Number of positions."""
        return float(self._sums[-1])


class Moments(NamedTuple):
    """Means over positions of products of x and y, less their means where ``centred``."""

    xx: Tensor  # [g, k, k]
    yx: Tensor  # [g, o, k]
    x: Tensor  # [g, k]
    y: Tensor  # [g, o]
    yy: Tensor
    centred: bool

    def solution(self, start: Tensor, ridge: float) -> Tensor:
        """The weights [g, o, k] with the least ‖y - W x‖² + λ ‖W - start‖², λ = ``ridge`` · mean of the x variances."""
        diagonal = self.xx.diagonal(dim1=1, dim2=2)
        damping = (ridge * diagonal.mean(1)).clamp(min=TINY)
        system = self.xx + torch.diag_embed(damping[:, None].expand_as(diagonal))
        factor, failed = torch.linalg.cholesky_ex(system)
        wanted = (self.yx - start @ self.xx).mT
        if bool(failed.any()):
            return start + torch.linalg.lstsq(system, wanted).solution.mT
        return start + torch.cholesky_solve(wanted, factor).mT

    def constant(self, weights: Tensor) -> Tensor:
        """What must be added to the results of ``weights`` [g, o, k] for the right means: [g, o]."""
        return self.y - (weights @ self.x.unsqueeze(2)).squeeze(2)

    def error(self, weights: Tensor, constant: Tensor | None = None) -> float:
        """‖y - W x‖² relative to ‖y‖², with the best constant or a given one [g, o] where ``centred``."""
        found = self.yy - 2 * (weights * self.yx).sum() + ((weights @ self.xx) * weights).sum()
        if self.centred and constant is not None:
            found = found + (self.constant(weights) - constant).square().sum()
        return float((found / self.yy.clamp(min=TINY)).clamp(min=0.0))


def _moments(sums: Sequence[Tensor], centred: bool) -> Moments:
    *totals, count = sums
    xx, yx, x, y, yy = (each / count for each in totals)
    if centred:
        xx = xx - x.unsqueeze(2) * x.unsqueeze(1)
        yx = yx - y.unsqueeze(2) * x.unsqueeze(1)
        yy = yy - y.square().sum()
    return Moments(xx, yx, x, y, yy, centred)


def best_ridge(halves: Sequence[Sums], start: Tensor, ridges: Sequence[float], centred: bool) -> float:
    """The ridge whose weights, fitted to one half of the data, do best on the other; both ways round.

    With little data for many inputs this pulls towards ``start`` as strongly as is good for what was not seen.
    """
    moments = [half.moments(centred) for half in halves if half.count]
    if len(moments) < 2:
        return ridges[0]

    def unseen(ridge: float) -> float:
        total = 0.0
        for seen, other in (moments, moments[::-1]):
            weights = seen.solution(start, ridge)
            total += other.error(weights, seen.constant(weights))
        return total

    return min(ridges, key=unseen)
