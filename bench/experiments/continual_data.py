"""Sequences of tasks: split MNIST, permuted MNIST, and digits, MNIST and Fashion-MNIST one after the other."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.experiments import data, pretrained
from bench.experiments.data import Images

TRAIN, HELD_OUT = 6_000, 2_000  # training pictures of a task, and others to tell whether its goal is reached
BATCH = 64


class Shuffled:
    """Batches in another order every time they are run through."""

    def __init__(self, part: Images, seed: int, size: int = BATCH) -> None:
        self._part, self._size = part, size
        self._chance = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return len(self._part.labels) // self._size

    def __iter__(self):  # type: ignore[no-untyped-def]
        order = torch.randperm(len(self._part.labels), generator=self._chance)
        for rows in order[: len(self) * self._size].split(self._size):
            yield self._part.pictures[rows], self._part.labels[rows]


class Task(NamedTuple):
    """Pictures to train on, others for the goal, those of the official test split, and how many classes they have."""

    name: str
    train: Images
    held: Images
    test: Images
    classes: int


class Sequence(NamedTuple):
    """Tasks in their order, and the network that the first one starts with, by a factor on its widths."""

    name: str
    tasks: list[Task]
    build: Callable[[float], nn.Module]


def sequences(files: Path | None, fashion: Path, seed: int, train: int = TRAIN, held: int = HELD_OUT) -> list[Sequence]:
    """All three; ``seed`` is of the permutations, of which pictures are trained on, and of the first weights."""
    mnist = pretrained.mnist(files, training=True), pretrained.mnist(files)
    clothes = data.load(fashion, 60_000)
    parts = [
        _digits(seed),
        _task("MNIST", *mnist, seed, train, held),
        _task("Fashion", *clothes, seed, train, held),
    ]
    return [
        Sequence("split MNIST", split(*mnist, seed, train, held), lambda scale: convnet(2, seed, scale)),
        Sequence("permuted MNIST", permuted(*mnist, seed, train, held), lambda scale: mlp(seed, scale)),
        Sequence("digits, MNIST, Fashion", parts, lambda scale: convnet(10, seed, scale)),
    ]


def split(train: Images, test: Images, seed: int, count: int, held: int) -> list[Task]:
    """Five tasks of two digits each."""
    tasks = []
    for first in range(0, 10, 2):
        pairs = [_classes(each, first) for each in (train, test)]
        tasks.append(_task(f"{first} or {first + 1}", *pairs, seed, count, held)._replace(classes=2))
    return tasks


def permuted(train: Images, test: Images, seed: int, count: int, held: int, tasks: int = 10) -> list[Task]:
    """Tasks with the same digits, the pixels in another order in every one; in the first as they are."""
    chance, found = torch.Generator().manual_seed(seed), []
    for number in range(tasks):
        order = torch.randperm(784, generator=chance) if number else torch.arange(784)
        task = _task(f"order {number}", train, test, seed, count, held)
        found.append(
            task._replace(**{name: _reordered(getattr(task, name), order) for name in ("train", "held", "test")})
        )
    return found


def convnet(classes: int, seed: int, scale: float = 1.0) -> nn.Module:
    """Two strided convolutions with batch norms, and a hidden layer."""
    a, b, c = (max(1, round(scale * width)) for width in (6, 12, 24))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, a, 5, stride=2, padding=2, bias=False), nn.BatchNorm2d(a), nn.ReLU(),
            nn.Conv2d(a, b, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU(),
            nn.MaxPool2d(2, ceil_mode=True), nn.Flatten(), nn.Linear(16 * b, c), nn.ReLU(), nn.Linear(c, classes),
        )  # fmt: skip


def mlp(seed: int, scale: float = 1.0) -> nn.Module:
    """Two hidden layers."""
    a, b = (max(1, round(scale * width)) for width in (32, 24))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(784, a), nn.ReLU(), nn.Linear(a, b), nn.ReLU(), nn.Linear(b, 10))


def _digits(seed: int) -> Task:
    """scikit-learn's 8×8 digits, drawn as large as the others."""
    from netsculpt.demo.data import load_digits

    parts = [Images(_enlarged(part.images), part.labels) for part in load_digits()]
    return Task("digits", *parts, 10)


def _enlarged(pictures: Tensor) -> Tensor:
    return F.interpolate(pictures, size=(28, 28), mode="bilinear", align_corners=False)


def _task(name: str, train: Images, test: Images, seed: int, count: int, held: int) -> Task:
    rows = torch.randperm(len(train.labels), generator=torch.Generator().manual_seed(seed))
    return Task(name, train.take(rows[held : held + count]), train.take(rows[:held]), test, 10)


def _classes(part: Images, first: int) -> Images:
    rows = ((part.labels == first) | (part.labels == first + 1)).nonzero()[:, 0]
    return Images(part.pictures[rows], part.labels[rows] - first)


def _reordered(part: Images, order: Tensor) -> Images:
    return Images(part.pictures.flatten(1)[:, order].reshape(part.pictures.shape), part.labels)
