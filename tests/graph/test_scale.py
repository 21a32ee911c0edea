"""Deep models, and processes that hash differently."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn

from netsculpt.graph import Graph, trace

DEPTH = 300
WIDTH = 100  # every layer of a dense network takes what all before it have made: that is quadratic
NAMES = """
import json, tests.architectures
from netsculpt.graph import trace
graphs = {name: trace(*getattr(tests.architectures, name)()) for name in ("resnet_basic", "gpt2")}
print(json.dumps({name: [[axis.name, str(axis.places)] for axis in graph] for name, graph in graphs.items()}))
"""


class Residual(nn.Module):
    """Adds a layer to what the modules inside of it make."""

    def __init__(self, inside: nn.Module) -> None:
        super().__init__()
        self.inside, self.layer = inside, nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.inside(x)
        return x + self.layer(x).relu()


class Dense(nn.Module):
    """Every layer takes what all before it have made."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(4 + k, 1) for k in range(WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = torch.cat([x, layer(x).tanh()], -1)
        return x.sum(-1)


class Split(nn.Module):
    """Halves are taken apart and put together again."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 8), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for _ in range(DEPTH):
            a, b = x.chunk(2, -1)
            x = torch.cat([b.relu(), a], -1).unflatten(-1, (2, -1)).flatten(-2)
        return self.last(x)


def of(model: nn.Module) -> Graph:
    return trace(model.double().eval(), torch.randn(2, 4, dtype=torch.float64))


def test_layers_one_after_the_other() -> None:
    graph = of(nn.Sequential(*(nn.Linear(4, 4) for _ in range(DEPTH))))
    assert len(graph.sculptable) == DEPTH - 1 and not graph.unknown


def test_layers_inside_of_each_other() -> None:
    model: nn.Module = nn.Linear(4, 4)
    for _ in range(DEPTH // 4):  # torch itself nests no deeper
        model = Residual(model)
    graph = of(nn.Sequential(model, nn.Linear(4, 2)))
    assert [axis.size for axis in graph.sculptable] == [4] and len(graph.sculptable[0].places) == 3 * DEPTH // 4 + 3


@pytest.mark.parametrize(("model", "sizes"), [(Dense, [1] * WIDTH), (Split, [4])])
def test_terms_inside_of_each_other(model: type[nn.Module], sizes: list[int]) -> None:
    assert [axis.size for axis in of(model()).sculptable] == sizes


def test_names_and_places_do_not_depend_on_hashes() -> None:
    found = []
    for seed in ("1", "2"):
        run = subprocess.run(
            [sys.executable, "-c", NAMES],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stderr
        found.append(json.loads(run.stdout.splitlines()[-1]))
    assert found[0] == found[1] and all(found[0].values())
