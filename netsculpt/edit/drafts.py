"""From the edits of one axis to what its units become, and to the values that slices get."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from netsculpt.edit.edits import Prune, Slices, Split, Widen
from netsculpt.errors import ArgumentError, ShapeError
from netsculpt.graph import Axis, Change
from netsculpt.graph.axes import Place, layer_of
from netsculpt.graph.facts import Role


class Written(NamedTuple):
    """Values for the slices of some new units in one tensor.

    Attributes:
        dim: the tensor's dimension along which the units lie.
        units: int64 [k], new units.
        values: [k, entries of a unit's slice].
        added: whether they are added to what is there.
    """

    dim: int
    units: Tensor
    values: Tensor
    added: bool


@dataclass
class Draft:
    """What becomes of one axis.

    Attributes:
        axis: the axis.
        change: its new units and the factors of their outgoing weights.
        written: tensor name -> values for slices, in order.
        fresh: the new units that no old one made, with the edits that asked for them.
        preserving: whether the function is meant to stay, but for silenced and scaled units.
        folds: whether what removed units add is kept in biases.
    """

    axis: Axis
    change: Change
    written: dict[str, list[Written]] = field(default_factory=dict)
    fresh: list[tuple[Widen, Tensor]] = field(default_factory=list)
    preserving: bool = True
    folds: bool = False

    def silenced(self) -> Tensor:
        """[old size] the factors of the old units' outgoing weights that come to the same function."""
        units, weights = self.change
        assert weights is not None
        total = torch.zeros(self.axis.size, dtype=torch.float64)
        old = units >= 0
        total.index_add_(0, units[old], weights[old])
        if self.folds:
            kept = torch.zeros(self.axis.size, dtype=torch.bool)
            kept[units[old]] = True
            total[~kept] = 1
        return total


def draft(axis: Axis, edits: Sequence[Prune | Split | Widen]) -> Draft:
    """Put the edits of one axis together: kept units in their order, then copies, then new units.

    Raises:
        ArgumentError: two edits contradict each other, or a unit is not there.
        ShapeError: offsets or initial values do not fit.
    """
    prunes = [edit for edit in edits if isinstance(edit, Prune)]
    splits = [edit for edit in edits if isinstance(edit, Split)]
    if len(prunes) > 1:
        raise ArgumentError(f"a plan may prune {axis.name!r} once, not {len(prunes)} times")
    keep = prunes[0].keep if prunes else torch.arange(axis.size)
    assert isinstance(keep, Tensor)
    _check_units(axis, keep)
    _check_units(axis, torch.tensor([split.index for split in splits], dtype=torch.int64))
    units, weights = keep.tolist(), [1.0] * len(keep)
    if prunes and prunes[0].scale is not None:
        weights = prunes[0].scale.tolist()  # type: ignore[union-attr]
    result = Draft(axis, Change(keep), folds=bool(prunes) and prunes[0].fold)
    place = {unit: number for number, unit in enumerate(units)}
    done: set[int] = set()
    for split in splits:
        if split.index not in place or split.index in done:
            why = "is pruned by the same plan" if split.index not in place else "is split twice by the same plan"
            raise ArgumentError(f"unit {split.index} of {axis.name!r} {why}")
        done.add(split.index)
        at = place[split.index]
        share = split.weights.tolist()  # type: ignore[union-attr]
        copies = [at, *range(len(units), len(units) + len(share) - 1)]
        units += [split.index] * (len(share) - 1)
        weights += [weights[at] * each for each in share[1:]]
        weights[at] *= share[0]
        _add_offsets(result, split, torch.tensor(copies))
    for widen in (edit for edit in edits if isinstance(edit, Widen)):
        fresh = torch.arange(len(units), len(units) + widen.n)
        units += [-1] * widen.n
        weights += [1.0] * widen.n
        _add_initial(result, widen, fresh)
    result.change = Change(torch.tensor(units, dtype=torch.int64), torch.tensor(weights, dtype=torch.float64))
    return result


def _check_units(axis: Axis, units: Tensor) -> None:
    if len(units) and (int(units.min()) < 0 or int(units.max()) >= axis.size):
        raise ArgumentError(
            f"{axis.name!r} has units 0 to {axis.size - 1}, not {int(units.min())} to {int(units.max())}"
        )


def _add_offsets(result: Draft, split: Split, copies: Tensor) -> None:
    if split.offsets is None:
        return
    for tensor, values in _by_tensor(result.axis, split).items():
        if len(values) != len(copies):
            raise ShapeError(f"offsets of the split of {split.axis!r} must have {len(copies)} rows, not {len(values)}")
        if bool(values.any()):
            place = _given_at(result.axis, tensor, "offsets")
            result.written.setdefault(tensor, []).append(Written(place.dim, copies, values, added=True))
            result.preserving = False


def _by_tensor(axis: Axis, split: Split) -> Slices:
    offsets = split.offsets
    assert offsets is not None
    if isinstance(offsets, Mapping):
        return offsets
    weights = list(dict.fromkeys(place.tensor for place in axis.producers))
    if len(weights) != 1:
        raise ArgumentError(f"{axis.name!r} is made by {', '.join(weights)}: offsets must be given by tensor name")
    (weight,) = weights
    bias = [place for place in axis.followers if place.tensor == f"{layer_of(weight)}.bias"]
    if offsets.shape[1] < 1 + len(bias):
        raise ShapeError(f"offsets of the split of {split.axis!r} must be [copies, inputs], not {list(offsets.shape)}")
    if not bias:
        return {weight: offsets}
    return {weight: offsets[:, :-1], bias[0].tensor: offsets[:, -1:]}


def _add_initial(result: Draft, widen: Widen, fresh: Tensor) -> None:
    result.fresh.append((widen, fresh))
    if isinstance(widen.init, str):
        return
    for tensor, values in widen.init.items():
        place = _given_at(result.axis, tensor, "init")
        if len(values) != widen.n:
            raise ShapeError(f"init of {tensor} must have {widen.n} rows, not {len(values)}")
        result.written.setdefault(tensor, []).append(Written(place.dim, fresh, values, added=False))
        if place.silences and bool(values.any()):
            result.preserving = False


def _given_at(axis: Axis, tensor: str, what: str) -> Place:
    """Where values of a tensor go: what makes the units, where the tensor both makes and uses them."""
    places = sorted(
        (place for place in axis.places if place.tensor == tensor), key=lambda place: place.role is not Role.PRODUCER
    )
    if not places:
        raise ArgumentError(f"{what} name {tensor!r}, which has no slices of {axis.name!r}")
    return places[0]


def drawn(place: Place, tensor: Tensor, owner: object, widen: Widen, units: Tensor, size: int) -> Tensor:
    """Initial slices [units, size] of new units at a place for which the edit gives none."""
    kind, shape = place.tensor.rpartition(".")[2], (len(units), size)
    if frozenset() in place.silences or not tensor.is_floating_point():
        return torch.zeros(shape)
    if kind == "running_var" or (kind == "weight" and _is_norm(owner)):
        return torch.ones(shape)
    if kind in {"bias", "running_mean"} or widen.zeros:
        return torch.zeros(shape)
    if place.role is Role.FOLLOWER and tensor.dim() == 1:
        return torch.full(shape, float(tensor.detach().double().mean()))
    # Every tensor, and every widening of it, has random numbers of its own.
    seed = zlib.crc32(f"{widen.seed} {place.tensor} {place.dim} {int(units[0])}".encode())
    generator = torch.Generator().manual_seed(seed)
    spread = float(tensor.detach().double().pow(2).mean().sqrt())
    return torch.randn(shape, generator=generator, dtype=torch.float64) * spread


def _is_norm(owner: object) -> bool:
    return "norm" in type(owner).__name__.lower()
