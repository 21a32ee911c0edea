"""Plans by criteria: budgets and widths kept, what is ranked with what, several rounds."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import netsculpt as ns
from netsculpt.errors import ArgumentError, BudgetError, GraphError, MeasureError
from netsculpt.measure import measure
from netsculpt.methods import steps
from netsculpt.methods.criteria import CRITERIA, Pair, Subject, l1
from netsculpt.methods.levels import structure

SCOPES = ["global", "threshold", "isomorphic", "local"]


class Net(nn.Module):
    """Two convolutions with norms, two without, and a hidden linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.bn_a = nn.Conv2d(3, 12, 3, padding=1), nn.BatchNorm2d(12)
        self.b, self.bn_b = nn.Conv2d(12, 16, 3, padding=1), nn.BatchNorm2d(16)
        self.c, self.d = nn.Conv2d(16, 8, 3), nn.Conv2d(8, 10, 3)
        self.hidden, self.head = nn.Linear(10, 20), nn.Linear(20, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn_b(self.b(self.bn_a(self.a(x)).relu())).relu()
        return self.head(self.hidden(self.d(self.c(x).relu()).relu().mean((2, 3))).relu())


def pair(seed: int = 0) -> Pair:
    torch.manual_seed(seed)
    model = Net().eval()
    return Pair(model, ns.trace(model, torch.randn(2, 3, 8, 8)))


def kept(plan: ns.Plan) -> dict[str, list[int]]:
    assert all(isinstance(edit, ns.Prune) for edit in plan.edits)
    return {edit.axis: edit.keep.tolist() for edit in plan.edits}  # type: ignore[union-attr]


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("criterion", ["l1", "l2", "lamp", "geometric_median", "random"])
def test_the_budget_is_kept_and_nearly_used(criterion: str, scope: str) -> None:
    given = pair()
    for budget in (ns.Budget(macs="50%"), ns.Budget(params="30%"), ns.Budget(params="60%", macs="50%")):
        plan = ns.prune_by(given, budget, criterion, scope=scope)  # type: ignore[arg-type]
        assert plan.before is not None and plan.after is not None
        assert budget.allows(plan.after, plan.before)
        limits = budget.limits(plan.before)
        shares = [a / b for a, b in zip(plan.after, limits, strict=True) if b < max(plan.before)]
        assert max(shares) > 0.8


@pytest.mark.parametrize("scope", SCOPES)
def test_no_axis_is_emptied_and_what_cannot_be_kept_is_refused(scope: str) -> None:
    given = pair()
    least = given.graph.cost({axis.name: 1 for axis in given.graph.sculptable})
    plan = ns.prune_by(given, ns.Budget(macs=least.macs), scope=scope)  # type: ignore[arg-type]
    assert {name: len(units) for name, units in kept(plan).items()} == dict.fromkeys(["a", "b", "c", "d", "hidden"], 1)
    with pytest.raises(BudgetError):
        ns.prune_by(given, ns.Budget(macs=least.macs - 1), scope=scope)  # type: ignore[arg-type]


@pytest.mark.parametrize("scope", SCOPES)
def test_the_lowest_units_of_every_axis_go(scope: str) -> None:
    given = pair()
    plan = ns.prune_by(given, ns.Budget(macs="40%"), "l1", scope=scope)  # type: ignore[arg-type]
    for name, units in kept(plan).items():
        best = l1(given, name).argsort(descending=True)[: len(units)]
        assert units == sorted(best.tolist())


@pytest.mark.parametrize("scope", SCOPES)
def test_widths_and_rounding(scope: str) -> None:
    limits = ns.Limits(ns.Budget(macs="45%"), widths={"a": (9, None)}, round_to={"b": 4, "hidden": 5})
    sizes = {name: len(units) for name, units in kept(ns.prune_by(pair(), limits, scope=scope)).items()}  # type: ignore[arg-type]
    assert sizes.get("a", 12) >= 9
    assert sizes.get("b", 16) % 4 == sizes.get("hidden", 20) % 5 == 0


def test_local_takes_the_same_fraction_of_every_axis() -> None:
    given = pair()
    plan = ns.prune_by(given, ns.Budget(macs="30%"), "l1", scope="local")
    fractions = [len(units) / given.graph[name].size for name, units in kept(plan).items()]
    assert len(fractions) == 5
    assert max(fractions) - min(fractions) < 1 / 8


def test_threshold_is_one_number_for_all_axes() -> None:
    given = pair()
    plan = ns.prune_by(given, ns.Budget(macs="50%"), "l1", scope="threshold", normalise="max")
    best_gone, worst_kept = 0.0, 1.0
    for axis in given.graph.sculptable:
        scores = l1(given, axis.name) / l1(given, axis.name).max()
        keep = torch.zeros(axis.size, dtype=torch.bool)
        keep[kept(plan).get(axis.name, list(range(axis.size)))] = True
        worst_kept = min(worst_kept, float(scores[keep].min()))
        best_gone = max(best_gone, *scores[~keep].tolist(), 0.0)
    assert 0 < best_gone <= worst_kept


def test_isomorphic_takes_the_same_fraction_of_axes_that_are_built_alike() -> None:
    given = pair()
    assert structure(given.graph, "a") == structure(given.graph, "b") != structure(given.graph, "c")
    assert len({structure(given.graph, axis.name) for axis in given.graph.sculptable}) == 4

    def scores(stats: Subject, axis: str) -> Tensor:  # of axes alike, one is better in everything
        return torch.arange(stats.graph[axis].size) + (100.0 if axis == "a" else 0.0)

    plan = ns.prune_by(given, ns.Budget(macs="60%"), scores, scope="isomorphic", normalise="none")
    sizes = {axis.name: len(kept(plan).get(axis.name, range(axis.size))) for axis in given.graph.sculptable}
    assert sizes["a"] == 12 and sizes["b"] < 16
    assert (sizes["a"] + sizes["b"]) / 28 == pytest.approx(sizes["hidden"] / 20, abs=0.05)


def test_global_weighs_importance_by_cost() -> None:
    given = pair()
    plan = ns.prune_by(
        given, ns.Budget(macs="90%"), lambda s, axis: torch.ones(s.graph[axis].size), scope="global", normalise="none"
    )
    dearest = max(given.graph.sculptable, key=lambda axis: given.graph.cost_per_unit(axis.name).macs)
    assert set(kept(plan)) == {dearest.name}


def test_negative_scores_are_the_first_to_go() -> None:
    given = pair()
    for scope in SCOPES:
        plan = ns.prune_by(
            given,
            ns.Budget(macs="95%"),
            lambda s, axis: torch.linspace(-1, 1, s.graph[axis].size),
            scope=scope,  # type: ignore[arg-type]
            normalise="none",
        )
        for name, units in kept(plan).items():
            size = given.graph[name].size
            assert units == list(range(size - len(units), size))


def test_equal_scores_leave_the_first_units() -> None:
    for scope in SCOPES:
        plan = ns.prune_by(pair(), ns.Budget(macs="50%"), lambda s, axis: torch.ones(s.graph[axis].size), scope=scope)  # type: ignore[arg-type]
        if scope != "global":
            assert all(units == list(range(len(units))) for units in kept(plan).values())
        assert plan.edits


def test_axes_that_a_criterion_says_nothing_about_are_left_alone_unless_named() -> None:
    given = pair()
    assert set(kept(ns.prune_by(given, ns.Budget(macs="70%"), "batch_norm_scale"))) <= {"a", "b"}
    with pytest.raises(ArgumentError, match="'c' has no batch norm"):
        ns.prune_by(given, ns.Budget(macs="70%"), "batch_norm_scale", axes=["a", "c"])
    with pytest.raises(ArgumentError, match="applies to none"):
        model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        ns.prune_by(Pair(model, ns.trace(model, torch.randn(2, 4))), ns.Budget(params="70%"), "batch_norm_scale")


def test_inexact_axes_are_pruned_where_they_are_named() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.Linear(8, 9), nn.ReLU(), nn.Linear(9, 2))
    given = Pair(model, ns.trace(model, torch.randn(2, 4)))
    assert set(kept(ns.prune_by(given, ns.Budget(params="70%")))) == {"2"}
    assert set(kept(ns.prune_by(given, ns.Budget(params="70%"), axes=["0"]))) == {"0"}
    for scope in SCOPES:
        with pytest.raises(GraphError, match="'4' cannot be changed"):
            ns.prune_by(given, ns.Budget(params="70%"), axes=["4"], scope=scope)  # type: ignore[arg-type]


def test_a_small_model_is_left_alone() -> None:
    for scope in SCOPES:
        assert len(ns.prune_by(pair(), ns.Budget(params="100%"), scope=scope)) == 0  # type: ignore[arg-type]


def test_a_sculptor_will_do_and_plans_are_the_same_each_time() -> None:
    torch.manual_seed(0)
    sculptor = ns.Sculptor(Net(), torch.randn(2, 3, 8, 8))
    first, again = (ns.prune_by(sculptor, ns.Budget(macs="50%"), "l1") for _ in range(2))
    assert first.to_json() == again.to_json()
    sculptor.apply(first)
    assert sculptor.graph.cost() == first.after


@pytest.mark.parametrize("course", ["linear", "geometric"])
def test_rounds_lead_to_the_budget(course: str) -> None:
    torch.manual_seed(0)
    sculptor = ns.Sculptor(Net(), torch.randn(2, 3, 8, 8))
    before = sculptor.graph.cost().macs
    budgets = steps(sculptor.graph, ns.Budget(macs="40%"), 3, course)  # type: ignore[arg-type]
    expected = [0.8, 0.6, 0.4] if course == "linear" else [0.4 ** (1 / 3), 0.4 ** (2 / 3), 0.4]
    assert [float(each.macs) / before for each in budgets] == pytest.approx(expected, rel=1e-3)  # type: ignore[arg-type]
    for budget in budgets:
        sculptor.apply(ns.prune_by(sculptor, budget))
        assert sculptor.graph.cost().macs <= int(budget.macs)  # type: ignore[arg-type]
    assert sculptor.graph.cost().macs <= 0.4 * before


def test_rounds_that_make_no_sense_are_refused() -> None:
    graph = pair().graph
    for rounds in (0, 1.5, True):
        with pytest.raises(ArgumentError, match="rounds must be"):
            steps(graph, ns.Budget(macs="40%"), rounds)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="course must be one of"):
        steps(graph, ns.Budget(macs="40%"), 2, "cubic")  # type: ignore[arg-type]
    with pytest.raises(BudgetError, match="at most"):
        steps(graph, ns.Budget(params="120%"), 2)
    with pytest.raises(BudgetError, match="latency"):
        steps(graph, ns.Budget(latency="50%"), 2)


def test_arguments_that_make_no_sense_are_refused() -> None:
    given, budget = pair(), ns.Budget(macs="50%")
    with pytest.raises(ArgumentError, match="criterion must be one of"):
        ns.prune_by(given, budget, "l3")
    with pytest.raises(ArgumentError, match="scope must be one of"):
        ns.prune_by(given, budget, scope="layer")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="reduce must be None"):
        ns.prune_by(given, budget, "random", reduce="max")
    with pytest.raises(ArgumentError, match="must be 12 finite numbers"):
        ns.prune_by(given, budget, lambda s, axis: torch.ones(2))
    with pytest.raises(MeasureError, match="12 of them are not"):
        ns.prune_by(given, budget, lambda s, axis: torch.full((s.graph[axis].size,), torch.nan))
    for limits in (ns.Limits(budget, units=3), ns.Limits(ns.Budget(latency=1.0))):
        with pytest.raises(ArgumentError, match="scope 'global'"):
            ns.prune_by(given, limits, scope="local")
    with pytest.raises(ArgumentError, match="scope 'global'"):
        ns.prune_by(given, budget, scope="local", solver="exact")


def test_scores_that_are_no_losses_are_not_weighed_by_costs_unless_that_is_asked() -> None:
    given, budget = pair(), ns.Budget(macs="50%")
    by_default = kept(ns.prune_by(given, budget, "l1"))
    assert by_default == kept(ns.prune_by(given, budget, "l1", scope="threshold"))
    assert by_default != kept(ns.prune_by(given, budget, "l1", scope="global"))
    limited = ns.prune_by(given, ns.Limits(budget, units=40), "l1")
    assert sum(given.graph[name].size - len(units) for name, units in kept(limited).items()) <= 40
    x = torch.randn(8, 3, 8, 8)
    stats = measure(given.model, given.graph, [(x, torch.arange(8) % 4)], F.cross_entropy)
    for name in ("taylor", "taylor_weights", "fisher", "obd"):
        assert kept(ns.prune_by(stats, budget, name)) == kept(ns.prune_by(stats, budget, name, scope="global"))


def test_a_reduction_is_passed_on() -> None:
    given, budget = pair(), ns.Budget(macs="50%")
    first = kept(ns.prune_by(given, budget, "l1", reduce="first"))
    assert first == kept(ns.prune_by(given, budget, lambda s, axis: l1(s, axis, reduce="first")))
    assert first != kept(ns.prune_by(given, budget, "l1"))
    assert "l1" in CRITERIA
