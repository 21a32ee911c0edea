"""What is a unit, what is not and why, and in which coordinates its directions are."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import netsculpt as ns
from netsculpt.errors import MeasureError
from netsculpt.measure.units import find_units
from tests.measure.measured import directions, statistics
from tests.measure.networks import NAMES, Case, case


class Straight(nn.Module):
    """Units that are mixed before anything bends them."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.norm, self.b = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 5, 3)
        self.head = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = F.avg_pool2d(self.norm(self.a(x)) * 2 + 1, 2, stride=1)
        return self.head(torch.tanh(self.b(h)).mean((2, 3)))


class GroupedTransposed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 1), nn.ConvTranspose2d(4, 6, 3, groups=2)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.b(torch.tanh(self.a(x)))).mean((2, 3)))


class Embedded(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.up, self.head = nn.Embedding(9, 5), nn.Linear(5, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x[:, 0, 0].long() % 9
        return self.head(torch.tanh(self.up(F.silu(self.table(tokens)))).mean(1))


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.head = nn.Linear(7, 5), nn.Linear(7, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.silu(self.up(x)) @ self.up.weight).mean((1, 2))


REASONS: list[tuple[Callable[[], nn.Module], str, str]] = [
    (Straight, "a", "no nonlinearity follows before its units are mixed, so no split changes the loss"),
    (Straight, "head", "it is an output of the model"),
    (GroupedTransposed, "b", "b.weight makes its units in another way than a linear layer or a convolution"),
    (Embedded, "table", "table.weight makes its units in another way than a linear layer or a convolution"),
    (Tied, "up", "it is used in several ways, and copies of a unit cannot share one weight"),
]


@pytest.mark.parametrize(("network", "axis", "reason"), REASONS)
def test_what_is_not_measured_has_a_reason(network: Callable[[], nn.Module], axis: str, reason: str) -> None:
    torch.manual_seed(0)
    units, reasons = find_units(ns.trace(network(), torch.randn(6, 3, 7, 7)))
    assert axis not in units
    assert reasons[axis] == reason
    assert not set(units) & set(reasons)


def test_every_axis_is_measured_or_has_a_reason() -> None:
    for name in NAMES:
        subject = case(name)
        graph = ns.trace(subject.model, subject.x)
        units, reasons = find_units(graph)
        assert {axis.name for axis in graph.axes} == set(units) | set(reasons)


def test_a_straight_model_is_refused() -> None:
    model = nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 3))
    x = torch.randn(6, 4)
    with pytest.raises(MeasureError, match="no axis can be measured: no nonlinearity follows"):
        ns.Sculptor(model, x).measure([(x, torch.zeros(6).long())], F.cross_entropy)


def test_a_straight_unit_is_never_split() -> None:
    torch.manual_seed(0)
    model = Straight().double()
    subject = Case(model.eval(), torch.randn(6, 3, 7, 7, dtype=torch.float64), torch.randint(0, 3, (6,)))
    plan = ns.split(statistics(subject), ns.Budget(params="400%"))
    assert {edit.axis for edit in plan.edits} == {"b"}  # type: ignore[union-attr]


DIAGONAL = {"Strided": "a", "VitMlp": "up", "Conv1d": "a", "Conv3d": "a", "Transposed": "a", "Depthwise": "project"}
COUPLED = {
    "SwiGlu": "gate",
    "Shifted": "up",
    "Attention": "q/0",
    "Depthwise": "expand",
    "Stream": "stem",
    "Twice": "up",
}


def test_where_entries_bend_alone_and_where_together() -> None:
    for name, axis in DIAGONAL.items():
        assert statistics(case(name)).units[axis].diagonal
    for name, axis in COUPLED.items():
        assert not statistics(case(name)).units[axis].diagonal


def test_the_second_derivative_by_entry_is_that_of_all_entries() -> None:
    """Where only the diagonal is kept, nothing else was there: products by autograd say the same."""
    for name, axis in DIAGONAL.items():
        stats = statistics(case(name))
        for batch in stats.samples([axis]):
            sample = batch[axis]
            object.__setattr__(sample.unit, "diagonal", False)
            whole = type(sample)(**{key: getattr(sample, key) for key in sample.__dataclass_fields__}).bend
            object.__setattr__(sample.unit, "diagonal", True)
            assert whole.q is None and sample.bend.q is not None
            v = directions(stats, axis)
            coordinates = stats.coordinates(axis)
            torch.testing.assert_close(sample.bend.product(coordinates, v), whole.product(coordinates, v))


@pytest.mark.parametrize("name", NAMES)
def test_directions_and_shifts_are_the_same_thing(name: str) -> None:
    subject = case(name)
    stats = statistics(subject)
    for axis, unit in stats.units.items():
        coordinates, v = stats.coordinates(axis), directions(stats, axis)
        shifts = coordinates.shifts(v)
        torch.testing.assert_close(coordinates.join(shifts), v)
        squares = sum(s.weight.square().sum() + (0 if s.bias is None else s.bias.square().sum()) for s in shifts)
        torch.testing.assert_close(squares, v.square().sum())  # every entry once
        parameters = dict(subject.model.named_parameters())
        present = coordinates.present(parameters)
        assert present.shape == (unit.size, coordinates.count)
