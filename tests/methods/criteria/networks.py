"""Networks whose units have weights in several ways, and what their weights are, written down by hand."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import netsculpt as ns
from netsculpt.measure import Statistics, measure
from netsculpt.methods.criteria import Pair

Slicer = dict[str, tuple[int, list[list[int]]]]  # parameter -> (dimension, entries of each unit)


class ConvNorm(nn.Module):
    """Conv, BN, ReLU, Conv, flatten, Linear."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.bn, self.b = nn.Conv2d(3, 5, 3, padding=1), nn.BatchNorm2d(5), nn.Conv2d(5, 4, 3, padding=1)
        self.head = nn.Linear(4 * 9, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.relu(self.b(F.relu(self.bn(self.a(x))))).flatten(1))


class Stream(nn.Module):
    """A residual stream with two producers and two consumers, one weight being both."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.inner, self.back = nn.Linear(4, 6), nn.Linear(6, 5), nn.Linear(5, 6, bias=False)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.stem(x))
        return self.head(x + self.back(F.relu(self.inner(x))))


class GroupedQueries(nn.Module):
    """Four heads of queries on two of keys and values, three wide, and an MLP."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = nn.Linear(4, 12), nn.Linear(4, 6, bias=False), nn.Linear(4, 6)
        self.out, self.up, self.down = nn.Linear(12, 4), nn.Linear(4, 7), nn.Linear(7, 3)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (layer(x).unflatten(2, (-1, 3)).transpose(1, 2) for layer in (self.q, self.k, self.v))
        h = F.scaled_dot_product_attention(q, k, v, enable_gqa=True).transpose(1, 2).flatten(2)
        return self.down(F.gelu(self.up(x + self.out(h)))).mean(1)


class Subject(NamedTuple):
    """An axis of a model.

    Attributes:
        axis: its name.
        slices: where its units have weights, producers first; written down by hand.
    """

    model: nn.Module
    x: Tensor
    y: Tensor
    axis: str
    slices: Slicer

    @property
    def units(self) -> int:
        return len(next(iter(self.slices.values()))[1])

    @property
    def pair(self) -> Pair:
        return Pair(self.model, ns.trace(self.model, self.x))

    def statistics(self) -> Statistics:
        """In two batches of unequal sizes."""
        batches = [(self.x[:4], self.y[:4]), (self.x[4:], self.y[4:])]
        return measure(self.model, ns.trace(self.model, self.x), batches, F.cross_entropy)

    def rows(self, tensors: dict[str, Tensor], unit: int) -> list[Tensor]:
        """What a unit has of every tensor, flat, in float64."""
        return [
            tensors[name].detach().double().index_select(dim, torch.tensor(entries[unit])).flatten()
            for name, (dim, entries) in self.slices.items()
        ]


def _each(count: int) -> list[list[int]]:
    return [[unit] for unit in range(count)]


def _runs(count: int, length: int) -> list[list[int]]:
    return [list(range(unit * length, (unit + 1) * length)) for unit in range(count)]


SUBJECTS: dict[str, tuple[type[nn.Module], tuple[int, ...], str, Slicer]] = {
    "conv": (
        ConvNorm,
        (3, 3, 3),
        "a",
        {"a.weight": (0, _each(5)), "bn.weight": (0, _each(5)), "b.weight": (1, _each(5))},
    ),
    "flatten": (ConvNorm, (3, 3, 3), "b", {"b.weight": (0, _each(4)), "head.weight": (1, _runs(4, 9))}),
    "residual": (
        Stream,
        (4,),
        "stem",
        {
            "stem.weight": (0, _each(6)),
            "back.weight": (0, _each(6)),
            "inner.weight": (1, _each(6)),
            "head.weight": (1, _each(6)),
        },
    ),
    "mlp": (GroupedQueries, (5, 4), "up", {"up.weight": (0, _each(7)), "down.weight": (1, _each(7))}),
    "queries": (
        GroupedQueries,
        (5, 4),
        "q/0",
        {
            "q.weight": (0, _runs(2, 6)),
            "k.weight": (0, _runs(2, 3)),
            "v.weight": (0, _runs(2, 3)),
            "out.weight": (1, _runs(2, 6)),
        },
    ),
}


def subject(name: str) -> Subject:
    """A model with random weights in float64 and eval mode, with random running statistics."""
    kind, shape, axis, slices = SUBJECTS[name]
    torch.manual_seed(0)
    model = kind().double().eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.running_var, module.weight.data):
                tensor.uniform_(0.5, 1.5)
            for tensor in (module.running_mean, module.bias.data):
                tensor.uniform_(-0.5, 0.5)
    return Subject(model, torch.randn(7, *shape, dtype=torch.float64), torch.randint(0, 3, (7,)), axis, slices)
