"""``graph.verify(model)`` needs nothing but the model, believes a right graph and no wrong one."""

import torch
from torch import Tensor, nn

from netsculpt.graph.tracing import trace


class Network(nn.Module):
    """``uneven`` treats the hidden units differently by their position, which the traced program did not."""

    def __init__(self, uneven: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Linear(5, 6)
        self.second = nn.Linear(6, 3)
        self.uneven = uneven

    def forward(self, x: Tensor, *, scale: Tensor) -> Tensor:
        hidden = torch.tanh(self.first(x)) * scale
        return self.second(hidden.cumsum(-1) if self.uneven else hidden)


def test_a_right_graph_holds_with_the_inputs_it_was_traced_with() -> None:
    model, inputs = Network(), (torch.randn(4, 5),)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    graph = trace(model, inputs, {"scale": torch.rand(())})
    (proof,) = graph.verify(model)
    assert proof.holds
    assert (proof.axis, proof.size, proof.error) == ("first", 6, None)
    assert graph.inputs.args[0] is inputs[0]
    assert model.training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_a_graph_of_another_model_does_not_hold() -> None:
    graph = trace(Network(), (torch.randn(4, 5),), {"scale": torch.rand(())})
    (proof,) = graph.verify(Network(uneven=True))
    assert not proof.holds
    assert proof.permuted > 1e-3


def test_the_seed_chooses_the_permutation() -> None:
    graph = trace(Network(), (torch.randn(4, 5),), {"scale": torch.rand(())})
    uneven = Network(uneven=True)
    assert graph.verify(uneven, seed=1) == graph.verify(uneven, seed=1)
    assert graph.verify(uneven, seed=1) != graph.verify(uneven, seed=2)
