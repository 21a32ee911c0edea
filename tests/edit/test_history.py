"""Undoing: exactly where nothing was trained since, with what was learnt where it was."""

import copy
import pickle

import pytest
import torch
from torch import nn

from netsculpt.edit import InsertLayer, Plan, Prune, RemoveLayer, Split, Widen, apply, forget, history, undo
from netsculpt.errors import ArgumentError, EditError
from netsculpt.graph import Graph, trace

INPUT = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def net() -> nn.Sequential:
    torch.manual_seed(2)
    layers = (nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 5, 3), nn.ReLU(), nn.Flatten())
    return nn.Sequential(*layers, nn.Linear(80, 4))


@pytest.fixture
def graph(net: nn.Sequential) -> Graph:
    return trace(net, INPUT)


def step(net: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    net(INPUT).square().mean().backward()
    optimizer.step()


def first(graph: Graph) -> Plan:
    return Plan.of(graph, [Prune("0", [0, 3, 5]), Widen("3", 1)])


def second(graph: Graph) -> Plan:
    return Plan.of(graph, [Split("3", 2, (0.7, 0.6, -0.3))])


def test_everything_is_taken_back_to_the_bit_and_to_the_object(net: nn.Sequential, graph: Graph) -> None:
    optimizer = torch.optim.AdamW(net.parameters())
    step(net, optimizer)
    parameters = list(net.parameters())
    state = copy.deepcopy(net.state_dict())
    slots = copy.deepcopy(optimizer.state_dict())
    for plan in (first, second):
        apply(plan(graph), net, optimizer, graph=graph)
    assert len(history(net)) == 2
    assert undo(net, to=0) == "exact"
    assert all(now is then for now, then in zip(net.parameters(), parameters, strict=True))
    assert all(torch.equal(tensor, state[name]) for name, tensor in net.state_dict().items())
    after = optimizer.state_dict()
    for key, slot in slots["state"].items():
        assert all(torch.equal(value, after["state"][key][name]) for name, value in slot.items())
    assert (net[0].out_channels, net[1].num_features, net[3].in_channels, net[3].out_channels) == (6, 6, 6, 5)
    assert (graph["0"].size, graph["3"].size) == (6, 5)
    assert all(proof.holds for proof in graph.verify(net))


def test_one_by_one_and_to_a_mark(net: nn.Sequential, graph: Graph) -> None:
    apply(first(graph), net, graph=graph)
    mark, sizes = len(history(net)), (graph["0"].size, graph["3"].size)
    after_first = copy.deepcopy(net.state_dict())
    apply(second(graph), net, graph=graph)
    apply(Plan.of(graph, [Prune("0", [2])]), net, graph=graph)
    undo(net)
    assert graph["0"].size == 3
    undo(net, to=mark)
    assert (graph["0"].size, graph["3"].size) == sizes
    assert all(torch.equal(tensor, after_first[name]) for name, tensor in net.state_dict().items())


def test_what_was_learnt_since_stays(net: nn.Sequential, graph: Graph) -> None:
    removed = net[0].weight[[1, 2, 4]].clone()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    apply(Plan.of(graph, [Prune("0", [0, 3, 5])]), net, optimizer, graph=graph)
    step(net, optimizer)
    learnt = net[0].weight.clone()
    assert undo(net) == "merged"
    assert torch.equal(net[0].weight[[0, 3, 5]], learnt)
    assert torch.equal(net[0].weight[[1, 2, 4]], removed)
    step(net, optimizer)
    assert not torch.equal(net[0].weight[[0, 3, 5]], learnt), "the optimizer goes on with what is back"


def test_layers_come_and_go(net: nn.Sequential, graph: Graph) -> None:
    before, text = net(INPUT), repr(net)
    layer = nn.Conv2d(6, 6, 1, bias=False)
    nn.init.dirac_(layer.weight)
    apply(Plan.of(graph, [InsertLayer("2", layer)]), net, graph=graph)
    torch.testing.assert_close(net(INPUT), before)
    assert any(axis.name.startswith("2.") for axis in graph), "the graph knows the new layer"
    apply(Plan.of(graph, [RemoveLayer("4")]), net, graph=graph)
    apply(Plan.of(graph, [Prune("0", [0, 1])]), net, graph=graph)
    undo(net, to=0)
    assert repr(net) == text
    assert torch.equal(net(INPUT), before)
    assert all(proof.holds for proof in graph.verify(net))


def test_copies_and_pickles_carry_the_record_alone(net: nn.Sequential, graph: Graph) -> None:
    apply(first(graph), net, graph=graph)
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert history(other).records == history(net).records
        with pytest.raises(EditError, match="loaded or copied"):
            undo(other)
    undo(net)
    assert len(history(net)) == 0


def test_forgetting_frees_what_was_replaced(net: nn.Sequential, graph: Graph) -> None:
    apply(first(graph), net, graph=graph)
    records = history(net).records
    forget(net)
    assert history(net).records == records
    with pytest.raises(EditError, match="cannot be undone"):
        undo(net)


def test_there_is_nothing_to_undo(net: nn.Sequential, graph: Graph) -> None:
    with pytest.raises(EditError, match="nothing to undo"):
        undo(net)
    apply(first(graph), net, graph=graph)
    with pytest.raises(ArgumentError, match="a mark from 0 to 1, not 2"):
        undo(net, to=2)
