"""Small networks and options, and all that can be chosen among few of them."""

import functools
import itertools
import math
import random
from collections.abc import Iterator, Sequence

import torch
from torch import nn

from netsculpt.choice import Option
from netsculpt.graph import Cost, Graph, trace


@functools.cache
def chain(*widths: int) -> Graph:
    """A chain of linear layers; axes "0", "2", "4" ... Neighbours multiply. Read only: it is kept."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(widths):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return trace(nn.Sequential(*layers[:-1]), torch.randn(2, widths[0]))


class Branches(nn.Module):
    """Hidden layers side by side: no two axes share a weight, so costs are linear."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.ModuleList(nn.Linear(k, 4) for k in (2, 5, 9))
        self.leave = nn.ModuleList(nn.Linear(4, 3) for _ in range(3))

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return sum(out(x.tanh()) for out, x in zip(self.leave, map(lambda f, x: f(x), self.enter, inputs), strict=True))


@functools.cache
def branches() -> Graph:
    """Axes "enter.0" to "enter.2" of 4 units, of 6, 9 and 13 parameters and 5, 8 and 12 multiply-accumulates each."""
    return trace(Branches(), tuple(torch.randn(2, k) for k in (2, 5, 9)))


def growth(graph: Graph, seed: int, per_axis: int = 4, copies: Sequence[int] = (1,)) -> list[Option]:
    """New units with random gains, some of them none."""
    r = random.Random(seed)
    names = [axis.name for axis in graph.sculptable]
    return [Option(name, i, k, r.uniform(-1, 0.2)) for name in names for i in range(per_axis) for k in copies]


def pruning(graph: Graph, seed: int) -> list[Option]:
    """Every unit, with a random harm."""
    r = random.Random(seed)
    return [Option(axis.name, i, -1, r.random()) for axis in graph.sculptable for i in range(axis.size)]


def after(graph: Graph, options: Sequence[Option]) -> Cost:
    """What the model costs with these options."""
    return graph.cost(sizes(graph, options))


def sizes(graph: Graph, options: Sequence[Option]) -> dict[str, int]:
    found: dict[str, int] = {}
    for option in options:
        found[option.axis] = found.get(option.axis, graph[option.axis].size) + option.units
    return found


def gain(options: Sequence[Option]) -> float:
    return math.fsum(option.gain for option in options)


def selections(options: Sequence[Option]) -> Iterator[list[Option]]:
    """Every selection with at most one option of an item."""
    items: dict[tuple[str, object], list[Option | None]] = {}
    for option in options:
        items.setdefault((option.axis, option.item), [None]).append(option)
    for each in itertools.product(*items.values()):
        yield [option for option in each if option is not None]
