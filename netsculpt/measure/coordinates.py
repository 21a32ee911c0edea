"""Directions of units, one row each, and the same as tensors shaped like the parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from netsculpt.measure.units import Unit, Weight


class Shift(NamedTuple):
    """A direction in one producing weight and its bias."""

    weight: Tensor
    bias: Tensor | None

    def plus(self, other: Shift) -> Shift:
        """The sum of two directions."""
        bias = self.bias if other.bias is None else other.bias if self.bias is None else self.bias + other.bias
        return Shift(self.weight + other.weight, bias)


class Coordinates:
    """How the rows of [m, d] directions lie in the parameters of a unit.

    A row holds, weight by weight, the entries of the unit's rows in the order of the parameter, then its biases.
    """

    def __init__(self, unit: Unit, parameters: Mapping[str, Tensor]) -> None:
        self._unit = unit
        self._parameters = {each.name: parameters[each.name].detach() for each in unit.weights}
        self._widths = [self._width(each) for each in unit.weights]

    @property
    def count(self) -> int:
        """Coordinates of a unit, d."""
        return sum(self._widths)

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(iter(self._parameters.values())).device

    def _width(self, weight: Weight) -> int:
        tensor = self._parameters[weight.name]
        rows = weight.rows.shape[1]
        return rows * (tensor.numel() // weight.size + (weight.bias is not None))

    def parameter(self, name: str) -> Tensor:
        """A producing weight."""
        return self._parameters[name]

    def present(self, parameters: Mapping[str, Tensor]) -> Tensor:
        """The units' weights as they are: [m, d]."""
        found = []
        for each in self._unit.weights:
            bias = parameters[each.bias] if each.bias is not None else None
            found.append(Shift(parameters[each.name].detach(), None if bias is None else bias.detach()))
        return self.join(found)

    def shifts(self, v: Tensor) -> list[Shift]:
        """[m, d] directions as tensors like the parameters, zero where they are not this axis's."""
        found = []
        for weight, part in zip(self._unit.weights, v.split(self._widths, dim=1), strict=True):
            tensor = self._parameters[weight.name]
            rows, part = weight.rows.shape[1], part.to(tensor.dtype)
            entries = part if weight.bias is None else part[:, :-rows]
            shape = tensor.movedim(weight.dim, 0).shape
            matrix = self._spread(entries.reshape(self._unit.size * rows, -1), weight)
            bias = None if weight.bias is None else self._spread(part[:, -rows:].reshape(-1, 1), weight)[:, 0]
            found.append(Shift(matrix.reshape(shape).movedim(0, weight.dim), bias))
        return found

    def join(self, shifts: Sequence[Shift]) -> Tensor:
        """The reverse of ``shifts``: what is not this axis's is left out."""
        parts = []
        for weight, shift in zip(self._unit.weights, shifts, strict=True):
            rows = weight.rows.to(shift.weight.device)
            matrix = shift.weight.movedim(weight.dim, 0).flatten(1)
            parts.append((matrix if weight.whole else matrix[rows.flatten()]).reshape(self._unit.size, -1))
            if weight.bias is not None:
                assert shift.bias is not None
                parts.append(shift.bias[rows])
        return torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]

    def offsets(self, unit: int, directions: Tensor) -> dict[str, Tensor]:
        """Directions of one unit, [copies, d], by tensor name, as edits take them: [copies, entries of its slice]."""
        found: dict[str, Tensor] = {}
        for weight, part in zip(self._unit.weights, directions.split(self._widths, dim=1), strict=True):
            rows = weight.rows.shape[1]
            found[weight.name] = part if weight.bias is None else part[:, :-rows]
            if weight.bias is not None:
                found[weight.bias] = part[:, -rows:]
        return found

    def _spread(self, rows: Tensor, weight: Weight) -> Tensor:
        if weight.whole:
            return rows
        whole = rows.new_zeros(weight.size, rows.shape[1])
        whole[weight.rows.flatten().to(rows.device)] = rows
        return whole
