"""Several edits taken back, and what else may have happened to a model meanwhile."""

import pytest
import torch
from torch import optim

from netsculpt.edit.transaction import Transaction
from netsculpt.errors import EditError
from netsculpt.graph.gather import Gather
from tests.edit.networks import KEEP_1, Net, assert_same_model, backward, make_net, pruned, pruned_oracle, train_step
from tests.edit.photograph import Photograph


def test_several_edits_are_undone_one_by_one_in_order() -> None:
    net = make_net()
    optimizer = optim.Adam(net.parameters())
    train_step(net, 0, optimizer)
    before = Photograph([net], [optimizer])
    first = pruned(net, optimizer)
    between = Photograph([net], [optimizer])
    edit = Transaction(net, [optimizer])
    edit.replace("bn1.weight", Gather({0: torch.tensor([0, 0])}))
    edit.set_attribute("bn1", "num_features", 2)
    second = edit.commit()
    with pytest.raises(EditError, match=r"BatchNorm2d\.\w+ was changed again after this transaction; undo that first"):
        first.undo()
    assert second.undo() == "exact"
    between.assert_unchanged()
    assert first.undo() == "exact"
    before.assert_unchanged()


def test_training_passes_through_several_undos() -> None:
    net = make_net()
    optimizer = optim.Adam(net.parameters(), lr=0.01)
    first = pruned(net, optimizer)
    whole = net.conv1.bias.shape[0]
    edit = Transaction(net, [optimizer])
    for name in ("conv1.weight", "conv1.bias", "bn1.weight", "bn1.bias", "bn1.running_mean", "bn1.running_var"):
        edit.replace(name, Gather({0: torch.tensor([4, 0])}))
        edit.replace(name, Gather({0: torch.tensor([1])}))
    edit.replace("conv2.weight", Gather({1: torch.tensor([0])}))
    second = edit.commit()
    train_step(net, 0, optimizer)
    value = net.conv1.bias.item()
    moment = optimizer.state[net.conv1.bias]["exp_avg"].item()
    assert second.undo() == "merged"
    assert net.conv1.bias.shape == (whole,)
    assert net.conv1.bias[0].item() == value
    assert first.undo() == "merged"
    assert net.conv1.bias[KEEP_1[0]].item() == value
    assert net.conv1.bias.shape == (8,)
    state = optimizer.state[net.conv1.bias]
    assert state["exp_avg"][KEEP_1[0]].item() == moment
    assert state["exp_avg"].count_nonzero() == 1
    assert state["step"].item() == 1
    train_step(net, 1, optimizer)


def test_a_model_cast_or_loaded_since() -> None:
    net = make_net()
    applied = pruned(net)
    net.float()
    weight = net.conv1.weight.detach().clone()
    assert applied.undo() == "merged"
    assert net.conv1.weight.dtype == torch.float32
    assert torch.equal(net.conv1.weight[KEEP_1], weight)
    backward(net.double(), 0)
    net = make_net()
    applied = pruned(net)
    other = pruned_oracle(make_net(1))
    net.load_state_dict(other.state_dict())
    assert applied.undo() == "merged"
    assert torch.equal(net.conv1.weight[KEEP_1], other.conv1.weight)


def test_freezing_since_stays() -> None:
    net = make_net()
    applied = pruned(net)
    net.conv1.requires_grad_(False)
    assert applied.undo() == "exact"
    assert not net.conv1.weight.requires_grad
    assert net.conv2.weight.requires_grad


def test_an_optimizer_whose_state_was_cleared_since() -> None:
    net = make_net()
    optimizer = optim.Adam(net.parameters())
    train_step(net, 0, optimizer)
    applied = pruned(net, optimizer)
    optimizer.state.clear()
    assert applied.undo() == "merged"
    assert not optimizer.state
    train_step(net, 1, optimizer)
    assert len(optimizer.state) == len(list(net.parameters()))


def test_undo_then_prune_again_is_the_first_pruning() -> None:
    net: Net = make_net()
    small = pruned_oracle(net)
    pruned(net).undo()
    pruned(net)
    assert_same_model(net, small)


def test_a_buffer_that_was_edited_again_is_not_taken_for_one_that_was_cast() -> None:
    net = make_net()
    with Transaction(net) as first:
        first.replace("bn1.running_var", Gather({0: torch.arange(5)}))
    with Transaction(net) as second:
        second.replace("bn1.running_var", Gather({0: torch.arange(3)}))
    assert first.applied is not None
    assert second.applied is not None
    with pytest.raises(EditError, match=r"BatchNorm2d\.running_var was changed again"):
        first.applied.undo()
    assert net.bn1.running_var.shape == (3,)
    assert (second.applied.undo(), first.applied.undo()) == ("exact", "exact")
