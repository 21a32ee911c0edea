"""How the scores that a unit has at several places become one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor

from netsculpt.errors import ArgumentError

Reduction: TypeAlias = Literal["mean", "sum", "max", "first", "product"]

_REDUCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": lambda scores: scores.mean(0),
    "sum": lambda scores: scores.sum(0),
    "max": lambda scores: scores.amax(0),
    "first": lambda scores: scores[0],
    "product": lambda scores: scores.prod(0),
}


def reduced(scores: Sequence[Tensor], how: Reduction) -> Tensor:
    """One number per unit, float64 [m], of the numbers that it has at every place.

    Args:
        scores: [m] of each place, the producers' first.
        how: ``"mean"``, ``"sum"``, ``"max"`` or ``"product"`` of them, or the ``"first"``, which is what a criterion
            says that was published for the filters of single layers.

    Raises:
        ArgumentError: ``how`` is none of them.
    """
    if how not in _REDUCTIONS:
        raise ArgumentError(f"reduce must be one of {', '.join(get_args(Reduction))}, not {how!r}")
    return _REDUCTIONS[how](torch.stack([each.double() for each in scores]))
