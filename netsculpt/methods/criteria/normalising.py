"""Making the scores of different axes comparable."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor

from netsculpt.errors import ArgumentError

Normaliser: TypeAlias = Literal["none", "sum", "mean", "median", "max", "range", "standard", "lamp"]

TINY = 1e-30  # where all scores are zero they stay so


def lamp_scores(scores: Tensor) -> Tensor:
    """Each score, at least 0, as its share of all those that are not smaller: the best unit of every axis has 1.

    Source: J. Lee et al., "Layer-Adaptive Sparsity for the Magnitude-Based Pruning" (2021), for single weights.
    """
    ascending = scores.sort().values
    not_smaller = ascending.flip(0).cumsum(0).flip(0)
    return scores / not_smaller[torch.searchsorted(ascending, scores)].clamp(min=TINY)


def _standard(scores: Tensor) -> Tensor:
    return (scores - scores.mean()) / scores.std(correction=0).clamp(min=TINY)


def _range(scores: Tensor) -> Tensor:
    return (scores - scores.min()) / (scores.max() - scores.min()).clamp(min=TINY)


_NORMALISERS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda scores: scores,
    "sum": lambda scores: scores / scores.abs().sum().clamp(min=TINY),
    "mean": lambda scores: scores / scores.abs().mean().clamp(min=TINY),
    "median": lambda scores: scores / scores.abs().median().clamp(min=TINY),
    "max": lambda scores: scores / scores.abs().amax().clamp(min=TINY),
    "range": _range,
    "standard": _standard,
    "lamp": lamp_scores,
}


def normalised(scores: Tensor, how: Normaliser | Callable[[Tensor], Tensor]) -> Tensor:
    """The scores of an axis on a scale that other axes share; their order stays.

    Args:
        scores: float64 [m].
        how: divided by their ``"sum"``, ``"mean"``, ``"median"`` or ``"max"``, all without signs; moved and stretched
            to the ``"range"`` from 0 to 1, or to the ``"standard"`` mean 0 and deviation 1; ``"lamp"``: see
            ``lamp_scores``; ``"none"``: as they are; or a function of them.

    Raises:
        ArgumentError: ``how`` is none of these.
    """
    if callable(how):
        return how(scores)
    if how not in _NORMALISERS:
        raise ArgumentError(f"normalise must be one of {', '.join(get_args(Normaliser))} or a function, not {how!r}")
    return _NORMALISERS[how](scores)
