"""From terms to entries: where the units of an axis lie, and what becomes of a dimension when units change."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from netsculpt.graph.terms import Kind, Term, flatten, leaves


@dataclass(frozen=True)
class IndexMap:
    """The entries of a unit in a dimension: ``offset + unit · stride + Σ k · step`` for every k below each count.

    Attributes:
        offset: entries before the first one of unit 0.
        stride: from one unit to the next.
        loops: (count, step) of every repetition, outermost first.
    """

    offset: int
    stride: int
    loops: tuple[tuple[int, int], ...] = ()

    @property
    def count(self) -> int:
        """Entries of one unit."""
        return math.prod(count for count, _ in self.loops)

    def entries(self, units: Tensor) -> Tensor:
        """int64 [units] -> int64 [units × repetitions], unit by unit."""
        found = self.offset + units * self.stride
        for count, step in self.loops:
            found = (found[:, None] + step * torch.arange(count)).flatten()
        return found

    def __str__(self) -> str:
        loops = "".join(f" + {step}·(0…{count - 1})" for count, step in self.loops)
        return f"{self.offset or ''}{' + ' if self.offset else ''}{self.stride}·unit{loops}"


def index_maps(term: Term) -> Iterator[tuple[Term, IndexMap]]:
    """Every axis in ``term`` with the entries of its units, outermost and first ones first."""
    yield from _maps(term, 0, 1, ())


def _maps(term: Term, offset: int, step: int, loops: tuple[tuple[int, int], ...]) -> Iterator[tuple[Term, IndexMap]]:
    root = term.find()
    if root.kind is Kind.LEAF:
        yield root, IndexMap(offset, step, loops)
        return
    parts = flatten(root, root.kind)  # chains of hundreds of concatenations are one step, not as many levels
    if root.kind is Kind.CONCAT:
        for part in parts:
            yield from _maps(part, offset, step, loops)
            offset += part.size * step
        return
    strides = _strides(parts)
    for number, (part, stride) in enumerate(zip(parts, strides, strict=True)):
        others = tuple(
            (other.size, step * apart)
            for k, (other, apart) in enumerate(zip(parts, strides, strict=True))
            if k != number and other.size > 1
        )
        yield from _maps(part, offset, step * stride, loops + others)


def _strides(parts: Sequence[Term]) -> list[int]:
    strides, stride = [], 1
    for part in reversed(parts):
        strides.append(stride)
        stride *= part.size
    return strides[::-1]


def contains(term: Term, axes: Mapping[Term, object]) -> bool:
    """Whether any of ``axes`` (leaves as ``find`` returns them) occurs in ``term``."""
    return any(axis in axes for axis in leaves(term))


def sources(term: Term, units: Mapping[Term, Tensor]) -> Tensor:
    """The old entry of each new entry of a dimension, -1 for new ones, when axes change to the given old units.

    Args:
        term: the dimension, with its sizes before the change.
        units: axis -> int64 [new size], the old unit that each new one comes from, -1 for a new unit.
    """
    root = term.find()
    if not contains(root, units):
        return torch.arange(root.size)
    if root.kind is Kind.LEAF:
        return units[root]
    parts = flatten(root, root.kind)
    if root.kind is Kind.CONCAT:
        found, offset = [], 0
        for part in parts:
            entries = sources(part, units)
            found.append(torch.where(entries < 0, entries, entries + offset))
            offset += part.size
        return torch.cat(found)
    slow = sources(parts[0], units)
    for part in parts[1:]:
        fast = sources(part, units)
        slow = torch.where((slow[:, None] < 0) | (fast < 0), -1, slow[:, None] * part.size + fast).flatten()
    return slow


def factors(term: Term, scales: Mapping[Term, Tensor], sizes: Mapping[Term, int]) -> Tensor:
    """The factor of each new entry of a dimension, float64, from the factors of the units of its axes.

    Args:
        term: the dimension.
        scales: axis -> float64 [new size].
        sizes: axis -> new size, of the axes whose size changes.
    """
    root = term.find()
    if root.kind is Kind.LEAF:
        if root in scales:
            return scales[root]
        return torch.ones(sizes.get(root, root.size), dtype=torch.float64)
    parts = [factors(part, scales, sizes) for part in flatten(root, root.kind)]
    if root.kind is Kind.CONCAT:
        return torch.cat(parts)
    result = parts[0]
    for part in parts[1:]:
        result = torch.outer(result, part).flatten()
    return result


def labels(term: Term, axis: Term, sizes: Mapping[Term, int]) -> Tensor:
    """The unit of ``axis`` that each entry of a dimension belongs to, -1 for entries of no unit.

    Args:
        term: the dimension.
        axis: a leaf as ``find`` returns it; where it is a factor twice, the outer one counts.
        sizes: axis -> number of units, of the axes that are to have another than now.
    """
    root = term.find()
    if root.kind is Kind.LEAF:
        size = sizes.get(root, root.size)
        return torch.arange(size) if root is axis else torch.full((size,), -1)
    parts = [labels(part, axis, sizes) for part in flatten(root, root.kind)]
    if root.kind is Kind.CONCAT:
        return torch.cat(parts)
    result = parts[0]
    for part in parts[1:]:
        result = torch.where(result[:, None] < 0, part[None, :], result[:, None]).flatten()
    return result


def entries_by_unit(unit: Tensor) -> Tensor:
    """int64 [units, repetitions]: the entries of every unit, ascending, from ``labels`` in which all have as many."""
    return unit.argsort(stable=True)[int((unit < 0).sum()) :].reshape(int(unit.max()) + 1, -1)
