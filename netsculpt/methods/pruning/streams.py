"""The traced program run twice at once over all calibration data: as it is, and with new weights as they are found.

Operation by operation, all batches, so that a weight can be fitted to what the changed network really feeds it before
anything behind it runs. Up to the first changed weight both networks are one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram
from torch.export.graph_signature import OutputKind
from torch.utils import _pytree as pytree

from netsculpt.graph.untouched import tracing_mode
from netsculpt.measure import Statistics
from netsculpt.measure.batches import on
from netsculpt.measure.nodes import written_by
from netsculpt.measure.playback import bound
from netsculpt.measure.producers import state_names

Values = dict[fx.Node, Any]


class Streams:
    """Both networks, as far as they have been run.

    Args:
        stats: of ``measure``, of the model as it is.
    """

    def __init__(self, stats: Statistics) -> None:
        self._stats = stats
        exported = stats.graph.program.exported
        self._exported = exported
        self._nodes = [node for node in exported.graph.nodes if node.op != "output"]
        self._names = state_names(stats.graph)
        self._apart: set[fx.Node] = set()  # whose values differ
        placeholders = [node for node in self._nodes if node.op == "placeholder"]
        self._before: list[Values] = [
            dict(zip(placeholders, bound(exported, on(stats.model, batch)[0]), strict=True)) for batch in stats.data
        ]
        self._after: list[Values] = [{} for _ in stats.data]
        self._last = last_uses(exported.graph)

    def run(self, at: Mapping[str, Callable[[], None]]) -> None:
        """Run both networks to their ends.

        Args:
            at: operation -> what is called when the network as it is has run it, and the changed one has not yet:
                it may look at ``pairs`` and ``replace`` weights that nothing has used yet.
        """
        with tracing_mode(self._stats.model), torch.no_grad():
            for node in self._nodes:
                if node.op != "placeholder":
                    self._step(node, at.get(node.name))

    def pairs(self, source: str, result: str) -> Iterator[tuple[Tensor, Tensor]]:
        """Batch by batch: what an operation gives as the network is, and what the changed network feeds it."""
        x, y = (next(node for node in self._nodes if node.name == name) for name in (source, result))
        for before, after in zip(self._before, self._after, strict=True):
            yield before[y], _either(after, before, x)

    def replace(self, name: str, value: Tensor) -> None:
        """Give a parameter or buffer of the changed network a value; nothing may have used it yet."""
        for node in self._nodes:
            if node.op == "placeholder" and self._names.get(node.name) == name:
                self._apart.add(node)
                for after, before in zip(self._after, self._before, strict=True):
                    after[node] = value.to(before[node])

    def outputs(self) -> Iterator[tuple[Any, Any, Any, float]]:
        """Batch by batch: what the network answers, what the changed one answers, the target, the batch's share."""
        for batch, before, after in zip(self._stats.data, self._before, self._after, strict=True):
            original = arranged(self._exported, before.__getitem__)
            changed = arranged(self._exported, partial(_either, after, before))
            yield original, changed, on(self._stats.model, batch)[1], batch.size / self._stats.examples

    def _step(self, node: fx.Node, call: Callable[[], None] | None) -> None:
        apart = any(each in self._apart for each in node.all_input_nodes)
        written = node.all_input_nodes[0] if written_by(node) is not None else None
        if apart and written is not None and written not in self._apart:
            for before, after in zip(self._before, self._after, strict=True):
                # The changed network writes into memory of its own, and so do all its views of what is written.
                memory = before[written].untyped_storage().data_ptr()
                tensors = {each: value for each, value in before.items() if isinstance(value, Tensor)}
                shared = {n: value for n, value in tensors.items() if value.untyped_storage().data_ptr() == memory}
                after |= copied({each: value for each, value in shared.items() if each not in after})
                self._apart.update(shared)
        for before in self._before:
            before[node] = evaluated(node, before.__getitem__)
        if call is not None:
            call()
            apart = any(each in self._apart for each in node.all_input_nodes)
        if apart:
            self._apart.add(node)
            for before, after in zip(self._before, self._after, strict=True):
                after[node] = evaluated(node, partial(_either, after, before))
        for gone in self._last.get(node, ()):
            for values in (*self._before, *self._after):
                values.pop(gone, None)


def _either(after: Values, before: Values, node: fx.Node) -> Any:
    return after[node] if node in after else before[node]


def evaluated(node: fx.Node, value: Callable[[fx.Node], Any]) -> Any:
    """The result of an operation, the values of others given."""
    if node.op == "get_attr":
        return attrgetter(str(node.target))(node.graph.owning_module)
    args, kwargs = fx.node.map_arg((node.args, node.kwargs), value)
    return node.target(*args, **kwargs)  # type: ignore[operator]


def copied(values: Values) -> Values:
    """Tensors with memory of their own, those that share some sharing it still."""
    storages: dict[int, torch.UntypedStorage] = {}

    def copy(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in storages:
            storages[storage.data_ptr()] = storage.clone()
        empty = torch.empty(0, dtype=tensor.dtype, device=tensor.device)
        return empty.set_(storages[storage.data_ptr()], tensor.storage_offset(), tensor.size(), tensor.stride())

    found: Values = pytree.tree_map_only(Tensor, copy, values)
    return found


def arranged(exported: ExportedProgram, value: Callable[[fx.Node], Any]) -> Any:
    """What the model answers, arranged as it arranges it."""
    (output,) = (node for node in exported.graph.nodes if node.op == "output")
    kinds = [spec.kind for spec in exported.graph_signature.output_specs]
    given = [each for each, kind in zip(output.args[0], kinds, strict=True) if kind is OutputKind.USER_OUTPUT]
    leaves = [value(each) if isinstance(each, fx.Node) else each for each in given]
    return pytree.tree_unflatten(leaves, exported.call_spec.out_spec)


def last_uses(graph: fx.Graph) -> dict[fx.Node, list[fx.Node]]:
    """Operation -> values that nothing needs after it."""
    seen: set[fx.Node] = set()
    found: dict[fx.Node, list[fx.Node]] = {}
    for node in reversed(graph.nodes):
        for used in node.all_input_nodes:
            if used not in seen and used.op != "placeholder":
                seen.add(used)
                found.setdefault(node, []).append(used)
    return found
