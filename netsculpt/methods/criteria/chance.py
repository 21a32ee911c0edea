"""Nothing but chance."""

from __future__ import annotations

import torch
from torch import Tensor

from netsculpt.methods.criteria.subject import Subject


def random(subject: Subject, axis: str, *, seed: int = 0) -> Tensor:
    """A number from 0 to 1 for each unit, what every other criterion has to beat.

    Args:
        subject: ``Statistics``, or anything else with a model and its graph.
        axis: name of the axis; two axes get different numbers.
        seed: the same numbers for the same seed, on every machine.

    Returns:
        float64 [m].
    """
    graph = subject.graph
    number = next(number for number, each in enumerate(graph) if each is graph[axis])
    generator = torch.Generator().manual_seed(seed * 1_000_003 + number)
    return torch.rand(graph[axis].size, generator=generator, dtype=torch.float64)
