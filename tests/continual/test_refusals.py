"""What learning is asked for in vain is refused in one sentence, and nothing has happened then."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import netsculpt as ns
from netsculpt.continual import Growth, Learner
from netsculpt.errors import ArgumentError, BudgetError, MeasureError
from tests.continual.networks import ADAM, images, learn, learner, task


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"loader": None}, "loader must hold batches, not None"),
        ({"validation": 3}, "validation must hold batches, not 3"),
        ({"loss_fn": None}, "loss_fn must be a function, not None"),
        ({"loss_fn": lambda answer, target: 1.0}, "loss_fn must return a scalar tensor"),
        ({"loss_fn": lambda answer, target: answer.sum(1)}, "loss_fn must return a scalar tensor"),
        ({"loss_fn": lambda answer, target: answer.detach().sum()}, "loss_fn must return a function of the model's"),
        ({"optimizer": "adam"}, "optimizer must be a function, not 'adam'"),
        ({"optimizer": lambda parameters: None}, "optimizer must make a torch optimizer .* not NoneType"),
        ({"optimizer": torch.optim.LBFGS}, "optimizer must make a torch optimizer .* not LBFGS"),
        ({"goal": "all", "validation": task(1)}, "goal must be an accuracy above 0 and at most 1, not 'all'"),
        ({"budget": "+10%"}, "budget must be a Budget, such as .*, or None, not '\\+10%'"),
        ({"growth": {"rounds": 1}}, "growth must be a Growth, such as .*, or None, not {'rounds': 1}"),
        ({"drop": 0.1}, "drop must be a Tolerance, such as .*, or None, not 0.1"),
        ({"seed": 1.5}, "seed must be a whole number below 2\\*\\*31, not 1.5"),
        ({"seed": 2**70}, "seed must be a whole number below"),
    ],
)
def test_arguments_of_learn(options: dict[str, Any], sentence: str) -> None:
    subject = learner("Mlp")
    given = {"name": "a", "loader": task(0), "loss_fn": F.cross_entropy, "epochs": 1} | options
    with pytest.raises(ArgumentError, match=sentence):
        subject.learn(**given)
    assert subject.names == ()


@pytest.mark.parametrize("name", ["share", "rate", "new"])
@pytest.mark.parametrize("value", ["a", None, float("inf"), -1])
def test_numbers_of_a_growth(name: str, value: Any) -> None:
    with pytest.raises(ArgumentError, match=f"{name} of a growth must be"):
        Growth(**{name: value})


def test_what_a_learner_is_made_of() -> None:
    with pytest.raises(ArgumentError, match=r"model must be a torch\.nn\.Module, not str"):
        Learner("model", images(0, 2))  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="private must be several names of modules, or None, not 3"):
        Learner(nn.Sequential(nn.Flatten(), nn.Linear(36, 3)), images(0, 2), private=3)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="name must be that of a task that was learnt"):
        learner("Mlp").task(["a"])  # type: ignore[arg-type]
    with pytest.raises(BudgetError, match="budget must be a Budget"):
        learn(learner("Mlp"), 0, budget=ns.Limits(units=3))


@pytest.mark.parametrize("calls", [2, 6, 14, 20])
def test_learning_that_failed_leaves_nothing_behind(calls: int) -> None:
    subject, other = learner("Plain"), learner("Plain")
    for each in (subject, other):
        learn(each, 0)
    seen = []

    def failing(answer: Tensor, target: Tensor) -> Tensor:
        seen.append(1)
        return F.cross_entropy(answer, target) * (torch.nan if len(seen) > calls else 1)

    growth = Growth(rounds=1, batches=6, scored=3)
    with pytest.raises(MeasureError, match="is nan; a task cannot be learnt from it"):
        subject.learn("b", task(1), failing, epochs=2, optimizer=ADAM, budget=ns.Budget(params="+40%"), growth=growth)
    for each in (subject, other):
        learn(each, 1)
    wanted = other.task("task 1").state_dict()
    assert all(torch.equal(value, wanted[name]) for name, value in subject.task("task 1").state_dict().items())


def test_a_task_is_learnt_without_gradients_around_it() -> None:
    found = []
    for enabled in (True, False):
        subject = learner("Plain")
        with torch.set_grad_enabled(enabled):
            learn(subject, 0)
            learn(subject, 1)
        found.append(subject.task("task 1").state_dict())
    assert all(torch.equal(value, found[1][name]) for name, value in found[0].items())


def test_units_are_left_out_of_a_task_that_is_no_better_than_chance() -> None:
    subject = learner("Mlp")
    x, y = images(3), torch.arange(48) % 3
    data = [(x, y), (x, (y + 1) % 3), (x, (y + 2) % 3)]  # of every image all three: nobody can be right more often
    drop = ns.Tolerance(loss=10.0)
    subject.learn("noise", data, F.cross_entropy, epochs=1, optimizer=ADAM, drop=drop)
    assert subject.sizes().tasks[0].units < subject.sizes().units


class Rows(nn.Module):
    """An LSTM over rows: once it has as many units as inputs, the graph tells them no more apart."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(6, 5, batch_first=True), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        out = self.head(self.lstm(x[:, 0])[0][:, -1])
        assert isinstance(out, Tensor)
        return out


def test_a_pool_that_cannot_grow_any_more_learns_on() -> None:
    torch.manual_seed(0)
    subject = Learner(Rows(), images(0, 2))
    learn(subject, 0)
    learn(subject, 1)
    with torch.no_grad():
        before = subject.task("task 1")(images(5))
        done = learn(subject, 2)
        assert done.params[0] == done.params[1] and not done.rounds
        assert torch.equal(subject.task("task 1")(images(5)), before)
