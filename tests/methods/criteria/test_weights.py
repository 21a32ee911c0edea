"""Criteria that look at nothing but weights, against loops over units."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import netsculpt as ns
from netsculpt.errors import ArgumentError
from netsculpt.methods.criteria import CRITERIA, Pair, batch_norm_scale, geometric_median, l1, l2, lamp, random
from netsculpt.methods.criteria.normalising import normalised
from netsculpt.methods.criteria.reducing import reduced
from tests.methods.criteria.networks import SUBJECTS, Subject, subject

Over = Callable[[list[float]], float]
OVER: dict[str, Over] = {
    "mean": lambda each: sum(each) / len(each),
    "sum": sum,
    "max": max,
    "first": lambda each: each[0],
    "product": math.prod,
}


def close(found: Tensor, expected: list[float]) -> None:
    assert found.dtype is torch.float64
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=1e-12)


def sums(case: Subject, over: Over, power: int) -> list[float]:
    weights = dict(case.model.named_parameters())
    return [
        over([sum(abs(w) ** power for w in row.tolist()) for row in case.rows(weights, unit)])
        for unit in range(case.units)
    ]


@pytest.mark.parametrize("reduce", OVER)
@pytest.mark.parametrize("name", SUBJECTS)
def test_norms(name: str, reduce: str) -> None:
    case = subject(name)
    close(l1(case.pair, case.axis, reduce=reduce), sums(case, OVER[reduce], 1))  # type: ignore[arg-type]
    close(l2(case.pair, case.axis, reduce=reduce), [math.sqrt(x) for x in sums(case, OVER[reduce], 2)])  # type: ignore[arg-type]


@pytest.mark.parametrize("name", SUBJECTS)
def test_lamp(name: str) -> None:
    case = subject(name)
    squares = sums(case, OVER["mean"], 2)
    close(lamp(case.pair, case.axis), [x / sum(y for y in squares if y >= x) for x in squares])


def test_lamp_of_equals_is_the_same_whatever_their_order() -> None:
    close(normalised(torch.tensor([2.0, 1.0, 1.0, 4.0]).double(), "lamp"), [2 / 6, 1 / 8, 1 / 8, 1.0])


@pytest.mark.parametrize("reduce", ["mean", "first"])
@pytest.mark.parametrize("name", SUBJECTS)
def test_geometric_median(name: str, reduce: str) -> None:
    case = subject(name)
    weights = {n: w for n, w in case.model.named_parameters() if n != "bn.weight"}
    mixing = case._replace(slices={n: each for n, each in case.slices.items() if n in weights})
    rows = [mixing.rows(weights, unit) for unit in range(case.units)]
    expected = [
        OVER[reduce]([sum(math.dist(a.tolist(), row[k].tolist()) for row in rows) for k, a in enumerate(own)])
        for own in rows
    ]
    close(geometric_median(case.pair, case.axis, reduce=reduce), expected)  # type: ignore[arg-type]


def test_batch_norm_scale() -> None:
    case = subject("conv")
    case.model.bn.weight.data[2] = -3.0  # type: ignore[union-attr,operator,index]
    close(batch_norm_scale(case.pair, "a"), case.model.bn.weight.abs().tolist())  # type: ignore[union-attr,operator]
    with pytest.raises(ArgumentError, match="'b' has no batch norm"):
        batch_norm_scale(case.pair, "b")


def test_random_is_seeded_and_differs_between_axes() -> None:
    pair = subject("residual").pair
    assert torch.equal(random(pair, "stem", seed=3), random(pair, "stem", seed=3))
    assert not torch.equal(random(pair, "stem", seed=3), random(pair, "stem", seed=4))
    assert not torch.equal(random(pair, "stem")[:5], random(pair, "inner"))


@pytest.mark.parametrize("criterion", [l1, l2, geometric_median, lamp])
@pytest.mark.parametrize("name", SUBJECTS)
def test_scores_follow_units_and_scales(name: str, criterion: Callable[..., Tensor]) -> None:
    case = subject(name)
    before = criterion(case.pair, case.axis)
    order = torch.randperm(case.units, generator=torch.Generator().manual_seed(1))
    graph = ns.trace(case.model, case.x)
    ns.apply(ns.Plan.of(graph, [ns.Prune(case.axis, order)]), case.model, graph=graph)
    torch.testing.assert_close(criterion(Pair(case.model, graph), case.axis), before[order])
    for parameter in case.model.parameters():
        parameter.data *= 3
    factor = 1 if criterion is lamp else 3
    torch.testing.assert_close(criterion(Pair(case.model, graph), case.axis), factor * before[order])


@pytest.mark.parametrize("name", SUBJECTS)
def test_biases_do_not_count(name: str) -> None:
    case = subject(name)
    before = {criterion: CRITERIA[criterion](case.pair, case.axis) for criterion in ("l1", "l2", "lamp")}
    for parameter, values in case.model.named_parameters():
        if "bias" in parameter:
            values.data.fill_(100)
    for criterion, scores in before.items():
        assert torch.equal(CRITERIA[criterion](case.pair, case.axis), scores)


def test_an_added_parameter_is_a_bias_whatever_its_name() -> None:
    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up, self.shift = nn.Parameter(torch.ones(4, 3)), nn.Parameter(torch.full((3,), 9.0))
            self.gain, self.down = nn.Parameter(torch.full((3,), 2.0)), nn.Parameter(torch.ones(3, 2))

        def forward(self, x: Tensor) -> Tensor:
            return ((x @ self.up + self.shift) * self.gain).tanh() @ self.down

    model = Plain()
    close(l1(Pair(model, ns.trace(model, torch.randn(5, 4))), "up", reduce="sum"), [4 + 2 + 2] * 3)


def test_normalisers() -> None:
    scores = torch.tensor([1.0, 4.0, -3.0, 0.0], dtype=torch.float64)
    close(normalised(scores, "none"), [1, 4, -3, 0])
    close(normalised(scores, "sum"), [1 / 8, 4 / 8, -3 / 8, 0])
    close(normalised(scores, "mean"), [1 / 2, 2, -3 / 2, 0])
    close(normalised(scores, "median"), [1, 4, -3, 0])
    close(normalised(scores, "max"), [1 / 4, 1, -3 / 4, 0])
    close(normalised(scores, "range"), [4 / 7, 1, 0, 3 / 7])
    close(normalised(scores, "standard"), [(x - 0.5) / 2.5 for x in (1, 4, -3, 0)])
    close(normalised(scores, lambda each: each**2), [1, 16, 9, 0])
    for how in ("none", "sum", "mean", "median", "max", "range", "standard", "lamp"):
        close(normalised(torch.zeros(3).double(), how), [0, 0, 0])  # type: ignore[arg-type]


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ArgumentError, match="reduce must be one of mean, sum"):
        reduced([torch.ones(2)], "middle")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="normalise must be one of none, sum"):
        normalised(torch.ones(2), "middle")  # type: ignore[arg-type]
    case = subject("conv")
    with pytest.raises(ArgumentError, match=r"no parameter 'a\.weight'"):
        l1(Pair(nn.Linear(2, 2), case.pair.graph), "a")
