"""Second moments of what a consumer is fed and of what it should give, and the weights that follow from them."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from netsculpt.measure.ranks import summed


class Moments:
    """Moments of inputs x [k] and wanted results y [o], of every group, over positions.

    Args:
        groups: g.
        outputs: o.
        inputs: k.
        centred: whether constants are free, so that means are taken away.
        device: of what will be added.
    """

    def __init__(self, groups: int, outputs: int, inputs: int, centred: bool, device: torch.device) -> None:
        zeros = partial(torch.zeros, dtype=torch.float64, device=device)
        self._xx, self._yx = zeros(groups, inputs, inputs), zeros(groups, outputs, inputs)
        self._x, self._y, self._yy = zeros(groups, inputs), zeros(groups, outputs), zeros([])
        self._count = zeros([])
        self._centred = centred

    def add(self, x: Tensor, y: Tensor) -> None:
        """Positions: x float64 [g, n, k], y float64 [g, n, o]."""
        self._xx.baddbmm_(x.mT, x)
        self._yx.baddbmm_(y.mT, x)
        self._x += x.sum(1)
        self._y += y.sum(1)
        self._yy += y.square().sum()
        self._count += x.shape[1]

    def mean(self) -> Moments:
        """Turn sums into means over the positions of all ranks, less means where they are ``centred``."""
        count = summed(self._count)
        for sums in (self._xx, self._yx, self._x, self._y, self._yy):
            summed(sums).div_(count)
        if self._centred:
            self._xx -= self._x.unsqueeze(2) * self._x.unsqueeze(1)
            self._yx -= self._y.unsqueeze(2) * self._x.unsqueeze(1)
            self._yy -= self._y.square().sum()
        return self

    def solution(self, start: Tensor, ridge: float) -> Tensor:
        """The weights [g, o, k] with the least ‖y - W x‖² + λ ‖W - start‖², λ = ``ridge`` · mean of the x variances."""
        diagonal = self._xx.diagonal(dim1=1, dim2=2)
        damping = (ridge * diagonal.mean(1)).clamp(min=torch.finfo(torch.float64).tiny)
        system = self._xx + torch.diag_embed(damping[:, None].expand_as(diagonal))
        factor, failed = torch.linalg.cholesky_ex(system)
        wanted = (self._yx - start @ self._xx).mT
        found = (
            torch.linalg.lstsq(system, wanted).solution if bool(failed.any()) else torch.cholesky_solve(wanted, factor)
        )
        return start + found.mT

    def constant(self, weights: Tensor) -> Tensor:
        """What must be added to the results of ``weights`` [g, o, k] for the right means: [g · o]."""
        return (self._y - (weights @ self._x.unsqueeze(2)).squeeze(2)).flatten()

    def error(self, weights: Tensor) -> float:
        """‖y - W x‖² relative to ‖y‖²."""
        found = self._yy - 2 * (weights * self._yx).sum() + ((weights @ self._xx) * weights).sum()
        return float((found / self._yy.clamp(min=torch.finfo(torch.float64).tiny)).clamp(min=0.0))
