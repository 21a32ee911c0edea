"""S2, S3: plans of splits: what is proposed, what it promises, and whether that comes true."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import netsculpt as ns
from netsculpt.errors import ArgumentError, BudgetError
from netsculpt.measure import Statistics, measure
from netsculpt.methods.splitting import spectra
from tests.measure.measured import Splitting, directions, halves, statistics
from tests.measure.networks import Case, case

ROOM = ns.Budget(params="1000%")


def splits(plan: ns.Plan) -> list[ns.Split]:
    assert all(isinstance(edit, ns.Split) for edit in plan.edits)
    return list(plan.edits)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["Depthwise", "SwiGlu", "VitMlp"])
def test_no_random_direction_beats_the_lowest_eigenvector(name: str) -> None:
    subject = case(name)
    stats, splitting = statistics(subject), Splitting(subject)
    for axis, spectrum in spectra(stats).items():
        k = int(spectrum.values[:, 0].argmin())
        best = splitting.change([halves(stats, axis, k, 0.02 * spectrum.vectors[k, 0])])
        assert best < 0
        for seed in range(6):
            assert splitting.change([halves(stats, axis, k, 0.02 * directions(stats, axis, seed)[k])]) > best


def stable(sign: float) -> tuple[Case, Statistics]:
    """A unit that bends upwards everywhere, and a loss that wants to go one way."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Softplus(), nn.Linear(4, 1, bias=False)).double().eval()
    model[2].weight.data.abs_()
    x = torch.randn(50, 3, dtype=torch.float64)
    stats = measure(model, ns.trace(model, x), [(x, x)], lambda out, _: sign * out.mean())
    return Case(model, x, torch.zeros(50).long()), stats


def test_where_all_values_are_positive_every_split_raises_the_loss() -> None:
    subject, stats = stable(1.0)
    (spectrum,) = spectra(stats).values()
    assert float(spectrum.values.min()) > 0
    assert len(ns.split(stats, ROOM)) == 0
    assert ns.split(stats, ROOM).predicted == 0
    for seed in range(4):
        for k in range(4):
            model = copy.deepcopy(subject.model)
            graph = ns.trace(model, subject.x)
            offset = 0.05 * directions(stats, "0", seed)[k]
            ns.apply(ns.Plan((halves(stats, "0", k, offset),)), model, graph=graph, check=False)
            assert bool(model(subject.x).mean() > subject.model(subject.x).mean())


def test_there_signed_copies_still_help() -> None:
    _, stats = stable(1.0)
    plan = ns.split(stats, ROOM, signed=3.0)
    assert {edit.index for edit in splits(plan)} == {0, 1, 2, 3}
    assert plan.predicted is not None and plan.predicted < 0
    assert all(float(edit.weights.min()) < 0 for edit in splits(plan))  # type: ignore[union-attr]


def test_only_negative_values_are_proposed_and_all_of_them() -> None:
    for name in ("Strided", "Depthwise", "Squeeze"):
        stats = statistics(case(name))
        lowest = {axis: each.values[:, 0] for axis, each in spectra(stats).items()}
        expected = {(axis, k) for axis, values in lowest.items() for k, value in enumerate(values) if value < 0}
        plan = ns.split(stats, ROOM, step=0.01)
        assert {(edit.axis, edit.index) for edit in splits(plan)} == expected
        below = sum(float(values.clamp(max=0).sum()) for values in lowest.values())
        assert plan.predicted == pytest.approx(0.01**2 / 2 * below, rel=1e-6)


@pytest.mark.parametrize("name", ["Strided", "Depthwise", "VitMlp", "SwiGlu", "Stream", "Attention"])
def test_a_plan_of_many_units_and_layers_comes_true(name: str) -> None:
    """S3: with consumers that split too, the prediction is off by a fourth power."""
    subject = case(name)
    stats, splitting = statistics(subject), Splitting(subject)
    rests = []
    for step in (0.04, 0.02):
        plan = ns.split(stats, ROOM, step=step)
        assert len(plan) > 1
        assert plan.predicted is not None
        rests.append(splitting.change(splits(plan)) - plan.predicted)
        assert abs(rests[-1]) < 0.1 * abs(plan.predicted)
    assert 10 < rests[0] / rests[1] < 24


@pytest.mark.parametrize("copies", [2, 3, 4])
def test_signed_plans_come_true(copies: int) -> None:
    subject = case("Depthwise")
    stats, splitting = statistics(subject), Splitting(subject)
    plan = ns.split(stats, ROOM, copies=copies, signed=3.0, step=0.005)
    assert max(len(edit.weights) for edit in splits(plan)) == copies  # type: ignore[arg-type]
    assert splitting.change(splits(plan)) == pytest.approx(plan.predicted, rel=0.05)


def test_more_freedom_promises_more() -> None:
    stats = statistics(case("Strided"))
    found = [ns.split(stats, ROOM)] + [ns.split(stats, ROOM, copies=n, signed=c) for n in (2, 3, 4) for c in (1.5, 3.0)]
    promised = [plan.predicted for plan in found]
    for fewer, more in ((0, 2), (1, 2), (1, 3), (3, 4), (3, 5), (5, 6), (4, 6)):
        assert promised[more] <= promised[fewer]  # type: ignore[operator]
    assert promised[6] < promised[5] < promised[0]  # type: ignore[operator]


@pytest.mark.parametrize("solver", ["greedy", "exact"])
def test_plans_keep_their_limits(solver: Any) -> None:
    if solver == "exact":
        pytest.importorskip("scipy")
    subject = case("Strided")
    stats = statistics(subject)
    plan = ns.split(stats, ns.Limits(ns.Budget(params="160%"), widths={"b": (None, 6)}), solver=solver)
    assert plan.before is not None and plan.after is not None
    assert plan.before.params < plan.after.params <= 1.6 * plan.before.params
    assert sum(edit.axis == "b" for edit in splits(plan)) <= 1
    one = ns.split(stats, ns.Limits(units=1), solver=solver)
    assert len(one) == 1


def test_only_the_axes_that_were_asked_for() -> None:
    stats = statistics(case("Strided"))
    known = spectra(stats)
    whole = ns.split(stats, ROOM)
    for options in ({}, {"spectrum": known}):
        plan = ns.split(stats, ROOM, axes=iter(["b"]), **options)  # type: ignore[arg-type]
        assert {edit.axis for edit in splits(plan)} == {"b"}
    again = ns.split(stats, ROOM, spectrum=known)
    assert again.predicted == pytest.approx(whole.predicted)
    alone = ns.split(stats, ROOM, spectrum={"a": known["a"]})
    assert {edit.axis for edit in splits(alone)} == {"a"}
    with pytest.raises(ArgumentError, match="axis 'b' has no spectrum among those given"):
        ns.split(stats, ROOM, axes=["b"], spectrum={"a": known["a"]})


def test_the_step_is_that_of_the_measurement() -> None:
    subject = case("VitMlp")
    short, long = (ns.split(statistics(subject, step=step), ROOM) for step in (0.01, 0.02))
    assert long.predicted == pytest.approx(4 * short.predicted, rel=1e-9)  # type: ignore[operator]
    offsets = splits(long)[0].offsets
    assert isinstance(offsets, dict)
    length = torch.cat(list(offsets.values()), dim=1).norm(dim=1)
    torch.testing.assert_close(length, torch.full((2,), 0.02, dtype=torch.float64))


REFUSALS: list[tuple[type[Exception], str, dict[str, Any]]] = [
    (ArgumentError, "copies must be 2, 3 or 4, not 5", {"copies": 5, "signed": 3.0}),
    (ArgumentError, "copies must be 2, 3 or 4, not 1", {"copies": 1}),
    (ArgumentError, "more than 2 copies help only with negative weights", {"copies": 3}),
    (ArgumentError, "signed must be the bound .* not 1.0", {"signed": 1.0}),
    (ArgumentError, "signed must be the bound .* not True", {"signed": True}),
    (ArgumentError, "signed must be the bound .* not inf", {"signed": float("inf")}),
    (ArgumentError, "signed must be the bound .* not nan", {"signed": float("nan")}),
    (ArgumentError, "step must be a length above 0, not 0", {"step": 0.0}),
    (ArgumentError, "step must be a length above 0, not nan", {"step": float("nan")}),
    (ArgumentError, "axis 'head' was not measured: it is an output of the model", {"axes": ["head"]}),
    (BudgetError, "budget|exceed|params", {"budget": ns.Budget(params=3)}),
]


@pytest.mark.parametrize(("kind", "sentence", "options"), REFUSALS)
def test_what_makes_no_sense_is_refused(kind: type[Exception], sentence: str, options: dict[str, Any]) -> None:
    stats = statistics(case("VitMlp"))
    with pytest.raises(kind, match=sentence):
        ns.split(stats, **{"budget": ROOM, **options})


def test_splitting_leads_on_where_gradient_descent_is_stuck() -> None:
    torch.manual_seed(0)
    x = torch.randn(300, 3, dtype=torch.float64)
    y = torch.cos(2 * x).prod(1, keepdim=True) + x[:, :1] * x[:, 1:2]
    model = nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 1)).double()

    def descend() -> float:
        optimizer = torch.optim.LBFGS(model.parameters(), max_iter=300, line_search_fn="strong_wolfe")

        def closure() -> Tensor:
            optimizer.zero_grad()
            loss = F.mse_loss(model(x), y)
            loss.backward()
            return loss

        optimizer.step(closure)
        return F.mse_loss(model(x), y).item()

    stuck = descend()
    assert descend() == pytest.approx(stuck, rel=1e-4)
    sculptor = ns.Sculptor(model, x)
    applied = sculptor.apply(ns.split(sculptor.measure([(x, y)], F.mse_loss, step=0.02), ROOM))
    assert applied.measured is not None and applied.measured < 0
    assert applied.measured == pytest.approx(applied.predicted, rel=0.1)
    assert descend() < 0.5 * stuck
