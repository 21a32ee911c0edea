"""Parts of a dimension to which a fact is limited: the queries of a fused weight, the gates of a recurrent one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

import torch
from torch import Tensor

from netsculpt.graph.positions import contains, factors
from netsculpt.graph.terms import Term

Limit: TypeAlias = frozenset[tuple[Term, int]]  # axes and the index that slices are limited to, or NOWHERE
Where: TypeAlias = tuple[str, int, Limit]  # slices along a dimension of a tensor

NOWHERE = -1


def within(term: Term, limits: Iterable[Limit], sizes: Mapping[Term, int]) -> Tensor:
    """Where in a dimension any of the limits holds: float64 [new size], ones there and zeros elsewhere.

    Args:
        term: the dimension.
        limits: each a set of (part, index) that hold together; an empty one holds everywhere.
        sizes: axis -> new size, of the axes whose size changes.
    """
    outside = torch.ones_like(factors(term, {}, sizes))
    for limit in limits:
        inside = torch.ones_like(outside)
        for part, index in limit:
            if contains(term, {part.find(): None}):
                inside *= factors(term, {part.find(): (torch.arange(part.size) == index).double()}, sizes)
        outside *= 1 - inside
    return 1 - outside
