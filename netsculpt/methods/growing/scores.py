"""Scores: what each candidate adds to the change of the loss, by integrated gradients along its gate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from netsculpt.errors import MeasureError
from netsculpt.graph.untouched import plainly
from netsculpt.measure import LossFn
from netsculpt.measure.batches import Batch
from netsculpt.measure.ranks import summed, together
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
        Group's key -> float64 [candidates], over all ranks' batches.

    Raises:
        MeasureError: a loss or a score is not finite.

    Source: L. Wu, B. Liu, P. Stone, Q. Liu, "Firefly Neural Architecture Descent" (2020).
    """
    start = overlay.off() if start is None else start
    total = together(partial(_along, overlay, batches, loss_fn, nodes, path, start))
    return _over_ranks(total, batches)


def end_points(overlay: Overlay, batches: Sequence[Batch], loss_fn: LossFn, at: float = 1.0) -> Scores:
    """dL/dζ with all gates at ``at``: what integrated gradients do better, for comparison."""
    gates = {key: gate * at for key, gate in overlay.on().items()}
    return _over_ranks(together(partial(_sums, overlay, batches, loss_fn, gates)), batches)


@torch.no_grad()
def loss_with(overlay: Overlay, batches: Sequence[Batch], loss_fn: LossFn, gates: Gates | None = None) -> float:
    """The mean loss with the candidates behind these gates, over all ranks' batches."""
    tensors = overlay.tensors(gates)
    own = together(lambda: sum(float(batch_loss(overlay, each, loss_fn, tensors)) * each.size for each in batches))
    total, examples = summed(torch.tensor([own, _examples(batches)], dtype=torch.float64)).tolist()
    return float(total / examples)


def _along(overlay: Overlay, batches: Sequence[Batch], loss_fn: LossFn, nodes: int, path: Path, start: Gates) -> Scores:
    """Of this rank: the integral times its number of examples."""
    total = _zeros(overlay)
    for node in range(nodes):
        at = (2 * node + 1) / (2 * nodes)
        if path == "joint":
            slopes = _sums(overlay, batches, loss_fn, {key: gate + (1 - gate) * at for key, gate in start.items()})
            for key, gate in start.items():
                total[key] += (1 - gate.cpu().double()) * slopes[key] / nodes
            continue
        for key, gate in start.items():
            for unit in (gate == 0).nonzero()[:, 0].tolist():
                gates = overlay.on()
                gates[key][unit] = at
                total[key][unit] += _sums(overlay, batches, loss_fn, gates)[key][unit] / nodes
    return total


def _sums(overlay: Overlay, batches: Sequence[Batch], loss_fn: LossFn, gates: Gates) -> Scores:
    """dL/dζ of every gate, times the number of examples, over batches of this rank."""
    total = _zeros(overlay)
    for batch in batches:
        for key, each in _slopes(overlay, batch, loss_fn, gates).items():
            total[key] += each * batch.size
    return total


def _slopes(overlay: Overlay, batch: Batch, loss_fn: LossFn, gates: Gates) -> Scores:
    """dL/dζ of every gate, by one pass: sums over the slices that a gate multiplies."""
    with torch.no_grad():
        tensors = overlay.tensors(gates)
    for tensor in tensors.values():
        tensor.requires_grad_()
    with plainly(overlay.net), torch.enable_grad():
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
            along.append(gradient.reshape(group.size, -1).to(spread.dtype).contiguous())
    if not values:
        return torch.zeros(group.size, dtype=torch.float64)
    return taylor_gain_params(values, along, [0] * len(values)).signed.cpu()


def _zeros(overlay: Overlay) -> Scores:
    return {key: torch.zeros(group.size, dtype=torch.float64) for key, group in overlay.groups.items()}


def _examples(batches: Sequence[Batch]) -> int:
    return sum(batch.size for batch in batches)


def _over_ranks(scores: Scores, batches: Sequence[Batch]) -> Scores:
    """From every rank's sums to the mean over all examples.

    Raises:
        MeasureError: a score is not finite.
    """
    examples = float(summed(torch.tensor(_examples(batches), dtype=torch.float64)))
    found = {key: summed(each) / examples for key, each in scores.items()}
    for (axis, kind), each in found.items():
        if not bool(each.isfinite().all()):
            raise MeasureError(
                f"a score of the {kind!r} candidates of axis {axis!r} is not finite; tune with a smaller radius"
            )
    return found
