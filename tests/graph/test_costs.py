"""Costs against what is really there: parameters of really pruned models, operations that torch counts itself."""

from __future__ import annotations

import pytest
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import tests.architectures
from netsculpt.edit import Plan, Prune, apply
from netsculpt.graph import Graph, trace
from netsculpt.graph.verify import outputs_of

ARCHITECTURES = ["resnet_basic", "gpt2", "lstm_tagger"]


def traced(architecture: str) -> tuple[nn.Module, Graph]:
    model, inputs = getattr(tests.architectures, architecture)()
    return model, trace(model, inputs)


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def multiplications(model: nn.Module, graph: Graph) -> int:
    """Per example, as torch counts them."""
    with FlopCounterMode(display=False) as counter:
        outputs_of(model, graph.inputs)
    return int(counter.get_total_flops()) // 4  # two examples, a multiplication and an addition each


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_parameters_are_those_of_the_pruned_model(architecture: str) -> None:
    model, graph = traced(architecture)
    assert graph.cost().params == parameters(model)
    pruned = [axis for axis in graph.sculptable if axis.size > 2][::2]
    sizes = {axis.name: axis.size - 1 - k % 2 for k, axis in enumerate(pruned)}
    expected = graph.cost(sizes)
    apply(Plan([Prune(name, range(size)) for name, size in sizes.items()]), model, graph=graph)
    assert parameters(model) == expected.params < traced(architecture)[1].cost().params
    assert graph.cost() == expected == trace(model, graph.inputs.args, graph.inputs.kwargs).cost()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_unit_costs_what_the_model_loses_with_it(architecture: str) -> None:
    _, graph = traced(architecture)
    whole = graph.cost()
    for axis in graph.sculptable:
        smaller = graph.cost({axis.name: axis.size - 1})
        assert graph.cost_per_unit(axis.name) == (whole.params - smaller.params, whole.macs - smaller.macs)
        nothing = graph.cost({axis.name: 0})
        assert graph.cost_on(axis.name) == (whole.params - nothing.params, whole.macs - nothing.macs)


@pytest.mark.parametrize("architecture", ["resnet_basic", "resnet_bottleneck", "se_resnext", "gpt2"])
def test_multiply_accumulates_are_those_that_torch_counts(architecture: str) -> None:
    model, graph = traced(architecture)
    assert graph.cost().macs == multiplications(model, graph)
