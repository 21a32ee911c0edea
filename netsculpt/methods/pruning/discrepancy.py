"""How far the answers of a pruned network are from those of the original."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils import _pytree as pytree

from netsculpt.measure import Statistics
from netsculpt.measure.labels import logits_of

Distance: TypeAlias = Literal["kl", "squared"]


def distance_of(stats: Statistics) -> Distance:
    """What fits a model's answers: "kl" for the logits of classes, "squared" for others."""
    return "squared" if stats.accuracy is None else "kl"


def discrepancy(distance: Distance, original: Any, pruned: Any) -> Tensor:
    """How far two answers are apart: a scalar, 0 for the same ones.

    Args:
        distance: ``"kl"``, the mean Kullback-Leibler divergence of the softmax of logits [examples, classes];
            ``"squared"``, the squared distance of all floating-point outputs relative to the original's squares.
        original: answers, a tensor or anything that holds tensors; or what has ``logits``, for ``"kl"``.
        pruned: the same of the other network.
    """
    if distance == "kl":
        p, q = (F.log_softmax(logits_of(each).double(), dim=-1) for each in (original, pruned))
        return (p.exp() * (p - q)).sum(-1).mean()  # what F.kl_div says, which torch.func.vmap runs one by one
    pairs = list(zip(_floats(original), _floats(pruned), strict=True))
    energy = torch.stack([before.square().sum() for before, _ in pairs]).sum()
    return torch.stack([(after - before).square().sum() for before, after in pairs]).sum() / energy.clamp(min=1e-300)


def _floats(answer: Any) -> list[Tensor]:
    leaves = pytree.tree_leaves(answer)
    return [leaf.double() for leaf in leaves if isinstance(leaf, Tensor) and leaf.is_floating_point()]
