"""Proof of a graph on the model itself: units may trade places, and silenced units may go."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from netsculpt.graph.graph import Change, Graph, Rearrangement
from netsculpt.graph.program import Inputs, as_inputs

TOLERANCE = 1e-9  # of float64 outputs, relative to the largest entry


class Proof(NamedTuple):
    """What happened to the outputs of the model when the units of one axis changed.

    Attributes:
        axis: its name.
        size: its units.
        permuted: largest difference of the outputs after a random permutation of the units, relative to the largest
            output; infinite where the model did not run.
        removed: the same between the model with some units silenced and the model without them; None where the axis is
            not exact, or has one unit.
        error: why the model did not run.
    """

    axis: str
    size: int
    permuted: float
    removed: float | None
    error: str | None = None

    @property
    def holds(self) -> bool:
        """Whether the graph is right about this axis."""
        return self.permuted <= TOLERANCE and (self.removed is None or self.removed <= TOLERANCE)


def verify(
    graph: Graph, model: nn.Module, example_inputs: Any, kwargs: Mapping[str, Any] | None = None, seed: int = 0
) -> list[Proof]:
    """Prove a graph on a float64 copy of the model in eval mode.

    For every axis that can change: its units are permuted at random, which must leave the outputs alone, and a random
    half of them is silenced, which must give the outputs of the model without them.

    Args:
        graph: the graph of ``model``.
        model: not changed.
        example_inputs: as for ``trace``.
        kwargs: as for ``trace``.
        seed: of the permutations.

    Returns:
        A proof per axis that can change; ``all(proof.holds for proof in proofs)`` says that the graph is right.
    """
    copied = copy.deepcopy(model).double().eval()
    inputs = in_double(as_inputs(example_inputs, kwargs))
    generator = torch.Generator().manual_seed(seed)
    before = outputs_of(copied, inputs)
    return [_prove(graph, axis.name, copied, inputs, before, generator) for axis in graph.sculptable]


def _prove(
    graph: Graph, name: str, model: nn.Module, inputs: Inputs, before: list[Tensor], generator: torch.Generator
) -> Proof:
    axis = graph[name]
    order = torch.randperm(axis.size, generator=generator)
    try:
        with rearranged(model, graph, graph.rearrangement({name: Change(order)})):
            permuted = difference(before, outputs_of(model, inputs))
        removed = None
        if axis.size > 1:
            kept = order[: max(1, axis.size // 2)].sort().values
            with rearranged(model, graph, graph.rearrangement({name: Change(kept)})):
                without = outputs_of(model, inputs)
            if axis.exact:
                weights = torch.zeros(axis.size, dtype=torch.float64)
                weights[kept] = 1
                silenced = graph.rearrangement({name: Change(torch.arange(axis.size), weights)})
                with rearranged(model, graph, silenced):
                    removed = difference(outputs_of(model, inputs), without)
    except Exception as error:
        return Proof(name, axis.size, float("inf"), None, f"{type(error).__name__}: {error}")
    return Proof(name, axis.size, permuted, removed)


@contextmanager
def rearranged(model: nn.Module, graph: Graph, change: Rearrangement) -> Iterator[None]:
    """The model with its tensors and attributes changed, for as long as the context lasts."""
    before: list[tuple[nn.Module, str, Any]] = []

    def put(module: nn.Module, name: str, value: Any) -> None:
        before.append((module, name, getattr(module, name)))
        setattr(module, name, value)

    try:
        for first, gather in change.gathers.items():
            tensor = _tensor(model, first)
            new = gather.gather(tensor)
            replacement = nn.Parameter(new, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else new
            for name in graph.aliases[first]:
                path, _, attribute = name.rpartition(".")
                put(model.get_submodule(path), attribute, replacement)
        for path, attribute, value in change.attributes:
            put(model.get_submodule(path), attribute, value)
        yield
    finally:
        for module, name, value in reversed(before):
            setattr(module, name, value)


def outputs_of(model: nn.Module, inputs: Inputs) -> list[Tensor]:
    """The tensors that the model answers with."""
    with torch.no_grad():
        answer = model(*inputs.args, **inputs.kwargs)
    return [leaf for leaf in pytree.tree_leaves(_plain(answer)) if isinstance(leaf, Tensor)]


def in_double(inputs: Inputs) -> Inputs:
    """Floating-point tensors in float64."""

    def cast(leaf: Any) -> Any:
        return leaf.double() if isinstance(leaf, Tensor) and leaf.is_floating_point() else leaf

    return Inputs(*pytree.tree_map(cast, tuple(inputs)))


def difference(a: list[Tensor], b: list[Tensor]) -> float:
    """The largest difference, relative to the largest entry; infinite where shapes differ."""
    if [x.shape for x in a] != [y.shape for y in b]:
        return float("inf")
    worst = 0.0
    for x, y in zip(a, b, strict=True):
        if x.numel():
            x, y = x.double(), y.double()
            gap = float((x - y).abs().max() / x.abs().max().clamp(min=1e-30))
            worst = max(worst, gap if gap == gap else float("inf"))
    return worst


def _plain(answer: Any) -> Any:
    return dict(answer) if isinstance(answer, Mapping) else answer


def _tensor(model: nn.Module, name: str) -> Tensor:
    path, _, attribute = name.rpartition(".")
    return getattr(model.get_submodule(path), attribute)
