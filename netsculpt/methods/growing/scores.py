"""Scores: what each candidate adds to the change of the loss, by integrated gradients along its gate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from netsculpt.measure import LossFn
from netsculpt.measure.batches import Batch
from netsculpt.measure.ranks import summed
from netsculpt.methods.growing.groups import Group, Kind
from netsculpt.methods.growing.overlay import Gates, Overlay
from netsculpt.methods.growing.tuning import batch_loss
from netsculpt.ops import taylor_gain_params

Path: TypeAlias = Literal["joint", "coordinate"]
Scores: TypeAlias = dict[tuple[str, Kind], Tensor]


def integrated(
    overlay: Overlay,
    batches: Sequence[Batch],
    loss_fn: LossFn,
    nodes: int = 3,
    path: Path = "joint",
    start: Gates | None = None,
) -> Scores:
    """∫₀¹ dL/dζ of every candidate's gate ζ by the midpoint rule: its share in L(on) - L(off), below 0 where it helps.

    Args:
        overlay: with tuned candidates.
        batches: data to judge by.
        loss_fn: the mean over a batch.
        nodes: n of the rule, ζ = (2z - 1) / 2n.
        path: "joint", all gates open together and the scores sum to L(all on) - L(start), one pass per node for all;
            "coordinate", one gate at a time while the others are on, and a score is L(all on) - L(all but this on), a
            pass per candidate and node.
        start: gates at the beginning of the path; those that are on have no score (0). All are off by default.

    Returns:
        Group's key -> float64 [candidates].

    Source: L. Wu, B. Liu, P. Stone, Q. Liu, "Firefly Neural Architecture Descent" (2020).
    """
    start = overlay.off() if start is None else start
    total = {key: torch.zeros(group.size, dtype=torch.float64) for key, group in overlay.groups.items()}
    examples = sum(batch.size for batch in batches)
    for node in range(nodes):
        at = (2 * node + 1) / (2 * nodes)
        for batch in batches:
            share = batch.size / (examples * nodes)
            if path == "joint":
                gates = {key: gate + (1 - gate) * at for key, gate in start.items()}
                slopes = _slopes(overlay, batch, loss_fn, gates)
                for key, gate in start.items():
                    total[key] += share * (1 - gate.cpu().double()) * slopes[key]
                continue
            for key, gate in start.items():
                for unit in (gate == 0).nonzero()[:, 0].tolist():
                    gates = overlay.on()
                    gates[key][unit] = at
                    total[key][unit] += share * _slopes(overlay, batch, loss_fn, gates)[key][unit]
    return total if not torch.distributed.is_initialized() else _over_ranks(total)


def end_points(overlay: Overlay, batches: Sequence[Batch], loss_fn: LossFn, at: float = 1.0) -> Scores:
    """dL/dζ with all gates at ``at``: what integrated gradients do better, for comparison."""
    examples = sum(batch.size for batch in batches)
    total = {key: torch.zeros(group.size, dtype=torch.float64) for key, group in overlay.groups.items()}
    for batch in batches:
        slopes = _slopes(overlay, batch, loss_fn, {key: gate * at for key, gate in overlay.on().items()})
        for key, each in slopes.items():
            total[key] += each * batch.size / examples
    return total


@torch.no_grad()
def loss_with(overlay: Overlay, batches: Sequence[Batch], loss_fn: LossFn, gates: Gates | None = None) -> float:
    """The mean loss with the candidates behind these gates."""
    tensors = overlay.tensors(gates)
    examples = sum(batch.size for batch in batches)
    return sum(float(batch_loss(overlay, each, loss_fn, tensors)) * each.size / examples for each in batches)


def _slopes(overlay: Overlay, batch: Batch, loss_fn: LossFn, gates: Gates) -> Scores:
    """dL/dζ of every gate, by one pass: sums over the slices that a gate multiplies."""
    with torch.no_grad():
        tensors = overlay.tensors(gates)
    for tensor in tensors.values():
        tensor.requires_grad_()
    with torch.enable_grad():
        loss = batch_loss(overlay, batch, loss_fn, tensors)
        found = torch.autograd.grad(loss, list(tensors.values()), allow_unused=True)
    gradients = {name: each for name, each in zip(tensors, found, strict=True) if each is not None}
    return {key: _slope(group, gradients) for key, group in overlay.groups.items()}


def _slope(group: Group, gradients: Mapping[str, Tensor]) -> Tensor:
    values, along = [], []
    for name, writes in group.writes.items():
        for write in writes:
            if name not in gradients or write.values not in group.gated:
                continue
            spread = write.spread(group.values[write.values])
            gradient = gradients[name].index_select(write.dim, write.at.flatten()).movedim(write.dim, 0)
            values.append(spread.reshape(group.size, -1).contiguous())
            along.append(gradient.reshape(group.size, -1).contiguous())
    if not values:
        return torch.zeros(group.size, dtype=torch.float64)
    return taylor_gain_params(values, along, [0] * len(values)).signed.cpu()


def _over_ranks(scores: Scores) -> Scores:
    ranks = torch.distributed.get_world_size()
    return {key: summed(each) / ranks for key, each in scores.items()}
