"""Architectures with their graphs: traced once in a process, and given anew to every test."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from netsculpt.edit import Edit, Prune, Split, Widen
from netsculpt.graph import Axis, Graph, trace
from tests.architectures import (
    ARCHITECTURES,
    TORCHVISION_MODELS,
    TRANSFORMERS_MODELS,
    Architecture,
    Inputs,
    in_float64,
    outputs,
)

# Millions of parameters: torchvision has no setting that makes them smaller.
LARGE = {"tv_resnet", "tv_resnext"}
SUBJECTS = tuple(each for each in (*ARCHITECTURES, *TRANSFORMERS_MODELS, *TORCHVISION_MODELS) if each.name not in LARGE)
BY_NAME = {each.name: each for each in SUBJECTS}


class Subject:
    """A fresh model in float64, its inputs, and its graph.

    Attributes:
        architecture: where it comes from.
        model: fresh for every subject.
        graph: shared by all subjects of one architecture, one after the other.
        inputs: that the graph was made with.
        random: a generator of the test's own.
    """

    def __init__(self, architecture: Architecture, graph: Graph, inputs: Inputs) -> None:
        self.architecture = architecture
        self.model = build(architecture.name)
        self.graph = graph
        self.inputs = inputs
        self.random = torch.Generator().manual_seed(len(architecture.name))

    @property
    def sizes(self) -> dict[str, int]:
        return {axis.name: axis.size for axis in self.graph}

    def outputs(self) -> list[Tensor]:
        with torch.no_grad():
            return outputs(self.model, self.inputs)

    def below(self, bound: int) -> int:
        return int(torch.randint(bound, (1,), generator=self.random))

    def some(self, axis: Axis) -> Tensor:
        """At least one unit of an axis, and not all of them, in order."""
        order = torch.randperm(axis.size, generator=self.random)
        return order[: 1 + self.below(axis.size - 1)].sort().values

    def everything(self) -> list[Edit]:
        """Every axis pruned, copied and widened at once."""
        edits: list[Edit] = []
        for axis in self.graph.sculptable:
            kept = self.some(axis) if axis.size > 1 else torch.zeros(1, dtype=torch.int64)
            shares = ((0.5, 0.5), (0.7, 0.6, -0.3))[self.below(2)]
            copied = int(kept[self.below(len(kept))])
            edits += [Prune(axis.name, kept), Split(axis.name, copied, shares), Widen(axis.name, 1 + self.below(2))]
        return edits


def build(name: str) -> nn.Module:
    """The architecture of that name in float64."""
    return BY_NAME[name].build().double()


@functools.cache
def _traced(name: str) -> tuple[Graph, Inputs]:
    inputs = in_float64(BY_NAME[name].inputs())
    return trace(build(name), inputs), inputs


@contextmanager
def subject(name: str) -> Iterator[Subject]:
    """A subject whose graph is afterwards what it was, whatever the test did to it."""
    graph, inputs = _traced(name)
    before, sizes = dict(graph.__dict__), {axis.name: axis.size for axis in graph.sculptable}
    try:
        yield Subject(BY_NAME[name], graph, inputs)
    finally:
        graph.__dict__.clear()
        graph.__dict__.update(before)
        graph.resize(sizes)


def close(a: Sequence[Tensor], b: Sequence[Tensor], bound: float = 1e-9) -> bool:
    """Whether two answers are the same but for rounding, relative to the largest entry of each tensor."""
    return len(a) == len(b) and all(
        x.shape == y.shape and float((x - y).abs().max()) <= bound * float(x.abs().max().clamp(min=1e-30))
        for x, y in zip(a, b, strict=True)
    )
