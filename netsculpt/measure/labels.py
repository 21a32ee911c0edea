"""How often a model is right, where a loader's targets are classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Accuracy(NamedTuple):
    """Shares of examples.

    Attributes:
        right: whose class has the largest output.
        chance: that guessing gets right, one over the number of classes.
    """

    right: float
    chance: float


def logits_of(answer: Any) -> Any:
    """What an answer has as ``logits``; itself where it has none."""
    if isinstance(answer, Mapping) and "logits" in answer:
        return answer["logits"]
    return getattr(answer, "logits", answer)


def right_of(answer: Any, target: Any) -> tuple[int, int] | None:
    """(examples whose class has the largest output, classes); None where targets are no classes.

    Args:
        answer: float [examples, classes], or something with such ``logits``; one column tells no
            class from another.
        target: int64 [examples], or a mapping with such ``labels``.
    """
    logits = logits_of(answer)
    labels = target.get("labels") if isinstance(target, Mapping) else target
    if not isinstance(logits, Tensor) or not isinstance(labels, Tensor):
        return None
    if logits.dim() != 2 or logits.shape[1] < 2 or labels.dtype != torch.int64 or labels.shape != logits.shape[:1]:
        return None
    return int((logits.argmax(1) == labels).sum()), logits.shape[1]
