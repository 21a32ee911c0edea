"""The overlay: a model run with everything attached to it that it could grow by, each candidate behind a gate.

The model stays as it is. A copy of it has the grown shapes; its tensors are the model's own, rearranged, plus the
candidates' values where they lie. So what is accepted can be made by edits, and answers just as it did here.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils import _pytree as pytree

from netsculpt.edit import InsertLayer, Plan, Split, Widen, apply
from netsculpt.errors import NetsculptError
from netsculpt.graph import Axis, Graph
from netsculpt.graph.axes import Place
from netsculpt.graph.gather import Gather
from netsculpt.graph.positions import labels
from netsculpt.graph.program import Inputs
from netsculpt.graph.tracing import retrace
from netsculpt.graph.untouched import copied, plainly
from netsculpt.methods.growing.blocks import in_blocks
from netsculpt.methods.growing.groups import (
    Group,
    Kind,
    Write,
    divided,
    entries_of,
    incoming,
    outgoing,
    reason_against,
    writes_of,
)

ROUNDING = 0.02  # of the largest answer, more than half precision errs by
KINDS: tuple[Kind, ...] = ("split", "new")  # by which axes get wider
Gates: TypeAlias = Mapping[tuple[str, Kind], Tensor]


class Overlay:
    """A copy of a model with candidates attached.

    Args:
        model: not changed, and not needed any more afterwards.
        graph: of the model.
        axes: names of the axes that may get wider; all that can be by default.
        kinds: "split" for offsets of every unit's copies, "new" for new units, "layer" for the inserted ones.
        new_units: how many new units an axis of the given size gets as candidates.
        layers: residual layers that are the identity, with as many hidden units as are candidates.

    Attributes:
        net: the copy, with grown shapes and no gradients.
        graph: of the model with the layers inserted, before anything grows.
        groups: the candidates, by axis and kind.
        reasons: axis -> why it has none.
        inserted: hidden axis of each layer -> (the layer's insertion, its name in the copy).
    """

    def __init__(
        self,
        model: nn.Module,
        graph: Graph,
        *,
        axes: Iterable[str] | None = None,
        kinds: Sequence[Kind] = ("split", "new"),
        new_units: Mapping[str, int] | None = None,
        layers: Sequence[InsertLayer] = (),
    ) -> None:
        self.net = copied(model).eval().requires_grad_(False)
        self.graph = copy.copy(graph)
        self.reasons: dict[str, str] = {}
        self.inserted = self._inserted(layers)
        names = [axis.name for axis in graph] if axes is None else list(axes)
        names = [name for name in names if name not in self.inserted]
        wide: dict[str, list[str]] = {}
        for kind in [each for each in KINDS if each in kinds]:
            wide[kind] = self._admitted(names, kind, {name for found in wide.values() for name in found})
        counts = {name: (new_units or {}).get(name, 0) for name in wide.get("new", [])}
        splits = [Split(name, unit) for name in wide.get("split", []) for unit in range(self.graph[name].size)]
        widens = [Widen(name, count, init="zero") for name, count in counts.items() if count]
        self.groups = self._grow([*splits, *widens])

    def tensors(self, gates: Gates | None = None) -> dict[str, Tensor]:
        """The grown copy's tensors with the candidates added, each by its gate; without gates all are on."""
        found = dict(self._base)
        for group in self.groups.values():
            gate = None if gates is None else gates[group.key]
            for name, writes in group.writes.items():
                for write in writes:
                    values = group.values[write.values]
                    if gate is not None and write.values in group.gated:
                        values = values * gate.to(values.dtype)[:, None]
                    added = _moved(write, values).to(found[name].dtype)
                    found[name] = found[name].index_add(write.dim, write.at.flatten(), added)
        return found

    def run(self, inputs: Inputs, tensors: Mapping[str, Tensor]) -> Any:
        """What the copy answers with these tensors, in eval mode and as the model was measured."""
        with plainly(self.net):
            return functional_call(self.net, dict(tensors), tuple(inputs.args), dict(inputs.kwargs))

    def off(self) -> dict[tuple[str, Kind], Tensor]:
        """Gates that leave every candidate out."""
        return {key: torch.zeros(group.size, device=self._device) for key, group in self.groups.items()}

    def on(self) -> dict[tuple[str, Kind], Tensor]:
        """Gates that let every candidate in."""
        return {key: torch.ones(group.size, device=self._device) for key, group in self.groups.items()}

    def _inserted(self, layers: Sequence[InsertLayer]) -> dict[str, tuple[InsertLayer, str]]:
        """All layers at once, or those that the model can be traced with."""
        if not layers:
            retrace(self.graph, self.net)
            return {}
        try:
            return _insert(self.net, self.graph, layers)
        except NetsculptError as error:
            if len(layers) == 1:
                self.reasons[layers[0].after] = str(error)
                return self._inserted([])
        one_by_one = [self._with(layer) for layer in layers]
        return self._inserted([layer for layer, fits in zip(layers, one_by_one, strict=True) if fits])

    def _with(self, layer: InsertLayer) -> bool:
        try:
            return bool(_insert(copied(self.net), copy.copy(self.graph), [layer]))
        except NetsculptError as error:
            self.reasons[layer.after] = str(error)
            return False

    def _own(self, places: Iterable[Place], kind: Kind) -> list[Place]:
        """Without those in inserted layers, unless it is theirs: a candidate is worth nothing by another."""
        paths = tuple(f"{path}." for _, path in self.inserted.values())
        return [place for place in places if kind == "layer" or not place.tensor.startswith(paths or ("\0",))]

    @property
    def _device(self) -> torch.device:
        return next(self.net.parameters()).device

    def _admitted(self, names: Sequence[str], kind: Kind, others: Set[str]) -> list[str]:
        """The axes that can have candidates of a kind; of two, one inside the slices of the other, the first."""
        found: list[str] = []
        for name in names:
            axis = self.graph[name]
            reason = reason_against(axis, kind)
            beside = [self.graph[other] for other in {*others, *found} - {name}]
            if reason is None and divided(self.graph, axis, axis):
                reason = "a unit's slice grows with the number of units"
            if reason is None and any(divided(self.graph, axis, o) or divided(self.graph, o, axis) for o in beside):
                reason = "it lies inside the slices of another axis that grows"
            if reason is None:
                found.append(name)
            else:
                self.reasons[name] = reason
        return found

    def _grow(self, edits: Sequence[Split | Widen]) -> dict[tuple[str, Kind], Group]:
        """Let the copy grow by the edits, and find where candidates lie in it."""
        before = {axis.name: axis.size for axis in self.graph}
        plan = Plan(tuple(edits))
        drafts = plan.drafts(self.graph)
        gathers = self.graph.rearrangement({name: each.change for name, each in drafts.items()}).gathers
        sizes = {each.axis.term.find(): len(each.change.units) for each in drafts.values()}
        tensors = dict(self.net.named_parameters()) | dict(self.net.named_buffers())

        def group(name: str, kind: Kind, size: int, first: Tensor, second: Tensor | None = None) -> Group:
            axis = self.graph[name]
            made, used = (self._own(places, kind) for places in (incoming(axis, kind), outgoing(axis)))
            used = used if kind != "split" else []
            values = {
                place.tensor: _zeros(tensors[place.tensor], size, entries_of(self.graph, place, axis))
                for place in (*made, *used)
            }
            writes = writes_of(self.graph, axis, [*made, *used], first, gathers, sizes, 1 if kind == "split" else None)
            if second is not None:
                for tensor, more in writes_of(self.graph, axis, made, second, gathers, sizes, -1).items():
                    writes[tensor] += more
            gated = frozenset(place.tensor for place in (used or made))
            norms = _norm(self.graph, axis, made, tensors), _norm(self.graph, axis, used, tensors)
            return Group(name, kind, size, values, gated, _placed(writes, self._device), norms)

        found: list[Group] = []
        split = dict.fromkeys(edit.axis for edit in edits if isinstance(edit, Split))
        for name, each in drafts.items():
            size = before[name]
            if name in split:
                found.append(group(name, "split", size, torch.arange(size), torch.arange(size, 2 * size)))
            for widen, units in each.fresh:
                found.append(group(name, "new", widen.n, units))
        for name in self.inserted:
            found.append(group(name, "layer", before[name], torch.arange(before[name])))
        groups = {each.key: each for each in found}
        if edits:
            apply(plan, self.net, graph=self.graph, check=False)
            self.graph.resize(before)
            self._into_blocks(tensors, gathers, groups)
        written = {name for each in found for name in each.writes}
        tensors = dict(self.net.named_parameters()) | dict(self.net.named_buffers())
        self._base = {name: tensors[name].detach() for name in written}
        return groups

    def _into_blocks(
        self, weights: Mapping[str, Tensor], gathers: Mapping[str, Gather], groups: Mapping[tuple[str, Kind], Group]
    ) -> None:
        """Compute layers in blocks, unless the model's code asks for a layer's weight or its type, not its answer."""
        before = {key: dict(group.writes) for key, group in groups.items()}
        layers = [path for _, path in self.inserted.values()]
        wanted = self._answer()
        replaced = in_blocks(self.net, self.graph, weights, gathers, groups, layers)
        try:
            alike = not replaced or _alike(self._answer(), wanted)
        except (AttributeError, TypeError, RuntimeError):
            alike = False
        if not alike:
            for path, layer in replaced.items():
                self.net.set_submodule(path, layer)
            for key, group in groups.items():
                group.writes = before[key]

    @torch.no_grad()
    def _answer(self) -> list[Tensor]:
        """The tensors that the copy answers to the inputs that it was traced with."""
        found = self.run(self.graph.inputs, {})
        return [leaf for leaf in pytree.tree_leaves(found) if isinstance(leaf, Tensor) and leaf.is_floating_point()]


def _insert(net: nn.Module, graph: Graph, layers: Sequence[InsertLayer]) -> dict[str, tuple[InsertLayer, str]]:
    """Insert layers into the copy: hidden axis -> (insertion, name of the layer in the copy)."""
    before = {name for name, _ in net.named_modules()}
    apply(Plan(tuple(layers)), net, graph=graph, check=False)
    new = {name for name, _ in net.named_modules()} - before
    paths = [next(name for name in new if name.rpartition(".")[0] == layer.after) for layer in layers]
    found: dict[str, tuple[InsertLayer, str]] = {}
    for axis in graph:
        makers = [place.tensor for place in axis.producers]
        for layer, path in zip(layers, paths, strict=True):
            if axis.frozen is None and all(maker.startswith(f"{path}.") for maker in makers):
                found[axis.name] = layer, path
    return found


def _norm(graph: Graph, axis: Axis, places: Iterable[Place], tensors: Mapping[str, Tensor]) -> float:
    """The mean norm of the slices of a unit that is there."""
    total = torch.zeros(axis.size, dtype=torch.float64)
    for place in places:
        unit = labels(graph.tensors[place.tensor][place.dim], axis.term.find(), {})
        slices = (
            tensors[place.tensor].detach().double().cpu().movedim(place.dim, 0).unsqueeze(-1).flatten(1).square().sum(1)
        )
        total.index_add_(0, unit[unit >= 0], slices[unit >= 0])
    return float(total.sqrt().mean())


def _alike(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> bool:
    """Whether answers are the same up to rounding: of another path through a model's code they would not be."""
    if [each.shape for each in found] != [each.shape for each in wanted]:
        return False
    return all(
        torch.allclose(a, b, rtol=0, atol=ROUNDING * float(b.nan_to_num().abs().max()), equal_nan=True)
        for a, b in zip(found, wanted, strict=True)
        if b.numel()
    )


def _zeros(like: Tensor, *shape: int) -> Tensor:
    """Values for a tensor; small steps would be lost in half precision."""
    return like.new_zeros(shape, dtype=torch.promote_types(like.dtype, torch.float32))


def _moved(write: Write, values: Tensor) -> Tensor:
    return write.spread(values).movedim(0, write.dim)


def _placed(writes: Mapping[str, list[Write]], device: torch.device) -> dict[str, list[Write]]:
    return {
        name: [
            each._replace(
                at=each.at.to(device),
                factor=each.factor.to(device),
                along={dim: (index.to(device), factor.to(device)) for dim, (index, factor) in each.along.items()},
            )
            for each in found
        ]
        for name, found in writes.items()
    }
