"""Constant units give what they add to the biases of the layers that use them."""

import pytest
import torch
from torch import nn

from netsculpt.edit import Plan, Prune, apply, undo
from netsculpt.errors import EditError
from netsculpt.graph import trace


def network(consumer: nn.Module) -> nn.Sequential:
    """Unit 1 has no incoming weights and answers SiLU of its norm's bias; unit 0 too, but with a weight left."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.SiLU(), consumer, nn.Flatten())
    norm = net[1]
    assert isinstance(norm, nn.BatchNorm2d)
    for values in (norm.weight, norm.bias, norm.running_mean):
        nn.init.normal_(values)
    with torch.no_grad():
        net[0].weight[1] = 0
        net[0].weight[0, 1:] = 0
    return net.double().eval()


INPUT = torch.randn(2, 2, 5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
KEEP = [0, 2, 3]


@pytest.mark.parametrize(
    "consumer",
    [nn.Conv2d(4, 3, 3), nn.Sequential(nn.Flatten(), nn.Linear(100, 3))],
    ids=["convolution", "flatten and linear"],
)
def test_a_folded_unit_leaves_the_function_alone(consumer: nn.Module) -> None:
    net = network(consumer)
    before = net(INPUT)
    graph = trace(net, INPUT)
    outcome = apply(Plan.of(graph, [Prune("0", KEEP, fold=True)]), net, graph=graph)
    assert outcome.difference is not None and outcome.difference < 1e-12
    torch.testing.assert_close(net(INPUT), before, rtol=0, atol=1e-12)
    undo(net)
    assert torch.equal(net(INPUT), before)


def test_without_folding_the_constant_is_lost() -> None:
    net = network(nn.Conv2d(4, 3, 3))
    before = net(INPUT)
    graph = trace(net, INPUT)
    apply(Plan.of(graph, [Prune("0", KEEP)]), net, graph=graph)
    assert (net(INPUT) - before).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("consumer", "keep", "reason"),
    [
        (nn.Conv2d(4, 3, 3), [1, 2, 3], "answer differently"),
        (nn.Conv2d(4, 3, 3, bias=False), KEEP, "has no bias"),
        (nn.Conv2d(4, 3, 3, padding=1), KEEP, "borders"),
        (nn.ConvTranspose2d(4, 3, 3), KEEP, "ConvTranspose2d"),
    ],
    ids=["not constant", "no bias", "padded", "transposed"],
)
def test_what_cannot_be_folded_is_refused_and_nothing_changes(
    consumer: nn.Module, keep: list[int], reason: str
) -> None:
    net = network(consumer)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    graph = trace(net, INPUT)
    with pytest.raises(EditError, match=reason):
        apply(Plan.of(graph, [Prune("0", keep, fold=True)]), net, graph=graph)
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    assert graph["0"].size == 4
