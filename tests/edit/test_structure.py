"""Layers that come and go, and who trains them."""

import copy

import pytest
import torch
from torch import Tensor, nn, optim
from torch.optim.swa_utils import AveragedModel

from netsculpt.edit.transaction import Transaction
from netsculpt.errors import ArgumentError, EditError
from netsculpt.graph.gather import Gather
from tests.edit.networks import Net, make_batch, make_net, train_step
from tests.edit.photograph import Photograph


class Scale(nn.Module):
    """An identity at the start, with something to train."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels, 1, 1, dtype=torch.float64))
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x * self.weight


def identity_conv(channels: int) -> nn.Conv2d:
    conv = nn.Conv2d(channels, channels, 1).double()
    nn.init.dirac_(conv.weight)
    nn.init.zeros_(conv.bias)
    return conv


def grouped(net: nn.Module) -> optim.AdamW:
    named = list(net.named_parameters())
    return optim.AdamW(
        [
            {"params": [(n, p) for n, p in named if p.dim() > 1 and "conv" in n]},
            {"params": [(n, p) for n, p in named if p.dim() > 1 and "conv" not in n], "lr": 0.1},
            {"params": [(n, p) for n, p in named if p.dim() == 1], "weight_decay": 0.0},
        ]
    )


def test_an_inserted_layer_runs_and_trains_and_no_name_changes() -> None:
    net = make_net().eval()
    optimizer = grouped(net)
    names, x = list(net.state_dict()), make_batch(0)[0]
    wanted = net(x)
    with Transaction(net, [optimizer]) as edit:
        name = edit.insert_module("conv1", identity_conv(8))
        second = edit.insert_module("conv1", Scale(8))
    assert (name, second) == ("conv1.inserted", "conv1.inserted_1")
    assert torch.equal(net(x), wanted)
    assert net.conv1.inserted_1.calls == 1
    assert not net.conv1.inserted.training
    assert set(names) < set(net.state_dict())
    assert [n for group in optimizer.param_groups for n in group["param_names"] if "inserted" in n] == [
        "conv1.inserted.weight",
        "conv1.inserted_1.weight",
        "conv1.inserted.bias",
    ]
    assert "conv1.inserted.bias" in optimizer.param_groups[2]["param_names"]
    train_step(net.train(), 0, optimizer)
    assert not torch.equal(net.conv1.inserted.weight, identity_conv(8).weight)
    assert not torch.equal(net.conv1.inserted_1.weight, torch.ones_like(net.conv1.inserted_1.weight))


def test_copies_of_the_model_run_their_own_inserted_layer() -> None:
    net = make_net().eval()
    with Transaction(net) as edit:
        edit.insert_module("conv1", Scale(8))
    twin = copy.deepcopy(net)
    x = make_batch(0)[0]
    twin(x)
    assert (int(net.conv1.inserted.calls), int(twin.conv1.inserted.calls)) == (0, 1)


def test_a_sequential_just_gets_longer() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Sequential(nn.Linear(4, 4)))
    with Transaction(model) as edit:
        assert edit.insert_module("1", nn.Tanh()) == "1.1"
        assert edit.insert_module("", nn.Linear(4, 2)) == "2"
    assert not model[1]._forward_hooks
    assert model(torch.zeros(1, 3)).shape == (1, 2)


def test_a_layer_without_parameters_takes_the_group_of_the_nearest() -> None:
    net = make_net()
    optimizer = grouped(net)
    with Transaction(net, [optimizer]) as edit:
        edit.insert_module("pool", identity_conv(6))
        edit.insert_module("head", nn.Linear(5, 5).double())
        edit.insert_module("bn1", nn.Conv2d(8, 8, 1, bias=False).double())
    assert "bn1.inserted.weight" in optimizer.param_groups[0]["param_names"]
    assert "pool.inserted.weight" in optimizer.param_groups[0]["param_names"]
    assert "head.inserted.weight" in optimizer.param_groups[1]["param_names"]
    assert "pool.inserted.bias" in optimizer.param_groups[2]["param_names"]


def test_a_group_that_the_caller_names() -> None:
    net = make_net()
    optimizer = grouped(net)
    with Transaction(net, [optimizer]) as edit:
        edit.insert_module("conv1", identity_conv(8), group=optimizer.param_groups[1])
    assert {"conv1.inserted.weight", "conv1.inserted.bias"} < set(optimizer.param_groups[1]["param_names"])
    with pytest.raises(ArgumentError, match="one of the optimizers' own"):
        Transaction(net, [optimizer]).insert_module("conv1", identity_conv(8), group={"params": []})


def test_the_layer_itself_comes_before_others_with_the_same_names() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.RNN(3, 3), nn.Linear(3, 3))
    optimizer = optim.SGD([{"params": layer.parameters(), "lr": 0.1} for layer in model])
    with Transaction(model, [optimizer]) as edit:
        edit.insert_module("1", nn.Linear(3, 3))
    assert any(parameter is model[1].inserted.weight for parameter in optimizer.param_groups[1]["params"])


def test_muon_gets_matrices_only() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Tanh())
    muon, sgd = optim.Muon([model[0].weight]), optim.SGD([model[0].bias], 0.1)
    with Transaction(model, [muon, sgd]) as edit:
        edit.insert_module("0", nn.Linear(3, 3))
        edit.insert_module("1", nn.Conv1d(1, 1, 1))
    added = model[0].inserted
    assert any(p is added.weight for p in muon.param_groups[0]["params"])
    assert any(p is added.bias for p in sgd.param_groups[0]["params"])
    assert any(p is model[1].inserted.weight for p in sgd.param_groups[0]["params"])
    assert len(muon.param_groups[0]["params"]) == 2


def test_adagrad_steps_with_what_joined() -> None:
    net = make_net()
    optimizer = optim.Adagrad(net.parameters(), initial_accumulator_value=0.3)
    with Transaction(net, [optimizer]) as edit:
        edit.insert_module("conv1", identity_conv(8))
    assert torch.equal(optimizer.state[net.conv1.inserted.bias]["sum"], torch.full((8,), 0.3, dtype=torch.float64))
    train_step(net, 0, optimizer)
    assert optimizer.state[net.conv1.inserted.bias]["step"] == 1


def test_frozen_layers_join_nothing() -> None:
    net = make_net()
    optimizer = grouped(net)
    with Transaction(net, [optimizer]) as edit:
        edit.insert_module("conv1", identity_conv(8).requires_grad_(False))
    assert sum(len(group["params"]) for group in optimizer.param_groups) == 10


def test_parameters_that_were_frozen_join_later() -> None:
    net = make_net()
    optimizer = optim.SGD(net.head.parameters(), 0.1)
    with Transaction(net, [optimizer]) as edit:
        edit.add_parameters(["conv2.weight", "head.weight"], like="head")
    assert [id(p) for p in optimizer.param_groups[0]["params"]] == [
        id(net.head.weight),
        id(net.head.bias),
        id(net.conv2.weight),
    ]


def test_a_removed_layer_leaves_its_place_and_the_optimizer() -> None:
    net = make_net()
    with Transaction(net) as edit:
        edit.insert_module("conv1", identity_conv(8))
    optimizer = grouped(net)
    train_step(net, 0, optimizer)
    gone = list(net.bn1.parameters())
    with Transaction(net, [optimizer]) as edit:
        edit.replace_module("bn1", nn.Identity())
        edit.replace_module("conv1.inserted", nn.Identity())
    assert isinstance(net.bn1, nn.Identity)
    held = [p for group in optimizer.param_groups for p in group["params"]]
    assert {id(p) for p in held} == {id(p) for p in net.parameters()}
    assert set(map(id, optimizer.state)) == {id(p) for p in held}
    assert all(parameter not in optimizer.state for parameter in gone)
    for group in optimizer.param_groups:
        assert all(net.get_parameter(n) is p for n, p in zip(group["param_names"], group["params"], strict=True))
    train_step(net, 1, optimizer)


def test_a_shared_module_is_replaced_under_all_its_names() -> None:
    layer = nn.Linear(3, 3)
    model = nn.ModuleDict({"a": nn.Sequential(layer, nn.Tanh()), "b": layer})
    with Transaction(model) as edit:
        edit.replace_module("b", nn.Linear(3, 3))
    assert model["a"][0] is model["b"] is not layer


def test_what_is_still_used_elsewhere_stays_in_the_optimizer() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    optimizer = optim.SGD(model.parameters(), 0.1)
    with Transaction(model, [optimizer]) as edit:
        edit.replace_module("1", nn.Identity())
    assert [id(p) for p in optimizer.param_groups[0]["params"]] == [id(model[0].weight), id(model[0].bias)]


def restructured(edit: Transaction) -> None:
    edit.replace("bn1.bias", Gather({0: torch.tensor([1, 0, 2, 3, 4, 5, 6, 7])}))
    edit.insert_module("conv1", identity_conv(8))
    edit.insert_module("pool", Scale(6))
    edit.replace("conv1.inserted.bias", Gather({0: torch.arange(8)}))
    edit.replace_module("bn2", nn.Identity())
    edit.replace_module("bn1", nn.BatchNorm2d(8).double())
    edit.set_attribute("conv1", "padding_mode", "zeros")


def test_structure_is_rolled_back_and_undone_to_the_object() -> None:
    net = make_net()
    optimizer = grouped(net)
    train_step(net, 0, optimizer)
    ema = AveragedModel(net)
    entries = {name: tensor.detach().clone() for name, tensor in net.state_dict().items()}
    before = Photograph([net, ema], [optimizer], [entries])
    edit = Transaction(net, [optimizer], [ema, entries])
    restructured(edit)
    edit.rollback()
    before.assert_unchanged()
    with Transaction(net, [optimizer], [ema, entries]) as edit:
        restructured(edit)
    assert edit.applied is not None
    assert edit.applied.undo() == "exact"
    before.assert_unchanged()


def test_undone_after_training_what_was_removed_returns_and_the_rest_keeps_its_training() -> None:
    net = make_net()
    optimizer = grouped(net)
    train_step(net, 0, optimizer)
    moments = optimizer.state[net.bn2.weight]["exp_avg"].clone()
    edit = Transaction(net, [optimizer])
    restructured(edit)
    applied = edit.commit()
    train_step(net, 1, optimizer)
    weight = net.conv2.weight.detach().clone()
    assert applied.undo() == "merged"
    assert torch.equal(net.conv2.weight, weight)
    assert torch.equal(optimizer.state[net.bn2.weight]["exp_avg"], moments)
    assert not hasattr(net.conv1, "inserted")
    assert not net.conv1._forward_hooks
    held = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in net.parameters())
    train_step(net, 2, optimizer)


def test_averages_get_the_same_structure() -> None:
    net = make_net()
    optimizer = grouped(net)
    ema = AveragedModel(net, use_buffers=True)
    ema.update_parameters(net)
    parameters = {name: p.detach().clone() for name, p in net.named_parameters()}
    everything = {name: tensor.detach().clone() for name, tensor in net.state_dict().items()}
    with Transaction(net, [optimizer], [ema, parameters, everything]) as edit:
        restructured(edit)
    assert list(ema.module.state_dict()) == list(net.state_dict())
    assert ema.module.conv1.inserted is not net.conv1.inserted
    assert parameters.keys() == dict(net.named_parameters()).keys()
    assert everything.keys() == net.state_dict().keys()
    train_step(net, 0, optimizer)
    ema.update_parameters(net)
    x = make_batch(0)[0]
    ema.eval()(x)
    assert ema.module.pool.inserted.calls > 0


def test_an_edited_structure_exports() -> None:
    net = make_net().eval()
    with Transaction(net) as edit:
        edit.insert_module("conv1", identity_conv(8))
        edit.insert_module("pool", nn.Tanh())
    x = make_batch(0)[0]
    exported = torch.export.export(net, (x,))
    assert torch.equal(exported.module()(x), net(x))


def test_refusals() -> None:
    net: Net = make_net()
    with pytest.raises(EditError, match="layer that runs, not a ModuleList"):
        Transaction(nn.Sequential(nn.ModuleList())).insert_module("0", nn.Identity())
    with pytest.raises(EditError, match="not the model itself"):
        Transaction(net).replace_module("", nn.Identity())
    with pytest.raises(EditError, match="name of a module of the model, not 'conv7'"):
        Transaction(net).insert_module("conv7", nn.Identity())
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Tanh())
    with pytest.raises(EditError, match=r"1.inserted.weight finds no param group beside it; say which with group"):
        Transaction(model, [optim.Muon(model.parameters())]).insert_module("1", nn.Conv1d(2, 2, 1))
