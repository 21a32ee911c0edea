"""Every optimizer goes on after an edit as one that was built for the edited model with the same state."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn, optim

from netsculpt.edit.optimizers import SLOTS
from netsculpt.edit.transaction import Transaction
from netsculpt.errors import EditError
from netsculpt.graph.gather import Gather
from tests.edit.networks import Net, make_net, pick, prune, pruned_oracle, train_step

KINDS: dict[str, tuple[type[optim.Optimizer], dict[str, Any]]] = {
    "Adadelta": (optim.Adadelta, {}),
    "Adafactor": (optim.Adafactor, {}),
    "Adagrad": (optim.Adagrad, {"initial_accumulator_value": 0.1}),
    "Adam": (optim.Adam, {"lr": 0.01}),
    "Adam-amsgrad": (optim.Adam, {"amsgrad": True}),
    "AdamW": (optim.AdamW, {"lr": 0.01, "weight_decay": 0.1}),
    "Adamax": (optim.Adamax, {}),
    "ASGD": (optim.ASGD, {"t0": 0}),
    "NAdam": (optim.NAdam, {}),
    "RAdam": (optim.RAdam, {"lr": 0.01}),
    "RMSprop": (optim.RMSprop, {}),
    "RMSprop-momentum-centered": (optim.RMSprop, {"momentum": 0.9, "centered": True}),
    "Rprop": (optim.Rprop, {}),
    "SGD": (optim.SGD, {"lr": 0.1}),
    "SGD-momentum": (optim.SGD, {"lr": 0.1, "momentum": 0.9}),
    "SGD-nesterov": (optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
}
FUSED = {"Adagrad", "Adam", "Adam-amsgrad", "AdamW", "SGD-momentum", "SGD-nesterov"}
MADE_BY_ARGUMENTS = {
    f"{kind}{suffix}": (cls, settings | extra)
    for kind, (cls, settings) in KINDS.items()
    for suffix, extra in (("", {"foreach": False}), ("-foreach", {"foreach": True}), ("-fused", {"fused": True}))
    if "fused" not in extra or kind in FUSED
}
CASES = [pytest.param(cls, settings, id=name) for name, (cls, settings) in MADE_BY_ARGUMENTS.items()]


def groups(net: nn.Module) -> list[dict[str, Any]]:
    named = list(net.named_parameters())
    return [
        {"params": [p for _, p in named if p.dim() > 1]},
        {"params": [p for _, p in named if p.dim() == 1], "weight_decay": 0.0},
    ]


def oracle_optimizer(
    cls: type[optim.Optimizer], settings: dict[str, Any], optimizer: optim.Optimizer, net: Net, small: Net
) -> optim.Optimizer:
    """An optimizer built for the small network, with what plain indexing leaves of the state."""
    fresh = cls(groups(small), **settings)
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    twins = dict(small.named_parameters())
    for parameter, state in optimizer.state.items():
        name = names[id(parameter)]
        fresh.state[twins[name]] = {
            key: pick(slot, name, parameter.shape)
            if isinstance(slot, Tensor) and slot.dim() == parameter.dim()
            else copy.deepcopy(slot)
            for key, slot in state.items()
        }
    for group, own in zip(fresh.param_groups, optimizer.param_groups, strict=True):
        group.update({key: copy.deepcopy(value) for key, value in own.items() if key != "params"})
    return fresh


def assert_same_model(model: nn.Module, other: nn.Module) -> None:
    ours, theirs = model.state_dict(), other.state_dict()
    assert ours.keys() == theirs.keys()
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-12, atol=1e-14, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize(("cls", "settings"), CASES)
def test_goes_on_like_a_fresh_optimizer_with_gathered_state(
    cls: type[optim.Optimizer], settings: dict[str, Any]
) -> None:
    net = make_net()
    optimizer = cls(groups(net), **settings)
    for seed in range(2):
        train_step(net, seed, optimizer)
    small = pruned_oracle(net)
    fresh = oracle_optimizer(cls, settings, optimizer, net, small)
    with Transaction(net, [optimizer]) as edit:
        prune(edit)
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert held == {id(p) for p in net.parameters()}
    assert len(optimizer.state) == len(fresh.state)
    for seed in range(2, 4):
        loss, wanted = train_step(net, seed, optimizer), train_step(small, seed, fresh)
        torch.testing.assert_close(loss, wanted, rtol=1e-12, atol=1e-14)
        assert_same_model(net, small)
    for ours, theirs in zip(optimizer.state.values(), fresh.state.values(), strict=True):
        for key in ours:
            torch.testing.assert_close(ours[key], theirs[key], rtol=1e-12, atol=1e-14)


def test_no_optimizer_of_torch_is_left_out() -> None:
    known = {cls for cls, _ in KINDS.values()} | {optim.LBFGS, optim.SparseAdam, optim.Muon, optim.Optimizer}
    assert known >= {cls for cls in vars(optim).values() if isinstance(cls, type) and issubclass(cls, optim.Optimizer)}


def test_muon_beside_another_optimizer() -> None:
    def build(net: nn.Module) -> tuple[optim.Muon, optim.SGD]:
        matrices = [p for p in net.parameters() if p.dim() == 2]
        return optim.Muon(matrices, lr=0.01), optim.SGD([p for p in net.parameters() if p.dim() != 2], 0.1, 0.9)

    net = make_net()
    muon, sgd = build(net)
    train_step(net, 0, muon, sgd)
    small = pruned_oracle(net)
    small_muon, small_sgd = build(small)
    for optimizer, fresh in ((muon, small_muon), (sgd, small_sgd)):
        names = {id(parameter): name for name, parameter in net.named_parameters()}
        for parameter, state in optimizer.state.items():
            name = names[id(parameter)]
            slot = pick(state["momentum_buffer"], name, parameter.shape)
            fresh.state[dict(small.named_parameters())[name]] = {"momentum_buffer": slot}
    with Transaction(net, [muon, sgd]) as edit:
        prune(edit)
    for seed in (1, 2):
        train_step(net, seed, muon, sgd)
        train_step(small, seed, small_muon, small_sgd)
        assert_same_model(net, small)


def test_sparse_gradients_and_their_optimizer() -> None:
    torch.manual_seed(0)
    table = nn.Embedding(6, 4, sparse=True)
    optimizer = optim.SparseAdam(table.parameters())
    table(torch.tensor([1, 3, 3])).sum().backward()
    optimizer.step()
    before, gradient, slots = table.weight.detach().clone(), table.weight.grad, dict(optimizer.state[table.weight])
    with Transaction(table, [optimizer]) as edit:
        edit.replace("weight", Gather({1: torch.tensor([2, 0])}))
    assert gradient is not None
    assert table.weight.grad is not None
    assert table.weight.grad.is_sparse
    assert torch.equal(table.weight.grad.to_dense(), gradient.to_dense()[:, [2, 0]])
    assert torch.equal(table.weight, before[:, [2, 0]])
    assert torch.equal(optimizer.state[table.weight]["exp_avg"], slots["exp_avg"][:, [2, 0]])
    optimizer.step()
    assert not torch.equal(table.weight, before[:, [2, 0]])


def test_groups_schedulers_and_names_go_on() -> None:
    net = make_net()
    optimizer = optim.AdamW(
        [{"params": list(net.named_parameters())[:5]}, {"params": list(net.named_parameters())[5:]}]
    )
    scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=4)
    train_step(net, 0, optimizer)
    scheduler.step()
    dicts, lists = list(optimizer.param_groups), [group["params"] for group in optimizer.param_groups]
    names = [list(group["param_names"]) for group in optimizer.param_groups]
    rate = optimizer.param_groups[0]["lr"]
    with Transaction(net, [optimizer]) as edit:
        prune(edit)
    assert all(now is was for now, was in zip(optimizer.param_groups, dicts, strict=True))
    assert all(group["params"] is was for group, was in zip(optimizer.param_groups, lists, strict=True))
    assert [group["param_names"] for group in optimizer.param_groups] == names
    parameters = dict(net.named_parameters())
    for group in optimizer.param_groups:
        assert all(parameters[n] is p for n, p in zip(group["param_names"], group["params"], strict=True))
    train_step(net, 1, optimizer)
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] == scheduler.get_last_lr()[0] < rate
    saved = optimizer.state_dict()
    again = optim.AdamW(net.parameters())
    again.load_state_dict({**saved, "param_groups": [{**again.state_dict()["param_groups"][0]}]})
    assert len(again.state) == len(optimizer.state)


def test_capturable_steps_and_tensor_rates_stay_what_they_are() -> None:
    net = make_net()
    rate = torch.tensor(0.01)
    optimizer = optim.Adam(net.parameters(), lr=rate, fused=True)
    train_step(net, 0, optimizer)
    with Transaction(net, [optimizer]) as edit:
        prune(edit)
    assert optimizer.param_groups[0]["lr"] is rate
    steps = [state["step"] for state in optimizer.state.values()]
    assert all(isinstance(step, Tensor) and step.dim() == 0 and step.item() == 1 for step in steps)
    train_step(net, 1, optimizer)
    assert {state["step"].item() for state in optimizer.state.values()} == {2}


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


def test_lbfgs_is_refused_only_with_a_history() -> None:
    net = make_net()
    optimizer = optim.LBFGS(net.parameters(), max_iter=2)
    Transaction(net, [optimizer])

    def closure() -> Tensor:
        return train_step(net, 0)

    optimizer.step(closure)
    with pytest.raises(EditError, match="LBFGS keeps a history"):
        Transaction(net, [optimizer])


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


def test_an_optimizer_of_another_model_is_refused() -> None:
    with pytest.raises(EditError, match="holds none of its parameters"):
        Transaction(make_net(), [optim.SGD(make_net().parameters())])


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
