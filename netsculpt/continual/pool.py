"""The pool: every unit that any task uses, in one network whose values are written once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from netsculpt.continual.private import copied, heads_of, install, outlet, private_names, state_of, tensors_of, width_of
from netsculpt.edit import Plan, Prune, Widen, apply
from netsculpt.edit.history import Step, forget, history
from netsculpt.errors import ArgumentError, EditError
from netsculpt.graph import Axis, Change, Gather, Graph, trace

Masks = dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class Task:
    """What a task has: which units of the pool it uses, and what is its own.

    Attributes:
        masks: axis -> int64 [units], the units of the pool that the task uses, ascending.
        private: tensor name -> value, in the task's sizes: norms, buffers, the head.
    """

    masks: Masks = field(repr=False)
    private: dict[str, Tensor] = field(repr=False)


class Pool:
    """All units of all tasks as one ordinary network, and the tasks as cuts through it.

    A unit is what the graph says it is: a slice of every tensor that it lies in. A value of a shared tensor belongs to
    the first task that uses all units which meet in it, and is never written again. So what an older unit receives from
    a younger one is the matter of tasks that use both, and no task sees more of the pool than the cut that it was
    trained as: later tasks leave its outputs as they were to the bit.

    Args:
        model: copied.
        example_inputs: as for ``trace``.
        private: names of the modules that every task has for itself beside norms and buffers; by default the layers
            that make the model's outputs.

    Attributes:
        model: the network of all units; the private tensors in it are those with which their units came.
        graph: of ``model``.
        heads: names of the private modules.
        outlet: the private layer whose width is the number of classes; None where there is none.
        private: names of the private tensors.
        tasks: the tasks by name, in the order in which they were learnt.

    Raises:
        GraphError: the model cannot be traced.
        ArgumentError: ``private`` names no module, or is needed.
    """

    def __init__(self, model: nn.Module, example_inputs: Any, private: Iterable[str] | None = None) -> None:
        self.model = copied(model)
        self.example_inputs = example_inputs
        self.graph = trace(self.model, example_inputs)
        self.heads = heads_of(self.model, self.graph, private)
        self.outlet = outlet(self.model, self.graph, self.heads)
        self.private = private_names(self.model, self.heads)
        self.tasks: dict[str, Task] = {}

    @property
    def axes(self) -> tuple[Axis, ...]:
        """The axes whose units tasks share. A scale that depends on their number would change what others see."""
        shared = [axis for axis in self.graph.sculptable if not axis.rescales]
        return tuple(axis for axis in shared if any(each.tensor not in self.private for each in axis.producers))

    @property
    def shared(self) -> dict[str, Tensor]:
        """The tensors that all tasks share, by their first names."""
        return {name: each for name, each in self.model.named_parameters() if name not in self.private}

    @property
    def classes(self) -> int | None:
        """Outputs of the model as it was given, where a private layer makes them."""
        return None if self.outlet is None else width_of(self.model.get_submodule(self.outlet))[1]

    def all_units(self) -> Masks:
        """The masks of a task that uses every unit."""
        return {axis.name: torch.arange(axis.size) for axis in self.axes}

    def cut(self, masks: Mapping[str, Tensor]) -> nn.Module:
        """A copy of the network with these units alone; private tensors are the pool's own."""
        model = copied(self.model)
        sizes = {axis.name: axis.size for axis in self.axes}
        edits = [Prune(name, keep) for name, keep in masks.items() if not _whole(keep, sizes[name])]
        if edits:
            apply(Plan(tuple(edits)), model, graph=self.graph, check=False)
            self.graph.resize(sizes)
            forget(model)
        return model

    def task(self, name: str) -> nn.Module:
        """The network of a task, an ordinary module of its own in eval mode.

        Raises:
            ArgumentError: no such task was learnt.
        """
        task = self[name]
        model = self.cut(task.masks)
        install(model, task.private, self.outlet)
        self._record_classes(model)
        return model.eval()

    def __getitem__(self, name: str) -> Task:
        if not isinstance(name, str) or name not in self.tasks:
            known = ", ".join(map(repr, self.tasks)) or "none yet"
            raise ArgumentError(f"name must be that of a task that was learnt ({known}), not {name!r}")
        return self.tasks[name]

    def taken(self) -> dict[str, Tensor]:
        """Tensor name -> bool, of the pool's shape: the entries that some task uses."""
        tensors = tensors_of(self.model)
        found = {name: torch.zeros(tensors[name].shape, dtype=torch.bool) for name in self.graph.tensors}
        found |= {name: torch.zeros(each.shape, dtype=torch.bool) for name, each in self.shared.items()}
        for task in self.tasks.values():
            cut = windows(self.graph, task.masks)
            for name, used in found.items():
                used[window(cut.get(name, {}), used.shape)] = True
        return found

    def add(self, name: str, net: nn.Module, origin: Masks) -> None:
        """Take a learnt network in: its new units join the pool, and their values are never written again.

        Args:
            name: of the task.
            net: with the units of ``origin``.
            origin: axis -> int64 [units], the pool's unit that each one is, -1 for a new one; ascending, new ones last.

        Raises:
            EditError: values that earlier tasks use are not what they were.
        """
        before = {axis.name: axis.size for axis in self.axes}
        fresh = {axis: int((units < 0).sum()) for axis, units in origin.items()}
        masks = {
            axis: torch.cat([units[units >= 0], torch.arange(before[axis], before[axis] + fresh[axis])])
            for axis, units in origin.items()
        }
        self._require_unchanged(net, origin)
        self.widen(fresh)
        cut, tensors = windows(self.graph, masks), tensors_of(self.model)
        values, inside = tensors_of(net), tuple(f"{path}." for path in self.heads)
        for tensor, used in self.taken().items():
            if tensor.startswith(inside):
                continue  # a head of the pool's is nobody's
            target, at = tensors[tensor], window(cut.get(tensor, {}), used.shape)
            target.data[at] = torch.where(used[at].to(target.device), target.data[at], values[tensor].detach())
        self.tasks[name] = Task(masks, state_of(net, self.private))

    def widen(self, fresh: Mapping[str, int]) -> None:
        """Add units without weights, which no task uses yet."""
        edits = [Widen(axis, count, init="zero") for axis, count in fresh.items() if count]
        if edits:
            apply(Plan(tuple(edits)), self.model, graph=self.graph, check=False)
            forget(self.model)

    def _require_unchanged(self, net: nn.Module, origin: Masks) -> None:
        values, shared, taken = tensors_of(net), self.shared, self.taken()
        used = picked(self.graph, origin, {name: taken[name] for name in shared})
        for name, wanted in picked(self.graph, origin, {name: each.detach() for name, each in shared.items()}).items():
            at = used[name].to(wanted.device)
            if not torch.equal(values[name].detach()[at], wanted[at]):
                raise EditError(
                    f"{name} has other values than the tasks that were learnt before have; nothing was added"
                )

    def _record_classes(self, model: nn.Module) -> None:
        """Let the history say how many classes there are, so that ``netsculpt.load`` can make the head."""
        if self.outlet is None or not len(history(model)):
            return
        layer, steps = model.get_submodule(self.outlet), history(model).steps
        shapes = {f"{self.outlet}.{name}": list(each.shape) for name, each in layer.named_parameters(recurse=False)}
        record = steps[-1].record
        attributes = [*record["attributes"], [self.outlet, *width_of(layer)]]
        steps[-1] = Step({**record, "shapes": record["shapes"] | shapes, "attributes": attributes})


def windows(graph: Graph, masks: Mapping[str, Tensor]) -> dict[str, Mapping[int, Tensor]]:
    """Tensor name -> dim -> int64, the entries of these units, for all tensors that they lie in."""
    return {name: gather.index for name, gather in _gathers(graph, masks).items()}


def picked(graph: Graph, masks: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors cut down to these units; for a unit -1 there are zeros."""
    gathers = _gathers(graph, masks)
    return {name: gathers.get(name, Gather({})).gather(each) for name, each in tensors.items()}


def _gathers(graph: Graph, masks: Mapping[str, Tensor]) -> dict[str, Gather]:
    return graph.rearrangement({name: Change(units) for name, units in masks.items()}).gathers


def window(index: Mapping[int, Tensor], shape: Iterable[int]) -> tuple[Tensor, ...]:
    """What picks a block of a tensor: the given entries of some dims, all of the others."""
    sizes = list(shape)
    found = []
    for dim, size in enumerate(sizes):
        entries = index.get(dim, torch.arange(size))
        found.append(entries.reshape([-1 if d == dim else 1 for d in range(len(sizes))]))
    return tuple(found)


def _whole(keep: Tensor, size: int) -> bool:
    return torch.equal(keep, torch.arange(size))
