"""What ``apply`` leaves as it was: modes, hooks, types, random numbers, whatever is not the plan's."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from netsculpt.edit import (
    InsertLayer,
    Plan,
    Prune,
    Split,
    apply,
    undo,
    uniform_pruning,
)
from netsculpt.errors import GraphError
from netsculpt.graph import trace
from tests.edit.models import IMAGES, ROWS, Chain, Images, answers, edited, loss, made


def identity(size: int) -> nn.Linear:
    layer = nn.Linear(size, size).double()
    with torch.no_grad():
        layer.weight.copy_(torch.eye(size))
        layer.bias.zero_()
    return layer


class Untidy(nn.Module):
    """Counts its calls in buffers, draws random numbers, and writes to its input."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 6)
        self.last = nn.Linear(6, 2)
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("other", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.other = self.other + 1
        noise = torch.rand(2, dtype=x.dtype)
        return self.last(torch.relu(self.first(x.mul_(2)))) + noise


def test_what_running_a_model_changes_is_put_back() -> None:
    torch.manual_seed(0)
    model = Untidy().double()
    inputs = torch.ones(3, 4).double()
    graph = trace(model, inputs.clone())
    model.calls, model.other = torch.zeros(()).double(), torch.zeros(()).double()
    given, generator = graph.inputs.args[0].clone(), torch.get_rng_state()
    outcome = edited(model, graph, Prune("first", [0, 2, 3]))
    assert outcome.difference is not None
    assert outcome.difference < 1e-12
    assert torch.equal(graph.inputs.args[0], given)
    assert torch.equal(torch.get_rng_state(), generator)
    assert (float(model.calls), float(model.other)) == (0, 0)
    layer = nn.Linear(3, 3).double()
    generator = torch.get_rng_state()
    edited(model, graph, InsertLayer("first", layer, exact=False))
    assert torch.equal(torch.get_rng_state(), generator)
    assert (float(model.calls), float(model.other)) == (0, 0)


@pytest.mark.parametrize("training", [True, False])
def test_the_training_mode_of_every_module_stays(training: bool) -> None:
    model, graph = made(Images)
    model.train(training)
    model.bn.eval()
    edited(model, graph, Prune("conv1", [0]), InsertLayer("conv3", nn.Identity()))
    modes = {name: module.training for name, module in model.named_modules()}
    assert {name for name, mode in modes.items() if mode != training} == ({"bn"} if training else set())
    undo(model)
    assert model.training is training


def test_frozen_parameters_hooks_and_types_stay() -> None:
    model, graph = made(Chain)
    model.first.weight.requires_grad_(False)
    model.float()
    seen, gradients = [], []
    model.first.register_forward_hook(lambda module, args, output: seen.append(output.shape[-1]))
    model.second.weight.register_hook(gradients.append)
    edited(model, graph, Prune("first", [0, 1, 5]))
    assert not model.first.weight.requires_grad
    assert model.second.weight.requires_grad
    seen.clear()
    loss(model, ROWS.float()).backward()
    assert seen == [3]
    assert [gradient.shape for gradient in gradients] == [(5, 3)]
    assert model.first.weight.grad is None


def test_a_model_that_is_frozen_altogether() -> None:
    model, graph = made(Images)
    model.requires_grad_(False)
    edited(model, graph, Split("conv1", 0), Prune("conv3", [1]))
    assert not any(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.float16])
def test_a_model_in_another_precision_than_when_it_was_traced(kind: torch.dtype) -> None:
    model, graph = made(Images)
    model.to(kind)
    outcome = edited(model, graph, Prune("conv1", [0, 2, 4]), Split("conv3", 1), InsertLayer("conv1", nn.Identity()))
    assert outcome.difference is not None
    assert {parameter.dtype for parameter in model.parameters()} == {kind}
    assert outcome.after.params == sum(parameter.numel() for parameter in model.parameters())
    edited(model, graph, Prune("conv1", [0]))


def test_a_plan_is_data_and_can_be_applied_to_two_models() -> None:
    layer = identity(6)
    plan = Plan((InsertLayer("first", layer), Prune("second", [0, 1])))
    models = []
    for _ in range(2):
        model, graph = made(Chain)
        apply(plan, model, graph=graph)
        models.append(model)
    inserted = [model.first.inserted.weight for model in models]
    assert inserted[0] is not inserted[1]
    assert inserted[0] is not layer.weight
    with torch.no_grad():
        inserted[0].zero_()
    assert torch.equal(inserted[1], torch.eye(6).double())


def test_group_norms_stay_legal() -> None:
    model, graph = made(Images)
    for _ in range(2):
        plan = uniform_pruning(graph, lambda axis: torch.arange(axis.size).double(), pruning_ratio=0.4)
        apply(plan, model, graph=graph)
        assert model.gn.num_channels % model.gn.num_groups == 0
        assert model.gn.num_channels == model.conv2.out_channels
        assert answers(model, IMAGES).shape == (3, 2)
    assert all(proof.holds for proof in graph.verify(model))


def test_ignored_layers_stay() -> None:
    torch.manual_seed(0)
    model = Chain().double()
    graph = trace(model, ROWS, ignored_layers=["second"])
    with pytest.raises(GraphError, match="'second' cannot be changed: second is in ignored_layers"):
        edited(model, graph, Prune("second", [0]))
    with pytest.raises(GraphError, match="'first' cannot be changed: second is in ignored_layers"):
        edited(model, graph, Prune("first", [0]))
    graph = trace(model, ROWS, ignored_layers=[("second", "outputs")])
    edited(model, graph, Prune("first", [0]), InsertLayer("first", nn.Identity()))
    assert model.second.weight.shape == (5, 1)
    assert graph["second"].frozen is not None
