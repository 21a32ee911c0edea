"""From accepted candidates to a plan: what the overlay answered is what the edited model answers."""

from __future__ import annotations

import copy
from dataclasses import replace

import torch
from torch import Tensor, nn

from netsculpt.edit import InsertLayer, Plan, Prune, Split, Widen, apply
from netsculpt.edit.edits import Edit
from netsculpt.graph import Graph
from netsculpt.graph.untouched import copied
from netsculpt.methods.growing.groups import Group
from netsculpt.methods.growing.overlay import Gates, Overlay


def plan_of(model: nn.Module, graph: Graph, overlay: Overlay, gates: Gates, predicted: float | None = None) -> Plan:
    """The plan that makes the accepted candidates part of the model.

    Args:
        model: that the overlay was made for, as it was; not changed.
        graph: of the model.
        overlay: with the candidates' values.
        gates: 1 for the accepted ones, 0 for the others.
        predicted: change of the loss.
    """
    layers: dict[str, InsertLayer] = {}
    edits: list[Edit] = []
    hidden: list[Edit] = []
    for group in overlay.groups.values():
        accepted = gates[group.key].nonzero()[:, 0]
        if not len(accepted):
            continue
        if group.kind == "split":
            edits += [_split(group, int(unit)) for unit in accepted]
        elif group.kind == "new":
            edits.append(Widen(group.axis, len(accepted), init=_rows(group, accepted), rest="zero"))
        else:
            after, path = overlay.inserted[group.axis]
            layers[path] = replace(after, module=_filled(after.module, group, path))
            hidden.append(Prune(group.axis, accepted.cpu()))
    inserted = _fitted(model, graph, layers, [*hidden, *edits]) if layers else []
    plan = Plan.of(graph, [*edits, *inserted], predicted=predicted)
    return replace(plan, after=overlay.graph.cost(_sizes(overlay, gates)))


def _split(group: Group, unit: int) -> Split:
    return Split(group.axis, unit, offsets={name: torch.stack([v[unit], -v[unit]]) for name, v in group.values.items()})


def _rows(group: Group, units: Tensor) -> dict[str, Tensor]:
    return {name: values[units] for name, values in group.values.items()}


def _filled(module: nn.Module, group: Group, path: str) -> nn.Module:
    """The residual layer with all of its candidates' values."""
    own = copy.deepcopy(module)
    for name, values in group.values.items():
        (write,) = group.writes[name]  # inserted layers stay whole
        parameter = own.get_parameter(name.removeprefix(f"{path}."))
        rows = values.reshape(write.at.numel(), *write.rest).movedim(0, write.dim)
        with torch.no_grad():
            parameter.index_copy_(write.dim, write.at.flatten(), rows.to(parameter.dtype))
    return own


def _fitted(model: nn.Module, graph: Graph, layers: dict[str, InsertLayer], edits: list[Edit]) -> list[InsertLayer]:
    """The layers as they must be once axes have grown, which is when an edit inserts them.

    Args:
        model: before everything.
        graph: of the model.
        layers: name of the inserted module -> its insertion.
        edits: of axes, of the layers' own too.
    """
    own, traced = copied(model), copy.copy(graph)
    apply(Plan(tuple(layers.values())), own, graph=traced, check=False)
    if edits:
        apply(Plan(tuple(edits)), own, graph=traced, check=False)
    return [replace(layer, module=own.get_submodule(path)) for path, layer in layers.items()]


def _sizes(overlay: Overlay, gates: Gates) -> dict[str, int]:
    """Sizes of the axes that change, those of inserted layers too."""
    sizes = {name: 0 for name in overlay.inserted}
    for (name, _), gate in gates.items():
        sizes[name] = sizes.get(name, overlay.graph[name].size) + int(gate.sum())
    return sizes
