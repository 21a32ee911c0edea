"""The simplest plan: a fraction of every axis, by one number per unit."""

import pytest
import torch
from torch import Tensor, nn

from netsculpt.edit import Prune, magnitude, uniform_pruning
from netsculpt.errors import ArgumentError, GraphError
from netsculpt.graph import Axis, Graph, trace


@pytest.fixture
def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 10), nn.ReLU(), nn.Linear(10, 7), nn.ReLU(), nn.Linear(7, 2))


@pytest.fixture
def graph(model: nn.Sequential) -> Graph:
    return trace(model, torch.randn(2, 5))


def kept(graph: Graph, **how: object) -> dict[str, list[int]]:
    def first_units(axis: Axis) -> Tensor:
        return -torch.arange(axis.size, dtype=torch.float64)

    plan = uniform_pruning(graph, how.pop("importance", first_units), **how)  # type: ignore[arg-type]
    assert all(isinstance(edit, Prune) for edit in plan.edits)
    return {edit.axis: edit.keep.tolist() for edit in plan.edits}  # type: ignore[union-attr]


def test_the_ratio_is_of_units(graph: Graph) -> None:
    assert kept(graph, pruning_ratio=0.4) == {"0": [0, 1, 2, 3, 4, 5], "2": [0, 1, 2, 3, 4]}


def test_an_axis_keeps_a_unit(graph: Graph) -> None:
    assert kept(graph, pruning_ratio=0.9999) == {"0": [0], "2": [0]}


@pytest.mark.parametrize(("round_to", "sizes"), [(4, {"0": 8, "2": 4}), (5, {"0": 5, "2": 5}), (64, None)])
def test_what_is_left_is_rounded_up(graph: Graph, round_to: int, sizes: dict[str, int] | None) -> None:
    if sizes is None:
        with pytest.raises(GraphError, match="removes no unit"):
            kept(graph, pruning_ratio=0.5, round_to=round_to)
        return
    assert {name: len(units) for name, units in kept(graph, pruning_ratio=0.5, round_to=round_to).items()} == sizes


def test_of_equals_the_first_stay(graph: Graph) -> None:
    same = {"0": torch.tensor([1.0, 3, 1, 3, 1, 3, 1, 1, 1, 1]), "2": torch.ones(7)}
    assert kept(graph, pruning_ratio=0.5, importance=same) == {"0": [0, 1, 2, 3, 5], "2": [0, 1, 2, 3]}


def test_only_the_named_axes(graph: Graph) -> None:
    assert kept(graph, pruning_ratio=0.5, axes=["2"]).keys() == {"2"}
    with pytest.raises(GraphError, match="there is no axis 'seven'"):
        kept(graph, pruning_ratio=0.5, axes=["seven"])


def test_magnitude_is_the_norm_of_what_makes_a_unit(model: nn.Sequential, graph: Graph) -> None:
    expected = model[0].weight.detach().double().norm(dim=1)
    torch.testing.assert_close(magnitude(model, graph)(graph["0"]), expected)


def test_magnitude_of_a_unit_with_several_slices() -> None:
    """A head is a block of rows in each of three matrices."""
    torch.manual_seed(0)
    attention = nn.MultiheadAttention(8, 2, batch_first=True)
    x = torch.randn(2, 3, 8)
    graph = trace(attention, (x, x, x), {"need_weights": False}, ignored_layers=[])
    for axis in graph.axes:
        norms = magnitude(attention, graph)(axis)
        assert norms.shape == (axis.size,)
        weights = [attention.get_parameter(name) for name in {place.tensor for place in axis.producers}]
        total = torch.stack([weight.detach().double().square().sum() for weight in weights]).sum()
        torch.testing.assert_close(norms.square().sum(), total)


@pytest.mark.parametrize("ratio", [-0.1, 1, 1.5, float("nan")])
def test_ratios_that_make_no_sense(graph: Graph, ratio: float) -> None:
    with pytest.raises(ArgumentError, match="pruning_ratio must be a fraction of units"):
        kept(graph, pruning_ratio=ratio)


def test_round_to_must_be_positive(graph: Graph) -> None:
    with pytest.raises(ArgumentError, match="round_to must be a whole number above 0, not 0"):
        kept(graph, pruning_ratio=0.5, round_to=0)


@pytest.mark.parametrize("worth", [torch.ones(3), torch.full((10,), torch.nan)], ids=["short", "not a number"])
def test_importances_that_make_no_sense(graph: Graph, worth: Tensor) -> None:
    with pytest.raises(ArgumentError, match="the importance of '0' must be 10 finite numbers"):
        kept(graph, pruning_ratio=0.5, importance={"0": worth}, axes=["0"])


def test_a_model_in_which_nothing_can_be_edited_is_an_error() -> None:
    graph = trace(nn.Linear(4, 3), torch.randn(2, 4))
    with pytest.raises(GraphError, match=r"no axis of the model can change .*output of the model"):
        kept(graph, pruning_ratio=0.5)
