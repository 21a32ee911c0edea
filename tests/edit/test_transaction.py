"""What stays, what follows, and that a failure leaves nothing behind."""

import gc
import weakref
from typing import Any

import pytest
import torch
from torch import nn, optim

from netsculpt.edit.slot_changes import SlotChange
from netsculpt.edit.transaction import Transaction
from netsculpt.errors import ArgumentError, EditError, ShapeError
from netsculpt.graph.gather import Gather
from tests.edit.networks import Net, gather, make_batch, make_net, prune, pruned_oracle, train_step, trained
from tests.edit.photograph import Photograph


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


def test_a_commit_that_fails_is_rolled_back(monkeypatch: pytest.MonkeyPatch) -> None:
    net, optimizer, ema, entries = trained()
    before = Photograph([net, ema], [optimizer], [entries])

    def fail(_: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(SlotChange, "seal", fail)
    with pytest.raises(MemoryError), Transaction(net, [optimizer], [ema, entries]) as edit:
        prune(edit)
    before.assert_unchanged()


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
