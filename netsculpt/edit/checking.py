"""What a plan promises, measured: the answers of the edited model beside those that it must have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from netsculpt.edit.drafts import Draft
from netsculpt.edit.plan import Plan
from netsculpt.errors import EditError
from netsculpt.graph import Change, Graph
from netsculpt.graph.program import Inputs
from netsculpt.graph.source import blame
from netsculpt.graph.untouched import tracing_mode
from netsculpt.graph.verify import difference, outputs_of, rearranged

# Largest difference of outputs, relative to the largest output, that counts as rounding.
BOUNDS = {torch.float64: 1e-9, torch.float32: 1e-3, torch.bfloat16: 0.2, torch.float16: 0.05}


def expected(graph: Graph, model: nn.Module, drafts: Mapping[str, Draft], plan: Plan) -> list[Tensor] | None:
    """The outputs that the edited model must have: the old model's with removed units silenced.

    Returns:
        None where the plan changes the function.

    Raises:
        EditError: the model does not run.
    """
    if plan.changes(drafts):
        return None
    silenced = {name: Change(torch.arange(each.axis.size), each.silenced()) for name, each in drafts.items()}
    change = graph.rearrangement(silenced)
    try:
        with rearranged(model, graph, change):
            return answers(graph, model)
    except Exception as error:
        raise EditError(f"the model does not run with the example inputs of its graph: {blame(error)}") from error


def check(graph: Graph, model: nn.Module, plan: Plan, expected: list[Tensor] | None) -> float | None:
    """Run the edited model; returns the difference of its outputs from the expected ones, None where there are none.

    Raises:
        EditError: the model does not run, or the difference is more than rounding.
    """
    try:
        found = answers(graph, model)
    except Exception as error:
        raise EditError(f"the model does not run after '{_first(plan)}': {blame(error)}") from error
    if expected is None:
        return None
    gap = difference(expected, found)
    kinds = [tensor.dtype for tensor in model.parameters() if tensor.is_floating_point()]
    bound = max((BOUNDS.get(kind, 1e-3) for kind in kinds), default=1e-3)
    if not gap <= bound:
        raise EditError(
            f"the outputs after '{_first(plan)}' differ by {gap:.1e} of the largest, more than rounding ({bound:g}); "
            "nothing was changed"
        )
    return gap


def answers(graph: Graph, model: nn.Module) -> list[Tensor]:
    """What the model answers to the graph's example inputs, in eval mode.

    Neither inputs nor buffers nor torch's random numbers are changed by it.
    """
    with tracing_mode(model), _same_random_numbers(model):
        return outputs_of(model, fitting(graph.inputs, model))


def fitting(inputs: Inputs, model: nn.Module) -> Inputs:
    """Copies of inputs, on the device where the model is now and in the precision that it has now."""
    devices = {tensor.device for tensor in model.parameters()}
    kinds = {tensor.dtype for tensor in model.parameters() if tensor.is_floating_point()}
    (device,) = devices if len(devices) == 1 else (None,)
    (kind,) = kinds if len(kinds) == 1 else (None,)

    def fit(leaf: object) -> object:
        if not isinstance(leaf, Tensor):
            return leaf
        other = leaf.is_floating_point() and kind is not None
        return leaf.detach().to(device or leaf.device, kind if other else leaf.dtype, copy=True)

    return Inputs(*pytree.tree_map(fit, tuple(inputs)))


@contextmanager
def _same_random_numbers(model: nn.Module) -> Iterator[None]:
    cuda = sorted({tensor.device.index for tensor in model.parameters() if tensor.is_cuda})
    with torch.random.fork_rng(devices=cuda):
        yield


def _first(plan: Plan) -> str:
    return str(plan.edits[0]) + (f" and {len(plan) - 1} more edits" if len(plan) > 1 else "")
