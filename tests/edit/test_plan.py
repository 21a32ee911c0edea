"""Plans: printed, priced, kept as JSON, and honest about what they do not preserve."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from torch import nn

from netsculpt.edit import InsertLayer, Plan, Prune, RemoveLayer, Split, Widen, apply, undo
from netsculpt.edit.edits import to_data
from netsculpt.errors import ArgumentError, EditError, GraphError
from netsculpt.graph import trace
from tests.edit.models import IMAGES, Attention, Chain, Images, Residual, answers, made


def rows(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(7), dtype=torch.float64).to(dtype)


def everything() -> list[Any]:
    """Every kind of edit with every kind of value, for ``Images``."""
    norm = nn.BatchNorm2d(8)
    norm.running_var.uniform_()
    return [
        Prune("conv1", [5, 0, 3], scale=[1.5, 1.0, 1 / 3]),
        Split("conv1", 3, (0.7, 0.6, -0.3), rows(3, 28)),
        Split("conv1", 0, offsets={"conv1.weight": rows(2, 27, dtype=torch.float32)}),
        Widen("conv3", 2, {"head.weight": rows(2, 32), "conv3.bias": torch.ones(2, 1, dtype=torch.bfloat16)}),
        Widen("conv3", 1, "zero", seed=5),
        InsertLayer("conv2", norm.double()),
        InsertLayer("conv1", nn.Sequential(nn.Conv2d(6, 6, 1), nn.GELU("tanh")).double(), exact=False),
        RemoveLayer("bn"),
    ]


def test_json_keeps_everything_to_the_bit() -> None:
    plan = Plan(tuple(everything()), predicted=-1 / 3)
    text = plan.to_json()
    again = Plan.from_json(text)
    assert again.to_json() == text
    assert str(again) == str(plan)
    assert again.predicted == plan.predicted
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    for old, new in zip(plan.edits, again.edits, strict=True):
        assert type(new) is type(old)
        for name, value in vars(old).items():
            same(value, getattr(new, name))


def same(old: Any, new: Any) -> None:
    if isinstance(old, torch.Tensor):
        assert new.dtype == old.dtype
        assert torch.equal(new, old)
    elif isinstance(old, nn.Module):
        assert repr(new) == repr(old)
        for name, tensor in old.state_dict().items():
            same(tensor, new.state_dict()[name])
    elif isinstance(old, dict):
        assert list(old) == list(new)
        for name, value in old.items():
            same(value, new[name])
    else:
        assert new == old


def test_a_plan_from_json_does_the_same() -> None:
    model, graph = made(Images)
    plan = Plan.of(graph, everything()[:5])
    outcome = apply(plan, model, graph=graph)
    there, state = answers(model, IMAGES), {name: tensor.clone() for name, tensor in model.state_dict().items()}
    undo(model)
    again = Plan.from_json(plan.to_json())
    assert (again.before, again.after, again.inexact) == (plan.before, plan.after, plan.inexact)
    assert apply(again, model, graph=graph) == outcome
    assert torch.equal(answers(model, IMAGES), there)
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "a plan must be JSON"),
        ("[]", "a plan must say netsculpt_plan: 1"),
        ('{"netsculpt_plan": 2}', "a plan must say netsculpt_plan: 1"),
        ('{"netsculpt_plan": 1}', "a plan must be as Plan.to_json wrote it: KeyError: 'edits'"),
        ('{"netsculpt_plan": 1, "edits": [1]}', "a plan must be as Plan.to_json wrote it: AttributeError"),
        ('{"netsculpt_plan": 1, "edits": [{}]}', "an edit must be one of prune, split, widen, insert, remove"),
        ('{"netsculpt_plan": 1, "edits": [{"edit": "prune"}]}', "a prune edit cannot be made of"),
        ('{"netsculpt_plan": 1, "edits": [{"edit": "prune", "axis": "a", "keep": {}}]}', "as Plan.to_json wrote it"),
        (
            '{"netsculpt_plan": 1, "edits": [{"edit": "prune", "axis": "a", "keep": {"tensor": [0], "dtype": "x"}}]}',
            "a plan must be as Plan.to_json wrote it: AttributeError",
        ),
        (
            '{"netsculpt_plan": 1, "edits": [{"edit": "insert", "module": {"layer": {"class": "Parameter"}}}]}',
            "a layer must be of a class in torch.nn, not 'Parameter'",
        ),
        ('{"netsculpt_plan": 1, "edits": [], "before": {"params": 1}}', "a plan must be as Plan.to_json wrote it"),
    ],
)  # fmt: skip
def test_text_that_is_no_plan(text: str, said: str) -> None:
    with pytest.raises(ArgumentError, match=said) as caught:
        Plan.from_json(text)
    assert "\n" not in str(caught.value)


class Own(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def test_a_layer_of_ones_own_can_be_planned_but_is_no_data() -> None:
    plan = Plan((InsertLayer("conv1", Own()),))
    with pytest.raises(EditError, match=r"Own is not a layer of torch\.nn .*, so it cannot be saved as data"):
        plan.to_json()


def test_what_is_no_plan() -> None:
    with pytest.raises(ArgumentError, match=r"a plan is made of Prune, .*, not 'prune'"):
        Plan(("prune",))
    with pytest.raises(ArgumentError, match="predicted must be a finite change of the loss or None, not nan"):
        Plan((), predicted=float("nan"))
    assert len(Plan(Prune("a", [0]))) == 1
    assert len(Plan(each for each in (Prune("a", [0]), Widen("a", 1)))) == 2


@pytest.mark.parametrize("kind", [Chain, Residual, Attention, Images])
def test_costs_are_those_of_the_edited_model(kind: type[nn.Module]) -> None:
    model, graph = made(kind)
    edits = []
    for number, axis in enumerate(graph.sculptable):
        edits += [Prune(axis.name, range(0, axis.size, 2)), Split(axis.name, 0), Widen(axis.name, number + 1)]
    plan = Plan.of(graph, edits)
    assert plan.before == graph.cost()
    apply(plan, model, graph=graph)
    retraced = trace(model, graph.inputs.args)
    assert plan.after == graph.cost() == retraced.cost()
    assert plan.after.params == sum(parameter.numel() for parameter in model.parameters())
    assert [axis.size for axis in retraced] == [axis.size for axis in graph]


def test_a_plan_is_checked_when_it_is_made() -> None:
    _, graph = made(Chain)
    for edits, error in (
        ([Prune("nowhere", [0])], GraphError),
        ([Prune("last", [0])], GraphError),
        ([Prune("first", [7])], ArgumentError),
        ([Split("first", 0), Prune("first", [1])], ArgumentError),
        ([Split("first", 0, offsets=rows(3, 5))], ArgumentError),
    ):
        with pytest.raises(error):
            Plan.of(graph, edits)


def test_what_is_not_preserved_is_said_before_it_happens() -> None:
    model, graph = made(Images)
    notes = [
        ([Prune("conv1", [0, 1])], 0),
        ([Split("conv1", 0)], 0),
        ([Widen("conv1", 2)], 0),
        ([Widen("conv1", 2, {"conv1.weight": rows(2, 27)})], 0),
        ([Widen("conv1", 1, {"conv2.weight": rows(1, 72)})], 1),
        ([Split("conv1", 0, offsets=rows(2, 28))], 1),
        ([Split("conv1", 0, offsets=0 * rows(2, 28))], 0),
        ([InsertLayer("conv1", nn.Identity())], 0),
        ([InsertLayer("conv1", nn.Identity(), exact=False)], 1),
        ([RemoveLayer("bn")], 1),
        ([Prune("conv1", [0, 1]), Split("conv3", 0, offsets=rows(2, 73)), RemoveLayer("bn")], 2),
    ]
    for edits, count in notes:
        plan = Plan.of(graph, edits)
        assert len(plan.inexact) == count, edits
        assert str(plan).count("not exact: ") == count
        assert (apply(plan, model, graph=graph).difference is None) == bool(count)
        undo(model)


def test_axes_that_cannot_be_exact_say_why() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6), nn.Linear(6, 2)).double()
    graph = trace(model, torch.randn(3, 4).double())
    for edit in (Prune("0", [0, 1]), Split("0", 0)):
        plan = Plan.of(graph, [edit])
        (note,) = plan.inexact
        assert note.startswith("0: ")
        assert apply(plan, model, graph=graph).difference is None
        undo(model)


def test_print() -> None:
    _, graph = made(Chain)
    lines = str(Plan.of(graph, [Prune("first", [0, 1, 2]), Split("second", 0)], predicted=0.01)).splitlines()
    assert lines == [
        "prune first: keep 3",
        "split second: unit 0 into 2",
        "parameters 77 → 53 (-31.2 %); multiply-accumulates 64 → 42 (-34.4 %)",
        "predicted change of the loss +0.01",
    ]


def test_data_of_an_edit_is_plain() -> None:
    data = to_data(Split("a", 1, offsets={"w": torch.ones(2, 1)}))
    assert json.loads(json.dumps(data)) == data
    assert data["edit"] == "split"
