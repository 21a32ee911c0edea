"""A user's own operation: frozen with a sentence that helps, and sculptable with a rule of a few lines."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from netsculpt.errors import ArgumentError
from netsculpt.graph import Call, Graph, registry, rule, trace
from tests.graph.proofs import failures


@torch.library.custom_op("netsculpt_tests::gate", mutates_args=())
def gate(x: Tensor, slope: Tensor) -> Tensor:
    return x * (slope * x).sigmoid()


@gate.register_fake
def _(x: Tensor, slope: Tensor) -> Tensor:
    return torch.empty_like(x)


class Gated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(6, 8), nn.Linear(8, 2)
        self.slope = nn.Parameter(torch.linspace(0.5, 1.5, 8))

    def forward(self, x: Tensor) -> Tensor:
        return self.last(gate(self.first(x), self.slope))


@pytest.fixture(autouse=True)
def own_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules of these tests are theirs alone."""
    monkeypatch.setattr(registry, "_RULES", dict(registry._RULES))


def gated() -> tuple[nn.Module, Graph]:
    torch.manual_seed(0)
    model = Gated().double()
    return model, trace(model, torch.randn(3, 6, dtype=torch.float64))


def test_without_a_rule_it_is_frozen_and_the_reason_tells_how_to_add_one() -> None:
    model, graph = gated()
    advice = "netsculpt_tests::gate has no rule; netsculpt.graph.rule('netsculpt_tests::gate') adds one"
    assert advice in (graph["first"].frozen or "")
    assert advice in graph.unknown[0] and advice in str(graph)
    assert failures(graph, model) == [] and graph.sculptable == ()


def test_with_a_rule_its_units_can_change() -> None:
    @rule("netsculpt_tests::gate")
    def gate_rule(call: Call) -> object:
        x, slope = call["x"], call["slope"]
        call.equate(x.dims[-1], slope.dims[0])
        call.activation(x.dims)
        return x.dims

    model, graph = gated()
    assert failures(graph, model) == []
    (axis,) = graph.sculptable
    assert (axis.name, axis.exact, graph.unknown) == ("first", True, ())
    assert {place.tensor for place in axis.followers} == {"first.bias", "slope"}


@pytest.mark.parametrize("mistake", ["raises", "forgets a dimension"])
def test_a_rule_that_fails_freezes_and_is_named(mistake: str) -> None:
    @rule("netsculpt_tests::gate")
    def gate_rule(call: Call) -> object:
        if mistake == "raises":
            raise ValueError("no such thing")
        return call["x"].dims[1:]

    model, graph = gated()
    said = {"raises": "fails with ValueError: no such thing", "forgets a dimension": "gives [(8,)] instead of [(3, 8)]"}
    assert f"the rule of netsculpt_tests::gate {said[mistake]}" in (graph["first"].frozen or "")
    assert failures(graph, model) == []


@pytest.mark.parametrize("names", [(), ("",), (3,)])
def test_a_rule_needs_the_name_of_an_operation(names: tuple[str, ...]) -> None:
    with pytest.raises(ArgumentError, match="rule needs names of operations such as 'mylib::gate'"):
        rule(*names)
