"""What first-order criteria promise comes true when units are scaled a little, in networks of all kinds."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import netsculpt as ns
from netsculpt.measure import Statistics, measure
from netsculpt.methods.criteria import Inapplicable, activation_mean, apoz, fisher, l1, taylor, taylor_weights
from tests.measure.networks import NAMES, Case, case

STEP = 1e-4


class InPlace(nn.Module):
    """Activations and a residual sum that overwrite what they take."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c, self.head = (
            nn.Conv2d(3, 4, 3, padding=1),
            nn.Conv2d(4, 5, 1),
            nn.Conv2d(5, 4, 1),
            nn.Linear(4, 3),
        )
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.a(x))
        y = self.c(self.act(self.b(x)))
        y += x
        return self.head(self.act(y).mean((2, 3)))


class Dense(nn.Module):
    """Concatenations: consumers read several axes at once."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c, self.head = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 5, 1), nn.Conv2d(9, 3, 1), nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.a(x))
        x = torch.cat([x, torch.tanh(self.b(x))], 1)
        return self.head(torch.cat([x, self.c(x)], 1).mean((2, 3)))


def subject(name: str) -> Case:
    if name in NAMES:
        return case(name)
    torch.manual_seed(0)
    model = {"InPlace": InPlace, "Dense": Dense}[name]().double().eval()
    return Case(model, torch.randn(6, 3, 5, 5, dtype=torch.float64), torch.arange(6) % 3)


def measured(given: Case) -> Statistics:
    return measure(given.model, ns.trace(given.model, given.x), [(given.x, given.y)], F.cross_entropy, for_="prune")


def slope(given: Case, axis: str, unit: int) -> float:
    """How the loss changes with the unit's outgoing weights."""
    losses = []
    for factor in (1 + STEP, 1 - STEP):
        graph = ns.trace(given.model, given.x)
        scale = torch.ones(graph[axis].size, dtype=torch.float64)
        scale[unit] = factor
        keep = torch.arange(graph[axis].size)
        ns.apply(ns.Plan((ns.Prune(axis, keep, scale),)), given.model, graph=graph, check=False)
        with torch.no_grad():
            losses.append(float(F.cross_entropy(given.model(given.x), given.y)))
        ns.undo(given.model)
    return (losses[0] - losses[1]) / (2 * STEP)


@pytest.mark.parametrize("name", [*NAMES, "InPlace", "Dense"])
def test_taylor_is_the_slope_of_the_loss_with_a_unit(name: str) -> None:
    given = subject(name)
    graph = ns.trace(given.model, given.x)
    for axis in (each for each in graph.sculptable if each.exact):
        scores = taylor(measured(given), axis.name, form="signed")
        for unit in (0, axis.size - 1):
            assert float(scores[unit]) == pytest.approx(abs(slope(given, axis.name, unit)), rel=1e-5, abs=1e-8)


@pytest.mark.parametrize("name", [*NAMES, "InPlace", "Dense"])
def test_every_axis_that_can_be_pruned_has_scores(name: str) -> None:
    stats = measured(subject(name))
    for axis in (each for each in stats.graph.sculptable if each.exact):
        for criterion in (taylor, taylor_weights, fisher, activation_mean, apoz, l1):
            scores = criterion(stats, axis.name)
            assert scores.shape == (axis.size,)
            assert bool(scores.isfinite().all())
            assert float(scores.min()) >= 0


class Untold(nn.Module):
    """``up`` is read by a recurrent layer beside a linear one, and ``down`` by a cell's own memory."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.down, self.recurrent = nn.Linear(4, 5), nn.Linear(5, 3), nn.LSTM(5, 3, batch_first=True)
        self.other, self.last = nn.Linear(3, 7), nn.Linear(7, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(self.up(x))
        return self.last(torch.tanh(self.other(self.down(h) + self.recurrent(h)[0]))).mean(1)


def test_axes_with_readers_that_are_not_seen_have_no_scores() -> None:
    torch.manual_seed(0)
    model, x = Untold(), torch.randn(6, 5, 4)
    stats = measure(model, ns.trace(model, x), [(x, torch.arange(6) % 3)], F.cross_entropy, for_="prune")
    assert {axis.name for axis in stats.graph.sculptable if axis.exact} == {"up", "down", "other"}
    for criterion in (taylor, fisher, activation_mean, apoz):
        assert bool((criterion(stats, "other") > 0).all())
        for axis in ("up", "down"):
            with pytest.raises(Inapplicable, match=f"'{axis}'"):
                criterion(stats, axis)
    assert bool((l1(stats, "up") > 0).all())


class Similar(nn.Module):
    """Queries and keys: their width is summed over without a weight."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v, self.out = (nn.Linear(*sizes) for sizes in ((4, 6), (4, 6), (4, 5), (5, 3)))

    def forward(self, x: Tensor) -> Tensor:
        return self.out((self.q(x) @ self.k(x).mT).softmax(-1) @ self.v(x)).mean(1)


def test_units_that_are_mixed_without_a_weight_have_no_scores() -> None:
    torch.manual_seed(0)
    model, x = Similar(), torch.randn(6, 5, 4)
    stats = measure(model, ns.trace(model, x), [(x, torch.arange(6) % 3)], F.cross_entropy, for_="prune")
    assert {axis.name for axis in stats.graph.sculptable if axis.exact} == {"q", "v"}
    assert bool((taylor(stats, "v") > 0).all())
    with pytest.raises(Inapplicable, match="'q'"):
        taylor(stats, "q")
    assert {edit.axis for edit in ns.prune_by(stats, ns.Budget(params="80%"), "taylor").edits} == {"v"}  # type: ignore[union-attr]
    assert bool((taylor_weights(stats, "q") > 0).all())
