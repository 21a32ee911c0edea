"""``apply``: as a whole or not at all, checked, and with everything that trains the model."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn, optim
from torch.optim.swa_utils import AveragedModel

from netsculpt.edit import (
    InsertLayer,
    Plan,
    Prune,
    RemoveLayer,
    Split,
    Transaction,
    Widen,
    apply,
    history,
    undo,
    uniform_pruning,
)
from netsculpt.errors import ArgumentError, EditError, GraphError
from netsculpt.graph import trace
from tests.edit.models import IMAGES, ROWS, Attention, Chain, Images, Residual, answers, edited, loss, made
from tests.edit.photograph import Photograph


def trained(model: nn.Module, x: Tensor = ROWS) -> optim.Optimizer:
    optimizer = optim.AdamW(model.parameters(), lr=1e-2)
    loss(model, x).backward()
    optimizer.step()
    return optimizer


def identity(size: int) -> nn.Linear:
    layer = nn.Linear(size, size).double()
    with torch.no_grad():
        layer.weight.copy_(torch.eye(size))
        layer.bias.zero_()
    return layer


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("edits", "error", "said"),
    [
        ([], EditError, "the plan has no edits, so there is nothing to apply"),
        ([Prune("first", [0]), Prune("first", [1])], ArgumentError, "a plan may prune 'first' once, not 2 times"),
        ([Prune("first", [0]), Split("first", 1)], ArgumentError, "unit 1 of 'first' is pruned by the same plan"),
        ([Split("first", 1), Split("first", 1)], ArgumentError, "unit 1 of 'first' is split twice by the same plan"),
        ([Prune("first", [0, 6])], ArgumentError, "'first' has units 0 to 5, not 0 to 6"),
        ([Prune("first", [-1])], ArgumentError, "'first' has units 0 to 5, not -1 to -1"),
        ([Split("first", 6)], ArgumentError, "'first' has units 0 to 5, not 6 to 6"),
        ([Widen("third", 1)], GraphError, "there is no axis 'third'"),
        ([Prune("last", [0])], GraphError, "the units of 'last' cannot be changed: "),
        ([InsertLayer("nowhere", nn.Tanh())], EditError, "nowhere"),
        ([RemoveLayer("nowhere")], EditError, "nowhere"),
        ([InsertLayer("first", nn.Tanh())], EditError, "the outputs after 'insert Tanh after first' differ by"),
        ([InsertLayer("first", nn.Linear(6, 5).double(), exact=False)], EditError, "does not run after 'insert Linear"),
        ([RemoveLayer("first")], EditError, "the model does not run after 'remove first': RuntimeError: .*models.py"),
    ],
)
def test_a_refused_plan_changes_nothing(edits: list[Any], error: type[Exception], said: str) -> None:
    model, graph = made(Chain)
    optimizer = trained(model)
    average = {name: tensor.detach().clone() for name, tensor in model.named_parameters()}
    sizes = [axis.size for axis in graph]
    photograph, generator = Photograph([model], [optimizer], [average]), torch.get_rng_state()
    with pytest.raises(error, match=said) as caught:
        apply(Plan(tuple(edits)), model, optimizer, average, graph=graph)
    assert "\n" not in str(caught.value)
    photograph.assert_unchanged()
    assert torch.equal(torch.get_rng_state(), generator)
    assert [axis.size for axis in graph] == sizes
    assert len(history(model)) == 0


def test_arguments_of_another_kind() -> None:
    model, graph = made(Chain)
    with pytest.raises(ArgumentError, match="apply needs a Plan and a Graph, not list and Graph"):
        apply([Prune("first", [0])], model, graph=graph)
    with pytest.raises(ArgumentError, match="apply needs a Plan and a Graph, not Plan and Chain"):
        apply(Plan((Prune("first", [0]),)), model, graph=model)


def test_a_graph_of_another_model_or_of_an_older_one() -> None:
    model, graph = made(Chain)
    old = trace(model, ROWS)
    edited(model, graph, Prune("first", [0, 2]))
    with pytest.raises(EditError, match=r"older one: first\.weight should be \[6, 4\] and is \[2, 4\] in the model"):
        edited(model, old, Prune("first", [0]))
    with pytest.raises(EditError, match=r"start\.weight should be \[6, 4\] and is not in the model"):
        edited(model, made(Residual)[1], Prune("start", [0]))
    edited(model, graph, Prune("first", [1]))
    assert model.first.weight.shape == (1, 4)


def test_a_model_that_does_not_run_is_not_the_fault_of_the_plan() -> None:
    model, graph = made(Chain)
    model.forward = lambda x, y: x
    with pytest.raises(EditError, match="the model does not run with the example inputs of its graph: TypeError"):
        edited(model, graph, Prune("first", [0]))
    assert model.first.weight.shape == (6, 4)


def test_wrong_answers_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check is no formality: with one wrong tensor in the transaction it refuses."""
    model, graph = made(Chain)
    replace = Transaction.replace

    def wrong(self: Transaction, name: str, gather: Any, value: Any = None, **settings: Any) -> Tensor:
        new = replace(self, name, gather, value, **settings)
        if name == "second.weight":
            new.detach()[0, 0] += 1e-6
        return new

    monkeypatch.setattr(Transaction, "replace", wrong)
    photograph = Photograph([model])
    with pytest.raises(EditError, match=r"differ by .*e-.* of the largest, more than rounding \(1e-09\)"):
        edited(model, graph, Prune("first", [0, 1, 2]))
    photograph.assert_unchanged()
    apply(Plan((Prune("first", [0, 1, 2]),)), model, graph=graph, check=False)
    assert model.first.out_features == 3


@pytest.mark.parametrize("broken", ["set_attribute", "insert_module", "commit"])
def test_a_failure_in_the_middle_leaves_everything_to_the_bit(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, graph = made(Images)
    model.train()
    optimizer = trained(model, IMAGES)
    average = AveragedModel(model)
    sizes = [axis.size for axis in graph]
    monkeypatch.setattr(Transaction, broken, lambda *_, **__: 1 / 0)
    photograph = Photograph([model, average.module], [optimizer])
    edits = [Prune("conv1", [0, 3]), Split("conv3", 1), Widen("conv3", 2)]
    if broken == "insert_module":
        edits.append(InsertLayer("conv1", nn.Identity()))
    with pytest.raises(ZeroDivisionError):
        edited(model, graph, *edits, optimizer=optimizer, ema=average)
    photograph.assert_unchanged()
    assert [axis.size for axis in graph] == sizes
    monkeypatch.undo()
    edited(model, graph, *edits, optimizer=optimizer, ema=average)
    assert model.conv1.out_channels == average.module.conv1.out_channels == 2


class Untraceable(nn.Module):
    """The identity, by a way that depends on values."""

    def forward(self, x: Tensor) -> Tensor:
        return x * 1 if bool((x > 0).any()) else x


def test_a_layer_with_which_the_model_cannot_be_traced_is_not_inserted() -> None:
    model, graph = made(Chain)
    optimizer = trained(model)
    photograph, sizes = Photograph([model], [optimizer]), [axis.size for axis in graph]
    with pytest.raises(GraphError, match="cannot be traced"):
        edited(model, graph, Prune("first", [0, 1]), InsertLayer("second", Untraceable()), optimizer=optimizer)
    photograph.assert_unchanged()
    assert [axis.size for axis in graph] == sizes
    edited(model, graph, Prune("first", [0, 1]))


def test_parallel_wrappers_are_refused_by_name() -> None:
    model, graph = made(Chain)

    class DistributedDataParallel(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = model

    with pytest.raises(EditError, match=r"DistributedDataParallel synchronises .*; use edit\.rewrap"):
        edited(DistributedDataParallel(), graph, Prune("first", [0]))


# -- what is left as it was --------------------------------------------------------------------------------------------


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


# -- what changes ------------------------------------------------------------------------------------------------------


def test_an_outcome_says_what_it_came_to() -> None:
    model, graph = made(Images)
    plan = Plan.of(graph, [Prune("conv1", [0, 2, 4]), Split("conv1", 2), Widen("conv3", 2)])
    outcome = apply(plan, model, graph=graph)
    assert (outcome.before, outcome.after) == (plan.before, plan.after)
    assert outcome.difference is not None
    assert outcome.difference < 1e-12
    again = trace(model, IMAGES)
    assert again.cost() == graph.cost() == outcome.after
    assert apply(Plan((Prune("conv1", [0]),)), model, graph=graph, check=False).difference is None


def test_scaled_outgoing_weights() -> None:
    model, graph = made(Chain)
    weight, bias = model.second.weight.detach().clone(), model.first.bias.detach().clone()
    outcome = edited(model, graph, Prune("first", [4, 1], scale=[2.0, -0.5]))
    assert outcome.difference is not None
    assert torch.equal(model.second.weight, weight[:, [4, 1]] * torch.tensor([2.0, -0.5]))
    assert torch.equal(model.first.bias, bias[[4, 1]])


def test_scaled_and_split_at_once() -> None:
    model, graph = made(Chain)
    weight = model.second.weight.detach().clone()
    edited(model, graph, Prune("first", [4, 1], scale=[2.0, 3.0]), Split("first", 1, (0.25, 0.75)))
    torch.testing.assert_close(model.second.weight, weight[:, [4, 1, 1]] * torch.tensor([2.0, 0.75, 2.25]).double())


def test_optimizers_averages_and_schedules_go_on() -> None:
    model, graph = made(Chain)
    first = optim.AdamW(model.first.parameters(), lr=0.1)
    second = optim.SGD([*model.second.parameters(), *model.last.parameters()], lr=0.1, momentum=0.9)
    schedule = optim.lr_scheduler.StepLR(first, 1, gamma=0.5)
    average, entries = AveragedModel(model), {"first.weight": model.first.weight.detach().clone()}
    loss(model).backward()
    first.step()
    second.step()
    schedule.step()
    moments = first.state[model.first.weight]["exp_avg"].clone()
    keep = [5, 0, 3]
    edited(model, graph, Prune("first", keep), optimizer=(each for each in (first, second)), ema=[average, entries])
    assert torch.equal(first.state[model.first.weight]["exp_avg"], moments[keep])
    assert second.state[model.second.weight]["momentum_buffer"].shape == (5, 3)
    assert average.module.first.weight.shape == entries["first.weight"].shape == (3, 4)
    assert average.module.first.out_features == 3
    schedule.step()
    assert first.param_groups[0]["lr"] == 0.025
    before = model.first.weight.detach().clone()
    loss(model).backward()
    first.step()
    assert bool((model.first.weight != before).all())
    average.update_parameters(model)
    assert undo(model) == "merged"
    assert model.first.weight.shape == average.module.first.weight.shape == (6, 4)


def test_a_sequential_average_is_one_average() -> None:
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2)).double()
    graph, average = trace(model, ROWS), copy.deepcopy(model)
    edited(model, graph, Prune("0", [1, 2]), ema=average)
    assert torch.equal(average[2].weight, model[2].weight)


def gradients(model: nn.Module) -> dict[str, Tensor]:
    model.zero_grad()
    loss(model, IMAGES if isinstance(model, Images) else ROWS).backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


def assert_gradients_are_those_of_the_edited_model(model: nn.Module) -> None:
    """What ``apply`` made of the gradients, beside what backward finds in the edited model."""
    carried = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    found = gradients(model)
    for name, gradient in found.items():
        torch.testing.assert_close(carried[name], gradient, rtol=1e-9, atol=1e-12, msg=lambda m, n=name: f"{n}: {m}")


def test_gradients_of_copies_are_those_that_backward_would_find() -> None:
    for kind, axes in ((Chain, ("first", "second")), (Residual, ("start", "inner")), (Images, ("conv1", "conv3"))):
        model, graph = made(kind)
        model.eval()
        gradients(model)
        edited(model, graph, *(Split(axis, 1, (0.7, 0.6, -0.3)) for axis in axes), Split(axes[0], 2))
        assert_gradients_are_those_of_the_edited_model(model)


def test_gradients_of_fused_attention_with_more_heads_and_wider_ones() -> None:
    """Queries are scaled to make up for the root of the width, and only they are."""
    for edit_heads in (True, False):
        model, graph = made(Attention)
        heads, width = (axis.name for axis in graph.sculptable if axis.name.startswith("qkv"))
        gradients(model)
        edited(model, graph, Split(heads if edit_heads else width, 1, (0.3, 0.7)))
        assert_gradients_are_those_of_the_edited_model(model)


def test_a_step_of_momentum_after_a_split_is_the_step_of_the_copies() -> None:
    """SGD with slots="scaled": as if the copies had been there from the first step on."""
    model, graph = made(Chain)
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    old = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    loss(model).backward()
    velocity = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    optimizer.step()
    values = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    assert not torch.equal(old["first.weight"], values["first.weight"])
    shares, units = torch.tensor([1, 1, 0.7, 1, 1, 1, 0.6, -0.3]).double(), [0, 1, 2, 3, 4, 5, 2, 2]
    edited(model, graph, Split("first", 2, (0.7, 0.6, -0.3)), optimizer=optimizer, slots="scaled")
    now = gradients(model)
    optimizer.step()
    moved = 0.9 * velocity["first.weight"][units] * shares[:, None] + now["first.weight"]
    torch.testing.assert_close(model.first.weight, values["first.weight"][units] - 0.05 * moved)
    moved = 0.9 * velocity["second.weight"][:, units] + now["second.weight"]
    torch.testing.assert_close(model.second.weight, values["second.weight"][:, units] * shares - 0.05 * moved)
    moved = 0.9 * velocity["last.weight"] + now["last.weight"]
    torch.testing.assert_close(model.last.weight, values["last.weight"] - 0.05 * moved)


# -- layers ------------------------------------------------------------------------------------------------------------


def convolution_identity(channels: int) -> nn.Conv2d:
    layer = nn.Conv2d(channels, channels, 3, padding=1, bias=False).double()
    nn.init.dirac_(layer.weight)
    return layer


def test_layers_that_are_the_identity_are_inserted_exactly() -> None:
    model, graph = made(Images)
    before = answers(model, IMAGES)
    norm = nn.BatchNorm2d(8, eps=0.0).double()
    outcome = edited(model, graph, InsertLayer("conv1", convolution_identity(6)), InsertLayer("conv2", norm))
    assert outcome.difference == 0
    assert outcome.after.params == outcome.before.params + 6 * 6 * 9 + 16
    torch.testing.assert_close(answers(model, IMAGES), before, rtol=0, atol=1e-12)
    edited(model, graph, InsertLayer("head", identity(2)))
    torch.testing.assert_close(answers(model, IMAGES), before, rtol=0, atol=1e-12)
    assert len(graph["conv1"].places) > 0


def test_a_fresh_norm_is_not_quite_the_identity_and_passes_in_single_precision_only() -> None:
    model, graph = made(Images)
    with pytest.raises(EditError, match="more than rounding"):
        edited(model, graph, InsertLayer("conv1", nn.BatchNorm2d(6).double()))
    model.float()
    assert edited(model, graph, InsertLayer("conv1", nn.BatchNorm2d(6))).difference is not None


def test_axes_are_edited_with_the_layers_and_after_them() -> None:
    model, graph = made(Chain)
    edited(model, graph, Prune("first", [0, 1, 2]), InsertLayer("first", identity(3)))
    assert model.first.inserted.weight.shape == (3, 3)
    assert {"first", "first.inserted", "second"} <= {axis.name for axis in graph}
    assert all(proof.holds for proof in graph.verify(model))
    edited(model, graph, Prune("first.inserted", [2, 0]), Split("first", 1))
    assert model.first.inserted.weight.shape == (2, 4)
    assert model.second.weight.shape == (5, 2)
    undo(model, to=0)
    assert [axis.name for axis in graph] == ["first", "second", "last"]
    assert model.first.weight.shape == (6, 4)
    edited(model, graph, Prune("first", [5]))


def test_a_layer_that_is_no_identity_is_inserted_when_told_and_taken_back() -> None:
    model, graph = made(Chain)
    optimizer = trained(model)
    photograph = Photograph([model], [optimizer])
    plan = Plan.of(graph, [InsertLayer("first", nn.Linear(6, 6).double(), exact=False)])
    assert plan.inexact == ("insert Linear after first is not the identity",)
    assert apply(plan, model, optimizer, graph=graph).difference is None
    assert sum(len(group["params"]) for group in optimizer.param_groups) == 8
    assert undo(model) == "exact"
    photograph.assert_unchanged()


def test_a_removed_layer_is_passed_by() -> None:
    model = nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 2)).double()
    graph = trace(model, ROWS)
    plan = Plan.of(graph, [RemoveLayer("1")])
    assert plan.inexact == ("remove 1 is not the identity",)
    outcome = apply(plan, model, graph=graph)
    assert outcome.before.params - outcome.after.params == 42
    torch.testing.assert_close(answers(model), model[3](torch.tanh(model[0](ROWS))).detach())
    edited(model, graph, Prune("0", [1, 2]))
    assert undo(model, to=0) == "exact"
    assert isinstance(model[1], nn.Linear)
    assert {axis.name for axis in graph.sculptable} == {"0", "1"}
