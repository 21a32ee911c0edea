"""Inner products of what units add to the operations that use them, summed over the calibration data.

Unit i adds c_i = Σ_p x_ip w_ip to a consumer's result, p over its columns. All that a choice of units needs is
K_ij = Σ ⟨c_i, c_j⟩ over positions, and that factorises: K_ij = Σ_pq (XᵀX)_(ip)(jq) · (WᵀW)_(ip)(jq). The patches'
covariance is formed where it is small; where it is not, one pair (p, q) of columns is formed after the other, which
takes half of the operations, by symmetry, and no memory beyond K's. Convolutions that move by one pixel have a quicker
way, ``ShiftSum``.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from netsculpt import ops
from netsculpt.errors import MeasureError
from netsculpt.measure.consumers import Read, weight_matrix
from netsculpt.measure.playback import Watched, state_of
from netsculpt.measure.ranks import summed
from netsculpt.measure.shifts import ShiftSum, shiftable

if TYPE_CHECKING:
    from netsculpt.measure.statistics import Statistics

FORMED = 1536  # columns up to which the covariance is formed: 18 MB
CHUNK = 64 << 20  # bytes of patches at a time


class Gram(NamedTuple):
    """What units of one axis add to the results of one weight's operations.

    Attributes:
        inner: [m, m] float64, means over positions of ⟨c_i, c_j⟩; a symmetric matrix.
        means: [m, outputs] float64, means of c_i.
        positions: number of positions of all ranks.
    """

    inner: Tensor
    means: Tensor
    positions: int

    @property
    def centred(self) -> Tensor:
        """``inner`` of c_i less their means: what is left where constants can be made up for."""
        return self.inner - self.means @ self.means.T


class GramSum:
    """Sums up a ``Gram``, batch by batch.

    Args:
        read: how the axis enters the weight.
        weight: the weight.
    """

    def __init__(self, read: Read, weight: Tensor) -> None:
        self._read = read
        groups = weight_matrix(weight, read)
        self._units, self._places = read.columns.shape
        # Columns by unit where the covariance is formed, else by place, so that a pair of places is a block.
        self._formed = read.columns.numel() <= FORMED
        columns = read.columns if self._formed else read.columns.T
        self._columns = columns.flatten().to(weight.device)
        self._weights = groups[:, :, self._columns]
        size = len(self._columns) if self._formed else self._units
        self._sum = self._weights.new_zeros(len(groups), size, size)
        self._means = self._weights.new_zeros(len(groups), len(self._columns))
        self._positions = 0

    def add(self, x: Tensor) -> None:
        """The inputs of one call of the operation."""
        operation = self._read.operations[0]
        for part in x.split(operation.examples(x, CHUNK)):
            rows = operation.patches(part, False)
            self._positions += len(rows)
            for group, patches in enumerate(rows.chunk(self._read.groups, dim=1)):
                self._add(group, patches[:, self._columns].double())

    def tensors(self) -> tuple[Tensor, ...]:
        """The sums so far, for all ranks to add up."""
        return self._sum, self._means

    def inner(self) -> Tensor:
        """Σ ⟨c_i, c_j⟩ of what was summed: [m, m]."""
        if not self._formed:
            return self._sum.sum(0)
        products = self._weights.mT @ self._weights
        each = [ops.coupled_gram(s, w, self._places) for s, w in zip(self._sum, products, strict=True)]
        return torch.stack(each).sum(0)

    def means(self) -> Tensor:
        """Σ c_i: [m, outputs]."""
        weighted = self._weights * self._means.unsqueeze(1)  # [groups, outputs, columns]
        shape = (self._units, self._places) if self._formed else (self._places, self._units)
        return weighted.unflatten(2, shape).sum(3 if self._formed else 2).flatten(0, 1).T

    @property
    def positions(self) -> int:
        """Positions seen on this rank."""
        return self._positions

    def _add(self, group: int, rows: Tensor) -> None:
        self._means[group] += rows.sum(0)
        if self._formed:
            self._sum[group].addmm_(rows.T, rows)
            return
        blocks, weights = rows.split(self._units, 1), self._weights[group].split(self._units, 1)
        for p in range(self._places):
            for q in range(p, self._places):
                product = (blocks[p].T @ blocks[q]).mul_(weights[p].T @ weights[q])
                self._sum[group] += product if p == q else product + product.T


def sum_of(read: Read, weight: Tensor) -> GramSum | ShiftSum:
    """What sums up a consumer's ``Gram`` quickest."""
    return ShiftSum(read, weight) if shiftable(read) else GramSum(read, weight)


class GramSums:
    """The sums of several axes, over all ranks.

    Args:
        stats: of the model.
        axes: names of axes whose consumers can be imitated.
    """

    def __init__(self, stats: Statistics, axes: Iterable[str]) -> None:
        state = state_of(stats.graph.program.exported)
        self._sums: dict[str, dict[str, GramSum | ShiftSum]] = {
            axis: {read.weight: sum_of(read, state[read.weight]) for read in stats.consumers[axis].reads}
            for axis in axes
        }
        by_weight: dict[str, list[GramSum | ShiftSum]] = {}
        for each in self._sums.values():
            for weight, total in each.items():
                by_weight.setdefault(weight, []).append(total)
        self._told = {
            operation.node: (operation.source, by_weight[read.weight])
            for axis in self._sums
            for read in stats.consumers[axis].reads
            for operation in read.operations
        }

    @property
    def watched(self) -> Watched:
        """For a ``Playback``, which adds a batch to the sums."""
        return {node: (source, partial(_tell, sums)) for node, (source, sums) in self._told.items()}

    def grams(self) -> dict[str, dict[str, Gram]]:
        """Axis -> weight -> its Gram matrix.

        Raises:
            MeasureError: one of them is not finite.
        """
        found: dict[str, dict[str, Gram]] = {}
        for axis, sums in self._sums.items():
            found[axis] = {}
            for weight, each in sums.items():
                for tensor in each.tensors():
                    summed(tensor)
                positions = int(summed(torch.tensor(each.positions)))
                gram = Gram(each.inner() / positions, each.means() / positions, positions)
                if not bool(gram.inner.isfinite().all()):
                    raise MeasureError(f"what the units of {axis!r} add to the results of {weight} is not finite")
                found[axis][weight] = gram
        return found


def _tell(sums: Iterable[GramSum | ShiftSum], x: Tensor) -> None:
    for each in sums:
        each.add(x)
