"""What follows a tensor that gets new values: slots, averages, and the way back."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn, optim
from torch.optim.swa_utils import AveragedModel

from netsculpt.edit import Assign, Prune, Split, history, undo
from netsculpt.errors import EditError
from tests.edit.models import Chain, drawn, edited, loss, made
from tests.edit.photograph import Photograph


def trained(kind: type[optim.Optimizer] = optim.AdamW) -> tuple[nn.Module, object, optim.Optimizer, AveragedModel]:
    model, graph = made(Chain)
    optimizer, average = kind(model.parameters(), lr=0.1), AveragedModel(model)
    for _ in range(2):
        step(model, optimizer)
        average.update_parameters(model)
    return model, graph, optimizer, average


def step(model: nn.Module, optimizer: optim.Optimizer) -> None:
    optimizer.zero_grad()
    loss(model).backward()
    optimizer.step()


def test_slots_stay_and_averages_get_the_values() -> None:
    model, graph, optimizer, average = trained()
    entries = {"second.weight": model.second.weight.detach().float() + 1}
    slots, other = copy.deepcopy(optimizer.state[model.second.weight]), average.module.second.bias.detach().clone()
    edits = [Assign("second.weight", drawn(5, 6)), Prune("first", [3, 0])]
    edited(model, graph, *edits, optimizer=optimizer, ema=[average, entries])
    kept = drawn(5, 6)[:, [3, 0]]
    assert torch.equal(average.module.second.weight, kept)
    assert torch.equal(average.module.second.bias, other)
    assert torch.equal(entries["second.weight"], kept.float())
    state = optimizer.state[model.second.weight]
    assert torch.equal(state["exp_avg"], slots["exp_avg"][:, [3, 0]])
    assert torch.equal(state["exp_avg_sq"], slots["exp_avg_sq"][:, [3, 0]])
    assert state["step"] == slots["step"]
    step(model, optimizer)
    assert not torch.equal(model.second.weight, kept)


def test_the_average_that_an_optimizer_keeps_gets_the_values_too() -> None:
    model, graph, optimizer, _ = trained(optim.ASGD)
    before = optimizer.state[model.second.weight]["ax"].clone()
    optimizer.state[model.second.weight]["ax"] += 1
    edited(model, graph, Assign("second.weight", drawn(5, 6)), optimizer=optimizer)
    assert torch.equal(optimizer.state[model.second.weight]["ax"], drawn(5, 6))
    optimizer.state[model.second.weight]["ax"] += 2
    assert undo(model) == "merged"
    torch.testing.assert_close(optimizer.state[model.second.weight]["ax"], before + 3)


@pytest.mark.parametrize("others", [(), (Prune("first", [3, 0]), Split("second", 1))])
def test_undo_gives_everything_back_to_the_bit_and_to_the_object(others: tuple[object, ...]) -> None:
    model, graph, optimizer, average = trained()
    entries = {name: tensor.detach() + 1 for name, tensor in model.named_parameters()}
    photograph = Photograph([model, average], [optimizer], [entries])
    edits = (Assign("second.weight", drawn(5, 6)), Assign("first.bias", drawn(6)))
    edited(model, graph, *edits, *others, optimizer=optimizer, ema=[average, entries])
    assert photograph.differs()
    assert undo(model) == "exact"
    photograph.assert_unchanged()
    assert all(proof.holds for proof in graph.verify(model))


def test_undo_keeps_what_was_learnt_since() -> None:
    model, graph, optimizer, average = trained(optim.SGD)
    old, mean = model.second.weight.detach().clone(), average.module.second.weight.detach().clone()
    edited(model, graph, Assign("second.weight", drawn(5, 6)), optimizer=optimizer, ema=average)
    with torch.no_grad():
        model.second.weight += 0.5
        average.module.second.weight += 0.25
    assert undo(model) == "merged"
    torch.testing.assert_close(model.second.weight.detach(), old + 0.5)
    torch.testing.assert_close(average.module.second.weight.detach(), mean + 0.25)


def test_undo_after_training_gives_pruned_entries_back() -> None:
    model, graph, optimizer, _ = trained(optim.SGD)
    old = model.second.weight.detach().clone()
    edits = [Assign("second.weight", drawn(5, 6)), Prune("first", [3, 0], [2.0, 1.0])]
    edited(model, graph, *edits, optimizer=optimizer)
    with torch.no_grad():
        model.second.weight += 0.5
    assert undo(model) == "merged"
    change = torch.tensor([0.5, 0, 0, 0.25, 0, 0], dtype=torch.float64).expand(5, 6)
    torch.testing.assert_close(model.second.weight.detach(), old + change)


class Picky(Chain):
    """Fails when a weight has the value that is assigned to it."""

    def forward(self, x: Tensor) -> Tensor:
        if not torch.compiler.is_compiling() and bool((self.second.weight == 9).any()):
            raise ValueError("nine")
        return super().forward(x)


def test_a_model_that_does_not_run_with_the_values_stays_as_it_was() -> None:
    model, graph = made(Chain)
    model.__class__ = Picky
    optimizer, average = optim.Adam(model.parameters()), copy.deepcopy(model)
    step(model, optimizer)
    photograph = Photograph([model, average], [optimizer])
    edits = [Assign("second.weight", torch.full((5, 6), 9)), Prune("second", [0])]
    with pytest.raises(EditError, match=r"does not run after 'assign second.weight: new values \[5, 6\] and 1 more"):
        edited(model, graph, *edits, optimizer=optimizer, ema=average)
    photograph.assert_unchanged()
    assert len(history(model)) == 0
