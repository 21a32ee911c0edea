"""What the cases of operations are made of: a layer that makes units, the operation, a layer that uses them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor, nn

Body: TypeAlias = Callable[..., Tensor]
A = torch.ops.aten

UNITS = 8


class Case(NamedTuple):
    """An operation between two layers.

    Attributes:
        body: from what the first layer makes to what the last one takes.
        expect: "exact", "inexact" or "frozen", for every axis that the first layer makes, in order.
        into: width that the last layer takes; 0 for no last layer.
        on: the kind of ``SUBJECTS`` that the first layer makes.
        last: the kind that the last layer takes; the same by default.
        layer: the module of the model whose axes are meant.
    """

    body: Body
    expect: str = "exact"
    into: int = UNITS
    on: str = "rows"
    last: str | None = None
    layer: str = "first"


class With(nn.Module):
    """A body that takes parameters, or with ``buffers`` buffers, of the given shapes after its operand."""

    def __init__(self, body: Body, *shapes: tuple[int, ...], buffers: bool = False) -> None:
        super().__init__()
        self.body = body
        self.names = [f"tensor{number}" for number in range(len(shapes))]
        generator = torch.Generator().manual_seed(len(shapes))
        for name, shape in zip(self.names, shapes, strict=True):
            entries = torch.rand(shape, generator=generator, dtype=torch.float64).sort().values / 2 + 0.25
            if buffers:
                self.register_buffer(name, entries)
            else:
                self.register_parameter(name, nn.Parameter(entries))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x, *(getattr(self, name) for name in self.names))


class Subject(NamedTuple):
    """A kind of tensor: the input, the layer that makes units of it, and the one that uses them."""

    shape: tuple[int, ...]
    first: Callable[[], nn.Module]
    last: Callable[[int], nn.Module]


SUBJECTS = {
    "rows": Subject((2, 5, 6), lambda: nn.Linear(6, UNITS), lambda into: nn.Linear(into, 2)),
    "series": Subject((2, 3, 6), lambda: nn.Conv1d(3, UNITS, 3, padding=1), lambda into: nn.Conv1d(into, 2, 1)),
    "images": Subject((2, 3, 6, 6), lambda: nn.Conv2d(3, UNITS, 1), lambda into: nn.Conv2d(into, 2, 1)),
    "volumes": Subject((2, 3, 4, 4, 4), lambda: nn.Conv3d(3, UNITS, 1), lambda into: nn.Conv3d(into, 2, 1)),
}


class Between(nn.Module):
    """The model of a case."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        self.first = SUBJECTS[case.on].first()
        self.body = case.body
        self.last = SUBJECTS[case.last or case.on].last(case.into) if case.into else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.body(self.first(x)))


def model_of(case: Case) -> tuple[nn.Module, Tensor]:
    """The model of a case in float64 and its input, the same at every call."""
    generator = torch.Generator().manual_seed(1)
    model = copy.deepcopy(Between(case)).double().eval()
    for module in model.modules():
        for parameter in module.parameters(recurse=False) if not isinstance(module, With) else ():
            nn.init.uniform_(parameter, -0.7, 0.7, generator=generator)
    return model, torch.randn(SUBJECTS[case.on].shape, generator=generator, dtype=torch.float64)


def units(x: Tensor) -> int:
    """The number of units in rows, as code that follows a change asks for it."""
    return x.shape[-1]
