"""What a consumer is fed and what it should give, summed up, and the weights that follow."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from netsculpt.measure.ranks import summed

TINY = torch.finfo(torch.float64).tiny
ROUNDING = 1e-15  # of the mean square of inputs: variances below it are what rounding leaves of constants


class Fit(Protocol):
    """Inputs x [k] and wanted results y [o] of every group, ready to be fitted to."""

    def solution(self, start: Tensor, ridge: float) -> Tensor:
        """The weights [g, o, k] with the least ‖y - W x‖² + λ ‖W - start‖², λ = ``ridge`` · mean of the x variances."""

    def constant(self, weights: Tensor) -> Tensor:
        """What must be added to the results of ``weights`` [g, o, k] for the right means: [g, o]."""

    def error(self, weights: Tensor, constant: Tensor | None = None) -> float:
        """‖y - W x‖² relative to ‖y‖², with the best constant or a given one [g, o] where constants are free."""


class Data(Protocol):
    """What positions are added to."""

    def add(self, x: Tensor, y: Tensor) -> None:
        """Positions: x float64 [g, n, k], y float64 [g, n, o]."""

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """What was added, alike for parts of the same data."""

    @property
    def count(self) -> int:
        """Number of positions."""

    def joint(self, others: Sequence[Data], centred: bool) -> Fit:
        """To fit to this and other parts together; ``centred``: constants are free, so that means do not count."""


class Sums:
    """Products of inputs and results summed over positions: k² numbers, however many positions.

    Args:
        groups: g.
        outputs: o.
        inputs: k.
        device: of what will be added.
    """

    def __init__(self, groups: int, outputs: int, inputs: int, device: torch.device) -> None:
        zeros = partial(torch.zeros, dtype=torch.float64, device=device)
        self.tensors: tuple[Tensor, ...] = (
            zeros(groups, inputs, inputs),
            zeros(groups, outputs, inputs),
            zeros(groups, inputs),
            zeros(groups, outputs),
            zeros([]),
            zeros([]),
        )

    def add(self, x: Tensor, y: Tensor) -> None:
        """As ``Data`` has it."""
        xx, yx, sum_x, sum_y, yy, count = self.tensors
        xx.baddbmm_(x.mT, x)
        yx.baddbmm_(y.mT, x)
        sum_x += x.sum(1)
        sum_y += y.sum(1)
        yy += y.square().sum()
        count += x.shape[1]

    @property
    def count(self) -> int:
        """As ``Data`` has it."""
        return int(self.tensors[-1])

    def all_ranks(self) -> Sums:
        """With those of the other ranks."""
        for each in self.tensors:
            summed(each)
        return self

    def joint(self, others: Sequence[Data], centred: bool) -> Fit:
        """As ``Data`` has it."""
        parts = zip(self.tensors, *(each.tensors for each in others), strict=True)
        *totals, count = (torch.stack(part).sum(0) for part in parts)
        xx, yx, x, y, yy = (each / count for each in totals)
        if centred:
            xx = xx - x.unsqueeze(2) * x.unsqueeze(1)
            yx = yx - y.unsqueeze(2) * x.unsqueeze(1)
            yy = yy - y.square().sum()
        return _BySums(xx, yx, x, y, yy, centred)


class Rows:
    """The positions themselves: less, where they are fewer than the inputs, as behind a flatten."""

    def __init__(self) -> None:
        self._x: list[Tensor] = []
        self._y: list[Tensor] = []

    def add(self, x: Tensor, y: Tensor) -> None:
        """As ``Data`` has it."""
        self._x.append(x)
        self._y.append(y)

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """As ``Data`` has it."""
        return torch.cat(self._x, 1), torch.cat(self._y, 1)

    @property
    def count(self) -> int:
        """As ``Data`` has it."""
        return sum(x.shape[1] for x in self._x)

    def joint(self, others: Sequence[Data], centred: bool) -> Fit:
        """As ``Data`` has it."""
        x, y = (torch.cat(parts, 1) for parts in zip(self.tensors, *(each.tensors for each in others), strict=True))
        return _ByRows(x, y, centred)


class _BySums(NamedTuple):
    xx: Tensor  # [g, k, k]
    yx: Tensor  # [g, o, k]
    x: Tensor  # [g, k]
    y: Tensor  # [g, o]
    yy: Tensor
    centred: bool

    def solution(self, start: Tensor, ridge: float) -> Tensor:
        variance = self.xx.diagonal(dim1=1, dim2=2).mean(1)
        square = variance + self.x.square().mean(1) if self.centred else variance
        damping = torch.maximum(ridge * variance, ROUNDING * square).clamp(min=TINY)
        return start + _solved(self.xx, damping, (self.yx - start @ self.xx).mT).mT

    def constant(self, weights: Tensor) -> Tensor:
        return self.y - (weights @ self.x.unsqueeze(2)).squeeze(2)

    def error(self, weights: Tensor, constant: Tensor | None = None) -> float:
        found = self.yy - 2 * (weights * self.yx).sum() + ((weights @ self.xx) * weights).sum()
        if self.centred and constant is not None:
            found = found + (self.constant(weights) - constant).square().sum()
        return float((found / self.yy.clamp(min=TINY)).clamp(min=0.0))


class _ByRows(NamedTuple):
    x: Tensor  # [g, n, k]
    y: Tensor  # [g, n, o]
    centred: bool

    @property
    def _parts(self) -> tuple[Tensor, Tensor]:
        if not self.centred:
            return self.x, self.y
        return self.x - self.x.mean(1, keepdim=True), self.y - self.y.mean(1, keepdim=True)

    def solution(self, start: Tensor, ridge: float) -> Tensor:
        x, y = self._parts  # (XᵀX + λ)⁻¹ Xᵀ = Xᵀ (X Xᵀ + λ)⁻¹, and there are fewer rows than columns
        variance, square = (each.square().mean((1, 2)) for each in (x, self.x))
        damping = (torch.maximum(ridge * variance, ROUNDING * square) * x.shape[1]).clamp(min=TINY)
        return start + (x.mT @ _solved(x @ x.mT, damping, y - x @ start.mT)).mT

    def constant(self, weights: Tensor) -> Tensor:
        return (self.y - self.x @ weights.mT).mean(1)

    def error(self, weights: Tensor, constant: Tensor | None = None) -> float:
        x, y = self._parts
        left = y - x @ weights.mT
        if self.centred and constant is not None:
            left = left + (self.constant(weights) - constant).unsqueeze(1)
        return float(left.square().sum() / y.square().sum().clamp(min=TINY))


def _solved(matrix: Tensor, damping: Tensor, right: Tensor) -> Tensor:
    """(matrix + damping)⁻¹ right, by group; of a matrix that rounding made indefinite, the least-squares solution."""
    system = matrix + torch.diag_embed(damping[:, None].expand(matrix.shape[:2]))
    factor, failed = torch.linalg.cholesky_ex(system)
    return torch.linalg.lstsq(system, right).solution if bool(failed.any()) else torch.cholesky_solve(right, factor)


def best_ridge(halves: Sequence[Data], start: Tensor, ridges: Sequence[float], centred: bool) -> float:
    """The ridge whose weights, fitted to one half of the data, do best on the other; both ways round.

    With little data for many inputs this pulls towards ``start`` as strongly as is good for what was not seen.
    """
    fits = [half.joint((), centred) for half in halves if half.count]
    if len(fits) < 2:
        return ridges[0]

    def unseen(ridge: float) -> float:
        total = 0.0
        for seen, other in (fits, fits[::-1]):
            weights = seen.solution(start, ridge)
            total += other.error(weights, seen.constant(weights))
        return total

    return min(ridges, key=unseen)
