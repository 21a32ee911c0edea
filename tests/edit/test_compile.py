"""A compiled model is compiled again once per edit, and never wrong."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, fx, nn, optim

from netsculpt.edit.transaction import Transaction
from netsculpt.graph.gather import Gather
from tests.edit.networks import KEEP_1, backward, make_batch, make_net, prune, pruned_oracle


class Eager:
    """torch.compile's backend "eager" that counts what it compiles."""

    def __init__(self) -> None:
        self.compiled = 0

    def __call__(self, graph: fx.GraphModule, inputs: Sequence[Tensor]) -> Callable[..., Tensor]:
        self.compiled += 1
        return graph.forward


def test_one_recompilation_per_edit_and_right_outputs() -> None:
    torch._dynamo.reset()
    net, backend = make_net().eval(), Eager()
    small = pruned_oracle(net).eval()
    compiled = torch.compile(net, backend=backend)
    optimizer = optim.SGD(net.parameters(), 0.1, 0.9)
    x = make_batch(0)[0]
    for _ in range(3):
        assert torch.equal(compiled(x), net(x))
    assert backend.compiled == 1
    with Transaction(compiled, [optimizer]) as edit:
        prune(edit)
    for _ in range(3):
        torch.testing.assert_close(compiled(x), small(x), rtol=1e-13, atol=1e-14)
    assert backend.compiled == 2
    with Transaction(compiled, [optimizer]) as edit:
        edit.insert_module("conv1", nn.Tanh())
        inside = compiled(x)
    assert not torch.allclose(inside, small(x))
    for _ in range(3):
        assert torch.equal(compiled(x), net(x))
    assert backend.compiled == 3
    assert edit.applied is not None
    assert edit.applied.undo() == "exact"
    for _ in range(3):
        torch.testing.assert_close(compiled(x), small(x), rtol=1e-13, atol=1e-14)
    assert backend.compiled == 4


def test_it_trains_on() -> None:
    torch._dynamo.reset()
    net = make_net()
    compiled = torch.compile(net, backend="eager")
    optimizer = optim.SGD(net.parameters(), 0.1)
    backward(compiled, 0)
    optimizer.step()
    with Transaction(compiled, [optimizer]) as edit:
        edit.replace("conv1.weight", Gather({0: torch.tensor(KEEP_1)}))
        edit.rollback()
    with Transaction(compiled, [optimizer]) as edit:
        prune(edit)
    optimizer.zero_grad()
    before = net.conv2.weight.detach().clone()
    backward(compiled, 1)
    optimizer.step()
    assert net.conv2.weight.shape[:2] == (4, 5)
    assert not torch.equal(net.conv2.weight, before)


def test_it_never_gives_up_compiling() -> None:
    model, backend = nn.Linear(3, 20), Eager()
    compiled = torch.compile(model, backend=backend)
    for size in range(19, 7, -1):
        with Transaction(compiled) as edit:
            for name in ("weight", "bias"):
                edit.replace(name, Gather({0: torch.arange(size)}))
        assert compiled(torch.zeros(2, 3)).shape == compiled(torch.ones(2, 3)).shape == (2, size)
    assert backend.compiled == 12
