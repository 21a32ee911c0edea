"""Initial values of new units, as an edit takes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from netsculpt.arguments import is_count
from netsculpt.errors import ArgumentError
from netsculpt.graph.axes import Place as Entry
from netsculpt.graph.facts import Role
from netsculpt.measure import Statistics
from netsculpt.measure.playback import state_of
from netsculpt.methods.growing.initial.cross import outgoing
from netsculpt.methods.growing.initial.places import Place


class NewUnits(NamedTuple):
    """New units of an axis, best first.

    Attributes:
        slices: tensor name -> [k, entries of a unit's slice], for ``Widen(axis, k, init=slices)``: what makes the
            units, what goes along with them (of a batch norm mean 0, variance 1, scale 1, offset 0), what uses them.
        gains: float64 [k], falling: what each is worth to the method that made it, 0 for units drawn at random.
        decrease: float64 [k], by how much the loss falls at first order, by the units alone.
    """

    slices: dict[str, Tensor]
    gains: Tensor
    decrease: Tensor


def checked(stats: Statistics, axis: str, k: int) -> str:
    """The axis's name.

    Raises:
        ArgumentError: k is not a number of units.
        GraphError: there is no such axis.
    """
    if not is_count(k):
        raise ArgumentError(f"k must be a number of units above 0, not {k!r}")
    return stats.graph[axis].name


def filled(rows: Tensor, k: int) -> Tensor:
    """With rows of zeros up to k."""
    return torch.cat([rows, rows.new_zeros(k - len(rows), *rows.shape[1:])])


def drawn(stats: Statistics, place: Place, k: int, seed: int) -> Tensor:
    """Random incoming weights like those that are there, biases 0: float64 [k, d]."""
    state = state_of(stats.graph.program.exported)
    generator = torch.Generator().manual_seed(seed)
    found = torch.randn(k, place.width, generator=generator, dtype=torch.float64)
    for weight in place.unit.weights:
        rows = place.rows[weight.name]
        found[:, rows] *= float(state[weight.name].detach().double().square().mean().sqrt())
        if weight.bias is not None:
            found[:, rows.stop - 1] = 0
    return found.to(state[place.unit.weights[0].name].device)


def slices(stats: Statistics, place: Place, incoming: Tensor, out: Tensor, lifted: float = 0.0) -> dict[str, Tensor]:
    """Values by tensor name.

    Args:
        stats: of the model.
        place: of the units.
        incoming: [k, d].
        out: [k, e].
        lifted: added to the offset of the batch norm behind each producer, or its bias.
    """
    state = state_of(stats.graph.program.exported)
    found = {name: _followers(stats, place, name, value, len(incoming)) for name, value in place.body.followers.items()}
    for weight in place.unit.weights:
        part = incoming[:, place.rows[weight.name]]
        found[weight.name] = part if weight.bias is None else part[:, :-1]
        if weight.bias is not None:
            found[weight.bias] = part[:, -1:]
    start = 0
    for read in place.reads:
        width = outgoing(place, read.weight, state[read.weight]).shape[1]
        found[read.weight] = out[:, start : start + width]
        start += width
    for name in dict.fromkeys(place.body.lifts):
        if name is not None and lifted:
            found[name] = found[name] + lifted
    return {name: values.to(state[name].device, state[name].dtype).contiguous() for name, values in found.items()}


def _followers(stats: Statistics, place: Place, name: str, value: float, k: int) -> Tensor:
    tensor = state_of(stats.graph.program.exported)[name]
    entry = _entry(stats.graph[place.unit.axis].places, name)
    entries = entry.entries.count * tensor.numel() // tensor.shape[entry.dim]
    return torch.full((k, entries), value, dtype=torch.float64)


def _entry(entries: tuple[Entry, ...], name: str) -> Entry:
    return next(each for each in entries if each.tensor == name and each.role is not Role.CONSUMER)


def norms(stats: Statistics, place: Place) -> Tensor:
    """The norms of the outgoing weights of the units that are there, of all consumers together: float64 [m]."""
    state: Mapping[str, Tensor] = state_of(stats.graph.program.exported)
    return torch.cat([outgoing(place, read.weight, state[read.weight]) for read in place.reads], 1).norm(dim=1)
