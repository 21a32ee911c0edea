"""Plans of greedy pruning: what they promise, and what happens."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import netsculpt as ns
from netsculpt.errors import ArgumentError, BudgetError, MeasureError
from netsculpt.methods.pruning.curves import Choice, curve
from netsculpt.methods.pruning.discrepancy import discrepancy
from netsculpt.methods.pruning.refits import fit
from tests.methods.pruning.networks import NETWORKS, measured, network


@pytest.mark.parametrize("refit", ["none", "scale", "least_squares"])
@pytest.mark.parametrize("name", NETWORKS)
def test_predictions_come_true(name: str, refit: str) -> None:
    model, x, y = network(name)
    sculptor = ns.Sculptor(model, x[:3])
    stats = sculptor.measure([(x[:60], y[:60]), (x[60:], y[60:])], F.cross_entropy, for_="prune")
    plan = ns.prune(stats, ns.Budget(params="70%"), refit=refit)  # type: ignore[arg-type]
    before = copy.deepcopy(model.state_dict())
    done = sculptor.apply(plan)
    assert done.after.params <= 0.7 * done.before.params
    assert done.predicted == pytest.approx(done.measured, rel=1e-6, abs=1e-9)
    sculptor.undo()
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("name", NETWORKS)
def test_refitting_never_loses_more(name: str) -> None:
    """G4, for the first consumer of an axis, which both ways see alike."""
    stats = measured(name)
    for axis in stats.consumers:
        choice = curve(stats, axis).choice(stats.graph[axis].size // 2)
        (first, *_) = stats.consumers[axis].reads
        scaled = fit(stats, {axis: choice}, refit="scale").errors[first.weight]
        refitted = fit(stats, {axis: choice}, refit="least_squares").errors[first.weight]
        assert refitted <= scaled * (1 + 1e-9) and scaled <= 1.5
        assert fit(stats, {axis: choice}, refit="least_squares", ridge=1e9).errors[first.weight] == pytest.approx(
            scaled
        )


def test_refit_is_least_squares() -> None:
    """Against torch.linalg.lstsq on what the pruned network feeds a linear layer."""
    model, x, _ = network("Plain")
    stats = measured("Plain")
    units = torch.tensor([0, 2, 5])
    fitted = fit(stats, {"b": Choice(units, torch.ones(3, dtype=torch.float64), 0.0, 3)}, ridge=0.0)
    h = F.relu(model.bn2(model.b(F.relu(model.bn1(model.a(x))))))  # type: ignore[union-attr,operator]
    rows = torch.cat([h[:, units].flatten(1), torch.ones(len(x), 1)], 1)
    wanted = model.c(h.flatten(1))  # type: ignore[union-attr,operator]
    solution = torch.linalg.lstsq(rows, wanted).solution.detach()
    found = fitted.values["c.weight"].unflatten(1, (6, 9))
    torch.testing.assert_close(found[:, units].flatten(1), solution[:-1].T)
    torch.testing.assert_close(fitted.values["c.bias"], solution[-1])
    assert not found[:, [1, 3, 4]].any()


def test_layers_behind_see_what_pruned_layers_give() -> None:
    """Two axes at once: the second consumer is fitted on the outputs of the first refitted one."""
    model, x, _ = network("Plain")
    stats = measured("Plain")
    choices = {axis: curve(stats, axis).choice(4) for axis in ("b", "c")}
    fitted = fit(stats, choices, ridge=0.0)
    pruned = copy.deepcopy(model)
    pruned.load_state_dict({**model.state_dict(), **fitted.values})
    h = F.relu(pruned.bn2(pruned.b(F.relu(pruned.bn1(pruned.a(x))))))  # type: ignore[union-attr,operator]
    rows = F.relu(pruned.c(h.flatten(1)))[:, choices["c"].units]  # type: ignore[union-attr,operator]
    rows = torch.cat([rows, torch.ones(len(x), 1)], 1)
    solution = torch.linalg.lstsq(rows, model(x)).solution.detach()
    torch.testing.assert_close(fitted.values["head.weight"][:, choices["c"].units], solution[:-1].T)
    with torch.no_grad():
        assert fitted.loss == pytest.approx(float(F.cross_entropy(pruned(x), model(x).argmax(1))))


def test_symmetric_matching_imitates_the_old_weights_on_new_inputs() -> None:
    model, x, _ = network("Plain")
    stats = measured("Plain")
    choices = {axis: curve(stats, axis).choice(4) for axis in ("b", "c")}
    fitted = fit(stats, choices, matching="symmetric", ridge=0.0)
    pruned = copy.deepcopy(model)
    pruned.load_state_dict({**model.state_dict(), **fitted.values})
    h = F.relu(pruned.bn2(pruned.b(F.relu(pruned.bn1(pruned.a(x))))))  # type: ignore[union-attr,operator]
    fed = F.relu(pruned.c(h.flatten(1)))  # type: ignore[union-attr,operator]
    rows = torch.cat([fed[:, choices["c"].units], torch.ones(len(x), 1)], 1)
    solution = torch.linalg.lstsq(rows, model.head(fed)).solution.detach()  # type: ignore[union-attr,operator]
    torch.testing.assert_close(fitted.values["head.weight"][:, choices["c"].units], solution[:-1].T)


@pytest.mark.parametrize("objective", ["local", "global", "both"])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_objective_keeps_the_budget(name: str, objective: str) -> None:
    stats = measured(name)
    plan = ns.prune(stats, ns.Budget(macs="60%"), objective=objective)  # type: ignore[arg-type]
    assert plan.after is not None and plan.before is not None and plan.after.macs <= 0.6 * plan.before.macs
    assert plan.predicted is not None and plan.predicted < 2.0


def test_better_than_magnitude() -> None:
    """On a network whose units are all needed, imitation with a refit moves the answers least."""
    model, x, _ = network("Plain")
    stats = measured("Plain")
    plan = ns.prune(stats, ns.Budget(params="50%"))
    sizes = {edit.axis: len(edit.keep) for edit in plan.edits if isinstance(edit, ns.Prune)}  # type: ignore[arg-type]
    by_norm = []
    for axis, size in sizes.items():
        norms = model.get_submodule(axis).weight.flatten(1).norm(dim=1)  # type: ignore[union-attr,operator]
        by_norm.append(ns.Prune(axis, norms.topk(size).indices))
    with torch.no_grad():
        kept, cut = (
            discrepancy("kl", model(x), applied(each, model, x)(x)) for each in (plan, ns.Plan(tuple(by_norm)))
        )
    assert kept < 0.5 * cut


def applied(plan: ns.Plan, model: nn.Module, x: Tensor) -> nn.Module:
    pruned = copy.deepcopy(model)
    ns.apply(plan, pruned, graph=ns.trace(pruned, x[:3]), check=False)
    return pruned


def test_a_budget_that_is_kept_already_changes_nothing() -> None:
    plan = ns.prune(measured("Plain"), ns.Budget(params="100%"))
    assert not len(plan) and plan.predicted == 0.0


def test_units_that_add_nothing_go_first_and_do_no_harm() -> None:
    model, x, y = network("Plain")
    with torch.no_grad():
        model.b.weight[:, 3] = 0  # type: ignore[union-attr,operator,index]
    stats = ns.Sculptor(model, x[:3]).measure([(x, y)], F.cross_entropy, for_="prune")
    plan = ns.prune(stats, ns.Limits(ns.Budget(params="99%"), widths={"b": (6, None), "c": (7, None)}))
    (edit,) = (each for each in plan.edits if isinstance(each, ns.Prune))
    assert edit.axis == "a" and 3 not in edit.keep.tolist()  # type: ignore[union-attr]


def test_what_makes_no_sense_is_refused() -> None:
    stats = measured("Plain")
    with pytest.raises(ArgumentError, match="objective must be one of 'local', 'global', 'both', not 'loss'"):
        ns.prune(stats, ns.Budget(params="50%"), objective="loss")  # type: ignore[arg-type]
    with pytest.raises(BudgetError, match="minimum widths contradict the budget"):
        ns.prune(stats, ns.Budget(params=10))
    with pytest.raises(ArgumentError, match="the consumers of axis 'head' cannot be imitated"):
        ns.prune(stats, ns.Budget(params="50%"), axes=["head"])
    with pytest.raises(ArgumentError, match=r"axes must be several names of axes, such as .*, not 'head'"):
        ns.prune(stats, ns.Budget(params="50%"), axes="head")


def test_a_model_that_only_guesses_is_not_pruned() -> None:
    model, x, _ = network("Plain")
    sculptor = ns.Sculptor(model, x[:3])
    wrong = model(x).argmin(1)
    stats = sculptor.measure([(x, wrong)], F.cross_entropy, for_="prune")
    with pytest.raises(MeasureError, match=r"right on 0 % of the calibration data, no better than chance"):
        ns.prune(stats, ns.Budget(params="50%"))
    assert len(ns.prune(stats, ns.Budget(params="50%"), check_baseline=False))
    with torch.no_grad():
        model.head.bias += 1  # type: ignore[union-attr,operator]
    with pytest.raises(MeasureError, match="the model has changed since it was measured"):
        ns.prune(stats, ns.Budget(params="50%"), check_baseline=False)


def test_a_loss_without_classes() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 12), nn.Tanh(), nn.Linear(12, 3)).double()
    x = torch.randn(200, 5).double()
    target = model(x).detach()
    sculptor = ns.Sculptor(model, x[:2])
    plan = ns.prune(sculptor.measure([(x, target)], F.mse_loss, for_="prune"), ns.Budget(params="60%"))
    done = sculptor.apply(plan)
    assert done.measured == pytest.approx(done.predicted) and done.measured < 0.1 * float(target.var())


@pytest.mark.parametrize(("bound", "amount"), [("loss", 0.02), ("accuracy", 0.2), ("discrepancy", 0.02)])
def test_a_tolerance_is_kept_and_used(bound: str, amount: float) -> None:
    model, x, y = network("Plain")
    sculptor = ns.Sculptor(model, x[:3])
    stats = sculptor.measure([(x, y)], F.cross_entropy, for_="prune")
    original = model(x)
    plan = ns.prune(stats, tolerance=ns.Tolerance(**{bound: amount}))
    done = sculptor.apply(plan)
    assert done.after.macs < done.before.macs
    with torch.no_grad():
        worse = {
            "loss": float(F.cross_entropy(model(x), y)) - stats.loss,
            "accuracy": 1 - float((model(x).argmax(1) == y).double().mean()),
            "discrepancy": float(discrepancy("kl", original, model(x))),
        }
    assert worse[bound] <= amount + 1e-9


def test_tolerances_that_make_no_sense() -> None:
    stats = measured("Plain")
    with pytest.raises(ArgumentError, match="either a budget or a tolerance"):
        ns.prune(stats)
    with pytest.raises(ArgumentError, match="either a budget or a tolerance"):
        ns.prune(stats, ns.Budget(params="50%"), tolerance=ns.Tolerance(loss=0.1))
    with pytest.raises(ArgumentError, match=r"tolerance must be a Tolerance, such as Tolerance\(loss=0.1\), not 0.02"):
        ns.prune(stats, tolerance=0.02)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="must bound loss, accuracy or discrepancy"):
        ns.Tolerance()
    with pytest.raises(ArgumentError, match="accuracy of a tolerance must be a number, at least 0, not -1"):
        ns.Tolerance(accuracy=-1)
    model, x, _ = network("Plain")
    target = model(x).detach()
    stats = ns.Sculptor(model, x[:3]).measure([(x, target)], F.mse_loss, for_="prune")
    with pytest.raises(ArgumentError, match="needs int64 class labels"):
        ns.prune(stats, tolerance=ns.Tolerance(accuracy=0.1))


@pytest.mark.parametrize("select", ["uniform", "line_search", "least_squares"])
def test_widths_are_kept(select: str) -> None:
    limits = ns.Limits(ns.Budget(params="65%"), widths={"a": (4, None), "b": (4, None)}, round_to={"a": 4, "b": 2})
    plan = ns.prune(measured("Plain"), limits, select=select)  # type: ignore[arg-type]
    sizes = {edit.axis: len(edit.keep) for edit in plan.edits if isinstance(edit, ns.Prune)}  # type: ignore[arg-type]
    assert sizes.get("a", 8) == 4 or sizes.get("b", 6) == 4
    assert plan.after is not None and plan.before is not None and plan.after.params <= 0.65 * plan.before.params


def test_one_example_and_few_rows_for_many_columns() -> None:
    """A flatten has more columns than there are examples: rows are fitted to, and a batch may hold one example."""
    model, x, y = network("Plain")
    batches = [(x[:20], y[:20]), (x[20:21], y[20:21])]
    sculptor = ns.Sculptor(model, x[:3])
    stats = sculptor.measure(batches, F.cross_entropy, for_="prune")
    done = sculptor.apply(ns.prune(stats, ns.Budget(params="70%")))
    assert done.predicted == pytest.approx(done.measured)
    alone = ns.Sculptor(network("Plain")[0], x[:3])
    stats = alone.measure([(x[:1], y[:1])], F.cross_entropy, for_="prune")
    assert alone.apply(ns.prune(stats, ns.Budget(params="70%"))).measured is not None


def test_the_exact_solver_does_no_more_harm() -> None:
    pytest.importorskip("scipy")
    stats = measured("Plain")
    for share in ("75%", "50%"):
        greedy, exact = (ns.prune(stats, ns.Budget(params=share), solver=each) for each in ("greedy", "exact"))  # type: ignore[arg-type]
        assert exact.after is not None and greedy.after is not None and exact.before is not None
        assert exact.after.params <= float(share[:-1]) / 100 * exact.before.params
        assert exact.predicted is not None and greedy.predicted is not None
        assert exact.predicted < greedy.predicted + 0.1


def test_what_is_written_through_a_view_is_seen_in_what_it_is_a_view_of() -> None:
    class Written(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.skip, self.a, self.b = nn.Conv2d(2, 3, 1), nn.Conv2d(2, 5, 1), nn.Conv2d(5, 3, 1)
            self.head = nn.Linear(48, 4)

        def forward(self, x: Tensor) -> Tensor:
            skip = self.skip(x) - 1
            skip.flatten(1).add_(self.b(torch.relu(self.a(x))).flatten(1))
            return self.head(torch.tanh(skip).flatten(1))

    torch.manual_seed(0)
    model, x = Written().double(), torch.randn(40, 2, 4, 4).double()
    sculptor = ns.Sculptor(model, x[:2])
    stats = sculptor.measure([(x, model(x).argmax(1))], F.cross_entropy, for_="prune")
    done = sculptor.apply(ns.prune(stats, ns.Budget(macs="80%"), axes=["a"]))
    assert done.predicted == pytest.approx(done.measured, rel=1e-9) and abs(done.measured) > 1e-6


@pytest.mark.parametrize("objective", ["local", "global", "both"])
def test_an_axis_of_one_unit_stays_and_does_not_keep_others_from_being_pruned(objective: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 1), nn.Tanh(), nn.Linear(1, 9), nn.Tanh(), nn.Linear(9, 3)).double()
    x = torch.randn(50, 6).double()
    sculptor = ns.Sculptor(model, x[:2])
    stats = sculptor.measure([(x, model(x).detach())], F.mse_loss, for_="prune")
    plan = ns.prune(stats, ns.Budget(params="60%"), objective=objective)  # type: ignore[arg-type]
    assert [edit.axis for edit in plan.edits if isinstance(edit, ns.Prune)] == ["2"]
    done = sculptor.apply(plan)
    assert done.predicted == pytest.approx(done.measured)


@pytest.mark.parametrize("refit", ["none", "scale", "least_squares"])
def test_a_column_of_two_axes_goes_with_either(refit: str) -> None:
    """Behind a convolution in groups: whole groups are units of one axis, a channel of every group of another."""
    torch.manual_seed(0)
    groups = nn.Conv2d(8, 12, 3, stride=2, padding=1, groups=4)
    model = nn.Sequential(nn.Conv2d(2, 8, 3), nn.ReLU(), groups, nn.ReLU(), nn.Flatten(), nn.Linear(108, 3)).double()
    x = torch.randn(60, 2, 8, 8).double()
    sculptor = ns.Sculptor(model, x[:2])
    stats = sculptor.measure([(x, model(x).argmax(1))], F.cross_entropy, for_="prune")
    limits = ns.Limits(ns.Budget(params="50%"), widths={"0/0": (2, None), "0/1": (2, None), "2/1": (2, None)})
    plan = ns.prune(stats, limits, refit=refit)  # type: ignore[arg-type]
    pruned = {edit.axis for edit in plan.edits if isinstance(edit, ns.Prune)}
    assert pruned >= {"0/0", "2/1"}
    done = sculptor.apply(plan)
    assert done.predicted == pytest.approx(done.measured, rel=1e-9)


def test_one_logit_for_two_classes_is_a_number_and_no_class() -> None:
    """Its softmax is 1 whatever it says: no accuracy, chance or divergence comes of it."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 12), nn.Tanh(), nn.Linear(12, 1)).double()
    x = torch.randn(64, 6).double()
    labels = (model(x)[:, 0] > 0).long()
    sculptor = ns.Sculptor(model, x[:2])
    stats = sculptor.measure(
        [(x, labels)],
        lambda answer, target: F.binary_cross_entropy_with_logits(answer[:, 0], target.double()),
        for_="prune",
    )
    assert stats.accuracy is None
    original = model(x).detach()
    sculptor.apply(ns.prune(stats, tolerance=ns.Tolerance(discrepancy=0.01)))
    assert 0 < float(discrepancy("squared", original, model(x).detach())) <= 0.01


def test_a_wide_axis_ends_at_a_multiple_that_global_imitation_steps_over() -> None:
    """130 units are taken three at a time, and 65 is no multiple of three."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 130), nn.Tanh(), nn.Linear(130, 3)).double()
    x = torch.randn(40, 6).double()
    stats = ns.Sculptor(model, x[:2]).measure([(x, model(x).argmax(1))], F.cross_entropy, for_="prune")
    plan = ns.prune(stats, ns.Limits(ns.Budget(params="60%"), round_to=65), objective="global")
    (edit,) = (each for each in plan.edits if isinstance(each, ns.Prune))
    assert len(edit.keep) == len(set(edit.keep)) == 65


def test_inputs_that_never_change_are_not_fitted_to() -> None:
    """What rounding leaves of the variance of constants made weights beyond all numbers."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 3))
    x = torch.randn(64, 6)
    with torch.no_grad():
        model[0].weight.zero_()
        model[0].bias.fill_(-1)
    original = model(x).detach()
    sculptor = ns.Sculptor(model, x[:2])
    stats = sculptor.measure([(x, original.argmax(1))], F.cross_entropy, for_="prune")
    sculptor.apply(ns.prune(stats, ns.Budget(params="50%")))
    torch.testing.assert_close(model(x).detach(), original)
