"""Batches of a loader as a model takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.utils import _pytree as pytree

from netsculpt.errors import ArgumentError
from netsculpt.graph import Graph
from netsculpt.graph.program import Inputs, as_inputs


class Batch(NamedTuple):
    """One batch of a loader: the model's inputs, what the loss compares its answer with, and the number of examples."""

    inputs: Inputs
    target: Any
    size: int


def batch_of(given: Any, graph: Graph) -> Batch:
    """Which of a batch goes into the model."""
    example = graph.inputs
    if example.args and example.kwargs:
        raise ArgumentError("the model was traced with positional and keyword arguments; trace it with a dict of all")
    if isinstance(given, Mapping) and not example.args:
        missing = [name for name in example.kwargs if name not in given]
        if missing:
            raise ArgumentError(f"a batch of the loader lacks {missing[0]!r}, which the model was traced with")
        inputs, target = Inputs((), {name: given[name] for name in example.kwargs}), given
    elif isinstance(given, (tuple, list)) and len(given) == len(example.args) + 1 and not example.kwargs:
        inputs, target = Inputs(tuple(given[:-1]), {}), given[-1]
    else:
        what = f"{len(given)} entries" if isinstance(given, (tuple, list)) else type(given).__name__
        wanted = f"{len(example.args)} inputs and a target" if not example.kwargs else "a dict of keyword arguments"
        raise ArgumentError(f"a batch of the loader must be {wanted}, not {what}")
    sizes = [leaf.shape[0] for leaf in pytree.tree_leaves(tuple(inputs)) if isinstance(leaf, Tensor) and leaf.dim()]
    return Batch(as_inputs(inputs.args, inputs.kwargs), target, sizes[0] if sizes else 1)


def on(model: nn.Module, batch: Batch) -> tuple[Inputs, Any]:
    """A batch where the model is."""
    device = next(model.parameters()).device
    inputs, target = pytree.tree_map_only(Tensor, lambda leaf: leaf.to(device), (tuple(batch.inputs), batch.target))
    return Inputs(*inputs), target


def few(batches: Sequence[Batch], examples: int, numbers: int) -> list[Batch]:
    """The first batches, two if there are, until they hold so many examples or numbers of inputs."""
    found: list[Batch] = []
    for batch in batches:
        leaves = [leaf for each in found for leaf in pytree.tree_leaves(tuple(each.inputs))]
        held = sum(leaf.numel() for leaf in leaves if isinstance(leaf, Tensor))
        if len(found) >= 2 and (sum(each.size for each in found) >= examples or held >= numbers):
            break
        found.append(batch)
    return found
