"""What becomes of an optimizer's slots where entries are copied, scaled or new."""

from typing import Any

import pytest
import torch
from torch import nn, optim

from netsculpt.edit.optimizers import SLOTS
from netsculpt.edit.transaction import Transaction
from netsculpt.errors import EditError
from netsculpt.graph.gather import Gather
from tests.edit.optimizer_cases import KINDS


def stepped(cls: type[optim.Optimizer], shape: tuple[int, ...], **settings: Any) -> tuple[nn.Module, optim.Optimizer]:
    torch.manual_seed(0)
    model = nn.Module()
    model.register_parameter("weight", nn.Parameter(torch.randn(shape)))
    optimizer = cls(model.parameters(), **settings)
    for _ in range(2):
        model.weight.grad = torch.randn(shape)
        optimizer.step()
    return model, optimizer


HALVED = Gather({0: torch.tensor([2, 0, 0, -1])}, {0: torch.tensor([1.0, 0.5, -0.5, 1.0])})


@pytest.mark.parametrize(
    ("cls", "settings", "powers"),
    [
        (optim.Adam, {"amsgrad": True}, {"exp_avg": 1, "exp_avg_sq": 2, "max_exp_avg_sq": 2}),
        (optim.SGD, {"momentum": 0.9, "lr": 0.1}, {"momentum_buffer": 1}),
        (optim.RMSprop, {"momentum": 0.9, "centered": True}, {"momentum_buffer": 0, "grad_avg": 1, "square_avg": 2}),
        (optim.Adadelta, {}, {"square_avg": 2, "acc_delta": 0}),
        (optim.Adagrad, {}, {"sum": 2}),
        (optim.Adafactor, {}, {"row_var": 2, "col_var": None}),
        (optim.Rprop, {}, {"prev": 1}),
        (optim.ASGD, {}, {"ax": 1}),
    ],
)
def test_slots_of_copies_scale_with_their_gradients(
    cls: type[optim.Optimizer], settings: dict[str, Any], powers: dict[str, int | None]
) -> None:
    model, optimizer = stepped(cls, (3, 5), **settings)
    before = dict(optimizer.state[model.weight])
    with Transaction(model, [optimizer], slots="scaled") as edit:
        edit.replace("weight", HALVED)
    after = optimizer.state[model.weight]
    for name, power in powers.items():
        if power is None:
            assert torch.equal(after[name], before[name])
        else:
            factors = torch.tensor([1.0, 0.5, -0.5])[:, None] ** power
            assert torch.equal(after[name][:3], before[name][[2, 0, 0]] * factors), name
            assert not after[name][3].any() or name == "ax"
    if "ax" in powers:
        assert torch.equal(after["ax"][3], model.weight[3])


def test_the_greatest_gradient_scales_by_the_size_of_the_factor() -> None:
    model, optimizer = stepped(optim.Adamax, (3, 5))
    before = optimizer.state[model.weight]["exp_inf"]
    with Transaction(model, [optimizer], slots="scaled") as edit:
        edit.replace("weight", HALVED)
    assert torch.equal(
        optimizer.state[model.weight]["exp_inf"][:3], before[[2, 0, 0]] * torch.tensor([[1], [0.5], [0.5]])
    )


@pytest.mark.parametrize(("mode", "of_copies"), [("copy", 1.0), ("zero", 0.0)])
def test_slots_of_copies_stay_or_start_afresh(mode: Any, of_copies: float) -> None:
    model, optimizer = stepped(optim.Adam, (3, 5))
    before = dict(optimizer.state[model.weight])
    with Transaction(model, [optimizer], slots=mode) as edit:
        edit.replace("weight", HALVED)
    for name in ("exp_avg", "exp_avg_sq"):
        factors = torch.tensor([1.0, of_copies, of_copies])[:, None]
        assert torch.equal(optimizer.state[model.weight][name][:3], before[name][[2, 0, 0]] * factors)


def test_slots_scale_with_the_factors_of_the_gradients_where_those_are_given() -> None:
    model, optimizer = stepped(optim.Adam, (3, 5))
    before, gradient = dict(optimizer.state[model.weight]), model.weight.grad
    with Transaction(model, [optimizer], slots="scaled") as edit:
        edit.replace("weight", Gather(HALVED.index), gradient=HALVED)
    factors = torch.tensor([1.0, 0.5, -0.5])[:, None]
    assert torch.equal(optimizer.state[model.weight]["exp_avg"][:3], before["exp_avg"][[2, 0, 0]] * factors)
    assert torch.equal(model.weight.grad[:3], gradient[[2, 0, 0]] * factors)


@pytest.mark.parametrize(
    ("cls", "settings", "slot", "value"),
    [(optim.Rprop, {"lr": 0.03}, "step_size", 0.03), (optim.Adagrad, {"initial_accumulator_value": 0.2}, "sum", 0.2)],
)
def test_new_entries_hold_what_a_fresh_optimizer_would(
    cls: type[optim.Optimizer], settings: dict[str, Any], slot: str, value: float
) -> None:
    model, optimizer = stepped(cls, (3, 5), **settings)
    with Transaction(model, [optimizer]) as edit:
        edit.replace("weight", Gather({0: torch.tensor([0, 1, 2, -1])}))
    assert torch.equal(optimizer.state[model.weight][slot][3], torch.full((5,), value))


def test_adafactor_tells_an_average_from_a_dim_of_size_one() -> None:
    model, optimizer = stepped(optim.Adafactor, (3, 1))
    with Transaction(model, [optimizer]) as edit:
        edit.replace("weight", Gather({1: torch.tensor([0, 0, -1, -1])}))
    state = optimizer.state[model.weight]
    assert (state["row_var"].shape, state["col_var"].shape) == ((3, 1), (1, 4))
    model.weight.grad = torch.randn(3, 4)
    optimizer.step()
    assert (state["row_var"].shape, state["col_var"].shape) == ((3, 1), (1, 4))


def test_an_optimizer_with_other_shapes_is_refused_and_nothing_changes() -> None:
    model, optimizer = stepped(optim.SGD, (3, 5), momentum=0.9, lr=0.1)
    weight = model.weight
    optimizer.state[weight]["preconditioner"] = torch.eye(3)
    with pytest.raises(EditError, match=r"SGD keeps 'preconditioner' of shape \[3, 3\]"):
        Transaction(model, [optimizer]).replace("weight", Gather({0: torch.tensor([1])}))
    assert model.weight is weight
    optimizer.state[weight]["preconditioner"] = [torch.eye(3)]
    with pytest.raises(EditError, match="'preconditioner' of type list"):
        Transaction(model, [optimizer]).replace("weight", Gather({0: torch.tensor([1])}))


def test_the_table_names_only_slots_that_exist() -> None:
    seen = set()
    for cls, settings in KINDS.values():
        for shape in ((3, 5), (3,)):
            model, optimizer = stepped(cls, shape, **settings)
            seen |= optimizer.state[model.weight].keys()
    model, optimizer = stepped(optim.Muon, (3, 5))
    seen |= optimizer.state[model.weight].keys()
    assert seen >= SLOTS.keys()
    assert seen - SLOTS.keys() == {"step", "step_size", "acc_delta", "mu", "eta", "mu_product"}
