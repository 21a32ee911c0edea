"""A sculptor measures, applies, reports whether predictions came true, and takes the optimizer along."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn, optim
from torch.nn import functional as F

import netsculpt as ns
from netsculpt.errors import GraphError, MeasureError
from tests.measure.networks import Case, case

ROOM = ns.Budget(params="170%")


def train(subject: Case, optimizer: optim.Optimizer, steps: int = 3) -> float:
    for _ in range(steps):
        optimizer.zero_grad()
        loss = F.cross_entropy(subject.model(subject.x), subject.y)
        loss.backward()
        optimizer.step()
    return loss.item()


def sculpted(name: str, optimizer: type[optim.Optimizer] = optim.Adam, **options: Any) -> tuple[Case, ns.Sculptor, Any]:
    subject = case(name)
    trainer = optimizer(subject.model.parameters(), lr=1e-3, **options)
    train(subject, trainer)
    return subject, ns.Sculptor(subject.model, subject.x, trainer), trainer


@pytest.mark.parametrize("name", ["Strided", "Depthwise", "SwiGlu", "VitMlp", "Stream"])
def test_predictions_come_true_and_training_goes_on(name: str) -> None:
    subject, sculptor, optimizer = sculpted(name)
    for _ in range(2):  # the second time the graph follows the first
        stats = sculptor.measure([subject[1:]], F.cross_entropy, step=0.02)
        plan = ns.split(stats, ROOM)
        applied = sculptor.apply(plan)
        assert applied.predicted is not None and applied.measured is not None
        assert applied.predicted < 0
        assert applied.measured == pytest.approx(applied.predicted, rel=0.1)
        assert applied.before.params < applied.after.params <= 1.7 * applied.before.params
        assert applied.after.params == sum(each.numel() for each in subject.model.parameters())
        assert "predicted -" in str(applied) and "measured -" in str(applied)
        before = train(subject, optimizer, 1)
        assert train(subject, optimizer, 5) < before


def test_the_model_stays_in_train_mode() -> None:
    subject, sculptor, _ = sculpted("Depthwise")
    subject.model.train()
    mean = subject.model.bn2.running_mean.clone()
    stats = sculptor.measure([subject[1:]], F.cross_entropy, step=0.02)
    applied = sculptor.apply(ns.split(stats, ROOM))
    assert applied.measured == pytest.approx(applied.predicted, rel=0.1)
    assert all(module.training for module in subject.model.modules())
    assert torch.equal(subject.model.bn2.running_mean[: len(mean)], mean)


def origin(stats_size: int, plan: ns.Plan, axis: str) -> Tensor:
    """Which unit each unit of the split axis comes from: copy 0 in its place, the others last."""
    others = [edit.index for edit in plan.edits if edit.axis == axis]  # type: ignore[union-attr]
    return torch.tensor([*range(stats_size), *others])


def test_momentum_is_shared_and_second_moments_stay() -> None:
    """What incoming weights remember goes to every copy as it is, and outgoing momentum is shared like its weights."""
    subject, sculptor, optimizer = sculpted("VitMlp")
    up, down = subject.model.up.weight, subject.model.down.weight
    old = {name: {k: v.clone() for k, v in optimizer.state[p].items()} for name, p in (("up", up), ("down", down))}
    stats = sculptor.measure([subject[1:]], F.cross_entropy)
    size = stats.units["up"].size
    plan = ns.split(stats, ROOM)
    sculptor.apply(plan)
    index = origin(size, plan, "up")
    new = {name: optimizer.state[getattr(subject.model, name).weight] for name in old}
    assert len(subject.model.up.weight) == len(index) > size
    assert torch.equal(new["up"]["exp_avg"], old["up"]["exp_avg"][index])
    assert torch.equal(new["up"]["exp_avg_sq"], old["up"]["exp_avg_sq"][index])
    assert torch.equal(new["down"]["exp_avg_sq"], old["down"]["exp_avg_sq"][:, index])
    assert torch.equal(new["down"]["step"], old["down"]["step"])
    ratio = new["down"]["exp_avg"] / old["down"]["exp_avg"][:, index]
    assert torch.equal(ratio, ratio[:1].expand_as(ratio))  # one factor for a column


def test_undo_brings_everything_back() -> None:
    subject, sculptor, optimizer = sculpted("Strided", optim.SGD, momentum=0.9)
    before = copy.deepcopy((subject.model.state_dict(), optimizer.state_dict()))
    stats = sculptor.measure([subject[1:]], F.cross_entropy, step=0.02)
    plan = ns.split(stats, ROOM)
    cost = sculptor.graph.cost()
    sculptor.apply(plan)
    assert sculptor.graph.cost() != cost
    sculptor.undo()
    after = (subject.model.state_dict(), optimizer.state_dict())
    assert all(torch.equal(after[0][name], value) for name, value in before[0].items())
    for key, slots in before[1]["state"].items():
        assert torch.equal(after[1]["state"][key]["momentum_buffer"], slots["momentum_buffer"])
    again = sculptor.measure([subject[1:]], F.cross_entropy, step=0.02)
    assert sculptor.graph.cost() == cost
    assert ns.split(again, ROOM).predicted == pytest.approx(plan.predicted)


def test_what_was_measured_before_training_is_no_ground_for_a_plan() -> None:
    subject, sculptor, optimizer = sculpted("VitMlp")
    stats = sculptor.measure([subject[1:]], F.cross_entropy)
    plan = ns.split(stats, ROOM)
    train(subject, optimizer, 1)
    with pytest.raises(MeasureError, match="the model has changed since it was measured; measure it again"):
        ns.split(stats, ROOM)
    assert sculptor.apply(plan).measured is None  # there is nothing to compare with


def test_an_empty_plan_changes_nothing() -> None:
    subject, sculptor, _ = sculpted("VitMlp")
    stats = sculptor.measure([subject[1:]], F.cross_entropy)
    applied = sculptor.apply(ns.split(stats, ns.Budget(params="+1%")))
    assert applied.before == applied.after
    assert (applied.predicted, applied.measured) == (0, pytest.approx(0, abs=1e-15))
    assert stats.is_current


def test_frozen_layers_can_be_split_and_stay_frozen() -> None:
    subject = case("Strided")
    subject.model.a.requires_grad_(False)
    sculptor = ns.Sculptor(subject.model, subject.x)
    stats = sculptor.measure([subject[1:]], F.cross_entropy, step=0.02)
    sculptor.apply(ns.split(stats, ns.Budget(params="200%"), axes=["a"]))
    assert len(subject.model.a.weight) > 4
    assert not subject.model.a.weight.requires_grad and subject.model.b.weight.requires_grad


def test_protected_layers_are_left_alone() -> None:
    subject = case("Strided")
    sculptor = ns.Sculptor(subject.model, subject.x, ignored_layers=["a"])
    for _ in range(2):
        stats = sculptor.measure([subject[1:]], F.cross_entropy)
        assert list(stats.units) == ["b"]
        sculptor.apply(ns.split(stats, ROOM))
    assert len(subject.model.a.weight) == 4


def test_an_average_of_the_model_is_split_alike() -> None:
    subject = case("VitMlp")
    average = copy.deepcopy(subject.model)
    sculptor = ns.Sculptor(subject.model, subject.x, ema=average)
    sculptor.apply(ns.split(sculptor.measure([subject[1:]], F.cross_entropy), ROOM))
    assert average.up.weight.shape == subject.model.up.weight.shape != (6, 4)
    assert average(subject.x).shape == (6, 3)


class Branches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.up(x) if float(x.sum()) > 0 else -self.up(x)


def test_a_model_that_cannot_be_traced_is_refused() -> None:
    with pytest.raises(GraphError, match="Branches cannot be traced"):
        ns.Sculptor(Branches(), torch.randn(2, 4))
