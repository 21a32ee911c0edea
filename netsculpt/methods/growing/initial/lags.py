"""Sums of products of two pictures at all pairs of places of two kernels, as convolutions.

For two convolutions in a row, place i of the first one's kernel and place j of the second one's meet at a distance that
is a sum of a multiple of i and one of j: of 3 × 3 and 3 × 3 places, 81 pairs, there are 5 × 5 distances. Products are
summed for distances, over the whole picture. What border pixels add too much for a place j is summed in the same way,
over the border alone, and taken away: for every dimension apart, and for corners given back.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True, eq=False)
class Lag:
    """What happens along one dimension: entry q of b meets entry ``q · step + offsets[i][j]`` of a.

    Attributes:
        step: from one entry of b to the next.
        offsets: int64 [places i, places j], evenly spaced along i.
        weights: [places j, entries of b], of the products.
    """

    step: int
    offsets: Tensor
    weights: Tensor

    @cached_property
    def most(self) -> float:
        """The weight of entries away from borders."""
        return float(self.weights.max())

    @cached_property
    def spacing(self) -> int:
        """What all distances are multiples of, but for the first."""
        return math.gcd(*(self.offsets - self.offsets.min()).flatten().tolist()) or 1

    @cached_property
    def table(self) -> Tensor:
        """int64 [places i, places j]: the number of their distance."""
        return (self.offsets - self.offsets.min()) // self.spacing

    @cached_property
    def bordering(self) -> list[int]:
        """Places j for which some entries count less."""
        return (self.weights < self.most).any(1).nonzero()[:, 0].tolist()

    def parts(self, place: int | None) -> list[_Part]:
        """All entries, or those that count less for a place, run by run, runs of one length."""
        entries = self.weights.shape[1]
        if place is None:
            return [_Part(0, entries, None, int(self.offsets.min()), int(self.table.max()) + 1, self.spacing)]
        lacking = self.most - self.weights[place]
        runs = _runs(lacking)
        length = max(last - first for first, last in runs)
        own = self.offsets[:, place]
        spacing = int(own[1] - own[0]) if len(own) > 1 else 1
        found = []
        for first, last in runs:
            start = min(first, entries - length)
            weights = torch.zeros_like(lacking)
            weights[first:last] = lacking[first:last]
            part = weights[start : start + length]
            found.append(_Part(start, length, None if (part == 1).all() else part, int(own[0]), len(own), spacing))
        return found


@dataclass(frozen=True, eq=False)
class _Part:
    """Some entries of b with weights, and the distances that are wanted: how many, from which on, how far apart."""

    start: int
    length: int
    weights: Tensor | None
    offset: int
    count: int
    spacing: int

    def of(self, b: Tensor, dim: int) -> Tensor:
        """These entries of b, by their weights."""
        found = b.narrow(dim, self.start, self.length)
        if self.weights is None:
            return found
        return found * self.weights.to(b.device, b.dtype).reshape([-1 if each == dim else 1 for each in range(b.dim())])


class LagSum:
    """Sums up ``Π weights[j, q] · a[q · step + offsets[i][j]] · b[q]`` over examples and entries q, batch by batch.

    Args:
        lags: one for each dimension behind the channels: one, two or three.
    """

    def __init__(self, lags: Sequence[Lag]) -> None:
        self._lags = lags
        self._parts = [{place: lag.parts(place) for place in (None, *lag.bordering)} for lag in lags]
        self._sums: dict[tuple[int | None, ...], Tensor] = {}

    def add(self, a: Tensor, b: Tensor) -> None:
        """Some examples; products are summed in their dtype, these sums in float64.

        Args:
            a: [n, A, …], 0 outside.
            b: [n, B, …].
        """
        for places in itertools.product(*self._parts):
            parts = [known[place] for known, place in zip(self._parts, places, strict=True)]
            found = _correlated(a, b, self._lags, parts).double()
            self._sums[places] = self._sums[places] + found if places in self._sums else found

    def total(self) -> Tensor:
        """What was summed up: float64 [A, *places i, B, *places j]."""
        spatial = len(self._lags)
        whole, *borders = self._sums
        total = self._spread(whole)
        for places in borders:
            at: list[slice] = [slice(None), slice(None)]
            for place in places:
                at += [slice(None), slice(None) if place is None else slice(place, place + 1)]
            total[tuple(at)] += self._spread(places)
        order = [1, *(2 + 2 * dim for dim in range(spatial)), 0, *(3 + 2 * dim for dim in range(spatial))]
        return total.permute(order)

    def _spread(self, places: tuple[int | None, ...]) -> Tensor:
        """The sums of some entries for all pairs of places that they belong to: [B, A, i, j, i, j, …]."""
        found = self._sums[places]
        factors = [lag.most if place is None else -1.0 for lag, place in zip(self._lags, places, strict=True)]
        found = found * math.prod(factors)
        for dim, (lag, place) in enumerate(zip(self._lags, places, strict=True)):
            where = 2 + 2 * dim
            if place is None:
                table = lag.table.to(found.device)
                found = found.index_select(where, table.flatten()).unflatten(where, table.shape)
            else:
                found = found.unsqueeze(where + 1)
        return found


def _correlated(a: Tensor, b: Tensor, lags: Sequence[Lag], choices: Sequence[Sequence[_Part]]) -> Tensor:
    """The sums over some entries of every dimension: [B, A, *distances]."""
    lefts, rights = [], []
    padding = [0] * len(lags)
    for parts in itertools.product(*choices):
        left, right = a, b
        for dim, (lag, part) in enumerate(zip(lags, parts, strict=True)):
            right = part.of(right, dim + 2)
            length = (part.length - 1) * lag.step + (part.count - 1) * part.spacing + 1
            left, padding[dim] = _window(left, dim + 2, part.start * lag.step + part.offset, length, len(choices[dim]))
        lefts.append(left)
        rights.append(right)
    left, right = (each[0] if len(each) == 1 else torch.cat(each) for each in (lefts, rights))
    ones = [parts[0] for parts in choices]
    steps, spacings = [lag.step for lag in lags], [part.spacing for part in ones]
    return _distances(left, right, [part.count for part in ones], steps, padding, spacings)


def _distances(
    left: Tensor, right: Tensor, counts: list[int], steps: list[int], padding: list[int], spacings: list[int]
) -> Tensor:
    """The gradient of the weight of a convolution from one to the other."""
    if right.dim() == 4 and right.shape[3] < right.shape[2]:  # a narrow strip takes half the time when it lies
        turned = (each[::-1] for each in (counts, steps, padding, spacings))
        return _distances(left.mT, right.mT, *turned).mT
    weight = left.new_empty(1).expand(right.shape[1], left.shape[1], *counts)
    nothing = [0] * len(counts)
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        _, gradient, _ = torch.ops.aten.convolution_backward(
            right.contiguous(),
            left.contiguous(),
            weight,
            None,
            steps,
            padding,
            spacings,
            False,
            nothing,
            1,
            [False, True, False],
        )
    return gradient


def _window(x: Tensor, dim: int, first: int, length: int, among: int) -> tuple[Tensor, int]:
    """Entries of one dimension from ``first`` on, zeros where there are none, and the zeros left to the convolution."""
    size = x.shape[dim]
    start, stop = min(max(first, 0), size), min(max(first + length, 0), size)
    found = x.narrow(dim, start, max(stop - start, 0))
    before = min(max(-first, 0), length)
    after = length - before - found.shape[dim]
    if before == after and among == 1:
        return found, before
    return F.pad(found, [0, 0] * (x.dim() - 1 - dim) + [before, after]), 0


def _runs(values: Tensor) -> list[tuple[int, int]]:
    """The runs of entries that are not 0: (first, behind the last)."""
    edges = F.pad((values != 0).int(), (1, 1)).diff().nonzero()[:, 0].tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))
