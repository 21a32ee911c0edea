"""What stays, what follows, and that a failure leaves nothing behind."""

import gc
import weakref
from typing import Any

import pytest
import torch
from torch import Tensor, nn, optim
from torch.nn.utils import parametrizations
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from netsculpt.edit.transaction import Transaction
from netsculpt.errors import ArgumentError, EditError, ShapeError
from netsculpt.graph.gather import Gather
from tests.edit.networks import KEEP_1, KEEP_2, Net, backward, make_batch, make_net, prune, pruned_oracle, train_step
from tests.edit.photograph import Photograph


def gather(*index: int, dim: int = 0) -> Gather:
    return Gather({dim: torch.tensor(index)})


def trained(seed: int = 0) -> tuple[Net, optim.Adam, AveragedModel, dict[str, Tensor]]:
    net = make_net(seed)
    optimizer = optim.Adam(net.parameters(), lr=0.01, amsgrad=True)
    ema = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
    for step in range(2):
        train_step(net, step, optimizer)
        ema.update_parameters(net)
    return net, optimizer, ema, {name: p.detach() * 0.99 for name, p in net.named_parameters()}


def test_the_pruned_model_is_the_small_model() -> None:
    net = make_net()
    train_step(net, 0)
    small = pruned_oracle(net)
    names = list(net.state_dict())
    with Transaction(net) as edit:
        prune(edit)
    assert list(net.state_dict()) == names
    assert repr(net) == repr(small)
    for name, tensor in small.state_dict().items():
        assert torch.equal(net.state_dict()[name], tensor), name


@pytest.mark.parametrize("place", ["first", "late", "optimizer", "average", "setattr", "interrupt"])
def test_a_failure_anywhere_leaves_everything_to_the_bit(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    net, optimizer, ema, entries = trained()
    net.conv1.weight.register_hook(lambda grad: grad)
    if place == "optimizer":
        optimizer.state[net.head.weight]["basis"] = torch.eye(2)
    if place == "average":
        entries["conv2.weight"] = torch.zeros(2, 2)
    before = Photograph([net, ema], [optimizer], [entries])
    edit = Transaction(net, [optimizer], [ema, entries])

    def fail(*_: Any) -> None:
        raise KeyboardInterrupt if place == "interrupt" else RuntimeError("injected")

    if place == "setattr":
        original = nn.BatchNorm2d.__setattr__
        monkeypatch.setattr(
            nn.BatchNorm2d,
            "__setattr__",
            lambda self, key, value: fail() if key == "running_var" and len(value) < 6 else original(self, key, value),
            raising=False,
        )
    with pytest.raises((RuntimeError, KeyboardInterrupt)), edit:
        if place == "first":
            edit.replace("nothing", Gather({}))
        prune(edit, fail)
        pytest.fail("nothing failed")
    monkeypatch.undo()
    before.assert_unchanged()
    with pytest.raises(EditError, match="closed"):
        edit.replace("conv1.weight", Gather({}))


def test_rollback_after_the_edited_model_ran() -> None:
    net, optimizer, ema, entries = trained()
    before = Photograph([net, ema], [optimizer], [entries])
    edit = Transaction(net, [optimizer], [ema, entries])
    prune(edit)
    assert before.differs()
    small = pruned_oracle(Net().double())
    for module in (net, ema):
        with torch.no_grad():
            assert module.eval()(make_batch(0)[0]).shape == small(make_batch(0)[0]).shape
        module.train()
    edit.rollback()
    before.assert_unchanged()
    edit.rollback()


def test_steps_before_a_rollback_do_not_reach_what_was_replaced() -> None:
    net, optimizer, _, _ = trained()
    old, slots = net.conv1.weight.clone(), {n: t.clone() for n, t in optimizer.state[net.conv1.weight].items()}
    edit = Transaction(net, [optimizer])
    prune(edit)
    train_step(net, 2, optimizer)
    edit.rollback()
    assert torch.equal(net.conv1.weight, old)
    assert slots["step"] == 2
    for name, slot in optimizer.state[net.conv1.weight].items():
        assert torch.equal(slot, slots[name]), name


def test_leaving_the_block_commits_and_a_later_failure_does_not_undo() -> None:
    net = make_net()
    with Transaction(net) as edit:
        edit.replace("bn1.weight", gather(0))
    assert edit.applied is not None
    assert net.bn1.weight.shape == (1,)
    with pytest.raises(RuntimeError), Transaction(net) as edit:
        edit.replace("bn1.bias", gather(0))
        edit.commit()
        raise RuntimeError
    assert net.bn1.bias.shape == (1,)
    with pytest.raises(EditError, match="committed"):
        edit.rollback()


def test_frozen_stays_frozen_and_untrained_stays_untrained() -> None:
    net = make_net()
    net.conv1.requires_grad_(False)
    optimizer = optim.SGD([p for p in net.parameters() if p.requires_grad], 0.1, 0.9)
    train_step(net, 0, optimizer)
    with Transaction(net, [optimizer]) as edit:
        prune(edit)
    assert not net.conv1.weight.requires_grad
    assert not net.conv1.bias.requires_grad
    assert net.conv2.weight.requires_grad
    held = {id(p) for p in optimizer.param_groups[0]["params"]}
    assert held == {id(p) for p in net.parameters() if p.requires_grad}
    frozen = net.conv1.weight.clone()
    train_step(net, 1, optimizer)
    assert torch.equal(net.conv1.weight, frozen)
    net.requires_grad_(False)
    with Transaction(net) as edit:
        edit.replace("bn1.weight", gather(0))
    assert not net.bn1.weight.requires_grad


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5, 4)
        self.middle = nn.Linear(4, 4)
        self.again = self.middle
        self.head = nn.Linear(4, 5, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.again(self.middle(self.embedding(x))))


@pytest.mark.parametrize("name", ["embedding.weight", "head.weight"])
def test_tied_stays_tied(name: str) -> None:
    torch.manual_seed(0)
    model = Tied()
    optimizer = optim.Adam(model.parameters())
    average = model.embedding.weight.detach().clone()
    entries = {"embedding.weight": average, "head.weight": average}
    ema = AveragedModel(model)
    model(torch.tensor([1, 2])).sum().backward()
    optimizer.step()
    before = model.embedding.weight.detach().clone()
    photograph = Photograph([model, ema], [optimizer], [entries])
    edit = Transaction(model, [optimizer], [entries, ema])
    new = edit.replace(name, gather(0, 3, dim=1))
    assert model.embedding.weight is model.head.weight is new
    assert torch.equal(new, before[:, [0, 3]])
    assert ema.module.embedding.weight is ema.module.head.weight
    assert entries["head.weight"] is entries["embedding.weight"]
    assert entries["head.weight"].shape == (5, 2)
    edit.replace("again.weight", gather(1, 2))
    assert model.middle.weight is model.again.weight
    assert len(optimizer.param_groups[0]["params"]) == 3
    edit.rollback()
    photograph.assert_unchanged()


def test_hooks_and_attributes_go_along() -> None:
    model = nn.Linear(3, 4)
    weight = model.weight
    calls: list[torch.Size] = []
    weight.tag = "mine"
    handle = weight.register_hook(lambda grad: grad * 2)
    late = weight.register_post_accumulate_grad_hook(lambda p: calls.append(p.shape))
    with Transaction(model) as edit:
        edit.replace("weight", gather(1, 2))
        edit.replace("bias", gather(1, 2))
    assert model.weight.tag == "mine"
    model(torch.ones(1, 3)).sum().backward()
    assert torch.equal(model.weight.grad, torch.full((2, 3), 2.0))
    assert calls == [(2, 3)]
    handle.remove()
    late.remove()
    model.weight.grad = None
    model(torch.ones(1, 3)).sum().backward()
    assert torch.equal(model.weight.grad, torch.ones(2, 3))
    assert len(calls) == 1


class Marked(nn.Parameter):
    pass


def test_classes_dtypes_and_formats_stay() -> None:
    model = nn.Conv2d(4, 6, 3).to(torch.bfloat16, memory_format=torch.channels_last)
    model.bias = Marked(model.bias.detach())
    with Transaction(model) as edit:
        edit.replace("weight", gather(2, 0, dim=1))
        edit.replace("bias", gather(1))
    assert model.weight.dtype == torch.bfloat16
    assert model.weight.is_contiguous(memory_format=torch.channels_last)
    assert type(model.weight) is nn.Parameter
    assert type(model.bias) is Marked


def test_gradients_are_gathered() -> None:
    net = make_net()
    backward(net, 0)
    gradients = {name: p.grad.clone() for name, p in net.named_parameters()}
    with Transaction(net) as edit:
        prune(edit)
    assert torch.equal(net.conv2.weight.grad, gradients["conv2.weight"][KEEP_2][:, KEEP_1])
    assert torch.equal(net.head.bias.grad, gradients["head.bias"])
    shares = Gather({0: torch.tensor([0, 0])}, {0: torch.tensor([0.5, 0.5])})
    gradient = net.bn1.weight.grad.clone()
    with Transaction(net) as edit:
        edit.replace("bn1.weight", shares)
        edit.replace("bn1.bias", gather(0, 0), gradient=shares)
    assert torch.equal(net.bn1.weight.grad, gradient[[0, 0]])
    assert torch.equal(net.bn1.bias.grad, gradients["bn1.bias"][KEEP_1][[0, 0]] / 2)


def test_a_split_carries_the_gradients_that_backward_would_find() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    x = torch.randn(5, 3, dtype=torch.float64)
    model(x).square().sum().backward()
    weights = torch.tensor([1.0, 0.25, 1, 1, 0.75])
    index = torch.tensor([0, 1, 2, 3, 1])
    with Transaction(model) as edit:
        for name in ("0.weight", "0.bias"):
            edit.replace(name, Gather({0: index}), gradient=Gather({0: index}, {0: weights}))
        edit.replace("2.weight", Gather({1: index}, {1: weights}))
    carried = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    model(x).square().sum().backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(carried[name], parameter.grad, rtol=1e-12, atol=1e-13)


def test_values_and_fill() -> None:
    net, optimizer, ema, entries = trained()
    wide = Gather({0: torch.tensor([*range(8), -1, 3])})
    value = wide.gather(net.bn1.weight)
    value[8:] = 0.25
    averages = ema.module.bn1.weight.clone(), entries["bn1.weight"].clone()
    old = net.bn1.weight.detach().clone()
    with Transaction(net, [optimizer], [ema, entries]) as edit:
        edit.replace("bn1.weight", wide, value)
        edit.replace("bn1.running_var", wide, fill=1.0)
    value.zero_()
    assert net.bn1.weight[8] == net.bn1.weight[9] == 0.25
    assert torch.equal(net.bn1.weight[:8], old)
    for average, edited in zip(averages, (ema.module.bn1.weight, entries["bn1.weight"]), strict=True):
        assert edited[8] == 0.25
        torch.testing.assert_close(edited[9], average[3] + (0.25 - old[3]))
        assert torch.equal(edited[:8], average)
    assert net.bn1.running_var[8] == ema.module.bn1.running_var[8] == 1
    with pytest.raises(ShapeError, match=r"value of bn1.bias must have shape \[1\], not \[2\]"):
        Transaction(net).replace("bn1.bias", gather(0), torch.zeros(2))


def test_averages_go_on() -> None:
    net, optimizer, ema, _ = trained()
    small_net, small_ema = pruned_oracle(net), pruned_oracle(ema.module)
    with Transaction(net, [optimizer], [ema]) as edit:
        prune(edit)
    assert repr(ema.module) == repr(small_ema)
    ema.update_parameters(net)
    for name, average in ema.module.state_dict().items():
        if average.is_floating_point():
            wanted = small_ema.state_dict()[name] * 0.9 + small_net.state_dict()[name] * 0.1
            torch.testing.assert_close(average, wanted, rtol=1e-12, atol=1e-14)
    for parameter in ema.parameters():
        assert not any(parameter is p for p in optimizer.param_groups[0]["params"])


def test_lstm_runs_with_its_new_weights() -> None:
    torch.manual_seed(0)
    model = nn.LSTM(4, 6, num_layers=2).double()
    optimizer = optim.Adam(model.parameters())
    x = torch.randn(5, 2, 4, dtype=torch.float64)
    whole = model(x)[0]
    keep = torch.tensor([1, 2, 5])
    gates = torch.cat([keep + 6 * gate for gate in range(4)])
    small = nn.LSTM(4, 3, num_layers=2).double()
    edit = Transaction(model, [optimizer])
    for name, parameter in list(model.named_parameters()):
        index = {0: gates}
        if "weight_hh" in name or name == "weight_ih_l1":
            index[1] = keep
        wanted = parameter.detach()[gates]
        small.get_parameter(name).data = wanted[:, keep] if 1 in index else wanted
        edit.replace(name, Gather(index))
    edit.set_attribute("", "hidden_size", 3)
    output, (hidden, _) = model(x)
    wanted, (wanted_hidden, _) = small(x)
    assert torch.equal(output, wanted)
    assert torch.equal(hidden, wanted_hidden)
    assert all(
        weight is model.get_parameter(name)
        for weight, name in zip(model._flat_weights, model._flat_weights_names, strict=True)
    )
    edit.rollback()
    assert torch.equal(model(x)[0], whole)
    assert all(
        weight is model.get_parameter(name)
        for weight, name in zip(model._flat_weights, model._flat_weights_names, strict=True)
    )


def test_parametrized_tensors_have_the_names_of_their_originals() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(parametrizations.weight_norm(nn.Linear(3, 4)), nn.Linear(4, 2)).double()
    optimizer = optim.SGD(model.parameters(), 0.1, 0.9)
    x = torch.randn(5, 3, dtype=torch.float64)
    wanted = model[0](x)[:, [2, 0]]
    with pytest.raises(EditError, match=r"it is parametrized, so edit '0.parametrizations.weight.original0' and"):
        Transaction(model, [optimizer]).replace("0.weight", gather(2, 0))
    with Transaction(model, [optimizer]) as edit:
        for name in ("0.parametrizations.weight.original0", "0.parametrizations.weight.original1", "0.bias"):
            edit.replace(name, gather(2, 0))
        edit.replace("1.weight", gather(2, 0, dim=1))
    torch.testing.assert_close(model[0](x), wanted)
    before = model[0].weight.detach().clone()
    model(x).sum().backward()
    optimizer.step()
    assert not torch.equal(model[0].weight, before)


def test_the_scaler_of_mixed_precision_needs_nothing() -> None:
    net = make_net().float()
    optimizer = optim.SGD(net.parameters(), 0.1, 0.9)
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)

    def step(seed: int) -> None:
        optimizer.zero_grad()
        x = torch.randn(4, 3, 5, 5, generator=torch.Generator().manual_seed(seed))
        scaler.scale(net(x).square().mean()).backward()
        scaler.step(optimizer)
        scaler.update()

    step(0)
    with Transaction(net, [optimizer]) as edit:
        prune(edit)
    before = net.conv2.weight.detach().clone()
    step(1)
    assert not torch.equal(net.conv2.weight, before)
    assert scaler.get_scale() == 8.0


def test_what_was_replaced_is_freed_with_the_applied_transaction() -> None:
    net = make_net()
    old = weakref.ref(net.conv1.weight)
    with Transaction(net) as edit:
        prune(edit)
    gc.collect()
    assert old() is not None
    del edit
    gc.collect()
    assert old() is None


def test_wrong_arguments() -> None:
    net = make_net()
    with pytest.raises(EditError, match=r"parameter or buffer of the model, not 'conv9.weight'"):
        Transaction(net).replace("conv9.weight", Gather({}))
    with pytest.raises(ShapeError, match=r"conv1.weight: index\[0\] must lie in -1 … 7, not 8 … 8"):
        Transaction(net).replace("conv1.weight", gather(8))
    with pytest.raises(EditError, match="plain attribute of conv1, not 'weight'"):
        Transaction(net).set_attribute("conv1", "weight", 3)
    with pytest.raises(EditError, match="plain attribute of the model, not 'nothing'"):
        Transaction(net).set_attribute("", "nothing", 3)
    with pytest.raises(EditError, match="name of a module of the model, not 'conv9'"):
        Transaction(net).set_attribute("conv9", "groups", 3)
    with pytest.raises(ArgumentError, match="slots must be one of copy, zero, scaled, not 'half'"):
        Transaction(net, slots="half")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match=r"emas\[0\] must be a module or a dict of tensors, not str"):
        Transaction(net, emas=["a"])  # type: ignore[list-item]
    with pytest.raises(ArgumentError, match=r"optimizers\[0\] must be an optimizer, not dict"):
        Transaction(net, [{}])  # type: ignore[list-item]
    with pytest.raises(EditError, match=r"weight has no shape before the first forward pass"):
        Transaction(nn.LazyLinear(3)).replace("weight", Gather({}))
    with pytest.raises(EditError, match=r"average of bn1.weight must have the model's shape \[8\], not \[2\]"):
        Transaction(net, emas=[{"bn1.weight": torch.zeros(2)}]).replace("bn1.weight", gather(0))


def test_wrappers_are_refused_by_name() -> None:
    class FullyShardedDataParallel(nn.Module):
        pass

    class FSDPModule:
        pass

    class Sharded(FSDPModule, nn.Linear):
        pass

    for model in (nn.Sequential(FullyShardedDataParallel()), Sharded(2, 2)):
        with pytest.raises(EditError, match=r"keeps parameters in .*shards"):
            Transaction(model)
