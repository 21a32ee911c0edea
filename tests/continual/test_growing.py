"""Growth for a task: what may move, what the scores say, what is kept within a budget."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import netsculpt as ns
from netsculpt.continual.candidates import Candidates, Gain
from netsculpt.continual.growing import Bounds, bounds, grow
from netsculpt.continual.training import accuracy
from netsculpt.continual.work import Work
from netsculpt.errors import ArgumentError, BudgetError
from tests.continual.networks import ADAM, Batches, images, learn, learner, task

SMALL = ns.continual.Growth(rounds=2, share=0.3, batches=9, scored=3)


def second(name: str) -> tuple[ns.continual.Learner, Work]:
    """A learner of one task, and a network for the next one."""
    subject = learner(name)
    learn(subject, 0, budget=None)
    torch.manual_seed(0)
    return subject, Work(subject.pool, None, fresh=True)


def values(net: nn.Module) -> dict[str, Tensor]:
    return {name: each.clone() for name, each in net.state_dict().items()}


def loss_of(work: Work, batches: Batches) -> float:
    with torch.no_grad():
        return sum(float(F.cross_entropy(work.net.eval()(x), y)) for x, y in batches) / len(batches)


@pytest.mark.parametrize("name", ["Plain", "Residual", "Dense", "Mlp"])
def test_candidates_change_nothing_until_they_are_tuned(name: str) -> None:
    _, work = second(name)
    work.net.eval()
    before = work.net(images(5))
    found = Candidates(work, 0.5, 0, task(1))
    assert not found.reasons and all(count > 0 for count in work.own().values())
    torch.testing.assert_close(work.net(images(5)), before, rtol=1e-5, atol=1e-6)


def test_only_candidates_are_tuned() -> None:
    """Incoming weights of the pool's units, new units, and nothing between two new ones."""
    _, work = second("Plain")
    found = Candidates(work, 0.5, 0, task(1))
    before = values(work.net)
    found.tune(task(1), F.cross_entropy, 6, 1e-2)
    after = work.net.state_dict()
    same = {name: after[name] == before[name] for name in before}
    for name in before:
        if name.startswith("norm") or name == "head.bias":
            assert bool(same[name].all()), name
    assert bool(same["head.weight"][:, :5].all()) and not bool(same["head.weight"][:, 5:].any())
    assert not bool(same["conv2.weight"][:5, :4].any())  # changes of the pool's units
    assert not bool(same["conv2.weight"][5:, :4].any()) and not bool(same["conv2.weight"][:5, 4:].any())
    assert bool((after["conv2.weight"][5:, 4:] == 0).all())


@pytest.mark.parametrize("name", ["Plain", "Residual", "Dense", "Mlp"])
def test_gains_sum_to_the_change_of_the_loss(name: str) -> None:
    """The identity of integrated gradients along the joint path, closer with more nodes."""
    _, work = second(name)
    work.net.double()
    batches = [(x.double(), y) for x, y in task(1)]
    before = loss_of(work, batches)
    found = Candidates(work, 0.5, 0, batches)
    found.tune(batches, F.cross_entropy, 12, 3e-3)
    change = loss_of(work, batches) - before
    end = values(work.net)
    sums = [sum(gain.loss for gain in found.gains(batches, F.cross_entropy, nodes, 3)) for nodes in (3, 40)]
    assert change < 0
    assert sums[0] == pytest.approx(change, rel=0.05)
    assert sums[1] == pytest.approx(change, rel=0.005)
    assert all(torch.equal(value, end[key]) for key, value in work.net.state_dict().items())


def test_what_is_not_accepted_leaves_no_trace() -> None:
    _, work = second("Residual")
    before, origin = values(work.net), {axis: units.clone() for axis, units in work.origin.items()}
    found = Candidates(work, 0.5, 0, task(1))
    found.tune(task(1), F.cross_entropy, 6, 1e-2)
    found.accept([])
    assert all(torch.equal(value, before[name]) for name, value in work.net.state_dict().items())
    assert all(torch.equal(work.origin[axis], units) for axis, units in origin.items())


def test_what_is_accepted_is_as_it_was_tuned() -> None:
    _, work = second("Plain")
    before = values(work.net)
    found = Candidates(work, 0.5, 0, task(1))
    found.tune(task(1), F.cross_entropy, 6, 1e-2)
    tuned = values(work.net)
    found.accept([Gain("conv1", "unlock", 2, -1.0), Gain("conv2", "new", 6, -1.0)])
    after = work.net.state_dict()
    assert work.origin["conv1"].tolist() == [0, 1, -1, 3] and work.origin["conv2"].tolist() == [0, 1, 2, 3, 4, -1]
    assert torch.equal(after["conv1.weight"][2], tuned["conv1.weight"][2])
    assert torch.equal(after["conv1.weight"][[0, 1, 3]], before["conv1.weight"][[0, 1, 3]])
    assert torch.equal(after["conv2.weight"][5], tuned["conv2.weight"][6, :4])
    assert torch.equal(after["conv2.weight"][:5], before["conv2.weight"])
    free = ~work.frozen()["conv2.weight"]
    assert bool(free[:, 2].all()) and bool(free[5].all()) and not bool(free[:5, [0, 1, 3]].any())


@pytest.mark.parametrize("name", ["Plain", "Residual", "Dense", "Mlp", "Tokens"])
def test_a_round_keeps_the_budget_and_lowers_the_loss(name: str) -> None:
    subject, work = second(name)
    now = subject.pool.graph.cost().params
    before = loss_of(work, task(1))
    done = grow(work, task(1), F.cross_entropy, SMALL, Bounds(int(1.2 * now), None), 0)
    assert done is not None and done.unlocked + done.new > 0
    assert now < done.params <= 1.2 * now
    assert done.predicted < 0
    assert loss_of(work, task(1)) < before
    work.settle()
    subject.pool.add("b", work.net, work.origin)
    assert subject.pool.graph.cost().params == done.params == sum(p.numel() for p in subject.pool.model.parameters())


def test_nothing_grows_where_there_is_no_room() -> None:
    subject, work = second("Plain")
    before = values(work.net)
    assert grow(work, task(1), F.cross_entropy, SMALL, Bounds(subject.pool.graph.cost().params, None), 0) is None
    assert all(torch.equal(value, before[name]) for name, value in work.net.state_dict().items())


def test_layer_norms_keep_new_units_out_but_not_private_copies() -> None:
    _, work = second("Tokens")
    found = Candidates(work, 0.5, 0, task(1))
    assert found.reasons and all("norm" in reason for reason in found.reasons.values()), found.reasons
    found.tune(task(1), F.cross_entropy, 6, 1e-2)
    gains = found.gains(task(1), F.cross_entropy, 3, 3)
    for axis in found.reasons:
        assert {gain.move for gain in gains if gain.axis == axis} == {"unlock"}, axis
    assert any(gain.move == "new" for gain in gains)


def test_norms_of_new_units_have_statistics() -> None:
    _, work = second("Plain")
    before = values(work.net)
    Candidates(work, 0.5, 0, task(1))
    after = work.net.state_dict()
    x = task(1)[0][0]
    z = F.conv2d(x, after["conv1.weight"], padding=1)
    torch.testing.assert_close(after["norm1.running_mean"][4:], z.mean((0, 2, 3))[4:])
    torch.testing.assert_close(after["norm1.running_var"][4:], z.var((0, 2, 3))[4:])
    for name in ("norm1.running_mean", "norm1.running_var", "norm1.num_batches_tracked"):
        assert torch.equal(after[name].flatten()[:4], before[name].flatten()[:4])


def test_growth_ends_at_the_goal_or_the_budget() -> None:
    subject = learner("Plain")
    learn(subject, 0, budget=None)
    held = task(1)
    easy = learn(subject, 1, goal=0.01, validation=held)
    assert easy.reached is True and not easy.rounds and easy.accuracy == easy.reused
    before = subject.pool.graph.cost().params
    hard = learn(
        subject, 2, goal=1.0, validation=[(x, (y + 1) % 3) for x, y in task(2)], budget=ns.Budget(params="110%")
    )
    assert hard.reached is False and 1 <= len(hard.rounds) <= 2
    assert hard.params == (before, subject.pool.graph.cost().params)
    assert before < hard.params[1] <= 1.1 * before
    assert all(each.accuracy is not None for each in hard.rounds)
    assert hard.accuracy == accuracy(subject.task("task 2"), subject.pool.graph, [(x, (y + 1) % 3) for x, y in task(2)])
    free = learn(subject, 3, budget=None)
    assert not free.rounds and free.params[0] == free.params[1] and free.accuracy is None and free.reached is None


def test_multiply_accumulates_can_be_the_budget() -> None:
    subject = learner("Plain")
    learn(subject, 0, budget=None)
    before = subject.pool.graph.cost()
    done = learn(subject, 1, budget=ns.Budget(macs="115%"))
    after = subject.pool.graph.cost()
    assert done.rounds and before.macs < after.macs <= 1.15 * before.macs


def test_more_units_learn_what_reuse_cannot() -> None:
    """Frozen random units of one that cannot tell: only growth can."""
    subject = learner("Mlp")
    learn(subject, 0, budget=None)
    strong = ns.continual.Growth(rounds=3, share=0.5, new=1.0, batches=60, scored=3)
    done = learn(subject, 1, epochs=40, goal=1.0, validation=task(1), budget=ns.Budget(params="300%"), growth=strong)
    assert done.reused is not None and done.accuracy is not None
    assert done.accuracy > done.reused + 0.1


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"rounds": 0}, "rounds of a growth must be a whole number above 0, not 0"),
        ({"share": 0.0}, r"share of a growth must be above 0, not 0\.0"),
        ({"new": -1.0}, r"new of a growth must be at least 0, not -1\.0"),
        ({"nodes": 1.5}, r"nodes of a growth must be a whole number above 0, not 1\.5"),
    ],
)
def test_a_growth_that_makes_no_sense_is_refused(options: dict[str, float], sentence: str) -> None:
    with pytest.raises(ArgumentError, match=sentence):
        ns.continual.Growth(**options)  # type: ignore[arg-type]


def test_a_budget_that_makes_no_sense_is_refused() -> None:
    cost = learner("Plain").pool.graph.cost()
    assert bounds(None, cost) == (None, None) and bounds(ns.Budget(macs=10**9), cost) == (None, 10**9)
    with pytest.raises(BudgetError, match="budget must allow the pool as it is"):
        bounds(ns.Budget(params="50%"), cost)
    with pytest.raises(BudgetError, match="latency of the budget must be None"):
        bounds(ns.Budget(latency=1.0), cost)


def test_the_same_seed_learns_the_same() -> None:
    subjects = [learner("Residual") for _ in range(2)]
    for subject in subjects:
        learn(subject, 0)
        learn(subject, 1, optimizer=ADAM)
    one, other = (subject.pool.model.state_dict() for subject in subjects)
    assert all(torch.equal(value, other[name]) for name, value in one.items())
