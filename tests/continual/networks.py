"""Small networks and tasks for continual learning."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

import netsculpt as ns

CLASSES = 3
Batches = list[tuple[Tensor, Tensor]]


class Plain(nn.Module):
    """Two convolutions with batch norms, a flatten, a hidden linear layer."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(1, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.norm2 = nn.Conv2d(width, width + 1, 3, stride=2), nn.BatchNorm2d(width + 1)
        self.hidden, self.head = nn.Linear((width + 1) * 4, 5), nn.Linear(5, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm2(self.conv2(self.norm1(self.conv1(x)).relu())).relu()
        return self.head(self.hidden(x.flatten(1)).relu())


class Residual(nn.Module):
    """A residual block with a depthwise convolution inside."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(1, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        self.up, self.norm1 = nn.Conv2d(width, width + 2, 1, bias=False), nn.BatchNorm2d(width + 2)
        self.deep = nn.Conv2d(width + 2, width + 2, 3, padding=1, groups=width + 2)
        self.down, self.norm2 = nn.Conv2d(width + 2, width, 1, bias=False), nn.BatchNorm2d(width)
        self.head = nn.Linear(width * 4, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.stem(x)).relu()
        x = x + self.norm2(self.down(self.deep(self.norm1(self.up(x)).relu()).relu()))
        return self.head(nn.functional.adaptive_avg_pool2d(x, 2).flatten(1))


class Dense(nn.Module):
    """What two convolutions make goes side by side into the next one: new units of the first come in between."""

    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.one, self.other = nn.Conv2d(1, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(2 * width)
        self.mix, self.head = nn.Conv2d(2 * width, width + 1, 1), nn.Linear((width + 1) * 4, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.one(x).relu()
        x = self.mix(self.norm(torch.cat([x, self.other(x)], 1)).relu()).relu()
        return self.head(nn.functional.adaptive_avg_pool2d(x, 2).flatten(1))


class Mlp(nn.Sequential):
    """No norms, biases everywhere."""

    def __init__(self) -> None:
        super().__init__(nn.Flatten(), nn.Linear(36, 6), nn.Tanh(), nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, CLASSES))


class Tokens(nn.Module):
    """A transformer block over the rows of an image: heads, and layer norms that see all units at once."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(6, 8)
        self.block = nn.TransformerEncoderLayer(8, nhead=2, dim_feedforward=6, dropout=0.1, batch_first=True)
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.block(self.embed(x[:, 0])).mean(1))


NETWORKS: dict[str, Callable[[], nn.Module]] = {each.__name__: each for each in (Plain, Residual, Dense, Mlp, Tokens)}
ADAM = partial(torch.optim.Adam, lr=1e-2)


def built(name: str, seed: int = 0) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return NETWORKS[name]()


def images(seed: int, count: int = 48) -> Tensor:
    return torch.randn(count, 1, 6, 6, generator=torch.Generator().manual_seed(seed))


def task(seed: int, classes: int = CLASSES, size: int = 16) -> Batches:
    """Images whose class is a fixed random function of them, another one for every seed."""
    x = images(seed)
    weight = torch.randn(36, classes, generator=torch.Generator().manual_seed(1000 + seed))
    y = (x.flatten(1) @ weight).tanh().argmax(1)
    return list(zip(x.split(size), y.split(size), strict=True))


def learner(name: str) -> ns.continual.Learner:
    return ns.continual.Learner(built(name), images(0, 2))


def learn(learner: ns.continual.Learner, seed: int, classes: int = CLASSES, **options: Any) -> ns.continual.Learned:
    """One task by its seed, with as much growth as there can be unless options say otherwise."""
    few = ns.continual.Growth(rounds=2, share=0.3, batches=6, scored=3)
    given = {"epochs": 2, "optimizer": ADAM, "growth": few, "budget": ns.Budget(params="+40%"), "seed": seed} | options
    return learner.learn(f"task {seed}", task(seed, classes), nn.functional.cross_entropy, classes=classes, **given)
