"""Running a traced program again on calibration data, with an ear at every place where units are made and mixed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind
from torch.utils import _pytree as pytree

from netsculpt.errors import ArgumentError
from netsculpt.graph.program import Inputs
from netsculpt.measure.nodes import written_by

Watched: TypeAlias = Mapping[str, tuple[str, Callable[[Tensor], None]]]


class Playback(fx.Interpreter):
    """The program, run with the model's parameters as they are now; they get no gradients.

    Args:
        exported: the program.
        keep: names of values to keep.
        uses: (value, operation) whose gradients will be asked for: each operation gets a view of its own.
        watched: operation -> (value that it takes, who is told that value before it runs).
    """

    def __init__(
        self,
        exported: ExportedProgram,
        keep: Iterable[str] = (),
        uses: Iterable[tuple[str, str]] = (),
        watched: Watched | None = None,
    ) -> None:
        super().__init__(exported.graph_module, garbage_collect_values=True)
        self._exported = exported
        self._keep = frozenset(keep)
        self._watched = watched or {}
        self._uses: dict[str, list[str]] = {}
        for value, user in dict.fromkeys(uses):
            self._uses.setdefault(user, []).append(value)
        self.kept: dict[str, Any] = {}
        self.taps: dict[tuple[str, str], Tensor] = {}

    def outputs(self, inputs: Inputs) -> Any:
        """What the model answers, arranged as it arranges it."""
        self.kept, self.taps = {}, {}
        results = super().run(*bound(self._exported, inputs), enable_io_processing=False)
        signature = self._exported.graph_signature.output_specs
        given = [each for each, spec in zip(results, signature, strict=True) if spec.kind is OutputKind.USER_OUTPUT]
        return pytree.tree_unflatten(given, self._exported.call_spec.out_spec)

    def run_node(self, n: fx.Node) -> Any:
        """One operation; what it takes from units is a view."""
        nodes = {each.name: each for each in n.all_input_nodes}
        before = {nodes[name]: self.env[nodes[name]] for name in self._uses.get(n.name, ())}
        for node, value in before.items():
            self.env[node] = self.taps[node.name, n.name] = _tap(value)
        if n.name in self._watched:
            source, told = self._watched[n.name]
            told(self.env[nodes[source]].detach())
        written = written_by(n)
        if written is not None:
            self._save(self.env[nodes[written]])
        result = super().run_node(n)
        self.env.update(before)
        if n.name in self._keep:
            self.kept[n.name] = pytree.tree_map_only(Tensor, torch.detach, result)
        return result

    def _save(self, written: Tensor) -> None:
        """Keep what is about to be overwritten as it is."""
        for name, value in self.kept.items():
            if isinstance(value, Tensor) and _memory(value) == _memory(written):
                self.kept[name] = value.clone()


def _memory(value: Tensor) -> int:
    return value.untyped_storage().data_ptr()


def _tap(value: Tensor) -> Tensor:
    return value.view_as(value) if value.requires_grad else value.detach().requires_grad_()


def bound(exported: ExportedProgram, inputs: Inputs) -> list[Any]:
    """The values of the program's placeholders."""
    spec = exported.call_spec.in_spec
    leaves, found = pytree.tree_flatten((tuple(inputs.args), dict(inputs.kwargs)))
    if spec is not None and found != spec:
        raise ArgumentError(
            f"a batch of the loader must give the model inputs like its example inputs, arranged as {spec}, not {found}"
        )
    given = iter(leaves)
    values: list[Any] = []
    for each in exported.graph_signature.input_specs:
        if each.kind is InputKind.USER_INPUT:
            values.append(next(given))
            continue
        name = str(each.target)
        value = exported.state_dict[name] if name in exported.state_dict else exported.constants[name]
        values.append(value.detach() if isinstance(value, Tensor) else value)
    return values


def state_of(exported: ExportedProgram) -> Mapping[str, Tensor]:
    """The model's own parameters and buffers, by name."""
    constants = {name: value for name, value in exported.constants.items() if isinstance(value, Tensor)}
    return {**constants, **exported.state_dict}
