"""Trade-off curves of local and global imitation, against the definitions."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import netsculpt as ns
from netsculpt.errors import ArgumentError, GraphError
from netsculpt.methods.pruning.curves import combined, curve
from netsculpt.methods.pruning.discrepancy import discrepancy
from netsculpt.methods.pruning.globally import global_curve
from netsculpt.methods.pruning.suffixes import Suffix
from tests.methods.pruning.networks import NETWORKS, measured, network


def test_an_axis_or_a_choice_that_is_not_there_is_refused() -> None:
    stats = measured("Plain")
    (axis, *_) = stats.consumers
    for imitation in (curve, global_curve):
        with pytest.raises(GraphError, match="there is no axis 'nope'"):
            imitation(stats, "nope")
        with pytest.raises(ArgumentError, match="the consumers of axis 'head' cannot be imitated"):
            imitation(stats, "head")
    with pytest.raises(
        ArgumentError, match="select must be one of 'uniform', 'line_search', 'least_squares', not 'best'"
    ):
        curve(stats, axis, "best")  # type: ignore[arg-type]


def distance(gram: Tensor, scales: Tensor) -> float:
    """‖Σ (1 - s) c‖² relative to ‖Σ c‖²."""
    missing = 1 - scales
    return float(missing @ gram @ missing / gram.sum())


@pytest.mark.parametrize("select", ["uniform", "line_search", "least_squares"])
@pytest.mark.parametrize("name", NETWORKS)
def test_errors_are_those_of_the_choices(name: str, select: str) -> None:
    stats = measured(name)
    for axis in stats.consumers:
        gram = combined(stats.consumers[axis], stats.grams([axis])[axis])
        found = curve(stats, axis, select)  # type: ignore[arg-type]
        assert found.errors and max(found.errors) < found.size == stats.graph[axis].size
        for count, error in found.errors.items():
            choice = found.choice(count)
            assert len(choice.units.unique()) == count and choice.iterations >= count * (select == "least_squares")
            scales = torch.zeros(found.size, dtype=torch.float64).index_copy_(0, choice.units, choice.scales)
            assert distance(gram, scales) == pytest.approx(error, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("name", NETWORKS)
def test_least_squares_loses_least(name: str) -> None:
    stats = measured(name)
    for axis in stats.consumers:
        best, steps = curve(stats, axis), curve(stats, axis, "line_search")
        errors = list(best.errors.values())
        assert errors == sorted(errors, reverse=True)
        # Greedy choices differ, so this is no theorem; with one unit both have all of them to choose from.
        assert best.errors[1] <= steps.errors.get(1, 1.0) + 1e-9


def test_consumers_count_alike_whatever_their_scale() -> None:
    stats = measured("Residual")
    before = combined(stats.consumers["stem"], stats.grams(["stem"])["stem"])
    assert float(before.sum()) == pytest.approx(1.0)
    model, x, y = network("Residual")
    with torch.no_grad():
        model.expand.weight *= 1000  # type: ignore[union-attr,operator]
        model.bn1.running_mean *= 1000  # type: ignore[union-attr,operator]
        model.bn1.running_var *= 1000**2  # type: ignore[union-attr,operator]
        model.bn1.eps *= 1000**2  # type: ignore[union-attr,operator,assignment]
    scaled = ns.Sculptor(model, x[:3]).measure([(x, y)], F.cross_entropy, for_="prune")
    torch.testing.assert_close(combined(scaled.consumers["stem"], scaled.grams(["stem"])["stem"]), before)


@pytest.mark.parametrize("name", NETWORKS)
def test_gates_are_factors_of_outgoing_weights(name: str) -> None:
    """P2: units scaled by N a, by gates and by edits, answer the same; all of them with 1/N answer as before."""
    stats = measured(name)
    for axis in stats.consumers:
        size = stats.graph[axis].size
        suffix = Suffix(stats, axis, stats.data, "kl")
        assert float(suffix.loss(torch.ones(size, dtype=torch.float64))) < 1e-15
        kept = torch.arange(0, size, 2)
        scales = torch.linspace(0.5, 1.5, len(kept), dtype=torch.float64)
        gates = torch.zeros(size, dtype=torch.float64).index_copy_(0, kept, scales)
        model, x, _ = network(name)
        original = model(x)
        pruned = copy.deepcopy(model)
        ns.apply(ns.Plan((ns.Prune(axis, kept, scales),)), pruned, graph=ns.trace(pruned, x[:3]), check=False)
        real = float(discrepancy("kl", original, pruned(x)).detach())
        assert float(suffix.loss(gates)) == pytest.approx(real, rel=1e-6)
        assert suffix.losses(torch.stack([gates, gates])).tolist() == pytest.approx([real, real], rel=1e-6)


def test_slopes_are_derivatives() -> None:
    stats = measured("Plain")
    suffix = Suffix(stats, "b", stats.data, "kl")
    gates = torch.linspace(0.2, 1.4, 6, dtype=torch.float64)
    h = 1e-6
    rises = [(suffix.loss(gates + h * e) - suffix.loss(gates - h * e)) / (2 * h) for e in torch.eye(6).double()]
    torch.testing.assert_close(suffix.slopes(gates), torch.stack(rises), rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("name", NETWORKS)
def test_global_choices_are_greedy(name: str) -> None:
    """With few units all of them are candidates: every choice is the best of all that are left."""
    stats = measured(name)
    axis = min(stats.consumers, key=lambda each: stats.graph[each].size)
    found = global_curve(stats, axis)
    suffix = Suffix(stats, axis, stats.data, "kl")
    kept: list[int] = []
    for count in sorted(found.errors):
        losses = {}
        for unit in set(range(found.size)) - set(kept):
            gates = torch.zeros(found.size, dtype=torch.float64)
            gates[[*kept, unit]] = found.size / (len(kept) + 1)
            losses[unit] = float(suffix.loss(gates))
        kept.append(min(losses, key=losses.__getitem__))
        assert found.choice(count).units.tolist() == sorted(kept)
        assert found.errors[count] == pytest.approx(losses[kept[-1]])


def test_unknown_axes_are_refused() -> None:
    stats = measured("Plain")
    with pytest.raises(ArgumentError, match="the consumers of axis 'head' cannot be imitated: it is an output"):
        global_curve(stats, "head")


def test_writing_through_a_view_spoils_nothing() -> None:
    class Written(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.skip, self.a, self.b = nn.Conv2d(2, 3, 1), nn.Conv2d(2, 5, 1), nn.Conv2d(5, 3, 1)
            self.head = nn.Linear(48, 4)

        def forward(self, x: Tensor) -> Tensor:
            skip = self.skip(x) - 1
            h = self.b(torch.relu(self.a(x)))
            rows = skip.flatten(1)
            rows.mul_(3.0)
            return self.head(h.flatten(1) + rows)

    torch.manual_seed(0)
    model, x = Written().double(), torch.randn(6, 2, 4, 4).double()
    y = model(x).argmax(1)
    stats = ns.Sculptor(model, x[:2]).measure([(x, y)], F.cross_entropy, for_="prune")
    suffix = Suffix(stats, "a", stats.data, "kl")
    ones = torch.ones(5, dtype=torch.float64)
    assert [float(suffix.loss(ones)) for _ in range(3)] == pytest.approx([0.0] * 3, abs=1e-15)
    halves = suffix.losses(torch.stack([ones, ones / 2]))
    assert float(halves[1]) == pytest.approx(float(suffix.loss(ones / 2))) and float(halves[1]) > 1e-4
