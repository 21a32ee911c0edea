"""What comes behind the units of one axis, with a gate on every unit; what comes before is run once and kept."""

from __future__ import annotations

import torch
from torch import Tensor, fx

from netsculpt.graph.untouched import tracing_mode
from netsculpt.measure import Statistics
from netsculpt.measure.batches import Batch, on
from netsculpt.measure.nodes import written_by
from netsculpt.measure.playback import bound
from netsculpt.measure.ranks import summed
from netsculpt.methods.pruning.discrepancy import Distance, discrepancy
from netsculpt.methods.pruning.streams import Values, arranged, copied, evaluated, last_uses


class Suffix:
    """The network from the first operation that uses an axis's units.

    Args:
        stats: of ``measure``, of the model as it is.
        axis: name of one whose consumers can be imitated.
        batches: calibration batches whose values are kept.
        distance: between answers.
    """

    def __init__(self, stats: Statistics, axis: str, batches: list[Batch], distance: Distance) -> None:
        self._stats = stats
        self._exported = stats.graph.program.exported
        self._distance = distance
        reads = stats.consumers[axis].reads
        self._gated = {op.node: (op.source, op.channel, read.gates) for read in reads for op in read.operations}
        nodes = [node for node in self._exported.graph.nodes if node.op != "output"]
        first = next(number for number, node in enumerate(nodes) if node.name in self._gated)
        self._nodes = nodes[first:]
        self._writes = any(written_by(node) is not None for node in self._nodes)
        examples = int(summed(torch.tensor(sum(batch.size for batch in batches))))
        self._shares = [batch.size / examples for batch in batches]
        with tracing_mode(stats.model), torch.no_grad():
            self._kept = [self._prefix(batch, nodes[:first]) for batch in batches]
            ones = torch.ones(stats.consumers[axis].size)
            self._originals = [self._answer(values, ones) for values in self._kept]

    def loss(self, gates: Tensor) -> Tensor:
        """This rank's share of the discrepancy from the original answers, every unit times its gate [m]; a scalar."""
        with tracing_mode(self._stats.model):
            parts = [
                share * discrepancy(self._distance, original, self._answer(values, gates))
                for values, original, share in zip(self._kept, self._originals, self._shares, strict=True)
            ]
        return torch.stack(parts).sum()

    def losses(self, gates: Tensor) -> Tensor:
        """The discrepancy for several gates [c, m] at once: [c]."""
        with torch.no_grad():
            try:
                found: Tensor = torch.func.vmap(self.loss, chunk_size=16)(gates)
            except RuntimeError:  # some operation cannot be batched
                found = torch.stack([self.loss(each) for each in gates])
        return summed(found)

    def slopes(self, gates: Tensor) -> Tensor:
        """The gradient of the discrepancy by the gates: [m]."""
        gates = gates.detach().requires_grad_()
        with torch.enable_grad():
            (found,) = torch.autograd.grad(self.loss(gates), gates)
        return summed(found)

    def _prefix(self, batch: Batch, nodes: list[fx.Node]) -> Values:
        inputs = iter(bound(self._exported, on(self._stats.model, batch)[0]))
        last = last_uses(self._exported.graph)
        values: Values = {}
        for node in nodes:
            values[node] = next(inputs) if node.op == "placeholder" else evaluated(node, values.__getitem__)
            for gone in last.get(node, ()):
                del values[gone]
        return values

    def _answer(self, kept: Values, gates: Tensor) -> object:
        values = dict(kept)
        if self._writes:  # into what the next call needs as it is
            values |= copied({node: value for node, value in kept.items() if node.op != "placeholder"})
        for node in self._nodes:
            written = node.all_input_nodes[0] if written_by(node) is not None else None
            if written is not None and not _is_shared(written, values):
                values[written] = values[written].clone()  # a gradient may need it as it was
            if node.name in self._gated:
                source, channel, units = self._gated[node.name]
                x = next(each for each in node.all_input_nodes if each.name == source)
                values[node] = evaluated(node, {**values, x: _times(values[x], gates, channel, units)}.__getitem__)
            else:
                values[node] = evaluated(node, values.__getitem__)
        return arranged(self._exported, values.__getitem__)


def _is_shared(node: fx.Node, values: Values) -> bool:
    """Whether other values lie in the same memory, so that they must see what is written."""
    if torch._C._functorch.is_batchedtensor(values[node]):  # vmap's tensors tell no memory, and were made in the suffix
        return False
    memory = values[node].untyped_storage().data_ptr()
    others = (value for other, value in values.items() if other is not node and isinstance(value, Tensor))
    return any(
        not torch._C._functorch.is_batchedtensor(each) and each.untyped_storage().data_ptr() == memory
        for each in others
    )


def _times(x: Tensor, gates: Tensor, channel: int, units: Tensor) -> Tensor:
    units = units.to(x.device)
    factors = torch.where(units < 0, 1.0, gates.to(x)[units.clamp(min=0)])
    return x * factors.view([-1 if dim == channel % x.dim() else 1 for dim in range(x.dim())])
