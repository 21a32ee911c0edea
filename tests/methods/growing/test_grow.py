"""``ns.grow``: exactly as many candidates as asked for (F3), within budgets, and predictions that come true."""

import pytest
import torch

import netsculpt as ns
from netsculpt.errors import ArgumentError, BudgetError, MeasureError
from netsculpt.methods.growing import Tuning
from tests.methods.growing.nets import NETS, measured

QUICK = Tuning(batches=12)
ALL = ("split", "new", "layer")


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("count", [1, 5])
def test_exactly_so_many_units_are_added(name: str, count: int) -> None:
    sculptor, stats = measured(name)
    before = {axis.name: axis.size for axis in sculptor.axes}
    plan = ns.grow(stats, ns.Limits(units=count), kinds=ALL, tuning=QUICK)
    done = sculptor.apply(plan)
    hidden = sum(axis.size for axis in sculptor.axes if axis.name not in before)
    grown = sum(axis.size - before[axis.name] for axis in sculptor.axes if axis.name in before)
    assert grown + hidden == count
    assert done.after == plan.after
    assert done.measured == pytest.approx(done.predicted, rel=1e-9)
    assert done.measured < 0


@pytest.mark.parametrize("name", ["convnet", "resnet"])
def test_steps_that_go_too_far_are_taken_back(name: str) -> None:
    """With steps of the balls' size candidates are chosen that raise the loss, and retuning raises it further."""
    _, stats = measured(name)
    wild = Tuning(batches=3, optimizer=lambda values: torch.optim.SGD(values, lr=1e3), radius=3.0)
    plan = ns.grow(stats, ns.Limits(units=4), kinds=ALL, tuning=QUICK, retuning=wild)
    calm = ns.grow(stats, ns.Limits(units=4), kinds=ALL, tuning=QUICK, retuning=Tuning(batches=0))
    assert plan.predicted is not None and calm.predicted is not None and plan.predicted <= calm.predicted < 0
    plan = ns.grow(stats, ns.Limits(units=40), kinds=ALL, tuning=wild, retuning=wild)
    assert len(plan)
    assert plan.predicted is not None and plan.predicted < 0


@pytest.mark.parametrize("kind", ALL)
def test_a_budget_is_kept_and_used(kind: str) -> None:
    sculptor, stats = measured("resnet")
    limit = int(1.5 * sculptor.graph.cost().params)
    plan = ns.grow(stats, ns.Budget(params="150%"), kinds=(kind,), tuning=QUICK)
    assert plan.after is not None and sculptor.graph.cost().params < plan.after.params <= limit
    assert sculptor.apply(plan).after.params <= limit


def test_rounds_accept_blocks_and_end_within_the_limits() -> None:
    sculptor, stats = measured("convnet")
    plan = ns.grow(stats, ns.Limits(units=6), kinds=("split", "new"), tuning=QUICK, rounds=3)
    sizes = sum(axis.size for axis in sculptor.axes)
    sculptor.apply(plan)
    assert sum(axis.size for axis in sculptor.axes) == sizes + 6


def test_the_same_arguments_give_the_same_plan() -> None:
    _, stats = measured("convnet")
    texts = {ns.grow(stats, ns.Limits(units=4), tuning=QUICK, seed=3).to_json() for _ in range(2)}
    assert len(texts) == 1
    assert ns.grow(stats, ns.Limits(units=4), tuning=QUICK, seed=4).to_json() not in texts


def test_training_goes_on_with_the_optimizer() -> None:
    torch.manual_seed(0)
    _, stats = measured("resnet")
    model, batch = stats.model, stats.data[0]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    sculptor = ns.Sculptor(model, batch.inputs.args, optimizer)

    def step() -> float:
        loss = stats.loss_fn(model(*batch.inputs.args), batch.target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    step()
    data = [(each.inputs.args[0], each.target) for each in stats.data]
    again = sculptor.measure(data, stats.loss_fn, for_="grow")
    sculptor.apply(ns.grow(again, ns.Limits(units=8), kinds=ALL, tuning=QUICK))
    losses = [step() for _ in range(8)]
    assert losses[-1] < losses[0]
    assert {id(p) for group in optimizer.param_groups for p in group["params"]} == {id(p) for p in model.parameters()}


def test_no_room_gives_an_empty_plan() -> None:
    _, stats = measured("mlp")
    plan = ns.grow(stats, ns.Limits(units=0), tuning=QUICK)
    assert not len(plan) and plan.predicted == 0


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"kinds": "split"}, "kinds must be one or several"),
        ({"kinds": 3}, "kinds must be one or several"),
        ({"axes": "02"}, "axes must be several names of axes"),
        ({"axes": [0]}, "axes must be names of axes, not 0"),
        ({"axes": 0}, "axes must be several names of axes"),
        ({"init": "best"}, "init must be one of firefly"),
        ({"new_units": "2"}, "new_units must be a share"),
        ({"new_units": float("inf")}, "new_units must be a share"),
        ({"new_units": {"0": 1.5}}, "new_units of '0' must be a whole number"),
        ({"new_units": {"0": -1}, "init": "random"}, "new_units of '0' must be a whole number"),
        ({"new_units": {"2": 1}, "axes": ["0"], "init": "random"}, "new_units names '2', which is not among axes"),
        ({"layer_units": 0, "kinds": ("layer",)}, "layer_units must be a share above 0, not 0"),
        ({"layer_units": float("nan"), "kinds": ("layer",)}, "layer_units must be a share above 0, not nan"),
        ({"after": "1", "kinds": ("layer",)}, "after must be several names of layers"),
        ({"after": [], "kinds": ("layer",)}, "there is no place for a layer"),
        ({"tuning": 20}, "tuning must be a Tuning"),
        ({"retuning": 20}, "retuning must be a Tuning"),
        ({"held_out": "half"}, "held_out must be"),
        ({"seed": 1.5}, "seed must be a whole number"),
        ({"seed": 2**70, "init": "net2net"}, "seed must be a whole number"),
        ({"latency": 3}, "latency must be a function"),
        ({"tuning": Tuning(optimizer=lambda values: None)}, "optimizer of a tuning must make a torch optimizer"),
        ({"tuning": Tuning(optimizer=torch.optim.LBFGS)}, "optimizer of a tuning must make a torch optimizer"),
        ({"kinds": ("wider",)}, "kinds must be one or several"),
        ({"new_units": 0}, "new_units must be"),
        ({"nodes": 0}, "nodes must be"),
        ({"rounds": 1.5}, "rounds must be"),
        ({"held_out": 1.0}, "held_out must be"),
        ({"path": "straight"}, "path must be"),
        ({"kinds": ("layer",), "after": ["9"]}, "after names '9'"),
        ({"axes": ["4"]}, "nothing of kinds split, new can be attached"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict, sentence: str) -> None:
    _, stats = measured("mlp")
    with pytest.raises(ArgumentError, match=sentence):
        ns.grow(stats, ns.Limits(units=1), **{"tuning": QUICK, **options})


def test_a_budget_below_the_model_is_refused() -> None:
    _, stats = measured("mlp")
    with pytest.raises(BudgetError, match="exceeded already"):
        ns.grow(stats, ns.Budget(params="90%"), tuning=QUICK)


def test_a_model_that_has_changed_is_refused() -> None:
    _, stats = measured("mlp")
    with torch.no_grad():
        next(stats.model.parameters()).add_(1)
    with pytest.raises(MeasureError, match="has changed"):
        ns.grow(stats, ns.Limits(units=1), tuning=QUICK)


def test_what_is_no_statistics_is_refused() -> None:
    sculptor, stats = measured("mlp")
    for other in (sculptor, stats.model, None):
        for method in (ns.grow, ns.prune, ns.split):
            with pytest.raises(ArgumentError, match="stats must be Statistics, what measure returns, not"):
                method(other, ns.Budget(params="+20%"))


def test_a_name_given_twice_counts_once() -> None:
    _, stats = measured("mlp")
    once, twice = (
        ns.grow(stats, ns.Limits(units=2), kinds=ALL, tuning=QUICK, axes=["0"] * n, after=["1"] * n) for n in (1, 2)
    )
    assert once.to_json() == twice.to_json()


OPTIONS = [
    {"batches": -1},
    {"radius": 0.0},
    {"radius": "1"},
    {"patience": 0},
    {"patience": True},
    {"batches": 1.5},
    {"optimizer": 3},
]


@pytest.mark.parametrize("options", OPTIONS)
def test_a_tuning_that_makes_no_sense_is_refused(options: dict) -> None:
    (name,) = options
    with pytest.raises(ArgumentError, match=f"{name} of a tuning must be"):
        Tuning(**options)
