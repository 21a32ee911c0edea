"""A history made again: as a whole or not at all, and what cannot be taken back is not taken back by half."""

from __future__ import annotations

import copy
import json

import pytest
import torch
from torch import nn

from netsculpt.edit import InsertLayer, Plan, Prune, Split, Widen, apply, forget, history, replay, undo
from netsculpt.errors import EditError
from tests.edit.models import Attention, Chain, Images, edited, made
from tests.edit.photograph import Photograph


def steps(model: nn.Module, graph: object) -> None:
    edited(model, graph, Prune("first", [4, 1, 2]), Split("second", 0, (0.7, 0.6, -0.3)))
    edited(model, graph, Widen("first", 2), InsertLayer("first", nn.Identity()))
    edited(model, graph, Split("first", 4))


def test_records_are_plain_data_and_made_again() -> None:
    model, graph = made(Chain)
    steps(model, graph)
    records = history(model).records
    text = json.dumps(records)
    other, other_graph = made(Chain, seed=1)
    replay(json.loads(text), other, other_graph)
    assert history(other).records == records
    assert str(other) == str(model)
    assert other_graph.cost() == graph.cost()
    other.load_state_dict(model.state_dict())
    undo(other, to=1)
    assert (other.first.weight.shape, other.last.weight.shape) == ((3, 4), (2, 7))
    undo(other)
    assert other.second.weight.shape == (5, 6)


@pytest.mark.parametrize("kind", [Attention, Images])
def test_attributes_and_shares_are_made_again(kind: type[nn.Module]) -> None:
    model, graph = made(kind)
    edits = [Split(axis.name, 0, (0.25, 0.75)) for axis in graph.sculptable if axis.uncopyable is None]
    edited(model, graph, *edits)
    other, other_graph = made(kind)
    replay(history(model), other, other_graph)
    assert all(torch.equal(a, b) for a, b in zip(other.parameters(), model.parameters(), strict=True))
    assert {name: value for name, value in vars(other).items() if isinstance(value, int)} == {
        name: value for name, value in vars(model).items() if isinstance(value, int)
    }


def test_a_replay_that_fails_on_its_way_leaves_the_model_as_it_was() -> None:
    model, graph = made(Chain)
    steps(model, graph)
    records = copy.deepcopy(history(model).records)
    records[2]["axes"]["first"]["size"] = 7
    other, other_graph = made(Chain)
    photograph, sizes = Photograph([other]), [axis.size for axis in other_graph]
    with pytest.raises(EditError, match="the model is not like the first: first has 5 units, not 7"):
        replay(records, other, other_graph)
    photograph.assert_unchanged()
    assert [axis.size for axis in other_graph] == sizes


def test_a_replay_with_the_graph_of_another_model() -> None:
    model, graph = made(Chain)
    steps(model, graph)
    with pytest.raises(EditError, match="the graph is of another model or an older one"):
        replay(history(model), made(Attention)[0], made(Chain)[1])


class Own(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def test_a_layer_of_ones_own_cannot_be_made_again() -> None:
    model, graph = made(Chain)
    apply(Plan((InsertLayer("first", Own()),)), model, graph=graph)
    with pytest.raises(EditError, match="the history cannot be replayed: Own is not a layer of"):
        replay(history(model), *made(Chain))


def test_what_cannot_be_taken_back_altogether_is_not_taken_back_by_half() -> None:
    model, graph = made(Chain)
    edited(model, graph, Prune("first", [0, 1, 2]))
    forget(model)
    edited(model, graph, Prune("first", [0]))
    with pytest.raises(EditError, match="cannot be undone: the model was loaded or copied since, or its way back"):
        undo(model, to=0)
    assert model.first.weight.shape == (1, 4)
    assert len(history(model)) == 2
    undo(model)
    assert model.first.weight.shape == (3, 4)


def test_a_model_that_was_taken_back_altogether_carries_no_trace() -> None:
    model, graph = made(Chain)
    photograph = Photograph([model])
    edited(model, graph, Prune("first", [0, 1, 2]))
    undo(model)
    photograph.assert_unchanged()
    assert len(history(model)) == 0
