"""What goes along when a tensor is replaced: ties, hooks, gradients, values, lists that modules keep."""

import copy

import pytest
import torch
from torch import Tensor, nn, optim
from torch.nn.utils import parametrizations
from torch.optim.swa_utils import AveragedModel

from netsculpt.edit.transaction import Transaction
from netsculpt.errors import EditError, ShapeError
from netsculpt.graph.gather import Gather
from tests.edit.networks import KEEP_1, KEEP_2, backward, gather, make_net, prune, trained
from tests.edit.photograph import Photograph


def test_integers_and_flags_are_edited_alike_everywhere() -> None:
    model = nn.Module()
    model.register_buffer("table", torch.tensor([2, 0, 1]))
    model.register_buffer("mask", torch.tensor([True, False, True]))
    twin = copy.deepcopy(model)
    with Transaction(model, emas=[twin]) as edit:
        edit.replace("table", gather(0, 2), torch.tensor([1, 0]))
        edit.replace("mask", gather(2, 1), torch.tensor([False, True]))
    for each in (model, twin):
        assert each.table.tolist() == [1, 0]
        assert each.mask.tolist() == [False, True]
    assert twin.table is not model.table


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
